use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubefed_api::{ClusterName, QualifiedName};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What a reconcile is about: an object, in one member cluster or in the fleet as a whole.
///
/// The object need not exist: a key is also queued because something vanished.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReconcileKey {
    /// The member cluster; `None` where the object concerns the whole fleet.
    pub cluster: Option<ClusterName>,
    /// The object.
    pub object: QualifiedName,
}

impl ReconcileKey {
    /// An object of the fleet as a whole, for example a federated object.
    pub fn fleet(object: QualifiedName) -> Self {
        Self {
            cluster: None,
            object,
        }
    }

    /// An object in one member cluster.
    pub fn in_cluster(cluster: ClusterName, object: QualifiedName) -> Self {
        Self {
            cluster: Some(cluster),
            object,
        }
    }
}

impl fmt::Display for ReconcileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cluster {
            Some(cluster) => write!(f, "{} in cluster {cluster}", self.object),
            None => self.object.fmt(f),
        }
    }
}

/// Limits of a [`FairQueue`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    backoff_initial: Duration,
    backoff_max: Duration,
    in_flight_per_cluster_max: usize,
}

impl Default for QueueOptions {
    /// Back-off as in KubeFed: 5 s, doubled up to 60 s. Four reconciles at once for one cluster: one
    /// cluster that hangs for a call's deadline holds four workers at most.
    fn default() -> Self {
        Self {
            backoff_initial: Duration::from_secs(5),
            backoff_max: Duration::from_secs(60),
            in_flight_per_cluster_max: 4,
        }
    }
}

impl QueueOptions {
    /// Sets the delay after the first failure and the longest one.
    #[must_use]
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff_initial = initial;
        self.backoff_max = max;
        self
    }

    /// Sets how many reconciles of one cluster may run at once. Keys of the fleet are not limited.
    #[must_use]
    pub fn in_flight_per_cluster_max(mut self, reconciles: usize) -> Self {
        self.in_flight_per_cluster_max = reconciles.max(1);
        self
    }
}

/// When a key is to be reconciled again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requeue {
    /// When something changes. Clears the back-off.
    OnChange,
    /// After this time, unless something changes earlier. Clears the back-off.
    After(Duration),
    /// When no other key waits for its turn, but after this time at the latest, or earlier if it was to
    /// run earlier anyway. Clears the back-off.
    Yield(Duration),
    /// After the back-off, which grows until a reconcile does not fail.
    Failed,
}

/// A queue of keys to reconcile, shared by those who add and those who work.
///
/// # Guarantees
///
/// * A key is waiting at most once, however often it is added; of two due times the earlier counts.
/// * A key is never handed out twice at once. Added meanwhile, it runs once more afterwards.
/// * Clusters take turns: a cluster with a thousand keys delays the key of another cluster by one
///   reconcile, not by a thousand. Within a cluster the order is that of arrival.
/// * A key that [gives way](Requeue::Yield) runs when no other waits for its turn, and before all that
///   wait when its time has come, also if it was added meanwhile or its time was put forward.
/// * A change runs a failing key at once, but its back-off goes on growing until it succeeds. (In the
///   original every event, the loop's own status write included, starts the back-off anew.)
///
/// Time is tokio's. Adding and taking cost the logarithm of the number of keys.
#[derive(Clone, Debug)]
pub struct FairQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    options: QueueOptions,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<Option<ClusterName>, Lane>,
    /// Lanes with waiting keys, in the order of their turns.
    turns: VecDeque<Option<ClusterName>>,
    waiting: BTreeSet<ReconcileKey>,
    in_flight: BTreeSet<ReconcileKey>,
    /// Keys in flight that were added meanwhile.
    again: BTreeSet<ReconcileKey>,
    delayed: BTreeSet<(Instant, ReconcileKey)>,
    /// Keys that let others go first until their time has come.
    yielding: BTreeSet<(Instant, ReconcileKey)>,
    /// When the keys of both sets are due.
    due: BTreeMap<ReconcileKey, Instant>,
    failures: BTreeMap<ReconcileKey, u32>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    keys: VecDeque<ReconcileKey>,
    in_flight: usize,
}

