//! What a real API server publishes about the built-in kinds, written by `.ci/control-plane/schemas`.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::schema::{Definitions, Schema};

/// OpenAPI v3 definitions by name. References are the bare name of what they refer to.
pub static DEFINITIONS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| read(include_str!("schemas.json")));

/// The entries of aggregated discovery by group, version and plural, such as `apps/v1/deployments`.
pub static DISCOVERY: LazyLock<Map<String, Value>> =
    LazyLock::new(|| read(include_str!("discovery.json")));

/// The columns of the Table answer by group, version and plural: name, type, format and priority.
pub static COLUMNS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| read(include_str!("columns.json")));

static SCHEMAS: LazyLock<Definitions> = LazyLock::new(|| Definitions::parse(&DEFINITIONS));

/// The schema of a built-in kind.
pub fn schema_of(group: &str, version: &str, kind: &str) -> Option<Schema> {
    SCHEMAS.schema(definition_of(group, version, kind)?)
}

/// The name of the definition of a built-in kind.
pub fn definition_of(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let names = |definition: &Value| {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        kinds
            .into_iter()
            .flatten()
            .any(|gvk| gvk["group"] == group && gvk["version"] == version && gvk["kind"] == kind)
    };
    DEFINITIONS
        .iter()
        .find(|(_, definition)| names(definition))
        .map(|(name, _)| name.as_str())
}

/// The files are compiled in and read by a test.
fn read(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_in_discovery_has_a_schema() {
        assert!(DISCOVERY.len() > 40);
        for (path, resource) in &*DISCOVERY {
            let kind = resource["responseKind"]["kind"]
                .as_str()
                .unwrap_or_default();
            let (group_version, _) = path.rsplit_once('/').expect("a path");
            let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
            assert!(schema_of(group, version, kind).is_some(), "{path} {kind}");
        }
    }

    #[test]
    fn every_reference_has_a_definition() {
        fn visit(value: &Value) {
            if let Some(name) = value["$ref"].as_str() {
                assert!(DEFINITIONS.contains_key(name), "{name}");
            }
            match value {
                Value::Object(fields) => fields.values().for_each(visit),
                Value::Array(items) => items.iter().for_each(visit),
                _ => {}
            }
        }
        DEFINITIONS.values().for_each(visit);
    }

    #[test]
    fn every_listed_resource_has_columns() {
        for (path, resource) in &*DISCOVERY {
            let listed = resource["verbs"]
                .as_array()
                .is_some_and(|v| v.iter().any(|v| v == "list"));
            assert_eq!(COLUMNS.contains_key(path), listed, "{path}");
        }
    }
}
