//! One kind in all clusters of a fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kube::Client;
use kubefed_api::{ClusterName, QualifiedName};
use tokio::sync::watch;

use crate::feed::{Feed, Subscription};
use crate::fleet::{Cluster, Fleet, FleetSnapshot};
use crate::health::ClusterState;
use crate::informer::{WatchSpec, follow, replay};
use crate::observed::Observed;
use crate::store::{Lookup, Names, Store, Unknown};
use crate::task::Task;

/// Watches one kind in every ready cluster of a fleet.
///
/// # Flow
///
/// 1. When a cluster becomes ready, a task of its own lists and watches the kind there.
/// 2. When the cluster stops being ready, the task ends and what it holds is unknown; the last known
///    objects are kept, so that only real differences are events after the next list.
/// 3. When the cluster leaves the fleet, or its name stands for another server, its objects are dropped.
///
/// # Guarantees
///
/// - One watch and one back-off for each cluster: a broken cluster delays no other, and is unknown by
///   itself.
/// - A list follows every return to readiness.
/// - Nothing is reported absent before a list has said so.
/// - Dropping the informer ends all its tasks; the store stays readable.
pub struct FederatedInformer<T> {
    store: FederatedStore<T>,
    feed: Arc<Feed>,
    _supervisor: Task,
}

impl<T: Observed> FederatedInformer<T> {
    /// Starts watching.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(fleet: &Fleet, watch: WatchSpec) -> Self {
        let shared = Arc::new(Shared {
            stores: RwLock::default(),
            fleet: fleet.view(),
            changes: watch::Sender::default(),
        });
        let store = FederatedStore { shared };
        let feed = Arc::new(Feed::default());
        let supervisor = Supervisor {
            watch,
            feed: feed.clone(),
            names: Arc::default(),
            store: store.clone(),
            clusters: BTreeMap::new(),
        };
        Self {
            _supervisor: Task::spawn(supervisor.run(fleet.view())),
            store,
            feed,
        }
    }

    /// What the clusters hold.
    pub fn store(&self) -> &FederatedStore<T> {
        &self.store
    }

    /// Follows changes, beginning with one event for all that is there now.
    pub fn subscribe(&self) -> Subscription {
        let subscription = self.feed.subscribe();
        for store in self.store.shared.stores().values() {
            replay(store, &subscription);
        }
        subscription
    }

    /// Waits until what is synced [is complete](Synced::is_complete). A ready cluster that cannot be
    /// watched makes this wait for ever, so it is for tests and demonstrations; a controller asks for
    /// each cluster by itself.
    pub async fn until_synced(&self) {
        let mut changes = self.store.shared.changes.subscribe();
        let mut fleet = self.store.shared.fleet.clone();
        while !self.store.synced().is_complete() {
            tokio::select! {
                biased;
                change = changes.changed() => if change.is_err() { return },
                change = fleet.changed() => if change.is_err() { return },
            }
        }
    }
}

impl<T> fmt::Debug for FederatedInformer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederatedInformer")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What all clusters of a fleet hold of one kind. Cheap to clone; reading never waits for I/O.
pub struct FederatedStore<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    stores: RwLock<Stores<T>>,
    fleet: watch::Receiver<Arc<FleetSnapshot>>,
    /// Counts changes of what is synced.
    changes: watch::Sender<u64>,
}

type Stores<T> = BTreeMap<ClusterName, Arc<Store<T>>>;

impl<T> Shared<T> {
    fn stores(&self) -> Stores<T> {
        self.stores
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<T> FederatedStore<T> {
    /// What is known about one object in one cluster.
    pub fn get(&self, cluster: &ClusterName, name: &QualifiedName) -> Lookup<T> {
        match self.cluster(cluster) {
            Some(store) => store.get(name),
            None => Lookup::Unknown(Unknown::NotInFleet),
        }
    }

    /// What is known about one object in every cluster, in the order of cluster names.
    pub fn across(&self, name: &QualifiedName) -> Vec<(ClusterName, Lookup<T>)> {
        let lookup = |(cluster, store): (ClusterName, Arc<Store<T>>)| (cluster, store.get(name));
        self.shared.stores().into_iter().map(lookup).collect()
    }

    /// The clusters that are known to hold an object, in order. A cluster that is not among them may
    /// hold it, too, if it is [unknown](Self::get).
    pub fn clusters_holding(&self, name: &QualifiedName) -> Vec<ClusterName> {
        let holds = |(cluster, lookup): (ClusterName, Lookup<T>)| {
            matches!(lookup, Lookup::Present(_)).then_some(cluster)
        };
        self.across(name).into_iter().filter_map(holds).collect()
    }

    /// The names of all objects in any cluster, in order; of clusters that are not synced the last known
    /// ones.
    pub fn names(&self) -> BTreeSet<QualifiedName> {
        let stores = self.shared.stores();
        stores.values().flat_map(|store| store.names()).collect()
    }

    /// Every decodable object of the synced clusters, in the order of clusters and names.
    pub fn snapshot(&self) -> Vec<(ClusterName, QualifiedName, Arc<T>)> {
        let mut all = Vec::new();
        for (cluster, store) in self.shared.stores() {
            if store.is_synced() {
                let objects = store.snapshot().into_iter();
                all.extend(objects.map(|(name, record)| (cluster.clone(), name, record)));
            }
        }
        all
    }

    /// The store of one cluster; `None` if the fleet has no such cluster.
    pub fn cluster(&self, cluster: &ClusterName) -> Option<Arc<Store<T>>> {
        let stores = self
            .shared
            .stores
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        stores.get(cluster).cloned()
    }

    /// What is synced, and what is not and why.
    pub fn synced(&self) -> Synced {
        let fleet = self.shared.fleet.borrow().clone();
        let lag = |cluster: &Arc<Cluster>| {
            let why = match self.cluster(cluster.name()) {
                Some(store) => store.unknown()?,
                None => Unknown::Listing,
            };
            Some((cluster.name().clone(), why))
        };
        Synced {
            fleet: fleet.is_synced(),
            laggards: fleet.iter().filter_map(lag).collect(),
        }
    }
}

impl<T> Clone for FederatedStore<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for FederatedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.shared.stores().values())
            .finish()
    }
}

