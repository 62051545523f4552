//! KubeFed's control loops: federated type config, cluster health and sync.

mod cluster_health;
mod control_plane;
mod host;
mod options;
mod sync;
mod type_config;

pub use control_plane::ControlPlane;
pub use kubefed_informer;
pub use kubefed_runtime;
pub use options::Options;

pub(crate) use control_plane::{Context, resource_type};
