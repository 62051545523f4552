//! What a kind adds at create and update: defaults, allocations and its own checks.

mod defaults;
mod definitions;
mod jobs;
mod services;
mod webhooks;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(crate) use self::definitions::custom_resource_definition;
pub(crate) use self::jobs::job;
pub(crate) use self::services::service;
pub(crate) use self::webhooks::webhook_configuration;
use crate::json;
use crate::refusal::{Cause, Refusal};
use crate::resource::Resource;
use crate::state::State;

/// A write that a kind's rules look at before it is stored.
pub(crate) struct Admission<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) old: Option<&'a Value>,
    pub(crate) new: &'a mut Value,
    pub(crate) state: &'a mut State,
    /// What is wrong with the object, besides its metadata.
    pub(crate) causes: Vec<Cause>,
}

/// The bytes of all values of a ConfigMap or Secret.
const DATA_MAX: usize = 1024 * 1024;
/// The bytes of a key of a ConfigMap or Secret.
const FILE_NAME_MAX: usize = 253;

/// Sets the defaults of a built-in kind that are data.
pub(crate) fn set_defaults(resource: &Resource, value: &mut Value) {
    defaults::fill(value, &resource.id);
    match &*resource.id {
        "services" => services::set_defaults(value),
        "jobs.batch" => jobs::set_defaults(value),
        "customresourcedefinitions.apiextensions.k8s.io" => definitions::set_defaults(value),
        "secrets" => fold_string_data(value),
        "networkpolicies.networking.k8s.io" => name_policy_types(value),
        "namespaces" => label_with_name(value),
        _ => {}
    }
}

/// A Secret is stored with all of its data encoded.
fn fold_string_data(secret: &mut Value) {
    if let Some(Value::Object(plain)) = json::take(secret, "stringData") {
        let data = json::child(secret, "data");
        for (key, text) in plain {
            let encoded = STANDARD.encode(text.as_str().unwrap_or(""));
            data.insert(key, json!(encoded));
        }
    }
}

/// A policy is about what comes in, and about what goes out if it says anything of that.
fn name_policy_types(policy: &mut Value) {
    if json::items(policy, "spec.policyTypes").is_empty() {
        let outwards = !json::items(policy, "spec.egress").is_empty();
        let types: &[&str] = if outwards {
            &["Ingress", "Egress"]
        } else {
            &["Ingress"]
        };
        json::put(policy, "spec.policyTypes", json!(types));
    }
}

