//! POST and PUT, and the rules that every write obeys, whoever makes it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::{self, Admission};
use crate::api::fields::{self, Tracked};
use crate::api::render::Rendering;
use crate::api::{Answer, Call, OBJECT_MAX, inward};
use crate::json;
use crate::metadata;
use crate::object::{Key, Object};
use crate::refusal::{Cause, Refusal};
use crate::resource::{Generation, Resource, Version};
use crate::reviews;
use crate::route::Verb;
use crate::state::{CRDS, NAMESPACES, State, released};
use crate::webhooks::Act;

/// The part of an object that an update may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but a status that is a subresource.
    Main,
    Status,
    /// `spec.finalizers` of a namespace.
    Finalizers,
}

/// An update of an existing object.
pub(crate) struct Update<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) version: &'a Version,
    pub(crate) key: Key,
    pub(crate) part: Part,
    pub(crate) dry_run: bool,
    /// A replacement must say which version it replaces; a patch starts from the newest.
    pub(crate) replaces: bool,
    /// Whose write it is; none where the fields keep their managers.
    pub(crate) write: Option<Tracked<'a>>,
}

impl<'a> Update<'a> {
    pub(super) fn of(call: &'a Call, part: Part) -> Self {
        Self {
            resource: &call.resource,
            version: &call.version,
            key: call.key(),
            part,
            dry_run: call.dry_run(),
            replaces: false,
            write: Some(Tracked::of(call, part, false)),
        }
    }
}

/// A new object.
pub(super) struct Creation<'a> {
    pub(super) resource: &'a Resource,
    pub(super) version: &'a Version,
    pub(super) namespace: Option<&'a str>,
    pub(super) dry_run: bool,
    /// A PUT or an apply of what is not there: the version that it names says nothing.
    pub(super) by_update: bool,
    pub(super) write: Option<Tracked<'a>>,
}

impl State {
    pub(super) fn create(&mut self, call: &Call) -> Result<Answer, Refusal> {
        if !call.resource.allows("get") {
            let review = self.decode(call)?;
            return reviews::answer(self, &call.resource, review);
        }
        let value = self.decode(call)?;
        self.create_from(call, false, value)
    }

