//! Life of a federated object: observable checks 1 to 9 and 11 of propagation.

use kubefed_playground::kubefed_api::well_known;
use serde_json::{Value, json};

use crate::scene::*;

// Checks 1, 2, 3 and 5 of propagation.
#[tokio::test(start_paused = true)]
async fn a_federated_object_appears_everywhere_and_its_versions_are_recorded() {
    let playground = shop(3).await;
    let colour = |cluster: &str| override_of(cluster, "/data/colour", &json!("red"));
    let mut settings = config_map("settings", &everywhere());
    settings["spec"]["overrides"] = colour("member-2");
    place(&playground, [settings, deployment("web", &everywhere())]).await;

    for (kind, object, resource) in [
        ("ConfigMap", "settings", "configmaps"),
        ("Deployment", "web", "deployments.apps"),
    ] {
        let versions =
            version_object(&playground, &format!("{}-{object}", kind.to_lowercase())).unwrap();
        let entries = versions["status"]["clusterVersions"].as_array().unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(versions["metadata"]["ownerReferences"][0]["name"], object);
        for entry in entries {
            let member = entry["clusterName"].as_str().unwrap();
            let copy = stored(&playground, member, resource, object).unwrap();
            assert!(is_managed(&copy));
            let metadata = &copy["metadata"];
            let expected = match metadata["generation"].as_i64() {
                Some(generation) => format!("gen:{generation}"),
                None => format!("rv:{}", metadata["resourceVersion"].as_str().unwrap()),
            };
            assert_eq!(entry["version"], expected.as_str(), "{member} {kind}");
        }
        assert_eq!(propagation(&playground, kind, object), "True");
        assert_eq!(
            reported(&playground, kind, object),
            ["member-1", "member-2", "member-3"]
        );
        let host = host_object(&playground, kind, object).unwrap();
        assert_eq!(
            host["status"]["observedGeneration"],
            host["metadata"]["generation"]
        );
    }
    let colours = ["member-1", "member-2", "member-3"]
        .map(|member| copy(&playground, member, "settings").unwrap()["data"]["colour"].clone());
    assert_eq!(colours, ["blue", "red", "blue"]);
}

// Check 2 of propagation, for namespaces, and the tolerated label of check 3.
#[tokio::test(start_paused = true)]
async fn the_version_object_of_a_namespace_lives_in_it() {
    let playground = shop(2).await;
    let versions = version_object(&playground, "namespace-shop").unwrap();
    assert_eq!(
        versions["status"]["clusterVersions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let member = playground.member("member-1").unwrap();
    let namespace = member.object("namespaces", None, NAMESPACE).unwrap();
    assert_eq!(
        namespace["metadata"]["labels"]["kubernetes.io/metadata.name"],
        NAMESPACE
    );
    assert!(is_managed(&namespace));
}

// Check 4 of propagation.
#[tokio::test(start_paused = true)]
async fn labels_may_be_overridden_although_the_template_has_none() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let tier = |cluster: &str| {
        json!({
            "clusterName": cluster,
            "clusterOverrides": [{"path": "/metadata/labels", "value": {"tier": cluster}}],
        })
    };
    let patch = json!({"spec": {"overrides": [tier("member-1"), tier("member-2")]}});
    change(&playground, "ConfigMap", "settings", &patch).await;
    for member in ["member-1", "member-2"] {
        let expected = json!({"tier": member, well_known::MANAGED_LABEL: "true"});
        assert_eq!(
            copy(&playground, member, "settings").unwrap()["metadata"]["labels"],
            expected
        );
    }
}

// Check 6 of propagation.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_leaves_the_placement_loses_copy_version_and_status() {
    let playground = shop(2).await;
    let both = named(&["member-1", "member-2"]);
    place(&playground, [config_map("settings", &both)]).await;
    assert_eq!(
        inventory(&playground, "ConfigMap", "settings"),
        "member-1,member-2"
    );
    let patch = json!({"spec": {"placement": named(&["member-2"])}});
    change(&playground, "ConfigMap", "settings", &patch).await;
    assert_eq!(copy(&playground, "member-1", "settings"), None);
    assert!(copy(&playground, "member-2", "settings").is_some());
    assert_eq!(reported(&playground, "ConfigMap", "settings"), ["member-2"]);
    assert_eq!(propagation(&playground, "ConfigMap", "settings"), "True");
    let versions = version_object(&playground, "configmap-settings").unwrap();
    let entries = versions["status"]["clusterVersions"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["clusterName"], "member-2");
    assert_eq!(inventory(&playground, "ConfigMap", "settings"), "member-2");
}

/// A fleet in which the host cluster is a member, too.
async fn with_host() -> kubefed_playground::Playground {
    let playground = fleet(1).await;
    let system = well_known::DEFAULT_KUBEFED_NAMESPACE;
    playground
        .apply([
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": system, "name": "host-token"},
                "stringData": {well_known::TOKEN_KEY: playground.host().admin_token()},
            }),
            json!({
                "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
                "metadata": {"namespace": system, "name": "host"},
                "spec": {"apiEndpoint": "https://host.sim", "secretRef": {"name": "host-token"}},
            }),
        ])
        .await
        .unwrap();
    let mut namespace = federated_namespace(&everywhere());
    namespace["spec"]["template"] = json!({"metadata": {"labels": {"team": "till"}}});
    place(&playground, [namespace]).await;
    playground
}

fn labels(playground: &kubefed_playground::Playground, member: &str) -> Option<Value> {
    let namespace = cluster(playground, member).object("namespaces", None, NAMESPACE)?;
    Some(namespace["metadata"]["labels"].clone())
}

