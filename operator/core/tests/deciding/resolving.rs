//! Which layer wins a key.

use stationkeeper_core::layer::{HeldLayer, Layer, Mode, Setting, SettingValue, Standing};
use stationkeeper_core::resolve::{ResolvedSetting, resolve};
use stationkeeper_core::words::{Device, Key};

use crate::given::*;

fn resolved(layers: &[Layer], key: &str) -> ResolvedSetting {
    let catalogue = catalogue().for_station(&Device::default(), None);
    let forwards = resolve(layers, &catalogue);
    let backwards: Vec<Layer> = layers.iter().rev().cloned().collect();
    assert_eq!(
        forwards,
        resolve(&backwards, &catalogue),
        "the order does not matter"
    );
    forwards.settings[&Key::from(key)].clone()
}

fn value(resolved: &ResolvedSetting) -> &str {
    match &resolved.setting.value {
        SettingValue::Plain(value) => value,
        SettingValue::Secret { version, .. } => &version.0,
        SettingValue::SecretMissing { message } => message,
    }
}

fn held(mut layer: Layer) -> Layer {
    layer.standing = Standing::Held {
        reason: HeldLayer::Suspended,
        message: "suspended".to_owned(),
    };
    layer
}

fn with(mut layer: Layer, setting: Setting) -> Layer {
    layer.settings.push(setting);
    layer
}

#[test]
fn the_higher_priority_wins_key_by_key() {
    let layers = [
        layer("low", 1, &[("Plain", "1"), ("Other", "1")]),
        layer("high", 2, &[("Plain", "2")]),
    ];
    assert_eq!(value(&resolved(&layers, "Plain")), "2");
    assert_eq!(value(&resolved(&layers, "Other")), "1");
}

#[test]
fn equal_priority_with_equal_typed_values_is_no_conflict() {
    let layers = [
        layer("a", 1, &[("Flag", "true")]),
        layer("b", 1, &[("Flag", "1")]),
    ];
    assert!(resolved(&layers, "Flag").conflict.is_empty());
    let layers = [
        layer("a", 1, &[("Plain", "0900")]),
        layer("b", 1, &[("Plain", "900")]),
    ];
    assert!(resolved(&layers, "Plain").conflict.is_empty());
}

#[test]
fn equal_priority_with_unequal_values_is_a_conflict_named_after_the_first() {
    let layers = [
        layer("b", 1, &[("Plain", "3")]),
        layer("a", 1, &[("Plain", "2")]),
        layer("z", 0, &[("Plain", "9")]),
    ];
    let fought = resolved(&layers, "Plain");
    assert_eq!(fought.layer.config, config("a"));
    assert_eq!(fought.conflict.len(), 1);
    assert_eq!(fought.conflict[0].0, config("b"));
}

#[test]
fn a_lower_layer_does_not_take_part_in_a_fight() {
    let layers = [
        layer("a", 1, &[("Plain", "2")]),
        layer("z", 0, &[("Plain", "9")]),
    ];
    assert!(resolved(&layers, "Plain").conflict.is_empty());
}

#[test]
fn a_secret_and_a_plain_value_conflict_and_so_do_two_versions() {
    let plain_one = layer("a", 1, &[("Other", "x")]);
    let secret_one = with(layer("b", 1, &[]), secret("Other", "v1"));
    let other_one = with(layer("c", 1, &[]), secret("Other", "v2"));
    assert_eq!(
        resolved(&[plain_one, secret_one.clone()], "Other")
            .conflict
            .len(),
        1
    );
    assert_eq!(
        resolved(&[secret_one.clone(), other_one], "Other")
            .conflict
            .len(),
        1
    );
    let same = with(layer("d", 1, &[]), secret("Other", "v1"));
    assert!(resolved(&[secret_one, same], "Other").conflict.is_empty());
}

#[test]
fn a_held_layer_wins_and_never_falls_through() {
    let layers = [
        held(layer("high", 2, &[("Plain", "2")])),
        layer("low", 1, &[("Plain", "1")]),
    ];
    let winner = resolved(&layers, "Plain");
    assert_eq!(value(&winner), "2");
    assert_ne!(winner.layer.standing, Standing::Active);
}

#[test]
fn a_layer_that_may_not_be_for_the_station_holds_its_keys_and_fights_nobody() {
    let undecided = |name: &str, value: &str| {
        let mut layer = layer(name, 1, &[("Plain", value)]);
        layer.standing = Standing::Held {
            reason: HeldLayer::Undecidable,
            message: "undecided".to_owned(),
        };
        layer
    };
    let is_held = |layers: &[Layer], expect: &str| {
        let winner = resolved(layers, "Plain");
        assert!(winner.conflict.is_empty(), "{:?}", winner.conflict);
        assert_eq!(winner.layer.config, config(expect));
    };
    // For the hardware of two vendors, and the station has not said what it is.
    is_held(&[undecided("a", "2"), undecided("b", "3")], "a");
    // It does not fall to the other, either.
    is_held(
        &[layer("a", 1, &[("Plain", "2")]), undecided("b", "3")],
        "b",
    );
    is_held(
        &[undecided("z", "2"), held(layer("zz", 1, &[("Plain", "3")]))],
        "z",
    );
    // Those that are for the station fight all the same.
    let layers = [
        undecided("a", "4"),
        layer("b", 1, &[("Plain", "2")]),
        layer("c", 1, &[("Plain", "3")]),
    ];
    let fought = resolved(&layers, "Plain");
    assert_eq!(fought.layer.config, config("b"));
    assert_eq!(fought.conflict.len(), 1);
    assert_eq!(fought.conflict[0].0, config("c"));
}

#[test]
fn of_agreeing_layers_the_most_careful_wins() {
    let mut report = layer("z", 1, &[("Plain", "1")]);
    report.mode = Mode::Report;
    let layers = [layer("a", 1, &[("Plain", "1")]), report.clone()];
    assert_eq!(resolved(&layers, "Plain").layer.config, config("z"));
    let layers = [held(layer("zz", 1, &[("Plain", "1")])), report];
    assert_eq!(resolved(&layers, "Plain").layer.config, config("zz"));
}

#[test]
fn names_are_one_key_whatever_their_case() {
    let layers = [
        layer("a", 1, &[("plain", "1")]),
        layer("b", 2, &[("PLAIN", "2")]),
    ];
    assert_eq!(value(&resolved(&layers, "Plain")), "2");
    let strangers = [
        layer("a", 1, &[("mystery", "1")]),
        layer("b", 2, &[("Mystery", "2")]),
    ];
    assert_eq!(value(&resolved(&strangers, "Mystery")), "2");
}

#[test]
fn names_that_a_catalogue_tells_apart_by_case_are_two_keys() {
    let layers = [layer("a", 1, &[("HeartBeat", "1"), ("Heartbeat", "2")])];
    assert_eq!(value(&resolved(&layers, "HeartBeat")), "1");
    assert_eq!(value(&resolved(&layers, "Heartbeat")), "2");
}

#[test]
fn one_layer_that_names_a_key_twice_fights_itself() {
    let layers = [layer("a", 1, &[("Plain", "1"), ("PLAIN", "2")])];
    let fought = resolved(&layers, "Plain");
    assert_eq!(fought.conflict.len(), 1);
    assert_eq!(fought.conflict[0].0, config("a"));
}
