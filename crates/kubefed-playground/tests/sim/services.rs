//! Collection of services' statuses: observable check 10 of propagation, and sharp edge S27.

use kubefed_playground::kubefed_api::ResourceType;
use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_sim::{Effect, Fault};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

use crate::scene::*;
use crate::types::type_configs;

const STATUSES: &str = "federatedservicestatuses.core.kubefed.io";

fn status_type() -> ResourceType {
    ResourceType::namespaced(
        "core.kubefed.io",
        "v1alpha1",
        "FederatedServiceStatus",
        "federatedservicestatuses",
    )
}

/// A shop whose services' statuses are collected.
async fn collecting() -> Playground {
    let playground = shop(3).await;
    enable(&playground, "Enabled").await;
    playground
}

async fn enable(playground: &Playground, toggle: &str) {
    let enable = json!({"spec": {
        "statusCollection": toggle,
        "statusType": {
            "group": "core.kubefed.io", "version": "v1alpha1", "kind": "FederatedServiceStatus",
            "pluralName": "federatedservicestatuses", "scope": "Namespaced",
        },
    }});
    playground
        .patch(&type_configs(), &system("services"), &enable)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
}

async fn expose(playground: &Playground, placement: Value) {
    let service = json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedService",
        "metadata": {"namespace": NAMESPACE, "name": "web"},
        "spec": {
            "template": {"spec": {
                "type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}],
            }},
            "placement": placement,
        },
    });
    place(playground, [service]).await;
}

fn status_object(playground: &Playground) -> Option<Value> {
    playground.host().object(STATUSES, Some(NAMESPACE), "web")
}

/// The clusters that are told of, each with the address of its load balancer.
fn told(playground: &Playground) -> Vec<String> {
    let object = status_object(playground).unwrap_or_default();
    let entries = object["clusterStatus"].as_array().cloned();
    let words = |entry: &Value| {
        assert!(entry["status"].is_object(), "the schema requires a status");
        let address = &entry["status"]["loadBalancer"]["ingress"][0]["ip"];
        let address = address.as_str().unwrap_or("none");
        format!("{} {address}", entry["clusterName"].as_str().unwrap())
    };
    entries.unwrap_or_default().iter().map(words).collect()
}

/// What the members say, in the same words; `none` where there is no service.
fn given(playground: &Playground, members: &[&str]) -> Vec<String> {
    let words = |member: &&str| {
        let service = stored(playground, member, "services", "web").unwrap_or_default();
        let address = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
        format!("{member} {}", address.as_str().unwrap_or("none"))
    };
    members.iter().map(words).collect()
}

const ALL: [&str; 3] = ["member-1", "member-2", "member-3"];

fn status_controller(playground: &Playground) -> Value {
    let config = system("services");
    let configs = type_configs().qualified_plural();
    let config = playground
        .host()
        .object(&configs, config.namespace(), config.name());
    config.unwrap()["status"]["statusController"].clone()
}

// Check 10 of propagation, and S27: a ready cluster without the service has an empty status.
#[tokio::test(start_paused = true)]
async fn the_statuses_of_a_service_are_collected_from_every_ready_cluster() {
    let playground = collecting().await;
    expose(&playground, named(&["member-1", "member-3"])).await;
    until("the addresses are told", || {
        let told = told(&playground);
        told == given(&playground, &ALL)
            && told.iter().filter(|told| told.ends_with("none")).count() == 1
    })
    .await;
    let object = status_object(&playground).unwrap();
    assert_eq!(object["clusterStatus"][1]["status"], json!({}));
    let service = host_object(&playground, "Service", "web").unwrap();
    let owner = json!([{
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedService",
        "name": "web", "uid": service["metadata"]["uid"],
    }]);
    assert_eq!(object["metadata"]["ownerReferences"], owner);

    playground.settle(PATIENCE).await.unwrap();
    forget_requests(&playground);
    tokio::time::sleep(seconds(120)).await;
    let writes = writes(&playground);
    let mut others = writes
        .iter()
        .filter(|write| !write.contains("kubefedclusters"));
    assert_eq!(others.next(), None, "a settled world writes nothing");
}

