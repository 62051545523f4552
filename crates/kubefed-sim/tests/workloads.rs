//! What controllers, scheduler and kubelets make of workloads.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kubefed_sim::{Behaviour, Cluster, ClusterOptions, NodeOptions, PodTimes};
use serde_json::{Value, json};

fn api(cluster: &Cluster, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let api_version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    let resource = ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Api::default_namespaced_with(cluster.client(), &resource)
}

fn deployments(cluster: &Cluster) -> Api<DynamicObject> {
    api(cluster, "apps", "Deployment", "deployments")
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn deployment(replicas: i64, image: &str, cpu: &str) -> DynamicObject {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "containers": [{
                        "name": "main", "image": image, "ports": [{ "name": "http", "containerPort": 8080 }],
                        "resources": { "requests": { "cpu": cpu, "memory": "64Mi" } },
                    }],
                },
            },
        },
    }))
}

async fn create(api: &Api<DynamicObject>, value: &DynamicObject) {
    api.create(&PostParams::default(), value).await.unwrap();
}

async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) {
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

fn status(cluster: &Cluster, resource: &str, name: &str) -> Value {
    cluster.object(resource, Some("default"), name).unwrap()["status"].clone()
}

fn condition(status: &Value, kind: &str) -> String {
    let conditions = status["conditions"].as_array().unwrap();
    let condition = conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap();
    format!(
        "{} {}",
        condition["status"].as_str().unwrap(),
        condition["reason"].as_str().unwrap()
    )
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out() {
    let cluster = Cluster::new("member-1");
    let api = deployments(&cluster);
    create(&api, &deployment(4, "nginx:1", "100m")).await;
    cluster.settled().await;
    let first = status(&cluster, "deployments.apps", "web");
    for field in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ] {
        assert_eq!(first[field], 4, "{field}: {first}");
    }
    assert_eq!(first["observedGeneration"], 1);
    assert_eq!(
        condition(&first, "Available"),
        "True MinimumReplicasAvailable"
    );
    assert_eq!(
        condition(&first, "Progressing"),
        "True NewReplicaSetAvailable"
    );
    let stored = cluster
        .object("deployments.apps", Some("default"), "web")
        .unwrap();
    assert_eq!(
        stored["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );
    assert_eq!(stored["metadata"]["generation"], 1);
    let pods = cluster.objects("pods");
    let nodes: std::collections::BTreeSet<_> = pods
        .iter()
        .map(|pod| pod["spec"]["nodeName"].to_string())
        .collect();
    assert_eq!((pods.len(), nodes.len()), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_new_image_rolls_out_without_falling_below_the_minimum() {
    let cluster = Cluster::new("member-1");
    let api = deployments(&cluster);
    create(&api, &deployment(4, "nginx:1", "100m")).await;
    cluster.settled().await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "nginx:2" }] } } } });
    merge(&api, "web", patch).await;
    let (mut least, mut most) = (i64::MAX, 0);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = status(&cluster, "deployments.apps", "web");
        least = least.min(status["availableReplicas"].as_i64().unwrap_or(0));
        most = most.max(status["replicas"].as_i64().unwrap_or(0));
    }
    cluster.settled().await;
    // 25 % of 4: one more and one fewer.
    assert_eq!((least, most), (3, 5));
    let images: Vec<_> = cluster
        .objects("pods")
        .iter()
        .map(|p| p["spec"]["containers"][0]["image"].clone())
        .collect();
    assert_eq!(images, vec![json!("nginx:2"); 4]);
    let sets = cluster.objects("replicasets.apps");
    let mut replicas: Vec<_> = sets
        .iter()
        .map(|set| set["spec"]["replicas"].as_i64().unwrap())
        .collect();
    replicas.sort_unstable();
    assert_eq!(replicas, [0, 4]);
    let stored = cluster
        .object("deployments.apps", Some("default"), "web")
        .unwrap();
    assert_eq!(
        stored["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    assert_eq!(stored["status"]["observedGeneration"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_broken_image_stops_the_rollout_and_keeps_the_old_pods() {
    let cluster = Cluster::with_options(ClusterOptions::new("member-1").unpullable("broken"));
    let api = deployments(&cluster);
    create(&api, &deployment(4, "nginx:1", "100m")).await;
    cluster.settled().await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "broken:1" }] } } } });
    merge(&api, "web", patch).await;
    cluster.settled().await;
    let stuck = status(&cluster, "deployments.apps", "web");
    assert_eq!(stuck["availableReplicas"], 3, "{stuck}");
    assert_eq!(
        condition(&stuck, "Progressing"),
        "False ProgressDeadlineExceeded"
    );
    assert_eq!(
        condition(&stuck, "Available"),
        "True MinimumReplicasAvailable"
    );
}

