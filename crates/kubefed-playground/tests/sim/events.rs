//! Events: section 18 of propagation and section 9 of clusters.

use kubefed_playground::Playground;
use kubefed_playground::kubefed_sim::{Effect, Fault, Verb};
use serde_json::{Value, json};

use crate::scene::*;

/// The events about an object by its name, oldest first, as `type reason: message`.
fn told(playground: &Playground, about: &str) -> Vec<String> {
    let mut events = playground.host().objects("events");
    events.retain(|event| event["involvedObject"]["name"] == about);
    events.sort_by_key(|event| {
        event["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .ok()
    });
    let words = |event: &Value| {
        let word = |name: &str| event[name].as_str().unwrap().to_owned();
        format!("{} {}: {}", word("type"), word("reason"), word("message"))
    };
    events.iter().map(words).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_object_is_one_event_whatever_the_number_of_clusters() {
    let playground = shop(3).await;
    let objects = [
        config_map("settings", &everywhere()),
        config_map("lonely", &named(&["member-2"])),
    ];
    playground.apply(objects).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let created = r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in clusters "member-1", "member-2", "member-3""#;
    assert_eq!(told(&playground, "settings"), [created]);
    let lonely =
        r#"Normal CreateInCluster: Creating ConfigMap "shop/lonely" in cluster "member-2""#;
    assert_eq!(told(&playground, "lonely"), [lonely]);

    let event = playground.host().objects("events").into_iter();
    let mut event = event.filter(|event| event["involvedObject"]["name"] == "settings");
    let event = event.next().unwrap();
    let object = host_object(&playground, "ConfigMap", "settings").unwrap();
    assert_eq!(
        event["source"]["component"],
        "federatedconfigmap-controller"
    );
    assert_eq!(event["metadata"]["namespace"], NAMESPACE);
    assert_eq!(event["involvedObject"]["uid"], object["metadata"]["uid"]);
    assert_eq!(event["involvedObject"]["kind"], "FederatedConfigMap");

    let placement = json!({"spec": {"placement": named(&["member-1"])}});
    playground
        .patch(&federated_type("ConfigMap"), &name("lonely"), &placement)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let mut moved = told(&playground, "lonely").split_off(1);
    moved.sort();
    assert_eq!(
        moved,
        [
            r#"Normal CreateInCluster: Creating ConfigMap "shop/lonely" in cluster "member-1""#,
            r#"Normal DeleteInCluster: Deleting ConfigMap "shop/lonely" in cluster "member-2""#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_trouble_that_lasts_is_told_once_and_counted() {
    let playground = shop(2).await;
    let mut settings = config_map("settings", &everywhere());
    settings["spec"]["overrides"] = override_of("member-2", "/kind", &json!("Secret"));
    settings["spec"]["template"]["metadata"] = json!({"annotations": {"a": "b"}});
    playground.apply([settings]).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let first = told(&playground, "settings");
    let starts = |start: &str| first.iter().filter(|told| told.starts_with(start)).count();
    assert_eq!(starts("Warning AnnotationsNotSupported"), 1, "{first:?}");
    let refused = r#"Warning CreateInClusterFailed: Failed to create ConfigMap "shop/settings" in cluster "member-2": Error reading cluster overrides"#;
    assert_eq!(starts(refused), 1, "{first:?}");

    forget_requests(&playground);
    for colour in ["red", "green"] {
        let patch = json!({"spec": {"template": {"data": {"colour": colour}}}});
        playground
            .patch(&federated_type("ConfigMap"), &name("settings"), &patch)
            .await
            .unwrap();
        playground.settle(PATIENCE).await.unwrap();
    }
    let events = writes(&playground);
    let events: Vec<_> = events
        .iter()
        .filter(|write| write.ends_with(" events"))
        .collect();
    assert_eq!(
        events,
        ["host create events", "host patch events"],
        "the updates of member-1"
    );
    let updates = playground.host().objects("events");
    let update = updates
        .iter()
        .find(|event| event["reason"] == "UpdateInCluster")
        .unwrap();
    assert_eq!(update["count"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_waits_says_for_whom() {
    let playground = shop(2).await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    playground
        .member("member-2")
        .unwrap()
        .inject(Fault::new(Effect::Refuse));
    until("member-2 is not ready", || !ready(&playground, "member-2")).await;
    let patch = json!({"spec": {"template": {"data": {"colour": "red"}}}});
    playground
        .patch(&federated_type("ConfigMap"), &name("settings"), &patch)
        .await
        .unwrap();
    let has = |words: &str| {
        told(&playground, "settings")
            .iter()
            .any(|told| told == words)
    };
    let not_ready = r#"Warning ClusterNotReady: Cluster not ready: cluster "member-2""#;
    until("it is told that member-2 is not ready", || has(not_ready)).await;
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    let waits = "Normal WaitForRemovalInCluster: Waiting for managed resources to be removed from the \
                 following clusters: member-2 (the cluster is not ready since 20";
    until(
        "it is told what the deletion waits for, and since when",
        || {
            told(&playground, "settings")
                .iter()
                .any(|told| told.starts_with(waits))
        },
    )
    .await;
    let trouble = told(&playground, "member-2");
    assert_eq!(trouble.len(), 1, "one trouble, one event: {trouble:?}");
    assert!(
        trouble[0].starts_with("Warning RetrievingClusterHealthFailed: "),
        "{trouble:?}"
    );

    playground
        .delete(&clusters(), &system("member-2"))
        .await
        .unwrap();
    until("the deletion ends", || {
        host_object(&playground, "ConfigMap", "settings").is_none()
    })
    .await;
    let left = r#"Warning ClusterRemoved: ConfigMap "shop/settings" may still be in cluster "member-2", which is no longer joined"#;
    assert!(has(left), "{:?}", told(&playground, "settings"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_is_told() {
    let playground = shop(2).await;
    let hang = Fault::new(Effect::Freeze)
        .resource("configmaps")
        .verb(Verb::Create);
    playground.member("member-2").unwrap().inject(hang);
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    let late = r#"Warning OperationTimeoutError: ConfigMap "shop/settings": cluster "member-2" has yet to answer"#;
    until("it is told", || {
        told(&playground, "settings").contains(&late.to_owned())
    })
    .await;
    let created =
        r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in cluster "member-1""#;
    assert!(told(&playground, "settings").contains(&created.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_refused_disturb_nothing() {
    let playground = fleet(2).await;
    let refused = Fault::status(403).resource("events");
    playground.host().inject(refused);
    open_shop(&playground).await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    assert_eq!(told(&playground, "settings"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_federated_namespace_of_another_name_is_told_so() {
    let playground = shop(1).await;
    let mut other = federated_namespace(&everywhere());
    other["metadata"]["name"] = "other".into();
    playground.apply([other]).await.unwrap();
    until("it is told", || !told(&playground, "other").is_empty()).await;
    assert!(told(&playground, "other")[0].starts_with("Warning InvalidName: "));
}
