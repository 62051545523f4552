//! Writes what the fleet's probes found into the statuses of KubeFedClusters.
//!
//! The state machine and the wire form belong to the informer; this loop only compares and writes. A
//! status is written when it says something new, and otherwise once in a while, so that the time of
//! the last probe does not grow old. (The original writes every object after every probe.)

use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_api::{ClusterName, KubeFedCluster, KubeFedClusterStatus, QualifiedName, ResourceType};
use kubefed_informer::health::needs_write;
use kubefed_informer::{ClusterState, Health, Informer, Lookup, Typed};
use serde_json::json;

use crate::events::{About, Note};
use crate::{Context, resource_type};

/// The loop that reports cluster health.
pub(crate) struct ClusterHealth {
    context: Arc<Context>,
    objects: Arc<Informer<Typed<KubeFedCluster>>>,
    kind: ResourceType,
    /// What was written last and may not have come back through the watch yet, by the object's uid.
    written: BTreeMap<ClusterName, (Option<String>, KubeFedClusterStatus)>,
    /// What was reported last. One loop hears of every probe, and does nothing for all other clusters.
    reported: BTreeMap<ClusterName, Arc<Health>>,
}

impl ClusterHealth {
    pub(crate) fn new(
        context: Arc<Context>,
        objects: Arc<Informer<Typed<KubeFedCluster>>>,
    ) -> Self {
        let kind = resource_type::<KubeFedCluster>();
        Self {
            context,
            objects,
            kind,
            written: BTreeMap::new(),
            reported: BTreeMap::new(),
        }
    }

    /// Reports after every probe, until dropped or until the fleet ends.
    pub(crate) async fn run(mut self) {
        let mut probes = self.context.fleet.probes();
        loop {
            self.report_all().await;
            if probes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn report_all(&mut self) {
        let fleet = self.context.fleet.clusters();
        self.written.retain(|name, _| fleet.get(name).is_some());
        self.reported.retain(|name, _| fleet.get(name).is_some());
        for cluster in fleet.iter() {
            self.report(cluster).await;
        }
    }

    async fn report(&mut self, cluster: &kubefed_informer::Cluster) {
        let health = cluster.health();
        let reported = self.reported.get(cluster.name());
        if reported.is_some_and(|reported| Arc::ptr_eq(reported, &health)) {
            return;
        }
        let name = QualifiedName::namespaced(
            self.context.options.namespace.as_str(),
            cluster.name().as_str(),
        );
        let Lookup::Present(object) = self.objects.store().get(&name) else {
            return;
        };
        let uid = &object.metadata.uid;
        self.tell(&name, uid.as_deref(), &health);
        let written = self.written.get(cluster.name());
        let written = written.and_then(|(of, status)| (of == uid).then_some(status));
        let stored = written.or(object.status.as_ref());
        let status = health.status(stored);
        if !needs_write(stored, &status, self.context.options.heartbeat) {
            self.reported.insert(cluster.name().clone(), health);
            return;
        }
        let patch = json!({ "status": status });
        match self
            .context
            .host
            .patch(&self.kind, &name, Some("status"), &patch)
            .await
        {
            Ok(_) => {
                let uid = uid.clone();
                self.written.insert(cluster.name().clone(), (uid, status));
                self.reported.insert(cluster.name().clone(), health);
            }
            // The next probe tries again.
            Err(error) => tracing::warn!(%name, %error, "the cluster's status was not written"),
        }
    }

    /// Says what is wrong with a cluster; the recorder says the same thing seldom.
    fn tell(&self, name: &QualifiedName, uid: Option<&str>, health: &Health) {
        // After a start it is not known until the first probe.
        let Some(cause) = health.cause() else {
            return;
        };
        let note = match health.state() {
            ClusterState::Malformed => Note::warning(
                "MalformedClusterConfig",
                "The configuration for this cluster may be malformed",
                format!(": {cause}"),
            ),
            ClusterState::Offline => Note::warning(
                "RetrievingClusterHealthFailed",
                "Failed to retrieve health of the cluster",
                format!(": {cause}"),
            ),
            _ => return,
        };
        let about = About {
            kind: self.kind.clone(),
            name: name.clone(),
            uid: uid.unwrap_or_default().to_owned(),
            component: "kubefedcluster-controller".to_owned(),
        };
        self.context.events.say(&about, note);
    }
}
