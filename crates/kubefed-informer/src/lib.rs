//! Watches one kind in a fleet of Kubernetes clusters.

mod clock;
mod connect;
mod connection;
mod error;
mod federated;
mod feed;
mod fleet;
mod guard;
pub mod health;
#[cfg(feature = "tls")]
mod https;
mod informer;
mod member;
mod observed;
mod provider;
mod received;
mod store;
mod task;

pub use clock::Clock;
pub use connect::Connect;
pub use connection::{BearerToken, ConnectionSpec, Malformed, SecretToken, TlsChecks};
pub use error::Error;
pub use federated::{FederatedInformer, FederatedStore, Synced};
pub use feed::{Change, Event, Subscription};
pub use fleet::{Cluster, Fleet, FleetConfig, FleetEvent, FleetEvents, FleetSnapshot};
pub use guard::{ClientLimits, Rate, guarded};
pub use health::{ClusterState, Health, HealthCheck, Probe, Thresholds};
#[cfg(feature = "tls")]
pub use https::HttpsConnect;
pub use informer::{Informer, KnownScope, WATCH_TIMEOUT_SECS, WatchSpec};
pub use k8s_openapi;
pub use kube;
pub use kubefed_api::{ClusterName, ObservedCopy, QualifiedName};
pub use observed::{Observed, RawObject, Typed};
pub use provider::{
    Access, ClusterProvider, ClusterSet, ClusterSpec, KubeFedClusters, KubeconfigContexts,
    StaticClusters,
};
pub use store::{Lookup, Store, Unknown};