#[tokio::test(start_paused = true)]
async fn collected_statuses_follow_members_and_owner() {
    let playground = collecting().await;
    expose(&playground, everywhere()).await;
    until("all addresses are told", || {
        let told = told(&playground);
        told == given(&playground, &ALL) && !told.iter().any(|told| told.ends_with("none"))
    })
    .await;

    let nonsense = json!({"clusterStatus": []});
    playground
        .patch(&status_type(), &name("web"), &nonsense)
        .await
        .unwrap();
    until("what somebody else wrote is overcome", || {
        told(&playground) == given(&playground, &ALL)
    })
    .await;
    let uid = |object: Option<Value>| object.map(|object| object["metadata"]["uid"].clone());
    let before = uid(status_object(&playground));
    playground
        .delete(&status_type(), &name("web"))
        .await
        .unwrap();
    until("what somebody deleted is made again", || {
        told(&playground) == given(&playground, &ALL) && uid(status_object(&playground)) != before
    })
    .await;

    let member = playground.member("member-3").unwrap();
    let outage = member.inject(Fault::new(Effect::Refuse));
    until("a cluster that is not ready is not told of", || {
        told(&playground) == given(&playground, &ALL[..2])
    })
    .await;
    assert!(member.lift(outage));
    until("it is told of again", || {
        told(&playground) == given(&playground, &ALL)
    })
    .await;

    playground
        .delete(&federated_type("Service"), &name("web"))
        .await
        .unwrap();
    until("the object goes with its federated service", || {
        status_object(&playground).is_none()
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(status_object(&playground), None);
}

#[tokio::test(start_paused = true)]
async fn services_statuses_are_collected_only_where_asked_for() {
    let playground = shop(3).await;
    expose(&playground, everywhere()).await;
    assert_eq!(status_controller(&playground), "NotRunning");
    assert_eq!(status_object(&playground), None);
    enable(&playground, "Enabled").await;
    assert_eq!(status_controller(&playground), "Running");
    until("the addresses are told", || {
        told(&playground) == given(&playground, &ALL)
    })
    .await;

    enable(&playground, "Disabled").await;
    assert_eq!(status_controller(&playground), "NotRunning");
    let stored = status_object(&playground);
    playground
        .delete(&clusters(), &system("member-3"))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(status_object(&playground), stored, "nobody looks after it");
}

#[tokio::test(start_paused = true)]
async fn where_raw_statuses_are_collected_services_have_no_object_of_their_own() {
    let options = Options::default()
        .cluster_delays(seconds(1), seconds(1))
        .drift_delay(seconds(1))
        .raw_status_collection(true);
    let playground = start(PlaygroundOptions::default().control_plane(options)).await;
    open_shop(&playground).await;
    enable(&playground, "Enabled").await;
    expose(&playground, everywhere()).await;
    assert_eq!(status_controller(&playground), "NotRunning");
    assert_eq!(status_object(&playground), None);
}

#[tokio::test(start_paused = true)]
async fn the_entry_of_a_ready_cluster_that_does_not_show_its_services_stays() {
    let mut playground = collecting().await;
    expose(&playground, everywhere()).await;
    until("all addresses are told", || {
        let told = told(&playground);
        told == given(&playground, &ALL) && !told.iter().any(|told| told.ends_with("none"))
    })
    .await;
    playground.crash_control_plane();
    let refused = Fault::status(403).resource("services");
    let refusal = playground.member("member-3").unwrap().inject(refused);
    let old = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.99"}]}});
    let entries = json!({"clusterStatus": [{"clusterName": "member-3", "status": old}]});
    playground
        .patch(&status_type(), &name("web"), &entries)
        .await
        .unwrap();
    playground.start_control_plane();
    let mut expected = given(&playground, &ALL[..2]);
    expected.push("member-3 192.0.2.99".to_owned());
    until("what can be seen is told, beside what was", || {
        told(&playground) == expected
    })
    .await;
    assert!(ready(&playground, "member-3"));
    tokio::time::sleep(seconds(30)).await;
    assert_eq!(told(&playground), expected);

    assert!(playground.member("member-3").unwrap().lift(refusal));
    until("what it shows again is told", || {
        told(&playground) == given(&playground, &ALL)
    })
    .await;
}
