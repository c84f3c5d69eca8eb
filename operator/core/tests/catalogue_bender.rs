//! The built-in data of Bender's charge controllers: the whole table, and the traps in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use stationkeeper_core::catalogue::{
    Access, Catalogue, CatalogueDocument, Definition, Direction, Excluded, Hazard, Nature, Range,
    Scope, StationCatalogue, Supported, TakesEffect, ValueType, WriteRule,
};
use stationkeeper_core::layer::Consent;
use stationkeeper_core::value;
use stationkeeper_core::words::{Device, Key};

fn of_vendor(vendor: &str) -> StationCatalogue {
    let device = Device {
        vendor: Some(vendor.to_owned()),
        ..Device::default()
    };
    Catalogue::built_in().for_station(&device, Some("5.33"))
}

fn bender(key: &str) -> Arc<Definition> {
    let definition = of_vendor("Bender").definition(&Key::from(key));
    assert!(definition.known, "{key}");
    definition
}

/// One document of the built-in ones, as it was read.
fn document(file: &str) -> CatalogueDocument {
    let catalogue = Catalogue::built_in();
    let (_, document) = catalogue
        .documents()
        .find(|(name, _)| *name == file)
        .expect("it is built in");
    document.clone()
}

fn check_write_rule(key: &str, expect: WriteRule) {
    assert_eq!(bender(key).write_rule(), expect, "{key}");
}

fn check_takes_effect(key: &str, expect: TakesEffect) {
    assert_eq!(bender(key).takes_effect(), expect, "{key}");
}

fn check_refused(key: &str, value: &str) {
    assert!(
        value::check(&bender(key), value).is_err(),
        "{key} takes {value:?}"
    );
}

fn check_taken(key: &str, value: &str) {
    assert_eq!(value::check(&bender(key), value), Ok(()), "{key}");
}

#[test]
fn the_369_rows_of_the_table_are_there_and_every_key_stands_once() {
    let document = document("bender.yaml");
    assert_eq!(document.mistakes(), []);
    let names: BTreeSet<String> = document
        .keys
        .iter()
        .map(|entry| entry.key.as_str().to_ascii_lowercase())
        .collect();
    assert!(names.len() >= 369);
    assert_eq!(names.len(), document.keys.len());
}

#[test]
fn every_row_tells_scope_effect_and_whether_it_is_of_ocpp() {
    let document = document("bender.yaml");
    let count = |scope| {
        let of_scope = |entry: &&_| {
            let entry: &stationkeeper_core::catalogue::KeyEntry = entry;
            entry.scope == Some(scope)
        };
        document.keys.iter().filter(of_scope).count()
    };
    assert!(count(Scope::Master) >= 170);
    assert!(count(Scope::Individual) >= 87);
    assert!(count(Scope::Both) >= 87);
    assert!(count(Scope::NotRelevant) >= 25);
    let effects: Vec<TakesEffect> = document
        .keys
        .iter()
        .filter_map(|entry| entry.takes_effect)
        .collect();
    let late = effects
        .iter()
        .filter(|&&effect| effect == TakesEffect::AfterReset)
        .count();
    assert_eq!(effects.len(), document.keys.len());
    assert!(late >= 185 && effects.len() - late >= 184);
    assert!(document.keys.iter().all(|entry| entry.standard.is_some()));
}

#[test]
fn the_column_of_standard_keys_holds_34_of_the_43_and_six_others() {
    // The 43 are those whose facts come from section 9 of OCPP 1.6; the standard part holds others besides.
    let of_section_9: BTreeSet<Key> = document("standard.yaml")
        .keys
        .into_iter()
        .filter(|entry| {
            entry
                .source
                .as_deref()
                .is_some_and(|source| source.starts_with("ocpp16 section 9."))
        })
        .map(|entry| entry.key)
        .collect();
    assert_eq!(of_section_9.len(), 43);
    let (of_ocpp, own): (Vec<_>, Vec<_>) = document("bender.yaml")
        .keys
        .into_iter()
        .partition(|entry| entry.standard == Some(true));
    let (within, others): (Vec<_>, Vec<_>) = of_ocpp
        .into_iter()
        .map(|entry| entry.key)
        .partition(|key| of_section_9.contains(key));
    assert_eq!(within.len(), 34);
    let others: Vec<&str> = others.iter().map(Key::as_str).collect();
    assert_eq!(
        others,
        [
            "SmartChargingUseDisconnectedLimit",
            "SupportedFileTransferProtocols",
            "CertificateStoreMaxLength",
            "CentralContractValidationAllowed",
            "ContractValidationOffline",
            "ISO15118PnCEnabled"
        ]
    );
    assert!(own.iter().all(|entry| !of_section_9.contains(&entry.key)));
}

