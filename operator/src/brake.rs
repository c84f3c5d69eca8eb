//! The brake (section 10 of the design): caps what may be done, everywhere, at once and without a restart.
//!
//! In comes the text of a ConfigMap or of a file; out goes a [`Brake`] on a watch channel, which is asked right before
//! each frame. What cannot be read or understood never releases the brake: the safer of the present one and `Report`
//! holds until the text is mended. What is deliberately absent: watching the ConfigMap, which is for the source that
//! knows the API server.

use std::path::Path;
use std::time::Duration;

use stationkeeper_core::station::Brake;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a brake file is read again. A file of one word costs nothing, and its content is compared rather than its
/// time, since a mounted ConfigMap is exchanged by a symbolic link.
pub const FILE_PERIOD: Duration = Duration::from_millis(500);

/// A brake file is one word; a large one is a mistake, and is not read to its end.
const MAX_FILE_BYTES: u64 = 4096;

/// Why a brake's text was not understood.
#[derive(Debug, thiserror::Error)]
pub enum BrakeError {
    /// The file cannot be read.
    #[error(
        "failed to read the brake file {path:?}; write one word into it: Off, Report or NoCalls"
    )]
    ReadFile {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is none of the words.
    #[error("the brake's text {text:?} is none of Off, Report, NoCalls; write one of these words")]
    Understand {
        /// The text, shortened.
        text: String,
    },
}

/// Holds the brake and tells everyone who asks. Pulling and releasing are seen by all at once.
#[derive(Debug)]
pub struct BrakeLever {
    position: watch::Sender<Brake>,
}

impl BrakeLever {
    /// A brake in its first position.
    pub fn new(brake: Brake) -> Self {
        Self {
            position: watch::Sender::new(brake),
        }
    }

    /// The present position, and its changes.
    pub fn subscribe(&self) -> watch::Receiver<Brake> {
        self.position.subscribe()
    }

    /// The present position.
    pub fn position(&self) -> Brake {
        *self.position.borrow()
    }

    /// Puts the brake into a position, and logs if that is a change.
    pub fn set(&self, brake: Brake) {
        self.position.send_if_modified(|position| {
            let changed = *position != brake;
            if changed {
                if brake == Brake::Off {
                    tracing::info!(before = ?*position, "the brake is off");
                } else {
                    tracing::warn!(before = ?*position, now = ?brake, "the brake has changed");
                }
            }
            *position = brake;
            changed
        });
    }

    /// Puts the brake where the text says; one that is not understood holds at least `Report`.
    pub fn set_from(&self, text: &str) {
        self.take(parse(text));
    }

    /// A text, or why there is none; errors are logged once, when they pull the brake or change.
    fn take(&self, brake: Result<Brake, BrakeError>) {
        match brake {
            Ok(brake) => self.set(brake),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the brake is held at Report or more until its text is mended"
                );
                self.set(safer(self.position(), Brake::Report));
            }
        }
    }

    /// Follows a file until cancelled. Read it once with [`BrakeLever::read_file`] before anything is sent: a brake that
    /// was pulled before we started holds from the first frame on.
    ///
    /// A file that is missing counts as one that cannot be read: who names a brake file wants it obeyed, and a volume
    /// that vanished must not release the brake.
    pub async fn follow_file(&self, path: &Path, cancel: &CancellationToken) {
        let mut last = None;
        loop {
            let text = read(path).await;
            let told = text.as_ref().map_or_else(ToString::to_string, Clone::clone);
            if last.as_ref() != Some(&told) {
                last = Some(told);
                self.take(text.and_then(|text| parse(&text)));
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(FILE_PERIOD) => {}
            }
        }
    }

    /// Reads the file once.
    pub async fn read_file(&self, path: &Path) {
        self.take(read(path).await.and_then(|text| parse(&text)));
    }
}

