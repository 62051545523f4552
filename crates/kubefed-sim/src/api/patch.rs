//! PATCH: a new value from the old one, then an update like any other.

use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::Value;

use crate::api::fields::{self, Tracked};
use crate::api::render::Rendering;
use crate::api::write::{Part, Update};
use crate::api::{APPLY_PATCH, Answer, Call, inward, outward};
use crate::refusal::Refusal;
use crate::route::{CUSTOM_PATCH_TYPES, PATCH_TYPES, Verb};
use crate::state::State;
use crate::strategic;

/// The most operations that the server takes in one JSON Patch.
const OPERATIONS_MAX: usize = 10_000;

impl State {
    pub(super) fn patch(&mut self, call: &Call, part: Part) -> Result<Answer, Refusal> {
        if call.content_type == APPLY_PATCH {
            return self.apply(call, part);
        }
        let absent = || Refusal::not_found(&call.resource, call.name.as_deref().unwrap_or(""));
        let current = self
            .store
            .get(&call.resource.table, &call.key())
            .cloned()
            .ok_or_else(absent)?;
        let served = outward(&call.resource, &call.version, current.value());
        let mut patched = apply(call, &served)?;
        let before = patched.clone();
        super::check_type(call, &patched)
            .and_then(|()| self.prune(call, &mut patched))
            .and_then(|()| self.finish(call, part, false, inward(&call.resource, patched)))
            .map_err(|refusal| refusal.of_patched(&before))
    }

    /// Server-side apply, which creates what is not there.
    fn apply(&mut self, call: &Call, part: Part) -> Result<Answer, Refusal> {
        let patch = fields::apply_patch(call)?;
        let write = Tracked::of(call, part, true);
        let force = call.query.flag("force");
        let current = self.store.get(&call.resource.table, &call.key()).cloned();
        let Some(current) = current else {
            if part != Part::Main {
                return Err(Refusal::not_found(
                    &call.resource,
                    call.name.as_deref().unwrap_or(""),
                ));
            }
            let mut value = self.lay_over(&write, None, &patch, force)?;
            if crate::json::text(&value, "metadata.uid").is_empty() {
                check_name(call, &value)?;
            }
            self.prune(call, &mut value)?;
            return self.create_from(call, true, inward(&call.resource, value));
        };
        let live = outward(&call.resource, &call.version, current.value());
        let mut value = self.lay_over(&write, Some(&live), &patch, force)?;
        check_name(call, &value)?;
        self.prune(call, &mut value)?;
        self.finish(call, part, true, inward(&call.resource, value))
    }

    fn finish(
        &mut self,
        call: &Call,
        part: Part,
        applied: bool,
        value: Value,
    ) -> Result<Answer, Refusal> {
        let update = Update {
            write: Some(Tracked::of(call, part, applied)),
            ..Update::of(call, part)
        };
        let object = self.update(&update, |_| Ok(value))?;
        Ok(Answer::ok(Rendering::of(call).object(&object)))
    }
}

fn check_name(call: &Call, value: &Value) -> Result<(), Refusal> {
    let (given, name) = (
        crate::json::text(value, "metadata.name"),
        call.name.as_deref().unwrap_or(""),
    );
    if given == name {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({name})"
    )))
}

/// Applies the patch in the body to a value.
pub(super) fn apply(call: &Call, value: &Value) -> Result<Value, Refusal> {
    match call.content_type.as_str() {
        "application/json-patch+json" => apply_json(call, value),
        "application/merge-patch+json" => {
            let patch: Value = parse(&call.body)?;
            if patch.is_null() {
                return Err(Refusal::bad_request("Invalid JSON Patch"));
            }
            if !patch.is_object() {
                let message = "error decoding patch: a merge patch must be a JSON object";
                return Err(Refusal::bad_request(message));
            }
            let mut patched = value.clone();
            json_patch::merge(&mut patched, &patch);
            Ok(patched)
        }
        "application/strategic-merge-patch+json" => {
            let patch: Value = parse(&call.body)?;
            let schema = call
                .version
                .schema
                .as_ref()
                .ok_or_else(Refusal::no_such_resource)?;
            strategic::apply(value, &patch, schema).map_err(|_| Refusal::patch_failed())
        }
        _ => Err(Refusal::unsupported_media_type(&PATCH_TYPES)),
    }
}

/// Bodies in other formats are refused before anything else is looked at.
pub(super) fn check_media_type(call: &Call) -> Result<(), Refusal> {
    if call.verb != Verb::Patch {
        return Ok(());
    }
    let known: &[&str] = if call.resource.custom {
        &CUSTOM_PATCH_TYPES
    } else {
        &PATCH_TYPES
    };
    if known.contains(&call.content_type.as_str()) {
        return Ok(());
    }
    Err(if call.resource.custom {
        Refusal::unsupported_media_type(known)
    } else {
        Refusal::unroutable_media_type()
    })
}

fn apply_json(call: &Call, value: &Value) -> Result<Value, Refusal> {
    let patch: Option<Patch> = parse(&call.body)?;
    let Patch(operations) = patch.unwrap_or_default();
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
        let operation = copied_from_nowhere(operation, &patched);
        json_patch::patch(&mut patched, std::slice::from_ref(&operation))
            .map_err(|_| Refusal::patch_failed())?;
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

/// The server's library copies null where there is nothing in an object to copy.
fn copied_from_nowhere(operation: PatchOperation, value: &Value) -> PatchOperation {
    let PatchOperation::Copy(copy) = &operation else {
        return operation;
    };
    let from = copy.from.as_str();
    let parent = from
        .rsplit_once('/')
        .and_then(|(parent, _)| value.pointer(parent));
    if value.pointer(from).is_some() || !parent.is_some_and(Value::is_object) {
        return operation;
    }
    PatchOperation::Add(AddOperation {
        path: copy.path.clone(),
        value: Value::Null,
    })
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))
}
