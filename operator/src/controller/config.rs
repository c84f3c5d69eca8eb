//! The small controller: sums stations up into the status of configs.
//!
//! Several thousand stations tell something at once when a config changes; so configs are collected and told at most
//! once in five seconds each. What is deliberately absent: any decision about stations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::select::Applies;
use stationkeeper_core::status::{StationSummary, config_status};
use stationkeeper_core::words::ConfigRef;
use tokio::sync::mpsc;

use super::context::Context;
use super::gather::ConfigGeneration;
use super::publish::{conditions, newest};
use super::station::REQUESTED_AT;
use crate::clock;
use crate::metrics::{Controller, Reconciled};
use crate::objects::{ChargeStation, ChargeStationConfig, ChargeStationConfigStatus, fit};
use crate::source::PublishError;

/// Tells of configs until `cancel` fires or nobody can touch one any more.
pub async fn summarise_configs(
    context: Arc<Context>,
    mut touched: mpsc::UnboundedReceiver<ObjectRef<ChargeStationConfig>>,
    asked: mpsc::UnboundedSender<ObjectRef<ChargeStation>>,
    cancel: tokio_util::sync::CancellationToken,
) {
    let mut due: HashMap<ObjectRef<ChargeStationConfig>, Instant> = HashMap::new();
    let mut told: HashMap<ObjectRef<ChargeStationConfig>, (Instant, Arc<ChargeStationConfig>)> =
        HashMap::new();
    loop {
        let wake = due.values().min().copied();
        tokio::select! {
            () = cancel.cancelled() => return,
            config = touched.recv() => {
                let Some(config) = config else { return };
                let earliest = told.get(&config).map_or_else(Instant::now, |(at, _)| *at + context.settings.config_status_every);
                due.entry(config).or_insert(earliest);
                continue;
            }
            () = sleep_until(wake) => {}
        }
        let now = Instant::now();
        let ready: Vec<_> = due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(config, _)| config.clone())
            .collect();
        for config in ready {
            due.remove(&config);
            let running = context.metrics.reconcile(Controller::Config);
            let former = told.get(&config).map(|(_, object)| Arc::clone(object));
            match summarise(&context, &config, former, &asked).await {
                Ok(Some(answer)) => {
                    told.insert(config, (Instant::now(), answer));
                    running.ended(Reconciled::Fine);
                }
                Ok(None) => {
                    told.remove(&config);
                }
                Err(error) => {
                    let conflict = matches!(error, PublishError::Conflict);
                    running.ended(if conflict {
                        Reconciled::Again
                    } else {
                        Reconciled::Failed
                    });
                    if !conflict {
                        tracing::warn!(%config, error = &error as &dyn std::error::Error, "failed to publish the status of a config; trying again");
                    }
                    told.remove(&config);
                    due.insert(
                        config,
                        Instant::now() + context.settings.config_status_every,
                    );
                }
            }
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Sums one config up and publishes what changed. `None`: it is gone.
async fn summarise(
    context: &Context,
    config: &ObjectRef<ChargeStationConfig>,
    former: Option<Arc<ChargeStationConfig>>,
    asked: &mpsc::UnboundedSender<ObjectRef<ChargeStation>>,
) -> Result<Option<Arc<ChargeStationConfig>>, PublishError> {
    let Some(object) = context.stores.configs.get(config) else {
        return Ok(None);
    };
    let object = newest(object, former.as_ref());
    let namespace = config.namespace.clone().unwrap_or_default();
    let reference = ConfigRef::new(namespace, config.name.as_str());
    let Some(prepared) = context.configs.get(&reference) else {
        return Ok(None);
    };
    let generation = object.metadata.generation.unwrap_or_default();
    let present = ConfigGeneration {
        config: reference.clone(),
        uid: object.uid().unwrap_or_default().into(),
        generation,
    };
    if *prepared.present() != present {
        // The store is ahead of what takes part: it would be said of this generation what holds for the former one. Its
        // change is about to be told.
        return Ok(Some(object));
    }
    let mut summaries = Vec::new();
    let mut members = Vec::new();
    for station in context
        .stores
        .stations
        .state_filter(|station| station.namespace() == config.namespace)
    {
        let target = ObjectRef::from_obj(station.as_ref());
        let told = context.lives.peek(&target).and_then(|cell| cell.told());
        let facts = told.as_ref().and_then(|told| told.facts.clone());
        let applies = match &facts {
            Some(facts) => prepared.applies(facts),
            None => prepared.applies(&super::station::recorded_facts(context, &station)),
        };
        let Some(told) = told else {
            if applies != Applies::No {
                // Not every station has been looked at since we started: what was last told still stands.
                return Ok(Some(object));
            }
            continue;
        };
        let at = told.layers.iter().find(|layer| layer.config == reference);
        if applies == Applies::No && at.is_none() {
            continue;
        }
        members.push(target);
        summaries.push(StationSummary {
            station: station.name_any(),
            connected: told.connected || told.in_grace,
            seen: told.seen,
            current: at == Some(&present) && !told.progressing,
            stalled: told.stalled.clone(),
            keys: told.of_config(&reference).cloned().collect(),
        });
    }
    let summary = config_status(&summaries, prepared.mistake.as_deref(), prepared.suspended);
    let former = object.status.clone().unwrap_or_default();
    let request = object.annotations().get(REQUESTED_AT).cloned();
    if request.is_some() && request != former.last_handled_reconcile_at {
        for member in members {
            context.lives.cell(&member).ask_reread();
            // A closed channel means that the process is ending.
            let _ = asked.send(member);
        }
    }
    let status = ChargeStationConfigStatus {
        observed_generation: generation,
        conditions: conditions(
            &former.conditions,
            &summary.conditions,
            generation,
            clock::now(),
        ),
        stations: Some(summary.stations),
        examples: summary.examples,
        last_handled_reconcile_at: request.or_else(|| former.last_handled_reconcile_at.clone()),
    };
    let status = if status == former {
        status
    } else {
        fit::config(&status).unwrap_or(status)
    };
    if status == former {
        return Ok(Some(object));
    }
    let version = object.resource_version().unwrap_or_default();
    let answer = context.publisher.config(config, &version, status).await?;
    context.metrics.status_write("ChargeStationConfig");
    Ok(Some(answer))
}
