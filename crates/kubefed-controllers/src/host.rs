//! Calls to the host cluster, each with a deadline and none retried behind the caller's back.

use std::fmt;
use std::time::Duration;

use kube::core::Request;
use kube::core::params::{GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, ObjectList, Resource, Status};
use kube::{Client, Error};
use kubefed_api::{QualifiedName, ResourceType, WithoutManagedFields};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Objects asked for at once; the API server's own clients ask for as many.
const PAGE: u32 = 500;

/// A client for the host cluster.
#[derive(Clone)]
pub(crate) struct Host {
    client: Client,
    deadline: Duration,
}

/// Why a call to the host cluster failed.
#[derive(Debug)]
pub(crate) enum HostError {
    Api(Error),
    TimedOut,
    /// The answer cannot be read.
    Malformed(String),
}

type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

impl Host {
    pub(crate) fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline }
    }

    pub(crate) async fn read(
        &self,
        kind: &ResourceType,
        name: &QualifiedName,
    ) -> Result<Value, HostError> {
        let request = path(kind, name.namespace());
        self.call(request.get(name.name(), &GetParams::default()))
            .await
    }

    pub(crate) async fn create(
        &self,
        kind: &ResourceType,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, HostError> {
        let body = object.to_string().into_bytes();
        self.call(path(kind, namespace).create(&PostParams::default(), body))
            .await
    }

    pub(crate) async fn replace_status(
        &self,
        kind: &ResourceType,
        name: &QualifiedName,
        object: &Value,
    ) -> Result<Value, HostError> {
        let body = object.to_string().into_bytes();
        let request = path(kind, name.namespace());
        let params = PostParams::default();
        self.call(request.replace_subresource("status", name.name(), &params, body))
            .await
    }

    /// A JSON merge patch of the object, or of its subresource `status`.
    pub(crate) async fn patch(
        &self,
        kind: &ResourceType,
        name: &QualifiedName,
        subresource: Option<&str>,
        patch: &Value,
    ) -> Result<Value, HostError> {
        let request = path(kind, name.namespace());
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        self.call(match subresource {
            Some(subresource) => {
                request.patch_subresource(subresource, name.name(), &params, &patch)
            }
            None => request.patch(name.name(), &params, &patch),
        })
        .await
    }

    /// Every object of a kind, in a namespace or in all.
    pub(crate) async fn list(
        &self,
        kind: &ResourceType,
        namespace: &str,
    ) -> Result<Vec<Value>, HostError> {
        let namespace = (kind.is_namespaced() && !namespace.is_empty()).then_some(namespace);
        let request = path(kind, namespace);
        let mut params = ListParams::default().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page: ObjectList<WithoutManagedFields> =
                self.request(request.list(&params)).await?;
            objects.extend(page.items.into_iter().map(|item| item.0));
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                _ => return Ok(objects),
            }
        }
    }

    async fn call(&self, request: Built) -> Result<Value, HostError> {
        let answer: WithoutManagedFields = self.request(request).await?;
        Ok(answer.0)
    }

    async fn request<T: DeserializeOwned>(&self, request: Built) -> Result<T, HostError> {
        let request = request.map_err(|error| HostError::Api(Error::BuildRequest(error)))?;
        let call = self.client.request(request);
        match tokio::time::timeout(self.deadline, call).await {
            Ok(reply) => reply.map_err(HostError::Api),
            Err(_) => Err(HostError::TimedOut),
        }
    }
}

fn path(kind: &ResourceType, namespace: Option<&str>) -> Request {
    Request::new(DynamicObject::url_path(&kind.api_resource(), namespace))
}

impl HostError {
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    pub(crate) fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(Error::Api(status)) => f.write_str(&status.message),
            Self::Api(error) => error.fmt(f),
            Self::Malformed(why) => write!(f, "the host cluster's answer cannot be read: {why}"),
            Self::TimedOut => f.write_str("the host cluster did not answer in time"),
        }
    }
}
