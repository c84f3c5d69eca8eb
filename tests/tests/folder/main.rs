//! The product without a cluster, as its users run it: `run --manifests` as a process, real stations, and `status`.

mod catalogues;
mod files;
mod process;
mod reboots;
mod secrets;
mod site;
