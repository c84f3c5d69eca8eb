//! `run`: the operator, against a cluster or a folder of manifests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::audit::Destination;
use crate::controller;
use crate::folder::FolderOptions;
use crate::gateway::{Authorize, GatewaySettings, TlsFiles};
use crate::leader::Election;
use crate::leader::label::LabelledPod;
use crate::pace::DEFAULT_CALLS_PER_SECOND;
use crate::product::{self, ClusterSettings, ProductSettings, Register, SourceSettings};
use crate::trace::otlp;

/// The flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Read objects (and Secrets) from the YAML files of this folder instead of a cluster.
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Keep state here; with --manifests only. One process at a time.
    #[arg(
        long,
        value_name = "DIR",
        requires = "manifests",
        default_value = "stationkeeper-state"
    )]
    pub state_dir: PathBuf,
    /// How long the files must have been unchanged before they count, so that a `git pull` in progress is no deletion.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub settle: Duration,

    /// Where stations connect to.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9220")]
    pub gateway_listen: SocketAddr,
    /// TLS for stations: the certificate and its chain, in PEM; read again when it changes.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_key")]
    pub gateway_tls_cert: Option<PathBuf>,
    /// TLS for stations: the private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "gateway_tls_cert")]
    pub gateway_tls_key: Option<PathBuf>,
    /// Who may charge: `any`, or a file of id tags. Without it stations are held Pending and only configured.
    #[arg(long, value_name = "any|FILE", requires = "journal")]
    pub authorize: Option<String>,
    /// Where transactions are stored before they are answered; needed with --authorize.
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Make ChargeStations in this namespace for stations that nobody declared; held in Report until adopted.
    #[arg(long, value_name = "NAMESPACE")]
    pub register_unknown: Option<String>,
    /// At most so many of them.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub register_limit: usize,

    /// The port of /livez, /readyz, /metrics and /status.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9221")]
    pub admin_listen: SocketAddr,
    /// Answer /status to any address, not to loopback only.
    #[arg(long)]
    pub status_anywhere: bool,

    /// Read all managed keys of a station at least this often, for drift that nobody announced; jittered.
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = duration)]
    pub resync: Duration,
    /// OCPP calls per second over the whole fleet; 0: no limit.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CALLS_PER_SECOND)]
    pub calls_per_second: u32,
    /// How long a station may take to answer a call.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub call_timeout: Duration,
    /// Where the audit goes, one JSON line for each call that changes a station: a file, or `-` for stdout.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub audit: String,
    /// Send traces of reconciles and calls to this collector: OTLP over plain HTTP, usually port 4318.
    #[arg(long, value_name = "URL", env = "STATIONKEEPER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// A file with the brake's position: Off, Report or NoCalls; obeyed when it changes.
    #[arg(long, value_name = "FILE")]
    pub brake_file: Option<PathBuf>,
    /// Spread the closing of sockets at shutdown over this time.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub drain: Duration,

    /// Watch this namespace only; several with commas, or the flag again; all without it. Against a cluster.
    #[arg(long = "namespace", value_name = "NAMESPACE", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// The operator's own namespace: Lease, brake ConfigMap, Secrets of its own. Against a cluster.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "POD_NAMESPACE",
        default_value = "stationkeeper-system"
    )]
    pub own_namespace: String,
    /// Put the label stationkeeper.dev/leader on this process's Pod while it leads, for a Service to select by; needs
    /// --pod-name.
    #[arg(long, requires = "pod_name")]
    pub leader_label: bool,
    /// The Pod in which this process runs, in --own-namespace.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Lead without an election: only when nothing else can run beside this process.
    #[arg(long)]
    pub no_leader_election: bool,
    /// How long the Lease counts without being renewed.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How long renewing may fail before this process steps down.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,
    /// The pause between two looks at the Lease.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,
}

