//! Requests as data: kinds, and for each the fragments of which objects and patches are made.

use std::fmt;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A kind under test.
pub(crate) struct Kind {
    root: &'static str,
    plural: &'static str,
    /// The least that is valid.
    pub(crate) base: Value,
    /// Laid over the base, one after the other, or sent as merge patches.
    fragments: Vec<Value>,
    /// The same below `/status`.
    statuses: Vec<Value>,
    strategic: Vec<Value>,
    json_patches: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) body: String,
    kind: usize,
    /// Of an object, or none for a collection.
    name: Option<&'static str>,
    subresource: &'static str,
    query: String,
}

impl Kind {
    pub(crate) fn collection(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.root, self.plural)
    }
}

impl Request {
    /// What the request is about, unique over all kinds.
    pub(crate) fn object(&self) -> String {
        let name = self.name.map(str::to_owned).or_else(|| {
            let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
            Some(body["metadata"]["name"].as_str()?.to_owned())
        });
        format!("{}/{}", KINDS[self.kind].plural, name.unwrap_or_default())
    }

    pub(crate) fn path(&self, namespace: &str) -> String {
        let collection = KINDS[self.kind].collection(namespace);
        let name = self.name.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{collection}{name}{}?{}", self.subresource, self.query)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, body) = (self.path("x"), &self.body);
        write!(f, "{} {path} {} {body}", self.method, self.media_type)
    }
}

const NAMES: [&str; 2] = ["a", "b"];

pub(crate) static KINDS: LazyLock<[Kind; 3]> =
    LazyLock::new(|| [config_maps(), deployments(), widgets()]);

/// Metadata of every kind.
fn metadata() -> Vec<Value> {
    [
        json!({ "labels": { "app": "web" } }),
        json!({ "labels": { "app": "db", "tier": "front" } }),
        json!({ "labels": { "app": null } }),
        json!({ "labels": null }),
        json!({ "labels": { "x y": "z" } }),
        json!({ "annotations": { "example.com/note": "1" } }),
        json!({ "annotations": { "example.com/note": "2" } }),
        json!({ "annotations": { "n": 1 } }),
        json!({ "finalizers": ["example.com/hold"] }),
        json!({ "finalizers": ["example.com/hold", "example.com/other"] }),
        json!({ "finalizers": null }),
        json!({ "finalizers": ["nonsense"] }),
        json!({ "resourceVersion": "$version" }),
        json!({ "resourceVersion": "$stale" }),
        json!({ "uid": "$uid" }),
        json!({ "uid": "other" }),
        json!({ "name": "b" }),
        json!({ "generation": 7 }),
        json!({ "creationTimestamp": null }),
        json!({ "unknown": 1 }),
        json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u" }] }),
        json!({ "managedFields": [] }),
    ]
    .into_iter()
    .map(|metadata| json!({ "metadata": metadata }))
    .collect()
}

fn metadata_patches() -> Vec<Value> {
    vec![
        json!([{ "op": "add", "path": "/metadata/labels", "value": { "app": "web" } }]),
        json!([{ "op": "remove", "path": "/metadata/labels" }]),
        json!([{ "op": "remove", "path": "/metadata/labels/app" }]),
        json!([{ "op": "add", "path": "/metadata/annotations/x~1y", "value": "1" }]),
        json!([{ "op": "add", "path": "/metadata/finalizers/-", "value": "example.com/hold" }]),
        json!([{ "op": "remove", "path": "/metadata/finalizers/0" }]),
        json!([{ "op": "test", "path": "/metadata/finalizers", "value": null }]),
        json!([{ "op": "test", "path": "/metadata/resourceVersion", "value": "$version" }]),
        json!([{ "op": "replace", "path": "/metadata/uid", "value": "other" }]),
        json!([{ "op": "replace", "path": "/kind", "value": "Other" }]),
    ]
}

