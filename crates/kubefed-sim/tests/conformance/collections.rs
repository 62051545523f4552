//! Lists: selectors, pages, resource versions, metadata only.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, Outcome, World, claim, config_map, names, scenarios, version};

scenarios![
    a_list_is_sorted_and_typed,
    selectors_narrow_a_list,
    bad_selectors_are_refused,
    pages_show_one_snapshot,
    any_page_size_shows_everything_once,
    versions_in_lists_are_honoured,
    list_options_are_checked,
    metadata_only_answers_carry_no_more,
    a_collection_is_deleted_by_selector,
];

async fn fill(world: &World) -> Outcome {
    for (name, labels) in [
        ("c", json!({ "app": "web" })),
        ("a", json!({ "app": "web", "tier": "front" })),
        ("b", json!({ "app": "db" })),
        ("e", json!({})),
        ("d", json!({ "app": "web" })),
    ] {
        let mut body = config_map(name, &json!({ "k": name }));
        body["metadata"]["labels"] = labels;
        world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    }
    Ok(())
}

/// Objects that a server makes in every namespace of its own accord are not counted.
fn own(list: &Value) -> Vec<&str> {
    names(list)
        .into_iter()
        .filter(|name| name.len() == 1)
        .collect()
}

async fn a_list_is_sorted_and_typed(world: World) -> Outcome {
    fill(&world).await?;
    let list = world.get(CONFIG_MAPS).await?.expect(200)?;
    claim(
        &list,
        &json!({ "kind": "ConfigMapList", "apiVersion": "v1" }),
    )?;
    ensure!(own(&list) == ["a", "b", "c", "d", "e"], "{list}");
    // Items of built-in lists do not repeat their type.
    claim(
        &list["items"][0],
        &json!({ "kind": null, "apiVersion": null, "data": { "k": "a" } }),
    )?;
    let all = world
        .get("/api/v1/configmaps?fieldSelector=metadata.namespace%3D{ns}")
        .await?
        .expect(200)?;
    ensure!(own(&all) == ["a", "b", "c", "d", "e"]);
    Ok(())
}

async fn selectors_narrow_a_list(world: World) -> Outcome {
    fill(&world).await?;
    for (query, expected) in [
        ("labelSelector=app%3Dweb", vec!["a", "c", "d"]),
        ("labelSelector=app%3Dweb,tier", vec!["a"]),
        (
            "labelSelector=app%20in%20(db,web),!tier",
            vec!["b", "c", "d"],
        ),
        ("labelSelector=app%21%3Dweb", vec!["b", "e"]),
        ("labelSelector=app%20notin%20(web)", vec!["b", "e"]),
        ("fieldSelector=metadata.name%3Dc", vec!["c"]),
        (
            "fieldSelector=metadata.name%21%3Dc&labelSelector=app%3Dweb",
            vec!["a", "d"],
        ),
    ] {
        let list = world
            .get(&format!("{CONFIG_MAPS}?{query}"))
            .await?
            .expect(200)?;
        ensure!(own(&list) == expected, "{query}: {:?}", names(&list));
    }
    Ok(())
}

async fn bad_selectors_are_refused(world: World) -> Outcome {
    for query in [
        "labelSelector=a%20b",
        "fieldSelector=data.k%3Da",
        "labelSelector=a%20in%20(b",
        "limit=x",
    ] {
        world
            .get(&format!("{CONFIG_MAPS}?{query}"))
            .await?
            .refused(400, "BadRequest")?;
    }
    Ok(())
}

async fn pages_show_one_snapshot(world: World) -> Outcome {
    fill(&world).await?;
    let select = "labelSelector=app";
    let first = world
        .get(&format!("{CONFIG_MAPS}?limit=2&{select}"))
        .await?
        .expect(200)?;
    ensure!(names(&first) == ["a", "b"]);
    // Writes between the pages are not seen by them.
    world
        .delete(&format!("{CONFIG_MAPS}/c"), &json!({}))
        .await?
        .expect(200)?;
    let mut late = config_map("bb", &json!({}));
    late["metadata"]["labels"] = json!({ "app": "late" });
    world.post(CONFIG_MAPS, &late).await?.expect(201)?;
    world
        .merge(
            &format!("{CONFIG_MAPS}/d"),
            &json!({ "data": { "k": "new" } }),
        )
        .await?
        .expect(200)?;
    let token = first["metadata"]["continue"].as_str().unwrap_or("");
    let rest = world
        .get(&format!("{CONFIG_MAPS}?limit=9&{select}&continue={token}"))
        .await?
        .expect(200)?;
    ensure!(names(&rest) == ["c", "d"], "{rest}");
    claim(&rest["items"][1], &json!({ "data": { "k": "d" } }))?;
    claim(
        &rest,
        &json!({ "metadata": { "continue": null, "resourceVersion": version(&first) } }),
    )?;
    world
        .get(&format!("{CONFIG_MAPS}?continue=nonsense"))
        .await?
        .refused(400, "BadRequest")?;
    Ok(())
}

