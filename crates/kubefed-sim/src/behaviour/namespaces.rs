//! A deleted namespace is emptied, says what still holds it, and goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::api::DeleteOptions;
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::Condition;
use crate::json;
use crate::object::{Key, Object};
use crate::resource::Resource;
use crate::state::{NAMESPACES, State};
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Namespaces,
    concerns,
    reconcile,
};

fn concerns(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    if **table == *NAMESPACES && change.new.deleting && !change.removed {
        return vec![(table.clone(), change.new.key.clone())];
    }
    let Some(namespace) = change.new.key.namespace() else {
        return Vec::new();
    };
    let key = Key::new(None, namespace);
    let deleting = state
        .store
        .get(NAMESPACES, &key)
        .is_some_and(|namespace| namespace.deleting);
    if deleting {
        vec![(NAMESPACES.into(), key)]
    } else {
        Vec::new()
    }
}

fn reconcile(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let namespace = state
        .store
        .get(table, key)
        .filter(|object| object.deleting)?
        .clone();
    let resources: Vec<Arc<Resource>> = state
        .resources
        .values()
        .filter(|resource| resource.namespaced && resource.id == resource.table)
        .cloned()
        .collect();
    let mut left: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<Box<str>, usize> = BTreeMap::new();
    for resource in resources {
        let objects: Vec<Arc<Object>> = state
            .store
            .list(&resource.table, Some(key.name()))
            .cloned()
            .collect();
        for object in objects {
            if !object.deleting {
                // Nothing can refuse the namespace's own deletion but a finalizer, counted below.
                let _ = state.delete_object(&resource, &object.key, &DeleteOptions::default());
            }
        }
        for object in state.store.list(&resource.table, Some(key.name())) {
            *left.entry(resource.id.clone()).or_default() += 1;
            for finalizer in &object.finalizers {
                *finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
    }
    let resource = state.resource(NAMESPACES)?;
    let mut value = namespace.value();
    if left.is_empty() {
        json::put(&mut value, "spec", json!({}));
    } else {
        let now = state.timestamp();
        let kinds: Vec<String> = left
            .iter()
            .map(|(id, count)| format!("{id} has {count} resource instances"))
            .collect();
        let message = format!("Some resources are remaining: {}", kinds.join(", "));
        Condition::new(
            "NamespaceContentRemaining",
            true,
            "SomeResourcesRemain",
            &message,
        )
        .set(&mut value, &now);
        if !finalizers.is_empty() {
            let holders: Vec<String> = finalizers
                .iter()
                .map(|(name, count)| format!("{name} in {count} resource instances"))
                .collect();
            let message = format!(
                "Some content in the namespace has finalizers remaining: {}",
                holders.join(", ")
            );
            Condition::new(
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                &message,
            )
            .set(&mut value, &now);
        }
    }
    state.save(&resource, &namespace, value);
    None
}