// Checks 7 and 8 of propagation.
#[tokio::test(start_paused = true)]
async fn the_hosts_own_namespace_is_unlabelled_where_others_are_deleted() {
    let playground = with_host().await;
    let managed = json!({
        "kubernetes.io/metadata.name": NAMESPACE, "team": "till", well_known::MANAGED_LABEL: "true",
    });
    assert_eq!(labels(&playground, "host"), Some(managed.clone()));
    let kind = federated_type("Namespace");
    let narrowed = json!({"spec": {"placement": named(&["member-1"])}});
    playground
        .patch(&kind, &name(NAMESPACE), &narrowed)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let free = json!({"kubernetes.io/metadata.name": NAMESPACE, "team": "till"});
    assert_eq!(labels(&playground, "host"), Some(free.clone()));
    assert_eq!(reported(&playground, "Namespace", NAMESPACE), ["member-1"]);

    let widened = json!({"spec": {"placement": named(&["host", "member-1"])}});
    playground
        .patch(&kind, &name(NAMESPACE), &widened)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(labels(&playground, "host"), Some(managed));
    playground.delete(&kind, &name(NAMESPACE)).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(labels(&playground, "member-1"), None);
    assert_eq!(labels(&playground, "host"), Some(free));
    assert_eq!(host_object(&playground, "Namespace", NAMESPACE), None);
}

// Check 8 of propagation.
#[tokio::test(start_paused = true)]
async fn a_federated_object_goes_only_after_its_copies() {
    let playground = shop(2).await;
    let mut settings = config_map("settings", &everywhere());
    settings["spec"]["template"]["metadata"] = json!({"finalizers": ["example.com/last-wish"]});
    // Finalizers of the template are dropped, so the member's own user adds one.
    place(&playground, [settings]).await;
    let hold = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    let held = hold(json!(["example.com/last-wish"]));
    playground
        .patch_in_member("member-2", &config_maps(), &name("settings"), &held)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();

    playground
        .delete(&federated_type("ConfigMap"), &name("settings"))
        .await
        .unwrap();
    until("the copy that nobody holds is gone", || {
        copy(&playground, "member-1", "settings").is_none()
    })
    .await;
    tokio::time::sleep(seconds(30)).await;
    let waiting = host_object(&playground, "ConfigMap", "settings").expect("it waits for member-2");
    assert_eq!(
        reported(&playground, "ConfigMap", "settings"),
        ["member-2: WaitingForRemoval"]
    );
    assert_eq!(
        waiting["metadata"]["finalizers"],
        json!([well_known::SYNC_FINALIZER])
    );

    playground
        .patch_in_member(
            "member-2",
            &config_maps(),
            &name("settings"),
            &hold(Value::Null),
        )
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(copy(&playground, "member-2", "settings"), None);
    assert_eq!(host_object(&playground, "ConfigMap", "settings"), None);
    assert_eq!(version_object(&playground, "configmap-settings"), None);
}

// Check 9 of propagation, and that nothing but the label is changed.
#[tokio::test(start_paused = true)]
async fn orphaned_copies_stay_as_they_are_without_the_label() {
    let playground = shop(2).await;
    place(&playground, [config_map("settings", &everywhere())]).await;
    let before = copy(&playground, "member-1", "settings").unwrap();
    let kind = federated_type("ConfigMap");
    let annotation = json!({"metadata": {"annotations": {well_known::ORPHAN_ANNOTATION: "true"}}});
    playground
        .patch(&kind, &name("settings"), &annotation)
        .await
        .unwrap();
    playground.delete(&kind, &name("settings")).await.unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(host_object(&playground, "ConfigMap", "settings"), None);
    for member in ["member-1", "member-2"] {
        let after = copy(&playground, member, "settings").expect("it was to stay");
        assert!(!is_managed(&after));
        assert_eq!(after["data"], before["data"]);
    }
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    assert_eq!(
        uid(&copy(&playground, "member-1", "settings").unwrap()),
        uid(&before)
    );
}

// Check 11 of propagation.
#[tokio::test(start_paused = true)]
async fn delete_options_reach_the_members() {
    let playground = shop(1).await;
    let mut web = deployment("web", &everywhere());
    let options = json!({"propagationPolicy": "Orphan"}).to_string();
    web["metadata"]["annotations"] = json!({well_known::DELETE_OPTIONS_ANNOTATION: options});
    place(&playground, [web]).await;
    let parent = stored(&playground, "member-1", "deployments.apps", "web").unwrap();
    own_replica_set(&playground, &parent).await;

    playground
        .delete(&federated_type("Deployment"), &name("web"))
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    assert_eq!(
        stored(&playground, "member-1", "deployments.apps", "web"),
        None
    );
    let left = stored(&playground, "member-1", "replicasets.apps", "web-1").expect("orphaned");
    assert!(
        left["metadata"]["ownerReferences"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
}

/// What the Deployment controller of the member would make.
async fn own_replica_set(playground: &kubefed_playground::Playground, parent: &Value) {
    use kubefed_playground::kubefed_sim::k8s_openapi::api::apps::v1::ReplicaSet;
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": {"name": "web-1", "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true,
            "uid": parent["metadata"]["uid"],
        }]},
        "spec": {
            "replicas": 0,
            "selector": parent["spec"]["selector"], "template": parent["spec"]["template"],
        },
    }))
    .unwrap();
    let client = playground.member("member-1").unwrap().client();
    let api: kube::Api<ReplicaSet> = kube::Api::namespaced(client, NAMESPACE);
    api.create(&kube::api::PostParams::default(), &set)
        .await
        .unwrap();
}
