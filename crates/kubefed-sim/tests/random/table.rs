//! Single requests of which every detail of the answer is compared, errors above all.

use serde_json::{Value, json};

use crate::server::Exchange;

const MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";
const MAP: &str = "/api/v1/namespaces/{ns}/configmaps/one";
const WIDGETS: &str = "/apis/random.example.com/v1/namespaces/{ns}/widgets";

/// Every request, in the order in which they are sent.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "one", "labels": { "app": "web" } }, "data": { "k": "v" },
    });
    let create = Exchange::new("POST", MAPS).body(&map);
    [
        vec![create.clone(), create],
        methods(),
        media_types(),
        selectors(),
        list_options(),
        bodies(),
        names(),
        kinds(),
    ]
    .concat()
}

/// Paths and methods that go together, and those that do not.
fn methods() -> Vec<Exchange> {
    let mut all = Vec::new();
    for path in [
        MAPS,
        MAP,
        WIDGETS,
        "/apis/random.example.com/v1/namespaces/{ns}/widgets/none",
        "/api/v1/pods",
        "/api/v1/namespaces/{ns}/configmaps/one/status",
        "/api/v1/namespaces/{ns}/configmaps/one/scale",
        "/api/v1/namespaces/{ns}/nothings",
        "/api/v1/namespaces/{ns}/nothings/one",
        "/api/v9/namespaces/{ns}/configmaps",
        "/apis/nothing.example.com/v1/namespaces/{ns}/things",
        "/apis/random.example.com/v2/namespaces/{ns}/widgets",
        "/apis/random.example.com/v1/namespaces/{ns}/widgets/none/scale",
        "/apis/random.example.com/v1/namespaces/{ns}/gadgets",
        "/nothing",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH"] {
            let merge = "application/merge-patch+json";
            let media_type = if method == "PATCH" {
                merge
            } else {
                "application/json"
            };
            let exchange = Exchange::new(method, path);
            all.push(exchange.header("content-type", media_type).body(&json!({})));
        }
    }
    all
}

fn media_types() -> Vec<Exchange> {
    let none = &format!("{WIDGETS}/none");
    let accepts = [
        "text/plain",
        "application/xml",
        "application/json;as=Nothing;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v9;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "text/plain, application/json",
        "*/*",
    ];
    let contents = [
        "text/plain",
        "application/merge-patch+json",
        "application/json; charset=utf-8",
        "nonsense",
    ];
    let read = accepts.map(|accept| Exchange::new("GET", MAP).header("accept", accept));
    let sent = contents.map(|content| {
        let body = json!({ "metadata": { "name": "one" } });
        Exchange::new("POST", MAPS)
            .header("content-type", content)
            .body(&body)
    });
    let patched = [
        "application/json",
        "text/plain",
        "application/merge-patch+json; charset=utf-8",
    ]
    .map(|content| {
        Exchange::new("PATCH", MAP)
            .header("content-type", content)
            .body(&json!({}))
    });
    let widgets = [
        Exchange::new("GET", WIDGETS).header("accept", "text/plain"),
        Exchange::new("GET", WIDGETS).header("accept", accepts[2]),
        Exchange::new("POST", WIDGETS).header("content-type", "text/plain"),
        Exchange::new("PATCH", none).header("content-type", "text/plain"),
        Exchange::new("PATCH", none).header("content-type", "application/json"),
        Exchange::new("DELETE", none)
            .header("content-type", "text/plain")
            .text("x"),
    ];
    [
        read.to_vec(),
        sent.to_vec(),
        patched.to_vec(),
        widgets.to_vec(),
    ]
    .concat()
}

fn selectors() -> Vec<Exchange> {
    let labels = [
        "app",
        "!app",
        "app=web",
        "app==web",
        "app!=web",
        "app in (web,db)",
        "app notin (web)",
        "app in ()",
        "app in (,)",
        "app in (web",
        "app in web",
        "app notin",
        "app=web,",
        ",app=web",
        "app = web",
        "=",
        "==",
        "!",
        "a b",
        "app>1",
        "app<x",
        "app>x",
        "app in (a b)",
        "-app",
        "app=-x",
        "x/y/z=1",
        "example.com/app=web",
        "app=web,app=db",
        "(app)",
        "app,,tier",
        "app=web tier=x",
    ];
    let fields = [
        "metadata.name=one",
        "metadata.name==one",
        "metadata.name!=one",
        "metadata.namespace=other",
        "data.k=v",
        "metadata.name",
        "metadata.name=one,",
        "=",
        "metadata.name=a\\,b",
        "status=x",
        "metadata.name=one,metadata.namespace={ns}",
    ];
    let query = |name: &str, text: &str| {
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let encoded = encoded.replace("%7Bns%7D", "{ns}");
        Exchange::new("GET", &format!("{MAPS}?{name}={encoded}"))
    };
    let labels = labels.iter().map(|text| query("labelSelector", text));
    labels
        .chain(fields.iter().map(|text| query("fieldSelector", text)))
        .collect()
}

