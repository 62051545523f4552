//! The server under test as scenarios see it: raw requests, and answers to make claims about.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
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

/// A server, and a namespace in which a scenario may do what it likes.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// An answer: the HTTP code and the body as JSON (a string where it is not JSON).
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) media_type: String,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn new(client: Client, namespace: &str) -> Result<Self> {
        let world = Self {
            client,
            namespace: namespace.to_owned(),
        };
        let body =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        world.post("/api/v1/namespaces", &body).await?.expect(201)?;
        Ok(world)
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
        Ok(Answer {
            code: head.status.as_u16(),
            media_type: media_type.unwrap_or("").to_owned(),
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
        Ok(Watching {
            body: response.into_body(),
            buffer: Vec::new(),
            events: VecDeque::new(),
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
                self.events.push_back(serde_json::from_slice(&line)?);
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
