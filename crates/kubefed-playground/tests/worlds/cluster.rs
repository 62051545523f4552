//! A real cluster in a playground: etcd, kube-apiserver and kube-controller-manager behind a relay.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use kube::Client;
use kubefed_playground::kubefed_api::{QualifiedName, ResourceType};
use kubefed_playground::{Joining, PlayedCluster};
use kubefed_testing::ApiServer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::kubelet;
use crate::mirror::Mirror;
use crate::relay::Relay;

/// A real cluster. Handles share it.
#[derive(Clone)]
pub(crate) struct RealCluster(Arc<Inner>);

struct Inner {
    server: Mutex<ApiServer>,
    client: Client,
    mirror: Mirror,
    /// What the control plane goes through; everybody else connects directly.
    relay: Relay,
    token: String,
    authority: Vec<u8>,
    _kubelet: JoinSet<()>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl RealCluster {
    pub(crate) async fn start(name: &str) -> Result<Self, Failure> {
        let server = ApiServer::builder()
            .name(name)
            .controllers()
            .start()
            .await?;
        let kubeconfig = server.kubeconfig();
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        let url = cluster.server.as_deref().unwrap();
        let address: SocketAddr = url.trim_start_matches("https://").parse()?;
        let authority = std::fs::read(cluster.certificate_authority.as_deref().unwrap())?;
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        let token = serde_json::to_value(user)?["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let client = server.client();
        let mut kubelet = JoinSet::new();
        kubelet.spawn(kubelet::play(client.clone()));
        Ok(Self(Arc::new(Inner {
            mirror: Mirror::of(client.clone()),
            relay: Relay::to(address).await?,
            server: Mutex::new(server),
            client,
            token,
            authority,
            _kubelet: kubelet,
        })))
    }

    pub(crate) fn joining(&self) -> Joining<Self> {
        let endpoint = format!("https://{}", self.0.relay.address());
        Joining::new(self.clone(), endpoint, &*self.0.token).ca_bundle(&*self.0.authority)
    }

    /// Ends the control plane's connections and refuses new ones, while the cluster goes on.
    pub(crate) async fn cut(&self) {
        self.0.relay.refuse().await;
    }

    /// Lets the control plane through again.
    pub(crate) async fn mend(&self) -> io::Result<()> {
        self.0.relay.accept().await
    }

    /// Restarts every process. The API server forgets the events that watches could be resumed from.
    pub(crate) async fn restart(&self) -> io::Result<()> {
        let restarted = self.0.server.lock().await.restart().await;
        restarted.map_err(io::Error::other)
    }

    /// Copies what is stored, as an administrator does before an upgrade.
    pub(crate) async fn back_up(&self) -> io::Result<TempDir> {
        let mut server = self.0.server.lock().await;
        server.stop();
        let backup = TempDir::new()?;
        copy_folder(&server.dir().join("etcd"), backup.path())?;
        server.restart().await.map_err(io::Error::other)?;
        Ok(backup)
    }

    /// Goes back to what was stored then. Resource versions are given out a second time.
    pub(crate) async fn restore(&self, backup: &TempDir) -> io::Result<()> {
        let mut server = self.0.server.lock().await;
        server.stop();
        let data = server.dir().join("etcd");
        std::fs::remove_dir_all(&data)?;
        copy_folder(backup.path(), &data)?;
        server.restart().await.map_err(io::Error::other)?;
        self.0.mirror.begin_anew();
        Ok(())
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl PlayedCluster for RealCluster {
    fn client(&self) -> Client {
        self.0.client.clone()
    }

    fn follow(&self, resource: &ResourceType) {
        self.0.mirror.follow(resource);
    }

    fn object(&self, resource: &ResourceType, name: &QualifiedName) -> Option<Value> {
        self.0.mirror.object(resource, name)
    }

    fn objects(&self, resource: &ResourceType) -> Vec<Value> {
        self.0.mirror.objects(resource)
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
        self.restart().await
    }
}
