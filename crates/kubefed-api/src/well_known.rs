//! Names that other programs can see: labels, annotations, finalizers and fixed objects.
//!
//! All but [`INVENTORY_ANNOTATION`] equal those of KubeFed v0.10; changing one breaks every installation.

/// Label on objects in member clusters: `true` means managed by the control plane, `false` means
/// that the owner of the object refuses to have it managed. Anything else counts as unmanaged.
pub const MANAGED_LABEL: &str = "kubefed.io/managed";

/// Value of [`MANAGED_LABEL`] on propagated copies.
pub const MANAGED_VALUE: &str = "true";

/// Value of [`MANAGED_LABEL`] by which an object opts out of being managed.
pub const UNMANAGED_VALUE: &str = "false";

/// Label selector of everything that the control plane manages in a member cluster.
pub const MANAGED_SELECTOR: &str = "kubefed.io/managed=true";

/// Annotation on federated objects: exactly `true` leaves the copies in place on deletion.
pub const ORPHAN_ANNOTATION: &str = "kubefed.io/orphan";

/// Annotation on federated objects: the JSON of a `meta/v1` `DeleteOptions` for the copies.
pub const DELETE_OPTIONS_ANNOTATION: &str = "kubefed.io/deleteoption";

/// Annotation on federated objects: the clusters that may hold a copy, sorted and separated by
/// commas. It is ours; KubeFed has no such record and ignores it.
pub const INVENTORY_ANNOTATION: &str = "kubefed.io/inventory";

/// Finalizer on federated objects, held until every copy is gone or released.
pub const SYNC_FINALIZER: &str = "kubefed.io/sync-controller";

/// Finalizer on FederatedTypeConfigs, held until the type's loops have stopped.
pub const TYPE_CONFIG_FINALIZER: &str = "core.kubefed.io/federated-type-config";

/// Condition type in the status of federated objects.
pub const PROPAGATION_CONDITION: &str = "Propagation";

/// API group of KubeFedCluster, KubeFedConfig, FederatedTypeConfig and the version objects.
pub const CORE_GROUP: &str = "core.kubefed.io";

/// API group of ReplicaSchedulingPreference.
pub const SCHEDULING_GROUP: &str = "scheduling.kubefed.io";

/// Default API group of federated types.
pub const TYPES_GROUP: &str = "types.kubefed.io";

/// Default API version of federated types.
pub const TYPES_VERSION: &str = "v1beta1";

/// Conventional namespace of the control plane in the host cluster.
pub const DEFAULT_KUBEFED_NAMESPACE: &str = "kube-federation-system";

/// The one KubeFedConfig that is read, in the KubeFed namespace.
pub const CONFIG_NAME: &str = "kubefed";

/// The FederatedTypeConfig of namespaces; every namespaced type depends on it.
pub const NAMESPACES_TYPE_CONFIG: &str = "namespaces";

/// Namespaces that are never federated, besides the KubeFed namespace itself.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "default"];

/// Key of the bearer token in a cluster's Secret.
pub const TOKEN_KEY: &str = "token";

/// Members of `metadata` that the API server writes. Templates and overrides have no say in them.
pub const SERVER_OWNED_METADATA: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
