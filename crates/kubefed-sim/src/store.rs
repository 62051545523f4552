//! Objects, their history and the one counter of resource versions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::json;
use crate::object::{Key, Object};

/// All objects of a cluster. One revision counter over all kinds; a bounded window of changes.
#[derive(Debug)]
pub(crate) struct Store {
    tables: BTreeMap<Arc<str>, Table>,
    revision: u64,
    /// Changes up to and including this revision are forgotten.
    compacted: u64,
    /// The tables of the remembered changes, oldest first.
    window: VecDeque<(u64, Arc<str>)>,
    window_max: usize,
    dependents: BTreeMap<Box<str>, BTreeSet<Locator>>,
    /// Changes that the cluster's own loops have not seen yet.
    unseen: Vec<(Arc<str>, Change)>,
    clock: Clock,
}

/// Table and key of an object.
pub(crate) type Locator = (Arc<str>, Key);

#[derive(Debug, Default)]
pub(crate) struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    log: VecDeque<Change>,
    changed: Arc<Notify>,
}

/// A committed write: what was there before, and what is there now.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    /// When it was made, since the start of the simulation.
    pub(crate) at: Duration,
    pub(crate) old: Option<Arc<Object>>,
    /// After a removal: the last state, at the removal's revision.
    pub(crate) new: Arc<Object>,
    pub(crate) removed: bool,
}

/// Why a past revision cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted;

impl Store {
    /// `window_max` is the number of changes that watches and snapshots can go back.
    pub(crate) fn new(window_max: usize, clock: Clock) -> Self {
        Self {
            tables: BTreeMap::new(),
            // etcd starts at 1, and so no object ever has a resource version of 0.
            revision: 1,
            compacted: 0,
            window: VecDeque::new(),
            window_max,
            dependents: BTreeMap::new(),
            unseen: Vec::new(),
            clock,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn open_table(&mut self, id: &Arc<str>) {
        self.tables.entry(id.clone()).or_default();
    }

    /// Forgets a table. Its watches notice and end.
    pub(crate) fn drop_table(&mut self, id: &str) {
        if let Some(table) = self.tables.remove(id) {
            table.changed.notify_waiters();
        }
    }

    pub(crate) fn get(&self, table: &str, key: &Key) -> Option<&Arc<Object>> {
        self.tables.get(table)?.objects.get(key)
    }

    /// The objects of a table, of one namespace or of all.
    pub(crate) fn list<'a>(
        &'a self,
        table: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let bounds = match namespace.map(Key::namespace_bounds) {
            Some((first, end)) => (Bound::Included(first), Bound::Excluded(end)),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.objects.range(bounds.clone()))
            .map(|(_, object)| object)
    }

    pub(crate) fn is_empty(&self, table: &str) -> bool {
        self.tables
            .get(table)
            .is_none_or(|table| table.objects.is_empty())
    }

    /// Writes an object, stamping it with the next revision.
    pub(crate) fn put(&mut self, table: &Arc<str>, key: &Key, value: &mut Value) -> Arc<Object> {
        self.revision += 1;
        json::put(value, "metadata.resourceVersion", self.revision.to_string());
        let new = Arc::new(Object::new(key.clone(), self.revision, value));
        let old = self.entry(table).objects.insert(key.clone(), new.clone());
        self.index(table, key, old.as_deref(), Some(&new));
        let change = self.change(old, new.clone(), false);
        self.record(table, change);
        new
    }

    /// Removes an object; the result is its last state at the revision of the removal.
    pub(crate) fn remove(&mut self, table: &Arc<str>, key: &Key) -> Option<Arc<Object>> {
        let old = self.entry(table).objects.remove(key)?;
        self.revision += 1;
        let last = Arc::new(old.at_revision(self.revision));
        self.index(table, key, Some(&old), None);
        let change = self.change(Some(old), last.clone(), true);
        self.record(table, change);
        Some(last)
    }

    /// The objects that name an owner with this uid.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Locator> {
        self.dependents
            .get(uid)
            .map(|set| set.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The changes of a table after a revision, at most `max` of them.
    pub(crate) fn changes_after(
        &self,
        table: &str,
        revision: u64,
        max: usize,
    ) -> Result<Vec<Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let Some(table) = self.tables.get(table) else {
            return Ok(Vec::new());
        };
        let start = table
            .log
            .partition_point(|change| change.revision <= revision);
        Ok(table.log.range(start..).take(max).cloned().collect())
    }

    /// A table as it was at a revision: today's objects with the later changes undone.
    pub(crate) fn snapshot(
        &self,
        table: &str,
        revision: u64,
    ) -> Result<BTreeMap<Key, Arc<Object>>, Compacted> {
        let changes = self.changes_after(table, revision, usize::MAX)?;
        let mut objects = self
            .tables
            .get(table)
            .map(|table| table.objects.clone())
            .unwrap_or_default();
        for change in changes.into_iter().rev() {
            match change.old {
                Some(old) => objects.insert(old.key.clone(), old),
                None => objects.remove(&change.new.key),
            };
        }
        Ok(objects)
    }

    /// What wakes the watches of a table; none once the table is gone.
    pub(crate) fn changed(&self, table: &str) -> Option<Arc<Notify>> {
        self.tables.get(table).map(|table| table.changed.clone())
    }

    /// Wakes every watch, so that each looks at the faults and at its table again.
    pub(crate) fn wake_all(&self) {
        for table in self.tables.values() {
            table.changed.notify_waiters();
        }
    }

    /// Forgets all history: older revisions answer 410 from now on.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
        self.window.clear();
        for table in self.tables.values_mut() {
            table.log.clear();
        }
        self.wake_all();
    }

