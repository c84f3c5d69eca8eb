//! A container without a container engine: the product started from the image's file system, as Kubernetes starts it.
//!
//! In: the image's file system, mounts, arguments and environment. Out: a command that runs in a mount namespace of its own,
//! with that file system as its root, read-only; as the image's user, without capabilities, and without a way to new ones.
//! The network and the process ids are this machine's. Needs root; without, it fails, and says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use stationkeeper_image::root::{Image, in_root};

/// Mounts, gives everything away, and becomes the program: the process that was started is the program in the end.
const SCRIPT: &str = r#"
root=$1 user=$2 group=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
while [ "$1" != -- ]; do
  mount --bind "$1" "$root$2"
  case $3 in
    ro) mount -o remount,bind,ro "$root$2" ;;
    rw) chgrp "$group" "$root$2"; chmod 2770 "$root$2" ;;
  esac
  shift 3
done
shift
mount -o remount,bind,ro,nosuid,nodev "$root"
exec setpriv --no-new-privs --inh-caps=-all --ambient-caps=-all --bounding-set=-all,+setuid,+setgid,+sys_chroot \
  chroot --userspec="$user:$group" --groups="$group" "$root" "$@"
"#;

/// What is needed where that cannot be done. User namespaces are no way out: who starts the image there may neither signal it
/// nor see its user.
const NEEDS: &str = "the image is started in a mount namespace, as a user of its own: that takes root (also root of a container that may \
     mount), and unshare and setpriv of util-linux";

/// How to start the image.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    image: &'a Image,
    mounts: Vec<(PathBuf, String, bool)>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl<'a> Container<'a> {
    /// The image, with nothing mounted.
    pub fn new(image: &'a Image) -> Self {
        Self {
            image,
            mounts: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With a folder that can be read only, at a path of the image.
    pub fn read_only(mut self, folder: &Path, at: &str) -> Self {
        self.mounts
            .push((folder.to_path_buf(), at.to_owned(), false));
        self
    }

    /// With a volume, at a path of the image: its group is the image's, as Kubernetes does it for `fsGroup`.
    pub fn volume(mut self, folder: &Path, at: &str) -> Self {
        self.mounts
            .push((folder.to_path_buf(), at.to_owned(), true));
        self
    }

    /// With these arguments too.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With this environment variable too.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command that starts it.
    pub fn command(&self) -> Result<Command> {
        require_namespaces()?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", SCRIPT, "sh"]);
        let (user, group) = self.image.user;
        command.arg(&self.image.root);
        command.args([user.to_string(), group.to_string()]);
        for (folder, at, writable) in &self.mounts {
            // A container engine makes the places of mounts too.
            let place = in_root(&self.image.root, at);
            std::fs::create_dir_all(&place)
                .with_context(|| format!("failed to make {}", place.display()))?;
            command.arg(folder).arg(at);
            command.arg(if *writable { "rw" } else { "ro" });
        }
        command.arg("--").args(&self.image.entrypoint);
        command.args(&self.arguments);
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .envs(self.environment.iter().cloned());
        Ok(command)
    }
}

/// Fails where a mount namespace cannot be made.
fn require_namespaces() -> Result<()> {
    let tried = Command::new("unshare")
        .args(["--mount", "setpriv", "--no-new-privs", "true"])
        .output();
    match tried {
        Ok(tried) if tried.status.success() => Ok(()),
        Ok(tried) => bail!("{NEEDS}: {}", String::from_utf8_lossy(&tried.stderr).trim()),
        Err(error) => bail!("{NEEDS}: {error}"),
    }
}

/// A line of `/proc/ID/status`.
fn status(id: u32, field: &str) -> Result<String> {
    let text =
        std::fs::read_to_string(format!("/proc/{id}/status")).context("the process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    Ok(line
        .with_context(|| format!("no {field} in {text}"))?
        .trim()
        .to_owned())
}

/// That a process runs as the image's user, with no rights beyond a user's, on a root that is read-only.
pub fn is_confined(id: u32, image: &Image) -> Result<()> {
    let (user, group) = image.user;
    let expect = |field: &str, expected: &str| {
        let found = status(id, field)?;
        ensure!(found == expected, "{field} {found}, and not {expected}");
        Ok(())
    };
    expect("Uid:", &[user.to_string().as_str(); 4].join("\t"))?;
    expect("Gid:", &[group.to_string().as_str(); 4].join("\t"))?;
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        expect(set, "0000000000000000")?;
    }
    expect("NoNewPrivs:", "1")?;
    let mounts = std::fs::read_to_string(format!("/proc/{id}/mountinfo"))?;
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    let root = root.with_context(|| format!("no root in {mounts}"))?;
    let options = root.split(' ').nth(5).unwrap_or_default();
    ensure!(
        options.split(',').any(|option| option == "ro"),
        "the root is not read-only: {root}"
    );
    Ok(())
}