fn list_options() -> Vec<Exchange> {
    [
        "limit=x",
        "limit=-1",
        "limit=0",
        "limit=1",
        "continue=nonsense",
        "continue=abc&resourceVersion=5",
        "resourceVersion=x",
        "resourceVersion=-1",
        "resourceVersionMatch=Exact",
        "continue=abc&resourceVersionMatch=Exact&resourceVersion=1",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Roughly",
        "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "sendInitialEvents=true",
        "resourceVersionMatch=NotOlderThan&sendInitialEvents=true",
        "timeoutSeconds=x",
        "watch=nonsense&limit=1",
        "watch=1&resourceVersion=x",
        "watch=1&sendInitialEvents=true",
        "watch=1&resourceVersionMatch=NotOlderThan",
        "watch=1&resourceVersion=1&resourceVersionMatch=Exact&sendInitialEvents=true",
        "watch=1&fieldSelector=data.k%3Dv",
        "watch=1&labelSelector=a%20b",
        "pretty=true",
        "unknown=option",
        "dryRun=All",
    ]
    .iter()
    .map(|query| {
        // What is a watch after all is to end soon and to show nothing.
        let end = if query.contains("watch") {
            "&timeoutSeconds=1&labelSelector=none"
        } else {
            ""
        };
        Exchange::new("GET", &format!("{MAPS}?{query}{end}"))
    })
    .collect()
}

fn bodies() -> Vec<Exchange> {
    let texts = [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"text\"",
        "{}",
        "{\"kind\":\"ConfigMap\"}",
        "{\"apiVersion\":\"v1\"}",
        "{\"apiVersion\":1,\"kind\":\"ConfigMap\"}",
        "{\"metadata\":[]}",
        "{\"metadata\":{\"name\":1}}",
        "{\"metadata\":{\"labels\":[]}}",
        "{\"metadata\":{\"finalizers\":{}}}",
        "{\"metadata\":{\"name\":\"x\",\"namespace\":\"other\"}}",
        "{\"metadata\":{\"name\":\"dup\",\"name\":\"dup\"}}",
        "{\"metadata\":{\"name\":\"k\"},\"data\":{\"a\":\"1\",\"a\":\"2\"}}",
    ];
    let mut all = Vec::new();
    for path in [MAPS, WIDGETS] {
        for text in texts {
            all.push(Exchange::new("POST", path).text(text));
        }
    }
    for path in [
        MAP,
        "/apis/random.example.com/v1/namespaces/{ns}/widgets/none",
    ] {
        for text in &texts[..14] {
            all.push(Exchange::new("PUT", path).text(text));
            for kind in ["merge-patch+json", "json-patch+json", "apply-patch+yaml"] {
                let patch = Exchange::new("PATCH", &format!("{path}?fieldManager=m")).text(text);
                all.push(patch.header("content-type", &format!("application/{kind}")));
            }
            all.push(Exchange::new("DELETE", &format!("{path}-absent")).text(text));
        }
    }
    all
}

/// Names of every kind of rule, and other metadata that is wrong.
fn names() -> Vec<Exchange> {
    let long = "a".repeat(64);
    let longer = "a.".repeat(127);
    let names = [
        "A", "a_b", "-a", "a-", "a..b", "a.b", "é", ".", "1", &long, &longer,
    ];
    let kinds: [(&str, Value); 4] = [
        (MAPS, json!({ "apiVersion": "v1", "kind": "ConfigMap" })),
        (
            WIDGETS,
            json!({ "apiVersion": "random.example.com/v1", "kind": "Widget", "spec": { "size": 1 } }),
        ),
        (
            "/api/v1/namespaces",
            json!({ "apiVersion": "v1", "kind": "Namespace" }),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [] }),
        ),
    ];
    let mut all = Vec::new();
    for (path, mut body) in kinds {
        for name in names {
            body["metadata"] = json!({ "name": name });
            all.push(Exchange::new("POST", &format!("{path}?dryRun=All")).body(&body));
        }
        for metadata in [
            json!({ "labels": { "/x": "y" } }),
            json!({ "labels": { "x/": "y" } }),
            json!({ "labels": { "a/b/c": "y" } }),
            json!({ "labels": { "Bad.Prefix_/x": "y" } }),
            json!({ "labels": { &long: "y" } }),
            json!({ "labels": { "x": &long } }),
            json!({ "labels": { "x": "-y" } }),
            json!({ "annotations": { "a/b/c": "y" } }),
            json!({ "finalizers": ["a/b/c"] }),
            json!({ "annotations": { "A/b": "y" } }),
            json!({ "annotations": { "b c": "y" } }),
            json!({ "annotations": { "big": "x".repeat(256 * 1024) } }),
            json!({ "finalizers": ["a b"] }),
            json!({ "finalizers": ["orphan", "foregroundDeletion"] }),
            json!({ "generation": -1 }),
            json!({ "ownerReferences": [{}] }),
            json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "Event", "name": "a", "uid": "b" }] }),
            json!({ "ownerReferences": [
                { "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": true },
                { "apiVersion": "v1", "kind": "Pod", "name": "c", "uid": "d", "controller": true },
            ] }),
            json!({ "managedFields": [{ "operation": "Sing" }] }),
        ] {
            body["metadata"] = metadata;
            body["metadata"]["name"] = json!("one-more");
            all.push(Exchange::new("POST", &format!("{path}?dryRun=All")).body(&body));
        }
    }
    all
}

