//! DELETE of an object and of a collection: preconditions, grace, finalizers and propagation.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::api::render::Rendering;
use crate::api::{Answer, Call, JSON, Part, parse_json};
use crate::clock::rfc3339;
use crate::json;
use crate::object::{Key, Object};
use crate::refusal::{self, Cause, MEDIA_TYPES, Refusal, unsupported, unsupported_dry_run};
use crate::resource::{Generation, Resource};
use crate::route::Query;
use crate::state::State;
use crate::webhooks::Act;

/// Finalizer of an owner that waits for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner whose dependents are to be released.
pub(crate) const ORPHAN: &str = "orphan";

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The options of a deletion, from the body or the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) uid: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) dry_run: bool,
}

/// What a deletion came to.
pub(crate) enum Deletion {
    Gone(Arc<Object>),
    /// The object waits for its grace period or its finalizers.
    Pending(Arc<Object>),
}

impl State {
    pub(super) fn delete(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let options = DeleteOptions::of(call)?;
        self.review(call, &call.key(), &options)?;
        let text = match self.delete_object(&call.resource, &call.key(), &options)? {
            Deletion::Gone(object) if !call.resource.rules.returns_deleted => {
                refusal::deleted(&call.resource, object.key.name(), &object.uid)
            }
            Deletion::Gone(object) | Deletion::Pending(object) => {
                Rendering::of(call).object(&object)
            }
        };
        Ok(Answer::ok(text))
    }

    pub(super) fn delete_collection(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let options = DeleteOptions::of(call)?;
        let objects = self.selected(call)?;
        // All of them before the first goes, since the request may have to start again.
        for object in &objects {
            self.review(call, &object.key, &options)?;
        }
        let rendering = Rendering::of(call);
        let (api_version, kind) = rendering.list_type();
        let mut metadata = json!({ "resourceVersion": self.store.revision().to_string() });
        if rendering.lists_are_maps() {
            metadata["continue"] = json!("");
        }
        let head =
            json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata }).to_string();
        let mut text = head.trim_end_matches('}').to_owned().into_bytes();
        text.extend_from_slice(b"},\"items\":[");
        for (index, object) in objects.iter().enumerate() {
            match self.delete_object(&call.resource, &object.key, &options) {
                Err(refusal) if refusal.code != 404 => return Err(refusal),
                _ => {}
            }
            if index > 0 {
                text.push(b',');
            }
            rendering.item(object, &mut text);
        }
        text.extend_from_slice(b"]}");
        Ok(Answer::ok(Bytes::from(text)))
    }

    /// Asks the webhooks about a deletion that is otherwise possible.
    fn review(&mut self, call: &Call, key: &Key, options: &DeleteOptions) -> Result<(), Refusal> {
        let current = self.store.get(&call.resource.table, key).cloned();
        let Some(current) = current.filter(|_| self.has_webhooks()) else {
            return Ok(());
        };
        check_preconditions(&call.resource, &current, options)?;
        let act = Act {
            call,
            operation: "DELETE",
            part: Part::Main,
            name: key.name(),
            revision: current.revision,
            dry_run: options.dry_run,
        };
        self.review_deletion(&act, &current.value())
    }

    /// Deletes an object, or marks it so that it goes when nothing holds it any more.
    pub(crate) fn delete_object(
        &mut self,
        resource: &Resource,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<Deletion, Refusal> {
        let current = self
            .store
            .get(&resource.table, key)
            .cloned()
            .ok_or_else(|| Refusal::not_found(resource, key.name()))?;
        check_preconditions(resource, &current, options)?;
        let old = current.value();
        let mut new = old.clone();
        set_finalizers(resource, &mut new, options);
        let grace = grace_period(resource, &old, options);
        let held = !json::items(&new, "metadata.finalizers").is_empty()
            || (resource.rules.terminates && !json::items(&new, "spec.finalizers").is_empty());
        if !held && grace == 0 {
            if !options.dry_run {
                self.store.remove(&resource.table, key);
            }
            return Ok(Deletion::Gone(current));
        }
        self.mark(resource, &mut new, grace);
        if new == old {
            return Ok(Deletion::Pending(current));
        }
        if options.dry_run {
            return Ok(Deletion::Pending(Arc::new(Object::new(
                key.clone(),
                current.revision,
                &new,
            ))));
        }
        Ok(Deletion::Pending(self.write(&resource.table, key, new)))
    }

    /// Sets the fields that say an object is being deleted. A second deletion may only shorten the wait.
    fn mark(&self, resource: &Resource, value: &mut Value, grace: i64) {
        let left = json::number(value, "metadata.deletionGracePeriodSeconds");
        if left.is_some_and(|left| left <= grace) {
            return;
        }
        let due = self
            .now()
            .saturating_add(SignedDuration::from_secs(grace))
            .unwrap_or(self.now());
        json::put(value, "metadata.deletionTimestamp", rfc3339(due));
        json::put(value, "metadata.deletionGracePeriodSeconds", grace);
        if left.is_none() && resource.rules.generation != Generation::Never {
            let generation = json::number(value, "metadata.generation").unwrap_or(0) + 1;
            json::put(value, "metadata.generation", generation);
        }
        if resource.rules.terminates {
            json::put(value, "status.phase", "Terminating");
        }
    }
}

