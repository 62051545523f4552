//! What one cluster holds of one kind, and whether that is known at all.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::api::ApiResource;
use kube::runtime::watcher;
use kubefed_api::{ClusterName, QualifiedName};
use tokio::sync::watch;

use crate::feed::{Change, Event, Feed};
use crate::health::ClusterState;
use crate::observed::Observed;
use crate::received::Received;

/// What a store says about one object.
///
/// `Absent` means that a synced watch does not show the object. If the watch has a label selector, an
/// object without the label looks absent too: only a GET proves absence.
// Closed: the whole point is that every caller treats ignorance on its own.
#[derive(Clone, Debug)]
pub enum Lookup<T> {
    /// Nobody knows.
    Unknown(Unknown),
    /// The watch shows no such object.
    Absent,
    /// The watch shows this object.
    Present(Arc<T>),
}

impl<T> Lookup<T> {
    /// The object, if it is present.
    pub fn present(&self) -> Option<&Arc<T>> {
        match self {
            Self::Present(record) => Some(record),
            _ => None,
        }
    }

    /// Why nobody knows, if that is so.
    pub fn unknown(&self) -> Option<&Unknown> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

/// Why it is unknown what a cluster holds. Ignorance is never a cause to act.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unknown {
    /// The fleet has no such cluster, or has not been listed yet.
    NotInFleet,
    /// The cluster is not ready.
    NotReady(ClusterState),
    /// The first list has not been answered yet.
    Listing,
    /// Lists or watches fail.
    Failing {
        /// The last error.
        error: Arc<str>,
        /// How many there were in a row.
        failures: u32,
    },
    /// This one object is there but cannot be decoded.
    Undecodable(Arc<str>),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInFleet => f.write_str("the cluster is not in the fleet"),
            Self::NotReady(state) => write!(f, "the cluster is {state}"),
            Self::Listing => f.write_str("the first list has not been answered"),
            // Without the count, so that what is said of a lasting trouble stays the same.
            Self::Failing { error, .. } => write!(f, "the watch fails: {error}"),
            Self::Undecodable(error) => write!(f, "the object cannot be decoded: {error}"),
        }
    }
}

/// What one cluster holds of one kind, as a watch shows it.
///
/// Reading takes a lock that is only ever held for the time of a map operation.
pub struct Store<T> {
    cluster: ClusterName,
    contents: RwLock<Contents<T>>,
    feed: Arc<Feed>,
    names: Arc<Names>,
    /// Counts changes of the sync state, here or in stores beside this one, for those who wait for one.
    sync_changes: watch::Sender<u64>,
}

struct Contents<T> {
    objects: BTreeMap<QualifiedName, Held<T>>,
    /// The list that is running or was the last; what it did not mention is gone when it ends.
    list: u32,
    /// `None` while the contents are known to be what the watch shows.
    unknown: Option<Unknown>,
}

struct Held<T> {
    record: Result<Arc<T>, Arc<str>>,
    list: u32,
}

impl<T> Store<T> {
    pub(crate) fn new(
        cluster: ClusterName,
        feed: Arc<Feed>,
        names: Arc<Names>,
        sync_changes: watch::Sender<u64>,
    ) -> Self {
        Self {
            cluster,
            contents: RwLock::new(Contents {
                objects: BTreeMap::new(),
                list: 0,
                unknown: Some(Unknown::Listing),
            }),
            feed,
            names,
            sync_changes,
        }
    }

    /// The cluster whose objects these are.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// What is known about one object. Logarithmic in the number of objects.
    pub fn get(&self, name: &QualifiedName) -> Lookup<T> {
        let contents = self.read();
        if let Some(why) = &contents.unknown {
            return Lookup::Unknown(why.clone());
        }
        match contents.objects.get(name).map(|held| &held.record) {
            None => Lookup::Absent,
            Some(Ok(record)) => Lookup::Present(record.clone()),
            Some(Err(error)) => Lookup::Unknown(Unknown::Undecodable(error.clone())),
        }
    }

