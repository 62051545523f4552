//! Kinds that are only posted: the answer is computed, nothing is stored.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::access::User;
use crate::api::{Answer, Call};
use crate::clock::rfc3339;
use crate::json;
use crate::rbac::Wish;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::state::State;

/// How long a requested token lives unless the request says, in seconds: what real servers give.
const TOKEN_SECONDS: i64 = 3600;

/// Answers a review.
pub(crate) fn answer(
    state: &State,
    resource: &Resource,
    mut review: Value,
) -> Result<Answer, Refusal> {
    let status = match resource.kind.as_str() {
        "SelfSubjectAccessReview" => access(state, &review, &state.user),
        "SubjectAccessReview" => access(state, &review, &subject(&review)),
        "SelfSubjectRulesReview" => rules(state, &review),
        "SelfSubjectReview" => json!({ "userInfo": user_info(&state.user) }),
        "TokenReview" => match state
            .tokens
            .user(json::text(&review, "spec.token"), state.now())
        {
            Some(user) => json!({ "authenticated": true, "user": user_info(user) }),
            None => json!({ "authenticated": false, "user": {} }),
        },
        _ => return Err(Refusal::method_not_allowed(resource, "create")),
    };
    json::put(&mut review, "status", status);
    Ok(Answer::created(review.to_string().into()))
}

/// A token for a service account that expires.
pub(crate) fn request_token(state: &mut State, call: &Call) -> Result<Answer, Refusal> {
    let mut request = crate::api::parse_json(&call.body)?;
    let name = call.name.as_deref().unwrap_or("");
    let namespace = call.namespace.as_deref().unwrap_or("");
    if state
        .object("serviceaccounts", Some(namespace), name)
        .is_none()
    {
        return Err(Refusal::not_found(&call.resource, name));
    }
    let seconds = json::number(&request, "spec.expirationSeconds").unwrap_or(TOKEN_SECONDS);
    let expires = state
        .now()
        .saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(state.now());
    let token = state.issue_token(namespace, name, Some(expires));
    json::put(&mut request, "kind", "TokenRequest");
    json::put(&mut request, "apiVersion", "authentication.k8s.io/v1");
    json::put(&mut request, "spec.expirationSeconds", seconds);
    json::put(
        &mut request,
        "status",
        json!({ "token": token, "expirationTimestamp": rfc3339(expires) }),
    );
    Ok(Answer::created(request.to_string().into()))
}

fn access(state: &State, review: &Value, user: &User) -> Value {
    let wanted = &review["spec"]["resourceAttributes"];
    let plural = json::text(wanted, "resource");
    let resource = match json::text(wanted, "subresource") {
        "" => plural.to_owned(),
        subresource => format!("{plural}/{subresource}"),
    };
    let namespace = Some(json::text(wanted, "namespace")).filter(|namespace| !namespace.is_empty());
    let wish = Wish {
        verb: json::text(wanted, "verb"),
        group: json::text(wanted, "group"),
        resource: &resource,
        namespace,
        name: json::text(wanted, "name"),
    };
    // Paths outside of resources are public here.
    json!({ "allowed": wanted.is_null() || state.allows(user, &wish) })
}

fn rules(state: &State, review: &Value) -> Value {
    let all = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
    let everything = !state.options.rbac
        || state
            .user
            .groups
            .iter()
            .any(|group| group == "system:masters");
    let rules = if everything {
        vec![all]
    } else {
        state.rules(&state.user, Some(json::text(review, "spec.namespace")))
    };
    json!({ "incomplete": false, "resourceRules": rules, "nonResourceRules": [] })
}

fn subject(review: &Value) -> User {
    let groups = json::items(review, "spec.groups")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    User {
        name: json::text(review, "spec.user").to_owned(),
        groups: groups.collect(),
    }
}

fn user_info(user: &User) -> Value {
    json!({ "username": user.name, "groups": user.groups })
}
