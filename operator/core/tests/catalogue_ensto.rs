//! Ensto's appendix and GreenFlux's recommendations as the catalogue has them: the counts, and the traps in both.

use std::sync::Arc;

use stationkeeper_core::catalogue::{
    Access, Catalogue, CatalogueDocument, Definition, Direction, Fact, KeyEntry, Nature,
    Recommendation, Scope, StationCatalogue, TakesEffect, ValueType,
};
use stationkeeper_core::rules::check_rules;
use stationkeeper_core::value;
use stationkeeper_core::words::{Device, Key};

fn of_vendor(vendor: Option<&str>) -> StationCatalogue {
    let device = Device {
        vendor: vendor.map(str::to_owned),
        ..Device::default()
    };
    Catalogue::built_in().for_station(&device, None)
}

fn ensto(key: &str) -> Arc<Definition> {
    of_vendor(Some("Ensto")).definition(&Key::from(key))
}

fn standard(key: &str) -> Arc<Definition> {
    of_vendor(None).definition(&Key::from(key))
}

fn document() -> CatalogueDocument {
    let built_in = Catalogue::built_in();
    let mut documents = built_in.documents();
    let (_, document) = documents
        .find(|(name, _)| *name == "ensto.yaml")
        .expect("it is built in");
    document.clone()
}

/// What Ensto's own table says of a key, without the standard below.
fn row(key: &str) -> KeyEntry {
    let keys = document().keys;
    keys.into_iter()
        .find(|entry| entry.key.as_str() == key)
        .expect(key)
}

fn keys_where(holds: impl Fn(&KeyEntry) -> bool) -> usize {
    document().keys.iter().filter(|entry| holds(entry)).count()
}

fn says<T: Clone>(fact: Option<&Fact<T>>) -> Option<T> {
    fact.map(|fact| fact.value.clone())
}

fn check_row(key: &str, range: (i64, i64), default: &str) {
    let entry = row(key);
    let told = entry.range.unwrap_or_default();
    assert_eq!(
        (told.min, told.max),
        (Some(range.0), Some(range.1)),
        "{key}"
    );
    assert_eq!(entry.default.as_deref(), Some(default), "{key}");
    assert_eq!(entry.value_type, Some(ValueType::Integer), "{key}");
}

fn check_codes(key: &str, labels: &[&str], default: &str) {
    let entry = row(key);
    assert_eq!(entry.value_type, Some(ValueType::Enum), "{key}");
    let values = entry.values.unwrap_or_default();
    let told: Vec<&str> = values
        .iter()
        .filter_map(|named| named.label.as_deref())
        .collect();
    assert_eq!(told, labels, "{key}");
    for (code, named) in values.iter().enumerate() {
        assert_eq!(named.code, code.to_string(), "{key}");
    }
    assert_eq!(entry.default.as_deref(), Some(default), "{key}");
}

fn recommended(key: &str) -> Vec<Recommendation> {
    says(standard(key).recommended.as_ref()).unwrap_or_default()
}

#[test]
fn the_60_rows_of_the_appendix_are_there_27_of_them_on_standard_keys() {
    assert!(document().keys.len() >= 60);
    assert!(keys_where(|entry| entry.standard == Some(true)) >= 27);
    assert!(keys_where(|entry| entry.standard == Some(false)) >= 33);
}

#[test]
fn every_row_says_type_and_access() {
    let silent = |entry: &KeyEntry| entry.value_type.is_none() || entry.access.is_none();
    assert_eq!(keys_where(silent), 0);
    assert!(keys_where(|entry| entry.access == Some(Access::ReadOnly)) >= 16);
    assert!(keys_where(|entry| entry.access == Some(Access::ReadWrite)) >= 44);
    assert!(keys_where(|entry| entry.value_type == Some(ValueType::Integer)) >= 32);
    assert!(keys_where(|entry| entry.value_type == Some(ValueType::Enum)) >= 19);
    assert!(keys_where(|entry| entry.value_type == Some(ValueType::String)) >= 9);
}

#[test]
fn every_row_of_load_management_has_a_scope_and_no_other_has() {
    let of_load_management = |entry: &KeyEntry| {
        let source = entry.source.as_deref().unwrap_or_default();
        source.contains("Dynamic Load Management")
    };
    assert!(keys_where(of_load_management) >= 30);
    let wrong = |entry: &KeyEntry| of_load_management(entry) != entry.scope.is_some();
    assert_eq!(keys_where(wrong), 0);
    assert!(keys_where(|entry| entry.scope == Some(Scope::Individual)) >= 6);
    assert_eq!(row("DlmMasterIp").scope, Some(Scope::Individual));
    assert_eq!(row("DlmAlgo").scope, Some(Scope::Master));
    assert_eq!(
        row("FreeChargingMode").scope,
        None,
        "its table has no such column"
    );
}

