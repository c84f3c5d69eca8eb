//! Who may charge: anybody, or the id tags of a file.
//!
//! The file has one id tag a line, then what holds for it, separated by white space; `#` begins a comment:
//!
//! ```text
//! 04A1B2C3D4E5F6                              # may charge
//! VISITOR-1   until=2027-01-01T00:00:00Z      # until then, Expired after it
//! STOLEN-7    Blocked
//! CHILD-3     parent=FAMILY-3
//! ```
//!
//! An id tag that is not in the file is Invalid. Names are compared ignoring case (CiString20Type). A line that cannot
//! be understood is named with its number and left out; the others hold.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use stationkeeper_ocpp::answer::{AuthorizationStatus, IdTagInfo};

use super::settings::Authorize;

/// Answers who may charge.
pub(super) struct Policy {
    known: RwLock<Known>,
    /// Of the text that was last read, so that it is looked at once for each change; `None`: it could not be read.
    digest: Mutex<Option<[u8; 32]>>,
}

enum Known {
    Anybody,
    Tags(Arc<HashMap<String, IdTagInfo>>),
}

/// The file of id tags could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to read the id tags from {path:?}; create the file (it may be empty), or pass `--authorize any`"
)]
pub struct ReadTags {
    /// The file.
    pub path: std::path::PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Policy {
    pub(super) fn load(authorize: &Authorize) -> Result<Self, ReadTags> {
        let (known, digest) = match authorize {
            Authorize::Any => (Known::Anybody, None),
            Authorize::File(path) => {
                let text = read(path)?;
                let known = Known::Tags(Arc::new(understand(path, &text)));
                (known, Some(Sha256::digest(&text).into()))
            }
        };
        Ok(Self {
            known: RwLock::new(known),
            digest: Mutex::new(digest),
        })
    }

    /// Takes over a file that has changed since it was last read, by its text: times of files are too coarse for that. If it
    /// cannot be read, what it last said holds, and that is an error once.
    pub(super) fn reload(&self, path: &Path) -> Result<(), ReadTags> {
        let text = read(path);
        let digest = text.as_ref().ok().map(|text| Sha256::digest(text).into());
        let former = {
            let mut held = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, digest)
        };
        if former == digest {
            return Ok(());
        }
        let tags = Arc::new(understand(path, &text?));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::Tags(tags);
        Ok(())
    }

    /// What becomes of an id tag.
    pub(super) fn of(&self, id_tag: &str, now: Timestamp) -> IdTagInfo {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Known::Tags(tags) = &*known else {
            return IdTagInfo::of(AuthorizationStatus::Accepted);
        };
        let Some(info) = tags.get(&id_tag.trim().to_lowercase()) else {
            return IdTagInfo::of(AuthorizationStatus::Invalid);
        };
        let mut info = info.clone();
        if info.status == AuthorizationStatus::Accepted
            && info.expires.is_some_and(|expires| expires <= now)
        {
            info.status = AuthorizationStatus::Expired;
        }
        info
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ReadTags> {
    std::fs::read(path).map_err(|source| ReadTags {
        path: path.to_owned(),
        source,
    })
}

/// The id tags of a file's text; lines that are left out are logged.
fn understand(path: &Path, text: &[u8]) -> HashMap<String, IdTagInfo> {
    let (tags, mistakes) = parse(&String::from_utf8_lossy(text));
    for (line, mistake) in mistakes {
        tracing::warn!(file = %path.display(), line, mistake, "a line of the id tags is left out; mend it");
    }
    tracing::info!(file = %path.display(), tags = tags.len(), "read the id tags");
    tags
}

/// The id tags, and what is wrong with the lines that were left out.
fn parse(text: &str) -> (HashMap<String, IdTagInfo>, Vec<(usize, String)>) {
    let mut tags = HashMap::new();
    let mut mistakes = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some((tag, info))) => {
                if tags.insert(tag.clone(), info).is_some() {
                    mistakes.push((
                        index + 1,
                        format!("{tag} stands twice; the last one counts"),
                    ));
                }
            }
            Err(mistake) => mistakes.push((index + 1, mistake)),
        }
    }
    (tags, mistakes)
}

fn parse_line(line: &str) -> Result<Option<(String, IdTagInfo)>, String> {
    let mut words = line.split_whitespace();
    let Some(tag) = words.next() else {
        return Ok(None);
    };
    if tag.chars().count() > 20 {
        return Err(format!(
            "{tag} is longer than the 20 characters that OCPP 1.6 allows"
        ));
    }
    let mut info = IdTagInfo::of(AuthorizationStatus::Accepted);
    for word in words {
        match word.split_once('=') {
            Some(("until", until)) => {
                let until = until
                    .parse()
                    .map_err(|_| format!("{until} is not a time such as 2027-01-01T00:00:00Z"))?;
                info.expires = Some(until);
            }
            Some(("parent", parent)) => info.parent = Some(parent.to_owned()),
            Some((name, _)) => {
                return Err(format!("{name}= is not known; write until= or parent="));
            }
            None => {
                info.status = AuthorizationStatus::read(word).ok_or_else(|| {
                    format!("{word} is not Accepted, Blocked, Expired, Invalid or ConcurrentTx")
                })?;
            }
        }
    }
    Ok(Some((tag.to_lowercase(), info)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_hold_and_bad_lines_are_named() {
        let (tags, mistakes) = parse(
            "\u{feff}# ours\r\nABC123\r\n  stolen-7 Blocked # since May\n\nX until=2027-01-01T00:00:00Z parent=P\nY sometimes\n\
             Z until=soon\nabc123 Invalid\n",
        );
        let policy = Policy {
            known: RwLock::new(Known::Tags(Arc::new(tags))),
            digest: Mutex::default(),
        };
        let status = |tag: &str, now: &str| policy.of(tag, now.parse().unwrap()).status;
        let now = "2026-01-01T00:00:00Z";
        assert_eq!(status("STOLEN-7", now), AuthorizationStatus::Blocked);
        assert_eq!(status("abc123", now), AuthorizationStatus::Invalid);
        assert_eq!(status("x", now), AuthorizationStatus::Accepted);
        assert_eq!(
            status("x", "2028-01-01T00:00:00Z"),
            AuthorizationStatus::Expired
        );
        assert_eq!(status("unknown", now), AuthorizationStatus::Invalid);
        let lines: Vec<usize> = mistakes.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [6, 7, 8]);
    }

    #[test]
    fn a_file_is_taken_over_whenever_its_text_changes_whatever_its_times_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags");
        let written_at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24);
        let write = |text: &str| {
            let mut file = std::fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            file.set_modified(written_at).unwrap();
        };
        write("AAA");
        let policy = Policy::load(&Authorize::File(path.clone())).unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let may = |tag: &str| policy.of(tag, now).status == AuthorizationStatus::Accepted;
        assert!(may("AAA") && !may("BBB"));
        write("BBB");
        policy.reload(&path).unwrap();
        assert!(may("BBB") && !may("AAA"));
        std::fs::remove_file(&path).unwrap();
        assert!(policy.reload(&path).is_err() && policy.reload(&path).is_ok());
        assert!(may("BBB"), "what it last said holds");
        write("BBB");
        policy.reload(&path).unwrap();
        assert!(may("BBB"));
    }
}
