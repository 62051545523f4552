//! Server-side apply (KEP-555): who manages which field of an object.
//!
//! Every write goes through here. [`update`] is for create, update and the other kinds of patch, and
//! [`apply`] for apply patches. Both leave `metadata.managedFields` as kube-apiserver does. They
//! know neither defaults nor admission: the object that is given to [`update`] has been defaulted,
//! and the one that comes out of [`apply`] is to be defaulted afterwards.
//!
//! All versions of a kind are taken to have the same fields, as they have without conversion.

mod managers;
mod set;
mod types;
mod walks;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::schema::{FieldError, Schema, same};
use managers::{Identity, Managed, Managers, Operation, to_second};
pub use set::Set;
use types::Type;
use walks::Comparison;

/// The annotation in which `kubectl apply` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager of the fields that were there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The circumstances of one write.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// The schema of the kind.
    pub schema: &'a Schema,
    /// The version that the request names, such as `apps/v1`.
    pub api_version: &'a str,
    /// `fieldManager`, or the first part of the user agent.
    pub manager: &'a str,
    /// The subresource that is written; empty for the object itself.
    pub subresource: &'a str,
    /// Fields that this endpoint does not change, such as `status` without the subresource.
    pub reset: &'a Set,
    /// Now.
    pub time: Timestamp,
}

/// Why an apply patch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 409, reason Conflict: others manage some of the fields. Their names are in the causes.
    Conflict {
        /// The message of the `Status`.
        message: String,
        /// One cause per field, of reason `FieldManagerConflict`.
        causes: Vec<FieldError>,
    },
    /// 400, reason BadRequest.
    BadRequest(String),
    /// 500: the patch does not fit the schema.
    Invalid(String),
}

/// Records a write other than apply: sets `managedFields` of `new`, which replaces `live` (`None` for
/// a create).
pub fn update(live: Option<&Value>, new: &mut Value, write: &Write<'_>) {
    let mut managers = known(live, new, write);
    clear(new);
    // An object whose managers were cleared on purpose is not tracked until the next apply.
    if !managers.0.is_empty() || live.is_none() {
        record(live, new, &mut managers, write, write.manager);
    }
    managers.write(new);
}

/// Lays an apply patch over `live` (`None` if there is no such object yet) and records who manages
/// what. With `force`, fields that others manage are taken from them.
///
/// # Errors
///
/// The patch contains fields that the schema does not declare, the wrong version or `managedFields`;
/// or, without `force`, it changes fields that others manage.
pub fn apply(
    live: Option<&Value>,
    patch: &Value,
    write: &Write<'_>,
    force: bool,
) -> Result<Value, Refused> {
    if patch["apiVersion"] != write.api_version {
        let kind = patch["kind"].as_str().unwrap_or_default();
        let version = patch["apiVersion"].as_str().unwrap_or_default();
        let shown = group_version_kind(version, kind);
        return Err(Refused::BadRequest(format!("invalid object type: {shown}")));
    }
    if !patch["metadata"]["managedFields"].is_null() {
        return Err(Refused::BadRequest(
            "metadata.managedFields must be nil".to_owned(),
        ));
    }
    let mut managers = match live {
        Some(live) => Managers::of(live)
            .map_err(|why| Refused::Invalid(format!("failed to decode managed fields: {why}")))?,
        None => Managers::default(),
    };
    let base = completed(live, write.schema);
    if managers.0.is_empty() {
        let mut before = base.clone();
        clear(&mut before);
        record(None, &before, &mut managers, write, BEFORE_FIRST_APPLY);
    }
    let mut result = merged(&base, patch, managers.clone(), write, force);
    if let Err(Refused::Conflict { .. }) = result
        && write.manager == "kubectl"
        && let Some(last_applied) = last_applied(&base, write)
    {
        // Fields that client-side apply has set belong to kubectl, whatever its name was then.
        result = merged_after_client_side_apply(&base, patch, managers, write, &last_applied);
    }
    let (mut object, managers) = result?;
    if write.manager == "kubectl" {
        refresh_last_applied(&mut object, patch);
    }
    managers.write(&mut object);
    write.schema.drop_nulls(&mut object);
    write.schema.drop_empties(&mut object);
    write.schema.complete(&mut object);
    Ok(object)
}

