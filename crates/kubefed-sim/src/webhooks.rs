//! Admission webhooks: which of them a write concerns, what they are asked, what their answers do.
//!
//! A request is served under the lock of its cluster and in one go, so it cannot wait for a webhook.
//! Where it lacks an answer it ends and leaves the question behind; the question is put without the
//! lock, and the request is served again from its beginning with the answers given so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response, Uri, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use json_patch::Patch;
use serde_json::{Value, json};
use tower::util::{BoxCloneService, ServiceExt as _};

use crate::api::{Call, JSON, Part, inward, outward};
use crate::json;
use crate::refusal::Refusal;
use crate::resource::{Resource, Version};
use crate::selector::Selector;
use crate::service::BoxError;
use crate::state::{NAMESPACES, State};

const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
/// Nothing intercepts the configurations themselves, or a broken one could never be mended.
const EXEMPT: &str = "admissionregistration.k8s.io";

/// What a webhook said in its review, or why it could not be asked.
type Reply = Result<Value, String>;

/// The answers that a request has had, and the questions that it waits for.
#[derive(Debug, Default)]
pub(crate) struct Reviews {
    replies: BTreeMap<String, Reply>,
    questions: Vec<Question>,
}

/// A review to be sent to a webhook.
#[derive(Debug)]
pub(crate) struct Question {
    /// The same in every run of the request, for as long as the object is.
    key: String,
    url: String,
    timeout: Duration,
    review: Value,
}

type Service = BoxCloneService<Request<Full<Bytes>>, Bytes, BoxError>;

/// The servers that webhooks are reached at, by host and port.
#[derive(Default)]
pub(crate) struct Servers(Mutex<BTreeMap<String, Service>>);

/// A write as webhooks see it.
pub(crate) struct Act<'a> {
    pub(crate) call: &'a Call,
    pub(crate) operation: &'static str,
    pub(crate) part: Part,
    pub(crate) name: &'a str,
    /// Which version of the object it changes; 0 for a new one.
    pub(crate) revision: u64,
    pub(crate) dry_run: bool,
}

impl Reviews {
    /// Takes the questions that the last run left behind.
    pub(crate) fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    pub(crate) fn learn(&mut self, replies: Vec<(String, Reply)>) {
        self.replies.extend(replies);
    }

    /// What was answered, or the question is noted.
    fn ask(&mut self, question: Question) -> Option<Reply> {
        let reply = self.replies.get(&question.key).cloned();
        if reply.is_none() {
            self.questions.push(question);
        }
        reply
    }
}

impl Servers {
    pub(crate) fn insert<S, B>(&self, authority: String, service: S)
    where
        S: tower::Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_err(Into::into).and_then(read_body);
        self.lock().insert(authority, BoxCloneService::new(service));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts questions, all at once.
    pub(crate) async fn put(&self, questions: Vec<Question>) -> Vec<(String, Reply)> {
        let asked = questions.into_iter().map(|question| async {
            let reply = self.put_one(&question).await;
            (question.key, reply)
        });
        join_all(asked).await
    }

