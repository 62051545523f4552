//! Configurations of admission webhooks.

use serde_json::{Value, json};

use crate::admission::{Admission, defaults};
use crate::json;
use crate::refusal::{Cause, Refusal, unsupported};

/// How long a webhook may take, in seconds.
const TIMEOUTS: std::ops::RangeInclusive<i64> = 1..=30;

pub(crate) fn webhook_configuration(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, &admission.resource.id);
    let mut causes = Vec::new();
    for (index, webhook) in json::items(admission.new, "webhooks").iter().enumerate() {
        causes.extend(check(&format!("webhooks[{index}]"), webhook));
    }
    admission.causes.extend(causes);
    Ok(())
}

fn check(path: &str, webhook: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let at = |field: &str| format!("{path}.{field}");
    let name = json::text(webhook, "name");
    if name.split('.').count() < 3 {
        let message = "should be a domain with at least three segments separated by dots";
        causes.push(Cause::invalid(&at("name"), &json!(name), message));
    }
    if json::items(webhook, "admissionReviewVersions").is_empty() {
        let message = "must specify one of v1, v1beta1";
        causes.push(Cause::required(&at("admissionReviewVersions"), message));
    }
    match json::text(webhook, "sideEffects") {
        "None" | "NoneOnDryRun" => {}
        "" => {
            let message = "must specify one of None, NoneOnDryRun";
            causes.push(Cause::required(&at("sideEffects"), message));
        }
        other => causes.push(unsupported(
            &at("sideEffects"),
            other,
            &["None", "NoneOnDryRun"],
        )),
    }
    let seconds = json::number(webhook, "timeoutSeconds").unwrap_or(0);
    if !TIMEOUTS.contains(&seconds) {
        let message = "the timeout value must be between 1 and 30 seconds";
        causes.push(Cause::invalid(
            &at("timeoutSeconds"),
            &json!(seconds),
            message,
        ));
    }
    if !json::items(webhook, "matchConditions").is_empty() {
        let message = "match conditions are not simulated";
        causes.push(Cause::forbidden(&at("matchConditions"), message));
    }
    let url = json::text(webhook, "clientConfig.url");
    let service = json::at(webhook, "clientConfig.service").is_some();
    if url.is_empty() != service {
        let message = "exactly one of url or service is required";
        causes.push(Cause::required(&at("clientConfig"), message));
    }
    if !url.is_empty() && !url.starts_with("https://") {
        let message = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        causes.push(Cause::invalid(
            &at("clientConfig.url"),
            &json!(scheme),
            message,
        ));
    }
    causes
}
