//! Commit: files replaced atomically and durably, many at once.
//!
//! Paths and bytes go in; a write that was answered with `Ok` survives a power cut, and a reader never sees half a file.
//! Writes that arrive while others are being synced form the next group: their files are synced by a few threads at
//! once and each folder once for the group, because a file system takes several syncs in one turn of its journal.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Threads that sync a group's files.
const THREADS: usize = 16;

/// The most files of one group, so that the first of them does not wait for ever.
const GROUP: usize = 512;

/// In front of the name of a file that is not complete yet. Hidden, so that nothing lists it.
const PARTIAL: &str = ".partial-";

/// What a disk does, as far as a test has to stand in its place (a full one, say).
pub(super) trait Disk: Send + Sync + 'static {
    /// Writes and syncs a file of its own.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// The real one.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = create_private(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

/// Commits files.
#[derive(Clone)]
pub(super) struct Committer {
    disk: Arc<dyn Disk>,
    queue: Arc<Mutex<Vec<Job>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Job {
    path: PathBuf,
    bytes: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

impl Committer {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            queue: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Replaces a file. Whoever comes first commits for all who came meanwhile.
    pub(super) async fn replace(&self, path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
        let (done, mut answer) = oneshot::channel();
        self.queue().push(Job { path, bytes, done });
        let lost = || io::Error::other("the write was lost");
        loop {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Closed) => return Err(lost()),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let group: Vec<Job> = {
                let mut queue = self.queue();
                let most = queue.len().min(GROUP);
                queue.drain(..most).collect()
            };
            let disk = Arc::clone(&self.disk);
            // The turn goes along, so that a caller who gives up does not let the next group start beside this one.
            let committed = tokio::task::spawn_blocking(move || {
                commit(disk.as_ref(), group);
                drop(turn);
            });
            committed.await.map_err(|_| lost())?;
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn commit(disk: &dyn Disk, group: Vec<Job>) {
    let threads = group.len().min(THREADS);
    let written: Vec<(Job, io::Result<()>)> = if threads <= 1 {
        group.into_iter().map(|job| replaced(disk, job)).collect()
    } else {
        let jobs = Mutex::new(group.into_iter());
        let take = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        std::iter::from_fn(take)
                            .map(|job| replaced(disk, job))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .filter_map(|worker| worker.join().ok())
                .flatten()
                .collect()
        })
    };
    let folders: BTreeSet<&Path> = written
        .iter()
        .filter_map(|(job, _)| job.path.parent())
        .collect();
    let unsynced: BTreeSet<PathBuf> = folders
        .into_iter()
        .filter(|folder| sync_folder(folder).is_err())
        .map(Path::to_owned)
        .collect();
    for (job, result) in written {
        let synced = job
            .path
            .parent()
            .is_none_or(|folder| !unsynced.contains(folder));
        let result = result.and_then(|()| {
            if synced {
                Ok(())
            } else {
                Err(io::Error::other("the folder cannot be synced"))
            }
        });
        // Nobody may be waiting any more.
        let _ = job.done.send(result);
    }
}

fn replaced(disk: &dyn Disk, job: Job) -> (Job, io::Result<()>) {
    let result = replace_with(&job.path, |partial| disk.write(partial, &job.bytes));
    (job, result)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Replaces a file atomically, but not durably: for what can be made again.
pub(super) fn replace_quickly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |partial| create_private(partial)?.write_all(bytes))
}

fn replace_with(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let partial = folder.join(format!(
        "{PARTIAL}{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    let result = make_folder(folder)
        .and_then(|()| write(&partial))
        .and_then(|()| fs::rename(&partial, path));
    if result.is_err() {
        // What was half written only takes space, which may be what is lacking.
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Makes a folder that lasts: a new one is only as durable as the entry in the one above it.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or_else(|| Path::new("."));
    make_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) if above.as_os_str().is_empty() => Ok(()),
        Ok(()) => sync_folder(above),
    }
}

/// State tells what stations are set to: it is for its owner only.
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Is it left over from a write that was cut off?
pub(super) fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_writes_at_once_all_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let committer = Committer::new(Arc::new(RealDisk));
        let writes = (0..1500).map(|index| {
            committer.replace(
                folder.path().join(format!("{}/{index}.yaml", index % 3)),
                index.to_string().into_bytes(),
            )
        });
        for result in futures::future::join_all(writes).await {
            result.unwrap();
        }
        assert_eq!(
            fs::read_to_string(folder.path().join("2/1499.yaml")).unwrap(),
            "1499"
        );
        assert_eq!(fs::read_dir(folder.path().join("0")).unwrap().count(), 500);
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_the_former_file_and_no_rubbish() {
        struct Full;
        impl Disk for Full {
            fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
                fs::write(path, &bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        Committer::new(Arc::new(RealDisk))
            .replace(path.clone(), b"whole".to_vec())
            .await
            .unwrap();
        let error = Committer::new(Arc::new(Full))
            .replace(path.clone(), b"other".to_vec())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(path).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
