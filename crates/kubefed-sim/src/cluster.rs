//! A simulated cluster and the ways to reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use kube::Client;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::behaviour::{Behaviour, NodeOptions};
use crate::clock::Clock;
use crate::fault::{Effect, Fault, FaultId};
use crate::log::RequestRecord;
use crate::object::Key;
use crate::route::Verb;
use crate::service::Endpoint;
use crate::state::State;
use crate::webhooks::Servers;

/// A simulated Kubernetes cluster.
///
/// A handle: clones name the same cluster, which lives as long as the last of them or of its
/// connections.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube::api::{Api, PostParams};
/// use kubefed_sim::Cluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kube::Error> {
/// let cluster = Cluster::new("member-1");
/// let api: Api<ConfigMap> = Api::default_namespaced(cluster.client());
/// let mut settings = ConfigMap::default();
/// settings.metadata.name = Some("settings".to_owned());
/// let created = api.create(&PostParams::default(), &settings).await?;
/// assert_eq!(created.metadata.namespace.as_deref(), Some("default"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster {
    pub(crate) shared: Arc<Shared>,
}

/// What the handles and connections of a cluster share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) latency: Duration,
    state: Mutex<State>,
    /// Tells the task below that the loops may have work.
    wake: Arc<Notify>,
    driver: OnceLock<AbortHandle>,
    pub(crate) faults_changed: Notify,
    pub(crate) webhooks: Servers,
}

/// How a [`Cluster`] is made.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) history_max: usize,
    pub(crate) seed: u64,
    pub(crate) reaction: Duration,
    pub(crate) latency: Duration,
    pub(crate) requests_max: usize,
    pub(crate) rbac: bool,
    pub(crate) off: BTreeSet<Behaviour>,
    pub(crate) nodes: Vec<NodeOptions>,
    pub(crate) pods: PodTimes,
    pub(crate) unpullable: Vec<String>,
}

/// How long the steps in the life of a simulated pod take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodTimes {
    pub(crate) start: Duration,
    pub(crate) ready: Duration,
    pub(crate) run: Duration,
    pub(crate) stop: Duration,
}

impl PodTimes {
    /// One second for each step, and three for the work of a pod that ends.
    #[must_use]
    pub const fn new() -> Self {
        let second = Duration::from_secs(1);
        Self {
            start: second,
            ready: second,
            run: Duration::from_secs(3),
            stop: second,
        }
    }

    /// From scheduled to running.
    #[must_use]
    pub const fn start(mut self, time: Duration) -> Self {
        self.start = time;
        self
    }

    /// From running to ready.
    #[must_use]
    pub const fn ready(mut self, time: Duration) -> Self {
        self.ready = time;
        self
    }

    /// From ready to succeeded, for pods that end.
    #[must_use]
    pub const fn run(mut self, time: Duration) -> Self {
        self.run = time;
        self
    }

    /// From deleted to gone.
    #[must_use]
    pub const fn stop(mut self, time: Duration) -> Self {
        self.stop = time;
        self
    }
}

impl Default for PodTimes {
    fn default() -> Self {
        Self::new()
    }
}

