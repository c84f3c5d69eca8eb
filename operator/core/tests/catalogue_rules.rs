//! The rules between keys: each breaks once and holds once.

use std::collections::BTreeMap;

use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument, StationCatalogue};
use stationkeeper_core::rules::{RULES, check_rules, companions};
use stationkeeper_core::words::{Device, Finding, Key, Severity};

fn catalogue() -> StationCatalogue {
    let device = Device {
        vendor: Some("Amina".to_owned()),
        ..Device::default()
    };
    Catalogue::built_in().for_station(&device, None)
}

fn findings_in(
    catalogue: &StationCatalogue,
    desired: &[(&str, &str)],
    observed: &[(&str, &str)],
    identity: Option<&str>,
) -> Vec<Finding> {
    let values: BTreeMap<Key, &str> = desired
        .iter()
        .map(|&(key, value)| (Key::from(key), value))
        .collect();
    let observed: BTreeMap<Key, &str> = observed
        .iter()
        .map(|&(key, value)| (Key::from(key), value))
        .collect();
    check_rules(
        &values,
        |key| observed.get(key).copied(),
        catalogue,
        identity,
    )
}

/// The rules that are broken, each with the key that it names.
fn check(desired: &[(&str, &str)], observed: &[(&str, &str)], expect: &[(&str, Severity, &str)]) {
    let found = findings_in(&catalogue(), desired, observed, Some("cp-1"));
    let found: Vec<_> = found
        .iter()
        .map(|finding| {
            (
                finding.rule.as_str(),
                finding.severity,
                finding.key.as_ref().map_or("", Key::as_str),
            )
        })
        .collect();
    assert_eq!(found, expect, "desired {desired:?}, observed {observed:?}");
}

use Severity::{Error, Warning};

#[test]
fn a_list_longer_than_the_station_takes_is_an_error() {
    const KEY: &str = "MeterValuesSampledData";
    let long = &[(KEY, "Voltage,SoC,RPM")];
    check(
        long,
        &[("MeterValuesSampledDataMaxLength", "2")],
        &[("ListTooLong", Error, KEY)],
    );
    check(long, &[("MeterValuesSampledDataMaxLength", "3")], &[]);
    check(
        &[(KEY, "Voltage, Voltage")],
        &[("MeterValuesSampledDataMaxLength", "1")],
        &[],
    );
}

#[test]
fn a_list_of_two_is_doubtful_where_the_station_tells_no_length() {
    const KEY: &str = "StopTxnSampledData";
    check(
        &[(KEY, "Voltage,SoC")],
        &[],
        &[("ListTooLong", Warning, KEY)],
    );
    check(
        &[(KEY, "Voltage,SoC")],
        &[("StopTxnSampledDataMaxLength", "?")],
        &[("ListTooLong", Warning, KEY)],
    );
    check(&[(KEY, "Voltage")], &[], &[]);
}

#[test]
fn a_list_that_is_only_asserted_may_be_as_long_as_it_is() {
    check(
        &[("SupportedFeatureProfiles", "Core,Reservation")],
        &[],
        &[],
    );
}

#[test]
fn heartbeats_come_at_least_daily() {
    const KEY: &str = "HeartbeatInterval";
    check(&[(KEY, "86400")], &[], &[]);
    check(
        &[(KEY, "86401")],
        &[],
        &[("HeartbeatAtLeastDaily", Warning, KEY)],
    );
    check(
        &[(KEY, "0")],
        &[],
        &[("HeartbeatAtLeastDaily", Warning, KEY)],
    );
}

#[test]
fn pings_are_sent_and_sent_in_time() {
    const KEY: &str = "WebSocketPingInterval";
    check(&[(KEY, "0")], &[], &[("NoPings", Warning, KEY)]);
    let retries = &[
        ("TransactionMessageAttempts", "3"),
        ("TransactionMessageRetryInterval", "60"),
    ];
    check(
        &[(KEY, "180")],
        retries,
        &[("PingsSlowerThanRetries", Warning, KEY)],
    );
    check(&[(KEY, "179")], retries, &[]);
    check(
        &[(KEY, "9000")],
        &[("TransactionMessageAttempts", "0")],
        &[],
    );
}

#[test]
fn samples_are_off_or_ten_seconds_apart() {
    const KEY: &str = "MeterValueSampleInterval";
    check(&[(KEY, "0")], &[], &[]);
    check(&[(KEY, "10")], &[], &[]);
    check(
        &[(KEY, "9")],
        &[],
        &[("SampleIntervalTooShort", Warning, KEY)],
    );
}

#[test]
fn what_happens_at_the_vehicles_side_is_set_in_a_pair() {
    const STOP: &str = "StopTransactionOnEVSideDisconnect";
    const UNLOCK: &str = "UnlockConnectorOnEVSideDisconnect";
    check(
        &[(STOP, "true")],
        &[],
        &[("EvSideDisconnectPair", Warning, STOP)],
    );
    check(&[(STOP, "true")], &[(UNLOCK, "true")], &[]);
    check(
        &[(UNLOCK, "true")],
        &[(STOP, "false")],
        &[("EvSideDisconnectPair", Warning, UNLOCK)],
    );
    check(
        &[(STOP, "false"), (UNLOCK, "true")],
        &[],
        &[("EvSideDisconnectPair", Warning, STOP)],
    );
    check(&[(STOP, "true"), (UNLOCK, "false")], &[], &[]);
}

