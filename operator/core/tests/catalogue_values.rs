//! Values by type: one `check` for each claim, and properties that hold for every definition and any input.

use std::sync::Arc;

use proptest::prelude::*;
use stationkeeper_core::catalogue::{Catalogue, Definition, StationCatalogue, ValueType};
use stationkeeper_core::value::{Mistake, check, equal, in_vocabulary_of, normalise, to_wire};
use stationkeeper_core::words::{Device, Key};

fn catalogue() -> StationCatalogue {
    let device = Device {
        vendor: Some("Amina".to_owned()),
        ..Device::default()
    };
    Catalogue::built_in().for_station(&device, None)
}

fn definition(key: &str) -> Arc<Definition> {
    catalogue().definition(&Key::from(key))
}

fn check_equal(key: &str, a: &str, b: &str, expect: bool) {
    assert_eq!(
        equal(&definition(key), a, b),
        expect,
        "{key}: {a:?} and {b:?}"
    );
}

fn check_mistake(key: &str, value: &str, told: &[&str]) {
    let Mistake(message) = check(&definition(key), value).expect_err(value);
    for words in told {
        assert!(
            message.contains(words),
            "{key}: {value:?} gives {message:?}, without {words:?}"
        );
    }
}

fn check_good(key: &str, value: &str, wire: &str) {
    let definition = definition(key);
    assert_eq!(check(&definition, value), Ok(()), "{key}: {value:?}");
    assert_eq!(to_wire(&definition, value), wire, "{key}: {value:?}");
}

#[test]
fn booleans_are_equal_in_every_spelling() {
    for spelling in ["true", "TRUE", "True", "1", "On", "ON", "yes", " true "] {
        check_equal("LocalPreAuthorize", spelling, "true", true);
        check_equal("LocalPreAuthorize", spelling, "false", false);
        check_good("LocalPreAuthorize", spelling, "true");
    }
    check_equal("LocalPreAuthorize", "tru", "true", false);
    check_equal("LocalPreAuthorize", "", "false", false);
    check_mistake(
        "LocalPreAuthorize",
        "maybe",
        &["\"maybe\"", "write \"true\" or \"false\""],
    );
    check_mistake("LocalPreAuthorize", "", &["neither true nor false"]);
}

#[test]
fn whole_numbers_are_equal_as_numbers() {
    for spelling in ["900", "0900", " 900", "900 ", "+900", "900.0", "900."] {
        check_equal("MeterValueSampleInterval", spelling, "900", true);
        check_good("MeterValueSampleInterval", spelling, "900");
    }
    check_equal("MeterValueSampleInterval", "900.5", "900", false);
    check_equal("MeterValueSampleInterval", "-0", "0", true);
    check_equal("MeterValueSampleInterval", "9 00", "900", false);
}

#[test]
fn a_wrong_number_is_explained() {
    check_mistake(
        "MeterValueSampleInterval",
        "abc",
        &[
            "\"abc\" is not a whole number",
            "seconds as digits",
            "\"60\"",
        ],
    );
    check_mistake("BlinkRepeat", "twice", &["times as digits", "\"300\""]);
    check_mistake("MeterValueSampleInterval", "60.5", &["not a whole number"]);
    check_mistake("MeterValueSampleInterval", "-5", &["negative", "0 or more"]);
    check_mistake(
        "WebSocketPingInterval",
        "-1",
        &["less than the station takes", "0 or more seconds"],
    );
    check_mistake("LightIntensity", "101", &["0 to 100"]);
    check_mistake("HeartbeatInterval", "4294967296", &["2147483647"]);
    check_mistake("HeartbeatInterval", &"9".repeat(40), &["too large"]);
    check_mistake(
        "SecurityProfile",
        "4",
        &["more than the station takes", "0 to 3"],
    );
    check_mistake(
        "MeterValueSampleInterval",
        "",
        &["\"\" is not a whole number"],
    );
}

#[test]
fn lists_are_equal_as_sets() {
    const KEY: &str = "MeterValuesSampledData";
    check_equal(KEY, "Voltage,SoC", "SoC, Voltage", true);
    check_equal(KEY, "\"Voltage\",\"SoC\"", "SoC,Voltage", true);
    check_equal(KEY, "\"Voltage,SoC\"", "SoC,Voltage,", true);
    check_equal(KEY, "Voltage,Voltage", "Voltage", true);
    check_equal(KEY, "voltage.l1-n", "Voltage.L1-N", true);
    check_equal(KEY, "Voltage.L1", "Voltage", false);
    check_equal(KEY, "", " ", true);
}

