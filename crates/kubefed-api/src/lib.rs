//! Federated type modelling: the kinds of KubeFed v0.10 and the federated objects they generate.

mod error;
mod federated;
mod name;
pub mod well_known;

pub use error::Error;
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
