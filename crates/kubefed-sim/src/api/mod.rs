//! What the server does with a request: one file per group of verbs.

mod body;
mod delete;
mod fields;
mod patch;
mod read;
mod render;
mod scale;
mod watch;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

pub(crate) use self::body::parse_json;
pub(crate) use self::delete::{DeleteOptions, FOREGROUND, ORPHAN, Propagation};
pub(crate) use self::watch::{BOOKMARK_INTERVAL, Step as WatchStep, Watch};
pub(crate) use self::write::Part;
use crate::catalogue::RESOURCES;
use crate::clock::Clock;
use crate::discovery;
use crate::documents;
use crate::json;
use crate::object::Key;
use crate::refusal::{Cause, MEDIA_TYPES, Refusal, unsupported, unsupported_dry_run};
use crate::resource::{Resource, Version};
use crate::reviews;
use crate::route::{self, Form, Query, Route, Target, Verb};
use crate::state::State;

/// What the server reads of a request body, in bytes.
pub(crate) const BODY_MAX: usize = 3 * 1024 * 1024;
/// What etcd takes in one write, in bytes.
pub(crate) const OBJECT_MAX: usize = 1_572_864;

pub(crate) const JSON: &str = "application/json";
/// Server-side apply.
pub(crate) const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A successful answer.
pub(crate) enum Answer {
    Json {
        code: u16,
        media_type: &'static str,
        text: Bytes,
    },
    Plain {
        code: u16,
        text: &'static str,
    },
    Watch(Box<Watch>),
}

impl Answer {
    fn ok(text: Bytes) -> Self {
        Self::Json {
            code: 200,
            media_type: JSON,
            text,
        }
    }

    pub(crate) fn created(text: Bytes) -> Self {
        Self::Json {
            code: 201,
            media_type: JSON,
            text,
        }
    }

    pub(crate) fn value(value: &Value) -> Self {
        Self::ok(Bytes::from(value.to_string()))
    }
}

/// A request for a known resource.
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: Version,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    pub(crate) query: Query,
    pub(crate) form: Form,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) user_agent: String,
    pub(crate) clock: Clock,
}

impl Call {
    /// Who the written fields are attributed to.
    pub(crate) fn manager(&self) -> &str {
        match self.query.text("fieldManager") {
            "" => self.user_agent.split('/').next().unwrap_or(""),
            manager => manager,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(
            self.namespace.as_deref(),
            self.name.as_deref().unwrap_or(""),
        )
    }

    pub(crate) fn api_version(&self) -> String {
        self.resource.api_version(&self.version.name)
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.query.has("dryRun")
    }
}

/// What a request turned out to be, for the request log and for faults.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) verb: Verb,
    /// `plural` or `plural.group`; the path's own words where nothing of that name is served.
    pub(crate) resource: String,
}

impl Subject {
    /// Read from the request line alone, before anything is looked up.
    pub(crate) fn of(head: &Parts) -> Self {
        match Route::parse(head.uri.path()) {
            Route::Resource(target) => {
                let query = Query::parse(head.uri.query().unwrap_or(""));
                let verb = Verb::of(&head.method, &target, &query).unwrap_or(Verb::NonResource);
                Self {
                    verb,
                    resource: Resource::id_of(&target.group, &target.plural),
                }
            }
            _ => Self {
                verb: Verb::NonResource,
                resource: String::new(),
            },
        }
    }
}

