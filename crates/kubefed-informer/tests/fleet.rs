//! The fleet and its informers against scripted servers, on a paused clock.

mod scripted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kubefed_informer::health::HealthCheck;
use kubefed_informer::{
    Change, ClientLimits, ClusterName, ClusterSpec, ClusterState, ConnectionSpec, Event,
    FederatedInformer, Fleet, FleetConfig, FleetEvent, FleetEvents, Informer, KubeFedClusters,
    Lookup, Malformed, NoConnect, ObservedCopy, QualifiedName, StaticClusters, Subscription,
    Unknown, WatchSpec, guarded,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use scripted::{Fault, Server};

const CLUSTERS: &str = "/apis/core.kubefed.io/v1beta1/namespaces/kubefed/kubefedclusters";
const SECRETS: &str = "/api/v1/namespaces/kubefed/secrets";
const MAPS: &str = "/api/v1/configmaps";

/// A host with KubeFedClusters, and members behind endpoints such as `https://east.test`.
#[derive(Clone, Default)]
struct World {
    host: Server,
    members: BTreeMap<&'static str, Server>,
}

impl World {
    fn new(members: &[&'static str]) -> Self {
        let world = Self {
            host: Server::new(),
            members: members.iter().map(|name| (*name, Server::new())).collect(),
        };
        for name in members {
            world.host.put(SECRETS, secret(name, "first"));
            world.host.put(
                CLUSTERS,
                cluster(name, &format!("https://{name}.test"), json!({})),
            );
        }
        world
    }

    fn member(&self, name: &str) -> &Server {
        &self.members[name]
    }

    /// A fleet that reads the host and probes every second.
    fn fleet(&self) -> Fleet {
        let members = self.members.clone();
        let connect = move |spec: &ConnectionSpec| {
            let name = spec
                .endpoint()
                .host()
                .unwrap_or_default()
                .trim_end_matches(".test");
            let server = members.get(name).cloned().unwrap_or_else(|| {
                let unreachable = Server::new();
                unreachable.fault("/", Some(Fault::Refuse));
                unreachable
            });
            let token = spec.bearer_token().ok_or(Malformed::NoSecretName)?;
            Ok(server.client_with_token(token.expose()))
        };
        let host = guarded(self.host.client(), &ClientLimits::default());
        Fleet::start(KubeFedClusters::watch(host, "kubefed"), connect, config())
    }
}

fn config() -> FleetConfig {
    FleetConfig::default().health_check(HealthCheck {
        period: Duration::from_secs(1),
        ..HealthCheck::default()
    })
}

fn secret(name: &str, token: &str) -> Value {
    let token = ByteString(token.as_bytes().to_vec());
    json!({"metadata": {"name": name, "namespace": "kubefed", "uid": name}, "data": {"token": token}})
}

fn cluster(name: &str, endpoint: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "core.kubefed.io/v1beta1",
        "kind": "KubeFedCluster",
        "metadata": {"name": name, "namespace": "kubefed", "uid": name, "labels": labels},
        "spec": {"apiEndpoint": endpoint, "secretRef": {"name": name}},
    })
}

fn map(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
    })
}

fn named(name: &str) -> QualifiedName {
    QualifiedName::namespaced("shop", name)
}

fn maps() -> WatchSpec {
    WatchSpec::of_kind::<ConfigMap>()
}

fn is(fleet: &Fleet, cluster: &str, state: ClusterState) -> bool {
    fleet
        .clusters()
        .get(&cluster.into())
        .is_some_and(|cluster| cluster.state() == state)
}

/// Waits, for two minutes at most, until something holds.
#[track_caller]
fn eventually(condition: impl Fn() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !condition() {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "never held: {caller}"
            );
            sleep(Duration::from_millis(100)).await;
        }
        start.elapsed()
    }
}

async fn drain(events: &mut Subscription) -> Vec<Event> {
    sleep(Duration::from_secs(1)).await;
    std::iter::from_fn(|| events.try_next()).collect()
}

async fn told(events: &mut FleetEvents) -> Vec<FleetEvent> {
    let mut told = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), events.next()).await {
        told.push(event);
    }
    told
}

fn object(cluster: &str, name: &str, change: Change) -> Event {
    Event::Object {
        cluster: cluster.into(),
        name: named(name),
        change,
    }
}

