//! Table answers beside a real server.

use jiff::Timestamp;
use kubefed_testing::TestResult;
use serde_json::{Value, json};

use crate::world::{Failure, World, crd, observe};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// An object to create, and the status to give it.
struct Case {
    collection: String,
    resource: &'static str,
    object: Value,
    status: Value,
}

/// Creates the objects and records how the server prints them.
async fn record(world: &World, cases: &[Case], columns: &Value) -> Result<Value, Failure> {
    let mut record = Vec::new();
    for case in cases {
        let created = world
            .send("POST", &case.collection, "application/json", &case.object)
            .await?;
        assert_eq!(created.code, 201, "{created:?}");
        let path = format!(
            "{}/{}",
            case.collection,
            case.object["metadata"]["name"].as_str().unwrap_or_default()
        );
        if !case.status.is_null() {
            let patch = json!({"status": case.status});
            let media_type = "application/merge-patch+json";
            let answer = world
                .send("PATCH", &format!("{path}/status"), media_type, &patch)
                .await?;
            assert_eq!(answer.code, 200, "{answer:?}");
        }
        let mut object = world.read(&path).await?.ok_or("the object is gone")?;
        let mut table = world.read_as(&path, TABLE).await?;
        // Other tests look at managed fields, and they are most of the text.
        object["metadata"]["managedFields"] = Value::Null;
        table["rows"][0]["object"]["metadata"]["managedFields"] = Value::Null;
        let resource = Some(case.resource).filter(|resource| !resource.is_empty());
        record.push(json!({
            "resource": resource,
            "columns": columns,
            "object": object,
            "table": table,
            "now": Timestamp::now().to_string(),
        }));
    }
    Ok(json!({"engine": "tables", "cases": record}))
}

pub(crate) async fn lists() -> TestResult {
    let world = World::new().await?;
    let mut cases = workloads(&world);
    cases.extend(pods(&world));
    cases.extend(others(&world));
    observe("tables", &record(&world, &cases, &Value::Null).await?)
}

fn case(world: &World, resource: &'static str, object: Value, status: Value) -> Case {
    let (group_version, plural) = resource.rsplit_once('/').expect("a resource");
    let root = if group_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    let cluster = [
        "nodes",
        "namespaces",
        "persistentvolumes",
        "priorityclasses",
        "storageclasses",
        "clusterrolebindings",
        "ingressclasses",
    ];
    let namespace = if cluster.contains(&plural) {
        String::new()
    } else {
        format!("/namespaces/{}", world.namespace)
    };
    let mut object = object;
    object["apiVersion"] = json!(group_version);
    Case {
        collection: format!("/{root}/{group_version}{namespace}/{plural}"),
        resource,
        object,
        status,
    }
}

fn template(containers: Value) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}})
}

fn workloads(world: &World) -> Vec<Case> {
    let two = json!([{"name": "a", "image": "i:1"}, {"name": "b", "image": "i:2"}]);
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "w"]}, {"key": "z", "operator": "DoesNotExist"}]});
    let spec = json!({"replicas": 3, "selector": selector, "template": template(two.clone())});
    let job = |spec: Value| {
        let mut spec = spec;
        spec["template"] = template(json!([{"name": "a", "image": "i:1"}]));
        spec["template"]["spec"]["restartPolicy"] = json!("Never");
        spec
    };
    vec![
        case(
            world,
            "apps/v1/deployments",
            json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}),
            json!({"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
        ),
        case(
            world,
            "apps/v1/replicasets",
            json!({"kind": "ReplicaSet", "metadata": {"name": "r"}, "spec": spec}),
            json!({"replicas": 2, "readyReplicas": 1}),
        ),
        case(
            world,
            "apps/v1/statefulsets",
            json!({"kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"serviceName": "s", "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template(two.clone())}}),
            json!({"replicas": 2, "readyReplicas": 1}),
        ),
        case(
            world,
            "apps/v1/daemonsets",
            json!({"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template(two)}}),
            json!({"desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberReady": 2, "updatedNumberScheduled": 1, "numberAvailable": 2, "numberMisscheduled": 0}),
        ),
        case(
            world,
            "batch/v1/jobs",
            json!({"kind": "Job", "metadata": {"name": "j"}, "spec": job(json!({"completions": 3}))}),
            json!({"succeeded": 1, "active": 0, "startTime": "2020-01-01T00:00:00Z"}),
        ),
        case(
            world,
            "batch/v1/jobs",
            json!({"kind": "Job", "metadata": {"name": "k"}, "spec": job(json!({"parallelism": 2}))}),
            Value::Null,
        ),
        case(
            world,
            "batch/v1/cronjobs",
            json!({"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": job(json!({}))}}}),
            json!({"lastScheduleTime": "2020-01-01T00:00:00Z"}),
        ),
    ]
}

