//! Sections 8 to 11: which object is written, and when.

use kubefed_api::ClusterName;
use kubefed_propagation::{Federation, OverrideDigests, Record};
use serde_json::{Value, json};

use crate::case::{Situation, check, written};

fn overridden(overrides: Value) -> Value {
    json!({"federated": {"spec": {"overrides": overrides}}})
}

fn of_east(list: Value) -> Value {
    overridden(json!([{"clusterName": "east", "clusterOverrides": list}]))
}

#[test]
fn section_8_the_object_of_a_template() {
    let template = json!({
        "apiVersion": "apps/v2", "kind": "Nonsense", "status": {"replicas": 1},
        "metadata": {
            "name": "x", "namespace": "y", "labels": {"app": "web", "kubefed.io/managed": "no"},
            "annotations": {"a": "b"}, "finalizers": ["f"], "uid": "u", "resourceVersion": "9",
            "ownerReferences": [{"name": "o"}],
        },
        "spec": {"replicas": 2},
    });
    let case = json!({"federated": {"spec": {"template": template}, "metadata": {"labels": {"mine": "x"}}}});
    let expected = json!({
        "apiVersion": "apps/v2", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web", "kubefed.io/managed": "true"}},
        "spec": {"replicas": 2},
    });
    assert_eq!(written(&case), Ok(expected), "8, S32");
    let federation = Situation(&case).federation();
    let reasons: Vec<_> = federation
        .rendered()
        .unwrap()
        .warnings
        .iter()
        .map(|w| w.reason())
        .collect();
    assert_eq!(
        reasons,
        ["AnnotationsNotSupported", "FinalizersNotSupported"],
        "8.2, S28"
    );

    let refused = |section: &str, template: Value, message: &str| {
        let mut case = json!({"federated": {"spec": {"template": null}}});
        case["federated"]["spec"]["template"] = template;
        let message =
            format!("refused: ComputeResourceFailed: cannot render the template: {message}");
        assert_eq!(written(&case), Err(message), "{section}");
    };
    refused(
        "8.1",
        json!(5),
        "spec.template: expected an object, found a number",
    );
    refused(
        "S33",
        json!({"metadata": {"labels": {"a": 5}}}),
        "spec.template.metadata.labels[a]: expected a string, found a number",
    );
    refused(
        "S33",
        json!({"metadata": {"annotations": 5}}),
        "spec.template.metadata.annotations: expected a map of strings, found a number",
    );
    refused(
        "S33",
        json!({"metadata": 5}),
        "spec.template.metadata: expected an object, found a number",
    );
    refused(
        "INV-S9",
        json!({"apiVersion": "batch/v1"}),
        "spec.template.apiVersion: \"batch/v1\" is not of the group of apps/v1 Deployment",
    );
}

#[test]
fn section_9_1_bad_overrides_fail_in_their_own_cluster() {
    let row = |section: &str, overrides: Value, message: &str| {
        let case = overridden(overrides.clone());
        let message =
            format!("refused: ApplyOverridesFailed: Error reading cluster overrides: {message}");
        assert_eq!(written(&case), Err(message), "{section}");
        let west = overrides.to_string().replace("east", "west");
        let case = overridden(serde_json::from_str(&west).unwrap());
        assert!(
            written(&case).is_ok(),
            "S18: {section} is no concern of the others"
        );
    };
    let list = |list: Value| json!([{"clusterName": "east", "clusterOverrides": list}]);
    row(
        "9.1",
        json!([{"clusterName": "east"}, {"clusterName": "east"}]),
        "cluster \"east\" appears more than once",
    );
    for path in [
        "/metadata/namespace",
        "/metadata/name",
        "/metadata/generateName",
        "/kind",
    ] {
        row(
            "9.1",
            list(json!([{"path": path, "value": "x"}])),
            &format!("override[0] for cluster \"east\" has an invalid path: {path}"),
        );
    }
    row(
        "9.1",
        list(json!([{"path": "/a"}, {"path": "/a"}])),
        "path \"/a\" appears more than once for cluster \"east\"",
    );
    row("9.1", list(json!(5)), "expected a list, found a number");
    row(
        "9.1",
        list(json!([{"op": 5, "path": "/a"}])),
        "expected a string, found a number",
    );
    row(
        "9.1",
        list(json!([{"op": "move", "path": "/a"}])),
        "unknown operation \"move\", expected add, remove or replace",
    );
}

