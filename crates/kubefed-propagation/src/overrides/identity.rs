//! What no override may change, however its path is spelled.

use kubefed_api::Error as FieldError;
use kubefed_api::well_known::SERVER_OWNED_METADATA;
use serde_json::{Map, Value};

use crate::nested::text;

/// The protected parts of an object before it is changed.
pub(super) struct Identity {
    group: Option<String>,
    kind: String,
    namespace: String,
    name: String,
    server_owned: [Option<Value>; SERVER_OWNED_METADATA.len()],
    owner_references: Option<Value>,
    status: Option<Value>,
}

impl Identity {
    pub(super) fn of(object: &Value) -> Self {
        let metadata = |name| object.get("metadata")?.get(name).cloned();
        Self {
            group: group(object).map(str::to_owned),
            kind: text(object, &["kind"]).to_owned(),
            namespace: text(object, &["metadata", "namespace"]).to_owned(),
            name: text(object, &["metadata", "name"]).to_owned(),
            server_owned: SERVER_OWNED_METADATA.map(metadata),
            owner_references: metadata("ownerReferences"),
            status: object.get("status").cloned(),
        }
    }

    /// Refuses a changed object that is another one, and puts back what the server owns.
    pub(super) fn restore(self, object: &mut Value) -> Result<(), FieldError> {
        let changed = |path: &str| Err(FieldError::new(path, "no override may change this"));
        if text(object, &["kind"]).is_empty() {
            return Err(FieldError::new("kind", "the object has no kind"));
        }
        let Some(group) = group(object) else {
            let message = format!("{} is no API version", object["apiVersion"]);
            return Err(FieldError::new("apiVersion", message));
        };
        if self.group.as_deref() != Some(group) {
            return Err(FieldError::new(
                "apiVersion",
                "no override may change the group",
            ));
        }
        if text(object, &["kind"]) != self.kind {
            return changed("kind");
        }
        if text(object, &["metadata", "namespace"]) != self.namespace {
            return changed("metadata.namespace");
        }
        if text(object, &["metadata", "name"]) != self.name {
            return changed("metadata.name");
        }
        if object.get("status") != self.status.as_ref() {
            return changed("status");
        }
        if object
            .get("metadata")
            .and_then(|metadata| metadata.get("ownerReferences"))
            != self.owner_references.as_ref()
        {
            return changed("metadata.ownerReferences");
        }
        let Some(members) = object.as_object_mut() else {
            return Err(FieldError::wrong_type("", "an object", object));
        };
        put_back(members, self.server_owned)
    }
}

fn put_back(
    object: &mut Map<String, Value>,
    server_owned: [Option<Value>; SERVER_OWNED_METADATA.len()],
) -> Result<(), FieldError> {
    if !object.contains_key("metadata") && server_owned.iter().any(Option::is_some) {
        object.insert("metadata".to_owned(), Value::Object(Map::new()));
    }
    match object.get_mut("metadata") {
        None => Ok(()),
        Some(Value::Object(metadata)) => {
            for (name, value) in SERVER_OWNED_METADATA.into_iter().zip(server_owned) {
                match value {
                    Some(value) => metadata.insert(name.to_owned(), value),
                    None => metadata.remove(name),
                };
            }
            Ok(())
        }
        Some(other) => Err(FieldError::wrong_type("metadata", "an object", other)),
    }
}

/// The group of an object's `apiVersion`, empty for the core group and where there is none; `None`
/// for what is no API version.
fn group(object: &Value) -> Option<&str> {
    match text(object, &["apiVersion"]).split_once('/') {
        None => Some(""),
        Some((_, version)) if version.contains('/') => None,
        Some((group, _)) => Some(group),
    }
}