fn pods(world: &World) -> Vec<Case> {
    let pod = |name: &str, spec: Value, status: Value| {
        let mut all =
            json!({"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]});
        if let (Some(all), Some(spec)) = (all.as_object_mut(), spec.as_object()) {
            all.extend(spec.clone());
        }
        case(
            world,
            "v1/pods",
            json!({"kind": "Pod", "metadata": {"name": name}, "spec": all}),
            status,
        )
    };
    let container = |name: &str, ready: bool, restarts: i64, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": restarts, "state": state});
    let running = json!({"running": {"startedAt": "2020-01-01T00:00:00Z"}});
    let ended =
        |code: i64, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason}});
    let ready = json!([{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}, {"type": "gate.example/x", "status": "True"}]);
    let mut restarted = container("a", true, 3, running.clone());
    restarted["lastState"] =
        json!({"terminated": {"exitCode": 1, "finishedAt": "2020-01-01T00:00:00Z"}});
    let inits = json!({"initContainers": [{"name": "i", "image": "i"}, {"name": "s", "image": "i", "restartPolicy": "Always"}]});
    vec![
        pod("plain", json!({}), Value::Null),
        pod(
            "running",
            json!({"nodeName": "n", "readinessGates": [{"conditionType": "gate.example/x"}, {"conditionType": "gate.example/y"}]}),
            json!({"phase": "Running", "podIPs": [{"ip": "10.1.2.3"}], "podIP": "10.1.2.3", "conditions": ready, "containerStatuses": [restarted, container("b", false, 0, running.clone())]}),
        ),
        pod(
            "waiting",
            json!({}),
            json!({"phase": "Pending", "containerStatuses": [container("a", false, 5, json!({"waiting": {"reason": "CrashLoopBackOff"}}))]}),
        ),
        pod(
            "failed",
            json!({}),
            json!({"phase": "Failed", "containerStatuses": [container("a", false, 0, ended(1, "Error")), container("b", false, 0, ended(0, "Completed"))]}),
        ),
        pod(
            "code",
            json!({}),
            json!({"phase": "Failed", "containerStatuses": [container("a", false, 0, json!({"terminated": {"exitCode": 3}})), container("b", false, 0, json!({"terminated": {"exitCode": 0, "signal": 9}}))]}),
        ),
        pod(
            "done",
            json!({}),
            json!({"phase": "Succeeded", "containerStatuses": [container("a", false, 0, ended(0, "Completed")), container("b", false, 0, ended(0, "Completed"))]}),
        ),
        pod(
            "half",
            json!({}),
            json!({"phase": "Running", "containerStatuses": [container("a", false, 0, ended(0, "Completed")), container("b", true, 0, running.clone())]}),
        ),
        pod(
            "evicted",
            json!({}),
            json!({"phase": "Failed", "reason": "Evicted"}),
        ),
        pod(
            "init",
            inits.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [container("i", false, 2, running.clone())]}),
        ),
        pod(
            "init-failed",
            inits.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [container("i", false, 0, ended(1, "Error"))]}),
        ),
        pod(
            "init-waits",
            inits.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [container("i", false, 0, json!({"waiting": {"reason": "ImagePullBackOff"}}))]}),
        ),
        pod(
            "sidecar",
            inits,
            json!({"phase": "Running", "initContainerStatuses": [container("i", false, 1, ended(0, "Completed")),
            {"name": "s", "image": "i", "imageID": "", "ready": true, "started": true, "restartCount": 2, "state": running}],
            "containerStatuses": [container("a", true, 1, running.clone()), container("b", true, 0, running)]}),
        ),
        pod(
            "gated",
            json!({"schedulingGates": [{"name": "g.example/x"}]}),
            Value::Null,
        ),
    ]
}

