//! The server under test as scenarios see it: raw requests, and answers to make claims about.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::{BoxFuture, LocalBoxFuture};
use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kubefed_testing::watch::Stream;
use serde_json::{Value, json};

pub(crate) type Outcome = Result<()>;
pub(crate) type Scenario = fn(World) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// A list of async functions as scenarios, each under its own name.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(crate) const SCENARIOS: &[(&str, $crate::world::Scenario)] =
            &[$((stringify!($name), |world| Box::pin($name(world)))),*];
    };
}

pub(crate) use scenarios;

/// What an admission webhook makes of a review: the answer to it.
pub(crate) type Reviewer = Arc<dyn Fn(Value) -> BoxFuture<'static, Value> + Send + Sync>;

/// Where a webhook is served, until this is dropped.
pub(crate) struct Served {
    pub(crate) url: String,
    /// The certificate of the server in PEM; empty where there is no TLS.
    pub(crate) authority: String,
    pub(crate) _server: Option<kubefed_testing::WebhookServer>,
}

/// Serves a webhook to the server under test.
pub(crate) type Serve = Rc<dyn Fn(Reviewer) -> LocalBoxFuture<'static, Result<Served>>>;

/// Makes the server under test forget everything but the present.
pub(crate) type Forget = Rc<dyn Fn() -> LocalBoxFuture<'static, Result<()>>>;

/// What a scenario may ask of a server beside requests.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) client: Client,
    /// With a token that nobody has given out.
    pub(crate) stranger: Client,
    pub(crate) serve: Serve,
    pub(crate) forget: Forget,
}

/// A server, and a namespace in which a scenario may do what it likes.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) serve: Serve,
    host: Host,
    /// The version of the namespace: nothing in it is older.
    born: u64,
    /// Every watch that was opened, by its collection.
    streams: Rc<RefCell<Vec<(String, Recorded)>>>,
    /// No stream can be compared with a history that is gone.
    forgot: Rc<Cell<bool>>,
}

/// A watch that may still be read from.
type Recorded = Rc<RefCell<Stream>>;

