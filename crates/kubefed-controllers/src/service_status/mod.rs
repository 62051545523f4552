//! Collects the statuses of the copies of federated services in one object of the status type each.
//!
//! # Flow
//!
//! 1. [`observe`]: what every ready cluster says of the service, and what is stored
//! 2. [`reconcile`]: write the object, if it says something new
//!
//! # Guarantees
//!
//! Clusters that are ready have an entry, placed or not, in the order of their names. The entry of a
//! cluster that is ready but does not show its services stays as it was. The object goes with its
//! federated service, by garbage collection.

mod observe;
mod reconcile;

use std::sync::Arc;
use std::time::Duration;

use kubefed_api::{FederatedTypeConfig, ObservedCopy, QualifiedName, ResourceType, well_known};
use kubefed_informer::{Change, Event, FederatedInformer, Informer, Lookup, RawObject, WatchSpec};
use kubefed_runtime::{FairQueue, FleetController, OwnWrites, ReconcileKey};
use serde_json::Value;
use tokio::sync::watch;

use crate::{Context, Options};

/// The only type whose statuses are collected this way.
const SERVICES_TYPE_CONFIG: &str = "services";

/// The loop of the status type of services.
pub(crate) struct ServiceStatus {
    context: Arc<Context>,
    federated: ResourceType,
    kind: ResourceType,
    queue: FairQueue,
    objects: Informer<ObservedCopy>,
    statuses: Informer<RawObject>,
    services: FederatedInformer<RawObject>,
    own_statuses: OwnWrites<Arc<Value>>,
}

impl ServiceStatus {
    /// Whether a configuration asks for the loop. Where raw statuses are collected it never runs.
    pub(crate) fn is_wanted(options: &Options, config: &FederatedTypeConfig) -> bool {
        !options.raw_status_collection
            && config.metadata.name.as_deref() == Some(SERVICES_TYPE_CONFIG)
            && config.status_enabled()
            && config.spec.status_type.is_some()
    }

    /// Starts the watches; `kind` is the status type.
    pub(crate) fn start(
        context: Arc<Context>,
        federated: ResourceType,
        target: &ResourceType,
        kind: ResourceType,
    ) -> Self {
        let watched = context.options.watched_namespace();
        let spec = |kind: &ResourceType| WatchSpec::of(kind).namespace(watched);
        let services = spec(target).labels(well_known::MANAGED_SELECTOR);
        let client = &context.client;
        Self {
            objects: Informer::start("", client.clone(), spec(&federated)),
            statuses: Informer::start("", client.clone(), spec(&kind)),
            services: FederatedInformer::start(&context.fleet, services),
            queue: FairQueue::new(context.options.queue.clone()),
            own_statuses: OwnWrites::default(),
            federated,
            kind,
            context,
        }
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
            let statuses = Arc::clone(&self);
            move |key: ReconcileKey| {
                let statuses = Arc::clone(&statuses);
                async move { statuses.reconcile(&key.object).await }
            }
        };
        tokio::select! {
            biased;
            () = controller.run(shutdown, reconcile) => {}
            () = self.follow_changes() => {}
        }
    }

    /// What is under way or failing, in words; `None` once nothing moves.
    pub(crate) fn moving(&self) -> Option<String> {
        let depth = self.queue.depth();
        let moves = !depth.is_idle() || depth.failing > 0;
        moves.then(|| {
            format!(
                "{}: {} waiting, {} in work, {} failing",
                self.kind.kind, depth.waiting, depth.in_flight, depth.failing
            )
        })
    }

    async fn until_host_is_known(&self) {
        self.objects.until_synced().await;
        self.statuses.until_synced().await;
        self.context.fleet.until_synced().await;
    }

    async fn follow_changes(&self) {
        futures::join!(
            self.follow_objects(),
            self.follow_statuses(),
            self.follow_services(),
            self.follow_fleet(),
        );
    }

    async fn follow_objects(&self) {
        let mut events = self.objects.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object { name, .. } => self.queue.add(ReconcileKey::fleet(name)),
                Event::Everything => self.add_all(Duration::ZERO),
                _ => {}
            }
        }
    }

    async fn follow_statuses(&self) {
        let mut events = self.statuses.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object { name, change, .. } => self.follow_status(name, change),
                Event::Everything => self.add_all(Duration::ZERO),
                _ => {}
            }
        }
    }

    fn follow_status(&self, name: QualifiedName, change: Change) {
        let seen = self.statuses.store().get(&name);
        let key = ReconcileKey::fleet(name);
        if change == Change::Deleted {
            // Whatever was written last, it is gone.
            self.own_statuses.forget(&key);
        }
        let news = match seen {
            Lookup::Present(raw) => self.own_statuses.is_news(&key, raw.resource_version()),
            _ => true,
        };
        if news {
            self.queue.add(key);
        }
    }

    async fn follow_services(&self) {
        let options = &self.context.options;
        let mut events = self.services.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object { name, .. } => {
                    let key = ReconcileKey::fleet(name);
                    self.queue.add_after(key, options.drift_delay);
                }
                Event::Synced(_) => self.add_all(Options::SYNC_DELAY),
                Event::Everything => self.add_all(options.drift_delay),
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
        for name in self.objects.store().names() {
            self.queue.add_after(ReconcileKey::fleet(name), delay);
        }
    }
}
