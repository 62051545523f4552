//! Sections 6.5, 7, 12.4, 14, 15 and 16: who gets a copy, and who loses it.

use kubefed_propagation::{Federation, Member, Selection, decide_orphan};
use serde_json::{Value, json};

use crate::case::{Situation, check};

fn named(names: &[&str]) -> Value {
    let clusters: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"spec": {"placement": {"clusters": clusters}}})
}

#[test]
fn section_6_5_what_is_done_in_each_state_of_a_cluster() {
    let elsewhere = || named(&["west"]);
    let down = json!({"down": true});
    check(
        "6.5 not ready, selected",
        json!({"member": down}),
        "wait: the cluster is not ready (named in spec.placement.clusters); ClusterNotReady",
    );
    check(
        "6.5 not ready, not selected",
        json!({"member": down, "federated": elsewhere()}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "S10 not ready, not selected, and may hold a copy",
        json!({"member": {"down": true, "held": true}, "federated": elsewhere()}),
        "wait: the cluster is not ready (not named in spec.placement.clusters); WaitingForRemoval",
    );
    check(
        "6.5 lookup error",
        json!({"sees": "unsynced"}),
        "wait: what the cluster holds is not known:  (named in spec.placement.clusters); CachedRetrievalFailed",
    );
    check(
        "6.5 lookup error, not selected",
        json!({"sees": "unsynced", "member": {"held": true}, "federated": elsewhere()}),
        "wait: what the cluster holds is not known:  (not named in spec.placement.clusters); CachedRetrievalFailed",
    );
    check(
        "S1 lookup error where nothing was ever written",
        json!({"sees": "unsynced", "federated": elsewhere()}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "6.5 not selected, absent",
        json!({"federated": elsewhere()}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "6.5 not selected, deleting",
        json!({"federated": elsewhere(), "sees": {"managed": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}}),
        "wait: the copy is being deleted (not named in spec.placement.clusters); WaitingForRemoval",
    );
    check(
        "6.5 not selected, present",
        json!({"federated": elsewhere(), "sees": {"managed": {}}}),
        "delete (not named in spec.placement.clusters)",
    );
    check(
        "6.5 selected, absent",
        json!({}),
        "create (named in spec.placement.clusters)",
    );
    check(
        "6.5 selected, present, unchanged",
        json!({"sees": {"managed": {}}, "recorded": "gen:1"}),
        "up to date at gen:1 (named in spec.placement.clusters); OK",
    );
    check(
        "6.5 selected, present, changed",
        json!({"sees": {"managed": {"spec": {"replicas": 9}, "metadata": {"generation": 2}}}, "recorded": "gen:1"}),
        "update: the copy was changed by somebody else since gen:1 (named in spec.placement.clusters)",
    );
    check(
        "6.5 selected, terminating",
        json!({"sees": {"managed": {"spec": {"replicas": 9}, "metadata": {"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}}}, "recorded": "gen:1"}),
        "update: the copy was changed by somebody else since gen:1 (named in spec.placement.clusters)",
    );
    check(
        "design 4: inside the inventory absence has to be proven",
        json!({"federated": elsewhere(), "member": {"held": true}}),
        "read the object, it may be there without its label (not named in spec.placement.clusters)",
    );
    check(
        "design 4: proven",
        json!({"federated": elsewhere(), "member": {"held": true}, "sees": "absent"}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "design 4: the proof failed",
        json!({"federated": elsewhere(), "member": {"held": true}, "sees": "read failed"}),
        "wait: the object could not be read:  (not named in spec.placement.clusters); RetrievalFailed",
    );
    check(
        "12.2 no client",
        json!({"sees": "no client"}),
        "wait: there is no client for the cluster:  (named in spec.placement.clusters); ClientRetrievalFailed",
    );
}

/// The clusters of `spec.placement` among east (region eu), north (no label) and west (region us).
fn selected(federation: &Federation) -> String {
    let labels = |text: &str| [("region".to_owned(), text.to_owned())].into();
    let members = [
        Member::new("east").labels(labels("eu")),
        Member::new("north").ready(false),
        Member::new("west").labels(labels("us")),
    ];
    let mut names = Vec::new();
    for member in &members {
        match federation.selects(member) {
            Selection::Yes(_) => names.push(member.name().as_str()),
            Selection::No(_) => {}
            Selection::Undetermined(why) => return why.to_string(),
        }
    }
    names.join(" ")
}

/// Observable checks 12, 15 and 19 to 23.
#[test]
fn section_7_which_clusters_are_selected() {
    let eu = json!({"matchLabels": {"region": "eu"}});
    let expression = |operator: &str, values: &[&str]| json!({"clusterSelector": {"matchExpressions": [{"key": "region", "operator": operator, "values": values}]}});
    let bad = "the placement cannot be read: spec.placement.clusterSelector";
    let rows: Vec<(&str, Value, Value, String)> = vec![
        ("7.1, 19: names", json!({"clusters": [{"name": "west"}], "clusterSelector": eu}), Value::Null, "west".into()),
        ("7.1: names beside a selector that makes no sense", json!({"clusters": [{"name": "west"}], "clusterSelector": {"matchExpressions": [{"key": "-", "operator": "?"}]}}), Value::Null, "west".into()),
        ("7.1, 21: empty list", json!({"clusters": [], "clusterSelector": eu}), Value::Null, "".into()),
        ("7.1, 20: neither", json!({}), Value::Null, "".into()),
        ("7.1, 22: empty selector", json!({"clusterSelector": {}}), Value::Null, "east north west".into()),
        ("7.1, 23: labels", json!({"clusterSelector": eu}), Value::Null, "east".into()),
        ("7.1: In", expression("In", &["eu", "us"]), Value::Null, "east west".into()),
        ("7.1: NotIn", expression("NotIn", &["eu"]), Value::Null, "north west".into()),
        ("7.1: Exists", expression("Exists", &[]), Value::Null, "east west".into()),
        ("7.1: DoesNotExist", expression("DoesNotExist", &[]), Value::Null, "north".into()),
        ("7.1: bad operator", expression("Gt", &["1"]), Value::Null, format!("{bad}.matchExpressions[0]: unknown operator \"Gt\", expected In, NotIn, Exists or DoesNotExist")),
        ("7.1: no values", expression("In", &[]), Value::Null, format!("{bad}.matchExpressions[0]: operator In needs at least one value")),
        ("7.1: values", expression("Exists", &["a"]), Value::Null, format!("{bad}.matchExpressions[0]: operator Exists takes no values")),
        ("7.1: wrong type beside a list", json!({"clusters": [], "clusterSelector": 5}), Value::Null, format!("{bad}: expected an object, found a number")),
        ("7.1: an entry without a name", json!({"clusters": [{}, {"name": "east"}]}), Value::Null, "east".into()),
        ("7.2: unknown names are dropped, unready clusters are not", json!({"clusters": [{"name": "mars"}, {"name": "north"}]}), Value::Null, "north".into()),
        ("7.3: present", json!({"clusterSelector": {}}), json!({"clusters": [{"name": "east"}]}), "east".into()),
        ("7.3, 12: absent", json!({"clusterSelector": {}}), json!("absent"), "".into()),
        ("7.1: a bad placement goes before a namespace that is not federated", json!({"clusterSelector": 5}), json!("absent"), format!("{bad}: expected an object, found a number")),
        ("design 4: unknown", json!({"clusterSelector": {}}), json!("not listed yet"), "it is not known whether the namespace is federated: not listed yet".into()),
        ("design 4: the namespace's own placement is bad", json!({"clusterSelector": {}}), json!({"clusters": 5}), "the placement of the federated namespace cannot be read: spec.placement.clusters: expected a list, found a number".into()),
    ];
    for (section, placement, namespace, expected) in rows {
        let mut case = json!({"namespace": namespace, "federated": {"spec": {"placement": null}}});
        case["federated"]["spec"]["placement"] = placement;
        // A merge patch merges into the default placement; an empty list stands for "no names".
        if case["federated"]["spec"]["placement"]
            .get("clusters")
            .is_none()
        {
            case["federated"]["spec"]["placement"]["clusters"] = Value::Null;
        }
        assert_eq!(
            selected(&Situation(&case).federation()),
            expected,
            "{section}"
        );
    }
    let limited = json!({"namespace": "absent", "scope": "limited"});
    assert_eq!(
        selected(&Situation(&limited).federation()),
        "east",
        "7.3: limited scope"
    );
    let own = json!({"kind": "Namespace", "namespace": "absent"});
    assert_eq!(
        selected(&Situation(&own).federation()),
        "east",
        "7.3: namespaces use their own only"
    );
}

#[test]
fn section_7_3_what_an_absent_namespace_or_a_bad_placement_does() {
    let present = json!({"managed": {}});
    check(
        "7.3 absent",
        json!({"namespace": "absent", "sees": present}),
        "delete (the namespace has no FederatedNamespace)",
    );
    check(
        "15: in limited scope the namespace's placement removes copies",
        json!({"namespace": {"clusters": []}, "scope": "limited", "sees": present}),
        "delete (the federated namespace does not select this cluster)",
    );
    check(
        "INV-S3 unknown",
        json!({"namespace": "not listed yet", "sees": present}),
        "wait: whether the cluster is selected is not known (it is not known whether the namespace is federated: not listed yet); not listed",
    );
    check(
        "INV-S3 bad selector",
        json!({"federated": {"spec": {"placement": {"clusters": 5}}}, "sees": present}),
        "wait: whether the cluster is selected is not known (the placement cannot be read: spec.placement.clusters: expected a list, found a number); not listed",
    );
}

fn deleting(annotations: Value) -> Value {
    json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations}})
}

#[test]
fn section_14_deletion() {
    const WHY: &str = "(the federated object is being deleted)";
    let row = |section: &str, case: Value, expected: &str| {
        let mut case = case;
        case["federated"] = deleting(json!({}));
        check(section, case, &expected.replace("WHY", WHY));
    };
    row(
        "14.2 not ready, placed",
        json!({"member": {"down": true}}),
        "wait: the cluster is not ready WHY; WaitingForRemoval",
    );
    row(
        "14.2 lookup error",
        json!({"sees": "unsynced"}),
        "wait: what the cluster holds is not known:  WHY; CachedRetrievalFailed",
    );
    row(
        "14.2 no cached object: 12.4 wants a read",
        json!({}),
        "read the object, it may be there without its label WHY",
    );
    row(
        "12.4 NotFound",
        json!({"sees": "absent"}),
        "nothing WHY; not listed; released",
    );
    row(
        "12.4 label not true",
        json!({"sees": {"foreign": {}}}),
        "nothing WHY; not listed; released",
    );
    row(
        "12.4 label false",
        json!({"sees": {"foreign": {"metadata": {"labels": {"kubefed.io/managed": "false"}}}}}),
        "nothing WHY; not listed; released",
    );
    row(
        "14.2 present",
        json!({"sees": {"managed": {}}}),
        "delete WHY",
    );
    row(
        "14.2 terminating",
        json!({"sees": {"managed": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}}),
        "wait: the copy is being deleted WHY; WaitingForRemoval",
    );
    row(
        "14.2 its KubeFedCluster is gone",
        json!({"member": {"removed": true}, "sees": "unsynced"}),
        "nothing (the cluster is no longer joined); not listed; released",
    );
    let elsewhere = |member: Value| json!({"member": member, "federated": {"spec": named(&["west"])["spec"], "metadata": deleting(json!({}))["metadata"]}});
    check(
        "design 8: a leftover outside the placement",
        elsewhere(json!({"held": true, "down": true})),
        "wait: the cluster is not ready (the federated object is being deleted); WaitingForRemoval",
    );
    check(
        "16: a cluster that never held anything holds nothing up",
        elsewhere(json!({"down": true})),
        "nothing (the federated object is being deleted); not listed; released",
    );
    check(
        "14.1 bad delete options",
        json!({"federated": deleting(json!({"kubefed.io/deleteoption": "{"})), "sees": {"managed": {}}}),
        "wait: metadata.annotations[kubefed.io/deleteoption]: not a DeleteOptions: EOF while parsing an object at line 1 column 1 (the federated object is being deleted); WaitingForRemoval",
    );
    check(
        "14.1 our finalizer is gone",
        json!({"federated": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["other"]}}, "sees": {"managed": {}}}),
        "nothing (the federated object was released before); not listed; released",
    );
}

/// Observable checks 11 and 28.
#[test]
fn section_14_2_delete_options_are_for_the_deletion_only() {
    let annotation = json!({"kubefed.io/deleteoption": "{\"propagationPolicy\":\"Orphan\",\"gracePeriodSeconds\":5,\"dryRun\":[\"All\"]}"});
    let options = |case: Value| match Situation(&case).decide().action {
        kubefed_propagation::Action::Delete { uid, options } => {
            (uid, serde_json::to_value(options).unwrap())
        }
        other => panic!("{other}"),
    };
    let deletion = json!({"federated": deleting(annotation.clone()), "sees": {"managed": {}}});
    assert_eq!(
        options(deletion),
        (
            "u1".to_owned(),
            json!({"propagationPolicy": "Orphan", "gracePeriodSeconds": 5})
        )
    );
    let mut narrowed = named(&["west"]);
    narrowed["metadata"] = json!({"annotations": annotation});
    assert_eq!(
        options(json!({"federated": narrowed, "sees": {"managed": {}}})),
        ("u1".to_owned(), json!({})),
        "S29"
    );
}

/// Observable check 9.
#[test]
fn section_14_3_orphaning() {
    const WHY: &str = "(the federated object is being deleted and leaves its copies in place)";
    let row = |section: &str, case: Value, expected: &str| {
        let mut case = case;
        case["federated"] =
            deleting(json!({"kubefed.io/orphan": "true", "kubefed.io/deleteoption": "{"}));
        check(section, case, &expected.replace("WHY", WHY));
    };
    row(
        "14.3 present",
        json!({"sees": {"managed": {}}}),
        "remove the managed label WHY",
    );
    row(
        "14.3 present, deleted by somebody else",
        json!({"sees": {"managed": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}}),
        "remove the managed label WHY",
    );
    row(
        "S12 not ready: the finalizer stays",
        json!({"member": {"down": true}}),
        "wait: the cluster is not ready WHY; WaitingForRemoval",
    );
    row(
        "14.3 label is gone",
        json!({"sees": {"foreign": {}}}),
        "nothing WHY; not listed; released",
    );
    check(
        "14.3 exactly true",
        json!({"federated": deleting(json!({"kubefed.io/orphan": "True"})), "sees": {"managed": {}}}),
        "delete (the federated object is being deleted)",
    );
}

/// Observable check 13.
#[test]
fn section_14_4_copies_without_a_federated_object_are_set_free() {
    let row = |section: &str, case: Value, expected: &str| {
        let situation = Situation(&case);
        let decision = decide_orphan(&situation.member(), &situation.observation());
        assert_eq!(decision.action.to_string(), expected, "{section}");
    };
    row(
        "14.4",
        json!({"sees": {"managed": {}}}),
        "remove the managed label",
    );
    row(
        "14.4 terminating",
        json!({"sees": {"managed": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}}),
        "wait: the copy is being deleted",
    );
    row("14.4 not cached", json!({}), "nothing");
    row(
        "14.5 the label is not true",
        json!({"sees": {"foreign": {}}}),
        "nothing",
    );
    row(
        "S13 not ready, not seen",
        json!({"member": {"down": true}, "sees": "unsynced"}),
        "nothing",
    );
    row(
        "14.4 not ready, seen before",
        json!({"member": {"down": true}, "sees": {"managed": {}}}),
        "wait: the cluster is not ready",
    );
    row(
        "16.1 its KubeFedCluster is gone",
        json!({"member": {"removed": true}, "sees": {"managed": {}}}),
        "nothing",
    );
}

/// Observable checks 7 and 8.
#[test]
fn section_15_the_hosts_own_namespace() {
    let row = |section: &str, federated: Value, sees: Value, adoption: &str, expected: &str| {
        let case = json!({"kind": "Namespace", "host": "u1", "federated": federated, "sees": sees, "adoption": adoption});
        check(section, case, expected);
    };
    let present = || json!({"managed": {}});
    row(
        "6.5, 7: deselected",
        named(&["west"]),
        present(),
        "",
        "remove the managed label (not named in spec.placement.clusters)",
    );
    row(
        "14.2: deletion",
        deleting(json!({})),
        present(),
        "",
        "remove the managed label (the federated object is being deleted)",
    );
    row(
        "14.2, 12.4: terminating",
        deleting(json!({})),
        json!({"managed": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}),
        "",
        "nothing (the federated object is being deleted); not listed; released",
    );
    row(
        "15: adopted although adoption is disabled",
        json!({}),
        json!({"foreign": {}}),
        "disabled",
        "take over the existing object (named in spec.placement.clusters)",
    );
    row(
        "12.2: but not against its owner's will",
        json!({}),
        json!({"foreign": {"metadata": {"labels": {"kubefed.io/managed": "false"}}}}),
        "",
        "refused: ManagedLabelFalse: Unable to manage the object which has label kubefed.io/managed: false (named in spec.placement.clusters); ManagedLabelFalse",
    );
    let other = json!({"kind": "Namespace", "host": "u2", "federated": named(&["west"]), "sees": {"managed": {}}});
    check(
        "15: another cluster's namespace",
        other,
        "delete (not named in spec.placement.clusters)",
    );
    let labels = json!({"kind": "Namespace", "host": "u1", "sees": {"foreign": {"metadata": {"labels": {"kubernetes.io/metadata.name": "shop", "app": "old"}}}}});
    let written = crate::case::written(&labels).unwrap();
    let merged =
        json!({"kubernetes.io/metadata.name": "shop", "app": "web", "kubefed.io/managed": "true"});
    assert_eq!(written["metadata"]["labels"], merged, "S15");
    assert!(written["metadata"].get("namespace").is_none(), "8.4");
}

#[test]
fn section_16_1_the_state_of_a_cluster() {
    check(
        "16.1 not ready, changed",
        json!({"member": {"down": true, "held": true}, "federated": {"spec": {"template": {"spec": {"replicas": 3}}}}}),
        "wait: the cluster is not ready (named in spec.placement.clusters); ClusterNotReady",
    );
    check(
        "16.1 KubeFedCluster deleted",
        json!({"member": {"removed": true}}),
        "nothing (the cluster is no longer joined); not listed; released",
    );
    check(
        "16.1 re-added: no adoption check for a labelled object",
        json!({"adoption": "disabled", "sees": {"managed": {"spec": {"replicas": 9}}}}),
        "update: template or overrides changed since the last write (named in spec.placement.clusters)",
    );
}

/// Observable check 14.
#[test]
fn section_16_2_objects_that_were_there_before() {
    const WHY: &str = "(named in spec.placement.clusters)";
    let row = |section: &str, label: Value, adoption: &str, expected: &str| {
        let object = json!({"metadata": {"labels": {"kubefed.io/managed": label}}});
        let sees = if label == "true" {
            json!({"managed": object})
        } else {
            json!({"foreign": object})
        };
        check(
            section,
            json!({"sees": sees, "adoption": adoption}),
            &expected.replace("WHY", WHY),
        );
    };
    const EXISTS: &str = "refused: AlreadyExists: Resource pre-exist in cluster WHY; AlreadyExists";
    row(
        "16.2 absent, enabled",
        Value::Null,
        "",
        "take over the existing object WHY",
    );
    row("16.2 absent, disabled", Value::Null, "disabled", EXISTS);
    row(
        "16.2 true, disabled",
        json!("true"),
        "disabled",
        "up to date at gen:1 WHY; OK",
    );
    row(
        "16.2 false, enabled",
        json!("false"),
        "",
        "refused: ManagedLabelFalse: Unable to manage the object which has label kubefed.io/managed: false WHY; ManagedLabelFalse",
    );
    row("16.2 false, disabled", json!("false"), "disabled", EXISTS);
    row(
        "16.2 anything else counts as unlabelled",
        json!("True"),
        "",
        "take over the existing object WHY",
    );
    check(
        "16.2 deselected and opted out",
        json!({"federated": named(&["west"]), "member": {"held": true}, "sees": {"foreign": {"metadata": {"labels": {"kubefed.io/managed": "false"}}}}}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "16.2, 14: not selected, unlabelled",
        json!({"federated": named(&[]), "sees": {"foreign": {}}}),
        "nothing (not named in spec.placement.clusters); not listed; released",
    );
    check(
        "16.2 in the way and being deleted",
        json!({"sees": {"foreign": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}}),
        "wait: an object that is not ours has this name and is being deleted (named in spec.placement.clusters); CreationFailed",
    );
    check(
        "S34 it was gone when it was read",
        json!({"sees": "absent", "adoption": "disabled"}),
        "create (named in spec.placement.clusters)",
    );
}