    async fn put_one(&self, question: &Question) -> Reply {
        let seconds = question.timeout.as_secs();
        let url = format!("{}?timeout={seconds}s", question.url);
        let failed = |why: &str| format!("failed to call webhook: Post {url:?}: {why}");
        let uri: Uri = url.parse().map_err(|_| failed("not a URL"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let service = self.lock().get(authority).cloned();
        let service = service.ok_or_else(|| {
            let host = uri.host().unwrap_or("");
            failed(&format!("dial tcp: lookup {host}: no such host"))
        })?;
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, JSON)
            .body(Full::from(question.review.to_string()))
            .map_err(|error| failed(&error.to_string()))?;
        let answer = tokio::time::timeout(question.timeout, service.oneshot(request)).await;
        let answer = answer.map_err(|_| failed("context deadline exceeded"))?;
        let text = answer.map_err(|error| failed(&error.to_string()))?;
        understand(&text, json::text(&question.review, "request.uid"))
    }
}

async fn read_body<B>(response: Response<B>) -> Result<Bytes, BoxError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let status = response.status();
    let text = response.into_body().collect().await.map_err(Into::into)?;
    let text = text.to_bytes();
    if status.is_success() {
        return Ok(text);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(
        format!("an error on the server ({text:?}) has prevented the request from succeeding")
            .into(),
    )
}

/// The response within a review that answers the request with this uid.
fn understand(text: &[u8], uid: &str) -> Reply {
    let mut review: Value = serde_json::from_slice(text)
        .map_err(|error| format!("failed to call webhook: couldn't read the answer: {error}"))?;
    let (version, kind) = (
        json::text(&review, "apiVersion"),
        json::text(&review, "kind"),
    );
    if (version, kind) != ("admission.k8s.io/v1", "AdmissionReview") {
        let version = version.rsplit('/').next().unwrap_or("");
        return Err(format!(
            "failed to call webhook: converting ({version}.{kind}) to (v1.AdmissionReview): unknown conversion"
        ));
    }
    let response = json::take(&mut review, "response").filter(Value::is_object);
    let response = response.ok_or("webhook response was absent")?;
    let given = json::text(&response, "uid");
    if given != uid {
        return Err(format!(
            "received invalid webhook response: expected response.uid={uid:?}, got {given:?}"
        ));
    }
    Ok(response)
}

impl State {
    /// Whether any webhook is registered.
    pub(crate) fn has_webhooks(&self) -> bool {
        [MUTATING, VALIDATING]
            .iter()
            .any(|table| self.store.list(table, None).next().is_some())
    }

    /// The webhooks that a write concerns, in the order in which they are asked, each with the version
    /// that it wants to see.
    fn webhooks<'a>(
        &self,
        table: &str,
        act: &'a Act<'_>,
        values: &[&Value],
    ) -> Vec<(Webhook, &'a Version)> {
        if act.call.resource.group == EXEMPT {
            return Vec::new();
        }
        let configurations = self.store.list(table, None);
        let webhooks = configurations.flat_map(|configuration| {
            let settings = json::items(&configuration.value(), "webhooks").to_vec();
            let named = |settings| Webhook {
                configuration: configuration.key.name().to_owned(),
                settings,
            };
            settings.into_iter().map(named).collect::<Vec<_>>()
        });
        webhooks
            .filter(|webhook| self.selects(webhook, act, values))
            .filter_map(|webhook| {
                let version = webhook.version_for(act)?;
                Some((webhook, version))
            })
            .collect()
    }

    fn selects(&self, webhook: &Webhook, act: &Act<'_>, values: &[&Value]) -> bool {
        let selector = |field: &str| Selector::from_object(&webhook.settings[field]);
        let labels = |value: &Value| value["metadata"]["labels"].clone();
        let namespaces = selector("namespaceSelector");
        let of_namespace = if &*act.call.resource.id == NAMESPACES {
            values.first().map(|value| labels(value))
        } else {
            let namespace = act.call.namespace.as_deref();
            let object = namespace.and_then(|name| self.object(NAMESPACES, None, name));
            object.map(|object| labels(&object.value()))
        };
        let objects = selector("objectSelector");
        of_namespace.is_none_or(|labels| namespaces.matches_labels(&labels))
            && values
                .iter()
                .any(|value| objects.matches_labels(&labels(value)))
    }

    /// Lets mutating webhooks change an object, or end the request.
    pub(crate) fn mutate(
        &mut self,
        act: &Act<'_>,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), Refusal> {
        let values: Vec<&Value> = std::iter::once(&*new).chain(old).collect();
        let webhooks = self.webhooks(MUTATING, act, &values);
        let mut left = vec![Value::Null; webhooks.len()];
        for round in 0..2 {
            for (index, (webhook, version)) in webhooks.iter().enumerate() {
                let again = webhook.settings["reinvocationPolicy"] == "IfNeeded";
                // A second look is only for what others have changed since the first.
                if round > 0 && (!again || left[index] == *new) {
                    continue;
                }
                let question = self.question(act, webhook, version, round, old, Some(&*new));
                let Some(reply) = self.reviews.ask(question) else {
                    return Err(Refusal::waits_for_webhooks());
                };
                if let Some(response) = self.judge(webhook, reply)? {
                    *new = patched(&act.call.resource, version, new, &response)
                        .map_err(|why| webhook.failure(&why))?;
                }
                left[index].clone_from(new);
            }
        }
        Ok(())
    }

