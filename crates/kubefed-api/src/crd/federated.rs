use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion, CustomResourceSubresourceStatus, CustomResourceSubresources,
    CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::Target;
use super::schema::{
    boolean, date_time, free_object, free_value, integer, list_of, map_of, object, string,
    with_header,
};
use crate::Error;
use crate::core::{FederatedTypeConfig, FederatedTypeConfigSpec, ResourceType, Toggle};

/// What the schema of a target says about its federated type.
///
/// Closed: the original asks two yes/no questions of the schema, and the second only if the answer
/// to the first is yes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemplateSchema {
    /// The schema has no properties. The federated type then has no `template` either, and the API server
    /// drops the content of templates without notice.
    Missing,
    /// The schema has properties.
    Present,
    /// It has properties, and `spec.replicas` is a 32-bit integer: replicas may be retained.
    Scalable,
}

impl TemplateSchema {
    /// What the definition of a custom resource says.
    ///
    /// The version that is *listed first* is asked, whichever version is federated.
    pub fn of_definition(crd: &CustomResourceDefinition) -> Self {
        let schema = crd
            .spec
            .versions
            .first()
            .and_then(|version| version.schema.as_ref());
        let properties = schema
            .and_then(|schema| schema.open_api_v3_schema.as_ref())
            .and_then(|root| root.properties.as_ref());
        let Some(properties) = properties else {
            return Self::Missing;
        };
        let replicas = properties
            .get("spec")
            .and_then(|spec| spec.properties.as_ref()?.get("replicas"));
        Self::with_replicas(replicas.is_some_and(|replicas| {
            replicas.type_.as_deref() == Some("integer")
                && replicas.format.as_deref() == Some("int32")
        }))
    }

    /// What an OpenAPI document of an API server says, version 2 or 3.
    ///
    /// Only the path from the type to `spec.replicas` is followed, so recursive schemas do no harm.
    ///
    /// # Errors
    ///
    /// The document does not know the type.
    pub fn in_openapi(document: &Value, type_: &ResourceType) -> Result<Self, Error> {
        let schemas = [&document["definitions"], &document["components"]["schemas"]];
        let known = schemas
            .iter()
            .filter_map(|schemas| schemas.as_object())
            .flatten();
        let root = known
            .map(|(_, schema)| schema)
            .find(|schema| describes(schema, type_))
            .ok_or_else(|| {
                let ResourceType {
                    group,
                    version,
                    kind,
                    ..
                } = type_;
                let name = format!("{group}/{version}, Kind={kind}");
                Error::new("", format!("Unable to find openapi schema for \"{name}\""))
            })?;
        if !root["properties"].is_object() {
            return Ok(Self::Missing);
        }
        let spec = resolved(document, &root["properties"]["spec"]);
        let replicas = resolved(document, &spec["properties"]["replicas"]);
        Ok(Self::with_replicas(
            replicas["type"] == "integer" && replicas["format"] == "int32",
        ))
    }

    fn with_replicas(scalable: bool) -> Self {
        if scalable {
            Self::Scalable
        } else {
            Self::Present
        }
    }
}

/// The configuration that federates a type: propagation on, status collection off.
pub fn federated_type_config(target: &Target) -> FederatedTypeConfig {
    let spec = FederatedTypeConfigSpec {
        target_type: target.target_type().clone(),
        propagation: Toggle::Enabled,
        federated_type: target.federated_type(),
        status_type: None,
        status_collection: None,
    };
    FederatedTypeConfig::new(&target.name(), spec)
}

