//! What does it cost to decide about one object in one cluster, and about a fleet?
//!
//! `cargo bench -p kubefed-propagation` prints a table after criterion's own output. The object is a
//! Deployment of two containers, as they are in practice, with three overrides for each of 100 clusters.
//! Beside each time stands a floor that was measured in the same run: work that no implementation of
//! the same function can leave out. For a decision that holds an object this is one copy of it, for one
//! that holds none a comparison of what was observed with what is recorded, and for a hash the digest of
//! its text.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use kubefed_propagation::kubefed_api::{
    ClusterName, FederatedObject, MetadataDigest, ObservedCopy, ResourceType,
};
use kubefed_propagation::{
    Decision, Federation, Hashes, Member, ObjectVersion, Observation, Record, canonical_json,
    decide, plan,
};
use md5::{Digest, Md5};
use serde_json::{Value, json};

const CLUSTERS: usize = 100;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut table = Table::default();
    once_per_object(&mut criterion, &mut table);
    once_per_cluster(&mut criterion, &mut table);
    once_per_fleet(&mut criterion, &mut table);
    criterion.final_summary();
    table.print();
}

/// The best times of a row and of its floor, in nanoseconds.
#[derive(Default)]
struct Table(Vec<(String, f64, &'static str, f64)>);

impl Table {
    /// Benches `work` with criterion, and `floor` beside it.
    fn bench<T, F>(
        &mut self,
        criterion: &mut Criterion,
        name: &str,
        mut work: impl FnMut() -> T,
        floor_name: &'static str,
        mut floor: impl FnMut() -> F,
    ) {
        let mut best = f64::INFINITY;
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let elapsed = time(times, &mut work);
                best = best.min(elapsed.as_nanos() as f64 / times as f64);
                elapsed
            });
        });
        // A filter on the command line leaves rows out.
        if best.is_finite() {
            const TIMES: u64 = 200;
            let floors = (0..20).map(|_| time(TIMES, &mut floor));
            let floor = floors.min().unwrap().as_nanos() as f64 / TIMES as f64;
            self.0.push((name.to_owned(), best, floor_name, floor));
        }
    }

    fn print(&self) {
        println!(
            "\n{:44} {:>9}  {:28} {:>9}",
            "µs, best of all samples", "time", "floor", ""
        );
        for (name, time, floor_name, floor) in &self.0 {
            println!(
                "{name:44} {:9.2}  {floor_name:28} {:9.2}",
                time / 1e3,
                floor / 1e3
            );
        }
    }
}

fn time<T>(times: u64, work: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    (0..times).for_each(|_| drop(black_box(work())));
    start.elapsed()
}

/// What a reconcile does once, whatever the number of clusters.
fn once_per_object(criterion: &mut Criterion, table: &mut Table) {
    let value = federated();
    table.bench(
        criterion,
        "read the federated object",
        || FederatedObject::parse(value.clone()).unwrap(),
        "copy it",
        || value.clone(),
    );
    let text = canonical_json(&value["spec"]);
    table.bench(
        criterion,
        "hash template and overrides",
        || Hashes::of(&value).unwrap(),
        "digest as much text",
        || Md5::digest(&text),
    );
    let object = Arc::new(FederatedObject::parse(value.clone()).unwrap());
    table.bench(
        criterion,
        "render and hash",
        || Federation::new(deployments(), object.clone()),
        "copy the template",
        || value["spec"]["template"].clone(),
    );
}

/// A decision of each sort, for one cluster.
fn once_per_cluster(criterion: &mut Criterion, table: &mut Table) {
    let federation = federation();
    let fleet = fleet();
    let (member, plain) = (&fleet[7], Member::new("elsewhere"));
    let record = record(&fleet);
    let decided = |member: &Member, observation: &Observation, record: &Record| {
        decide(&federation, member, observation, record)
    };
    let nothing = Record::empty();
    let wide = Federation::new(deployments(), everywhere());
    let created = decided(member, &Observation::NotManaged, &nothing);
    let object = created.action.object().unwrap().clone();
    let held = held(&object);
    let observed = Observation::of_body(Arc::new(held.clone()));
    let slim = Observation::Managed(ObservedCopy::from_metadata(&held));
    let labels = &object["metadata"]["labels"];
    let copies = || object.clone();
    let compares = || MetadataDigest::of(labels);

    let rows: [(&str, &dyn Fn() -> Decision, &str); 6] = [
        (
            "create",
            &|| decide(&wide, &plain, &Observation::NotManaged, &nothing),
            "create",
        ),
        (
            "create, 3 overrides",
            &|| decided(member, &Observation::NotManaged, &nothing),
            "create",
        ),
        (
            "update, 3 overrides",
            &|| decided(member, &observed, &nothing),
            "update",
        ),
        (
            "up to date, 3 overrides, by body",
            &|| decided(member, &observed, &record),
            "upToDate",
        ),
        (
            "up to date, 3 overrides, by metadata",
            &|| decided(member, &slim, &record),
            "upToDate",
        ),
        (
            "nothing to do",
            &|| decided(&plain, &Observation::NotManaged, &nothing),
            "nothing",
        ),
    ];
    for (name, work, action) in rows {
        assert_eq!(work().action.name(), action, "{name}: {}", work());
        let name = format!("decide: {name}");
        if action == "nothing" || name.ends_with("by metadata") {
            table.bench(criterion, &name, work, "digest its labels", compares);
        } else {
            table.bench(criterion, &name, work, "copy the object", copies);
        }
    }
}

