//! What members do and what happens to them: drift, absence, faults of one cluster alone.

use kubefed_playground::kubefed_api::well_known;
use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_sim::{Effect, Fault, Verb};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

use crate::ownership::delete_in;
use crate::scene::*;

fn colour(playground: &Playground, member: &str) -> Value {
    copy(playground, member, "settings").map_or(Value::Null, |copy| copy["data"]["colour"].clone())
}

fn paint(colour: &str) -> Value {
    json!({"spec": {"template": {"data": {"colour": colour}}}})
}

async fn repaint(playground: &Playground, colour: &str) {
    playground
        .patch(
            &federated_type("ConfigMap"),
            &name("settings"),
            &paint(colour),
        )
        .await
        .unwrap();
}

async fn settings_in(placement: &Value, members: usize) -> Playground {
    let playground = shop(members).await;
    place(&playground, [config_map("settings", placement)]).await;
    playground
}

/// A change that a member's user makes.
enum Drift {
    Edit(Value),
    Deletion,
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_after_the_delay_and_not_before() {
    let drifts = [
        Drift::Edit(json!({"data": {"colour": "green"}})),
        Drift::Edit(json!({"metadata": {"labels": {"extra": "label"}}})),
        Drift::Edit(json!({"metadata": {"labels": {well_known::MANAGED_LABEL: null}}})),
        Drift::Deletion,
    ];
    let playground = production(2, Options::default()).await;
    open_shop(&playground).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let expected = |playground: &Playground| {
        let copy = copy(playground, "member-1", "settings").unwrap_or_default();
        copy["data"]["colour"] == "blue"
            && copy["metadata"]["labels"] == json!({well_known::MANAGED_LABEL: "true"})
    };
    assert!(expected(&playground));
    // At once after the creation, and again at rest.
    for pause in [0, 3600] {
        for drift in &drifts {
            tokio::time::sleep(seconds(pause)).await;
            match drift {
                Drift::Edit(patch) => {
                    let settings = name("settings");
                    playground
                        .patch_in_member("member-1", &config_maps(), &settings, patch)
                        .await
                        .unwrap();
                }
                Drift::Deletion => delete_in(&playground, "member-1").await,
            }
            let took = until("it is as it was", || expected(&playground)).await;
            assert!((seconds(9)..seconds(12)).contains(&took), "{took:?}");
            assert_eq!(
                reported(&playground, "ConfigMap", "settings"),
                ["member-1", "member-2"]
            );
        }
    }
    playground.settle(PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_goes_down_in_the_middle_gets_everything_when_it_returns() {
    let playground = shop(3).await;
    let down = playground
        .member("member-2")
        .unwrap()
        .inject(Fault::new(Effect::Refuse));
    playground
        .apply((0..20).map(|n| config_map(&format!("settings-{n}"), &everywhere())))
        .await
        .unwrap();
    until("the others have all", || {
        ["member-1", "member-3"].iter().all(|member| {
            (0..20).all(|n| copy(&playground, member, &format!("settings-{n}")).is_some())
        })
    })
    .await;
    until("it is reported", || {
        reported(&playground, "ConfigMap", "settings-7")
            == ["member-1", "member-2: ClusterNotReady", "member-3"]
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        propagation(&playground, "ConfigMap", "settings-7"),
        "False CheckClusters"
    );
    playground.member("member-2").unwrap().lift(down);
    until("it is ready", || ready(&playground, "member-2")).await;
    playground.settle(PATIENCE).await.unwrap();
    for n in 0..20 {
        let object = format!("settings-{n}");
        assert!(copy(&playground, "member-2", &object).is_some());
        assert_eq!(propagation(&playground, "ConfigMap", &object), "True");
    }
}

// INV-S4: the clusters that were ever written to are remembered.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_down_when_it_was_deselected_keeps_nothing() {
    let playground = settings_in(&everywhere(), 2).await;
    let member = playground.member("member-2").unwrap();
    let down = member.inject(Fault::new(Effect::Refuse));
    until("it is down", || !ready(&playground, "member-2")).await;
    let kind = federated_type("ConfigMap");
    let narrowed = json!({"spec": {"placement": named(&["member-1"])}});
    playground
        .patch(&kind, &name("settings"), &narrowed)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        reported(&playground, "ConfigMap", "settings"),
        ["member-1", "member-2: WaitingForRemoval"]
    );
    assert_eq!(
        inventory(&playground, "ConfigMap", "settings"),
        "member-1,member-2"
    );

    playground.delete(&kind, &name("settings")).await.unwrap();
    until("the copy in reach is gone", || {
        copy(&playground, "member-1", "settings").is_none()
    })
    .await;
    tokio::time::sleep(seconds(120)).await;
    assert!(
        host_object(&playground, "ConfigMap", "settings").is_some(),
        "it waits for member-2"
    );
    assert_eq!(
        reported(&playground, "ConfigMap", "settings"),
        ["member-2: WaitingForRemoval"]
    );
    assert!(copy(&playground, "member-2", "settings").is_some());

    member.lift(down);
    until("it is gone from the host", || {
        host_object(&playground, "ConfigMap", "settings").is_none()
    })
    .await;
    assert_eq!(copy(&playground, "member-2", "settings"), None);
}

#[tokio::test(start_paused = true)]
async fn removing_a_cluster_unblocks_a_deletion_and_touches_nothing_there() {
    let playground = settings_in(&everywhere(), 2).await;
    let member = playground.member("member-2").unwrap();
    let down = member.inject(Fault::new(Effect::Refuse));
    until("it is down", || !ready(&playground, "member-2")).await;
    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    tokio::time::sleep(seconds(60)).await;
    assert!(host_object(&playground, "ConfigMap", "settings").is_some());
    playground
        .delete(&clusters(), &system("member-2"))
        .await
        .unwrap();
    until("it is gone", || {
        host_object(&playground, "ConfigMap", "settings").is_none()
    })
    .await;
    member.lift(down);
    tokio::time::sleep(seconds(60)).await;
    assert!(is_managed(
        &copy(&playground, "member-2", "settings").unwrap()
    ));
}

#[tokio::test(start_paused = true)]
async fn a_removed_cluster_leaves_placement_status_and_versions() {
    let playground = settings_in(&everywhere(), 3).await;
    let object = cluster_object(&playground, "member-2").unwrap();
    playground
        .delete(&clusters(), &system("member-2"))
        .await
        .unwrap();
    until("it is no longer reported", || {
        reported(&playground, "ConfigMap", "settings") == ["member-1", "member-3"]
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    let versions = version_object(&playground, "configmap-settings").unwrap();
    assert_eq!(
        versions["status"]["clusterVersions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        inventory(&playground, "ConfigMap", "settings"),
        "member-1,member-3"
    );
    assert!(is_managed(
        &copy(&playground, "member-2", "settings").unwrap()
    ));

    // Back again: what it holds is taken up, and what nobody federates any more is set free.
    playground
        .apply([config_map("other", &everywhere())])
        .await
        .unwrap();
    let fresh = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "spec": object["spec"],
        "metadata": {"name": "member-2", "namespace": well_known::DEFAULT_KUBEFED_NAMESPACE},
    });
    let uid = copy(&playground, "member-2", "settings").unwrap()["metadata"]["uid"].clone();
    repaint(&playground, "red").await;
    playground.apply([fresh]).await.unwrap();
    until("it has the change", || {
        colour(&playground, "member-2") == "red"
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        copy(&playground, "member-2", "settings").unwrap()["metadata"]["uid"],
        uid
    );
    assert!(
        ready(&playground, "member-2"),
        "the new KubeFedCluster has a status"
    );
    assert_eq!(propagation(&playground, "ConfigMap", "other"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_rotated_token_is_taken_up_from_the_secret() {
    let playground = settings_in(&everywhere(), 2).await;
    let member = playground.member("member-2").unwrap();
    let token = service_account_token(&playground).await;
    member.inject(Fault::new(Effect::RevokeToken(member.admin_token())));
    until("the old one is refused", || !ready(&playground, "member-2")).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": well_known::DEFAULT_KUBEFED_NAMESPACE, "name": "member-2-token"},
        "stringData": {well_known::TOKEN_KEY: token},
    });
    playground.apply([secret]).await.unwrap();
    until("it is ready again", || ready(&playground, "member-2")).await;
    repaint(&playground, "red").await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(colour(&playground, "member-2"), "red");
}

/// A token of a service account in member-2, as a Secret of it holds one.
async fn service_account_token(playground: &Playground) -> String {
    use kubefed_playground::kubefed_sim::k8s_openapi::api::core::v1::Secret;
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "federation", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
    }))
    .unwrap();
    let member = playground.member("member-2").unwrap();
    let api: kube::Api<Secret> = kube::Api::namespaced(member.client(), "default");
    api.create(&kube::api::PostParams::default(), &secret)
        .await
        .unwrap();
    loop {
        let filled = api.get("federation").await.unwrap();
        if let Some(token) = filled.data.and_then(|data| data.get("token").cloned()) {
            return String::from_utf8(token.0).unwrap();
        }
        tokio::time::sleep(seconds(1)).await;
    }
}

// A type that one member does not know concerns that member alone (sharp edge S1 of the original).
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_in_one_member_holds_back_no_other() {
    let playground = fleet(3).await;
    let hung = Fault::new(Effect::Freeze).resource("configmaps");
    let member = playground.member("member-2").unwrap();
    let fault = member.inject(hung);
    // The watch that was open before the fault has to end for the list to hang.
    member.inject(Fault::new(Effect::CutConnections));
    open_shop_but(&playground).await;
    playground
        .apply([config_map("settings", &everywhere())])
        .await
        .unwrap();
    let took = until("the others have it", || {
        colour(&playground, "member-1") == "blue" && colour(&playground, "member-3") == "blue"
    })
    .await;
    assert!(took < seconds(2), "{took:?}");
    until("the state is reported", || {
        !reported(&playground, "ConfigMap", "settings").is_empty()
    })
    .await;
    member.lift(fault);
    until("it gets it, too", || {
        colour(&playground, "member-2") == "blue"
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
}

/// Federates the namespace without waiting for everything.
async fn open_shop_but(playground: &Playground) {
    playground
        .apply([federated_namespace(&everywhere())])
        .await
        .unwrap();
    until("the namespace is there", || {
        playground
            .members()
            .all(|(_, member)| member.object("namespaces", None, NAMESPACE).is_some())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_starts_while_a_list_hangs_serves_the_others() {
    let mut playground = settings_in(&everywhere(), 3).await;
    playground.stop_control_plane().await;
    let member = playground.member("member-2").unwrap().clone();
    let fault = member.inject(Fault::new(Effect::Freeze).resource("configmaps"));
    playground.start_control_plane();
    repaint(&playground, "red").await;
    let took = until("the others have it", || {
        colour(&playground, "member-1") == "red" && colour(&playground, "member-3") == "red"
    })
    .await;
    assert!(took < seconds(2), "{took:?}");
    let lagging = ["member-1", "member-2: CachedRetrievalFailed", "member-3"];
    let took = until("the laggard is reported", || {
        reported(&playground, "ConfigMap", "settings") == lagging
    })
    .await;
    assert!(took < seconds(60), "{took:?}");
    member.lift(fault);
    until("it gets it, too", || {
        colour(&playground, "member-2") == "red"
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_one_member_does_not_know_concerns_that_member_alone() {
    let mut playground = shop(2).await;
    define(&playground, "member-1").await;
    enable_widgets(&mut playground).await;
    let widget = json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedWidget",
        "metadata": {"namespace": NAMESPACE, "name": "gear"},
        "spec": {"template": {"spec": {"teeth": 12}}, "placement": everywhere()},
    });
    playground.apply([widget]).await.unwrap();
    let teeth = |member: &str| {
        stored(&playground, member, "widgets.example.com", "gear")
            .map(|gear| gear["spec"]["teeth"].clone())
    };
    let took = until("the one that knows it has it", || {
        teeth("member-1") == Some(json!(12))
    })
    .await;
    assert!(took < seconds(5), "{took:?}");
    until("the other is reported", || {
        reported(&playground, "Widget", "gear") == ["member-1", "member-2: CachedRetrievalFailed"]
    })
    .await;
    define(&playground, "member-2").await;
    let took = until("it gets it when it knows the type", || {
        teeth("member-2") == Some(json!(12))
    })
    .await;
    assert!(took < seconds(60), "{took:?}");
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "Widget", "gear"), "True");
}

async fn define(playground: &Playground, member: &str) {
    use kubefed_playground::kubefed_sim::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            }],
        },
    }))
    .unwrap();
    let client = cluster(playground, member).client();
    let api: kube::Api<CustomResourceDefinition> = kube::Api::all(client);
    api.create(&kube::api::PostParams::default(), &definition)
        .await
        .unwrap();
}

