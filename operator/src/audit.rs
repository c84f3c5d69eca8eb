//! The audit (section 10 of the design): one JSON line for each call that changes a station. Kubernetes Events expire;
//! this does not.
//!
//! In comes an [`Entry`] after each such call; out goes a line to a file, stdout or stderr, in the order in which the
//! calls ended. A line has left the process when [`Audit::record`] returns: killing the process loses none. Secrets are
//! null. What is deliberately absent: rotation (`copytruncate` and the container runtime's log files both work, since
//! the file is opened for appending), and fsync for each line.
//!
//! **When a line cannot be written** (a full disk, a pipe that nobody reads) the call has happened already. So the line
//! is logged as an error and kept, and no further call that would change a station is sent until the kept lines are
//! written: [`Audit::ready`] says so, and tries them again. Nothing waits longer than [`LIMIT`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use stationkeeper_core::memory::Answer;
use tokio::sync::{mpsc, oneshot};

/// How long a line may take to leave the process. A disk that is slower than this is as good as full.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Lines on their way to the writer. More stations than this are not written at once.
const QUEUE: usize = 4096;

/// Lines that are written in one piece when many stations are written at once.
const BATCH: usize = 256;

/// Lines that are kept when they cannot be written; beyond it the log has the only copy. Since nothing is sent
/// meanwhile, only the calls that were in flight can add to them.
const KEPT: usize = 65_536;

/// One call that changed a station, or was meant to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// When its fate was known.
    pub time: Timestamp,
    /// Namespace of the `ChargeStation`.
    pub namespace: &'a str,
    /// Name of the `ChargeStation`.
    pub station: &'a str,
    /// The string with which the station connects.
    pub identity: &'a str,
    /// `ChangeConfiguration`.
    pub action: &'static str,
    /// The key as it was sent.
    pub key: &'a str,
    /// What the station showed before; null for secrets, and if it showed nothing.
    pub old: Option<&'a str>,
    /// What was sent; null for secrets.
    pub new: Option<&'a str>,
    /// `namespace/name` of the config that declares the value.
    pub config: String,
    /// The generation of that config.
    pub generation: i64,
    /// What became of the call.
    pub answer: Answer,
    /// What the station said besides.
    pub detail: Option<&'a str>,
    /// The message id of the call's frame; the log names it too.
    pub call_id: String,
    /// Tells the reconcile that it is part of from all others, also in the log.
    pub trace_id: Option<String>,
}

/// Where the lines go.
pub enum Destination {
    /// Appended to a file, which is made if it is missing.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Anything else.
    Writer(Box<dyn Write + Send>),
}

/// Why the audit cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be opened.
    #[error("failed to open the audit file {path:?} for appending")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that writes cannot be started.
    #[error("failed to start the writer of the audit")]
    Start(#[source] io::Error),
    /// Lines cannot be written now; no station is changed until they can.
    #[error(
        "failed to write the audit: {0}; make room or mend its destination, stations are not changed until then"
    )]
    Write(String),
}

/// The audit. Cheap to ask whether all is well; one thread writes, so that a destination that hangs blocks no task.
#[derive(Debug)]
pub struct Audit {
    lines: Option<mpsc::Sender<Message>>,
    /// How many lines could not be written since all were.
    behind: AtomicU64,
}

enum Message {
    Line(Vec<u8>, oneshot::Sender<Result<(), String>>),
    /// Write what was kept.
    Retry(oneshot::Sender<Result<(), String>>),
}

impl Audit {
    /// Keeps none: for tools and benchmarks that change simulated stations.
    pub fn off() -> Self {
        Self {
            lines: None,
            behind: AtomicU64::new(0),
        }
    }

    /// Opens the destination. The writer's thread ends when the audit is dropped and what it was given is written.
    pub fn to(destination: Destination) -> Result<Self, AuditError> {
        let sink = match destination {
            Destination::File(path) => {
                match File::options().append(true).create(true).open(&path) {
                    Ok(file) => Sink::File(file),
                    Err(source) => return Err(AuditError::Open { path, source }),
                }
            }
            Destination::Stdout => Sink::stream(Box::new(io::stdout())),
            Destination::Stderr => Sink::stream(Box::new(io::stderr())),
            Destination::Writer(writer) => Sink::stream(writer),
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_lines(receiver, sink))
            .map_err(AuditError::Start)?;
        Ok(Self {
            lines: Some(sender),
            behind: AtomicU64::new(0),
        })
    }

