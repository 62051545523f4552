//! A real server with a namespace of the test's own, and raw requests.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::{Client, client::Body};
use kubefed_testing::ApiServer;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::verdict::judge;

/// Set to write the records down, to be judged without a server.
const RECORD: &str = "KUBEFED_RECORD";

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

pub(crate) struct World {
    client: Client,
    pub(crate) namespace: String,
}

/// A kind on the server: where its objects are, and its schema.
pub(crate) struct Kind {
    /// Such as `/apis/apps/v1`.
    pub(crate) root: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) api_version: &'static str,
    /// As records refer to it.
    pub(crate) schema: Value,
}

/// Judges a record; with `KUBEFED_RECORD` set it is kept as `recorded/NAME.json`.
pub(crate) fn observe(name: &str, record: &Value) -> Result<(), Failure> {
    judge(record);
    if std::env::var_os(RECORD).is_some() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/recorded");
        std::fs::write(format!("{dir}/{name}.json"), format!("{record}\n"))?;
    }
    Ok(())
}

impl World {
    pub(crate) async fn new() -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        // Without controllers, which would write between a test's reads and writes.
        static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
        let client = SERVER.get_or_try_init(ApiServer::start).await?.client();
        let namespace = format!("engines-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let world = Self { client, namespace };
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}});
        let answer = world
            .send("POST", "/api/v1/namespaces", "application/json", &object)
            .await?;
        assert_eq!(answer.code, 201, "{answer:?}");
        Ok(world)
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(Body::from(body.to_string().into_bytes()))?;
        let response = self.client.send(request).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await?;
        Ok(Answer {
            code,
            // Not everything is JSON: a missing path is answered in plain text.
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        })
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self
            .send("GET", path, "application/json", &Value::Null)
            .await?;
        Ok((answer.code == 200).then_some(answer.body))
    }

    /// Reads in another form, such as a table.
    pub(crate) async fn read_as(&self, path: &str, accept: &str) -> Result<Value, Failure> {
        let request = http::Request::get(path)
            .header("accept", accept)
            .body(Body::empty())?;
        let bytes = self
            .client
            .send(request)
            .await?
            .into_body()
            .collect_bytes()
            .await?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Waits until the server serves a new kind, which is a moment after it has answered.
    pub(crate) async fn until_served(&self, collection: &str) -> Result<(), Failure> {
        for _ in 0..600 {
            if self.read(collection).await?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(format!("{collection} is not served").into())
    }

    /// The path of the collection, or of one object in it.
    pub(crate) fn path(&self, kind: &Kind, name: Option<&str>) -> String {
        let namespace = if kind.namespaced {
            format!("/namespaces/{}", self.namespace)
        } else {
            String::new()
        };
        let name = name.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{}{namespace}/{}{name}", kind.root, kind.plural)
    }

    /// Registers a CRD of scope Namespaced in the group `engines.example`, and waits for it.
    pub(crate) async fn register(
        &self,
        plural: &'static str,
        kind: &str,
        schema: &Value,
    ) -> Result<Kind, Failure> {
        let crd = crd(plural, kind, schema);
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = self.send("POST", path, "application/json", &crd).await?;
        assert_eq!(answer.code, 201, "{answer:?}");
        let kind = Kind {
            root: "/apis/engines.example/v1",
            plural,
            namespaced: true,
            api_version: "engines.example/v1",
            schema: json!({"custom": schema}),
        };
        let collection = self.path(&kind, None);
        // The server serves a new kind a moment after it has answered, and its schema for apply a
        // moment after that.
        for _ in 0..600 {
            let served = self.read(&collection).await?.is_some();
            let openapi = self.read("/openapi/v3/apis/engines.example/v1").await?;
            let listed =
                openapi.is_some_and(|openapi| openapi["paths"].to_string().contains(plural));
            if served && listed {
                return Ok(kind);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(format!("{plural} is not served").into())
    }
}

pub(crate) fn crd(plural: &str, kind: &str, schema: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.engines.example")},
        "spec": {
            "group": "engines.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

pub(crate) fn built_in(group: &str, version: &str, name: &str) -> Kind {
    let (root, plural, api_version) = match (group, name) {
        ("", "ConfigMap") => ("/api/v1", "configmaps", "v1"),
        ("", "Service") => ("/api/v1", "services", "v1"),
        ("", "Pod") => ("/api/v1", "pods", "v1"),
        ("", "ServiceAccount") => ("/api/v1", "serviceaccounts", "v1"),
        ("apps", "Deployment") => ("/apis/apps/v1", "deployments", "apps/v1"),
        ("networking.k8s.io", "Ingress") => (
            "/apis/networking.k8s.io/v1",
            "ingresses",
            "networking.k8s.io/v1",
        ),
        other => panic!("{other:?} is not listed here"),
    };
    let schema = json!({"builtIn": [group, version, name]});
    Kind {
        root,
        plural,
        namespaced: true,
        api_version,
        schema,
    }
}