    /// Lets validating webhooks end the request. All are asked, whatever the others say.
    pub(crate) fn validate(
        &mut self,
        act: &Act<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<(), Refusal> {
        self.consult(VALIDATING, act, old, new)
    }

    /// Asks before a deletion, of which nothing can be changed.
    pub(crate) fn review_deletion(&mut self, act: &Act<'_>, old: &Value) -> Result<(), Refusal> {
        self.consult(MUTATING, act, Some(old), None)?;
        self.consult(VALIDATING, act, Some(old), None)
    }

    fn consult(
        &mut self,
        table: &str,
        act: &Act<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<(), Refusal> {
        let values: Vec<&Value> = new.into_iter().chain(old).collect();
        let webhooks = self.webhooks(table, act, &values);
        let mut replies = Vec::with_capacity(webhooks.len());
        for (webhook, version) in &webhooks {
            let question = self.question(act, webhook, version, 0, old, new);
            replies.extend(self.reviews.ask(question));
        }
        if replies.len() < webhooks.len() {
            return Err(Refusal::waits_for_webhooks());
        }
        for ((webhook, _), reply) in webhooks.iter().zip(replies) {
            self.judge(webhook, reply)?;
        }
        Ok(())
    }

    /// What a reply means: a response that allows the write, or nothing where a failure is ignored.
    fn judge(&mut self, webhook: &Webhook, reply: Reply) -> Result<Option<Value>, Refusal> {
        let response = match reply {
            Err(_) if webhook.settings["failurePolicy"] == "Ignore" => return Ok(None),
            Err(why) => return Err(webhook.failure(&why)),
            Ok(response) => response,
        };
        let warnings = json::items(&response, "warnings").iter();
        self.warnings
            .extend(warnings.filter_map(Value::as_str).map(str::to_owned));
        if response["allowed"] == json!(true) {
            return Ok(Some(response));
        }
        Err(Refusal::denied(webhook.name(), &response["status"]))
    }

    fn question(
        &mut self,
        act: &Act<'_>,
        webhook: &Webhook,
        version: &Version,
        round: usize,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Question {
        let call = act.call;
        let resource = &call.resource;
        let shown =
            |value: Option<&Value>| value.map(|value| outward(resource, version, value.clone()));
        let seconds = json::number(&webhook.settings, "timeoutSeconds").unwrap_or(10);
        let mut request = json!({
            "uid": self.uid(), "operation": act.operation, "dryRun": act.dry_run,
            "kind": type_of(resource, version, "kind", &resource.kind),
            "resource": type_of(resource, version, "resource", &resource.plural),
            "requestKind": type_of(resource, &call.version, "kind", &resource.kind),
            "requestResource": type_of(resource, &call.version, "resource", &resource.plural),
            "userInfo": { "username": self.user.name, "groups": self.user.groups },
            "object": shown(new), "oldObject": shown(old), "options": options(act),
        });
        let namespace = act.namespace();
        for (field, text) in [
            ("name", act.name),
            ("namespace", namespace),
            ("subResource", act.subresource()),
            ("requestSubResource", act.subresource()),
        ] {
            if !text.is_empty() {
                request[field] = json!(text);
            }
        }
        Question {
            key: format!(
                "{}/{} {round} {} {} {}/{namespace}/{} {}",
                webhook.configuration,
                webhook.name(),
                act.operation,
                act.subresource(),
                resource.id,
                act.name,
                act.revision,
            ),
            url: json::text(&webhook.settings, "clientConfig.url").to_owned(),
            timeout: Duration::from_secs(seconds.unsigned_abs()),
            review: json!({
                "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request,
            }),
        }
    }
}

/// One entry of a configuration.
struct Webhook {
    configuration: String,
    settings: Value,
}

impl Webhook {
    fn name(&self) -> &str {
        json::text(&self.settings, "name")
    }

    fn failure(&self, why: &str) -> Refusal {
        Refusal::internal(&format!("failed calling webhook {:?}: {why}", self.name()))
    }

    /// The version in which a webhook wants to see an object, if its rules name the write at all.
    fn version_for<'a>(&self, act: &'a Act<'_>) -> Option<&'a Version> {
        let named = |version: &Version| {
            json::items(&self.settings, "rules")
                .iter()
                .any(|rule| names(rule, act, &version.name))
        };
        let asked = Some(&act.call.version).filter(|version| named(version));
        let exact = self.settings["matchPolicy"] == "Exact";
        let mut others = act.call.resource.versions.iter().filter(|_| !exact);
        asked.or_else(|| others.find(|version| named(version)))
    }
}

fn names(rule: &Value, act: &Act<'_>, version: &str) -> bool {
    let resource = &act.call.resource;
    let lists = |field: &str, wanted: &str| {
        let mut items = json::items(rule, field).iter().filter_map(Value::as_str);
        items.any(|item| item == "*" || item == wanted)
    };
    let mut resources = json::items(rule, "resources")
        .iter()
        .filter_map(Value::as_str);
    let resources = resources.any(|item| {
        let (plural, subresource) = item.split_once('/').unwrap_or((item, ""));
        (plural == "*" || plural == resource.plural)
            && (subresource == "*" || subresource == act.subresource())
    });
    let scope = match json::text(rule, "scope") {
        "Cluster" => !resource.namespaced,
        "Namespaced" => resource.namespaced,
        _ => true,
    };
    resources
        && scope
        && lists("operations", act.operation)
        && lists("apiGroups", &resource.group)
        && lists("apiVersions", version)
}

impl Act<'_> {
    fn subresource(&self) -> &'static str {
        match self.part {
            Part::Main => "",
            Part::Status => "status",
            Part::Finalizers => "finalize",
        }
    }

    /// A namespace lies within itself.
    fn namespace(&self) -> &str {
        match self.call.namespace.as_deref() {
            None if &*self.call.resource.id == NAMESPACES => self.name,
            namespace => namespace.unwrap_or(""),
        }
    }
}

fn type_of(resource: &Resource, version: &Version, field: &str, name: &str) -> Value {
    json!({ "group": resource.group, "version": version.name, field: name })
}

/// The options of the request, as an object.
fn options(act: &Act<'_>) -> Value {
    let query = &act.call.query;
    let mut options = json!({ "apiVersion": "meta.k8s.io/v1" });
    // A patch is an update to webhooks, with the options of one.
    options["kind"] = json!(match act.operation {
        "CREATE" => "CreateOptions",
        "DELETE" => "DeleteOptions",
        _ => "UpdateOptions",
    });
    for field in ["fieldManager", "fieldValidation"] {
        if query.has(field) {
            options[field] = json!(query.text(field));
        }
    }
    if act.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    options
}

/// The object that a response's patch makes.
fn patched(
    resource: &Resource,
    version: &Version,
    value: &Value,
    response: &Value,
) -> Result<Value, String> {
    let Some(patch) = response["patch"].as_str() else {
        return Ok(value.clone());
    };
    let patch = STANDARD.decode(patch).map_err(|error| error.to_string())?;
    let Patch(operations) = serde_json::from_slice(&patch).map_err(|error| error.to_string())?;
    let mut shown = outward(resource, version, value.clone());
    json_patch::patch(&mut shown, &operations).map_err(|error| error.to_string())?;
    if let Some(schema) = &version.schema {
        schema.prune(&mut shown);
    }
    Ok(inward(resource, shown))
}
