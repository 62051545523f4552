//! Defaults of the built-in kinds, as data.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::json;

/// One tree of defaults for each resource. A scalar is set where the object has none; an object is
/// made where it is absent, unless it says `"$present": true`, and left alone where a field beside it
/// has another value than `"$when"` names, one or several; `"*"` stands for every item, which `"$when"`
/// then is about of a list;
/// `"$use"` names another tree, and `"$tag"` the policy that the tag of an image asks for.
static TREES: LazyLock<Value> =
    // The text is part of the program, and a test parses it.
    LazyLock::new(|| serde_json::from_str(include_str!("defaults.json")).unwrap_or_default());

/// Sets what the defaults of a resource say and the value does not.
pub(super) fn fill(value: &mut Value, resource: &str) {
    if let Some(tree) = TREES.get(resource) {
        fill_from(value, tree);
    }
}

/// Whether the fields that `$when` names have their values, or none yet.
fn applies(tree: &serde_json::Map<String, Value>, parent: &Value) -> bool {
    let conditions = tree.get("$when").and_then(Value::as_object);
    conditions.into_iter().flatten().all(|(field, wanted)| {
        let found = parent.get(field).filter(|found| !found.is_null());
        let any = wanted.as_array();
        found.is_none_or(|found| found == wanted || any.is_some_and(|any| any.contains(found)))
    })
}

fn fill_from(value: &mut Value, tree: &Value) {
    let Value::Object(fields) = tree else { return };
    for (field, default) in fields {
        match (field.as_str(), default) {
            ("$present" | "$when", _) => {}
            ("$use", Value::String(name)) => fill(value, name),
            ("*", _) => {
                for item in value.as_array_mut().into_iter().flatten() {
                    if default.as_object().is_none_or(|tree| applies(tree, item)) {
                        fill_from(item, default);
                    }
                }
            }
            (_, Value::Object(inner)) => {
                if !applies(inner, value) {
                    continue;
                }
                let absent = value.get(field).is_none_or(Value::is_null);
                if absent && (inner.contains_key("$present") || inner.contains_key("*")) {
                    continue;
                }
                if absent {
                    json::object(value)
                        .insert(field.clone(), Value::Object(serde_json::Map::new()));
                }
                if let Some(child) = value.get_mut(field) {
                    fill_from(child, default);
                }
            }
            // Go does not tell an empty string from none.
            _ if value
                .get(field)
                .is_none_or(|found| found.is_null() || found == "") =>
            {
                let default = if default == "$tag" {
                    json!(pull_policy(json::text(value, "image")))
                } else {
                    default.clone()
                };
                json::object(value).insert(field.clone(), default);
            }
            _ => {}
        }
    }
}

/// The tag `latest`, which an image without tag and digest has, may mean something else tomorrow.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    let floats = !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    if floats { "Always" } else { "IfNotPresent" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_gets_the_defaults_of_a_real_server() {
        let mut value = json!({
            "spec": { "template": { "spec": { "containers": [{ "name": "a", "ports": [{ "containerPort": 80 }] }] } } },
        });
        fill(&mut value, "deployments.apps");
        assert_eq!(value["spec"]["replicas"], json!(1));
        assert_eq!(
            value["spec"]["strategy"]["rollingUpdate"]["maxSurge"],
            json!("25%")
        );
        let pod = &value["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["ports"][0]["protocol"], json!("TCP"));
        assert_eq!(pod["securityContext"], json!({}));
        assert_eq!(pod["containers"][0].get("livenessProbe"), None);
    }

    #[test]
    fn the_tag_decides_when_an_image_is_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("registry:5000/nginx", "Always"),
            ("registry:5000/nginx:1.27", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
