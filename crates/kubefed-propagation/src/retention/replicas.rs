use kubefed_api::Error as FieldError;
use serde_json::Value;

use super::Observed;
use crate::nested::{nested, set};

/// Keeps the number of replicas, which an autoscaler in the member cluster may own.
pub(super) fn retain(desired: &mut Value, observed: &Observed<'_>) -> Result<(), FieldError> {
    if !observed.federated.retains_replicas()? {
        return Ok(());
    }
    match nested(observed.member, &["spec", "replicas"])? {
        None => Ok(()),
        Some(replicas) if replicas.is_i64() => set(desired, "spec", "replicas", replicas.clone()),
        Some(other) => Err(FieldError::wrong_type("spec.replicas", "an integer", other)),
    }
}
