//! What the product is told at its start, and why it could not start or ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{AuditError, Destination};
use crate::controller::{self, VerdictSink};
use crate::folder::{FolderError, FolderOptions, StateDirError};
use crate::gateway::{GatewayError, GatewaySettings};
use crate::kubernetes::DigestKeyError;
use crate::leader::label::LabelledPod;
use crate::leader::{Election, ElectionError};

/// What the product is told at its start.
pub struct ProductSettings {
    /// Where objects come from.
    pub source: SourceSettings,
    /// The gateway.
    pub gateway: GatewaySettings,
    /// The controllers.
    pub controller: controller::Settings,
    /// The admin port; `None`: none.
    pub admin: Option<SocketAddr>,
    /// Answer `/status` to any address.
    pub status_anywhere: bool,
    /// OCPP calls per second over the whole fleet; 0: no limit.
    pub calls_per_second: u32,
    /// How long a station may take to answer a call.
    pub call_timeout: Duration,
    /// Where the audit goes; `None`: nowhere.
    pub audit: Option<Destination>,
    /// A file with the brake's position.
    pub brake_file: Option<PathBuf>,
    /// Make ChargeStations for stations that nobody declared.
    pub register: Option<Register>,
    /// Spread the closing of sockets at shutdown over this time.
    pub drain: Duration,
    /// Who else wants every verdict.
    pub sink: Option<Arc<dyn VerdictSink>>,
}

/// Where objects come from.
pub enum SourceSettings {
    /// A folder of YAML files.
    Folder {
        /// The folder.
        manifests: PathBuf,
        /// Where state is kept.
        state_dir: PathBuf,
        /// How the folder is read.
        options: FolderOptions,
    },
    /// A Kubernetes API server.
    Cluster(Box<ClusterSettings>),
}

/// How a cluster is used.
pub struct ClusterSettings {
    /// The client.
    pub client: kube::Client,
    /// Watch these namespaces only; none: all.
    pub watch_namespaces: Vec<String>,
    /// The operator's own namespace: Lease, digest key, brake.
    pub own_namespace: String,
    /// The election; `None`: this is the only process, as somebody else has made sure.
    pub election: Option<Election>,
    /// The ConfigMap that holds the brake, in the own namespace.
    pub brake_config_map: String,
    /// The Secret that holds the key of digests, in the own namespace.
    pub digest_secret: String,
    /// The Pod that carries the leader's label while this process leads; `None`: no label.
    pub leader_label: Option<LabelledPod>,
    /// Names this process in Events.
    pub instance: String,
}

/// How stations that nobody declared are registered.
#[derive(Clone, Debug)]
pub struct Register {
    /// Where.
    pub namespace: String,
    /// At most so many.
    pub limit: usize,
}

/// Why the product could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// The gateway.
    #[error("the gateway failed")]
    Gateway(#[source] GatewayError),
    /// The folder of manifests.
    #[error("the folder of manifests failed")]
    Folder(#[source] FolderError),
    /// The state directory.
    #[error("the state directory failed")]
    StateDir(#[source] StateDirError),
    /// The admin port.
    #[error("failed to listen on {address} for the admin port; choose another with --admin-listen")]
    AdminListen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The admin server.
    #[error("the admin server failed")]
    Admin(#[source] std::io::Error),
    /// The audit.
    #[error("failed to set up the audit")]
    Audit(#[source] AuditError),
    /// The key of digests.
    #[error("failed to get the key for the digests of secrets")]
    DigestKey(#[source] DigestKeyError),
    /// The election.
    #[error("the leader election ended")]
    Election(#[source] ElectionError),
    /// A task ended that should run for ever.
    #[error("a part of the process ended unexpectedly: {0}")]
    Ended(&'static str),
    /// A task panicked.
    #[error("a part of the process failed")]
    Join(#[source] tokio::task::JoinError),
    /// It took too long to end.
    #[error("not everything ended in time after the shutdown was asked for")]
    Slow,
}