async fn enable_widgets(playground: &mut Playground) {
    use kubefed_playground::kubefed_api::{ResourceType, Target, TemplateSchema};
    let target = Target::new(ResourceType::namespaced(
        "example.com",
        "v1",
        "Widget",
        "widgets",
    ));
    playground
        .enable(&target, TemplateSchema::Present)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_precedes_its_namespace_in_a_member_follows_in_seconds() {
    let playground = production(2, Options::default()).await;
    // Namespaces are slow, config maps are not.
    let slow = Fault::new(Effect::Delay(seconds(3)))
        .verb(Verb::Create)
        .resource("namespaces");
    playground.member("member-2").unwrap().inject(slow);
    playground
        .apply([
            config_map("settings", &everywhere()),
            federated_namespace(&everywhere()),
        ])
        .await
        .unwrap();
    let took = until("it is everywhere", || {
        playground
            .members()
            .all(|(member, _)| copy(&playground, member, "settings").is_some())
    })
    .await;
    assert!(took < seconds(15), "{took:?}");
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_break_or_are_outdated_miss_nothing() {
    let playground = settings_in(&everywhere(), 2).await;
    let effects = [
        vec![Effect::EndWatches],
        vec![Effect::CutConnections],
        vec![Effect::Compact, Effect::EndWatches],
    ];
    let mut colours = ["red", "yellow", "green", "white", "black", "grey"].into_iter();
    for cluster in ["host", "member-1"] {
        for effects in &effects {
            for effect in effects {
                self::cluster(&playground, cluster).inject(Fault::new(effect.clone()));
            }
            // While the watches are away the host changes and the member drifts.
            let colour = colours.next().unwrap();
            let drifted = json!({"data": {"colour": "drifted"}});
            playground
                .patch_in_member("member-1", &config_maps(), &name("settings"), &drifted)
                .await
                .unwrap();
            repaint(&playground, colour).await;
            let took = until("it is right everywhere", || {
                playground
                    .members()
                    .all(|(member, _)| self::colour(&playground, member) == colour)
            })
            .await;
            assert!(took < seconds(10), "{cluster} {effects:?}: {took:?}");
            playground.settle(PATIENCE).await.unwrap();
        }
    }
}

// Ignorance is never a cause: nothing is deleted because lists are stale, empty or fail.
#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_while_the_host_does_not_answer() {
    let mut playground = settings_in(&everywhere(), 2).await;
    playground.crash_control_plane();
    playground
        .host()
        .inject(Fault::status(500).resource("federatednamespaces.types.kubefed.io"));
    forget_requests(&playground);
    playground.start_control_plane();
    tokio::time::sleep(seconds(600)).await;
    let deletes = writes(&playground)
        .into_iter()
        .filter(|write| write.contains(" delete "));
    assert_eq!(deletes.collect::<Vec<_>>(), Vec::<String>::new());
    playground.host().lift_all();
    playground
        .host()
        .inject(Fault::status(500).resource("kubefedclusters.core.kubefed.io"));
    playground.crash_control_plane();
    playground.start_control_plane();
    repaint(&playground, "red").await;
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(colour(&playground, "member-1"), "blue");
    assert_eq!(
        inventory(&playground, "ConfigMap", "settings"),
        "member-1,member-2"
    );
    playground.host().lift_all();
    until("it goes on", || colour(&playground, "member-1") == "red").await;
}

/// A label of a KubeFedCluster, changed.
#[tokio::test(start_paused = true)]
async fn a_copy_in_a_cluster_that_no_longer_matches_is_removed() {
    let playground = settings_in(
        &json!({"clusterSelector": {"matchLabels": {"region": "eu"}}}),
        2,
    )
    .await;
    assert_eq!(colour(&playground, "member-1"), "blue");
    let moved = json!({"metadata": {"labels": {"region": "us"}}});
    playground
        .patch(&clusters(), &system("member-1"), &moved)
        .await
        .unwrap();
    until("it is gone", || {
        copy(&playground, "member-1", "settings").is_none()
    })
    .await;
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    assert_eq!(
        reported(&playground, "ConfigMap", "settings"),
        Vec::<String>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_name_is_used_again_at_once_is_created_anew() {
    let playground = start(PlaygroundOptions::default().members(2)).await;
    open_shop(&playground).await;
    let kind = federated_type("ConfigMap");
    let mut uids = std::collections::BTreeSet::new();
    for colour in ["blue", "red", "green"] {
        let mut settings = config_map("settings", &everywhere());
        settings["spec"]["template"]["data"]["colour"] = colour.into();
        playground.apply([settings]).await.unwrap();
        until("it is there", || {
            self::colour(&playground, "member-2") == colour
        })
        .await;
        let uid = copy(&playground, "member-2", "settings").unwrap()["metadata"]["uid"].to_string();
        assert!(uids.insert(uid));
        playground.delete(&kind, &name("settings")).await.unwrap();
        until("it is gone", || {
            host_object(&playground, "ConfigMap", "settings").is_none()
        })
        .await;
    }
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(copy(&playground, "member-1", "settings"), None);
}
