//! Simulated Kubernetes clusters in one process: an API server that tells the truth.
//!
//! A [`Cluster`] is made from [`ClusterOptions`] and reached through a [`kube::Client`]: directly with
//! [`Cluster::client`], or over a [`Network`] of in-memory pipes, where base URI, bearer token, HTTP
//! errors and lost connections are real. A [`Fault`] says what goes wrong. Between requests the
//! cluster's own loops run: garbage collection, namespaces, workloads on nodes of finite capacity,
//! each a [`Behaviour`] that can be switched off.
//!
//! Time is tokio's clock plus a fixed epoch ([`Clock`]), so a paused clock pauses everything.
//! Randomness comes from a seed and nothing depends on the order of a map: the same seed and requests
//! give the same objects and the same [trace](Cluster::trace).
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::api::{Api, DynamicObject, ListParams, PostParams};
//! use kube::discovery::pinned_kind;
//! use kubefed_sim::{Cluster, Effect, Fault};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::new("member-1");
//! let client = cluster.client();
//! let gvk = kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment");
//! let (resource, _) = pinned_kind(&client, &gvk).await?;
//! let deployments: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
//! let web: DynamicObject = serde_json::from_value(json!({
//!     "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
//!     "spec": {
//!         "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
//!         "template": {
//!             "metadata": { "labels": { "app": "web" } },
//!             "spec": { "containers": [{ "name": "main", "image": "nginx" }] },
//!         },
//!     },
//! }))?;
//! // The next creation takes effect, but its answer is lost.
//! cluster.inject(Fault::new(Effect::LoseAnswer).writes().times(1));
//! assert!(deployments.create(&PostParams::default(), &web).await.is_err());
//!
//! cluster.settled().await; // virtual seconds, no wall time
//! let web = deployments.get("web").await?;
//! assert_eq!(web.data["status"]["readyReplicas"], 2);
//! let pods: Api<Pod> = Api::default_namespaced(client);
//! assert_eq!(pods.list(&ListParams::default()).await?.items.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! It runs no containers: logs, exec and port-forward are refused. It knows nothing of federation.
//! Where it differs from a real API server, and why, is listed in `docs/differences.md`.
//! There is no TLS and no protobuf, and nothing is written to disk.
//!
//! # Features
//!
//! * `cel`: the rules in `x-kubernetes-validations` of CustomResourceDefinitions are evaluated.
//! * `serve`: a cluster on a loopback TCP port, for kubectl and other foreign clients.

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
#[cfg(feature = "cel")]
mod cel;
mod clock;
mod cluster;
mod conditions;
mod crd;
mod discovery;
mod documents;
mod fault;
mod json;
mod log;
mod metadata;
mod network;
mod object;
mod quantity;
mod rbac;
mod refusal;
mod resource;
mod reviews;
mod route;
mod selector;
mod service;
#[cfg(feature = "serve")]
mod serving;
mod state;
mod store;
mod watching;
mod webhooks;

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
#[cfg(feature = "serve")]
pub use serving::Serving;
