//! The two brakes, a file's and a ConfigMap's: the safer one counts.

use std::sync::Arc;

use stationkeeper_core::station::Brake;
use tokio::sync::watch;

use super::ProductError;
use crate::brake::{BrakeLever, safer};

/// The safer of the two brakes counts.
pub(super) async fn both_brakes(
    mut of_file: watch::Receiver<Brake>,
    mut of_map: watch::Receiver<Brake>,
    lever: Arc<BrakeLever>,
) -> Result<(), ProductError> {
    loop {
        let position = safer(*of_file.borrow_and_update(), *of_map.borrow_and_update());
        lever.set(position);
        let moved = tokio::select! {
            moved = of_file.changed() => moved,
            moved = of_map.changed() => moved,
        };
        if moved.is_err() {
            // Who held the levers is ending.
            std::future::pending::<()>().await;
        }
    }
}

pub(super) async fn follow_config_map(
    maps: impl futures::Stream<Item = Option<k8s_openapi::api::core::v1::ConfigMap>>,
    lever: Arc<BrakeLever>,
) {
    use futures::StreamExt;
    let mut maps = std::pin::pin!(maps);
    while let Some(map) = maps.next().await {
        match map {
            // No ConfigMap, no brake: it is pulled by making one.
            None => lever.set(Brake::Off),
            Some(map) => match map.data.as_ref().and_then(|data| data.get("brake")) {
                Some(text) => lever.set_from(text),
                None => lever.set_from(""),
            },
        }
    }
}
