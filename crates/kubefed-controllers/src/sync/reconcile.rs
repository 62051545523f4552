//! One reconcile: hold the host object, carry out what was decided, record and report it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kubefed_api::{
    ClusterName, FederatedObject, ObjectVersion, ObservedCopy, PropagationStatus, QualifiedName,
};
use kubefed_propagation::{
    Action, Decision, Failure, Member, Observation, Outcome, Waiting, decide, decide_orphan,
    hold_after, hold_before,
};
use kubefed_runtime::{Dispatched, MemberObject, ReconcileKey, Requeue, UnderWay};

use super::Sync;
use super::calls::{Call, Late};
use super::observe::{FIRST_LIST, HostObject, World};
use crate::Options;
use crate::events::Note;
use crate::explanations::Explanation;
use crate::host::HostError;

/// Direct reads and second decisions for one cluster in one reconcile. Each round after the first
/// follows a change by somebody else; whoever changes an object faster than that is answered later.
const ROUNDS: usize = 4;

/// An object that refuses to be managed, or is in the way, is watched by nobody, so it is looked at
/// again after this time.
const RECHECK: Duration = Duration::from_secs(60);

/// What became of the decision for one cluster.
#[derive(Clone)]
pub(super) struct Settled {
    /// Shared, since it holds the whole copy that is to be.
    pub(super) decision: Arc<Decision>,
    pub(super) outcome: Option<Outcome>,
    /// What has yet to follow before there is an outcome.
    due: Due,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Nothing,
    /// The decision is carried out after the host object names the cluster.
    Inventory,
    /// The decision is carried out after the namespace was reported on.
    Namespace,
    /// A call is under way, and its end brings the object back.
    Answer,
}

impl Settled {
    fn ended(decision: Arc<Decision>, outcome: Option<Outcome>) -> Self {
        Self {
            decision,
            outcome,
            due: Due::Nothing,
        }
    }

    fn due(decision: Arc<Decision>, due: Due) -> Self {
        Self {
            decision,
            outcome: None,
            due,
        }
    }

    /// What there is to say while a call is under way.
    pub(super) fn unanswered(decision: Arc<Decision>) -> Self {
        let current = matches!(decision.action, Action::UpToDate { .. } | Action::Wait(_));
        let failed = || Outcome::Failed {
            failure: Failure::TimedOut,
            message: "the cluster has yet to answer".to_owned(),
        };
        Self {
            outcome: (!current).then(failed),
            decision,
            due: Due::Answer,
        }
    }

    pub(super) fn status(&self) -> Option<PropagationStatus> {
        self.decision.status(self.outcome.as_ref())
    }

    pub(super) fn releases(&self) -> bool {
        self.decision.releases(self.outcome.as_ref())
    }

    /// Whether trying again is the only way to get further. A call that is under way brings the object
    /// back by itself.
    pub(super) fn is_retried(&self) -> bool {
        self.due != Due::Answer && self.status().is_some_and(|status| status.is_retried())
    }

    fn has_failed(&self) -> bool {
        self.due != Due::Answer && matches!(self.outcome, Some(Outcome::Failed { .. }))
    }

    /// Whether a call is under way for longer than was waited for it, and the copy is not known to be
    /// current.
    pub(super) fn is_unanswered(&self) -> bool {
        self.due == Due::Answer && self.outcome.is_some()
    }

    /// Whether it is known what became of it, and there is nothing to try again.
    pub(super) fn has_ended_well(&self) -> bool {
        self.due == Due::Nothing && !matches!(self.outcome, Some(Outcome::Failed { .. }))
    }

    /// The version of the copy that is as desired.
    pub(super) fn version(&self) -> Option<&ObjectVersion> {
        match (&self.outcome, &self.decision.action) {
            (Some(Outcome::Applied { version, .. }), _) | (None, Action::UpToDate { version }) => {
                Some(version)
            }
            _ => None,
        }
    }

    pub(super) fn is_applied(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Applied { .. }))
    }
}

impl Sync {
    pub(super) async fn reconcile(self: &Arc<Self>, name: &QualifiedName) -> Requeue {
        if self.is_ignored(name) {
            self.tell_invalid_name(name);
            return Requeue::OnChange;
        }
        match self.host_object(name) {
            HostObject::Present(object) => self.reconcile_object(object).await,
            HostObject::Absent => self.free_orphans(name).await,
            HostObject::Unknown(why) => {
                tracing::debug!(%name, why, "the federated object is not known");
                Requeue::Failed
            }
            HostObject::Unreadable(error) => {
                tracing::warn!(%name, %error, "the federated object cannot be read");
                Requeue::OnChange
            }
        }
    }

