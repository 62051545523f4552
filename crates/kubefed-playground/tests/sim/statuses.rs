//! Collection of the copies' own statuses: observable check 18 of propagation, and sharp edge S6.

use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_sim::{Effect, Fault};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

use crate::scene::*;
use crate::types::type_configs;

async fn collecting() -> Playground {
    let options = Options::default()
        .cluster_delays(seconds(1), seconds(1))
        .drift_delay(seconds(1))
        .raw_status_collection(true);
    let playground = start(PlaygroundOptions::default().control_plane(options)).await;
    open_shop(&playground).await;
    for name in [
        "deployments.apps",
        "replicasets.apps",
        "jobs.batch",
        "configmaps",
    ] {
        let enable = json!({"spec": {"statusCollection": "Enabled"}});
        playground
            .patch(&type_configs(), &system(name), &enable)
            .await
            .unwrap();
    }
    playground.settle(PATIENCE).await.unwrap();
    playground
}

fn workload(kind: &str, spec: Value) -> Value {
    let labels = json!({"app": "web"});
    let mut spec = spec;
    spec["template"] = json!({
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": if kind == "Job" { "Never" } else { "Always" },
            "containers": [{"name": "web", "image": "web:1"}],
        },
    });
    if kind != "Job" {
        spec["selector"] = json!({"matchLabels": labels});
    }
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": format!("Federated{kind}"),
        "metadata": {"namespace": NAMESPACE, "name": "web"},
        "spec": {"template": {"spec": spec}, "placement": everywhere()},
    })
}

fn remote_statuses(playground: &Playground, kind: &str, name: &str) -> Vec<Value> {
    let object = host_object(playground, kind, name).unwrap();
    let clusters = object["status"]["clusters"].as_array().unwrap().iter();
    clusters
        .map(|cluster| cluster["remoteStatus"].clone())
        .collect()
}

/// What the members' copies say of themselves.
fn statuses(playground: &Playground, resource: &str, name: &str) -> Vec<Value> {
    let members = playground.members();
    members
        .map(|(member, _)| stored(playground, member, resource, name).unwrap()["status"].clone())
        .collect()
}

// Check 18 of propagation.
#[tokio::test(start_paused = true)]
async fn workloads_show_their_statuses_for_every_cluster() {
    let playground = collecting().await;
    let cases = [
        ("Deployment", "deployments.apps", json!({"replicas": 2})),
        ("ReplicaSet", "replicasets.apps", json!({"replicas": 1})),
        ("Job", "jobs.batch", json!({})),
    ];
    let objects = cases.clone().map(|(kind, _, spec)| workload(kind, spec));
    playground.apply(objects).await.unwrap();
    for (kind, resource, _) in &cases {
        until("the statuses of the copies are shown as they are", || {
            let Some(object) = host_object(&playground, kind, "web") else {
                return false;
            };
            object["status"]["clusters"]
                .as_array()
                .is_some_and(|list| list.len() == 3)
                && remote_statuses(&playground, kind, "web")
                    == statuses(&playground, resource, "web")
                && remote_statuses(&playground, kind, "web")
                    .iter()
                    .all(|status| status.as_object().is_some_and(|status| !status.is_empty()))
        })
        .await;
    }
    until("all replicas are shown as ready", || {
        let shown = remote_statuses(&playground, "Deployment", "web");
        shown.iter().all(|status| status["readyReplicas"] == 2)
    })
    .await;
    assert_eq!(propagation(&playground, "Deployment", "web"), "True");
}

// S6: a cluster that cannot show a status costs no write after the first, and a kind without statuses
// is not missing any.
#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_shown_costs_nothing() {
    let playground = collecting().await;
    let member = playground.member("member-3").unwrap();
    member.inject(Fault::new(Effect::Refuse));
    until("member-3 is not ready", || !ready(&playground, "member-3")).await;
    place(
        &playground,
        [
            workload("Deployment", json!({"replicas": 1})),
            config_map("settings", &named(&["member-1", "member-2"])),
        ],
    )
    .await;
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    assert_eq!(
        remote_statuses(&playground, "ConfigMap", "settings"),
        [json!(null), json!(null)]
    );
    assert_eq!(
        propagation(&playground, "Deployment", "web"),
        "False CheckClusters"
    );
    tokio::time::sleep(seconds(30)).await;
    forget_requests(&playground);
    tokio::time::sleep(seconds(120)).await;
    let writes = writes(&playground);
    let others = writes
        .iter()
        .filter(|write| !write.contains("kubefedclusters"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(start_paused = true)]
async fn statuses_are_collected_only_where_both_switches_are_on() {
    let playground = shop(1).await;
    let enable = json!({"spec": {"statusCollection": "Enabled"}});
    playground
        .patch(&type_configs(), &system("deployments.apps"), &enable)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    place(
        &playground,
        [workload("Deployment", json!({"replicas": 1}))],
    )
    .await;
    assert_eq!(
        remote_statuses(&playground, "Deployment", "web"),
        [json!(null)]
    );

    let playground = collecting().await;
    let disable = json!({"spec": {"statusCollection": "Disabled"}});
    playground
        .patch(&type_configs(), &system("deployments.apps"), &disable)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    place(
        &playground,
        [workload("Deployment", json!({"replicas": 1}))],
    )
    .await;
    let none = json!(null);
    assert_eq!(
        remote_statuses(&playground, "Deployment", "web"),
        [none.clone(), none.clone(), none]
    );
}