    pub(crate) fn take_unseen(&mut self) -> Vec<(Arc<str>, Change)> {
        std::mem::take(&mut self.unseen)
    }

    fn entry(&mut self, table: &Arc<str>) -> &mut Table {
        self.tables.entry(table.clone()).or_default()
    }

    fn change(&self, old: Option<Arc<Object>>, new: Arc<Object>, removed: bool) -> Change {
        Change {
            revision: self.revision,
            at: self.clock.elapsed(),
            old,
            new,
            removed,
        }
    }

    fn record(&mut self, id: &Arc<str>, change: Change) {
        self.unseen.push((id.clone(), change.clone()));
        self.window.push_back((change.revision, id.clone()));
        let table = self.entry(id);
        table.log.push_back(change);
        table.changed.notify_waiters();
        while self.window.len() > self.window_max {
            let Some((revision, id)) = self.window.pop_front() else {
                break;
            };
            self.compacted = revision;
            // A table that was dropped and opened again does not hold the older changes.
            let table = self.tables.get_mut(&id);
            if let Some(table) =
                table.filter(|table| table.log.front().is_some_and(|c| c.revision == revision))
            {
                table.log.pop_front();
            }
        }
    }

    fn index(&mut self, table: &Arc<str>, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        if old.map(|old| &old.owners) == new.map(|new| &new.owners) {
            return;
        }
        for owner in old.into_iter().flat_map(|old| old.owners.iter()) {
            if let Some(set) = self.dependents.get_mut(&owner.uid) {
                set.remove(&(table.clone(), key.clone()));
                if set.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        for owner in new.into_iter().flat_map(|new| new.owners.iter()) {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert((table.clone(), key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> (Store, Arc<str>) {
        (Store::new(4, Clock::new()), Arc::from("configmaps"))
    }

    fn put(store: &mut Store, table: &Arc<str>, name: &str) -> u64 {
        let key = Key::new(Some("default"), name);
        let mut value =
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}});
        store.put(table, &key, &mut value).revision
    }

    fn names(objects: &BTreeMap<Key, Arc<Object>>) -> Vec<&str> {
        objects.keys().map(Key::name).collect()
    }

    #[test]
    fn a_snapshot_shows_what_was_there_at_its_revision() {
        let (mut store, table) = store();
        put(&mut store, &table, "a");
        let then = put(&mut store, &table, "b");
        put(&mut store, &table, "c");
        store.remove(&table, &Key::new(Some("default"), "a"));
        assert_eq!(names(&store.snapshot(&table, then).unwrap()), ["a", "b"]);
        assert_eq!(
            names(&store.snapshot(&table, store.revision()).unwrap()),
            ["b", "c"]
        );
    }

    #[test]
    fn a_full_window_forgets_the_oldest_changes() {
        let (mut store, table) = store();
        let first = put(&mut store, &table, "a");
        for name in ["b", "c", "d", "e"] {
            put(&mut store, &table, name);
        }
        assert_eq!(
            store.changes_after(&table, first - 1, 9).err(),
            Some(Compacted)
        );
        assert_eq!(store.changes_after(&table, first, 9).unwrap().len(), 4);
        assert_eq!(
            store.snapshot(&table, first).map(|objects| objects.len()),
            Ok(1)
        );
    }

    #[test]
    fn keys_of_a_namespace_do_not_mix_with_those_of_its_neighbours() {
        let (mut store, table) = store();
        for namespace in ["a", "a-b", "a0", "ab"] {
            let mut value = json!({"metadata": {"name": "x"}});
            store.put(&table, &Key::new(Some(namespace), "x"), &mut value);
        }
        let keys: Vec<_> = store
            .list(&table, Some("a"))
            .map(|object| object.key.as_str())
            .collect();
        assert_eq!(keys, ["a/x"]);
    }
}