/// clusters 10.6 to 10.9, informer 10.12: joining, the version, another endpoint, leaving.
#[tokio::test(start_paused = true)]
async fn a_cluster_is_probed_from_joining_to_leaving() {
    let world = World::new(&["east", "west"]);
    let fleet = world.fleet();
    fleet.until_synced().await;
    for name in ["east", "west"] {
        eventually(|| is(&fleet, name, ClusterState::Ready)).await;
        let health = fleet.health(&name.into()).unwrap();
        assert_eq!(health.kubernetes_version(), Some("v1.35.0"));
    }
    let client = fleet.client(&"east".into()).unwrap();
    let request = http::Request::get("/version").body(Vec::new()).unwrap();
    let version: Value = client.request(request).await.unwrap();
    assert_eq!(version["gitVersion"], "v1.35.0");

    world.host.delete(CLUSTERS, "west");
    eventually(|| fleet.health(&"west".into()).is_none()).await;
    let probes = world.member("west").count("list /healthz");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.member("west").count("list /healthz"), probes);
}

/// clusters 10.9: an unreachable address ends readiness at once, and closes what was handed out.
#[tokio::test(start_paused = true)]
async fn another_endpoint_is_another_server() {
    let world = World::new(&["east"]);
    let fleet = world.fleet();
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
    let old = fleet.client(&"east".into()).unwrap();

    world
        .host
        .put(CLUSTERS, cluster("east", "https://nowhere.test", json!({})));
    let waited = eventually(|| is(&fleet, "east", ClusterState::Offline)).await;
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
    let cause = fleet
        .clusters()
        .get(&"east".into())
        .unwrap()
        .cause()
        .unwrap()
        .to_owned();
    assert!(cause.contains("connection refused"), "{cause}");
    let error = old.list_core_api_versions().await.unwrap_err().to_string();
    assert!(error.contains("was closed"), "{error}");

    world.host.delete(CLUSTERS, "east");
    eventually(|| fleet.clusters().is_empty()).await;
    assert!(
        fleet
            .client(&"east".into())
            .err()
            .unwrap()
            .is_not_in_fleet()
    );
}

/// informer I2: a deletion that no watch saw is seen by the next list.
#[tokio::test(start_paused = true)]
async fn a_missed_deletion_is_noticed() {
    let world = World::new(&["east", "west"]);
    let fleet = world.fleet();
    eventually(|| is(&fleet, "west", ClusterState::Ready)).await;
    world.host.lose(CLUSTERS, "west");
    let gone = eventually(|| fleet.clusters().get(&"west".into()).is_none()).await;
    assert!(gone <= Duration::from_secs(65), "{gone:?}");
    assert!(is(&fleet, "east", ClusterState::Ready));
}

/// A host that cannot be reached says nothing about who has left.
#[tokio::test(start_paused = true)]
async fn an_unreachable_host_removes_nobody() {
    let world = World::new(&["east"]);
    let fleet = world.fleet();
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
    world.host.lose(CLUSTERS, "east");
    world.host.fault("/", Some(Fault::Status(503)));
    sleep(Duration::from_secs(3600)).await;
    assert!(is(&fleet, "east", ClusterState::Ready));
    world.host.fault("/", None);
    eventually(|| fleet.clusters().is_empty()).await;
}

/// informer I3: what is malformed is repaired by what it lacks, whichever comes first.
#[tokio::test(start_paused = true)]
async fn a_secret_that_comes_later_repairs_its_cluster() {
    let mut world = World::new(&[]);
    world.members.insert("east", Server::new());
    world
        .host
        .put(CLUSTERS, cluster("east", "https://east.test", json!({})));
    let fleet = world.fleet();
    eventually(|| is(&fleet, "east", ClusterState::Malformed)).await;
    let view = fleet.clusters();
    let cause = view.get(&"east".into()).unwrap().cause();
    assert_eq!(cause, Some("the secret \"east\" does not exist"));
    assert!(
        fleet
            .client(&"east".into())
            .err()
            .unwrap()
            .is_not_connected()
    );
    world.host.put(SECRETS, secret("east", "first"));
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
}

/// Secrets that may not be read leave clusters known, but not reached.
#[tokio::test(start_paused = true)]
async fn clusters_wait_for_their_secrets() {
    let world = World::new(&["east"]);
    world.host.fault(SECRETS, Some(Fault::Status(403)));
    let fleet = world.fleet();
    fleet.until_synced().await;
    sleep(Duration::from_secs(600)).await;
    assert!(is(&fleet, "east", ClusterState::Connecting));
    world.host.fault(SECRETS, None);
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
}

