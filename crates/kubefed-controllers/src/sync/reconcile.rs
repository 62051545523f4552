//! One reconcile: hold the host object, carry out what was decided, record and report it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kubefed_api::{ClusterName, FederatedObject, PropagationStatus, QualifiedName};
use kubefed_propagation::{
    Action, Decision, Failure, Member, Observation, Outcome, Waiting, decide, decide_orphan,
    hold_after, hold_before,
};
use kubefed_runtime::{Dispatched, MemberObject, ReconcileKey, Requeue};

use super::Sync;
use super::calls::Call;
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
pub(super) struct Settled {
    pub(super) decision: Decision,
    pub(super) outcome: Option<Outcome>,
    /// What has yet to follow before there is an outcome.
    due: Due,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Nothing,
    /// The decision is carried out after the host object names the cluster.
    Inventory,
    /// A call is under way, and its end brings the object back.
    Answer,
}

impl Settled {
    fn ended(decision: Decision, outcome: Option<Outcome>) -> Self {
        Self {
            decision,
            outcome,
            due: Due::Nothing,
        }
    }

    /// What there is to say while a call is under way.
    pub(super) fn unanswered(decision: Decision) -> Self {
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
        let late = self.calls.take_ended(&self.target_name(name));
        match self.host_object(name) {
            HostObject::Present(object) => self.reconcile_object(object, &late).await,
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

    async fn reconcile_object(
        self: &Arc<Self>,
        mut object: Arc<FederatedObject>,
        late: &BTreeMap<ClusterName, Settled>,
    ) -> Requeue {
        if object.is_deleting() && !object.has_sync_finalizer() {
            return Requeue::OnChange;
        }
        let world = Arc::new(self.observe(&object));
        let decisions = world.decide();
        if decisions
            .iter()
            .any(|decision| matches!(decision.action, Action::Create { .. }))
            && let Some(wait) = self.until_namespace_is_reported(object.name())
        {
            return Requeue::After(wait);
        }
        if let Some(patch) = hold_before(
            &object,
            &world.inventory,
            world.members.iter().map(|(m, _)| m.name()).zip(&decisions),
        ) {
            object = match self.patch_object(&object, &patch).await {
                Ok(object) => object,
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
        let settled = self.carry_out(&object, &world, decisions).await;
        self.tell(&object, &world, late, &settled);
        let (recorded, reported) = futures::join!(
            self.record(&object, &world, &settled),
            self.report(&object, &world, &settled),
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
            match self.patch_object(&object, &patch).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() && object.is_deleting() => {}
                Err(error) => return after_host_error(object.name(), &error),
            }
        }
        if let Err(error) = recorded {
            tracing::debug!(name = %object.name(), %error, "the versions could not be stored");
            return Requeue::Failed;
        }
        self.requeue(&settled, world.listing)
    }

    /// Carries out the decisions of all clusters at once.
    async fn carry_out(
        self: &Arc<Self>,
        object: &FederatedObject,
        world: &Arc<World>,
        decisions: Vec<Decision>,
    ) -> BTreeMap<ClusterName, Settled> {
        let held = object.inventory();
        let target = self.target_name(object.name());
        let mut settled = BTreeMap::new();
        let mut calls = Vec::new();
        for (index, decision) in decisions.into_iter().enumerate() {
            let cluster = world.members[index].0.name();
            if self.calls.are_under_way(cluster, &target) {
                settled.insert(cluster.clone(), Settled::unanswered(decision));
            } else if decision.action.reads() || decision.action.writes() {
                let held = held.contains(cluster);
                let (sync, world) = (Arc::clone(self), Arc::clone(world));
                let (target, first) = (target.clone(), decision.clone());
                let call = async move {
                    let member = &world.members[index].0;
                    let again =
                        |seen: &Observation| decide(&world.federation, member, seen, &world.record);
                    sync.settle(member, &target, first, held, again).await
                };
                calls.push(Call {
                    cluster: cluster.clone(),
                    decision,
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
        mut decision: Decision,
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
                return Settled {
                    decision,
                    outcome: None,
                    due: Due::Inventory,
                };
            }
            if decision.action.writes() {
                match self.context.dispatcher.write(&copy, &decision.action).await {
                    Dispatched::Ended { outcome, copy } => {
                        self.remember(member.name(), target, &decision, &outcome, copy);
                        return done(decision, Some(outcome));
                    }
                    Dispatched::Stale => {}
                }
            } else if !decision.action.reads() {
                return done(decision, None);
            }
            let observation = self.context.dispatcher.read(&copy).await;
            self.own_copies.forget(&ReconcileKey::in_cluster(
                member.name().clone(),
                target.clone(),
            ));
            decision = decide(&observation);
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

    /// Remembers a write until the watch shows it.
    fn remember(
        &self,
        cluster: &ClusterName,
        target: &QualifiedName,
        decision: &Decision,
        outcome: &Outcome,
        copy: Option<kubefed_api::ObservedCopy>,
    ) {
        let key = ReconcileKey::in_cluster(cluster.clone(), target.clone());
        match (outcome, copy) {
            (Outcome::Applied { .. } | Outcome::Deleting, Some(copy)) => {
                let version = copy.resource_version().to_owned();
                self.own_copies.wrote(key, &version, copy);
            }
            (Outcome::Gone | Outcome::Released, _) => {
                if let Some(seen) = self.copies.resource_version(cluster, target) {
                    self.own_copies.deleted(key, &seen);
                }
            }
            (Outcome::Failed { message, .. }, _) => {
                tracing::debug!(%cluster, %target, %decision, message, "an operation failed");
            }
            _ => {}
        }
    }

    async fn record(
        &self,
        object: &FederatedObject,
        world: &World,
        settled: &BTreeMap<ClusterName, Settled>,
    ) -> Result<(), HostError> {
        let (Ok(hashes), false) = (world.federation.hashes(), object.is_deleting()) else {
            return Ok(());
        };
        if world.federation.placement().undetermined().is_some() {
            return Ok(());
        }
        let mut selected = BTreeSet::new();
        let mut produced = BTreeMap::new();
        for (cluster, settled) in settled {
            if settled.decision.is_selected() {
                selected.insert(cluster.clone());
            }
            match (&settled.outcome, &settled.decision.action) {
                (Some(Outcome::Applied { version, .. }), _)
                | (None, Action::UpToDate { version }) => {
                    produced.insert(cluster.clone(), version.clone());
                }
                _ => {}
            }
        }
        self.records
            .store(object, hashes, &selected, &produced)
            .await
    }

    /// Patches the federated object and goes on with the answer.
    async fn patch_object(
        &self,
        object: &FederatedObject,
        patch: &serde_json::Value,
    ) -> Result<Arc<FederatedObject>, HostError> {
        let name = object.name();
        let patched = self
            .context
            .host
            .patch(&self.kinds.federated, name, None, patch)
            .await?;
        self.answered(name, patched)
    }

    /// Goes on with the object of the host's answer, and remembers it until the watch shows it.
    pub(super) fn answered(
        &self,
        name: &QualifiedName,
        answer: serde_json::Value,
    ) -> Result<Arc<FederatedObject>, HostError> {
        let version = answer["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let key = ReconcileKey::fleet(name.clone());
        let metadata = &answer["metadata"];
        let finalizers = metadata["finalizers"].as_array().map_or(0, Vec::len);
        if metadata["deletionTimestamp"].is_string() && finalizers == 0 {
            self.own_objects.deleted(key, version);
        } else {
            self.own_objects
                .wrote(key, version, Arc::new(answer.clone()));
        }
        let parsed = FederatedObject::parse(answer);
        parsed
            .map(Arc::new)
            .map_err(|error| HostError::Malformed(error.to_string()))
    }

    /// Sets free the copies of a federated object that does not exist. They are never deleted.
    async fn free_orphans(self: &Arc<Self>, name: &QualifiedName) -> Requeue {
        self.records.forget(name);
        self.context.explanations.explain(
            self.kinds.federated.qualified_plural(),
            name,
            Explanation::default(),
        );
        let target = self.target_name(name);
        let mut calls = Vec::new();
        for (member, copy) in self.orphans(&target) {
            let decision = decide_orphan(&member, &Observation::Managed(copy));
            let writes = decision.action.writes();
            if !writes || self.calls.are_under_way(member.name(), &target) {
                continue;
            }
            let (sync, target, first) = (Arc::clone(self), target.clone(), decision.clone());
            let cluster = member.name().clone();
            let call = async move {
                let again = |seen: &Observation| decide_orphan(&member, seen);
                sync.settle(&member, &target, first, false, again).await
            };
            calls.push(Call {
                cluster,
                decision,
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
