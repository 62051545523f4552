//! What a reconcile has to say in Events about the federated object.
//!
//! Clusters for which the same is to be said share one event, so that a change of an object in any
//! number of clusters costs one.

use std::collections::{BTreeMap, BTreeSet};

use kubefed_api::{ClusterName, FederatedObject, PropagationStatus, QualifiedName};
use kubefed_propagation::{
    Action, Failure, Ignorance, Observation, Outcome, Reason, Undetermined, Waiting,
};

use super::Sync;
use super::calls::Late;
use super::observe::{HostObject, World};
use super::reconcile::Settled;
use crate::events::{About, Note};

/// How the events of an operation are worded.
struct Operation {
    reason: &'static str,
    failed: &'static str,
    begins: &'static str,
    fails: &'static str,
}

const CREATE: Operation = Operation {
    reason: "CreateInCluster",
    failed: "CreateInClusterFailed",
    begins: "Creating",
    fails: "Failed to create",
};
const UPDATE: Operation = Operation {
    reason: "UpdateInCluster",
    failed: "UpdateInClusterFailed",
    begins: "Updating",
    fails: "Failed to update",
};
const DELETE: Operation = Operation {
    reason: "DeleteInCluster",
    failed: "DeleteInClusterFailed",
    begins: "Deleting",
    fails: "Failed to delete",
};
const REMOVE_LABEL: Operation = Operation {
    reason: "RemoveManagedLabelFromInCluster",
    failed: "RemoveManagedLabelFromInClusterFailed",
    begins: "Removing managed label from",
    fails: "Failed to remove managed label from",
};

/// Clusters that an event names.
const NAMED_MAX: usize = 10;

