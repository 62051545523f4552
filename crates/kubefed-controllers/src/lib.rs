//! KubeFed's control loops: federated type config, cluster health, sync and the statuses of services.
//!
//! In the order data meets them: [`Options`] say how the control plane behaves, a
//! [`Connect`](kubefed_informer::Connect) how members are reached, and a [`ControlPlane`] runs every
//! loop on a client for the host cluster. Each loop is a folder of the same shape: `observe` reads,
//! `reconcile` acts, `record` and `report` write down what became of it.
//!
//! What each cluster needs is decided in [`kubefed_propagation`],
//! which knows no cluster. There is no leader election here, and no admission webhook.
//!
//! ```no_run
//! use kubefed_controllers::kubefed_informer::{Clock, ConnectionSpec, FleetConfig, Malformed};
//! use kubefed_controllers::kubefed_runtime::kube::Client;
//! use kubefed_controllers::{ControlPlane, Options};
//!
//! # async fn run(host: Client) {
//! # let connect = |spec: &ConnectionSpec| -> Result<Client, Malformed> {
//! #     Err(Malformed::Rejected(spec.endpoint().to_string()))
//! # };
//! let options = Options::default().namespace("kube-federation-system");
//! let fleet = FleetConfig::default();
//! let control_plane = ControlPlane::start(host, connect, options, fleet, Clock::system());
//! // … until told to stop …
//! control_plane.stop().await;
//! # }
//! ```

mod cluster_health;
mod control_plane;
mod events;
mod explanations;
mod host;
mod options;
mod service_status;
mod sync;
mod type_config;

pub use control_plane::ControlPlane;
pub use explanations::Explanation;
pub use kubefed_informer;
pub use kubefed_runtime;
pub use options::Options;

pub(crate) use control_plane::{Context, resource_type};
