//! A connection that can be cut.
//!
//! In: the address of a server on this machine. Out: another address that leads there, until it is told
//! to let nothing through or to refuse. What is under way is neither changed nor understood.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

/// What a link does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Everything goes through.
    Open,
    /// Connections stay and are accepted, and nothing goes through: a network that drops packets.
    Silent,
    /// Connections are closed, new ones at once: a server that is gone.
    Closed,
}

/// A way to a server that a test can cut. It belongs to the runtime that made it.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    /// Held by whoever carries bytes across: so that it is known when the last are over.
    crossing: Arc<RwLock<()>>,
    // Dropping the set ends all of its tasks.
    _tasks: JoinSet<()>,
}

impl Link {
    /// Opens a way to the server.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("failed to open a link")?;
        let address = listener.local_addr().context("failed to open a link")?;
        let (passage, seen) = watch::channel(Passage::Open);
        let crossing = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, seen, Arc::clone(&crossing)));
        Ok(Self {
            address,
            passage,
            crossing,
            _tasks: tasks,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens or cuts it. Once this has returned, nothing goes another way than it says.
    pub async fn set(&self, passage: Passage) {
        let _nobody_crosses = self.crossing.write().await;
        self.passage.send_replace(passage);
    }
}

/// Takes connections and carries each in a task of its own.
async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    passage: watch::Receiver<Passage>,
    crossing: Arc<RwLock<()>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let crossing = Arc::clone(&crossing);
        connections.spawn(carry(client, server, passage.clone(), crossing));
    }
}

/// Carries one connection until one side or the link closes it.
async fn carry(
    client: TcpStream,
    server: SocketAddr,
    mut passage: watch::Receiver<Passage>,
    crossing: Arc<RwLock<()>>,
) {
    if *passage.borrow_and_update() == Passage::Closed {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    // Each arm ends the connection; a half-closed one is not needed by HTTP or WebSocket.
    tokio::select! {
        () = copy(from_client, to_server, passage.clone(), &crossing) => {}
        () = copy(from_server, to_client, passage.clone(), &crossing) => {}
        _ = passage.wait_for(|passage| *passage == Passage::Closed) => {}
    }
}

/// Copies bytes one way while the passage is open.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
    crossing: &RwLock<()>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let _crossing = loop {
            if passage
                .wait_for(|passage| *passage == Passage::Open)
                .await
                .is_err()
            {
                return;
            }
            let crossing = crossing.read().await;
            // It may have been cut meanwhile.
            if *passage.borrow() == Passage::Open {
                break crossing;
            }
        };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The end of a stream is news too, which a silent link does not carry.
    let _ = passage.wait_for(|passage| *passage == Passage::Open).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::LIMIT;
    use tokio::time::timeout;

    /// A server that answers each byte with itself.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_silent_link_keeps_what_it_is_given_until_it_is_open() {
        let link = Link::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        stream.write_all(b"a").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'a');

        link.set(Passage::Silent).await;
        stream.write_all(b"b").await.unwrap();
        let nothing = timeout(std::time::Duration::from_millis(200), stream.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");

        link.set(Passage::Open).await;
        assert_eq!(
            timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(),
            b'b'
        );
    }

    #[tokio::test]
    async fn a_closed_link_ends_its_connections_and_takes_none() {
        let link = Link::to(echo().await).await.unwrap();
        let mut old = TcpStream::connect(link.address()).await.unwrap();
        old.write_all(b"a").await.unwrap();
        assert_eq!(old.read_u8().await.unwrap(), b'a');

        link.set(Passage::Closed).await;
        assert!(timeout(LIMIT, old.read_u8()).await.unwrap().is_err());
        let mut new = TcpStream::connect(link.address()).await.unwrap();
        assert!(timeout(LIMIT, new.read_u8()).await.unwrap().is_err());
    }
}