#[test]
fn the_swapped_titles_do_not_swap_the_facts() {
    check_takes_effect("DlmPhase1Limit", TakesEffect::AfterReset);
    check_takes_effect("DlmOperatorPhase1Limit", TakesEffect::Immediately);
    check_takes_effect("OperatorCurrentLimit", TakesEffect::Immediately);
    check_takes_effect("AdcCpCalibrationCfg", TakesEffect::AfterReset);
    check_takes_effect("OCPPBackendJSONURL", TakesEffect::AfterReset);
    check_takes_effect("HeartbeatInterval", TakesEffect::Immediately);
    check_takes_effect("ConnectionTimeOut", TakesEffect::AfterReset);
}

#[test]
fn a_no_within_a_label_is_not_taken_for_the_column() {
    check_takes_effect("InfoStatusNotifications", TakesEffect::Immediately);
    check_takes_effect("ErrorStatusNotifications", TakesEffect::AfterReset);
    check_takes_effect("UsbErrorStatusNotifications", TakesEffect::AfterReset);
    check_takes_effect("StatusNotificationStrategy", TakesEffect::AfterReset);
}

#[test]
fn stations_of_both_names_are_found() {
    for vendor in ["Bender", "Bender GmbH & Co. KG", "ebee", "EBEE Smart"] {
        let catalogue = of_vendor(vendor);
        assert!(
            catalogue.find(&Key::from("RCMBDelta")).is_some(),
            "{vendor}"
        );
    }
    assert!(of_vendor("Amina").find(&Key::from("RCMBDelta")).is_none());
}

#[test]
fn nothing_contradicts_the_standard_part_silently() {
    assert_eq!(of_vendor("Bender").findings(), []);
}

#[test]
fn commands_are_never_written() {
    for key in [
        "RCDRESET",
        "SetType2PlugCycles",
        "SetTypeContactorCycles",
        "SetCountContactorCyclesType2UnderLoad",
        "RegenerateOcppCertAndKey",
        "DlmClearPersistentSlaves",
        "GeolocationUpdate",
        "AdcCpCalibrationCfg",
        "Tcpdump",
    ] {
        assert!(bender(key).has_hazard(Hazard::Action), "{key}");
        check_write_rule(key, WriteRule::Never);
    }
}

#[test]
fn keys_that_clear_themselves_are_never_written() {
    for key in ["ScanNetworkOperators", "Tcpdump"] {
        assert_eq!(bender(key).hazards()[0], Hazard::SelfClearing, "{key}");
        check_write_rule(key, WriteRule::Never);
    }
}

#[test]
fn the_mode_that_locks_for_ever_needs_both_consents() {
    let mode = bender("RCMBIEC62955Mode");
    let consents: Vec<Consent> = mode.consents().collect();
    assert_eq!(consents, [Consent::Irreversible, Consent::Safety]);
    check_taken("RCMBIEC62955Mode", "IEC62955 (locked)");
}

#[test]
fn what_says_who_the_station_is_is_never_written() {
    for key in [
        "ChargeBoxIdentity",
        "ChargePointVendor",
        "ChargePointModel",
        "ChargePointSerialNumber",
        "ChargeBoxSerialNumber",
    ] {
        assert!(bender(key).has_hazard(Hazard::Identity), "{key}");
        check_write_rule(key, WriteRule::Never);
    }
    assert!(bender("ChargeBoxSerialNumber").has_hazard(Hazard::WriteOnce));
}

#[test]
fn passwords_pins_and_keys_are_secrets() {
    for key in [
        "SSHClientKey",
        "LaMa_ConnectionRate",
        "APNPassword",
        "SIMPIN",
        "LASTWRONGSIMPIN",
        "HTTPBasicAuthPassword",
        "WLANPassword",
    ] {
        assert!(bender(key).is_secret(), "{key}");
    }
}

