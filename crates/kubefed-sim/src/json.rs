//! Reading and writing JSON values by dotted paths of plain field names.

use serde_json::{Map, Value};

/// The value at a path such as `spec.template.spec`, if it is there and not null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let found = path
        .split('.')
        .try_fold(value, |value, field| value.get(field))?;
    (!found.is_null()).then_some(found)
}

/// The string at a path; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or("")
}

/// The integer at a path.
pub(crate) fn number(value: &Value, path: &str) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The items of the list at a path; none where there is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Sets the value at a path, making the objects on the way.
pub(crate) fn put(value: &mut Value, path: &str, new: impl Into<Value>) {
    let (parent, field) = match path.rsplit_once('.') {
        Some((parents, field)) => (child(value, parents), field),
        None => (object(value), path),
    };
    parent.insert(field.to_owned(), new.into());
}

/// The object at a path, made where there is none.
pub(crate) fn child<'a>(value: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let here = path.split('.').fold(value, |here, field| {
        object(here).entry(field).or_insert(Value::Null)
    });
    object(here)
}

/// Removes the value at a path and returns it.
pub(crate) fn take(value: &mut Value, path: &str) -> Option<Value> {
    let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = parents
        .split('.')
        .filter(|parent| !parent.is_empty())
        .try_fold(value, |value, field| value.get_mut(field))?;
    parent.as_object_mut()?.remove(field)
}

/// Copies what is at a path in `from` to the same path in `to`; removes it where `from` has none.
pub(crate) fn copy(from: &Value, to: &mut Value, path: &str) {
    match at(from, path) {
        Some(value) => put(to, path, value.clone()),
        None => drop(take(to, path)),
    }
}

/// The value as an object; anything else becomes an empty one.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was made an object above"),
    }
}
