//! DELETE, finalizers and preconditions.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, Outcome, World, claim, config_map, scenarios, text, version};

scenarios![
    deletion_answers_with_a_status,
    finalizers_hold_an_object,
    preconditions_guard_a_deletion,
    a_deleted_object_takes_no_new_finalizers,
    bad_delete_options_are_refused,
    dependents_follow_their_owner,
    orphans_survive_their_owner,
    an_owner_in_the_foreground_waits_for_its_dependents,
    one_remaining_owner_is_enough,
    a_dependent_of_nobody_is_collected,
    a_namespace_is_emptied_and_goes,
    a_namespace_takes_nothing_new_while_it_goes,
    every_namespace_has_a_default_account,
    a_token_secret_is_filled_and_goes_with_its_account,
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

/// A ConfigMap owned by others, each of which waits for it when deleted in the foreground.
async fn dependent(world: &World, name: &str, owners: &[&Value]) -> anyhow::Result<Value> {
    let mut body = config_map(name, &json!({}));
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
            })
        })
        .collect();
    body["metadata"]["ownerReferences"] = json!(owners);
    world.post(CONFIG_MAPS, &body).await?.expect(201)
}

async fn gone(world: &World, path: &str) -> Outcome {
    world
        .until(path, "gone", |answer| answer.code == 404)
        .await?;
    Ok(())
}

async fn dependents_follow_their_owner(world: World) -> Outcome {
    let owner = world.config_map("owner", &json!({})).await?;
    let middle = dependent(&world, "middle", &[&owner]).await?;
    dependent(&world, "leaf", &[&middle]).await?;
    let options = json!({ "propagationPolicy": "Background" });
    world
        .delete(&format!("{CONFIG_MAPS}/owner"), &options)
        .await?
        .expect(200)?;
    gone(&world, &format!("{CONFIG_MAPS}/middle")).await?;
    gone(&world, &format!("{CONFIG_MAPS}/leaf")).await
}

async fn orphans_survive_their_owner(world: World) -> Outcome {
    let owner = world.config_map("owner", &json!({})).await?;
    dependent(&world, "leaf", &[&owner]).await?;
    let path = format!("{CONFIG_MAPS}/owner");
    let marked = world
        .delete(&path, &json!({ "propagationPolicy": "Orphan" }))
        .await?
        .expect(200)?;
    claim(
        &marked,
        &json!({ "metadata": { "finalizers": ["orphan"] } }),
    )?;
    gone(&world, &path).await?;
    let leaf = world
        .get(&format!("{CONFIG_MAPS}/leaf"))
        .await?
        .expect(200)?;
    claim(
        &leaf,
        &json!({ "metadata": { "ownerReferences": null, "deletionTimestamp": null } }),
    )
}

async fn an_owner_in_the_foreground_waits_for_its_dependents(world: World) -> Outcome {
    let owner = world.config_map("owner", &json!({})).await?;
    dependent(&world, "leaf", &[&owner]).await?;
    let (owner, leaf) = (
        format!("{CONFIG_MAPS}/owner"),
        format!("{CONFIG_MAPS}/leaf"),
    );
    let hold = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    world.merge(&leaf, &hold).await?.expect(200)?;
    let marked = world
        .delete(&owner, &json!({ "propagationPolicy": "Foreground" }))
        .await?
        .expect(200)?;
    claim(
        &marked,
        &json!({ "metadata": { "finalizers": ["foregroundDeletion"] } }),
    )?;
    let deleting =
        |answer: &crate::world::Answer| answer.body["metadata"]["deletionTimestamp"].is_string();
    world.until(&leaf, "being deleted", deleting).await?;
    world.get(&owner).await?.expect(200)?;
    world
        .merge(&leaf, &json!({ "metadata": { "finalizers": null } }))
        .await?
        .expect(200)?;
    gone(&world, &owner).await?;
    gone(&world, &leaf).await
}

