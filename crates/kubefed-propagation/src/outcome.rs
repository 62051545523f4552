use kubefed_api::{ObjectVersion, PropagationStatus};
use serde_json::Value;

use crate::decision::{Action, Decision, Reason, Waiting};
use crate::observation::Ignorance;

/// What became of a decision that was carried out in a cluster. Closed: every case has its status.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The object was created, replaced or taken over.
    Applied {
        /// The version that the cluster answered.
        version: ObjectVersion,
        /// The object's own `.status` in that answer.
        remote_status: Option<Value>,
    },
    /// The managed label is gone.
    Released,
    /// The object is gone.
    Gone,
    /// The deletion was accepted, and the object still exists.
    Deleting,
    /// The cluster refused, or could not be reached.
    Failed {
        /// What kind of failure it was.
        failure: Failure,
        /// What the cluster or the connection said.
        message: String,
    },
}

/// How an operation failed. Closed: it decides the reported status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The cluster answered with an error, or the connection broke.
    Refused,
    /// No answer came before the deadline; the write may or may not have taken effect.
    TimedOut,
    /// There is no client for the cluster.
    NoClient,
}

impl Decision {
    /// The status that the federated object reports for the cluster; `None` where the cluster is not
    /// listed. `outcome` is that of a carried-out write, and `None` for all other actions. Where the
    /// selection is undetermined, [`Federation::reason`](crate::Federation::reason) says so for the
    /// object as a whole.
    pub fn status(&self, outcome: Option<&Outcome>) -> Option<PropagationStatus> {
        match (outcome, &self.action) {
            (Some(Outcome::Applied { .. }), _) | (None, Action::UpToDate { .. }) => {
                Some(PropagationStatus::Ok)
            }
            (Some(Outcome::Gone | Outcome::Released), _) | (None, Action::Nothing) => None,
            (Some(Outcome::Deleting), _) => Some(PropagationStatus::WaitingForRemoval),
            (Some(Outcome::Failed { failure, .. }), action) => Some(failed(action, *failure)),
            (None, Action::Refuse(refusal)) => Some(refusal.status.clone()),
            (None, Action::Wait(waiting)) => self.waiting(waiting),
            // Left undone, for example because leadership was lost on the way.
            (None, Action::ProveAbsence | Action::Delete { .. } | Action::RemoveLabel { .. }) => {
                Some(PropagationStatus::WaitingForRemoval)
            }
            (None, Action::FetchBody) => Some(PropagationStatus::RetrievalFailed),
            (None, Action::Create { .. }) => Some(PropagationStatus::CreationFailed),
            (None, Action::Update { .. } | Action::Adopt { .. }) => {
                Some(PropagationStatus::UpdateFailed)
            }
        }
    }

    /// Whether the cluster holds no copy of ours, by proof or because it left the federation. Only
    /// then may it leave the inventory, and the finalizer go.
    pub fn releases(&self, outcome: Option<&Outcome>) -> bool {
        match outcome {
            Some(Outcome::Gone | Outcome::Released) => true,
            Some(_) => false,
            None => self.action == Action::Nothing,
        }
    }

    /// Whether the cluster should hold a copy.
    pub fn is_selected(&self) -> bool {
        matches!(self.reason, Reason::Selected(_))
    }

    /// A failed read is told apart from other reasons to wait because it has to be tried again:
    /// nothing else will bring the object back to the queue.
    fn waiting(&self, waiting: &Waiting) -> Option<PropagationStatus> {
        use PropagationStatus as Status;
        Some(match waiting {
            // The reason of the object as a whole says so; nothing is known of the clusters.
            Waiting::Undetermined => return None,
            Waiting::Unknown(Ignorance::NotReady) if !self.is_selected() => {
                Status::WaitingForRemoval
            }
            Waiting::Unknown(Ignorance::NotReady) => Status::ClusterNotReady,
            Waiting::Unknown(Ignorance::NotSynced(_)) => Status::CachedRetrievalFailed,
            Waiting::Unknown(Ignorance::ReadFailed(_)) => Status::RetrievalFailed,
            Waiting::Unknown(Ignorance::NoClient(_)) => Status::ClientRetrievalFailed,
            Waiting::ForeignRemoval => Status::CreationFailed,
            Waiting::Removal | Waiting::DeleteOptions(_) => Status::WaitingForRemoval,
        })
    }
}

fn failed(action: &Action, failure: Failure) -> PropagationStatus {
    use PropagationStatus as Status;
    let (refused, timed_out) = match action {
        Action::Create { .. } => (Status::CreationFailed, Status::CreationTimedOut),
        Action::Delete { .. } => (Status::DeletionFailed, Status::DeletionTimedOut),
        Action::RemoveLabel { .. } => (Status::LabelRemovalFailed, Status::LabelRemovalTimedOut),
        Action::Update { .. } | Action::Adopt { .. } => {
            (Status::UpdateFailed, Status::UpdateTimedOut)
        }
        Action::Nothing
        | Action::UpToDate { .. }
        | Action::Wait(_)
        | Action::ProveAbsence
        | Action::FetchBody
        | Action::Refuse(_) => (Status::RetrievalFailed, Status::RetrievalFailed),
    };
    match failure {
        Failure::Refused => refused,
        Failure::TimedOut => timed_out,
        Failure::NoClient => Status::ClientRetrievalFailed,
    }
}
