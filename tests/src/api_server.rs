//! A real Kubernetes API server with a real etcd.
//!
//! In: the programs that `cargo xtask setup` built, or those of `KUBEBUILDER_ASSETS`. Out: a server on
//! the loopback address with authentication by token and RBAC, a kubeconfig, clients, and kubectl and
//! Helm that use them. There is no kubelet and no controller: namespaces do not end, Deployments have no
//! Pods. Data is not synced to disk: what is tested is us, not etcd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use xtask::tools::Tools;

use crate::audit::{self, Write};
use crate::http;
use crate::link::Link;
use crate::ports::ReservedPort;
use crate::process::{Process, Signal};
use crate::ran::Ran;
use crate::wait::{LIMIT, TIMEOUT, eventually};
use crate::watchdog;

/// The token of the one user of the token file, who may do everything. The server is on the loopback
/// address and holds nothing but tests.
const ADMINISTRATOR: &str = "administrator";

/// Three seconds on a machine at rest; tests keep it busy.
const START_LIMIT: Duration = Duration::from_secs(300);

/// The server that the tests of one process share.
static SHARED: OnceCell<ApiServer> = OnceCell::const_new();

/// An API server, its etcd and the folder with their files.
#[derive(Debug)]
pub struct ApiServer {
    // Fields are dropped in this order: the programs end before their folder goes.
    server: Option<Process>,
    etcd: Process,
    port: ReservedPort,
    tools: Tools,
    home: TempDir,
    names: AtomicU64,
}