#[tokio::test(start_paused = true)]
async fn capacity_is_finite_and_freed_room_is_used() {
    let nodes = ["a", "b"].map(|name| NodeOptions::new(name).cpu_millis(1_000));
    let cluster = Cluster::with_options(ClusterOptions::new("member-1").nodes(nodes));
    let api = deployments(&cluster);
    create(&api, &deployment(6, "nginx:1", "400m")).await;
    cluster.settled().await;
    let full = status(&cluster, "deployments.apps", "web");
    assert_eq!(
        (&full["replicas"], &full["readyReplicas"]),
        (&json!(6), &json!(4)),
        "{full}"
    );
    let pending: Vec<_> = cluster
        .objects("pods")
        .into_iter()
        .filter(|pod| pod["status"]["phase"] == "Pending")
        .collect();
    assert_eq!(pending.len(), 2);
    assert_eq!(
        pending[0]["status"]["conditions"][0]["reason"],
        "Unschedulable"
    );
    assert_eq!(
        pending[0]["status"]["conditions"][0]["message"],
        "0/2 nodes are available: 2 Insufficient cpu."
    );
    let patch =
        json!({ "status": { "allocatable": { "cpu": "2", "memory": "16Gi", "pods": "110" } } });
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(cluster.client());
    nodes
        .patch_status("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    cluster.settled().await;
    assert_eq!(
        status(&cluster, "deployments.apps", "web")["readyReplicas"],
        6
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_a_deployment_stops_its_pods() {
    let cluster = Cluster::new("member-1");
    let api = deployments(&cluster);
    create(&api, &deployment(2, "nginx:1", "100m")).await;
    cluster.settled().await;
    api.delete("web", &DeleteParams::foreground())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Pods get their grace period, and the deployment waits for them.
    assert!(
        cluster
            .object("deployments.apps", Some("default"), "web")
            .is_some()
    );
    assert!(
        cluster
            .objects("pods")
            .iter()
            .all(|pod| pod["metadata"]["deletionGracePeriodSeconds"] == 30)
    );
    cluster.settled().await;
    for resource in ["deployments.apps", "replicasets.apps", "pods"] {
        assert!(cluster.objects(resource).is_empty(), "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_pod_is_replaced() {
    let cluster = Cluster::new("member-1");
    create(&deployments(&cluster), &deployment(3, "nginx:1", "100m")).await;
    cluster.settled().await;
    let name = cluster.objects("pods")[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    api(&cluster, "", "Pod", "pods")
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    cluster.settled().await;
    assert!(cluster.object("pods", Some("default"), &name).is_none());
    assert_eq!(
        status(&cluster, "deployments.apps", "web")["readyReplicas"],
        3
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_completes() {
    let cluster = Cluster::new("member-1");
    let job = object(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "sum" },
        "spec": {
            "completions": 5, "parallelism": 2,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }] } },
        },
    }));
    let api = api(&cluster, "batch", "Job", "jobs");
    create(&api, &job).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(status(&cluster, "jobs.batch", "sum")["active"], 2);
    cluster.settled().await;
    let done = status(&cluster, "jobs.batch", "sum");
    assert_eq!(
        (&done["succeeded"], &done["active"]),
        (&json!(5), &Value::Null),
        "{done}"
    );
    assert_eq!(condition(&done, "Complete"), "True CompletionsReached");
    // Jobs orphan their pods unless told otherwise.
    api.delete("sum", &DeleteParams::default()).await.unwrap();
    cluster.settled().await;
    assert_eq!(cluster.objects("pods").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn services_get_addresses_and_endpoints() {
    let cluster = Cluster::new("member-1");
    create(&deployments(&cluster), &deployment(2, "nginx:1", "100m")).await;
    let service = |name: &str, spec: Value| {
        object(
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec }),
        )
    };
    let services = api(&cluster, "", "Service", "services");
    let ports = json!([{ "port": 80, "targetPort": "http" }]);
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "web" }, "ports": ports });
    let created = services
        .create(&PostParams::default(), &service("web", spec))
        .await
        .unwrap();
    assert_eq!(created.data["spec"]["clusterIP"], "10.96.0.2");
    assert_eq!(created.data["spec"]["ports"][0]["nodePort"], 30_000);
    create(
        &services,
        &service("other", json!({ "ports": [{ "port": 80 }] })),
    )
    .await;
    create(
        &services,
        &service(
            "headless",
            json!({ "clusterIP": "None", "selector": { "app": "web" } }),
        ),
    )
    .await;
    cluster.settled().await;
    assert!(status(&cluster, "services", "web")["loadBalancer"]["ingress"][0]["ip"].is_string());
    let endpoints = cluster.object("endpoints", Some("default"), "web").unwrap();
    assert_eq!(
        endpoints["subsets"][0]["addresses"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8080);
    let slices = cluster.objects("endpointslices.discovery.k8s.io");
    let slice = slices
        .iter()
        .find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web");
    assert_eq!(slice.unwrap()["endpoints"].as_array().unwrap().len(), 2);

    // A replacement that does not mention what was allocated keeps it.
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "web" }, "ports": ports });
    let replaced = services
        .replace("web", &PostParams::default(), &service("web", spec))
        .await
        .unwrap();
    assert_eq!(replaced.data["spec"]["clusterIP"], "10.96.0.2");
    assert_eq!(replaced.data["spec"]["ports"][0]["nodePort"], 30_000);
    services
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    cluster.settled().await;
    assert!(
        cluster
            .object("endpoints", Some("default"), "web")
            .is_none()
    );
    assert!(
        cluster
            .objects("endpointslices.discovery.k8s.io")
            .iter()
            .all(|slice| { slice["metadata"]["labels"]["kubernetes.io/service-name"] != "web" })
    );
}

#[tokio::test(start_paused = true)]
async fn behaviours_can_be_switched_off_and_timed() {
    let options = ClusterOptions::new("member-1").without(Behaviour::Workloads);
    let cluster = Cluster::with_options(options);
    create(&deployments(&cluster), &deployment(2, "nginx:1", "100m")).await;
    cluster.settled().await;
    assert!(cluster.objects("replicasets.apps").is_empty());

    let times = PodTimes::new()
        .start(Duration::from_secs(40))
        .ready(Duration::from_secs(20));
    let cluster = Cluster::with_options(ClusterOptions::new("member-1").pod_times(times));
    create(&deployments(&cluster), &deployment(1, "nginx:1", "100m")).await;
    for (seconds, phase, ready) in [(30, "Pending", 0), (20, "Running", 0), (20, "Running", 1)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(cluster.objects("pods")[0]["status"]["phase"], phase);
        let status = status(&cluster, "deployments.apps", "web");
        assert_eq!(status["readyReplicas"].as_i64().unwrap_or(0), ready);
    }
}
