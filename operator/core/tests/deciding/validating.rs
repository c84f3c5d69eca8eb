//! What is wrong with a setting, in words, and what the hash stands for.

use stationkeeper_core::layer::{Consent, SettingValue};
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::Link;
use stationkeeper_core::words::{Device, Key, Severity};

use crate::given::*;

/// The state of the barrier, and what its message must contain.
fn check(scene: &Scene, key: &str, state: State, words: &[&str]) {
    let desired = scene.desired();
    let barrier = desired.settings[&Key::from(key)].barrier.as_ref();
    let barrier = barrier.unwrap_or_else(|| panic!("nothing holds {key}"));
    assert_eq!(barrier.state, state, "{}", barrier.message);
    for word in words {
        assert!(
            barrier.message.contains(word),
            "{word:?} is not in {:?}",
            barrier.message
        );
    }
}

fn free(scene: &Scene, key: &str) {
    assert_eq!(scene.desired().settings[&Key::from(key)].barrier, None);
}

#[test]
fn a_conflict_names_both_values_and_configs() {
    let fight = scene(&[
        layer("a", 5, &[("Plain", "2")]),
        layer("b", 5, &[("Plain", "3")]),
    ]);
    check(
        &fight,
        "Plain",
        State::Conflict,
        &["north/a", "\"2\"", "north/b", "\"3\"", "priority"],
    );
    let desired = fight.desired();
    assert_eq!(
        desired.settings[&Key::from("Plain")].rivals(),
        [config("b")]
    );
}

#[test]
fn a_conflict_over_secrets_names_no_value() {
    let mut plain_one = layer("a", 5, &[("Password", "hunter22")]);
    plain_one.settings.push(secret("Password", "v1"));
    let fight = scene(&[plain_one]);
    check(&fight, "Password", State::Conflict, &["Secret"]);
    let message = format!("{:?}", fight.plan().keys);
    assert!(!message.contains("hunter22"), "{message}");
}

#[test]
fn a_value_out_of_range_says_what_is_taken() {
    check(
        &scene(&[base(&[("Plain", "1001")])]),
        "Plain",
        State::Invalid,
        &["1000"],
    );
}

#[test]
fn what_is_no_configuration_is_invalid() {
    check(
        &scene(&[base(&[("Command", "true")])]),
        "Command",
        State::Invalid,
        &["command", "remove"],
    );
    check(
        &scene(&[base(&[("Meter", "1")])]),
        "Meter",
        State::Invalid,
        &["reading", "remove"],
    );
}

#[test]
fn a_secret_in_a_manifest_is_refused_without_repeating_it() {
    let scene = scene(&[base(&[("Password", "hunter22")])]);
    check(&scene, "Password", State::Invalid, &["valueFrom"]);
    assert!(!format!("{:?}", scene.plan().keys).contains("hunter22"));
}

#[test]
fn credentials_are_refused_until_rotation_exists() {
    let keys = base(&[
        ("AuthorizationKey", "00112233445566778899"),
        ("securityprofile", "2"),
    ]);
    let scene = scene(&[consenting(keys, &[Consent::Unknown])]);
    check(
        &scene,
        "AuthorizationKey",
        State::Invalid,
        &["not supported"],
    );
    check(
        &scene,
        "securityprofile",
        State::Invalid,
        &["not supported"],
    );
}

#[test]
fn a_missing_consent_is_named() {
    check(
        &scene(&[base(&[("Safety", "1")])]),
        "Safety",
        State::NeedsConsent,
        &["Safety", "spec.consent", "north/base"],
    );
    check(
        &scene(&[base(&[("Mystery", "1")])]),
        "Mystery",
        State::NeedsConsent,
        &["add Unknown"],
    );
    check(
        &scene(&[base(&[("Url", "ws://a")])]),
        "Url",
        State::NeedsConsent,
        &["add ConnectionCritical"],
    );
    let half = consenting(base(&[("Url", "ws://a")]), &[Consent::ConnectionCritical]);
    check(
        &scene(&[half]),
        "Url",
        State::NeedsConsent,
        &["add NoFallback"],
    );
    let whole = consenting(
        base(&[("Url", "ws://a")]),
        &[Consent::ConnectionCritical, Consent::NoFallback],
    );
    free(&scene(&[whole]), "Url");
}