async fn one_remaining_owner_is_enough(world: World) -> Outcome {
    let first = world.config_map("first", &json!({})).await?;
    let second = world.config_map("second", &json!({})).await?;
    dependent(&world, "leaf", &[&first, &second]).await?;
    world
        .delete(&format!("{CONFIG_MAPS}/first"), &json!({}))
        .await?
        .expect(200)?;
    let path = format!("{CONFIG_MAPS}/leaf");
    world
        .until(&path, "released by the first", |answer| {
            let owners = answer.body["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.len() == 1 && owners[0]["name"] == "second")
        })
        .await?;
    world
        .delete(&format!("{CONFIG_MAPS}/second"), &json!({}))
        .await?
        .expect(200)?;
    gone(&world, &path).await
}

async fn a_dependent_of_nobody_is_collected(world: World) -> Outcome {
    let stranger = json!({
        "metadata": { "name": "stranger", "uid": "11111111-1111-4111-8111-111111111111" },
    });
    dependent(&world, "leaf", &[&stranger]).await?;
    gone(&world, &format!("{CONFIG_MAPS}/leaf")).await
}

const NAMESPACE: &str = "/api/v1/namespaces/{ns}";

async fn a_namespace_is_emptied_and_goes(world: World) -> Outcome {
    let namespace = world.get(NAMESPACE).await?.expect(200)?;
    claim(
        &namespace,
        &json!({
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
            "metadata": { "labels": { "kubernetes.io/metadata.name": world.namespace } },
        }),
    )?;
    let mut held = config_map("held", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(CONFIG_MAPS, &held).await?.expect(201)?;
    world.config_map("free", &json!({})).await?;
    let marked = world.delete(NAMESPACE, &json!({})).await?.expect(200)?;
    claim(
        &marked,
        &json!({ "kind": "Namespace", "status": { "phase": "Terminating" } }),
    )?;
    gone(&world, &format!("{CONFIG_MAPS}/free")).await?;
    world
        .until(NAMESPACE, "saying what holds it", |answer| {
            let conditions = answer.body["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            conditions
                .iter()
                .any(|c| c["type"] == "NamespaceFinalizersRemaining" && c["status"] == "True")
        })
        .await?;
    let path = format!("{CONFIG_MAPS}/held");
    world
        .merge(&path, &json!({ "metadata": { "finalizers": null } }))
        .await?
        .expect(200)?;
    gone(&world, NAMESPACE).await
}

async fn a_namespace_takes_nothing_new_while_it_goes(world: World) -> Outcome {
    let mut held = config_map("held", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(CONFIG_MAPS, &held).await?.expect(201)?;
    world.delete(NAMESPACE, &json!({})).await?.expect(200)?;
    let status = world
        .post(CONFIG_MAPS, &config_map("late", &json!({})))
        .await?
        .refused(403, "Forbidden")?;
    claim(
        &status["details"]["causes"][0],
        &json!({ "reason": "NamespaceTerminating" }),
    )?;
    let path = format!("{CONFIG_MAPS}/held");
    world
        .merge(&path, &json!({ "data": { "still": "writable" } }))
        .await?
        .expect(200)?;
    world
        .merge(&path, &json!({ "metadata": { "finalizers": null } }))
        .await?
        .expect(200)?;
    gone(&world, NAMESPACE).await
}

async fn every_namespace_has_a_default_account(world: World) -> Outcome {
    let path = "/api/v1/namespaces/{ns}/serviceaccounts/default";
    world
        .until(path, "there", |answer| answer.code == 200)
        .await?;
    world.delete(path, &json!({})).await?.expect(200)?;
    world
        .until(path, "there again", |answer| answer.code == 200)
        .await?;
    Ok(())
}

async fn a_token_secret_is_filled_and_goes_with_its_account(world: World) -> Outcome {
    let accounts = "/api/v1/namespaces/{ns}/serviceaccounts";
    let body =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "robot" } });
    world.post(accounts, &body).await?.expect(201)?;
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": { "name": "token", "annotations": { "kubernetes.io/service-account.name": "robot" } },
    });
    world
        .post("/api/v1/namespaces/{ns}/secrets", &body)
        .await?
        .expect(201)?;
    let path = "/api/v1/namespaces/{ns}/secrets/token";
    let filled = |answer: &crate::world::Answer| {
        ["token", "ca.crt", "namespace"]
            .iter()
            .all(|key| answer.body["data"][key].is_string())
    };
    world.until(path, "filled", filled).await?;
    world
        .delete(&format!("{accounts}/robot"), &json!({}))
        .await?
        .expect(200)?;
    gone(&world, path).await
}
