//! Who manages what, beside a real server.

use kubefed_testing::TestResult;
use proptest::{
    prelude::{Just, Strategy, any},
    prop_oneof,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use crate::{
    verdict::judge,
    world::{Answer, Failure, Kind, World, built_in, observe},
};

/// One request of a scenario.
#[derive(Clone, Debug)]
enum Request {
    Create(Value),
    Apply { force: bool, object: Value },
    Update(Value),
    Merge(Value),
}

struct Step {
    manager: &'static str,
    subresource: &'static str,
    request: Request,
}

fn step(manager: &'static str, request: Request) -> Step {
    Step {
        manager,
        subresource: "",
        request,
    }
}

fn status(manager: &'static str, request: Request) -> Step {
    Step {
        manager,
        subresource: "status",
        request,
    }
}

fn applied(object: Value) -> Request {
    Request::Apply {
        force: false,
        object,
    }
}

fn forced(object: Value) -> Request {
    Request::Apply {
        force: true,
        object,
    }
}

/// Sends the requests and checks that the engine, given what was there before each of them, says the
/// same.
async fn check(world: &World, kind: &Kind, name: &str, steps: Vec<Step>) -> Result<Value, Failure> {
    let mut record = Vec::new();
    for step in steps {
        let (answer, request) = send(world, kind, name, &step).await?;
        record.push(json!({
            "manager": step.manager,
            "subresource": step.subresource,
            "apiVersion": kind.api_version,
            "force": match step.request {
                Request::Apply { force, .. } => Some(force),
                _ => None,
            },
            "request": request,
            "code": answer.code,
            "body": answer.body,
        }));
    }
    let record = json!({"engine": "apply", "schema": kind.schema, "steps": record});
    judge(&record);
    Ok(record)
}

async fn send(
    world: &World,
    kind: &Kind,
    name: &str,
    step: &Step,
) -> Result<(Answer, Value), Failure> {
    let slash = if step.subresource.is_empty() { "" } else { "/" };
    let path = format!(
        "{}{slash}{}",
        world.path(kind, Some(name)),
        step.subresource
    );
    let manager = format!("fieldManager={}", step.manager);
    let answer = match &step.request {
        Request::Create(object) => {
            let path = format!("{}?{manager}", world.path(kind, None));
            world
                .send("POST", &path, "application/json", object)
                .await?
        }
        Request::Update(object) => {
            let mut object = object.clone();
            let live = world.read(&path).await?.unwrap_or_default();
            object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            world
                .send(
                    "PUT",
                    &format!("{path}?{manager}"),
                    "application/json",
                    &object,
                )
                .await?
        }
        Request::Merge(patch) => {
            let kind = "application/merge-patch+json";
            world
                .send("PATCH", &format!("{path}?{manager}"), kind, patch)
                .await?
        }
        Request::Apply { force, object } => {
            let path = format!("{path}?{manager}&force={force}");
            world
                .send("PATCH", &path, "application/apply-patch+yaml", object)
                .await?
        }
    };
    let (Request::Create(request)
    | Request::Update(request)
    | Request::Merge(request)
    | Request::Apply {
        object: request, ..
    }) = &step.request;
    Ok((answer, request.clone()))
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": data})
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": spec})
}

fn pods(containers: Value) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}})
}

pub(crate) async fn writes_are_attributed() -> TestResult {
    let world = World::new().await?;
    maps_of_strings(&world).await?;
    deployments(&world).await?;
    services(&world).await?;
    custom_resources(&world).await
}

