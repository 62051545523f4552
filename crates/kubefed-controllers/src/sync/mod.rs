//! Keeps the copies of one federated type as their federated objects say.
//!
//! # Flow
//!
//! 1. [`observe`]: the federated object, its namespace, the clusters and what each of them holds
//! 2. [`reconcile`]: decide for each cluster, hold the host object, carry out, decide again where a
//!    direct read was needed
//! 3. [`postponed`]: the rest follows later while other objects wait for their copies
//! 4. [`tell`]: events of what was done and what went wrong
//! 5. [`record`]: the versions that were written
//! 6. [`report`]: the status, if it changed
//!
//! # Guarantees
//!
//! A cluster that is not ready, not synced or does not answer delays no other cluster and no other
//! object. Nothing is deleted, and no finalizer released, because of what is not known. A write
//! follows only after the host object names the cluster in its inventory.

mod calls;
mod copies;
mod namespaces;
mod observe;
mod postponed;
mod reconcile;
mod record;
mod report;
mod tell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kubefed_api::{
    ClusterName, ClusterPropagatedVersion, FederatedObject, FederatedTypeConfig, ObservedCopy,
    PropagatedVersion, QualifiedName, ResourceType, Scope as ResourceScope, well_known,
};
use kubefed_informer::{Change, Event, Informer, RawObject, WatchSpec};
use kubefed_runtime::{FairQueue, FleetController, OwnWrites, ReconcileKey};
use tokio::sync::watch;
use tokio::time::Instant;

use self::calls::{Calls, LateCalls};
use self::copies::Copies;
use self::namespaces::{NamespacePlacements, Unreported};
use self::postponed::Postponed;
use self::record::VersionRecords;
use crate::{Context, Options, resource_type};

/// The loop of one federated type.
pub(crate) struct Sync {
    context: Arc<Context>,
    kinds: Kinds,
    queue: FairQueue,
    federated: Informer<RawObject>,
    /// FederatedNamespaces, for namespaced targets.
    namespaces: Option<Arc<Informer<RawObject>>>,
    /// The host's Namespaces, for the target Namespace.
    host_namespaces: Option<Informer<ObservedCopy>>,
    copies: Copies,
    records: VersionRecords,
    own_objects: OwnWrites<Arc<FederatedObject>>,
    own_copies: OwnWrites<Arc<ObservedCopy>>,
    /// Clusters whose first list is not answered, and since when that is known.
    listing_since: Mutex<BTreeMap<ClusterName, Instant>>,
    unreported: Unreported,
    postponed: Postponed,
    calls: Calls,
    /// Until the loop runs.
    late_calls: Mutex<Option<LateCalls>>,
}

/// The types that one loop deals with.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) target: ResourceType,
    pub(crate) federated: ResourceType,
    /// Whether the type's configuration asks for the collection of statuses.
    status_enabled: bool,
}

impl Kinds {
    /// The types of a FederatedTypeConfig. The federated type has the target's scope, save that
    /// federated namespaces live in namespaces; its own `scope` field is never looked at.
    pub(crate) fn of(config: &FederatedTypeConfig) -> Self {
        let mut federated = config.spec.federated_type.clone();
        federated.scope = if config.federated_is_namespaced() {
            ResourceScope::Namespaced
        } else {
            ResourceScope::Cluster
        };
        Self {
            target: config.spec.target_type.clone(),
            federated,
            status_enabled: config.status_enabled(),
        }
    }
}

impl Sync {
    /// Starts the watches of a type and reads its version objects.
    pub(crate) async fn start(
        context: Arc<Context>,
        kinds: Kinds,
        namespaces: Option<Arc<Informer<RawObject>>>,
    ) -> Result<Self, String> {
        let options = &context.options;
        let watched = options.watched_namespace();
        let records = VersionRecords::load(
            context.host.clone(),
            version_kind(kinds.federated.is_namespaced()),
            &kinds.target.kind,
            watched,
        )
        .await
        .map_err(|error| format!("the version objects could not be listed: {error}"))?;
        let client = context.client.clone();
        let federated = WatchSpec::of(&kinds.federated).namespace(watched);
        let copies = WatchSpec::of(&kinds.target)
            .namespace(watched)
            .labels(well_known::MANAGED_SELECTOR);
        let host_namespaces = kinds
            .target
            .is_core("Namespace")
            .then(|| Informer::start("", client.clone(), WatchSpec::of(&kinds.target)));
        let collects_status = options.raw_status_collection && kinds.status_enabled;
        let queue = FairQueue::new(options.queue.clone());
        let (calls, late_calls) = Calls::new(queue.clone(), context.dispatcher.clone());
        Ok(Self {
            federated: Informer::start("", client, federated),
            copies: Copies::watch(&context.fleet, copies, collects_status),
            queue,
            calls,
            late_calls: Mutex::new(Some(late_calls)),
            kinds,
            namespaces,
            host_namespaces,
            records,
            own_objects: OwnWrites::default(),
            own_copies: OwnWrites::default(),
            listing_since: Mutex::default(),
            unreported: Unreported::default(),
            postponed: Postponed::default(),
            context,
        })
    }

