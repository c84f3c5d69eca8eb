//! The built-in data: what the documents say of the keys, and the traps in them.

use std::sync::Arc;

use stationkeeper_core::catalogue::{
    Access, Catalogue, Definition, Hazard, Nature, StationCatalogue, Supported, TakesEffect,
    ValueType, WriteRule,
};
use stationkeeper_core::layer::Consent;
use stationkeeper_core::value;
use stationkeeper_core::words::{Device, Key};

fn of_vendor(vendor: &str) -> StationCatalogue {
    let device = Device {
        vendor: Some(vendor.to_owned()),
        ..Device::default()
    };
    Catalogue::built_in().for_station(&device, Some("1.0"))
}

fn standard() -> StationCatalogue {
    Catalogue::built_in().for_station(&Device::default(), None)
}

fn amina(key: &str) -> Arc<Definition> {
    of_vendor("Amina").definition(&Key::from(key))
}

fn keys_of(file: &str) -> Vec<String> {
    let catalogue = Catalogue::built_in();
    let (_, document) = catalogue
        .documents()
        .find(|(name, _)| *name == file)
        .expect("it is built in");
    document
        .keys
        .iter()
        .map(|entry| entry.key.to_string())
        .collect()
}

/// OCPP 1.6 edition 2, section 9: name, required, access, type.
const SECTION_9: &str = "
    AllowOfflineTxForUnknownId              opt RW  Boolean
    AuthorizationCacheEnabled               opt RW  Boolean
    AuthorizeRemoteTxRequests               req any Boolean
    BlinkRepeat                             opt RW  Integer
    ClockAlignedDataInterval                req RW  Integer
    ConnectionTimeOut                       req RW  Integer
    ConnectorPhaseRotation                  req RW  List
    ConnectorPhaseRotationMaxLength         opt R   Integer
    GetConfigurationMaxKeys                 req R   Integer
    HeartbeatInterval                       req RW  Integer
    LightIntensity                          opt RW  Integer
    LocalAuthorizeOffline                   req RW  Boolean
    LocalPreAuthorize                       req RW  Boolean
    MaxEnergyOnInvalidId                    opt RW  Integer
    MeterValuesAlignedData                  req RW  List
    MeterValuesAlignedDataMaxLength         opt R   Integer
    MeterValuesSampledData                  req RW  List
    MeterValuesSampledDataMaxLength         opt R   Integer
    MeterValueSampleInterval                req RW  Integer
    MinimumStatusDuration                   opt RW  Integer
    NumberOfConnectors                      req R   Integer
    ResetRetries                            req RW  Integer
    StopTransactionOnEVSideDisconnect       req RW  Boolean
    StopTransactionOnInvalidId              req RW  Boolean
    StopTxnAlignedData                      req RW  List
    StopTxnAlignedDataMaxLength             opt R   Integer
    StopTxnSampledData                      req RW  List
    StopTxnSampledDataMaxLength             opt R   Integer
    SupportedFeatureProfiles                req R   List
    SupportedFeatureProfilesMaxLength       opt R   Integer
    TransactionMessageAttempts              req RW  Integer
    TransactionMessageRetryInterval         req RW  Integer
    UnlockConnectorOnEVSideDisconnect       req RW  Boolean
    WebSocketPingInterval                   opt RW  Integer
    LocalAuthListEnabled                    req RW  Boolean
    LocalAuthListMaxLength                  req R   Integer
    SendLocalListMaxLength                  req R   Integer
    ReserveConnectorZeroSupported           opt R   Boolean
    ChargeProfileMaxStackLevel              req R   Integer
    ChargingScheduleAllowedChargingRateUnit req R   List
    ChargingScheduleMaxPeriods              req R   Integer
    ConnectorSwitch3to1PhaseSupported       opt R   Boolean
    MaxChargingProfilesInstalled            req R   Integer
";

#[test]
fn the_43_keys_of_section_9_are_as_the_standard_has_them() {
    let catalogue = standard();
    let mut count = 0;
    for line in SECTION_9.lines().filter(|line| !line.trim().is_empty()) {
        let [name, required, access, kind] = line
            .split_whitespace()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let definition = catalogue.definition(&Key::from(name));
        assert!(definition.known, "{name}");
        assert_eq!(
            definition.required.as_ref().map(|fact| fact.value),
            Some(required == "req"),
            "{name}"
        );
        let expected = match access {
            "R" => Access::ReadOnly,
            "RW" => Access::ReadWrite,
            _ => Access::ImplementationDefined,
        };
        assert_eq!(definition.access(), Some(expected), "{name}");
        assert_eq!(
            format!("{:?}", definition.value_type().unwrap()),
            kind,
            "{name}"
        );
        assert!(definition.profile().is_some(), "{name}");
        assert_eq!(
            definition.takes_effect, None,
            "{name}: OCPP leaves it to the station's answer"
        );
        count += 1;
    }
    assert_eq!(count, 43);
}

