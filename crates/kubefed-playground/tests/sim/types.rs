//! Federated types: observable check 47 of propagation, and what a type's configuration starts and
//! stops.

use kubefed_playground::Playground;
use kubefed_playground::kubefed_api::{ResourceType, well_known};
use serde_json::{Value, json};

use crate::scene::*;

pub(crate) fn type_configs() -> ResourceType {
    let (kind, plural) = ("FederatedTypeConfig", "federatedtypeconfigs");
    ResourceType::namespaced("core.kubefed.io", "v1beta1", kind, plural)
}

fn config(playground: &Playground, name: &str) -> Option<Value> {
    let namespace = well_known::DEFAULT_KUBEFED_NAMESPACE;
    playground
        .host()
        .object(&type_configs().qualified_plural(), Some(namespace), name)
}

fn is_running(playground: &Playground, name: &str) -> bool {
    config(playground, name).unwrap_or_default()["status"]["propagationController"] == "Running"
}

// Check 47 of propagation.
#[tokio::test(start_paused = true)]
async fn a_type_is_observed_after_enabling_and_after_a_change() {
    let playground = shop(1).await;
    let observed = |generation: i64| {
        let config = config(&playground, "deployments.apps").unwrap();
        config["metadata"]["generation"] == generation
            && config["status"]["observedGeneration"] == generation
    };
    until("the type is observed", || observed(1)).await;
    let version = json!({"spec": {"targetType": {"version": "v1beta1"}}});
    playground
        .patch(&type_configs(), &system("deployments.apps"), &version)
        .await
        .unwrap();
    until("the new version is observed", || observed(2)).await;
    assert!(is_running(&playground, "deployments.apps"));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_type_is_left_as_it_is_and_taken_up_again() {
    let playground = shop(1).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let propagation_of = |value: &str| json!({"spec": {"propagation": value}});
    let name_of_config = system("configmaps");
    playground
        .patch(
            &type_configs(),
            &name_of_config,
            &propagation_of("Disabled"),
        )
        .await
        .unwrap();
    until("it is stopped", || !is_running(&playground, "configmaps")).await;
    let red = json!({"spec": {"template": {"data": {"colour": "red"}}}});
    playground
        .patch(&federated_type("ConfigMap"), &name("settings"), &red)
        .await
        .unwrap();
    tokio::time::sleep(seconds(120)).await;
    let colour = || copy(&playground, "member-1", "settings").unwrap()["data"]["colour"].clone();
    assert_eq!(colour(), "blue");
    playground
        .patch(&type_configs(), &name_of_config, &propagation_of("Enabled"))
        .await
        .unwrap();
    until("it goes on", || colour() == "red").await;
}

// Sharp edge S26: every dependent stops, and every one starts again.
#[tokio::test(start_paused = true)]
async fn namespaced_types_run_only_while_namespaces_are_configured() {
    let playground = fleet(1).await;
    let namespaced = || {
        let configs = playground
            .host()
            .objects(&type_configs().qualified_plural());
        let namespaced = configs
            .into_iter()
            .filter(|c| c["spec"]["targetType"]["scope"] == "Namespaced");
        namespaced
            .map(|c| c["status"]["propagationController"] == "Running")
            .collect::<Vec<_>>()
    };
    assert!(namespaced().len() > 5 && namespaced().iter().all(|running| *running));
    let namespaces = config(&playground, "namespaces").unwrap();
    playground
        .delete(&type_configs(), &system("namespaces"))
        .await
        .unwrap();
    until("all are stopped", || {
        namespaced().iter().all(|running| !*running)
    })
    .await;
    assert_eq!(config(&playground, "namespaces"), None);
    let again = json!({
        "apiVersion": namespaces["apiVersion"], "kind": namespaces["kind"], "spec": namespaces["spec"],
        "metadata": {"name": "namespaces", "namespace": well_known::DEFAULT_KUBEFED_NAMESPACE},
    });
    playground.apply([again]).await.unwrap();
    let took = until("all run again", || {
        namespaced().iter().all(|running| *running)
    })
    .await;
    assert!(took < seconds(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_type_config_that_is_deleted_goes_and_frees_nothing() {
    let playground = shop(1).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    playground
        .delete(&type_configs(), &system("configmaps"))
        .await
        .unwrap();
    until("it is gone", || config(&playground, "configmaps").is_none()).await;
    tokio::time::sleep(seconds(60)).await;
    assert!(is_managed(
        &copy(&playground, "member-1", "settings").unwrap()
    ));
}