#[test]
fn keys_that_can_cut_the_link_need_consent() {
    for key in [
        "OCPPBackendJSONURL",
        "OCPPMode",
        "ConnectionType",
        "APN",
        "APNUsername",
        "SIMPIN",
        "HTTPBasicAuthPassword",
        "SSLModeClient",
        "OcppConStrictTls",
        "OcppUserCaCertificate",
        "WebsocketsProxyURL",
        "NetworkConfigMode",
        "StaticNetworkConfigGateway",
        "WLANPassword",
        "ModemNetworkSelMode",
        "MasterSlaveMode",
        "BackendConnectionTimeout",
        "TcpWatchdogTimeout",
    ] {
        check_write_rule(key, WriteRule::With(Consent::ConnectionCritical));
    }
}

#[test]
fn protection_and_calibration_law_need_consent() {
    for key in [
        "CableAttached",
        "RCDENABLE",
        "WeldCheck",
        "CPDiodeDetection",
        "HardwareCurrentLimit",
        "TempStopThreshold2",
        "OCPPMeterType",
        "EichrechtTransactionMessageAttempts",
        "SignedUpdates",
    ] {
        check_write_rule(key, WriteRule::With(Consent::Safety));
    }
}

#[test]
fn what_acts_on_a_running_charge_waits_for_an_idle_station() {
    for key in [
        "OperatorCurrentLimit",
        "DlmOperatorPhase1Limit",
        "FreeCharging",
        "AllowOfflineTxForUnknownId",
        "MaxTimePerSession",
        "OcppQueueFullAsErrorState",
    ] {
        let definition = bender(key);
        assert!(definition.has_hazard(Hazard::SessionAffecting), "{key}");
        assert!(definition.needs_idle(), "{key}");
        check_write_rule(key, WriteRule::Free);
    }
}

#[test]
fn what_an_energy_manager_sets_is_owned_elsewhere() {
    for key in [
        "EEBusLPCFailsafePowerEnergyGuard",
        "EEBusLPCFailsafeDurationMinEnergyGuard",
        "EEBUSPairedCemId",
        "LaMa_ConnectionRate",
    ] {
        check_write_rule(key, WriteRule::With(Consent::OwnedElsewhere));
    }
    check_write_rule("EEBusLPCFailsafePowerUser", WriteRule::Free);
}

#[test]
fn readings_are_telemetry_and_read_only() {
    for key in [
        "RCMB_STATE",
        "ErrorsList",
        "EventsList",
        "IMSI",
        "RSSI",
        "DataConsumption",
        "FirmwareVersion",
        "SignaledCurrentLimit",
        "ContactorCyclesType2",
        "DlmState",
        "EVMACAddr",
    ] {
        let definition = bender(key);
        assert!(definition.is_telemetry(), "{key}");
        assert!(definition.is_read_only(), "{key}");
    }
    assert_eq!(bender("PhasesConnected").nature(), Some(Nature::Capability));
}

#[test]
fn commands_name_the_counters_that_they_move() {
    for (key, moved) in [
        ("SetType2PlugCycles", "Type2PlugCounter"),
        ("SetTypeContactorCycles", "ContactorCyclesType2"),
        ("ScanNetworkOperators", "AvailableNetworks"),
        ("DlmClearPersistentSlaves", "DlmPersistentSlavesCount"),
    ] {
        let definition = bender(key);
        let affects = &definition.affects.as_ref().expect(key).value;
        assert_eq!(affects.as_slice(), [Key::from(moved)], "{key}");
        assert!(bender(moved).is_telemetry(), "{moved}");
    }
}

#[test]
fn a_limit_goes_before_its_operator_limit_when_raised_and_after_it_when_lowered() {
    for (limit, operator) in [
        ("DlmPhase1Limit", "DlmOperatorPhase1Limit"),
        ("HardwareCurrentLimit", "OperatorCurrentLimit"),
    ] {
        let first = |key: &str| {
            let definition = bender(key);
            let after = &definition.after.as_ref().expect(key).value;
            assert_eq!(after.len(), 1, "{key}");
            (after[0].key.to_string(), after[0].when)
        };
        assert_eq!(first(operator), (limit.to_owned(), Direction::Raising));
        assert_eq!(first(limit), (operator.to_owned(), Direction::Lowering));
        let bound = bender(operator)
            .at_most_key
            .as_ref()
            .map(|fact| fact.value.clone());
        assert_eq!(bound, Some(Key::from(limit)));
    }
    assert_eq!(
        bender("DlmOperatorPhase2Limit").at_most_key,
        None,
        "the reference has no limit for this phase"
    );
}

