//! Simulated Kubernetes clusters in one process: an API server that tells the truth.

mod access;
mod admission;
mod api;
mod behaviour;
mod catalogue;
mod clock;
mod cluster;
mod crd;
mod discovery;
mod json;
mod metadata;
mod object;
mod refusal;
mod resource;
mod reviews;
mod route;
mod selector;
mod service;
mod state;
mod store;

pub use behaviour::Behaviour;
pub use clock::Clock;
pub use cluster::{Cluster, ClusterOptions};
pub use k8s_openapi;
pub use kube;
pub use route::Verb;
pub use service::{Endpoint, ResponseBody};
