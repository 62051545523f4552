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
/// see the state before it, create what exists and delete what is gone. [`Latest::newer_than`] tells
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
    written: Instant,
    state: Written<T>,
}

#[derive(Clone, Debug)]
enum Written<T> {
    Object(T),
    Deleted,
    /// The watch has shown the object, so that it need not be held twice. The version stays, since the
    /// same state may be shown by several events.
    Shown,
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
        self.insert(key, resource_version, Written::Object(object));
    }

    /// Remembers that an object of this resource version was deleted.
    pub fn deleted(&self, key: ReconcileKey, resource_version: &str) {
        self.insert(key, resource_version, Written::Deleted);
    }

    /// Begins to compare with what the watch shows. That is to be read while the answer is held: if
    /// it were read before, an event in between could make [`OwnWrites::is_shown`] forget the object
    /// although the reader has an older one.
    pub fn latest(&self) -> Latest<'_, T> {
        Latest(self.entries())
    }

    /// Takes note that the watch shows a resource version, and tells whether it is the one that was
    /// written last, so that the event is no news. An object that is shown is no longer held here.
    pub fn is_shown(&self, key: &ReconcileKey, seen: &str) -> bool {
        let mut entries = self.entries();
        let entry = entries.get_mut(key);
        let Some(entry) = entry.filter(|entry| entry.resource_version == version(seen)) else {
            return false;
        };
        if matches!(entry.state, Written::Object(_)) {
            entry.state = Written::Shown;
        }
        true
    }

    /// Forgets an object, because a direct read told what is true.
    pub fn forget(&self, key: &ReconcileKey) {
        self.entries().remove(key);
    }

    fn insert(&self, key: ReconcileKey, resource_version: &str, state: Written<T>) {
        let resource_version = version(resource_version);
        let entry = Entry {
            resource_version,
            written: Instant::now(),
            state,
        };
        self.entries().insert(key, entry);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ReconcileKey, Entry<T>>> {
        // A map operation cannot leave the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writes that the watch may not show yet; none is made or forgotten meanwhile.
#[derive(Debug)]
pub struct Latest<'a, T>(MutexGuard<'a, BTreeMap<ReconcileKey, Entry<T>>>);

impl<T: Clone> Latest<'_, T> {
    /// What was written last, if the watch does not show it yet: the object, or `None` in the option if
    /// it was deleted. `seen` is the resource version that the watch shows, `None` if it shows nothing.
    pub fn newer_than(&mut self, key: &ReconcileKey, seen: Option<&str>) -> Option<Option<T>> {
        let entry = self.0.get(key)?;
        let written = match (seen, &entry.state) {
            (Some(seen), Written::Object(object)) if version(seen) < entry.resource_version => {
                Some(Some(object.clone()))
            }
            (None, Written::Object(object)) => Some(Some(object.clone())),
            (Some(seen), Written::Deleted) if version(seen) <= entry.resource_version => Some(None),
            _ => None,
        };
        if written.is_none() || entry.written.elapsed() > BELIEVED {
            self.0.remove(key);
            return None;
        }
        written
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
        assert_eq!(writes.latest().newer_than(&key(), None), None);
        writes.wrote(key(), "10", "new");
        assert_eq!(
            writes.latest().newer_than(&key(), None),
            Some(Some("new")),
            "created, not shown yet"
        );
        assert_eq!(
            writes.latest().newer_than(&key(), Some("9")),
            Some(Some("new")),
            "an older one is shown"
        );
        assert!(!writes.is_shown(&key(), "9"));
        assert_eq!(
            writes.latest().newer_than(&key(), Some("10")),
            None,
            "shown"
        );
        assert_eq!(
            writes.latest().newer_than(&key(), Some("9")),
            None,
            "and then forgotten"
        );
    }

    #[test]
    fn an_object_that_is_shown_is_not_held_twice() {
        let (writes, held) = (OwnWrites::default(), std::sync::Arc::new(()));
        writes.wrote(key(), "10", held.clone());
        for _ in 0..2 {
            assert!(
                writes.is_shown(&key(), "10"),
                "several events may show one state"
            );
        }
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
        assert_eq!(writes.latest().newer_than(&key(), Some("10")), None);
        writes.deleted(key(), "11");
        assert!(writes.is_shown(&key(), "11"));
        assert_eq!(
            writes.latest().newer_than(&key(), Some("11")),
            Some(None),
            "it is shown, and going"
        );
    }

    #[test]
    fn no_event_comes_between_reading_what_is_shown_and_what_was_written() {
        let (writes, shown) = (OwnWrites::default(), Mutex::new("9"));
        writes.wrote(key(), "10", "new");
        let event = || {
            *shown.lock().unwrap() = "10";
            writes.is_shown(&key(), "10")
        };
        std::thread::scope(|scope| {
            let mut latest = writes.latest();
            let seen = *shown.lock().unwrap();
            let event = scope.spawn(event);
            while *shown.lock().unwrap() != "10" {
                std::thread::yield_now();
            }
            assert_eq!(latest.newer_than(&key(), Some(seen)), Some(Some("new")));
            drop(latest);
            assert!(event.join().unwrap());
        });
        let mut latest = writes.latest();
        let seen = *shown.lock().unwrap();
        assert_eq!(latest.newer_than(&key(), Some(seen)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_believed_until_the_watch_shows_nothing_or_something_newer() {
        let writes = OwnWrites::<()>::default();
        writes.deleted(key(), "10");
        assert_eq!(writes.latest().newer_than(&key(), Some("10")), Some(None));
        assert_eq!(
            writes.latest().newer_than(&key(), Some("11")),
            None,
            "somebody created it again"
        );
        writes.deleted(key(), "10");
        assert_eq!(writes.latest().newer_than(&key(), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_no_watch_ever_shows_is_doubted_after_a_while() {
        let writes = OwnWrites::default();
        writes.wrote(key(), "10", "new");
        tokio::time::advance(Duration::from_secs(66)).await;
        assert_eq!(writes.latest().newer_than(&key(), None), None);
        writes.wrote(key(), "opaque", "new");
        assert_eq!(
            writes.latest().newer_than(&key(), Some("1")),
            Some(Some("new"))
        );
        assert_eq!(
            writes.latest().newer_than(&key(), Some("other")),
            None,
            "versions that are no numbers"
        );
    }
}
