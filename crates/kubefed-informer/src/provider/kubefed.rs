use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kubefed_api::well_known::TOKEN_KEY;
use kubefed_api::{KubeFedCluster, QualifiedName};
use serde_json::Value;
use tokio::sync::watch;

use super::{Access, ClusterProvider, ClusterSet, ClusterSpec};
use crate::connection::{BearerToken, ConnectionSpec, Malformed, SecretToken};
use crate::informer::{Informer, WatchSpec};
use crate::observed::{Observed, Typed};
use crate::store::{Lookup, Store};
use crate::task::Task;

/// The clusters that KubeFedClusters and their Secrets in the host cluster describe.
///
/// Both kinds are watched, so a new token takes effect without a restart, and a cluster whose deletion
/// was missed by a watch is gone after the next list. The set counts as synced once KubeFedClusters
/// have been listed; until Secrets have been listed too, clusters are known but not reached.
///
/// Of each Secret in the namespace only the key `token` is kept.
#[derive(Debug)]
pub struct KubeFedClusters {
    clusters: Arc<Informer<Typed<KubeFedCluster>>>,
    set: watch::Sender<ClusterSet>,
    _publisher: Task,
}

impl KubeFedClusters {
    /// Watches the KubeFed namespace of a host cluster. The client should have deadlines
    /// ([`guarded`](crate::guarded)).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn watch(host: Client, namespace: &str) -> Self {
        let clusters = WatchSpec::of_kind::<KubeFedCluster>().namespace(namespace);
        let secrets = WatchSpec::of_kind::<Secret>().namespace(namespace);
        let clusters = Arc::new(Informer::start("host", host.clone(), clusters));
        let secrets = Informer::<TokenOfSecret>::start("host", host, secrets);
        let set = watch::Sender::default();
        Self {
            _publisher: Task::spawn(publish(
                clusters.clone(),
                secrets,
                namespace.to_owned(),
                set.clone(),
            )),
            clusters,
            set,
        }
    }

    /// The watched KubeFedClusters themselves.
    pub fn objects(&self) -> &Arc<Informer<Typed<KubeFedCluster>>> {
        &self.clusters
    }
}

impl ClusterProvider for KubeFedClusters {
    fn clusters(&self) -> watch::Receiver<ClusterSet> {
        self.set.subscribe()
    }
}

/// Publishes a new set whenever a cluster or a token has changed.
async fn publish(
    clusters: Arc<Informer<Typed<KubeFedCluster>>>,
    secrets: Informer<TokenOfSecret>,
    namespace: String,
    set: watch::Sender<ClusterSet>,
) {
    let mut cluster_changes = clusters.subscribe();
    let mut secret_changes = secrets.subscribe();
    let mut secrets_listed = false;
    loop {
        // Which of the two is first makes no difference, but it must not be left to chance.
        let more = tokio::select! {
            biased;
            event = cluster_changes.next() => event.is_some(),
            event = secret_changes.next() => event.is_some(),
        };
        if !more {
            return;
        }
        // What waits already is covered by the set that is about to be made.
        while cluster_changes.try_next().is_some() || secret_changes.try_next().is_some() {}
        // A store that was synced once and now fails still holds the last known objects, and nothing
        // says that they are gone.
        secrets_listed |= secrets.store().is_synced();
        if clusters.store().is_synced() {
            let tokens = secrets_listed.then(|| tokens(secrets.store(), &namespace));
            set.send_replace(ClusterSet::synced(specs(clusters.store(), tokens.as_ref())));
        }
    }
}

type Tokens = BTreeMap<String, SecretToken>;

fn tokens(secrets: &Store<TokenOfSecret>, namespace: &str) -> Tokens {
    let secrets = secrets.snapshot().into_iter();
    let here = secrets.filter(|(name, _)| name.namespace() == Some(namespace));
    here.map(|(name, token)| (name.name().to_owned(), token.0.clone()))
        .collect()
}

fn specs(clusters: &Store<Typed<KubeFedCluster>>, tokens: Option<&Tokens>) -> Vec<ClusterSpec> {
    let spec = |name: QualifiedName| match clusters.get(&name) {
        Lookup::Present(cluster) => Some(spec(name.name(), &cluster, tokens)),
        // It is there, whatever it says; leaving it out would mean that it was removed.
        Lookup::Unknown(why) => Some(ClusterSpec::new(
            name.name(),
            Malformed::Rejected(why.to_string()),
        )),
        Lookup::Absent => None,
    };
    clusters.names().into_iter().filter_map(spec).collect()
}

fn spec(name: &str, cluster: &KubeFedCluster, tokens: Option<&Tokens>) -> ClusterSpec {
    let access = match tokens {
        None => Access::Pending("the secrets of the KubeFed namespace"),
        Some(tokens) => {
            let token = tokens.get(&cluster.spec.secret_ref.name);
            ConnectionSpec::from_cluster(&cluster.spec, token).into()
        }
    };
    let labels = cluster.metadata.labels.clone().unwrap_or_default();
    let spec = ClusterSpec::new(name, access).labels(labels);
    match &cluster.status {
        Some(status) => spec.reported(status.clone()),
        None => spec,
    }
}

/// All that is kept of a Secret.
#[derive(Clone, Debug)]
struct TokenOfSecret(SecretToken);

impl Observed for TokenOfSecret {
    fn observe(object: Value) -> Result<Self, serde_json::Error> {
        let data: Option<ByteString> =
            serde_json::from_value(object["data"][TOKEN_KEY].clone()).unwrap_or_default();
        let text = data.and_then(|bytes| String::from_utf8(bytes.0).ok());
        Ok(Self(match text {
            Some(token) if !token.is_empty() => SecretToken::Present(BearerToken::new(token)),
            _ => SecretToken::Missing,
        }))
    }

    fn is_same(&self, newer: &Self) -> bool {
        self.0 == newer.0
    }
}
