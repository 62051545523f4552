//! What schemas make of a written object: unknown fields, defaults, validation, and who manages what.

use serde_json::{Value, json};

use crate::api::write::Part;
use crate::api::{APPLY_PATCH, Call, body};
use crate::apply::{self, Refused, Set, Write};
use crate::behaviour::Behaviour;
use crate::json;
use crate::refusal::{Cause, Refusal};
use crate::resource::{Resource, Version};
use crate::route::Verb;
use crate::schema::Schema;
use crate::state::State;

/// The schema of a version, unless its stored form is that of another kind.
pub(super) fn schema<'a>(resource: &Resource, version: &'a Version) -> Option<&'a Schema> {
    version
        .schema
        .as_ref()
        .filter(|_| resource.rules.renames.is_empty())
}

/// Sets the defaults that the schema declares.
pub(super) fn set_defaults(resource: &Resource, version: &Version, value: &mut Value) {
    if let Some(schema) = schema(resource, version) {
        schema.apply_defaults(value);
    }
}

/// Adds what the server's own types always write.
pub(super) fn complete(resource: &Resource, version: &Version, value: &mut Value) {
    if let Some(schema) = schema(resource, version).filter(|_| !resource.custom) {
        schema.complete(value);
    }
}

/// The same, as what was stored is read again.
pub(super) fn settle(resource: &Resource, version: &Version, value: &mut Value) {
    complete(resource, version, value);
    if let Some(schema) = schema(resource, version).filter(|_| !resource.custom) {
        schema.forget_empties(value);
    }
}

/// What the schema of a custom resource says against an object. Built-in kinds have code instead.
pub(super) fn check(
    resource: &Resource,
    version: &Version,
    old: Option<&Value>,
    new: &Value,
) -> Vec<Cause> {
    let Some(schema) = schema(resource, version).filter(|_| resource.custom) else {
        return Vec::new();
    };
    let mut errors = errors(schema, old, new);
    check_rules(version, old, new, &mut errors);
    errors
}

/// Adds what rules in CEL say, which are not asked about what is no object of the kind.
#[cfg(feature = "cel")]
fn check_rules(version: &Version, old: Option<&Value>, new: &Value, errors: &mut Vec<Cause>) {
    let Some(rules) = &version.rules else { return };
    let blocking = [
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    ];
    if errors.iter().any(|error| blocking.contains(&error.reason)) {
        let message = "some validation rules were not checked because the object was invalid; correct the \
                       existing errors to complete validation";
        errors.push(Cause::invalid("<nil>", &Value::Null, message));
    } else {
        errors.extend(rules.check(old, new));
    }
}

#[cfg(not(feature = "cel"))]
fn check_rules(_: &Version, _: Option<&Value>, _: &Value, _: &mut Vec<Cause>) {}

/// The same for a write of the status, which is looked at alone: messages do not tell where it is.
pub(super) fn check_status(
    resource: &Resource,
    version: &Version,
    old: &Value,
    new: &Value,
) -> Vec<Cause> {
    let schema = schema(resource, version).filter(|_| resource.custom);
    let Some(schema) = schema.and_then(|schema| schema.of_field("status")) else {
        return Vec::new();
    };
    let Some(status) = new.get("status").filter(|status| !status.is_null()) else {
        return Vec::new();
    };
    let mut causes = errors(&schema, old.get("status"), status);
    for cause in &mut causes {
        let below = if cause.field.is_empty() { "" } else { "." };
        cause.field = format!("status{below}{}", cause.field);
    }
    check_rules(version, Some(old), new, &mut causes);
    causes
}

fn errors(schema: &Schema, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut errors = match old {
        None => schema.validate(new),
        Some(old) => schema.validate_update(new, old),
    };
    // A duplicate that was there before is tolerated, as any other old error is.
    let before = old
        .map(|old| schema.check_list_types(old))
        .unwrap_or_default();
    errors.extend(
        schema
            .check_list_types(new)
            .into_iter()
            .filter(|error| !before.contains(error)),
    );
    errors
}

