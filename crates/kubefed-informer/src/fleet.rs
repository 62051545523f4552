//! The clusters of a fleet, their clients and their health.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use kube::Client;
use kubefed_api::ClusterName;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::connect::Connect;
use crate::error::Error;
use crate::guard::ClientLimits;
use crate::health::{ClusterState, Health, HealthCheck};
use crate::member::{Joining, Member};
use crate::provider::{ClusterProvider, ClusterSet, ClusterSpec};
use crate::task::Task;

/// How a fleet treats its clusters.
#[derive(Clone, Debug, Default)]
pub struct FleetConfig {
    pub(crate) health_check: HealthCheck,
    pub(crate) limits: ClientLimits,
    pub(crate) clock: Clock,
}

impl FleetConfig {
    /// When and how clusters are probed.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.health_check = check;
        self
    }

    /// Deadlines and limits of the clusters' clients.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Where the timestamps of conditions come from.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

/// The clusters that belong together: which there are, how to reach them, how well they are.
///
/// # Flow
///
/// 1. The [`ClusterProvider`] publishes the set of clusters.
/// 2. For each cluster one task connects through [`Connect`], puts deadlines and limits around the
///    client, and probes `/healthz` and `/version` on its own timer.
/// 3. What changes becomes a new [`FleetSnapshot`]; reading it never waits for anything.
///
/// # Guarantees
///
/// - A cluster leaves only when a synced set does not contain it.
/// - No cluster waits for another, and no lock is held during I/O.
/// - New credentials for the same server exchange the client beneath the one that was handed out; a new
///   endpoint closes it.
/// - Labels only relabel. A 401 makes the client anew.
/// - Dropping the fleet ends all its tasks; clients that were handed out then fail.
pub struct Fleet {
    view: watch::Receiver<Arc<FleetSnapshot>>,
    health: watch::Receiver<u64>,
    _supervisor: Task,
}

impl Fleet {
    /// Starts looking after the clusters of a provider.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(
        provider: impl ClusterProvider,
        connect: impl Connect,
        config: FleetConfig,
    ) -> Self {
        let context = Arc::new(FleetContext {
            view: watch::Sender::default(),
            probes: watch::Sender::default(),
            connect: Box::new(connect),
            config,
        });
        Self {
            view: context.view.subscribe(),
            health: context.probes.subscribe(),
            _supervisor: Task::spawn(supervise(provider, context)),
        }
    }

    /// The clusters as they are now. Cheap; never waits.
    pub fn clusters(&self) -> Arc<FleetSnapshot> {
        self.view.borrow().clone()
    }

    /// Whether the set of clusters is known to be whole.
    pub fn is_synced(&self) -> bool {
        self.view.borrow().synced
    }

    /// Waits until the set of clusters is known to be whole.
    pub async fn until_synced(&self) {
        let mut view = self.view.clone();
        // An error means that the fleet's tasks have ended; then nobody waits any longer.
        let _ = view.wait_for(|snapshot| snapshot.synced).await;
    }

    /// A client for a cluster, ready or not. It lasts: new credentials take effect in it.
    ///
    /// # Errors
    ///
    /// The fleet has no such cluster, or no connection to it can be made.
    pub fn client(&self, cluster: &ClusterName) -> Result<Client, Error> {
        self.view.borrow().client(cluster)
    }

    /// The health of a cluster after its last probe; `None` if the fleet has no such cluster.
    pub fn health(&self, cluster: &ClusterName) -> Option<Arc<Health>> {
        Some(self.view.borrow().get(cluster)?.health())
    }

    /// Resolves after every probe of any cluster; for those who write statuses.
    pub fn probes(&self) -> watch::Receiver<u64> {
        self.health.clone()
    }

    /// Follows changes of the fleet, beginning with what is there now.
    pub fn subscribe(&self) -> FleetEvents {
        let mut view = self.view.clone();
        view.mark_changed();
        FleetEvents {
            view,
            seen: Arc::default(),
            pending: VecDeque::new(),
        }
    }

    pub(crate) fn view(&self) -> watch::Receiver<Arc<FleetSnapshot>> {
        self.view.clone()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("clusters", &self.clusters())
            .finish()
    }
}

/// All clusters of a fleet at one moment.
#[derive(Clone, Debug, Default)]
pub struct FleetSnapshot {
    synced: bool,
    clusters: BTreeMap<ClusterName, Arc<Cluster>>,
}

impl FleetSnapshot {
    /// Whether the set of clusters is known to be whole.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// The clusters in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.values()
    }

    /// One cluster.
    pub fn get(&self, name: &ClusterName) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }

    /// The number of clusters.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there are no clusters.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    fn client(&self, name: &ClusterName) -> Result<Client, Error> {
        let cluster = self.get(name).ok_or_else(|| Error::not_in_fleet(name))?;
        let client = cluster.client.clone();
        client.ok_or_else(|| Error::not_connected(name, cluster.state))
    }

    /// What happened from one snapshot to a later one.
    fn events_since(&self, earlier: &Self) -> Vec<FleetEvent> {
        let mut events = Vec::new();
        for (name, old) in &earlier.clusters {
            if !self.clusters.contains_key(name) {
                if old.is_ready() {
                    events.push(FleetEvent::BecameUnready(name.clone()));
                }
                events.push(FleetEvent::Removed(name.clone()));
            }
        }
        for (name, new) in &self.clusters {
            new.events_since(earlier.get(name).map(AsRef::as_ref), &mut events);
        }
        if self.synced && !earlier.synced {
            events.push(FleetEvent::Synced);
        }
        events
    }
}

