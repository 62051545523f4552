use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use kubefed_api::k8s_openapi::ByteString;
use kubefed_api::{
    KubeFedCluster, QualifiedName, ResourceType, Target, TemplateSchema, crds, default_targets,
    federated_crd, federated_type_config, well_known,
};
use kubefed_controllers::kubefed_informer::{
    ClientLimits, Clock, Connect, ConnectionSpec, FleetConfig, HealthCheck, Malformed, Thresholds,
};
use kubefed_controllers::kubefed_runtime::QueueOptions;
use kubefed_controllers::{ControlPlane, Options};
use kubefed_sim::{Cluster, ClusterOptions, Network, NodeOptions, PodTimes};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api;
use crate::walk::Progress;
use crate::{Error, PlayedCluster, Snapshot};

/// Nothing may change for this long before a fleet counts as settled: longer than any delay between a
/// change and the loops that answer it.
const QUIET: Duration = Duration::from_millis(400);

/// How often a fleet that is not settled is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// A definition whose names are taken is never established; any other is within some tenths of a second.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(10);

/// Long enough that a rollout can be watched, short enough that one of a few replicas ends within a
/// second.
const POD_TIMES: PodTimes = PodTimes::new()
    .start(Duration::from_millis(100))
    .ready(Duration::from_millis(150))
    .run(Duration::from_millis(500))
    .stop(Duration::from_millis(100));

/// How a [`Playground`] is set up.
///
/// Delays are short, so that a fleet on a real clock settles in seconds; everything else is as in
/// production.
#[derive(Clone, Debug)]
pub struct PlaygroundOptions {
    members: usize,
    seed: u64,
    control_plane: Options,
    health_check: HealthCheck,
}

impl Default for PlaygroundOptions {
    fn default() -> Self {
        let moment = Duration::from_millis(100);
        let health_check = HealthCheck {
            period: Duration::from_millis(500),
            timeout: Duration::from_millis(300),
            thresholds: Thresholds::new(2, 1),
        };
        Self {
            members: 3,
            seed: 0,
            control_plane: Options::default()
                .cluster_delays(moment, moment)
                .drift_delay(moment)
                .queue(QueueOptions::default().backoff(2 * moment, 50 * moment)),
            health_check,
        }
    }
}

impl PlaygroundOptions {
    /// Sets how many member clusters there are.
    #[must_use]
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Sets what uids, generated names and tokens are drawn from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how the control plane behaves.
    #[must_use]
    pub fn control_plane(mut self, options: Options) -> Self {
        self.control_plane = options;
        self
    }

    /// Sets when and how clusters are probed.
    #[must_use]
    pub fn health_check(mut self, health_check: HealthCheck) -> Self {
        self.health_check = health_check;
        self
    }
}

/// A host cluster, member clusters and the control plane, all in this process.
///
/// Clusters are simulated unless others are given ([`Playground::on`]), and reached through in-memory
/// connections, with URLs, tokens and lost connections as on a network. `member-1`, `member-2` and so
/// on are of three regions and three sizes in turn, which are labels of their KubeFedClusters.
/// KubeFed's ten default types are federated.
///
/// Dropping it ends everything.
pub struct Playground<C = Cluster> {
    host: C,
    members: BTreeMap<String, C>,
    connect: Arc<dyn Connect>,
    client: Client,
    options: PlaygroundOptions,
    clock: Clock,
    types: Vec<(ResourceType, ResourceType)>,
    control_plane: Option<ControlPlane>,
}

/// A member cluster on its way into a [`Playground`], and how the control plane reaches it.
#[derive(Debug)]
pub struct Joining<C> {
    cluster: C,
    endpoint: String,
    token: String,
    ca_bundle: Option<Vec<u8>>,
}

impl<C> Joining<C> {
    /// A cluster at a URL, and the token of somebody who may do what the control plane does.
    pub fn new(cluster: C, endpoint: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            cluster,
            endpoint: endpoint.into(),
            token: token.into(),
            ca_bundle: None,
        }
    }

    /// Sets the certificates that the cluster's own is verified with, in PEM.
    #[must_use]
    pub fn ca_bundle(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_bundle = Some(pem.into());
        self
    }
}

