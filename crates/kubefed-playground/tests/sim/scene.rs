//! What the scenarios share: a fleet with quick or with production delays, the federated objects of
//! this page, and reads by a few words.

use std::time::Duration;

use kubefed_playground::kubefed_api::{QualifiedName, ResourceType, well_known};
use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_controllers::kubefed_informer::HealthCheck;
use kubefed_playground::kubefed_sim::Cluster;
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Virtual time, so generous: it bounds how long a failing test runs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The namespace that the scenarios play in.
pub(crate) const NAMESPACE: &str = "shop";

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fleet with short delays.
pub(crate) async fn fleet(members: usize) -> Playground {
    start(PlaygroundOptions::default().members(members)).await
}

/// A fleet with the delays and the health check of production.
pub(crate) async fn production(members: usize, options: Options) -> Playground {
    let options = PlaygroundOptions::default()
        .members(members)
        .control_plane(options)
        .health_check(HealthCheck::default());
    start(options).await
}

pub(crate) async fn start(options: PlaygroundOptions) -> Playground {
    let playground = Playground::start(options).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    playground
}

/// A fleet with short delays in which the namespace is federated to every cluster.
pub(crate) async fn shop(members: usize) -> Playground {
    let playground = fleet(members).await;
    open_shop(&playground).await;
    playground
}

pub(crate) async fn open_shop(playground: &Playground) {
    playground
        .apply([federated_namespace(&everywhere())])
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
}

/// Applies objects and waits until nothing moves.
pub(crate) async fn place(playground: &Playground, objects: impl IntoIterator<Item = Value>) {
    playground.apply(objects).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
}

/// Patches a federated object of the shop and waits until nothing moves.
pub(crate) async fn change(playground: &Playground, kind: &str, object: &str, patch: &Value) {
    playground
        .patch(&federated_type(kind), &name(object), patch)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
}

/// The placement in every cluster.
pub(crate) fn everywhere() -> Value {
    json!({"clusterSelector": {}})
}

/// The placement in clusters by name.
pub(crate) fn named(clusters: &[&str]) -> Value {
    let clusters: Vec<_> = clusters.iter().map(|name| json!({"name": name})).collect();
    json!({"clusters": clusters})
}

pub(crate) fn federated_namespace(placement: &Value) -> Value {
    federated("Namespace", NAMESPACE, placement, &json!({}))
}

pub(crate) fn config_map(name: &str, placement: &Value) -> Value {
    federated(
        "ConfigMap",
        name,
        placement,
        &json!({"data": {"colour": "blue"}}),
    )
}

/// A Deployment, whose copies have a generation. It has no replicas, so nothing waits for pods.
pub(crate) fn deployment(name: &str, placement: &Value) -> Value {
    let labels = json!({"app": name});
    let template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    });
    federated("Deployment", name, placement, &template)
}

fn federated(kind: &str, name: &str, placement: &Value, template: &Value) -> Value {
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": format!("Federated{kind}"),
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"template": template, "placement": placement},
    })
}

/// An override of one cluster.
pub(crate) fn override_of(cluster: &str, path: &str, value: &Value) -> Value {
    json!([{"clusterName": cluster, "clusterOverrides": [{"path": path, "value": value}]}])
}

pub(crate) fn name(name: &str) -> QualifiedName {
    QualifiedName::namespaced(NAMESPACE, name)
}

pub(crate) fn system(name: &str) -> QualifiedName {
    QualifiedName::namespaced(well_known::DEFAULT_KUBEFED_NAMESPACE, name)
}

pub(crate) fn config_maps() -> ResourceType {
    ResourceType::namespaced("", "v1", "ConfigMap", "configmaps")
}

pub(crate) fn clusters() -> ResourceType {
    ResourceType::namespaced(
        "core.kubefed.io",
        "v1beta1",
        "KubeFedCluster",
        "kubefedclusters",
    )
}

/// The federated type of a kind of the target group's default version.
pub(crate) fn federated_type(kind: &str) -> ResourceType {
    let kind = format!("Federated{kind}");
    let plural = format!("{}s", kind.to_lowercase());
    ResourceType::namespaced("types.kubefed.io", "v1beta1", &kind, &plural)
}

/// What one member holds of a ConfigMap.
pub(crate) fn copy(playground: &Playground, member: &str, name: &str) -> Option<Value> {
    stored(playground, member, "configmaps", name)
}