async fn any_page_size_shows_everything_once(world: World) -> Outcome {
    fill(&world).await?;
    let whole = world.get(CONFIG_MAPS).await?.expect(200)?;
    let total = names(&whole).len();
    for size in 1..=total + 1 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = world
                .get(&format!("{CONFIG_MAPS}?limit={size}&continue={token}"))
                .await?
                .expect(200)?;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let left = page["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
            ensure!(
                seen.len() as u64 + left == total as u64,
                "size {size}: {page}"
            );
            token = page["metadata"]["continue"]
                .as_str()
                .unwrap_or("")
                .to_owned();
            if token.is_empty() {
                break;
            }
        }
        ensure!(seen == names(&whole), "size {size}: {seen:?}");
    }
    Ok(())
}

async fn versions_in_lists_are_honoured(world: World) -> Outcome {
    fill(&world).await?;
    let before = world.get(CONFIG_MAPS).await?.expect(200)?;
    world
        .delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await?
        .expect(200)?;
    let old = version(&before);
    let list = async |query: &str| world.get(&format!("{CONFIG_MAPS}?{query}")).await;
    let exact = list(&format!("resourceVersion={old}&resourceVersionMatch=Exact"))
        .await?
        .expect(200)?;
    ensure!(
        own(&exact).contains(&"a") && version(&exact) == old,
        "{exact}"
    );
    let fresh = list(&format!(
        "resourceVersion={old}&resourceVersionMatch=NotOlderThan"
    ))
    .await?
    .expect(200)?;
    ensure!(version(&fresh).parse::<u64>()? >= old.parse::<u64>()?);
    list("resourceVersion=0").await?.expect(200)?;
    let future = list("resourceVersion=999999999")
        .await?
        .refused(504, "Timeout")?;
    claim(
        &future["details"]["causes"][0],
        &json!({ "reason": "ResourceVersionTooLarge" }),
    )?;
    Ok(())
}

async fn list_options_are_checked(world: World) -> Outcome {
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Roughly",
        "sendInitialEvents=true",
        "watch=1&sendInitialEvents=true",
        "watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan",
    ] {
        world
            .get(&format!("{CONFIG_MAPS}?{query}"))
            .await?
            .refused(422, "Invalid")?;
    }
    Ok(())
}

async fn metadata_only_answers_carry_no_more(world: World) -> Outcome {
    fill(&world).await?;
    let accept = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
    let list = accept("PartialObjectMetadataList");
    let list = world
        .send(
            "GET",
            &format!("{CONFIG_MAPS}?limit=1"),
            &[("accept", &list)],
            "",
        )
        .await?
        .expect(200)?;
    claim(
        &list,
        &json!({ "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1" }),
    )?;
    claim(
        &list["items"][0],
        &json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "data": null,
            "metadata": { "name": "a", "labels": { "app": "web" } },
        }),
    )?;
    let one = accept("PartialObjectMetadata");
    let one = world
        .send("GET", &format!("{CONFIG_MAPS}/a"), &[("accept", &one)], "")
        .await?
        .expect(200)?;
    claim(
        &one,
        &json!({ "kind": "PartialObjectMetadata", "data": null, "metadata": { "name": "a" } }),
    )
}

async fn a_collection_is_deleted_by_selector(world: World) -> Outcome {
    fill(&world).await?;
    world
        .delete(
            &format!("{CONFIG_MAPS}?labelSelector=app%3Dweb"),
            &json!({}),
        )
        .await?
        .expect(200)?;
    let left = world.get(CONFIG_MAPS).await?.expect(200)?;
    ensure!(own(&left) == ["b", "e"], "{left}");
    Ok(())
}