/// Each row on `{"list": [1, 2, 3], "map": {"a/b": 1, "m~n": 2}, "none": null}` in `spec`.
#[test]
fn section_9_2_how_overrides_apply() {
    let apply = |item: Value| {
        let mut case = of_east(json!([item]));
        case["federated"]["spec"]["template"] =
            json!({"spec": {"list": [1, 2, 3], "map": {"a/b": 1, "m~n": 2}, "none": {}}});
        case["nulls"] = json!(["/spec/template/spec/none"]);
        written(&case).map(|object| object["spec"].clone())
    };
    let sets = |section: &str, item: Value, pointer: &str, value: Value| {
        let spec = apply(item.clone()).unwrap_or_else(|error| panic!("{section} {item}: {error}"));
        assert_eq!(
            spec.pointer(pointer).cloned().unwrap_or_default(),
            value,
            "{section} {item}"
        );
    };
    sets(
        "missing member",
        json!({"path": "/spec/new", "value": 1}),
        "/new",
        json!(1),
    );
    sets(
        "array index",
        json!({"path": "/spec/list/1", "value": 9}),
        "/list",
        json!([1, 9, 3]),
    );
    sets(
        "add to object",
        json!({"op": "add", "path": "/spec/map", "value": 1}),
        "/map",
        json!(1),
    );
    sets(
        "add before",
        json!({"op": "add", "path": "/spec/list/0", "value": 0}),
        "/list",
        json!([0, 1, 2, 3]),
    );
    sets(
        "append",
        json!({"op": "add", "path": "/spec/list/-", "value": 4}),
        "/list",
        json!([1, 2, 3, 4]),
    );
    sets(
        "append by length",
        json!({"op": "add", "path": "/spec/list/3", "value": 4}),
        "/list",
        json!([1, 2, 3, 4]),
    );
    sets(
        "negative add",
        json!({"op": "add", "path": "/spec/list/-1", "value": 4}),
        "/list",
        json!([1, 2, 3, 4]),
    );
    sets(
        "negative",
        json!({"path": "/spec/list/-1", "value": 9}),
        "/list",
        json!([1, 2, 9]),
    );
    sets(
        "01",
        json!({"path": "/spec/list/01", "value": 9}),
        "/list",
        json!([1, 9, 3]),
    );
    sets(
        "+1",
        json!({"path": "/spec/list/+1", "value": 9}),
        "/list",
        json!([1, 9, 3]),
    );
    sets(
        "no value",
        json!({"path": "/spec/map"}),
        "/map",
        Value::Null,
    );
    sets(
        "text before the first slash",
        json!({"path": "x/spec/new", "value": 1}),
        "/new",
        json!(1),
    );
    sets(
        "~1",
        json!({"op": "remove", "path": "/spec/map/a~1b"}),
        "/map",
        json!({"m~n": 2}),
    );
    sets(
        "~0",
        json!({"op": "remove", "path": "/spec/map/m~0n"}),
        "/map",
        json!({"a/b": 1}),
    );
    sets(
        "doubles",
        json!({"path": "/spec/new", "value": 9_007_199_254_740_993_u64}),
        "/new",
        json!(9_007_199_254_740_992_u64),
    );

    for (section, item) in [
        ("replace -", json!({"path": "/spec/list/-", "value": 1})),
        ("out of range", json!({"path": "/spec/list/3", "value": 1})),
        (
            "out of range",
            json!({"op": "add", "path": "/spec/list/4", "value": 1}),
        ),
        (
            "negative out of range",
            json!({"path": "/spec/list/-4", "value": 1}),
        ),
        (
            "remove missing",
            json!({"op": "remove", "path": "/spec/nothing"}),
        ),
        ("remove -", json!({"op": "remove", "path": "/spec/list/-"})),
        (
            "parent missing",
            json!({"path": "/spec/no/member", "value": 1}),
        ),
        (
            "parent null",
            json!({"path": "/spec/none/member", "value": 1}),
        ),
        (
            "no container",
            json!({"path": "/spec/list/0/x", "value": 1}),
        ),
        ("no slash", json!({"path": "spec", "value": 1})),
        (
            "root with add",
            json!({"op": "add", "path": "", "value": {}}),
        ),
        ("root with a scalar", json!({"path": "", "value": 5})),
        ("S18 root without a value", json!({"path": ""})),
        (
            "S18 another name",
            json!({"path": "/metadata", "value": {"name": "x", "namespace": "shop"}}),
        ),
        (
            "S18 another kind",
            json!({"path": "x/kind", "value": "Pod"}),
        ),
        (
            "S18 another group",
            json!({"path": "/apiVersion", "value": "batch/v1"}),
        ),
        (
            "S18 owners",
            json!({"path": "/metadata/ownerReferences", "value": []}),
        ),
        ("S18 status", json!({"path": "/status", "value": {}})),
    ] {
        let error = apply(item.clone()).expect_err(&format!("{section} {item}"));
        assert!(
            error.starts_with("refused: ApplyOverridesFailed: "),
            "{section}: {error}"
        );
    }
}

