//! Events: what happens to a station, folded into memory; above all, what proves a boot (section 7 of the design).
//!
//! In come events in the order in which a connector saw them; out goes memory with its counter moved on, and what the
//! event meant. Events are ordered by that counter, never by clocks.

use crate::memory::Memory;
use crate::words::{Device, Finding, Severity};

/// What happened to a station, as its connector saw it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new connection was opened.
    Connected {
        /// Why the one before it ended; `None`: none is known (our process is new).
        former_end: Option<End>,
        /// Admitted by the bootstrap credential: a new device.
        bootstrap: bool,
    },
    /// A BootNotification on the current connection.
    Boot {
        /// What the station says it is.
        device: Device,
        /// `firmwareVersion`.
        firmware: Option<String>,
        /// It was asked for (TriggerMessage), or it repeats one that was answered Pending or Rejected or not at all.
        provoked: bool,
        /// It is the first BootNotification of this connection.
        first_on_connection: bool,
    },
    /// The connection ended.
    Disconnected {
        /// Why.
        end: End,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The station closed it, it broke, or it went silent.
    Station,
    /// A newer connection of the same station took its place.
    Superseded,
    /// We closed it (shutdown, limits, errors): the reconnect that follows proves no boot.
    Us,
}

/// What an event meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// A boot was proven.
    pub boot_proven: bool,
    /// It is another device than before: all memory is void.
    pub new_device: bool,
    /// The firmware changed.
    pub firmware_changed: bool,
    /// For people.
    pub findings: Vec<Finding>,
}

/// What has been seen on the current connection, as far as the proof of a boot needs it. Kept beside the session, not
/// in status: after a restart of ours the next reconnect is one that we caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Why the connection before this one ended; `None`: not known, which counts as caused by us.
    pub former_end: Option<End>,
    /// A boot has been proven on this connection.
    pub proven: bool,
}

/// Folds one event into memory.
///
/// | the first BootNotification of a connection, unprovoked, after the one before… | means |
/// | --- | --- |
/// | was ended by the station, broke, or was superseded | a boot is proven |
/// | …by a station that sends one at every reconnect | nothing |
/// | was ended by us | nothing, but that the station sends one at every reconnect |
/// | is not known (our process is new) | nothing: it may have booted, or come back because we went |
///
/// A BootNotification that repeats one that was answered Pending or Rejected, that was asked for, or that is not the
/// first of its connection proves nothing either (OCPP 1.6 edition 2, section 4.2: a station repeats it until accepted).
pub fn observe(memory: Memory, context: &mut Connection, event: &Event) -> (Memory, Meaning) {
    match event {
        Event::Connected {
            former_end,
            bootstrap,
        } => connected(memory, context, *former_end, *bootstrap),
        Event::Boot {
            device,
            firmware,
            provoked,
            first_on_connection,
        } => {
            let unprovoked = !provoked && *first_on_connection;
            booted(memory, context, device, firmware.as_deref(), unprovoked)
        }
        Event::Disconnected { end } => {
            context.former_end = Some(*end);
            (memory, Meaning::default())
        }
    }
}

fn connected(
    mut memory: Memory,
    context: &mut Connection,
    former_end: Option<End>,
    bootstrap: bool,
) -> (Memory, Meaning) {
    *context = Connection {
        former_end,
        proven: false,
    };
    let mut meaning = Meaning::default();
    if bootstrap {
        memory = void(memory);
        meaning.new_device = true;
        meaning.findings.push(tell(
            "NewDevice",
            "the station came with the bootstrap credential: it is treated as a new device, of which nothing is assumed"
                .to_owned(),
        ));
    }
    memory.event = memory.event.saturating_add(1);
    memory.connection = memory.event;
    (memory, meaning)
}

fn booted(
    mut memory: Memory,
    context: &mut Connection,
    device: &Device,
    firmware: Option<&str>,
    unprovoked: bool,
) -> (Memory, Meaning) {
    let mut meaning = Meaning::default();
    if is_other_device(&memory.device, device) {
        meaning.new_device = true;
        meaning.findings.push(tell(
            "NewDevice",
            format!(
                "the station is now {} and was {}: it is another device, of which nothing is assumed",
                described(device),
                described(&memory.device)
            ),
        ));
        memory = void(memory);
    }
    lay_over(&mut memory.device, device);
    if let Some(firmware) = firmware
        && memory.firmware.as_deref() != Some(firmware)
    {
        follow_firmware(&mut memory, &mut meaning, firmware);
    }
    if !unprovoked || context.proven {
        return (memory, meaning);
    }
    match context.former_end {
        Some(End::Station | End::Superseded) if !memory.boots_on_reconnect => {
            context.proven = true;
            meaning.boot_proven = true;
            memory.event = memory.event.saturating_add(1);
            memory.boot = memory.event;
        }
        Some(End::Us) => memory.boots_on_reconnect = true,
        Some(End::Station | End::Superseded) | None => {}
    }
    (memory, meaning)
}

fn follow_firmware(memory: &mut Memory, meaning: &mut Meaning, firmware: &str) {
    let former = memory.firmware.replace(firmware.to_owned());
    // The first version that is ever heard of is no change.
    let Some(former) = former else { return };
    meaning.firmware_changed = true;
    meaning.findings.push(tell(
        "FirmwareChanged",
        format!("the firmware changed from {former} to {firmware}"),
    ));
    memory.former_firmware = Some(former);
    memory.reboots_on_write.clear();
    memory.event = memory.event.saturating_add(1);
    memory.firmware_event = memory.event;
}

/// Memory of another device says nothing of this one. The counter goes on, so that readings of the old device are old.
fn void(memory: Memory) -> Memory {
    let event = memory.event.saturating_add(1);
    // The connection is the new device's own, and its readings have to be newer than the old device's.
    Memory {
        format_version: memory.format_version,
        event,
        connection: if memory.connection > 0 { event } else { 0 },
        resumed: memory.resumed,
        ..Memory::default()
    }
}

/// Is it another device? Only where both said something, and not the same: a field that is left out tells nothing.
fn is_other_device(known: &Device, said: &Device) -> bool {
    let Device {
        vendor,
        model,
        serial,
        box_serial,
    } = known;
    let changed = |known: &Option<String>, said: &Option<String>| {
        known
            .as_deref()
            .zip(said.as_deref())
            .is_some_and(|(known, said)| known.trim() != said.trim())
    };
    changed(vendor, &said.vendor)
        || changed(model, &said.model)
        || changed(serial, &said.serial)
        || changed(box_serial, &said.box_serial)
}

fn lay_over(known: &mut Device, said: &Device) {
    let Device {
        vendor,
        model,
        serial,
        box_serial,
    } = said;
    let lay = |known: &mut Option<String>, said: &Option<String>| {
        if said.is_some() {
            known.clone_from(said);
        }
    };
    lay(&mut known.vendor, vendor);
    lay(&mut known.model, model);
    lay(&mut known.serial, serial);
    lay(&mut known.box_serial, box_serial);
}

fn described(device: &Device) -> String {
    let Device {
        vendor,
        model,
        serial,
        box_serial,
    } = device;
    let mut words: Vec<&str> = [vendor, model]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    words.extend(serial.as_deref().or(box_serial.as_deref()));
    if words.is_empty() {
        "unnamed".to_owned()
    } else {
        words.join(" ")
    }
}

fn tell(rule: &str, message: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        rule: rule.to_owned(),
        key: None,
        message,
    }
}
