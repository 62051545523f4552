//! The kinds of the group `core.kubefed.io`, one file each.
//!
//! These are wire structs: their fields are public and plain, every one has a default, and text with
//! known values keeps unknown ones. Decoding therefore accepts whatever the API server stores, and
//! telling right from wrong is left to validation. A kind is filled with struct update syntax
//! (`..Default::default()`); where few fields matter there is a `new`.
//!
//! What is written equals what the original writes, down to which empty fields appear, with one
//! exception: an object without a status is written without one, where the original writes an empty
//! status. No server sees the difference, as it drops the status of such writes. Names of fields are
//! read case-sensitively, unlike in the original; the schemas let no other spelling be stored.

mod cluster;
mod config;
mod propagated_version;
mod service_status;
mod type_config;

pub use cluster::{
    ClusterCondition, ClusterConditionStatus, ClusterConditionType, KubeFedCluster,
    KubeFedClusterSpec, KubeFedClusterStatus, LocalSecretReference, TlsValidation,
};
pub use config::{
    ClusterHealthCheckConfig, ControllerDurations, FeatureGate, FeatureGateName, KubeFedConfig,
    KubeFedConfigSpec, LeaderElectConfig, ResourceLock, StatusControllerConfig,
    SyncControllerConfig,
};
pub use propagated_version::{
    ClusterObjectVersion, ClusterPropagatedVersion, ClusterPropagatedVersionSpec,
    PropagatedVersion, PropagatedVersionSpec, PropagatedVersionStatus,
};
pub use service_status::{
    ClusterServiceStatus, FederatedServiceStatus, FederatedServiceStatusSpec,
};
pub use type_config::{
    ControllerStatus, FederatedTypeConfig, FederatedTypeConfigSpec, FederatedTypeConfigStatus,
    ResourceType, plural,
};

use crate::open_enum::open_enum;

open_enum! {
    /// Reach of the control plane (KubeFedConfig) or of a type (FederatedTypeConfig).
    Scope {
        /// The whole cluster; for a type: its objects have no namespace.
        Cluster = "Cluster",
        /// One namespace; for a type: its objects live in namespaces.
        Namespaced = "Namespaced",
    }
}

open_enum! {
    /// A switch: propagation, status collection, adoption or a feature gate.
    Toggle {
        /// On.
        Enabled = "Enabled",
        /// Off. Anything that is not `Enabled` is off, too.
        Disabled = "Disabled",
    }
}

impl Toggle {
    /// Whether the switch is on; an unknown or missing value is off.
    pub fn is_enabled(&self) -> bool {
        *self == Self::Enabled
    }
}
