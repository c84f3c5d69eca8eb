//! The journal: transactions are stored and synced before they are answered (section 8 of the design).
//!
//! One JSON line a message, written by one thread; messages that come while it syncs are written and synced together.
//! Transaction ids are given here, so that a StartTransaction that a station repeats (it did not get the answer) gets
//! the id that it got before, also after a restart: the journal is read at the start. A last line that a crash left
//! torn is cut off; nobody was answered for it.
//!
//! What it does not do: rotate. The file may be moved away while the process is down; ids go on from the clock, so that
//! they do not repeat.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use stationkeeper_ocpp::station_call::StartTransaction;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock;

/// How many StartTransactions are remembered for repeats. A station repeats within its retry interval, or after an
/// outage of weeks; half a million cover both and take some 50 MB.
const MAX_REMEMBERED: usize = 500_000;

/// Ids start from the seconds since 2023-11-14, so that those of a journal that was lost are not given again (at less
/// than one transaction a second on average) and stay within 31 bits, which some stations store.
const ID_EPOCH: i64 = 1_700_000_000;

/// How many messages are synced together at most.
const MAX_BATCH: usize = 1024;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error("failed to open the journal {path:?}; its directory must exist and be writable")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process.
    #[error("the journal {path:?} is in use by another process; stop it, or name another file")]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// Not a file.
    #[error("the journal {path:?} is not a regular file; name one")]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Its content.
    #[error("failed to read the journal {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The message was not stored: it must not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotStored;

/// A message to be stored.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) identity: String,
    pub(super) message_id: String,
    pub(super) action: &'static str,
    pub(super) payload: Box<RawValue>,
    /// Of a StartTransaction that was understood: it gets an id.
    pub(super) start: Option<StartTransaction>,
    /// What was told of its id tag.
    pub(super) id_tag_status: Option<&'static str>,
    /// What is wrong with the message, if it was refused.
    pub(super) refused: Option<String>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: Timestamp,
    identity: &'a str,
    message_id: &'a str,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    transaction_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id_tag_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    refused: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Stores messages. The writer ends when it is told to, or when all of these are dropped.
#[derive(Clone)]
pub(super) struct Journal {
    requests: mpsc::Sender<Request>,
}

enum Request {
    Store(Box<Store>),
    /// What came before is stored; nothing comes after.
    Stop,
}

struct Store {
    entry: Entry,
    stored: oneshot::Sender<Result<Option<i64>, NotStored>>,
}

impl Journal {
    /// Opens the file, reads it, and starts the writer.
    pub(super) fn open(path: &Path) -> Result<(Self, JoinHandle<()>), JournalError> {
        let mut writer = Writer::open(path)?;
        let (requests, mut received) = mpsc::channel(MAX_BATCH);
        let task = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::new();
            while received.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
                let mut stopped = false;
                writer.store(batch.drain(..).filter_map(|request| match request {
                    Request::Store(store) => Some(*store),
                    Request::Stop => {
                        stopped = true;
                        None
                    }
                }));
                if stopped {
                    return;
                }
            }
        });
        Ok((Self { requests }, task))
    }

    /// Stores a message; resolves when it is synced, to the id of its transaction if it starts one.
    pub(super) async fn store(&self, entry: Entry) -> Result<Option<i64>, NotStored> {
        let (stored, answer) = oneshot::channel();
        self.requests
            .send(Request::Store(Box::new(Store { entry, stored })))
            .await
            .map_err(|_| NotStored)?;
        answer.await.unwrap_or(Err(NotStored))
    }

    /// Ends the writer, once it has stored what was sent before.
    pub(super) async fn stop(&self) {
        // It may have ended already.
        let _ = self.requests.send(Request::Stop).await;
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    /// The length up to which the file is known to be good.
    good: u64,
    transactions: Transactions,
    broken: bool,
}

impl Writer {
    fn open(path: &Path) -> Result<Self, JournalError> {
        let open = |source| JournalError::Open {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(open)?;
        if !file.metadata().map_err(open)?.is_file() {
            return Err(JournalError::NotAFile {
                path: path.to_owned(),
            });
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(open(source)),
        }
        // A file that was just made is there after a crash only if its directory was synced too.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(open)?;
        let read = |source| JournalError::Read {
            path: path.to_owned(),
            source,
        };
        let (good, transactions) = replay(&file, path).map_err(read)?;
        file.set_len(good).map_err(open)?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            good,
            transactions,
            broken: false,
        };
        writer.file.seek(SeekFrom::Start(good)).map_err(open)?;
        Ok(writer)
    }