    async fn reconcile_object(self: &Arc<Self>, mut object: Arc<FederatedObject>) -> Requeue {
        if object.is_deleting() && !object.has_sync_finalizer() {
            return Requeue::OnChange;
        }
        let world = Arc::new(self.observe(&object));
        let decisions = world.decide();
        if let Some(patch) = hold_before(
            &object,
            &world.inventory,
            world.members.iter().map(|(m, _)| m.name()).zip(&decisions),
        ) {
            object = match self.patch_object(&object, None, &patch).await {
                Ok(held) if held.generation() == object.generation() => held,
                // The host changed on the way what is desired.
                Ok(_) => return Requeue::After(Options::OUTDATED),
                Err(error) => {
                    let (subject, cause) = ("Failed to ensure finalizer", format!(": {error}"));
                    let note = Note::warning("EnsureFinalizerError", subject, cause);
                    if !error.is_conflict() {
                        self.context.events.say(&self.about(&object), note);
                    }
                    return after_host_error(object.name(), &error);
                }
            };
        }
        let late = self.calls.take_ended(&self.target_name(object.name()));
        let wait = self.until_namespace_is_reported(object.name(), &decisions);
        let carried_out = self.carry_out(&object, &world, decisions, &late, wait.is_some());
        let settled = carried_out.await;
        let mut notes = self.notes(&object, &world, &late, &settled);
        if wait.is_none()
            && self.may_be_postponed(&object, &settled)
            && let Some(latest) = self.postponed.put_off(&object, &mut notes)
        {
            let (selected, produced) = versions(&settled);
            self.records
                .learn(&object, &world.federation, &selected, &produced);
            return Requeue::Yield(latest);
        }
        let earlier = self.postponed.take_notes(&object);
        let is_rest = earlier.is_some();
        self.tell(&object, earlier.unwrap_or_default());
        self.tell(&object, notes);
        if let Some(wait) = wait {
            // What became of the others is reported together with what becomes of these.
            let recorded = self.record(&object, &world, &settled).await;
            return recorded.map_or(Requeue::Failed, |()| Requeue::After(wait));
        }
        let (recorded, reported) = futures::join!(
            self.record(&object, &world, &settled),
            self.report(&object, &world, &settled, is_rest),
        );
        match reported {
            Ok(Some(newer)) => object = newer,
            Ok(None) => {}
            Err(error) => return after_host_error(object.name(), &error),
        }
        let released = settled
            .iter()
            .map(|(cluster, settled)| (cluster, settled.releases()));
        if let Some(patch) = hold_after(&object, released) {
            match self.patch_object(&object, None, &patch).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() && object.is_deleting() => {}
                Err(error) => return after_host_error(object.name(), &error),
            }
        }
        if let Err(error) = recorded {
            tracing::debug!(name = %object.name(), %error, "the versions could not be stored");
            return Requeue::Failed;
        }
        if !world.listing {
            self.postponed.forget(object.name());
        }
        self.requeue(&settled, world.listing)
    }

    /// Carries out the decisions of all clusters at once.
    async fn carry_out(
        self: &Arc<Self>,
        object: &FederatedObject,
        world: &Arc<World>,
        decisions: Vec<Decision>,
        late: &BTreeMap<ClusterName, Late>,
        namespace_is_due: bool,
    ) -> BTreeMap<ClusterName, Settled> {
        let (held, generation) = (object.inventory(), object.generation());
        let target = self.target_name(object.name());
        let mut settled = BTreeMap::new();
        let mut calls = Vec::new();
        for (index, decision) in decisions.into_iter().map(Arc::new).enumerate() {
            let (member, observed) = &world.members[index];
            let cluster = member.name();
            let creates = matches!(decision.action, Action::Create { .. });
            let answer = late.get(cluster);
            let answer = answer.filter(|late| late.answers(&decision, generation, observed));
            if self.calls.are_under_way(cluster, &target) {
                settled.insert(cluster.clone(), Settled::unanswered(decision));
            } else if let Some(late) = answer {
                settled.insert(cluster.clone(), late.settled.clone());
            } else if creates && namespace_is_due {
                settled.insert(cluster.clone(), Settled::due(decision, Due::Namespace));
            } else if decision.action.reads() || decision.action.writes() {
                let held = held.contains(cluster);
                let (sync, world) = (Arc::clone(self), Arc::clone(world));
                let (target, first) = (target.clone(), Arc::clone(&decision));
                let call = async move {
                    let member = &world.members[index].0;
                    let again =
                        |seen: &Observation| decide(&world.federation, member, seen, &world.record);
                    sync.settle(member, &target, first, held, again).await
                };
                calls.push(Call {
                    cluster: cluster.clone(),
                    decision,
                    generation,
                    settled: call.boxed(),
                });
            } else {
                settled.insert(cluster.clone(), Settled::ended(decision, None));
            }
        }
        if !calls.is_empty() {
            let key = ReconcileKey::fleet(object.name().clone());
            settled.extend(self.calls.answers(&key, &target, calls).await);
        }
        settled
    }

    /// Carries out one decision, and decides again after each direct read.
    async fn settle(
        &self,
        member: &Member,
        target: &QualifiedName,
        mut decision: Arc<Decision>,
        held: bool,
        decide: impl Fn(&Observation) -> Decision,
    ) -> Settled {
        let done = Settled::ended;
        let client = match self.context.fleet.client(member.name()) {
            Ok(client) => client,
            Err(error) => return done(decision, Some(no_client(&error))),
        };
        let copy = MemberObject {
            cluster: member.name(),
            client: &client,
            target: &self.kinds.target,
            name: target,
        };
        for _ in 0..ROUNDS {
            let creates = matches!(
                decision.action,
                Action::Create { .. } | Action::Adopt { .. }
            );
            if creates && !held {
                return Settled::due(decision, Due::Inventory);
            }
            let key = ReconcileKey::in_cluster(member.name().clone(), target.clone());
            if decision.action.writes() {
                let seen = self.copies.resource_version(member.name(), target);
                let write = self.own_copies.begin(key.clone());
                match self.context.dispatcher.write(&copy, &decision.action).await {
                    Dispatched::Ended { outcome, copy } => {
                        self.remember(write, target, seen.as_deref(), &outcome, copy);
                        if let Outcome::Failed { message, .. } = &outcome {
                            let cluster = member.name();
                            tracing::debug!(%cluster, %target, %decision, message, "an operation failed");
                        }
                        return done(decision, Some(outcome));
                    }
                    Dispatched::Stale => drop(write),
                }
            } else if !decision.action.reads() {
                return done(decision, None);
            }
            let observation = self.context.dispatcher.read(&copy).await;
            self.own_copies.forget(&key);
            decision = Arc::new(decide(&observation));
        }
        let message = "the object keeps changing".to_owned();
        done(
            decision,
            Some(Outcome::Failed {
                failure: Failure::Refused,
                message,
            }),
        )
    }

    /// Remembers a write until the watch shows it. What others did meanwhile is drift. `seen` is the
    /// resource version that the watch showed before.
    fn remember(
        &self,
        write: UnderWay<'_, Arc<ObservedCopy>>,
        target: &QualifiedName,
        seen: Option<&str>,
        outcome: &Outcome,
        copy: Option<ObservedCopy>,
    ) {
        let news = match (outcome, copy) {
            (Outcome::Applied { .. } | Outcome::Deleting, Some(copy)) => {
                let version = copy.resource_version().to_owned();
                write.wrote(&version, Arc::new(copy))
            }
            (Outcome::Gone | Outcome::Released, _) => seen.is_some_and(|seen| write.deleted(seen)),
            _ => write.failed(),
        };
        if news {
            let key = ReconcileKey::fleet(self.federated_name(target));
            self.queue.add_after(key, self.context.options.drift_delay);
        }
    }

    /// Whether record, status and events can follow when no other object waits for its copies: they tell
    /// of nothing but copies that are as desired.
    fn may_be_postponed(
        &self,
        object: &FederatedObject,
        settled: &BTreeMap<ClusterName, Settled>,
    ) -> bool {
        let is_plain = |settled: &Settled| {
            settled.version().is_some() || matches!(settled.decision.action, Action::Nothing)
        };
        // Others wait until a FederatedNamespace is reported on.
        self.queue.is_busy()
            && !self.kinds.target.is_core("Namespace")
            && !object.is_deleting()
            && settled.values().any(Settled::is_applied)
            && settled.values().all(is_plain)
    }

    async fn record(
        &self,
        object: &FederatedObject,
        world: &World,
        settled: &BTreeMap<ClusterName, Settled>,
    ) -> Result<(), HostError> {
        if object.is_deleting() {
            return Ok(());
        }
        if world.federation.placement().undetermined().is_some() {
            return Ok(());
        }
        let (selected, produced) = versions(settled);
        self.records
            .store(object, &world.federation, &selected, &produced)
            .await
    }

    /// Patches the federated object or its status, goes on with the answer, and remembers it until the
    /// watch shows it.
    pub(super) async fn patch_object(
        &self,
        object: &FederatedObject,
        subresource: Option<&str>,
        patch: &serde_json::Value,
    ) -> Result<Arc<FederatedObject>, HostError> {
        let (kind, name) = (&self.kinds.federated, object.name());
        let key = ReconcileKey::fleet(name.clone());
        let write = self.own_objects.begin(key.clone());
        let answer = self.context.host.patch(kind, name, subresource, patch);
        let answer = answer.await.and_then(|answer| {
            FederatedObject::parse(answer).map_err(|error| HostError::Malformed(error.to_string()))
        });
        let (news, answer) = match answer {
            Ok(object) => {
                let object = Arc::new(object);
                let metadata = object.metadata();
                let version = metadata.resource_version.as_deref().unwrap_or_default();
                let held = metadata.finalizers.as_ref().map_or(0, Vec::len);
                let news = if object.is_deleting() && held == 0 {
                    write.deleted(version)
                } else {
                    write.wrote(version, Arc::clone(&object))
                };
                (news, Ok(object))
            }
            Err(error) => (write.failed(), Err(error)),
        };
        if news {
            self.queue.add(key);
        }
        answer
    }

    /// Sets free the copies of a federated object that does not exist. They are never deleted.
    async fn free_orphans(self: &Arc<Self>, name: &QualifiedName) -> Requeue {
        self.records.forget(name);
        self.postponed.forget(name);
        self.context.explanations.explain(
            self.kinds.federated.qualified_plural(),
            name,
            Explanation::default(),
        );
        let target = self.target_name(name);
        // Their object is gone, and with it whom to tell.
        drop(self.calls.take_ended(&target));
        let mut calls = Vec::new();
        for (member, copy) in self.orphans(&target) {
            let decision = Arc::new(decide_orphan(&member, &Observation::Managed(copy)));
            let writes = decision.action.writes();
            if !writes || self.calls.are_under_way(member.name(), &target) {
                continue;
            }
            let (sync, target, first) = (Arc::clone(self), target.clone(), Arc::clone(&decision));
            let cluster = member.name().clone();
            let call = async move {
                let again = |seen: &Observation| decide_orphan(&member, seen);
                sync.settle(&member, &target, first, false, again).await
            };
            calls.push(Call {
                cluster,
                decision,
                generation: 0,
                settled: call.boxed(),
            });
        }
        if calls.is_empty() {
            return Requeue::OnChange;
        }
        let key = ReconcileKey::fleet(name.clone());
        let settled = self.calls.answers(&key, &target, calls).await;
        if settled.values().any(Settled::has_failed) {
            Requeue::Failed
        } else {
            Requeue::OnChange
        }
    }

    fn requeue(&self, settled: &BTreeMap<ClusterName, Settled>, listing: bool) -> Requeue {
        let any = |test: fn(&Settled) -> bool| settled.values().any(test);
        if any(|settled| settled.due == Due::Inventory) {
            return Requeue::After(Options::OUTDATED);
        }
        if listing {
            return Requeue::After(FIRST_LIST);
        }
        if any(Settled::is_retried) {
            return Requeue::Failed;
        }
        let unwatched = any(|settled| {
            matches!(settled.decision.action, Action::Refuse(_))
                || matches!(
                    settled.decision.action,
                    Action::Wait(Waiting::DeleteOptions(_))
                )
        });
        let resync = self.context.options.resync;
        Requeue::After(if unwatched {
            RECHECK.min(resync)
        } else {
            resync
        })
    }
}