async fn maps_of_strings(world: &World) -> TestResult {
    let kind = built_in("", "v1", "ConfigMap");
    let steps = vec![
        step("one", applied(config_map(json!({"a": "1", "b": "1"})))),
        step("two", applied(config_map(json!({"c": "1"})))),
        // The same value is shared without a conflict.
        step("two", applied(config_map(json!({"a": "1", "c": "1"})))),
        step("two", applied(config_map(json!({"a": "2", "b": "2"})))),
        step("two", forced(config_map(json!({"a": "2", "b": "2"})))),
        step("one", applied(config_map(json!({"b": "2"})))),
        step("one", applied(config_map(json!({})))),
        step(
            "three",
            Request::Merge(
                json!({"data": {"a": "3", "d": "3"}, "metadata": {"labels": {"x": "y"}}}),
            ),
        ),
        step("three", Request::Merge(json!({"data": {"d": null}}))),
        step("two", applied(config_map(json!({"b": "2"})))),
        step("two", applied(config_map(json!({"b": "2"})))),
        step("four", applied(config_map(json!({"b": "2"})))),
        step(
            "four",
            Request::Update(config_map(json!({"b": "4", "e": "4"}))),
        ),
        step(
            "five",
            Request::Merge(
                json!({"metadata": {"finalizers": ["a.example/x", "a.example/y"], "annotations": {"k": "v"}}}),
            ),
        ),
        step(
            "six",
            applied(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": ["a.example/z"]}}),
            ),
        ),
        step(
            "six",
            applied(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})),
        ),
        step(
            "five",
            Request::Merge(json!({"metadata": {"finalizers": null}})),
        ),
        step(
            "five",
            Request::Merge(json!({"metadata": {"managedFields": [{}]}})),
        ),
        step("five", Request::Merge(json!({"data": {"z": "untracked"}}))),
        step("one", applied(config_map(json!({"b": "9"})))),
        step("one", forced(config_map(json!({"b": "9"})))),
    ];
    observe(
        "apply-config-map",
        &check(world, &kind, "map", steps).await?,
    )
}

async fn deployments(world: &World) -> TestResult {
    let kind = built_in("apps", "v1", "Deployment");
    let selector = json!({"matchLabels": {"app": "web"}});
    let web = json!([{"name": "web", "image": "example/web:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]);
    let sidecar = json!([{"name": "side", "image": "example/side:1"}, {"name": "web", "env": [{"name": "B", "value": "1"}]}]);
    let steps = vec![
        step(
            "one",
            Request::Create(deployment(
                json!({"replicas": 2, "selector": selector, "template": pods(web.clone())}),
            )),
        ),
        step(
            "two",
            applied(deployment(
                json!({"selector": selector, "template": pods(sidecar.clone())}),
            )),
        ),
        step(
            "two",
            applied(deployment(
                json!({"replicas": 3, "selector": selector, "template": pods(sidecar.clone())}),
            )),
        ),
        step(
            "two",
            forced(deployment(
                json!({"replicas": 3, "selector": selector, "template": pods(sidecar)}),
            )),
        ),
        status(
            "kubelet",
            Request::Merge(
                json!({"status": {"replicas": 3, "conditions": [{"type": "Available", "status": "True"}]}}),
            ),
        ),
        status(
            "two",
            applied(
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"readyReplicas": 1}}),
            ),
        ),
        status(
            "two",
            forced(
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 2}}),
            ),
        ),
        // The side container goes; the other's fields stay with the one who created them.
        step(
            "two",
            applied(deployment(
                json!({"selector": selector, "template": pods(json!([{"name": "web", "image": "example/web:1"}]))}),
            )),
        ),
        step(
            "one",
            Request::Merge(
                json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
            ),
        ),
        step(
            "one",
            Request::Merge(
                json!({"spec": {"template": {"spec": {"securityContext": {"runAsUser": 5}, "volumes": [{"name": "tmp", "emptyDir": {}}]}}}}),
            ),
        ),
        step(
            "two",
            applied(deployment(
                json!({"selector": selector, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "containers": [{"name": "web", "image": "example/web:1", "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}}],
            "tolerations": [{"key": "a"}], "nodeSelector": {"a": "b"}}}}),
            )),
        ),
        step(
            "two",
            applied(deployment(
                json!({"selector": selector, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "containers": [{"name": "web", "image": "example/web:1"}]}}}),
            )),
        ),
    ];
    observe(
        "apply-deployment",
        &check(world, &kind, "web", steps).await?,
    )
}

async fn services(world: &World) -> TestResult {
    let kind = built_in("", "v1", "Service");
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec});
    let steps = vec![
        step(
            "one",
            applied(service(
                json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http", "name": "http"}]}),
            )),
        ),
        step(
            "two",
            applied(service(json!({"ports": [{"port": 443, "name": "https"}]}))),
        ),
        step(
            "two",
            applied(service(
                json!({"selector": {"app": "other"}, "ports": [{"port": 443, "name": "tls"}]}),
            )),
        ),
        step(
            "one",
            applied(service(
                json!({"ports": [{"port": 80, "targetPort": "http", "name": "http"}, {"port": 443, "name": "https", "protocol": "TCP"}]}),
            )),
        ),
        step(
            "two",
            Request::Merge(json!({"spec": {"sessionAffinity": "ClientIP"}})),
        ),
    ];
    observe("apply-service", &check(world, &kind, "web", steps).await?)
}