/// One odd object neither breaks the list nor looks like a removal.
#[tokio::test(start_paused = true)]
async fn an_undecodable_cluster_is_malformed_and_alone() {
    let world = World::new(&["east", "west"]);
    let fleet = world.fleet();
    eventually(|| is(&fleet, "west", ClusterState::Ready)).await;
    let mut odd = cluster("west", "https://west.test", json!({}));
    odd["spec"]["apiEndpoint"] = json!(7);
    world.host.put(CLUSTERS, odd);
    eventually(|| is(&fleet, "west", ClusterState::Malformed)).await;
    assert!(is(&fleet, "east", ClusterState::Ready));
}

/// informer I9 and clusters C3: a new token takes effect in the clients and watches that are there.
#[tokio::test(start_paused = true)]
async fn a_rotated_token_is_taken_up_without_a_new_list() {
    let world = World::new(&["east"]);
    let east = world.member("east");
    east.put(MAPS, map("web"));
    let fleet = world.fleet();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    informer.until_synced().await;
    let mut events = fleet.subscribe();
    told(&mut events).await;

    world.host.put(SECRETS, secret("east", "second"));
    sleep(Duration::from_secs(2)).await;
    east.require_token("second");
    sleep(Duration::from_secs(300)).await;
    assert!(is(&fleet, "east", ClusterState::Ready));
    assert_eq!(east.count("list /api/v1/configmaps"), 1);
    east.put(MAPS, map("new"));
    eventually(|| {
        informer
            .store()
            .get(&"east".into(), &named("new"))
            .present()
            .is_some()
    })
    .await;

    let expected = [FleetEvent::CredentialsChanged("east".into())];
    assert_eq!(told(&mut events).await, expected);
}

/// informer 10.8 and I6: labels reach the fleet and disturb nothing.
#[tokio::test(start_paused = true)]
async fn a_label_only_relabels() {
    let world = World::new(&["east"]);
    let fleet = world.fleet();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    informer.until_synced().await;
    let lists = world.member("east").count("list /api/v1/configmaps");
    world.host.put(
        CLUSTERS,
        cluster("east", "https://east.test", json!({"tier": "gold"})),
    );
    eventually(|| {
        let view = fleet.clusters();
        view.get(&"east".into())
            .is_some_and(|c| c.labels().get("tier").is_some_and(|t| t == "gold"))
    })
    .await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(world.member("east").count("list /api/v1/configmaps"), lists);
}

