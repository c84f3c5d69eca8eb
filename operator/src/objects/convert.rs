//! Convert: what users write → the words of `core`. Pure; Secrets are looked up by whoever gathers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use stationkeeper_core::select::{
    HardwarePattern, LabelOperator, LabelRequirement, LabelSelector, Selection,
};

use super::ChargeStationConfig;

/// Which stations a config selects.
///
/// An operator that Kubernetes does not know makes the config invalid ([`super::check`]); its requirement is left out
/// here, so that the held config rather holds a station's keys too many than lets them fall to another config.
pub fn selection(config: &ChargeStationConfig) -> Selection {
    let stations = &config.spec.stations;
    Selection {
        selector: stations.selector.as_ref().map(label_selector),
        names: stations.names.clone(),
        hardware: stations.hardware.as_ref().map(|hardware| HardwarePattern {
            vendor: hardware.vendor.clone(),
            model: hardware.model.clone(),
            firmware: hardware.firmware.clone(),
        }),
    }
}

fn label_selector(selector: &meta::LabelSelector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .iter()
            .flatten()
            .filter_map(label_requirement)
            .collect(),
    }
}

fn label_requirement(requirement: &meta::LabelSelectorRequirement) -> Option<LabelRequirement> {
    let operator = match requirement.operator.as_str() {
        "In" => LabelOperator::In,
        "NotIn" => LabelOperator::NotIn,
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        _ => return None,
    };
    Some(LabelRequirement {
        key: requirement.key.clone(),
        operator,
        values: requirement.values.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection_of(stations: &str) -> Selection {
        let text = format!(
            "{{metadata: {{name: a}}, apiVersion: stationkeeper.dev/v1alpha1, kind: ChargeStationConfig, spec: {{settings: [], stations: {stations}}}}}"
        );
        selection(&serde_yaml::from_str(&text).unwrap())
    }

    #[test]
    fn an_empty_selector_is_given_and_an_absent_one_is_not() {
        assert_eq!(
            selection_of("{selector: {}}").selector,
            Some(LabelSelector::default())
        );
        assert_eq!(selection_of("{names: [a]}").selector, None);
    }

    #[test]
    fn every_operator_of_kubernetes_is_known() {
        for (word, operator) in [
            ("In", LabelOperator::In),
            ("NotIn", LabelOperator::NotIn),
            ("Exists", LabelOperator::Exists),
            ("DoesNotExist", LabelOperator::DoesNotExist),
        ] {
            let selection = selection_of(&format!(
                "{{selector: {{matchExpressions: [{{key: a, operator: {word}}}]}}}}"
            ));
            assert_eq!(
                selection.selector.unwrap().match_expressions[0].operator,
                operator
            );
        }
    }

    #[test]
    fn hardware_patterns_are_taken_as_written() {
        let hardware = selection_of("{hardware: {model: 'CC612*'}}")
            .hardware
            .unwrap();
        assert_eq!(
            (hardware.vendor, hardware.model.as_deref()),
            (None, Some("CC612*"))
        );
    }
}