    /// Stores a batch: all of it, or none.
    fn store(&mut self, batch: impl Iterator<Item = Store>) {
        let now = clock::now();
        let mut text = Vec::new();
        let mut answers = Vec::new();
        let mut started = Vec::new();
        for Store { entry, stored } in batch {
            let mut id = None;
            if let Some(start) = &entry.start {
                let fingerprint = Fingerprint::of(&entry.identity, start);
                let known = self.transactions.known(&fingerprint);
                let repeated = known.or_else(|| {
                    started
                        .iter()
                        .find(|(one, _)| *one == fingerprint)
                        .map(|(_, id): &(Fingerprint, i64)| *id)
                });
                if let Some(id) = repeated {
                    answers.push((stored, Some(id)));
                    continue;
                }
                let new = self.transactions.next_id(started.len());
                started.push((fingerprint, new));
                id = Some(new);
            }
            let line = Line {
                time: now,
                identity: &entry.identity,
                message_id: &entry.message_id,
                action: entry.action,
                transaction_id: id,
                id_tag_status: entry.id_tag_status,
                refused: entry.refused.as_deref(),
                payload: &entry.payload,
            };
            match line_text(&line) {
                Ok(line) => text.extend_from_slice(&line),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a message cannot be written as JSON"
                    );
                    if id.is_some() {
                        started.pop();
                    }
                    let _ = stored.send(Err(NotStored));
                    continue;
                }
            }
            answers.push((stored, id));
        }
        let written = self.write(&text);
        if written.is_ok() {
            for (fingerprint, id) in started {
                self.transactions.remember(fingerprint, id);
            }
        }
        for (stored, id) in answers {
            // A station that has gone meanwhile repeats its message on its next connection.
            let _ = stored.send(written.map(|()| id));
        }
    }

    fn write(&mut self, text: &[u8]) -> Result<(), NotStored> {
        if text.is_empty() {
            return Ok(());
        }
        let length = u64::try_from(text.len()).map_err(|_| NotStored)?;
        match self
            .file
            .write_all(text)
            .and_then(|()| self.file.sync_data())
        {
            Ok(()) => {
                self.good += length;
                if std::mem::take(&mut self.broken) {
                    tracing::info!(journal = %self.path.display(), "the journal can be written again");
                }
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.broken, true) {
                    tracing::error!(
                        journal = %self.path.display(),
                        error = &error as &dyn std::error::Error,
                        "failed to store transactions; stations are disconnected and keep them; make room, or mend the disk"
                    );
                }
                // What may have been written in part must not stand in front of what comes next.
                let mended = self
                    .file
                    .set_len(self.good)
                    .and_then(|()| self.file.seek(SeekFrom::Start(self.good)));
                if let Err(error) = mended {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "failed to cut off a torn line"
                    );
                }
                Err(NotStored)
            }
        }
    }
}

/// A line in one piece: a payload may hold line feeds, which are only white space in JSON.
fn line_text(line: &Line<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec(line)?;
    for byte in &mut text {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    text.push(b'\n');
    Ok(text)
}

/// Reads the journal: up to where it is good, and the transactions in it.
fn replay(file: &File, path: &Path) -> std::io::Result<(u64, Transactions)> {
    let mut transactions = Transactions::new(clock::now());
    let mut good = 0;
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let length = reader.read_until(b'\n', &mut bytes)?;
        if length == 0 {
            break;
        }
        if bytes.last() != Some(&b'\n') {
            tracing::warn!(journal = %path.display(), line = number, "the last line is torn and is cut off; nobody was answered for it");
            break;
        }
        good += u64::try_from(length).unwrap_or(u64::MAX);
        match serde_json::from_slice::<OwnedLine>(&bytes) {
            Ok(line) => line.remember(&mut transactions),
            Err(error) => tracing::warn!(
                journal = %path.display(),
                line = number,
                error = &error as &dyn std::error::Error,
                "a line of the journal cannot be understood; it is left as it is"
            ),
        }
    }
    Ok((good, transactions))
}

/// A line as it is read back: strings may hold escapes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnedLine {
    identity: String,
    action: String,
    #[serde(default)]
    transaction_id: Option<i64>,
    payload: Box<RawValue>,
}

