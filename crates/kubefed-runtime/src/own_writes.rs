use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ReconcileKey;

/// How long an own write is believed although no watch has shown it. A watch is reopened every minute
/// at the latest, so one that has not shown it by then never will.
const BELIEVED: Duration = Duration::from_secs(65);

/// Objects that were shown are forgotten once there are more than this, and twice as many as were left
/// the last time.
const SWEPT_FROM: usize = 1024;

/// How long an object that was shown is remembered at least: several events may show one state, but
/// they come together.
const REPEATED: Duration = Duration::from_secs(5);

/// Shown by a watch that shows the object no longer: newer than any version.
const GONE: u128 = u128::MAX;

/// Remembers what was written until a watch shows it, so that nothing is decided on an older state, and
/// that nobody takes the event of an own write for news.
///
/// A watch lags behind the answers of writes, or is ahead of them. Whoever reconciles an object right
/// after a write would see the state before it, create what exists and delete what is gone.
/// [`Latest::newer_than`] tells what was written last as long as it is newer than what the watch shows.
/// An event that comes while a write is under way may be that of the write, so it is judged when the
/// answer tells.
///
/// Resource versions are compared as numbers (KEP-5504); versions that are no numbers count as newer
/// than any other, so that the watch is believed.
///
/// ```
/// use kubefed_api::QualifiedName;
/// use kubefed_runtime::{OwnWrites, ReconcileKey};
///
/// let writes = OwnWrites::default();
/// let key = ReconcileKey::fleet(QualifiedName::namespaced("shop", "web"));
/// let write = writes.begin(key.clone());
/// assert!(!writes.is_news(&key, "8"), "it is not known yet");
/// assert!(!write.wrote("8", "the object"), "it was our own");
/// assert_eq!(writes.latest().newer_than(&key, Some("8")), None, "and need not be held");
/// ```
#[derive(Debug)]
pub struct OwnWrites<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    entries: BTreeMap<ReconcileKey, Entry<T>>,
    /// Writes that are not answered, with what the watch showed since they began.
    under_way: BTreeMap<ReconcileKey, Option<u128>>,
    /// When there are so many entries, those are dropped that nobody will ask for.
    sweep_at: usize,
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
    /// The watch has shown the object, so that it need not be held twice. The version stays for a while,
    /// since the same state may be shown by several events.
    Shown,
}

impl<T> Default for OwnWrites<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                entries: BTreeMap::new(),
                under_way: BTreeMap::new(),
                sweep_at: SWEPT_FROM,
            }),
        }
    }
}

impl<T> OwnWrites<T> {
    /// Announces a write. There may be one at a time for each key.
    pub fn begin(&self, key: ReconcileKey) -> UnderWay<'_, T> {
        let other = self.state().under_way.insert(key.clone(), None);
        debug_assert!(other.is_none(), "two writes at once of {key}");
        UnderWay {
            writes: self,
            key: Some(key),
        }
    }

    /// Begins to compare with what the watch shows. That is to be read while the answer is held: if
    /// it were read before, an event in between could make [`OwnWrites::is_news`] forget the object
    /// although the reader has an older one.
    pub fn latest(&self) -> Latest<'_, T> {
        Latest(self.state())
    }

    /// Takes note that the watch shows a resource version, and tells whether that is another's doing. It
    /// is not if that version was written last; while a write is under way the answer will tell. An
    /// object that is shown is no longer held here.
    pub fn is_news(&self, key: &ReconcileKey, seen: &str) -> bool {
        let seen = version(seen);
        let mut state = self.state();
        let State {
            entries, under_way, ..
        } = &mut *state;
        let entry = entries.get_mut(key);
        let entry = entry.filter(|entry| entry.resource_version == seen);
        let own = entry.is_some();
        if let Some(entry) = entry
            && matches!(entry.state, Written::Object(_))
        {
            entry.state = Written::Shown;
        }
        if let Some(shown) = under_way.get_mut(key) {
            *shown = if own { None } else { Some(seen) };
            return false;
        }
        !own
    }

    /// Forgets an object, because a direct read told what is true or the watch no longer shows it. Tells
    /// whether it was deleted here.
    pub fn forget(&self, key: &ReconcileKey) -> bool {
        let mut state = self.state();
        if let Some(shown) = state.under_way.get_mut(key) {
            *shown = Some(GONE);
        }
        let forgotten = state.entries.remove(key);
        forgotten.is_some_and(|entry| matches!(entry.state, Written::Deleted))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A map operation cannot leave the maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Ends a write, and tells what the watch showed since it began.
    fn end(&mut self, key: &ReconcileKey) -> Option<u128> {
        self.under_way.remove(key).flatten()
    }

    fn insert(&mut self, key: ReconcileKey, resource_version: u128, state: Written<T>) {
        let written = Instant::now();
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| {
                let limit = match entry.state {
                    Written::Shown => REPEATED,
                    Written::Object(_) | Written::Deleted => BELIEVED,
                };
                written - entry.written <= limit
            });
            self.sweep_at = SWEPT_FROM.max(2 * self.entries.len());
        }
        let entry = Entry {
            resource_version,
            written,
            state,
        };
        self.entries.insert(key, entry);
    }
}

