use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::name::ClusterName;
use crate::wire::null_as_default;

/// The collected statuses of a federated Service, which stand at the top level of the object.
///
/// Name, namespace and owner are those of the FederatedService.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "core.kubefed.io",
    version = "v1alpha1",
    kind = "FederatedServiceStatus",
    plural = "federatedservicestatuses",
    namespaced,
    no_spec,
    derive = "Default",
    derive = "PartialEq",
    doc = "Statuses of one Service in the members, collected by the legacy status controller."
)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct FederatedServiceStatusSpec {
    /// One entry per ready member, placed or not, in ascending order of cluster name.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub cluster_status: Vec<ClusterServiceStatus>,
}

/// Status of the Service in one member.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ClusterServiceStatus {
    /// The member.
    #[schemars(with = "String")]
    pub cluster_name: ClusterName,
    /// The `status` of the Service as the member reports it, kept as JSON because the fields of a
    /// Service's status differ between Kubernetes versions. Written as `{}` when there is none, since
    /// the schema requires it.
    #[serde(deserialize_with = "null_as_default")]
    pub status: Map<String, Value>,
}
