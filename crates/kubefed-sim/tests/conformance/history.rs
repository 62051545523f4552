//! What a server has forgotten, and who may not ask: scenarios that change their server, and so have one
//! of their own.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, Outcome, World, claim, scenarios, text, version};

scenarios![
    what_was_forgotten_is_gone,
    strangers_are_turned_away,
    bodies_may_be_too_large,
];

async fn what_was_forgotten_is_gone(world: World) -> Outcome {
    for name in ["a", "b", "c"] {
        world.config_map(name, &json!({ "k": "1" })).await?;
    }
    let page = world
        .get(&format!("{CONFIG_MAPS}?limit=1"))
        .await?
        .expect(200)?;
    let (old, token) = (version(&page), text(&page, "/metadata/continue"));
    world
        .merge(
            &format!("{CONFIG_MAPS}/c"),
            &json!({ "data": { "k": "2" } }),
        )
        .await?
        .expect(200)?;
    world.forget().await?;

    let exact = format!("{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact");
    world.get(&exact).await?.refused(410, "Expired")?;
    for query in ["limit=9&resourceVersion=", "resourceVersion=0&x=", "x="] {
        let code = world
            .get(&format!("{CONFIG_MAPS}?{query}{old}"))
            .await?
            .code;
        let expected = if query.starts_with("limit") { 410 } else { 200 };
        ensure!(code == expected, "{query}: {code}");
    }
    let newer = format!("{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=NotOlderThan");
    world.get(&newer).await?.expect(200)?;

    // The rest of a list is offered as it is now.
    let gone = world
        .get(&format!("{CONFIG_MAPS}?limit=1&continue={token}"))
        .await?
        .refused(410, "Expired")?;
    let message = text(&gone, "/message");
    ensure!(
        message.starts_with(
            "The provided continue parameter is too old to display a consistent list result."
        ),
        "{message}"
    );
    let token = text(&gone, "/metadata/continue");
    let rest = world
        .get(&format!("{CONFIG_MAPS}?continue={token}"))
        .await?
        .expect(200)?;
    let rest: Vec<&str> = rest["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| text(item, "/data/k"))
        .collect();
    ensure!(rest == ["1", "2"], "{rest:?}");

    let mut events = world
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={old}"), &[])
        .await?;
    let event = events.next().await?.context("the watch ended")?;
    claim(
        &event,
        &json!({
            "type": "ERROR",
            "object": { "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired" },
        }),
    )?;
    let message = text(&event, "/object/message");
    let begin = format!("too old resource version: {old} (");
    ensure!(message.starts_with(&begin), "{message}");
    ensure!(events.next().await?.is_none(), "the watch goes on");
    Ok(())
}

async fn strangers_are_turned_away(world: World) -> Outcome {
    let stranger = world.as_stranger();
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    for path in [CONFIG_MAPS, "/version", "/api"] {
        let answer = stranger.get(path).await?;
        ensure!(
            answer.code == 401 && answer.body == expected,
            "{path}: {answer:?}"
        );
    }
    let answer = stranger.post(CONFIG_MAPS, &Value::Null).await?;
    ensure!(answer.code == 401 && answer.body == expected, "{answer:?}");
    Ok(())
}

async fn bodies_may_be_too_large(world: World) -> Outcome {
    let large = |bytes: usize| crate::world::config_map("a", &json!({ "k": "x".repeat(bytes) }));
    let status = world
        .post(CONFIG_MAPS, &large(3 * 1024 * 1024))
        .await?
        .refused(413, "RequestEntityTooLarge")?;
    claim(
        &status,
        &json!({ "message": "Request entity too large: limit is 3145728", "details": null }),
    )?;
    let status = world
        .post(CONFIG_MAPS, &large(1024 * 1024 + 1))
        .await?
        .refused(422, "Invalid")?;
    claim(
        &status["details"]["causes"][0],
        &json!({ "field": "[]", "reason": "FieldValueTooLong", "message": "Too long: may not be more than 1048576 bytes" }),
    )
}
