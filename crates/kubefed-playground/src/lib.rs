//! A fleet in a test: a host, members and the control plane on simulated clusters.
//!
//! A [`Playground`] is set up by [`PlaygroundOptions`] and takes objects with
//! [`apply`](Playground::apply), or whole files of plain and federated objects with
//! [`federate`](Playground::federate). [`settle`](Playground::settle) waits until nothing moves, a
//! [`Snapshot`] says what is where, and its [`Row`]s are the lines of a table. [`walk`] holds a tour of
//! what federation does, as steps that verify themselves.
//!
//! The loops, the connections and the API servers are the real ones; only the members' nodes run
//! nothing. On tokio's paused clock a scenario of minutes takes milliseconds, and the same seed gives
//! the same world.
//!
//! A [`PlayedCluster`] is what it needs of a cluster. Simulated clusters are the default; the tests of
//! this crate play the same scenarios on real API servers, which they start and hand over with
//! [`Playground::on`].
//!
//! What it does not do: it starts no process, and it prints nothing.
//!
//! ```
//! use std::time::Duration;
//!
//! use kubefed_playground::kubefed_api::QualifiedName;
//! use kubefed_playground::{Playground, PlaygroundOptions};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), kubefed_playground::Error> {
//! let playground = Playground::start(PlaygroundOptions::default().members(3)).await?;
//! let types = "types.kubefed.io/v1beta1";
//! playground
//!     .apply([
//!         json!({
//!             "apiVersion": types, "kind": "FederatedNamespace",
//!             "metadata": {"namespace": "shop", "name": "shop"},
//!             "spec": {"placement": {"clusterSelector": {}}},
//!         }),
//!         json!({
//!             "apiVersion": types, "kind": "FederatedConfigMap",
//!             "metadata": {"namespace": "shop", "name": "settings"},
//!             "spec": {
//!                 "template": {"data": {"colour": "blue"}},
//!                 "placement": {"clusters": [{"name": "member-1"}, {"name": "member-3"}]},
//!             },
//!         }),
//!     ])
//!     .await?;
//! playground.settle(Duration::from_secs(10)).await?;
//! let settings = QualifiedName::namespaced("shop", "settings");
//! let snapshot = playground.snapshot();
//! let state = snapshot.object("ConfigMap", &settings).unwrap();
//! assert_eq!(state.holders(), ["member-1", "member-3"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! * `serve`: `Playground::serve` opens the clusters on loopback ports, with a kubeconfig for kubectl. Off
//!   by default.

mod api;
mod cluster;
mod error;
mod input;
mod playground;
mod rows;
#[cfg(feature = "serve")]
mod served;
mod snapshot;
pub mod walk;

pub use cluster::PlayedCluster;
pub use error::Error;
pub use kubefed_api;
pub use kubefed_controllers;
pub use kubefed_sim;
pub use playground::{Joining, Playground, PlaygroundOptions, REGIONS, SIZES};
pub use rows::Row;
#[cfg(feature = "serve")]
pub use served::Served;
pub use snapshot::{ClusterState, CopyState, ObjectState, Snapshot};