/// The regions that members belong to in turn.
pub const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// The sizes that members have in turn.
pub const SIZES: [&str; 3] = ["large", "small", "medium"];

impl Playground {
    /// Sets everything up and starts the control plane.
    ///
    /// # Errors
    ///
    /// A simulated cluster refuses an object of the set-up, which is a defect of this library.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(options: PlaygroundOptions) -> Result<Self, Error> {
        let host = Cluster::with_options(ClusterOptions::new("host").seed(options.seed));
        let sim_clock = host.clock();
        let clock = Clock::starting_at(sim_clock.now());
        let network = Network::new();
        network.attach(&host);
        let mut members = Vec::new();
        for index in 1..=options.members {
            let name = member_name(index);
            let seed = options.seed.wrapping_add(index as u64);
            let member = ClusterOptions::new(&name)
                .seed(seed)
                .nodes(nodes(index - 1))
                .pod_times(POD_TIMES);
            let member = Cluster::on_clock(member, sim_clock);
            network.attach(&member);
            let token = member.admin_token().to_owned();
            members.push(Joining::new(member, format!("https://{name}.sim"), token));
        }
        let client = client_of(&network, &host)?;
        let connect = move |spec: &ConnectionSpec| {
            let mut config = Config::new(spec.endpoint().clone());
            let token = spec
                .bearer_token()
                .map(|token| token.expose().to_owned().into());
            config.auth_info.token = token;
            network
                .client(&config)
                .map_err(|error| Malformed::Rejected(error.to_string()))
        };
        Self::set_up(options, host, client, members, connect, clock).await
    }
}