/// Observable check 4.
#[test]
fn section_9_2_the_managed_label_is_set_last() {
    let labels =
        json!([{"path": "/metadata/labels", "value": {"kubefed.io/managed": "false", "a": "b"}}]);
    let mut case = of_east(labels);
    case["federated"]["spec"]["template"] = json!({"metadata": null});
    let labels = written(&case).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"kubefed.io/managed": "true", "a": "b"}));
}

/// Observable check 3, for overrides that set what they find.
#[test]
fn overrides_applied_again_change_nothing() {
    let case = of_east(json!([
        {"path": "/spec/replicas", "value": 5}, {"op": "add", "path": "/metadata/labels/tier", "value": "front"},
        {"path": "/metadata/annotations", "value": {"a": "b"}},
    ]));
    let object = written(&case).unwrap();
    let federation = Situation(&case).federation();
    let east = federation
        .object()
        .overrides()
        .of(&"east".into())
        .unwrap()
        .unwrap();
    assert_eq!(
        kubefed_propagation::apply_overrides(object.clone(), east),
        Ok(object)
    );
}

/// The object of an update, from a member's copy that differs by `copy` and a federated object that
/// differs by `federated`.
fn updated(kind: &str, federated: Value, copy: Value) -> Result<Value, String> {
    let mut federated = federated;
    federated["spec"]["template"]["metadata"] = json!({"labels": {"changed": "yes"}});
    let kind = if kind == "Deployment" {
        Value::Null
    } else {
        kind.into()
    };
    written(&json!({"kind": kind, "federated": federated, "sees": {"managed": copy}}))
}

/// Observable checks 25 to 27.
#[test]
fn section_10_what_an_update_keeps() {
    let kept = json!({"metadata": {
        "finalizers": ["f"], "annotations": {"a": "b"}, "ownerReferences": [{"name": "o"}],
        "labels": {"theirs": "x"},
    }, "spec": {"replicas": 9}});
    let object = updated("Deployment", json!({}), kept).unwrap();
    assert_eq!(
        object["metadata"],
        json!({
            "namespace": "shop", "name": "web", "resourceVersion": "7", "finalizers": ["f"],
            "annotations": {"a": "b"}, "ownerReferences": [{"name": "o"}],
            "labels": {"app": "web", "changed": "yes", "kubefed.io/managed": "true"},
        }),
        "10, all; INV-S7"
    );
    assert_eq!(object["spec"]["replicas"], 2, "10, 25: not retained");
    let retain = json!({"spec": {"retainReplicas": true}});
    let object = updated(
        "Deployment",
        retain.clone(),
        json!({"spec": {"replicas": 9}}),
    )
    .unwrap();
    assert_eq!(object["spec"]["replicas"], 9, "10, 25: retained");

    let service_replicas = updated("Service", retain.clone(), json!({"spec": {"replicas": 9}}));
    assert_eq!(
        service_replicas.unwrap()["spec"]["replicas"],
        2,
        "10: not of a Service; api 24.17"
    );

    let service = |template: Value, copy: Value| {
        updated(
            "Service",
            json!({"spec": {"template": {"spec": template}}}),
            json!({"spec": copy}),
        )
        .map(|object| object["spec"].clone())
    };
    let field = |name: &str, value: Value| {
        service(json!({}), json!({name: value})).map(|spec| spec[name].clone())
    };
    assert_eq!(
        field("clusterIP", json!("10.0.0.1")),
        Ok(json!("10.0.0.1")),
        "10, 27"
    );
    assert_eq!(
        field("clusterIPs", json!(["10.0.0.1"])),
        Ok(json!(["10.0.0.1"])),
        "10, 27"
    );
    assert_eq!(
        field("healthCheckNodePort", json!(1000)),
        Ok(json!(1000)),
        "10, 26"
    );
    assert_eq!(
        field("healthCheckNodePort", json!(0)),
        Ok(Value::Null),
        "10, 26: 0 is not copied"
    );
    for (name, bad) in [
        ("clusterIP", json!(5)),
        ("clusterIPs", json!([5])),
        ("healthCheckNodePort", json!("x")),
    ] {
        let error = field(name, bad).unwrap_err();
        assert!(
            error.starts_with(
                "refused: FieldRetentionFailed: cannot keep the fields of the member cluster: "
            ),
            "{error}"
        );
    }
    let ports = service(
        json!({"ports": [{"port": 80}]}),
        json!({"ports": [{"port": 80, "protocol": "TCP", "nodePort": 31000}]}),
    );
    assert_eq!(
        ports.unwrap()["ports"],
        json!([{"port": 80, "nodePort": 31000}]),
        "10, S20: a missing protocol is TCP"
    );

    let secrets = json!({"secrets": [{"name": "token-1"}]});
    assert_eq!(
        updated("ServiceAccount", json!({}), secrets.clone()).unwrap()["secrets"],
        secrets["secrets"],
        "10"
    );
    let own = json!({"spec": {"template": {"secrets": [{"name": "own"}]}}});
    assert_eq!(
        updated("ServiceAccount", own, secrets).unwrap()["secrets"],
        json!([{"name": "own"}]),
        "10"
    );

    let mut again = retain;
    again["spec"]["overrides"] = json!([{"clusterName": "east", "clusterOverrides": [
        {"path": "/spec/replicas", "value": 4}, {"path": "/metadata/annotations", "value": {"c": "d"}},
    ]}]);
    let object = updated(
        "Deployment",
        again,
        json!({"spec": {"replicas": 9}, "metadata": {"annotations": {"a": "b"}}}),
    )
    .unwrap();
    assert_eq!(
        (
            &object["spec"]["replicas"],
            &object["metadata"]["annotations"]
        ),
        (&json!(4), &json!({"c": "d"})),
        "10: overrides run afterwards"
    );
}