impl State {
    /// Serves one authenticated request.
    pub(crate) fn serve(&mut self, head: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or(""));
        match Route::parse(head.uri.path()) {
            Route::Resource(target) => self.serve_resource(head, target, query, body),
            Route::Unknown => Ok(NOT_FOUND),
            Route::OpenApi(path) => Ok(documents::serve(self, &path)),
            route => discovery::serve(self, &route, Form::negotiate(&head.headers)?),
        }
    }

    fn serve_resource(
        &mut self,
        head: &Parts,
        target: Target,
        query: Query,
        body: Bytes,
    ) -> Result<Answer, Refusal> {
        let id = Resource::id_of(&target.group, &target.plural);
        let Some(resource) = self.resource(&id) else {
            return self.unrouted(&target.group);
        };
        let Some(version) = resource.version(&target.version).cloned() else {
            return self.unrouted(&target.group);
        };
        let verb = match Verb::of(&head.method, &target, &query) {
            Some(verb) => verb,
            // Custom resources are routed by verb alone.
            None if resource.custom && head.method == Method::POST => Verb::Create,
            None if resource.custom && target.name.is_none() => {
                return Err(Refusal::bad_request("name must be provided"));
            }
            None => return Err(Refusal::method_not_allowed(&resource, "")),
        };
        let collection = target.name.is_none();
        let across_all = matches!(verb, Verb::List | Verb::Watch) && collection;
        if target.namespace.is_some() != resource.namespaced && !(resource.namespaced && across_all)
        {
            if resource.namespaced && collection && !resource.custom {
                return Err(Refusal::method_not_allowed(&resource, verb.as_str()));
            }
            return self.unrouted(&target.group);
        }
        let form = Form::negotiate(&head.headers).map_err(|refusal| {
            let named = head.headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
            let json = named.is_some_and(|types| types.starts_with(JSON.as_bytes()));
            if resource.custom || json {
                refusal
            } else {
                Refusal::unroutable_accept()
            }
        })?;
        let call = Call {
            verb,
            resource,
            version,
            namespace: target.namespace,
            name: target.name,
            subresource: target.subresource,
            query,
            form,
            content_type: route::content_type(&head.headers).to_owned(),
            body,
            user_agent: route::user_agent(&head.headers).to_owned(),
            clock: self.clock,
        };
        self.authorize(&call)?;
        patch::check_media_type(&call)?;
        validate_options(&call)?;
        self.warnings.extend(call.version.warning.clone());
        let mark = self.warnings.len();
        let answer = match call.subresource.clone() {
            Some(subresource) => self.serve_subresource(&call, &subresource),
            None if !call.resource.allows(verb.as_str()) => {
                Err(Refusal::method_not_allowed(&call.resource, verb.as_str()))
            }
            None => self.dispatch(&call),
        };
        if answer.as_ref().is_err_and(|refusal| refusal.undecodable) {
            // Nobody looks for unknown fields in what is not an object of the kind.
            self.warnings.truncate(mark);
        }
        answer
    }

    /// What nobody serves: groups of the server's own answer for what is below them.
    fn unrouted(&self, group: &str) -> Result<Answer, Refusal> {
        let mut resources = self.resources.values();
        if resources.any(|resource| resource.group == group && !resource.custom) {
            Err(Refusal::no_such_resource())
        } else {
            Ok(NOT_FOUND)
        }
    }

    fn dispatch(&mut self, call: &Call) -> Result<Answer, Refusal> {
        match call.verb {
            Verb::Get => self.read(call),
            Verb::List => self.list(call),
            Verb::Watch => self.watch(call),
            Verb::Create => self.create(call),
            Verb::Update => self.replace(call, write::Part::Main),
            Verb::Patch => self.patch(call, write::Part::Main),
            Verb::Delete => self.delete(call),
            Verb::DeleteCollection => self.delete_collection(call),
            Verb::NonResource => Ok(NOT_FOUND),
        }
    }

    fn serve_subresource(&mut self, call: &Call, subresource: &str) -> Result<Answer, Refusal> {
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == subresource)
            && &*call.resource.table == "pods"
        {
            return Err(Refusal::unsupported_here(*why));
        }
        if subresource == "token"
            && &*call.resource.id == "serviceaccounts"
            && call.verb == Verb::Create
        {
            return reviews::request_token(self, call);
        }
        let served = match subresource {
            "status" => call.version.status,
            "scale" => call.version.scale.is_some(),
            "finalize" => call.resource.rules.terminates,
            _ => false,
        };
        if !served {
            return Err(if call.resource.custom {
                Refusal::not_found(&call.resource, call.name.as_deref().unwrap_or(""))
            } else {
                Refusal::no_such_resource()
            });
        }
        let part = match subresource {
            "scale" => return self.serve_scale(call),
            "finalize" => write::Part::Finalizers,
            _ => write::Part::Status,
        };
        match call.verb {
            Verb::Get if part == write::Part::Status => self.read(call),
            Verb::Update => self.replace(call, part),
            Verb::Patch if part == write::Part::Status => self.patch(call, part),
            verb => Err(Refusal::method_not_allowed(&call.resource, verb.as_str())),
        }
    }
}

/// What a real API server writes for a path that it does not know: plain text, not a `Status`.
pub(crate) const NOT_FOUND: Answer = Answer::Plain {
    code: 404,
    text: "404 page not found\n",
};

