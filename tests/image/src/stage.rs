//! Runs the Dockerfile's build stage in a folder, on this machine's Rust.
//!
//! In: the stage, and the work tree as the build context. Out: the stage's working directory as a folder, with the release
//! program in it. A step is left out if it and everything before it are as they were the last time, as a container engine
//! does it; there is no other way to find out here whether layers cache.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::cargo::clean_environment;

use crate::dockerfile::{Copy, Stage, Step};

/// A stage that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its name.
    pub name: String,
    /// Its working directory, as the Dockerfile calls it.
    pub folder: String,
    /// Its working directory, where it lies.
    pub place: PathBuf,
}

/// Runs a stage below a folder of ours.
pub fn run(stage: &Stage, context: &Path, below: &Path) -> Result<Built> {
    let name = stage.name.clone().context("the build stage has no name")?;
    let [Step::Folder(folder), steps @ ..] = stage.steps.as_slice() else {
        bail!("the build stage does not begin with WORKDIR");
    };
    let place = below.join(&name);
    let record = below.join(format!("{name}.steps"));
    let before = match place.exists() {
        true => fs::read_to_string(&record).unwrap_or_default(),
        false => String::new(),
    };
    fs::create_dir_all(&place).with_context(|| format!("failed to make {}", place.display()))?;
    let keys = keys(stage, context)?;
    let same = before
        .lines()
        .zip(&keys[1..])
        .take_while(|(before, now)| before == now)
        .count();
    let mut environment: Vec<(String, String)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Environment(name, value) => environment.push((name.clone(), value.clone())),
            Step::Argument(name, default) => {
                if let Some(value) = std::env::var(name).ok().or_else(|| default.clone()) {
                    environment.push((name.clone(), value));
                }
            }
            Step::Copy(_) | Step::Run(_) if index < same => {}
            Step::Copy(copy) => copy_in(copy, context, &place)?,
            Step::Run(words) => shell(words, &place, &environment)?,
            other => bail!("{other:?} has no place in the build stage"),
        }
        let done = keys[1..=index + 1].join("\n");
        fs::write(&record, done)
            .with_context(|| format!("failed to write {}", record.display()))?;
    }
    Ok(Built {
        name,
        folder: folder.clone(),
        place,
    })
}

/// A key for each step, of everything that can change its result: itself, what it copies, and all steps before it.
pub fn keys(stage: &Stage, context: &Path) -> Result<Vec<String>> {
    // Tells versions apart, guards nothing; the same program runs it each time.
    let mut hasher = DefaultHasher::new();
    stage.base.hash(&mut hasher);
    stage
        .steps
        .iter()
        .map(|step| {
            format!("{step:?}").hash(&mut hasher);
            match step {
                Step::Argument(name, _) => std::env::var(name).ok().hash(&mut hasher),
                Step::Copy(copy) if copy.from.is_none() => {
                    for source in &copy.sources {
                        for file in files(&context.join(source))? {
                            file.hash(&mut hasher);
                            let content = fs::read(&file)
                                .with_context(|| format!("failed to read {}", file.display()))?;
                            content.hash(&mut hasher);
                        }
                    }
                }
                _ => {}
            }
            Ok(format!("{:016x}", hasher.finish()))
        })
        .collect()
}

/// All files of a folder, or the one file, in order; without what the build context leaves out.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .with_context(|| format!("failed to list {}", path.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.retain(|entry| !left_out(entry));
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

/// What `Dockerfile.dockerignore` leaves out of a folder that is copied.
fn left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (path.is_dir() && (name == "tests" || name == "target")) || name.starts_with("Dockerfile")
}

/// Copies files of the build context.
fn copy_in(copy: &Copy, context: &Path, place: &Path) -> Result<()> {
    if let Some(stage) = &copy.from {
        bail!("COPY --from={stage} has no place in the build stage");
    }
    ensure!(
        !copy.target.starts_with('/') && !copy.target.contains(".."),
        "COPY … {}: a path in the working directory is needed here",
        copy.target
    );
    for source in &copy.sources {
        let from = context.join(source);
        let target = place.join(&copy.target);
        if from.is_dir() {
            // What is gone from the sources must be gone here too.
            let _ = fs::remove_dir_all(&target);
        }
        for file in files(&from)? {
            let to = match file.strip_prefix(&from) {
                Ok(below) if from.is_dir() => target.join(below),
                _ if copy.target.ends_with('/') => {
                    target.join(file.file_name().context("a file has a name")?)
                }
                _ => target.clone(),
            };
            copy_file(&file, &to)?;
        }
    }
    Ok(())
}

/// Copies a file, and makes the folder for it.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    fs::copy(from, to)
        .with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Runs a step as the container engine would: by a shell, in the working directory.
fn shell(words: &str, place: &Path, environment: &[(String, String)]) -> Result<()> {
    let mut command = clean_environment("sh");
    command
        .args(["-c", words])
        .current_dir(place)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .envs(environment.iter().cloned());
    if std::env::var_os("CARGO_HOME").is_none() {
        let home = std::env::var_os("HOME").context("there is neither CARGO_HOME nor HOME")?;
        command.env("CARGO_HOME", Path::new(&home).join(".cargo"));
    }
    let status = command.status().context("failed to start a shell")?;
    ensure!(status.success(), "`{words}` failed ({status})");
    Ok(())
}
