//! Members of untyped objects by path, with the original's notion of what is absent and what is an
//! error: a missing parent or a null one means absence, any other parent must be an object.

use kubefed_api::Error as FieldError;
use serde_json::{Map, Value};

/// The value at a path; `None` where it or a parent is missing. A null *value* is present.
pub(crate) fn nested<'a>(value: &'a Value, path: &[&str]) -> Result<Option<&'a Value>, FieldError> {
    let mut current = value;
    for (depth, name) in path.iter().enumerate() {
        current = match current {
            Value::Null => return Ok(None),
            Value::Object(members) => match members.get(*name) {
                Some(member) => member,
                None => return Ok(None),
            },
            other => {
                let parent = path[..depth].join(".");
                return Err(FieldError::wrong_type(parent, "an object", other));
            }
        };
    }
    Ok(Some(current))
}

/// The string at a path, `""` where there is none or another type.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    nested(value, path)
        .ok()
        .flatten()
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a member of a member of the root; the object in between is made where it is missing.
///
/// # Errors
///
/// The object in between is null or anything else than an object.
pub(crate) fn set(
    root: &mut Value,
    parent: &str,
    name: &str,
    value: Value,
) -> Result<(), FieldError> {
    let Value::Object(members) = root else {
        return Err(FieldError::wrong_type("", "an object", root));
    };
    if !members.contains_key(parent) {
        members.insert(parent.to_owned(), Value::Object(Map::new()));
    }
    match members.get_mut(parent) {
        Some(Value::Object(inner)) => {
            inner.insert(name.to_owned(), value);
            Ok(())
        }
        other => Err(FieldError::wrong_type(
            parent,
            "an object",
            other.map_or(&Value::Null, |found| found),
        )),
    }
}
