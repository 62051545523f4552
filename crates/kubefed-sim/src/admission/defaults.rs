//! Defaults of the built-in kinds, as data.

use std::sync::LazyLock;

use serde_json::Value;

use crate::json;

/// One tree of defaults for each resource. A scalar is set where the object has none; an object is
/// made where it is absent, unless it says `"$present": true`; `"*"` stands for every item of a list;
/// `"$use"` names another tree.
static TREES: LazyLock<Value> =
    // The text is part of the program, and a test parses it.
    LazyLock::new(|| serde_json::from_str(include_str!("defaults.json")).unwrap_or_default());

/// Sets what the defaults of a resource say and the value does not.
pub(super) fn fill(value: &mut Value, resource: &str) {
    if let Some(tree) = TREES.get(resource) {
        fill_from(value, tree);
    }
}

fn fill_from(value: &mut Value, tree: &Value) {
    let Value::Object(fields) = tree else { return };
    for (field, default) in fields {
        match (field.as_str(), default) {
            ("$present", _) => {}
            ("$use", Value::String(name)) => fill(value, name),
            ("*", _) => {
                for item in value.as_array_mut().into_iter().flatten() {
                    fill_from(item, default);
                }
            }
            (_, Value::Object(inner)) => {
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
            _ if value.get(field).is_none_or(Value::is_null) => {
                json::object(value).insert(field.clone(), default.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
