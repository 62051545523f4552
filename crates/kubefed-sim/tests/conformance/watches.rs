//! Watches.

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::world::{CONFIG_MAPS, Outcome, World, claim, config_map, scenarios, text, version};

scenarios![
    a_watch_shows_changes_after_its_version,
    a_watch_without_version_begins_with_what_is_there,
    objects_enter_and_leave_a_selection,
    a_watch_ends_after_its_timeout,
    a_metadata_watch_carries_no_more,
    a_streaming_list_says_where_it_ends,
    one_object_can_be_watched,
    a_deleted_object_carries_the_version_of_its_deletion,
];

fn watch(query: &str) -> String {
    format!("{CONFIG_MAPS}?watch=1&{query}")
}

async fn a_watch_shows_changes_after_its_version(world: World) -> Outcome {
    let first = world.config_map("a", &json!({})).await?;
    let since = version(&first);
    world.config_map("b", &json!({})).await?;
    let mut events = world
        .watch(&watch(&format!("resourceVersion={since}")), &[])
        .await?;
    events.expect(&["ADDED b"]).await?;
    world
        .merge(
            &format!("{CONFIG_MAPS}/a"),
            &json!({ "data": { "k": "v" } }),
        )
        .await?
        .expect(200)?;
    world
        .delete(&format!("{CONFIG_MAPS}/b"), &json!({}))
        .await?
        .expect(200)?;
    world.config_map("c", &json!({})).await?;
    events.expect(&["MODIFIED a", "DELETED b", "ADDED c"]).await
}

async fn a_watch_without_version_begins_with_what_is_there(world: World) -> Outcome {
    for name in ["a", "b"] {
        let mut body = config_map(name, &json!({}));
        body["metadata"]["labels"] = json!({ "mine": "yes" });
        world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    }
    for query in ["labelSelector=mine", "labelSelector=mine&resourceVersion=0"] {
        let mut events = world.watch(&watch(query), &[]).await?;
        events.expect(&["ADDED a", "ADDED b"]).await?;
    }
    Ok(())
}

async fn objects_enter_and_leave_a_selection(world: World) -> Outcome {
    let created = world.config_map("a", &json!({ "k": "1" })).await?;
    let query = format!(
        "labelSelector=app%3Dweb&resourceVersion={}",
        version(&created)
    );
    let mut events = world.watch(&watch(&query), &[]).await?;
    let path = format!("{CONFIG_MAPS}/a");
    world
        .merge(
            &path,
            &json!({ "metadata": { "labels": { "app": "web" } } }),
        )
        .await?
        .expect(200)?;
    world
        .merge(&path, &json!({ "data": { "k": "2" } }))
        .await?
        .expect(200)?;
    let left = world
        .merge(
            &path,
            &json!({ "metadata": { "labels": { "app": "db" } }, "data": { "k": "3" } }),
        )
        .await?;
    let left = left.expect(200)?;
    events.expect(&["ADDED a", "MODIFIED a"]).await?;
    // What left the selection is shown as it last was in it, at the version at which it left.
    let event = events.next().await?.context("the watch ended")?;
    claim(
        &event,
        &json!({
            "type": "DELETED",
            "object": { "data": { "k": "2" }, "metadata": { "labels": { "app": "web" }, "resourceVersion": version(&left) } },
        }),
    )?;
    world
        .merge(&path, &json!({ "data": { "k": "4" } }))
        .await?
        .expect(200)?;
    world
        .merge(
            &path,
            &json!({ "metadata": { "labels": { "app": "web" } } }),
        )
        .await?
        .expect(200)?;
    events.expect(&["ADDED a"]).await
}

async fn a_watch_ends_after_its_timeout(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let query = format!(
        "labelSelector=none&timeoutSeconds=3&resourceVersion={}",
        version(&created)
    );
    let start = tokio::time::Instant::now();
    let mut events = world.watch(&watch(&query), &[]).await?;
    ensure!(events.next().await?.is_none());
    let held = start.elapsed().as_secs_f64();
    ensure!((2.5..5.0).contains(&held), "held for {held} s");
    Ok(())
}

async fn a_metadata_watch_carries_no_more(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let query = format!("resourceVersion={}", version(&created));
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut events = world.watch(&watch(&query), &[("accept", accept)]).await?;
    world.config_map("b", &json!({ "k": "v" })).await?;
    let event = events.next().await?.context("the watch ended")?;
    claim(
        &event,
        &json!({
            "type": "ADDED",
            "object": {
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "data": null, "metadata": { "name": "b" },
            },
        }),
    )
}

async fn a_streaming_list_says_where_it_ends(world: World) -> Outcome {
    for name in ["a", "b"] {
        let mut body = config_map(name, &json!({}));
        body["metadata"]["labels"] = json!({ "mine": "yes" });
        world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    }
    let query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=mine";
    let mut events = world.watch(&watch(query), &[]).await?;
    events.expect(&["ADDED a", "ADDED b"]).await?;
    let end = events.next().await?.context("the watch ended")?;
    claim(
        &end,
        &json!({
            "type": "BOOKMARK",
            "object": { "kind": "ConfigMap", "metadata": { "annotations": { "k8s.io/initial-events-end": "true" } } },
        }),
    )?;
    ensure!(text(&end, "/object/metadata/resourceVersion").parse::<u64>()? > 0);
    let mut body = config_map("c", &json!({}));
    body["metadata"]["labels"] = json!({ "mine": "yes" });
    world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    events.expect(&["ADDED c"]).await
}

async fn one_object_can_be_watched(world: World) -> Outcome {
    let created = world.config_map("a", &json!({})).await?;
    let query = format!(
        "fieldSelector=metadata.name%3Db&resourceVersion={}",
        version(&created)
    );
    let mut events = world.watch(&watch(&query), &[]).await?;
    for name in ["c", "b"] {
        world.config_map(name, &json!({})).await?;
    }
    events.expect(&["ADDED b"]).await
}

async fn a_deleted_object_carries_the_version_of_its_deletion(world: World) -> Outcome {
    let created = world.config_map("a", &json!({ "k": "v" })).await?;
    let mut events = world
        .watch(
            &watch(&format!("resourceVersion={}", version(&created))),
            &[],
        )
        .await?;
    world
        .delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await?
        .expect(200)?;
    let event = events.next().await?.context("the watch ended")?;
    claim(
        &event,
        &json!({ "type": "DELETED", "object": { "data": { "k": "v" } } }),
    )?;
    let deleted = text(&event, "/object/metadata/resourceVersion").parse::<u64>()?;
    ensure!(deleted > version(&created).parse::<u64>()?);
    Ok(())
}
