//! The address of a Service: connections go to whoever is behind it when they are made, and are refused when nobody is.

use std::net::SocketAddr;

use anyhow::Result;
use stationkeeper_tests::ReservedPort;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An address that leads to another, which may change.
#[derive(Debug)]
pub(crate) struct Door {
    port: ReservedPort,
    behind: watch::Sender<Option<SocketAddr>>,
    // Dropping the set ends its task, and with it the connections.
    _tasks: JoinSet<()>,
}

impl Door {
    /// A door that leads nowhere yet.
    pub(crate) fn new() -> Result<Self> {
        let port = ReservedPort::reserve()?;
        let (behind, seen) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(port.address(), seen));
        Ok(Self {
            port,
            behind,
            _tasks: tasks,
        })
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// New connections lead there from now on; those that are open stay.
    pub(crate) fn lead(&self, behind: Option<SocketAddr>) {
        self.behind
            .send_if_modified(|before| std::mem::replace(before, behind) != behind);
    }
}

/// Takes connections while there is somebody to lead them to, and carries each in a task of its own.
async fn accept(address: SocketAddr, mut behind: watch::Receiver<Option<SocketAddr>>) {
    let mut connections = JoinSet::new();
    let mut listener = None;
    loop {
        while connections.try_join_next().is_some() {}
        let Some(server) = *behind.borrow_and_update() else {
            listener = None;
            if behind.changed().await.is_err() {
                return;
            }
            continue;
        };
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind(address).await {
                Ok(open) => open,
                Err(_) => return,
            },
        };
        // Both arms are cancel-safe.
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(carry(client, server));
                }
            }
            changed = behind.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        listener = Some(open);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // Whoever breaks it off ends the connection; there is nobody to tell.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