#[test]
fn an_invalid_driver_does_not_charge_without_end() {
    const KEY: &str = "StopTransactionOnInvalidId";
    check(&[(KEY, "false")], &[], &[("InvalidIdPair", Warning, KEY)]);
    check(&[(KEY, "false")], &[("MaxEnergyOnInvalidId", "500")], &[]);
    check(&[(KEY, "true")], &[], &[]);
}

#[test]
fn local_authorization_needs_a_list_or_a_cache() {
    const KEY: &str = "LocalAuthorizeOffline";
    check(
        &[(KEY, "true")],
        &[("LocalAuthListEnabled", "false")],
        &[("LocalAuthorizationChain", Warning, KEY)],
    );
    check(
        &[(KEY, "true")],
        &[
            ("LocalAuthListEnabled", "false"),
            ("AuthorizationCacheEnabled", "1"),
        ],
        &[],
    );
    check(&[(KEY, "true")], &[], &[]);
    check(&[(KEY, "false")], &[("LocalAuthListEnabled", "false")], &[]);
}

#[test]
fn a_key_of_a_profile_that_the_station_lacks_is_told() {
    const KEY: &str = "LocalAuthListEnabled";
    let rule = ("ProfileNotSupported", Warning, KEY);
    check(
        &[(KEY, "true")],
        &[("SupportedFeatureProfiles", "Core,Reservation")],
        &[rule],
    );
    check(
        &[(KEY, "true")],
        &[("SupportedFeatureProfiles", "core, localauthlistmanagement")],
        &[],
    );
    check(&[(KEY, "true")], &[("SupportedFeatureProfiles", "")], &[]);
}

#[test]
fn a_key_that_the_vendor_does_not_provide_is_told() {
    check(
        &[("LightIntensity", "50")],
        &[],
        &[("NotSupportedByVendor", Warning, "LightIntensity")],
    );
}

#[test]
fn the_address_of_a_csms_does_not_carry_the_identity() {
    const KEY: &str = "NetworkConnectionProfile1";
    check(
        &[(KEY, "wss://csms.example.com/ocpp/cp-1")],
        &[],
        &[("NetworkProfileValue", Error, KEY)],
    );
    check(
        &[(KEY, "wss://csms.example.com/ocpp/cp-1/")],
        &[],
        &[("NetworkProfileValue", Error, KEY)],
    );
    check(&[(KEY, "wss://csms.example.com/ocpp/cp-11")], &[], &[]);
    assert_eq!(
        findings_in(
            &catalogue(),
            &[(KEY, "wss://csms.example.com/cp-1")],
            &[],
            None
        ),
        []
    );
}

#[test]
fn a_security_profile_is_never_lowered() {
    const KEY: &str = "SecurityProfile";
    check(
        &[(KEY, "1")],
        &[(KEY, "2")],
        &[("SecurityProfileOnlyRises", Error, KEY)],
    );
    check(&[(KEY, "2")], &[(KEY, "2")], &[]);
}

#[test]
fn an_operators_limit_stays_within_the_limit() {
    let document = "
vendor: Test
match: [{vendor: Test}]
sources: {page: {publisher: Test, title: Test}}
source: page
keys:
- {key: Limit, type: Integer, hazard: [None]}
- {key: OperatorLimit, type: Integer, hazard: [None], atMostKey: Limit}
";
    let document = CatalogueDocument::from_yaml("test", document).unwrap();
    let device = Device {
        vendor: Some("Test".to_owned()),
        ..Device::default()
    };
    let catalogue = Catalogue::built_in()
        .with_documents([("test".to_owned(), document)])
        .for_station(&device, None);
    let rules_of = |desired: &[(&str, &str)], observed: &[(&str, &str)]| {
        let found = findings_in(&catalogue, desired, observed, None);
        found
            .into_iter()
            .map(|finding| finding.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rules_of(&[("OperatorLimit", "20")], &[("Limit", "16")]),
        ["LimitExceeded"]
    );
    assert_eq!(
        rules_of(
            &[("OperatorLimit", "20"), ("Limit", "32")],
            &[("Limit", "16")]
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        rules_of(&[("OperatorLimit", "16")], &[("Limit", "16")]),
        Vec::<String>::new()
    );
    assert_eq!(
        rules_of(&[("OperatorLimit", "16")], &[]),
        Vec::<String>::new()
    );
    let values = [(Key::from("OperatorLimit"), "16")].into();
    assert_eq!(companions(&values, &catalogue), [Key::from("Limit")]);
}

#[test]
fn no_rule_speaks_of_keys_that_are_not_declared() {
    let observed: Vec<(&str, &str)> = vec![
        ("HeartbeatInterval", "0"),
        ("WebSocketPingInterval", "0"),
        ("StopTransactionOnEVSideDisconnect", "false"),
        ("StopTransactionOnInvalidId", "false"),
        ("LocalAuthorizeOffline", "true"),
        ("MeterValuesSampledData", "Voltage,SoC"),
        ("SupportedFeatureProfiles", "Core"),
    ];
    check(&[], &observed, &[]);
}

#[test]
fn every_rule_has_a_name_of_its_own_and_a_source() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    assert!(
        RULES
            .iter()
            .all(|rule| !rule.source.is_empty() && !rule.asks.is_empty())
    );
}
