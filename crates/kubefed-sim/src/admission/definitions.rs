//! CustomResourceDefinitions: defaults and the checks that keep a served resource sound.

use serde_json::{Value, json};

use crate::admission::Admission;
use crate::json;
use crate::refusal::{Cause, Refusal, unsupported};
use crate::schema::check_structural;

pub(crate) fn custom_resource_definition(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    let mut causes = check(admission.new);
    if let Some(old) = admission.old {
        for path in [
            "spec.group",
            "spec.scope",
            "spec.names.plural",
            "spec.names.kind",
        ] {
            if json::at(old, path) != json::at(admission.new, path) {
                let value = json::at(admission.new, path).cloned().unwrap_or_default();
                causes.push(Cause::invalid(path, &value, "field is immutable"));
            }
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(
        admission.resource,
        &admission.name(),
        causes,
    ))
}

pub(super) fn set_defaults(definition: &mut Value) {
    let kind = json::text(definition, "spec.names.kind").to_owned();
    for (path, value) in [
        ("spec.names.singular", json!(kind.to_lowercase())),
        ("spec.names.listKind", json!(format!("{kind}List"))),
        ("spec.conversion", json!({ "strategy": "None" })),
    ] {
        if json::at(definition, path).is_none() {
            json::put(definition, path, value);
        }
    }
}

fn check(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let text = |path: &str| json::text(definition, path);
    let (plural, group) = (text("spec.names.plural"), text("spec.group"));
    for path in [
        "spec.group",
        "spec.names.plural",
        "spec.names.kind",
        "spec.scope",
    ] {
        if text(path).is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    if text("metadata.name") != format!("{plural}.{group}") {
        let message = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(text("metadata.name")),
            message,
        ));
    }
    if !["", "Namespaced", "Cluster"].contains(&text("spec.scope")) {
        causes.push(unsupported(
            "spec.scope",
            text("spec.scope"),
            &["Cluster", "Namespaced"],
        ));
    }
    let versions = json::items(definition, "spec.versions");
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == json!(true))
        .count();
    if stored != 1 {
        let message = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(versions), message));
    }
    // A schema that all versions share is stored, and reported, as one.
    let schema = |version: &Value| json::at(version, "schema.openAPIV3Schema").cloned();
    let shared = versions
        .iter()
        .all(|version| schema(version) == schema(&versions[0]));
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match schema(version) {
            Some(_) if shared && index > 0 => {}
            Some(schema) => {
                let path = if shared {
                    "spec.validation.openAPIV3Schema"
                } else {
                    &path
                };
                causes.extend(check_structural(path, &schema));
                #[cfg(feature = "cel")]
                if let Some(rules) = crate::cel::Rules::of(&schema) {
                    causes.extend(rules.problems(path));
                }
            }
            None => causes.push(Cause::required(&path, "schemas are required")),
        }
    }
    causes
}