/// All clusters of a fleet at once.
fn once_per_fleet(criterion: &mut Criterion, table: &mut Table) {
    let federation = federation();
    let fleet = fleet();
    let record = record(&fleet);
    let empty = Observation::NotManaged;
    let plan_of = |observations: &[Observation], record: &Record| {
        plan(&federation, fleet.iter().zip(observations), record)
    };
    let empty = vec![empty; CLUSTERS];
    let objects: Vec<Value> = fleet
        .iter()
        .zip(&empty)
        .map(|(member, seen)| {
            let decision = decide(&federation, member, seen, &Record::empty());
            decision.action.object().unwrap().clone()
        })
        .collect();
    let drifted: Vec<_> = objects
        .iter()
        .map(|object| {
            let mut held = held(object);
            held["spec"]["replicas"] = 99.into();
            Observation::of_body(Arc::new(held))
        })
        .collect();
    for (name, observations, record) in [
        ("plan: create in 100 clusters", &empty, &Record::empty()),
        (
            "plan: update 100 clusters, with changes",
            &drifted,
            &Record::empty(),
        ),
        ("plan: 100 clusters are up to date", &drifted, &record),
    ] {
        let work = || plan_of(observations, record);
        table.bench(criterion, name, work, "copy the 100 objects", || {
            objects.clone()
        });
    }
}

fn deployments() -> ResourceType {
    ResourceType::namespaced("apps", "v1", "Deployment", "deployments")
}

fn federation() -> Federation {
    Federation::new(deployments(), FederatedObject::parse(federated()).unwrap())
}

fn fleet() -> Vec<Member> {
    (0..CLUSTERS).map(|n| Member::new(cluster(n))).collect()
}

fn cluster(number: usize) -> ClusterName {
    format!("member-{number:03}").into()
}

fn record(fleet: &[Member]) -> Record {
    let version = |member: &Member| (member.name().clone(), ObjectVersion::Generation(4));
    fleet.iter().map(version).collect()
}

/// The same object without overrides, for all clusters.
fn everywhere() -> FederatedObject {
    let mut object = federated();
    object["spec"]["overrides"] = json!([]);
    object["spec"]["placement"] = json!({"clusterSelector": {}});
    FederatedObject::parse(object).unwrap()
}

fn federated() -> Value {
    let names: Vec<_> = (0..CLUSTERS).map(|n| json!({"name": cluster(n)})).collect();
    let overrides: Vec<_> = (0..CLUSTERS)
        .map(|n| {
            json!({"clusterName": cluster(n), "clusterOverrides": [
                {"path": "/spec/replicas", "value": n % 7 + 1},
                {"path": "/spec/template/spec/containers/0/image", "value": "registry.example/shop/web:2.4.2"},
                {"op": "add", "path": "/spec/template/spec/containers/0/env/-",
                 "value": {"name": "CLUSTER", "value": cluster(n)}},
            ]})
        })
        .collect();
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedDeployment",
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "3f5c9a50-6e0b-4c55-9e3c-4c8d1a4a35a1",
            "resourceVersion": "48130", "generation": 7, "finalizers": ["kubefed.io/sync-controller"],
        },
        "spec": {"template": template(), "placement": {"clusters": names}, "overrides": overrides},
    })
}

fn template() -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/version": "2.4.1", "tier": "front",
    });
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 2});
    let resources = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}});
    json!({
        "metadata": {"labels": labels},
        "spec": {
            "replicas": 3,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "web", "tier": "front"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {
                    "serviceAccountName": "web",
                    "terminationGracePeriodSeconds": 30,
                    "containers": [
                        {
                            "name": "web", "image": "registry.example/shop/web:2.4.1",
                            "args": ["--listen=:8080", "--log=info"],
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "env": [
                                {"name": "DATABASE", "value": "postgres://db.shop:5432/shop"},
                                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                                {"name": "REGION", "value": "eu"},
                            ],
                            "resources": resources("250m", "256Mi"),
                            "livenessProbe": probe("/healthz"), "readinessProbe": probe("/ready"),
                            "volumeMounts": [{"name": "settings", "mountPath": "/etc/web"}],
                        },
                        {
                            "name": "metrics", "image": "registry.example/infra/exporter:1.9",
                            "ports": [{"name": "metrics", "containerPort": 9100, "protocol": "TCP"}],
                            "resources": resources("50m", "64Mi"),
                        },
                    ],
                    "volumes": [{"name": "settings", "configMap": {"name": "web-settings"}}],
                },
            },
        },
    })
}

/// The object as the API server of a member gives it back.
fn held(object: &Value) -> Value {
    let mut held = object.clone();
    let metadata = held["metadata"].as_object_mut().unwrap();
    metadata.insert(
        "uid".to_owned(),
        "7a0c2f4e-0c0e-4d57-9a86-0f2f5b0ad9a7".into(),
    );
    metadata.insert("resourceVersion".to_owned(), "99120".into());
    metadata.insert("generation".to_owned(), 4.into());
    metadata.insert(
        "annotations".to_owned(),
        json!({"deployment.kubernetes.io/revision": "3"}),
    );
    held["status"] =
        json!({"observedGeneration": 4, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3});
    held["spec"]["progressDeadlineSeconds"] = 600.into();
    held
}