/// The clusters that are to have a copy, and the versions of the copies that are as desired.
fn versions(
    settled: &BTreeMap<ClusterName, Settled>,
) -> (BTreeSet<ClusterName>, BTreeMap<ClusterName, ObjectVersion>) {
    let mut selected = BTreeSet::new();
    let mut produced = BTreeMap::new();
    for (cluster, settled) in settled {
        if settled.decision.is_selected() {
            selected.insert(cluster.clone());
        }
        if let Some(version) = settled.version() {
            produced.insert(cluster.clone(), version.clone());
        }
    }
    (selected, produced)
}

impl World {
    /// The decisions in the order of the members.
    fn decide(&self) -> Vec<Decision> {
        let decide = |(member, observation): &'_ (Member, Observation)| {
            decide(&self.federation, member, observation, &self.record)
        };
        self.members.iter().map(decide).collect()
    }
}

fn no_client(error: &kubefed_informer::Error) -> Outcome {
    Outcome::Failed {
        failure: Failure::NoClient,
        message: error.to_string(),
    }
}

fn after_host_error(name: &QualifiedName, error: &HostError) -> Requeue {
    if error.is_conflict() {
        // Somebody else changed the object; the watch is about to show it.
        return Requeue::After(Options::OUTDATED);
    }
    if error.is_not_found() {
        return Requeue::OnChange;
    }
    tracing::warn!(%name, %error, "the host cluster refused a write");
    Requeue::Failed
}
