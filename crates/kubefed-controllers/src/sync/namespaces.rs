//! What the FederatedNamespace of an object says, and whether its clusters have the namespace yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kubefed_api::{ClusterSelection, QualifiedName};
use kubefed_informer::{Lookup, RawObject, Store};
use kubefed_propagation::{NamespaceFederation, Scope};
use serde_json::Value;
use tokio::time::Instant;

use super::Sync;

/// How long copies wait to be created until their namespace was reported on. That takes a second where
/// a cluster hangs; where nobody reports, creation is tried all the same.
const NAMESPACE_WAIT: Duration = Duration::from_secs(5);

/// FederatedNamespaces that are not reported on as they are now: the generation, and since when.
#[derive(Default)]
pub(super) struct Unreported(Mutex<BTreeMap<String, (i64, Instant)>>);

impl Sync {
    pub(super) fn namespace_of(&self, name: &QualifiedName) -> NamespaceFederation {
        let (Some(namespaces), Some(namespace)) = (&self.namespaces, name.namespace()) else {
            return NamespaceFederation::NotNeeded;
        };
        match namespaces
            .store()
            .get(&QualifiedName::namespaced(namespace, namespace))
        {
            Lookup::Unknown(why) => NamespaceFederation::Unknown(why.to_string()),
            Lookup::Absent => NamespaceFederation::Absent,
            Lookup::Present(raw) => match raw.parse() {
                Ok(value) => NamespaceFederation::Present(ClusterSelection::parse(
                    &value["spec"]["placement"],
                )),
                Err(error) => NamespaceFederation::Unknown(error.to_string()),
            },
        }
    }

    /// How long an object need not try yet to be created in clusters, because its namespace is about
    /// to be. Whoever applies an object together with its namespace would see it fail otherwise.
    pub(super) fn until_namespace_is_reported(&self, object: &QualifiedName) -> Option<Duration> {
        let namespace = object.namespace()?;
        // Read while the entries are held, so that no report comes in between unnoticed.
        let mut unreported = self.unreported.entries();
        let Some(generation) = self.unreported_generation(namespace) else {
            unreported.remove(namespace);
            return None;
        };
        let now = Instant::now();
        let entry = unreported.entry(namespace.to_owned());
        let (of, since) = entry.or_insert((generation, now));
        if *of != generation {
            (*of, *since) = (generation, now);
        }
        let left = NAMESPACE_WAIT.saturating_sub(now - *since);
        (!left.is_zero()).then_some(left)
    }

    /// Whether objects wait for a namespace that was reported on meanwhile.
    pub(super) fn ends_wait_for_namespace(&self, namespace: &str) -> bool {
        let mut unreported = self.unreported.entries();
        unreported.contains_key(namespace)
            && self.unreported_generation(namespace).is_none()
            && unreported.remove(namespace).is_some()
    }

    /// The generation of a FederatedNamespace whose status is of an earlier one.
    fn unreported_generation(&self, namespace: &str) -> Option<i64> {
        let options = &self.context.options;
        if options.scope == Scope::Limited || options.is_system_namespace(namespace) {
            // Nobody carries it out.
            return None;
        }
        let store = self.namespaces.as_ref()?.store();
        let Lookup::Present(raw) = store.get(&QualifiedName::namespaced(namespace, namespace))
        else {
            return None;
        };
        let value = raw.parse().ok()?;
        let generation = value["metadata"]["generation"].as_i64()?;
        let observed = value["status"]["observedGeneration"].as_i64();
        (observed.unwrap_or_default() < generation).then_some(generation)
    }
}

impl Unreported {
    /// How many namespaces are waited for.
    pub(super) fn awaited(&self) -> usize {
        let now = Instant::now();
        let entries = self.entries();
        let awaited = entries
            .values()
            .filter(|(_, since)| now - *since < NAMESPACE_WAIT);
        awaited.count()
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (i64, Instant)>> {
        // A map operation cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The placements of FederatedNamespaces as they were seen last, by which changes of anything else
/// are told apart.
#[derive(Default)]
pub(super) struct NamespacePlacements(BTreeMap<QualifiedName, Value>);

impl NamespacePlacements {
    pub(super) fn changes(&mut self, store: &Store<RawObject>, name: &QualifiedName) -> bool {
        let placement = match store.get(name) {
            Lookup::Present(raw) => raw.parse().ok().map(|mut value| {
                // An existing namespace without a placement differs from none.
                let placement = value["spec"]["placement"].take();
                if placement.is_null() {
                    Value::Object(serde_json::Map::new())
                } else {
                    placement
                }
            }),
            Lookup::Absent | Lookup::Unknown(_) => None,
        };
        let before = match &placement {
            Some(placement) => self.0.insert(name.clone(), placement.clone()),
            None => self.0.remove(name),
        };
        before != placement
    }
}
