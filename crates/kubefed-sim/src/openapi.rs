//! OpenAPI documents: the index of `/openapi/v3`, one document per group and version, and the
//! definitions of `/openapi/v2`.
//!
//! They hold what clients read: the schemas with their patch and list extensions, and the
//! operations with their kind, parameters and media types. They are not a description of every
//! answer. The schemas of built-in kinds carry no prose.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::{Map, Value, json};

use crate::builtin::{self, DEFINITIONS};

/// A resource that a document describes.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The API group; empty for the core.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The name in paths.
    pub plural: &'a str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The verbs of discovery.
    pub verbs: &'a [&'a str],
    /// The subresources, such as `status`, that take the kind itself.
    pub subresources: &'a [&'a str],
    /// The `openAPIV3Schema` of a custom kind; `None` for a built-in kind.
    pub custom: Option<&'a Value>,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The answer of `/openapi/v3`: where the document of each group and version is. The address
/// changes with the content, so that clients may cache for ever.
#[must_use]
pub fn index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Value {
    let path = |(group_version, document): (&str, &Value)| {
        let path = document_path(group_version);
        let mut hasher = DefaultHasher::new();
        document.to_string().hash(&mut hasher);
        let url = format!("/openapi/v3/{path}?hash={:016X}", hasher.finish());
        (path, json!({"serverRelativeURL": url}))
    };
    json!({"paths": documents.into_iter().map(path).collect::<Map<_, _>>()})
}

/// `api/v1` or `apis/apps/v1`, for `v1` or `apps/v1`.
#[must_use]
pub fn document_path(group_version: &str) -> String {
    let root = if group_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    format!("{root}/{group_version}")
}

/// The OpenAPI v3 document of one group and version.
#[must_use]
pub fn document(resources: &[Resource<'_>], server_version: &str) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        resource.add_paths(&mut paths);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "components": {"schemas": schemas(resources, Version::V3)},
    })
}

/// The OpenAPI v2 document of everything, without operations.
#[must_use]
pub fn document_v2(resources: &[Resource<'_>], server_version: &str) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": {},
        "definitions": schemas(resources, Version::V2),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

impl Resource<'_> {
    fn group_version_kind(&self) -> Value {
        json!({"group": self.group, "version": self.version, "kind": self.kind})
    }

    fn does(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The name of the definition: that of the built-in kind, or the group backwards.
    fn definition(&self) -> String {
        match self.custom {
            None => builtin::definition_of(self.group, self.version, self.kind)
                .unwrap_or_default()
                .to_owned(),
            Some(_) => {
                let group: Vec<_> = self.group.rsplit('.').collect();
                format!("{}.{}.{}", group.join("."), self.version, self.kind)
            }
        }
    }

    fn add_paths(&self, paths: &mut Map<String, Value>) {
        let group_version = match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        };
        let root = format!("/{}", document_path(&group_version));
        let namespace = if self.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let collection = format!("{root}{namespace}/{}", self.plural);
        let object = format!("{collection}/{{name}}");
        let operation = |verb: &'static str, method: &'static str| {
            self.does(verb)
                .then(|| (method.to_owned(), self.operation(verb)))
        };
        let add = |paths: &mut Map<String, Value>,
                   path: String,
                   operations: Vec<Option<(String, Value)>>,
                   named: bool| {
            let mut item: Map<_, _> = operations.into_iter().flatten().collect();
            if item.is_empty() {
                return;
            }
            let in_namespace = path.contains("{namespace}");
            let parameters = [named.then_some("name"), in_namespace.then_some("namespace")];
            let parameter = |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}});
            item.insert(
                "parameters".to_owned(),
                parameters.into_iter().flatten().map(parameter).collect(),
            );
            paths.insert(path, Value::Object(item));
        };
        if self.namespaced {
            add(
                paths,
                format!("{root}/{}", self.plural),
                vec![operation("list", "get")],
                false,
            );
        }
        let on_collection = [
            ("list", "get"),
            ("create", "post"),
            ("deletecollection", "delete"),
        ];
        let on_object = [
            ("get", "get"),
            ("update", "put"),
            ("patch", "patch"),
            ("delete", "delete"),
        ];
        add(
            paths,
            collection,
            on_collection
                .map(|(verb, method)| operation(verb, method))
                .into(),
            false,
        );
        add(
            paths,
            object.clone(),
            on_object
                .map(|(verb, method)| operation(verb, method))
                .into(),
            true,
        );
        for subresource in self.subresources {
            let operations = on_object[..3]
                .iter()
                .map(|(verb, method)| Some(((*method).to_owned(), self.operation(verb))));
            add(
                paths,
                format!("{object}/{subresource}"),
                operations.collect(),
                true,
            );
        }
    }

    fn operation(&self, verb: &str) -> Value {
        let query = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
        let reference =
            |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
        let own = self.definition();
        let mut parameters = vec![query("pretty", "string")];
        if ["create", "update", "patch"].contains(&verb) {
            parameters.extend(
                ["dryRun", "fieldManager", "fieldValidation"].map(|name| query(name, "string")),
            );
        }
        if verb == "patch" {
            parameters.push(query("force", "boolean"));
        }
        if verb == "delete" {
            parameters.extend([
                query("dryRun", "string"),
                query("propagationPolicy", "string"),
            ]);
        }
        if verb == "list" {
            parameters.extend(
                [
                    "fieldSelector",
                    "labelSelector",
                    "continue",
                    "resourceVersion",
                ]
                .map(|name| query(name, "string")),
            );
            parameters.extend([query("limit", "integer"), query("watch", "boolean")]);
        }
        let (action, answer) = match verb {
            "list" => ("list", format!("{own}List")),
            "create" => ("post", own.clone()),
            "update" => ("put", own.clone()),
            "patch" => ("patch", own.clone()),
            "get" => ("get", own.clone()),
            "deletecollection" => ("deletecollection", format!("{META}.Status")),
            _ => ("delete", format!("{META}.Status")),
        };
        let mut operation = json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": reference(&answer)}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.group_version_kind(),
        });
        let content: Map<String, Value> = match verb {
            "create" | "update" => [("*/*".to_owned(), reference(&own))].into_iter().collect(),
            // Custom kinds know no strategic merge.
            "patch" => {
                let known = PATCHES
                    .iter()
                    .filter(|patch| self.custom.is_none() || !patch.contains("strategic"));
                known
                    .map(|patch| ((*patch).to_owned(), reference(&format!("{META}.Patch"))))
                    .collect()
            }
            _ => return operation,
        };
        operation["requestBody"] = json!({"content": content, "required": true});
        operation
    }
}

