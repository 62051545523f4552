//! The judge of writes, and an oracle that says how a settled world has to look. It reads the raw
//! objects and knows nothing of the code under test but its actions.

use std::collections::BTreeSet;

use kubefed_propagation::kubefed_api::{ClusterName, well_known};
use kubefed_propagation::{Action, Adoption};
use serde_json::{Value, json};

use crate::driver::World;
use crate::server::is_managed;

/// Whether the placements of object and namespace, read in the plainest way, name a cluster.
pub(crate) fn is_placed(world: &World, cluster: &str) -> bool {
    if !world.around.admits(cluster) {
        return false;
    }
    let placement = &world
        .host
        .object
        .as_ref()
        .expect("there is a federated object")["spec"]["placement"];
    let labels = &world.clusters[cluster].labels;
    if let Some(names) = placement["clusters"].as_array() {
        return names.iter().any(|entry| entry["name"] == cluster);
    }
    placement["clusterSelector"]
        .as_object()
        .is_some_and(|selector| {
            let wanted = selector.get("matchLabels").and_then(Value::as_object);
            wanted
                .into_iter()
                .flatten()
                .all(|(name, value)| labels.get(name).map(String::as_str) == value.as_str())
        })
}

fn is_deleting(world: &World) -> bool {
    world
        .host
        .object
        .as_ref()
        .is_some_and(|object| object["metadata"]["deletionTimestamp"].is_string())
}

fn held(world: &World) -> BTreeSet<String> {
    let object = world.host.object.as_ref();
    let text = object
        .and_then(|o| o["metadata"]["annotations"][well_known::INVENTORY_ANNOTATION].as_str());
    text.unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect()
}

/// Every write to a member has a cause that can be seen in the host, and hits nothing it must not hit.
pub(crate) fn may_write(world: &World, cluster: &ClusterName, action: &Action) {
    let name = cluster.as_str();
    let copy = world.clusters[name].store.object.as_ref();
    let context = || format!("{action} in {name}: {copy:#?} of {:#?}", world.host.object);
    assert!(
        !world.around.is_undetermined() || world.host.object.is_none() || is_deleting(world),
        "ignorance is no cause (INV-S3): {}",
        context()
    );
    match action {
        Action::Create { object } | Action::Update { object, .. } | Action::Adopt { object } => {
            let identity = |o: &Value| {
                let metadata = &o["metadata"];
                json!([
                    o["apiVersion"],
                    o["kind"],
                    metadata["namespace"],
                    metadata["name"]
                ])
            };
            let target = world.target();
            assert_eq!(
                identity(object),
                json!([target.api_version(), target.kind, "shop", "web"]),
                "identity (INV-S9): {}",
                context()
            );
            assert!(
                is_managed(object),
                "a copy carries the label: {}",
                context()
            );
            assert!(
                !is_deleting(world) && is_placed(world, name),
                "placed (INV-S1): {}",
                context()
            );
            assert!(
                held(world).contains(name),
                "held before it is written to (INV-S4): {}",
                context()
            );
            let guard = object["metadata"]["resourceVersion"].is_string();
            assert_eq!(
                guard,
                !matches!(action, Action::Create { .. }),
                "guarded: {}",
                context()
            );
            if let (Some(copy), false) = (copy, matches!(action, Action::Create { .. })) {
                let opted_out = copy["metadata"]["labels"][well_known::MANAGED_LABEL] == "false";
                let ours = is_managed(copy) || (world.adoption == Adoption::Enabled && !opted_out);
                assert!(
                    ours,
                    "unmanaged objects are untouched (INV-S2): {}",
                    context()
                );
            }
        }
        Action::Delete { .. } => {
            assert!(
                copy.is_none_or(is_managed),
                "only copies are deleted (INV-S2): {}",
                context()
            );
            assert!(
                world.host.object.is_some() && (is_deleting(world) || !is_placed(world, name)),
                "a delete has a cause (INV-S3): {}",
                context()
            );
        }
        Action::RemoveLabel { .. } => {
            assert!(copy.is_none_or(is_managed), "{}", context());
            assert!(
                world.host.object.is_none() || is_deleting(world),
                "{}",
                context()
            );
        }
        other => panic!("{other} writes nothing"),
    }
}

/// What a write left of the parts that belong to the member (INV-S7).
pub(crate) fn has_written(action: &Action, before: Option<&Value>, after: Option<&Value>) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let of = |object: &Value, name: &str| match &object["metadata"][name] {
        Value::Null => json!(null),
        other => other.clone(),
    };
    for name in ["uid", "finalizers", "annotations", "ownerReferences"] {
        assert_eq!(
            of(before, name),
            of(after, name),
            "{name} is the member's own: {action}"
        );
    }
}

/// Propagation is reported as true only if every placed cluster really has what it should (INV-T1).
pub(crate) fn may_report_success(world: &World) {
    for (name, cluster) in world.clusters.iter().filter(|(_, cluster)| cluster.joined) {
        let object = cluster.store.object.as_ref();
        if !is_deleting(world) && is_placed(world, name) {
            assert!(cluster.ready, "{name} is not ready");
            let content = object.map(content).unwrap_or_default();
            assert_eq!(
                content,
                expected_content(world, name),
                "{name}: {:?}",
                world.writes
            );
        } else {
            assert!(!object.is_some_and(is_managed), "{name} holds a leftover");
        }
    }
}

/// What the members of a kind hold besides metadata and defaults.
pub(crate) fn content(object: &Value) -> Value {
    json!({"spec": object["spec"]["replicas"], "data": object["data"], "app": object["metadata"]["labels"]["app"]})
}

/// The template's content with what the overrides of the cluster set, by path.
pub(crate) fn expected_content(world: &World, cluster: &str) -> Value {
    let spec = &world.host.object.as_ref().unwrap()["spec"];
    let mut object = spec["template"].clone();
    let entries = spec["overrides"].as_array().into_iter().flatten();
    for entry in entries.filter(|entry| entry["clusterName"] == cluster) {
        for item in entry["clusterOverrides"].as_array().into_iter().flatten() {
            *object.pointer_mut(item["path"].as_str().unwrap()).unwrap() = item["value"].clone();
        }
    }
    content(&object)
}

/// The finalizers and annotations of the federated object that are not ours.
pub(crate) fn foreign_parts(object: Option<&Value>) -> Value {
    let metadata = object
        .map(|object| object["metadata"].clone())
        .unwrap_or_default();
    let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<_> = finalizers
        .filter(|name| **name != well_known::SYNC_FINALIZER)
        .collect();
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let annotations: Vec<_> = annotations
        .filter(|(name, _)| *name != well_known::INVENTORY_ANNOTATION)
        .collect();
    json!([finalizers, annotations])
}
