//! Every single fault, everywhere: after each write of a walk the control plane crashes and starts
//! anew, or the write is lost, refused, or takes effect unanswered. Each step of each run has to end as
//! it does without a fault.
//!
//! The control plane talks through a [`Wire`], which counts its writes over all clusters and spoils the
//! one it is told to. A failing run prints the fault and the number of the write, which replay it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use kubefed_playground::kubefed_api::well_known;
use kubefed_playground::kubefed_controllers::kubefed_informer::{
    ClientLimits, Clock, ConnectionSpec, FleetConfig, HealthCheck, Malformed, Thresholds,
};
use kubefed_playground::kubefed_controllers::kubefed_runtime::QueueOptions;
use kubefed_playground::kubefed_controllers::{ControlPlane, Options};
use kubefed_playground::kubefed_sim::{Cluster, Effect, Endpoint, Fault, FaultId, ResponseBody};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::{BoxError, Service};

use crate::scene::*;

/// What happens to one write.
#[derive(Clone, Debug, PartialEq)]
enum Spoiler {
    /// It takes effect, and the control plane dies before it hears of that.
    Crash,
    /// It has this fault.
    Fault(Effect),
}

fn refused(code: u16) -> Spoiler {
    Spoiler::Fault(Effect::Status {
        code,
        retry_after_seconds: 0,
    })
}

/// Counts the writes of the control plane and spoils one of them.
struct Wire {
    writes: AtomicU64,
    spoiled: Option<(u64, Spoiler)>,
    crashed: watch::Sender<bool>,
}

impl Wire {
    fn new(spoiled: Option<(u64, Spoiler)>) -> Arc<Self> {
        let crashed = watch::Sender::new(false);
        Arc::new(Self {
            writes: AtomicU64::new(0),
            spoiled,
            crashed,
        })
    }

    fn client(self: &Arc<Self>, cluster: &Cluster) -> Client {
        let (wire, endpoint) = (self.clone(), cluster.endpoint());
        Client::new(
            Wired {
                wire,
                endpoint,
                cluster: cluster.clone(),
            },
            "default",
        )
    }

    fn written(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    fn has_struck(&self) -> bool {
        self.spoiled
            .as_ref()
            .is_some_and(|(k, _)| self.written() >= *k)
    }

    /// The spoiler of a request, if it is the one.
    fn strike(&self, request: &Request<Body>) -> Option<Spoiler> {
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        // Statuses of clusters come and go with time, not with the walk.
        let heartbeat = request.uri().path().contains("/kubefedclusters/");
        if heartbeat || !writes.contains(request.method()) {
            return None;
        }
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let spoiled = self.spoiled.as_ref().filter(|(k, _)| *k == number);
        spoiled.map(|(_, spoiler)| spoiler.clone())
    }
}

#[derive(Clone)]
struct Wired {
    wire: Arc<Wire>,
    endpoint: Endpoint,
    cluster: Cluster,
}

impl Service<Request<Body>> for Wired {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut wired = self.clone();
        Box::pin(async move {
            // The dead write nothing.
            if *wired.wire.crashed.borrow() {
                return std::future::pending().await;
            }
            match wired.wire.strike(&request) {
                None => wired.endpoint.call(request).await,
                Some(Spoiler::Crash) => {
                    wired.endpoint.call(request).await?;
                    wired.wire.crashed.send_replace(true);
                    std::future::pending().await
                }
                Some(Spoiler::Fault(effect)) => {
                    // The request is served before anything else can run.
                    wired.cluster.inject(Fault::new(effect).times(1));
                    wired.endpoint.call(request).await
                }
            }
        })
    }
}

/// A fleet whose control plane is reached through a wire.
struct World {
    playground: Playground,
    wire: Arc<Wire>,
    control_plane: ControlPlane,
    down: Option<FaultId>,
    /// What each step led to.
    states: Vec<Value>,
    struck: bool,
}

impl World {
    async fn start(spoiled: Option<(u64, Spoiler)>) -> Self {
        let mut playground = Playground::start(PlaygroundOptions::default().members(2))
            .await
            .unwrap();
        playground.settle(PATIENCE).await.unwrap();
        playground.stop_control_plane().await;
        let wire = Wire::new(spoiled);
        let control_plane = control_plane(&playground, &wire);
        Self {
            playground,
            wire,
            control_plane,
            down: None,
            states: Vec::new(),
            struck: false,
        }
    }

    /// Goes through with one step. A control plane that dies meanwhile is started anew.
    async fn settle(&mut self) {
        let mut crashed = self.wire.crashed.subscribe();
        let crash = async { crashed.wait_for(|crashed| *crashed).await.map(drop) };
        let died = tokio::select! {
            biased;
            _ = crash => true,
            () = settled(&self.playground, &self.control_plane) => false,
        };
        self.struck |= self.wire.has_struck();
        if died {
            self.wire = Wire::new(None);
            self.control_plane = control_plane(&self.playground, &self.wire);
            settled(&self.playground, &self.control_plane).await;
        }
        self.states.push(state(&self.playground));
    }

