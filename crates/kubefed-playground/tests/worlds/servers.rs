//! Scenarios that only real servers can play.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Api, Client};
use kubefed_playground::kubefed_api::{QualifiedName, well_known};
use kubefed_playground::{PlayedCluster, Playground, Snapshot};
use kubefed_testing::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::cluster::RealCluster;
use crate::relay::Relay;
use crate::scenarios::{
    Outcome, PATIENCE, config_maps, empty, federated_config_map, federated_namespace,
    federated_type, until,
};

type Fleet = Playground<RealCluster>;

/// A member's etcd is put back to a backup. Its resource versions are given out a second time, and it
/// has objects again that were deleted since.
pub(crate) async fn member_restored_from_a_backup(fleet: &Fleet) -> Outcome {
    let namespace = "backup";
    let maps = [0, 1].map(|index| federated_config_map(namespace, index, "blue"));
    fleet.apply([federated_namespace(namespace)]).await?;
    fleet.apply(maps).await?;
    fleet.settle(PATIENCE).await?;
    let member = member(fleet, "member-2")?;
    let backup = TempDir::new()?;
    let data = |server: &ApiServer| server.dir().join("etcd");
    member
        .restart(|server| copy_folder(&data(server), backup.path()))
        .await?;

    // Since the backup one is changed, one deleted, and one new.
    fleet
        .apply([0, 2].map(|index| federated_config_map(namespace, index, "green")))
        .await?;
    fleet
        .delete(&federated_type("ConfigMap"), &map(namespace, 1))
        .await?;
    fleet.settle(PATIENCE).await?;
    member
        .restart(|server| {
            std::fs::remove_dir_all(data(server))?;
            copy_folder(backup.path(), &data(server))
        })
        .await?;

    let copies: Api<ConfigMap> = Api::namespaced(member.client(), namespace);
    eventually("the member holds what it should", || async {
        let colour = async |name: &str| {
            let copy = copies.get_opt(name).await?;
            Ok::<_, kube::Error>(copy.and_then(|copy| copy.data?.remove("colour")))
        };
        let left = copies.get_opt("map-1").await?;
        let free = left.is_none_or(|left| {
            let labels = left.metadata.labels.unwrap_or_default();
            !labels.contains_key(well_known::MANAGED_LABEL)
        });
        let green = Some("green".to_owned());
        Ok(free && colour("map-0").await? == green && colour("map-2").await? == green)
    })
    .await?;
    fleet.settle(PATIENCE).await?;
    // Nothing federates it any more, and whoever deleted it meant the copy too; but a copy without a
    // federated object is never deleted, so it was set free.
    let left = copies.get_opt("map-1").await?;
    assert!(left.is_some(), "what came back with the backup is kept");
    copies.delete("map-1", &DeleteParams::default()).await?;
    for index in [0, 2] {
        fleet
            .delete(&federated_type("ConfigMap"), &map(namespace, index))
            .await?;
    }
    fleet.settle(PATIENCE).await?;
    Ok(())
}

/// The watches of a member are cut for less time than a probe needs to notice, and cannot be resumed:
/// etcd was compacted and the API server forgot the rest. What happened is seen and repaired.
pub(crate) async fn watch_that_cannot_be_resumed(fleet: &Fleet, relay: &Relay) -> Outcome {
    const OBJECTS: usize = 3;
    let namespace = "compacted";
    fleet.apply([federated_namespace(namespace)]).await?;
    fleet
        .apply((0..OBJECTS).map(|index| federated_config_map(namespace, index, "blue")))
        .await?;
    fleet.settle(PATIENCE).await?;
    let member = member(fleet, "member-1")?;
    let copies: Api<ConfigMap> = Api::namespaced(member.client(), namespace);

    relay.refuse().await;
    let before = copies.list_metadata(&ListParams::default()).await?;
    let red = Patch::Merge(json!({"data": {"colour": "red"}}));
    copies.patch("map-0", &PatchParams::default(), &red).await?;
    copies.delete("map-1", &DeleteParams::default()).await?;
    member.restart(|_| Ok(())).await?;
    let version = before.metadata.resource_version.unwrap_or_default();
    let resumed = copies.watch(&WatchParams::default(), &version).await;
    let gone = match resumed {
        Ok(events) => match pin!(events).try_next().await? {
            Some(WatchEvent::Error(status)) => status.code == 410,
            _ => false,
        },
        Err(kube::Error::Api(status)) => status.code == 410,
        Err(error) => return Err(error.into()),
    };
    assert!(gone, "the member can be asked for what happened meanwhile");
    relay.accept().await?;

    let blue =
        |map: &Value| map["metadata"]["namespace"] == namespace && map["data"]["colour"] == "blue";
    eventually("all copies are blue again", || async {
        Ok(member.count(&config_maps(), blue) == OBJECTS)
    })
    .await?;
    empty(fleet, namespace, OBJECTS).await
}

