use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::ClusterName;
use crate::wire::null_as_default;

/// A PropagatedVersion has no spec.
///
/// It remembers what was last written to each member for one namespaced federated object, so that
/// unchanged objects are not written again. Its name is [`propagated_version_name`]; its namespace and
/// single owner reference are those of the federated object, so garbage collection removes it.
///
/// [`propagated_version_name`]: crate::FederatedTypeConfig::propagated_version_name
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "core.kubefed.io",
    version = "v1alpha1",
    kind = "PropagatedVersion",
    plural = "propagatedversions",
    namespaced,
    no_spec,
    status = "PropagatedVersionStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "What was last written to each member for one namespaced federated object."
)]
pub struct PropagatedVersionSpec {}

/// A ClusterPropagatedVersion has no spec; it is a [`PropagatedVersion`] of a cluster-scoped
/// federated object.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "core.kubefed.io",
    version = "v1alpha1",
    kind = "ClusterPropagatedVersion",
    plural = "clusterpropagatedversions",
    no_spec,
    status = "PropagatedVersionStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "What was last written to each member for one cluster-scoped federated object."
)]
pub struct ClusterPropagatedVersionSpec {}

/// The versions that were last written.
///
/// They hold only as long as both hashes match the federated object.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct PropagatedVersionStatus {
    /// Hash of `spec.template`; empty if there is none.
    pub template_version: String,
    /// Hash of `spec.overrides`; empty if the federated object has no spec.
    pub overrides_version: String,
    /// The copies, in ascending order of cluster name.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub cluster_versions: Vec<ClusterObjectVersion>,
}

/// Version of the copy in one member.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ClusterObjectVersion {
    /// The member.
    #[schemars(with = "String")]
    pub cluster_name: ClusterName,
    /// `gen:<generation>`, or `rv:<resourceVersion>` for kinds without a generation, as the member
    /// returned it after the write.
    pub version: String,
}
