//! What is ours and what is not: observable checks 12 to 17 of propagation, and the situations of
//! objects that were there before.

use kubefed_playground::kubefed_api::well_known;
use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_controllers::kubefed_runtime::kubefed_propagation::{
    Adoption, Scope,
};
use kubefed_playground::kubefed_sim::{Effect, Fault};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

use crate::scene::*;

// Check 12 of propagation.
#[tokio::test(start_paused = true)]
async fn nothing_is_placed_from_a_namespace_that_is_not_federated() {
    let playground = fleet(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    assert_eq!(
        propagation(&playground, "ConfigMap", "settings"),
        "False NamespaceNotFederated"
    );
    assert_eq!(copy(&playground, "member-1", "settings"), None);
    // And it follows as soon as the namespace is.
    open_shop(&playground).await;
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    // The copies go with the FederatedNamespace.
    playground
        .delete(&federated_type("Namespace"), &name(NAMESPACE))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        propagation(&playground, "ConfigMap", "settings"),
        "False NamespaceNotFederated"
    );
    assert_eq!(copy(&playground, "member-1", "settings"), None);
    assert_eq!(inventory(&playground, "ConfigMap", "settings"), "");
}

/// Creates a ConfigMap in a member behind the control plane's back.
async fn create_in(playground: &Playground, member: &str, labels: &Value) -> Value {
    use kubefed_playground::kubefed_sim::k8s_openapi::api::core::v1::ConfigMap;
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "settings", "labels": labels}, "data": {"colour": "green"},
    }))
    .unwrap();
    let client = playground.member(member).unwrap().client();
    let api: kube::Api<ConfigMap> = kube::Api::namespaced(client, NAMESPACE);
    api.create(&kube::api::PostParams::default(), &map)
        .await
        .unwrap();
    copy(playground, member, "settings").unwrap()
}

// Check 13 of propagation.
#[tokio::test(start_paused = true)]
async fn a_labelled_object_without_a_federated_one_loses_the_label() {
    let playground = shop(2).await;
    let made = create_in(
        &playground,
        "member-1",
        &json!({well_known::MANAGED_LABEL: "true"}),
    )
    .await;
    playground.settle(PATIENCE).await.unwrap();
    tokio::time::sleep(seconds(5)).await;
    let left = copy(&playground, "member-1", "settings").unwrap();
    assert!(!is_managed(&left));
    assert_eq!(
        (&left["data"], &left["metadata"]["uid"]),
        (&made["data"], &made["metadata"]["uid"])
    );
}

// Check 14 of propagation.
#[tokio::test(start_paused = true)]
async fn an_unlabelled_object_in_a_cluster_that_is_not_selected_is_left_alone() {
    let playground = shop(2).await;
    let made = create_in(&playground, "member-1", &json!({})).await;
    place(&playground, [config_map("settings", &named(&[]))]).await;
    tokio::time::sleep(seconds(10)).await;
    assert_eq!(
        copy(&playground, "member-1", "settings"),
        Some(made.clone())
    );
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(copy(&playground, "member-1", "settings"), Some(made));
}

// Check 15 of propagation.
#[tokio::test(start_paused = true)]
async fn in_limited_scope_a_federated_namespace_only_narrows() {
    let quick = Options::default()
        .drift_delay(seconds(1))
        .cluster_delays(seconds(1), seconds(1));
    let options = quick.namespace(NAMESPACE).scope(Scope::Limited);
    let options = PlaygroundOptions::default()
        .members(2)
        .control_plane(options);
    let Ok(playground) = Playground::start(options).await else {
        panic!("the playground starts in any scope");
    };
    // The playground joins its clusters in the default namespace, so they join here once more.
    join_here(&playground).await;
    for (_, member) in playground.members() {
        create_namespace(member).await;
    }
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    until("it is everywhere", || {
        copy(&playground, "member-2", "settings").is_some()
    })
    .await;
    assert!(copy(&playground, "member-1", "settings").is_some());
    let before =
        host_object(&playground, "ConfigMap", "settings").unwrap()["metadata"]["generation"]
            .clone();
    playground
        .apply([federated_namespace(&named(&[]))])
        .await
        .unwrap();
    until("it is nowhere", || {
        ["member-1", "member-2"]
            .iter()
            .all(|member| copy(&playground, member, "settings").is_none())
    })
    .await;
    let after = host_object(&playground, "ConfigMap", "settings").unwrap();
    assert_eq!(after["metadata"]["generation"], before);
    assert!(
        playground
            .member("member-1")
            .unwrap()
            .object("namespaces", None, NAMESPACE)
            .is_some()
    );
}