#[test]
fn the_standard_part_holds_the_whitepaper_and_the_errata_besides() {
    let names = keys_of("standard.yaml");
    assert!(names.len() >= 43 + 3 + 6);
    for name in [
        "MessageTimeout",
        "StopTransactionMaxMeterValues",
        "SupportedFileTransferProtocols",
        "AdditionalRootCertificateCheck",
        "AuthorizationKey",
        "CertificateSignedMaxChainSize",
        "CertificateStoreMaxLength",
        "CpoName",
        "SecurityProfile",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn every_fact_names_a_document_that_a_reader_can_look_up() {
    for catalogue in [standard(), of_vendor("Amina"), of_vendor("Ensto")] {
        for definition in catalogue.definitions() {
            for (fact, _, source) in definition.facts() {
                assert_ne!(
                    source.publisher, "KeyCatalogue",
                    "{:?} {fact} has no source",
                    definition.key
                );
                assert!(!source.publisher.is_empty() && !source.title.is_empty());
            }
        }
    }
}

#[test]
fn the_built_in_data_does_not_contradict_itself() {
    assert_eq!(standard().findings(), []);
    assert_eq!(of_vendor("Amina").findings(), []);
}

#[test]
fn every_key_says_what_it_is_and_what_it_endangers() {
    for catalogue in [standard(), of_vendor("Amina"), of_vendor("Ensto")] {
        for definition in catalogue.definitions() {
            assert!(!definition.is_hazard_unknown(), "{:?}", definition.key);
            assert!(definition.nature().is_some(), "{:?}", definition.key);
            assert!(definition.value_type().is_some(), "{:?}", definition.key);
        }
    }
}

#[test]
fn companions_and_predecessors_are_keys_that_exist() {
    for catalogue in [standard(), of_vendor("Amina"), of_vendor("Ensto")] {
        for definition in catalogue.definitions() {
            let companions = definition
                .max_items_key
                .iter()
                .chain(&definition.at_most_key)
                .map(|fact| &fact.value);
            let predecessors = definition
                .after
                .iter()
                .flat_map(|fact| &fact.value)
                .map(|after| &after.key);
            for key in companions.chain(predecessors) {
                assert!(
                    catalogue.find(key).is_some(),
                    "{:?} names {key}",
                    definition.key
                );
            }
        }
    }
}

#[test]
fn every_default_is_a_value_that_the_key_takes() {
    for catalogue in [standard(), of_vendor("Amina"), of_vendor("Ensto")] {
        for definition in catalogue.definitions() {
            if let Some(default) = &definition.default {
                assert_eq!(
                    value::check(definition, &default.value),
                    Ok(()),
                    "{:?}",
                    definition.key
                );
            }
        }
    }
}

#[test]
fn everyday_settings_need_no_consent_and_no_idle_station() {
    for name in [
        "MeterValueSampleInterval",
        "HeartbeatInterval",
        "MeterValuesSampledData",
        "ConnectionTimeOut",
        "LocalAuthorizeOffline",
        "AuthorizeRemoteTxRequests",
        "StopTransactionOnInvalidId",
        "WebSocketPingInterval",
        "ClockAlignedDataInterval",
        "TransactionMessageAttempts",
    ] {
        let definition = amina(name);
        assert_eq!(definition.write_rule(), WriteRule::Free, "{name}");
        assert!(!definition.needs_idle(), "{name}");
    }
}

#[test]
fn keys_that_can_cut_the_link_need_consent() {
    for name in [
        "AuthorizationKey",
        "SecurityProfile",
        "NetworkConnectionProfile1",
        "NetworkConnectionProfile2",
        "NetworkConfigurationPriority",
    ] {
        let definition = amina(name);
        assert_eq!(
            definition.write_rule(),
            WriteRule::With(Consent::ConnectionCritical),
            "{name}"
        );
        assert!(
            definition.needs_idle() && definition.is_connection_critical(),
            "{name}"
        );
    }
}

#[test]
fn a_key_with_two_hazards_that_can_cut_the_link_needs_three_consents() {
    let definition = standard().definition(&Key::from("SecurityProfile"));
    let all = [
        Consent::ConnectionCritical,
        Consent::Irreversible,
        Consent::NoFallback,
    ];
    assert_eq!(definition.consents().collect::<Vec<_>>(), all);
    assert_eq!(definition.missing_consent(&[all[0]].into()), Some(all[1]));
    assert_eq!(
        definition.missing_consent(&[all[0], all[1]].into()),
        Some(all[2])
    );
    assert_eq!(definition.missing_consent(&all.into()), None);
}

#[test]
fn a_key_that_nobody_knows_is_written_only_with_consent_to_unknown_keys() {
    let definition = standard().definition(&Key::from("VendorSecretSauce"));
    assert!(!definition.known);
    assert_eq!(definition.write_rule(), WriteRule::With(Consent::Unknown));
    assert!(definition.needs_idle() && definition.is_readable() && !definition.is_secret());
    assert_eq!(definition.takes_effect(), TakesEffect::Unknown);
}

#[test]
fn names_are_found_in_any_case_and_told_in_their_own() {
    let catalogue = standard();
    assert_eq!(
        catalogue.canonical(&Key::from("HEARTBEATINTERVAL")),
        Key::from("HeartbeatInterval")
    );
    assert_eq!(
        catalogue.canonical(&Key::from("heartbeatinterva")),
        Key::from("heartbeatinterva")
    );
    assert!(catalogue.definition(&Key::from("heartbeatInterval")).known);
    assert_eq!(
        catalogue.suggestions("MeterValueSampledData"),
        [Key::from("MeterValuesSampledData")]
    );
}

#[test]
fn a_vendor_is_found_in_any_case() {
    for vendor in ["Amina", "AMINA", "amina", " Amina ", "Amina Charging AS"] {
        assert!(
            of_vendor(vendor)
                .find(&Key::from("Cst_FreeVendActive"))
                .is_some(),
            "{vendor:?}"
        );
    }
    for vendor in ["Benamina", ""] {
        assert!(
            of_vendor(vendor)
                .find(&Key::from("Cst_FreeVendActive"))
                .is_none(),
            "{vendor:?}"
        );
    }
}

#[test]
fn the_56_rows_of_aminas_page_are_there() {
    assert!(keys_of("amina.yaml").len() >= 56);
}

#[test]
fn aminas_authorization_key_is_write_only() {
    let definition = amina("AuthorizationKey");
    assert_eq!(definition.access(), Some(Access::WriteOnly));
    assert!(definition.is_secret() && !definition.is_readable());
}

#[test]
fn a_blank_cell_of_aminas_page_is_unknown_and_not_false() {
    for name in [
        "MaxEnergyOnInvalidId",
        "AuthorizationCacheEnabled",
        "StopTxnAlignedDataMaxLength",
    ] {
        let definition = amina(name);
        assert_eq!(definition.takes_effect, None, "{name}");
        assert_eq!(definition.default, None, "{name}");
        let access = definition.access.as_ref().unwrap();
        assert_eq!(
            access.source.publisher, "Open Charge Alliance",
            "{name}: only the standard tells its access"
        );
    }
    assert_eq!(amina("MaxEnergyOnInvalidId").supported, None);
}

#[test]
fn what_amina_does_not_support_is_said_so() {
    for name in [
        "BlinkRepeat",
        "LightIntensity",
        "ConnectorPhaseRotation",
        "ConnectorPhaseRotationMaxLength",
    ] {
        assert_eq!(
            amina(name).supported.as_ref().map(|fact| fact.value),
            Some(Supported::NotSupported),
            "{name}"
        );
    }
    assert_eq!(
        amina("SupportedFileTransferProtocols")
            .supported
            .as_ref()
            .map(|fact| fact.value),
        Some(Supported::Partial)
    );
}

#[test]
fn quotes_around_aminas_defaults_are_typography() {
    let default = |name| amina(name).default.as_ref().map(|fact| fact.value.clone());
    assert_eq!(
        default("ChargingScheduleAllowedChargingRateUnit").as_deref(),
        Some("A")
    );
    assert_eq!(default("MeterValuesSampledData").as_deref(), Some(""));
    assert_eq!(
        default("NetworkConfigurationPriority").as_deref(),
        Some("NetworkConnectionProfile1,NetworkConnectionProfile2")
    );
}

#[test]
fn limits_that_amina_does_not_mark_read_only_are_told_as_its_page_has_them() {
    for name in ["LocalAuthListMaxLength", "ReserveConnectorZeroSupported"] {
        let definition = amina(name);
        assert_eq!(definition.access(), Some(Access::ReadWrite), "{name}");
        assert_eq!(definition.nature(), Some(Nature::Capability), "{name}");
        assert!(
            definition.note.is_some(),
            "{name}: the contradiction is noted"
        );
    }
}

#[test]
fn amina_takes_a_new_network_priority_after_a_reset_and_other_keys_at_once() {
    let priority = amina("NetworkConfigurationPriority");
    assert_eq!(priority.takes_effect(), TakesEffect::AfterReset);
    assert_eq!(priority.value_type(), Some(ValueType::List));
    for name in [
        "NetworkConnectionProfile1",
        "NetworkConnectionProfile2",
        "NetworkProfileConnectionTimeoutSec",
        "HeartbeatInterval",
        "Cst_FreeVendActive",
        "Cst_TxStartOnPowerPathClosed",
    ] {
        let effect = amina(name).takes_effect();
        assert_eq!(effect, TakesEffect::Immediately, "{name}");
    }
}

#[test]
fn amina_free_vend_acts_on_a_running_charge() {
    let definition = amina("Cst_FreeVendActive");
    assert!(definition.has_hazard(Hazard::SessionAffecting) && definition.needs_idle());
    assert_eq!(definition.write_rule(), WriteRule::Free);
}

#[test]
fn stations_that_the_same_documents_speak_of_share_one_catalogue() {
    let (one, other) = (of_vendor("Amina"), of_vendor("AMINA"));
    let key = Key::from("HeartbeatInterval");
    assert!(Arc::ptr_eq(&one.definition(&key), &other.definition(&key)));
}
