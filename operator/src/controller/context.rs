//! What every reconcile shares.

use std::sync::Arc;

use jiff::SignedDuration;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::station::Brake;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::catalogues::Catalogues;
use super::gather::Configs;
use super::live::{Lives, Told};
use super::vetting::Kinds;
use crate::connector::Connector;
use crate::execute::Wire;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::objects::{ChargeStation, ChargeStationConfig, KeyCatalogue};
use crate::secret_cache::SecretCache;
use crate::source::Publisher;
use crate::stores::Stores;

/// What can be set by the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Read all managed keys of a station at least this often; jittered per station.
    pub resync: SignedDuration,
    /// Disconnects shorter than this are not written to status.
    pub disconnect_grace: SignedDuration,
    /// Configs' status is written at most this often.
    pub config_status_every: std::time::Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resync: SignedDuration::from_hours(6),
            disconnect_grace: SignedDuration::from_secs(60),
            config_status_every: std::time::Duration::from_secs(5),
        }
    }
}

/// When in a pass something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The station is connected, and takes long to be read; its keys are told as they were told last.
    WhileReading,
    /// What is about to be written is recorded; what comes of it is told at the end of the pass.
    BeforeWriting,
    /// The pass is over.
    AfterPass,
}

/// Gets every station's verdicts after each pass: the state directory, the demo's table.
pub trait VerdictSink: Send + Sync + 'static {
    /// `before` is empty at the first pass of this process.
    fn told(&self, station: &ChargeStation, before: &[KeyVerdict], after: &Told, moment: Moment);
}

/// What every reconcile shares.
pub struct Context {
    /// The objects.
    pub stores: Stores,
    /// The configs, prepared for resolving.
    pub configs: Configs,
    /// What they want of stations, kept for those that share it.
    pub kinds: Kinds,
    /// Where status goes.
    pub publisher: Arc<dyn Publisher>,
    /// The way to stations.
    pub connector: Arc<dyn Connector>,
    /// Reading and writing over it, with pace and audit.
    pub wire: Arc<Wire>,
    /// Secrets by name.
    pub secrets: Arc<SecretCache>,
    /// What is known of keys, namespace by namespace.
    pub catalogues: Catalogues,
    /// May we act?
    pub leadership: Leadership,
    /// The brake.
    pub brake: watch::Receiver<Brake>,
    /// What this process knows of stations.
    pub lives: Lives,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Settings.
    pub settings: Settings,
    /// Configs whose stations told something new.
    pub touched: mpsc::UnboundedSender<ObjectRef<ChargeStationConfig>>,
    /// Catalogues of which something new is to be told.
    pub touched_catalogues: mpsc::UnboundedSender<ObjectRef<KeyCatalogue>>,
    /// Who else wants every verdict.
    pub sink: Option<Arc<dyn VerdictSink>>,
    /// The process has been asked to end: nothing new is written.
    pub ending: CancellationToken,
    /// Wakes the queue for [`Context::look_again`].
    pub again: tokio::sync::Notify,
}

impl Context {
    /// Asks for a look at every station, for what no watch tells of: Secrets that were read again.
    pub fn look_again(&self) {
        self.again.notify_one();
    }
}