async fn custom_resources(world: &World) -> TestResult {
    let schema = widget_schema();
    let kind = world.register("widgets", "Widget", &schema).await?;
    let widget = |spec: Value| json!({"apiVersion": "engines.example/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let steps = vec![
        step(
            "one",
            Request::Create(widget(
                json!({"tags": ["a", "b"], "parts": [{"name": "x", "size": 1}], "free": {"deep": {"er": [1]}}}),
            )),
        ),
        step(
            "two",
            applied(widget(
                json!({"tags": ["c", "a"], "parts": [{"name": "y"}, {"name": "x"}], "whole": {"a": 1}}),
            )),
        ),
        step(
            "two",
            applied(widget(
                json!({"tags": ["c"], "parts": [{"name": "y", "size": 2}], "whole": {"b": 1}}),
            )),
        ),
        step(
            "one",
            applied(widget(
                json!({"whole": {"b": 1, "c": 2}, "list": [1, 2], "free": {"deep": {"other": 1}}}),
            )),
        ),
        step(
            "one",
            forced(widget(
                json!({"whole": {"b": 1, "c": 2}, "list": [1, 2], "free": {"deep": {"other": 1}}, "port": "http"}),
            )),
        ),
        step(
            "one",
            forced(widget(
                json!({"list": [2], "port": 80, "any": {"a": {"b": 1}}}),
            )),
        ),
        status(
            "one",
            applied(
                json!({"apiVersion": "engines.example/v1", "kind": "Widget", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            ),
        ),
        status(
            "two",
            Request::Merge(
                json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            ),
        ),
        status(
            "one",
            applied(
                json!({"apiVersion": "engines.example/v1", "kind": "Widget", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            ),
        ),
        step("one", applied(widget(json!({})))),
        step(
            "three",
            Request::Merge(json!({"spec": {"tags": null, "parts": []}})),
        ),
        step(
            "two",
            applied(json!({"apiVersion": "engines.example/v1", "kind": "Widget"})),
        ),
    ];
    observe("apply-widget", &check(world, &kind, "w", steps).await?)
}

/// One field for each way of merging.
pub(crate) fn widget_schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
                "type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "size": {"type": "integer"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"], "items": {
                "type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"}}}},
            "list": {"type": "array", "items": {"type": "integer"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "integer"}},
            "each": {"type": "object", "additionalProperties": {"type": "integer"}},
            "nested": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "object", "properties": {"c": {"type": "string"}}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "port": {"x-kubernetes-int-or-string": true},
        }},
        "status": {"type": "object", "properties": {
            "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": {
                "type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}},
        }},
    }})
}

pub(crate) async fn refused_applies() -> TestResult {
    let world = World::new().await?;
    let kind = built_in("apps", "v1", "Deployment");
    let selector = json!({"matchLabels": {"app": "web"}});
    let web = json!([{"name": "web", "image": "example/web:1"}]);
    let with = |field: &str, value: Value| {
        let mut object = deployment(json!({"selector": selector, "template": pods(web.clone())}));
        let (parent, name) = field.rsplit_once('/').expect("a pointer");
        object.pointer_mut(parent).expect("a field")[name] = value;
        step("one", applied(object))
    };
    let steps = vec![
        with("/spec/unknown", json!(1)),
        with(
            "/spec/template/spec/containers",
            json!([{"name": "web", "image": "i", "nope": {}}]),
        ),
        with(
            "/spec/template/spec/containers",
            json!([{"image": "i"}, {"name": "web"}]),
        ),
        with(
            "/spec/template/spec/containers",
            json!([{"name": "web", "image": "i"}, {"name": "web", "image": "j"}]),
        ),
        with("/spec/replicas", json!("3")),
        with("/spec/paused", json!("yes")),
        with("/spec/template/spec/serviceAccountName", json!(5)),
        with("/spec/template/spec/containers", json!({"name": "web"})),
        with("/spec/selector", json!([])),
        with("/metadata/managedFields", json!([])),
        with("/apiVersion", json!("apps/v1beta1")),
    ];
    observe("apply-refused", &check(&world, &kind, "web", steps).await?)
}

