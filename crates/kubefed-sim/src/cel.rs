//! `x-kubernetes-validations` of custom resources: rules in CEL.

use std::collections::BTreeMap;

use kube_cel::{CompilationError, CompiledSchema, ErrorKind, ValidationError, Validator};
use serde_json::{Value, json};

use crate::json;
use crate::schema::{FieldError, same};

const RULES: &str = "x-kubernetes-validations";

/// The rules at a place of a schema and below it.
pub(crate) struct Rules {
    /// Without those below: the walk here knows which old value belongs to which new one.
    here: Option<CompiledSchema>,
    /// The rules here as they are declared.
    raw: Vec<Value>,
    fields: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    /// Of the fields that are not declared.
    values: Option<Box<Rules>>,
    /// What identifies an item of a list of type map.
    keys: Vec<String>,
}

impl Rules {
    /// The rules of a schema, if it has any.
    pub(crate) fn of(schema: &Value) -> Option<Self> {
        let below = |name: &str| schema.get(name).and_then(Self::of).map(Box::new);
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields = properties.into_iter().flatten();
        let rules = Self {
            here: (!json::items(schema, RULES).is_empty()).then(|| {
                let mut schema = schema.clone();
                strip(&mut schema, true);
                kube_cel::compile_schema(&schema)
            }),
            raw: json::items(schema, RULES).to_vec(),
            fields: fields
                .filter_map(|(name, schema)| Some((name.clone(), Self::of(schema)?)))
                .collect(),
            items: below("items"),
            values: below("additionalProperties"),
            keys: json::items(schema, "x-kubernetes-list-map-keys")
                .iter()
                .filter_map(|key| key.as_str().map(str::to_owned))
                .collect(),
        };
        let any = rules.here.is_some()
            || rules.items.is_some()
            || rules.values.is_some()
            || !rules.fields.is_empty();
        any.then_some(rules)
    }

    /// What cannot be compiled, below the path of the schema.
    pub(crate) fn problems(&self, field: &str) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let validations = self.here.iter().flat_map(|here| &here.validations);
        for (index, (validation, raw)) in validations.zip(&self.raw).enumerate() {
            let (name, why) = match validation {
                Ok(_) => continue,
                Err(CompilationError::Parse { source, .. }) => {
                    (".rule", format!("compilation failed: {source}"))
                }
                Err(CompilationError::MessageExpressionParse { source, .. }) => (
                    ".messageExpression",
                    format!("messageExpression compilation failed: {source}"),
                ),
                Err(other) => ("", other.to_string()),
            };
            let field = format!("{field}.{RULES}[{index}]{name}");
            problems.push(FieldError::invalid_text(&field, &as_go_shows(raw), &why));
        }
        for (name, rules) in &self.fields {
            problems.extend(rules.problems(&format!("{field}.properties[{name}]")));
        }
        for (name, rules) in [
            ("items", &self.items),
            ("additionalProperties", &self.values),
        ] {
            let below = rules
                .iter()
                .flat_map(|r| r.problems(&format!("{field}.{name}")));
            problems.extend(below);
        }
        problems
    }

    /// What the rules say against a value.
    pub(crate) fn check(&self, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.walk(&Validator::new(), "", old, new, &mut errors);
        errors
    }

    fn walk(
        &self,
        validator: &Validator,
        path: &str,
        old: Option<&Value>,
        new: &Value,
        errors: &mut Vec<FieldError>,
    ) {
        if new.is_null() {
            return;
        }
        if let Some(here) = &self.here {
            // What has not changed is tolerated, except by rules about changes.
            let unchanged = old.is_some_and(|old| same(old, new));
            let found = validator.validate_compiled(here, new, old).err();
            let found = found.into_iter().flatten();
            let counts = |error: &ValidationError| !unchanged || error.rule.contains("oldSelf");
            errors.extend(found.filter(counts).map(|error| shown(path, new, &error)));
        }
        match new {
            Value::Object(fields) => {
                let dot = if path.is_empty() { "" } else { "." };
                for (name, value) in fields {
                    let old = old.and_then(|old| old.get(name));
                    if let Some(rules) = self.fields.get(name) {
                        rules.walk(validator, &format!("{path}{dot}{name}"), old, value, errors);
                    } else if let Some(rules) = &self.values {
                        rules.walk(validator, &format!("{path}[{name}]"), old, value, errors);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(rules) = &self.items {
                        let old = old.and_then(|old| self.counterpart(old, item));
                        rules.walk(validator, &format!("{path}[{index}]"), old, item, errors);
                    }
                }
            }
            _ => {}
        }
    }

    /// The old item that a new one takes the place of; only lists of type map tell.
    fn counterpart<'a>(&self, old: &'a Value, item: &Value) -> Option<&'a Value> {
        if self.keys.is_empty() {
            return None;
        }
        let same = |other: &&Value| self.keys.iter().all(|key| other[key] == item[key]);
        old.as_array()?.iter().find(same)
    }
}

/// Takes the rules off a schema, except those at its root.
fn strip(schema: &mut Value, root: bool) {
    let Value::Object(fields) = schema else {
        return;
    };
    if !root {
        fields.remove(RULES);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(below) = fields.get_mut(name) {
            strip(below, false);
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(serde_json::Map::values_mut) {
        strip(property, false);
    }
}

/// A rule as messages show it: a struct of Go, with all its fields.
fn as_go_shows(rule: &Value) -> String {
    let text = |field: &str| json!(json::text(rule, field)).to_string();
    let plain = format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"],
    );
    plain
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn shown(path: &str, value: &Value, error: &ValidationError) -> FieldError {
    let below = error.field_path.trim_start_matches('.');
    let dot = if path.is_empty() || below.is_empty() {
        ""
    } else {
        "."
    };
    let field = format!("{path}{dot}{below}");
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message.clone(),
        _ => format!("{} evaluating rule: {}", error.message, error.rule),
    };
    match error.reason.as_deref() {
        Some("FieldValueForbidden") => FieldError::forbidden(&field, &message),
        Some("FieldValueRequired") => FieldError::required(&field, &message),
        Some("FieldValueDuplicate") => FieldError::duplicate(&field, value),
        // Messages show the values of scalars alone.
        _ if value.is_object() || value.is_array() => {
            FieldError::invalid_text(&field, &message, "")
        }
        _ => FieldError::invalid(&field, value, &message),
    }
}
