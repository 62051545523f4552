//! What a plan says: which fields change, in which order, within which limits, and never a secret.

// Helpers of tests may fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;

use kubefed_propagation::kubefed_api::{FederatedObject, ResourceType};
use kubefed_propagation::{
    Federation, Member, Observation, Plan, PlanLimits, Record, plan, plan_with_secrets,
};
use serde_json::{Value, json};

fn federation(target: ResourceType, spec: Value) -> Federation {
    let object = json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec});
    Federation::new(target, FederatedObject::parse(object).unwrap())
}

fn deployment(spec: Value) -> Federation {
    federation(
        ResourceType::namespaced("apps", "v1", "Deployment", "deployments"),
        spec,
    )
}

fn copy(content: Value) -> Observation {
    let mut object = json!({
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "7", "generation": 2,
            "labels": {"kubefed.io/managed": "true"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "m"}],
        },
        "status": {"replicas": 1},
    });
    json_patch::merge(&mut object, &content);
    Observation::of_body(Arc::new(object))
}

fn changes(plan: &Plan) -> Vec<String> {
    plan.clusters()
        .iter()
        .flat_map(|cluster| &cluster.changes)
        .map(ToString::to_string)
        .collect()
}

/// What changes from `before` to `after`, both merged into the content of a Deployment.
#[track_caller]
fn check(before: Value, after: Value, expected: &[&str]) {
    let spec = json!({"template": after, "placement": {"clusterSelector": {}}});
    let object = copy(json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
    let Observation::Managed(plain) = object else {
        panic!("a copy is managed")
    };
    let mut body = Value::clone(plain.body().unwrap());
    json_patch::merge(&mut body, &before);
    let observed = Observation::of_body(Arc::new(body));
    let plan = plan(
        &deployment(spec),
        [(&Member::new("east"), &observed)],
        &Record::empty(),
    );
    assert_eq!(changes(&plan), expected);
}

#[test]
fn an_update_lists_every_field_that_changes() {
    check(
        json!({"spec": {"replicas": 2}}),
        json!({"spec": {"replicas": 3}}),
        &["~ /spec/replicas: 2 -> 3"],
    );
    check(
        json!({"spec": {"a": 1, "b": 1}}),
        json!({"spec": {"b": 1, "c": {"d": 2}}}),
        &["- /spec/a: 1", "+ /spec/c: {\"d\":2}"],
    );
    check(
        json!({"spec": {"l": [1, 2, 3]}}),
        json!({"spec": {"l": [1, 5]}}),
        &["~ /spec/l/1: 2 -> 5", "- /spec/l/2: 3"],
    );
    check(
        json!({"spec": {"a/b": {"m~n": 1}}}),
        json!({"spec": {"a/b": {"m~n": 2}}}),
        &["~ /spec/a~1b/m~0n: 1 -> 2"],
    );
    check(
        json!({"spec": {"a": {"b": 1}}}),
        json!({"spec": {"a": [1]}}),
        &["~ /spec/a: {\"b\":1} -> [1]"],
    );
    check(
        json!({"metadata": {"labels": {"old": "x"}}}),
        json!({"metadata": {"labels": {"new": "y"}}}),
        &[
            "+ /metadata/labels/new: \"y\"",
            "- /metadata/labels/old: \"x\"",
        ],
    );
    // What the server owns, what the member owns and the status are nobody's change.
    check(
        json!({"metadata": {"annotations": {"a": "b"}, "finalizers": ["f"]}}),
        json!({}),
        &[],
    );
}

const CANARIES: [&str; 8] = [
    "canary-template",
    "canary-string",
    "canary-override",
    "canary-label-free",
    "canary-member",
    "canary-applied",
    "canary-of-another-tool",
    "canary-odd",
];

/// A Secret with a canary wherever a value may be, created in one cluster and updated in another.
fn secret(render: impl Fn(&Federation, &[(&Member, &Observation)]) -> Plan) -> Plan {
    let spec = json!({
        "template": {
            "type": "Opaque", "data": {"a": "canary-template"}, "stringData": {"b": "canary-string"},
            "odd": ["canary-odd"],
        },
        "placement": {"clusterSelector": {}},
        "overrides": [
            {"clusterName": "east", "clusterOverrides": [
                {"path": "/data/a", "value": "canary-override"},
                {"path": "/metadata/annotations", "value": {"any.example.com/copy": "canary-of-another-tool"}},
            ]},
            {"clusterName": "west", "clusterOverrides": [
                {"path": "/data/c", "value": "canary-override"}, {"path": "/data", "value": "canary-odd"},
            ]},
        ],
    });
    let federation = federation(
        ResourceType::namespaced("", "v1", "Secret", "secrets"),
        spec,
    );
    let present = copy(json!({
        "apiVersion": "v1", "kind": "Secret", "data": {"a": "canary-member", "z": "canary-member"},
        "metadata": {"annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "canary-applied",
            "kapp.k14s.io/original": "canary-of-another-tool",
        }},
    }));
    let (north, east, west) = (
        Member::new("north"),
        Member::new("east"),
        Member::new("west"),
    );
    let empty = Observation::NotManaged;
    render(
        &federation,
        &[(&north, &empty), (&east, &present), (&west, &present)],
    )
}

