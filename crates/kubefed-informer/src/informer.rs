//! One watch of one kind in one cluster.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource};
use kube::discovery::Scope;
use kube::runtime::watcher;
use kube::{Client, Resource};
use kubefed_api::{ClusterName, ResourceType};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::feed::{Event, Feed, Subscription};
use crate::observed::Observed;
use crate::received::Received;
use crate::store::{Store, Unknown};
use crate::task::Task;

/// How long a server may keep one watch open. A connection that died silently is noticed five seconds
/// later, so this bounds how stale a store can be; 60 s is one request a minute for each kind.
pub const WATCH_TIMEOUT_SECS: u32 = 60;

/// Objects in one page of a list: at 4 kB each a page of 2 MB, which passes a 1 Mbit/s link within the
/// deadline of a call.
const PAGE_SIZE: u32 = 500;

/// Failures in a row after which the contents no longer count as known and a new list is asked for.
/// With the delays between them that is about 15 to 25 seconds.
const FAILURES_MAX: u32 = 5;

/// Failures further apart than this are not in a row.
const FAILURES_APART: Duration = Duration::from_secs(120);

/// What to watch: a kind, where, and which of its objects.
///
/// ```
/// use kubefed_api::{ResourceType, Scope};
/// use kubefed_informer::WatchSpec;
///
/// let deployments = ResourceType {
///     group: "apps".into(),
///     version: "v1".into(),
///     kind: "Deployment".into(),
///     plural_name: "deployments".into(),
///     scope: Scope::Namespaced,
/// };
/// let watch = WatchSpec::of(&deployments).namespace("shop").labels("kubefed.io/managed=true");
/// assert_eq!(watch.path(), "/apis/apps/v1/namespaces/shop/deployments");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchSpec {
    resource: ApiResource,
    namespaced: bool,
    namespace: Option<String>,
    labels: Option<String>,
    timeout_secs: u32,
}

impl WatchSpec {
    /// All objects of a type, in all namespaces.
    pub fn of(resource: &ResourceType) -> Self {
        Self {
            resource: resource.api_resource(),
            namespaced: resource.is_namespaced(),
            namespace: None,
            labels: None,
            timeout_secs: WATCH_TIMEOUT_SECS,
        }
    }

    /// All objects of a kind known at compile time, in all namespaces.
    pub fn of_kind<K>() -> Self
    where
        K: Resource<DynamicType = ()>,
        K::Scope: KnownScope,
    {
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespaced: K::Scope::NAMESPACED,
            namespace: None,
            labels: None,
            timeout_secs: WATCH_TIMEOUT_SECS,
        }
    }

    /// Only objects in this namespace; empty means all. Kinds without namespaces take no notice.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into()).filter(|namespace| !namespace.is_empty());
        self
    }

    /// Only objects that match a label selector. What does not match looks absent.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into()).filter(|selector| !selector.is_empty());
        self
    }

    /// How long the server may keep one watch open, in seconds; 60 if not given. Where no proxy or load
    /// balancer can drop a connection silently, as on the host cluster, it may be longer.
    pub fn timeout_secs(mut self, seconds: u32) -> Self {
        // Zero would mean for ever.
        self.timeout_secs = seconds.max(1);
        self
    }

    /// The watched kind.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// Whether objects of the kind live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.namespaced
    }

    /// The path of the list.
    pub fn path(&self) -> String {
        let namespace = self.namespace.as_deref().filter(|_| self.namespaced);
        kube::core::DynamicObject::url_path(&self.resource, namespace)
    }

    fn api<T: Observed>(&self, client: Client) -> Api<Received<T>> {
        let scope = if self.namespaced {
            Scope::Namespaced
        } else {
            Scope::Cluster
        };
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Api::dynamic(client, &self.resource, &scope).constrain(namespace)
    }

    fn config(&self) -> watcher::Config {
        let config = watcher::Config::default()
            .timeout(self.timeout_secs)
            .page_size(PAGE_SIZE);
        match &self.labels {
            Some(selector) => config.labels(selector),
            None => config,
        }
    }
}

/// The scope of a kind that is known at compile time.
pub trait KnownScope: sealed::Sealed {
    /// Whether objects live in namespaces.
    const NAMESPACED: bool;
}

impl KnownScope for k8s_openapi::NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl KnownScope for k8s_openapi::ClusterResourceScope {
    const NAMESPACED: bool = false;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for k8s_openapi::NamespaceResourceScope {}
    impl Sealed for k8s_openapi::ClusterResourceScope {}
}

