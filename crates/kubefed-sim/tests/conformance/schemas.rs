//! What schemas do: pruning, defaults, validation, merging by key, field managers, tables.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, JSON, Outcome, World, claim, config_map, scenarios, version};

scenarios![
    custom_objects_are_pruned_defaulted_and_validated,
    definitions_must_be_structural,
    unknown_fields_are_refused_or_warned_of,
    built_in_types_are_decoded,
    strategic_patches_merge_lists_by_key,
    applied_fields_have_a_manager,
    applying_over_another_manager_conflicts,
    applying_creates_what_is_not_there,
    apply_options_are_checked,
    tables_show_columns_and_rows,
    openapi_describes_what_is_served,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(world: &World) -> String {
    format!("{}.example.com", world.namespace)
}

fn definition(world: &World, schema: &Value) -> Value {
    let group = group(world);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("gadgets.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": "gadgets", "kind": "Gadget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
                "subresources": { "status": {} },
                "additionalPrinterColumns": [{ "name": "Size", "type": "integer", "jsonPath": ".spec.size" }],
            }],
        },
    })
}

/// Installs a definition and returns the path of its objects.
async fn install(world: &World) -> anyhow::Result<String> {
    let schema = json!({
        "type": "object", "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object", "required": ["size"],
                "properties": {
                    "size": { "type": "integer", "minimum": 1, "maximum": 9 },
                    "colour": { "type": "string", "default": "red", "enum": ["red", "blue"] },
                    "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    "parts": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": { "name": { "type": "string" }, "count": { "type": "integer" } },
                        },
                    },
                },
            },
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    world
        .post(DEFINITIONS, &definition(world, &schema))
        .await?
        .expect(201)?;
    let path = format!("/apis/{}/v1/namespaces/{{ns}}/gadgets", group(world));
    world
        .until(&path, "served", |answer| answer.code == 200)
        .await?;
    // The schema is published for apply a moment after the resource is served.
    let openapi = format!("/openapi/v3/apis/{}/v1", group(world));
    world
        .until(&openapi, "published", |answer| {
            answer.body.to_string().contains("gadgets")
        })
        .await?;
    Ok(path)
}

fn gadget(world: &World, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/v1", group(world)), "kind": "Gadget", "metadata": { "name": name }, "spec": spec,
    })
}

async fn custom_objects_are_pruned_defaulted_and_validated(world: World) -> Outcome {
    let path = install(&world).await?;
    let spec = json!({ "size": 3, "unknown": 1, "free": { "anything": [1] } });
    let created = world
        .post(&path, &gadget(&world, "a", &spec))
        .await?
        .expect(201)?;
    claim(
        &created["spec"],
        &json!({
            "size": 3, "colour": "red", "unknown": null, "free": { "anything": [1] },
        }),
    )?;
    for (spec, field, reason) in [
        (json!({}), "spec.size", "FieldValueRequired"),
        (json!({ "size": 0 }), "spec.size", "FieldValueInvalid"),
        (json!({ "size": "3" }), "spec.size", "FieldValueTypeInvalid"),
        (
            json!({ "size": 3, "colour": "green" }),
            "spec.colour",
            "FieldValueNotSupported",
        ),
        (
            json!({ "size": 3, "parts": [{ "name": "x" }, { "name": "x" }] }),
            "spec.parts[1]",
            "FieldValueDuplicate",
        ),
    ] {
        let status = world
            .post(&path, &gadget(&world, "b", &spec))
            .await?
            .refused(422, "Invalid")?;
        let causes = status["details"]["causes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let expected = json!({ "field": field, "reason": reason });
        ensure!(
            causes
                .iter()
                .any(|cause| crate::world::includes(cause, &expected)),
            "{expected}: {status}"
        );
    }
    let path = format!("{path}/a");
    world
        .merge(&path, &json!({ "spec": { "size": 10 } }))
        .await?
        .refused(422, "Invalid")?;
    let patched = world
        .merge(&path, &json!({ "spec": { "extra": 1 } }))
        .await?
        .expect(200)?;
    claim(
        &patched,
        &json!({
            "spec": { "extra": null }, "metadata": { "resourceVersion": version(&created), "generation": 1 },
        }),
    )
}

async fn definitions_must_be_structural(world: World) -> Outcome {
    let schema = json!({ "type": "object", "properties": { "spec": { "properties": { "size": { "type": "integer" } } } } });
    let status = world
        .post(DEFINITIONS, &definition(&world, &schema))
        .await?
        .refused(422, "Invalid")?;
    let causes = status["details"]["causes"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let field = "spec.validation.openAPIV3Schema.properties[spec].type";
    ensure!(
        causes.iter().any(|cause| cause["field"] == field),
        "{status}"
    );
    Ok(())
}

async fn unknown_fields_are_refused_or_warned_of(world: World) -> Outcome {
    let mut body = config_map("a", &json!({}));
    body["unknown"] = json!(1);
    let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    let status = world
        .post(&strict, &body)
        .await?
        .refused(400, "BadRequest")?;
    let message = status["message"].as_str().unwrap_or("");
    ensure!(message.contains("unknown field \"unknown\""), "{message}");
    let created = world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    claim(&created, &json!({ "unknown": null }))
}

async fn built_in_types_are_decoded(world: World) -> Outcome {
    let mut body = config_map("a", &json!({ "k": 1 }));
    world
        .post(CONFIG_MAPS, &body)
        .await?
        .refused(400, "BadRequest")?;
    body["data"] = json!({ "k": "1", "gone": null });
    body["binaryData"] = Value::Null;
    let created = world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    claim(
        &created,
        &json!({ "binaryData": null, "data": { "k": "1" } }),
    )
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{ns}/deployments";

fn deployment(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "containers": [
                        { "name": "main", "image": "nginx:1", "resources": { "limits": { "cpu": 1 } } },
                        { "name": "side", "image": "envoy:1" },
                    ],
                },
            },
        },
    })
}