/// A write that is not answered yet. Dropped, it counts as failed, and what the watch showed meanwhile is
/// not told.
#[derive(Debug)]
#[must_use]
pub struct UnderWay<'a, T> {
    writes: &'a OwnWrites<T>,
    /// `None` once it has ended.
    key: Option<ReconcileKey>,
}

impl<T> UnderWay<'_, T> {
    /// Remembers the object of the answer until the watch shows it. Tells whether the watch has shown
    /// something newer already, which is news.
    pub fn wrote(mut self, resource_version: &str, object: T) -> bool {
        let Some(key) = self.key.take() else {
            return false;
        };
        let written = version(resource_version);
        let mut state = self.writes.state();
        let shown = state.end(&key);
        let held = match shown {
            Some(shown) if shown >= written => Written::Shown,
            _ => Written::Object(object),
        };
        state.insert(key, written, held);
        shown.is_some_and(|shown| shown > written)
    }

    /// Remembers that the object was deleted; `resource_version` is that which the watch showed when the
    /// write began. Tells whether it has shown something newer since.
    pub fn deleted(mut self, resource_version: &str) -> bool {
        let Some(key) = self.key.take() else {
            return false;
        };
        let deleted = version(resource_version);
        let mut state = self.writes.state();
        let shown = state.end(&key);
        if shown == Some(GONE) {
            return false;
        }
        state.insert(key, deleted, Written::Deleted);
        shown.is_some_and(|shown| shown > deleted)
    }

    /// Ends a write that came to nothing. Tells whether the watch has shown anything since it began,
    /// which is news.
    pub fn failed(mut self) -> bool {
        let key = self.key.take();
        key.is_some_and(|key| self.writes.state().end(&key).is_some())
    }
}

impl<T> Drop for UnderWay<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.writes.state().end(key);
        }
    }
}

/// The writes that the watch may not show yet; none is made or forgotten meanwhile.
#[derive(Debug)]
pub struct Latest<'a, T>(MutexGuard<'a, State<T>>);

