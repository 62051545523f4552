use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;
use crate::wire::{bytes, date_time, empty_as_null, is_default, null_as_default};

/// How a member cluster is reached.
///
/// A KubeFedCluster registers one member. It lives in the KubeFed namespace, its name is the cluster
/// name in placements, overrides and statuses, and its labels are what a placement's
/// `clusterSelector` matches. It has no finalizer: deleting it leaves all member objects in place.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "KubeFedCluster",
    plural = "kubefedclusters",
    shortname = "kfc",
    namespaced,
    status = "KubeFedClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Registration of one member cluster.",
    printcolumn = r#"{"name": "age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "kubernetes-version", "type": "string", "jsonPath": ".status.kubernetesVersion"}"#
)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct KubeFedClusterSpec {
    /// Host, `host:port`, IP, `IP:port` or URL of the member's API server. Store it with a scheme: an
    /// endpoint without one and without a CA bundle is dialled as plain HTTP by the original.
    pub api_endpoint: String,
    /// PEM bundle of the certificate authorities that may have signed the endpoint's certificate.
    #[serde(
        default,
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    #[schemars(schema_with = "bytes")]
    pub ca_bundle: ByteString,
    /// The Secret with the bearer token, in the KubeFed namespace.
    pub secret_ref: LocalSecretReference,
    /// Checks of the endpoint's certificate that are left out. `*` must be alone.
    #[serde(
        default,
        rename = "disabledTLSValidations",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub disabled_tls_validations: Vec<TlsValidation>,
    /// Proxy on the way to the endpoint: scheme http, https or socks5. Written even when empty.
    #[serde(default, rename = "proxyURL")]
    pub proxy_url: String,
}

impl KubeFedClusterSpec {
    /// A member at `api_endpoint` whose bearer token is in the Secret `secret_name`.
    pub fn new(api_endpoint: impl Into<String>, secret_name: impl Into<String>) -> Self {
        Self {
            api_endpoint: api_endpoint.into(),
            secret_ref: LocalSecretReference {
                name: secret_name.into(),
            },
            ..Self::default()
        }
    }
}

impl KubeFedCluster {
    /// Whether the cluster is ready: some condition of type `Ready` has the status `True`.
    ///
    /// An unreachable or malformed cluster has no such condition at all, so its absence means not
    /// ready.
    pub fn is_ready(&self) -> bool {
        let conditions = self
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.conditions);
        conditions.iter().any(|condition| {
            condition.type_ == ClusterConditionType::Ready
                && condition.status == ClusterConditionStatus::True
        })
    }
}

/// Name of a Secret in the KubeFed namespace; its key `token` holds the bearer token.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
#[schemars(!default)]
pub struct LocalSecretReference {
    /// The `metadata.name` of the Secret.
    pub name: String,
}

open_enum! {
    /// A check of a member's certificate that can be left out.
    TlsValidation {
        /// Every check.
        All = "*",
        /// That the certificate names the endpoint's host.
        SubjectName = "SubjectName",
        /// That the certificate is valid now.
        ValidityPeriod = "ValidityPeriod",
    }
}

/// What the last probe of a member found.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct KubeFedClusterStatus {
    /// The whole outcome of the last probe: every probe replaces the list. An empty list is written
    /// as `null`, as the original does before the first probe.
    #[serde(deserialize_with = "null_as_default", serialize_with = "empty_as_null")]
    pub conditions: Vec<ClusterCondition>,
    /// Version that the member's `/version` reported, such as `v1.35.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// Zones of the member's nodes.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub zones: Vec<String>,
    /// Region of the member's nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// One finding about a member.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ClusterCondition {
    /// What the finding is about.
    #[serde(rename = "type")]
    pub type_: ClusterConditionType,
    /// Whether it holds. The cluster controller writes only `True` and `False`.
    pub status: ClusterConditionStatus,
    /// When the member was last probed. A missing time is written as `null`.
    #[schemars(schema_with = "date_time")]
    pub last_probe_time: Option<Time>,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Option<Time>,
    /// One word for the cause, such as `ClusterReady`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

open_enum! {
    /// What a finding about a member is about.
    ClusterConditionType {
        /// The member answers and says that it is healthy.
        Ready = "Ready",
        /// The member cannot be reached.
        Offline = "Offline",
        /// No client can be built from the KubeFedCluster.
        ConfigMalformed = "ConfigMalformed",
    }
}

open_enum! {
    /// Whether a finding holds.
    ClusterConditionStatus {
        /// It holds.
        True = "True",
        /// It does not hold.
        False = "False",
        /// Nobody knows.
        Unknown = "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cluster(conditions: &Value) -> KubeFedCluster {
        serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1",
            "kind": "KubeFedCluster",
            "metadata": {"name": "east"},
            "spec": {},
            "status": {"conditions": conditions}
        }))
        .unwrap()
    }

    /// api 3.3 and 24.1: a cluster is ready iff some condition says so.
    #[test]
    fn only_a_true_ready_condition_makes_a_cluster_ready() {
        let cases = [
            (json!(null), false),
            (json!([]), false),
            (json!([{"type": "Ready", "status": "True"}]), true),
            (
                json!([{"type": "Ready", "status": "False"}, {"type": "Offline", "status": "False"}]),
                false,
            ),
            (
                json!([{"type": "Offline", "status": "False"}, {"type": "Ready", "status": "True"}]),
                true,
            ),
            (json!([{"type": "Ready", "status": "true"}]), false),
            (json!([{"type": "Offline", "status": "True"}]), false),
        ];
        for (conditions, ready) in cases {
            assert_eq!(cluster(&conditions).is_ready(), ready, "{conditions}");
        }
        let unprobed = KubeFedCluster::new("east", KubeFedClusterSpec::default());
        assert!(!unprobed.is_ready());
    }
}
