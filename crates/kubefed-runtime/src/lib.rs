//! What any multi-cluster controller needs to act: a fair queue, a runner and dispatch to members.
mod dispatch;
mod own_writes;
mod queue;
mod runner;

pub use dispatch::{DispatchOptions, Dispatched, Dispatcher, MemberObject};
pub use kube;
pub use kubefed_propagation;
pub use own_writes::OwnWrites;
pub use queue::{FairQueue, QueueDepth, QueueOptions, ReconcileKey, Requeue};
pub use runner::FleetController;
