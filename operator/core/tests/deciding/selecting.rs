//! Which stations a config selects.

use std::collections::BTreeMap;

use stationkeeper_core::select::{
    Applies, HardwarePattern, LabelOperator, LabelRequirement, LabelSelector, Selection, applies,
};
use stationkeeper_core::station::StationFacts;

use crate::given::station;

fn labelled(labels: &[(&str, &str)]) -> StationFacts {
    let mut station = station();
    station.labels = labels
        .iter()
        .map(|&(label, value)| (label.to_owned(), value.to_owned()))
        .collect();
    station
}

fn expression(key: &str, operator: LabelOperator, values: &[&str]) -> Selection {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let requirement = LabelRequirement {
        key: key.to_owned(),
        operator,
        values,
    };
    let selector = LabelSelector {
        match_expressions: vec![requirement],
        ..LabelSelector::default()
    };
    Selection {
        selector: Some(selector),
        ..Selection::default()
    }
}

fn matching(labels: &[(&str, &str)]) -> LabelSelector {
    let match_labels: BTreeMap<String, String> = labels
        .iter()
        .map(|&(label, value)| (label.to_owned(), value.to_owned()))
        .collect();
    LabelSelector {
        match_labels,
        ..LabelSelector::default()
    }
}

fn hardware(vendor: Option<&str>, model: Option<&str>, firmware: Option<&str>) -> HardwarePattern {
    HardwarePattern {
        vendor: vendor.map(str::to_owned),
        model: model.map(str::to_owned),
        firmware: firmware.map(str::to_owned),
    }
}

fn check(selection: &Selection, station: &StationFacts, expect: Applies) {
    assert_eq!(
        applies(selection, "north", station),
        expect,
        "{selection:?} on {:?}",
        station.labels
    );
}

#[test]
fn expressions_hold_as_kubernetes_has_them() {
    use Applies::{No, Yes};
    use LabelOperator::{DoesNotExist, Exists, In, NotIn};
    let harbour = labelled(&[("site", "harbour")]);
    let bare = labelled(&[]);
    check(
        &expression("site", In, &["harbour", "airport"]),
        &harbour,
        Yes,
    );
    check(&expression("site", In, &["airport"]), &harbour, No);
    check(&expression("site", In, &["harbour"]), &bare, No);
    check(&expression("site", NotIn, &["airport"]), &harbour, Yes);
    check(&expression("site", NotIn, &["harbour"]), &harbour, No);
    check(&expression("site", NotIn, &["harbour"]), &bare, Yes);
    check(&expression("site", Exists, &[]), &harbour, Yes);
    check(&expression("site", Exists, &[]), &bare, No);
    check(&expression("site", DoesNotExist, &[]), &bare, Yes);
    check(&expression("site", DoesNotExist, &[]), &harbour, No);
}

#[test]
fn an_empty_selector_means_all_and_no_condition_means_none() {
    let all = Selection {
        selector: Some(LabelSelector::default()),
        ..Selection::default()
    };
    check(&all, &station(), Applies::Yes);
    check(&Selection::default(), &station(), Applies::No);
}

#[test]
fn a_config_selects_stations_of_its_own_namespace_only() {
    let all = Selection {
        selector: Some(LabelSelector::default()),
        ..Selection::default()
    };
    assert_eq!(applies(&all, "south", &station()), Applies::No);
}

#[test]
fn all_given_conditions_must_hold() {
    let named = |names: &[&str], labels: &[(&str, &str)]| Selection {
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        selector: Some(matching(labels)),
        hardware: None,
    };
    let harbour = labelled(&[("site", "harbour")]);
    check(
        &named(&["cp-1", "cp-2"], &[("site", "harbour")]),
        &harbour,
        Applies::Yes,
    );
    check(
        &named(&["cp-2"], &[("site", "harbour")]),
        &harbour,
        Applies::No,
    );
    check(
        &named(&["cp-1"], &[("site", "airport")]),
        &harbour,
        Applies::No,
    );
    check(&named(&[], &[]), &harbour, Applies::No);
}

#[test]
fn hardware_is_matched_by_globs() {
    let mut station = station();
    station.device.model = Some("CC612_2A0PR".to_owned());
    station.firmware = Some("5.30.1".to_owned());
    let of = |pattern| Selection {
        hardware: Some(pattern),
        ..Selection::default()
    };
    check(
        &of(hardware(Some("maker"), Some("CC6?2*"), Some("5.30*"))),
        &station,
        Applies::Yes,
    );
    check(
        &of(hardware(Some("Make"), None, None)),
        &station,
        Applies::No,
    );
    check(
        &of(hardware(None, None, Some("5.3"))),
        &station,
        Applies::No,
    );
}

#[test]
fn an_unreported_fact_is_undecidable_unless_something_else_fails() {
    let model = |vendor| Selection {
        hardware: Some(hardware(vendor, Some("*"), None)),
        ..Selection::default()
    };
    check(&model(None), &station(), Applies::Undecidable);
    check(&model(Some("Maker")), &station(), Applies::Undecidable);
    check(&model(Some("Other")), &station(), Applies::No);
    let elsewhere = Selection {
        names: Some(vec!["cp-2".to_owned()]),
        ..model(None)
    };
    check(&elsewhere, &station(), Applies::No);
}