impl Default for FairQueue {
    fn default() -> Self {
        Self::new(QueueOptions::default())
    }
}

impl FairQueue {
    /// An empty queue.
    pub fn new(options: QueueOptions) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            options,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Adds a key because something changed; it runs as soon as it is its turn.
    pub fn add(&self, key: ReconcileKey) {
        self.state().add(key);
        self.shared.changed.notify_one();
    }

    /// Adds a key that runs after a delay, or earlier if it is added otherwise.
    pub fn add_after(&self, key: ReconcileKey, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state().delay(key, Instant::now() + delay);
        self.shared.changed.notify_one();
    }

    /// The next key, which the caller must give back by [`FairQueue::done`]. `None` once the queue is
    /// closed. Cancel safe.
    pub async fn next(&self) -> Option<ReconcileKey> {
        loop {
            let changed = self.shared.changed.notified();
            let (key, wake, closed) = {
                let mut state = self.state();
                let now = Instant::now();
                state.promote(now);
                let key = state.take(self.shared.options.in_flight_per_cluster_max, now);
                (key, state.next_due(now), state.closed)
            };
            if closed {
                self.shared.changed.notify_one();
                return None;
            }
            if let Some(key) = key {
                // Another waiter may have to take the next key.
                self.shared.changed.notify_one();
                return Some(key);
            }
            match wake {
                Some(wake) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(wake) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Gives a key back after its reconcile.
    pub fn done(&self, key: ReconcileKey, requeue: Requeue) {
        let options = &self.shared.options;
        let mut state = self.state();
        state.finish(&key);
        let backoff = (requeue == Requeue::Failed).then(|| state.next_backoff(&key, options));
        if backoff.is_none() {
            state.failures.remove(&key);
        }
        let (now, again) = (Instant::now(), state.again.remove(&key));
        match requeue {
            Requeue::Yield(latest) => state.give_way(key.clone(), now + latest),
            Requeue::After(delay) if !again => state.delay(key.clone(), now + delay),
            Requeue::Failed if !again => {
                state.delay(key.clone(), now + backoff.unwrap_or_default());
            }
            _ => {}
        }
        if again {
            state.add(key);
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Lets every waiting and future [`FairQueue::next`] end. Keys in flight may still be given back.
    pub fn close(&self) {
        self.state().closed = true;
        self.shared.changed.notify_one();
    }

    /// Whether keys wait for their turn, so that one that may wait should [give way](Requeue::Yield).
    pub fn is_busy(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// How many keys wait for their turn, wait for their time, and are being worked on.
    pub fn depth(&self) -> QueueDepth {
        let state = self.state();
        let yielding = state.yielding.iter().map(|(_, key)| key.clone()).collect();
        QueueDepth {
            waiting: state.waiting.union(&yielding).count(),
            delayed: state.delayed.len(),
            in_flight: state.in_flight.len(),
            failing: state.failures.len(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below the lock can leave the state half changed, so a poisoned lock is as good.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How full a queue is, in keys.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueDepth {
    /// Keys that wait for their turn, or let others go first.
    pub waiting: usize,
    /// Keys that wait for their time.
    pub delayed: usize,
    /// Keys that are being worked on.
    pub in_flight: usize,
    /// Keys whose last reconcile failed.
    pub failing: usize,
}

impl QueueDepth {
    /// Whether nothing waits for its turn and nothing is being worked on.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

impl State {
    fn add(&mut self, key: ReconcileKey) {
        if let Some(due) = self.due.get(&key) {
            // A key that lets others go first runs at its time all the same.
            if self.delayed.remove(&(*due, key.clone())) {
                self.due.remove(&key);
            }
        }
        if self.in_flight.contains(&key) {
            self.again.insert(key);
        } else if self.waiting.insert(key.clone()) {
            let lane = self.lanes.entry(key.cluster.clone()).or_default();
            if lane.keys.is_empty() {
                self.turns.push_back(key.cluster.clone());
            }
            lane.keys.push_back(key);
        }
    }

    fn delay(&mut self, key: ReconcileKey, due: Instant) {
        let earlier = self.due.get(&key).is_some_and(|planned| *planned <= due);
        if earlier || self.waiting.contains(&key) || self.again.contains(&key) {
            return;
        }
        let yields = self.cancel_delay(&key);
        self.due.insert(key.clone(), due);
        let keys = if yields {
            &mut self.yielding
        } else {
            &mut self.delayed
        };
        keys.insert((due, key));
    }

    /// Lets a key run when no other waits. If it has a time of its own that is earlier, that counts.
    fn give_way(&mut self, key: ReconcileKey, latest: Instant) {
        let due = self.due.get(&key).copied().unwrap_or(latest).min(latest);
        self.cancel_delay(&key);
        self.due.insert(key.clone(), due);
        self.yielding.insert((due, key));
    }

    /// Tells whether the key let others go first.
    fn cancel_delay(&mut self, key: &ReconcileKey) -> bool {
        let Some(due) = self.due.remove(key) else {
            return false;
        };
        let entry = (due, key.clone());
        self.delayed.remove(&entry);
        self.yielding.remove(&entry)
    }

    /// Makes wait for their turn all whose time has come.
    fn promote(&mut self, now: Instant) {
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
    }

    /// When the next key is due that is not yet.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let delayed = self.delayed.first().map(|(due, _)| *due);
        let mut yielding = self.yielding.iter().map(|(due, _)| *due);
        delayed
            .into_iter()
            .chain(yielding.find(|due| *due > now))
            .min()
    }

    /// The next key: one that has let others go first until now, or else one that waits, or else one
    /// that lets others go first.
    fn take(&mut self, in_flight_max: usize, now: Instant) -> Option<ReconcileKey> {
        let key = self
            .yielding(in_flight_max, Some(now))
            .or_else(|| self.first_in_turn(in_flight_max))
            .or_else(|| self.yielding(in_flight_max, None))?;
        self.cancel_delay(&key);
        self.waiting.remove(&key);
        self.lanes.entry(key.cluster.clone()).or_default().in_flight += 1;
        self.in_flight.insert(key.clone());
        Some(key)
    }

    /// The key that has let others go first for the longest time, if it was to do so until then.
    fn yielding(&self, in_flight_max: usize, until: Option<Instant>) -> Option<ReconcileKey> {
        let is_full = |cluster: &Option<ClusterName>| {
            let lane = self.lanes.get(cluster);
            cluster.is_some() && lane.is_some_and(|lane| lane.in_flight >= in_flight_max)
        };
        let mut keys = self
            .yielding
            .iter()
            .take_while(|(due, _)| until.is_none_or(|until| *due <= until));
        let (_, key) = keys.find(|(_, key)| !is_full(&key.cluster))?;
        Some(key.clone())
    }

    fn first_in_turn(&mut self, in_flight_max: usize) -> Option<ReconcileKey> {
        for _ in 0..self.turns.len() {
            let cluster = self.turns.pop_front()?;
            let lane = self.lanes.get_mut(&cluster)?;
            let full = cluster.is_some() && lane.in_flight >= in_flight_max;
            let mut key = None;
            while !full && key.is_none() && !lane.keys.is_empty() {
                // A key that let others go first may have run before its turn.
                key = lane
                    .keys
                    .pop_front()
                    .filter(|key| self.waiting.contains(key));
            }
            if !lane.keys.is_empty() {
                self.turns.push_back(cluster);
            }
            if key.is_some() {
                return key;
            }
        }
        None
    }

    fn finish(&mut self, key: &ReconcileKey) {
        if !self.in_flight.remove(key) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&key.cluster) {
            lane.in_flight -= 1;
            if lane.in_flight == 0 && lane.keys.is_empty() {
                self.lanes.remove(&key.cluster);
            }
        }
    }

    fn next_backoff(&mut self, key: &ReconcileKey, options: &QueueOptions) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let factor = 1_u32.checked_shl(*failures).unwrap_or(u32::MAX);
        *failures = failures.saturating_add(1);
        options
            .backoff_initial
            .saturating_mul(factor)
            .min(options.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(name: &str) -> ReconcileKey {
        ReconcileKey::fleet(QualifiedName::cluster_scoped(name))
    }

    fn member(cluster: &str, name: &str) -> ReconcileKey {
        ReconcileKey::in_cluster(cluster.into(), QualifiedName::cluster_scoped(name))
    }

    fn queue() -> FairQueue {
        FairQueue::default()
    }

    async fn elapsed_until_next(queue: &FairQueue) -> u64 {
        let start = Instant::now();
        let key = queue.next().await.unwrap();
        queue.done(key, Requeue::Failed);
        (Instant::now() - start).as_secs()
    }

    // Observable check 5 of the informer.
    #[tokio::test(start_paused = true)]
    async fn a_key_added_often_runs_once_and_once_more_if_added_meanwhile() {
        let queue = queue();
        (0..10).for_each(|_| queue.add(fleet("a")));
        let key = queue.next().await.unwrap();
        (0..5).for_each(|_| queue.add(fleet("a")));
        let second = tokio::time::timeout(Duration::from_secs(1), queue.next()).await;
        assert!(second.is_err(), "handed out twice at once");
        queue.done(key, Requeue::OnChange);
        let key = queue.next().await.unwrap();
        queue.done(key, Requeue::OnChange);
        assert_eq!(queue.depth(), QueueDepth::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_gives_way_runs_when_no_other_waits_and_when_its_time_has_come() {
        let queue = queue();
        let give_way = async |name| {
            queue.add(fleet(name));
            let key = queue.next().await.unwrap();
            assert_eq!(key, fleet(name));
            queue.done(key, Requeue::Yield(Duration::from_secs(10)));
        };
        let next = async || queue.next().await.unwrap();
        give_way("a").await;
        give_way("b").await;
        assert_eq!(queue.depth().waiting, 2);
        assert!(!queue.is_busy(), "nobody need give way to them");
        queue.add(fleet("c"));
        assert!(queue.is_busy());
        let order = [next().await, next().await, next().await];
        assert_eq!(order, [fleet("c"), fleet("a"), fleet("b")]);
        for key in order {
            queue.done(key, Requeue::OnChange);
        }
        assert_eq!(queue.depth(), QueueDepth::default());

        for name in ["z", "b", "a"] {
            give_way(name).await;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        tokio::time::advance(Duration::from_secs(9)).await;
        queue.add(fleet("c"));
        queue.add(fleet("a"));
        queue.add(fleet("d"));
        tokio::time::advance(Duration::from_secs(1)).await;
        let order = [next().await, next().await, next().await];
        assert_eq!(order, ["z", "b", "a"].map(fleet), "their time has come");
        assert_eq!([next().await, next().await], [fleet("c"), fleet("d")]);
        for name in ["z", "b", "a", "c", "d"] {
            queue.done(fleet(name), Requeue::OnChange);
        }
        assert_eq!(queue.depth(), QueueDepth::default());
        let none = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(none.is_err(), "each ran once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_during_a_reconcile_that_gives_way_leaves_its_time() {
        let queue = queue();
        queue.add(fleet("a"));
        let key = queue.next().await.unwrap();
        queue.add(fleet("b"));
        queue.add(fleet("a"));
        queue.done(key, Requeue::Yield(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(queue.depth().waiting, 2);
        assert_eq!(queue.next().await, Some(fleet("a")));
        assert_eq!(queue.next().await, Some(fleet("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_gives_way_is_one_key_whatever_else_is_asked_of_it() {
        let queue = queue();
        let give_way = async || {
            queue.add(fleet("a"));
            let key = queue.next().await.unwrap();
            queue.done(key, Requeue::Yield(Duration::from_secs(10)));
        };
        let next = async || queue.next().await.unwrap();
        give_way().await;
        queue.add_after(fleet("a"), Duration::from_secs(60));
        queue.add_after(fleet("a"), Duration::from_secs(5));
        queue.add(fleet("b"));
        assert_eq!(queue.depth().delayed, 0, "it still waits for its turn only");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(next().await, fleet("a"), "the earlier time counts");
        queue.done(fleet("a"), Requeue::OnChange);
        assert_eq!(next().await, fleet("b"));

        give_way().await;
        queue.add(fleet("a"));
        assert!(queue.is_busy(), "a change does not give way");
        assert_eq!(next().await, fleet("a"));
        queue.done(fleet("a"), Requeue::OnChange);
        queue.done(fleet("b"), Requeue::OnChange);
        assert_eq!(queue.depth(), QueueDepth::default());
    }

    #[tokio::test(start_paused = true)]
    async fn giving_way_does_not_get_round_the_limit_of_a_cluster() {
        let queue = FairQueue::new(QueueOptions::default().in_flight_per_cluster_max(1));
        for name in ["a", "b"] {
            queue.add(member("east", name));
            let key = queue.next().await.unwrap();
            queue.done(key, Requeue::Yield(Duration::from_secs(10)));
        }
        assert_eq!(queue.next().await, Some(member("east", "a")));
        let second = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(second.is_err(), "{second:?}");
        queue.done(member("east", "a"), Requeue::OnChange);
        assert_eq!(queue.next().await, Some(member("east", "b")));
    }

    // Observable checks 2 to 4 of the informer.
    #[tokio::test(start_paused = true)]
    async fn delays_end_in_the_order_of_their_times_and_the_earlier_wins() {
        let queue = queue();
        let start = Instant::now();
        for (name, millis) in [("a", 1002), ("b", 1003), ("c", 1001), ("later", 3_600_000)] {
            queue.add_after(fleet(name), Duration::from_millis(millis));
        }
        queue.add_after(fleet("later"), Duration::from_millis(4_600_000));
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(queue.next().await.unwrap().object.name().to_owned());
        }
        assert_eq!(order, ["c", "a", "b"]);
        assert!(Instant::now() - start >= Duration::from_secs(1));
        let next = tokio::time::timeout(Duration::from_secs(1), queue.next()).await;
        assert!(next.is_err(), "an hour is not over");
        queue.add_after(fleet("later"), Duration::ZERO);
        assert_eq!(queue.next().await, Some(fleet("later")));
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_until_success_although_changes_run_at_once() {
        let queue = queue();
        queue.add(fleet("a"));
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(elapsed_until_next(&queue).await);
        }
        assert_eq!(waits, [0, 5, 10, 20, 40, 60]);
        queue.add(fleet("a"));
        assert_eq!(
            elapsed_until_next(&queue).await,
            0,
            "a change is not held back"
        );
        assert_eq!(
            elapsed_until_next(&queue).await,
            60,
            "and does not clear the back-off"
        );
        let key = queue.next().await.unwrap();
        queue.done(key, Requeue::OnChange);
        queue.add(fleet("a"));
        assert_eq!(elapsed_until_next(&queue).await, 0);
        assert_eq!(elapsed_until_next(&queue).await, 5, "success clears it");
    }

    #[tokio::test(start_paused = true)]
    async fn clusters_take_turns() {
        let queue = queue();
        (0..100).for_each(|n| queue.add(member("busy", &n.to_string())));
        queue.add(member("quiet", "a"));
        let first = queue.next().await.unwrap();
        queue.done(first, Requeue::OnChange);
        assert_eq!(queue.next().await, Some(member("quiet", "a")));
    }

    #[tokio::test(start_paused = true)]
    async fn one_cluster_cannot_hold_every_worker() {
        let queue = FairQueue::new(QueueOptions::default().in_flight_per_cluster_max(2));
        (0..5).for_each(|n| queue.add(member("hung", &n.to_string())));
        queue.add(fleet("a"));
        let mut taken = Vec::new();
        while let Ok(key) = tokio::time::timeout(Duration::from_secs(1), queue.next()).await {
            taken.push(key.unwrap());
        }
        assert_eq!(
            taken,
            [member("hung", "0"), fleet("a"), member("hung", "1")]
        );
        queue.done(taken.remove(0), Requeue::OnChange);
        assert_eq!(queue.next().await, Some(member("hung", "2")));
    }

    #[tokio::test(start_paused = true)]
    async fn closing_ends_every_waiter() {
        let queue = queue();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), None);
        }
    }
}