    /// May a station be changed? Only if every line so far is written; lines that were kept are tried again here.
    pub async fn ready(&self) -> Result<(), AuditError> {
        let behind = self.behind.load(Ordering::Acquire);
        if behind == 0 {
            return Ok(());
        }
        self.ask(Message::Retry).await?;
        // One that failed meanwhile holds the next change as well.
        let caught_up =
            self.behind
                .compare_exchange(behind, 0, Ordering::AcqRel, Ordering::Acquire);
        if caught_up.is_ok() {
            tracing::info!("the audit can be written again");
        }
        Ok(())
    }

    /// Are there lines that could not be written?
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire) > 0
    }

    /// Writes one line. On an error the line stands in the log, is kept for later, and [`Audit::ready`] says no.
    pub async fn record(&self, entry: &Entry<'_>) -> Result<(), AuditError> {
        if self.lines.is_none() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(entry).expect("an entry holds nothing that JSON cannot");
        line.push(b'\n');
        let written = self.ask(|done| Message::Line(line, done)).await;
        if let Err(error) = &written {
            self.behind.fetch_add(1, Ordering::AcqRel);
            tracing::error!(
                error = error as &dyn std::error::Error,
                ?entry,
                "a change of a station is not in the audit"
            );
        }
        written
    }

    async fn ask(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Message,
    ) -> Result<(), AuditError> {
        let Some(lines) = &self.lines else {
            return Ok(());
        };
        let (done, answer) = oneshot::channel();
        let asked = async {
            lines
                .send(message(done))
                .await
                .map_err(|_| "its writer has ended".to_owned())?;
            answer
                .await
                .map_err(|_| "its writer has ended".to_owned())?
        };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(written) => written.map_err(AuditError::Write),
            Err(_) => Err(AuditError::Write(format!(
                "it took longer than {} s",
                LIMIT.as_secs()
            ))),
        }
    }
}

/// The writer's thread: takes what has queued up, writes it in one piece, and answers for each line.
fn write_lines(mut messages: mpsc::Receiver<Message>, mut sink: Sink) {
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut batch = Vec::with_capacity(BATCH);
    while messages.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        for message in batch.drain(..) {
            match message {
                Message::Line(line, done) => {
                    if kept.len() < KEPT {
                        kept.push_back(line);
                    }
                    answers.push(done);
                }
                Message::Retry(done) => answers.push(done),
            }
        }
        let text: Vec<u8> = kept.iter().flatten().copied().collect();
        let written = sink.write(&text).map_err(|error| error.to_string());
        if written.is_ok() {
            kept.clear();
        }
        for done in answers {
            // Whoever asked may have given up waiting; the line is written or kept all the same.
            let _ = done.send(written.clone());
        }
    }
}

enum Sink {
    File(File),
    /// `torn`: the last write ended within a line.
    Stream {
        writer: Box<dyn Write + Send>,
        torn: bool,
    },
}

impl Sink {
    fn stream(writer: Box<dyn Write + Send>) -> Self {
        Self::Stream {
            writer,
            torn: false,
        }
    }

    /// All of the text or, as far as the destination allows it, nothing: no line is ever appended to half a line.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let length = file.metadata()?.len();
                file.write_all(text)
                    .inspect_err(|_| take_back(file, length))
            }
            Self::Stream { writer, torn } => {
                if *torn {
                    writer.write_all(b"\n")?;
                }
                *torn = true;
                writer.write_all(text)?;
                writer.flush()?;
                *torn = false;
                Ok(())
            }
        }
    }
}

