//! DELETE, finalizers and preconditions.

use anyhow::ensure;
use serde_json::json;

use crate::world::{CONFIG_MAPS, Outcome, World, claim, config_map, scenarios, text, version};

scenarios![
    deletion_answers_with_a_status,
    finalizers_hold_an_object,
    preconditions_guard_a_deletion,
    a_deleted_object_takes_no_new_finalizers,
    bad_delete_options_are_refused,
];

async fn deletion_answers_with_a_status(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let path = format!("{CONFIG_MAPS}/a");
    let status = world.delete(&path, &json!({})).await?.expect(200)?;
    claim(
        &status,
        &json!({
            "kind": "Status", "status": "Success",
            "details": { "name": "a", "kind": "configmaps", "uid": text(&created, "/metadata/uid") },
        }),
    )?;
    world
        .delete(&path, &json!({}))
        .await?
        .refused(404, "NotFound")?;
    Ok(())
}

async fn finalizers_hold_an_object(world: World) -> Outcome {
    let mut body = config_map("a", &json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    let path = format!("{CONFIG_MAPS}/a");
    let marked = world.delete(&path, &json!({})).await?.expect(200)?;
    claim(
        &marked,
        &json!({ "kind": "ConfigMap", "metadata": { "deletionGracePeriodSeconds": 0 } }),
    )?;
    ensure!(!text(&marked, "/metadata/deletionTimestamp").is_empty());
    // A second deletion and an ordinary update change nothing about it.
    let again = world.delete(&path, &json!({})).await?.expect(200)?;
    ensure!(version(&again) == version(&marked));
    let kept = world
        .merge(&path, &json!({ "metadata": { "deletionTimestamp": null } }))
        .await?
        .expect(200)?;
    ensure!(!text(&kept, "/metadata/deletionTimestamp").is_empty());
    world
        .merge(&path, &json!({ "metadata": { "finalizers": null } }))
        .await?
        .expect(200)?;
    world.get(&path).await?.refused(404, "NotFound")?;
    Ok(())
}

async fn preconditions_guard_a_deletion(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let path = format!("{CONFIG_MAPS}/a");
    let other = json!({ "preconditions": { "uid": "11111111-1111-4111-8111-111111111111" } });
    world
        .delete(&path, &other)
        .await?
        .refused(409, "Conflict")?;
    let old = json!({ "preconditions": { "resourceVersion": "1" } });
    world.delete(&path, &old).await?.refused(409, "Conflict")?;
    let right = json!({
        "preconditions": { "uid": text(&created, "/metadata/uid"), "resourceVersion": version(&created) },
    });
    world.delete(&path, &right).await?.expect(200)?;
    Ok(())
}

async fn a_deleted_object_takes_no_new_finalizers(world: World) -> Outcome {
    let mut body = config_map("a", &json!({}));
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    let path = format!("{CONFIG_MAPS}/a");
    world.delete(&path, &json!({})).await?.expect(200)?;
    let patch = json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } });
    let status = world.merge(&path, &patch).await?.refused(422, "Invalid")?;
    claim(
        &status["details"]["causes"][0],
        &json!({
            "reason": "FieldValueForbidden", "field": "metadata.finalizers",
        }),
    )?;
    world
        .merge(&path, &json!({ "metadata": { "finalizers": [] } }))
        .await?
        .expect(200)?;
    Ok(())
}

async fn bad_delete_options_are_refused(world: World) -> Outcome {
    world.config_map("a", &json!({})).await?;
    let path = format!("{CONFIG_MAPS}/a");
    let options = json!({ "propagationPolicy": "Sideways" });
    world
        .delete(&path, &options)
        .await?
        .refused(422, "Invalid")?;
    let options = json!({ "propagationPolicy": "Orphan", "orphanDependents": true });
    world
        .delete(&path, &options)
        .await?
        .refused(422, "Invalid")?;
    Ok(())
}