async fn strategic_patches_merge_lists_by_key(world: World) -> Outcome {
    let created = world.post(DEPLOYMENTS, &deployment(0)).await?.expect(201)?;
    claim(
        &created["spec"],
        &json!({
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
        }),
    )?;
    claim(
        &created["spec"]["template"]["spec"],
        &json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {},
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
        }),
    )?;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "nginx:2" }] } } } });
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let path = format!("{DEPLOYMENTS}/web");
    let patched = world
        .send("PATCH", &path, &headers, &patch.to_string())
        .await?
        .expect(200)?;
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    claim(
        &containers[0],
        &json!({ "image": "nginx:2", "imagePullPolicy": "IfNotPresent" }),
    )?;
    claim(
        &containers[1],
        &json!({ "name": "side", "image": "envoy:1", "imagePullPolicy": "IfNotPresent" }),
    )?;
    let gadgets = install(&world).await?;
    world
        .post(&gadgets, &gadget(&world, "a", &json!({ "size": 1 })))
        .await?
        .expect(201)?;
    let refused = world
        .send("PATCH", &format!("{gadgets}/a"), &headers, "{}")
        .await?;
    refused.refused(415, "UnsupportedMediaType")?;
    Ok(())
}

async fn apply(
    world: &World,
    path: &str,
    manager: &str,
    force: bool,
    body: &Value,
) -> anyhow::Result<crate::world::Answer> {
    let headers = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{path}?fieldManager={manager}&force={force}");
    world
        .send("PATCH", &path, &headers, &body.to_string())
        .await
}

async fn applied_fields_have_a_manager(world: World) -> Outcome {
    let path = format!("{CONFIG_MAPS}/a");
    apply(
        &world,
        &path,
        "one",
        false,
        &config_map("a", &json!({ "k": "1", "l": "1" })),
    )
    .await?
    .expect(201)?;
    let applied = apply(
        &world,
        &path,
        "one",
        false,
        &config_map("a", &json!({ "k": "1" })),
    )
    .await?
    .expect(200)?;
    // What a manager no longer applies is removed, unless somebody else wants it.
    claim(&applied, &json!({ "data": { "k": "1", "l": null } }))?;
    claim(
        &applied["metadata"]["managedFields"][0],
        &json!({
            "manager": "one", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:data": { "f:k": {} } },
        }),
    )?;
    let again = apply(
        &world,
        &path,
        "one",
        false,
        &config_map("a", &json!({ "k": "1" })),
    )
    .await?
    .expect(200)?;
    ensure!(version(&again) == version(&applied));
    Ok(())
}