async fn create_namespace(member: &kubefed_playground::kubefed_sim::Cluster) {
    use kubefed_playground::kubefed_sim::k8s_openapi::api::core::v1::Namespace;
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAMESPACE.to_owned());
    let api: kube::Api<Namespace> = kube::Api::all(member.client());
    api.create(&kube::api::PostParams::default(), &namespace)
        .await
        .unwrap();
}

async fn join_here(playground: &Playground) {
    let configs = playground
        .host()
        .objects("federatedtypeconfigs.core.kubefed.io");
    let configs = configs.into_iter().map(|mut config| {
        config["metadata"] = json!({"namespace": NAMESPACE, "name": config["metadata"]["name"]});
        config["status"].take();
        config
    });
    playground.apply(configs).await.unwrap();
    for (member, cluster) in playground.members() {
        playground
            .apply([
                json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": {"namespace": NAMESPACE, "name": member},
                    "stringData": {well_known::TOKEN_KEY: cluster.admin_token()},
                }),
                json!({
                    "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
                    "metadata": {"namespace": NAMESPACE, "name": member},
                    "spec": {
                        "apiEndpoint": format!("https://{member}.sim"),
                        "secretRef": {"name": member},
                    },
                }),
            ])
            .await
            .unwrap();
    }
}

// Check 16 of propagation.
#[tokio::test(start_paused = true)]
async fn an_unreachable_cluster_that_is_not_placed_is_in_nobodys_way() {
    let playground = shop(2).await;
    playground
        .member("member-2")
        .unwrap()
        .inject(Fault::new(Effect::Refuse));
    until("member-2 is offline", || !ready(&playground, "member-2")).await;
    let placement = json!({"clusterSelector": {"matchLabels": {"region": "eu"}}});
    place(&playground, [config_map("settings", &placement)]).await;
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    let kind = federated_type("ConfigMap");
    let patch = json!({"spec": {"template": {"data": {"colour": "red"}}}});
    playground
        .patch(&kind, &name("settings"), &patch)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        copy(&playground, "member-1", "settings").unwrap()["data"]["colour"],
        "red"
    );
    playground.delete(&kind, &name("settings")).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(host_object(&playground, "ConfigMap", "settings"), None);
    assert_eq!(copy(&playground, "member-1", "settings"), None);
}

// Check 17 of propagation, with a cluster for each namespace of the original's simulation.
#[tokio::test(start_paused = true)]
async fn a_life_cycle_in_many_clusters() {
    let playground = shop(40).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let holders = || {
        playground
            .members()
            .filter(|(member, _)| copy(&playground, member, "settings").is_some())
            .count()
    };
    assert_eq!(holders(), 40);
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(holders(), 0);
    assert_eq!(host_object(&playground, "ConfigMap", "settings"), None);
}

struct Existing {
    labels: Value,
    adoption: Adoption,
    status: &'static str,
    colour: &'static str,
}

// The table of objects that were there before.
#[tokio::test(start_paused = true)]
async fn an_object_that_was_there_is_adopted_or_left_alone() {
    let (none, opted_out, ours) = (
        json!({}),
        json!({well_known::MANAGED_LABEL: "false"}),
        json!({well_known::MANAGED_LABEL: "true"}),
    );
    let cases = [
        (&none, Adoption::Enabled, "member-1", "blue"),
        (
            &none,
            Adoption::Disabled,
            "member-1: AlreadyExists",
            "green",
        ),
        (
            &opted_out,
            Adoption::Enabled,
            "member-1: ManagedLabelFalse",
            "green",
        ),
        (
            &opted_out,
            Adoption::Disabled,
            "member-1: AlreadyExists",
            "green",
        ),
        (&ours, Adoption::Enabled, "member-1", "blue"),
        (&ours, Adoption::Disabled, "member-1", "blue"),
    ];
    for (labels, adoption, status, colour) in cases {
        let case = Existing {
            labels: labels.clone(),
            adoption,
            status,
            colour,
        };
        check_existing(case).await;
    }
}

