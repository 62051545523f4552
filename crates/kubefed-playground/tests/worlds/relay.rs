//! A TCP relay in front of an API server, which can refuse connections for a while.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Connections that come here go on to an API server. TLS passes through.
pub(crate) struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    /// Accepts and carries; `None` while connections are refused.
    work: Mutex<Option<JoinSet<()>>>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            address,
            server,
            work: Mutex::new(Some(carry_all(listener, server))),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, and refuses new ones.
    pub(crate) async fn refuse(&self) {
        if let Some(mut work) = self.work.lock().await.take() {
            work.shutdown().await;
        }
    }

    /// Takes connections again.
    pub(crate) async fn accept(&self) -> std::io::Result<()> {
        let mut work = self.work.lock().await;
        if work.is_none() {
            // tokio sets SO_REUSEADDR, so the address can be bound beside connections that linger.
            let listener = TcpListener::bind(self.address).await?;
            *work = Some(carry_all(listener, self.server));
        }
        Ok(())
    }
}

fn carry_all(listener: TcpListener, server: SocketAddr) -> JoinSet<()> {
    let mut work = JoinSet::new();
    work.spawn(async move {
        // Ends, and every connection with it, when the outer task is shut down.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        connections.spawn(carry(client, server));
                    }
                }
            }
        }
    });
    work
}

async fn carry(mut client: TcpStream, server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // Whichever side ends the connection, there is nothing more to do.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
