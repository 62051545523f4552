//! Reads everything that one reconcile decides on. Nothing here waits for a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kubefed_api::{ClusterName, FederatedObject, ObservedCopy, QualifiedName};
use kubefed_informer::{Change, Cluster, Lookup, RawObject};
use kubefed_propagation::{Federation, Ignorance, Member, Observation, Record, Scope, inventory};
use kubefed_runtime::ReconcileKey;
use tokio::time::Instant;

use super::Sync;

/// For how long a first list that is not answered keeps a status from being written. A page takes less
/// than a second on most links; without the wait each start would report every cluster as unknown.
pub(super) const FIRST_LIST: Duration = Duration::from_secs(3);

/// Everything that one reconcile decides on.
pub(super) struct World {
    pub(super) federation: Federation,
    pub(super) members: Vec<(Member, Observation)>,
    pub(super) record: Record,
    pub(super) inventory: BTreeSet<ClusterName>,
    /// Whether some ready cluster has yet to answer its first list, so that its state is not news.
    pub(super) listing: bool,
}

/// What the host cluster says of a federated object.
pub(super) enum HostObject {
    Unknown(String),
    Absent,
    Unreadable(kubefed_api::Error),
    Present(Arc<FederatedObject>),
}

impl Sync {
    /// The federated object, never older than the answer to our own last write.
    pub(super) fn host_object(&self, name: &QualifiedName) -> HostObject {
        let (seen, own) = self.seen_object(name);
        let raw = match (seen, own) {
            (_, Some(Some(own))) => return HostObject::Present(own),
            (_, Some(None)) | (Lookup::Absent, None) => return HostObject::Absent,
            (Lookup::Unknown(why), None) => return HostObject::Unknown(why.to_string()),
            (Lookup::Present(raw), None) => raw,
        };
        match raw.parse().map(FederatedObject::parse) {
            Ok(Ok(object)) => HostObject::Present(Arc::new(object)),
            Ok(Err(error)) => HostObject::Unreadable(error),
            Err(error) => HostObject::Unknown(error.to_string()),
        }
    }

    /// What the watch shows, and what was written last if that is newer.
    fn seen_object(
        &self,
        name: &QualifiedName,
    ) -> (Lookup<RawObject>, Option<Option<Arc<FederatedObject>>>) {
        let key = ReconcileKey::fleet(name.clone());
        let mut latest = self.own_objects.latest();
        let seen = self.federated.store().get(name);
        let version = seen.present().map(|raw| raw.resource_version());
        let own = latest.newer_than(&key, version);
        (seen, own)
    }

    /// Whether the watch shows something else than what we wrote last.
    pub(super) fn is_object_news(&self, key: &ReconcileKey) -> bool {
        match self.federated.store().get(&key.object) {
            Lookup::Present(raw) => self.own_objects.is_news(key, raw.resource_version()),
            _ => true,
        }
    }

    /// Whether a change in a member is another's doing.
    pub(super) fn is_news(
        &self,
        cluster: &ClusterName,
        name: &QualifiedName,
        change: Change,
    ) -> bool {
        let key = ReconcileKey::in_cluster(cluster.clone(), name.clone());
        if change == Change::Deleted {
            // Whatever was written last, it is gone, or no longer has the label.
            return !self.own_copies.forget(&key);
        }
        let seen = self.copies.resource_version(cluster, name);
        seen.is_none_or(|version| self.own_copies.is_news(&key, &version))
    }

