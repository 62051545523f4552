//! Discovery, version and health, as clients use them.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::world::{Outcome, World, claim, scenarios};

scenarios![
    plain_discovery_describes_what_is_served,
    aggregated_discovery_says_the_same_in_two_answers,
    kube_discovers_everything,
    the_server_is_healthy_and_has_a_version,
];

fn named<'a>(list: &'a Value, field: &str, name: &str) -> anyhow::Result<&'a Value> {
    let items = list.as_array().context("not a list")?;
    items
        .iter()
        .find(|item| item[field] == name)
        .with_context(|| format!("{name} is missing"))
}

async fn plain_discovery_describes_what_is_served(world: World) -> Outcome {
    let core = world.get("/api").await?.expect(200)?;
    claim(&core, &json!({ "kind": "APIVersions", "versions": ["v1"] }))?;
    let groups = world.get("/apis").await?.expect(200)?;
    claim(
        named(&groups["groups"], "name", "apps")?,
        &json!({
            "preferredVersion": { "groupVersion": "apps/v1", "version": "v1" },
        }),
    )?;
    let group = world.get("/apis/apps").await?.expect(200)?;
    claim(&group, &json!({ "kind": "APIGroup", "name": "apps" }))?;
    let apps = world.get("/apis/apps/v1").await?.expect(200)?;
    claim(
        &apps,
        &json!({ "kind": "APIResourceList", "groupVersion": "apps/v1" }),
    )?;
    claim(
        named(&apps["resources"], "name", "deployments")?,
        &json!({
            "kind": "Deployment", "namespaced": true, "singularName": "deployment", "shortNames": ["deploy"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }),
    )?;
    claim(
        named(&apps["resources"], "name", "deployments/scale")?,
        &json!({
            "kind": "Scale", "group": "autoscaling", "version": "v1",
        }),
    )?;
    let v1 = world.get("/api/v1").await?.expect(200)?;
    claim(
        named(&v1["resources"], "name", "namespaces")?,
        &json!({ "namespaced": false }),
    )?;
    named(&v1["resources"], "name", "namespaces/finalize")?;
    world.get("/apis/nothing.example").await?.expect(404)?;
    Ok(())
}

async fn aggregated_discovery_says_the_same_in_two_answers(world: World) -> Outcome {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let answer = world
        .send("GET", "/apis", &[("accept", accept)], "")
        .await?;
    ensure!(
        answer.media_type.contains("as=APIGroupDiscoveryList"),
        "{}",
        answer.media_type
    );
    let groups = answer.expect(200)?;
    let apps = groups["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|g| g["metadata"]["name"] == "apps");
    let apps = apps.context("no apps")?;
    let deployments = named(&apps["versions"][0]["resources"], "resource", "deployments")?;
    claim(
        deployments,
        &json!({
            "responseKind": { "group": "", "version": "", "kind": "Deployment" }, "scope": "Namespaced",
            "singularResource": "deployment",
        }),
    )?;
    named(&deployments["subresources"], "subresource", "status")?;
    world
        .send("GET", "/api", &[("accept", accept)], "")
        .await?
        .expect(200)?;
    Ok(())
}

async fn kube_discovers_everything(world: World) -> Outcome {
    for discovery in [
        kube::discovery::Discovery::new(world.client.clone())
            .run()
            .await?,
        kube::discovery::Discovery::new(world.client.clone())
            .run_aggregated()
            .await?,
    ] {
        let group = discovery.get("apps").context("apps")?;
        let (resource, capabilities) =
            group.recommended_kind("Deployment").context("Deployment")?;
        ensure!(resource.plural == "deployments");
        ensure!(capabilities.scope == kube::discovery::Scope::Namespaced);
        ensure!(discovery.get("").is_some());
    }
    Ok(())
}

async fn the_server_is_healthy_and_has_a_version(world: World) -> Outcome {
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping"] {
        let answer = world.get(path).await?;
        ensure!(
            answer.code == 200 && answer.body == "ok",
            "{path}: {answer:?}"
        );
    }
    let version = world.client.apiserver_version().await?;
    ensure!(version.major == "1" && version.git_version.starts_with("v1."));
    Ok(())
}
