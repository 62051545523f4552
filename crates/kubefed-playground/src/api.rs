//! Reads and writes of objects of any kind in one cluster, by their own words.

use std::time::Duration;

use kube::core::params::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind, Request, Resource};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Error};
use kubefed_api::{QualifiedName, ResourceType};
use serde_json::Value;

/// How often to look whether a definition is established. Simulated clusters do that at once, a real one
/// within some tenths of a second.
const ESTABLISHED_LOOK: Duration = Duration::from_millis(20);

type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// The resource of a kind, asked of the cluster's discovery.
pub(crate) async fn resource_of(client: &Client, object: &Value) -> Result<ResourceType, Error> {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("kind"));
    let (resource, capabilities) = pinned_kind(client, &kind).await?;
    let build = match capabilities.scope {
        Scope::Namespaced => ResourceType::namespaced,
        Scope::Cluster => ResourceType::cluster_scoped,
    };
    Ok(build(
        &resource.group,
        &resource.version,
        &resource.kind,
        &resource.plural,
    ))
}

/// Creates an object, or replaces the one of its name.
pub(crate) async fn apply(
    client: &Client,
    resource: &ResourceType,
    object: &Value,
) -> Result<Value, Error> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let request = path(resource, metadata["namespace"].as_str());
    let body = object.to_string().into_bytes();
    match call(client, request.create(&PostParams::default(), body)).await {
        Err(Error::Api(status)) if status.is_already_exists() => {}
        answer => return answer,
    }
    let existing = call(client, request.get(name, &GetParams::default())).await?;
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"].clone();
    // An update is no place to take others' finalizers and annotations away.
    for kept in ["finalizers", "annotations"] {
        if object["metadata"][kept].is_null() && !existing["metadata"][kept].is_null() {
            object["metadata"][kept] = existing["metadata"][kept].clone();
        }
    }
    let body = object.to_string().into_bytes();
    call(client, request.replace(name, &PostParams::default(), body)).await
}

pub(crate) async fn merge(
    client: &Client,
    resource: &ResourceType,
    name: &QualifiedName,
    patch: &Value,
) -> Result<Value, Error> {
    let request = path(resource, name.namespace());
    call(
        client,
        request.patch(name.name(), &PatchParams::default(), &Patch::Merge(patch)),
    )
    .await
}

pub(crate) async fn delete(
    client: &Client,
    resource: &ResourceType,
    name: &QualifiedName,
) -> Result<Value, Error> {
    let request = path(resource, name.namespace());
    call(
        client,
        request.delete(name.name(), &DeleteParams::default()),
    )
    .await
}

/// An object, if there is one of the name.
pub(crate) async fn find(
    client: &Client,
    resource: &ResourceType,
    name: &QualifiedName,
) -> Result<Option<Value>, Error> {
    let request = path(resource, name.namespace());
    match call(client, request.get(name.name(), &GetParams::default())).await {
        Err(Error::Api(status)) if status.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

/// Waits until a definition is established: before that its kind is not served.
pub(crate) async fn established(client: &Client, name: &QualifiedName) -> Result<(), Error> {
    loop {
        let found = find(client, &definitions(), name).await?;
        let conditions = found.as_ref().map(|found| &found["status"]["conditions"]);
        let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
        let mut established = conditions.filter(|condition| condition["type"] == "Established");
        if established.any(|condition| condition["status"] == "True") {
            return Ok(());
        }
        tokio::time::sleep(ESTABLISHED_LOOK).await;
    }
}

/// CustomResourceDefinitions.
pub(crate) fn definitions() -> ResourceType {
    ResourceType::cluster_scoped(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
}

/// The JSON at a path of the API server.
pub(crate) async fn read(client: &Client, path: &str) -> Result<Value, Error> {
    let request = http::Request::get(path).body(Vec::new());
    client.request(request.map_err(Error::HttpError)?).await
}

fn path(resource: &ResourceType, namespace: Option<&str>) -> Request {
    Request::new(DynamicObject::url_path(&resource.api_resource(), namespace))
}

async fn call(client: &Client, request: Built) -> Result<Value, Error> {
    client.request(request.map_err(Error::BuildRequest)?).await
}
