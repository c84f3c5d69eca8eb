//! Logs: where they go, in which form, and what is let through, which can be changed while the process runs.
//!
//! In: a filter and a format. Out: lines on stderr, so that stdout holds nothing but what was asked for. A JSON line is one
//! flat object: what was said, and the fields of the event and of the spans that it happened in (`namespace`, `station`,
//! `identity`, `config`, `key`, `call_id`, `trace_id`), the inner ones first.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::clock;

/// A process has one subscriber, so the handle to its filter is the process's too.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[value(alias = "text")]
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// In a Pod logs are read by machines, elsewhere by people.
    pub fn usual() -> Self {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Self::Json
        } else {
            Self::Human
        }
    }
}

/// Why logs are not set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter.
    #[error("{filter:?} is no filter; write a level like info, or target=level")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs are somebody else's.
    #[error("the logs of this process are not set up by stationkeeper")]
    NotOurs,
}

/// Sends logs to stderr.
pub fn to_stderr(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let set = match format {
        LogFormat::Human => registry
            .with(lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())))
            .try_init(),
        LogFormat::Json => registry
            .with(
                lines
                    .with_ansi(false)
                    .fmt_fields(JsonFields::new())
                    .event_format(JsonLines),
            )
            .try_init(),
    };
    set.map_err(|_| LogError::NotOurs)?;
    FILTER.set(handle).map_err(|_| LogError::NotOurs)
}

/// The filter in force.
pub fn filter() -> Result<String, LogError> {
    let handle = FILTER.get().ok_or(LogError::NotOurs)?;
    handle
        .with_current(ToString::to_string)
        .map_err(|_| LogError::NotOurs)
}

/// Puts another filter in force. A wrong one changes nothing.
pub fn set_filter(text: &str) -> Result<(), LogError> {
    let handle = FILTER.get().ok_or(LogError::NotOurs)?;
    handle.reload(parse(text)?).map_err(|_| LogError::NotOurs)?;
    tracing::info!(filter = text, "the log filter was changed");
    Ok(())
}

fn parse(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(text).map_err(|source| LogError::Filter {
        filter: text.to_owned(),
        source,
    })
}

/// One flat JSON object a line.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        let scope = context.event_scope().into_iter();
        for span in scope.flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(of_span)) = serde_json::from_str(&of_span.fields)
            {
                fields.0.extend(of_span);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        for (name, value) in [
            ("timestamp", clock::now().to_string()),
            ("level", metadata.level().to_string()),
            ("target", metadata.target().to_owned()),
        ] {
            fields.0.insert(name.to_owned(), value.into());
        }
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    /// With its causes: a message of ours does not repeat them.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut told = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            told = format!("{told}: {error}");
            cause = error.source();
        }
        self.put(field, told);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || lines.clone())
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines);
        let cause = std::io::Error::other("disk full");
        let error = crate::audit::AuditError::Start(cause);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("reconcile", station = "cp-1", trace_id = "ab\"c");
            let _in = span.enter();
            tracing::warn!(
                key = "HeartbeatInterval",
                attempts = 3,
                error = &error as &dyn Error,
                "line one\nline two"
            );
        });
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        for (field, expected) in [
            ("level", Value::from("WARN")),
            ("message", "line one\nline two".into()),
            ("station", "cp-1".into()),
            ("trace_id", "ab\"c".into()),
            ("key", "HeartbeatInterval".into()),
            ("attempts", 3.into()),
            ("error", format!("{error}: disk full").into()),
            ("target", module_path!().into()),
        ] {
            assert_eq!(line[field], expected, "{field} in {text}");
        }
    }
}
