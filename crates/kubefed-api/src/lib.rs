//! Models the API of KubeFed v0.10: its kinds, federated types, and federated objects.
//!
//! In the order data meets them: a [`KubeFedCluster`] registers a member cluster and a
//! [`KubeFedConfig`] holds the settings of the control plane. A [`Target`] is a type to federate; it
//! becomes a [`FederatedTypeConfig`] and the definition of a federated type ([`federated_crd`]).
//! [`federate`] turns a plain object into a federated one, and [`FederatedObject`] is one that was read,
//! with its placement ([`ClusterSelection`]), its [`Overrides`] and its [`FederatedStatus`].
//!
//! The JSON of every kind is KubeFed's, down to which empty fields are written, so objects of a running
//! installation can be read and written beside it. [`crds`] gives the definitions of the fixed kinds;
//! [`validation`] holds the rules of the admission webhooks, and `apply_defaults` of
//! [`KubeFedConfigSpec`] and [`FederatedTypeConfig`] their defaults.
//!
//! What it does not do: it holds no client and reads no clock, it does not decide what a cluster should
//! hold (`kubefed-propagation`), divide replicas (`kubefed-planner`) or serve admission requests
//! (`kubefed-webhook`).
//!
//! ```
//! use kubefed_api::{
//!     ClusterSelection, FederatedObject, ResourceType, Target, TemplateSchema, federate_as,
//!     federated_crd, federated_type_config,
//! };
//! use serde_json::json;
//!
//! // The type: what `kubefedctl enable deployments.apps` would write.
//! let target = Target::new(ResourceType::namespaced("apps", "v1", "Deployment", "deployments"))
//!     .short_names(["deploy"]);
//! let config = federated_type_config(&target);
//! assert_eq!(config.metadata.name.as_deref(), Some("deployments.apps"));
//! config.validate_create()?;
//! let definition = federated_crd(&target, TemplateSchema::Scalable);
//! assert_eq!(definition.spec.names.kind, "FederatedDeployment");
//!
//! // An object of the type, for all clusters in Europe.
//! let placement = json!({"clusterSelector": {"matchLabels": {"region": "eu"}}});
//! let plain = json!({
//!     "apiVersion": "apps/v1", "kind": "Deployment",
//!     "metadata": {"namespace": "shop", "name": "web", "finalizers": ["example.com/x"]},
//!     "spec": {"replicas": 2},
//! });
//! let federated = federate_as(&plain, &ClusterSelection::parse(&placement)?, &target)?;
//! assert_eq!(
//!     federated.dropped[0].to_string(),
//!     "finalizers are not supported in a template: example.com/x"
//! );
//!
//! // And as a control plane reads it.
//! let web = FederatedObject::parse(federated.object)?;
//! let europe = [("region".to_owned(), "eu".to_owned())].into();
//! assert_eq!(web.name().to_string(), "shop/web");
//! assert!(web.placement().unwrap().selects(&"berlin".into(), &europe));
//! assert_eq!(web.template()?.unwrap()["spec"]["replicas"], 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The page `checks` of the documentation lists which test shows which part of KubeFed's API.
//!
//! # Features
//!
//! All are off by default.
//!
//! * `yaml`: reading YAML and JSON files of many objects, with file, document and line in errors
//!   (module `manifest`).
//! * `planner`: preferences on replicas, of a ReplicaSchedulingPreference or of federation v1's
//!   annotation, as input of `kubefed-planner` (module `planner`).
//! * `proptest`: strategies for the kinds (module `strategy`).
//!
//! No feature chooses a Kubernetes version: programs turn on one of k8s-openapi's.

#[cfg(doc)]
#[doc = include_str!("../docs/checks.md")]
pub mod checks {}

mod core;
mod crd;
mod defaulting;
mod duration;
mod error;
mod federate;
mod federated;
#[cfg(feature = "yaml")]
pub mod manifest;
mod name;
mod observed;
mod open_enum;
#[cfg(feature = "planner")]
pub mod planner;
mod scheduling;
#[cfg(any(test, feature = "proptest"))]
pub mod strategy;
mod unmanaged;
pub mod validation;
pub mod well_known;
mod wire;

pub use self::core::{
    ClusterCondition, ClusterConditionStatus, ClusterConditionType, ClusterHealthCheckConfig,
    ClusterObjectVersion, ClusterPropagatedVersion, ClusterPropagatedVersionSpec,
    ClusterServiceStatus, ControllerDurations, ControllerStatus, FeatureGate, FeatureGateName,
    FederatedServiceStatus, FederatedServiceStatusSpec, FederatedTypeConfig,
    FederatedTypeConfigSpec, FederatedTypeConfigStatus, KubeFedCluster, KubeFedClusterSpec,
    KubeFedClusterStatus, KubeFedConfig, KubeFedConfigSpec, LeaderElectConfig,
    LocalSecretReference, PropagatedVersion, PropagatedVersionSpec, PropagatedVersionStatus,
    ResourceLock, ResourceType, Scope, StatusControllerConfig, SyncControllerConfig, TlsValidation,
    Toggle, plural,
};
pub use crd::{
    Target, TemplateSchema, crds, default_targets, federated_crd, federated_type_config,
};
pub use duration::{GoDuration, ParseDurationError};
pub use error::Error;
pub use federate::{Dropped, Federated, federate, federate_as};
pub use federated::{
    CLUSTER_OVERRIDES_MAX, ClusterSelection, ClusterStatus, FederatedObject, FederatedStatus,
    Override, OverrideOperation, Overrides, PropagationReason, PropagationStatus, StatusCondition,
    Template,
};
pub use k8s_openapi;
pub use kube;
pub use name::{
    ClusterName, QualifiedName, is_dns1035_label, is_dns1123_label, is_dns1123_subdomain,
};
pub use observed::{MetadataDigest, ObjectVersion, ObservedCopy, ParseVersionError};
pub use scheduling::{
    ClusterPreferences, ReplicaSchedulingPreference, ReplicaSchedulingPreferenceSpec,
    ReplicaSchedulingPreferenceStatus,
};
pub use unmanaged::WithoutManagedFields;