    /// Creates the object of a request; `applied` if its managers are worked out already.
    pub(super) fn create_from(
        &mut self,
        call: &Call,
        applied: bool,
        value: Value,
    ) -> Result<Answer, Refusal> {
        let by_update = call.verb != Verb::Create;
        let uid = json::text(&value, "metadata.uid");
        if by_update && !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Refusal::conflict(&call.resource, call.key().name(), &why));
        }
        let creation = Creation {
            resource: &call.resource,
            version: &call.version,
            namespace: call.namespace.as_deref(),
            dry_run: call.dry_run(),
            by_update,
            write: Some(Tracked::of(call, Part::Main, applied)),
        };
        let object = self.create_object(&creation, value)?;
        Ok(Answer::created(Rendering::of(call).object(&object)))
    }

    /// Creates an object on behalf of the cluster itself.
    pub(crate) fn insert(
        &mut self,
        resource: &str,
        namespace: Option<&str>,
        value: Value,
    ) -> Result<Arc<Object>, Refusal> {
        let resource = self
            .resource(resource)
            .ok_or_else(Refusal::no_such_resource)?;
        let version = resource
            .version(&resource.storage)
            .cloned()
            .unwrap_or_default();
        let creation = Creation {
            resource: &resource,
            version: &version,
            namespace,
            dry_run: false,
            by_update: false,
            write: None,
        };
        self.create_object(&creation, inward(&resource, value))
    }

    pub(super) fn create_object(
        &mut self,
        creation: &Creation<'_>,
        mut value: Value,
    ) -> Result<Arc<Object>, Refusal> {
        let Creation {
            resource,
            version,
            namespace,
            ..
        } = *creation;
        let definition = self.object(CRDS, None, &resource.id);
        if resource.custom && definition.is_some_and(|definition| definition.deleting) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Refusal::forbidden(
                resource,
                json::text(&value, "metadata.name"),
                why,
            ));
        }
        metadata::normalise(&mut value).map_err(|refusal| refusal.within(resource, version))?;
        place(&mut value, namespace)?;
        self.check_namespace(resource, namespace, json::text(&value, "metadata.name"))?;
        if let Some(write) = &creation.write {
            self.mutated(write, None, &mut value)?;
        }
        self.name(resource, &mut value)?;
        let name = json::text(&value, "metadata.name").to_owned();
        self.stamp(resource, &mut value);
        if version.status && !resource.rules.keeps_status {
            json::take(&mut value, "status");
        }
        self.admit(resource, version, None, &mut value)?;
        if let Some(write) = &creation.write {
            self.validate(&act(write, None, &name), None, Some(&value))?;
        }
        let versioned = !json::text(&value, "metadata.resourceVersion").is_empty();
        if versioned && !creation.by_update && !creation.dry_run {
            return Err(Refusal::unforeseen(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let key = Key::new(namespace, &name);
        if let Some(present) = self.store.get(&resource.table, &key) {
            let mut refusal = Refusal::already_exists(resource, &name);
            if present.deleting {
                refusal.message = format!("object is being deleted: {}", refusal.message);
            }
            return Err(refusal);
        }
        check_size(&value)?;
        if creation.dry_run {
            return Ok(Arc::new(Object::new(key, 0, &value)));
        }
        Ok(self.write(&resource.table, &key, value))
    }

    pub(super) fn replace(&mut self, call: &Call, part: Part) -> Result<Answer, Refusal> {
        let name = call.name.as_deref().unwrap_or("");
        let mut value = self.decode(call)?;
        metadata::normalise(&mut value)
            .map_err(|refusal| refusal.within(&call.resource, &call.version))?;
        place(&mut value, call.namespace.as_deref())?;
        let given = json::text(&value, "metadata.name");
        if given.is_empty() {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )));
        }
        if given != name {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        let absent = self.store.get(&call.resource.table, &call.key()).is_none();
        if absent && part == Part::Main && call.resource.rules.create_on_update {
            return self.create(call);
        }
        let update = Update {
            replaces: true,
            ..Update::of(call, part)
        };
        let object = self.update(&update, |_| Ok(value))?;
        Ok(Answer::ok(Rendering::of(call).object(&object)))
    }

    /// Changes an object; `next` makes the new value from the old one, both as stored.
    pub(crate) fn update(
        &mut self,
        update: &Update<'_>,
        next: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Arc<Object>, Refusal> {
        let Update { resource, key, .. } = update;
        let current = self
            .store
            .get(&resource.table, key)
            .cloned()
            .ok_or_else(|| Refusal::not_found(resource, key.name()))?;
        let old = current.value();
        let mut new = next(&old)?;
        metadata::normalise(&mut new)?;
        check_identity(&old, &new)?;
        check_preconditions(update, &current, &new)?;
        isolate(update, &old, &mut new);
        metadata::carry_over(&old, &mut new);
        if let Some(write) = &update.write {
            self.mutated(write, Some((&current, &old)), &mut new)?;
        }
        if update.part == Part::Main {
            self.admit(resource, update.version, Some(&old), &mut new)?;
        } else {
            fields::complete(resource, update.version, &mut new);
            let mut causes = metadata::validate_update(&old, &new);
            causes.extend(fields::check_status(resource, update.version, &old, &new));
            refuse_if_any(resource, key.name(), causes)?;
        }
        raise_generation(resource, &old, &mut new);
        if let Some(write) = &update.write {
            let act = act(write, Some(&current), key.name());
            self.validate(&act, Some(&old), Some(&new))?;
        }
        check_size(&new)?;
        if update.dry_run {
            return Ok(Arc::new(Object::new(key.clone(), current.revision, &new)));
        }
        if released(resource, &new) {
            let last = Object::new(key.clone(), current.revision, &new);
            self.store.remove(&resource.table, key);
            return Ok(Arc::new(last));
        }
        if new == old {
            return Ok(current);
        }
        Ok(self.write(&resource.table, key, new))
    }

    /// Changes an object on behalf of the cluster itself.
    pub(crate) fn modify(&mut self, resource: &Resource, current: &Object, mut new: Value) {
        raise_generation(resource, &current.value(), &mut new);
        self.save(resource, current, new);
    }

    /// Records the managers of a written object with its defaults in place, and lets mutating webhooks
    /// change it then, as they expect it: what they set, and what the server sets later, is nobody's.
    fn mutated(
        &mut self,
        write: &Tracked<'_>,
        old: Option<(&Object, &Value)>,
        new: &mut Value,
    ) -> Result<(), Refusal> {
        let resource = write.resource;
        let old_value = old.map(|(_, value)| value);
        if write.part == Part::Main {
            fields::set_defaults(resource, write.version, new);
            admission::set_defaults(resource, new);
            fields::complete(resource, write.version, new);
        }
        self.track(write, old_value, new);
        if !self.has_webhooks() {
            return Ok(());
        }
        let name = json::text(new, "metadata.name").to_owned();
        let act = act(write, old.map(|(object, _)| object), &name);
        self.mutate(&act, old_value, new)?;
        if let Some(old) = old_value {
            metadata::carry_over(old, new);
        }
        Ok(())
    }

    /// Defaults, allocations and checks of a kind.
    fn admit(
        &mut self,
        resource: &Resource,
        version: &Version,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), Refusal> {
        fields::set_defaults(resource, version, new);
        admission::set_defaults(resource, new);
        let mut of_kind = Vec::new();
        if let Some(hook) = resource.rules.hook {
            let mut admission = Admission {
                resource,
                old,
                new,
                state: self,
                causes: Vec::new(),
            };
            hook(&mut admission)?;
            of_kind = admission.causes;
        }
        fields::settle(resource, version, new);
        let mut causes = metadata::validate(resource, new);
        causes.extend(of_kind);
        causes.extend(fields::check(resource, version, old, new));
        if let Some(old) = old {
            causes.extend(metadata::validate_update(old, new));
        }
        refuse_if_any(resource, json::text(new, "metadata.name"), causes)?;
        if resource.custom {
            self.warnings.extend(metadata::warnings(old, new));
        }
        Ok(())
    }

    fn name(&mut self, resource: &Resource, value: &mut Value) -> Result<(), Refusal> {
        if !json::text(value, "metadata.name").is_empty() {
            return Ok(());
        }
        let base = json::text(value, "metadata.generateName");
        if base.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(Refusal::invalid(resource, "", vec![cause]));
        }
        // Five random characters and a base that leaves them room in a DNS label.
        let base: String = base.chars().take(58).collect();
        let name = format!("{base}{}", self.suffix(5));
        json::put(value, "metadata.name", name);
        Ok(())
    }

    fn check_namespace(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(), Refusal> {
        let Some(namespace) = namespace else {
            return Ok(());
        };
        let namespaces = self
            .resource(NAMESPACES)
            .ok_or_else(Refusal::no_such_resource)?;
        let Some(object) = self.object(NAMESPACES, None, namespace) else {
            return Err(Refusal::not_found(&namespaces, namespace));
        };
        if !object.deleting {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        Err(Refusal::forbidden(resource, name, &why).because(cause))
    }

    /// The system fields of a new object.
    fn stamp(&mut self, resource: &Resource, value: &mut Value) {
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ] {
            json::take(value, &format!("metadata.{field}"));
        }
        json::put(value, "metadata.uid", self.uid());
        json::put(value, "metadata.creationTimestamp", self.timestamp());
        if resource.rules.generation != Generation::Never {
            json::put(value, "metadata.generation", 1);
        }
    }
}