#[test]
fn heart_beat_and_heartbeat_interval_are_two_keys() {
    let catalogue = of_vendor(Some("Ensto"));
    let (old, new) = (
        Key::from("HeartBeatInterval"),
        Key::from("HeartbeatInterval"),
    );
    assert_eq!(catalogue.canonical(&old), old);
    assert_eq!(catalogue.canonical(&new), new);
    assert!(!Arc::ptr_eq(
        &catalogue.definition(&old),
        &catalogue.definition(&new)
    ));
    assert_eq!(
        ensto("HeartbeatInterval").profile(),
        standard("HeartbeatInterval").profile()
    );
    assert_eq!(
        ensto("HeartBeatInterval").profile(),
        None,
        "it is OCPP 1.5's"
    );
    check_row("HeartBeatInterval", (10, 3600), "240");
    check_row("HeartbeatInterval", (10, 3600), "240");
}

#[test]
fn a_third_spelling_of_the_heartbeat_interval_means_neither() {
    let catalogue = of_vendor(Some("Ensto"));
    assert!(catalogue.find(&Key::from("HEARTBEATINTERVAL")).is_none());
    assert!(
        of_vendor(None)
            .find(&Key::from("HEARTBEATINTERVAL"))
            .is_some()
    );
}

#[test]
fn names_that_the_table_broke_are_whole() {
    for input in 1..=2 {
        for part in ["Phase1", "Phase2", "Phase3", "Cfg"] {
            row(&format!("DlmInput{input}CurrOffset{part}"));
        }
    }
    assert_eq!(keys_where(|entry| entry.key.as_str().contains(' ')), 0);
}

#[test]
fn ranges_and_defaults_are_as_the_table_has_them() {
    check_row("ConnectionTimeOut", (10, 300), "45");
    check_row("NumberOfConnectors", (0, 254), "1");
    check_row("GetConfigurationMaxKeys", (0, 2000), "1");
    check_row("LocalAuthListMaxLength", (0, 1_000_000), "1000000");
    check_row("SendLocalListMaxLength", (0, 45_000), "45000");
    check_row("ConnectorPhaseRotationMaxLength", (1, 255), "1");
    check_row("ChargeProfileMaxStackLevel", (1, 255), "255");
    check_row("MaxChargingProfilesInstalled", (1, 255), "255");
    check_row("DlmDisconnectedLimit", (0, 1000), "6");
    check_row("DlmMinCurrentRating", (0, 1000), "6");
    check_row("DlmDiscoveryNetworkId", (0, 255), "0");
}

#[test]
fn what_stands_in_one_row_holds_for_all_phases() {
    for phase in 1..=3 {
        check_row(&format!("DlmInput1CurrOffsetPhase{phase}"), (-1000, 0), "0");
        check_row(&format!("DlmInput2CurrOffsetPhase{phase}"), (-1000, 0), "0");
        check_row(&format!("DlmPhase{phase}Limit"), (0, 1000), "16");
        check_row(&format!("DlmOperatorPhase{phase}Limit"), (0, 1000), "16");
        check_row(
            &format!("DlmExtMeterMainDistributionLimitPhase{phase}"),
            (0, 10_000),
            "100",
        );
        check_row(
            &format!("DlmExtMeterDisconnectedFallbackPhase{phase}"),
            (0, 10_000),
            "9999",
        );
        let operator = row(&format!("DlmOperatorPhase{phase}Limit"));
        assert_eq!(
            operator.takes_effect,
            Some(TakesEffect::Immediately),
            "phase {phase}"
        );
        assert_eq!(
            operator.at_most_key,
            Some(Key::new(format!("DlmPhase{phase}Limit")))
        );
    }
}

#[test]
fn when_a_value_takes_effect_is_known_of_the_operator_limits_alone() {
    for silent in [
        "DlmPhase1Limit",
        "DlmMode",
        "DlmExtMeterEnabled",
        "FreeChargingMode",
        "HeartbeatInterval",
        "MeterValuesSampledData",
    ] {
        assert_eq!(
            row(silent).takes_effect,
            None,
            "{silent}: silence is no reset"
        );
    }
}