/// Subresources of Pods that need a container or a scheduler's client, and why they are refused.
const REFUSED: [(&str, &str); 7] = [
    ("log", "simulated pods run no containers: there are no logs"),
    (
        "exec",
        "simulated pods run no containers: nothing can be executed",
    ),
    (
        "attach",
        "simulated pods run no containers: nothing can be attached to",
    ),
    (
        "portforward",
        "simulated pods run no containers: no port can be forwarded",
    ),
    (
        "proxy",
        "simulated pods run no containers: nothing can be proxied to",
    ),
    ("binding", "the simulated scheduler binds pods itself"),
    ("eviction", "eviction is not simulated: delete the pod"),
];

/// Refuses options that a real server refuses before it looks at any object.
fn validate_options(call: &Call) -> Result<(), Refusal> {
    let kind = match call.verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch => "PatchOptions",
        _ => return Ok(()),
    };
    let mut causes = Vec::new();
    let dry_run = call.query.text("dryRun");
    if call.dry_run() && dry_run != "All" {
        causes.push(unsupported_dry_run(&[json!(dry_run)]));
    }
    let validation = call.query.text("fieldValidation");
    if !["", "Ignore", "Warn", "Strict"].contains(&validation) {
        causes.push(unsupported(
            "fieldValidation",
            validation,
            &["Ignore", "Strict", "Warn"],
        ));
    }
    let applies = call.content_type == APPLY_PATCH;
    if call.verb == Verb::Patch && applies && call.query.text("fieldManager").is_empty() {
        causes.push(Cause::required(
            "fieldManager",
            "is required for apply patch",
        ));
    }
    if call.verb == Verb::Patch && !applies && call.query.flag("force") {
        causes.push(Cause::forbidden(
            "force",
            "may not be specified for non-apply patch",
        ));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_kind("meta.k8s.io", kind, "", causes))
}

impl State {
    /// The object in a request body, in its storage version.
    fn decode(&mut self, call: &Call) -> Result<Value, Refusal> {
        if call.content_type != JSON {
            return Err(Refusal::unsupported_media_type(&MEDIA_TYPES));
        }
        let mut value = body::typed(call)?;
        check_type(call, &value)?;
        self.prune(call, &mut value)?;
        Ok(inward(&call.resource, value))
    }
}

fn check_type(call: &Call, value: &Value) -> Result<(), Refusal> {
    let (kind, api_version) = (json::text(value, "kind"), json::text(value, "apiVersion"));
    let expected = call.api_version();
    if call.resource.custom && kind.is_empty() {
        return Err(Refusal::bad_request(
            "Object 'Kind' is missing in the body of the request",
        ));
    }
    let given = call.resource.custom || !api_version.is_empty();
    let shown = if api_version.is_empty() {
        &expected
    } else {
        api_version
    };
    if !call.resource.custom && !kind.is_empty() && !is_registered(shown, kind) {
        let version = shown.rsplit('/').next().unwrap_or(shown);
        return Err(Refusal::undecodable(format!(
            "{kind} in version {version:?} cannot be handled as a {}: no kind {kind:?} is registered for \
             version {shown:?}",
            call.resource.kind
        )));
    }
    if given && api_version != expected {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != call.resource.kind {
        return Err(Refusal::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}",
            call.version.name, call.resource.kind
        )));
    }
    Ok(())
}

/// Whether the server has a type of its own for a kind.
fn is_registered(api_version: &str, kind: &str) -> bool {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    RESOURCES.iter().any(|resource| {
        resource.group == group && resource.kind == kind && resource.version(version).is_some()
    })
}

/// A value as clients send it, turned into the form in which it is stored.
pub(crate) fn inward(resource: &Resource, mut value: Value) -> Value {
    for (stored, served) in resource.rules.renames {
        if let Some(field) = json::take(&mut value, served) {
            json::put(&mut value, stored, field);
        }
    }
    let storage = if resource.rules.renames.is_empty() {
        resource.api_version(&resource.storage)
    } else {
        resource.storage.clone()
    };
    json::put(&mut value, "kind", resource.kind.clone());
    json::put(&mut value, "apiVersion", storage);
    value
}

/// A stored value as a version shows it.
pub(crate) fn outward(resource: &Resource, version: &Version, mut value: Value) -> Value {
    for (stored, served) in resource.rules.renames {
        if let Some(field) = json::take(&mut value, stored) {
            json::put(&mut value, served, field);
        }
    }
    json::put(
        &mut value,
        "apiVersion",
        json!(resource.api_version(&version.name)),
    );
    value
}
