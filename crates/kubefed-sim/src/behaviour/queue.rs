//! Work that is due at a time, each piece of it once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::Locator;

/// Pieces of work (a loop and an object) by the time since the start of the simulation.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    by_time: BTreeMap<(Duration, u64), (usize, Locator)>,
    by_work: BTreeMap<(usize, Locator), (Duration, u64)>,
    sequence: u64,
}

impl Queue {
    /// Adds a piece of work; one that is queued already keeps the earlier of the two times.
    pub(crate) fn push(&mut self, due: Duration, index: usize, locator: Locator) {
        let work = (index, locator);
        if let Some(slot) = self.by_work.get(&work).copied() {
            if slot.0 <= due {
                return;
            }
            self.by_time.remove(&slot);
        }
        self.sequence += 1;
        let slot = (due, self.sequence);
        self.by_time.insert(slot, work.clone());
        self.by_work.insert(work, slot);
    }

    /// Takes the first piece of work that is due.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<(usize, Locator)> {
        let entry = self
            .by_time
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let work = entry.remove();
        self.by_work.remove(&work);
        Some(work)
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.by_time.first_key_value().map(|((due, _), _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::object::Key;

    #[test]
    fn work_is_done_once_at_the_earlier_time() {
        let seconds = Duration::from_secs;
        let locator = |name: &str| (Arc::from("pods"), Key::new(None, name));
        let mut queue = Queue::default();
        queue.push(seconds(5), 0, locator("a"));
        queue.push(seconds(3), 0, locator("b"));
        queue.push(seconds(1), 0, locator("a"));
        queue.push(seconds(9), 0, locator("a"));
        assert_eq!(queue.next_due(), Some(seconds(1)));
        assert_eq!(queue.pop(seconds(0)), None);
        let names: Vec<String> = std::iter::from_fn(|| queue.pop(seconds(5)))
            .map(|(_, (_, key))| key.to_string())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(queue.next_due(), None);
    }
}
