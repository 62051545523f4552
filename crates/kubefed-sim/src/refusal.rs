//! Every way in which the API server says no, worded as a real one words it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::resource::{Resource, Version};
use crate::schema::FieldError;

/// What a real server reads and writes. Messages name them all, though only JSON is spoken here.
pub(crate) const MEDIA_TYPES: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// An error answer: the body is a `Status` object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Boxed, since most results carry none.
    pub(crate) details: Box<Details>,
    /// The body, or what a patch makes of the object, is not of the kind at all.
    pub(crate) undecodable: bool,
    /// A continue token to go on with, which only an expired list offers.
    pub(crate) continue_token: Option<String>,
    /// The `Status` of a webhook, which is passed on as it is.
    pub(crate) verbatim: Option<Box<Value>>,
}

/// `status.details`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[serde(skip)]
    pub(crate) causes: Vec<Cause>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) retry_after_seconds: u32,
    /// Shown even though there are none.
    #[serde(skip)]
    pub(crate) always: bool,
}

/// One reason within [`Details`], usually tied to a field.
pub(crate) type Cause = FieldError;

/// `dryRun`, which is a list of which only `All` is known.
pub(crate) fn unsupported_dry_run(given: &[Value]) -> Cause {
    FieldError::not_supported("dryRun", &json!(given), &["All".to_owned()])
}

/// A value that is none of the supported ones.
pub(crate) fn unsupported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|&value| value.to_owned()).collect();
    FieldError::not_supported(field, &json!(value), &supported)
}

fn cause_json(cause: &Cause) -> Value {
    let fields = [
        ("reason", cause.reason),
        ("message", &cause.message),
        ("field", &cause.field),
    ];
    fields
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), json!(text)))
        .collect()
}