/// Random sequences of writes by three managers on the widget, whose schema has every kind of field.
pub(crate) async fn random_writes() -> TestResult {
    let world = World::new().await?;
    let kind = world
        .register("gadgets", "Gadget", &widget_schema())
        .await?;
    // Deterministic: the same sequences each time.
    let mut runner = TestRunner::deterministic();
    for round in 0..30 {
        let name = format!("g{round}");
        let mut steps = Vec::new();
        for index in 0..8 {
            let spec = specs()
                .new_tree(&mut runner)
                .map_err(|reason| reason.to_string())?
                .current();
            let (manager, force, how) = (
                prop_oneof![Just("one"), Just("two"), Just("three")],
                any::<bool>(),
                0..4,
            )
                .new_tree(&mut runner)
                .map_err(|reason| reason.to_string())?
                .current();
            let object = json!({"apiVersion": "engines.example/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec});
            let request = match how {
                _ if index == 0 => Request::Create(object),
                0 => Request::Update(object),
                1 => Request::Merge(json!({"spec": spec})),
                _ => Request::Apply { force, object },
            };
            steps.push(step(manager, request));
        }
        check(&world, &kind, &name, steps).await?;
    }
    Ok(())
}

fn specs() -> impl Strategy<Value = Value> {
    let small = || 0..3_i32;
    let subset = |names: &'static [&'static str]| {
        proptest::sample::subsequence(names.to_vec(), 0..=names.len()).prop_shuffle()
    };
    let tags = subset(&["a", "b", "c", "d"]).prop_map(|tags| json!(tags));
    let parts =
        (subset(&["x", "y", "z"]), small(), any::<bool>()).prop_map(|(names, size, labels)| {
            let part = |name: &str| {
                let mut part = json!({"name": name, "size": size});
                if labels {
                    part["labels"] = json!({name: "l"});
                }
                part
            };
            names.into_iter().map(part).collect()
        });
    let ports = (subset(&["TCP", "UDP", ""]), small()).prop_map(|(protocols, port)| {
        // Without a protocol it is TCP, which must not be there twice.
        let twice = protocols.contains(&"TCP") && protocols.contains(&"");
        let used = protocols
            .into_iter()
            .filter(|protocol| !(twice && protocol.is_empty()));
        let item = |protocol: &str| {
            if protocol.is_empty() {
                json!({"port": port})
            } else {
                json!({"port": port, "protocol": protocol})
            }
        };
        used.map(item).collect()
    });
    let list = proptest::collection::vec(small(), 0..3).prop_map(|list| json!(list));
    let map = || {
        (subset(&["p", "q"]), small()).prop_map(|(names, value)| {
            Value::Object(
                names
                    .into_iter()
                    .map(|name| (name.to_owned(), json!(value)))
                    .collect(),
            )
        })
    };
    let nested = prop_oneof![
        Just(json!({})),
        small().prop_map(|a| json!({"a": a})),
        Just(json!({"b": {}})),
        Just(json!({"b": {"c": "d"}}))
    ];
    let free = prop_oneof![
        small().prop_map(|a| json!({"a": a})),
        Just(json!({"b": {"c": [1], "d": {}}})),
        Just(json!({"a": {"x": 1}}))
    ];
    let any_value = prop_oneof![
        small().prop_map(|a| json!(a)),
        Just(json!("s")),
        Just(json!({"m": 1})),
        Just(json!([1, 2]))
    ];
    let port = prop_oneof![small().prop_map(|a| json!(a)), Just(json!("http"))];
    let fields: Vec<(&'static str, proptest::strategy::BoxedStrategy<Value>)> = vec![
        ("tags", tags.boxed()),
        ("parts", parts.boxed()),
        ("ports", ports.boxed()),
        ("list", list.boxed()),
        ("whole", map().boxed()),
        ("each", map().boxed()),
        ("nested", nested.boxed()),
        ("free", free.boxed()),
        ("any", any_value.boxed()),
        ("port", port.boxed()),
    ];
    let optional = fields.into_iter().map(|(name, value)| {
        proptest::option::weighted(0.4, value).prop_map(move |value| (name.to_owned(), value))
    });
    optional.collect::<Vec<_>>().prop_map(|fields| {
        Value::Object(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
        )
    })
}
