use tokio::sync::watch;

use super::{ClusterProvider, ClusterSet, ClusterSpec};

/// Clusters that the program names itself. The set can be replaced while it runs.
#[derive(Debug)]
pub struct StaticClusters(watch::Sender<ClusterSet>);

impl StaticClusters {
    /// These clusters. Of several with one name the last counts.
    pub fn new(clusters: impl IntoIterator<Item = ClusterSpec>) -> Self {
        Self(watch::Sender::new(ClusterSet::synced(clusters)))
    }

    /// Replaces the set.
    pub fn replace(&self, clusters: impl IntoIterator<Item = ClusterSpec>) {
        self.0.send_replace(ClusterSet::synced(clusters));
    }
}

impl ClusterProvider for StaticClusters {
    fn clusters(&self) -> watch::Receiver<ClusterSet> {
        self.0.subscribe()
    }
}
