//! Owner references: dependents follow their owners, are released by them, or hold them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::{DeleteOptions, FOREGROUND, ORPHAN, Propagation};
use crate::behaviour::{Behaviour, Loop};
use crate::json;
use crate::object::{Key, Object, Owner};
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::GarbageCollection,
    concerns,
    reconcile,
};

fn concerns(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    let object = &change.new;
    let mut concerned = Vec::new();
    if change.removed {
        concerned.extend(state.store.dependents(&object.uid));
    } else if !object.owners.is_empty() || waits(object) {
        concerned.push((table.clone(), object.key.clone()));
    }
    // An owner that waits for its dependents looks again when one of them changes.
    for owner in &object.owners {
        concerned.extend(find(state, &object.key, owner).into_iter().filter_map(
            |found| match found {
                Found::Waiting(locator) => Some(locator),
                _ => None,
            },
        ));
    }
    concerned
}

fn reconcile(state: &mut State, locator: &Locator) -> Option<Duration> {
    let object = state.store.get(&locator.0, &locator.1)?.clone();
    if object.deleting && has(&object, ORPHAN) {
        release_dependents(state, &object);
        state.release(&object, &locator.0, ORPHAN);
    } else if object.deleting && has(&object, FOREGROUND) {
        await_dependents(state, &object, locator);
    } else if !object.owners.is_empty() && !object.deleting {
        follow_owners(state, &object, locator);
    }
    None
}

/// What an owner reference points at.
enum Found {
    Present,
    /// Being deleted, and waiting for its dependents.
    Waiting(Locator),
    Absent,
}

/// None where the reference cannot be resolved, which is no reason to delete anything.
fn find(state: &State, dependent: &Key, owner: &Owner) -> Option<Found> {
    let resource = state.resource_of_kind(&owner.api_version, &owner.kind)?;
    let namespace = match (resource.namespaced, dependent.namespace()) {
        (false, _) => None,
        (true, Some(namespace)) => Some(namespace),
        (true, None) => return None,
    };
    let key = Key::new(namespace, &owner.name);
    let found = state
        .store
        .get(&resource.table, &key)
        .filter(|object| object.uid == owner.uid);
    Some(match found {
        Some(object) if waits(object) => Found::Waiting((resource.table.clone(), key)),
        Some(_) => Found::Present,
        None => Found::Absent,
    })
}

fn waits(object: &Object) -> bool {
    object.deleting && (has(object, FOREGROUND) || has(object, ORPHAN))
}

fn has(object: &Object, finalizer: &str) -> bool {
    object.finalizers.iter().any(|name| &**name == finalizer)
}

fn follow_owners(state: &mut State, object: &Arc<Object>, (table, key): &Locator) {
    let (mut present, mut waiting, mut gone) = (0, 0, Vec::new());
    for owner in &object.owners {
        match find(state, key, owner) {
            None | Some(Found::Present) => present += 1,
            // An owner that is about to release its dependents still counts.
            Some(Found::Waiting((table, key)))
                if state
                    .store
                    .get(&table, &key)
                    .is_some_and(|owner| has(owner, ORPHAN)) =>
            {
                present += 1;
            }
            Some(Found::Waiting(_)) => {
                waiting += 1;
                gone.push(owner.uid.clone());
            }
            Some(Found::Absent) => gone.push(owner.uid.clone()),
        }
    }
    let Some(resource) = state.resource(table) else {
        return;
    };
    if present > 0 {
        if !gone.is_empty() {
            let value = without_owners(object, &gone);
            state.save(&resource, object, value);
        }
        return;
    }
    let in_foreground = waiting > 0 && !state.store.dependents(&object.uid).is_empty();
    let propagation = match (has(object, ORPHAN), in_foreground) {
        (true, _) => Propagation::Orphan,
        (false, true) => Propagation::Foreground,
        (false, false) => Propagation::Background,
    };
    let options = DeleteOptions {
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    // The object was read under the same lock, so it can neither be absent nor another one.
    let _ = state.delete_object(&resource, key, &options);
}

fn release_dependents(state: &mut State, owner: &Object) {
    for (table, key) in state.store.dependents(&owner.uid) {
        let Some(resource) = state.resource(&table) else {
            continue;
        };
        let Some(dependent) = state.store.get(&table, &key).cloned() else {
            continue;
        };
        let value = without_owners(&dependent, std::slice::from_ref(&owner.uid));
        state.save(&resource, &dependent, value);
    }
}

fn await_dependents(state: &mut State, owner: &Arc<Object>, locator: &Locator) {
    for (table, key) in state.store.dependents(&owner.uid) {
        let dependent = state.store.get(&table, &key).cloned();
        if let Some(dependent) = dependent.filter(|dependent| !dependent.deleting) {
            follow_owners(state, &dependent, &(table, key));
        }
    }
    let blocks = |reference: &Owner| reference.uid == owner.uid && reference.blocks;
    let blocked = state
        .store
        .dependents(&owner.uid)
        .iter()
        .any(|(table, key)| {
            state
                .store
                .get(table, key)
                .is_some_and(|dependent| dependent.owners.iter().any(blocks))
        });
    if !blocked {
        state.release(owner, &locator.0, FOREGROUND);
    }
}

fn without_owners(object: &Object, uids: &[Box<str>]) -> Value {
    let mut value = object.value();
    let mut owners = json::items(&value, "metadata.ownerReferences").to_vec();
    owners.retain(|owner| !uids.iter().any(|uid| **uid == *json::text(owner, "uid")));
    if owners.is_empty() {
        json::take(&mut value, "metadata.ownerReferences");
    } else {
        json::put(&mut value, "metadata.ownerReferences", owners);
    }
    value
}
