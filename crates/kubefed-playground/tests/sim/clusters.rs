//! Clusters and their health: observable checks 6 to 9 of clusters, 6 and 8 of the informer.

use kubefed_playground::kubefed_api::well_known;
use kubefed_playground::kubefed_controllers::kubefed_informer::{HealthCheck, Thresholds};
use kubefed_playground::kubefed_sim::{Effect, Fault};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::json;

use crate::scene::*;

/// A fleet whose health check is that of the original's end-to-end tests.
async fn probed(members: usize) -> Playground {
    let health_check = HealthCheck {
        period: seconds(1),
        timeout: seconds(1),
        thresholds: Thresholds::new(1, 1),
    };
    start(
        PlaygroundOptions::default()
            .members(members)
            .health_check(health_check),
    )
    .await
}

// Checks 7 and 8 of clusters.
#[tokio::test(start_paused = true)]
async fn joined_clusters_become_ready_and_report_their_version() {
    let options = PlaygroundOptions::default().members(5);
    let playground = Playground::start(options).await.unwrap();
    let names: Vec<_> = playground
        .members()
        .map(|(name, _)| name.to_owned())
        .collect();
    let took = until("all are ready", || {
        names.iter().all(|name| ready(&playground, name))
    })
    .await;
    assert!(took < seconds(30), "{took:?}");
    for name in names {
        let object = cluster_object(&playground, &name).unwrap();
        assert_eq!(object["status"]["kubernetesVersion"], "v1.35.4");
    }
}

// Check 9 of clusters, and check 6 as far as objects are seen.
#[tokio::test(start_paused = true)]
async fn a_cluster_whose_endpoint_leads_nowhere_stops_being_ready() {
    let playground = probed(2).await;
    let endpoint = |url: &str| json!({"spec": {"apiEndpoint": url}});
    let member = system("member-1");
    playground
        .patch(&clusters(), &member, &endpoint("https://nowhere.sim"))
        .await
        .unwrap();
    let took = until("it is not ready", || !ready(&playground, "member-1")).await;
    assert!(took < seconds(30), "{took:?}");
    assert_eq!(condition(&playground, "member-1", "Offline"), "True");
    assert!(ready(&playground, "member-2"));
    playground
        .patch(&clusters(), &member, &endpoint("https://member-1.sim"))
        .await
        .unwrap();
    let took = until("it is ready again", || ready(&playground, "member-1")).await;
    assert!(took <= seconds(10), "{took:?}");
}

// Check 6 of the informer.
#[tokio::test(start_paused = true)]
async fn a_type_starts_and_works_while_a_cluster_is_unreachable() {
    let playground = probed(2).await;
    open_shop(&playground).await;
    let config = system("configmaps");
    let propagation_of = |value: &str| json!({"spec": {"propagation": value}});
    let configs = crate::types::type_configs();
    playground
        .patch(&configs, &config, &propagation_of("Disabled"))
        .await
        .unwrap();
    let endpoint = json!({"spec": {"apiEndpoint": "https://nowhere.sim"}});
    playground
        .patch(&clusters(), &system("member-2"), &endpoint)
        .await
        .unwrap();
    until("it is not ready", || !ready(&playground, "member-2")).await;
    playground
        .patch(&configs, &config, &propagation_of("Enabled"))
        .await
        .unwrap();

    playground
        .apply([config_map("settings", &named(&["member-1"]))])
        .await
        .unwrap();
    until("it is created", || {
        copy(&playground, "member-1", "settings").is_some()
    })
    .await;
    let kind = federated_type("ConfigMap");
    let red = json!({"spec": {"template": {"data": {"colour": "red"}}}});
    playground
        .patch(&kind, &name("settings"), &red)
        .await
        .unwrap();
    until("it is updated", || {
        copy(&playground, "member-1", "settings").unwrap()["data"]["colour"] == "red"
    })
    .await;
    playground.delete(&kind, &name("settings")).await.unwrap();
    until("it is deleted", || {
        host_object(&playground, "ConfigMap", "settings").is_none()
    })
    .await;
    assert_eq!(copy(&playground, "member-1", "settings"), None);
}

// Check 8 of the informer.
#[tokio::test(start_paused = true)]
async fn a_new_label_of_a_cluster_makes_placement_pick_it_up() {
    let playground = shop(2).await;
    let placement = json!({"clusterSelector": {"matchLabels": {"tier": "gold"}}});
    place(&playground, [config_map("settings", &placement)]).await;
    assert_eq!(copy(&playground, "member-2", "settings"), None);
    let label = json!({"metadata": {"labels": {"tier": "gold"}}});
    playground
        .patch(&clusters(), &system("member-2"), &label)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert!(copy(&playground, "member-2", "settings").is_some());
    assert_eq!(copy(&playground, "member-1", "settings"), None);
}

// Check 6 of clusters, and sharp edges C1 and C7.
#[tokio::test(start_paused = true)]
async fn a_single_failed_probe_turns_nothing_over() {
    let health_check = HealthCheck {
        period: seconds(10),
        timeout: seconds(3),
        thresholds: Thresholds::new(3, 1),
    };
    let playground = start(
        PlaygroundOptions::default()
            .members(1)
            .health_check(health_check),
    )
    .await;
    let member = playground.member("member-1").unwrap();
    tokio::time::sleep(seconds(60)).await;
    let down = member.inject(Fault::new(Effect::Refuse));
    tokio::time::sleep(seconds(19)).await;
    assert!(ready(&playground, "member-1"), "two failures");
    member.lift(down);
    tokio::time::sleep(seconds(30)).await;
    member.inject(Fault::new(Effect::Refuse));
    tokio::time::sleep(seconds(31)).await;
    assert_eq!(condition(&playground, "member-1", "Ready"), "");
    assert_eq!(condition(&playground, "member-1", "Offline"), "True");
}

// Check 6 of clusters: a KubeFedCluster that is deleted and made anew has a status of its own.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_made_anew_gets_a_status() {
    let playground = probed(1).await;
    let object = cluster_object(&playground, "member-1").unwrap();
    for pause in [0, 5] {
        playground
            .delete(&clusters(), &system("member-1"))
            .await
            .unwrap();
        tokio::time::sleep(seconds(pause)).await;
        let fresh = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"], "spec": object["spec"],
            "metadata": {"name": "member-1", "namespace": well_known::DEFAULT_KUBEFED_NAMESPACE},
        });
        playground.apply([fresh]).await.unwrap();
        let took = until("it is ready", || ready(&playground, "member-1")).await;
        assert!(took <= seconds(10), "{took:?}");
    }
}
