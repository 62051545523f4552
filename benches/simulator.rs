//! What does a request to a simulated cluster cost, and what does it cost to tell many watches of a
//! change?
//!
//! Run with `cargo bench -p kubefed-sim`. Every figure includes the client: `kube::Client` builds the
//! request and decodes the answer. `bare` leaves out the record of field managers.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchParams};
use kubefed_sim::{Behaviour, Cluster, ClusterOptions, Network};
use serde_json::json;
use tokio::runtime::Runtime;

/// Watches that are told of one change; one per kind and controller is a usual number.
const WATCHES: usize = 100;
/// Objects in a list.
const OBJECTS: usize = 1_000;

fn map(name: &str) -> ConfigMap {
    let data = [("settings.toml".to_owned(), "key = \"value\"\n".repeat(20))].into();
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    ConfigMap {
        metadata,
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn options() -> ClusterOptions {
    ClusterOptions::new("member-1").requests_max(0)
}

fn requests(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let bare = || options().without(Behaviour::ManagedFields);
    for (way, options, piped) in [
        ("direct", options(), false),
        ("bare", bare(), false),
        ("pipe", options(), true),
    ] {
        let _entered = runtime.enter();
        let cluster = Cluster::with_options(options);
        let network = Network::new();
        network.attach(&cluster);
        let mut config = kube::Config::new("https://member-1.sim".parse().expect("a URL"));
        config.auth_info.token = Some(cluster.admin_token().into());
        let client = if piped {
            network.client(&config).expect("a client")
        } else {
            cluster.client()
        };
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        runtime.block_on(async {
            api.create(&PostParams::default(), &map("one"))
                .await
                .expect("created")
        });

        let mut group = criterion.benchmark_group(way);
        group.bench_function("get", |bencher| {
            bencher.iter(|| runtime.block_on(api.get("one")).expect("found"));
        });
        let mut number = 0_u64;
        group.bench_function("create", |bencher| {
            let next = || {
                number += 1;
                map(&format!("map-{number}"))
            };
            let create = |map| {
                runtime
                    .block_on(api.create(&PostParams::default(), &map))
                    .expect("created")
            };
            bencher.iter_batched(next, create, BatchSize::SmallInput);
        });
        let mut round = 0_u64;
        group.bench_function("merge patch", |bencher| {
            bencher.iter(|| {
                round += 1;
                let patch = Patch::Merge(json!({ "data": { "round": round.to_string() } }));
                runtime
                    .block_on(api.patch("one", &PatchParams::default(), &patch))
                    .expect("patched")
            });
        });
        group.finish();
    }
}

fn collections(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let cluster = Cluster::with_options(options());
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    runtime.block_on(async {
        for number in 0..OBJECTS {
            api.create(&PostParams::default(), &map(&format!("map-{number}")))
                .await
                .expect("created");
        }
    });
    let mut group = criterion.benchmark_group("collections");
    group.sample_size(20);
    group.bench_function(format!("list {OBJECTS}"), |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(api.list(&ListParams::default()))
                .expect("listed")
        });
    });
    group.bench_function(format!("list the metadata of {OBJECTS}"), |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(api.list_metadata(&ListParams::default()))
                .expect("listed")
        });
    });
    group.bench_function(format!("one change to {WATCHES} watches"), |bencher| {
        let version = cluster.resource_version().to_string();
        let mut watches: Vec<_> = runtime.block_on(
            stream::iter(0..WATCHES)
                .then(|_| async {
                    api.watch_metadata(&WatchParams::default(), &version)
                        .await
                        .expect("watched")
                        .boxed()
                })
                .collect(),
        );
        let mut round = 0_u64;
        bencher.iter(|| {
            runtime.block_on(async {
                round += 1;
                let patch = Patch::Merge(json!({ "data": { "round": round.to_string() } }));
                api.patch("map-0", &PatchParams::default(), &patch)
                    .await
                    .expect("patched");
                for watch in &mut watches {
                    watch.next().await.expect("an event").expect("no error");
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, requests, collections);
criterion_main!(benches);
