//! Federated objects, read once and totally.

pub(crate) mod fields;
mod object;
mod overrides;
mod placement;
mod status;

pub use object::{FederatedObject, Template};
pub use overrides::{CLUSTER_OVERRIDES_MAX, Override, OverrideOperation, Overrides};
pub use placement::ClusterSelection;
pub use status::{
    ClusterStatus, FederatedStatus, PropagationReason, PropagationStatus, StatusCondition,
};
