//! Federated type modelling: the kinds of KubeFed v0.10 and the federated objects they generate.

mod core;
mod crd;
mod defaulting;
mod duration;
mod error;
mod federate;
mod federated;
#[cfg(feature = "yaml")]
pub mod manifest;
mod name;
mod observed;
mod open_enum;
mod scheduling;
#[cfg(any(test, feature = "proptest"))]
pub mod strategy;
pub mod validation;
pub mod well_known;
mod wire;

pub use self::core::{
    ClusterCondition, ClusterConditionStatus, ClusterConditionType, ClusterHealthCheckConfig,
    ClusterObjectVersion, ClusterPropagatedVersion, ClusterPropagatedVersionSpec,
    ClusterServiceStatus, ControllerDurations, ControllerStatus, FeatureGate, FeatureGateName,
    FederatedServiceStatus, FederatedServiceStatusSpec, FederatedTypeConfig,
    FederatedTypeConfigSpec, FederatedTypeConfigStatus, KubeFedCluster, KubeFedClusterSpec,
    KubeFedClusterStatus, KubeFedConfig, KubeFedConfigSpec, LeaderElectConfig,
    LocalSecretReference, PropagatedVersion, PropagatedVersionSpec, PropagatedVersionStatus,
    ResourceLock, ResourceType, Scope, StatusControllerConfig, SyncControllerConfig, TlsValidation,
    Toggle, plural,
};
pub use crd::{
    Target, TemplateSchema, crds, default_targets, federated_crd, federated_type_config,
};
pub use duration::{GoDuration, ParseDurationError};
pub use error::Error;
pub use federate::{Dropped, Federated, federate, federate_as};
pub use federated::{
    CLUSTER_OVERRIDES_MAX, ClusterSelection, ClusterStatus, FederatedObject, FederatedStatus,
    Override, OverrideOperation, Overrides, PropagationReason, PropagationStatus, StatusCondition,
    Template,
};
pub use k8s_openapi;
pub use kube;
pub use name::{
    ClusterName, QualifiedName, is_dns1035_label, is_dns1123_label, is_dns1123_subdomain,
};
pub use observed::{MetadataDigest, ObjectVersion, ObservedCopy, ParseVersionError};
pub use scheduling::{
    ClusterPreferences, ReplicaSchedulingPreference, ReplicaSchedulingPreferenceSpec,
    ReplicaSchedulingPreferenceStatus,
};