/// Cuts off what a failed write left behind a file's whole lines.
fn take_back(file: &File, length: u64) {
    let shortened = file.metadata().and_then(|now| {
        if now.len() > length {
            file.set_len(length)
        } else {
            Ok(())
        }
    });
    if let Err(error) = shortened {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "half a line was left in the audit file"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn entry(key: &str) -> Entry<'_> {
        Entry {
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            namespace: "north",
            station: "cp-0001",
            identity: "CP 1/å",
            action: "ChangeConfiguration",
            key,
            old: Some("60"),
            new: None,
            config: "north/baseline".to_owned(),
            generation: 3,
            answer: Answer::RebootRequired,
            detail: None,
            call_id: "7".to_owned(),
            trace_id: Some("a1".to_owned()),
        }
    }

    /// A destination with so much room.
    #[derive(Clone, Default)]
    struct Disk {
        text: Arc<Mutex<Vec<u8>>>,
        room: Arc<Mutex<usize>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock().unwrap();
            let fits = bytes.len().min(*room);
            if fits == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *room -= fits;
            self.text.lock().unwrap().extend(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk {
        fn keys(&self) -> Vec<String> {
            let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
            let line = |line| serde_json::from_str::<serde_json::Value>(line).ok();
            text.lines()
                .filter_map(line)
                .map(|line| line["key"].as_str().unwrap().to_owned())
                .collect()
        }
    }

    #[tokio::test]
    async fn a_call_is_one_json_line_of_the_file_when_record_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"key\":\"of a former process\"}\n").unwrap();
        let audit = Audit::to(Destination::File(path.clone())).unwrap();
        audit.record(&entry("HeartbeatInterval")).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1],
            r#"{"time":"2026-03-01T12:00:00Z","namespace":"north","station":"cp-0001","identity":"CP 1/å","action":"ChangeConfiguration","key":"HeartbeatInterval","old":"60","new":null,"config":"north/baseline","generation":3,"answer":"RebootRequired","detail":null,"callId":"7","traceId":"a1"}"#
        );
    }

    #[tokio::test]
    async fn a_full_disk_is_told_holds_writes_and_loses_no_line() {
        let disk = Disk::default();
        *disk.room.lock().unwrap() = 100;
        let audit = Audit::to(Destination::Writer(Box::new(disk.clone()))).unwrap();
        assert!(audit.ready().await.is_ok());
        assert!(
            audit.record(&entry("A")).await.is_err(),
            "the caller is told"
        );
        assert!(audit.record(&entry("B")).await.is_err());
        assert!(audit.ready().await.is_err(), "nothing more is to be sent");
        *disk.room.lock().unwrap() = usize::MAX;
        assert!(audit.ready().await.is_ok(), "and it mends by itself");
        audit.record(&entry("C")).await.unwrap();
        assert_eq!(disk.keys(), ["A", "B", "C"]);
    }

    #[test]
    fn half_a_line_is_taken_back_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{}\n{\"key\":").unwrap();
        take_back(&File::options().append(true).open(&path).unwrap(), 3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_device_is_an_error_for_who_records() {
        let audit = Audit::to(Destination::File("/dev/full".into())).unwrap();
        let error = audit.record(&entry("A")).await.unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_that_hangs_blocks_nobody() {
        struct Hanging(std::sync::mpsc::Receiver<()>);
        impl Write for Hanging {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, hanging) = std::sync::mpsc::channel();
        let audit = Audit::to(Destination::Writer(Box::new(Hanging(hanging)))).unwrap();
        assert!(audit.record(&entry("A")).await.is_err());
        assert!(audit.ready().await.is_err());
        drop(release);
    }

    #[tokio::test]
    async fn many_stations_at_once_are_all_written() {
        let disk = Disk::default();
        *disk.room.lock().unwrap() = usize::MAX;
        let audit = Arc::new(Audit::to(Destination::Writer(Box::new(disk.clone()))).unwrap());
        let mut stations = tokio::task::JoinSet::new();
        for station in 0..1_000 {
            let audit = audit.clone();
            stations
                .spawn(async move { audit.record(&entry(&station.to_string())).await.unwrap() });
        }
        stations.join_all().await;
        assert_eq!(disk.keys().len(), 1_000);
    }
}
