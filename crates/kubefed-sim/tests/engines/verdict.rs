//! Judges what the engines make of requests whose answers by a real server are known.
//!
//! A record is JSON: an engine, a schema, and requests with their answers. The tests beside a real
//! server make records and judge them at once; kept ones are judged again without a server.

use jiff::Timestamp;
use kubefed_sim::{
    apply::{self, Refused, Set, Write},
    builtin,
    schema::{FieldError, Schema},
    strategic,
    table::{Columns, Include},
};
use serde_json::{Value, json};

/// Panics at the first difference.
pub(crate) fn judge(record: &Value) {
    let list = |name: &str| record[name].as_array().cloned().unwrap_or_default();
    match record["engine"].as_str() {
        Some("apply") => {
            let mut live = None;
            let schema = schema_of(&record["schema"]);
            for step in list("steps") {
                writes(&schema, live.as_ref(), &step);
                if code(&step) < 300 {
                    live = Some(step["body"].clone());
                }
            }
        }
        Some("strategic") => {
            let mut live = record["object"].clone();
            let schema = schema_of(&record["schema"]);
            for step in list("steps") {
                strategic_merge(&schema, &live, &step);
                if code(&step) < 300 {
                    live = step["body"].clone();
                }
            }
        }
        Some("validation") => {
            let schema = schema_of(&record["schema"]);
            list("cases")
                .iter()
                .for_each(|case| validation(&schema, case));
        }
        Some("pruning") => {
            let schema = schema_of(&record["schema"]);
            list("cases").iter().for_each(|case| pruning(&schema, case));
        }
        Some("tables") => list("cases").iter().for_each(table),
        other => unreachable!("{other:?} is no engine"),
    }
}

fn schema_of(reference: &Value) -> Schema {
    match reference["builtIn"].as_array().map(Vec::as_slice) {
        Some(
            [
                Value::String(group),
                Value::String(version),
                Value::String(kind),
            ],
        ) => builtin::schema_of(group, version, kind).expect("a built-in kind"),
        _ => Schema::of_custom_resource(&reference["custom"], &builtin::DEFINITIONS),
    }
}

fn code(step: &Value) -> u64 {
    step["code"].as_u64().unwrap_or_default()
}

fn writes(schema: &Schema, live: Option<&Value>, step: &Value) {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let (request, body) = (&step["request"], &step["body"]);
    let reset = match text("subresource") {
        "status" => Set::of(&[&["spec"]]),
        _ => Set::of(&[&["status"]]),
    };
    let write = Write {
        schema,
        api_version: text("apiVersion"),
        manager: text("manager"),
        subresource: text("subresource"),
        reset: &reset,
        time: "2026-01-01T00:00:00.5Z".parse().expect("a time"),
    };
    if let Some(force) = step["force"].as_bool() {
        let ours = apply::apply(live, request, &write, force);
        return applied(ours, live, step);
    }
    assert!(code(step) < 300, "{step}");
    let mut new = body.clone();
    // The request itself says nothing about managers, or clears them.
    let before = live.map_or(Value::Null, |live| {
        live["metadata"]["managedFields"].clone()
    });
    new["metadata"]["managedFields"] = match &request["metadata"]["managedFields"] {
        Value::Null => before,
        cleared => cleared.clone(),
    };
    apply::update(live, &mut new, &write);
    assert_eq!(entries(&new), entries(body), "{request}");
}

fn applied(ours: Result<Value, Refused>, live: Option<&Value>, step: &Value) {
    let (what, body) = (&step["request"], &step["body"]);
    match ours {
        // What the validation of a built-in kind says is not the engine's business.
        Ok(_) if code(step) == 422 => {}
        Ok(mut object) => {
            assert!(code(step) < 300, "{step}\nthe engine says\n{object}");
            if let Some(live) = live {
                apply::keep_times(live, &mut object);
            }
            assert_eq!(entries(&object), entries(body), "{what}\nlive: {live:?}");
            for part in ["spec", "data", "status"] {
                assert_within(what, part, &object[part], &body[part]);
            }
            for part in ["labels", "annotations", "finalizers", "ownerReferences"] {
                assert_eq!(
                    object["metadata"][part], body["metadata"][part],
                    "{what}: {part}"
                );
            }
        }
        Err(Refused::Conflict { message, causes }) => {
            assert_eq!(
                (code(step), &body["reason"]),
                (409, &json!("Conflict")),
                "{step}"
            );
            assert_eq!(texts(&causes), causes_of(body), "{what}");
            assert_eq!(json!(message), body["message"], "{what}");
        }
        Err(Refused::BadRequest(message)) => {
            assert_eq!(
                (400, &json!(message)),
                (code(step), &body["message"]),
                "{what}"
            );
        }
        Err(Refused::Invalid(message)) => {
            assert_eq!(
                (500, &json!(message)),
                (code(step), &body["message"]),
                "{what}"
            );
        }
    }
}

