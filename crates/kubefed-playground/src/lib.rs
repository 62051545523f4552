//! A fleet in a test: a host, members and the control plane on simulated clusters.

mod api;
mod error;
mod input;
mod playground;
mod rows;
#[cfg(feature = "serve")]
mod served;
mod snapshot;
pub mod walk;

pub use error::Error;
pub use kubefed_api;
pub use kubefed_controllers;
pub use kubefed_sim;
pub use playground::{Playground, PlaygroundOptions, REGIONS, SIZES};
pub use rows::Row;
#[cfg(feature = "serve")]
pub use served::Served;
pub use snapshot::{ClusterState, CopyState, ObjectState, Snapshot};