/// Durations as Kubernetes people write them: `30s`, `5m`, `6h`, `1h30m`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is no duration; write a number and a unit, like 500ms, 30s, 5m, 6h or 1h30m"
        )
    };
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// Runs until a signal.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let traced = CancellationToken::new();
    let exporter = args
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| otlp::exporter(endpoint, traced.clone()))
        .transpose()?;
    // Before anything else: a signal that comes during the start must not be lost, nor wait for an API server that does not
    // answer.
    let signalled = signalled()?;
    tokio::pin!(signalled);
    let start = async { anyhow::Ok(product::start(settings(args).await?).await?) };
    let running = tokio::select! {
        running = start => running?,
        name = &mut signalled => {
            tracing::info!(signal = name, "ending before all is started: no station was served yet");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let exporter = exporter.map(tokio::spawn);
    let cancel = running.cancel();
    let end = running.wait();
    tokio::pin!(end);
    let result = tokio::select! {
        result = &mut end => result,
        name = &mut signalled => {
            tracing::info!(signal = name, "ending: no new work, sockets are closed");
            cancel.cancel();
            end.await
        }
    };
    traced.cancel();
    if let Some(exporter) = exporter {
        exporter.await.context("the exporter of traces failed")?;
    }
    result?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the process is asked to end.
pub(crate) fn signalled() -> anyhow::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

async fn settings(args: RunArgs) -> anyhow::Result<ProductSettings> {
    let mut gateway = GatewaySettings::new(args.gateway_listen);
    gateway.tls = match (args.gateway_tls_cert.clone(), args.gateway_tls_key.clone()) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, _) | (_, None) => None,
    };
    gateway.authorize = args.authorize.as_deref().map(|policy| match policy {
        "any" => Authorize::Any,
        file => Authorize::File(PathBuf::from(file)),
    });
    gateway.journal = args.journal.clone();
    if args.journal.is_some() && args.authorize.is_none() {
        bail!(
            "--journal stores transactions, and without --authorize there are none; say who may charge: --authorize any, or a file"
        );
    }
    if args.renew_deadline >= args.lease_duration || args.retry_period >= args.renew_deadline {
        bail!(
            "--retry-period must be shorter than --renew-deadline, and that shorter than --lease-duration"
        );
    }
    let source = match args.manifests.clone() {
        Some(manifests) => SourceSettings::Folder {
            manifests,
            state_dir: args.state_dir.clone(),
            options: FolderOptions {
                settle: args.settle,
                ..FolderOptions::default()
            },
        },
        None => SourceSettings::Cluster(Box::new(cluster(&args).await?)),
    };
    Ok(ProductSettings {
        source,
        gateway,
        controller: controller::Settings {
            resync: SignedDuration::try_from(args.resync).context("--resync is too long")?,
            ..controller::Settings::default()
        },
        admin: Some(args.admin_listen),
        status_anywhere: args.status_anywhere,
        calls_per_second: args.calls_per_second,
        call_timeout: args.call_timeout,
        audit: Some(match args.audit.as_str() {
            "-" => Destination::Stdout,
            file => Destination::File(PathBuf::from(file)),
        }),
        brake_file: args.brake_file,
        register: args.register_unknown.map(|namespace| Register {
            namespace,
            limit: args.register_limit,
        }),
        drain: args.drain,
        sink: None,
    })
}

async fn cluster(args: &RunArgs) -> anyhow::Result<ClusterSettings> {
    let config = kube::Config::infer().await.context(
        "failed to find a cluster: set KUBECONFIG, run inside one, or give --manifests DIR to run without a cluster",
    )?;
    let client =
        kube::Client::try_from(config).context("failed to make a client for the API server")?;
    let instance = format!(
        "{}_{}",
        args.pod_name
            .clone()
            .or_else(|| std::env::var("HOSTNAME").ok())
            .unwrap_or_else(|| "stationkeeper".to_owned()),
        uuid::Uuid::new_v4()
    );
    Ok(ClusterSettings {
        client,
        watch_namespaces: watched(&args.namespaces)?,
        own_namespace: args.own_namespace.clone(),
        election: (!args.no_leader_election).then(|| Election {
            name: "stationkeeper".to_owned(),
            namespace: args.own_namespace.clone(),
            holder: instance.clone(),
            lease_duration: args.lease_duration,
            renew_deadline: args.renew_deadline,
            retry_period: args.retry_period,
        }),
        brake_config_map: "stationkeeper-brake".to_owned(),
        digest_secret: "stationkeeper-digest-key".to_owned(),
        leader_label: args
            .pod_name
            .clone()
            .filter(|_| args.leader_label)
            .map(|name| LabelledPod {
                name,
                namespace: args.own_namespace.clone(),
            }),
        instance,
    })
}

/// The namespaces to watch, each once.
fn watched(namespaces: &[String]) -> anyhow::Result<Vec<String>> {
    let mut watched: Vec<String> = namespaces
        .iter()
        .map(|namespace| namespace.trim().to_owned())
        .collect();
    if watched.iter().any(String::is_empty) {
        bail!("--namespace names no namespace; leave it away to watch all");
    }
    watched.sort();
    watched.dedup();
    Ok(watched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30s", 30.0),
            ("5m", 300.0),
            ("6h", 21600.0),
            ("1h30m", 5400.0),
            ("500ms", 0.5),
            ("0", 0.0),
        ] {
            assert_eq!(
                duration(text).map(|duration| duration.as_secs_f64()),
                Ok(seconds),
                "{text}"
            );
        }
        for text in ["", "30", "-5s", "soon", "5 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