fn config_maps() -> Kind {
    let own = [
        json!({ "data": { "k": "1" } }),
        json!({ "data": { "k": "2", "l": "3" } }),
        json!({ "data": { "k": null } }),
        json!({ "data": null }),
        json!({ "data": { "k": 5 } }),
        json!({ "data": { "a b": "1" } }),
        json!({ "binaryData": { "bin": "AAE=" } }),
        json!({ "binaryData": { "k": "AAE=" } }),
        json!({ "immutable": true }),
        json!({ "immutable": false }),
        json!({ "immutable": null }),
        json!({ "surplus": true }),
        json!({ "kind": "Secret" }),
        json!({ "apiVersion": "v2" }),
    ];
    let patches = [
        json!([{ "op": "add", "path": "/data/k", "value": "9" }]),
        json!([{ "op": "replace", "path": "/data/k", "value": "8" }]),
        json!([{ "op": "test", "path": "/data/k", "value": "1" }, { "op": "move", "from": "/data/k", "path": "/data/m" }]),
        json!([{ "op": "copy", "from": "/data", "path": "/data" }]),
        json!([{ "op": "add", "path": "/data/k", "value": 1 }]),
    ];
    Kind {
        root: "/api/v1",
        plural: "configmaps",
        base: json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} }),
        fragments: [metadata(), own.to_vec()].concat(),
        statuses: Vec::new(),
        strategic: vec![
            json!({ "data": { "$patch": "replace", "only": "1" } }),
            json!({ "data": { "k": "7" }, "metadata": { "labels": { "s": "m" } } }),
            json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["example.com/hold"] } }),
            json!({ "metadata": { "finalizers": ["example.com/more"] } }),
        ],
        json_patches: [metadata_patches(), patches.to_vec()].concat(),
    }
}

fn deployments() -> Kind {
    let container = |name: &str, image: &str| json!({ "name": name, "image": image });
    let template = |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let own = [
        json!({ "spec": { "replicas": 3 } }),
        json!({ "spec": { "replicas": 0 } }),
        json!({ "spec": { "replicas": null } }),
        json!({ "spec": { "replicas": "many" } }),
        json!({ "spec": { "paused": true } }),
        json!({ "spec": { "minReadySeconds": 5, "revisionHistoryLimit": 3 } }),
        json!({ "spec": { "strategy": { "type": "Recreate", "rollingUpdate": null } } }),
        json!({ "spec": { "template": { "metadata": { "annotations": { "a": "b" } } } } }),
        json!({ "spec": { "surplus": {} } }),
        template(json!([container("main", "nginx:2")])),
        template(json!([
            container("main", "nginx:2"),
            container("side", "busy")
        ])),
        template(
            json!([{ "name": "main", "image": "nginx:1", "env": [{ "name": "A", "value": "1" }] }]),
        ),
        template(
            json!([{ "name": "main", "image": "nginx:1", "ports": [{ "containerPort": 80 }] }]),
        ),
    ];
    let statuses = [
        json!({ "status": { "replicas": 2, "readyReplicas": 1 } }),
        json!({ "status": { "observedGeneration": 1 } }),
        json!({ "status": { "conditions": [{ "type": "Available", "status": "True" }] } }),
        json!({ "status": null }),
    ];
    let patches = [
        json!([{ "op": "replace", "path": "/spec/replicas", "value": 4 }]),
        json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "i" }]),
        json!([{ "op": "remove", "path": "/spec/template/spec/containers/1" }]),
    ];
    Kind {
        root: "/apis/apps/v1",
        plural: "deployments",
        base: json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {},
            "spec": {
                "selector": { "matchLabels": { "app": "x" } },
                "template": {
                    "metadata": { "labels": { "app": "x" } },
                    "spec": { "containers": [container("main", "nginx:1")] },
                },
            },
        }),
        fragments: [metadata(), own.to_vec()].concat(),
        statuses: statuses.to_vec(),
        strategic: vec![
            template(json!([container("side", "busy")])),
            template(json!([{ "name": "side", "$patch": "delete" }])),
            template(json!([{ "name": "main", "image": "nginx:3" }])),
            json!({ "spec": { "replicas": 2 } }),
            json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } }),
        ],
        json_patches: [metadata_patches(), patches.to_vec()].concat(),
    }
}