fn others(world: &World) -> Vec<Case> {
    let service = |name: &str, spec: Value, status: Value| {
        case(
            world,
            "v1/services",
            json!({"kind": "Service", "metadata": {"name": name}, "spec": spec}),
            status,
        )
    };
    let ports = json!([{"port": 80, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]);
    let rule = |host: &str| json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}});
    let ingress = |name: &str, spec: Value| {
        case(
            world,
            "networking.k8s.io/v1/ingresses",
            json!({"kind": "Ingress", "metadata": {"name": name}, "spec": spec}),
            json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.2"}, {"hostname": "a.example"}, {"ip": "10.0.0.2"}]}}),
        )
    };
    vec![
        case(
            world,
            "v1/configmaps",
            json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}, "binaryData": {"c": "YQ==", "d": "YQ=="}}),
            Value::Null,
        ),
        case(
            world,
            "v1/secrets",
            json!({"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}),
            Value::Null,
        ),
        case(
            world,
            "v1/serviceaccounts",
            json!({"kind": "ServiceAccount", "metadata": {"name": "a"}}),
            Value::Null,
        ),
        case(
            world,
            "v1/namespaces",
            json!({"kind": "Namespace", "metadata": {"name": format!("{}-more", world.namespace)}}),
            Value::Null,
        ),
        case(
            world,
            "v1/nodes",
            json!({"kind": "Node", "metadata": {"name": "node-1", "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": "", "kubernetes.io/role": "old"}}, "spec": {"unschedulable": true}}),
            json!({"conditions": [{"type": "Ready", "status": "False"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Linux", "kernelVersion": "", "containerRuntimeVersion": "r://1", "architecture": "", "bootID": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "", "systemUUID": ""}}),
        ),
        case(
            world,
            "v1/nodes",
            json!({"kind": "Node", "metadata": {"name": "node-2"}}),
            Value::Null,
        ),
        service(
            "cluster",
            json!({"ports": ports, "selector": {"b": "c", "a": "b"}}),
            Value::Null,
        ),
        service(
            "node",
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}], "externalIPs": ["1.2.3.4"]}),
            Value::Null,
        ),
        service(
            "pending",
            json!({"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30081}]}),
            Value::Null,
        ),
        service(
            "balanced",
            json!({"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30082}], "externalIPs": ["1.2.3.4"]}),
            json!({"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}, {"hostname": "lb.a-long-name.example"}]}}),
        ),
        service(
            "named",
            json!({"type": "ExternalName", "externalName": "elsewhere.example"}),
            Value::Null,
        ),
        service(
            "headless",
            json!({"clusterIP": "None", "ports": [{"port": 80}]}),
            Value::Null,
        ),
        ingress(
            "one",
            json!({"ingressClassName": "nginx", "rules": [rule("a.example")], "tls": [{"hosts": ["a.example"]}]}),
        ),
        ingress(
            "many",
            json!({"rules": [rule("a.example"), rule("b.example"), rule("c.example"), rule("d.example"), rule("e.example")]}),
        ),
        ingress(
            "any",
            json!({"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}),
        ),
        case(
            world,
            "networking.k8s.io/v1/networkpolicies",
            json!({"kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
            Value::Null,
        ),
        case(
            world,
            "networking.k8s.io/v1/ingressclasses",
            json!({"kind": "IngressClass", "metadata": {"name": world.namespace}, "spec": {"controller": "a.example/x", "parameters": {"apiGroup": "g.example", "kind": "K", "name": "p"}}}),
            Value::Null,
        ),
        case(
            world,
            "coordination.k8s.io/v1/leases",
            json!({"kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}),
            Value::Null,
        ),
        case(
            world,
            "policy/v1/poddisruptionbudgets",
            json!({"kind": "PodDisruptionBudget", "metadata": {"name": "p"}, "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}}}),
            json!({"disruptionsAllowed": 2, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
        ),
        case(
            world,
            "rbac.authorization.k8s.io/v1/rolebindings",
            json!({"kind": "RoleBinding", "metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
            "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "User", "name": "v", "apiGroup": "rbac.authorization.k8s.io"}]}),
            Value::Null,
        ),
        case(
            world,
            "rbac.authorization.k8s.io/v1/roles",
            json!({"kind": "Role", "metadata": {"name": "r"}, "rules": []}),
            Value::Null,
        ),
        case(
            world,
            "scheduling.k8s.io/v1/priorityclasses",
            json!({"kind": "PriorityClass", "metadata": {"name": world.namespace}, "value": 5}),
            Value::Null,
        ),
        case(
            world,
            "storage.k8s.io/v1/storageclasses",
            json!({"kind": "StorageClass", "metadata": {"name": world.namespace, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p.example/x", "allowVolumeExpansion": true}),
            Value::Null,
        ),
        case(
            world,
            "v1/persistentvolumeclaims",
            json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "p"}, "spec": {"accessModes": ["ReadWriteMany", "ReadWriteOnce"], "volumeName": "v", "storageClassName": "c", "resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}),
        ),
        case(
            world,
            "v1/persistentvolumes",
            json!({"kind": "PersistentVolume", "metadata": {"name": world.namespace}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}, "claimRef": {"namespace": "a", "name": "b"}}}),
            Value::Null,
        ),
        case(
            world,
            "autoscaling/v2/horizontalpodautoscalers",
            json!({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}}),
            json!({"currentReplicas": 2, "desiredReplicas": 2}),
        ),
        case(
            world,
            "v1/resourcequotas",
            json!({"kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "100", "limits.cpu": "2"}}}),
            json!({"hard": {"configmaps": "100", "limits.cpu": "2"}, "used": {"configmaps": "1", "limits.cpu": "0"}}),
        ),
        case(
            world,
            "discovery.k8s.io/v1/endpointslices",
            json!({"kind": "EndpointSlice", "metadata": {"name": "e"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}], "ports": [{"port": 80}]}),
            Value::Null,
        ),
        case(
            world,
            "v1/endpoints",
            json!({"kind": "Endpoints", "metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}]}),
            Value::Null,
        ),
        case(
            world,
            "v1/events",
            json!({"kind": "Event", "metadata": {"name": "e", "namespace": world.namespace}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": world.namespace, "fieldPath": "spec"}, "reason": "Because", "message": " it is so ", "type": "Normal", "count": 3, "source": {"component": "me", "host": "here"}, "firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": "2020-01-02T00:00:00Z"}),
            Value::Null,
        ),
        case(
            world,
            "apps/v1/controllerrevisions",
            json!({"kind": "ControllerRevision", "metadata": {"name": "c", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "1", "controller": true}]}, "revision": 7, "data": {}}),
            Value::Null,
        ),
    ]
}

pub(crate) async fn custom_lists() -> TestResult {
    let world = World::new().await?;
    let columns = json!([
        {"name": "Count", "type": "integer", "jsonPath": ".spec.count"},
        {"name": "Half", "type": "number", "jsonPath": ".spec.half", "priority": 1},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "When", "type": "date", "jsonPath": ".spec.when"},
        {"name": "First", "type": "string", "jsonPath": ".spec.list[0].name"},
        {"name": "Found", "type": "string", "jsonPath": ".spec.list[?(@.name==\"b\")].value"},
        {"name": "All", "type": "string", "jsonPath": ".spec.list[*].name"},
        {"name": "Nothing", "type": "string", "jsonPath": ".spec.nothing"},
        {"name": "Quoted", "type": "string", "jsonPath": ".spec['odd']"},
        {"name": "Escaped", "type": "string", "jsonPath": ".spec.map.a\\.b"},
        {"name": "Map", "type": "string", "jsonPath": ".spec.map"},
        {"name": "Number", "type": "string", "jsonPath": ".spec.count"},
    ]);
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let mut crd = crd("printeds", "Printed", &schema);
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = columns.clone();
    let collection = register(&world, &crd, "printeds").await?;
    let specs = [
        json!({"count": 3, "half": 0.5, "on": true, "when": "2020-01-01T00:00:00Z", "list": [{"name": "a"}, {"name": "b", "value": "c"}], "odd": "x", "map": {"a.b": "d"}}),
        json!({}),
        json!({"count": "3", "half": 2, "on": "yes", "when": "soon", "list": [], "map": {}}),
        json!({"count": 2.5, "half": -1, "on": null, "when": 5, "list": "x"}),
    ];
    let case = |(index, spec): (usize, Value)| Case {
        collection: collection.clone(),
        resource: "",
        object: json!({"apiVersion": "engines.example/v1", "kind": "Printed", "metadata": {"name": format!("p{index}")}, "spec": spec}),
        status: Value::Null,
    };
    let cases: Vec<_> = specs.into_iter().enumerate().map(case).collect();
    observe("tables-custom", &record(&world, &cases, &columns).await?)
}

async fn register(world: &World, crd: &Value, plural: &str) -> Result<String, Failure> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = world.send("POST", path, "application/json", crd).await?;
    assert_eq!(answer.code, 201, "{answer:?}");
    let collection = format!(
        "/apis/engines.example/v1/namespaces/{}/{plural}",
        world.namespace
    );
    world.until_served(&collection).await?;
    Ok(collection)
}