/// Watches one kind in one cluster, for example in the host cluster.
///
/// The watch goes on until the informer is dropped: it is resumed when the server ends it, started over
/// when the server has forgotten its place, and tried again with growing delays when it fails.
/// Deadlines and limits are those of the client ([`guarded`](crate::guarded) adds them).
#[derive(Debug)]
pub struct Informer<T> {
    store: Arc<Store<T>>,
    feed: Arc<Feed>,
    // Last, so that the watch ends when the informer is dropped.
    _watch: Task,
}

impl<T: Observed> Informer<T> {
    /// Starts watching. The name of the cluster appears in events and in the log.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(cluster: impl Into<ClusterName>, client: Client, watch: WatchSpec) -> Self {
        let feed = Arc::new(Feed::default());
        let store = Arc::new(Store::new(
            cluster.into(),
            feed.clone(),
            Arc::default(),
            watch::Sender::default(),
        ));
        Self {
            _watch: Task::spawn(follow(client, watch, store.clone())),
            store,
            feed,
        }
    }

    /// What the cluster holds.
    pub fn store(&self) -> &Arc<Store<T>> {
        &self.store
    }

    /// Follows changes, beginning with one event for all that is there now.
    pub fn subscribe(&self) -> Subscription {
        let subscription = self.feed.subscribe();
        replay(&self.store, &subscription);
        subscription
    }

    /// Waits until the store is synced.
    pub async fn until_synced(&self) {
        self.store.until_synced().await;
    }
}

/// Tells a new subscriber what a store holds already. What changes meanwhile is heard of twice at most.
pub(crate) fn replay<T>(store: &Store<T>, subscription: &Subscription) {
    let cluster = store.cluster();
    for name in store.names() {
        subscription.push(Event::Object {
            cluster: cluster.clone(),
            name,
            change: crate::feed::Change::Created,
        });
    }
    if store.is_synced() {
        subscription.push(Event::Synced(cluster.clone()));
    }
}

/// Keeps a store equal to what a cluster holds, for ever.
pub(crate) async fn follow<T: Observed>(client: Client, watch: WatchSpec, store: Arc<Store<T>>) {
    let mut backoff = Backoff::new(&(store.cluster(), watch.path()));
    loop {
        let mut events = pin!(watcher(watch.api::<T>(client.clone()), watch.config()));
        while let Some(event) = events.next().await {
            let error = match event {
                Ok(event) => {
                    if store.take(event, &watch.resource) {
                        backoff.reset();
                    }
                    continue;
                }
                Err(error) => error,
            };
            let delay = backoff.next();
            let failures = backoff.failures();
            tracing::debug!(cluster = %store.cluster(), path = watch.path(), %error, failures, "watch failed");
            // A server that has forgotten our place is well; kube itself would ask for it again for ever
            // where the refusal is an HTTP status.
            let gone = is_gone(&error);
            if !gone && failures >= FAILURES_MAX || !store.is_synced() {
                let error = error.to_string().into();
                store.forget(Unknown::Failing { error, failures });
            }
            tokio::time::sleep(delay).await;
            if gone || failures >= FAILURES_MAX {
                // Only a list tells for certain that the watch works again.
                break;
            }
        }
    }
}

/// Whether the server no longer knows the version from which a watch wants to go on.
fn is_gone(error: &watcher::Error) -> bool {
    use watcher::Error::{WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status) => status.code == 410,
        WatchStartFailed(kube::Error::Api(status)) | WatchFailed(kube::Error::Api(status)) => {
            status.code == 410
        }
        _ => false,
    }
}

/// Growing delays between failures. The spread that keeps many watches from failing in step comes from
/// what is watched, so that a run can be repeated.
#[derive(Debug)]
struct Backoff {
    seed: u64,
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    /// The first delay; each further one is twice as long.
    const FIRST: Duration = Duration::from_millis(800);
    /// The longest delay.
    const LONGEST: Duration = Duration::from_secs(30);

    fn new(watched: &impl Hash) -> Self {
        // The keys of this hasher are fixed, unlike those of `RandomState`.
        let mut hasher = DefaultHasher::new();
        watched.hash(&mut hasher);
        Self {
            seed: hasher.finish(),
            failures: 0,
            last: None,
        }
    }

    /// Counts a failure and gives the delay after it: between three quarters and all of the doubled one.
    fn next(&mut self) -> Duration {
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now.duration_since(last) > FAILURES_APART)
        {
            self.failures = 0;
        }
        self.last = Some(now);
        let doubled = Self::FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let spread = self.seed.rotate_left(self.failures * 8) % 256;
        let whole = doubled.min(Self::LONGEST);
        whole - whole * u32::try_from(spread).unwrap_or_default() / 1024
    }

    fn failures(&self) -> u32 {
        self.failures
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}
