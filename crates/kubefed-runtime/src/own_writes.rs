use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ReconcileKey;

/// How long an own write is believed although no watch has shown it. A watch is reopened every minute
/// at the latest, so one that has not shown it by then never will.
const BELIEVED: Duration = Duration::from_secs(65);

/// Remembers what was written until a watch shows it, so that nothing is decided on an older state.
///
/// A watch lags behind the answers of writes. Whoever reconciles an object right after a write would
/// see the state before it, create what exists and delete what is gone. [`OwnWrites::latest`] tells
/// what was written last as long as it is newer than what the watch shows.
///
/// Resource versions are compared as numbers (KEP-5504); versions that are no numbers count as newer
/// than any other, so that the watch is believed.
#[derive(Debug)]
pub struct OwnWrites<T> {
    entries: Mutex<BTreeMap<ReconcileKey, Entry<T>>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    resource_version: u128,
    /// `None` if the object was deleted.
    object: Option<T>,
    written: Instant,
}

impl<T> Default for OwnWrites<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<T: Clone> OwnWrites<T> {
    /// Remembers the object of a write's answer.
    pub fn wrote(&self, key: ReconcileKey, resource_version: &str, object: T) {
        self.insert(key, resource_version, Some(object));
    }

    /// Remembers that an object of this resource version was deleted.
    pub fn deleted(&self, key: ReconcileKey, resource_version: &str) {
        self.insert(key, resource_version, None);
    }

    /// What was written last, if the watch does not show it yet: the object, or `None` in the option if
    /// it was deleted. `seen` is the resource version that the watch shows, `None` if it shows nothing.
    pub fn latest(&self, key: &ReconcileKey, seen: Option<&str>) -> Option<Option<T>> {
        let mut entries = self.entries();
        let entry = entries.get(key)?;
        let caught_up = match (seen, &entry.object) {
            (Some(seen), None) => version(seen) > entry.resource_version,
            (Some(seen), Some(_)) => version(seen) >= entry.resource_version,
            (None, object) => object.is_none(),
        };
        if caught_up || entry.written.elapsed() > BELIEVED {
            entries.remove(key);
            return None;
        }
        Some(entry.object.clone())
    }

    /// Whether a resource version is the one that was written last, so that the event which shows it is
    /// no news.
    pub fn is_own(&self, key: &ReconcileKey, seen: &str) -> bool {
        self.entries()
            .get(key)
            .is_some_and(|entry| entry.resource_version == version(seen))
    }

    /// Forgets an object, because a direct read told what is true.
    pub fn forget(&self, key: &ReconcileKey) {
        self.entries().remove(key);
    }

    fn insert(&self, key: ReconcileKey, resource_version: &str, object: Option<T>) {
        let resource_version = version(resource_version);
        let entry = Entry {
            resource_version,
            object,
            written: Instant::now(),
        };
        self.entries().insert(key, entry);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ReconcileKey, Entry<T>>> {
        // A map operation cannot leave the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(text: &str) -> u128 {
    text.parse().unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use kubefed_api::QualifiedName;

    use super::*;

    fn key() -> ReconcileKey {
        ReconcileKey::fleet(QualifiedName::cluster_scoped("a"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_believed_until_the_watch_shows_it() {
        let writes = OwnWrites::default();
        assert_eq!(writes.latest(&key(), None), None);
        writes.wrote(key(), "10", "new");
        assert_eq!(
            writes.latest(&key(), None),
            Some(Some("new")),
            "created, not shown yet"
        );
        assert_eq!(
            writes.latest(&key(), Some("9")),
            Some(Some("new")),
            "an older one is shown"
        );
        assert!(writes.is_own(&key(), "10"));
        assert_eq!(writes.latest(&key(), Some("10")), None, "shown");
        assert_eq!(writes.latest(&key(), Some("9")), None, "and then forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_believed_until_the_watch_shows_nothing_or_something_newer() {
        let writes = OwnWrites::<()>::default();
        writes.deleted(key(), "10");
        assert_eq!(writes.latest(&key(), Some("10")), Some(None));
        assert_eq!(
            writes.latest(&key(), Some("11")),
            None,
            "somebody created it again"
        );
        writes.deleted(key(), "10");
        assert_eq!(writes.latest(&key(), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_no_watch_ever_shows_is_doubted_after_a_while() {
        let writes = OwnWrites::default();
        writes.wrote(key(), "10", "new");
        tokio::time::advance(Duration::from_secs(66)).await;
        assert_eq!(writes.latest(&key(), None), None);
        writes.wrote(key(), "opaque", "new");
        assert_eq!(writes.latest(&key(), Some("1")), Some(Some("new")));
        assert_eq!(
            writes.latest(&key(), Some("other")),
            None,
            "versions that are no numbers"
        );
    }
}
