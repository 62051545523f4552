//! Runs one sync loop for each enabled FederatedTypeConfig, and the collection of services' statuses.
//!
//! # Guarantees
//!
//! A loop runs with the configuration's present generation. A namespaced type runs only while the
//! FederatedTypeConfig of namespaces exists, since it reads FederatedNamespaces. A loop that is stopped
//! finishes the reconciles it has begun. Nothing is done to federated objects or copies when a type is
//! disabled or its configuration deleted.

mod reconcile;

use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_api::{FederatedTypeConfig, QualifiedName, ResourceType, well_known};
use kubefed_informer::{Event, Informer, Lookup, RawObject, Typed, WatchSpec};
use kubefed_runtime::{FairQueue, FleetController, ReconcileKey};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::Context;
use crate::service_status::ServiceStatus;
use crate::sync::{Kinds, Sync};

/// The loop over FederatedTypeConfigs, and the loops that it runs.
pub(crate) struct TypeConfigs {
    context: Arc<Context>,
    configs: Informer<Typed<FederatedTypeConfig>>,
    kind: ResourceType,
    queue: FairQueue,
    // Held over calls, but by the only worker of the queue; readers look at what runs between them.
    running: Mutex<BTreeMap<QualifiedName, Running<Sync>>>,
    collecting: Mutex<BTreeMap<QualifiedName, Running<ServiceStatus>>>,
    namespaces: Mutex<Option<SharedNamespaces>>,
}

/// A loop that runs.
struct Running<L> {
    generation: i64,
    work: Arc<L>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The watch of FederatedNamespaces that all namespaced types share.
struct SharedNamespaces {
    kind: ResourceType,
    informer: Arc<Informer<RawObject>>,
}

impl TypeConfigs {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let spec = WatchSpec::of_kind::<FederatedTypeConfig>()
            .namespace(context.options.namespace.as_str());
        Self {
            configs: Informer::start("", context.client.clone(), spec),
            kind: crate::resource_type::<FederatedTypeConfig>(),
            queue: FairQueue::new(context.options.queue.clone()),
            running: Mutex::default(),
            collecting: Mutex::default(),
            namespaces: Mutex::default(),
            context,
        }
    }

    /// Runs until `shutdown`, then stops every loop.
    pub(crate) async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = self.configs.until_synced() => {}
        }
        let controller = FleetController::new(self.queue.clone(), 1);
        let reconcile = {
            let configs = Arc::clone(&self);
            move |key: ReconcileKey| {
                let configs = Arc::clone(&configs);
                async move { configs.reconcile(&key.object).await }
            }
        };
        tokio::select! {
            biased;
            () = controller.run(shutdown, reconcile) => {}
            () = self.follow_changes() => {}
        }
        let running = std::mem::take(&mut *self.running.lock().await);
        let collecting = std::mem::take(&mut *self.collecting.lock().await);
        futures::join!(stop_all(running), stop_all(collecting));
    }

    /// What is queued or under way, by type; empty once nothing moves.
    pub(crate) async fn moving(&self) -> Vec<String> {
        let mut moving = Vec::new();
        if !self.queue.depth().is_idle() {
            moving.push("federated type configs".to_owned());
        }
        let running = self.running.lock().await;
        moving.extend(running.values().filter_map(|running| running.work.moving()));
        let collecting = self.collecting.lock().await;
        moving.extend(
            collecting
                .values()
                .filter_map(|running| running.work.moving()),
        );
        moving
    }

    async fn follow_changes(&self) {
        let mut events = self.configs.subscribe();
        while let Some(event) = events.next().await {
            match event {
                Event::Object { name, .. } => self.queue.add(ReconcileKey::fleet(name)),
                Event::Everything => self.add_all(),
                _ => {}
            }
        }
    }

    fn add_all(&self) {
        for name in self.configs.store().names() {
            self.queue.add(ReconcileKey::fleet(name));
        }
    }

    /// The watch of FederatedNamespaces, started with the first type that needs it; `None` without a
    /// FederatedTypeConfig of namespaces.
    async fn namespaces(&self) -> Option<Arc<Informer<RawObject>>> {
        let name = QualifiedName::namespaced(
            self.context.options.namespace.as_str(),
            well_known::NAMESPACES_TYPE_CONFIG,
        );
        let mut shared = self.namespaces.lock().await;
        let Lookup::Present(config) = self.configs.store().get(&name) else {
            *shared = None;
            return None;
        };
        let mut config = FederatedTypeConfig::clone(&config);
        config.apply_defaults();
        let kind = Kinds::of(&config).federated;
        if let Some(shared) = shared.as_ref().filter(|shared| shared.kind == kind) {
            return Some(Arc::clone(&shared.informer));
        }
        let spec = WatchSpec::of(&kind).namespace(self.context.options.watched_namespace());
        let informer = Arc::new(Informer::start("", self.context.client.clone(), spec));
        *shared = Some(SharedNamespaces {
            kind,
            informer: Arc::clone(&informer),
        });
        Some(informer)
    }
}

impl<L> Running<L> {
    fn start<F>(generation: i64, work: L, run: fn(Arc<L>, watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = Arc::new(work);
        let (shutdown, stopped) = watch::channel(false);
        let task = tokio::spawn(run(Arc::clone(&work), stopped));
        Self {
            generation,
            work,
            shutdown,
            task,
        }
    }

    /// Lets what has begun finish. Every call has a deadline, so this ends.
    async fn stop(mut self) {
        let _ = self.shutdown.send(true);
        let _ = (&mut self.task).await;
    }
}

async fn stop_all<L>(running: BTreeMap<QualifiedName, Running<L>>) {
    futures::future::join_all(running.into_values().map(Running::stop)).await;
}

impl<L> Drop for Running<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