    /// Why the contents are unknown; `None` once they are known.
    pub fn unknown(&self) -> Option<Unknown> {
        self.read().unknown.clone()
    }

    /// Whether the contents are known.
    pub fn is_synced(&self) -> bool {
        self.read().unknown.is_none()
    }

    /// Every decodable object in the order of names; the last known ones while the store is not synced.
    pub fn snapshot(&self) -> Vec<(QualifiedName, Arc<T>)> {
        let contents = self.read();
        let decoded = |(name, held): (&QualifiedName, &Held<T>)| {
            let record = held.record.as_ref().ok()?;
            Some((name.clone(), record.clone()))
        };
        contents.objects.iter().filter_map(decoded).collect()
    }

    /// The names of all objects in order, undecodable ones included; the last known ones while the store
    /// is not synced.
    pub fn names(&self) -> Vec<QualifiedName> {
        self.read().objects.keys().cloned().collect()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the contents are known.
    pub async fn until_synced(&self) {
        let mut changes = self.sync_changes.subscribe();
        while !self.is_synced() {
            // The sender is a field of this store, so the channel stays open.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents<T>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents<T>> {
        self.contents
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writing: what the watch of this cluster, the only writer, reports.
impl<T: Observed> Store<T> {
    /// Takes an event of the watch; tells whether it proves that the watch works.
    pub(crate) fn take(&self, event: watcher::Event<Received<T>>, resource: &ApiResource) -> bool {
        match event {
            watcher::Event::Init => {
                self.write().list += 1;
                false
            }
            watcher::Event::InitApply(object) => {
                self.apply(object, resource);
                false
            }
            watcher::Event::InitDone => {
                self.finish_list();
                true
            }
            watcher::Event::Apply(object) => {
                self.apply(object, resource);
                true
            }
            watcher::Event::Delete(object) => {
                self.delete(&object);
                true
            }
        }
    }

    fn apply(&self, object: Received<T>, resource: &ApiResource) {
        let Some(name) = object.metadata.name.as_deref() else {
            tracing::warn!(cluster = %self.cluster, kind = resource.kind, "object without a name");
            return;
        };
        let namespace = object.metadata.namespace.as_deref();
        let record = object.record.map(|mut record| {
            record.complete_type(resource);
            Arc::new(record)
        });
        if let Err(error) = &record {
            tracing::warn!(cluster = %self.cluster, kind = resource.kind, name, %error, "undecodable object");
        }
        let name = QualifiedName::new(namespace, name);
        let mut contents = self.write();
        let list = contents.list;
        let change = match contents.objects.get_mut(&name) {
            Some(held) => {
                held.list = list;
                let same =
                    matches!((&held.record, &record), (Ok(old), Ok(new)) if old.is_same(new));
                if same {
                    return;
                }
                held.record = record;
                Change::Updated
            }
            None => {
                let name = self.names.shared(&name);
                contents.objects.insert(name, Held { record, list });
                Change::Created
            }
        };
        drop(contents);
        self.changed(name, change);
    }

    fn delete(&self, object: &Received<T>) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let name = QualifiedName::new(object.metadata.namespace.as_deref(), name);
        if self.write().objects.remove(&name).is_some() {
            self.changed(name, Change::Deleted);
        }
    }

    /// Drops what the list did not mention; from now on the contents are known. Linear in the number of
    /// objects.
    fn finish_list(&self) {
        let mut contents = self.write();
        let list = contents.list;
        // A map that is built at once has full nodes; one that grew in the order of a list has half-full
        // ones, which is 40 bytes an object.
        let all = std::mem::take(&mut contents.objects).into_iter();
        let (listed, gone): (Vec<_>, Vec<_>) = all.partition(|(_, held)| held.list == list);
        contents.objects = listed.into_iter().collect();
        let was_unknown = contents.unknown.take().is_some();
        drop(contents);
        for (name, _) in gone {
            self.changed(name, Change::Deleted);
        }
        if was_unknown {
            self.sync_changed(Event::Synced(self.cluster.clone()));
        }
    }

    /// Remembers why the contents are not known (any more). The last known objects are kept, to be
    /// compared with the next list.
    pub(crate) fn forget(&self, why: Unknown) {
        let was_synced = self.write().unknown.replace(why).is_none();
        if was_synced {
            self.sync_changed(Event::Lost(self.cluster.clone()));
        } else {
            self.sync_changes.send_modify(|count| *count += 1);
        }
    }

    /// Drops everything, because it belongs to a cluster that has left or was replaced.
    pub(crate) fn clear(&self, why: Unknown) {
        let objects = std::mem::take(&mut self.write().objects);
        for name in objects.into_keys() {
            self.changed(name, Change::Deleted);
        }
        self.forget(why);
    }

    fn changed(&self, name: QualifiedName, change: Change) {
        self.feed.send(&Event::Object {
            cluster: self.cluster.clone(),
            name,
            change,
        });
    }

    fn sync_changed(&self, event: Event) {
        self.feed.send(&event);
        self.sync_changes.send_modify(|count| *count += 1);
    }
}

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.read();
        f.debug_struct("Store")
            .field("cluster", &self.cluster)
            .field("objects", &contents.objects.len())
            .field("unknown", &contents.unknown)
            .finish()
    }
}

/// Names that several clusters hold, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<SharedNames>);

#[derive(Debug, Default)]
struct SharedNames {
    texts: HashSet<Arc<str>>,
    /// Unused texts are looked for when there are as many as this.
    sweep_at: usize,
}

impl Names {
    fn shared(&self, name: &QualifiedName) -> QualifiedName {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.sweep();
        let text = names.shared(name.name());
        match name.namespace() {
            Some(namespace) => QualifiedName::namespaced(names.shared(namespace), text),
            None => QualifiedName::cluster_scoped(text),
        }
    }
}

impl SharedNames {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    /// Drops texts that nobody else holds. Doubling the mark makes the cost per name constant.
    fn sweep(&mut self) {
        if self.texts.len() >= self.sweep_at.max(64) {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = self.texts.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event as Seen;
    use kubefed_api::{ObservedCopy, ResourceType};
    use serde_json::{Value, json};

    use super::*;
    use crate::feed::Subscription;
    use crate::observed::RawObject;

    /// Tells a store what a watch sees, word by word, and shows what the store then says.
    struct Script<T> {
        store: Store<T>,
        events: Subscription,
    }

    impl<T: Observed> Script<T> {
        fn new() -> Self {
            let feed = Arc::new(Feed::default());
            let changes = watch::Sender::default();
            Self {
                events: feed.subscribe(),
                store: Store::new("east".into(), feed, Arc::default(), changes),
            }
        }

        /// `list a1 b2` lists a and b in versions 1 and 2, `+a2` and `-a2` are events, `!` a failure.
        fn play(&mut self, words: &str) -> String {
            for step in words.split(", ") {
                match step.split_at(1) {
                    ("l", _) => {
                        self.take(Seen::Init);
                        for object in step.split(' ').skip(1) {
                            self.take(Seen::InitApply(received(object)));
                        }
                        self.take(Seen::InitDone);
                    }
                    ("+", object) => self.take(Seen::Apply(received(object))),
                    ("-", object) => self.take(Seen::Delete(received(object))),
                    ("!", _) => self.store.forget(Unknown::NotReady(ClusterState::Offline)),
                    ("x", _) => self.store.clear(Unknown::NotInFleet),
                    _ => panic!("{step}"),
                }
            }
            let events = std::iter::from_fn(|| self.events.try_next());
            events
                .map(|event| line(&event))
                .collect::<Vec<_>>()
                .join(", ")
        }

        fn take(&self, event: Seen<Received<T>>) {
            let resource = ResourceType::default().api_resource();
            self.store.take(event, &resource);
        }

        fn says(&self, name: &str) -> &'static str {
            match self.store.get(&QualifiedName::namespaced("shop", name)) {
                Lookup::Unknown(_) => "unknown",
                Lookup::Absent => "absent",
                Lookup::Present(_) => "present",
            }
        }
    }

    fn received<T: Observed>(object: &str) -> Received<T> {
        let (name, version) = object.split_at(1);
        let object: Value = json!({"metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": version,
        }});
        serde_json::from_value(object).unwrap()
    }

