//! CustomResourceDefinitions and their objects.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{Outcome, World, claim, names, scenarios, version};

scenarios![
    a_definition_is_established_and_served,
    custom_objects_follow_the_rules_of_custom_objects,
    versions_are_served_as_declared,
    bad_definitions_are_refused,
    withdrawing_a_definition_deletes_its_objects,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition in a group of the scenario's own.
fn definition(world: &World, status: bool) -> Value {
    let schema = json!({
        "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    });
    let subresources = if status {
        json!({ "status": {} })
    } else {
        json!({})
    };
    let group = group(world);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget", "shortNames": ["wd"] },
            "versions": [
                { "name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources },
                { "name": "v1beta1", "served": true, "storage": false, "schema": schema, "subresources": subresources },
                { "name": "v1alpha1", "served": false, "storage": false, "schema": schema },
            ],
        },
    })
}

fn group(world: &World) -> String {
    format!("{}.example.com", world.namespace)
}

fn widgets(world: &World, version: &str) -> String {
    format!("/apis/{}/{version}/namespaces/{{ns}}/widgets", group(world))
}

fn widget(world: &World, version: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{}/{version}", group(world)), "kind": "Widget",
        "metadata": { "name": name }, "spec": { "size": 1 },
    })
}

async fn install(world: &World, status: bool) -> Outcome {
    world
        .post(DEFINITIONS, &definition(world, status))
        .await?
        .expect(201)?;
    let path = format!("{DEFINITIONS}/widgets.{}", group(world));
    world
        .until(&path, "established", |answer| {
            let conditions = answer.body["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            conditions
                .iter()
                .any(|c| c["type"] == "Established" && c["status"] == "True")
        })
        .await?;
    world
        .until(&widgets(world, "v1"), "served", |answer| answer.code == 200)
        .await?;
    Ok(())
}

async fn a_definition_is_established_and_served(world: World) -> Outcome {
    world.get(&widgets(&world, "v1")).await?.expect(404)?;
    install(&world, true).await?;
    let path = format!("{DEFINITIONS}/widgets.{}", group(&world));
    let established = world.get(&path).await?.expect(200)?;
    claim(
        &established,
        &json!({
            "metadata": { "generation": 1 },
            "spec": { "names": { "singular": "widget", "listKind": "WidgetList" }, "conversion": { "strategy": "None" } },
            "status": {
                "acceptedNames": { "plural": "widgets", "singular": "widget" },
                "storedVersions": ["v1"],
            },
        }),
    )?;
    let list = world.get(&widgets(&world, "v1")).await?.expect(200)?;
    claim(
        &list,
        &json!({ "kind": "WidgetList", "apiVersion": format!("{}/v1", group(&world)), "items": [] }),
    )
}

async fn custom_objects_follow_the_rules_of_custom_objects(world: World) -> Outcome {
    install(&world, true).await?;
    let path = widgets(&world, "v1");
    let mut body = widget(&world, "v1", "a");
    body["status"] = json!({ "ready": true });
    let created = world.post(&path, &body).await?.expect(201)?;
    claim(
        &created,
        &json!({ "metadata": { "generation": 1 }, "status": null }),
    )?;
    let path = format!("{path}/a");

    let labels = json!({ "metadata": { "labels": { "x": "y" } } });
    let labelled = world.merge(&path, &labels).await?.expect(200)?;
    claim(&labelled, &json!({ "metadata": { "generation": 1 } }))?;
    let other = world
        .merge(&path, &json!({ "spec": { "size": 2 } }))
        .await?
        .expect(200)?;
    claim(&other, &json!({ "metadata": { "generation": 2 } }))?;
    let outside = world
        .merge(&path, &json!({ "extra": 1 }))
        .await?
        .expect(200)?;
    claim(
        &outside,
        &json!({ "metadata": { "generation": 3 }, "extra": 1 }),
    )?;

    let patch = json!({
        "metadata": { "labels": { "other": "z" } }, "spec": { "size": 9 }, "status": { "ready": true },
    });
    let written = world
        .merge(&format!("{path}/status"), &patch)
        .await?
        .expect(200)?;
    claim(
        &written,
        &json!({
            "metadata": { "generation": 3, "labels": { "x": "y", "other": null } },
            "spec": { "size": 2 }, "status": { "ready": true },
        }),
    )?;
    let kept = world
        .merge(&path, &json!({ "status": { "ready": false } }))
        .await?
        .expect(200)?;
    claim(
        &kept,
        &json!({ "status": { "ready": true }, "metadata": { "resourceVersion": version(&written) } }),
    )?;

    let status = world
        .put(&path, &widget(&world, "v1", "a"))
        .await?
        .refused(422, "Invalid")?;
    claim(
        &status["details"]["causes"][0],
        &json!({ "field": "metadata.resourceVersion" }),
    )?;
    let list = world.get(&widgets(&world, "v1")).await?.expect(200)?;
    // Items of custom lists do repeat their type.
    claim(&list["items"][0], &json!({ "kind": "Widget" }))
}

async fn versions_are_served_as_declared(world: World) -> Outcome {
    install(&world, false).await?;
    world
        .post(&widgets(&world, "v1beta1"), &widget(&world, "v1beta1", "a"))
        .await?
        .expect(201)?;
    let read = world
        .get(&format!("{}/a", widgets(&world, "v1")))
        .await?
        .expect(200)?;
    claim(
        &read,
        &json!({ "apiVersion": format!("{}/v1", group(&world)), "spec": { "size": 1 } }),
    )?;
    let list = world.get(&widgets(&world, "v1beta1")).await?.expect(200)?;
    claim(
        &list["items"][0],
        &json!({ "apiVersion": format!("{}/v1beta1", group(&world)) }),
    )?;
    world.get(&widgets(&world, "v1alpha1")).await?.expect(404)?;
    world
        .get(&format!("{}/a/status", widgets(&world, "v1")))
        .await?
        .expect(404)?;
    let wrong = world
        .post(&widgets(&world, "v1"), &widget(&world, "v1beta1", "b"))
        .await?;
    wrong.refused(400, "BadRequest")?;
    // Without the subresource the status is a field like any other.
    let path = format!("{}/a", widgets(&world, "v1"));
    let written = world
        .merge(&path, &json!({ "status": { "x": 1 } }))
        .await?
        .expect(200)?;
    claim(
        &written,
        &json!({ "status": { "x": 1 }, "metadata": { "generation": 2 } }),
    )
}

async fn bad_definitions_are_refused(world: World) -> Outcome {
    let good = definition(&world, false);
    for (pointer, value, field) in [
        (
            "/metadata/name",
            json!("other.example.com"),
            "metadata.name",
        ),
        ("/spec/scope", json!("Everywhere"), "spec.scope"),
        ("/spec/versions/0/storage", json!(false), "spec.versions"),
        (
            "/spec/versions/0/schema",
            Value::Null,
            "spec.versions[0].schema.openAPIV3Schema",
        ),
    ] {
        let mut bad = good.clone();
        if let Some(place) = bad.pointer_mut(pointer) {
            *place = value;
        }
        let status = world
            .post(DEFINITIONS, &bad)
            .await?
            .refused(422, "Invalid")?;
        let causes = status["details"]["causes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(
            causes.iter().any(|cause| cause["field"] == field),
            "{field}: {status}"
        );
    }
    Ok(())
}

async fn withdrawing_a_definition_deletes_its_objects(world: World) -> Outcome {
    install(&world, false).await?;
    let path = widgets(&world, "v1");
    let mut held = widget(&world, "v1", "held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let created = world.post(&path, &held).await?.expect(201)?;
    world
        .post(&path, &widget(&world, "v1", "free"))
        .await?
        .expect(201)?;
    let mut events = world
        .watch(
            &format!("{path}?watch=1&resourceVersion={}", version(&created)),
            &[],
        )
        .await?;
    let definition = format!("{DEFINITIONS}/widgets.{}", group(&world));
    world.delete(&definition, &json!({})).await?.expect(200)?;
    events.expect(&["ADDED free"]).await?;
    let list = world
        .until(&path, "only held is left, and marked", |answer| {
            let held = &answer.body["items"][0]["metadata"];
            names(&answer.body) == ["held"] && !held["deletionTimestamp"].is_null()
        })
        .await?;
    claim(
        &list.body["items"][0]["metadata"],
        &json!({ "deletionGracePeriodSeconds": 0 }),
    )?;
    let refused = world.post(&path, &widget(&world, "v1", "late")).await?;
    refused.refused(403, "Forbidden")?;
    world
        .merge(
            &format!("{path}/held"),
            &json!({ "metadata": { "finalizers": null } }),
        )
        .await?
        .expect(200)?;
    world
        .until(&definition, "gone", |answer| answer.code == 404)
        .await?;
    world
        .until(&path, "gone", |answer| answer.code == 404)
        .await?;
    Ok(())
}
