//! What does it cost to bring many objects to many clusters: time, requests and memory?
//!
//! `cargo bench -p kubefed-playground --bench converge` federates Deployments without replicas to
//! simulated clusters, changes them all, and waits until nothing is written any more. Everything is in
//! this process, on one thread and a paused clock: the loops, the connections and the API servers, which
//! take most of the time. `KUBEFED_BENCH_SCALE=1000x100` sets objects and clusters (100x20).
//!
//! The least number of writes for a copy in one of n clusters is that of the wire format: 1 + 4/n to
//! create (finalizer, copy, version object and its status, status) and 1 + 2/n to update. The bytes of an
//! observed object are what an informer of all clusters adds to the heap, for each object in it.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kubefed_informer::{
    ClusterSpec, FederatedInformer, Fleet, FleetConfig, NoConnect, ObservedCopy, StaticClusters,
    WatchSpec,
};
use kubefed_playground::kubefed_sim::{Cluster, Verb};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

/// Counts what is allocated and not freed.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only counts"
)]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

const NAMESPACE: &str = "shop";

fn main() {
    let scale = std::env::var("KUBEFED_BENCH_SCALE").unwrap_or_else(|_| "100x20".to_owned());
    let (objects, clusters) = scale.split_once('x').expect("OBJECTSxCLUSTERS");
    let (objects, clusters) = (objects.parse().unwrap(), clusters.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(converge(objects, clusters));
}

async fn converge(objects: usize, clusters: usize) {
    let options = PlaygroundOptions::default().members(clusters);
    let playground = Playground::start(options).await.unwrap();
    playground
        .apply([federated("Namespace", NAMESPACE, json!({}))])
        .await
        .unwrap();
    quiet(&playground).await;
    println!("{objects} federated Deployments in {clusters} clusters\n");
    println!("| phase | wall s | µs/copy | writes/copy | least | reads/copy | peak RSS MB |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let copies = (objects * clusters) as f64;
    let of_n = |more: f64| 1.0 + more / clusters as f64;
    let deployments = deployments(&playground);

    let phase = Phase::begin(&playground);
    each(objects, async |index| {
        let object = federated("Deployment", &name(index), template("one"));
        let object = serde_json::from_value(object).unwrap();
        deployments
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    })
    .await;
    quiet(&playground).await;
    phase.end("create", &playground, objects, copies, of_n(4.0));
    assert_eq!(held(&playground, "one"), objects * clusters);

    let phase = Phase::begin(&playground);
    each(objects, async |index| {
        let patch = Patch::Merge(json!({"spec": {"template": template("two")}}));
        deployments
            .patch(&name(index), &PatchParams::default(), &patch)
            .await
            .unwrap();
    })
    .await;
    quiet(&playground).await;
    phase.end("update", &playground, objects, copies, of_n(2.0));
    assert_eq!(held(&playground, "two"), objects * clusters);

    let phase = Phase::begin(&playground);
    tokio::time::sleep(Duration::from_secs(60)).await;
    phase.end("a minute of rest", &playground, 0, copies, 0.0);
    let bytes = observed_bytes(&playground).await as f64 / copies;
    println!("\n{bytes:.0} bytes per observed object");
}

/// Acts for every object, some at once.
async fn each(objects: usize, act: impl AsyncFn(usize)) {
    let acts = stream::iter(0..objects).map(|index| act(index));
    acts.buffer_unordered(32).collect::<Vec<()>>().await;
}

/// Waits until nothing has been written for longer than any delay of the loops.
async fn quiet(playground: &Playground) {
    let versions = || {
        all(playground)
            .map(Cluster::resource_version)
            .collect::<Vec<_>>()
    };
    let mut before = versions();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = versions();
        if now == before {
            return;
        }
        before = now;
    }
}

fn all(playground: &Playground) -> impl Iterator<Item = &Cluster> {
    let members = playground.members().map(|(_, member)| member);
    std::iter::once(playground.host()).chain(members)
}

/// The copies of a round.
fn held(playground: &Playground, round: &str) -> usize {
    let of = |member: &Cluster| {
        let copies = member.objects("deployments.apps").into_iter();
        copies
            .filter(|copy| copy["spec"]["template"]["metadata"]["labels"]["round"] == round)
            .count()
    };
    playground.members().map(|(_, member)| of(member)).sum()
}

/// What an informer of all copies adds to the heap.
async fn observed_bytes(playground: &Playground) -> usize {
    let clusters = playground
        .members()
        .map(|(name, member)| ClusterSpec::new(name, member.client()));
    let clusters = StaticClusters::new(clusters.collect::<Vec<_>>());
    let fleet = Fleet::start(clusters, NoConnect, FleetConfig::default());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = LIVE.load(Ordering::Relaxed);
    let watch = WatchSpec::of_kind::<k8s_openapi::api::apps::v1::Deployment>();
    let informer = FederatedInformer::<ObservedCopy>::start(&fleet, watch);
    informer.until_synced().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    LIVE.load(Ordering::Relaxed).saturating_sub(before)
}

struct Phase {
    start: Instant,
    before: (u64, u64),
}

impl Phase {
    fn begin(playground: &Playground) -> Self {
        Self {
            start: Instant::now(),
            before: requests(playground),
        }
    }

    /// `own` are the writes of the bench itself.
    fn end(self, name: &str, playground: &Playground, own: usize, copies: f64, least: f64) {
        let seconds = self.start.elapsed().as_secs_f64();
        let (writes, reads) = requests(playground);
        println!(
            "| {name} | {seconds:.2} | {:.0} | {:.3} | {least:.3} | {:.3} | {:.0} |",
            seconds * 1e6 / copies,
            (writes - self.before.0 - own as u64) as f64 / copies,
            (reads - self.before.1) as f64 / copies,
            peak_memory() / 1e6,
        );
    }
}

/// Writes, and reads of single objects, of federated objects, copies and version objects: the
/// requests that grow with them. Watches, probes and heartbeats of clusters go on for themselves.
fn requests(playground: &Playground) -> (u64, u64) {
    let counts = all(playground).map(Cluster::request_counts);
    let counts = counts.flat_map(BTreeMap::into_iter);
    let of_objects = counts.filter(|((_, resource), _)| {
        !resource.is_empty() && !resource.contains("kubefedclusters") && resource != "events"
    });
    let mut sums = (0, 0);
    for ((verb, _), count) in of_objects {
        match verb {
            _ if verb.writes() => sums.0 += count,
            Verb::Get => sums.1 += count,
            _ => {}
        }
    }
    sums
}

fn deployments(playground: &Playground) -> Api<DynamicObject> {
    let mut types = playground.types().iter();
    let (_, federated) = types
        .find(|(target, _)| target.kind == "Deployment")
        .unwrap();
    Api::namespaced_with(
        playground.client().clone(),
        NAMESPACE,
        &federated.api_resource(),
    )
}

fn name(index: usize) -> String {
    format!("web-{index}")
}

fn template(round: &str) -> Value {
    json!({
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web", "round": round}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/shop/web:1.4"}]},
            },
        },
    })
}

fn federated(kind: &str, name: &str, template: Value) -> Value {
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": format!("Federated{kind}"),
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"template": template, "placement": {"clusterSelector": {}}},
    })
}

/// The most memory that this process had in use, in bytes, from `/proc`; zero where there is none.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibibytes.unwrap_or_default() * 1024.0
}
