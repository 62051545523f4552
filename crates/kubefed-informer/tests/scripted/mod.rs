//! An API server reduced to what an informer asks of it: lists, watches and health.
#![allow(clippy::unwrap_used)] // These functions are part of tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::service_fn;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Shared>);

#[derive(Default)]
struct Shared {
    world: Mutex<World>,
    changed: Notify,
}

#[derive(Default)]
struct World {
    version: u64,
    /// Versions up to this one are forgotten.
    horizon: u64,
    objects: BTreeMap<(String, String), Value>,
    log: Vec<(u64, String, Value)>,
    requests: Vec<String>,
    faults: BTreeMap<String, Fault>,
    token: Option<String>,
}

/// What goes wrong with requests of a path.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// The connection is refused.
    Refuse,
    /// There is never an answer.
    Silence,
    /// The answer has this status.
    Status(u16),
    /// The answer is empty: watches end as soon as they begin.
    Empty,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with_token("")
    }

    pub(crate) fn client_with_token(&self, token: &str) -> Client {
        let (server, token) = (self.clone(), format!("Bearer {token}"));
        let service = service_fn(move |mut request: Request<Body>| {
            let value = token.parse().unwrap();
            request.headers_mut().entry(AUTHORIZATION).or_insert(value);
            server.clone().answer(request)
        });
        Client::new(service, "default")
    }

    /// Stores an object in the list of a path; as an event, unless watches are to miss it.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut world = self.world();
        world.version += 1;
        object["metadata"]["resourceVersion"] = world.version.to_string().into();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let kind = match world
            .objects
            .insert((path.to_owned(), name), object.clone())
        {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        world.record(path, kind, object);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn delete(&self, path: &str, name: &str) {
        let mut world = self.world();
        world.version += 1;
        let key = (path.to_owned(), name.to_owned());
        let mut object = world.objects.remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = world.version.to_string().into();
        world.record(path, "DELETED", object);
        self.0.changed.notify_waiters();
    }

    /// Removes an object so that no watch hears of it, and forgets all history.
    pub(crate) fn lose(&self, path: &str, name: &str) {
        let mut world = self.world();
        world.objects.remove(&(path.to_owned(), name.to_owned()));
        world.version += 1;
        world.horizon = world.version;
        world.log.clear();
    }

    /// From now on a fault meets requests whose path begins like this; `None` ends it.
    pub(crate) fn fault(&self, path: &str, fault: Option<Fault>) {
        let mut world = self.world();
        match fault {
            Some(fault) => world.faults.insert(path.to_owned(), fault),
            None => world.faults.remove(path),
        };
    }

    /// From now on only this token is good.
    pub(crate) fn require_token(&self, token: &str) {
        self.world().token = Some(format!("Bearer {token}"));
    }

    /// How many requests there were whose text begins like this, such as `list /api/v1/configmaps`.
    pub(crate) fn count(&self, request: &str) -> usize {
        let world = self.world();
        world
            .requests
            .iter()
            .filter(|line| line.starts_with(request))
            .count()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    async fn answer(self, request: Request<Body>) -> Result<Answer, std::io::Error> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .into_iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let watch = parameter("watch").is_some();
        let fault = {
            let mut world = self.world();
            let verb = if watch { "watch" } else { "list" };
            world.requests.push(format!("{verb} {path}"));
            let known = request
                .headers()
                .get(AUTHORIZATION)
                .map(http::HeaderValue::as_bytes);
            if world
                .token
                .as_ref()
                .is_some_and(|token| known != Some(token.as_bytes()))
            {
                return Ok(status(401));
            }
            let mut faults = world.faults.iter();
            faults
                .find(|(start, _)| path.starts_with(*start))
                .map(|(_, fault)| *fault)
        };
        match fault {
            Some(Fault::Refuse) => return Err(std::io::ErrorKind::ConnectionRefused.into()),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Status(code)) => return Ok(status(code)),
            Some(Fault::Empty) if watch => return Ok(text(String::new())),
            Some(Fault::Empty) | None => {}
        }
        Ok(match path.as_str() {
            "/healthz" => text("ok".to_owned()),
            "/version" => text(json!({"gitVersion": "v1.35.0"}).to_string()),
            _ if watch => {
                let from: u64 = parameter("resourceVersion").unwrap().parse().unwrap();
                if from < self.world().horizon {
                    return Ok(status(410));
                }
                let limit = parameter("timeoutSeconds").unwrap().parse().unwrap();
                let frames = self.events(path, from, Duration::from_secs(limit));
                Response::new(StreamBody::new(frames).boxed_unsync())
            }
            _ => self.list(&path),
        })
    }

    fn list(&self, path: &str) -> Answer {
        let world = self.world();
        let items = world.objects.iter().filter(|((list, _), _)| list == path);
        text(
            json!({
                "metadata": {"resourceVersion": world.version.to_string()},
                "items": items.map(|(_, object)| object).collect::<Vec<_>>(),
            })
            .to_string(),
        )
    }

    fn events(
        self,
        path: String,
        from: u64,
        limit: Duration,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        let events = stream::unfold((self, path, from), |(server, path, seen)| async move {
            loop {
                let shared = server.0.clone();
                let woken = shared.changed.notified();
                let next = {
                    let world = server.world();
                    let mut log = world.log.iter();
                    log.find(|(version, list, _)| *version > seen && *list == path)
                        .cloned()
                };
                if let Some((version, _, event)) = next {
                    let frame = Frame::data(Bytes::from(format!("{event}\n")));
                    return Some((Ok(frame), (server, path, version)));
                }
                woken.await;
            }
        });
        events.take_until(tokio::time::sleep(limit))
    }
}

impl World {
    fn record(&mut self, path: &str, kind: &str, object: Value) {
        let event = json!({"type": kind, "object": object});
        self.log.push((self.version, path.to_owned(), event));
    }
}

fn text(body: String) -> Answer {
    Response::new(Full::from(body).boxed_unsync())
}

fn status(code: u16) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": "Scripted", "message": format!("scripted {code}"),
    });
    let mut answer = text(body.to_string());
    *answer.status_mut() = code.try_into().unwrap();
    answer
}
