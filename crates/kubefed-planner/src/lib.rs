//! Divides replicas among clusters by weight, minimum, maximum and capacity, and says why.
//!
//! A [`Candidate`] is a cluster that may take replicas. A [`Demand`] is how many are wanted, by which
//! [`Strategy`](strategy::Strategy), and how many running ones may move. A [`Planner`] gives each
//! candidate an [`Assignment`] with a [`Reason`], in the order of the candidates, and the whole a
//! [`Summary`]. An [`Explanation`] says what it would take to get one replica more.
//!
//! ```
//! use kubefed_planner::{Candidate, Demand, Planner};
//!
//! let candidates = [
//!     Candidate::new("east").weight(1),
//!     Candidate::new("west").weight(2).capacity(4),
//! ];
//! let mut planner = Planner::new();
//! let plan = planner.plan(&Demand::new(9).key("default/web"), &candidates)?;
//! assert_eq!([plan[0].replicas, plan[1].replicas], [5, 4]);
//! assert_eq!(
//!     plan[1].reason.to_string(),
//!     "limited by capacity 4; 2 more would go here if there were room"
//! );
//! assert_eq!(plan.summary().to_string(), "all 9 replicas are placed");
//! # Ok::<(), kubefed_planner::Error>(())
//! ```
//!
//! [`compat`] is a second planner with the same three steps: KubeFed's, bit for bit, with its unfair
//! rounding, for control planes that take over from it.
//!
//! # What this crate does not do
//!
//! It knows nothing of Kubernetes: no resources, no clients, no clock. It does not choose clusters for an
//! object (that is placement), does not read capacities (though [`capacity`] computes with them), and
//! plans one workload at a time. It never panics on input, and allocates only to grow its memory.
//!
//! # Features
//!
//! * `serde`: strategies and options can be read from configuration, plans can be written.
//!
//! Without features the crate has no dependency, and it is `no_std` with `alloc`.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "program"))]
extern crate std;

pub mod capacity;
pub mod compat;
#[cfg(feature = "program")]
pub mod program;
pub mod strategy;

mod assignment;
mod candidate;
mod demand;
mod engine;
mod error;
mod explain;
mod field;
mod hash;
mod planner;

pub use assignment::{Assignment, Limit, Plan, Reason, Summary};
pub use candidate::{Candidate, Level};
pub use demand::{Demand, Moves, Probe, Scarcity};
pub use engine::Method;
pub use error::Error;
pub use explain::{Explanation, OneMore};
pub use planner::Planner;