impl<T: Clone> Latest<'_, T> {
    /// What was written last, if the watch does not show it yet: the object, or `None` in the option if
    /// it was deleted. `seen` is the resource version that the watch shows, `None` if it shows nothing.
    pub fn newer_than(&mut self, key: &ReconcileKey, seen: Option<&str>) -> Option<Option<T>> {
        let entry = self.0.entries.get(key)?;
        let written = match (seen, &entry.state) {
            (Some(seen), Written::Object(object)) if version(seen) < entry.resource_version => {
                Some(Some(object.clone()))
            }
            (None, Written::Object(object)) => Some(Some(object.clone())),
            (Some(seen), Written::Deleted) if version(seen) <= entry.resource_version => Some(None),
            _ => None,
        };
        if written.is_some() && entry.written.elapsed() <= BELIEVED {
            return written;
        }
        // The events that show it may be still to come.
        let is_old = entry.written.elapsed() > REPEATED;
        match self.0.entries.get_mut(key) {
            Some(entry) if !is_old => {
                if matches!(entry.state, Written::Object(_)) {
                    entry.state = Written::Shown;
                }
            }
            _ => drop(self.0.entries.remove(key)),
        }
        None
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
        writes.begin(key()).wrote("10", "new");
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
        assert!(writes.is_news(&key(), "9"));
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
        writes.begin(key()).wrote("10", held.clone());
        for _ in 0..2 {
            assert!(
                !writes.is_news(&key(), "10"),
                "several events may show one state"
            );
        }
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
        assert_eq!(writes.latest().newer_than(&key(), Some("10")), None);
        writes.begin(key()).deleted("11");
        assert!(!writes.is_news(&key(), "11"));
        assert_eq!(
            writes.latest().newer_than(&key(), Some("11")),
            Some(None),
            "it is shown, and going"
        );
    }

    #[test]
    fn an_event_during_a_write_is_judged_by_its_answer() {
        let writes = OwnWrites::default();
        for (shown, news) in [
            (None, false),
            (Some("9"), false),
            (Some("10"), false),
            (Some("11"), true),
        ] {
            let held = std::sync::Arc::new(());
            let write = writes.begin(key());
            if let Some(shown) = shown {
                assert!(!writes.is_news(&key(), shown), "not known yet");
            }
            assert_eq!(write.wrote("10", held.clone()), news, "{shown:?}");
            let is_held = std::sync::Arc::strong_count(&held) == 2;
            assert_eq!(is_held, matches!(shown, None | Some("9")), "{shown:?}");
            writes.forget(&key());
        }
        for shown in [None, Some("10")] {
            let write = writes.begin(key());
            if let Some(shown) = shown {
                assert!(!writes.is_news(&key(), shown));
            }
            assert_eq!(write.failed(), shown.is_some(), "somebody else's doing");
        }
        drop(writes.begin(key()));
        assert!(writes.is_news(&key(), "12"), "nothing is under way");
    }

    #[test]
    fn an_object_that_vanishes_during_a_write_is_not_believed_to_be_there() {
        let writes = OwnWrites::default();
        let write = writes.begin(key());
        assert!(!writes.forget(&key()));
        assert!(write.wrote("10", ()), "somebody deleted what was created");
        assert_eq!(writes.latest().newer_than(&key(), None), None);
        let write = writes.begin(key());
        writes.forget(&key());
        assert!(!write.deleted("10"), "that is what was asked for");
        let write = writes.begin(key());
        assert!(!writes.is_news(&key(), "12"), "not known yet");
        assert!(write.deleted("10"), "somebody created it again");
        assert_eq!(writes.latest().newer_than(&key(), Some("12")), None);
    }

    #[test]
    fn the_event_of_the_write_before_is_no_news_either() {
        let writes = OwnWrites::default();
        writes.begin(key()).wrote("10", ());
        let write = writes.begin(key());
        assert!(!writes.is_news(&key(), "10"));
        assert!(!write.failed(), "it was our own");
        // A reconcile may look at what the watch shows before the event is told.
        writes.begin(key()).wrote("11", ());
        assert_eq!(writes.latest().newer_than(&key(), Some("11")), None);
        assert!(!writes.is_news(&key(), "11"));
    }

    #[test]
    fn only_a_deletion_of_our_own_is_forgotten_as_one() {
        let writes = OwnWrites::default();
        assert!(!writes.forget(&key()));
        writes.begin(key()).wrote("10", ());
        assert!(!writes.forget(&key()));
        writes.begin(key()).deleted("11");
        assert!(writes.forget(&key()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_shown_does_not_pile_up() {
        let writes = OwnWrites::default();
        let key = |index| ReconcileKey::fleet(QualifiedName::cluster_scoped(format!("{index}")));
        writes.begin(key(0)).wrote("1", ());
        for index in 1..10_000 {
            writes.begin(key(index)).wrote("1", ());
            assert!(!writes.is_news(&key(index), "1"));
            tokio::time::advance(Duration::from_millis(5)).await;
        }
        let left = writes.state().entries.len();
        assert!(left <= 2 * SWEPT_FROM, "{left}");
        assert_eq!(
            writes.latest().newer_than(&key(0), None),
            Some(Some(())),
            "not shown yet"
        );
    }

    #[test]
    fn no_event_comes_between_reading_what_is_shown_and_what_was_written() {
        let (writes, shown) = (OwnWrites::default(), Mutex::new("9"));
        writes.begin(key()).wrote("10", "new");
        let event = || {
            *shown.lock().unwrap() = "10";
            writes.is_news(&key(), "10")
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
            assert!(!event.join().unwrap());
        });
        let mut latest = writes.latest();
        let seen = *shown.lock().unwrap();
        assert_eq!(latest.newer_than(&key(), Some(seen)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_believed_until_the_watch_shows_nothing_or_something_newer() {
        let writes = OwnWrites::<()>::default();
        writes.begin(key()).deleted("10");
        assert_eq!(writes.latest().newer_than(&key(), Some("10")), Some(None));
        assert_eq!(
            writes.latest().newer_than(&key(), Some("11")),
            None,
            "somebody created it again"
        );
        writes.begin(key()).deleted("10");
        assert_eq!(writes.latest().newer_than(&key(), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_no_watch_ever_shows_is_doubted_after_a_while() {
        let writes = OwnWrites::default();
        writes.begin(key()).wrote("10", "new");
        tokio::time::advance(Duration::from_secs(66)).await;
        assert_eq!(writes.latest().newer_than(&key(), None), None);
        writes.begin(key()).wrote("opaque", "new");
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