    /// Reconciles until `shutdown`.
    pub(crate) async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = self.until_host_is_known() => {}
        }
        let controller = FleetController::new(self.queue.clone(), self.context.options.workers);
        let reconcile = {
            let sync = Arc::clone(&self);
            move |key: ReconcileKey| {
                let sync = Arc::clone(&sync);
                async move { sync.reconcile(&key.object).await }
            }
        };
        let late_calls = self
            .late_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let late_calls = async {
            if let Some(late_calls) = late_calls {
                late_calls.run().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = controller.run(shutdown, reconcile) => {}
            () = self.follow_changes() => {}
            () = late_calls => {}
        }
    }

    /// What is under way or failing, in words; `None` once nothing moves.
    pub(crate) fn moving(&self) -> Option<String> {
        let depth = self.queue.depth();
        let parts = [
            (depth.waiting, "waiting"),
            (depth.in_flight, "in work"),
            (depth.failing, "failing"),
            (self.calls.late(), "calls unanswered"),
            (self.unreported.awaited(), "namespaces not reported on"),
        ];
        let moving: Vec<_> = parts
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        let kind = &self.kinds.federated.kind;
        (!moving.is_empty()).then(|| format!("{kind}: {}", moving.join(", ")))
    }

    /// Absence of a federated object or a FederatedNamespace means something only once they are listed.
    async fn until_host_is_known(&self) {
        self.federated.until_synced().await;
        if let Some(namespaces) = &self.namespaces {
            namespaces.until_synced().await;
        }
        if let Some(namespaces) = &self.host_namespaces {
            namespaces.until_synced().await;
        }
        self.context.fleet.until_synced().await;
    }

    async fn follow_changes(&self) {
        futures::join!(
            self.follow_federated_objects(),
            self.follow_namespaces(),
            self.follow_host_namespaces(),
            self.follow_copies(),
            self.follow_fleet(),
        );
    }

    async fn follow_federated_objects(&self) {
        let mut events = self.federated.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object { name, change, .. } => self.follow_object(name, change),
                Event::Everything => self.add_all(Duration::ZERO),
                _ => {}
            }
        }
    }

    fn follow_object(&self, name: QualifiedName, change: Change) {
        let key = ReconcileKey::fleet(name);
        if change == Change::Deleted {
            // Whatever was written last, it is gone.
            self.own_objects.forget(&key);
        }
        if change == Change::Deleted || self.is_object_news(&key) {
            self.queue.add(key);
        }
    }

    async fn follow_namespaces(&self) {
        let Some(namespaces) = &self.namespaces else {
            return std::future::pending().await;
        };
        let mut placements = NamespacePlacements::default();
        let mut events = namespaces.subscribe();
        while let Some(event) = events.next().await {
            match event {
                // A change that leaves the placement alone, such as a status, concerns nobody but
                // those who wait for it.
                Event::Object { name, .. } => {
                    let namespace = name.namespace().unwrap_or_default();
                    let reported = self.ends_wait_for_namespace(namespace);
                    if placements.changes(namespaces.store(), &name) || reported {
                        self.add_namespace(namespace);
                    }
                }
                Event::Everything => self.add_all(Duration::ZERO),
                _ => {}
            }
        }
    }

    async fn follow_host_namespaces(&self) {
        let Some(namespaces) = &self.host_namespaces else {
            return std::future::pending().await;
        };
        let mut events = namespaces.subscribe();
        while let Some(event) = events.next().await {
            if let Event::Object { name, .. } = event {
                self.queue
                    .add(ReconcileKey::fleet(self.federated_name(&name)));
            }
        }
    }

    async fn follow_copies(&self) {
        let delay = self.context.options.drift_delay;
        let mut events = self.copies.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object {
                    cluster,
                    name,
                    change,
                } if self.is_news(&cluster, &name, change) => {
                    let key = ReconcileKey::fleet(self.federated_name(&name));
                    self.queue.add_after(key, delay);
                }
                Event::Synced(_) => self.add_all(Options::SYNC_DELAY),
                // A watch may be lost although the cluster is ready, and that is to be reported.
                Event::Lost(_) => self.add_all(self.context.options.unavailable_delay),
                Event::Everything => self.add_all(delay),
                _ => {}
            }
        }
    }

    async fn follow_fleet(&self) {
        let mut events = self.context.fleet.subscribe();
        while let Some(event) = events.next().await {
            if let Some(delay) = self.context.options.delay_after(&event) {
                self.add_all(delay);
            }
        }
    }

    fn add_all(&self, delay: Duration) {
        for name in self.federated.store().names() {
            self.queue.add_after(ReconcileKey::fleet(name), delay);
        }
    }

    fn add_namespace(&self, namespace: &str) {
        for name in self.federated.store().names() {
            if name.namespace() == Some(namespace) {
                self.queue.add(ReconcileKey::fleet(name));
            }
        }
    }

    /// The name of the federated object whose copies have this name. A Namespace and its
    /// FederatedNamespace share one key, so that they never run at once.
    fn federated_name(&self, copy: &QualifiedName) -> QualifiedName {
        if self.kinds.target.is_core("Namespace") {
            QualifiedName::namespaced(copy.name(), copy.name())
        } else {
            copy.clone()
        }
    }

    /// The name of the copies of a federated object.
    fn target_name(&self, federated: &QualifiedName) -> QualifiedName {
        if self.kinds.target.is_core("Namespace") {
            QualifiedName::cluster_scoped(federated.name())
        } else {
            federated.clone()
        }
    }
}

fn version_kind(namespaced: bool) -> ResourceType {
    if namespaced {
        resource_type::<PropagatedVersion>()
    } else {
        resource_type::<ClusterPropagatedVersion>()
    }
}
