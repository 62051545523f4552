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
/// The bytes of a DNS label, and of a label's value or name.
const LABEL_MAX: usize = 63;
/// The bytes of a DNS name.
const SUBDOMAIN_MAX: usize = 253;

/// Finalizers without a domain that built-in kinds may have.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

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
    // An empty list of managers says that they are to be forgotten.
    metadata
        .retain(|name, value| !is_empty(value) || (name == "managedFields" && value.is_array()));
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
    let base = json::text(meta, "generateName");
    if !base.is_empty() {
        // What is appended makes a trailing dash valid.
        let masked = base.strip_suffix('-').map(|base| format!("{base}a"));
        for message in name_problems(resource.rules.names, masked.as_deref().unwrap_or(base)) {
            causes.push(Cause::invalid(
                "metadata.generateName",
                &json!(base),
                &message,
            ));
        }
    }
    for message in name_problems(resource.rules.names, name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &message));
    }
    if let Some(generation) = json::number(meta, "generation").filter(|number| *number < 0) {
        let message = "must be greater than or equal to 0";
        causes.push(Cause::invalid(
            "metadata.generation",
            &json!(generation),
            message,
        ));
    }
    for (key, label) in fields(meta, "labels") {
        validate_key("metadata.labels", key, key, &mut causes);
        let label = label.as_str().unwrap_or("");
        for message in label_value_problems(label) {
            causes.push(Cause::invalid("metadata.labels", &json!(label), &message));
        }
    }
    let mut size = 0;
    for (key, text) in fields(meta, "annotations") {
        validate_key(
            "metadata.annotations",
            key,
            &key.to_lowercase(),
            &mut causes,
        );
        size += key.len() + text.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        causes.push(Cause::too_long(
            "metadata.annotations",
            ANNOTATIONS_MAX as u64,
        ));
    }
    validate_owners(meta, &mut causes);
    validate_finalizers(resource, meta, &mut causes);
    causes
}

fn fields<'a>(meta: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    json::at(meta, name)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn validate_finalizers(resource: &Resource, meta: &Value, causes: &mut Vec<Cause>) {
    let finalizers = json::items(meta, "finalizers");
    for finalizer in finalizers {
        let finalizer = finalizer.as_str().unwrap_or("");
        validate_key("metadata.finalizers", finalizer, finalizer, causes);
    }
    if STANDARD_FINALIZERS[..2]
        .iter()
        .all(|name| finalizers.contains(&json!(name)))
    {
        let message = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid(
            "metadata.finalizers",
            &json!(finalizers),
            message,
        ));
    }
    for (index, finalizer) in finalizers.iter().enumerate() {
        let name = finalizer.as_str().unwrap_or("");
        if !resource.custom && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let message = "name is neither a standard finalizer name nor is it fully qualified";
            let field = format!("metadata.finalizers[{index}]");
            causes.push(Cause::invalid(&field, finalizer, message));
        }
    }
}

/// What custom resources may have, and had better not.
pub(crate) fn warnings(old: Option<&Value>, new: &Value) -> Vec<String> {
    let had = old.map_or(&[] as &[Value], |old| {
        json::items(old, "metadata.finalizers")
    });
    let added = json::items(new, "metadata.finalizers").iter();
    added
        .filter(|finalizer| !had.contains(finalizer))
        .filter_map(Value::as_str)
        .filter(|name| !name.contains('/') && !STANDARD_FINALIZERS.contains(name))
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn validate_owners(meta: &Value, causes: &mut Vec<Cause>) {
    let path = "metadata.ownerReferences";
    let mut controllers = Vec::new();
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
        if owner["apiVersion"] == "v1" && owner["kind"] == "Event" {
            let message = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid_text(path, &shown_owner(owner), message));
        }
        if owner["controller"] == json!(true) {
            let text = |field| json::text(owner, field);
            controllers.push(format!("{}/{}", text("kind"), text("name")));
        }
    }
    for pair in controllers.windows(2) {
        let owners = json::items(meta, "ownerReferences").iter();
        let list: Vec<String> = owners.map(shown_owner).collect();
        let message = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            pair[0], pair[1]
        );
        causes.push(Cause::invalid_text(
            path,
            &format!("[{}]", list.join(",")),
            &message,
        ));
    }
}

/// The fields of an owner reference in the order in which messages show them.
fn shown_owner(owner: &Value) -> String {
    let order = [
        "apiVersion",
        "kind",
        "name",
        "uid",
        "controller",
        "blockOwnerDeletion",
    ];
    let fields = order.iter().filter(|field| !owner[**field].is_null());
    let fields: Vec<String> = fields
        .map(|field| format!("{field:?}:{}", owner[*field]))
        .collect();
    format!("{{{}}}", fields.join(","))
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

/// `shown` is the key as it was given, `key` as it is checked.
fn validate_key(field: &str, shown: &str, key: &str, causes: &mut Vec<Cause>) {
    for message in label_key_problems(key) {
        causes.push(Cause::invalid(field, &json!(shown), &message));
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn too_long(length_max: usize) -> String {
    format!("must be no more than {length_max} bytes")
}

/// What is wrong with a label's or annotation's key, or the name of a finalizer.
pub(crate) fn label_key_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > SUBDOMAIN_MAX {
                    problems.push(format!("prefix part {}", too_long(SUBDOMAIN_MAX)));
                }
                if !is_subdomain(prefix) {
                    problems.push(format!("prefix part {SUBDOMAIN}"));
                }
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        problems.push(format!("name part {}", too_long(LABEL_MAX)));
    }
    if name.is_empty() || !is_label_value(name) {
        problems.push(format!("name part {NAME_PART}"));
    }
    problems
}

pub(crate) fn label_value_problems(label: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if label.len() > LABEL_MAX {
        problems.push(too_long(LABEL_MAX));
    }
    if !is_label_value(label) {
        problems.push(LABEL_VALUE.to_owned());
    }
    problems
}

fn name_problems(rule: Names, name: &str) -> Vec<String> {
    let (valid, length_max, message) = match rule {
        Names::Subdomain => (is_subdomain(name), SUBDOMAIN_MAX, SUBDOMAIN),
        Names::Label => (is_label(name), LABEL_MAX, LABEL),
        Names::Label1035 => {
            let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
            (begins && is_label(name), LABEL_MAX, LABEL_1035)
        }
        Names::Path => return path_segment_problems(name),
    };
    let mut problems = Vec::new();
    if name.len() > length_max {
        problems.push(format!("must be no more than {length_max} characters"));
    }
    if !valid && rule == Names::Label && is_subdomain(name) {
        problems.push("must not contain dots".to_owned());
    } else if !valid {
        problems.push(message.to_owned());
    }
    problems
}

fn path_segment_problems(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    let characters = ['/', '%'].into_iter().filter(|&c| name.contains(c));
    characters
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.chars().all(inner) && end(text.chars().next()) && end(text.chars().next_back())
}