/// The schemas of the resources, and of all that they refer to.
fn schemas(resources: &[Resource<'_>], version: Version) -> Map<String, Value> {
    let mut found = Map::new();
    let mut pending: BTreeSet<String> = ["Patch", "Status", "DeleteOptions"]
        .map(|name| format!("{META}.{name}"))
        .into();
    for resource in resources {
        let own = resource.definition();
        if let Some(schema) = resource.custom {
            pending.extend([format!("{META}.ObjectMeta"), format!("{META}.ListMeta")]);
            found.insert(own.clone(), custom_schema(resource, schema, version));
            found.insert(format!("{own}List"), custom_list(resource, &own, version));
        } else {
            pending.insert(format!("{own}List"));
            pending.insert(own);
        }
    }
    while let Some(name) = pending.pop_first() {
        let Some(definition) = DEFINITIONS
            .get(&name)
            .filter(|_| !found.contains_key(&name))
        else {
            continue;
        };
        references(definition, &mut pending);
        found.insert(name, expanded(definition, version));
    }
    // The body of a patch is whatever the media type says.
    found.insert(format!("{META}.Patch"), json!({"type": "object"}));
    found
}

fn custom_schema(resource: &Resource<'_>, schema: &Value, version: Version) -> Value {
    let mut schema = schema.clone();
    spell_out_int_or_string(&mut schema);
    let Value::Object(mut fields) = schema else {
        return Value::Object(Map::new());
    };
    let mut properties = match fields.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    for name in ["apiVersion", "kind"] {
        properties.insert(name.to_owned(), json!({"type": "string"}));
    }
    let metadata = reference(&format!("{META}.ObjectMeta"), Map::new(), version);
    properties.insert("metadata".to_owned(), metadata);
    fields.insert("properties".to_owned(), Value::Object(properties));
    fields.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!([resource.group_version_kind()]),
    );
    Value::Object(fields)
}

/// Readers that do not know `x-kubernetes-int-or-string` find both types in `anyOf`.
fn spell_out_int_or_string(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    let both = json!([{"type": "integer"}, {"type": "string"}]);
    let spelled_out = |fields: &Map<String, Value>| {
        let in_all_of = fields
            .get("allOf")
            .is_some_and(|all_of| all_of[0]["anyOf"] == both);
        in_all_of || fields.get("anyOf") == Some(&both)
    };
    if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) && !spelled_out(fields)
    {
        if fields.contains_key("anyOf") {
            let all_of = fields.entry("allOf").or_insert_with(|| json!([]));
            if let Some(all_of) = all_of.as_array_mut() {
                all_of.insert(0, json!({"anyOf": both}));
            }
        } else {
            fields.insert("anyOf".to_owned(), both);
        }
    }
    for name in ["items", "additionalProperties"] {
        fields.get_mut(name).map(spell_out_int_or_string);
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    properties
        .into_iter()
        .flatten()
        .for_each(|(_, schema)| spell_out_int_or_string(schema));
}

