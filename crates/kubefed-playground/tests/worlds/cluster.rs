//! A real cluster in a playground: etcd, kube-apiserver and kube-controller-manager.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use kubefed_playground::kubefed_api::{QualifiedName, ResourceType};
use kubefed_playground::{Joining, PlayedCluster};
use kubefed_testing::ApiServer;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::kubelet;
use crate::mirror::{Mirror, Objects};

/// A real cluster. Handles share it.
#[derive(Clone)]
pub(crate) struct RealCluster(Arc<Inner>);

struct Inner {
    server: Mutex<ApiServer>,
    address: SocketAddr,
    authority: Vec<u8>,
    client: Client,
    mirror: Mirror,
    _kubelet: JoinSet<()>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl RealCluster {
    /// Takes over a server that runs with controllers.
    pub(crate) fn of(server: ApiServer) -> Result<Self, Failure> {
        let cluster = server.kubeconfig().clusters[0].cluster.as_ref().unwrap();
        let url = cluster.server.as_deref().unwrap();
        let address = url.trim_start_matches("https://").parse()?;
        let authority = std::fs::read(cluster.certificate_authority.as_deref().unwrap())?;
        let client = server.client();
        let mut kubelet = JoinSet::new();
        kubelet.spawn(kubelet::play(client.clone()));
        Ok(Self(Arc::new(Inner {
            server: Mutex::new(server),
            address,
            authority,
            mirror: Mirror::of(client.clone()),
            client,
            _kubelet: kubelet,
        })))
    }

    /// Where the API server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How many objects of a resource are like this.
    pub(crate) fn count(&self, resource: &ResourceType, like: impl Fn(&Value) -> bool) -> usize {
        let count = |objects: &Objects| objects.values().filter(|object| like(object)).count();
        self.0.mirror.with(resource, count)
    }

    /// The certificate authority in PEM.
    #[allow(
        dead_code,
        reason = "the bench gives it to the program that it measures"
    )]
    pub(crate) fn authority(&self) -> &[u8] {
        &self.0.authority
    }

    /// How the control plane is to reach the cluster.
    pub(crate) fn joining(&self, address: SocketAddr, token: &str) -> Joining<Self> {
        let endpoint = format!("https://{address}");
        Joining::new(self.clone(), endpoint, token).ca_bundle(&*self.0.authority)
    }

    /// Stops every process, does something with what they have stored, and starts them again. A server
    /// that runs is compacted before, so that neither etcd nor the API server then knows any event from
    /// before.
    pub(crate) async fn restart(
        &self,
        between: impl FnOnce(&ApiServer) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut server = self.0.server.lock().await;
        if !server.process_ids().is_empty() {
            server.compact().await.map_err(io::Error::other)?;
        }
        server.stop();
        between(&server)?;
        server.restart().await.map_err(io::Error::other)?;
        // What was stored may have gone back in time, and a watch that begins later than that is silent.
        self.0.mirror.begin_anew();
        Ok(())
    }
}

impl PlayedCluster for RealCluster {
    fn client(&self) -> Client {
        self.0.client.clone()
    }

    fn follow(&self, resource: &ResourceType) {
        self.0.mirror.follow(resource);
    }

    fn object(&self, resource: &ResourceType, name: &QualifiedName) -> Option<Value> {
        self.0
            .mirror
            .with(resource, |objects| objects.get(name).cloned())
    }

    fn objects(&self, resource: &ResourceType) -> Vec<Value> {
        let all = |objects: &Objects| objects.values().cloned().collect();
        self.0.mirror.with(resource, all)
    }

    fn changes(&self) -> u64 {
        self.0.mirror.changes()
    }

    /// Kills the processes; what they had stored stays.
    async fn go_down(&self) -> io::Result<()> {
        self.0.server.lock().await.stop();
        Ok(())
    }

    async fn come_back(&self) -> io::Result<()> {
        self.restart(|_| Ok(())).await
    }
}