fn widgets() -> Kind {
    let own = [
        json!({ "spec": { "size": 1 } }),
        json!({ "spec": { "size": 2, "color": "red" } }),
        json!({ "spec": { "size": -1 } }),
        json!({ "spec": { "size": "big" } }),
        json!({ "spec": { "size": null } }),
        json!({ "spec": null }),
        json!({ "spec": { "surplus": 1 } }),
        json!({ "spec": { "ports": [{ "name": "web", "port": 80 }] } }),
        json!({ "spec": { "ports": [{ "name": "web", "port": 81 }, { "name": "db", "port": 5 }] } }),
        json!({ "spec": { "ports": [{ "name": "web", "port": 1 }, { "name": "web", "port": 2 }] } }),
        json!({ "spec": { "ports": [{ "port": 80 }] } }),
        json!({ "spec": { "anything": { "deep": [1, { "x": "y" }] } } }),
        json!({ "spec": { "color": "gold" } }),
        json!({ "extra": "field" }),
        json!({ "status": { "ready": true } }),
    ];
    let statuses = [
        json!({ "status": { "ready": true } }),
        json!({ "status": { "ready": false, "count": 2 } }),
        json!({ "status": { "ready": "maybe" } }),
        json!({ "status": null, "spec": { "size": 9 } }),
    ];
    let patches = [
        json!([{ "op": "replace", "path": "/spec/size", "value": 4 }]),
        json!([{ "op": "add", "path": "/spec/size", "value": 1.5 }]),
        json!([{ "op": "remove", "path": "/spec" }]),
        json!([{ "op": "add", "path": "/spec/ports/-", "value": { "name": "p", "port": 1 } }]),
    ];
    Kind {
        root: "/apis/random.example.com/v1",
        plural: "widgets",
        base: json!({
            "apiVersion": "random.example.com/v1", "kind": "Widget", "metadata": {},
            "spec": { "size": 1 },
        }),
        fragments: [metadata(), own.to_vec()].concat(),
        statuses: statuses.to_vec(),
        strategic: vec![json!({ "spec": { "size": 3 } })],
        json_patches: [metadata_patches(), patches.to_vec()].concat(),
    }
}

/// The CustomResourceDefinition of the third kind.
pub(crate) fn definition() -> Value {
    let port = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "port": { "type": "integer", "maximum": 65535 },
            "protocol": { "type": "string", "default": "TCP" },
        },
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object", "required": ["size"],
                "properties": {
                    "size": { "type": "integer", "minimum": 0 },
                    "color": { "type": "string", "enum": ["red", "blue"], "default": "blue" },
                    "anything": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    "ports": {
                        "type": "array", "items": port,
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": { "ready": { "type": "boolean" }, "count": { "type": "integer" } },
            },
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.random.example.com" },
        "spec": {
            "group": "random.example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
            }],
        },
    })
}

/// Runs of requests, short ones included, since shrinking starts from what was found.
pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    vec(
        (0..KINDS.len()).prop_flat_map(|kind| {
            prop_oneof![
                4 => create(kind),
                2 => update(kind),
                3 => merge(kind),
                2 => json_patch(kind),
                2 => strategic(kind),
                3 => apply(kind),
                2 => status(kind),
                2 => delete(kind),
                1 => read(kind),
            ]
        }),
        1..16,
    )
}

/// An object of the kind: its base with a few fragments laid over it.
fn object(kind: usize) -> impl Strategy<Value = Value> {
    let fragments = vec(select(&KINDS[kind].fragments[..]), 0..4);
    fragments.prop_map(move |fragments| {
        let mut object = KINDS[kind].base.clone();
        for fragment in fragments {
            json_patch::merge(&mut object, &fragment);
        }
        object
    })
}

fn named(mut object: Value, name: &str) -> Value {
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!(name);
    }
    object
}

fn name() -> impl Strategy<Value = &'static str> {
    // Mostly one, so that requests meet.
    prop_oneof![4 => Just(NAMES[0]), 1 => Just(NAMES[1])]
}

fn options() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just(""),
        1 => Just("dryRun=All"),
        1 => Just("dryRun=Some"),
        1 => Just("fieldValidation=Strict"),
        1 => Just("fieldValidation=Ignore"),
        1 => Just("fieldManager=other"),
    ]
    .prop_map(str::to_owned)
}

fn create(kind: usize) -> BoxedStrategy<Request> {
    (name(), object(kind), options())
        .prop_map(move |(name, object, query)| Request {
            method: "POST",
            media_type: "application/json",
            body: named(object, name).to_string(),
            kind,
            name: None,
            subresource: "",
            query,
        })
        .boxed()
}