impl ApiServer {
    /// The server of this test process, started by the first who asks. Make a namespace for each test.
    pub async fn shared() -> Result<&'static Self> {
        SHARED.get_or_try_init(Self::own).await
    }

    /// A server of one's own, for tests that stop it or take its history away.
    pub async fn own() -> Result<Self> {
        let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
        let home = tempfile::Builder::new()
            .prefix("stationkeeper-")
            .tempdir()
            .context("failed to make a folder")?;
        watchdog::folder(home.path())?;
        write_files(home.path())?;
        let etcd = start_etcd(&tools, home.path())?;
        let mut server = Self {
            server: None,
            etcd,
            port: ReservedPort::reserve()?,
            tools,
            home,
            names: AtomicU64::new(0),
        };
        server.start().await?;
        server.write_kubeconfig("kubeconfig", &server.url(), ADMINISTRATOR)?;
        Ok(server)
    }

    /// Where it is: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// The kubeconfig of a user who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("kubeconfig")
    }

    /// A kubeconfig with another token, for example one from `kubectl create token`.
    pub fn kubeconfig_with_token(&self, token: &str) -> Result<PathBuf> {
        self.write_kubeconfig(&self.next_name("kubeconfig"), &self.url(), token)
    }

    /// A connection to the server that can be cut, and a kubeconfig that leads over it.
    pub async fn link(&self) -> Result<(Link, PathBuf)> {
        let link = Link::to(self.port.address()).await?;
        let url = format!("https://{}", link.address());
        let kubeconfig =
            self.write_kubeconfig(&self.next_name("kubeconfig"), &url, ADMINISTRATOR)?;
        Ok((link, kubeconfig))
    }

    /// A client of a user who may do everything. Each test makes its own: a client belongs to the runtime that made it.
    pub async fn client(&self) -> Result<Client> {
        client_from(&self.kubeconfig()).await
    }

    /// Makes a namespace whose name begins with the given text and that no other test has.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let name = self.next_name(prefix);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        };
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("failed to create namespace {name:?}"))?;
        Ok(name)
    }

    /// Installs the CRDs of the work tree, or finds them installed, and waits until the server serves them.
    pub async fn install_crds(&self) -> Result<()> {
        let crds = xtask::cargo::workspace().join("crds");
        let crds = crds.to_str().context("the path of the CRDs is not text")?;
        let apply = ["apply", "--server-side", "--filename", crds];
        self.kubectl(&apply).await?.success()?;
        let established = "--for=condition=Established";
        let wait = ["wait", established, TIMEOUT, "--filename", crds];
        self.kubectl(&wait).await?.success()?;
        // What is established is served some moments later.
        let get = ["get", "csc,chst,kcat", "--namespace=default"];
        eventually(LIMIT, async || self.kubectl(&get).await?.success()).await?;
        Ok(())
    }

    /// Runs kubectl against this server.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Ran> {
        self.kubectl_with(arguments, "").await
    }

    /// Runs kubectl against this server with the given text as its input, for `apply -f -`.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<Ran> {
        let mut command = Command::new(&self.tools.kubectl);
        command
            .arg("--cache-dir")
            .arg(self.home.path().join("kubectl"))
            .args(arguments);
        Ran::run(self.at_home(command), input).await
    }

    /// Runs the newest Helm against this server.
    pub async fn helm(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_helm(&self.tools.helm, arguments).await
    }

    /// Runs Helm 3 against this server.
    pub async fn helm3(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_helm(&self.tools.helm3, arguments).await
    }

    /// Runs a script in a shell as a person would who works with this cluster, in the root of the work tree: kubectl, Helm
    /// and `stationkeeper` are on the PATH.
    pub async fn shell(&self, script: &str) -> Result<Ran> {
        let programs = self.home.path().join("bin");
        if !programs.exists() {
            fs::create_dir(&programs).context("failed to make a folder of programs")?;
            for (name, program) in [
                ("kubectl", &self.tools.kubectl),
                ("helm", &self.tools.helm),
                ("stationkeeper", &crate::operator::program()?),
            ] {
                std::os::unix::fs::symlink(program, programs.join(name))
                    .with_context(|| format!("failed to link to {name}"))?;
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))
                .context("failed to make a PATH")?;
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env("PATH", path)
            // Both keep caches at home.
            .env("HOME", self.home.path());
        Ran::run(self.at_home(command), "").await
    }

    /// Every write that reached the server since it first started, oldest first.
    pub fn writes(&self) -> Result<Vec<Write>> {
        audit::read(&self.home.path().join("audit.log"))
    }

    /// Ends the server at once; etcd stays.
    pub fn stop(&mut self) -> Result<()> {
        match self.server.take() {
            Some(mut server) => server.kill(),
            None => Ok(()),
        }
    }

    /// Starts the server again, on its port and with its data, and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "the API server is running");
        self.server = Some(start_server(&self.tools, self.home.path(), &self.port)?);
        self.wait_until_ready().await
    }

    /// Has the server stand still: connections stay open, nothing is answered.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Has the server go on after a pause.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::Continue)
    }

    /// Takes the history away: a watch that goes on from before is answered with 410 Gone. The server is
    /// stopped, etcd compacted to its present revision, and the server started again.
    pub async fn lose_history(&mut self) -> Result<()> {
        self.stop()?;
        self.compact().await?;
        self.start().await
    }

    /// Compacts etcd to its present revision. A running server still answers from its own cache.
    pub async fn compact(&mut self) -> Result<()> {
        // A range over the single key "\0", which does not exist, tells the revision.
        let range = self
            .ask_etcd("/v3/kv/range", &json!({"key": "AA=="}))
            .await?;
        let revision = range
            .pointer("/header/revision")
            .with_context(|| format!("etcd told no revision: {range}"))?;
        self.ask_etcd(
            "/v3/kv/compaction",
            &json!({"revision": revision, "physical": true}),
        )
        .await?;
        Ok(())
    }

    async fn ask_etcd(&self, path: &str, body: &Value) -> Result<Value> {
        let stream = UnixStream::connect(self.home.path().join("etcd.sock"))
            .await
            .context("failed to connect to etcd")?;
        let answer = http::exchange(stream, "POST", path, &body.to_string()).await?;
        ensure!(
            answer.status == 200,
            "etcd answered {}: {}",
            answer.status,
            answer.body
        );
        serde_json::from_str(&answer.body).context("failed to parse etcd's answer")
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.server
            .as_mut()
            .context("the API server is stopped")?
            .signal(signal)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let kubeconfig = self.write_kubeconfig("kubeconfig", &self.url(), ADMINISTRATOR)?;
        let ended = eventually(START_LIMIT, async || {
            for process in [Some(&mut self.etcd), self.server.as_mut()]
                .into_iter()
                .flatten()
            {
                if !process.running()? {
                    return Ok(Some(format!(
                        "it has ended; it said {:?}",
                        process.logs().last()
                    )));
                }
            }
            let client = client_from(&kubeconfig).await?;
            let request = kube::core::Request::new("/readyz").list(&ListParams::default())?;
            client.request_text(request).await?;
            Ok(None)
        });
        match ended.await.context("the API server did not become ready")? {
            Some(ended) => bail!("the API server did not become ready: {ended}"),
            None => Ok(()),
        }
    }

    async fn run_helm(&self, program: &Path, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new(program);
        command.args(arguments);
        for kind in ["CACHE", "CONFIG", "DATA"] {
            command.env(
                format!("HELM_{kind}_HOME"),
                self.home.path().join("helm").join(kind),
            );
        }
        Ran::run(self.at_home(command), "").await
    }

    /// The command with this server as its cluster, in the root of the work tree.
    fn at_home(&self, mut command: Command) -> Command {
        command
            .env("KUBECONFIG", self.kubeconfig())
            .current_dir(xtask::cargo::workspace());
        command
    }

    fn next_name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn write_kubeconfig(&self, file: &str, url: &str, token: &str) -> Result<PathBuf> {
        let path = self.home.path().join(file);
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": {
                "server": url,
                "certificate-authority": self.home.path().join("certificates/apiserver.crt"),
            }}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        });
        // JSON is YAML. Helm warns about a kubeconfig that others can read.
        fs::write(&path, format!("{content:#}")).context("failed to write a kubeconfig")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .context("failed to protect a kubeconfig")?;
        Ok(path)
    }
}