impl Refusal {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.as_u16(),
            reason,
            message: message.into(),
            details: Box::default(),
            undecodable: false,
            continue_token: None,
            verbatim: None,
        }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details.name = name.to_owned();
        self.details.group.clone_from(&resource.group);
        self.details.kind.clone_from(&resource.plural);
        self
    }

    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.details.causes.push(cause);
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.id);
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(resource, name)
    }

    /// For a subresource or version that a known resource does not have.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        let mut refusal = Self::new(StatusCode::NOT_FOUND, "NotFound", message);
        refusal.details.always = true;
        refusal
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.id);
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            resource.id
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource, name)
    }

    /// A deletion of something else than what is there; it names the kind, not the resource.
    pub(crate) fn precondition_failed(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = &resource.kind;
        let dot = if resource.group.is_empty() { "" } else { "." };
        let message = format!(
            "Operation cannot be fulfilled on {kind}{dot}{} {name:?}: {why}",
            resource.group
        );
        let mut refusal =
            Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource, name);
        refusal.details.kind.clone_from(kind);
        refusal
    }

    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", resource.id),
            _ => format!("{} {name:?} is forbidden: {why}", resource.id),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(resource, name)
    }

    /// For what can be named in a role and is no resource, such as users.
    pub(crate) fn forbidden_name(kind: &str, name: &str, why: &str) -> Self {
        let message = format!("{kind} {name:?} is forbidden: {why}");
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "Forbidden", message);
        name.clone_into(&mut refusal.details.name);
        kind.clone_into(&mut refusal.details.kind);
        refusal
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_kind(&resource.group, &resource.kind, name, causes)
    }

    pub(crate) fn invalid_kind(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        let mut message = format!("{kind}{dot}{group} {name:?} is invalid: ");
        let lines: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let _ = match lines.as_slice() {
            [one] => write!(message, "{one}"),
            many => write!(message, "[{}]", many.join(", ")),
        };
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        *refusal.details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        };
        refusal
    }

    /// A patch that is well-formed but cannot be applied; the server does not say why.
    pub(crate) fn patch_failed() -> Self {
        let message = "the server rejected our request due to an error in our request";
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        refusal.details.always = true;
        refusal
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// A body that does not fit the kind.
    pub(crate) fn undecodable(message: impl Into<String>) -> Self {
        Self {
            undecodable: true,
            ..Self::bad_request(message)
        }
    }

    /// Says which kind the body does not fit.
    pub(crate) fn within(mut self, resource: &Resource, version: &Version) -> Self {
        let (kind, version) = (&resource.kind, &version.name);
        self.message = format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {}",
            self.message
        );
        self
    }

    /// The same for a patch, whose result does not fit the kind.
    pub(crate) fn of_patched(self, patched: &Value) -> Self {
        if !self.undecodable {
            return self;
        }
        let text = json!(patched.to_string());
        let cause = Cause::invalid("patch", &text, &self.message);
        Self {
            undecodable: true,
            ..Self::invalid_kind("", "", "", vec![cause])
        }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// Built-in kinds have no such route at all.
    pub(crate) fn method_not_allowed(resource: &Resource, verb: &str) -> Self {
        if !resource.custom {
            let message = "the server does not allow this method on the requested resource";
            let mut refusal =
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
            refusal.details.always = true;
            return refusal;
        }
        let message = format!(
            "{verb} is not supported on resources of kind {:?}",
            resource.id
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about(resource, "")
    }

    pub(crate) fn unsupported_here(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    /// The route of a built-in kind does not take such a body, whatever it is for.
    pub(crate) fn unroutable_media_type() -> Self {
        let message = "415: Unsupported Media Type";
        let mut refusal = Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        );
        refusal.details.always = true;
        refusal
    }

    pub(crate) fn not_acceptable() -> Self {
        let types = MEDIA_TYPES.join(", ");
        let message = format!("only the following media types are accepted: {types}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// The route of a built-in kind answers in no such format.
    pub(crate) fn unroutable_accept() -> Self {
        let types = MEDIA_TYPES.join(", ");
        let message = format!("406: Not Acceptable\n\nAvailable representations: {types}");
        let mut refusal = Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message);
        refusal.details.always = true;
        refusal
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            message,
        )
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn future_revision(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        let mut refusal = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message).because(cause);
        refusal.details.retry_after_seconds = 1;
        refusal
    }

    /// An apply patch that would take fields from their managers.
    pub(crate) fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        let mut refusal = Self::new(StatusCode::CONFLICT, "Conflict", message);
        refusal.details.causes = causes;
        refusal
    }

    /// What a webhook does not allow, in its own words.
    pub(crate) fn denied(webhook: &str, status: &Value) -> Self {
        let mut status = Some(status.clone())
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match text("message").or(text("reason")) {
            Some(why) => format!("{denied}: {why}"),
            None => format!("{denied} without explanation"),
        };
        let code = status["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| *code >= 400).unwrap_or(400);
        status["kind"] = json!("Status");
        status["apiVersion"] = json!("v1");
        status["status"] = json!("Failure");
        status["code"] = json!(code);
        status["message"] = json!(message);
        if !status["metadata"].is_object() {
            status["metadata"] = json!({});
        }
        let mut refusal = Self::new(StatusCode::BAD_REQUEST, "", message);
        refusal.code = code;
        refusal.verbatim = Some(Box::new(status));
        refusal
    }

    /// Nobody sees this: the request is served again once the webhooks have answered.
    pub(crate) fn waits_for_webhooks() -> Self {
        Self::internal("admission webhooks were not asked")
    }

    /// An error without a reason, as the server answers what it did not foresee.
    pub(crate) fn unforeseen(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub(crate) fn internal(message: &str) -> Self {
        let cause = Cause {
            reason: "",
            message: message.to_owned(),
            field: String::new(),
        };
        let message = format!("Internal error occurred: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message).because(cause)
    }

    /// The usual `Status` for a bare HTTP code, which injected faults answer with.
    pub(crate) fn of_code(code: u16, retry_after_seconds: u32) -> Self {
        let (reason, message) = match code {
            400 => (
                "BadRequest",
                "the server rejected our request for an unknown reason",
            ),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden: injected by the simulator"),
            404 => (
                "NotFound",
                "the server could not find the requested resource",
            ),
            409 => (
                "Conflict",
                "Operation cannot be fulfilled: injected by the simulator",
            ),
            410 => (
                "Expired",
                "The resourceVersion for the provided watch is too old.",
            ),
            429 => (
                "TooManyRequests",
                "The server has received too many requests and has asked us to try again later",
            ),
            500 => (
                "InternalError",
                "Internal error occurred: injected by the simulator",
            ),
            503 => (
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            504 => (
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            ),
            _ => ("", "injected by the simulator"),
        };
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut refusal = Self::new(status, reason, message);
        refusal.details.retry_after_seconds = retry_after_seconds;
        refusal
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        if let Some(status) = &self.verbatim {
            return Value::clone(status);
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = json!(token);
        }
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if *self.details != Details::default() {
            status["details"] = serde_json::to_value(&self.details).unwrap_or_default();
            if !self.details.causes.is_empty() {
                let causes: Vec<Value> = self.details.causes.iter().map(cause_json).collect();
                status["details"]["causes"] = json!(causes);
            }
        }
        status
    }

    pub(crate) fn body(&self) -> Bytes {
        Bytes::from(self.status().to_string())
    }
}

/// The `Status` that answers a completed deletion.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Bytes {
    let mut details = json!({ "name": name, "kind": resource.plural, "uid": uid });
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Bytes::from(status.to_string())
}

// The signature is the one that serde's attribute calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