/// A write as webhooks see it.
fn act<'a>(write: &Tracked<'a>, current: Option<&Object>, name: &'a str) -> Act<'a> {
    Act {
        call: write.call,
        operation: if current.is_some() {
            "UPDATE"
        } else {
            "CREATE"
        },
        part: write.part,
        name,
        revision: current.map_or(0, |object| object.revision),
        dry_run: write.call.dry_run(),
    }
}

/// Keeps an update within its part of the object.
fn isolate(update: &Update<'_>, old: &Value, new: &mut Value) {
    match update.part {
        Part::Main => {
            if update.version.status {
                json::copy(old, new, "status");
            }
            if update.resource.rules.terminates {
                json::copy(old, new, "spec.finalizers");
            }
        }
        Part::Status => {
            let mut merged = old.clone();
            json::copy(new, &mut merged, "status");
            if !update.resource.rules.status_is_isolated {
                json::copy(new, &mut merged, "metadata");
            }
            *new = merged;
        }
        Part::Finalizers => {
            let mut merged = old.clone();
            json::copy(new, &mut merged, "spec.finalizers");
            *new = merged;
        }
    }
}

/// The namespace of the URL and of the body must agree; a body without one takes the URL's.
fn place(value: &mut Value, namespace: Option<&str>) -> Result<(), Refusal> {
    let given = json::text(value, "metadata.namespace");
    match namespace {
        Some(namespace) if given.is_empty() => json::put(value, "metadata.namespace", namespace),
        Some(namespace) if given != namespace => {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Some(_) => {}
        None => drop(json::take(value, "metadata.namespace")),
    }
    Ok(())
}

fn check_identity(old: &Value, new: &Value) -> Result<(), Refusal> {
    for field in ["name", "namespace"] {
        let path = format!("metadata.{field}");
        let (old, new) = (json::text(old, &path), json::text(new, &path));
        if !new.is_empty() && old != new {
            return Err(Refusal::bad_request(format!(
                "the {field} of the object ({new}) does not match the {field} on the URL ({old})"
            )));
        }
    }
    Ok(())
}

fn check_preconditions(update: &Update<'_>, current: &Object, new: &Value) -> Result<(), Refusal> {
    let (resource, name) = (update.resource, update.key.name());
    let uid = json::text(new, "metadata.uid");
    if update.replaces && !uid.is_empty() && uid != &*current.uid {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            resource.storage_key(&update.key),
            current.uid
        );
        return Err(Refusal::conflict(resource, name, &why));
    }
    match json::text(new, "metadata.resourceVersion") {
        "" if resource.rules.unconditional_update || !update.replaces => Ok(()),
        "" => {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            // Where this is found only the resource is known.
            let (group, kind) = (&resource.group, &resource.plural);
            Err(Refusal::invalid_kind(group, kind, name, vec![cause]))
        }
        given => match given.parse::<u64>() {
            Ok(given) if given == current.revision => Ok(()),
            Ok(_) => Err(Refusal::modified(resource, name)),
            Err(_) => Err(Refusal::invalid(
                resource,
                name,
                vec![Cause::invalid(
                    "metadata.resourceVersion",
                    &json!(given),
                    "must be an unsigned integer",
                )],
            )),
        },
    }
}

