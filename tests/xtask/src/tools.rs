//! Where the tools of the whole-product tests are: API server and etcd, kubectl and Helm, promtool,
//! Prometheus and Lua, the Python packages of the stations that we did not write, and what the image is checked with.
//!
//! In: the environment, and the files that pin versions. Out: paths in a cache outside of the work
//! tree, each named after a hash of what it is made from, so that a change of a version makes a new
//! one and an old checkout finds its own. Nothing is built or fetched here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::cargo::workspace;

/// The environment variable for a folder with ready-made `etcd` and `kube-apiserver`.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The environment variable that, set to `PATH`, has kubectl, Helm, promtool, Prometheus and Lua taken from the PATH.
pub const CLIENTS: &str = "STATIONKEEPER_TOOLS";

/// One of several programs in one file, or a program of its own.
#[derive(Clone, Debug)]
pub struct Program {
    file: PathBuf,
    name: Option<&'static str>,
}

impl Program {
    /// A command that starts the program.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.args(self.name);
        command
    }

    /// The file that has to be there.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// The paths of all tools, there or not.
#[derive(Clone, Debug)]
pub struct Tools {
    /// etcd.
    pub etcd: Program,
    /// The Kubernetes API server.
    pub kube_apiserver: Program,
    /// kubectl.
    pub kubectl: PathBuf,
    /// The newest Helm.
    pub helm: PathBuf,
    /// Helm 3.
    pub helm3: PathBuf,
    /// Prometheus' tool for rules.
    pub promtool: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
    /// Lua 5.1, the language of Argo CD's scripts.
    pub lua: PathBuf,
    /// The Python interpreter.
    pub python: PathBuf,
    /// The folder for `PYTHONPATH` that holds the package `ocpp`, and `jsonschema`.
    pub stations: PathBuf,
    /// The linter of Dockerfiles.
    pub hadolint: PathBuf,
    /// The folder of the schemas of CycloneDX.
    pub cyclonedx: PathBuf,
}

impl Tools {
    /// Says where the tools are, without looking whether they are there.
    pub fn locate() -> Result<Self, Failure> {
        let clients = clients_folder()?;
        let debian = debian_folder()?;
        let image = image_folder()?;
        let from = |folder: &Path, name: &str| match clients_from_path() {
            true => PathBuf::from(name),
            false => folder.join(name),
        };
        let client = |name: &str| from(&clients, name);
        let server = |name: &'static str| match env::var_os(ASSETS) {
            Some(folder) => Ok(Program {
                file: Path::new(&folder).join(name),
                name: None,
            }),
            None => server_folder().map(|folder| Program {
                file: folder.join(SERVER),
                name: Some(name),
            }),
        };
        Ok(Self {
            etcd: server("etcd")?,
            kube_apiserver: server("kube-apiserver")?,
            kubectl: client("kubectl"),
            helm: client("helm"),
            helm3: client("helm3"),
            promtool: from(&debian, "promtool"),
            prometheus: from(&debian, "prometheus"),
            lua: from(&debian, "lua5.1"),
            python: python(),
            stations: stations_folder()?,
            hadolint: image.join("bin/hadolint"),
            cyclonedx: image.join("cyclonedx/schema/_res"),
        })
    }

    /// Says where the tools are, and what to do if one is not.
    pub fn require() -> Result<Self, Failure> {
        let tools = Self::locate()?;
        let mut needed = vec![
            tools.etcd.file(),
            tools.kube_apiserver.file(),
            &tools.stations,
            &tools.hadolint,
            &tools.cyclonedx,
        ];
        if !clients_from_path() {
            needed.extend([tools.kubectl.as_path(), &tools.helm, &tools.helm3]);
            needed.extend([tools.promtool.as_path(), &tools.prometheus, &tools.lua]);
        }
        match needed.into_iter().find(|path| !path.exists()) {
            None => Ok(tools),
            Some(missing) => Err(format!(
                "the tests need {}, which is not there: run `cargo xtask setup` once",
                missing.display()
            )),
        }
    }
}

/// The file that holds both servers.
pub(crate) const SERVER: &str = "kube-apiserver";

/// The folder of the program that holds both servers.
pub(crate) fn server_folder() -> Result<PathBuf, Failure> {
    let sources = workspace().join("tests/kube-apiserver");
    let mut files: Vec<PathBuf> = fs::read_dir(&sources)
        .map_err(|error| format!("failed to list {}: {error}", sources.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension().is_some_and(|extension| {
                ["go", "mod", "sum"].iter().any(|known| extension == *known)
            })
        })
        .collect();
    files.sort();
    Ok(cache().join(format!(
        "kube-apiserver-{}-{}",
        kubernetes_version()?,
        hash(&files)?
    )))
}

/// The folder of kubectl and Helm.
pub(crate) fn clients_folder() -> Result<PathBuf, Failure> {
    let made_from = ["tests/tools/kubernetes.txt", "tests/tools/fetch_clients.py"]
        .map(|file| workspace().join(file));
    Ok(cache().join(format!("kubernetes-clients-{}", hash(&made_from)?)))
}

/// The folder of what Debian packages.
pub(crate) fn debian_folder() -> Result<PathBuf, Failure> {
    Ok(cache().join(format!(
        "debian-{}",
        hash(&[workspace().join("tests/tools/debian.txt")])?
    )))
}

/// The folder of the Python packages.
pub(crate) fn stations_folder() -> Result<PathBuf, Failure> {
    Ok(cache().join(format!(
        "stations-{}",
        hash(&[workspace().join("tests/tools/stations.txt")])?
    )))
}

/// The folder of what the image is checked with.
pub(crate) fn image_folder() -> Result<PathBuf, Failure> {
    Ok(cache().join(format!(
        "image-{}",
        hash(&[workspace().join("tests/tools/image.txt")])?
    )))
}

/// Are kubectl, Helm and Debian's tools to be taken from the PATH?
pub(crate) fn clients_from_path() -> bool {
    env::var_os(CLIENTS).is_some_and(|value| value == "PATH")
}

/// The Python interpreter.
pub(crate) fn python() -> PathBuf {
    env::var_os("PYTHON")
        .unwrap_or_else(|| "python3".into())
        .into()
}

/// The version of Kubernetes that go.mod requires, with its `v`.
pub(crate) fn kubernetes_version() -> Result<String, Failure> {
    let file = workspace().join("tests/kube-apiserver/go.mod");
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    let required = |line: &str| {
        line.trim()
            .strip_prefix("k8s.io/kubernetes ")
            .map(str::to_owned)
    };
    text.lines()
        .find_map(required)
        .ok_or_else(|| format!("{} does not require k8s.io/kubernetes", file.display()))
}

/// The folder that outlives the work tree.
pub(crate) fn cache() -> PathBuf {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("stationkeeper")
}

/// A name for the content of some files (64-bit FNV-1a: it tells versions apart, it guards nothing).
fn hash(files: &[PathBuf]) -> Result<String, Failure> {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        let content = fs::read(file)
            .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
        for byte in content {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Ok(format!("{state:016x}"))
}
