//! A fleet in a test: a host, members and the control plane on simulated clusters.

mod api;
mod error;
mod playground;
mod snapshot;

pub use error::Error;
pub use kubefed_api;
pub use kubefed_controllers;
pub use kubefed_sim;
pub use playground::{Playground, PlaygroundOptions, REGIONS, SIZES};
pub use snapshot::{CopyState, ObjectState, Snapshot};
