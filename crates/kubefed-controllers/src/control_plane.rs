use std::sync::Arc;

use kubefed_api::kube::Resource;
use kubefed_api::{QualifiedName, ResourceType, Scope as ResourceScope};
use kubefed_informer::{
    ClientLimits, Clock, Connect, Fleet, FleetConfig, KnownScope, KubeFedClusters, guarded,
};
use kubefed_runtime::Dispatcher;
use kubefed_runtime::kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Options;
use crate::cluster_health::ClusterHealth;
use crate::events::{Events, Recorder};
use crate::explanations::{Explanation, Explanations};
use crate::host::Host;
use crate::type_config::TypeConfigs;

/// What every loop works with.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) host: Host,
    pub(crate) fleet: Fleet,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    pub(crate) explanations: Explanations,
}

impl Context {
    /// The time for statuses: RFC 3339 in UTC with whole seconds.
    pub(crate) fn now(&self) -> String {
        self.clock
            .now()
            .0
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }
}

/// A KubeFed control plane that runs in this process: every loop on one host cluster.
///
/// # Flow
///
/// 1. KubeFedClusters and their Secrets in the KubeFed namespace make the fleet.
/// 2. Probes of the fleet go into the statuses of KubeFedClusters.
/// 3. Each enabled FederatedTypeConfig gets a sync loop, which keeps the copies of its type.
/// 4. The statuses of services are collected where their FederatedTypeConfig asks for it.
///
/// # Assumptions
///
/// The custom resource definitions are installed, and no other control plane works on the same
/// KubeFed namespace: this type does no leader election.
///
/// Dropping it ends everything at once; [`ControlPlane::stop`] lets reconciles finish first.
pub struct ControlPlane {
    context: Arc<Context>,
    type_configs: Arc<TypeConfigs>,
    shutdown: watch::Sender<bool>,
    reconciling: JoinSet<()>,
    /// Loops that have no end of their own and hold nothing half done.
    _endless: JoinSet<()>,
}

impl ControlPlane {
    /// Starts the control plane on a host cluster. Members are reached through `connect`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(
        host: Client,
        connect: impl Connect,
        options: Options,
        fleet: FleetConfig,
        clock: Clock,
    ) -> Self {
        let limits = ClientLimits::default().unlimited();
        let client = guarded(host, &limits);
        let provider = KubeFedClusters::watch(client.clone(), &options.namespace);
        let clusters = Arc::clone(provider.objects());
        let host = Host::new(client.clone(), options.host_deadline);
        let (events, recorders) = Recorder::start(&host, clock);
        let context = Arc::new(Context {
            host,
            fleet: Fleet::start(provider, connect, fleet.clock(clock)),
            dispatcher: Dispatcher::new(options.dispatch.clone()),
            client,
            options,
            clock,
            events,
            explanations: Explanations::default(),
        });
        let (shutdown, stopped) = watch::channel(false);
        let type_configs = Arc::new(TypeConfigs::new(Arc::clone(&context)));
        let (mut reconciling, mut endless) = (JoinSet::new(), JoinSet::new());
        reconciling.spawn(Arc::clone(&type_configs).run(stopped));
        endless.spawn(ClusterHealth::new(Arc::clone(&context), clusters).run());
        for recorder in recorders {
            endless.spawn(recorder.run());
        }
        Self {
            context,
            type_configs,
            shutdown,
            reconciling,
            _endless: endless,
        }
    }

    /// The clusters and their health.
    pub fn fleet(&self) -> &Fleet {
        &self.context.fleet
    }

    /// What is queued, under way or failing, in words; empty once nothing moves.
    pub async fn moving(&self) -> Vec<String> {
        self.type_configs.moving().await
    }

    /// Why a federated object was not as desired when it was last looked at, in words that the wire has
    /// no room for; `None` if all was well.
    pub fn explain(&self, federated: &ResourceType, name: &QualifiedName) -> Option<Explanation> {
        let federated = federated.qualified_plural();
        self.context.explanations.of(federated, name)
    }

    /// Begins no new reconcile, lets those that have begun finish, and ends.
    pub async fn stop(mut self) {
        let _ = self.shutdown.send(true);
        let _ = self.reconciling.join_next().await;
    }
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane")
            .field("fleet", &self.context.fleet)
            .finish_non_exhaustive()
    }
}

/// The type of a kind known at compile time.
pub(crate) fn resource_type<K>() -> ResourceType
where
    K: Resource<DynamicType = ()>,
    K::Scope: KnownScope,
{
    ResourceType {
        group: K::group(&()).into_owned(),
        version: K::version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        plural_name: K::plural(&()).into_owned(),
        scope: if K::Scope::NAMESPACED {
            ResourceScope::Namespaced
        } else {
            ResourceScope::Cluster
        },
    }
}
