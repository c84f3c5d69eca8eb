//! Input: paths → the bytes of files. `-` is stdin, a folder stands for the manifests in it and below.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::folder;
use crate::manifest::{MAX_FILE_BYTES, Problem, too_large};

/// Why there is nothing to check.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file or folder cannot be read.
    #[error("failed to read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder below a given one cannot be looked at.
    #[error("failed to look into {path:?}: {reason}")]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder has no manifests.
    #[error("there is no *.yaml, *.yml or *.json file in {path:?}")]
    NoManifests {
        /// Which.
        path: PathBuf,
    },
}

/// A file.
#[derive(Debug)]
pub struct Input {
    /// What it is called in findings.
    pub file: Arc<Path>,
    /// What is in it, or that it is too large.
    pub content: Result<Vec<u8>, Problem>,
}

/// Reads the files, each once.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Input>, InputError> {
    let mut seen = BTreeSet::new();
    let mut inputs = Vec::new();
    for path in paths {
        for file in files(path)? {
            if seen.insert(Arc::clone(&file)) {
                inputs.push(open(file)?);
            }
        }
    }
    Ok(inputs)
}

fn files(path: &Path) -> Result<Vec<Arc<Path>>, InputError> {
    if !path.is_dir() {
        return Ok(vec![Arc::from(path)]);
    }
    let (files, unreadable) = folder::manifests_below(path);
    if let Some((path, reason)) = unreadable.into_iter().next() {
        return Err(InputError::Look { path, reason });
    }
    if files.is_empty() {
        let path = path.to_owned();
        return Err(InputError::NoManifests { path });
    }
    Ok(files)
}

fn open(file: Arc<Path>) -> Result<Input, InputError> {
    let failed = |source| InputError::Read {
        path: file.to_path_buf(),
        source,
    };
    // One byte more than is read tells that there are more.
    let most = MAX_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        let read = io::stdin().lock().take(most).read_to_end(&mut bytes);
        read.map_err(failed)?;
        return Ok(Input {
            file: Arc::from(Path::new("<stdin>")),
            content: Ok(bytes),
        });
    }
    let opened = std::fs::File::open(&file).map_err(failed)?;
    let size = opened.metadata().map_err(failed)?.len();
    if size >= most {
        let problem = too_large(&file, size);
        return Ok(Input {
            file,
            content: Err(problem),
        });
    }
    opened.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Input {
        file,
        content: Ok(bytes),
    })
}