pub(crate) fn stored(
    playground: &Playground,
    member: &str,
    resource: &str,
    name: &str,
) -> Option<Value> {
    cluster(playground, member).object(resource, Some(NAMESPACE), name)
}

/// A federated object as the host holds it.
pub(crate) fn host_object(playground: &Playground, kind: &str, name: &str) -> Option<Value> {
    let resource = federated_type(kind).qualified_plural();
    playground.host().object(&resource, Some(NAMESPACE), name)
}

/// The version object of a federated object.
pub(crate) fn version_object(playground: &Playground, name: &str) -> Option<Value> {
    let resource = "propagatedversions.core.kubefed.io";
    playground.host().object(resource, Some(NAMESPACE), name)
}

pub(crate) fn is_managed(object: &Value) -> bool {
    object["metadata"]["labels"][well_known::MANAGED_LABEL] == well_known::MANAGED_VALUE
}

pub(crate) fn cluster<'a>(playground: &'a Playground, name: &str) -> &'a Cluster {
    match name {
        "host" => playground.host(),
        name => playground.member(name).unwrap(),
    }
}

/// The reported clusters of a federated object with their statuses, as `name` or `name: status`.
pub(crate) fn reported(playground: &Playground, kind: &str, name: &str) -> Vec<String> {
    let object = host_object(playground, kind, name).unwrap_or_default();
    let clusters = object["status"]["clusters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let words = |cluster: &Value| {
        let name = cluster["name"].as_str().unwrap();
        match cluster["status"].as_str() {
            None | Some("") => name.to_owned(),
            Some(status) => format!("{name}: {status}"),
        }
    };
    clusters.iter().map(words).collect()
}

/// The status and the reason of the condition `Propagation`.
pub(crate) fn propagation(playground: &Playground, kind: &str, name: &str) -> String {
    let object = host_object(playground, kind, name).unwrap_or_default();
    let condition = &object["status"]["conditions"][0];
    let word = |field: &str| condition[field].as_str().unwrap_or_default();
    format!("{} {}", word("status"), word("reason"))
        .trim_end()
        .to_owned()
}

/// The clusters of the inventory annotation.
pub(crate) fn inventory(playground: &Playground, kind: &str, name: &str) -> String {
    let object = host_object(playground, kind, name).unwrap_or_default();
    let inventory = &object["metadata"]["annotations"][well_known::INVENTORY_ANNOTATION];
    inventory.as_str().unwrap_or_default().to_owned()
}

/// Waits for something to become true and tells how long it took.
#[track_caller]
pub(crate) fn until<'a>(
    what: &'a str,
    test: impl Fn() -> bool + 'a,
) -> impl Future<Output = Duration> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !test() {
            assert!(start.elapsed() < PATIENCE, "{caller}: never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        start.elapsed()
    }
}

/// Requests that change something, of all clusters, as `cluster verb resource`.
pub(crate) fn writes(playground: &Playground) -> Vec<String> {
    let all = std::iter::once(playground.host()).chain(playground.members().map(|(_, c)| c));
    let of = |cluster: &Cluster| {
        let name = cluster.name().to_owned();
        let requests = cluster
            .requests()
            .into_iter()
            .filter(|request| request.verb.writes());
        requests
            .map(|request| format!("{name} {} {}", request.verb.as_str(), request.resource))
            .collect::<Vec<_>>()
    };
    all.flat_map(of).collect()
}

pub(crate) fn forget_requests(playground: &Playground) {
    playground.host().forget_requests();
    playground
        .members()
        .for_each(|(_, member)| member.forget_requests());
}

/// Whether a KubeFedCluster is reported to be ready.
pub(crate) fn ready(playground: &Playground, member: &str) -> bool {
    condition(playground, member, "Ready") == "True"
}

/// The status of a condition of a KubeFedCluster; empty if it is not stated.
pub(crate) fn condition(playground: &Playground, member: &str, kind: &str) -> String {
    let object = cluster_object(playground, member).unwrap_or_default();
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of_kind = conditions
        .iter()
        .find(|condition| condition["type"] == kind);
    of_kind
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn cluster_object(playground: &Playground, member: &str) -> Option<Value> {
    let resource = clusters().qualified_plural();
    let namespace = well_known::DEFAULT_KUBEFED_NAMESPACE;
    playground.host().object(&resource, Some(namespace), member)
}