fn raise_generation(resource: &Resource, old: &Value, new: &mut Value) {
    let changed = |path: &str| json::at(old, path) != json::at(new, path);
    let raise = match resource.rules.generation {
        Generation::Never => return,
        Generation::Spec => changed("spec"),
        Generation::SpecAndAnnotations => changed("spec") || changed("metadata.annotations"),
        Generation::Anything => {
            let mut old = old.clone();
            json::copy(new, &mut old, "metadata.managedFields");
            old != *new
        }
        Generation::Content => content(resource, old) != content(resource, new),
    };
    if raise {
        let generation = json::number(old, "metadata.generation").unwrap_or(0) + 1;
        json::put(new, "metadata.generation", generation);
    }
}

/// What is neither metadata nor, where it is a subresource, status.
fn content<'a>(resource: &Resource, value: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let status = resource
        .version(&resource.storage)
        .is_some_and(|version| version.status);
    let mut fields: Vec<_> = value.as_object().into_iter().flatten().collect();
    fields.retain(|(key, _)| {
        *key != "metadata" && *key != "apiVersion" && !(status && *key == "status")
    });
    fields.sort_unstable_by_key(|(key, _)| *key);
    fields
}

fn refuse_if_any(resource: &Resource, name: &str, causes: Vec<Cause>) -> Result<(), Refusal> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(resource, name, causes))
    }
}

fn check_size(value: &Value) -> Result<(), Refusal> {
    // Every object passes here, so a cheap bound goes before an exact measurement.
    if deep_size(value) > OBJECT_MAX && value.to_string().len() > OBJECT_MAX {
        return Err(Refusal::unforeseen("etcdserver: request is too large"));
    }
    Ok(())
}

/// An upper bound of the encoded size, save for escapes.
fn deep_size(value: &Value) -> usize {
    match value {
        Value::String(text) => 2 * text.len() + 3,
        Value::Array(list) => 2 + list.iter().map(deep_size).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(key, value)| key.len() + 4 + deep_size(value))
                .sum::<usize>()
        }
        _ => 24,
    }
}