    fn line(event: &Event) -> String {
        match event {
            Event::Object { name, change, .. } => format!("{} {change:?}", name.name()),
            Event::Synced(cluster) => format!("synced {cluster}"),
            Event::Lost(cluster) => format!("lost {cluster}"),
            Event::Everything => "everything".to_owned(),
        }
    }

    /// informer 10.1: what makes an event and what does not. Events name the object; deletions found by
    /// a list are those that other informers call tombstones.
    #[test]
    fn additions_changes_and_deletions_are_events_and_repetitions_are_not() {
        let check = |words: &str, expected: &str| {
            let mut script = Script::<ObservedCopy>::new();
            script.play("list a1 b1");
            assert_eq!(script.play(words), expected, "{words}");
        };
        check("+c1", "c Created");
        check("+a1", "");
        check("+a2", "a Updated");
        check("-a2", "a Deleted");
        check("-z1", "");
        check("list a1 b1", "");
        check("list b1 c1", "c Created, a Deleted");
        check("list b2", "b Updated, a Deleted");
        check("!, list a1 b1", "synced east");
        check("!", "lost east");
        check("!, !", "lost east");
        check("!, list b1", "synced east, a Deleted");
        check("x", "a Deleted, b Deleted, lost east");
    }

    #[test]
    fn nothing_is_absent_before_a_list_says_so() {
        let mut script = Script::<RawObject>::new();
        assert_eq!(script.says("a"), "unknown");
        script.take(Seen::Init);
        script.take(Seen::InitApply(received("a1")));
        assert_eq!([script.says("a"), script.says("b")], ["unknown", "unknown"]);
        script.take(Seen::InitDone);
        assert_eq!([script.says("a"), script.says("b")], ["present", "absent"]);
        script.play("!");
        assert_eq!([script.says("a"), script.says("b")], ["unknown", "unknown"]);
        assert_eq!(script.store.names().len(), 1);
        script.play("list b1");
        assert_eq!([script.says("a"), script.says("b")], ["absent", "present"]);
    }