impl State {
    /// Drops the fields that the version does not know, and refuses them or warns of them as the
    /// request wishes. What cannot be decoded into a built-in kind is refused here too.
    pub(super) fn prune(&mut self, call: &Call, value: &mut Value) -> Result<(), Refusal> {
        if call.resource.custom && json::items(value, "metadata.managedFields").is_empty() {
            // Only where there are Go types is an empty list something else than none.
            json::take(value, "metadata.managedFields");
        }
        let Some(schema) = call.version.schema.clone() else {
            return Ok(());
        };
        let unknown = schema.prune(value);
        let twice = if call.content_type == APPLY_PATCH {
            Vec::new()
        } else {
            body::duplicates(&call.body)
        };
        let twice = twice.iter().map(|path| format!("duplicate field {path:?}"));
        let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
        let unknown: Vec<String> = twice.chain(unknown).collect();
        let (kind, version) = (&call.resource.kind, &call.version.name);
        let within = format!("{kind} in version {version:?} cannot be handled as a {kind}: ");
        let patched = call.verb == Verb::Patch;
        let within = if patched { "" } else { &within };
        let mut warnings = Vec::new();
        match call.query.text("fieldValidation") {
            "Ignore" => {}
            "Strict" if !unknown.is_empty() => {
                let unknown = unknown.join(", ");
                return Err(Refusal::undecodable(format!(
                    "{within}strict decoding error: {unknown}"
                )));
            }
            _ if call.resource.custom => self.warnings.extend(unknown),
            _ => warnings = unknown,
        }
        if call.resource.custom {
            return Ok(());
        }
        schema.drop_empties(value);
        schema.canonicalise(value);
        schema.apply_defaults(value);
        let errors = schema.validate(value);
        match errors
            .iter()
            .find(|error| error.reason == "FieldValueTypeInvalid")
        {
            None => {
                self.warnings.extend(warnings);
                Ok(())
            }
            Some(error) => Err(Refusal::undecodable(format!(
                "{within}json: cannot unmarshal {error}"
            ))),
        }
    }

    /// Records who manages the fields of a new value.
    pub(super) fn track(&self, write: &Tracked<'_>, old: Option<&Value>, new: &mut Value) {
        let schema = schema(write.resource, write.version);
        let Some(schema) = schema.filter(|_| self.options.has(Behaviour::ManagedFields)) else {
            if json::items(new, "metadata.managedFields").is_empty() {
                json::take(new, "metadata.managedFields");
            }
            return;
        };
        if new["metadata"]["managedFields"].is_null()
            && let Some(before) = old
                .map(|old| &old["metadata"]["managedFields"])
                .filter(|m| !m.is_null())
        {
            new["metadata"]["managedFields"] = before.clone();
        }
        if !write.applied {
            let reset = reset(write.version, write.part);
            apply::update(old, new, &self.write_of(write, schema, &reset));
        }
        if let Some(old) = old {
            apply::keep_times(old, new);
        }
    }

    /// Lays an apply patch over what is there.
    pub(super) fn lay_over(
        &self,
        write: &Tracked<'_>,
        live: Option<&Value>,
        patch: &Value,
        force: bool,
    ) -> Result<Value, Refusal> {
        let schema = schema(write.resource, write.version).ok_or_else(|| {
            Refusal::unsupported_here("server-side apply is not simulated for this version")
        })?;
        let reset = reset(write.version, write.part);
        apply::apply(live, patch, &self.write_of(write, schema, &reset), force).map_err(|refused| {
            match refused {
                Refused::Conflict { message, causes } => Refusal::apply_conflict(message, causes),
                Refused::BadRequest(message) => Refusal::bad_request(message),
                Refused::Invalid(message) => Refusal::unforeseen(message),
            }
        })
    }

    fn write_of<'a>(
        &self,
        write: &'a Tracked<'_>,
        schema: &'a Schema,
        reset: &'a Set,
    ) -> Write<'a> {
        Write {
            schema,
            api_version: &write.api_version,
            manager: write.manager,
            subresource: if write.part == Part::Status {
                "status"
            } else {
                ""
            },
            reset,
            time: self.now(),
        }
    }
}

/// A write whose fields are attributed to a manager.
pub(crate) struct Tracked<'a> {
    pub(super) call: &'a Call,
    pub(super) resource: &'a Resource,
    pub(super) version: &'a Version,
    pub(super) api_version: String,
    pub(super) manager: &'a str,
    pub(super) part: Part,
    /// The managers were worked out already, by an apply patch.
    pub(super) applied: bool,
}

impl<'a> Tracked<'a> {
    pub(super) fn of(call: &'a Call, part: Part, applied: bool) -> Self {
        Self {
            call,
            resource: &call.resource,
            version: &call.version,
            api_version: call.api_version(),
            manager: call.manager(),
            part,
            applied,
        }
    }
}

/// Fields that an endpoint does not change, and so does not manage.
fn reset(version: &Version, part: Part) -> Set {
    match part {
        Part::Status => Set::of(&[&["spec"]]),
        _ if version.status => Set::of(&[&["status"]]),
        _ => Set::of(&[]),
    }
}

/// The patch that an apply request carries: YAML, of which JSON is a part.
pub(super) fn apply_patch(call: &Call) -> Result<Value, Refusal> {
    let text =
        std::str::from_utf8(&call.body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let mut patch: Value = serde_saphyr::from_str(text)
        .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?;
    if !patch.is_object() && !patch.is_null() {
        let message =
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: not an object";
        return Err(Refusal::bad_request(message));
    }
    let name = call.name.as_deref().unwrap_or("");
    let text = |field: &str| patch[field].as_str().unwrap_or("");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != call.api_version() || kind != call.resource.kind {
        let found = apply::group_version_kind(api_version, kind);
        return Err(Refusal::bad_request(format!(
            "invalid object type: {found}"
        )));
    }
    if patch["metadata"]["name"].is_null() {
        crate::json::put(&mut patch, "metadata.name", json!(name));
    }
    Ok(patch)
}