/// One cluster of a fleet.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) name: ClusterName,
    pub(crate) labels: Arc<BTreeMap<String, String>>,
    pub(crate) state: ClusterState,
    pub(crate) version: Option<Arc<str>>,
    pub(crate) cause: Option<Arc<str>>,
    pub(crate) client: Option<Client>,
    pub(crate) health: watch::Receiver<Arc<Health>>,
    /// Counts the servers that this name has stood for.
    pub(crate) server: u64,
    /// Counts how often the cluster has become ready.
    pub(crate) readied: u64,
    /// Counts exchanges of credentials.
    pub(crate) credentials: u64,
}

impl Cluster {
    /// The name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The labels, by which placements select clusters.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The state.
    pub fn state(&self) -> ClusterState {
        self.state
    }

    /// Whether the cluster may be watched and written to.
    pub fn is_ready(&self) -> bool {
        self.state.is_ready()
    }

    /// Why the cluster is not ready, as far as known.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The version that the cluster reported, such as `v1.35.0`.
    pub fn kubernetes_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The health after the last probe, which may be later than the rest of the snapshot.
    pub fn health(&self) -> Arc<Health> {
        self.health.borrow().clone()
    }

    fn events_since(&self, earlier: Option<&Self>, events: &mut Vec<FleetEvent>) {
        let name = || self.name.clone();
        let Some(earlier) = earlier else {
            events.push(FleetEvent::Added(name()));
            if self.is_ready() {
                events.push(FleetEvent::BecameReady(name()));
            }
            return;
        };
        if self.labels != earlier.labels {
            events.push(FleetEvent::Relabelled(name()));
        }
        if self.credentials != earlier.credentials || self.server != earlier.server {
            events.push(FleetEvent::CredentialsChanged(name()));
        }
        let readied = self.readied != earlier.readied;
        if earlier.is_ready() && (readied || !self.is_ready()) {
            events.push(FleetEvent::BecameUnready(name()));
        }
        if self.is_ready() && (readied || !earlier.is_ready()) {
            events.push(FleetEvent::BecameReady(name()));
        }
        let told = |cluster: &Self| {
            (
                cluster.state,
                cluster.version.clone(),
                cluster.cause.clone(),
            )
        };
        if told(self) != told(earlier) {
            events.push(FleetEvent::HealthChanged(name()));
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("labels", &self.labels)
            .field("state", &self.state)
            .field("cause", &self.cause)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Something that happened to a fleet. Only real changes are events: a cluster that was never ready
/// does not become unready.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FleetEvent {
    /// The set of clusters is known to be whole.
    Synced,
    /// A cluster joined.
    Added(ClusterName),
    /// A cluster left.
    Removed(ClusterName),
    /// A cluster has other labels.
    Relabelled(ClusterName),
    /// A cluster can be watched and written to.
    BecameReady(ClusterName),
    /// A cluster can no longer be watched and written to.
    BecameUnready(ClusterName),
    /// A cluster is reached with other credentials, or at another endpoint.
    CredentialsChanged(ClusterName),
    /// State, cause or version of a cluster changed.
    HealthChanged(ClusterName),
}

/// The changes of a fleet, as the difference between what was last received and what is now.
///
/// A slow subscriber costs nothing: what happens between two calls is seen as one difference.
pub struct FleetEvents {
    view: watch::Receiver<Arc<FleetSnapshot>>,
    seen: Arc<FleetSnapshot>,
    pending: VecDeque<FleetEvent>,
}

impl FleetEvents {
    /// The next event; `None` once the fleet was dropped. Cancel safe.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            self.view.changed().await.ok()?;
            let now = self.view.borrow_and_update().clone();
            self.pending.extend(now.events_since(&self.seen));
            self.seen = now;
        }
    }
}

impl fmt::Debug for FleetEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetEvents")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// What the tasks of a fleet share.
pub(crate) struct FleetContext {
    view: watch::Sender<Arc<FleetSnapshot>>,
    probes: watch::Sender<u64>,
    pub(crate) connect: Box<dyn Connect>,
    pub(crate) config: FleetConfig,
}

impl FleetContext {
    /// Changes one cluster in the view, if it is still there; `change` tells whether it did.
    pub(crate) fn update(&self, name: &ClusterName, change: impl FnOnce(&mut Cluster) -> bool) {
        self.view.send_if_modified(|view| {
            let Some(cluster) = view.clusters.get(name) else {
                return false;
            };
            let mut next = Cluster::clone(cluster);
            let changed = change(&mut next);
            if changed {
                Arc::make_mut(view)
                    .clusters
                    .insert(name.clone(), Arc::new(next));
            }
            changed
        });
    }

