//! PATCH.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, Outcome, World, claim, scenarios, version};

scenarios![
    merge_patches_merge,
    json_patches_apply_in_order,
    a_test_of_an_absent_path_against_null_succeeds,
    broken_patches_change_nothing,
    a_patch_may_name_the_version_it_expects,
    a_patch_of_nothing_is_not_found,
];

async fn merge_patches_merge(world: World) -> Outcome {
    world
        .config_map("a", &json!({ "k": "1", "l": "2" }))
        .await?;
    let patch = json!({ "data": { "k": null, "m": "3" }, "metadata": { "labels": { "x": "y" } } });
    let patched = world
        .merge(&format!("{CONFIG_MAPS}/a"), &patch)
        .await?
        .expect(200)?;
    ensure!(
        patched["data"] == json!({ "l": "2", "m": "3" }),
        "{patched}"
    );
    claim(&patched, &json!({ "metadata": { "labels": { "x": "y" } } }))
}

async fn json_patches_apply_in_order(world: World) -> Outcome {
    world.config_map("a", &json!({ "k": "1" })).await?;
    let patch = json!([
        { "op": "test", "path": "/data/k", "value": "1" },
        { "op": "replace", "path": "/data/k", "value": "2" },
        { "op": "copy", "from": "/data/k", "path": "/data/l" },
        { "op": "add", "path": "/metadata/labels", "value": { "a": "b" } },
        { "op": "add", "path": "/metadata/labels/x~1y", "value": "c" },
        { "op": "remove", "path": "/data/k" },
    ]);
    let patched = world
        .json_patch(&format!("{CONFIG_MAPS}/a"), &patch)
        .await?
        .expect(200)?;
    claim(
        &patched,
        &json!({ "metadata": { "labels": { "a": "b", "x/y": "c" } } }),
    )?;
    ensure!(patched["data"] == json!({ "l": "2" }), "{patched}");
    Ok(())
}

async fn a_test_of_an_absent_path_against_null_succeeds(world: World) -> Outcome {
    world.config_map("a", &json!({})).await?;
    let patch = json!([
        { "op": "test", "path": "/metadata/finalizers", "value": null },
        { "op": "add", "path": "/metadata/finalizers", "value": ["example.com/hold"] },
    ]);
    let path = format!("{CONFIG_MAPS}/a");
    let patched = world.json_patch(&path, &patch).await?.expect(200)?;
    claim(
        &patched,
        &json!({ "metadata": { "finalizers": ["example.com/hold"] } }),
    )?;
    world
        .json_patch(&path, &patch)
        .await?
        .refused(422, "Invalid")?;
    world
        .merge(&path, &json!({ "metadata": { "finalizers": null } }))
        .await?
        .expect(200)?;
    Ok(())
}

async fn broken_patches_change_nothing(world: World) -> Outcome {
    let created = world.config_map("a", &json!({ "k": "1" })).await?;
    let path = format!("{CONFIG_MAPS}/a");
    let many: Vec<Value> = (0..10_001)
        .map(|_| json!({ "op": "test", "path": "/data/k", "value": "1" }))
        .collect();
    for (patch, code, reason) in [
        (
            json!([{ "op": "test", "path": "/data/k", "value": "2" }]),
            422,
            "Invalid",
        ),
        (
            json!([{ "op": "remove", "path": "/data/absent" }]),
            422,
            "Invalid",
        ),
        (
            json!([{ "op": "add", "path": "/data/x", "value": "1" }, { "op": "remove", "path": "/none" }]),
            422,
            "Invalid",
        ),
        (json!({ "op": "remove" }), 400, "BadRequest"),
        (json!(many), 413, "RequestEntityTooLarge"),
        (
            json!([{ "op": "replace", "path": "/metadata/name", "value": "b" }]),
            400,
            "BadRequest",
        ),
    ] {
        world
            .json_patch(&path, &patch)
            .await?
            .refused(code, reason)?;
    }
    let headers = [("content-type", "application/merge-patch+json")];
    world
        .send("PATCH", &path, &headers, "{")
        .await?
        .refused(400, "BadRequest")?;
    let read = world.get(&path).await?.expect(200)?;
    ensure!(read == created);
    Ok(())
}

async fn a_patch_may_name_the_version_it_expects(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let path = format!("{CONFIG_MAPS}/a");
    let patch =
        json!({ "metadata": { "resourceVersion": version(&created) }, "data": { "k": "1" } });
    world.merge(&path, &patch).await?.expect(200)?;
    world.merge(&path, &patch).await?.refused(409, "Conflict")?;
    Ok(())
}

async fn a_patch_of_nothing_is_not_found(world: World) -> Outcome {
    world
        .merge(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await?
        .refused(404, "NotFound")?;
    Ok(())
}