fn update(kind: usize) -> BoxedStrategy<Request> {
    let version = select(&["", "$version", "$stale"][..]);
    (name(), object(kind), version, options())
        .prop_map(move |(name, object, version, query)| {
            let mut body = named(object, name);
            if !version.is_empty() {
                body["metadata"]["resourceVersion"] = json!(version);
            }
            Request {
                method: "PUT",
                media_type: "application/json",
                body: body.to_string(),
                kind,
                name: Some(name),
                subresource: "",
                query,
            }
        })
        .boxed()
}

fn patch(
    kind: usize,
    media_type: &'static str,
    patches: &'static [Value],
    subresource: &'static str,
) -> BoxedStrategy<Request> {
    if patches.is_empty() {
        return read(kind);
    }
    (name(), select(patches), options())
        .prop_map(move |(name, patch, query)| Request {
            method: "PATCH",
            media_type,
            body: patch.to_string(),
            kind,
            name: Some(name),
            subresource,
            query,
        })
        .boxed()
}

fn merge(kind: usize) -> BoxedStrategy<Request> {
    let patches = &KINDS[kind].fragments;
    patch(kind, "application/merge-patch+json", patches, "")
}

fn json_patch(kind: usize) -> BoxedStrategy<Request> {
    let patches = &KINDS[kind].json_patches;
    patch(kind, "application/json-patch+json", patches, "")
}

fn strategic(kind: usize) -> BoxedStrategy<Request> {
    let patches = &KINDS[kind].strategic;
    patch(kind, "application/strategic-merge-patch+json", patches, "")
}

fn status(kind: usize) -> BoxedStrategy<Request> {
    let patches = &KINDS[kind].statuses;
    patch(kind, "application/merge-patch+json", patches, "/status")
}

fn apply(kind: usize) -> BoxedStrategy<Request> {
    let query = select(
        &[
            "fieldManager=one",
            "fieldManager=two",
            "fieldManager=two&force=true",
            "fieldManager=one&dryRun=All",
            "",
        ][..],
    );
    (name(), object(kind), query)
        .prop_map(move |(name, object, query)| Request {
            method: "PATCH",
            media_type: "application/apply-patch+yaml",
            body: named(object, name).to_string(),
            kind,
            name: Some(name),
            subresource: "",
            query: query.to_owned(),
        })
        .boxed()
}

fn delete(kind: usize) -> BoxedStrategy<Request> {
    let options = vec![
        json!({}),
        json!({ "propagationPolicy": "Foreground" }),
        json!({ "propagationPolicy": "Orphan" }),
        json!({ "propagationPolicy": "Background" }),
        json!({ "propagationPolicy": "Sideways" }),
        json!({ "orphanDependents": true }),
        json!({ "orphanDependents": true, "propagationPolicy": "Orphan" }),
        json!({ "preconditions": { "uid": "$uid" } }),
        json!({ "preconditions": { "uid": "other" } }),
        json!({ "preconditions": { "resourceVersion": "$version" } }),
        json!({ "preconditions": { "resourceVersion": "$stale" } }),
        json!({ "dryRun": ["All"] }),
        json!({ "gracePeriodSeconds": 0 }),
        json!({ "gracePeriodSeconds": -1 }),
    ];
    let collection = prop_oneof![9 => Just(false), 1 => Just(true)];
    (name(), select(options), collection)
        .prop_map(move |(name, options, collection)| Request {
            method: "DELETE",
            media_type: "application/json",
            body: options.to_string(),
            kind,
            name: (!collection).then_some(name),
            subresource: "",
            query: String::new(),
        })
        .boxed()
}

fn read(kind: usize) -> BoxedStrategy<Request> {
    let collection = [
        "",
        "labelSelector=app%3Dweb",
        "labelSelector=app%20in%20(web,db),!tier",
        "fieldSelector=metadata.name%3Da",
        "limit=1",
        "resourceVersion=0",
        "labelSelector=%3D%3D",
        "limit=-1",
    ];
    let collection = select(collection.to_vec()).prop_map(|query| (None, query));
    let object = name().prop_map(|name| (Some(name), ""));
    prop_oneof![collection, object]
        .prop_map(move |(name, query)| Request {
            method: "GET",
            media_type: "application/json",
            body: String::new(),
            kind,
            name,
            subresource: "",
            query: query.to_owned(),
        })
        .boxed()
}
