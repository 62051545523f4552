//! PATCH: a new value from the old one, then an update like any other.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::api::render::Rendering;
use crate::api::write::{Part, Update};
use crate::api::{Answer, Call, inward, outward};
use crate::refusal::Refusal;
use crate::route::PATCH_TYPES;
use crate::state::State;

/// The most operations that the server takes in one JSON Patch.
const OPERATIONS_MAX: usize = 10_000;

impl State {
    pub(super) fn patch(&mut self, call: &Call, part: Part) -> Result<Answer, Refusal> {
        let update = Update {
            resource: &call.resource,
            version: &call.version,
            key: &call.key(),
            part,
            dry_run: call.dry_run(),
            replaces: false,
        };
        let object = self.update(&update, |old| {
            let served = outward(&call.resource, &call.version, old.clone());
            let patched = apply(call, &served)?;
            super::check_type(call, &patched)?;
            Ok(inward(&call.resource, patched))
        })?;
        Ok(Answer::ok(Rendering::of(call).object(&object)))
    }
}

/// Applies the patch in the body to a value.
pub(super) fn apply(call: &Call, value: &Value) -> Result<Value, Refusal> {
    match call.content_type.as_str() {
        "application/json-patch+json" => apply_json(call, value),
        "application/merge-patch+json" => {
            let patch: Value = parse(&call.body)?;
            if !patch.is_object() {
                return Err(Refusal::bad_request("a merge patch must be a JSON object"));
            }
            let mut patched = value.clone();
            json_patch::merge(&mut patched, &patch);
            Ok(patched)
        }
        _ => Err(Refusal::unsupported_media_type(&PATCH_TYPES[..2])),
    }
}

fn apply_json(call: &Call, value: &Value) -> Result<Value, Refusal> {
    let Patch(operations) = parse(&call.body)?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Refusal::too_large(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut patched = value.clone();
    for operation in operations {
        if tests_absent_for_null(&operation, &patched) {
            continue;
        }
        json_patch::patch(&mut patched, std::slice::from_ref(&operation)).map_err(|error| {
            let name = call.name.as_deref().unwrap_or("");
            Refusal::patch_failed(&call.resource, name, &error.to_string())
        })?;
    }
    Ok(patched)
}

/// The server's library lets `test` of an absent path against null succeed, unlike RFC 6902.
fn tests_absent_for_null(operation: &PatchOperation, value: &Value) -> bool {
    match operation {
        PatchOperation::Test(test) => {
            test.value.is_null() && value.pointer(test.path.as_str()).is_none()
        }
        _ => false,
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))
}