impl DeleteOptions {
    /// A body, where there is one, is all that counts; the query is read only without it.
    fn of(call: &Call) -> Result<Self, Refusal> {
        let options = if call.body.is_empty() {
            Self::of_query(&call.query)?
        } else if call.content_type == JSON {
            parse_json(&call.body)?
        } else {
            return Err(Refusal::unsupported_media_type(&MEDIA_TYPES));
        };
        let (kind, version) = (
            json::text(&options, "kind"),
            json::text(&options, "apiVersion"),
        );
        if !matches!(kind, "" | "DeleteOptions") {
            let version = if version.is_empty() {
                "meta.k8s.io/v1"
            } else {
                version
            };
            return Err(Refusal::bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        let text = |path: &str| {
            Some(json::text(&options, path).to_owned()).filter(|text| !text.is_empty())
        };
        let orphans = json::at(&options, "orphanDependents").and_then(Value::as_bool);
        let policy = text("propagationPolicy").unwrap_or_default();
        let propagation = match (policy.as_str(), orphans) {
            ("", None) => None,
            ("", Some(true)) | ("Orphan", None) => Some(Propagation::Orphan),
            ("", Some(false)) | ("Background", None) => Some(Propagation::Background),
            ("Foreground", None) => Some(Propagation::Foreground),
            (other, given) => return Err(bad_policy(other, given.is_some())),
        };
        let dry_run = json::items(&options, "dryRun");
        if dry_run.iter().any(|value| *value != json!("All")) {
            return Err(invalid_options(unsupported_dry_run(dry_run)));
        }
        let grace = json::number(&options, "gracePeriodSeconds");
        Ok(Self {
            // A negative period means one second, as the server reads it.
            grace: grace.map(|grace| if grace < 0 { 1 } else { grace }),
            propagation,
            uid: text("preconditions.uid"),
            revision: text("preconditions.resourceVersion"),
            dry_run: !dry_run.is_empty(),
        })
    }

    /// The options in the query, as the body would say them.
    fn of_query(query: &Query) -> Result<Value, Refusal> {
        let mut options = json!({});
        if query.has("propagationPolicy") {
            options["propagationPolicy"] = json!(query.text("propagationPolicy"));
        }
        if let Some(orphans) = query.flag_if_given("orphanDependents") {
            options["orphanDependents"] = json!(orphans);
        }
        if let Some(grace) = query.number("gracePeriodSeconds")? {
            options["gracePeriodSeconds"] = json!(grace);
        }
        if query.has("dryRun") {
            options["dryRun"] = json!([query.text("dryRun")]);
        }
        Ok(options)
    }
}

fn bad_policy(policy: &str, contradicts: bool) -> Refusal {
    let field = "propagationPolicy";
    invalid_options(if contradicts {
        let message = "orphanDependents and deletionPropagation cannot be both set";
        Cause::invalid(field, &json!(policy), message)
    } else {
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        unsupported(field, policy, &supported)
    })
}

fn invalid_options(cause: Cause) -> Refusal {
    Refusal::invalid_kind("meta.k8s.io", "DeleteOptions", "", vec![cause])
}

fn check_preconditions(
    resource: &Resource,
    current: &Object,
    options: &DeleteOptions,
) -> Result<(), Refusal> {
    let uid = options.uid.as_deref();
    if let Some(given) = uid.filter(|given| **given != *current.uid) {
        let why = format!(
            "the UID in the precondition ({given}) does not match the UID in record ({}). The object might have \
             been deleted and then recreated",
            current.uid
        );
        return Err(Refusal::precondition_failed(
            resource,
            current.key.name(),
            &why,
        ));
    }
    let revision = current.revision.to_string();
    let given = options.revision.as_deref();
    if let Some(given) = given.filter(|given| *given != revision) {
        let why = format!(
            "the ResourceVersion in the precondition ({given}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        );
        return Err(Refusal::precondition_failed(
            resource,
            current.key.name(),
            &why,
        ));
    }
    Ok(())
}

/// Adds or removes the finalizers of the garbage collector. An explicit policy comes first, then what
/// the object already says, then the default of its kind.
fn set_finalizers(resource: &Resource, value: &mut Value, options: &DeleteOptions) {
    let mut finalizers = json::items(value, "metadata.finalizers").to_vec();
    let has = |name: &str| finalizers.contains(&json!(name));
    let propagation = match options.propagation {
        Some(propagation) => propagation,
        None if has(ORPHAN) => Propagation::Orphan,
        None if has(FOREGROUND) => Propagation::Foreground,
        None if resource.rules.orphans_by_default => Propagation::Orphan,
        None => Propagation::Background,
    };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    finalizers.retain(|name| {
        *name != ORPHAN && *name != FOREGROUND || wanted.is_some_and(|w| *name == w)
    });
    let wanted = wanted.into_iter().chain(resource.rules.cleanup_finalizer);
    for name in wanted {
        if !finalizers.contains(&json!(name)) {
            finalizers.push(json!(name));
        }
    }
    if finalizers.is_empty() {
        json::take(value, "metadata.finalizers");
    } else {
        json::put(value, "metadata.finalizers", finalizers);
    }
}

fn grace_period(resource: &Resource, value: &Value, options: &DeleteOptions) -> i64 {
    let running = !json::text(value, "spec.nodeName").is_empty()
        && !["Succeeded", "Failed"].contains(&json::text(value, "status.phase"));
    if !resource.rules.graceful || !running {
        return 0;
    }
    // The default of a pod that does not say.
    options
        .grace
        .or_else(|| json::number(value, "spec.terminationGracePeriodSeconds"))
        .unwrap_or(30)
}