fn custom_list(resource: &Resource<'_>, own: &str, version: Version) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": reference(&format!("{META}.ListMeta"), Map::new(), version),
            "items": {"type": "array", "items": reference(own, Map::new(), version)},
        },
        "x-kubernetes-group-version-kind": [{
            "group": resource.group,
            "version": resource.version,
            "kind": format!("{}List", resource.kind),
        }],
    })
}

fn references(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            names.extend(
                fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

/// A definition with its references in the long form that the version asks for.
fn expanded(schema: &Value, version: Version) -> Value {
    match schema {
        Value::Object(fields) => {
            let rest = fields
                .iter()
                .filter(|(name, value)| *name != "$ref" || !value.is_string());
            let rest = rest
                .map(|(name, value)| (name.clone(), expanded(value, version)))
                .collect();
            match fields.get("$ref").and_then(Value::as_str) {
                Some(name) => reference(name, rest, version),
                None => Value::Object(rest),
            }
        }
        Value::Array(items) => items.iter().map(|value| expanded(value, version)).collect(),
        value => value.clone(),
    }
}

/// What stands beside a reference is ignored in OpenAPI 3.0, so it is wrapped there.
fn reference(name: &str, mut beside: Map<String, Value>, version: Version) -> Value {
    let (prefix, wrap) = match version {
        Version::V2 => ("#/definitions/", false),
        Version::V3 => ("#/components/schemas/", !beside.is_empty()),
    };
    let reference = json!(format!("{prefix}{name}"));
    if wrap {
        beside.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    } else {
        beside.insert("$ref".to_owned(), reference);
    }
    Value::Object(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPLOYMENTS: Resource<'_> = Resource {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        namespaced: true,
        verbs: &["create", "delete", "get", "list", "patch", "update"],
        subresources: &["status"],
        custom: None,
    };

    fn check_references(document: &Value, schemas: &Value, prefix: &str) {
        let text = document.to_string();
        let count = text.matches("\"$ref\"").count();
        let mut names = BTreeSet::new();
        references(document, &mut names);
        assert!(count >= names.len() && !names.is_empty());
        for name in names {
            let name = name.strip_prefix(prefix).expect("a long reference");
            assert!(schemas.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_reference_of_a_document_is_in_it() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object"}}});
        let custom = Resource {
            group: "a.example",
            kind: "Widget",
            plural: "widgets",
            custom: Some(&schema),
            ..DEPLOYMENTS
        };
        for resource in [DEPLOYMENTS, custom] {
            let v3 = document(&[resource], "v1.35.4");
            check_references(&v3, &v3["components"]["schemas"], "#/components/schemas/");
            let v2 = document_v2(&[resource], "v1.35.4");
            check_references(&v2, &v2["definitions"], "#/definitions/");
        }
    }

    #[test]
    fn the_index_changes_with_the_document() {
        let [a, b] = ["v1", "v2"].map(|version| document(&[DEPLOYMENTS], version));
        let index_of = |document: &Value| index([("apps/v1", document)]);
        assert_eq!(index_of(&a), index_of(&a));
        assert_ne!(index_of(&a), index_of(&b));
        let url = index_of(&a)["paths"]["apis/apps/v1"]["serverRelativeURL"].clone();
        assert!(
            url.as_str()
                .is_some_and(|url| url.starts_with("/openapi/v3/apis/apps/v1?hash="))
        );
    }

    #[test]
    fn strategic_merge_is_offered_for_built_in_kinds_only() {
        let schema = json!({"type": "object"});
        let custom = Resource {
            group: "a.example",
            custom: Some(&schema),
            ..DEPLOYMENTS
        };
        for (resource, offered) in [(DEPLOYMENTS, true), (custom, false)] {
            let document = document(&[resource], "v1");
            let path = format!(
                "/apis/{}/v1/namespaces/{{namespace}}/deployments/{{name}}",
                resource.group
            );
            let content = &document["paths"][path]["patch"]["requestBody"]["content"];
            assert_eq!(content.get(PATCHES[3]).is_some(), offered);
            assert!(content.get(PATCHES[0]).is_some());
        }
    }
}
