use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ClusterName;
use crate::open_enum::open_enum;

open_enum! {
    /// How propagation to one cluster stands: `status.clusters[].status`.
    PropagationStatus {
        /// As desired. The wire has the empty string, which is omitted.
        Ok = "",
        /// A delete was sent or is pending, and the copy still exists.
        WaitingForRemoval = "WaitingForRemoval",
        /// The cluster is selected but not ready.
        ClusterNotReady = "ClusterNotReady",
        /// What the cluster holds is not known.
        CachedRetrievalFailed = "CachedRetrievalFailed",
        /// The template could not be turned into an object.
        ComputeResourceFailed = "ComputeResourceFailed",
        /// The overrides are invalid or do not apply.
        ApplyOverridesFailed = "ApplyOverridesFailed",
        /// The copy could not be created.
        CreationFailed = "CreationFailed",
        /// The copy could not be updated.
        UpdateFailed = "UpdateFailed",
        /// The copy could not be deleted.
        DeletionFailed = "DeletionFailed",
        /// The managed label could not be removed.
        LabelRemovalFailed = "LabelRemovalFailed",
        /// An existing object could not be read.
        RetrievalFailed = "RetrievalFailed",
        /// An object that is not ours exists, and adoption is disabled.
        AlreadyExists = "AlreadyExists",
        /// Member-owned fields could not be kept.
        FieldRetentionFailed = "FieldRetentionFailed",
        /// The recorded version could not be computed.
        VersionRetrievalFailed = "VersionRetrievalFailed",
        /// There is no client for the cluster.
        ClientRetrievalFailed = "ClientRetrievalFailed",
        /// The object carries `kubefed.io/managed: "false"`.
        ManagedLabelFalse = "ManagedLabelFalse",
        /// The creation did not finish in time.
        CreationTimedOut = "CreationTimedOut",
        /// The update did not finish in time.
        UpdateTimedOut = "UpdateTimedOut",
        /// The deletion did not finish in time.
        DeletionTimedOut = "DeletionTimedOut",
        /// The removal of the managed label did not finish in time.
        LabelRemovalTimedOut = "LabelRemovalTimedOut",
    }
}

impl PropagationStatus {
    /// Whether the object is as desired in this cluster.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }

    /// Whether trying again may help without anything else changing: these states are retried with
    /// back-off, all others wait for an event.
    pub fn is_retried(&self) -> bool {
        matches!(
            self,
            Self::CreationFailed
                | Self::UpdateFailed
                | Self::DeletionFailed
                | Self::LabelRemovalFailed
                | Self::RetrievalFailed
                | Self::ClientRetrievalFailed
                | Self::CreationTimedOut
                | Self::UpdateTimedOut
                | Self::DeletionTimedOut
                | Self::LabelRemovalTimedOut
        )
    }
}

open_enum! {
    /// Why the `Propagation` condition is not `True`.
    PropagationReason {
        /// Nothing is wrong. The wire has the empty string, which is omitted.
        Success = "",
        /// At least one cluster has a status other than OK.
        CheckClusters = "CheckClusters",
        /// The list of clusters is not available.
        ClusterRetrievalFailed = "ClusterRetrievalFailed",
        /// The placement could not be computed.
        ComputePlacementFailed = "ComputePlacementFailed",
        /// The namespace has no FederatedNamespace.
        NamespaceNotFederated = "NamespaceNotFederated",
    }
}

/// The status of a federated object. Fields that are empty are omitted on the wire.
///
/// Times are RFC 3339 in UTC with whole seconds; this crate reads no clock, so they are given.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FederatedStatus {
    /// The generation that was reconciled last; omitted when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Propagation`, and conditions of others, which are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<StatusCondition>,
    /// The clusters that hold, or should hold, a copy, sorted by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterStatus>,
}

impl FederatedStatus {
    /// The `Propagation` condition.
    pub fn propagation(&self) -> Option<&StatusCondition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == crate::well_known::PROPAGATION_CONDITION)
    }
}

/// A condition in the status of a federated object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusCondition {
    /// The type; ours is `Propagation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`; ours is never `Unknown`.
    pub status: String,
    /// A [`PropagationReason`] for the condition `Propagation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When anything about the condition was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<String>,
    /// When status or reason last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
}

/// How one cluster stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster.
    pub name: ClusterName,
    /// Its propagation status; omitted when OK.
    #[serde(default, skip_serializing_if = "PropagationStatus::is_ok")]
    pub status: PropagationStatus,
    /// The copy's own `.status`, where raw status collection is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_status: Option<Value>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_fields_are_omitted_and_unknown_values_survive() {
        let wire = json!({
            "observedGeneration": 4,
            "conditions": [{
                "type": "Propagation", "status": "False", "reason": "CheckClusters",
                "lastUpdateTime": "2024-05-01T10:00:00Z",
                "lastTransitionTime": "2024-05-01T10:00:00Z",
            }],
            "clusters": [
                {"name": "east"},
                {"name": "north", "status": "Odd"},
                {"name": "west", "status": "UpdateFailed"},
            ],
        });
        let status: FederatedStatus = serde_json::from_value(wire.clone()).unwrap();
        assert!(status.clusters[0].status.is_ok());
        assert_eq!(
            status.clusters[1].status,
            PropagationStatus::Other("Odd".to_owned())
        );
        assert_eq!(serde_json::to_value(&status).unwrap(), wire);
        assert_eq!(
            serde_json::to_value(FederatedStatus::default()).unwrap(),
            json!({})
        );
    }

    #[test]
    fn half_of_the_statuses_are_retried() {
        let retried = "CreationFailed UpdateFailed DeletionFailed LabelRemovalFailed RetrievalFailed \
            ClientRetrievalFailed CreationTimedOut UpdateTimedOut DeletionTimedOut LabelRemovalTimedOut";
        let waiting = "WaitingForRemoval ClusterNotReady CachedRetrievalFailed ComputeResourceFailed \
            ApplyOverridesFailed AlreadyExists FieldRetentionFailed VersionRetrievalFailed ManagedLabelFalse";
        let sorted = |mut words: Vec<&'static str>| {
            words.sort_unstable();
            words
        };
        let (known, of_all) = (PropagationStatus::KNOWN.to_vec(), [retried, "", waiting]);
        let all = of_all.iter().flat_map(|words| words.split(' ')).collect();
        assert_eq!(sorted(known.clone()), sorted(all));
        let is_retried = |status: &&str| PropagationStatus::from(*status).is_retried();
        let found = known.into_iter().filter(is_retried).collect();
        assert_eq!(sorted(found), sorted(retried.split(' ').collect()));
        assert_eq!(PropagationStatus::default(), PropagationStatus::Ok);
    }
}
