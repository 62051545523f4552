//! What a reconcile leaves for later while other objects wait for their copies.
//!
//! Of the seven writes that a new object costs the host cluster, three are about what was done: its
//! version object, its status and its event. When many objects change at once, they come after the
//! copies of all, so that the members have theirs in half the time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubefed_api::QualifiedName;
use tokio::time::Instant;

use crate::events::Note;

/// How much later than its copies an object's status may be written. In this time a host on two cores
/// takes some two thousand objects, and nobody who waits for a status gives up.
const LATEST: Duration = Duration::from_secs(15);

/// The objects of which something is left to be written down.
#[derive(Default)]
pub(super) struct Postponed(Mutex<BTreeMap<QualifiedName, Rest>>);

/// What nothing but the reconcile that was cut short can tell.
struct Rest {
    since: Instant,
    notes: Vec<Note>,
}

impl Postponed {
    /// Keeps what is to be told, and tells how long it may wait; `None` if it must not wait any longer.
    pub(super) fn put_off(&self, name: &QualifiedName, notes: &mut Vec<Note>) -> Option<Duration> {
        let now = Instant::now();
        let mut objects = self.objects();
        let since = objects.get(name).map_or(now, |rest| rest.since);
        let left = (since + LATEST).checked_duration_since(now)?;
        if left.is_zero() {
            return None;
        }
        let rest = objects.entry(name.clone()).or_insert_with(|| Rest {
            since,
            notes: Vec::new(),
        });
        rest.notes.append(notes);
        Some(left)
    }

    /// What was put off; `None` if nothing was.
    pub(super) fn take(&self, name: &QualifiedName) -> Option<Vec<Note>> {
        self.objects().remove(name).map(|rest| rest.notes)
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<QualifiedName, Rest>> {
        // A map operation cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