/// An object of each of many kinds, for the defaults and the managers that it gets.
fn kinds() -> Vec<Exchange> {
    let pod = json!({ "containers": [{
        "name": "main", "image": "nginx:1",
        "ports": [{ "containerPort": 80 }],
        "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "readinessProbe": { "httpGet": { "path": "/", "port": 80 } },
        "volumeMounts": [{ "name": "config", "mountPath": "/c" }],
        "resources": { "requests": { "cpu": "100m", "memory": "0.5Gi" } },
    }], "volumes": [{ "name": "config", "configMap": { "name": "one" } }] });
    let selector = json!({ "matchLabels": { "app": "x" } });
    let template = json!({ "metadata": { "labels": { "app": "x" } }, "spec": pod });
    let mut job = template.clone();
    job["spec"]["restartPolicy"] = json!("Never");
    let all = [
        (
            "api/v1",
            "secrets",
            "Secret",
            json!({ "stringData": { "k": "v" } }),
        ),
        (
            "api/v1",
            "services",
            "Service",
            json!({ "spec": { "clusterIP": "None", "selector": { "app": "x" }, "ports": [{ "port": 80 }] } }),
        ),
        ("api/v1", "serviceaccounts", "ServiceAccount", json!({})),
        (
            "api/v1",
            "endpoints",
            "Endpoints",
            json!({ "subsets": [{ "addresses": [{ "ip": "10.0.0.9" }], "ports": [{ "port": 80 }] }] }),
        ),
        (
            "api/v1",
            "resourcequotas",
            "ResourceQuota",
            json!({ "spec": { "hard": { "pods": "10" } } }),
        ),
        (
            "apis/apps/v1",
            "replicasets",
            "ReplicaSet",
            json!({ "spec": { "selector": selector, "template": template } }),
        ),
        (
            "apis/apps/v1",
            "statefulsets",
            "StatefulSet",
            json!({ "spec": { "serviceName": "s", "selector": selector, "template": template } }),
        ),
        (
            "apis/apps/v1",
            "deployments",
            "Deployment",
            json!({ "spec": { "selector": selector, "template": template } }),
        ),
        (
            "apis/batch/v1",
            "cronjobs",
            "CronJob",
            json!({ "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": { "template": job } } } }),
        ),
        (
            "apis/networking.k8s.io/v1",
            "ingresses",
            "Ingress",
            json!({ "spec": { "rules": [{
            "host": "a.example.com",
            "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "s", "port": { "number": 80 } } } }] },
        }] } }),
        ),
        (
            "apis/networking.k8s.io/v1",
            "networkpolicies",
            "NetworkPolicy",
            json!({ "spec": { "podSelector": {}, "ingress": [{}] } }),
        ),
        (
            "apis/policy/v1",
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            json!({ "spec": { "minAvailable": 1, "selector": selector } }),
        ),
        (
            "apis/autoscaling/v2",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            json!({ "spec": {
            "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" },
        } }),
        ),
        (
            "apis/rbac.authorization.k8s.io/v1",
            "roles",
            "Role",
            json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] }),
        ),
        (
            "apis/rbac.authorization.k8s.io/v1",
            "rolebindings",
            "RoleBinding",
            json!({
                "roleRef": { "kind": "Role", "name": "r" }, "subjects": [{ "kind": "User", "name": "u" }],
            }),
        ),
        (
            "apis/coordination.k8s.io/v1",
            "leases",
            "Lease",
            json!({ "spec": { "holderIdentity": "me" } }),
        ),
        (
            "apis/discovery.k8s.io/v1",
            "endpointslices",
            "EndpointSlice",
            json!({
                "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.9"] }], "ports": [{ "port": 80 }],
            }),
        ),
    ];
    let mut exchanges = Vec::new();
    for (root, plural, kind, mut body) in all {
        let version = root.strip_prefix("apis/").unwrap_or("v1");
        body["apiVersion"] = json!(version);
        body["kind"] = json!(kind);
        body["metadata"] = json!({ "name": "every" });
        let path = format!("/{root}/namespaces/{{ns}}/{plural}");
        exchanges.push(Exchange::new("POST", &path).body(&body));
        let labels = json!({ "metadata": { "labels": { "a": "b" } } });
        let labelled = Exchange::new("PATCH", &format!("{path}/every")).body(&labels);
        exchanges.push(labelled.header("content-type", "application/merge-patch+json"));
        let object = format!("{path}/every");
        exchanges
            .push(Exchange::new("DELETE", &object).text("{\"propagationPolicy\":\"Background\"}"));
    }
    exchanges
}