/// Observable check 29.
#[test]
fn section_11_3_when_a_copy_is_replaced() {
    const WHY: &str = "(named in spec.placement.clusters)";
    let row =
        |section: &str, kind: Value, recorded: Value, copy: Value, slim: bool, expected: &str| {
            let sees = json!({"managed": copy, "slim": slim});
            check(
                section,
                json!({"kind": kind, "recorded": recorded, "sees": sees}),
                &expected.replace("WHY", WHY),
            );
        };
    let gen1 = || json!("gen:1");
    let cm = || json!("ConfigMap");
    let other_spec = || json!({"spec": {"replicas": 9}});
    row(
        "recorded",
        Value::Null,
        gen1(),
        json!({}),
        true,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "recorded; only metadata is compared",
        Value::Null,
        gen1(),
        other_spec(),
        false,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "nothing recorded",
        Value::Null,
        Value::Null,
        other_spec(),
        false,
        "update: template or overrides changed since the last write WHY",
    );
    row(
        "nothing recorded, slim",
        Value::Null,
        Value::Null,
        other_spec(),
        true,
        "read the object WHY",
    );
    row(
        "another generation",
        Value::Null,
        json!("gen:2"),
        other_spec(),
        false,
        "update: the copy was changed by somebody else since gen:2 WHY",
    );
    row(
        "another generation, slim",
        Value::Null,
        json!("gen:2"),
        json!({}),
        true,
        "read the object WHY",
    );
    row(
        "S16 another generation, same content",
        Value::Null,
        json!("gen:2"),
        json!({}),
        false,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "gen: another label",
        Value::Null,
        gen1(),
        json!({"metadata": {"labels": {"app": "x"}}}),
        false,
        "update: labels or annotations differ WHY",
    );
    row(
        "gen: another label, slim",
        Value::Null,
        gen1(),
        json!({"metadata": {"labels": {"app": "x"}}}),
        true,
        "read the object WHY",
    );
    row(
        "gen: annotations are the member's own",
        Value::Null,
        gen1(),
        json!({"metadata": {"annotations": {"a": "b"}}}),
        true,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "29: uid and resource version are ignored",
        Value::Null,
        gen1(),
        json!({"metadata": {"uid": "u9", "resourceVersion": "99"}}),
        true,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "gen: status changes only",
        Value::Null,
        gen1(),
        json!({"status": {"replicas": 1}, "metadata": {"resourceVersion": "8"}}),
        true,
        "up to date at gen:1 WHY; OK",
    );
    row(
        "rv: recorded",
        cm(),
        json!("rv:7"),
        json!({}),
        true,
        "up to date at rv:7 WHY; OK",
    );
    row(
        "rv: no metadata comparison",
        cm(),
        json!("rv:7"),
        json!({"metadata": {"labels": {"app": "x"}}}),
        false,
        "up to date at rv:7 WHY; OK",
    );
    row(
        "rv: any foreign change",
        cm(),
        json!("rv:6"),
        other_spec(),
        false,
        "update: the copy was changed by somebody else since rv:6 WHY",
    );
    row(
        "S16 rv: a foreign change that changes nothing of ours",
        cm(),
        json!("rv:6"),
        json!({"metadata": {"annotations": {"a": "b"}, "ownerReferences": [{"name": "o"}]}}),
        false,
        "up to date at rv:7 WHY; OK",
    );

    let slim = |overrides: Value, tier: Option<&str>| {
        let mut case = of_east(overrides);
        case["sees"] = json!({"managed": {"metadata": {"labels": {"app": "web", "tier": tier}}}, "slim": true});
        case["recorded"] = gen1();
        Situation(&case).decide().action.name()
    };
    let tier = |path: &str, value: Value| json!([{"path": path, "value": value}]);
    assert_eq!(
        slim(tier("/metadata/labels/tier", json!("front")), Some("front")),
        "upToDate",
        "labels of overrides count"
    );
    assert_eq!(
        slim(tier("/metadata/labels/tier", json!("back")), Some("front")),
        "fetchBody"
    );
    assert_eq!(slim(tier("/spec/replicas", json!(2)), None), "upToDate");
    for path in [
        "/metadata/annotations/a",
        "x/metadata/annotations",
        "/metadata",
        "",
    ] {
        assert_eq!(
            slim(tier(path, json!({})), None),
            "fetchBody",
            "annotations may differ: {path:?}"
        );
    }
    assert_eq!(
        slim(json!([{"path": "/kind"}]), None),
        "refuse",
        "nothing is read for an update that cannot be"
    );
}

