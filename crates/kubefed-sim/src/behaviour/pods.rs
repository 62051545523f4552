//! Facts about pods and their owners that several loops ask for.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::conditions;
use crate::json;
use crate::object::{Key, Object};
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const PODS: &str = "pods";

/// The objects of a table that an object controls, by name.
pub(super) fn controlled(state: &State, owner: &Object, table: &str) -> Vec<Arc<Object>> {
    let mut objects: Vec<Arc<Object>> = state
        .store
        .dependents(&owner.uid)
        .into_iter()
        .filter(|(id, _)| **id == *table)
        .filter_map(|(id, key)| state.store.get(&id, &key).cloned())
        .filter(|object| {
            object
                .controller()
                .is_some_and(|controller| controller.uid == owner.uid)
        })
        .collect();
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    objects
}

/// The changed object of a kind itself, or the owner of that kind that a changed object has.
pub(super) fn itself_or_owner(
    table: &Arc<str>,
    change: &Change,
    owner_table: &str,
    kind: &str,
) -> Vec<Locator> {
    if **table == *owner_table {
        return if change.removed {
            Vec::new()
        } else {
            vec![(table.clone(), change.new.key.clone())]
        };
    }
    let objects = [Some(&change.new), change.old.as_ref()];
    let mut owners: Vec<Locator> = objects
        .into_iter()
        .flatten()
        .filter_map(|object| {
            let owner = object.controller().filter(|owner| *owner.kind == *kind)?;
            Some((
                owner_table.into(),
                Key::new(object.key.namespace(), &owner.name),
            ))
        })
        .collect();
    owners.dedup();
    owners
}

pub(super) fn is_ready(pod: &Value) -> bool {
    conditions::holds(pod, "Ready")
}

/// Whether a pod has ended, one way or the other.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(json::text(pod, "status.phase"), "Succeeded" | "Failed")
}

/// A pod from the template at a path of its owner.
pub(super) fn create_pod(
    state: &mut State,
    owner: &Object,
    owner_value: &Value,
    kind: (&str, &str),
    name: Option<String>,
) -> Result<Arc<Object>, Refusal> {
    let template = &owner_value["spec"]["template"];
    let mut pod = json!({ "metadata": {}, "spec": template["spec"] });
    for field in ["labels", "annotations"] {
        json::copy(&template["metadata"], &mut pod["metadata"], field);
    }
    match name {
        Some(name) => json::put(&mut pod, "metadata.name", name),
        None => json::put(
            &mut pod,
            "metadata.generateName",
            format!("{}-", owner.key.name()),
        ),
    }
    json::put(
        &mut pod,
        "metadata.ownerReferences",
        json!([controller_reference(owner, kind)]),
    );
    state.insert(PODS, owner.key.namespace(), pod)
}

/// The reference by which an object of a kind (`apiVersion`, `kind`) controls others.
pub(super) fn controller_reference(owner: &Object, (api_version, kind): (&str, &str)) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": owner.key.name(), "uid": owner.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}
