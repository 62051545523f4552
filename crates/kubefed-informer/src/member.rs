//! The task that looks after one cluster: connect, probe, report.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kubefed_api::ClusterName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::Malformed;
use crate::fleet::{Cluster, FleetContext};
use crate::guard::{Guard, Target};
use crate::health::{ClusterState, Health, Probe};
use crate::provider::{Access, ClusterSpec};
use crate::task::Task;

/// What is read of the answer to a probe. `/version` is about 600 bytes; whoever sends more is not an
/// API server, and is not to fill our memory.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Length of an error text in a condition: whole sentences fit, a page does not.
const ERROR_CHARS_MAX: usize = 512;

/// The running task of a cluster; it ends when this is dropped.
pub(crate) struct Member {
    access: watch::Sender<Access>,
    _task: Task,
}

impl Member {
    /// Takes over what the provider says about how the cluster is reached.
    pub(crate) fn follow(&self, spec: &ClusterSpec) {
        self.access.send_if_modified(|access| {
            let changed = !access.same(spec.access());
            if changed {
                *access = spec.access().clone();
            }
            changed
        });
    }
}

/// A cluster that is in the set, but whose task does not run yet.
pub(crate) struct Joining {
    spec: ClusterSpec,
    health: watch::Sender<Arc<Health>>,
    context: Arc<FleetContext>,
}

impl Joining {
    pub(crate) fn new(spec: &ClusterSpec, context: Arc<FleetContext>) -> Self {
        let health = match spec.reported_status() {
            Some(status) => Health::from_status(status),
            None => Health::unknown(),
        };
        Self {
            spec: spec.clone(),
            health: watch::Sender::new(Arc::new(health)),
            context,
        }
    }

    /// The cluster as it is shown until its task reports: without a connection it is not ready, whatever
    /// was reported about it.
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster {
            name: self.spec.name().clone(),
            labels: self.spec.label_map().clone(),
            state: ClusterState::Connecting,
            version: None,
            cause: None,
            client: None,
            health: self.health.subscribe(),
            server: 0,
            readied: 0,
            credentials: 0,
        }
    }

    pub(crate) fn start(self) -> (ClusterName, Member) {
        let name = self.spec.name().clone();
        let access = watch::Sender::new(self.spec.access().clone());
        let watcher = Watcher {
            name: name.clone(),
            context: self.context,
            health: self.health,
            link: None,
            server: None,
            access: access.subscribe(),
        };
        let task = Task::spawn(watcher.run());
        let member = Member {
            access,
            _task: task,
        };
        (name, member)
    }
}

/// A connection that was handed out. Dropping it makes all clients that use it fail.
struct Link {
    target: Arc<Target>,
    client: Client,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.target.close();
    }
}

struct Watcher {
    name: ClusterName,
    context: Arc<FleetContext>,
    health: watch::Sender<Arc<Health>>,
    link: Option<Link>,
    /// How the cluster was reached last.
    server: Option<Access>,
    access: watch::Receiver<Access>,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let mut access = self.access.borrow_and_update().clone();
            if let (Access::Pending(_), Some(known)) = (&access, &self.server) {
                // A provider that has to learn it anew has not said that anything changed.
                access = known.clone();
            }
            let mut changes = self.access.clone();
            let over = tokio::select! {
                biased;
                change = changes.changed() => change.is_err(),
                () = self.look_after(&access) => false,
            };
            if over {
                return;
            }
        }
    }

    /// Connects and probes in turns, until the access changes.
    async fn look_after(&mut self, access: &Access) {
        if let Access::Pending(what) = access {
            tracing::debug!(cluster = %self.name, what, "waiting to learn how the cluster is reached");
            std::future::pending::<()>().await;
        }
        let mut connected = false;
        loop {
            let next = Instant::now() + self.context.config.health_check.period;
            if !connected {
                connected = self.connect(access);
            }
            if let Some(link) = self.link.as_ref().filter(|_| connected) {
                let client = link.client.clone();
                // New credentials may be had from the same description, for example from a file.
                connected = self.probe(&client).await;
            }
            self.context.probed();
            sleep_until(next).await;
        }
    }

    /// Makes the client that the access describes, beneath the one that was handed out where possible.
    fn connect(&mut self, access: &Access) -> bool {
        let client = match access {
            Access::Connection(spec) => self.context.connect.connect(spec),
            Access::Client(client) => Ok(Client::clone(client)),
            Access::Pending(what) => Err(Malformed::Rejected((*what).to_owned())),
            Access::Malformed(why) => Err(why.clone()),
        };
        let client = match client {
            Ok(client) => client,
            Err(why) => {
                self.malformed(&why);
                return false;
            }
        };
        let same_server = self
            .server
            .as_ref()
            .is_some_and(|old| old.same_server(access));
        let exchanged = self.server.as_ref().is_some_and(|old| !old.same(access));
        let moved = exchanged && !same_server;
        match &self.link {
            Some(link) if same_server => link.target.replace(client),
            _ => self.link = Some(self.link(client)),
        }
        self.server = Some(access.clone());
        if moved {
            let restarted = self.health.borrow().restarted();
            self.health.send_replace(Arc::new(restarted));
        }
        self.report(u64::from(exchanged), u64::from(moved));
        true
    }

    fn link(&self, client: Client) -> Link {
        let namespace = client.default_namespace().to_owned();
        let target = Arc::new(Target::new(client));
        let guard = Guard::new(target.clone(), &self.context.config.limits);
        Link {
            target,
            client: Client::new(guard, namespace),
        }
    }

    fn malformed(&mut self, why: &Malformed) {
        let at = self.context.config.clock.now();
        let health = self.health.borrow().malformed(why, &at);
        self.health.send_replace(Arc::new(health));
        self.link = None;
        self.report(0, 0);
    }

    /// Probes once; tells whether the credentials were accepted.
    async fn probe(&self, client: &Client) -> bool {
        let config = &self.context.config;
        let at = config.clock.now();
        let (probe, accepted) = probe(client, config.health_check.timeout).await;
        let health = self
            .health
            .borrow()
            .after_probe(probe, config.health_check.thresholds, &at);
        self.health.send_replace(Arc::new(health));
        self.report(0, 0);
        accepted
    }

    /// Shows in the fleet what is new.
    fn report(&self, exchanged: u64, moved: u64) {
        let health = self.health.borrow().clone();
        let client = self.link.as_ref().map(|link| link.client.clone());
        self.context.update(&self.name, |cluster| {
            let client_changed = client.is_some() != cluster.client.is_some() || moved > 0;
            let changed = client_changed
                || exchanged > 0
                || cluster.state != health.state()
                || cluster.version.as_deref() != health.kubernetes_version()
                || cluster.cause.as_deref() != health.cause();
            if !changed {
                return false;
            }
            if client_changed {
                cluster.client = client;
            }
            if health.state().is_ready() && !cluster.state.is_ready() {
                cluster.readied += 1;
            }
            cluster.state = health.state();
            cluster.version = health.kubernetes_version().map(Into::into);
            cluster.cause = health.cause().map(Into::into);
            cluster.credentials += exchanged;
            cluster.server += moved;
            true
        });
    }
}