/// Observable check 24, and that the record falls with either hash.
#[test]
fn s19_an_edit_of_one_clusters_overrides_leaves_the_records_of_the_others() {
    let replicas = |cluster: &str, replicas: i64| {
        json!({"clusterName": cluster, "clusterOverrides": [
            {"path": "/spec/replicas", "value": replicas},
        ]})
    };
    let versions = |cluster: &str| (ClusterName::from(cluster), "gen:1".parse().unwrap());
    let selected = ["east".into(), "west".into()].into();
    let produced = [versions("east"), versions("west")].into();
    let before = Situation(&overridden(json!([
        replicas("east", 2),
        replicas("west", 3)
    ])));
    let before = before.federation();
    let hashes = before.hashes().unwrap();
    let stored = kubefed_propagation::next_versions(None, hashes, &selected, &produced).unwrap();
    let then = OverrideDigests::of(before.object());
    let recorded = |case: Value| {
        let federation = Situation(&case).federation();
        let now = OverrideDigests::of(federation.object());
        let hashes = federation.hashes().unwrap();
        let record = Record::read_by_cluster(&stored, hashes, &then, &now);
        let known = ["east", "west"].map(|cluster| record.version(&cluster.into()).is_some());
        (known, record.template_changed())
    };
    let (east, west) = (replicas("east", 2), replicas("west", 4));
    let overridden_by = |entries: Value| recorded(overridden(entries));
    assert_eq!(
        overridden_by(json!([east, replicas("west", 3)])),
        ([true, true], false)
    );
    assert_eq!(overridden_by(json!([east, west])), ([true, false], false));
    assert_eq!(overridden_by(json!([west, east])), ([true, false], false));
    assert_eq!(overridden_by(json!([east])), ([true, false], false));
    assert_eq!(
        overridden_by(json!([east, east, replicas("west", 3)])),
        ([false, true], false)
    );
    assert_eq!(overridden_by(json!(5)), ([false, false], false));
    let template = json!({"federated": {"spec": {
        "template": {"spec": {"replicas": 9}},
        "overrides": [east, replicas("west", 3)],
    }}});
    assert_eq!(recorded(template), ([false, false], true));
}

