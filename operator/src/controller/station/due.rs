//! What a station is due for by the clock or by a person's word: a full read, and the writing of a disconnect.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::REQUESTED_AT;
use crate::controller::context::Context;
use crate::controller::live::Live;
use crate::objects::ChargeStation;

/// Is a full read due, for drift that nobody announced? Jittered per station, so that a fleet does not ask at once.
pub(super) fn resync_due(
    context: &Context,
    station: &ChargeStation,
    live: &Live,
    now: Timestamp,
) -> bool {
    live.read_at
        .is_some_and(|at| now >= at + resync_period(context, station))
}

/// The resync period of one station: nine to eleven tenths of the setting, by its uid.
pub(super) fn resync_period(context: &Context, station: &ChargeStation) -> SignedDuration {
    let spread = station
        .uid()
        .unwrap_or_default()
        .bytes()
        .fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
    context
        .settings
        .resync
        .mul_f64(0.9 + f64::from(spread % 1000) / 5000.0)
}

pub(super) fn request(station: &ChargeStation) -> Option<String> {
    station.annotations().get(REQUESTED_AT).cloned()
}

pub(super) fn request_pending(station: &ChargeStation, live: &Live) -> bool {
    request(station).is_some_and(|request| live.handled_request.as_ref() != Some(&request))
}

/// A disconnect is written only when it has lasted: how long until then.
pub(super) fn disconnect_grace(
    context: &Context,
    live: &Live,
    connected: bool,
    now: Timestamp,
) -> Option<SignedDuration> {
    if connected {
        return None;
    }
    let left = live.disconnected_at? + context.settings.disconnect_grace;
    (left > now).then(|| left.duration_since(now))
}