impl OwnedLine {
    fn remember(self, transactions: &mut Transactions) {
        use stationkeeper_ocpp::station_call::{Action, StationCall};
        let Some(id) = self.transaction_id else {
            return;
        };
        if Action::read(&self.action) != Some(Action::StartTransaction) {
            return;
        }
        if let Ok(StationCall::StartTransaction(start)) =
            StationCall::read(Action::StartTransaction, &self.payload)
        {
            transactions.remember(Fingerprint::of(&self.identity, &start), id);
        }
    }
}

/// Stands for a StartTransaction: two that are equal are the same one, repeated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint([u8; 16]);

impl Fingerprint {
    fn of(identity: &str, start: &StartTransaction) -> Self {
        let StartTransaction {
            connector,
            id_tag,
            meter_start,
            timestamp,
        } = start;
        let mut digest = Sha256::new();
        for part in [identity, id_tag, timestamp] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.update(connector.to_le_bytes());
        digest.update(meter_start.to_le_bytes());
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest.finalize()[..16]);
        Self(fingerprint)
    }
}

struct Transactions {
    ids: HashMap<Fingerprint, i64>,
    order: VecDeque<Fingerprint>,
    next: i64,
}

impl Transactions {
    fn new(now: Timestamp) -> Self {
        let next = (now.as_second() - ID_EPOCH).max(1);
        Self {
            ids: HashMap::new(),
            order: VecDeque::new(),
            next,
        }
    }

    fn known(&self, fingerprint: &Fingerprint) -> Option<i64> {
        self.ids.get(fingerprint).copied()
    }

    /// The id after `further` others that were given but are not remembered yet.
    fn next_id(&self, further: usize) -> i64 {
        self.next
            .saturating_add(i64::try_from(further).unwrap_or(i64::MAX))
    }

    fn remember(&mut self, fingerprint: Fingerprint, id: i64) {
        self.next = self.next.max(id.saturating_add(1));
        if self.ids.insert(fingerprint, id).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(identity: &str, meter_start: i64) -> Entry {
        let payload = format!(
            "{{\"connectorId\":1,\n\"idTag\":\"A\",\"meterStart\":{meter_start},\"timestamp\":\"2026-01-01T00:00:00Z\"}}"
        );
        Entry {
            identity: identity.to_owned(),
            message_id: "1".to_owned(),
            action: "StartTransaction",
            payload: RawValue::from_string(payload).unwrap(),
            start: Some(StartTransaction {
                connector: 1,
                id_tag: "A".to_owned(),
                meter_start,
                timestamp: "2026-01-01T00:00:00Z".to_owned(),
            }),
            id_tag_status: Some("Accepted"),
            refused: None,
        }
    }

    async fn stored(journal: &Journal, entry: Entry) -> i64 {
        journal.store(entry).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_repeated_start_gets_the_same_id_also_after_a_restart_with_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, task) = Journal::open(&path).unwrap();
        let first = stored(&journal, start("a/\"1", 10)).await;
        let second = stored(&journal, start("a/\"1", 20)).await;
        assert_ne!(first, second);
        assert_eq!(stored(&journal, start("a/\"1", 10)).await, first);
        assert_ne!(stored(&journal, start("b", 10)).await, first);
        drop(journal);
        task.await.unwrap();

        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            lines.lines().count(),
            3,
            "repeats are not stored twice: {lines}"
        );
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"time\":\"2026-0")
            .unwrap();

        let (journal, task) = Journal::open(&path).unwrap();
        assert_eq!(stored(&journal, start("a/\"1", 20)).await, second);
        let third = stored(&journal, start("c", 1)).await;
        assert!(third > second);
        drop(journal);
        task.await.unwrap();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[tokio::test]
    async fn two_processes_do_not_share_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, task) = Journal::open(&path).unwrap();
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::Locked { .. })
        ));
        drop(journal);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_stores_nothing_and_says_so() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(full)
            .unwrap();
        let transactions = Transactions::new(clock::now());
        let mut writer = Writer {
            path: full.to_owned(),
            file,
            good: 0,
            transactions,
            broken: false,
        };
        let (stored, answer) = oneshot::channel();
        writer.store(
            [Store {
                entry: start("a", 1),
                stored,
            }]
            .into_iter(),
        );
        assert_eq!(answer.await.unwrap(), Err(NotStored));
        assert!(writer.transactions.ids.is_empty());
    }
}