impl<C: PlayedCluster> Playground<C> {
    /// Sets up a playground of clusters that somebody else has started: the members are `member-1`,
    /// `member-2` and so on in the order given, and reached through `connect`. The numbers of members
    /// and the seed of the options count for nothing.
    ///
    /// # Errors
    ///
    /// A cluster refuses an object of the set-up.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn on(
        options: PlaygroundOptions,
        host: C,
        members: Vec<Joining<C>>,
        connect: impl Connect,
    ) -> Result<Self, Error> {
        let client = host.client();
        Self::set_up(options, host, client, members, connect, Clock::system()).await
    }

    async fn set_up(
        options: PlaygroundOptions,
        host: C,
        client: Client,
        joining: Vec<Joining<C>>,
        connect: impl Connect,
        clock: Clock,
    ) -> Result<Self, Error> {
        let mut members = BTreeMap::new();
        let mut connections = Vec::new();
        for (index, member) in joining.into_iter().enumerate() {
            connections.push((member.endpoint, member.token, member.ca_bundle));
            members.insert(member_name(index + 1), member.cluster);
        }
        let mut playground = Self {
            host,
            members,
            connect: Arc::new(connect),
            client,
            options,
            clock,
            types: Vec::new(),
            control_plane: None,
        };
        playground.install().await?;
        for (index, connection) in connections.into_iter().enumerate() {
            playground.join(index, connection).await?;
        }
        playground.start_control_plane();
        Ok(playground)
    }

    /// The host cluster.
    pub fn host(&self) -> &C {
        &self.host
    }

    /// A member cluster by its name, such as `member-1`.
    pub fn member(&self, name: &str) -> Option<&C> {
        self.members.get(name)
    }

    /// The member clusters in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &C)> {
        self.members
            .iter()
            .map(|(name, cluster)| (name.as_str(), cluster))
    }

    pub(crate) fn existing_member(&self, name: &str) -> Result<&C, Error> {
        let member = self.members.get(name);
        member.ok_or_else(|| Error::said(name, "there is no such member"))
    }

    /// The names `member-1`, `member-2`, ... by number.
    pub(crate) fn members_in_order(&self) -> impl Iterator<Item = String> {
        (1..=self.members.len()).map(member_name)
    }

    /// A client for the host cluster.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The federated types: the target and the federated type of each.
    pub fn types(&self) -> &[(ResourceType, ResourceType)] {
        &self.types
    }

    /// Creates objects in the host cluster, or replaces those of the same names, one after the other.
    /// A namespace that an object lives in is created first.
    ///
    /// # Errors
    ///
    /// The first object that is refused; those before it stay.
    pub async fn apply(&self, objects: impl IntoIterator<Item = Value>) -> Result<(), Error> {
        for object in objects {
            self.apply_one(&object).await?;
        }
        Ok(())
    }

    /// Changes an object in the host cluster by a JSON merge patch (RFC 7386).
    ///
    /// # Errors
    ///
    /// The cluster refuses the patch.
    pub async fn patch(
        &self,
        resource: &ResourceType,
        name: &QualifiedName,
        patch: &Value,
    ) -> Result<(), Error> {
        let step = || format!("change {} {name}", resource.kind);
        let patched = api::merge(&self.client, resource, name, patch).await;
        patched
            .map(drop)
            .map_err(|error| Error::call(step(), error))
    }

    /// Changes an object in a member cluster behind the control plane's back.
    ///
    /// # Errors
    ///
    /// There is no such member, or it refuses the patch.
    pub async fn patch_in_member(
        &self,
        member: &str,
        resource: &ResourceType,
        name: &QualifiedName,
        patch: &Value,
    ) -> Result<(), Error> {
        let step = || format!("change {} {name} in {member}", resource.kind);
        let cluster = self.members.get(member);
        let cluster = cluster.ok_or_else(|| Error::said(step(), "there is no such member"))?;
        let patched = api::merge(&cluster.client(), resource, name, patch).await;
        patched
            .map(drop)
            .map_err(|error| Error::call(step(), error))
    }

    /// Deletes an object in the host cluster.
    ///
    /// # Errors
    ///
    /// The cluster refuses the deletion.
    pub async fn delete(&self, resource: &ResourceType, name: &QualifiedName) -> Result<(), Error> {
        let step = || format!("delete {} {name}", resource.kind);
        let deleted = api::delete(&self.client, resource, name).await;
        deleted
            .map(drop)
            .map_err(|error| Error::call(step(), error))
    }

    /// Federates one more type: its definition and its FederatedTypeConfig are created in the host.
    ///
    /// # Errors
    ///
    /// The cluster refuses an object.
    pub async fn enable(&mut self, target: &Target, schema: TemplateSchema) -> Result<(), Error> {
        let pair = (target.target_type().clone(), target.federated_type());
        if self.types.contains(&pair) {
            return Ok(());
        }
        self.apply_one(&to_value(&federated_crd(target, schema))?)
            .await?;
        let mut config = to_value(&federated_type_config(target))?;
        config["metadata"]["namespace"] = self.namespace().into();
        self.apply_one(&config).await?;
        self.remember_type(pair);
        Ok(())
    }

    pub(crate) fn remember_type(&mut self, (target, federated): (ResourceType, ResourceType)) {
        self.host.follow(&federated);
        for member in self.members.values() {
            member.follow(&target);
        }
        self.types.push((target, federated));
    }

    /// What is where: every federated object in every cluster.
    pub fn snapshot(&self) -> Snapshot {
        let explain = |federated: &ResourceType, name: &QualifiedName| {
            let control_plane = self.control_plane.as_ref()?;
            control_plane.explain(federated, name)
        };
        Snapshot::take(&self.host, &self.members, &self.types, explain)
    }

    /// Waits until nothing moves any more: the loops have nothing to do, every federated object's
    /// status is about its present generation, and no cluster has changed for a moment.
    ///
    /// # Errors
    ///
    /// That does not happen in time. The error says what is still moving.
    pub async fn settle(&self, timeout: Duration) -> Result<(), Error> {
        let settled = self.settle_when(timeout, |_| Ok(()), |_, _| ()).await;
        settled.map(drop)
    }

    /// Waits until the world is as expected and nothing moves any more, as [`Playground::settle`]
    /// does, and gives what is then where. Every new state is shown to `watch` on the way, with what
    /// is still moving.
    ///
    /// # Errors
    ///
    /// That does not happen in time. The error says what is not as expected and what is moving.
    pub async fn settle_when(
        &self,
        timeout: Duration,
        expected: impl Fn(&Snapshot) -> Result<(), String>,
        mut watch: impl FnMut(&Snapshot, &[String]),
    ) -> Result<Snapshot, Error> {
        let deadline = Instant::now() + timeout;
        let mut quiet_since = Instant::now();
        let mut versions = self.versions();
        let mut snapshot = self.snapshot();
        loop {
            let mut moving = match &self.control_plane {
                Some(control_plane) => control_plane.moving().await,
                None => Vec::new(),
            };
            moving.extend(snapshot.moving());
            moving.extend(expected(&snapshot).err());
            let now = self.versions();
            if now != versions || !moving.is_empty() {
                quiet_since = Instant::now();
            }
            if quiet_since.elapsed() >= QUIET {
                return Ok(snapshot);
            }
            watch(&snapshot, &moving);
            if Instant::now() >= deadline {
                if moving.is_empty() {
                    moving.push("some cluster is still being written to".to_owned());
                }
                return Err(Error::unsettled("settle", moving, snapshot.problems()));
            }
            tokio::time::sleep(LOOK).await;
            // Looking at everything costs time in a large fleet, so it is done only after a change.
            if self.versions() != versions {
                versions = self.versions();
                snapshot = self.snapshot();
                quiet_since = Instant::now();
            }
        }
    }

    /// Shows every change of what is where, for ever.
    pub async fn watch(&self, mut observe: impl FnMut(Progress<'_>)) {
        let mut shown = self.snapshot();
        let mut versions = self.versions();
        loop {
            tokio::time::sleep(LOOK).await;
            if self.versions() != versions {
                versions = self.versions();
                let snapshot = self.snapshot();
                if snapshot.rows() != shown.rows() {
                    observe(Progress::Changed(&snapshot));
                }
                shown = snapshot;
            }
        }
    }

    /// Ends the control plane after what it has begun. The clusters go on.
    pub async fn stop_control_plane(&mut self) {
        if let Some(control_plane) = self.control_plane.take() {
            control_plane.stop().await;
        }
    }

    /// Ends the control plane at once, in the middle of whatever it does.
    pub fn crash_control_plane(&mut self) {
        self.control_plane = None;
    }

    /// Starts the control plane, anew if it runs.
    pub fn start_control_plane(&mut self) {
        let connect = Arc::clone(&self.connect);
        let connect = move |spec: &ConnectionSpec| connect.connect(spec);
        let fleet = FleetConfig::default()
            .health_check(self.options.health_check)
            .limits(ClientLimits::default().unlimited());
        self.control_plane = Some(ControlPlane::start(
            self.client.clone(),
            connect,
            self.options.control_plane.clone(),
            fleet,
            self.clock,
        ));
    }

    async fn install(&mut self) -> Result<(), Error> {
        for definition in crds() {
            self.apply_one(&to_value(&definition)?).await?;
        }
        self.host.follow(&clusters());
        for (target, schema) in default_targets() {
            self.enable(&target, schema).await?;
        }
        Ok(())
    }

    async fn join(
        &self,
        index: usize,
        (endpoint, token, ca_bundle): (String, String, Option<Vec<u8>>),
    ) -> Result<(), Error> {
        let name = member_name(index + 1);
        let namespace = self.namespace();
        self.apply_one(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": namespace, "name": format!("{name}-token")},
            "stringData": {well_known::TOKEN_KEY: token},
        }))
        .await?;
        let mut cluster = KubeFedCluster::default();
        cluster.spec.secret_ref.name = format!("{name}-token");
        cluster.metadata.name = Some(name);
        cluster.metadata.namespace = Some(namespace.to_owned());
        let label = |of: [&str; 3]| of[index % of.len()].to_owned();
        cluster.metadata.labels = Some(BTreeMap::from([
            ("region".to_owned(), label(REGIONS)),
            ("size".to_owned(), label(SIZES)),
        ]));
        cluster.spec.api_endpoint = endpoint;
        cluster.spec.ca_bundle = ByteString(ca_bundle.unwrap_or_default());
        self.apply_one(&to_value(&cluster)?).await
    }

    async fn apply_one(&self, object: &Value) -> Result<(), Error> {
        let name = QualifiedName::new(
            object["metadata"]["namespace"].as_str(),
            object["metadata"]["name"].as_str().unwrap_or_default(),
        );
        let kind = object["kind"].as_str().unwrap_or("object of no kind");
        let step = || format!("apply {kind} {name}");
        if let Some(namespace) = name.namespace() {
            self.create_namespace(namespace).await?;
        }
        let resource = api::resource_of(&self.client, object).await;
        let resource = resource.map_err(|error| Error::call(step(), error))?;
        let applied = api::apply(&self.client, &resource, object).await;
        applied.map_err(|error| Error::call(step(), error))?;
        if resource != api::definitions() {
            return Ok(());
        }
        let established = api::established(&self.client, &name);
        match tokio::time::timeout(ESTABLISHED_WITHIN, established).await {
            Ok(established) => established.map_err(|error| Error::call(step(), error)),
            Err(_) => Err(Error::said(step(), "the definition is not established")),
        }
    }

    async fn create_namespace(&self, name: &str) -> Result<(), Error> {
        let namespaces = ResourceType::cluster_scoped("", "v1", "Namespace", "namespaces");
        let (step, known) = (
            || format!("create namespace {name}"),
            QualifiedName::cluster_scoped(name),
        );
        let found = api::find(&self.client, &namespaces, &known).await;
        if found.map_err(|error| Error::call(step(), error))?.is_some() {
            return Ok(());
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let created = api::apply(&self.client, &namespaces, &object).await;
        created
            .map(drop)
            .map_err(|error| Error::call(step(), error))
    }

    fn namespace(&self) -> &'static str {
        well_known::DEFAULT_KUBEFED_NAMESPACE
    }

    fn versions(&self) -> Vec<u64> {
        let clusters = std::iter::once(&self.host).chain(self.members.values());
        clusters.map(PlayedCluster::changes).collect()
    }
}

