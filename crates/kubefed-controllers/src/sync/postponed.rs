//! What a reconcile leaves for later while other objects wait for their copies.
//!
//! Of the five writes that a new object costs the host cluster, four are about what was done: two of its
//! version object, its status and its event. When many objects change at once, they come after the
//! copies of all, so that the members have theirs in half the time. A control plane that is stopped in
//! between reads the copies when it starts again; the events of these seconds are not told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubefed_api::{FederatedObject, QualifiedName};
use tokio::time::Instant;

use crate::events::Note;

/// How much later than its copies an object's status may be written. In this time three clusters on two
/// cores take some two thousand objects, and nobody who waits for a status gives up.
const LATEST: Duration = Duration::from_secs(15);

/// The objects of which something is left to be written down.
#[derive(Default)]
pub(super) struct Postponed(Mutex<BTreeMap<QualifiedName, Rest>>);

/// What nothing but the reconcile that was cut short can tell.
struct Rest {
    uid: String,
    since: Instant,
    notes: Vec<Note>,
}

impl Postponed {
    /// Keeps what is to be told, and tells how long it may wait; `None` if it must not wait any longer.
    pub(super) fn put_off(
        &self,
        object: &FederatedObject,
        notes: &mut Vec<Note>,
    ) -> Option<Duration> {
        let now = Instant::now();
        let new = || Rest {
            uid: object.uid().to_owned(),
            since: now,
            notes: Vec::new(),
        };
        let mut objects = self.objects();
        let rest = objects.entry(object.name().clone()).or_insert_with(new);
        if rest.uid != object.uid() {
            *rest = new();
        }
        let left = (rest.since + LATEST).checked_duration_since(now)?;
        if left.is_zero() {
            return None;
        }
        rest.notes.append(notes);
        Some(left)
    }

    /// What was to be told; `None` if nothing was put off.
    pub(super) fn take_notes(&self, object: &FederatedObject) -> Option<Vec<Note>> {
        let mut objects = self.objects();
        let rest = objects.get_mut(object.name());
        let rest = rest.filter(|rest| rest.uid == object.uid());
        rest.map(|rest| std::mem::take(&mut rest.notes))
    }

    /// Nothing is left to be written down.
    pub(super) fn forget(&self, name: &QualifiedName) {
        self.objects().remove(name);
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<QualifiedName, Rest>> {
        // A map operation cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