/// INV-K1.
#[test]
fn no_value_of_a_secret_is_in_a_plan() {
    let plan =
        secret(|federation, clusters| plan(federation, clusters.iter().copied(), &Record::empty()));
    assert_eq!(
        plan.clusters()
            .iter()
            .filter(|cluster| !cluster.changes.is_empty())
            .count(),
        2
    );
    for text in [
        plan.to_string(),
        plan.to_json().to_string(),
        format!("{plan:?}"),
        format!("{plan:#?}"),
    ] {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
    // What changes is still to be seen.
    let east = &plan.clusters()[1];
    let paths: Vec<_> = east
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert!(
        paths.contains(&"/data/a") && paths.contains(&"/data/z"),
        "{paths:?}"
    );
    assert_eq!(
        plan.clusters()[0].decision.action.object().unwrap()["data"],
        json!({"a": "<redacted>"})
    );
    assert_eq!(
        plan.clusters()[0].decision.action.object().unwrap()["type"],
        "Opaque"
    );

    let open = secret(|federation, clusters| {
        plan_with_secrets(federation, clusters.iter().copied(), &Record::empty())
    });
    assert!(
        open.to_string()
            .contains("~ /data/a: \"canary-member\" -> \"canary-override\""),
        "{open}"
    );
}

#[test]
fn other_kinds_are_shown_as_they_are() {
    let config_map = federation(
        ResourceType::namespaced("", "v1", "ConfigMap", "configmaps"),
        json!({"template": {"data": {"a": "shown"}}, "placement": {"clusterSelector": {}}}),
    );
    let plan = plan(
        &config_map,
        [(&Member::new("east"), &Observation::NotManaged)],
        &Record::empty(),
    );
    assert_eq!(
        plan.clusters()[0].decision.action.object().unwrap()["data"],
        json!({"a": "shown"})
    );
}

#[test]
fn limits_name_what_they_stop() {
    let nowhere = deployment(json!({"placement": {"clusters": [{"name": "north"}]}}));
    let present = copy(json!({}));
    let names = ["north", "east", "west"].map(Member::new);
    let clusters = [&Observation::NotManaged, &present, &present];
    let plan = plan(&nowhere, names.iter().zip(clusters), &Record::empty());
    let check = |limits: PlanLimits| plan.check(&limits).err().unwrap_or_default();
    assert_eq!(check(PlanLimits::new()), "");
    assert_eq!(check(PlanLimits::new().deletions_max(2).writes_max(3)), "");
    assert_eq!(
        check(PlanLimits::new().deletions_max(1)),
        "Deployment shop/web: would delete from 2 clusters, at most 1 are allowed: east, west"
    );
    assert_eq!(
        check(PlanLimits::new().writes_max(2)),
        "Deployment shop/web: would write to 3 clusters, at most 2 are allowed: north, east, west"
    );
}

#[test]
fn clusters_keep_their_order_and_fields_are_sorted() {
    let spec = json!({
        "template": {"metadata": {"annotations": {"a": "b"}}, "spec": {"z": 1, "a": 2, "m": {"y": 1, "b": 2}}},
        "placement": {"clusters": [{"name": "west"}, {"name": "a-long-name"}]},
    });
    let present = copy(json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"m": {}}}));
    let members = ["west", "east", "a-long-name"].map(Member::new);
    let observations = [&present, &Observation::NotManaged, &Observation::NotManaged];
    let federation = deployment(spec);
    let plan = || {
        plan(
            &federation,
            members.iter().zip(observations),
            &Record::empty(),
        )
    };
    assert_eq!(plan().to_string(), "\
Deployment shop/web
  west         update: template or overrides changed since the last write (named in spec.placement.clusters)
                 + /spec/a: 2
                 + /spec/m/b: 2
                 + /spec/m/y: 1
                 + /spec/z: 1
  east         nothing (not named in spec.placement.clusters)
  a-long-name  create (named in spec.placement.clusters)
  warning: metadata.annotations of the template is not propagated, use an override to set it
");
    assert_eq!(plan().to_json(), plan().to_json());
    let json = plan().to_json();
    assert_eq!(
        json["clusters"][0]["changes"][0],
        json!({"path": "/spec/a", "after": 2})
    );
    assert_eq!(
        json["clusters"][1],
        json!({
            "cluster": "east", "action": "nothing", "text": "nothing",
            "reason": "not named in spec.placement.clusters",
        })
    );
}
