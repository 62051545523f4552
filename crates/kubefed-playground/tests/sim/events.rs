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
    place(&playground, objects).await;
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
    change(&playground, "ConfigMap", "lonely", &placement).await;
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
    place(&playground, [settings]).await;
    let first = told(&playground, "settings");
    let starts = |start: &str| first.iter().filter(|told| told.starts_with(start)).count();
    assert_eq!(starts("Warning AnnotationsNotSupported"), 1, "{first:?}");
    let refused = r#"Warning CreateInClusterFailed: Failed to create ConfigMap "shop/settings" in cluster "member-2": Error reading cluster overrides"#;
    assert_eq!(starts(refused), 1, "{first:?}");

    forget_requests(&playground);
    for colour in ["red", "green"] {
        let patch = json!({"spec": {"template": {"data": {"colour": colour}}}});
        change(&playground, "ConfigMap", "settings", &patch).await;
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
    place(&playground, [config_map("settings", &everywhere())]).await;
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
    let created =
        r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in cluster "member-1""#;
    until("the call that ended is told", || {
        !told(&playground, "settings").is_empty()
    })
    .await;
    assert_eq!(
        told(&playground, "settings"),
        [created],
        "of the other, nothing is known"
    );
    let late = r#"Warning OperationTimeoutError: Failed to finish an operation on ConfigMap "shop/settings" in cluster "member-2": no answer within 10 s"#;
    until("the deadline has passed", || {
        told(&playground, "settings").contains(&late.to_owned())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_late_is_told_then() {
    let playground = shop(2).await;
    let slow = Fault::new(Effect::Delay(seconds(3)))
        .resource("configmaps")
        .verb(Verb::Create);
    playground.member("member-2").unwrap().inject(slow);
    place(&playground, [config_map("settings", &everywhere())]).await;
    assert_eq!(
        told(&playground, "settings"),
        [
            r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in cluster "member-1""#,
            r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in cluster "member-2""#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_told_while_another_cluster_has_yet_to_list() {
    let mut playground = shop(2).await;
    playground.stop_control_plane().await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    let silent = Fault::new(Effect::Freeze).resource("configmaps");
    playground.member("member-2").unwrap().inject(silent);
    playground.start_control_plane();
    until("the other is told", || {
        !told(&playground, "settings").is_empty()
    })
    .await;
    assert_eq!(
        told(&playground, "settings"),
        [r#"Normal CreateInCluster: Creating ConfigMap "shop/settings" in cluster "member-1""#]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_for_long_is_one_event() {
    let playground = shop(2).await;
    let member = playground.member("member-2").unwrap();
    member.inject(Fault::status(403).resource("configmaps").verb(Verb::List));
    member.inject(Fault::status(403).resource("configmaps").verb(Verb::Watch));
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    tokio::time::sleep(seconds(900)).await;
    let told = told(&playground, "settings");
    let trouble: Vec<_> = told
        .iter()
        .filter(|told| told.contains("CachedRetrievalFailed"))
        .collect();
    assert_eq!(trouble.len(), 1, "{told:?}");
    let words =
        r#"Failed to retrieve cached cluster object in cluster "member-2": the watch fails: "#;
    assert!(trouble[0].contains(words), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_written_to_an_existing_copy_is_a_failed_update() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let overrides =
        json!({"spec": {"overrides": override_of("member-2", "/kind", &json!("Secret"))}});
    change(&playground, "ConfigMap", "settings", &overrides).await;
    let told = told(&playground, "settings");
    let refused = r#"Warning UpdateInClusterFailed: Failed to update ConfigMap "shop/settings" in cluster "member-2": Error reading cluster overrides"#;
    assert!(told.last().unwrap().starts_with(refused), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_refused_says_why() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let refused = Fault::status(403).resource("configmaps").verb(Verb::Delete);
    playground.member("member-2").unwrap().inject(refused);
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    tokio::time::sleep(seconds(600)).await;
    let mut told = told(&playground, "settings");
    told.retain(|told| told.contains("WaitForRemoval"));
    assert_eq!(told.len(), 1, "{told:?}");
    let words = "clusters: member-2 (forbidden: ";
    assert!(told[0].contains(words), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn many_clusters_are_named_by_the_first_and_the_number_of_the_rest() {
    let playground = shop(12).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let told = told(&playground, "settings");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with(r#""member-7" and 2 more"#), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn events_that_are_refused_disturb_nothing() {
    let playground = fleet(2).await;
    let refused = Fault::status(403).resource("events");
    playground.host().inject(refused);
    open_shop(&playground).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
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
