//! Changes on their way to whoever follows an informer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::Stream;
use kubefed_api::{ClusterName, QualifiedName};
use tokio::sync::Notify;

/// Names that a subscriber may leave unread before they are replaced by one [`Event::Everything`].
///
/// A pending name is about 150 bytes, so one slow subscriber holds 10 MB at most.
pub(crate) const PENDING_MAX: usize = 65_536;

/// Something that an informer noticed. An event says *look again*; what is true now is told by the
/// store, which has changed before the event can be received.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An object appeared, changed or vanished.
    Object {
        /// The cluster that holds or held it.
        cluster: ClusterName,
        /// Its name.
        name: QualifiedName,
        /// What happened to it.
        change: Change,
    },
    /// The store now knows what this cluster holds.
    Synced(ClusterName),
    /// The store no longer knows what this cluster holds: the cluster is not ready, has left the fleet,
    /// or cannot be watched.
    Lost(ClusterName),
    /// More happened than was kept: look at every object of every cluster.
    Everything,
}

/// What happened to an object since the subscriber last heard of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
// Closed: these are the kinds of change that a watch knows.
pub enum Change {
    /// It was not there before.
    Created,
    /// It differs from before, or is another object of the same name.
    Updated,
    /// It is gone, or no longer matches the selector of the watch.
    Deleted,
}

impl Change {
    /// Two changes, none of which was heard of, as one.
    fn then(self, later: Self) -> Self {
        match (self, later) {
            (_, Self::Deleted) => Self::Deleted,
            (Self::Created, _) => Self::Created,
            _ => Self::Updated,
        }
    }
}

/// The receiving end of an informer's events.
///
/// Pending events are a set: however often an object changes, it waits here once, with the changes
/// merged into one. A slow subscriber therefore costs memory for the distinct names only, and no more
/// than a fixed number of those. Events come in the order in which their names began to wait.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

impl Subscription {
    /// The next event; `None` once the informer has stopped and everything has been received.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let mut pending = self.queue.lock();
                if let Some(event) = pending.pop() {
                    return Some(event);
                }
                if pending.closed {
                    return None;
                }
            }
            // A wake-up since then has left a permit, so it is not lost.
            self.queue.woken.notified().await;
        }
    }

    /// An event that is waiting already, if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.lock().pop()
    }

    /// The events as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send + use<> {
        futures::stream::unfold(self, |mut subscription| async move {
            let event = subscription.next().await?;
            Some((event, subscription))
        })
    }
}

/// The sending end. Dropping it ends all subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    subscribers: Mutex<Vec<Weak<Queue>>>,
}

impl Feed {
    pub(crate) fn subscribe(&self) -> Subscription {
        let queue = Arc::new(Queue::default());
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&queue));
        Subscription { queue }
    }

    pub(crate) fn send(&self, event: &Event) {
        for subscriber in lock(&self.subscribers).iter().filter_map(Weak::upgrade) {
            subscriber.push(event.clone());
        }
    }
}

impl Subscription {
    /// Makes an event wait, as if the informer had sent it.
    pub(crate) fn push(&self, event: Event) {
        self.queue.push(event);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for subscriber in lock(&self.subscribers).iter().filter_map(Weak::upgrade) {
            subscriber.lock().closed = true;
            subscriber.woken.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    pending: Mutex<Pending>,
    woken: Notify,
}

impl Queue {
    fn push(&self, event: Event) {
        self.lock().push(event, PENDING_MAX);
        self.woken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }
}

/// What waits for one subscriber: an order of distinct keys, and what is to be said of each.
#[derive(Debug, Default)]
struct Pending {
    order: VecDeque<Key>,
    objects: BTreeMap<Key, Event>,
    closed: bool,
}

/// What two events have in common that are about the same thing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Everything,
    Cluster(ClusterName),
    Object(ClusterName, QualifiedName),
}

impl Pending {
    fn push(&mut self, event: Event, capacity: usize) {
        match self.objects.entry(key(&event)) {
            Entry::Occupied(mut waiting) => {
                let merged = merge(waiting.get(), event);
                waiting.insert(merged);
            }
            Entry::Vacant(vacant) if self.order.len() < capacity => {
                self.order.push_back(vacant.key().clone());
                vacant.insert(event);
            }
            Entry::Vacant(_) => self.overflow(event),
        }
    }