#[test]
fn lists_go_on_the_wire_in_their_order_without_spaces() {
    const KEY: &str = "MeterValuesSampledData";
    check_good(
        KEY,
        "Voltage.L1-N, SoC, Current.Import",
        "Voltage.L1-N,SoC,Current.Import",
    );
    check_good(KEY, "soc,SoC", "SoC");
    check_good(KEY, "", "");
}

#[test]
fn a_wrong_item_is_named_and_a_near_one_suggested() {
    const KEY: &str = "MeterValuesSampledData";
    check_mistake(
        KEY,
        "Voltage,Currant.Import",
        &["\"Currant.Import\"", "did you mean \"Current.Import\"?"],
    );
    check_mistake(KEY, "Voltag.L1", &["did you mean \"Voltage\"?"]);
    check_mistake(KEY, "Voltage.L4", &["\"Voltage.L4\" is none of the items"]);
    check_mistake(KEY, "Voltage,,SoC", &["empty item"]);
    check_mistake(
        KEY,
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        &["Energy.Active.Import.Register"],
    );
}

#[test]
fn phase_rotations_are_checked_by_connector() {
    const KEY: &str = "ConnectorPhaseRotation";
    check_good(KEY, "0.RST, 1.RST, 2.RTS", "0.RST,1.RST,2.RTS");
    check_good(
        KEY,
        "1.unknown,2.NotApplicable",
        "1.Unknown,2.NotApplicable",
    );
    check_equal(KEY, "2.RTS,1.RST", "1.rst, 02.RTS", true);
    check_mistake(KEY, "RST", &["connector's number", "\"1.RST\""]);
    check_mistake(KEY, "1.RSS", &["one of"]);
    check_mistake(KEY, "-1.RST", &["connector's number"]);
    check_mistake(KEY, "+1.RST", &["connector's number"]);
}

#[test]
fn an_ordered_list_is_equal_in_its_order_only() {
    const KEY: &str = "NetworkConfigurationPriority";
    const BOTH: &str = "NetworkConnectionProfile1,NetworkConnectionProfile2";
    check_equal(
        KEY,
        BOTH,
        "NetworkConnectionProfile2,NetworkConnectionProfile1",
        false,
    );
    check_equal(
        KEY,
        BOTH,
        "NetworkConnectionProfile1, NetworkConnectionProfile2",
        true,
    );
    check_good(
        KEY,
        "NetworkConnectionProfile1, NetworkConnectionProfile2",
        BOTH,
    );
    check_mistake(
        KEY,
        "NetworkConnectionProfile1",
        &["form that the station takes"],
    );
    check_mistake(
        KEY,
        "NetworkConnectionProfile1,NetworkConnectionProfile1",
        &["form that the station takes"],
    );
    check_mistake(KEY, "", &["form that the station takes"]);
}

#[test]
fn a_rate_unit_is_equal_to_the_quantity_that_it_measures() {
    check_equal(
        "ChargingScheduleAllowedChargingRateUnit",
        "A",
        "Current",
        true,
    );
    check_equal(
        "ChargingScheduleAllowedChargingRateUnit",
        "Power,Current",
        "A, W",
        true,
    );
    check_equal("ChargingScheduleAllowedChargingRateUnit", "A", "W", false);
}

#[test]
fn addresses_are_exact_and_without_spaces() {
    const KEY: &str = "NetworkConnectionProfile1";
    check_good(
        KEY,
        "wss://csms-1.example.com/ocpp",
        "wss://csms-1.example.com/ocpp",
    );
    check_equal(KEY, "wss://a.example/", "wss://a.example", false);
    check_equal(KEY, "wss://a.example", "WSS://a.example", false);
    check_mistake(KEY, "wss://a.example/x y", &["spaces"]);
    check_mistake(KEY, "wss://a.example/\n", &["line breaks"]);
    check_mistake(KEY, "csms.example.com", &["scheme, host and path"]);
    check_mistake(KEY, "wss://", &["scheme, host and path"]);
}

#[test]
fn named_values_are_found_in_any_case() {
    const KEY: &str = "Cst_MaxCurrentRotarySwitchSetting";
    check_equal(KEY, "16A", "16a", true);
    check_equal(KEY, "16A", "16", false);
    check_mistake(KEY, "17A", &["none of its values", "\"16A\""]);
}

#[test]
fn a_key_that_nobody_knows_is_compared_exactly() {
    check_equal("NobodyKnowsMe", "true", "TRUE", false);
    check_equal("NobodyKnowsMe", "1", "01", false);
    check_good("NobodyKnowsMe", " anything, goes ", " anything, goes ");
    check_mistake("NobodyKnowsMe", "two\nlines", &["line break"]);
}