#[test]
fn section_11_2_hashes_are_of_template_and_all_overrides() {
    let versions = |federation: &Federation| {
        let produced = [("east".into(), "gen:1".parse().unwrap())].into();
        let hashes = federation.hashes().unwrap();
        kubefed_propagation::next_versions(None, hashes, &["east".into()].into(), &produced)
            .unwrap()
    };
    let stored = versions(&Situation(&json!({})).federation());
    let recorded = |case: Value| {
        let federation = Situation(&case).federation();
        Record::read(&stored, federation.hashes().unwrap())
            .version(&"east".into())
            .is_some()
    };
    assert!(recorded(named_elsewhere()), "placement is not hashed");
    assert!(!recorded(
        json!({"federated": {"spec": {"template": {"spec": {"replicas": 3}}}}})
    ));
    assert!(
        !recorded(overridden(json!([{"clusterName": "west"}]))),
        "the overrides of any cluster"
    );
    let malformed = overridden(json!([{"clusterName": "west", "clusterOverrides": 5}]));
    assert!(!recorded(malformed.clone()));
    let stored = versions(&Situation(&malformed).federation());
    let hashes = Situation(&malformed).federation();
    let again = Record::read(&stored, hashes.hashes().unwrap());
    assert!(
        again.version(&"east".into()).is_some(),
        "S18: what is malformed for west costs east no record"
    );
    let other = Situation(&overridden(
        json!([{"clusterName": "west", "clusterOverrides": 6}]),
    ))
    .federation();
    let again = Record::read(&stored, other.hashes().unwrap());
    assert!(
        again.version(&"east".into()).is_none(),
        "but an edit of it counts as one"
    );
    let null = json!({"federated": {"spec": {"template": null}}});
    assert_eq!(
        Situation(&null)
            .federation()
            .hashes()
            .unwrap()
            .template
            .as_str(),
        "",
        "no template, no hash"
    );
}

fn named_elsewhere() -> Value {
    json!({"federated": {"spec": {"placement": {"clusters": [{"name": "west"}]}}}})
}

/// A read would not change what is written where nothing of the member's is kept.
#[test]
fn a_bare_copy_of_another_template_is_written_without_a_read() {
    let decided = |kind: Option<&str>, federated: Value, metadata: Value, slim: bool| {
        let mut case = json!({
            "federated": federated, "recorded": "another template",
            "sees": {"managed": {"metadata": metadata, "spec": {"replicas": 9}}, "slim": slim},
        });
        if let Some(kind) = kind {
            case["kind"] = kind.into();
        }
        if kind == Some("Namespace") {
            case["host"] = "u1".into();
        }
        Situation(&case).decide()
    };
    let overrides = json!({"spec": {"overrides": [{"clusterName": "east", "clusterOverrides": [
        {"path": "/metadata/annotations", "op": "add", "value": {"a": "b"}},
        {"path": "/spec/replicas", "value": 4},
    ]}]}});
    for (kind, federated) in [
        (None, json!({})),
        (None, overrides),
        (
            Some("ConfigMap"),
            json!({"spec": {"retainReplicas": false}}),
        ),
    ] {
        let unread = decided(kind, federated.clone(), json!({}), true);
        let read = decided(kind, federated, json!({}), false);
        assert_eq!(unread, read, "{kind:?}");
        assert_eq!(unread.action.name(), "update", "{kind:?}");
    }
    for (why, kind, federated, metadata) in [
        (
            "annotations",
            None,
            json!({}),
            json!({"annotations": {"a": "b"}}),
        ),
        (
            "finalizers",
            None,
            json!({}),
            json!({"finalizers": ["a/b"]}),
        ),
        (
            "owners",
            None,
            json!({}),
            json!({"ownerReferences": [{"name": "a"}]}),
        ),
        (
            "replicas",
            None,
            json!({"spec": {"retainReplicas": true}}),
            json!({}),
        ),
        (
            "replicas of a wrong type",
            None,
            json!({"spec": {"retainReplicas": 1}}),
            json!({}),
        ),
        ("a cluster IP", Some("Service"), json!({}), json!({})),
        ("secrets", Some("ServiceAccount"), json!({}), json!({})),
        (
            "labels of the host's own",
            Some("Namespace"),
            json!({}),
            json!({}),
        ),
    ] {
        let decision = decided(kind, federated, metadata, true);
        assert_eq!(decision.action.name(), "fetchBody", "{why} would be kept");
    }
}