/// An answer: the HTTP code and the body as JSON (a string where it is not JSON).
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) media_type: String,
    /// The `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn new(host: Host, namespace: &str) -> Result<Self> {
        let mut world = Self {
            client: host.client.clone(),
            namespace: namespace.to_owned(),
            serve: host.serve.clone(),
            host,
            born: 0,
            forgot: Rc::default(),
            streams: Rc::default(),
        };
        let body =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let created = world.post("/api/v1/namespaces", &body).await?.expect(201)?;
        world.born = version(&created).parse()?;
        Ok(world)
    }

    /// Runs a scenario, and then checks that every watch it opened has kept its promises.
    pub(crate) async fn run(self, scenario: Scenario) -> Outcome {
        scenario(self.clone()).await?;
        if self.forgot.get() {
            return Ok(());
        }
        let streams = self.streams.take();
        for (collection, stream) in streams {
            if self.get(&collection).await?.code == 404 {
                // Its kind was withdrawn, and its history with it.
                continue;
            }
            let path = format!("{collection}?watch=1&resourceVersion={}", self.born);
            let mut history = self.watch(&path, &[]).await?;
            let last = stream.borrow().last_version();
            while history.stream.borrow().last_version() < last {
                history.next().await?.context("the history ended early")?;
            }
            let broken = stream.borrow().broken_promises(&history.stream.borrow());
            let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
            ensure!(broken.is_empty(), "a watch was\n{}", broken.join("\n"));
        }
        Ok(())
    }

    /// Makes the server forget everything but the present.
    pub(crate) async fn forget(&self) -> Outcome {
        self.forgot.set(true);
        (self.host.forget)().await
    }

    /// The same server, for somebody whose token it does not know.
    pub(crate) fn as_stranger(&self) -> Self {
        Self {
            client: self.host.stranger.clone(),
            ..self.clone()
        }
    }

    /// Sends a request; `{ns}` in the path stands for the namespace of the scenario.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let response = self
            .client
            .send(self.request(method, path, headers, body)?)
            .await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let text = String::from_utf8(bytes.to_vec())?;
        let media_type = head
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let warnings = head.headers.get_all("warning").iter();
        Ok(Answer {
            code: head.status.as_u16(),
            media_type: media_type.unwrap_or("").to_owned(),
            warnings: warnings
                .filter_map(|value| Some(value.to_str().ok()?.to_owned()))
                .collect(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Request<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path.replace("{ns}", &self.namespace));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.body(Body::from(body.as_bytes().to_vec()))?)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[("accept", "application/json")], "")
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, &JSON, &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("PUT", path, &JSON, &body.to_string()).await
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/merge-patch+json")];
        self.send("PATCH", path, &headers, &patch.to_string()).await
    }

    pub(crate) async fn json_patch(&self, path: &str, patch: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/json-patch+json")];
        self.send("PATCH", path, &headers, &patch.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<Answer> {
        self.send("DELETE", path, &JSON, &options.to_string()).await
    }

    /// Creates a ConfigMap and returns it.
    pub(crate) async fn config_map(&self, name: &str, data: &Value) -> Result<Value> {
        self.post(CONFIG_MAPS, &config_map(name, data))
            .await?
            .expect(201)
    }

    /// Opens a watch with the given query on a collection.
    pub(crate) async fn watch(&self, path: &str, headers: &[(&str, &str)]) -> Result<Watching> {
        let response = self
            .client
            .send(self.request("GET", path, headers, "")?)
            .await?;
        ensure!(
            response.status().as_u16() == 200,
            "watch {path}: {}",
            response.status()
        );
        let (collection, query) = path.split_once('?').unwrap_or((path, ""));
        let metadata_only = headers
            .iter()
            .any(|(_, value)| value.contains("as=PartialObjectMetadata"));
        let stream = Rc::new(RefCell::new(recorder(query, metadata_only)));
        let recorded = (collection.to_owned(), stream.clone());
        self.streams.borrow_mut().push(recorded);
        Ok(Watching {
            body: response.into_body(),
            buffer: Vec::new(),
            events: VecDeque::new(),
            stream,
        })
    }

    /// Asks again until the answer has the code, for what servers do a moment later.
    pub(crate) async fn until(
        &self,
        path: &str,
        what: &str,
        test: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        for _ in 0..200 {
            let answer = self.get(path).await?;
            if test(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{path}: never {what}: {:?}", self.get(path).await?)
    }
}

/// A stream that knows what a watch with this query is to show.
fn recorder(query: &str, metadata_only: bool) -> Stream {
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let mut stream = match text("resourceVersion").parse() {
        Ok(version @ 1..) => Stream::after(version),
        _ if query.contains_key("sendInitialEvents") => Stream::marked(),
        _ => Stream::initial(),
    };
    if metadata_only {
        stream = stream.metadata_only();
    }
    let (labels, fields) = (text("labelSelector"), text("fieldSelector"));
    stream.selecting(move |object| {
        selects(&object["metadata"]["labels"], &labels, "")
            && selects(&object["metadata"], &fields, "metadata.")
    })
}

/// The plainest selectors: `key` and `key=value`, separated by commas.
fn selects(values: &Value, selector: &str, prefix: &str) -> bool {
    let mut terms = selector.split(',').filter(|term| !term.is_empty());
    terms.all(|term| {
        let term = term.strip_prefix(prefix).unwrap_or(term);
        match term.split_once('=') {
            Some((key, value)) => values[key] == value,
            None => values.get(term).is_some(),
        }
    })
}

pub(crate) const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";

pub(crate) fn config_map(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

impl Answer {
    /// The body, if the code is the expected one.
    pub(crate) fn expect(self, code: u16) -> Result<Value> {
        ensure!(
            self.code == code,
            "expected {code}, got {} {}",
            self.code,
            self.body
        );
        Ok(self.body)
    }

    /// A failure `Status` with this code and reason.
    pub(crate) fn refused(self, code: u16, reason: &str) -> Result<Value> {
        let body = self.expect(code)?;
        ensure!(
            body["kind"] == "Status" && body["status"] == "Failure",
            "not a failure: {body}"
        );
        ensure!(body["code"] == json!(code), "code in the body: {body}");
        let found = body["reason"].as_str().unwrap_or("");
        ensure!(found == reason, "expected reason {reason}: {body}");
        Ok(body)
    }
}

/// Whether `value` has everything that `part` has, however deep; null stands for an absent field.
pub(crate) fn includes(value: &Value, part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().all(|(key, part)| {
            value
                .get(key)
                .map_or(part.is_null(), |value| includes(value, part))
        }),
        _ => value == part,
    }
}

#[track_caller]
pub(crate) fn claim(value: &Value, part: &Value) -> Outcome {
    ensure!(
        includes(value, part),
        "{}: expected {part} in {value}",
        std::panic::Location::caller()
    );
    Ok(())
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn version(value: &Value) -> &str {
    text(value, "/metadata/resourceVersion")
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"]
        .as_array()
        .map_or(&[] as &[Value], Vec::as_slice);
    items
        .iter()
        .map(|item| text(item, "/metadata/name"))
        .collect()
}

/// An open watch.
pub(crate) struct Watching {
    body: Body,
    buffer: Vec<u8>,
    events: VecDeque<Value>,
    stream: Recorded,
}

impl Watching {
    /// The next event; none once the server has ended the watch.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(Duration::from_secs(600), self.body.frame()).await;
            let Some(frame) = frame.context("no event within ten minutes")? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame?.into_data() {
                self.buffer.extend_from_slice(&bytes);
            }
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                self.stream.borrow_mut().push(event.clone());
                self.events.push_back(event);
            }
        }
    }

    /// The next events as `TYPE name`, bookmarks and what every namespace is born with left out.
    pub(crate) async fn expect(&mut self, expected: &[&str]) -> Outcome {
        let mut found = Vec::new();
        while found.len() < expected.len() {
            let event = self.next().await?.context("the watch ended")?;
            let name = text(&event, "/object/metadata/name");
            if event["type"] != "BOOKMARK" && name != "kube-root-ca.crt" {
                found.push(format!("{} {name}", text(&event, "/type")));
            }
        }
        ensure!(found == expected, "expected {expected:?}, got {found:?}");
        Ok(())
    }
}