impl ClusterOptions {
    /// A cluster of this name with three nodes and every behaviour on.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: "v1.35.4".to_owned(),
            // About what a busy API server's watch caches hold.
            history_max: 4096,
            seed: 0,
            // Long enough that clients see the states in between, short enough to be no wait.
            reaction: Duration::from_millis(10),
            latency: Duration::ZERO,
            // A test's worth; about 2 MB at most.
            requests_max: 10_000,
            rbac: false,
            off: BTreeSet::new(),
            nodes: (1..=3)
                .map(|number| NodeOptions::new(format!("node-{number}")))
                .collect(),
            pods: PodTimes::new(),
            unpullable: Vec::new(),
        }
    }

    /// What `/version` reports, such as `v1.35.4`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The number of changes, over all kinds, that watches, snapshots and `continue` tokens reach
    /// back. Older versions are answered with 410.
    #[must_use]
    pub fn history_max(mut self, changes: usize) -> Self {
        self.history_max = changes;
        self
    }

    /// What uids, generated names and tokens are drawn from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long every answer takes at least.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How many requests [`Cluster::requests`] remembers; 0 records none.
    #[must_use]
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.requests_max = requests;
        self
    }

    /// How long the cluster's own loops take to notice a change.
    #[must_use]
    pub fn reaction(mut self, delay: Duration) -> Self {
        self.reaction = delay;
        self
    }

    /// The nodes, instead of the default three.
    #[must_use]
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = NodeOptions>) -> Self {
        self.nodes = nodes.into_iter().collect();
        self
    }

    /// How long pods take to start, to become ready, to end and to stop.
    #[must_use]
    pub fn pod_times(mut self, times: PodTimes) -> Self {
        self.pods = times;
        self
    }

    /// Images that begin like this cannot be pulled: their pods never start.
    #[must_use]
    pub fn unpullable(mut self, prefix: impl Into<String>) -> Self {
        self.unpullable.push(prefix.into());
        self
    }

    /// Switches role-based access control on: service accounts may do only what Roles and ClusterRoles
    /// give them. Writers of roles are not held to what they may do themselves.
    #[must_use]
    pub fn rbac(mut self) -> Self {
        self.rbac = true;
        self
    }

    /// Switches a behaviour off.
    #[must_use]
    pub fn without(mut self, behaviour: Behaviour) -> Self {
        self.off.insert(behaviour);
        self
    }

    pub(crate) fn has(&self, behaviour: Behaviour) -> bool {
        !self.off.contains(&behaviour)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}.sim", self.name)
    }
}

