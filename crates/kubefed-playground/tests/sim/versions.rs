//! Version objects: observable checks 41 to 46 of propagation.

use kubefed_playground::Playground;
use kubefed_playground::kubefed_api::ResourceType;
use serde_json::{Value, json};

use crate::scene::*;

const VERSIONS: &str = "configmap-settings";

fn versions() -> ResourceType {
    let (kind, plural) = ("PropagatedVersion", "propagatedversions");
    ResourceType::namespaced("core.kubefed.io", "v1alpha1", kind, plural)
}

async fn settings(playground: &Playground) {
    place(playground, [config_map("settings", &everywhere())]).await;
}

async fn repaint(playground: &Playground, colour: &str) {
    let patch = json!({"spec": {"template": {"data": {"colour": colour}}}});
    change(playground, "ConfigMap", "settings", &patch).await;
}

/// Whether the version object tells the versions of the copies.
fn is_right(playground: &Playground) -> bool {
    let Some(object) = version_object(playground, VERSIONS) else {
        return false;
    };
    let entries: Value = playground
        .members()
        .map(|(member, _)| {
            let copy = copy(playground, member, "settings").unwrap();
            let version = copy["metadata"]["resourceVersion"].as_str().unwrap();
            json!({"clusterName": member, "version": format!("rv:{version}")})
        })
        .collect();
    object["status"]["clusterVersions"] == entries
}

// Check 41 of propagation.
#[tokio::test(start_paused = true)]
async fn the_first_store_creates_the_object() {
    let playground = shop(2).await;
    assert_eq!(version_object(&playground, VERSIONS), None);
    settings(&playground).await;
    assert!(is_right(&playground));
}

// Check 42 of propagation: nothing is written again for want of a record.
#[tokio::test(start_paused = true)]
async fn a_second_control_plane_loads_it() {
    let mut playground = shop(2).await;
    settings(&playground).await;
    playground.stop_control_plane().await;
    forget_requests(&playground);
    playground.start_control_plane();
    playground.settle(PATIENCE).await.unwrap();
    tokio::time::sleep(seconds(60)).await;
    let requests = playground
        .members()
        .flat_map(|(_, member)| member.requests());
    let reads = requests.filter(|request| request.path.ends_with("/configmaps/settings"));
    assert_eq!(reads.count(), 0, "no body is read, either");
    assert_eq!(writes(&playground), Vec::<String>::new());
}

// Check 43 of propagation.
#[tokio::test(start_paused = true)]
async fn one_that_somebody_else_made_is_updated() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &named(&[]))]).await;
    let owner = host_object(&playground, "ConfigMap", "settings").unwrap();
    if version_object(&playground, VERSIONS).is_some() {
        playground
            .delete(&versions(), &name(VERSIONS))
            .await
            .unwrap();
    }
    let made = json!({
        "apiVersion": "core.kubefed.io/v1alpha1", "kind": "PropagatedVersion",
        "metadata": {"namespace": NAMESPACE, "name": VERSIONS, "ownerReferences": [{
            "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "name": "settings", "uid": owner["metadata"]["uid"],
        }]},
    });
    playground.apply([made]).await.unwrap();
    let uid = version_object(&playground, VERSIONS).unwrap()["metadata"]["uid"].clone();
    let placement = json!({"spec": {"placement": {"clusters": null, "clusterSelector": {}}}});
    change(&playground, "ConfigMap", "settings", &placement).await;
    assert!(is_right(&playground));
    assert_eq!(
        version_object(&playground, VERSIONS).unwrap()["metadata"]["uid"],
        uid
    );
}

// Check 44 of propagation.
#[tokio::test(start_paused = true)]
async fn a_change_of_it_by_somebody_else_is_overcome() {
    let playground = shop(2).await;
    settings(&playground).await;
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    playground
        .patch(&versions(), &name(VERSIONS), &label)
        .await
        .unwrap();
    repaint(&playground, "red").await;
    assert!(is_right(&playground));
    let labels = &version_object(&playground, VERSIONS).unwrap()["metadata"]["labels"];
    assert_eq!(labels["touched"], "yes");
}

// Check 45 of propagation.
#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_is_made_again() {
    let playground = shop(2).await;
    settings(&playground).await;
    playground
        .delete(&versions(), &name(VERSIONS))
        .await
        .unwrap();
    repaint(&playground, "red").await;
    assert!(is_right(&playground));
}

// Check 46 of propagation.
#[tokio::test(start_paused = true)]
async fn it_goes_with_its_owner() {
    let playground = shop(2).await;
    settings(&playground).await;
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    until("it is gone", || {
        version_object(&playground, VERSIONS).is_none()
    })
    .await;
}

// Sharp edge S21: two types whose target kinds have the same name share the name of the version object.
#[tokio::test(start_paused = true)]
async fn one_that_belongs_to_another_type_is_left_to_it() {
    let playground = shop(1).await;
    let other = json!({
        "apiVersion": "core.kubefed.io/v1alpha1", "kind": "PropagatedVersion",
        "metadata": {"namespace": NAMESPACE, "name": VERSIONS, "ownerReferences": [{
            "apiVersion": "v1", "kind": "Namespace", "name": NAMESPACE,
            "uid": playground.host().object("namespaces", None, NAMESPACE).unwrap()["metadata"]["uid"],
        }]},
    });
    playground.apply([other]).await.unwrap();
    let before = version_object(&playground, VERSIONS);
    settings(&playground).await;
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    assert_eq!(version_object(&playground, VERSIONS), before);
    forget_requests(&playground);
    tokio::time::sleep(seconds(300)).await;
    let writes = writes(&playground);
    let others = writes
        .iter()
        .filter(|write| !write.contains("kubefedclusters"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}