/// Whether it is a warning, the reason, and the words before and after the clusters.
type Saying = (bool, &'static str, String, String);

impl Sync {
    pub(super) fn about(&self, object: &FederatedObject) -> About {
        let kind = self.kinds.federated.clone();
        About {
            name: object.name().clone(),
            uid: object.metadata().uid.clone().unwrap_or_default(),
            component: format!("{}-controller", kind.kind.to_lowercase()),
            kind,
        }
    }

    /// A FederatedNamespace is named like its namespace, or is left alone.
    pub(super) fn tell_invalid_name(&self, name: &QualifiedName) {
        let HostObject::Present(object) = self.host_object(name) else {
            return;
        };
        if self.kinds.target.is_core("Namespace") && name.namespace() != Some(name.name()) {
            let message = "a federated namespace must be named like the namespace it is in";
            let note = Note::warning("InvalidName", message, "");
            self.context.events.say(&self.about(&object), note);
        }
    }

    /// The clusters that hold a deletion up, and since when those that are not ready are not.
    fn waiting(&self, settled: &BTreeMap<ClusterName, Settled>) -> Option<Note> {
        let fleet = self.context.fleet.clusters();
        let since = |cluster: &ClusterName| {
            let health = fleet.get(cluster)?.health();
            let changed = health.conditions().first()?.last_transition_time.clone()?;
            Some(changed.0.strftime(" since %Y-%m-%dT%H:%M:%SZ").to_string())
        };
        let cause = |cluster: &ClusterName, settled: &Settled| match (
            &settled.outcome,
            &settled.decision.action,
        ) {
            (Some(Outcome::Failed { message, .. }), _) => Some(message.clone()),
            (_, Action::Wait(Waiting::Unknown(Ignorance::NotReady))) => {
                let since = since(cluster).unwrap_or_default();
                Some(format!("{}{since}", Ignorance::NotReady))
            }
            (_, Action::Wait(Waiting::Unknown(why))) => Some(why.to_string()),
            (_, Action::Wait(Waiting::DeleteOptions(error))) => Some(error.to_string()),
            (_, Action::Refuse(refusal)) => Some(refusal.message.clone()),
            _ => None,
        };
        let holding = settled.iter().filter(|(_, settled)| !settled.releases());
        let named = holding.map(|(cluster, settled)| match cause(cluster, settled) {
            Some(cause) => format!("{cluster} ({cause})"),
            None => cluster.to_string(),
        });
        let named = enumeration(named)?;
        let subject =
            "Waiting for managed resources to be removed from the following clusters:".to_owned();
        Some(Note {
            warning: false,
            lasts: true,
            reason: "WaitForRemovalInCluster",
            subject,
            detail: format!(" {named}"),
        })
    }

    /// Says what there is to say about an object.
    pub(super) fn tell(&self, object: &FederatedObject, notes: Vec<Note>) {
        let about = self.about(object);
        for note in notes {
            self.context.events.say(&about, note);
        }
    }

    /// What was done, what failed, and what stands in the way. `late` are the ends of calls that an
    /// earlier reconcile did not wait for.
    pub(super) fn notes(
        &self,
        object: &FederatedObject,
        world: &World,
        late: &BTreeMap<ClusterName, Late>,
        settled: &BTreeMap<ClusterName, Settled>,
    ) -> Vec<Note> {
        let copy = format!(
            "{} \"{}\"",
            self.kinds.target.kind,
            self.target_name(object.name())
        );
        let mut notes = of_the_whole(object, world);
        let observed: BTreeMap<_, _> = world
            .members
            .iter()
            .map(|(member, observation)| (member.name(), observation))
            .collect();
        let mut sayings = BTreeMap::<Saying, BTreeSet<&ClusterName>>::new();
        let late = late.iter().map(|(cluster, late)| (cluster, &late.settled));
        for (cluster, settled) in late.chain(settled) {
            let observed = observed.get(cluster).copied();
            if let Some(saying) = of_a_cluster(object, world, observed, settled, &copy) {
                sayings.entry(saying).or_default().insert(cluster);
            }
        }
        notes.extend(
            sayings
                .into_iter()
                .map(|((warning, reason, before, after), clusters)| Note {
                    warning,
                    lasts: warning,
                    reason,
                    subject: format!("{before}{}", list(&clusters)),
                    detail: after,
                }),
        );
        if object.is_deleting() && !world.listing {
            notes.extend(self.waiting(settled));
        }
        notes
    }
}

/// What is wrong with the object whatever the cluster.
fn of_the_whole(object: &FederatedObject, world: &World) -> Vec<Note> {
    if object.is_deleting() {
        return Vec::new();
    }
    let placement = match world.federation.placement().undetermined() {
        Some(Undetermined::NamespaceUnknown(_)) | None => None,
        Some(why) => {
            let (subject, cause) = ("Failed to compute placement", format!(": {why}"));
            Some(Note::warning("ComputePlacementFailed", subject, cause))
        }
    };
    let rendered = world.federation.rendered().ok();
    let dropped = rendered
        .into_iter()
        .flat_map(|rendered| rendered.warnings.iter());
    let dropped = dropped.map(|dropped| Note::warning(dropped.reason(), dropped.to_string(), ""));
    placement.into_iter().chain(dropped).collect()
}

fn of_a_cluster(
    object: &FederatedObject,
    world: &World,
    observed: Option<&Observation>,
    settled: &Settled,
    copy: &str,
) -> Option<Saying> {
    let decision = &settled.decision;
    if decision.reason == Reason::ClusterRemoved && settled.releases() {
        let before = format!("{copy} may still be in");
        let after = ", which is no longer joined".to_owned();
        return Some((true, "ClusterRemoved", before, after));
    }
    // As in the original, the operations of a deletion are not told one by one. A call that has yet to
    // be answered is told by its end.
    if object.is_deleting() || settled.is_unanswered() {
        return None;
    }
    let attempted = match (operation(&decision.action), observed) {
        (Some(operation), _) => operation,
        (None, _) if !decision.is_selected() => &DELETE,
        (None, Some(Observation::Managed(_))) => &UPDATE,
        (None, _) => &CREATE,
    };
    let failed = |operation: &Operation, message: &str| {
        let before = format!("{} {copy} in", operation.fails);
        Some((true, operation.failed, before, format!(": {message}")))
    };
    match (&settled.outcome, &decision.action) {
        // Without the words, which differ while a cluster is left alone for a while.
        (Some(Outcome::Failed { failure, .. }), _) if *failure == Failure::TimedOut => {
            let before = format!("Failed to finish an operation on {copy} in time in");
            Some((true, "OperationTimeoutError", before, String::new()))
        }
        (Some(Outcome::Failed { message, .. }), _) => failed(attempted, message),
        (_, Action::Refuse(refusal)) => match refusal.status {
            PropagationStatus::ManagedLabelFalse | PropagationStatus::FieldRetentionFailed => {
                failed(&UPDATE, &refusal.message)
            }
            _ => failed(attempted, &refusal.message),
        },
        (Some(_), Action::Adopt { .. }) => failed(
            &CREATE,
            "An update will be attempted instead of a creation due to an existing resource",
        ),
        (Some(_), action) => operation(action).map(|operation| {
            let before = format!("{} {copy} in", operation.begins);
            (false, operation.reason, before, String::new())
        }),
        // Before the first lists are answered, what is not known is no news.
        (None, Action::Wait(Waiting::Unknown(why))) if decision.is_selected() && !world.listing => {
            match why {
                Ignorance::ReadFailed(_) | Ignorance::NoClient(_) => {
                    failed(attempted, &why.to_string())
                }
                Ignorance::NotReady | Ignorance::NotSynced(_) => Some(of_the_unknown(why)),
            }
        }
        _ => None,
    }
}

fn of_the_unknown(why: &Ignorance) -> Saying {
    let (reason, before, after) = match why {
        Ignorance::NotSynced(why) => (
            "CachedRetrievalFailed",
            "Failed to retrieve cached cluster object in",
            format!(": {why}"),
        ),
        _ => ("ClusterNotReady", "Cluster not ready:", String::new()),
    };
    (true, reason, before.to_owned(), after)
}

fn operation(action: &Action) -> Option<&'static Operation> {
    match action {
        Action::Create { .. } => Some(&CREATE),
        Action::Update { .. } | Action::Adopt { .. } => Some(&UPDATE),
        Action::Delete { .. } => Some(&DELETE),
        Action::RemoveLabel { .. } => Some(&REMOVE_LABEL),
        _ => None,
    }
}

/// The clusters, as ` cluster "a"` or ` clusters "a", "b"`.
fn list(clusters: &BTreeSet<&ClusterName>) -> String {
    let noun = if clusters.len() == 1 {
        "cluster"
    } else {
        "clusters"
    };
    let quoted = clusters.iter().map(|cluster| format!("\"{cluster}\""));
    format!(" {noun} {}", enumeration(quoted).unwrap_or_default())
}

/// The first items, and how many more there are; `None` where there is none.
fn enumeration(mut items: impl Iterator<Item = String>) -> Option<String> {
    let named: Vec<_> = items.by_ref().take(NAMED_MAX).collect();
    let more = items.count();
    let text = named.join(", ");
    match (named.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(text),
        (false, more) => Some(format!("{text} and {more} more")),
    }
}
