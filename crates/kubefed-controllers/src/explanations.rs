use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kubefed_api::{ClusterName, QualifiedName};

/// What the wire has no room for: why a federated object is not as desired somewhere, in words.
///
/// Holds only what is wrong, so a federation that is well costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Explanations(Mutex<BTreeMap<Key, Explanation>>);

/// The federated type as `plural.group`, and the name of the federated object.
type Key = (String, QualifiedName);

/// Why one federated object is not as desired, in words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Explanation {
    /// What is wrong with the object as a whole; empty if nothing is.
    pub whole: String,
    /// What is wrong in single clusters.
    pub clusters: BTreeMap<ClusterName, String>,
}

impl Explanations {
    /// Replaces what is known of an object.
    pub(crate) fn explain(&self, federated: String, name: &QualifiedName, said: Explanation) {
        let key = (federated, name.clone());
        if said == Explanation::default() {
            self.lock().remove(&key);
        } else {
            self.lock().insert(key, said);
        }
    }

    pub(crate) fn of(&self, federated: String, name: &QualifiedName) -> Option<Explanation> {
        self.lock().get(&(federated, name.clone())).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Explanation>> {
        // Every change is one insertion or removal, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