    async fn patch(&mut self, kind: &str, object: &str, patch: Value) {
        self.playground
            .patch(&federated_type(kind), &name(object), &patch)
            .await
            .unwrap();
        self.settle().await;
    }

    async fn delete(&mut self, kind: &str, object: &str) {
        self.playground
            .delete(&federated_type(kind), &name(object))
            .await
            .unwrap();
        self.settle().await;
    }

    /// The member is down or up, and its KubeFedCluster says so.
    async fn set_down(&mut self, member: &str, down: bool) {
        let cluster = self.playground.member(member).unwrap();
        match self.down.take() {
            Some(fault) if !down => drop(cluster.lift(fault)),
            _ => self.down = Some(cluster.inject(Fault::new(Effect::Refuse))),
        }
        until("the KubeFedCluster shows it", || {
            ready(&self.playground, member) != down
        })
        .await;
        self.settle().await;
    }
}

fn control_plane(playground: &Playground, wire: &Arc<Wire>) -> ControlPlane {
    let moment = Duration::from_millis(100);
    let options = Options::default()
        .cluster_delays(moment, moment)
        .drift_delay(moment)
        .queue(QueueOptions::default().backoff(2 * moment, 50 * moment));
    let health_check = HealthCheck {
        period: 5 * moment,
        timeout: 3 * moment,
        thresholds: Thresholds::new(2, 1),
    };
    let clients: BTreeMap<_, _> = playground
        .members()
        .map(|(member, cluster)| (format!("{member}.sim"), wire.client(cluster)))
        .collect();
    let connect = move |spec: &ConnectionSpec| {
        let client = spec.endpoint().host().and_then(|host| clients.get(host));
        client
            .cloned()
            .ok_or_else(|| Malformed::Rejected("no such host".to_owned()))
    };
    let fleet = FleetConfig::default()
        .health_check(health_check)
        .limits(ClientLimits::default().unlimited());
    let clock = Clock::starting_at(playground.host().clock().now());
    ControlPlane::start(
        wire.client(playground.host()),
        connect,
        options,
        fleet,
        clock,
    )
}

/// Waits until neither the loops nor any cluster moves any more. An object whose deletion is held up
/// does not move.
async fn settled(playground: &Playground, control_plane: &ControlPlane) {
    let versions = || {
        let members = playground
            .members()
            .map(|(_, member)| member.resource_version());
        std::iter::once(playground.host().resource_version())
            .chain(members)
            .collect::<Vec<_>>()
    };
    let start = Instant::now();
    let (mut last, mut quiet_since) = (versions(), Instant::now());
    // Longer than the first delays of the queue and of the probes.
    while quiet_since.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let moving = control_plane.moving().await;
        let now = versions();
        if now != last || !moving.is_empty() {
            assert!(start.elapsed() < PATIENCE, "never settles: {moving:?}");
            (last, quiet_since) = (now, Instant::now());
        }
    }
}

/// Creation, an override, a cluster that leaves while it is up and one that leaves while it is down,
/// deletion, orphaning; of a kind with a generation and of one without.
async fn walk(world: &mut World) {
    world
        .playground
        .apply([federated_namespace(&everywhere())])
        .await
        .unwrap();
    world.settle().await;
    world
        .playground
        .apply([deployment("web", &everywhere())])
        .await
        .unwrap();
    world.settle().await;
    world
        .playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    world.settle().await;
    let image = override_of("member-2", "/spec/replicas", &json!(2));
    world
        .patch("Deployment", "web", json!({"spec": {"overrides": image}}))
        .await;
    let narrow = |member: &str| json!({"spec": {"placement": {"clusters": [{"name": member}]}}});
    world.patch("Deployment", "web", narrow("member-1")).await;
    world.set_down("member-2", true).await;
    world
        .patch("ConfigMap", "settings", narrow("member-1"))
        .await;
    world.set_down("member-2", false).await;
    world
        .patch(
            "Deployment",
            "web",
            json!({"spec": {"placement": {"clusters": null}}}),
        )
        .await;
    world.delete("Deployment", "web").await;
    let orphan = json!({"metadata": {"annotations": {well_known::ORPHAN_ANNOTATION: "true"}}});
    world.patch("ConfigMap", "settings", orphan).await;
    world.delete("ConfigMap", "settings").await;
}