/// Asks a cluster how it is; the second value tells whether it knows our credentials.
async fn probe(client: &Client, limit: Duration) -> (Probe, bool) {
    let (status, body) = match get(client, "/healthz", limit).await {
        Ok(answer) => answer,
        Err(error) => return (Probe::Unreachable(error), true),
    };
    if !status.is_success() {
        let known = status != StatusCode::UNAUTHORIZED;
        return (Probe::Unreachable(refusal(status)), known);
    }
    if !body.eq_ignore_ascii_case(b"ok") {
        return (Probe::Unhealthy, true);
    }
    let version = match get(client, "/version", limit).await {
        Ok((status, body)) if status.is_success() => version(&body),
        _ => None,
    };
    (Probe::Healthy { version }, true)
}

fn version(body: &[u8]) -> Option<String> {
    let version: serde_json::Value = serde_json::from_slice(body).ok()?;
    version["gitVersion"].as_str().map(str::to_owned)
}

/// The text that client-go has for a status, after the status itself. The body is left out: whoever may
/// write an endpoint could use it to read what only the host can reach.
fn refusal(status: StatusCode) -> String {
    let code = status.as_u16();
    match code {
        401 => format!("HTTP {code}: the server has asked for the client to provide credentials"),
        403 => format!("HTTP {code}: the server does not allow access to /healthz"),
        500.. => {
            format!("HTTP {code}: an error on the server has prevented the request from succeeding")
        }
        _ => format!("HTTP {code}: the server rejected our request"),
    }
}

async fn get(client: &Client, path: &str, limit: Duration) -> Result<(StatusCode, Bytes), String> {
    let request = Request::get(path)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let response = client.send(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| chain(&error))?;
            bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(format!(
                    "{path} was answered with more than {ANSWER_BYTES_MAX} bytes"
                ));
            }
        }
        Ok((status, bytes.freeze()))
    };
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{path} was not answered within {limit:?}")),
    }
}

/// An error with its causes, which is where the useful part stands.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// clusters 4 and C4: the original's texts, with the status before them and without the body.
    #[test]
    fn a_refusal_tells_its_status() {
        let cases = [
            (
                401,
                "HTTP 401: the server has asked for the client to provide credentials",
            ),
            (
                403,
                "HTTP 403: the server does not allow access to /healthz",
            ),
            (404, "HTTP 404: the server rejected our request"),
            (302, "HTTP 302: the server rejected our request"),
            (
                503,
                "HTTP 503: an error on the server has prevented the request from succeeding",
            ),
        ];
        for (code, expected) in cases {
            assert_eq!(refusal(StatusCode::from_u16(code).unwrap()), expected);
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_cut() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Link(&'static str, #[source] Option<Box<Link>>);
        let error = Link("connect", Some(Box::new(Link("refused", None))));
        assert_eq!(chain(&error), "connect: refused");
        let repeated = Link("connect: refused", Some(Box::new(Link("refused", None))));
        assert_eq!(chain(&repeated), "connect: refused");
        let long: &'static str = "ä".repeat(2000).leak();
        assert_eq!(
            chain(&Link(long, None)).chars().count(),
            ERROR_CHARS_MAX + 1
        );
    }
}