/// How much of a fleet a store knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Synced {
    fleet: bool,
    laggards: Vec<(ClusterName, Unknown)>,
}

impl Synced {
    /// Whether the set of clusters itself is known to be whole.
    pub fn is_fleet_synced(&self) -> bool {
        self.fleet
    }

    /// The clusters of which it is unknown what they hold, and why, in order.
    pub fn laggards(&self) -> &[(ClusterName, Unknown)] {
        &self.laggards
    }

    /// Whether the set of clusters is known, each was probed, and it is known what each ready one holds.
    pub fn is_complete(&self) -> bool {
        let settled = |why: &Unknown| match why {
            Unknown::NotReady(state) => *state != ClusterState::Connecting,
            _ => false,
        };
        self.fleet && self.laggards.iter().all(|(_, why)| settled(why))
    }
}

/// Keeps one task for each cluster.
struct Supervisor<T> {
    watch: WatchSpec,
    feed: Arc<Feed>,
    names: Arc<Names>,
    store: FederatedStore<T>,
    clusters: BTreeMap<ClusterName, Filling>,
}

/// The task that fills the store of one cluster, and what it is told.
struct Filling {
    phase: watch::Sender<Phase>,
    _task: Task,
}

/// What decides whether a cluster is watched, and whether a new list is needed.
#[derive(Clone)]
struct Phase {
    server: u64,
    readied: u64,
    state: ClusterState,
    client: Option<Client>,
}

impl Phase {
    fn of(cluster: &Cluster) -> Self {
        Self {
            server: cluster.server,
            readied: cluster.readied,
            state: cluster.state,
            client: cluster.client.clone().filter(|_| cluster.is_ready()),
        }
    }

    /// Exchanged credentials make no difference: the client takes them up by itself.
    fn same(&self, other: &Self) -> bool {
        let key = |phase: &Self| {
            (
                phase.server,
                phase.readied,
                phase.state,
                phase.client.is_some(),
            )
        };
        key(self) == key(other)
    }
}

impl<T: Observed> Supervisor<T> {
    async fn run(mut self, mut fleet: watch::Receiver<Arc<FleetSnapshot>>) {
        loop {
            let snapshot = fleet.borrow_and_update().clone();
            self.reconcile(&snapshot);
            if fleet.changed().await.is_err() {
                // Without its fleet no cluster is known to be ready.
                self.reconcile(&FleetSnapshot::default());
                return;
            }
        }
    }

    fn reconcile(&mut self, fleet: &FleetSnapshot) {
        for (name, store) in self.store.shared.stores() {
            if fleet.get(&name).is_none() {
                self.clusters.remove(&name);
                self.edit(|stores| stores.remove(&name));
                store.clear(Unknown::NotInFleet);
            }
        }
        for cluster in fleet.iter() {
            let phase = Phase::of(cluster);
            match self.clusters.get(cluster.name()) {
                Some(filling) => {
                    filling.phase.send_if_modified(|current| {
                        let changed = !current.same(&phase);
                        if changed {
                            *current = phase;
                        }
                        changed
                    });
                }
                None => self.join(cluster.name(), phase),
            }
        }
        self.store.shared.changes.send_modify(|count| *count += 1);
    }

    fn join(&mut self, name: &ClusterName, phase: Phase) {
        let changes = self.store.shared.changes.clone();
        let store = Store::new(name.clone(), self.feed.clone(), self.names.clone(), changes);
        let store = Arc::new(store);
        self.edit(|stores| stores.insert(name.clone(), store.clone()));
        let phase = watch::Sender::new(phase);
        let filling = fill(store, self.watch.clone(), phase.subscribe());
        let filling = Filling {
            _task: Task::spawn(filling),
            phase,
        };
        self.clusters.insert(name.clone(), filling);
    }

    fn edit<R>(&self, edit: impl FnOnce(&mut Stores<T>) -> R) -> R {
        let stores = &self.store.shared.stores;
        edit(&mut stores.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Fills the store of one cluster while the cluster is ready. It is the store's only writer, so a watch
/// that is given up cannot write beside the next one.
async fn fill<T: Observed>(
    store: Arc<Store<T>>,
    watch: WatchSpec,
    mut phases: watch::Receiver<Phase>,
) {
    let mut server = phases.borrow().server;
    loop {
        let phase = phases.borrow_and_update().clone();
        if phase.server != server {
            server = phase.server;
            store.clear(Unknown::Listing);
        }
        let watching = async {
            match &phase.client {
                Some(client) => {
                    store.forget(Unknown::Listing);
                    follow(client.clone(), watch.clone(), store.clone()).await;
                }
                None => {
                    store.forget(Unknown::NotReady(phase.state));
                    std::future::pending::<()>().await;
                }
            }
        };
        let over = tokio::select! {
            biased;
            change = phases.changed() => change.is_err(),
            () = watching => false,
        };
        if over {
            return;
        }
    }
}