    pub(crate) fn probed(&self) {
        self.probes.send_modify(|count| *count += 1);
    }
}

/// Keeps one task for each cluster of the provider's set.
async fn supervise(provider: impl ClusterProvider, context: Arc<FleetContext>) {
    let mut sets = provider.clusters();
    let mut members: BTreeMap<ClusterName, Member> = BTreeMap::new();
    loop {
        let set = sets.borrow_and_update().clone();
        reconcile(&set, &mut members, &context);
        if sets.changed().await.is_err() {
            // The provider will say no more; what it said last stays true.
            std::future::pending::<()>().await;
        }
    }
}

fn reconcile(
    set: &ClusterSet,
    members: &mut BTreeMap<ClusterName, Member>,
    context: &Arc<FleetContext>,
) {
    if set.is_synced() {
        members.retain(|name, _| set.get(name).is_some());
    }
    let mut joining = Vec::new();
    for spec in set.iter() {
        match members.get(spec.name()) {
            Some(member) => member.follow(spec),
            None => joining.push(Joining::new(spec, context.clone())),
        }
    }
    context.view.send_if_modified(|view| {
        let mut next = view.as_ref().clone();
        next.synced |= set.is_synced();
        next.clusters.retain(|name, _| members.contains_key(name));
        let mut changed = next.synced != view.synced || next.len() != view.len();
        for spec in set.iter() {
            changed |= relabel(&mut next, spec);
        }
        for cluster in joining.iter().map(Joining::cluster) {
            next.clusters
                .insert(cluster.name.clone(), Arc::new(cluster));
            changed = true;
        }
        if changed {
            *view = Arc::new(next);
        }
        changed
    });
    // A member reports to its cluster in the view, so that has to be there first.
    members.extend(joining.into_iter().map(Joining::start));
}

fn relabel(view: &mut FleetSnapshot, spec: &ClusterSpec) -> bool {
    match view.clusters.get_mut(spec.name()) {
        Some(cluster) if cluster.labels != *spec.label_map() => {
            Arc::make_mut(cluster).labels = spec.label_map().clone();
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot from words such as `east=ready`: with labels `east:a=ready`, having become ready twice
    /// `east=ready2`, with other credentials `east=ready'`.
    fn snapshot(words: &str) -> FleetSnapshot {
        let mut snapshot = FleetSnapshot {
            synced: !words.starts_with('?'),
            ..FleetSnapshot::default()
        };
        for word in words.split_whitespace().filter(|word| *word != "?") {
            let (name, state) = word.split_once('=').unwrap();
            let (name, label) = name.split_once(':').unwrap_or((name, ""));
            let labels = BTreeMap::from([("tier".to_owned(), label.to_owned())]);
            let ready = state.starts_with("ready");
            let cluster = Cluster {
                name: name.into(),
                labels: Arc::new(labels),
                state: if ready {
                    ClusterState::Ready
                } else {
                    ClusterState::Offline
                },
                version: None,
                cause: None,
                client: None,
                health: watch::Sender::new(Arc::new(Health::unknown())).subscribe(),
                server: 0,
                readied: u64::from(ready) + u64::from(state.contains('2')),
                credentials: u64::from(state.contains('\'')),
            };
            snapshot.clusters.insert(name.into(), Arc::new(cluster));
        }
        snapshot
    }

    /// informer 10.8 and I13: labels only relabel, and only what was ready becomes unready.
    #[test]
    fn events_are_real_transitions() {
        let check = |before: &str, after: &str, expected: &str| {
            let events = snapshot(after).events_since(&snapshot(before));
            let lines: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
            let lines = lines
                .join(", ")
                .replace("ClusterName(\"", "")
                .replace("\"))", ")");
            assert_eq!(lines, expected, "{before} -> {after}");
        };
        check("?", "?", "");
        check("?", "", "Synced");
        check("", "east=down", "Added(east)");
        check(
            "",
            "east=ready west=down",
            "Added(east), BecameReady(east), Added(west)",
        );
        check("east=down", "", "Removed(east)");
        check("east=ready", "", "BecameUnready(east), Removed(east)");
        check("east=ready", "east:gold=ready", "Relabelled(east)");
        check("east=down", "east:gold=down", "Relabelled(east)");
        check("east=ready", "east=ready", "");
        check("east=ready", "east=ready'", "CredentialsChanged(east)");
        check(
            "east=ready",
            "east=down",
            "BecameUnready(east), HealthChanged(east)",
        );
        check(
            "east=down",
            "east=ready",
            "BecameReady(east), HealthChanged(east)",
        );
        check("east=down", "east=down", "");
        // What went and came back between two looks is still told.
        check(
            "east=ready",
            "east=ready2",
            "BecameUnready(east), BecameReady(east)",
        );
    }
}