    #[test]
    fn an_undecodable_object_is_neither_present_nor_absent() {
        #[derive(Clone, Debug)]
        struct Never;
        impl Observed for Never {
            fn observe(_: Value) -> Result<Self, serde_json::Error> {
                serde_json::from_str::<u8>("").map(|_| Self)
            }
            fn is_same(&self, _: &Self) -> bool {
                true
            }
        }
        let mut script = Script::<Never>::new();
        assert_eq!(script.play("list a1"), "a Created, synced east");
        assert_eq!(script.says("a"), "unknown");
        assert_eq!((script.store.len(), script.store.snapshot().len()), (1, 0));
    }

    #[test]
    fn names_are_kept_once_and_forgotten_when_unused() {
        let names = Names::default();
        let first = names.shared(&QualifiedName::namespaced("shop", "web"));
        let second = names.shared(&QualifiedName::namespaced("shop", "web"));
        assert!(std::ptr::eq(first.name(), second.name()));
        for index in 0..10_000 {
            names.shared(&QualifiedName::cluster_scoped(format!("unused-{index}")));
        }
        assert!(names.0.lock().unwrap().texts.len() < 100);
        let third = names.shared(&QualifiedName::namespaced("shop", "web"));
        assert!(std::ptr::eq(first.name(), third.name()));
    }
}
