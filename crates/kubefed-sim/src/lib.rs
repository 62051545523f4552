//! Simulated Kubernetes clusters in one process: an API server that tells the truth.

// The pure engines below the server. They are visible for fuzzing and for tests beside real servers,
// and are not a stable interface.
#[doc(hidden)]
pub mod apply;
#[doc(hidden)]
pub mod builtin;
#[doc(hidden)]
pub mod openapi;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod strategic;
#[doc(hidden)]
pub mod table;

mod access;
mod admission;
mod api;
mod behaviour;
mod catalogue;
mod clock;
mod cluster;
mod conditions;
mod crd;
mod discovery;
mod fault;
mod json;
mod log;
mod metadata;
mod network;
mod object;
mod quantity;
mod refusal;
mod resource;
mod reviews;
mod route;
mod selector;
mod service;
mod state;
mod store;
mod watching;

pub use behaviour::{Behaviour, NodeOptions};
pub use clock::Clock;
pub use cluster::{Cluster, ClusterOptions, PodTimes};
pub use fault::{Effect, Fault, FaultId};
pub use k8s_openapi;
pub use kube;
pub use log::RequestRecord;
pub use network::{Connector, Network, Pipe};
pub use route::Verb;
pub use service::{Endpoint, ResponseBody};