/// Gives an object the times of `live`'s entries if that makes the two the same: a write that
/// changes nothing else is no write.
pub fn keep_times(live: &Value, new: &mut Value) {
    let entries = |object: &Value| {
        object["metadata"]["managedFields"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let timeless = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        object
    };
    let live_entries = entries(live);
    if !live_entries.is_empty() && same(&timeless(live), &timeless(new)) {
        new["metadata"]["managedFields"] = Value::Array(live_entries);
    }
}

/// The entries to start from. A client may change them; one that does not know them must not
/// delete them by accident; an empty list deletes them on purpose.
fn known(live: Option<&Value>, new: &Value, write: &Write<'_>) -> Managers {
    let of_live = || {
        live.and_then(|live| Managers::of(live).ok())
            .unwrap_or_default()
    };
    if !write.subresource.is_empty() {
        return of_live();
    }
    let cleared = match new["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
    {
        Some([]) => true,
        Some([entry]) => entry.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    match Managers::of(new) {
        _ if cleared => Managers::default(),
        Ok(managers) if !managers.0.is_empty() => managers,
        _ => of_live(),
    }
}

fn clear(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// An object with the nested structs that Go always has, so that they are never added or removed.
fn completed(object: Option<&Value>, schema: &Schema) -> Value {
    let mut object = object.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    schema.complete(&mut object);
    object
}

/// Gives `manager` what differs between `live` and `new`, and takes it from everybody else.
fn record(
    live: Option<&Value>,
    new: &Value,
    managers: &mut Managers,
    write: &Write<'_>,
    manager: &str,
) {
    let kind = Type::of(write.schema.place());
    let (live, new) = (
        completed(live, write.schema),
        completed(Some(new), write.schema),
    );
    reconcile(managers, kind);
    let comparison = Comparison::between(&live, &new, kind).without(write.reset);
    let gained = comparison.modified.union(&comparison.added);
    for managed in managers.0.values_mut() {
        managed.set = managed
            .set
            .difference(&gained)
            .difference(&comparison.removed);
    }
    let gained = gained.without(write.reset).difference(&never_managed());
    if !gained.is_empty() {
        let identity = Identity::new(
            Operation::Update,
            manager,
            write.api_version,
            write.subresource,
        );
        let managed = managers.0.entry(identity).or_default();
        managed.set = managed.set.union(&gained);
        managed.api_version = write.api_version.to_owned();
        managed.time = Some(to_second(write.time));
    }
    managers.0.retain(|_, managed| !managed.set.is_empty());
    managers.cap();
}

/// What identifies an object or is written by the server has no manager.
fn never_managed() -> Set {
    Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

fn reconcile(managers: &mut Managers, kind: Type<'_>) {
    for managed in managers.0.values_mut() {
        managed.set = walks::reconciled(&managed.set, kind);
    }
}

/// The object and its managers after an apply.
fn merged(
    live: &Value,
    patch: &Value,
    mut managers: Managers,
    write: &Write<'_>,
    force: bool,
) -> Result<(Value, Managers), Refused> {
    let kind = Type::of(write.schema.place());
    check_patch(patch, kind)?;
    reconcile(&mut managers, kind);
    let identity = Identity::new(
        Operation::Apply,
        write.manager,
        write.api_version,
        write.subresource,
    );
    let last = managers.0.remove(&identity);
    let mut object = walks::merge(live, patch, kind);
    let own = Managed {
        set: walks::fields(patch, kind).without(write.reset),
        api_version: write.api_version.to_owned(),
        time: last.as_ref().and_then(|last| last.time),
    };
    if let Some(last) = last.filter(|last| !last.set.is_empty()) {
        object = pruned(&object, &last.set, &own.set, &managers, kind);
    }
    settle_conflicts(live, &object, &mut managers, write, force)?;
    let changed = !same(live, &object);
    let own = Managed {
        set: own.set.difference(&never_managed()),
        time: if changed {
            Some(to_second(write.time))
        } else {
            own.time
        },
        ..own
    };
    if !own.set.is_empty() {
        managers.0.insert(identity, own);
    }
    Ok((object, managers))
}

fn check_patch(patch: &Value, kind: Type<'_>) -> Result<(), Refused> {
    let problems = walks::check(patch, kind);
    if problems.is_empty() {
        return Ok(());
    }
    let text = |name: &str| patch[name].as_str().unwrap_or_default();
    let metadata = |name: &str| patch["metadata"][name].as_str().unwrap_or_default();
    let what = match &problems[..] {
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let kind = group_version_kind(text("apiVersion"), text("kind"));
    let (namespace, name) = (metadata("namespace"), metadata("name"));
    Err(Refused::Invalid(format!(
        "failed to create typed patch object ({namespace}/{name}; {kind}): {what}"
    )))
}

/// As Go prints a `GroupVersionKind`.
pub(crate) fn group_version_kind(api_version: &str, kind: &str) -> String {
    let version = if api_version.contains('/') {
        api_version.to_owned()
    } else {
        format!("/{api_version}")
    };
    format!("{version}, Kind={kind}")
}

/// Removes what the applier applied last time and did not apply now, unless somebody else manages
/// it too.
fn pruned(merged: &Value, last: &Set, own: &Set, others: &Managers, kind: Type<'_>) -> Value {
    let all = |set: &Set| walks::with_parents(set, kind);
    let merged_fields = all(&walks::fields(merged, kind));
    let pruned = walks::remove(merged, &all(last), kind);
    let managed = others
        .0
        .values()
        .fold(own.clone(), |all, managed| all.union(&managed.set));
    let kept = all(&walks::fields(&pruned, kind)).union(&all(&managed));
    let pruned = walks::remove(merged, &merged_fields.difference(&kept), kind);
    // What nobody managed, or only updaters did, stays although its parent would go.
    let gone = merged_fields.difference(&all(&walks::fields(&pruned, kind)));
    walks::remove(merged, &gone.intersection(&all(last)), kind)
}

/// Finds who else manages what changed; with `force` it is taken from them.
fn settle_conflicts(
    live: &Value,
    object: &Value,
    others: &mut Managers,
    write: &Write<'_>,
    force: bool,
) -> Result<(), Refused> {
    let kind = Type::of(write.schema.place());
    let comparison = Comparison::between(live, object, kind).without(write.reset);
    let changed = comparison.modified.union(&comparison.added);
    let mut conflicts = Vec::new();
    for (identity, managed) in &mut others.0 {
        let conflict = managed.set.intersection(&changed);
        if !conflict.is_empty() && !force {
            conflicts.extend(
                conflict
                    .paths()
                    .into_iter()
                    .map(|path| (identity.described(), path.to_string())),
            );
        }
        managed.set = managed
            .set
            .difference(&conflict)
            .difference(&comparison.removed);
    }
    if !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    others.0.retain(|_, managed| !managed.set.is_empty());
    Ok(())
}

/// The answer to an apply that conflicts: pairs of a manager and a path.
fn conflict(conflicts: &[(String, String)]) -> Refused {
    let causes = conflicts
        .iter()
        .map(|(manager, path)| FieldError {
            reason: "FieldManagerConflict",
            field: path.clone(),
            message: format!("conflict with {manager}"),
        })
        .collect();
    let message = match conflicts {
        [(manager, path)] => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
        }
        many => {
            let mut lines = Vec::new();
            for (index, (manager, path)) in many.iter().enumerate() {
                if index == 0 || many[index - 1].0 != *manager {
                    lines.push(format!("conflicts with {manager}:"));
                }
                lines.push(format!("- {path}"));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                lines.join("\n")
            )
        }
    };
    Refused::Conflict { message, causes }
}

/// The fields that client-side apply has set, according to its annotation.
fn last_applied(live: &Value, write: &Write<'_>) -> Option<Set> {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str()?;
    let applied: Value = serde_json::from_str(text).ok()?;
    let kind = Type::of(write.schema.place());
    let fits =
        applied["apiVersion"] == write.api_version && walks::check(&applied, kind).is_empty();
    fits.then(|| walks::fields(&applied, kind))
}

fn merged_after_client_side_apply(
    live: &Value,
    patch: &Value,
    managers: Managers,
    write: &Write<'_>,
    last_applied: &Set,
) -> Result<(Value, Managers), Refused> {
    let mut others = managers.clone();
    let identity = Identity::new(
        Operation::Apply,
        write.manager,
        write.api_version,
        write.subresource,
    );
    others.0.remove(&identity);
    for managed in others.0.values_mut() {
        managed.set = managed.set.difference(last_applied);
    }
    let object = merged(live, patch, managers.clone(), write, true)?.0;
    settle_conflicts(live, &object, &mut others, write, false)?;
    merged(live, patch, managers, write, true)
}

/// Keeps the annotation of client-side apply in step, so that a user may go back to it.
fn refresh_last_applied(object: &mut Value, patch: &Value) {
    let known = object["metadata"]["annotations"][LAST_APPLIED].as_str();
    if known.is_none_or(str::is_empty) {
        return;
    }
    let mut applied = patch.clone();
    if let Some(annotations) = applied["metadata"]
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    object["metadata"]["annotations"][LAST_APPLIED] = Value::String(format!("{applied}\n"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin;

    fn write(schema: &Schema, manager: &str, second: i64) -> (Value, Vec<(String, String)>) {
        let nothing = Set::default();
        let mut live: Option<Value> = None;
        for number in 0..second {
            let manager = format!("{manager}{number}");
            let mut new = live.clone().unwrap_or_else(|| {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "1"}, "data": {}})
            });
            new["data"][format!("k{number:02}")] = json!("v");
            let write = Write {
                schema,
                api_version: "v1",
                manager: &manager,
                subresource: "",
                reset: &nothing,
                time: Timestamp::from_second(1_000 - number).expect("in range"),
            };
            update(live.as_ref(), &mut new, &write);
            live = Some(new);
        }
        let object = live.expect("at least one write");
        let entries = object["metadata"]["managedFields"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let entries = entries
            .iter()
            .map(|entry| (text(entry, "manager"), text(entry, "time")))
            .collect();
        (object, entries)
    }

    #[test]
    fn entries_are_sorted_by_time_and_appliers_come_first() {
        let schema = builtin::schema_of("", "v1", "ConfigMap").expect("a built-in kind");
        let (object, entries) = write(&schema, "m", 3);
        let managers: Vec<_> = entries
            .iter()
            .map(|(manager, _)| manager.as_str())
            .collect();
        assert_eq!(
            managers,
            ["m2", "m1", "m0"],
            "the last writer has the oldest clock"
        );
        let nothing = Set::default();
        let late = Write {
            schema: &schema,
            api_version: "v1",
            manager: "applier",
            subresource: "",
            reset: &nothing,
            time: Timestamp::from_second(9_999).expect("in range"),
        };
        let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"}});
        let object = apply(Some(&object), &patch, &late, false).expect("no conflict");
        let first = &object["metadata"]["managedFields"][0];
        assert_eq!(
            (&first["manager"], &first["time"]),
            (&json!("applier"), &json!("1970-01-01T02:46:39Z"))
        );
    }

    #[test]
    fn beyond_ten_updaters_the_oldest_are_put_together() {
        let schema = builtin::schema_of("", "v1", "ConfigMap").expect("a built-in kind");
        let (object, entries) = write(&schema, "m", 14);
        assert_eq!(entries.len(), 10);
        assert!(
            entries
                .iter()
                .any(|(manager, _)| manager == "ancient-changes"),
            "{entries:?}"
        );
        let text = object["metadata"]["managedFields"].to_string();
        for number in 0..14 {
            assert!(
                text.contains(&format!("f:k{number:02}")),
                "somebody manages k{number:02}"
            );
        }
    }

    #[test]
    fn kubectl_takes_over_what_it_applied_on_the_client() {
        let schema = builtin::schema_of("", "v1", "ConfigMap").expect("a built-in kind");
        let nothing = Set::default();
        let write = |manager: &'static str| Write {
            schema: &schema,
            api_version: "v1",
            manager,
            subresource: "",
            reset: &nothing,
            time: Timestamp::UNIX_EPOCH,
        };
        let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
        let mut live = map("1");
        live["metadata"]["annotations"] = json!({LAST_APPLIED: map("1").to_string()});
        live["metadata"]["uid"] = json!("1");
        update(None, &mut live, &write("kubectl-client-side-apply"));
        assert!(matches!(
            apply(Some(&live), &map("2"), &write("other"), false),
            Err(Refused::Conflict { .. })
        ));
        let object = apply(Some(&live), &map("2"), &write("kubectl"), false).expect("no conflict");
        assert_eq!(object["data"]["k"], "2");
        let refreshed = object["metadata"]["annotations"][LAST_APPLIED]
            .as_str()
            .unwrap_or_default();
        assert!(refreshed.contains("\"k\":\"2\""), "{refreshed}");
    }
}
