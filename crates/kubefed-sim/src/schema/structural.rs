//! The rules that make the schema of a CRD a structural one.

use regex::Regex;
use serde_json::{Value, json};

use super::FieldError;

/// Checks an `openAPIV3Schema` against the rules for structural schemas: every value has one type,
/// given outside of `allOf`, `anyOf`, `oneOf` and `not`, and those only add value validations.
///
/// `field` is the path of the schema, such as `spec.versions[0].schema.openAPIV3Schema`. Errors are
/// sorted by their text.
pub fn check_structural(field: &str, schema: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    invariants(schema, Level::Root, field, &mut errors);
    completeness(schema, schema, field, field, &mut errors);
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

fn invariants(schema: &Value, level: Level, field: &str, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{field}.{name}");
    let kind = schema["type"].as_str().unwrap_or_default();
    let flag = |name: &str| schema[name] == true;

    match schema.get("items").filter(|items| !items.is_null()) {
        Some(items) => invariants(items, Level::Item, &at("items"), errors),
        None if kind == "array" => {
            errors.push(FieldError::required(&at("items"), "must be specified"));
        }
        None => {}
    }
    for (name, property) in properties(schema) {
        let field = format!("{field}.properties[{name}]");
        invariants(property, Level::Field, &field, errors);
    }
    let additional = schema
        .get("additionalProperties")
        .filter(|value| !value.is_null());
    if let Some(additional) = additional {
        if level == Level::Root {
            errors.push(FieldError::forbidden(
                &at("additionalProperties"),
                "must not be used at the root",
            ));
        }
        if additional.is_object() {
            invariants(
                additional,
                Level::Field,
                &at("additionalProperties"),
                errors,
            );
        }
        if flag("x-kubernetes-embedded-resource") {
            let detail = "must not be used if x-kubernetes-embedded-resource is set";
            errors.push(FieldError::forbidden(&at("additionalProperties"), detail));
        }
    }
    extensions(schema, field, errors);
    let skip = Skip {
        any_of: is_int_or_string(&schema["anyOf"]),
        first_all_of: is_int_or_string(&schema["allOf"][0]["anyOf"]),
    };
    validations(schema, skip, field, errors);
    types(schema, level, field, errors);
    metadata(schema, level, field, errors);
}

fn types(schema: &Value, level: Level, field: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{field}.type");
    let kind = schema["type"].as_str().unwrap_or_default();
    let flag = |name: &str| schema[name] == true;
    if flag("x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => FieldError::required(&at, detail),
            _ => FieldError::invalid(&at, &json!(kind), detail),
        });
    } else if kind.is_empty()
        && !flag("x-kubernetes-int-or-string")
        && !flag("x-kubernetes-preserve-unknown-fields")
    {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(&at, detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(
            &at,
            &json!(kind),
            "must be object at the root",
        ));
    }
}

fn metadata(schema: &Value, level: Level, field: &str, errors: &mut Vec<FieldError>) {
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    let declared = |name: &str| schema["properties"].get(name);
    let at = |name: &str| format!("{field}.properties[{name}]");
    if level == Level::Root || embedded {
        for (name, kind, detail) in [
            ("kind", "string", "must be string"),
            ("apiVersion", "string", "must be string"),
            ("metadata", "object", "must be object"),
        ] {
            if let Some(property) = declared(name)
                && property["type"] != kind
            {
                let found = json!(property["type"].as_str().unwrap_or_default());
                errors.push(FieldError::invalid(
                    &format!("{}.type", at(name)),
                    &found,
                    detail,
                ));
            }
        }
    }
    if level == Level::Root
        && let Some(metadata) = declared("metadata").and_then(Value::as_object)
    {
        let allowed = |(name, value): (&String, &Value)| match name.as_str() {
            "properties" => {
                let mut names = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name);
                names.all(|name| name == "name" || name == "generateName")
            }
            "type" | "default" => true,
            _ => value.is_null() || value == &json!(false) || value == &json!(""),
        };
        if !metadata.iter().all(allowed) {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(&at("metadata"), detail));
        }
    }
    if embedded
        && schema["x-kubernetes-preserve-unknown-fields"] != true
        && properties(schema).next().is_none()
    {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(&format!("{field}.properties"), detail));
    }
}