    /// Forgets the objects, but not what is known of clusters.
    fn overflow(&mut self, event: Event) {
        self.order.retain(|key| matches!(key, Key::Cluster(_)));
        self.objects.retain(|key, _| matches!(key, Key::Cluster(_)));
        for event in [event, Event::Everything] {
            let key = key(&event);
            if !matches!(key, Key::Object(..)) && self.objects.insert(key.clone(), event).is_none()
            {
                self.order.push_back(key);
            }
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let key = self.order.pop_front()?;
        self.objects.remove(&key)
    }
}

fn key(event: &Event) -> Key {
    match event {
        Event::Object { cluster, name, .. } => Key::Object(cluster.clone(), name.clone()),
        Event::Synced(cluster) | Event::Lost(cluster) => Key::Cluster(cluster.clone()),
        Event::Everything => Key::Everything,
    }
}

fn merge(waiting: &Event, later: Event) -> Event {
    match (waiting, later) {
        (
            Event::Object { change: first, .. },
            Event::Object {
                cluster,
                name,
                change,
            },
        ) => Event::Object {
            cluster,
            name,
            change: first.then(change),
        },
        (_, later) => later,
    }
}

/// No code panics while it holds one of these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, change: Change) -> Event {
        Event::Object {
            cluster: "east".into(),
            name: QualifiedName::cluster_scoped(name),
            change,
        }
    }

    fn drain(subscription: &mut Subscription) -> Vec<Event> {
        std::iter::from_fn(|| subscription.try_next()).collect()
    }

    #[test]
    fn a_name_waits_once_with_its_changes_merged() {
        use Change::{Created, Deleted, Updated};
        let cases: [(&[Change], Change); 7] = [
            (&[Created, Updated, Updated], Created),
            (&[Created, Deleted], Deleted),
            (&[Updated, Deleted], Deleted),
            (&[Deleted, Created], Updated),
            (&[Updated, Deleted, Created], Updated),
            (&[Created, Created], Created),
            (&[Deleted, Created, Deleted], Deleted),
        ];
        for (changes, expected) in cases {
            let feed = Feed::default();
            let mut subscription = feed.subscribe();
            for change in changes {
                feed.send(&object("a", *change));
                feed.send(&object("b", Updated));
            }
            let expected = [object("a", expected), object("b", Updated)];
            assert_eq!(drain(&mut subscription), expected, "{changes:?}");
        }
    }

    #[test]
    fn a_cluster_waits_with_the_last_that_is_known_of_it() {
        let feed = Feed::default();
        let mut subscription = feed.subscribe();
        feed.send(&Event::Synced("east".into()));
        feed.send(&Event::Lost("east".into()));
        assert_eq!(drain(&mut subscription), [Event::Lost("east".into())]);
    }

    #[test]
    fn too_much_waiting_becomes_one_event_for_everything() {
        let mut pending = Pending::default();
        for event in [
            Event::Lost("east".into()),
            object("a", Change::Created),
            object("b", Change::Created),
            object("a", Change::Deleted),
            object("c", Change::Created),
            object("d", Change::Created),
        ] {
            pending.push(event, 3);
        }
        let events: Vec<_> = std::iter::from_fn(|| pending.pop()).collect();
        let expected = [
            Event::Lost("east".into()),
            Event::Everything,
            object("d", Change::Created),
        ];
        assert_eq!(events, expected);
        assert!(pending.objects.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_is_woken_and_released() {
        let feed = Feed::default();
        let mut subscription = feed.subscribe();
        let reader = tokio::spawn(async move {
            let mut events = Vec::new();
            while let Some(event) = subscription.next().await {
                events.push(event);
            }
            events
        });
        tokio::task::yield_now().await;
        feed.send(&object("a", Change::Created));
        tokio::task::yield_now().await;
        feed.send(&object("a", Change::Deleted));
        drop(feed);
        let expected = [object("a", Change::Created), object("a", Change::Deleted)];
        assert_eq!(reader.await.unwrap(), expected);
    }
}