/// informer 10.6, I1 and I4: each cluster is synced, or not, by itself.
#[tokio::test(start_paused = true)]
async fn a_broken_cluster_delays_no_other() {
    let world = World::new(&["black-hole", "east", "forbidden", "gone"]);
    world
        .member("forbidden")
        .fault(MAPS, Some(Fault::Status(403)));
    world.member("gone").fault("/", Some(Fault::Refuse));
    world.member("black-hole").fault(MAPS, Some(Fault::Silence));
    world.member("east").put(MAPS, map("web"));
    let fleet = world.fleet();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    let store = informer.store();
    let present = || store.get(&"east".into(), &named("web")).present().is_some();
    let waited = eventually(present).await;
    assert!(waited <= Duration::from_secs(2), "{waited:?}");

    // Long enough for the deadline of the list that is never answered.
    sleep(Duration::from_secs(35)).await;
    let lags: Vec<_> = store.synced().laggards().to_vec();
    let why = |name: &str| {
        lags.iter()
            .find(|(cluster, _)| cluster.as_str() == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(lags.len(), 3, "{lags:?}");
    assert_eq!(why("gone"), Unknown::NotReady(ClusterState::Offline));
    assert!(
        why("forbidden").to_string().contains("scripted 403"),
        "{lags:?}"
    );
    assert!(
        why("black-hole").to_string().contains("within 30s"),
        "{lags:?}"
    );
    assert!(matches!(
        store.get(&"gone".into(), &named("web")),
        Lookup::Unknown(_)
    ));
    assert_eq!(
        store.clusters_holding(&named("web")),
        [ClusterName::from("east")]
    );

    world.member("east").put(MAPS, map("later"));
    let later = || {
        store
            .get(&"east".into(), &named("later"))
            .present()
            .is_some()
    };
    assert!(eventually(later).await <= Duration::from_millis(100));
    world.member("forbidden").fault(MAPS, None);
    let repaired = || store.cluster(&"forbidden".into()).unwrap().is_synced();
    assert!(eventually(repaired).await <= Duration::from_secs(31));
}

/// A cluster that comes back is listed anew, and only what differs is an event.
#[tokio::test(start_paused = true)]
async fn a_returning_cluster_is_compared_with_what_was_known() {
    let world = World::new(&["east"]);
    let east = world.member("east");
    for name in ["kept", "lost"] {
        east.put(MAPS, map(name));
    }
    let fleet = world.fleet();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    let mut events = informer.subscribe();
    informer.until_synced().await;
    drain(&mut events).await;

    east.fault("/", Some(Fault::Refuse));
    eventually(|| is(&fleet, "east", ClusterState::Offline)).await;
    assert_eq!(drain(&mut events).await, [Event::Lost("east".into())]);
    let kept = informer.store().get(&"east".into(), &named("kept"));
    assert_eq!(
        kept.unknown(),
        Some(&Unknown::NotReady(ClusterState::Offline))
    );

    east.lose(MAPS, "lost");
    east.put(MAPS, map("new"));
    east.fault("/", None);
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
    let expected = [
        object("east", "new", Change::Created),
        object("east", "lost", Change::Deleted),
        Event::Synced("east".into()),
    ];
    assert_eq!(drain(&mut events).await, expected);

    world.host.delete(CLUSTERS, "east");
    eventually(|| fleet.clusters().is_empty()).await;
    let mut left = drain(&mut events).await;
    assert_eq!(left.pop(), Some(Event::Lost("east".into())));
    assert_eq!(left.len(), 2);
    let kept = informer.store().get(&"east".into(), &named("kept"));
    assert_eq!(kept.unknown(), Some(&Unknown::NotInFleet));
}

/// reliability 3.2: with 20 of 21 members refusing, the healthy one is as fast as ever.
#[tokio::test(start_paused = true)]
async fn twenty_dead_clusters_do_not_slow_the_living_one() {
    let dead = Server::new();
    dead.fault(MAPS, Some(Fault::Refuse));
    let living = Server::new();
    let clusters = (0..20)
        .map(|index| ClusterSpec::new(format!("dead-{index}"), dead.client()))
        .chain([ClusterSpec::new("living", living.client())]);
    let fleet = Fleet::start(
        StaticClusters::new(clusters),
        NoConnect,
        FleetConfig::default(),
    );
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    let mut events = informer.subscribe();
    eventually(|| {
        informer
            .store()
            .cluster(&"living".into())
            .is_some_and(|s| s.is_synced())
    })
    .await;
    drain(&mut events).await;
    for index in 0..30 {
        sleep(Duration::from_secs(60)).await;
        let name = format!("map-{index}");
        living.put(MAPS, map(&name));
        let start = Instant::now();
        let event = timeout(Duration::from_secs(1), events.next())
            .await
            .unwrap();
        assert_eq!(event, Some(object("living", &name, Change::Created)));
        assert!(start.elapsed() < Duration::from_millis(10));
    }
    // Back-off has its arithmetic: two to three lists a minute and cluster once the delay is 30 s.
    let lists = dead.count("list /api/v1/configmaps");
    assert!((20 * 30 * 2..20 * 30 * 3).contains(&lists), "{lists}");
}

/// A server that closes every watch at once is asked a dozen times a minute, not a thousand times a
/// second.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_closed_at_once_is_opened_again_slowly() {
    let server = Server::new();
    server.put(MAPS, map("web"));
    server.fault(MAPS, Some(Fault::Empty));
    let client = guarded(server.client(), &ClientLimits::default());
    let informer = Informer::<ObservedCopy>::start("east", client, maps());
    informer.until_synced().await;
    sleep(Duration::from_secs(600)).await;
    let watches = server.count("watch /api/v1/configmaps");
    assert!((100..=130).contains(&watches), "{watches}");
    server.fault(MAPS, None);
    server.put(MAPS, map("later"));
    eventually(|| informer.store().len() == 2).await;
}

/// 410 Gone is an ordinary event: the contents stay known and a list follows.
#[tokio::test(start_paused = true)]
async fn a_forgotten_place_leads_to_a_new_list() {
    let server = Server::new();
    for name in ["kept", "lost"] {
        server.put(MAPS, map(name));
    }
    let client = guarded(server.client(), &ClientLimits::default());
    let informer = Informer::<ObservedCopy>::start("east", client, maps());
    let mut events = informer.subscribe();
    informer.until_synced().await;
    drain(&mut events).await;
    server.lose(MAPS, "lost");
    eventually(|| informer.store().len() == 1).await;
    assert_eq!(
        drain(&mut events).await,
        [object("east", "lost", Change::Deleted)]
    );
    assert!(informer.store().is_synced());
}

/// A watch that fails again and again no longer knows what is there; a list tells when it is over.
#[tokio::test(start_paused = true)]
async fn a_failing_watch_loses_its_claim_to_know() {
    let server = Server::new();
    server.put(MAPS, map("web"));
    let client = guarded(server.client(), &ClientLimits::default());
    let informer = Informer::<ObservedCopy>::start("east", client, maps());
    informer.until_synced().await;
    server.fault(MAPS, Some(Fault::Status(404)));
    // The open watch lasts a minute; five failures take some seconds more.
    sleep(Duration::from_secs(59)).await;
    assert!(informer.store().is_synced());
    let waited = eventually(|| !informer.store().is_synced()).await;
    assert!(waited > Duration::from_secs(5), "{waited:?}");
    let why = informer.store().unknown().unwrap().to_string();
    assert!(why.contains("scripted 404"), "{why}");
    server.fault(MAPS, None);
    eventually(|| informer.store().is_synced()).await;
}

/// digest trap 4 and informer I5: a call is answered in time or fails.
#[tokio::test(start_paused = true)]
async fn a_call_has_a_deadline() {
    let server = Server::new();
    server.fault("/api", Some(Fault::Silence));
    let limits = ClientLimits::default().deadline(Duration::from_secs(7));
    let client = guarded(server.client(), &limits);
    let start = Instant::now();
    let error = client
        .list_core_api_versions()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("within 7s"), "{error}");
    assert_eq!(start.elapsed().as_secs(), 7);
}