fn extensions(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    if schema["x-kubernetes-int-or-string"] != true {
        return;
    }
    for name in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if schema[name] == true {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(
                &format!("{field}.{name}"),
                &json!(true),
                detail,
            ));
        }
    }
}

/// Where `anyOf` spells out int-or-string, which is the one exception to the rule that types stand
/// outside of junctors.
#[derive(Clone, Copy, Default)]
struct Skip {
    any_of: bool,
    first_all_of: bool,
}

/// The validations of a schema, nested ones included.
fn validations(schema: &Value, skip: Skip, field: &str, errors: &mut Vec<FieldError>) {
    for junctor in JUNCTORS {
        if junctor == "anyOf" && skip.any_of {
            continue;
        }
        for (index, inner) in schema[junctor].as_array().into_iter().flatten().enumerate() {
            let any_of = junctor == "allOf" && index == 0 && skip.first_all_of;
            let skip = Skip {
                any_of,
                ..Skip::default()
            };
            nested(inner, skip, &format!("{field}.{junctor}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        nested(
            &schema["not"],
            Skip::default(),
            &format!("{field}.not"),
            errors,
        );
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(error) = Regex::new(pattern)
    {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let detail = format!("must be a valid regular expression, but isn't: {reason}");
        errors.push(FieldError::invalid(
            &format!("{field}.pattern"),
            &json!(pattern),
            &detail,
        ));
    }
}

/// What may not stand inside of a junctor, and how the message goes on.
const NESTED_FORBIDDEN: [(&str, &str); 13] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

fn nested(schema: &Value, skip: Skip, field: &str, errors: &mut Vec<FieldError>) {
    validations(schema, skip, field, errors);
    if schema["items"].is_object() {
        nested(
            &schema["items"],
            Skip::default(),
            &format!("{field}.items"),
            errors,
        );
    }
    for (name, property) in properties(schema) {
        nested(
            property,
            Skip::default(),
            &format!("{field}.properties[{name}]"),
            errors,
        );
    }
    for (name, detail) in NESTED_FORBIDDEN {
        let absent = match &schema[name] {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !absent {
            errors.push(FieldError::forbidden(&format!("{field}.{name}"), detail));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let detail = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(
            &format!("{field}.properties[metadata]"),
            detail,
        ));
    }
}

/// Everything that a junctor speaks of must be specified outside of it too. `outside` is the schema
/// without junctors at `field`; `inner` is the junctor's at `inner_field`.
fn completeness(
    inner: &Value,
    outside: &Value,
    field: &str,
    inner_field: &str,
    errors: &mut Vec<FieldError>,
) {
    let mut step = |inner: &Value, suffix: &str| {
        nested_completeness(
            inner,
            outside,
            field,
            &format!("{inner_field}.{suffix}"),
            errors,
        );
    };
    step(&inner["not"], "not");
    for junctor in JUNCTORS {
        for (index, inner) in inner[junctor].as_array().into_iter().flatten().enumerate() {
            step(inner, &format!("{junctor}[{index}]"));
        }
    }
}

fn nested_completeness(
    inner: &Value,
    outside: &Value,
    field: &str,
    inner_field: &str,
    errors: &mut Vec<FieldError>,
) {
    if !inner.is_object() {
        return;
    }
    if !outside.is_object() {
        errors.push(FieldError::required(
            field,
            &format!("because it is defined in {inner_field}"),
        ));
        return;
    }
    completeness(inner, outside, field, inner_field, errors);
    let mut step = |name: &str, inner: &Value, outside: &Value| {
        let (field, inner_field) = (format!("{field}.{name}"), format!("{inner_field}.{name}"));
        nested_completeness(inner, outside, &field, &inner_field, errors);
    };
    step("items", &inner["items"], &outside["items"]);
    for (name, property) in properties(inner) {
        let outside = outside["properties"].get(name).unwrap_or(&Value::Null);
        step(&format!("properties[{name}]"), property, outside);
    }
}

fn is_int_or_string(any_of: &Value) -> bool {
    *any_of == json!([{"type": "integer"}, {"type": "string"}])
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}
