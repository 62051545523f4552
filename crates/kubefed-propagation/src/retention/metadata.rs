use kubefed_api::Error as FieldError;
use serde_json::Value;

use super::Observed;
use crate::nested::nested;

/// Copies resource version, finalizers and annotations, and removes those that the member has not.
/// Nothing here is an error: metadata of the wrong shape counts as none, on either side.
pub(super) fn retain(desired: &mut Value, observed: &Observed<'_>) -> Result<(), FieldError> {
    for (name, is_kept) in FIELDS {
        let kept = nested(observed.member, &["metadata", name])
            .ok()
            .flatten()
            .filter(|value| is_kept(value));
        write(desired, name, kept);
    }
    Ok(())
}

/// Whether a value of the member's metadata is kept.
type IsKept = fn(&Value) -> bool;

const FIELDS: [(&str, IsKept); 3] = [
    ("resourceVersion", |value| {
        value.as_str().is_some_and(|version| !version.is_empty())
    }),
    ("finalizers", |value| {
        value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
    }),
    ("annotations", |value| {
        value
            .as_object()
            .is_some_and(|map| map.values().all(Value::is_string))
    }),
];

fn write(desired: &mut Value, name: &str, kept: Option<&Value>) {
    match kept {
        Some(value) => {
            // Fails on metadata that is no object, which stays as it is.
            let _ = crate::nested::set(desired, "metadata", name, value.clone());
        }
        None => {
            if let Some(metadata) = desired.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove(name);
            }
        }
    }
}
