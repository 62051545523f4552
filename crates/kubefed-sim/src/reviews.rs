//! Kinds that are only posted: the answer is computed, nothing is stored.

use serde_json::{Value, json};

use crate::api::Answer;
use crate::json;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::state::State;

/// Answers a review.
pub(crate) fn answer(
    state: &State,
    resource: &Resource,
    mut review: Value,
) -> Result<Answer, Refusal> {
    let status = match resource.kind.as_str() {
        "SelfSubjectAccessReview" | "SubjectAccessReview" => json!({ "allowed": true }),
        "SelfSubjectRulesReview" => json!({
            "incomplete": false,
            "resourceRules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }],
            "nonResourceRules": [{ "nonResourceURLs": ["*"], "verbs": ["*"] }],
        }),
        "SelfSubjectReview" => json!({
            "userInfo": { "username": "system:admin", "groups": ["system:masters", "system:authenticated"] },
        }),
        _ => return Err(Refusal::method_not_allowed(resource, "create")),
    };
    let _ = state;
    json::put(&mut review, "status", status);
    json::put(
        &mut review,
        "metadata",
        json!({ "creationTimestamp": null }),
    );
    Ok(Answer::created(review.to_string().into()))
}
