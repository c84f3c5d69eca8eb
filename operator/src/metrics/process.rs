//! The process itself, by the names that every Prometheus client library uses; read from `/proc` at each scrape, and
//! left out where there is none.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::clock;

/// The unit of processor time in `/proc` (USER_HZ): 100 a second on every architecture that Linux has for servers.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers them.
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process {
        started: clock::now().as_second(),
    }));
}

#[derive(Debug)]
struct Process {
    started: i64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            None => Ok(()),
            Some(value) => {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            }
        };
        gauge(
            "process_start_time_seconds",
            "When the process started",
            Some(self.started),
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM",
            resident_memory(),
        )?;
        gauge(
            "process_open_fds",
            "Open file descriptors; each connected station is one",
            open_files(),
        )?;
        gauge(
            "process_max_fds",
            "How many file descriptors the process may open",
            most_files(),
        )?;
        let Some(seconds) = processor_seconds() else {
            return Ok(());
        };
        let counter = ConstCounter::new(seconds);
        counter.encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            "Processor time that the process has used",
            None,
            counter.metric_type(),
        )?)
    }
}

fn resident_memory() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn most_files() -> Option<i64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold spaces; the 14th and 15th are the times.
    let fields = stat.rsplit_once(") ")?.1;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}
