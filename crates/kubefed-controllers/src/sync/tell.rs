//! What a reconcile has to say in Events about the federated object.
//!
//! Clusters for which the same is to be said share one event, so that a change of an object in any
//! number of clusters costs one.

use std::collections::BTreeMap;

use kubefed_api::{ClusterName, FederatedObject, PropagationStatus, QualifiedName};
use kubefed_propagation::{Action, Ignorance, Outcome, Reason, Undetermined, Waiting};

use super::Sync;
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
            let note = Note::warning("InvalidName", message);
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
        let holding = settled.iter().filter(|(_, settled)| !settled.releases());
        let named: Vec<_> = holding
            .map(|(cluster, settled)| match &settled.decision.action {
                Action::Wait(Waiting::Unknown(why)) => {
                    let since = since(cluster).filter(|_| *why == Ignorance::NotReady);
                    format!("{cluster} ({why}{})", since.unwrap_or_default())
                }
                _ => cluster.to_string(),
            })
            .collect();
        if named.is_empty() {
            return None;
        }
        let message = format!(
            "Waiting for managed resources to be removed from the following clusters: {}",
            named.join(", ")
        );
        Some(Note {
            lasts: true,
            ..Note::normal("WaitForRemovalInCluster", message)
        })
    }

    pub(super) fn tell(
        &self,
        object: &FederatedObject,
        world: &World,
        settled: &BTreeMap<ClusterName, Settled>,
    ) {
        let about = self.about(object);
        let copy = format!(
            "{} \"{}\"",
            self.kinds.target.kind,
            self.target_name(object.name())
        );
        for note in of_the_whole(object, world) {
            self.context.events.say(&about, note);
        }
        let mut sayings = BTreeMap::<Saying, Vec<ClusterName>>::new();
        for (cluster, settled) in settled {
            if let Some(saying) = of_a_cluster(object, settled, &copy) {
                sayings.entry(saying).or_default().push(cluster.clone());
            }
        }
        for ((warning, reason, before, after), clusters) in sayings {
            let note = Note {
                warning,
                lasts: warning,
                reason,
                message: format!("{before}{}{after}", list(&clusters)),
            };
            self.context.events.say(&about, note);
        }
        if object.is_deleting()
            && let Some(note) = self.waiting(settled)
        {
            self.context.events.say(&about, note);
        }
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
            let message = format!("Failed to compute placement: {why}");
            Some(Note::warning("ComputePlacementFailed", message))
        }
    };
    let rendered = world.federation.rendered().ok();
    let dropped = rendered
        .into_iter()
        .flat_map(|rendered| rendered.warnings.iter());
    let dropped = dropped.map(|dropped| Note::warning(dropped.reason(), dropped.to_string()));
    placement.into_iter().chain(dropped).collect()
}

fn of_a_cluster(object: &FederatedObject, settled: &Settled, copy: &str) -> Option<Saying> {
    let decision = &settled.decision;
    if decision.reason == Reason::ClusterRemoved && settled.releases() {
        let before = format!("{copy} may still be in");
        let after = ", which is no longer joined".to_owned();
        return Some((true, "ClusterRemoved", before, after));
    }
    // As in the original, the operations of a deletion are not told one by one.
    if object.is_deleting() {
        return None;
    }
    let failed = |operation: &Operation, message: &str| {
        let before = format!("{} {copy} in", operation.fails);
        (true, operation.failed, before, format!(": {message}"))
    };
    if settled.is_unanswered() {
        let after = " has yet to answer".to_owned();
        return Some((true, "OperationTimeoutError", format!("{copy}:"), after));
    }
    match (&settled.outcome, &decision.action) {
        (Some(Outcome::Failed { message, .. }), action) => {
            operation(action).map(|operation| failed(operation, message))
        }
        (_, Action::Refuse(refusal)) => {
            let operation = match refusal.status {
                PropagationStatus::ManagedLabelFalse | PropagationStatus::FieldRetentionFailed => {
                    &UPDATE
                }
                _ => &CREATE,
            };
            Some(failed(operation, &refusal.message))
        }
        (Some(_), Action::Adopt { .. }) => Some(failed(
            &CREATE,
            "An update will be attempted instead of a creation due to an existing resource",
        )),
        (Some(_), action) => operation(action).map(|operation| {
            let before = format!("{} {copy} in", operation.begins);
            (false, operation.reason, before, String::new())
        }),
        (None, Action::Wait(Waiting::Unknown(why))) if decision.is_selected() => match why {
            Ignorance::NotReady => {
                let before = "Cluster not ready:".to_owned();
                Some((true, "ClusterNotReady", before, String::new()))
            }
            Ignorance::NotSynced(why) => {
                let before = "Failed to retrieve cached cluster object in".to_owned();
                Some((true, "CachedRetrievalFailed", before, format!(": {why}")))
            }
            _ => None,
        },
        _ => None,
    }
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
fn list(clusters: &[ClusterName]) -> String {
    let quoted: Vec<_> = clusters
        .iter()
        .map(|cluster| format!("\"{cluster}\""))
        .collect();
    let noun = if quoted.len() == 1 {
        "cluster"
    } else {
        "clusters"
    };
    format!(" {noun} {}", quoted.join(", "))
}
