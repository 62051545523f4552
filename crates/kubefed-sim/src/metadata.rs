//! Rules about `metadata` that hold for every kind.

use serde_json::{Value, json};

use crate::json;
use crate::refusal::{Cause, Refusal};
use crate::resource::{Names, Resource};

/// The fields of `ObjectMeta`; anything else in `metadata` is dropped.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The total size of annotations: keys and values, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Brings `metadata` into the form in which it is stored, and refuses what cannot be decoded.
pub(crate) fn normalise(value: &mut Value) -> Result<(), Refusal> {
    let metadata = json::object(json::object(value).entry("metadata").or_insert(Value::Null));
    let unknown: Vec<String> = metadata
        .keys()
        .filter(|key| !FIELDS.contains(&key.as_str()))
        .cloned()
        .collect();
    for key in unknown {
        metadata.remove(&key);
    }
    for field in ["labels", "annotations"] {
        decode_strings(field, metadata.get(field))?;
    }
    for field in [
        "name",
        "namespace",
        "generateName",
        "resourceVersion",
        "uid",
    ] {
        match metadata.get(field) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(undecodable(field, other)),
        }
    }
    for field in ["finalizers", "ownerReferences"] {
        match metadata.get(field) {
            None | Some(Value::Null | Value::Array(_)) => {}
            Some(other) => return Err(undecodable(field, other)),
        }
    }
    metadata.retain(|_, value| !is_empty(value));
    Ok(())
}

fn decode_strings(field: &str, map: Option<&Value>) -> Result<(), Refusal> {
    match map {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(map)) => match map.values().find(|v| !v.is_string() && !v.is_null()) {
            Some(other) => Err(undecodable(field, other)),
            None => Ok(()),
        },
        Some(other) => Err(undecodable(field, other)),
    }
}

fn undecodable(field: &str, value: &Value) -> Refusal {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Refusal::undecodable(format!(
        "json: cannot unmarshal {found} into Go struct field ObjectMeta.metadata.{field}"
    ))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// What every create and update checks.
pub(crate) fn validate(resource: &Resource, value: &Value) -> Vec<Cause> {
    let meta = &value["metadata"];
    let name = json::text(meta, "name");
    let mut causes = Vec::new();
    if let Some(message) = name_problem(resource.rules.names, name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &message));
    }
    for (key, label) in json::at(meta, "labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        validate_key("metadata.labels", key, &mut causes);
        let label = label.as_str().unwrap_or("");
        if !is_label_value(label) {
            let message = "a valid label must be an empty string or consist of alphanumeric characters, \
                '-', '_' or '.', and must start and end with an alphanumeric character";
            causes.push(Cause::invalid("metadata.labels", &json!(label), message));
        }
    }
    let mut size = 0;
    for (key, text) in json::at(meta, "annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        validate_key("metadata.annotations", &key.to_lowercase(), &mut causes);
        size += key.len() + text.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
    for finalizer in json::items(meta, "finalizers") {
        validate_key(
            "metadata.finalizers",
            finalizer.as_str().unwrap_or(""),
            &mut causes,
        );
    }
    validate_owners(meta, &mut causes);
    causes
}

fn validate_owners(meta: &Value, causes: &mut Vec<Cause>) {
    let mut controllers = 0;
    for owner in json::items(meta, "ownerReferences") {
        for (field, message) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if json::text(owner, field).is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(&path, &json!(""), message));
            }
        }
        controllers += usize::from(owner["controller"] == json!(true));
    }
    if controllers > 1 {
        let list = &meta["ownerReferences"];
        let message = "Only one reference can have Controller set to true";
        causes.push(Cause::invalid("metadata.ownerReferences", list, message));
    }
}

/// What an update of an existing object may not change.
pub(crate) fn validate_update(old: &Value, new: &Value) -> Vec<Cause> {
    let (old, new) = (&old["metadata"], &new["metadata"]);
    let mut causes = Vec::new();
    if json::at(old, "deletionTimestamp").is_some() {
        let had = json::items(old, "finalizers");
        let added: Vec<&Value> = json::items(new, "finalizers")
            .iter()
            .filter(|finalizer| !had.contains(finalizer))
            .collect();
        if !added.is_empty() {
            let added: Vec<String> = added.iter().map(ToString::to_string).collect();
            let message = format!(
                "no new finalizers can be added if the object is being deleted, \
                 found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &message));
        }
    }
    for field in ["creationTimestamp", "uid"] {
        if old.get(field) != new.get(field) {
            let path = format!("metadata.{field}");
            causes.push(Cause::invalid(&path, &new[field], "field is immutable"));
        }
    }
    causes
}

/// Puts back what only the server may set.
pub(crate) fn carry_over(old: &Value, new: &mut Value) {
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ] {
        json::copy(old, new, &format!("metadata.{field}"));
    }
    for field in ["uid", "creationTimestamp", "name", "namespace"] {
        if json::text(new, &format!("metadata.{field}")).is_empty() {
            json::copy(old, new, &format!("metadata.{field}"));
        }
    }
    json::take(new, "metadata.selfLink");
}

fn validate_key(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let valid = match key.split_once('/') {
        Some((prefix, name)) => {
            is_subdomain(prefix) && !name.is_empty() && name.len() <= 63 && is_label_value(name)
        }
        None => !key.is_empty() && key.len() <= 63 && is_label_value(key),
    };
    if !valid {
        let message = "name part must consist of alphanumeric characters, '-', '_' or '.', \
            and must start and end with an alphanumeric character";
        causes.push(Cause::invalid(field, &json!(key), message));
    }
}

fn name_problem(rule: Names, name: &str) -> Option<String> {
    let (valid, message) = match rule {
        Names::Subdomain => (
            is_subdomain(name),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character",
        ),
        Names::Label => (
            is_label(name),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
             and must start and end with an alphanumeric character",
        ),
        Names::Label1035 => (
            is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character",
        ),
        Names::Path => (
            !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']),
            "may not be '.' or '..' and may not contain '/' or '%'",
        ),
    };
    (!valid).then(|| message.to_owned())
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(inner)
        && end(text.chars().next())
        && end(text.chars().next_back())
}