#[test]
fn a_value_over_500_characters_is_refused() {
    check_good("CpoName", &"ä".repeat(500), &"ä".repeat(500));
    check_mistake("CpoName", &"a".repeat(501), &["501", "500"]);
    check_mistake("NobodyKnowsMe", &"a".repeat(501), &["501"]);
}

#[test]
fn a_secret_is_neither_compared_nor_quoted() {
    let definition = definition("AuthorizationKey");
    assert!(!equal(&definition, "0123456789abcdef", "0123456789abcdef"));
    let Err(Mistake(message)) = check(&definition, "hunter2") else {
        panic!("too short, and passes")
    };
    assert!(
        !message.contains("hunter2") && message.contains("at least 16"),
        "{message}"
    );
    let Err(Mistake(message)) = check(&definition, "hunter2 hunter2\nhunter2") else {
        panic!("passes")
    };
    assert!(!message.contains("hunter2"), "{message}");
    assert_eq!(in_vocabulary_of(&definition, "hunter2", "1"), None);
}

#[test]
fn a_boolean_is_told_in_the_words_that_the_station_shows() {
    let of = |value, shown| in_vocabulary_of(&definition("LocalPreAuthorize"), value, shown);
    assert_eq!(of("true", "0").as_deref(), Some("1"));
    assert_eq!(of("true", "FALSE").as_deref(), Some("TRUE"));
    assert_eq!(of("false", "On").as_deref(), Some("Off"));
    assert_eq!(of("yes", "No").as_deref(), Some("Yes"));
    assert_eq!(of("true", "false"), None, "the wire has this word already");
    assert_eq!(of("true", "whatever"), None);
    assert_eq!(of("whatever", "0"), None);
}

/// Every definition of every vendor, with the standard's below.
fn any_definition() -> impl Strategy<Value = Arc<Definition>> {
    let built_in = Catalogue::built_in();
    let vendors = built_in
        .documents()
        .map(|(_, document)| document.vendor.clone());
    let definitions: Vec<_> = vendors
        .flat_map(|vendor| {
            let device = Device {
                vendor,
                ..Device::default()
            };
            let catalogue = built_in.for_station(&device, None);
            catalogue.definitions().cloned().collect::<Vec<_>>()
        })
        .collect();
    proptest::sample::select(definitions)
}

/// Strings that are near to values: words, numbers, items, quotes, commas, and anything at all.
fn any_value() -> impl Strategy<Value = String> {
    let near = proptest::sample::select(vec![
        "true",
        "FALSE",
        "1",
        "0",
        "on",
        "Off",
        "-0",
        "007",
        "45.0",
        ".5",
        "-",
        "+",
        ".",
        "\"",
        "'",
        ",",
        " ",
        "\t",
        "\u{a0}",
        "Voltage",
        "voltage.l1",
        "Current.Import.N",
        "1.RST",
        "0.",
        "A",
        "W",
        "Core",
        "https",
        "16A",
        "unknown",
        "ſ",
        "İ",
        "NetworkConnectionProfile1",
        "wss://x",
        "€",
    ]);
    prop_oneof![
        proptest::collection::vec(near, 0..6).prop_map(|parts| parts.concat()),
        any::<i64>().prop_map(|number| number.to_string()),
        ".{0,40}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn normalising_twice_changes_nothing(definition in any_definition(), value in any_value()) {
        let once = normalise(&definition, &value).into_owned();
        let twice = normalise(&definition, &once).into_owned();
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn equality_is_reflexive_and_symmetric(definition in any_definition(), a in any_value(), b in any_value()) {
        if definition.value_type() == Some(ValueType::Secret) {
            prop_assert!(!equal(&definition, &a, &a));
        } else {
            prop_assert!(equal(&definition, &a, &a));
        }
        prop_assert_eq!(equal(&definition, &a, &b), equal(&definition, &b, &a));
    }

    #[test]
    fn the_wire_form_is_equal_to_the_value_and_as_good(definition in any_definition(), value in any_value()) {
        let wire = to_wire(&definition, &value);
        prop_assert_eq!(&to_wire(&definition, &wire), &wire);
        if !definition.is_secret() {
            prop_assert!(equal(&definition, &value, &wire), "{:?} and {:?}", value, wire);
        }
        if check(&definition, &value).is_ok() {
            prop_assert_eq!(check(&definition, &wire), Ok(()));
        }
    }

    #[test]
    fn another_vocabulary_means_the_same(definition in any_definition(), value in any_value(), shown in any_value()) {
        if let Some(other) = in_vocabulary_of(&definition, &value, &shown) {
            prop_assert!(equal(&definition, &value, &other), "{:?} and {:?}", value, other);
        }
    }
}