/// Everything in every cluster, without what differs from run to run: times, uids, and resource versions
/// save for whether the version object tells the right ones.
fn state(playground: &Playground) -> Value {
    let host = playground.host();
    let mut state = BTreeMap::new();
    for (_, federated) in playground.types() {
        keep(
            &mut state,
            "host",
            host.objects(&federated.qualified_plural()),
        );
    }
    for (member, cluster) in playground.members() {
        for (target, _) in playground.types() {
            keep(
                &mut state,
                member,
                cluster.objects(&target.qualified_plural()),
            );
        }
    }
    let mut versions = host.objects("propagatedversions.core.kubefed.io");
    for version in &mut versions {
        judge(playground, version);
    }
    keep(&mut state, "host", versions);
    json!(state)
}

fn keep(state: &mut BTreeMap<String, Value>, cluster: &str, objects: Vec<Value>) {
    for mut object in objects {
        let metadata = &object["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = format!(
            "{cluster} {} {}/{}",
            word(&object["kind"]),
            word(&metadata["namespace"]),
            word(&metadata["name"])
        );
        let kept: Value = ["labels", "annotations", "finalizers"]
            .iter()
            .filter(|field| !metadata[**field].is_null())
            .map(|field| ((*field).to_owned(), metadata[*field].clone()))
            .collect();
        let deleting = !metadata["deletionTimestamp"].is_null();
        object["metadata"] = json!({"kept": kept, "deleting": deleting});
        if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
            for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
                condition.retain(|field, _| !field.ends_with("Time"));
            }
        }
        state.insert(key, object);
    }
}

/// Replaces recorded versions by whether they are those of the copies.
fn judge(playground: &Playground, version: &mut Value) {
    let name = version["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let (kind, object) = name.split_once('-').unwrap_or_default();
    let (resource, namespace) = match kind {
        "deployment" => ("deployments.apps", Some(NAMESPACE)),
        "configmap" => ("configmaps", Some(NAMESPACE)),
        _ => ("namespaces", None),
    };
    let entries = version["status"]["clusterVersions"].as_array_mut();
    for entry in entries.into_iter().flatten() {
        let member = entry["clusterName"].as_str().unwrap_or_default().to_owned();
        let copy = cluster(playground, &member).object(resource, namespace, object);
        let metadata = copy
            .map(|copy| copy["metadata"].clone())
            .unwrap_or_default();
        let current = match metadata["generation"].as_i64() {
            Some(generation) => format!("gen:{generation}"),
            None => format!(
                "rv:{}",
                metadata["resourceVersion"].as_str().unwrap_or_default()
            ),
        };
        entry["version"] = json!(if entry["version"] == current {
            "current"
        } else {
            "outdated"
        });
    }
}

/// Walks in a runtime of its own, and gives the number of writes and what each step led to.
fn run(spoiled: Option<(u64, Spoiler)>) -> (u64, Vec<Value>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let faulty = spoiled.is_some();
        let mut world = World::start(spoiled).await;
        world.settle().await;
        walk(&mut world).await;
        assert_eq!(world.struck, faulty);
        (world.wire.written(), world.states)
    })
}

/// Spoils each write of the walk in turn.
fn check_every_write(spoiler: &Spoiler) {
    let (writes, expected) = run(None);
    let mut wrong = Vec::new();
    for k in 1..=writes {
        let (_, found) = run(Some((k, spoiler.clone())));
        for (step, (expected, found)) in expected.iter().zip(&found).enumerate() {
            if expected != found {
                let difference = difference(expected, found);
                wrong.push(format!(
                    "{spoiler:?} at write {k}, step {step}: {difference}"
                ));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {writes} writes:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The objects that differ, so that a failure can be read.
fn difference(expected: &Value, found: &Value) -> String {
    let (Value::Object(expected), Value::Object(found)) = (expected, found) else {
        return "no objects".to_owned();
    };
    let names: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name));
    let words = |name: &String| {
        let side = |side: &serde_json::Map<String, Value>| {
            side.get(name)
                .map_or("nothing".to_owned(), ToString::to_string)
        };
        format!(
            "\n  {name}\n    expected {}\n    found    {}",
            side(expected),
            side(found)
        )
    };
    differ.map(words).collect()
}

#[test]
fn a_crash_after_any_write_ends_in_the_same_state() {
    check_every_write(&Spoiler::Crash);
}

#[test]
fn a_request_lost_at_any_write_ends_in_the_same_state() {
    check_every_write(&Spoiler::Fault(Effect::LoseRequest));
}

#[test]
fn an_answer_lost_at_any_write_ends_in_the_same_state() {
    check_every_write(&Spoiler::Fault(Effect::LoseAnswer));
}

#[test]
fn a_conflict_at_any_write_ends_in_the_same_state() {
    check_every_write(&refused(409));
}

#[test]
fn an_overload_at_any_write_ends_in_the_same_state() {
    check_every_write(&refused(503));
}
