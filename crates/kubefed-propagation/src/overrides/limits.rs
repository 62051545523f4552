//! Bounds on what overrides may build, and the form of the numbers in it.

use std::io;

use kubefed_api::Error as FieldError;
use serde_json::Value;

use crate::canonical::{is_exact, number_of_double};

/// Deepest nesting of an object with overrides, the object itself being the first level. The API
/// server refuses custom resources long before text of ten times this depth; built-in kinds stay
/// below twenty. It also keeps every recursion over an object within a small stack.
pub const OBJECT_DEPTH_MAX: usize = 64;

/// Most bytes of JSON that an object with overrides may have: 1.5 MiB, the default of etcd's
/// `--max-request-bytes`, beyond which no API server could store it.
pub const OBJECT_BYTES_MAX: usize = 3 * 512 * 1024;

/// The value of an override that will stand `depth` levels below the object, its numbers read as
/// doubles; null where it is missing.
pub(super) fn value(value: Option<&Value>, depth: usize) -> Result<Value, String> {
    let value = value.unwrap_or(&Value::Null);
    doubles(value, OBJECT_DEPTH_MAX.saturating_sub(depth)).ok_or_else(|| {
        format!("the object would be nested more than {OBJECT_DEPTH_MAX} levels deep")
    })
}

fn doubles(value: &Value, levels: usize) -> Option<Value> {
    Some(match value {
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
        Value::Number(number) if number.as_i64().is_some_and(is_exact) => value.clone(),
        Value::Number(number) => number
            .as_f64()
            .and_then(number_of_double)
            .map_or_else(|| value.clone(), Value::Number),
        Value::Array(elements) => {
            let below = levels.checked_sub(1)?;
            let elements = elements.iter().map(|element| doubles(element, below));
            Value::Array(elements.collect::<Option<_>>()?)
        }
        Value::Object(members) => {
            let below = levels.checked_sub(1)?;
            let member = |(name, value): (&String, &Value)| {
                doubles(value, below).map(|value| (name.clone(), value))
            };
            Value::Object(members.iter().map(member).collect::<Option<_>>()?)
        }
    })
}

/// Checks depth and size of the result, and gives numbers the form they have when the text of the
/// object is read again, which is what the original does.
pub(super) fn settle(object: &mut Value) -> Result<(), FieldError> {
    if !reread(object, OBJECT_DEPTH_MAX) {
        let message = format!("the object is nested more than {OBJECT_DEPTH_MAX} levels deep");
        return Err(FieldError::new("", message));
    }
    let mut length = Length(0);
    // Neither counting nor a value can fail to be written.
    let _ = serde_json::to_writer(&mut length, object);
    if length.0 > OBJECT_BYTES_MAX {
        let message = format!(
            "the object has {} bytes, at most {OBJECT_BYTES_MAX} can be stored",
            length.0
        );
        return Err(FieldError::new("", message));
    }
    Ok(())
}

/// Whether the value is within the depth.
fn reread(value: &mut Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            if number.as_i64().is_none()
                && let Some(reread) = number.as_f64().and_then(number_of_double)
            {
                *number = reread;
            }
            true
        }
        Value::Array(elements) => levels > 0 && elements.iter_mut().all(|e| reread(e, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values_mut().all(|value| reread(value, levels - 1))
        }
    }
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