/// The control plane's token for a member ends. The cluster is reported to be offline, nothing is
/// written or taken for gone, and a new token in the Secret is enough to go on.
pub(crate) async fn token_that_expires(fleet: &Fleet) -> Outcome {
    let namespace = "token";
    fleet.apply([federated_namespace(namespace)]).await?;
    fleet
        .apply([federated_config_map(namespace, 0, "blue")])
        .await?;
    fleet.settle(PATIENCE).await?;
    let member = member(fleet, "member-3")?;
    let (token, bound) = short_lived_token(&member.client()).await?;
    let secrets: Api<Secret> = Api::namespaced(
        fleet.client().clone(),
        well_known::DEFAULT_KUBEFED_NAMESPACE,
    );
    let good = secrets.get("member-3-token").await?;
    let give = async |token: serde_json::Value| {
        let patch = Patch::Merge(token);
        secrets
            .patch("member-3-token", &PatchParams::default(), &patch)
            .await
    };
    give(json!({"stringData": {well_known::TOKEN_KEY: token}})).await?;
    fleet
        .apply([federated_config_map(namespace, 0, "green")])
        .await?;
    fleet.settle(PATIENCE).await?;

    // A token that is bound to an object ends with it.
    let bindings: Api<Secret> = Api::namespaced(member.client(), "default");
    bindings.delete(&bound, &DeleteParams::default()).await?;
    let state = |snapshot: &Snapshot, wanted: &str| {
        let clusters = snapshot.clusters();
        let found = clusters.iter().find(|cluster| cluster.name == "member-3");
        let found = found
            .map(|cluster| cluster.state.clone())
            .unwrap_or_default();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("member-3 is {found:?}"))
        }
    };
    until(fleet, |snapshot| state(snapshot, "Offline")).await?;
    fleet
        .apply([federated_config_map(namespace, 0, "red")])
        .await?;
    until(fleet, |snapshot| {
        let object = snapshot.object("ConfigMap", &map(namespace, 0));
        let copy = object.and_then(|object| object.cluster("member-3"));
        match copy.and_then(|copy| copy.status.as_deref()) {
            Some("ClusterNotReady") => Ok(()),
            other => Err(format!("member-3 is reported as {other:?}")),
        }
    })
    .await?;
    let copies: Api<ConfigMap> = Api::namespaced(member.client(), namespace);
    let kept = copies.get("map-0").await?.data.unwrap_or_default();
    assert_eq!(
        kept["colour"], "green",
        "nothing was written without a token"
    );

    give(json!({"data": good.data})).await?;
    until(fleet, |snapshot| state(snapshot, "Ready")).await?;
    eventually("the copy is red", || async {
        let data = copies.get("map-0").await?.data.unwrap_or_default();
        Ok(data["colour"] == "red")
    })
    .await?;
    empty(fleet, namespace, 1).await
}

/// A token of an administrator, and the Secret that it is bound to.
async fn short_lived_token(
    client: &Client,
) -> Result<(String, String), Box<dyn std::error::Error + Send + Sync>> {
    let name = "short-lived";
    let create = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account = json!({"metadata": {"name": name}});
    accounts
        .create(&create, &serde_json::from_value(account)?)
        .await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": name}],
    });
    bindings
        .create(&create, &serde_json::from_value(binding)?)
        .await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let secret = json!({"metadata": {"name": name}});
    let secret = secrets
        .create(&create, &serde_json::from_value(secret)?)
        .await?;
    let request: TokenRequest = serde_json::from_value(json!({
        "metadata": {},
        "spec": {"audiences": [], "expirationSeconds": 600, "boundObjectRef": {
            "apiVersion": "v1", "kind": "Secret", "name": name, "uid": secret.metadata.uid,
        }},
    }))?;
    let answer = accounts
        .create_token_request(name, &create, &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    Ok((
        token.ok_or("there is no token in the answer")?,
        name.to_owned(),
    ))
}

/// Asks a cluster again and again until it says yes. It may be starting, so errors are asked again too.
async fn eventually<F>(what: &str, ask: impl Fn() -> F) -> Outcome
where
    F: Future<Output = kube::Result<bool>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("never: {what}; last answer: {answer:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn member<'a>(fleet: &'a Fleet, name: &str) -> Result<&'a RealCluster, String> {
    fleet
        .member(name)
        .ok_or_else(|| format!("there is no {name}"))
}

fn map(namespace: &str, index: usize) -> QualifiedName {
    QualifiedName::namespaced(namespace, format!("map-{index}"))
}
