//! Overrides: the changes that one cluster's copy gets after rendering and retention.
//!
//! Each override is resolved against the document as it is by then into one RFC 6902 operation
//! (`resolve`), which json-patch applies; the result is judged as a whole (`identity`, `limits`),
//! because what a path may reach can be spelled in many ways and what it did cannot.

mod identity;
mod limits;
mod resolve;

use kubefed_api::{CLUSTER_OVERRIDES_MAX, Error as FieldError, Override};
use serde_json::Value;

use self::identity::Identity;
pub use self::limits::{OBJECT_BYTES_MAX, OBJECT_DEPTH_MAX};
use crate::Error;

/// Applies the overrides of one cluster to its object, in order.
///
/// An override is a JSON pointer (RFC 6901) and an operation of JSON patch (RFC 6902), with these
/// differences, on which users of KubeFed rely:
///
/// - `replace` also sets a member that is missing, as long as its parent exists.
/// - Indexes may be negative and count from the end, −1 being the last element for `replace` and
///   `remove` and the place after it for `add`. `01` and `+1` are read as 1.
/// - Text before the first `/` of a path is ignored; a path without `/` is an error, save the empty
///   one, which `replace` may use to give a whole new object.
/// - A null parent is a missing parent. A missing value is `null`.
/// - Numbers in values go through doubles, so integers beyond 2^53 lose their last digits.
///
/// Whatever the paths say, the result is an object of the same group, kind, namespace and name with
/// the same owner references and status, and metadata that the server owns (uid, resource version,
/// and so on) is put back.
///
/// # Errors
///
/// An operation does not apply; the result has another identity, other owner references or another
/// status; there are more than [`CLUSTER_OVERRIDES_MAX`] overrides; the result is nested more deeply
/// than [`OBJECT_DEPTH_MAX`] or has more than [`OBJECT_BYTES_MAX`] bytes of JSON.
///
/// # Example
///
/// ```
/// use kubefed_api::Overrides;
/// use kubefed_propagation::apply_overrides;
/// use serde_json::json;
///
/// let overrides = Overrides::parse(&json!([{"clusterName": "west", "clusterOverrides": [
///     {"path": "/spec/replicas", "value": 5},
///     {"op": "add", "path": "/spec/args/-1", "value": "--verbose"},
/// ]}]));
/// let west = overrides.of(&"west".into()).unwrap().unwrap();
/// let object = json!({"apiVersion": "example.com/v1", "kind": "Web", "spec": {"args": ["run"]}});
/// assert_eq!(
///     apply_overrides(object, west)?["spec"],
///     json!({"replicas": 5, "args": ["run", "--verbose"]}),
/// );
/// # Ok::<(), kubefed_propagation::Error>(())
/// ```
pub fn apply_overrides(object: Value, overrides: &[Override]) -> Result<Value, Error> {
    apply(object, overrides).map_err(Error::overrides)
}

fn apply(mut object: Value, overrides: &[Override]) -> Result<Value, FieldError> {
    if overrides.len() > CLUSTER_OVERRIDES_MAX {
        let message = format!(
            "{} overrides, at most {CLUSTER_OVERRIDES_MAX} are allowed",
            overrides.len()
        );
        return Err(FieldError::new("clusterOverrides", message));
    }
    let identity = Identity::of(&object);
    for (index, item) in overrides.iter().enumerate() {
        apply_one(&mut object, item).map_err(|message| {
            let Override {
                operation, path, ..
            } = item;
            let message = format!("{operation} {path:?}: {message}");
            FieldError::new(format!("clusterOverrides[{index}]"), message)
        })?;
    }
    identity.restore(&mut object)?;
    limits::settle(&mut object)?;
    Ok(object)
}

fn apply_one(object: &mut Value, item: &Override) -> Result<(), String> {
    let operation = resolve::resolve(object, item)?;
    json_patch::patch_unsafe(object, std::slice::from_ref(&operation))
        .map_err(|error| error.kind.to_string())
}

#[cfg(test)]
mod tests;