/// Namespaces can be selected by their names.
fn label_with_name(value: &mut Value) {
    let name = json::text(value, "metadata.name").to_owned();
    if !name.is_empty() {
        json::child(value, "metadata.labels")
            .insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
}

pub(crate) type Hook = fn(&mut Admission<'_>) -> Result<(), Refusal>;

impl Admission<'_> {
    fn name(&self) -> String {
        json::text(self.new, "metadata.name").to_owned()
    }

    fn invalid(&self, cause: Cause) -> Refusal {
        Refusal::invalid(self.resource, &self.name(), vec![cause])
    }

    /// Refuses an update that changes a field.
    fn immutable(&self, path: &str) -> Result<(), Refusal> {
        let Some(old) = self.old else { return Ok(()) };
        if json::at(old, path) == json::at(self.new, path) {
            return Ok(());
        }
        let value = json::at(self.new, path).cloned().unwrap_or_default();
        Err(self.invalid(Cause::invalid(path, &value, "field is immutable")))
    }
}

pub(crate) fn namespace(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    label_with_name(admission.new);
    if admission.old.is_none() {
        json::put(admission.new, "spec.finalizers", json!(["kubernetes"]));
        json::put(admission.new, "status", json!({ "phase": "Active" }));
    }
    Ok(())
}

pub(crate) fn config_map(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    keep_if_immutable(admission);
    check_data(admission);
    Ok(())
}

/// Data of ConfigMaps and Secrets that say so cannot change any more.
fn keep_if_immutable(admission: &mut Admission<'_>) {
    let Some(old) = admission.old.filter(|old| old["immutable"] == json!(true)) else {
        return;
    };
    for field in ["immutable", "data", "binaryData"] {
        if json::at(old, field) != json::at(admission.new, field) {
            let message = "field is immutable when `immutable` is set";
            admission.causes.push(Cause::forbidden(field, message));
        }
    }
}

/// Keys are names of files, and all values together are bounded.
fn check_data(admission: &mut Admission<'_>) {
    let mut size = 0;
    for bag in ["data", "binaryData"] {
        let data = json::at(admission.new, bag).and_then(Value::as_object);
        for (key, value) in data.into_iter().flatten() {
            let field = format!("{bag}[{key}]");
            for message in file_name_problems(key) {
                let cause = Cause::invalid(&field, &json!(key), &message);
                admission.causes.push(cause);
            }
            if bag == "data" && admission.new["binaryData"].get(key).is_some() {
                let message = "duplicate of key present in binaryData";
                let cause = Cause::invalid(&field, &json!(key), message);
                admission.causes.push(cause);
            }
            let bytes = value.as_str().map_or(0, str::len);
            let encoded = bag == "binaryData" || &*admission.resource.id == "secrets";
            size += if encoded { bytes / 4 * 3 } else { bytes };
        }
    }
    if size > DATA_MAX {
        let field = if &*admission.resource.id == "secrets" {
            "data"
        } else {
            // How a path without a name is shown.
            "[]"
        };
        admission
            .causes
            .push(Cause::too_long(field, DATA_MAX as u64));
    }
}

fn file_name_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > FILE_NAME_MAX {
        problems.push(format!("must be no more than {FILE_NAME_MAX} bytes"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if key.is_empty() || !key.chars().all(allowed) {
        problems.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    if key == "." || key == ".." {
        problems.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        problems.push("must not start with '..'".to_owned());
    }
    problems
}

pub(crate) fn secret(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    for (key, value) in json::at(admission.new, "data")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if value
            .as_str()
            .is_none_or(|text| STANDARD.decode(text).is_err())
            && !value.is_null()
        {
            return Err(Refusal::undecodable(format!(
                "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data in data.{key}"
            )));
        }
    }
    admission.immutable("type")?;
    config_map(admission)
}

pub(crate) fn pod(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, "pods");
    if admission.old.is_none() {
        json::put(
            admission.new,
            "status",
            json!({ "phase": "Pending", "qosClass": "BestEffort" }),
        );
    }
    Ok(())
}

pub(crate) fn pod_template(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, &admission.resource.id);
    Ok(())
}

/// Kinds of the group apps: a selector that matches the template and never changes.
pub(crate) fn workload(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, &admission.resource.id);
    let path = "spec.strategy.rollingUpdate";
    if json::text(admission.new, "spec.strategy.type") == "Recreate"
        && json::at(admission.new, path).is_some()
    {
        let message = "may not be specified when strategy `type` is 'Recreate'";
        return Err(admission.invalid(Cause::forbidden(path, message)));
    }
    let replicas = json::number(admission.new, "spec.replicas").unwrap_or(0);
    if replicas < 0 {
        let message = "must be greater than or equal to 0";
        return Err(admission.invalid(Cause::invalid("spec.replicas", &json!(replicas), message)));
    }
    let Some(selector) = json::at(admission.new, "spec.selector") else {
        return Err(admission.invalid(Cause::required("spec.selector", "")));
    };
    let labels = admission
        .new
        .pointer("/spec/template/metadata/labels")
        .cloned()
        .unwrap_or_default();
    if !crate::selector::Selector::from_object(selector).matches_labels(&labels) {
        let message = "`selector` does not match template `labels`";
        let cause = Cause::invalid("spec.template.metadata.labels", &labels, message);
        return Err(admission.invalid(cause));
    }
    admission.immutable("spec.selector")
}
