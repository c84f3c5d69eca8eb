//! Ports that stay the same while a server is down.
//!
//! A server that is restarted in the middle of a test must come back on its port, so port 0 will not
//! do there. In: nothing. Out: a port that no other test process takes. It lies below the range from
//! which systems take ports by themselves, and is kept by a lock on a file, which ends with the process.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use anyhow::{Context as _, Result, bail};

/// Below 32768, where Linux begins to choose, and above what servers commonly use.
const PORTS: Range<u16> = 20_000..30_000;

/// A port on the loopback address, kept until this goes out of scope.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _lock: File,
}

impl ReservedPort {
    /// Finds a port that is free and keeps it.
    pub fn reserve() -> Result<Self> {
        let folder = std::env::temp_dir().join("stationkeeper-ports");
        std::fs::create_dir_all(&folder).context("failed to make the folder of port locks")?;
        // Test processes that start together begin at different places.
        let first =
            u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
        for step in 0..(PORTS.end - PORTS.start) {
            let number = PORTS.start + (first + step) % (PORTS.end - PORTS.start);
            let lock = File::create(folder.join(number.to_string()))
                .context("failed to open a port lock")?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("no port from {} to {} is free", PORTS.start, PORTS.end - 1)
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The loopback address with the port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_port_is_not_given_twice() {
        let ports: Vec<ReservedPort> = (0..20).map(|_| ReservedPort::reserve().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(ReservedPort::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }
}
