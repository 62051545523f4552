//! Which clusters there are.

mod fixed;
mod kubeconfig;
mod kubefed;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kube::Client;
use kubefed_api::{ClusterName, KubeFedClusterStatus};
use tokio::sync::watch;

use crate::connection::{ConnectionSpec, Malformed};

pub use fixed::StaticClusters;
pub use kubeconfig::KubeconfigContexts;
pub use kubefed::KubeFedClusters;

/// Knows which clusters belong to a fleet and how they are reached.
///
/// A provider publishes whole sets, never single additions and removals, so nothing is lost between a
/// provider that missed an event and a fleet that was not listening. Whatever it does in the background
/// ends when it is dropped.
pub trait ClusterProvider: Send + Sync + 'static {
    /// The set of clusters as it is now and as it changes.
    fn clusters(&self) -> watch::Receiver<ClusterSet>;
}

/// The clusters of a fleet as a provider knows them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClusterSet {
    synced: bool,
    clusters: Arc<BTreeMap<ClusterName, ClusterSpec>>,
}

impl ClusterSet {
    /// A set that is known to be whole: a cluster that is not in it does not belong to the fleet.
    pub fn synced(clusters: impl IntoIterator<Item = ClusterSpec>) -> Self {
        let by_name = |cluster: ClusterSpec| (cluster.name.clone(), cluster);
        Self {
            synced: true,
            clusters: Arc::new(clusters.into_iter().map(by_name).collect()),
        }
    }

    /// Whether the set is known to be whole. Before that nothing may be concluded from an absence.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// The clusters in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterSpec> {
        self.clusters.values()
    }

    /// One cluster.
    pub fn get(&self, name: &ClusterName) -> Option<&ClusterSpec> {
        self.clusters.get(name)
    }
}

/// One cluster as a provider knows it.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    name: ClusterName,
    labels: Arc<BTreeMap<String, String>>,
    access: Access,
    reported: Option<Arc<KubeFedClusterStatus>>,
}

impl ClusterSpec {
    /// A cluster and how it is reached, without labels.
    pub fn new(name: impl Into<ClusterName>, access: impl Into<Access>) -> Self {
        Self {
            name: name.into(),
            labels: Arc::default(),
            access: access.into(),
            reported: None,
        }
    }

    /// Labels, by which placements select clusters.
    pub fn labels(mut self, labels: impl Into<Arc<BTreeMap<String, String>>>) -> Self {
        self.labels = labels.into();
        self
    }

    /// What was last written about the cluster's health, with which its first probe is compared.
    pub fn reported(mut self, status: KubeFedClusterStatus) -> Self {
        self.reported = Some(Arc::new(status));
        self
    }

    /// The name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The labels.
    pub fn label_map(&self) -> &Arc<BTreeMap<String, String>> {
        &self.labels
    }

    /// How the cluster is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What was last written about the cluster's health.
    pub fn reported_status(&self) -> Option<&KubeFedClusterStatus> {
        self.reported.as_deref()
    }
}

/// How a cluster is reached.
#[derive(Clone)]
#[non_exhaustive]
pub enum Access {
    /// By connecting.
    Connection(Arc<ConnectionSpec>),
    /// With a client that exists already.
    Client(Arc<Client>),
    /// Not yet: this is still to be learnt.
    Pending(&'static str),
    /// Not at all, for this reason.
    Malformed(Malformed),
}

impl Access {
    /// Whether a connection made for one can stand for the other.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Connection(old), Self::Connection(new)) => old == new,
            (Self::Client(old), Self::Client(new)) => Arc::ptr_eq(old, new),
            (Self::Pending(old), Self::Pending(new)) => old == new,
            (Self::Malformed(old), Self::Malformed(new)) => old == new,
            _ => false,
        }
    }

    /// Whether both lead to the same server, so that only credentials differ.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Connection(old), Self::Connection(new)) => old.same_server(new),
            _ => self.same(other),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(spec) => spec.fmt(f),
            Self::Client(_) => f.write_str("Client(..)"),
            Self::Pending(what) => write!(f, "Pending({what})"),
            Self::Malformed(why) => write!(f, "Malformed({why})"),
        }
    }
}

impl From<ConnectionSpec> for Access {
    fn from(spec: ConnectionSpec) -> Self {
        Self::Connection(Arc::new(spec))
    }
}

impl From<Client> for Access {
    fn from(client: Client) -> Self {
        Self::Client(Arc::new(client))
    }
}

impl From<Malformed> for Access {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl<A: Into<Access>> From<Result<A, Malformed>> for Access {
    fn from(access: Result<A, Malformed>) -> Self {
        access.map_or_else(Self::Malformed, Into::into)
    }
}