#[test]
fn other_keys_named_by_a_definition_are_rows_of_the_table() {
    let document = document("bender.yaml");
    let names: BTreeSet<&Key> = document.keys.iter().map(|entry| &entry.key).collect();
    for entry in &document.keys {
        let after = entry.after.iter().flatten().map(|after| &after.key);
        let named = after
            .chain(entry.affects.iter().flatten())
            .chain(&entry.at_most_key);
        for key in named {
            assert!(names.contains(key), "{} names {key}", entry.key);
            assert_ne!(*key, entry.key);
        }
    }
}

#[test]
fn ranges_of_the_behaviour_chapters_are_checked() {
    for (key, least, most) in [
        ("TransactionMessageAttempts", 0, 5),
        ("EichrechtTransactionMessageAttempts", -1, 5),
        ("TransactionMessageRetryInterval", 0, 1000),
        ("BackendConnectionTimeout", 3, 300),
        ("WebSocketPingInterval", 0, 10_000),
    ] {
        let definition = bender(key);
        let fact = definition.range.as_ref().expect(key);
        let expected = Range {
            min: Some(least),
            max: Some(most),
            also: Vec::new(),
        };
        assert_eq!(fact.value, expected, "{key}");
        assert_eq!(fact.source.publisher, "Bender", "{key}");
        let section = fact.source.section.as_deref().unwrap_or_default();
        assert!(
            section != "section 6, list of all configuration keys",
            "{key}: {section}"
        );
        check_taken(key, &least.to_string());
        check_refused(key, &(most + 1).to_string());
    }
}

#[test]
fn a_unit_that_a_label_shows_in_brackets_is_told() {
    let document = document("bender.yaml");
    let units = [
        ("[s]", "seconds"),
        ("[A]", "A"),
        ("[W]", "W"),
        ("[kWh]", "kWh"),
    ];
    let mut found = 0;
    for entry in &document.keys {
        let label = entry.note.as_deref().unwrap_or_default();
        for (shown, unit) in units.iter().filter(|(shown, _)| label.contains(shown)) {
            assert_eq!(entry.unit.as_deref(), Some(*unit), "{} {shown}", entry.key);
            found += 1;
        }
    }
    assert!(found > 30, "{found} labels with a unit");
    for silent in ["TempStopThreshold2", "TempReduceThreshold1"] {
        assert_eq!(bender(silent).unit, None, "{silent}");
    }
}

#[test]
fn defaults_are_told_only_where_the_reference_tells_them() {
    let document = document("bender.yaml");
    let default = |key: &str| {
        let entry = document.keys.iter().find(|entry| entry.key.as_str() == key);
        entry.and_then(|entry| entry.default.as_deref())
    };
    let defaults = [
        ("BackendConnectionTimeout", "60"),
        ("TransactionMessageAttempts", "5"),
        ("EichrechtTransactionMessageAttempts", "0"),
        ("TransactionMessageRetryInterval", "0"),
        ("OcppQueueFullAsErrorState", "false"),
        ("DlmcMqttBrokerPort", "8883"),
    ];
    for (key, told) in defaults {
        assert_eq!(default(key), Some(told), "{key}");
    }
    for silent in [
        "DaysScheduledReboots",
        "WebSocketPingInterval",
        "HeartbeatInterval",
        "FreeChargingMode",
    ] {
        assert_eq!(default(silent), None, "{silent}");
    }
    for (key, default) in defaults {
        check_taken(key, default);
    }
}

#[test]
fn sample_intervals_are_off_or_ten_seconds_and_more() {
    for key in ["MeterValueSampleInterval", "ClockAlignedDataInterval"] {
        check_taken(key, "0");
        check_taken(key, "10");
        check_taken(key, "900");
        check_refused(key, "9");
    }
    check_taken("EnergyManInputPowerCurrentLim", "0");
    check_refused("EnergyManInputPowerCurrentLim", "5");
}

