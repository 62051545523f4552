//! OpenAPI documents beside a real server.

use kubefed_sim::{
    builtin,
    openapi::{Resource, document},
};
use kubefed_testing::TestResult;
use serde_json::{Value, json};

use crate::{apply::widget_schema, world::World};

/// Ours must say nothing that the real one does not say.
fn check(ours: &Value, theirs: &Value) {
    for (name, schema) in ours["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        // Their patch has prose only; their DeleteOptions lists every group that was ever served.
        if !name.ends_with(".Patch") {
            let theirs = without_prose(&theirs["components"]["schemas"][name]);
            assert_eq!(without_prose(schema), theirs, "{name}");
        }
    }
    for (path, item) in ours["paths"].as_object().into_iter().flatten() {
        let their_item = &theirs["paths"][path];
        for (method, operation) in item
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(m, _)| *m != "parameters")
        {
            let theirs = &their_item[method];
            assert!(theirs.is_object(), "{method} {path}");
            for part in ["x-kubernetes-action", "x-kubernetes-group-version-kind"] {
                assert_eq!(operation[part], theirs[part], "{method} {path}");
            }
            let names = |operation: &Value| -> Vec<Value> {
                let all = operation["parameters"].as_array().into_iter().flatten();
                all.map(|parameter| json!([parameter["name"], parameter["in"]]))
                    .collect()
            };
            // Theirs may stand beside the operations.
            let mut known = names(theirs);
            known.extend(names(their_item));
            for parameter in names(operation)
                .iter()
                .filter(|parameter| parameter[0] != "pretty")
            {
                assert!(known.contains(parameter), "{method} {path}: {parameter}");
            }
            let media = |operation: &Value| -> Vec<String> {
                let content = operation["requestBody"]["content"]
                    .as_object()
                    .into_iter()
                    .flatten();
                content
                    .map(|(media, _)| media.clone())
                    .filter(|media| media.contains("patch"))
                    .collect()
            };
            for media_type in media(operation) {
                assert!(
                    media(theirs).contains(&media_type),
                    "{method} {path}: {media_type}"
                );
            }
        }
    }
}

/// Without descriptions, and with a reference in its one-element `allOf` on its own.
fn without_prose(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let prose = |name: &str, value: &Value| {
                (name == "description" && value.is_string())
                    || (name == "x-kubernetes-group-version-kind"
                        && value.as_array().is_some_and(|all| all.len() > 1))
            };
            let kept = fields.iter().filter(|(name, value)| !prose(name, value));
            let kept: serde_json::Map<_, _> = kept
                .map(|(name, value)| (name.clone(), without_prose(value)))
                .collect();
            match kept
                .get("allOf")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
            {
                Some([one]) if kept.len() == 1 => one.clone(),
                _ => Value::Object(kept),
            }
        }
        Value::Array(items) => items.iter().map(without_prose).collect(),
        value => value.clone(),
    }
}

pub(crate) async fn documents() -> TestResult {
    let world = World::new().await?;
    for group_version in [
        "v1",
        "apps/v1",
        "batch/v1",
        "networking.k8s.io/v1",
        "rbac.authorization.k8s.io/v1",
        "apiextensions.k8s.io/v1",
    ] {
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        let prefix = format!("{group_version}/");
        let served: Vec<_> = builtin::DISCOVERY
            .iter()
            .filter_map(|(path, facts)| Some((path.strip_prefix(&prefix)?, facts)))
            .map(|(plural, facts)| {
                let verbs = facts["verbs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str);
                (plural, facts, verbs.collect::<Vec<_>>())
            })
            .collect();
        let resources: Vec<_> = served
            .iter()
            .map(|(plural, facts, verbs)| Resource {
                group,
                version,
                kind: facts["responseKind"]["kind"].as_str().unwrap_or_default(),
                plural,
                namespaced: facts["scope"] == "Namespaced",
                verbs,
                subresources: if facts.to_string().contains("\"subresource\":\"status\"") {
                    &["status"]
                } else {
                    &[]
                },
                custom: None,
            })
            .collect();
        let ours = document(&resources, "v1.35.4");
        let path = format!(
            "/openapi/v3/{}",
            kubefed_sim::openapi::document_path(group_version)
        );
        let theirs = world.read(&path).await?.ok_or("there is no document")?;
        check(&ours, &theirs);
    }
    let schema = widget_schema();
    world.register("documenteds", "Documented", &schema).await?;
    let resource = Resource {
        group: "engines.example",
        version: "v1",
        kind: "Documented",
        plural: "documenteds",
        namespaced: true,
        verbs: &[
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
        ],
        subresources: &["status"],
        custom: Some(&schema),
    };
    let theirs = world
        .read("/openapi/v3/apis/engines.example/v1")
        .await?
        .ok_or("there is no document")?;
    check(&document(&[resource], "v1.35.4"), &theirs);
    Ok(())
}
