//! A server under test: sends requests and remembers what later ones refer to.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::normal::{Answer, Names};
use crate::request::{KINDS, Request};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No request of the table waits for anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    client: Client,
    namespace: String,
    names: Names,
    /// The versions and uids that an object has had, oldest first.
    shown: HashMap<String, Vec<(String, String)>>,
    /// Before any request.
    start: String,
}

impl Server {
    /// Defines the custom kind and waits until it is served.
    pub(crate) async fn install_kinds(client: &Client) -> Result<(), Failure> {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let definition = crate::request::definition();
        let answer = exchange(client, "POST", definitions, JSON, &definition.to_string()).await?;
        assert!([201, 409].contains(&answer.0), "{answer:?}");
        for kind in KINDS.iter() {
            let path = kind.collection("default");
            while exchange(client, "GET", &path, JSON, "").await?.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn new(client: Client, namespace: &str) -> Result<Self, Failure> {
        let body =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let (code, _, body) = exchange(
            &client,
            "POST",
            "/api/v1/namespaces",
            JSON,
            &body.to_string(),
        )
        .await?;
        assert_eq!(code, 201, "{body}");
        Ok(Self {
            client,
            namespace: namespace.to_owned(),
            names: Names::default(),
            shown: HashMap::new(),
            start: text(&body, "/metadata/resourceVersion"),
        })
    }

    pub(crate) async fn send(&mut self, request: &Request) -> Result<Answer, Failure> {
        let object = request.object();
        let path = self.concrete(&object, &request.path(&self.namespace));
        let body = self.concrete(&object, &request.body);
        let (code, warnings, mut body) = exchange(
            &self.client,
            request.method,
            &path,
            request.media_type,
            &body,
        )
        .await?;
        if code < 300 && body["kind"] != "Status" && body.get("items").is_none() {
            let now = ["/metadata/resourceVersion", "/metadata/uid"].map(|at| text(&body, at));
            let [version, uid] = now;
            if !path.contains("dryRun") {
                self.shown.entry(object).or_default().push((version, uid));
            }
        }
        self.names.normalise(&mut body);
        Ok(Answer {
            code,
            warnings,
            body,
        })
    }

    pub(crate) async fn exchange(&self, exchange: &Exchange) -> Result<Answer, Failure> {
        let mut request = http::Request::builder()
            .method(exchange.method)
            .uri(exchange.path.replace("{ns}", &self.namespace))
            .header("user-agent", "random");
        for (name, value) in &exchange.headers {
            request = request.header(name, value);
        }
        if !exchange
            .headers
            .iter()
            .any(|(name, _)| name == "content-type")
        {
            request = request.header("content-type", JSON);
        }
        let request = request.body(Body::from(exchange.body.clone().into_bytes()))?;
        let answer = tokio::time::timeout(ANSWERED_WITHIN, answer(&self.client, request));
        let (code, warnings, mut body) = answer
            .await
            .map_err(|_| format!("{exchange} was not answered"))??;
        // Every exchange stands alone.
        Names::default().normalise(&mut body);
        Ok(Answer {
            code,
            warnings,
            body,
        })
    }

    /// Everything that watches of each kind show of what was done.
    pub(crate) async fn events(&mut self) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        for kind in KINDS.iter() {
            let path = kind.collection(&self.namespace);
            let mut last = kind.base.clone();
            last["metadata"]["name"] = json!("zz-last");
            last["metadata"]["labels"] = json!({ "app": "web" });
            let (code, _, body) =
                exchange(&self.client, "POST", &path, JSON, &last.to_string()).await?;
            assert_eq!(code, 201, "{body}");
            for selector in ["", "&labelSelector=app%3Dweb"] {
                let query = format!("watch=1&resourceVersion={}{selector}", self.start);
                let mut events =
                    watch_until(&self.client, &format!("{path}?{query}"), "zz-last").await?;
                events
                    .iter_mut()
                    .for_each(|event| self.names.normalise(event));
                all.extend(events);
            }
        }
        Ok(all)
    }

    /// Fills in what the request says about the object: its version, an old one, its uid.
    fn concrete(&self, object: &str, text: &str) -> String {
        let unknown = ("424242".to_owned(), "no-uid".to_owned());
        let shown = self.shown.get(object);
        let (version, uid) = shown.and_then(|all| all.last()).unwrap_or(&unknown);
        let (stale, _) = shown.and_then(|all| all.first()).unwrap_or(&unknown);
        text.replace("$version", version)
            .replace("$stale", stale)
            .replace("$uid", uid)
    }
}

/// A request that refers to nothing but its namespace.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Exchange {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    pub(crate) fn text(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = self.body.chars().take(300).collect();
        write!(f, "{} {} {:?} {body}", self.method, self.path, self.headers)
    }
}

const JSON: &str = "application/json";

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

async fn exchange(
    client: &Client,
    method: &str,
    path: &str,
    media_type: &str,
    body: &str,
) -> Result<(u16, Vec<String>, Value), Failure> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .header("user-agent", "random")
        .body(Body::from(body.as_bytes().to_vec()))?;
    answer(client, request).await
}

async fn answer(
    client: &Client,
    request: http::Request<Body>,
) -> Result<(u16, Vec<String>, Value), Failure> {
    let (head, body) = client.send(request).await?.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let warnings = head.headers.get_all("warning").iter();
    let warnings = warnings.map(|value| value.to_str().map(str::to_owned));
    let text = String::from_utf8_lossy(&bytes);
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    Ok((
        head.status.as_u16(),
        warnings.collect::<Result<_, _>>()?,
        body,
    ))
}

/// The events of a watch up to the one about the object of this name.
async fn watch_until(client: &Client, path: &str, last: &str) -> Result<Vec<Value>, Failure> {
    let request = http::Request::get(path).body(Body::empty())?;
    let mut body = client.send(request).await?.into_body();
    let (mut events, mut buffer) = (Vec::<Value>::new(), Vec::new());
    loop {
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            let is_last = event["object"]["metadata"]["name"] == last || event["type"] == "ERROR";
            events.push(event);
            if is_last {
                return Ok(events);
            }
        }
        let frame = body.frame().await.ok_or("the watch ended early")??;
        if let Ok(bytes) = frame.into_data() {
            buffer.extend_from_slice(&bytes);
        }
    }
}