/// informer I10: one rate for all kinds of a cluster; probes are not held up by it.
#[tokio::test(start_paused = true)]
async fn calls_share_a_rate_and_probes_pass() {
    let server = Server::new();
    let client = guarded(server.client(), &ClientLimits::default());
    let call = |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let client = client.clone();
        async move { client.request::<Value>(request).await }
    };
    let start = Instant::now();
    let calls = (0..2000).map(|index| call(if index % 2 == 0 { MAPS } else { SECRETS }));
    futures::future::join_all(calls).await;
    // 800 at once, then 400 a second.
    assert_eq!(start.elapsed().as_millis() / 100, 30);
    let start = Instant::now();
    let probes = (0..1000).map(|_| call("/version"));
    futures::future::join_all(probes).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// informer I15: nothing goes on after the fleet.
#[tokio::test(start_paused = true)]
async fn dropping_the_fleet_ends_everything() {
    let world = World::new(&["east"]);
    let fleet = world.fleet();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, maps());
    let mut events = informer.subscribe();
    eventually(|| is(&fleet, "east", ClusterState::Ready)).await;
    let client = fleet.client(&"east".into()).unwrap();
    drop(fleet);
    sleep(Duration::from_secs(1)).await;
    let east = world.member("east");
    let before = (world.host.count(""), east.count(""));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!((world.host.count(""), east.count("")), before);
    assert!(client.list_core_api_versions().await.is_err());
    let lookup = informer.store().get(&"east".into(), &named("web"));
    assert_eq!(lookup.unknown(), Some(&Unknown::NotInFleet));
    drop(informer);
    while events.next().await.is_some() {}
}

/// Two subscribers are independent, and one that comes late hears of everything that is there.
#[tokio::test(start_paused = true)]
async fn a_late_subscriber_hears_of_what_is_there() {
    let server = Server::new();
    server.put(MAPS, map("web"));
    let clusters = StaticClusters::new([ClusterSpec::new("east", server.client())]);
    let fleet = Fleet::start(clusters, NoConnect, config());
    let informer = Arc::new(FederatedInformer::<ObservedCopy>::start(&fleet, maps()));
    informer.until_synced().await;
    let expected = [
        object("east", "web", Change::Created),
        Event::Synced("east".into()),
    ];
    for _ in 0..2 {
        assert_eq!(drain(&mut informer.subscribe()).await, expected);
    }
    let mut fleet_events = fleet.subscribe();
    let expected = [
        FleetEvent::Added("east".into()),
        FleetEvent::BecameReady("east".into()),
        FleetEvent::Synced,
    ];
    for event in expected {
        assert_eq!(fleet_events.next().await, Some(event));
    }
}
