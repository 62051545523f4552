use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use kubefed_api::{ClusterName, OverrideOperation, Overrides};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::strategies;

fn object() -> Value {
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"namespace": "shop", "name": "web", "resourceVersion": "7", "labels": {}},
        "spec": {"list": [1, 2, 3], "null": null, "a/b": {"m~n": 1}},
    })
}

fn overrides(list: Value) -> Vec<Override> {
    let list = Overrides::parse(&json!([{"clusterName": "c", "clusterOverrides": list}]));
    list.of(&ClusterName::from("c")).unwrap().unwrap().to_vec()
}

fn replace(path: &str, value: Value) -> Override {
    Override {
        operation: OverrideOperation::Replace,
        path: path.to_owned(),
        value: Some(value),
    }
}

/// Applies a list to [`object`] and compares the `spec`, or the error without its first words.
#[track_caller]
fn check(list: Value, expected: Result<Value, &str>) {
    let outcome = apply_overrides(object(), &overrides(list.clone()));
    match (outcome, expected) {
        (Ok(object), Ok(spec)) => assert_eq!(object["spec"], spec, "{list}"),
        (Err(error), Err(message)) => {
            assert!(error.is_overrides());
            let text = error.to_string();
            let found = text.strip_prefix("cannot apply the overrides: ").unwrap();
            assert_eq!(found, message, "{list}");
        }
        (outcome, _) => panic!("{list}: {outcome:?}"),
    }
}

#[test]
fn errors_name_the_operation_the_path_and_the_reason() {
    let cases = [
        (
            json!({"path": "/spec/x/y"}),
            "replace \"/spec/x/y\": \"/spec/x\" does not exist",
        ),
        (
            json!({"path": "/spec/null/y"}),
            "replace \"/spec/null/y\": \"/spec/null\" does not exist",
        ),
        (
            json!({"op": "remove", "path": "/spec/x"}),
            "remove \"/spec/x\": \"/spec/x\" does not exist",
        ),
        (
            json!({"path": "/kind/x"}),
            "replace \"/kind/x\": \"/kind\" is neither object nor list",
        ),
        (
            json!({"path": "/spec/list/3"}),
            "replace \"/spec/list/3\": index 3 is out of range, the list has 3 elements",
        ),
        (
            json!({"op": "add", "path": "/spec/list/-5"}),
            "add \"/spec/list/-5\": index -5 is out of range, the list has 3 elements",
        ),
        (
            json!({"op": "remove", "path": "/spec/list/-"}),
            "remove \"/spec/list/-\": \"-\" is no index of a list",
        ),
        (
            json!({"path": "spec"}),
            "replace \"spec\": a path begins with /",
        ),
        (
            json!({"op": "add", "path": ""}),
            "add \"\": the whole object can only be replaced",
        ),
        (
            json!({"value": 5}),
            "replace \"\": the whole object can only be replaced by an object",
        ),
        (
            json!({}),
            "replace \"\": the whole object can only be replaced by an object",
        ),
    ];
    for (item, message) in cases {
        let message = format!("clusterOverrides[0]: {message}");
        check(json!([item]), Err(&message));
    }
}

#[test]
fn operations_see_what_earlier_ones_did() {
    check(
        json!([
            {"path": "/spec/new", "value": {}},
            {"op": "add", "path": "/spec/new/list", "value": [2]},
            {"op": "add", "path": "/spec/new/list/0", "value": 1},
            {"op": "add", "path": "/spec/new/list/-", "value": 3},
            {"op": "remove", "path": "/spec/list"},
            {"op": "remove", "path": "/spec/a~1b/m~0n"},
        ]),
        Ok(json!({"new": {"list": [1, 2, 3]}, "null": null, "a/b": {}})),
    );
}

#[test]
fn identity_owners_and_status_cannot_be_changed() {
    let changes = [
        (
            "x/kind",
            json!("Other"),
            "kind: no override may change this",
        ),
        (
            "/apiVersion",
            json!("other.com/v1"),
            "apiVersion: no override may change the group",
        ),
        (
            "/apiVersion",
            json!("a/b/c"),
            "apiVersion: \"a/b/c\" is no API version",
        ),
        (
            "x/metadata/name",
            json!("other"),
            "metadata.name: no override may change this",
        ),
        (
            "/metadata",
            json!({"name": "web"}),
            "metadata.namespace: no override may change this",
        ),
        (
            "/metadata",
            json!({"name": "web", "namespace": "shop", "ownerReferences": []}),
            "metadata.ownerReferences: no override may change this",
        ),
        ("", json!({}), "kind: the object has no kind"),
    ];
    for (path, value, message) in changes {
        check(json!([{"path": path, "value": value}]), Err(message));
    }
    let mut other = object();
    other["status"] = json!({});
    check(
        json!([{"path": "", "value": other}]),
        Err("status: no override may change this"),
    );
}

#[test]
fn another_version_of_the_group_is_allowed() {
    let list = overrides(json!([{"path": "/apiVersion", "value": "example.com/v2"}]));
    let changed = apply_overrides(object(), &list).unwrap();
    assert_eq!(changed["apiVersion"], "example.com/v2");
}

#[test]
fn what_the_server_owns_is_put_back() {
    let metadata = json!({"namespace": "shop", "name": "web", "uid": "x", "labels": {"a": "b"}});
    let list = overrides(json!([{"path": "/metadata", "value": metadata}]));
    let changed = apply_overrides(object(), &list).unwrap();
    assert_eq!(
        changed["metadata"],
        json!({"namespace": "shop", "name": "web", "resourceVersion": "7", "labels": {"a": "b"}})
    );
}

