//! Kubernetes cluster federation as libraries.
//!
//! This crate holds no code. It names the crates of the workspace in one place, each of which can be
//! depended on alone:
//!
//! | module | crate | what it is |
//! | --- | --- | --- |
//! | [`api`] | `kubefed-api` | federated type modelling: kinds, federated objects, validation, CRDs |
//! | [`propagation`] | `kubefed-propagation` | what each cluster should hold, decided by pure functions |
//! | [`informer`] | `kubefed-informer` | the fleet: which clusters there are, their health, what they hold |
//! | [`runtime`] | `kubefed-runtime` | a fair queue, a runner, and guarded writes to members |
//! | [`controllers`] | `kubefed-controllers` | KubeFed's loops |
//! | [`cli`] | `kubefed-cli` | tables and a live view for people |
//! | [`sim`] | `kubefed-sim` | simulated Kubernetes clusters |
//! | [`playground`] | `kubefed-playground` | a host, members and the control plane in one process |
//!
//! How the parts fit is told in [`_architecture`], what differs from KubeFed in [`_compare`], and what
//! was measured in [`_performance`].
//!
//! ```
//! use kubefed::api::{ClusterSelection, FederatedObject};
//!
//! let web = FederatedObject::parse(serde_json::json!({
//!     "metadata": {"namespace": "shop", "name": "web"},
//!     "spec": {"placement": {"clusters": []}},
//! }))?;
//! assert_eq!(web.placement(), Ok(&ClusterSelection::Named([].into())));
//! # Ok::<(), kubefed::api::Error>(())
//! ```

pub use kubefed_api as api;
pub use kubefed_cli as cli;
pub use kubefed_controllers as controllers;
pub use kubefed_informer as informer;
pub use kubefed_playground as playground;
pub use kubefed_propagation as propagation;
pub use kubefed_runtime as runtime;
pub use kubefed_sim as sim;

#[doc = include_str!("../docs/architecture.md")]
pub mod _architecture {}

#[doc = include_str!("../docs/compare.md")]
pub mod _compare {}

#[doc = include_str!("../docs/performance.md")]
pub mod _performance {}
