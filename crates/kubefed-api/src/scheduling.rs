//! The kind of the group `scheduling.kubefed.io`.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::name::ClusterName;
use crate::wire::{is_default, null_as_default};

/// How many replicas of a federated workload run in all, and how they are divided.
///
/// A ReplicaSchedulingPreference belongs to the federated object of the same namespace and name.
/// The original validates nothing here and its schema does not even require a spec, so a missing one is
/// read as an empty one.
#[derive(Clone, CustomResource, Debug, Default, Eq, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "scheduling.kubefed.io",
    version = "v1alpha1",
    kind = "ReplicaSchedulingPreference",
    plural = "replicaschedulingpreferences",
    shortname = "rsp",
    namespaced,
    status = "ReplicaSchedulingPreferenceStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "How the replicas of a federated workload are divided among members."
)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSchedulingPreferenceSpec {
    /// Kind of the federated object: `FederatedDeployment` or `FederatedReplicaSet`.
    pub target_kind: String,
    /// Replicas over all members; the number in the template does not count.
    pub total_replicas: i32,
    /// Whether running replicas may be moved to match the preferences.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rebalance: bool,
    /// Whether only members that the placement selectors of the object and of its namespace match
    /// take replicas. Written even when false.
    #[serde(default)]
    pub intersect_with_cluster_selector: bool,
    /// Preferences per member; the key `*` is for members without their own. An empty map means the
    /// same weight everywhere; a member with neither entry gets nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, ClusterPreferences>")]
    pub clusters: BTreeMap<ClusterName, ClusterPreferences>,
}

/// The kinds of federated objects that take replicas, in the order in which errors list them.
pub(crate) const TARGET_KINDS: &[&str] = &["FederatedDeployment", "FederatedReplicaSet"];

/// Written by hand because the derived form would refuse an object without `spec`.
impl<'de> Deserialize<'de> for ReplicaSchedulingPreferenceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields =
            Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self {
            target_kind: take(&mut fields, "targetKind")?,
            total_replicas: take(&mut fields, "totalReplicas")?,
            rebalance: take(&mut fields, "rebalance")?,
            intersect_with_cluster_selector: take(&mut fields, "intersectWithClusterSelector")?,
            clusters: take(&mut fields, "clusters")?,
        })
    }
}

/// What one member takes.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ClusterPreferences {
    /// Replicas that are given before any weight counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_replicas: i64,
    /// Upper bound; `None` is no bound and differs from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i64>,
    /// Share of what remains after the minima, relative to the other weights.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: i64,
}

/// The status has no fields; it is written as `{}`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ReplicaSchedulingPreferenceStatus {}

fn take<T, E>(fields: &mut Map<String, Value>, name: &str) -> Result<T, E>
where
    T: Default + DeserializeOwned,
    E: Error,
{
    let value = fields.remove(name).unwrap_or_default();
    null_as_default(value).map_err(|error| E::custom(format_args!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// api 8: the schema requires no spec, so such an object can exist.
    #[test]
    fn an_object_without_a_spec_is_read_as_empty() {
        let object = json!({
            "apiVersion": "scheduling.kubefed.io/v1alpha1",
            "kind": "ReplicaSchedulingPreference",
            "metadata": {"name": "web", "namespace": "b1"}
        });
        let preference: ReplicaSchedulingPreference = serde_json::from_value(object).unwrap();
        assert_eq!(preference.spec, ReplicaSchedulingPreferenceSpec::default());
    }

    #[test]
    fn a_field_of_another_type_is_an_error_that_names_it() {
        let spec = json!({"targetKind": "FederatedDeployment", "totalReplicas": "9"});
        let error = serde_json::from_value::<ReplicaSchedulingPreferenceSpec>(spec).unwrap_err();
        assert!(error.to_string().starts_with("totalReplicas: "), "{error}");
    }

    /// api 8: an absent maximum is no bound.
    #[test]
    fn an_absent_maximum_differs_from_zero() {
        let spec = json!({
            "targetKind": "FederatedDeployment",
            "totalReplicas": 9,
            "intersectWithClusterSelector": false,
            "clusters": {"*": {"weight": 1}, "east": {"minReplicas": 2, "maxReplicas": 0}}
        });
        let parsed: ReplicaSchedulingPreferenceSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(parsed.clusters["*"].max_replicas, None);
        assert_eq!(parsed.clusters["east"].max_replicas, Some(0));
        assert_eq!(serde_json::to_value(&parsed).unwrap(), spec);
    }
}