    /// Everything that a federated object's copies depend on.
    pub(super) fn observe(&self, object: &Arc<FederatedObject>) -> World {
        let target_name = self.target_name(object.name());
        let federation = self.federation(object, &target_name);
        let fleet = self.context.fleet.clusters();
        let stored = self.records.stored(object);
        let mut listing = false;
        let mut observations = BTreeMap::new();
        for cluster in fleet.iter() {
            let (observation, first_list) = self.observation(cluster.name(), &target_name);
            listing |= self.is_about_to_list(cluster, first_list);
            observations.insert(cluster.name().clone(), observation);
        }
        let managed = observations
            .iter()
            .filter(|(_, observation)| matches!(observation, Observation::Managed(_)))
            .map(|(name, _)| name.clone());
        let inventory = inventory(object, stored.as_ref(), managed);
        let mut members: Vec<_> = fleet
            .iter()
            .map(|cluster| {
                let name = cluster.name();
                let member = Member::new(name.clone())
                    .labels(cluster.labels().clone())
                    .ready(cluster.is_ready())
                    .in_inventory(inventory.contains(name));
                let unknown = Observation::Unknown(Ignorance::NotReady);
                (member, observations.remove(name).unwrap_or(unknown))
            })
            .collect();
        let removed = inventory.iter().filter(|name| fleet.get(name).is_none());
        members.extend(removed.map(|name| {
            (
                Member::removed(name.clone()),
                Observation::Unknown(Ignorance::NotReady),
            )
        }));
        members.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        let record = match federation.hashes() {
            Ok(hashes) => self.records.record(object, hashes),
            Err(_) => Record::empty(),
        };
        World {
            federation,
            members,
            record,
            inventory,
            listing,
        }
    }

    /// Whether a cluster's first list may be answered any moment. One that takes long is news.
    fn is_about_to_list(&self, cluster: &Cluster, first_list: bool) -> bool {
        let mut since = self
            .listing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !first_list || !cluster.is_ready() {
            since.remove(cluster.name());
            return false;
        }
        let now = Instant::now();
        let since = *since.entry(cluster.name().clone()).or_insert(now);
        now - since < FIRST_LIST
    }

    fn federation(&self, object: &Arc<FederatedObject>, target: &QualifiedName) -> Federation {
        let options = &self.context.options;
        let federation = Federation::new(self.kinds.target.clone(), object.clone())
            .namespace(self.namespace_of(object.name()))
            .scope(options.scope)
            .adoption(options.adoption);
        let host = self
            .host_namespaces
            .as_ref()
            .map(|namespaces| namespaces.store().get(target));
        match host {
            Some(Lookup::Present(namespace)) => federation.host_namespace_uid(namespace.uid()),
            _ => federation,
        }
    }

    /// What a cluster holds, never older than the answer to our own last write, and whether the cluster
    /// has yet to answer its first list.
    pub(super) fn observation(
        &self,
        cluster: &ClusterName,
        name: &QualifiedName,
    ) -> (Observation, bool) {
        let key = ReconcileKey::in_cluster(cluster.clone(), name.clone());
        let mut latest = self.own_copies.latest();
        let seen = self.copies.get(cluster, name);
        let version = seen.present().map(|copy| copy.resource_version());
        let own = match &seen {
            // What was written does not tell what became of it since the watch was lost.
            Lookup::Unknown(_) => None,
            _ => latest.newer_than(&key, version),
        };
        drop(latest);
        match (seen, own) {
            (_, Some(Some(copy))) => (Observation::Managed(Arc::unwrap_or_clone(copy)), false),
            (_, Some(None)) => (Observation::ProvenAbsent, false),
            (Lookup::Absent, None) => (Observation::NotManaged, false),
            (Lookup::Present(copy), None) => (Observation::Managed((*copy).clone()), false),
            (Lookup::Unknown(why), None) => {
                let first_list = matches!(why, kubefed_informer::Unknown::Listing);
                (
                    Observation::Unknown(Ignorance::NotSynced(why.to_string())),
                    first_list,
                )
            }
        }
    }

    /// The clusters in which a managed copy is seen, for a federated object that does not exist.
    pub(super) fn orphans(&self, target: &QualifiedName) -> Vec<(Member, ObservedCopy)> {
        let fleet = self.context.fleet.clusters();
        let orphan = |cluster: &Arc<Cluster>| match self.observation(cluster.name(), target).0 {
            Observation::Managed(copy) if cluster.is_ready() => {
                Some((Member::new(cluster.name().clone()), copy))
            }
            _ => None,
        };
        fleet.iter().filter_map(orphan).collect()
    }

    /// Whether an object must be left alone whatever it says: it is about a system namespace, or it is
    /// a FederatedNamespace that does not have the name of its namespace.
    pub(super) fn is_ignored(&self, name: &QualifiedName) -> bool {
        self.kinds.target.is_core("Namespace")
            && (self.context.options.is_system_namespace(name.name())
                || self.context.options.scope == Scope::Limited
                || name.namespace() != Some(name.name()))
    }
}