#[test]
fn enums_have_the_codes_and_labels_of_the_table() {
    check_codes("LocalAuthListEnabled", &["Off", "On"], "Off");
    check_codes(
        "AllowOfflineTxForUnknownId",
        &["Off", "On", "ImmediatelyWhenPlugged"],
        "Off",
    );
    check_codes("DlmAlgo", &["Fair Trade (FIFO)"], "Fair Trade (FIFO)");
    check_codes(
        "DlmInput2CurrOffsetCfg",
        &["DISABLE", "ENABLE OPTO 1", "ENABLE OPTO 2"],
        "DISABLE",
    );
    check_codes(
        "DlmRecalcInterval",
        &[
            "2 sec", "5 sec", "15 sec", "30 sec", "1 min", "10 min", "15 min",
        ],
        "30 sec",
    );
    check_codes(
        "DlmExtMeterLocation",
        &[
            "Including EVSE Sub-Distribution",
            "Excluding EVSE Sub-Distribution",
        ],
        "Including EVSE Sub-Distribution",
    );
    check_codes(
        "DlmMode",
        &[
            "Disabled",
            "DLM Master (With internal DLM-Slave)",
            "DLM Master (Standalone)",
            "DLM Slave (Master-Auto-Discovery)",
            "DLM Slave (Master-Fixed-IP)",
        ],
        "Disabled",
    );
    check_codes(
        "FreeChargingMode",
        &[
            "No OCPP",
            "With OCPP status notif without auth",
            "With OCPP status notif with auth",
            "With OCPP Full fixed Rfid with auth",
            "With OCPP Full fixed Rfid without auth",
            "With OCPP Full any Rfid",
        ],
        "No OCPP",
    );
}

#[test]
fn an_enum_is_equal_by_code_and_by_label() {
    let mode = ensto("DlmMode");
    assert!(value::equal(
        &mode,
        "3",
        "DLM Slave (Master-Auto-Discovery)"
    ));
    assert_eq!(
        value::to_wire(&mode, "dlm slave (master-auto-discovery)"),
        "3"
    );
    let interval = ensto("DlmRecalcInterval");
    assert!(value::equal(&interval, "30 sec", "3"));
    assert!(
        value::check(&interval, "30").is_err(),
        "a code is no number of seconds"
    );
}

#[test]
fn one_boolean_fits_the_standard_and_ensto() {
    for name in [
        "LocalAuthorizeOffline",
        "AuthorizationCacheEnabled",
        "AllowOfflineTxForUnknownId",
    ] {
        let definition = ensto(name);
        assert_eq!(value::check(&definition, "true"), Ok(()), "{name}");
        assert!(value::equal(&definition, "true", "On") && value::equal(&definition, "true", "1"));
        assert_eq!(value::to_wire(&definition, "true"), "1", "{name}");
    }
    let offline = ensto("AllowOfflineTxForUnknownId");
    assert!(
        !value::equal(&offline, "true", "2"),
        "the third value is neither"
    );
}

#[test]
fn keys_that_ocpp_lets_write_and_ensto_does_not_are_read_only_and_noted() {
    for name in [
        "LocalAuthListEnabled",
        "StopTransactionOnEVSideDisconnect",
        "UnlockConnectorOnEVSideDisconnect",
    ] {
        assert_eq!(standard(name).access(), Some(Access::ReadWrite), "{name}");
        assert_eq!(ensto(name).access(), Some(Access::ReadOnly), "{name}");
        assert!(row(name).note.is_some(), "{name}");
    }
}

#[test]
fn a_string_of_the_table_stays_the_list_that_it_is() {
    let sampled = ensto("MeterValuesSampledData");
    assert_eq!(
        row("MeterValuesSampledData").value_type,
        Some(ValueType::String)
    );
    assert_eq!(sampled.value_type(), Some(ValueType::List));
    assert!(value::equal(
        &sampled,
        "Current.Import,Power.Active.Import",
        "Power.Active.Import, Current.Import"
    ));
    assert!(
        value::check(&sampled, "Voltage").is_err(),
        "three measurands are supported"
    );
    assert_eq!(
        value::check(&sampled, "Current.Import.L1,Energy.Active.Import.Register"),
        Ok(())
    );
}

#[test]
fn a_default_or_example_is_no_default() {
    for name in [
        "StopTxnSampledData",
        "StopTxnAlignedData",
        "MeterValuesAlignedData",
        "MeterValuesSampledData",
        "ChargingScheduleAllowedChargingRateUnit",
    ] {
        assert_eq!(row(name).default, None, "{name}");
    }
    assert!(keys_where(|entry| entry.default.is_some()) >= 60 - 9);
}

#[test]
fn units_stand_only_where_the_text_names_them() {
    for name in ["HeartBeatInterval", "HeartbeatInterval"] {
        assert_eq!(row(name).unit.as_deref(), Some("seconds"), "{name}");
    }
    for silent in ["ConnectionTimeOut", "DlmPhase1Limit", "DlmMinCurrentRating"] {
        assert_eq!(row(silent).unit, None, "{silent}");
    }
}

#[test]
fn a_limit_is_raised_before_and_lowered_after_its_operator_limit() {
    for phase in 1..=3 {
        let (limit, operator) = (
            format!("DlmPhase{phase}Limit"),
            format!("DlmOperatorPhase{phase}Limit"),
        );
        let after = |key: &str| row(key).after.unwrap_or_default().remove(0);
        assert_eq!(after(&limit).key.as_str(), operator);
        assert_eq!(after(&limit).when, Direction::Lowering);
        assert_eq!(after(&operator).key.as_str(), limit);
        assert_eq!(after(&operator).when, Direction::Raising);
    }
}

