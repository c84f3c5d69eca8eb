//! Registration: ChargeStations for stations that nobody declared (`--register-unknown`), up to a number, held in Report
//! until a person adopts them by removing the annotation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use tokio::sync::mpsc;

use super::Register;
use crate::connector::Identity;
use crate::controller::{Context, REGISTERED};
use crate::objects::{Authentication, ChargeStation, ChargeStationSpec, check};
use crate::stores::Claim;

/// By when the stores have learnt of an object that was made, unless it is gone again.
const SEEN_BY: Duration = Duration::from_secs(60);

/// Makes objects for the identities that come in.
pub(super) async fn run(
    register: Register,
    context: Arc<Context>,
    mut identities: mpsc::Receiver<Identity>,
) {
    // The stores learn of an object some moments after it was made: until then it is counted here.
    let mut made: HashMap<Identity, Instant> = HashMap::new();
    while let Some(identity) = identities.recv().await {
        let is_unseen = |identity: &Identity| {
            let claim = context.stores.claim(identity.as_str());
            claim == Claim::Nobody
        };
        if !is_unseen(&identity) {
            continue;
        }
        made.retain(|made, at| is_unseen(made) && at.elapsed() < SEEN_BY);
        if made.contains_key(&identity) {
            continue;
        }
        let count = made.len()
            + context
                .stores
                .stations
                .state_filter(|station| station.annotations().contains_key(REGISTERED))
                .len();
        if count >= register.limit {
            tracing::warn!(
                %identity,
                limit = register.limit,
                "a station that nobody declared is not registered: the limit is reached; adopt some, or raise --register-limit"
            );
            continue;
        }
        let station = station(&register.namespace, identity.as_str());
        if let Some(mistake) = check::check_station(&station).first() {
            tracing::warn!(%identity, why = %mistake.message, "a station that nobody declared is not registered");
            continue;
        }
        match context.publisher.create(&station).await {
            Ok(()) => {
                tracing::info!(%identity, name = %station.name_any(), "registered a station that nobody declared");
                made.insert(identity, Instant::now());
            }
            Err(error) => {
                tracing::warn!(%identity, error = &error as &dyn std::error::Error, "failed to register a station");
            }
        }
    }
    std::future::pending().await
}

fn station(namespace: &str, identity: &str) -> ChargeStation {
    let spec = ChargeStationSpec {
        identity: identity.to_owned(),
        role: stationkeeper_core::station::Role::default(),
        authentication: Some(Authentication {
            none: true,
            ..Authentication::default()
        }),
        hardware: None,
        suspend: false,
    };
    let mut station = ChargeStation::new(&name(identity), spec);
    station.metadata.namespace = Some(namespace.to_owned());
    station
        .annotations_mut()
        .insert(REGISTERED.to_owned(), "true".to_owned());
    station
}

/// A slug for people and a hash for uniqueness: identities may hold what names may not.
fn name(identity: &str) -> String {
    let slug: String = identity
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    // FNV-1a: stable across versions, which a name has to be.
    let hash = identity
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let slug = slug.trim_matches('-');
    if slug.is_empty() {
        format!("station-{hash:016x}")
    } else {
        format!("{slug}-{hash:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_a_slug_and_a_hash_and_fits_kubernetes() {
        let plain = name("CP_0001");
        assert!(plain.starts_with("cp-0001-"), "{plain}");
        assert!(name("充电站").starts_with("station-"));
        assert_ne!(name("CP_0001"), name("CP-0001"));
        assert!(name(&"x".repeat(255)).len() <= 63);
    }
}