async fn check_existing(case: Existing) {
    let options = Options::default()
        .drift_delay(seconds(1))
        .adoption(case.adoption);
    let playground = start(
        PlaygroundOptions::default()
            .members(1)
            .control_plane(options),
    )
    .await;
    open_shop(&playground).await;
    // A labelled object is only met before its federated one while nobody looks.
    playground
        .member("member-1")
        .unwrap()
        .inject(Fault::new(Effect::DelayEvents(seconds(2))));
    let made = create_in(&playground, "member-1", &case.labels).await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    tokio::time::sleep(seconds(20)).await;
    let what = format!("{} {:?}", case.labels, case.adoption);
    assert_eq!(
        reported(&playground, "ConfigMap", "settings"),
        [case.status],
        "{what}"
    );
    let found = copy(&playground, "member-1", "settings").unwrap();
    assert_eq!(found["data"]["colour"], case.colour, "{what}");
    assert_eq!(found["metadata"]["uid"], made["metadata"]["uid"], "{what}");

    let taken_over = case.colour == "blue";
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    until("it is gone from the host", || {
        host_object(&playground, "ConfigMap", "settings").is_none()
    })
    .await;
    let left = copy(&playground, "member-1", "settings");
    assert_eq!(left.is_none(), taken_over, "{what}");
}

// Section 16.2: the label of a managed copy is taken away or set to `false`; ten seconds later.
#[tokio::test(start_paused = true)]
async fn a_copy_whose_label_a_user_changes_is_adopted_again_or_left_alone() {
    let cases = [
        (json!(null), Adoption::Enabled, "member-1", "blue"),
        (
            json!(null),
            Adoption::Disabled,
            "member-1: AlreadyExists",
            "green",
        ),
        (
            json!("false"),
            Adoption::Enabled,
            "member-1: ManagedLabelFalse",
            "green",
        ),
        (
            json!("false"),
            Adoption::Disabled,
            "member-1: AlreadyExists",
            "green",
        ),
    ];
    for (label, adoption, status, colour) in cases {
        let what = format!("{label} {adoption:?}");
        let playground = production(1, Options::default().adoption(adoption)).await;
        open_shop(&playground).await;
        let settings = config_map("settings", &everywhere());
        place(&playground, [settings]).await;
        let made = copy(&playground, "member-1", "settings").unwrap();
        let labels = json!({well_known::MANAGED_LABEL: label});
        let change = json!({"metadata": {"labels": labels}, "data": {"colour": "green"}});
        playground
            .patch_in_member("member-1", &config_maps(), &name("settings"), &change)
            .await
            .unwrap();
        tokio::time::sleep(seconds(9)).await;
        let found = copy(&playground, "member-1", "settings").unwrap();
        assert_eq!(found["data"]["colour"], "green", "{what}: before its time");
        tokio::time::sleep(seconds(3)).await;
        let found = copy(&playground, "member-1", "settings").unwrap();
        assert_eq!(found["data"]["colour"], colour, "{what}");
        assert_eq!(found["metadata"]["uid"], made["metadata"]["uid"], "{what}");
        let status_now = reported(&playground, "ConfigMap", "settings");
        assert_eq!(status_now, [status], "{what}");
    }
}

// A foreign object in the way is watched by nobody, but looked at again (sharp edge S34).
#[tokio::test(start_paused = true)]
async fn the_end_of_an_object_in_the_way_is_noticed() {
    let options = Options::default().adoption(Adoption::Disabled);
    let playground = start(
        PlaygroundOptions::default()
            .members(1)
            .control_plane(options),
    )
    .await;
    open_shop(&playground).await;
    create_in(&playground, "member-1", &json!({})).await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    until("it is refused", || {
        reported(&playground, "ConfigMap", "settings") == ["member-1: AlreadyExists"]
    })
    .await;
    delete_in(&playground, "member-1").await;
    let took = until("it is created", || {
        copy(&playground, "member-1", "settings").is_some()
    })
    .await;
    assert!(took <= seconds(61), "{took:?}");
}

pub(crate) async fn delete_in(playground: &Playground, member: &str) {
    use kubefed_playground::kubefed_sim::k8s_openapi::api::core::v1::ConfigMap;
    let client = playground.member(member).unwrap().client();
    let api: kube::Api<ConfigMap> = kube::Api::namespaced(client, NAMESPACE);
    api.delete("settings", &kube::api::DeleteParams::default())
        .await
        .unwrap();
}

// Opting out of a copy that is managed, and back in.
#[tokio::test(start_paused = true)]
async fn a_copy_whose_label_is_set_to_false_is_left_alone_even_by_deletion() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let opt_out = json!({"metadata": {"labels": {well_known::MANAGED_LABEL: "false"}}, "data": {"colour": "green"}});
    playground
        .patch_in_member("member-1", &config_maps(), &name("settings"), &opt_out)
        .await
        .unwrap();
    until("the opt-out is reported", || {
        reported(&playground, "ConfigMap", "settings")
            == ["member-1: ManagedLabelFalse", "member-2"]
    })
    .await;
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let left = copy(&playground, "member-1", "settings").expect("it opted out");
    assert_eq!(left["data"]["colour"], "green");
    assert_eq!(copy(&playground, "member-2", "settings"), None);
}