#[test]
fn an_operator_limit_above_its_limit_is_a_mistake() {
    let values = [(Key::from("DlmOperatorPhase2Limit"), "32")].into();
    let findings = check_rules(&values, |_| Some("16"), &of_vendor(Some("Ensto")), None);
    let rules: Vec<&str> = findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .collect();
    assert_eq!(rules, ["LimitExceeded"]);
}

#[test]
fn load_management_acts_on_running_charges_and_its_state_is_a_reading() {
    for name in [
        "DlmPhase1Limit",
        "DlmOperatorPhase3Limit",
        "DlmMode",
        "FreeCharging",
        "FreeChargingMode",
    ] {
        assert!(ensto(name).needs_idle(), "{name}");
    }
    assert_eq!(ensto("DlmState").nature(), Some(Nature::Telemetry));
}

#[test]
fn hazards_and_natures_are_marked_as_our_own_judgement() {
    for definition in of_vendor(Some("Ensto")).definitions() {
        let judged = definition.hazard.as_ref().map(|fact| &fact.source);
        let natured = definition.nature.as_ref().map(|fact| &fact.source);
        for source in judged.into_iter().chain(natured) {
            assert_eq!(source.publisher, "Stationkeeper", "{:?}", definition.key);
        }
    }
}

#[test]
fn greenflux_recommends_values_for_seven_keys() {
    let catalogue = of_vendor(None);
    let keys: Vec<String> = catalogue
        .definitions()
        .filter(|definition| definition.recommended.is_some())
        .filter_map(|definition| definition.key.as_ref().map(Key::to_string))
        .collect();
    assert_eq!(
        keys,
        [
            "AllowOfflineTxForUnknownId",
            "ConnectionTimeOut",
            "HeartbeatInterval",
            "LocalAuthorizeOffline",
            "MeterValuesSampledData",
            "MeterValueSampleInterval",
            "WebSocketPingInterval",
        ]
    );
    for definition in catalogue.definitions() {
        if let Some(fact) = &definition.recommended {
            assert_eq!(fact.source.publisher, "GreenFlux", "{:?}", definition.key);
            for recommendation in &fact.value {
                assert_eq!(recommendation.by, "GreenFlux");
                assert_eq!(
                    value::check(definition, &recommendation.value),
                    Ok(()),
                    "{:?}",
                    definition.key
                );
            }
        }
    }
}

#[test]
fn five_misspelt_names_lead_to_the_real_keys() {
    for (real, spelt) in [
        ("ConnectionTimeOut", "ConnectionTimeout"),
        ("HeartbeatInterval", "HeartBeatInterval"),
        ("WebSocketPingInterval", "WebsocketPingInterval"),
        ("MeterValuesSampledData", "MeterValueSampledData"),
        ("AllowOfflineTxForUnknownId", "AllowOfflineTxForUnkownId"),
    ] {
        let told = recommended(real).remove(0).spelt;
        assert_eq!(told, Some(Key::from(spelt)), "{real}");
    }
}

#[test]
fn the_recommendation_beside_get_configuration_max_keys_is_the_heartbeats() {
    assert_eq!(recommended("GetConfigurationMaxKeys"), []);
    assert_eq!(recommended("HeartbeatInterval")[0].value, "900");
}

#[test]
fn the_sample_interval_is_recommended_at_large_and_by_current_and_smart_charging() {
    let told: Vec<(String, String)> = recommended("MeterValueSampleInterval")
        .into_iter()
        .map(|recommendation| {
            (
                recommendation.when.unwrap_or_default(),
                recommendation.value,
            )
        })
        .collect();
    let told: Vec<(&str, &str)> = told
        .iter()
        .map(|(when, value)| (when.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("", "300"),
            ("AC", "900"),
            ("AC with Smart Charging", "300"),
            ("DC", "300"),
            ("DC with Smart Charging", "30")
        ]
    );
}

#[test]
fn pings_are_recommended_within_bounds() {
    let pings = recommended("WebSocketPingInterval").remove(0);
    let range = pings.range.unwrap_or_default();
    assert_eq!(
        (pings.value.as_str(), range.min, range.max),
        ("180", Some(60), Some(180))
    );
}

#[test]
fn a_platform_that_writes_the_heartbeat_interval_is_noted_and_no_hazard_of_the_key() {
    let heartbeat = standard("HeartbeatInterval");
    assert!(says(heartbeat.note.as_ref()).is_some_and(|note| note.contains("GreenFlux")));
    assert_eq!(heartbeat.missing_consent(&[].into()), None);
}
