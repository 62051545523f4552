use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scope, Toggle};
use crate::duration::GoDuration;
use crate::open_enum::open_enum;

/// Settings of the control plane.
///
/// Exactly one KubeFedConfig is read, once, when the controllers start: the one named
/// [`CONFIG_NAME`](crate::well_known::CONFIG_NAME) in the KubeFed namespace. The schema requires only
/// the scope; defaults are filled in on creation and validation then asks for every field.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "KubeFedConfig",
    plural = "kubefedconfigs",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "Settings of the control plane."
)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct KubeFedConfigSpec {
    /// What the control plane looks after: the whole host cluster or one namespace. Immutable.
    pub scope: Scope,
    /// Delays of the controllers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_duration: Option<ControllerDurations>,
    /// Leader election.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_elect: Option<LeaderElectConfig>,
    /// Feature gates; names are unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_gates: Option<Vec<FeatureGate>>,
    /// Probing of members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_health_check: Option<ClusterHealthCheckConfig>,
    /// The loops that propagate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_controller: Option<SyncControllerConfig>,
    /// The loops that collect status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_controller: Option<StatusControllerConfig>,
}

/// Delays of the controllers; all must be positive.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ControllerDurations {
    /// From a cluster's becoming available to reconciling everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_delay: Option<GoDuration>,
    /// From a cluster's becoming unavailable to reconciling everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable_delay: Option<GoDuration>,
    /// How long a reconcile may wait for its caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_sync_timeout: Option<GoDuration>,
}

/// Leader election among replicas of the control plane.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct LeaderElectConfig {
    /// How long others wait for a silent leader; more than `renew_deadline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration: Option<GoDuration>,
    /// How long a leader tries to renew before it gives up; more than 1.2 × `retry_period`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_deadline: Option<GoDuration>,
    /// Time between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_period: Option<GoDuration>,
    /// Kind of the lock object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_lock: Option<ResourceLock>,
}

open_enum! {
    /// Kind of the lock object of leader election.
    ResourceLock {
        /// An annotation on a ConfigMap.
        ConfigMaps = "configmaps",
        /// An annotation on an Endpoints object.
        Endpoints = "endpoints",
    }
}

/// Whether one feature is on.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
#[schemars(!default)]
pub struct FeatureGate {
    /// The feature.
    pub name: FeatureGateName,
    /// On or off.
    pub configuration: Toggle,
}

open_enum! {
    /// A feature that can be switched off.
    FeatureGateName {
        /// Propagation itself: without it no sync or status loop runs.
        PushReconciler = "PushReconciler",
        /// Collection of the whole status of member objects.
        RawResourceStatusCollection = "RawResourceStatusCollection",
        /// Scheduling of replicas.
        SchedulerPreferences = "SchedulerPreferences",
    }
}

/// Probing of members; all values must be positive.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ClusterHealthCheckConfig {
    /// Time between two rounds of probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<GoDuration>,
    /// Failures in a row until a ready cluster counts as not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i64>,
    /// Successes in a row until a cluster counts as ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i64>,
    /// How long one probe may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}

/// The loops that propagate.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct SyncControllerConfig {
    /// Workers per federated type; positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_reconciles: Option<i64>,
    /// Whether objects that exist in a member already are taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt_resources: Option<Toggle>,
}

/// The loops that collect status.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct StatusControllerConfig {
    /// Workers per federated type; positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_reconciles: Option<i64>,
}
