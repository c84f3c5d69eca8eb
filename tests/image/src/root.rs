//! The image's file system as a folder: what the last stage of the Dockerfile copies, on what its base has.
//!
//! In: the stages, and the build stage that was run. Out: the folder, and what the image is set to start. The base cannot
//! be fetched without a registry, so what our program needs of it comes from this machine: the C library that the program
//! was linked with, which is Debian 12's here as there. CA certificates, time zones and other libraries of the base are
//! left out, and so it is shown that they are not needed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::dockerfile::{Stage, Step};
use crate::stage::{Built, copy_file};

/// The libraries that the base has, and that a program of ours may need.
pub const LIBRARIES: [&str; 6] = [
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
];

/// The C library of the base, as a version that a program may ask for.
pub const C_LIBRARY: (u32, u32) = (2, 36);

/// An image, as far as it can be had without a container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its file system.
    pub root: PathBuf,
    /// What it starts.
    pub entrypoint: Vec<String>,
    /// With which arguments, where nobody gives others.
    pub arguments: Vec<String>,
    /// User and group.
    pub user: (u32, u32),
    /// The ports that it names.
    pub ports: Vec<u16>,
    /// What its last stage copies, as paths in the image.
    pub copied: Vec<String>,
}

/// Reads what the last stage sets; its file system is to lie in a folder.
pub fn read(last: &Stage, root: &Path) -> Result<Image> {
    let mut image = Image {
        root: root.to_path_buf(),
        entrypoint: Vec::new(),
        arguments: Vec::new(),
        user: (0, 0),
        ports: Vec::new(),
        copied: Vec::new(),
    };
    for step in &last.steps {
        match step {
            Step::User(user) => {
                let ids = user
                    .split_once(':')
                    .and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
                image.user = ids.with_context(|| {
                    format!("USER {user}: write numbers, which Kubernetes can check against runAsNonRoot")
                })?;
            }
            Step::Expose(ports) => image.ports.extend(ports),
            Step::Entrypoint(words) => image.entrypoint.clone_from(words),
            Step::Arguments(words) => image.arguments.clone_from(words),
            Step::Copy(copy) => {
                for source in &copy.sources {
                    image.copied.push(target(source, &copy.target)?);
                }
            }
            Step::Argument(..) | Step::Label(_) | Step::Environment(..) => {}
            Step::Run(words) => bail!("RUN {words}: the base has no shell to run it"),
            Step::Folder(folder) => bail!("WORKDIR {folder} is not known to the last stage"),
        }
    }
    ensure!(!image.entrypoint.is_empty(), "the image starts nothing");
    Ok(image)
}

/// Makes the file system anew.
pub fn assemble(last: &Stage, built: &Built, root: &Path) -> Result<Image> {
    let image = read(last, root)?;
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("failed to empty {}", root.display()))?;
    }
    for folder in [
        "tmp",
        "proc",
        "dev",
        "sys",
        "etc",
        "home/nonroot",
        "var",
        "run",
    ] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    for step in &last.steps {
        let Step::Copy(copy) = step else { continue };
        ensure!(
            copy.from.as_deref() == Some(&built.name),
            "the last stage copies from {:?}; only the stage {:?} was run",
            copy.from,
            built.name
        );
        for source in &copy.sources {
            let below = source
                .strip_prefix(&built.folder)
                .and_then(|below| below.strip_prefix('/'));
            let below = below
                .with_context(|| format!("COPY {source}: lies outside of {}", built.folder))?;
            let to = target(source, &copy.target)?;
            copy_file(&built.place.join(below), &in_root(root, &to))?;
        }
    }
    for library in libraries(&in_root(root, &image.entrypoint[0]))? {
        let name = library.to_string_lossy().into_owned();
        copy_file(&library, &in_root(root, &name))?;
    }
    Ok(image)
}

/// Where a file that is copied goes to.
fn target(source: &str, target: &str) -> Result<String> {
    ensure!(
        target.starts_with('/') && !target.contains(".."),
        "COPY … {target}: write the whole path"
    );
    match target.ends_with('/') {
        true => {
            let name = source.rsplit('/').next().unwrap_or(source);
            Ok(format!("{target}{name}"))
        }
        false => Ok(target.to_owned()),
    }
}

/// A path of the image, where it lies here.
pub fn in_root(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The libraries that a program is loaded with here.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = printed(Command::new("ldd").arg(program))?;
    let mut found = Vec::new();
    for line in said.lines() {
        ensure!(!line.contains("not found"), "{}: {line}", program.display());
        // `libc.so.6 => /lib/… (0x…)`, or `/lib64/ld-linux… (0x…)`, or the kernel's own, which has no path.
        let path = line
            .split("=>")
            .last()
            .unwrap_or(line)
            .split_whitespace()
            .next();
        if let Some(path) = path.filter(|path| path.starts_with('/')) {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Everything that keeps a program from starting on the base, in words: a library that it has not, or too new a version.
pub fn misfits(program: &Path) -> Result<Vec<String>> {
    let mut misfits = Vec::new();
    let needed = libraries(program)?;
    for library in &needed {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        if !LIBRARIES.contains(&name.as_ref()) {
            misfits.push(format!("it needs {name}, which the base may not have"));
        }
    }
    let said = printed(Command::new("objdump").arg("-p").arg(program))?;
    let versions: BTreeSet<(u32, u32)> = said
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("GLIBC_"))
        .filter_map(|version| {
            let mut numbers = version.split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect();
    let newest = versions.last().context("it asks for no C library")?;
    if *newest > C_LIBRARY {
        misfits.push(format!(
            "it needs glibc {}.{}, and the base has {}.{}: build on Debian 12",
            newest.0, newest.1, C_LIBRARY.0, C_LIBRARY.1
        ));
    }
    Ok(misfits)
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("failed to start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All files of the image that anybody may run, as paths in the image.
pub fn programs(root: &Path) -> Result<Vec<String>> {
    let (mut folders, mut found) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))?
        {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.permissions().mode() & 0o111 != 0 {
                found.push(format!("/{}", path.strip_prefix(root)?.display()));
            }
        }
    }
    found.sort();
    Ok(found)
}