#[test]
fn the_third_choice_of_offline_charging_leaves_true_and_false_working() {
    let key = bender("AllowOfflineTxForUnknownId");
    assert_eq!(key.value_type(), Some(ValueType::Enum));
    for (given, shown) in [("true", "On"), ("false", "0"), ("TRUE", "1")] {
        assert!(value::equal(&key, given, shown), "{given} {shown}");
    }
    assert_eq!(value::to_wire(&key, "Off"), "false");
    check_taken("AllowOfflineTxForUnknownId", "ImmediatelyWhenPlugged");
    check_refused("AllowOfflineTxForUnknownId", "sometimes");
}

#[test]
fn booleans_that_the_station_shows_as_digits_are_equal() {
    let key = bender("RetransmitMeterValues");
    assert!(value::equal(&key, "true", "1"));
    assert!(value::equal(&key, "Off", "0"));
}

#[test]
fn measurands_that_the_controllers_lack_are_refused() {
    check_taken("MeterValuesAlignedData", "Voltage,Soc");
    check_refused("MeterValuesAlignedData", "Power.Offered");
    check_taken("MeterValuesSampledData", "Power.Offered");
    check_refused("MeterValuesSampledData", "Voltage");
    for key in ["StopTxnSampledData", "StopTxnAlignedData"] {
        let supported = bender(key).supported.as_ref().map(|fact| fact.value);
        assert_eq!(supported, Some(Supported::NotSupported), "{key}");
    }
}

#[test]
fn the_address_of_the_backend_is_a_websocket_address_without_the_identity() {
    let url = bender("OCPPBackendJSONURL");
    assert_eq!(
        url.excludes.as_ref().map(|fact| fact.value.as_slice()),
        Some([Excluded::Identity].as_slice())
    );
    check_taken("OCPPBackendJSONURL", "wss://csms.example.com/ocpp/");
    check_refused("OCPPBackendJSONURL", "https://csms.example.com/ocpp/");
    check_taken("WebsocketsProxyURL", "proxy.example.com:8080");
}

#[test]
fn lists_of_words_have_the_form_that_the_reference_gives() {
    check_taken("loglevelcomponents", "BACKEND=TRACE,RCMB=VDBG");
    check_refused("loglevelcomponents", "BACKEND=LOUD");
    check_taken("MasterRFIDstoReset", "04AABB:04CCDD");
    check_refused("MasterRFIDstoReset", "04AABB:04CCDD:04EEFF");
}

#[test]
fn a_standard_key_keeps_what_the_reference_does_not_say() {
    let interval = bender("HeartbeatInterval");
    assert_eq!(interval.access(), Some(Access::ReadWrite));
    assert_eq!(
        interval
            .access
            .as_ref()
            .map(|fact| fact.source.publisher.as_str()),
        Some("Open Charge Alliance")
    );
    assert_eq!(interval.scope(), Some(Scope::Master));
    assert_eq!(
        bender("GetConfigurationMaxKeys").access(),
        Some(Access::ReadOnly)
    );
}

#[test]
fn a_row_without_a_description_is_unknown_and_needs_consent() {
    let silent: Vec<String> = of_vendor("Bender")
        .definitions()
        .filter(|definition| definition.is_hazard_unknown())
        .filter_map(|definition| definition.key.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(
        silent,
        [
            "UserInstallerPasswordCheck",
            "OPKGInstallExtraOption",
            "PDL_Power",
            "ConnectorPhaseRotationIT",
            "EEBUSModuleVersion",
            "EEBUSModuleShipId",
            "EEBUSPairedCemUri",
            "EEBUSPairedCemModelName",
            "EEBUSPairedCemIp"
        ]
    );
    for key in &silent {
        check_write_rule(key, WriteRule::With(Consent::Unknown));
        assert_eq!(bender(key).nature(), None, "{key}");
    }
}

#[test]
fn every_fact_names_a_document_that_a_reader_can_look_up() {
    for definition in of_vendor("Bender").definitions() {
        for (fact, _, source) in definition.facts() {
            let ours = source.publisher == "Stationkeeper";
            assert!(
                ours || source.section.is_some(),
                "{:?} {fact} names no section",
                definition.key
            );
            let is_judged = ["hazard", "nature", "after"].contains(&fact);
            assert!(
                !is_judged || ours || fact == "after",
                "{:?} {fact} is judgement",
                definition.key
            );
        }
    }
}