impl Cluster {
    /// A cluster with the default options, on a clock of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_options(ClusterOptions::new(name))
    }

    /// A cluster with these options, on a clock of its own.
    #[must_use]
    pub fn with_options(options: ClusterOptions) -> Self {
        Self::on_clock(options, Clock::new())
    }

    /// A cluster on a clock that it shares with others.
    #[must_use]
    pub fn on_clock(options: ClusterOptions, clock: Clock) -> Self {
        let name = options.name.clone();
        let (seed, latency) = (options.seed, options.latency);
        let state = Mutex::new(State::new(options, clock, seed));
        let shared = Shared {
            name,
            clock,
            latency,
            state,
            wake: Arc::new(Notify::new()),
            driver: OnceLock::new(),
            faults_changed: Notify::new(),
            webhooks: Servers::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The name that the cluster was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The clock of the cluster.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// A client that calls the API server directly, without HTTP and as an administrator.
    ///
    /// # Panics
    /// Outside a tokio runtime, as every [`kube::Client`] does.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.endpoint(), "default")
    }

    /// The API server as a [`tower::Service`].
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::trusting(self.shared.clone())
    }

    /// Makes a server reachable for the admission webhooks of this cluster, at every
    /// `https://AUTHORITY/…` of a webhook's `clientConfig.url`. There is no TLS below, and webhooks
    /// named by Service are never reachable.
    ///
    /// ```
    /// use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    /// use kube::api::{Api, PostParams};
    /// use kubefed_sim::Cluster;
    /// use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::new("member-1");
    /// let hooks: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client());
    /// let hook = json!({
    ///     "metadata": { "name": "no-namespaces" },
    ///     "webhooks": [{
    ///         "name": "no-namespaces.example.com", "sideEffects": "None",
    ///         "admissionReviewVersions": ["v1"], "clientConfig": { "url": "https://policy.sim/" },
    ///         "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["namespaces"], "operations": ["CREATE"] }],
    ///     }],
    /// });
    /// hooks.create(&PostParams::default(), &serde_json::from_value(hook)?).await?;
    /// let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client());
    /// let namespace = serde_json::from_value(json!({ "metadata": { "name": "extra" } }))?;
    ///
    /// // Nobody answers at that address yet, and failures are not ignored by default.
    /// assert!(namespaces.create(&PostParams::default(), &namespace).await.is_err());
    ///
    /// cluster.serve_webhooks("policy.sim", tower::service_fn(async |request: http::Request<_>| {
    ///     let body = http_body_util::BodyExt::collect(request.into_body()).await?.to_bytes();
    ///     let review: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    ///     let answer = json!({
    ///         "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
    ///         "response": { "uid": review["request"]["uid"], "allowed": false, "status": { "message": "full" } },
    ///     });
    ///     let body: http_body_util::Full<bytes::Bytes> = answer.to_string().into();
    ///     Ok::<_, std::convert::Infallible>(http::Response::new(body))
    /// }));
    /// let refused = namespaces.create(&PostParams::default(), &namespace).await.unwrap_err();
    /// assert!(refused.to_string().contains("denied the request: full"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve_webhooks<S, B>(&self, authority: impl Into<String>, service: S)
    where
        S: tower::Service<http::Request<http_body_util::Full<Bytes>>, Response = http::Response<B>>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        S::Error: Into<tower::BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tower::BoxError>,
    {
        self.shared.webhooks.insert(authority.into(), service);
    }

    /// The resource version of the last write.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.shared.lock().store.revision()
    }

    /// Waits until the cluster's own loops have nothing left to do, now or later.
    ///
    /// A cluster lives on the tokio runtime on which it was first used.
    pub async fn settled(&self) {
        self.shared.start();
        loop {
            let due = self.shared.lock().work();
            let Some(due) = due else { return };
            tokio::time::sleep_until(self.shared.clock.instant(due)).await;
        }
    }

    /// Makes something go wrong, until it is [lifted](Self::lift) or has hit as often as it should.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let id = {
            let mut state = self.shared.lock();
            match fault.effect() {
                Effect::EndWatches => state.faults.ended += 1,
                Effect::CutConnections => state.faults.cut += 1,
                Effect::Compact => state.store.compact(),
                Effect::RevokeToken(token) => drop(state.tokens.revoke(token)),
                _ => {}
            }
            if fault.effect().is_immediate() {
                state.faults.spent()
            } else {
                state.faults.insert(fault)
            }
        };
        self.shared.faults_changed();
        id
    }

    /// Ends a fault; false where it had ended already.
    pub fn lift(&self, id: FaultId) -> bool {
        let lifted = self.shared.lock().faults.lift(id);
        self.shared.faults_changed();
        lifted
    }

    /// Ends every fault.
    pub fn lift_all(&self) {
        self.shared.lock().faults.lift_all();
        self.shared.faults_changed();
    }

    /// The last requests, oldest first, up to [`ClusterOptions::requests_max`].
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.lock().log.records()
    }

    /// Forgets the recorded requests; counts and trace go on.
    pub fn forget_requests(&self) {
        self.shared.lock().log.forget_records();
    }

    /// How many requests there were by verb and resource, since the beginning.
    #[must_use]
    pub fn request_counts(&self) -> BTreeMap<(Verb, String), u64> {
        self.shared.lock().log.counts()
    }

    /// One number for everything that was asked and answered so far, and when. Two runs of the same
    /// program with the same seed have the same trace.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.shared.lock().log.trace()
    }

    /// A bearer token of an administrator.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.shared.lock().admin_token.clone()
    }

    /// A stored object, read past the API: no fault, latency or log entry. `resource` is `plural` or
    /// `plural.group`.
    #[must_use]
    pub fn object(&self, resource: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let state = self.shared.lock();
        state
            .store
            .get(resource, &Key::new(namespace, name))
            .map(|object| object.value())
    }

    /// The stored objects of a resource in the order of a list, read past the API.
    #[must_use]
    pub fn objects(&self, resource: &str) -> Vec<Value> {
        self.shared
            .lock()
            .store
            .list(resource, None)
            .map(|object| object.value())
            .collect()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Starts the task that runs the loops, the first time it is called.
    pub(crate) fn start(self: &Arc<Self>) {
        self.driver.get_or_init(|| {
            let task = drive(Arc::downgrade(self), self.wake.clone());
            tokio::spawn(task).abort_handle()
        });
    }

    /// Lets held requests, open watches and connections look at the faults again.
    fn faults_changed(&self) {
        self.faults_changed.notify_waiters();
        self.lock().store.wake_all();
    }

    /// Tells the loops that there may be work.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic is answered with 500; the data behind it is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }
}

/// Runs the loops of a cluster until it is dropped.
async fn drive(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            // A panic is a bug of one loop; the others go on.
            let due = catch_unwind(AssertUnwindSafe(|| shared.lock().work())).unwrap_or_default();
            due.map(|due| shared.clock.instant(due))
        };
        match next {
            // Why it woke does not matter: it looks at the queue again.
            Some(due) => drop(tokio::time::timeout_at(due, wake.notified()).await),
            None => wake.notified().await,
        }
    }
}
