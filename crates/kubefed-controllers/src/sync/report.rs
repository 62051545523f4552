//! Reports what became of the clusters in the status of the federated object.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_api::{ClusterName, FederatedObject, FederatedStatus};
use kubefed_propagation::{Action, Observation, Outcome, RemoteStatus, Report, Undetermined};
use serde_json::{Value, json};

use super::Sync;
use super::observe::World;
use super::reconcile::Settled;
use crate::explanations::Explanation;
use crate::host::HostError;

impl Sync {
    /// Writes the status if it says something new, and gives the object of the answer. While a cluster
    /// has yet to answer its first list, its state is not known and not news either. `is_rest` tells that
    /// copies were written by an earlier reconcile that left the report to this one.
    pub(super) async fn report(
        &self,
        object: &FederatedObject,
        world: &World,
        settled: &BTreeMap<ClusterName, Settled>,
        is_rest: bool,
    ) -> Result<Option<Arc<FederatedObject>>, HostError> {
        self.context.explanations.explain(
            self.kinds.federated.qualified_plural(),
            object.name(),
            explanation(world, settled),
        );
        let remote_statuses = self.remote_statuses(world, settled);
        let Some(report) = report(object, world, settled, remote_statuses, is_rest) else {
            return Ok(None);
        };
        let now = self.context.now();
        let Some(next) = report.next_status(object.status(), &now) else {
            return Ok(None);
        };
        // Guarded, so that the answer holds no change of anybody else: its event counts as no news.
        let version = &object.metadata().resource_version;
        let patch = json!({
            "metadata": {"resourceVersion": version},
            "status": status_patch(&next),
        });
        match self.patch_object(object, Some("status"), &patch).await {
            Ok(newer) => Ok(Some(newer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Sync {
    /// The copies' own statuses, if they are collected: what a write was answered, or else what was
    /// observed.
    fn remote_statuses(
        &self,
        world: &World,
        settled: &BTreeMap<ClusterName, Settled>,
    ) -> BTreeMap<ClusterName, Value> {
        if !self.copies.are_whole() {
            return BTreeMap::new();
        }
        let observed = world.members.iter().filter_map(|(member, observation)| {
            let Observation::Managed(copy) = observation else {
                return None;
            };
            Some((member.name().clone(), copy.body()?.get("status")?.clone()))
        });
        let answered = settled.iter().filter_map(|(cluster, settled)| {
            let Some(Outcome::Applied { remote_status, .. }) = &settled.outcome else {
                return None;
            };
            Some((cluster.clone(), remote_status.clone()?))
        });
        // The schema of federated types has room for objects only.
        let statuses = observed.chain(answered);
        statuses.filter(|(_, status)| status.is_object()).collect()
    }
}

/// What the status has no room for: the words behind each cluster's status.
fn explanation(world: &World, settled: &BTreeMap<ClusterName, Settled>) -> Explanation {
    let words = |(cluster, settled): (&ClusterName, &Settled)| {
        let status = settled.status().filter(|status| !status.is_ok())?;
        let words = match (&settled.outcome, &settled.decision.action) {
            (Some(Outcome::Failed { message, .. }), _) => message.clone(),
            // Its status is told beside it.
            (_, Action::Refuse(refusal)) => refusal.message.clone(),
            (_, Action::Wait(waiting)) => waiting.to_string(),
            _ => status.to_string(),
        };
        Some((cluster.clone(), words))
    };
    let undetermined = world.federation.placement().undetermined();
    Explanation {
        whole: undetermined.map_or_else(String::new, |why| why.to_string()),
        clusters: settled.iter().filter_map(words).collect(),
    }
}

fn report(
    object: &FederatedObject,
    world: &World,
    settled: &BTreeMap<ClusterName, Settled>,
    mut remote_statuses: BTreeMap<ClusterName, Value>,
    is_rest: bool,
) -> Option<Report> {
    // Whether the namespace is federated will be known in a moment; until then there is no news.
    let undetermined = world.federation.placement().undetermined();
    if matches!(undetermined, Some(Undetermined::NamespaceUnknown(_))) {
        return None;
    }
    // What is released for good needs no last word.
    if object.is_deleting() && settled.values().all(Settled::releases) {
        return None;
    }
    if world.listing {
        return None;
    }
    let updated = is_rest || settled.values().any(Settled::is_applied);
    // Where one copy has a status the kind has one, and it is missed in the others.
    let expected = if remote_statuses.is_empty() {
        RemoteStatus::NotExpected
    } else {
        RemoteStatus::Expected
    };
    let report = Report::new(object.generation())
        .reason(world.federation.reason())
        .remote_status(expected)
        .updated(updated);
    let add = |report: Report, (cluster, settled): (&ClusterName, &Settled)| match settled.status()
    {
        Some(status) => report.cluster(cluster.clone(), status, remote_statuses.remove(cluster)),
        None => report,
    };
    Some(settled.iter().fold(report, add))
}

/// The status as a JSON merge patch that replaces every field of ours. A list that is empty is left
/// out of the wire form, so it is removed.
fn status_patch(status: &FederatedStatus) -> Value {
    let mut patch = json!({"observedGeneration": null, "conditions": null, "clusters": null});
    if let (Some(patch), Ok(Value::Object(fields))) =
        (patch.as_object_mut(), serde_json::to_value(status))
    {
        patch.extend(fields);
    }
    patch
}
