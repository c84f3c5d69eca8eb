//! What proves a boot, and what is another device.

use stationkeeper_core::event::{Connection, End, Event, Meaning, observe};
use stationkeeper_core::memory::{Answer, FORMAT_VERSION, KeyMemory, Memory};
use stationkeeper_core::words::{Device, Key};

use crate::given::{plain_value, wrote};

fn device(serial: &str) -> Device {
    Device {
        vendor: Some("Maker".to_owned()),
        serial: Some(serial.to_owned()),
        ..Device::default()
    }
}

fn connected(former_end: Option<End>) -> Event {
    Event::Connected {
        former_end,
        bootstrap: false,
    }
}

fn boot() -> Event {
    boot_of("1", "1.0")
}

fn boot_of(serial: &str, firmware: &str) -> Event {
    Event::Boot {
        device: device(serial),
        firmware: Some(firmware.to_owned()),
        provoked: false,
        first_on_connection: true,
    }
}

fn repeated() -> Event {
    Event::Boot {
        device: device("1"),
        firmware: Some("1.0".to_owned()),
        provoked: true,
        first_on_connection: true,
    }
}

fn second() -> Event {
    Event::Boot {
        device: device("1"),
        firmware: Some("1.0".to_owned()),
        provoked: false,
        first_on_connection: false,
    }
}

fn known() -> Memory {
    let mut memory = Memory {
        format_version: FORMAT_VERSION,
        event: 7,
        connection: 3,
        device: device("1"),
        firmware: Some("1.0".to_owned()),
        ..Memory::default()
    };
    memory.keys.insert(
        Key::from("Plain"),
        KeyMemory {
            write: Some(wrote(plain_value("2"), Answer::Rejected)),
            ..KeyMemory::default()
        },
    );
    memory
}

/// The memory after these events, and what each of them meant.
fn after(memory: Memory, events: &[Event]) -> (Memory, Vec<Meaning>) {
    let mut connection = Connection::default();
    let mut meanings = Vec::new();
    let mut memory = memory;
    for event in events {
        let (next, meaning) = observe(memory, &mut connection, event);
        memory = next;
        meanings.push(meaning);
    }
    (memory, meanings)
}

fn check_proven(events: &[Event], expect: usize) {
    let (memory, meanings) = after(known(), events);
    let proven = meanings
        .iter()
        .filter(|meaning| meaning.boot_proven)
        .count();
    assert_eq!(proven, expect, "{events:?}");
    assert_eq!(memory.boot > 0, expect > 0);
    assert!(memory.boot == 0 || memory.boot > memory.connection);
}

#[test]
fn an_unprovoked_boot_notification_on_a_new_connection_proves_a_boot() {
    check_proven(&[connected(Some(End::Station)), boot()], 1);
    check_proven(&[connected(Some(End::Superseded)), boot()], 1);
    check_proven(
        &[
            connected(Some(End::Station)),
            boot(),
            connected(Some(End::Station)),
            boot(),
        ],
        2,
    );
}

#[test]
fn a_connection_alone_proves_nothing() {
    check_proven(
        &[connected(Some(End::Station)), connected(Some(End::Station))],
        0,
    );
}

#[test]
fn a_boot_notification_that_we_caused_proves_nothing() {
    check_proven(&[connected(Some(End::Us)), boot()], 0);
    check_proven(&[connected(None), boot()], 0);
    check_proven(&[connected(Some(End::Station)), repeated()], 0);
    check_proven(&[connected(Some(End::Station)), second()], 0);
}

#[test]
fn repeats_on_one_connection_prove_one_boot() {
    check_proven(
        &[
            connected(Some(End::Station)),
            boot(),
            boot(),
            repeated(),
            second(),
        ],
        1,
    );
    let (once, _) = after(known(), &[connected(Some(End::Station)), boot()]);
    let (often, _) = after(
        known(),
        &[connected(Some(End::Station)), boot(), repeated(), second()],
    );
    assert_eq!(
        once, often,
        "a repeat changes no memory, so that status is not written for it"
    );
}

#[test]
fn a_station_that_boots_on_reconnects_is_marked_and_proves_less() {
    let (marked, _) = after(known(), &[connected(Some(End::Us)), boot()]);
    assert!(marked.boots_on_reconnect);
    let (memory, meanings) = after(marked, &[connected(Some(End::Station)), boot()]);
    assert!(meanings.iter().all(|meaning| !meaning.boot_proven));
    assert_eq!(memory.boot, 0);
    let (new_process, _) = after(known(), &[connected(None), boot()]);
    assert!(
        !new_process.boots_on_reconnect,
        "it may have booted while we were away"
    );
}

#[test]
fn a_disconnect_changes_no_memory() {
    let (memory, _) = after(known(), &[Event::Disconnected { end: End::Station }]);
    assert_eq!(memory, known());
}

#[test]
fn another_serial_number_is_another_device_of_which_nothing_is_known() {
    let (memory, meanings) = after(
        known(),
        &[connected(Some(End::Station)), boot_of("2", "1.0")],
    );
    assert!(meanings[1].new_device);
    assert!(memory.keys.is_empty());
    assert_eq!(memory.device, device("2"));
    assert!(memory.event > known().event, "the counter goes on");
    assert!(
        memory.connection > known().event,
        "so that readings of the old device are old"
    );
}

#[test]
fn a_field_that_is_left_out_or_first_told_is_no_other_device() {
    let bare = Event::Boot {
        device: Device {
            vendor: Some("Maker ".to_owned()),
            model: Some("M1".to_owned()),
            ..Device::default()
        },
        firmware: None,
        provoked: false,
        first_on_connection: true,
    };
    let (memory, meanings) = after(known(), &[connected(Some(End::Station)), bare]);
    assert!(!meanings[1].new_device);
    assert_eq!(memory.device.serial.as_deref(), Some("1"));
    assert_eq!(memory.device.model.as_deref(), Some("M1"));
    assert_eq!(memory.firmware.as_deref(), Some("1.0"));
}

#[test]
fn the_bootstrap_credential_brings_a_new_device() {
    let bootstrap = Event::Connected {
        former_end: Some(End::Station),
        bootstrap: true,
    };
    let (memory, meanings) = after(known(), &[bootstrap, boot()]);
    assert!(meanings[0].new_device);
    assert!(memory.keys.is_empty());
    assert!(memory.connection > known().event);
}

#[test]
fn a_firmware_change_is_told_and_the_first_version_is_none() {
    let (memory, meanings) = after(
        known(),
        &[connected(Some(End::Station)), boot_of("1", "2.0")],
    );
    assert!(meanings[1].firmware_changed && meanings[1].boot_proven);
    assert_eq!(memory.former_firmware.as_deref(), Some("1.0"));
    assert!(memory.firmware_event > memory.connection);
    let (_, first) = after(Memory::default(), &[connected(None), boot()]);
    assert!(!first[1].firmware_changed && !first[1].new_device);
}