#[test]
fn a_key_of_some_vendor_needs_no_consent_before_the_station_has_said_what_it_is() {
    let of_maker = catalogue_of(
        "sources: {test: {publisher: Tests, title: keys of a maker}}\nsource: test\nmatch: [{vendor: Maker}]\n\
         keys: [{key: MakersOwn, aliases: [MakersOther], type: Integer, access: ReadWrite, hazard: [None]}]",
    );
    let new = |key: &str| {
        scene(&[base(&[(key, "2")])]).with(|scene| {
            scene.catalogue = of_maker.clone();
            scene.station.device = Device::default();
            scene.station.link = Link::Offline;
        })
    };
    for key in ["MakersOwn", "makersown", "MakersOther"] {
        free(&new(key), key);
        let unregistered = new(key).with(|scene| scene.station.link = Link::Unregistered);
        free(&unregistered, key);
        assert!(unregistered.plan().changes.is_empty());
    }
    // What no catalogue knows is told at once.
    check(
        &new("Mystery"),
        "Mystery",
        State::NeedsConsent,
        &["Unknown"],
    );
    // So it is once the station may be called, and has said nothing or something else.
    let callable = new("MakersOwn").with(|scene| scene.station.link = Link::Ready);
    check(&callable, "MakersOwn", State::NeedsConsent, &["Unknown"]);
    let other = new("MakersOwn").with(|scene| {
        scene.station.device.vendor = Some("Other".to_owned());
    });
    check(&other, "MakersOwn", State::NeedsConsent, &["Unknown"]);
}

#[test]
fn a_read_only_key_may_be_asserted_without_consent() {
    free(&scene(&[base(&[("Fixed", "2")])]), "Fixed");
    let told =
        scene(&[base(&[("Mystery", "2")])]).reads("Mystery", known_readonly("Mystery", "1", true));
    free(&told, "Mystery");
    assert_eq!(told.verdict("Mystery").state, State::ReadOnlyMismatch);
}

#[test]
fn a_secret_of_a_wrong_length_is_invalid() {
    let mut layer = base(&[]);
    layer.settings.push(secret("Password", "v1"));
    layer.settings[0].value = SettingValue::Secret {
        version: version("v1"),
        length: 3,
    };
    check(&scene(&[layer]), "Password", State::Invalid, &["4"]);
}

#[test]
fn an_empty_list_of_profiles_tells_nothing() {
    let none = scene(&[base(&[("Reserved", "1")])])
        .with(|scene| scene.station.profiles = Some(Vec::new()));
    free(&none, "Reserved");
    let unread = scene(&[base(&[("Reserved", "1")])]).with(|scene| scene.station.profiles = None);
    free(&unread, "Reserved");
}

#[test]
fn a_rule_between_keys_holds_the_key_that_it_is_about() {
    let list =
        scene(&[base(&[("Items", "a,b,c")])]).shows(&[("Items", "a"), ("ItemsMaxLength", "2")]);
    check(&list, "Items", State::Invalid, &["2"]);
    let findings = list.desired().findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Error),
        "{findings:?}"
    );
}

#[test]
fn a_disagreement_about_access_is_a_finding() {
    let told = scene(&[base(&[("Plain", "2")])]).reads("Plain", known_readonly("Plain", "1", true));
    let findings = told.plan().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].rule, "AccessDisagrees");
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn the_wire_has_the_canonical_value() {
    let scene = scene(&[base(&[("Plain", " 0045"), ("Flag", "TRUE")])])
        .shows(&[("Plain", "1"), ("Flag", "0")]);
    let plan = scene.plan();
    let values: Vec<_> = plan
        .changes
        .iter()
        .map(|change| change.value.clone())
        .collect();
    assert_eq!(values, vec![plain_value("true"), plain_value("45")]);
    assert_eq!(
        plan.changes[0].alternative.as_deref(),
        Some("1"),
        "the station's own word, if the first is rejected"
    );
}

#[test]
fn the_hash_stands_for_what_is_desired_and_not_for_what_is_observed() {
    let one = scene(&[base(&[("Plain", "2")])]);
    let hash = |scene: &Scene| scene.desired().hash;
    assert_eq!(hash(&one).len(), 16);
    assert_eq!(hash(&one), hash(&one.clone().shows(&[("Plain", "7")])));
    let other_value = scene(&[base(&[("Plain", "3")])]);
    let other_generation = one.clone().with(|scene| scene.layers[0].generation = 2);
    let other_config = scene(&[layer("other", 0, &[("Plain", "2")])]);
    for other in [other_value, other_generation, other_config] {
        assert_ne!(hash(&one), hash(&other));
    }
    // The same on every machine and version: status outlives the process.
    assert_eq!(hash(&one), "f11be9d993d903b9");
}

#[test]
fn held_keys_are_pending_and_not_drift() {
    let verdict = scene(&[base(&[("Plain", "2")])])
        .shows(&[("Plain", "1")])
        .with(|scene| scene.station.link = stationkeeper_core::station::Link::Offline)
        .verdict("Plain");
    assert_eq!(
        (verdict.state, verdict.reason),
        (State::Pending, Reason::Offline)
    );
    assert!(!verdict.state.is_drift());
}