fn strategic_merge(schema: &Schema, live: &Value, step: &Value) {
    let (patch, body) = (&step["request"], &step["body"]);
    match strategic::apply(live, patch, schema) {
        Ok(mut ours) => {
            assert!(code(step) < 300, "{step}\n{ours}");
            schema.drop_nulls(&mut ours);
            assert_within(patch, "spec", &ours["spec"], &body["spec"]);
            // What the patch removes must be gone there and here.
            let count = |value: &Value| {
                value["template"]["spec"]["containers"]
                    .to_string()
                    .matches("\"env\"")
                    .count()
            };
            assert_eq!(count(&ours["spec"]), count(&body["spec"]), "{patch}");
            for part in ["labels", "annotations", "finalizers"] {
                assert_eq!(ours["metadata"][part], body["metadata"][part], "{patch}");
            }
        }
        Err(why) => {
            let said = [&body["message"], &body["details"]["causes"][0]["message"]];
            assert!(
                code(step) >= 400 && said.iter().any(|said| **said == why),
                "{step}\n{why}"
            );
        }
    }
}

fn validation(schema: &Schema, case: &Value) {
    let mut object = case["request"].clone();
    schema.prune(&mut object);
    schema.apply_defaults(&mut object);
    let mut errors = schema.validate(&object);
    errors.extend(schema.check_list_types(&object));
    assert_eq!(
        texts(&errors),
        causes_of(&case["body"]),
        "{}\n{}",
        case["request"],
        case["body"]["message"]
    );
    assert_eq!(errors.is_empty(), code(case) == 201, "{case}");
    // An object that did not change is tolerated, whatever is wrong with it.
    assert_eq!(schema.validate_update(&object, &object), []);
}

fn pruning(schema: &Schema, case: &Value) {
    let mut object = case["request"].clone();
    let unknown = schema.prune(&mut object);
    schema.apply_defaults(&mut object);
    for part in ["spec", "top"] {
        assert_eq!(object[part], case["body"][part], "{}", case["request"]);
    }
    let mut ours: Vec<_> = unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect();
    let message = case["strict"]["message"].as_str().unwrap_or_default();
    let theirs = message
        .split_once("strict decoding error: ")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let mut theirs: Vec<_> = theirs
        .split(", ")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "{}", case["request"]);
}

fn table(case: &Value) {
    let columns = match case["resource"].as_str() {
        Some(resource) => Columns::of_built_in(resource).expect("columns"),
        None => Columns::of_custom_resource(Some(&case["columns"])),
    };
    let now: Timestamp = case["now"]
        .as_str()
        .and_then(|now| now.parse().ok())
        .expect("a time");
    let (object, theirs) = (&case["object"], &case["table"]);
    let ours = columns.table(
        &Value::Null,
        std::slice::from_ref(object),
        Include::Metadata,
        now,
    );
    assert_eq!(cells(&ours), cells(theirs), "{object}");
    assert_eq!(ours["metadata"], theirs["metadata"], "{object}");
    assert_eq!(
        ours["rows"][0]["conditions"], theirs["rows"][0]["conditions"],
        "{object}"
    );
    // Not the annotations: a DaemonSet's are left out by a quirk of its internal type.
    for part in ["uid", "labels", "managedFields"] {
        let of = |table: &Value| table["rows"][0]["object"]["metadata"][part].clone();
        assert_eq!(of(&ours), of(theirs), "{object}");
    }
    for (ours, theirs) in definitions(&ours).into_iter().zip(definitions(theirs)) {
        for part in ["name", "type", "format", "priority"] {
            assert_eq!(ours[part], theirs[part], "{object}");
        }
    }
}

fn definitions(table: &Value) -> Vec<Value> {
    table["columnDefinitions"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The cells by column. The age is not compared: a second may pass between two requests.
fn cells(table: &Value) -> Vec<(String, Value)> {
    let cells = table["rows"][0]["cells"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let named = definitions(table).into_iter().zip(cells);
    let named = named.map(|(definition, cell)| (definition["name"].to_string(), cell));
    named.filter(|(name, _)| name != "\"Age\"").collect()
}

/// The entries without their times, save whether they have one.
fn entries(object: &Value) -> Vec<Value> {
    let mut entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for entry in &mut entries {
        if !entry["time"].is_null() {
            entry["time"] = json!("some time");
        }
    }
    // Their order depends on times, which differ; a test of the engine alone checks it.
    entries.sort_by_key(ToString::to_string);
    entries
}

/// Causes as text, in an order of our own: a real server's is random.
pub(crate) fn texts(errors: &[FieldError]) -> Vec<String> {
    let cause = |error: &FieldError| json!({"reason": error.reason, "message": error.message, "field": error.field});
    sorted(errors.iter().map(cause))
}

pub(crate) fn causes_of(status: &Value) -> Vec<String> {
    sorted(
        status["details"]["causes"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter(),
    )
}

fn sorted(causes: impl Iterator<Item = Value>) -> Vec<String> {
    let mut causes: Vec<_> = causes.map(|cause| cause.to_string()).collect();
    causes.sort();
    causes.dedup();
    causes
}

/// Defaults come after the engines, so the server's object may have more fields.
fn assert_within(what: &Value, path: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, ours) in ours {
                let path = format!("{path}.{name}");
                assert_within(what, &path, ours, theirs.get(name).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(
                ours.len(),
                theirs.len(),
                "{what}: {path}\n{ours:?}\n{theirs:?}"
            );
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_within(what, &format!("{path}[{index}]"), ours, theirs);
            }
        }
        // Empty structs are not always written.
        (Value::Object(ours), Value::Null) if ours.is_empty() => {}
        _ => assert_eq!(ours, theirs, "{what}: {path}"),
    }
}
