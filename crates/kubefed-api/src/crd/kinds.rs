use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSON, JSONSchemaProps,
    JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::schema::{date_time, integer, list_of, object, string, strings, strip, with_header};
use crate::core::{
    ClusterPropagatedVersion, FederatedServiceStatus, FederatedTypeConfig, KubeFedCluster,
    KubeFedConfig, PropagatedVersion,
};
use crate::scheduling::ReplicaSchedulingPreference;

/// The definitions of the seven fixed kinds, equal in meaning to those of KubeFed v0.10.
///
/// They are generated from the kinds; what the derive adds to the original's schemas (texts, defaults,
/// `nullable`, constraints of values) is removed again, so that every object which one control plane
/// can store the other can store, too.
///
/// ```
/// let names: Vec<_> = kubefed_api::crds().into_iter().filter_map(|crd| crd.metadata.name).collect();
/// assert_eq!(names[0], "kubefedclusters.core.kubefed.io");
/// assert_eq!(names.len(), 7);
/// ```
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        definition::<KubeFedCluster>(|_| {}),
        definition::<KubeFedConfig>(|_| {}),
        definition::<FederatedTypeConfig>(|_| {}),
        definition::<PropagatedVersion>(|_| {}),
        definition::<ClusterPropagatedVersion>(|_| {}),
        definition::<FederatedServiceStatus>(|version| {
            if let Some(schema) = root_of(version) {
                replace_service_status(schema);
            }
        }),
        definition::<ReplicaSchedulingPreference>(|version| {
            // There is a status, but no subresource, and nothing at the root is required.
            version.subresources = None;
            if let Some(schema) = root_of(version) {
                schema.required = None;
            }
        }),
    ]
}

/// The derived definition without what the derive adds, and with the kind's own changes.
fn definition<K: CustomResourceExt>(
    change: impl Fn(&mut CustomResourceDefinitionVersion),
) -> CustomResourceDefinition {
    let mut crd = K::crd();
    crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
    for version in &mut crd.spec.versions {
        if let Some(schema) = root_of(version) {
            strip(schema);
            *schema = with_header(std::mem::take(schema));
        }
        change(version);
    }
    crd
}

fn root_of(version: &mut CustomResourceDefinitionVersion) -> Option<&mut JSONSchemaProps> {
    version.schema.as_mut()?.open_api_v3_schema.as_mut()
}

/// Puts the schema of a Service's status, the only one with constraints of values, where the kind
/// keeps plain JSON.
fn replace_service_status(root: &mut JSONSchemaProps) {
    let list = root
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("clusterStatus"));
    if let Some(JSONSchemaPropsOrArray::Schema(entry)) = list.and_then(|list| list.items.as_mut())
        && let Some(properties) = &mut entry.properties
    {
        properties.insert("status".to_owned(), service_status());
    }
}

/// A qualified name (Kubernetes, "Labels and Selectors"): an optional DNS subdomain and a `/`, then a
/// name.
const QUALIFIED_NAME: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
    (([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";

/// `core/v1` `ServiceStatus` with the markers of Kubernetes 1.22.
fn service_status() -> JSONSchemaProps {
    let qualified_name = JSONSchemaProps {
        max_length: Some(316),
        pattern: Some(QUALIFIED_NAME.to_owned()),
        ..string()
    };
    let port = object(
        &["port", "protocol"],
        [
            ("port", integer("int32")),
            (
                "protocol",
                JSONSchemaProps {
                    default: Some(JSON(json!("TCP"))),
                    ..string()
                },
            ),
            ("error", qualified_name.clone()),
        ],
    );
    let ports = JSONSchemaProps {
        x_kubernetes_list_type: Some("atomic".to_owned()),
        ..list_of(port)
    };
    let ingress = object(
        &[],
        [("ip", string()), ("hostname", string()), ("ports", ports)],
    );
    let conditions = JSONSchemaProps {
        x_kubernetes_list_type: Some("map".to_owned()),
        x_kubernetes_list_map_keys: strings(&["type"]),
        ..list_of(condition(qualified_name))
    };
    object(
        &[],
        [
            ("loadBalancer", object(&[], [("ingress", list_of(ingress))])),
            ("conditions", conditions),
        ],
    )
}

/// `meta/v1` `Condition`.
fn condition(type_: JSONSchemaProps) -> JSONSchemaProps {
    let statuses = ["True", "False", "Unknown"].map(|status| JSON(json!(status)));
    object(
        &["lastTransitionTime", "message", "reason", "status", "type"],
        [
            ("type", type_),
            (
                "status",
                JSONSchemaProps {
                    enum_: Some(statuses.into()),
                    ..string()
                },
            ),
            (
                "observedGeneration",
                JSONSchemaProps {
                    minimum: Some(0.0),
                    ..integer("int64")
                },
            ),
            ("lastTransitionTime", date_time()),
            (
                "reason",
                JSONSchemaProps {
                    min_length: Some(1),
                    max_length: Some(1024),
                    pattern: Some("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$".to_owned()),
                    ..string()
                },
            ),
            (
                "message",
                JSONSchemaProps {
                    max_length: Some(32768),
                    ..string()
                },
            ),
        ],
    )
}