/// A client for a kubeconfig.
pub async fn client_from(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.context("failed to use the kubeconfig")?)
        .context("failed to make a client")
}

/// Writes the files that the server reads when it starts.
fn write_files(home: &Path) -> Result<()> {
    let key = rcgen::KeyPair::generate().context("failed to generate a signing key")?;
    let files = [
        (
            "tokens.csv",
            format!("{ADMINISTRATOR},administrator,administrator,system:masters\n"),
        ),
        ("service-accounts.key", key.serialize_pem()),
        ("service-accounts.pub", key.public_key_pem()),
        ("audit.yaml", audit::POLICY.to_owned()),
        ("audit.log", String::new()),
    ];
    for (name, content) in files {
        fs::write(home.join(name), content).with_context(|| format!("failed to write {name}"))?;
    }
    Ok(())
}

/// Starts etcd on a socket in the folder: there is no port that another could take.
fn start_etcd(tools: &Tools, home: &Path) -> Result<Process> {
    let mut command = tools.etcd.command();
    command.args([
        format!("--data-dir={}", home.join("etcd").display()),
        format!(
            "--listen-client-urls=unix://{}",
            home.join("etcd.sock").display()
        ),
        // Told to clients and other members, of which there are none.
        "--advertise-client-urls=http://127.0.0.1:1".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]);
    Process::start("etcd", command)
}

/// Starts the API server.
fn start_server(tools: &Tools, home: &Path, port: &ReservedPort) -> Result<Process> {
    let file = |name: &str| home.join(name).display().to_string();
    let mut command = tools.kube_apiserver.command();
    command.args([
        format!("--etcd-servers=unix://{}", file("etcd.sock")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", port.number()),
        format!("--cert-dir={}", file("certificates")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            file("service-accounts.pub")
        ),
        format!(
            "--service-account-signing-key-file={}",
            file("service-accounts.key")
        ),
        "--authorization-mode=RBAC".to_owned(),
        // It would refuse Pods until a controller, which is not here, has made ServiceAccounts.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        // A loopback address may not be an endpoint of the Service `kubernetes`.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        format!("--audit-policy-file={}", file("audit.yaml")),
        format!("--audit-log-path={}", file("audit.log")),
        "--audit-log-mode=blocking".to_owned(),
    ]);
    Process::start("kube-apiserver", command)
}
