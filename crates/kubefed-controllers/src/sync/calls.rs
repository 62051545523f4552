//! Waits for calls to member clusters, but not for those that hang.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kubefed_api::{ClusterName, QualifiedName};
use kubefed_propagation::{Decision, Observation};
use kubefed_runtime::{Dispatcher, FairQueue, ReconcileKey};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::reconcile::Settled;

/// How long a reconcile waits for its calls. API servers answer 99 of 100 writes within a second
/// (Kubernetes' own objective); what takes longer is answered late or never.
const PATIENCE: Duration = Duration::from_secs(1);

/// When an object is looked at again whose late call failed: after the first delay of a back-off.
const RETRY: Duration = Duration::from_secs(5);

/// The calls of one sync loop.
///
/// A reconcile waits a moment for its calls. Those that have not ended by then go on beside the loop,
/// and bring their object back when they end. Until it answers soon again the cluster counts as slow,
/// and nobody waits for it: so a cluster that hangs holds neither a worker nor the next change of the
/// same object. There is never more than one call for one object in one cluster.
pub(super) struct Calls {
    state: Arc<Mutex<State>>,
    queue: FairQueue,
    dispatcher: Dispatcher,
    late: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
}

/// The calls that nobody waits for, to be driven with [`LateCalls::run`].
pub(super) struct LateCalls(mpsc::UnboundedReceiver<BoxFuture<'static, ()>>);

/// A decision that is being carried out in a cluster.
pub(super) struct Call {
    pub(super) cluster: ClusterName,
    pub(super) decision: Arc<Decision>,
    /// Of the federated object that was decided on.
    pub(super) generation: i64,
    pub(super) settled: BoxFuture<'static, Settled>,
}

/// How a late call ended.
pub(super) struct Late {
    begun: &'static str,
    generation: i64,
    pub(super) settled: Settled,
}

impl Late {
    /// Whether this is the answer to a decision that is made once more, since nothing tells its end but
    /// the call: what a direct read found, or that a creation was refused for good.
    pub(super) fn answers(
        &self,
        decision: &Decision,
        generation: i64,
        observed: &Observation,
    ) -> bool {
        let same = self.generation == generation && self.begun == decision.action.name();
        same && self.settled.has_ended_well()
            && match (self.settled.version(), observed) {
                (Some(version), Observation::Managed(copy)) => copy.version() == version,
                (Some(_), _) => false,
                (None, _) => true,
            }
    }
}

#[derive(Default)]
struct State {
    /// What late calls are about: the clusters by the object's name there.
    under_way: BTreeMap<QualifiedName, BTreeSet<ClusterName>>,
    /// How late calls ended, until somebody tells.
    ended: BTreeMap<QualifiedName, BTreeMap<ClusterName, Late>>,
    /// Clusters that are not waited for, since a call took longer than that.
    slow: BTreeSet<ClusterName>,
}

impl Calls {
    pub(super) fn new(queue: FairQueue, dispatcher: Dispatcher) -> (Self, LateCalls) {
        let (late, receiver) = mpsc::unbounded_channel();
        let calls = Self {
            state: Arc::default(),
            queue,
            dispatcher,
            late,
        };
        (calls, LateCalls(receiver))
    }

    /// Whether a late call is about this object in this cluster.
    pub(super) fn are_under_way(&self, cluster: &ClusterName, target: &QualifiedName) -> bool {
        let state = lock(&self.state);
        let clusters = state.under_way.get(target);
        clusters.is_some_and(|clusters| clusters.contains(cluster))
    }

    /// How late calls about this object ended that nobody has told of.
    pub(super) fn take_ended(&self, target: &QualifiedName) -> BTreeMap<ClusterName, Late> {
        lock(&self.state).ended.remove(target).unwrap_or_default()
    }

    /// How many late calls there are.
    pub(super) fn late(&self) -> usize {
        lock(&self.state)
            .under_way
            .values()
            .map(BTreeSet::len)
            .sum()
    }

    /// What became of calls within the time that a reconcile waits. They are about one object; its key
    /// is queued whenever a late one ends.
    pub(super) async fn answers(
        &self,
        key: &ReconcileKey,
        target: &QualifiedName,
        calls: Vec<Call>,
    ) -> BTreeMap<ClusterName, Settled> {
        let mut unanswered = BTreeMap::new();
        let (mut awaited, mut late) = (FuturesUnordered::new(), Vec::new());
        for call in calls {
            let slow = lock(&self.state).slow.contains(&call.cluster);
            unanswered.insert(call.cluster.clone(), Arc::clone(&call.decision));
            let ended = self.judged(call);
            if slow {
                late.push(ended);
            } else {
                awaited.push(ended);
            }
        }
        let mut settled = BTreeMap::new();
        let all = async {
            while let Some((cluster, ended)) = awaited.next().await {
                unanswered.remove(&cluster);
                settled.insert(cluster, ended.settled);
            }
        };
        // The calls themselves go on, so nothing is lost when the time is up.
        let _ = tokio::time::timeout(PATIENCE, all).await;
        late.extend(awaited);
        let clusters = unanswered.keys().cloned();
        {
            let mut state = lock(&self.state);
            state.slow.extend(clusters.clone());
            if late.is_empty() {
                return settled;
            }
            let under_way = state.under_way.entry(target.clone()).or_default();
            under_way.extend(clusters);
        }
        for call in late {
            self.hand_over(key.clone(), target.clone(), call);
        }
        let late = unanswered.into_iter();
        settled.extend(late.map(|(cluster, decision)| (cluster, Settled::unanswered(decision))));
        settled
    }

    /// Whoever answers soon, and be it by refusing, is waited for again.
    fn judged(&self, call: Call) -> Judged {
        let (state, dispatcher) = (Arc::clone(&self.state), self.dispatcher.clone());
        let since = Instant::now();
        let (begun, generation) = (call.decision.action.name(), call.generation);
        Box::pin(async move {
            let settled = call.settled.await;
            if since.elapsed() < PATIENCE && !dispatcher.is_paused(&call.cluster) {
                lock(&state).slow.remove(&call.cluster);
            }
            let late = Late {
                begun,
                generation,
                settled,
            };
            (call.cluster, late)
        })
    }

    fn hand_over(&self, key: ReconcileKey, target: QualifiedName, call: Judged) {
        let (state, queue) = (Arc::clone(&self.state), self.queue.clone());
        let ending = async move {
            let (cluster, ended) = call.await;
            let mut state = lock(&state);
            if let Some(clusters) = state.under_way.get_mut(&target) {
                clusters.remove(&cluster);
                if clusters.is_empty() {
                    state.under_way.remove(&target);
                }
            }
            let retried = ended.settled.is_retried();
            let all = state.ended.entry(target).or_default();
            all.insert(cluster, ended);
            drop(state);
            if retried {
                queue.add_after(key, RETRY);
            } else {
                queue.add(key);
            }
        };
        // Nobody is left to drive it only while the loop ends.
        let _ = self.late.send(Box::pin(ending));
    }
}

type Judged = BoxFuture<'static, (ClusterName, Late)>;

impl LateCalls {
    /// Drives late calls, for as long as it is polled. Dropping it cancels them.
    pub(super) async fn run(mut self) {
        let mut calls = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(call) = self.0.recv() => calls.push(call),
                Some(()) = calls.next(), if !calls.is_empty() => {}
                else => return,
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A map operation cannot leave the state half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