#[test]
fn limits_hold_for_overrides_made_by_hand() {
    let nested = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    let refused = |list: &[Override], message: &str| {
        let error = apply_overrides(object(), list).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    };
    let many = vec![replace("/spec/x", json!(1)); CLUSTER_OVERRIDES_MAX + 1];
    refused(&many, "1001 overrides, at most 1000 are allowed");
    // The object and `spec` are two levels.
    assert!(apply_overrides(object(), &[replace("/spec/x", nested(62))]).is_ok());
    let deep = "the object would be nested more than 64 levels deep";
    refused(&[replace("/spec/x", nested(63))], deep);
    // Levels cannot be added step by step either.
    let mut path = "/spec/x".to_owned();
    let mut stairs = vec![replace(&path, nested(30))];
    path.push_str(&"/0".repeat(29));
    path.push_str("/-");
    stairs.push(Override {
        operation: OverrideOperation::Add,
        path,
        value: Some(nested(40)),
    });
    refused(&stairs, deep);
    let large = "x".repeat(OBJECT_BYTES_MAX);
    refused(
        &[replace("/spec/x", json!(large))],
        "at most 1572864 can be stored",
    );
    let mut empty = object();
    empty["spec"]["x"] = json!("");
    let fits = "x".repeat(OBJECT_BYTES_MAX - empty.to_string().len());
    assert!(apply_overrides(object(), &[replace("/spec/x", json!(fits))]).is_ok());
    refused(
        &[replace("/spec/x", json!(fits + "x"))],
        "the object has 1572865 bytes, at most 1572864 can be stored",
    );
}

#[test]
fn an_object_that_is_too_deep_itself_is_an_error() {
    let mut object = object();
    object["spec"] = (1..100).fold(json!({}), |inner, _| json!({"x": inner}));
    let error = apply_overrides(object, &[]).unwrap_err();
    assert_eq!(
        error.message(),
        "the object is nested more than 64 levels deep"
    );
}

#[test]
fn labels_that_an_override_spoiled_are_an_error_of_the_overrides() {
    let list = overrides(json!([{"path": "/metadata/labels/a", "value": 5}]));
    let mut changed = apply_overrides(object(), &list).unwrap();
    let error = crate::set_managed_label(&mut changed).unwrap_err();
    assert!(error.is_overrides());
    assert_eq!(error.path(), "metadata.labels[a]");
}

/// What must never change, read without the code under test.
fn protected(object: &Value) -> Value {
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let metadata = &object["metadata"];
    json!({
        "group": group.rsplit_once('/').map_or("", |(group, _)| group),
        "kind": object["kind"],
        "status": object.get("status"),
        "identity": [metadata["namespace"], metadata["name"]],
        "owners": metadata.get("ownerReferences"),
        "server": [metadata.get("uid"), metadata.get("resourceVersion"), metadata.get("generation")],
    })
}

proptest! {
    #[test]
    fn overrides_never_panic_and_keep_identity(
        spec in strategies::json(),
        list in prop::collection::vec(strategies::cluster_override(), 0..6),
    ) {
        let mut object = object();
        object["spec"] = spec;
        let before = protected(&object);
        if let Ok(changed) = apply_overrides(object, &list) {
            prop_assert_eq!(protected(&changed), before);
        }
    }

    #[test]
    fn anything_may_be_given_as_object_and_overrides(
        object in strategies::json(),
        list in strategies::json(),
    ) {
        let all = json!([{"clusterName": "c", "clusterOverrides": list}]);
        if let Ok(Some(list)) = Overrides::parse(&all).of(&ClusterName::from("c")) {
            let _ = apply_overrides(object, list);
        }
    }

    /// Where a path is plain RFC 6901 and leads to something, json-patch itself is the oracle.
    #[test]
    fn plain_operations_are_those_of_rfc_6902(
        mut spec in strategies::json(),
        value in strategies::json(),
        choice in any::<prop::sample::Index>(),
        operation in strategies::operation(),
    ) {
        limits::settle(&mut spec).unwrap();
        let mut object = object();
        object["spec"] = spec;
        let paths = strategies::pointers(&object["spec"], "/spec");
        let path = choice.get(&paths).clone();
        let item = Override { operation, path: path.clone(), value: Some(value.clone()) };
        let ours = apply_overrides(object.clone(), std::slice::from_ref(&item));
        // Values of overrides are read as doubles.
        let value: Value = serde_json::from_str(&crate::canonical_json_of_doubles(&value)).unwrap();
        let path = PointerBuf::parse(path).unwrap();
        let operation = match operation {
            OverrideOperation::Add => PatchOperation::Add(AddOperation { path, value }),
            OverrideOperation::Remove => PatchOperation::Remove(RemoveOperation { path }),
            OverrideOperation::Replace => PatchOperation::Replace(ReplaceOperation { path, value }),
        };
        let theirs = json_patch::patch(&mut object, &[operation]).map(|()| {
            limits::settle(&mut object).unwrap();
            object
        });
        // As texts, since the same number may be held in two ways.
        let text = |object: Value| crate::canonical_json(&object);
        prop_assert_eq!(ours.ok().map(text), theirs.ok().map(text));
    }
}