/// One of the words, ignoring case: alone, quoted, or as `brake: WORD`; comments and empty lines around it are fine.
pub fn parse(text: &str) -> Result<Brake, BrakeError> {
    let not_understood = || BrakeError::Understand {
        text: text.chars().take(40).collect(),
    };
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(|line| {
            line.split_once('#')
                .map_or(line, |(before, _)| before)
                .trim()
        })
        .filter(|line| !line.is_empty() && *line != "---");
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(not_understood());
    };
    let word = line
        .strip_prefix("brake:")
        .unwrap_or(line)
        .trim()
        .trim_matches(['"', '\'']);
    match word.to_ascii_lowercase().as_str() {
        // YAML 1.1 reads an unquoted Off as false, and some tool may have written it back so.
        "off" | "false" => Ok(Brake::Off),
        "report" => Ok(Brake::Report),
        "nocalls" => Ok(Brake::NoCalls),
        _ => Err(not_understood()),
    }
}

/// The position that allows less.
pub fn safer(one: Brake, other: Brake) -> Brake {
    match (one, other) {
        (Brake::NoCalls, _) | (_, Brake::NoCalls) => Brake::NoCalls,
        (Brake::Report, _) | (_, Brake::Report) => Brake::Report,
        (Brake::Off, Brake::Off) => Brake::Off,
    }
}

async fn read(path: &Path) -> Result<String, BrakeError> {
    use tokio::io::AsyncReadExt;
    let text = async {
        let mut bytes = Vec::new();
        tokio::fs::File::open(path)
            .await?
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)
            .await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    text.await.map_err(|source| BrakeError::ReadFile {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<Brake>) {
        assert_eq!(parse(text).ok(), expect, "{text:?}");
    }

    #[test]
    fn a_word_is_read_as_people_write_it() {
        check("Off", Some(Brake::Off));
        check("report\n", Some(Brake::Report));
        check("  NoCalls  ", Some(Brake::NoCalls));
        check("\"Report\"", Some(Brake::Report));
        check(
            "# pulled on Monday\nbrake: 'NoCalls'  # by the night shift\n",
            Some(Brake::NoCalls),
        );
        check("---\nbrake: false\n", Some(Brake::Off));
        check("\u{feff}Report\r\n", Some(Brake::Report));
    }

    #[test]
    fn what_is_no_word_is_an_error() {
        for text in [
            "",
            "  \n",
            "On",
            "true",
            "Off Report",
            "Off\nNoCalls",
            "mode: Off",
            "brake:",
            "No Calls",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_text_that_is_not_understood_never_releases_the_brake() {
        for (before, after) in [
            (Brake::Off, Brake::Report),
            (Brake::Report, Brake::Report),
            (Brake::NoCalls, Brake::NoCalls),
        ] {
            let lever = BrakeLever::new(before);
            lever.set_from("of");
            assert_eq!(lever.position(), after);
        }
    }

    #[tokio::test]
    async fn a_file_is_obeyed_when_it_changes_and_when_it_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("brake");
        let lever = BrakeLever::new(Brake::Off);
        let mut position = lever.subscribe();
        let cancel = CancellationToken::new();
        tokio::fs::write(&path, "Off").await.unwrap();
        let script = async {
            for (text, expect) in [
                (Some("NoCalls"), Brake::NoCalls),
                (Some("Off"), Brake::Off),
                (None, Brake::Report),
                (Some("Off"), Brake::Off),
            ] {
                match text {
                    Some(text) => tokio::fs::write(&path, text).await.unwrap(),
                    None => tokio::fs::remove_file(&path).await.unwrap(),
                }
                let seen = position.wait_for(|brake| *brake == expect);
                tokio::time::timeout(Duration::from_secs(120), seen)
                    .await
                    .expect("the file is followed")
                    .unwrap();
            }
            cancel.cancel();
        };
        tokio::join!(lever.follow_file(&path, &cancel), script);
    }

    #[tokio::test]
    async fn a_large_file_is_a_mistake_and_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("brake");
        tokio::fs::write(&path, "x".repeat(10_000_000))
            .await
            .unwrap();
        let lever = BrakeLever::new(Brake::Off);
        lever.read_file(&path).await;
        assert_eq!(lever.position(), Brake::Report);
    }
}