/// The definition of a federated type.
///
/// Templates are not described: the API servers of the members check what is made of them. Only
/// `spec` is required.
///
/// ```
/// use kubefed_api::{ResourceType, Target, TemplateSchema, federated_crd};
///
/// let target = Target::new(ResourceType::namespaced("apps", "v1", "Deployment", "deployments"))
///     .short_names(["deploy"]);
/// let crd = federated_crd(&target, TemplateSchema::Scalable);
/// assert_eq!(crd.metadata.name.as_deref(), Some("federateddeployments.types.kubefed.io"));
/// assert_eq!(crd.spec.names.short_names, Some(vec!["fdeploy".to_owned()]));
/// ```
pub fn federated_crd(target: &Target, schema: TemplateSchema) -> CustomResourceDefinition {
    let type_ = target.federated_type();
    let short_names: Vec<_> = target
        .short_names
        .iter()
        .map(|name| format!("f{name}"))
        .collect();
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(type_.qualified_plural()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: type_.group,
            names: CustomResourceDefinitionNames {
                kind: type_.kind,
                plural: type_.plural_name,
                short_names: (!short_names.is_empty()).then_some(short_names),
                ..CustomResourceDefinitionNames::default()
            },
            scope: type_.scope.to_string(),
            versions: vec![CustomResourceDefinitionVersion {
                name: type_.version,
                served: true,
                storage: true,
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some(root(schema)),
                }),
                subresources: Some(CustomResourceSubresources {
                    scale: None,
                    status: Some(CustomResourceSubresourceStatus(json!({}))),
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        ..CustomResourceDefinition::default()
    }
}

fn root(schema: TemplateSchema) -> JSONSchemaProps {
    let mut spec = object(
        &[],
        [("placement", placement()), ("overrides", overrides())],
    );
    let properties = spec.properties.get_or_insert_default();
    if schema != TemplateSchema::Missing {
        properties.insert("template".to_owned(), free_object());
    }
    if schema == TemplateSchema::Scalable {
        properties.insert("retainReplicas".to_owned(), boolean());
    }
    with_header(object(&["spec"], [("spec", spec), ("status", status())]))
}

fn placement() -> JSONSchemaProps {
    let requirement = object(
        &["key", "operator"],
        [
            ("key", string()),
            ("operator", string()),
            ("values", list_of(string())),
        ],
    );
    let selector = object(
        &[],
        [
            ("matchLabels", map_of(string())),
            ("matchExpressions", list_of(requirement)),
        ],
    );
    object(
        &[],
        [
            ("clusters", list_of(object(&["name"], [("name", string())]))),
            ("clusterSelector", selector),
        ],
    )
}

fn overrides() -> JSONSchemaProps {
    let op = JSONSchemaProps {
        pattern: Some("^(add|remove|replace)?$".to_owned()),
        ..string()
    };
    let operation = object(
        &["path"],
        [("op", op), ("path", string()), ("value", free_value())],
    );
    list_of(object(
        &[],
        [
            ("clusterName", string()),
            ("clusterOverrides", list_of(operation)),
        ],
    ))
}

fn status() -> JSONSchemaProps {
    let condition = object(
        &["type", "status"],
        [
            ("type", string()),
            ("status", string()),
            ("reason", string()),
            ("lastUpdateTime", date_time()),
            ("lastTransitionTime", date_time()),
        ],
    );
    let cluster = object(
        &["name"],
        [
            ("name", string()),
            ("status", string()),
            ("remoteStatus", free_object()),
        ],
    );
    object(
        &[],
        [
            ("observedGeneration", integer("int64")),
            ("conditions", list_of(condition)),
            ("clusters", list_of(cluster)),
        ],
    )
}

/// Whether a schema of an OpenAPI document is the one of a type.
fn describes(schema: &Value, type_: &ResourceType) -> bool {
    let names = schema["x-kubernetes-group-version-kind"].as_array();
    names.into_iter().flatten().any(|name| {
        name["group"].as_str().unwrap_or_default() == type_.group
            && name["version"] == type_.version.as_str()
            && name["kind"] == type_.kind.as_str()
    })
}

/// How many references lead from one schema to the next; servers use one.
const REFERENCES_MAX: usize = 8;

/// Follows `$ref`, and an `allOf` of one reference, within the document.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES_MAX {
        let reference = schema["$ref"]
            .as_str()
            .or_else(|| schema["allOf"][0]["$ref"].as_str());
        let Some(pointer) = reference.and_then(|reference| reference.strip_prefix('#')) else {
            break;
        };
        schema = document.pointer(pointer).unwrap_or(&Value::Null);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(versions: Value) -> CustomResourceDefinition {
        serde_json::from_value(json!({
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "names": {"kind": "Widget", "plural": "widgets"},
                "scope": "Namespaced",
                "versions": versions
            }
        }))
        .unwrap()
    }

    fn version(name: &str, properties: Value) -> Value {
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
        json!({"name": name, "served": true, "storage": true, "schema": schema})
    }

    /// api 10.2 and 24.20: the first listed version decides.
    #[test]
    fn a_definition_answers_with_its_first_listed_version() {
        let replicas = |format: &str| json!({"spec": {"properties": {"replicas": {"type": "integer", "format": format}}}});
        let cases = [
            (json!([]), TemplateSchema::Missing),
            (json!([version("v1", Value::Null)]), TemplateSchema::Missing),
            (json!([version("v1", json!({}))]), TemplateSchema::Present),
            (
                json!([version("v1", replicas("int32"))]),
                TemplateSchema::Scalable,
            ),
            (
                json!([version("v1", replicas("int64"))]),
                TemplateSchema::Present,
            ),
            (
                json!([
                    version("v1alpha1", Value::Null),
                    version("v1", replicas("int32"))
                ]),
                TemplateSchema::Missing,
            ),
            (
                json!([{"name": "v1", "served": true, "storage": true}]),
                TemplateSchema::Missing,
            ),
        ];
        for (versions, expected) in cases {
            assert_eq!(
                TemplateSchema::of_definition(&definition(versions.clone())),
                expected,
                "{versions}"
            );
        }
    }

    /// api 10.2: the OpenAPI document is asked by group, version and kind.
    #[test]
    fn an_openapi_document_is_asked_by_group_version_and_kind() {
        let names =
            |group: &str, kind: &str| json!([{"group": group, "version": "v1", "kind": kind}]);
        let schemas = |prefix: &str| {
            json!({
                "Deployment": {
                    "properties": {"spec": {"$ref": format!("{prefix}DeploymentSpec")}},
                    "x-kubernetes-group-version-kind": names("apps", "Deployment")
                },
                "DeploymentSpec": {"properties": {"replicas": {"type": "integer", "format": "int32"}}},
                "ConfigMap": {
                    "properties": {"data": {}},
                    "x-kubernetes-group-version-kind": names("", "ConfigMap")
                },
                "Loop": {
                    "properties": {"spec": {"allOf": [{"$ref": format!("{prefix}Loop")}]}},
                    "x-kubernetes-group-version-kind": names("example.com", "Loop")
                },
                "Ring": {
                    "properties": {"spec": {"$ref": format!("{prefix}RingSpec")}},
                    "x-kubernetes-group-version-kind": names("example.com", "Ring")
                },
                "RingSpec": {"$ref": format!("{prefix}RingSpec")},
                "Bare": {"x-kubernetes-group-version-kind": names("example.com", "Bare")},
                "Long": {
                    "properties": {"spec": {"properties": {"replicas": {"type": "integer", "format": "int64"}}}},
                    "x-kubernetes-group-version-kind": names("example.com", "Long")
                },
                "Text": {
                    "properties": {"spec": {"properties": {"replicas": {"type": "string", "format": "int32"}}}},
                    "x-kubernetes-group-version-kind": names("example.com", "Text")
                }
            })
        };
        let documents = [
            json!({"definitions": schemas("#/definitions/")}),
            json!({"components": {"schemas": schemas("#/components/schemas/")}}),
        ];
        let cases = [
            ("apps", "Deployment", TemplateSchema::Scalable),
            ("", "ConfigMap", TemplateSchema::Present),
            ("example.com", "Loop", TemplateSchema::Present),
            ("example.com", "Ring", TemplateSchema::Present),
            ("example.com", "Bare", TemplateSchema::Missing),
            ("example.com", "Long", TemplateSchema::Present),
            ("example.com", "Text", TemplateSchema::Present),
        ];
        for document in &documents {
            for (group, kind, expected) in cases {
                let type_ = ResourceType::namespaced(group, "v1", kind, "x");
                assert_eq!(
                    TemplateSchema::in_openapi(document, &type_),
                    Ok(expected),
                    "{kind}"
                );
            }
            let unknown = ResourceType::namespaced("apps", "v2", "Deployment", "deployments");
            let error = TemplateSchema::in_openapi(document, &unknown).unwrap_err();
            assert_eq!(
                error.to_string(),
                r#"Unable to find openapi schema for "apps/v2, Kind=Deployment""#
            );
        }
    }
}
