//! Filling in defaults, and dropping nulls that mean nothing.

use serde_json::Value;

use crate::quantity;

use super::{Place, Schema, Types};

impl Schema {
    /// Drops the nulls that are neither allowed nor replaced by a default, then sets the defaults of
    /// all fields that are missing or null, outermost first: a default is itself completed.
    pub fn apply_defaults(&self, object: &mut Value) {
        drop_nulls(object, Some(self.place()));
        fill(object, self.place());
    }

    /// Adds what Go always writes: the nested structs that are not pointers, and the zero value of
    /// fields that are never omitted, which is null for lists and maps. The schemas of built-in
    /// kinds show both as defaults and required fields; those of CRDs are left alone.
    pub fn complete(&self, object: &mut Value) {
        complete(object, self.place());
    }

    /// Makes empty lists that are never omitted null: storage does not tell the two apart. The
    /// schemas of CRDs are left alone.
    pub fn forget_empties(&self, object: &mut Value) {
        let place = self.place();
        let Value::Object(fields) = object else {
            return;
        };
        for (name, value) in fields {
            let empty = value.as_array().is_some_and(Vec::is_empty);
            if empty && place.definition().is_some() && is_never_omitted(place, name) {
                *value = Value::Null;
            }
        }
    }

    /// Writes quantities in their canonical form.
    pub fn canonicalise(&self, object: &mut Value) {
        canonicalise(object, self.place());
    }

    /// Only the first half of [`Schema::apply_defaults`].
    pub fn drop_nulls(&self, object: &mut Value) {
        drop_nulls(object, Some(self.place()));
    }

    /// Drops the empty lists and maps that Go does not write: those of optional fields of built-in
    /// kinds. The schemas of CRDs are left alone.
    pub fn drop_empties(&self, object: &mut Value) {
        drop_empties(object, self.place());
    }
}

fn canonicalise(value: &mut Value, place: Place<'_>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if let Some(field) = place.field(name) {
                    canonicalise(value, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = place.items() {
                items.iter_mut().for_each(|value| canonicalise(value, item));
            }
        }
        Value::String(_) | Value::Number(_) if place.definition() == Some("Quantity") => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if let Some(canonical) = quantity::canonical(&text) {
                *value = canonical.into();
            }
        }
        _ => {}
    }
}

fn drop_empties(value: &mut Value, place: Place<'_>) {
    match value {
        Value::Object(fields) => {
            let of_go = place.definition().is_some();
            fields.retain(|name, value| {
                let Some(field) = place.field(name) else {
                    return true;
                };
                drop_empties(value, field);
                let empty = match value {
                    Value::Array(items) => items.is_empty() && field.types() == Types::Array,
                    Value::Object(fields) => {
                        fields.is_empty() && field.additional_schema().is_some()
                    }
                    _ => false,
                };
                // An empty list of managers says that they are to be forgotten.
                !(of_go && empty && name != "managedFields" && !is_never_omitted(place, name))
            });
        }
        Value::Array(items) => {
            if let Some(item) = place.items() {
                items.iter_mut().for_each(|value| drop_empties(value, item));
            }
        }
        _ => {}
    }
}

fn drop_nulls(value: &mut Value, place: Option<Place<'_>>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let field = place.and_then(|place| place.field(name));
            let meaningless = value.is_null()
                && field.is_some_and(|field| !field.is_nullable() && field.default().is_none());
            if !meaningless {
                drop_nulls(value, field);
            }
            !meaningless
        }),
        Value::Array(items) => {
            let item = place.and_then(Place::items);
            items.iter_mut().for_each(|value| drop_nulls(value, item));
        }
        _ => {}
    }
}

fn fill(value: &mut Value, place: Place<'_>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in place.properties() {
                if let Some(default) = field.default()
                    && fields.get(name).is_none_or(|value| is_empty(value, field))
                {
                    fields.insert(name.to_owned(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(field) = place.property(name) {
                    fill(value, field);
                } else if let Some(field) = place.additional_schema() {
                    fill_item(value, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = place.items() {
                items.iter_mut().for_each(|value| fill_item(value, item));
            }
        }
        _ => {}
    }
}

/// A null in a map or list is replaced by the default; it cannot be missing.
fn fill_item(value: &mut Value, place: Place<'_>) {
    if is_empty(value, place)
        && let Some(default) = place.default()
    {
        *value = default.clone();
    }
    fill(value, place);
}

fn is_empty(value: &Value, place: Place<'_>) -> bool {
    value.is_null() && !place.is_nullable()
}

/// The times of conditions and events are structs, of which nothing is left out either.
fn is_time(place: Place<'_>, field: Place<'_>) -> bool {
    let definition = place.definition().unwrap_or_default();
    field.format() == "date-time" && (definition.ends_with("Condition") || definition == "Event")
}

/// Optional fields that Go writes even where they are empty, which no schema tells.
const NEVER_OMITTED: [(&str, &str); 3] = [
    ("ClusterRole", "rules"),
    ("HorizontalPodAutoscalerStatus", "currentMetrics"),
    ("Role", "rules"),
];

fn is_never_omitted(place: Place<'_>, name: &str) -> bool {
    let definition = place.definition().unwrap_or_default();
    place.requires(name) || NEVER_OMITTED.contains(&(definition, name))
}

fn complete(value: &mut Value, place: Place<'_>) {
    match value {
        Value::Object(fields) => {
            let of_go = place.definition().is_some();
            for (name, field) in place.properties().filter(|_| of_go) {
                let always =
                    field.is_struct() || is_never_omitted(place, name) || is_time(place, field);
                if always && fields.get(name).is_none_or(Value::is_null) {
                    let zero = field.default().cloned().unwrap_or_default();
                    fields.insert(name.to_owned(), zero);
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(field) = place.field(name) {
                    complete(value, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = place.items() {
                items.iter_mut().for_each(|value| complete(value, item));
            }
        }
        _ => {}
    }
}
