//! Metrics, alerts, dashboard, logs and traces, with promtool, with Prometheus, and with a fleet that is really there.

mod alerts;
mod dashboard;
mod fleet;
mod logs;
mod metrics;
mod traces;
