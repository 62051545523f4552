//! A deleted CustomResourceDefinition waits until its objects are gone.

use std::sync::Arc;
use std::time::Duration;

use crate::api::DeleteOptions;
use crate::behaviour::{Behaviour, Loop};
use crate::catalogue::CRD_FINALIZER;
use crate::object::Key;
use crate::state::{CRDS, State};
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::CustomResources,
    concerns,
    reconcile,
};

fn concerns(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    if **table == *CRDS && change.new.deleting && !change.removed {
        return vec![(table.clone(), change.new.key.clone())];
    }
    let definition = Key::new(None, table);
    let deleting = state
        .store
        .get(CRDS, &definition)
        .is_some_and(|definition| definition.deleting);
    if change.removed && deleting {
        vec![(CRDS.into(), definition)]
    } else {
        Vec::new()
    }
}

fn reconcile(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let definition = state
        .store
        .get(table, key)
        .filter(|object| object.deleting)?
        .clone();
    if let Some(resource) = state.resource(key.name()) {
        let keys: Vec<Key> = state
            .store
            .list(key.name(), None)
            .map(|object| object.key.clone())
            .collect();
        for key in keys {
            // An object that is already on its way out cannot be refused a second deletion.
            let _ = state.delete_object(&resource, &key, &DeleteOptions::default());
        }
    }
    if state.store.is_empty(key.name()) {
        state.release(&definition, table, CRD_FINALIZER);
    }
    None
}
