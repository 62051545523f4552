//! A cluster on a loopback TCP port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use kube::config::Kubeconfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::network::serve_connection;
use crate::service::Endpoint;

/// A served cluster; dropping it closes the port. Open connections go on until their clients leave.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    cluster: Cluster,
    task: JoinHandle<()>,
}

impl Cluster {
    /// Serves the cluster over plain HTTP on a loopback port; 0 lets the system choose.
    ///
    /// Requests need a bearer token, as over a [`Network`](crate::Network). kubectl sends none without
    /// TLS, and so the [kubeconfig](Serving::kubeconfig) names a path that only its reader knows.
    ///
    /// # Errors
    /// Where the port cannot be opened.
    pub async fn serve(&self, port: u16) -> io::Result<Serving> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        let endpoint = Endpoint::checked(shared.clone()).below(format!("/{}", self.admin_token()));
        let task = tokio::spawn(async move {
            // An error to accept concerns one connection, and the next may succeed.
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if !shared.lock().faults.refuses() {
                    tokio::spawn(serve_connection(endpoint.clone(), stream));
                }
            }
        });
        Ok(Serving {
            address,
            cluster: self.clone(),
            task,
        })
    }
}

impl Serving {
    /// Where the cluster listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the API server for an administrator.
    #[must_use]
    pub fn server(&self) -> String {
        format!("http://{}/{}", self.address, self.cluster.admin_token())
    }

    /// A kubeconfig whose only context, named like the cluster, is an administrator of it.
    ///
    /// # Errors
    /// Where the file's form is not one that kube knows, which would be a defect of this library.
    pub fn kubeconfig(&self) -> serde_json::Result<Kubeconfig> {
        let name = self.cluster.name();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{ "name": name, "cluster": { "server": self.server() } }],
            "users": [{ "name": name, "user": {} }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": name, "namespace": "default" } }],
        }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}