impl<C> fmt::Debug for Playground<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playground")
            .field("members", &self.members.keys())
            .field("control_plane", &self.control_plane)
            .finish_non_exhaustive()
    }
}

/// Three, one or two machines, in the region of the member.
fn nodes(index: usize) -> impl Iterator<Item = NodeOptions> {
    let region = REGIONS[index % REGIONS.len()];
    let machines = match SIZES[index % SIZES.len()] {
        "large" => 3,
        "medium" => 2,
        _ => 1,
    };
    (1..=machines).map(move |number| NodeOptions::new(format!("node-{number}")).region(region))
}

/// KubeFedClusters.
pub(crate) fn clusters() -> ResourceType {
    let (group, version) = (well_known::CORE_GROUP, "v1beta1");
    ResourceType::namespaced(group, version, "KubeFedCluster", "kubefedclusters")
}

fn member_name(number: usize) -> String {
    format!("member-{number}")
}

fn client_of(network: &Network, cluster: &Cluster) -> Result<Client, Error> {
    let step = || format!("connect to {}", cluster.name());
    let endpoint = format!("https://{}.sim", cluster.name());
    let endpoint: http::Uri = endpoint
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::said(step(), error.to_string()))?;
    let mut config = Config::new(endpoint);
    config.auth_info.token = Some(cluster.admin_token().into());
    network
        .client(&config)
        .map_err(|error| Error::call(step(), error))
}

fn to_value(object: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|error| Error::said("encode", error.to_string()))
}
