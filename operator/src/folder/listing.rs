//! Listing: which manifests are in a folder, and by what can it be seen that they changed?
//!
//! Folders go in; out go the files with their stamps, and what could not be looked at. Nothing is opened here.
//!
//! Why the folder is polled and not watched: a ConfigMap mount changes by swapping one symbolic link, network file
//! systems send no notifications at all, and a watch that overflows has to be followed by a listing anyway. A listing of
//! a thousand files takes some milliseconds a second.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How deep folders may nest; also what ends a loop of symbolic links.
const MAX_DEPTH: usize = 32;

/// What is seen of a file or folder without opening it. The change time is there because a file that is replaced by one
/// of the same size and modification time (`cp -p`, `rsync -t`) still changes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

/// What is in the folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The manifests.
    pub(super) files: BTreeMap<Arc<Path>, Stamp>,
    /// Folders: a file that goes leaves its trace here.
    folders: BTreeMap<PathBuf, Stamp>,
    /// Files and folders that could not be looked at, and why. What was known from below them stays as it was.
    pub(super) unreadable: BTreeMap<PathBuf, String>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Listing {
    /// A folder that could not be looked at.
    pub(super) fn failed(folder: &Path, reason: &str) -> Self {
        Self {
            unreadable: BTreeMap::from([(folder.to_owned(), reason.to_owned())]),
            ..Self::default()
        }
    }

    /// Adds what is below a folder, except below `except` (the state directory, should it lie in here).
    pub(super) fn add(&mut self, root: &Path, except: &Path) {
        let except = std::fs::metadata(except)
            .ok()
            .map(|metadata| Stamp::of(&metadata).inode);
        self.folder(root, except, 0);
    }

    /// Adds what is below a folder.
    pub(super) fn add_all(&mut self, root: &Path) {
        self.folder(root, None, 0);
    }

    /// Was nothing here touched for that long, by the file system's own times? Times in the future say nothing.
    pub(super) fn is_older_than(&self, age: Duration, now: jiff::Timestamp) -> bool {
        self.files
            .values()
            .chain(self.folders.values())
            .all(|stamp| {
                [stamp.modified, stamp.changed]
                    .into_iter()
                    .all(|(seconds, nanoseconds)| {
                        i32::try_from(nanoseconds)
                            .ok()
                            .and_then(|nanoseconds| jiff::Timestamp::new(seconds, nanoseconds).ok())
                            .is_some_and(|touched| {
                                u128::try_from(now.duration_since(touched).as_nanos())
                                    .is_ok_and(|past| past >= age.as_nanos())
                            })
                    })
            })
    }

    /// Why a file cannot be known, if it stands below something that could not be looked at.
    pub(super) fn unreadable_at(&self, file: &Path) -> Option<(&Path, &str)> {
        file.ancestors()
            .find_map(|at| self.unreadable.get_key_value(at))
            .map(|(at, reason)| (at.as_path(), reason.as_str()))
    }

    fn folder(&mut self, folder: &Path, except: Option<(u64, u64)>, depth: usize) {
        if depth > MAX_DEPTH {
            self.unreadable.insert(
                folder.to_owned(),
                format!("folders nest deeper than {MAX_DEPTH} levels (a loop of links?)"),
            );
            return;
        }
        let listed = std::fs::metadata(folder).and_then(|metadata| {
            self.folders.insert(folder.to_owned(), Stamp::of(&metadata));
            std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()
        });
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable.insert(folder.to_owned(), error.to_string());
                return;
            }
        };
        for entry in entries {
            let path = entry.path();
            // Hidden ones are not manifests: `.git`, editors' files, and the `..data` behind a ConfigMap mount's links.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && Some(Stamp::of(&metadata).inode) == except => {
                }
                Ok(metadata) if metadata.is_dir() => self.folder(&path, except, depth + 1),
                Ok(metadata) if is_manifest(&path) && metadata.is_file() => {
                    self.files.insert(Arc::from(path), Stamp::of(&metadata));
                }
                Ok(_) => {}
                Err(error) => {
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if is_manifest(&path) || is_folder {
                        self.unreadable.insert(path, error.to_string());
                    }
                }
            }
        }
    }
}

/// By its name. A kustomization is an instruction for another tool, not an object.
fn is_manifest(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let kustomization = ["kustomization.yaml", "kustomization.yml"].contains(&name);
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    !kustomization && ["yaml", "yml", "json"].contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(folder: &Path) -> Vec<String> {
        let mut listing = Listing::default();
        listing.add(folder, Path::new("no/such/state"));
        listing
            .files
            .keys()
            .map(|path| path.strip_prefix(folder).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn manifests_are_found_below_and_hidden_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "a.yaml",
            "b.yml",
            "c.json",
            "d.txt",
            ".e.yaml",
            "kustomization.yaml",
            "deep/er/f.yaml",
            ".git/g.yaml",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(
            listed(folder.path()),
            ["a.yaml", "b.yml", "c.json", "deep/er/f.yaml"]
        );
    }

    #[test]
    fn the_links_of_a_config_map_mount_are_followed_and_a_swap_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut before = Listing::default();
        before.add(folder.path(), Path::new("no/such/state"));
        assert_eq!(before.files.len(), 1);
        std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        let mut after = Listing::default();
        after.add(folder.path(), Path::new("no/such/state"));
        assert_ne!(before.files, after.files);
    }

    #[test]
    fn the_state_directory_holds_no_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        std::fs::write(state.join("a.yaml"), "").unwrap();
        let mut listing = Listing::default();
        listing.add(folder.path(), &state);
        assert!(listing.files.is_empty());
    }

    #[test]
    fn a_loop_of_links_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        let mut listing = Listing::default();
        listing.add(folder.path(), Path::new("no/such/state"));
        assert_eq!(listing.unreadable.len(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_unreadable_with_all_below_it() {
        let mut listing = Listing::default();
        listing.add(Path::new("no/such/folder"), Path::new("no/such/state"));
        assert!(
            listing
                .unreadable_at(Path::new("no/such/folder/north/a.yaml"))
                .is_some()
        );
        assert!(listing.unreadable_at(Path::new("other/a.yaml")).is_none());
    }
}