async fn applying_over_another_manager_conflicts(world: World) -> Outcome {
    let path = format!("{CONFIG_MAPS}/a");
    apply(
        &world,
        &path,
        "one",
        false,
        &config_map("a", &json!({ "k": "1" })),
    )
    .await?
    .expect(201)?;
    let conflict = apply(
        &world,
        &path,
        "two",
        false,
        &config_map("a", &json!({ "k": "2" })),
    )
    .await?;
    let status = conflict.refused(409, "Conflict")?;
    claim(
        &status["details"]["causes"][0],
        &json!({ "reason": "FieldManagerConflict", "field": ".data.k" }),
    )?;
    let forced = apply(
        &world,
        &path,
        "two",
        true,
        &config_map("a", &json!({ "k": "2" })),
    )
    .await?
    .expect(200)?;
    claim(&forced, &json!({ "data": { "k": "2" } }))
}

async fn applying_creates_what_is_not_there(world: World) -> Outcome {
    let path = install(&world).await?;
    let yaml = format!(
        "apiVersion: {}/v1\nkind: Gadget\nmetadata:\n  name: a\nspec:\n  size: 2\n  parts:\n  - name: x\n",
        group(&world)
    );
    let headers = [("content-type", "application/apply-patch+yaml")];
    let created = world
        .send(
            "PATCH",
            &format!("{path}/a?fieldManager=one"),
            &headers,
            &yaml,
        )
        .await?
        .expect(201)?;
    claim(
        &created,
        &json!({ "spec": { "size": 2, "colour": "red" }, "metadata": { "generation": 1 } }),
    )?;
    let other = gadget(
        &world,
        "a",
        &json!({ "parts": [{ "name": "y", "count": 2 }] }),
    );
    let merged = apply(&world, &format!("{path}/a"), "two", false, &other)
        .await?
        .expect(200)?;
    ensure!(
        merged["spec"]["parts"] == json!([{ "name": "x" }, { "name": "y", "count": 2 }]),
        "{merged}"
    );
    Ok(())
}

async fn apply_options_are_checked(world: World) -> Outcome {
    let headers = [("content-type", "application/apply-patch+yaml")];
    let body = config_map("a", &json!({})).to_string();
    let path = format!("{CONFIG_MAPS}/a");
    world
        .send("PATCH", &path, &headers, &body)
        .await?
        .refused(422, "Invalid")?;
    world.config_map("a", &json!({})).await?;
    let headers = [("content-type", "application/merge-patch+json")];
    world
        .send("PATCH", &format!("{path}?force=true"), &headers, "{}")
        .await?
        .refused(422, "Invalid")?;
    Ok(())
}

async fn tables_show_columns_and_rows(world: World) -> Outcome {
    let accept = [(
        "accept",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )];
    world
        .config_map("a", &json!({ "k": "v", "l": "w" }))
        .await?;
    let query = "fieldSelector=metadata.name%3Da";
    let table = world
        .send("GET", &format!("{CONFIG_MAPS}?{query}"), &accept, "")
        .await?
        .expect(200)?;
    claim(
        &table,
        &json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1" }),
    )?;
    ensure!(table["columnDefinitions"][0]["name"] == "Name", "{table}");
    let row = table["rows"].get(0).context("no row")?;
    ensure!(row["cells"][0] == "a" && row["cells"][1] == 2, "{row}");
    claim(
        &row["object"],
        &json!({ "kind": "PartialObjectMetadata", "data": null, "metadata": { "name": "a" } }),
    )?;
    let path = install(&world).await?;
    world
        .post(&path, &gadget(&world, "a", &json!({ "size": 4 })))
        .await?
        .expect(201)?;
    let table = world.send("GET", &path, &accept, "").await?.expect(200)?;
    ensure!(
        table["columnDefinitions"][1]["name"] == "Size" && table["rows"][0]["cells"][1] == 4,
        "{table}"
    );
    Ok(())
}

async fn openapi_describes_what_is_served(world: World) -> Outcome {
    let index = world
        .send("GET", "/openapi/v3", &JSON, "")
        .await?
        .expect(200)?;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .context("apps/v1")?
        .to_owned();
    let document = world.get(&url).await?.expect(200)?;
    let deployment = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    claim(deployment, &json!({ "type": "object" }))?;
    ensure!(deployment["x-kubernetes-group-version-kind"][0]["kind"] == "Deployment");
    install(&world).await?;
    Ok(())
}
