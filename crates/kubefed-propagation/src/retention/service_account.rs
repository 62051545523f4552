use kubefed_api::Error as FieldError;
use serde_json::Value;

use super::Observed;

/// Keeps the token secrets that the member cluster attached, unless the template has secrets.
pub(super) fn retain(desired: &mut Value, observed: &Observed<'_>) -> Result<(), FieldError> {
    if !secrets(desired)?.is_empty() {
        return Ok(());
    }
    let kept = secrets(observed.member)?;
    if let (false, Some(members)) = (kept.is_empty(), desired.as_object_mut()) {
        members.insert("secrets".to_owned(), Value::Array(kept.to_vec()));
    }
    Ok(())
}

fn secrets(object: &Value) -> Result<&[Value], FieldError> {
    match object.get("secrets") {
        None => Ok(&[]),
        Some(Value::Array(secrets)) => Ok(secrets),
        Some(other) => Err(FieldError::wrong_type("secrets", "a list", other)),
    }
}
