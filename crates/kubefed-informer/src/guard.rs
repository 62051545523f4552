//! Deadlines and limits around a client.
//!
//! They are put on by whoever owns the client, the fleet or a program for its host cluster, and not by
//! whoever makes it: so they hold for every kind of connection, and the limits of a cluster are shared by
//! all that talk to it. A call that runs into a limit waits; a call that runs into a deadline fails.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower::{BoxError, Service};

/// How a cluster's clients behave.
///
/// ```
/// use std::time::Duration;
/// use kubefed_informer::{ClientLimits, Rate};
///
/// let limits = ClientLimits::default().deadline(Duration::from_secs(10)).rate(Rate::new(20, 30));
/// # let _ = limits;
/// ```
#[derive(Clone, Debug)]
pub struct ClientLimits {
    deadline: Duration,
    rate: Option<Rate>,
    watch_starts: Rate,
    user_agent: HeaderValue,
}

impl ClientLimits {
    /// How long a call may take until its answer is complete, and a watch until it is open. Thirty
    /// seconds if not given: a page of a list is about 2 MB, which takes 16 s at 1 Mbit/s, and servers
    /// themselves give up after 60 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many calls a cluster gets, of all kinds together, save for probes. 400/s with bursts of 800 if
    /// not given, a few times what a small API server answers, so that a loop that runs wild is stopped
    /// and nobody else waits. KubeFed allows 20/s and bursts of 30 for each kind and each of its loops,
    /// which adds up to hundreds with the kinds that it federates out of the box.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Any number of calls.
    pub fn unlimited(mut self) -> Self {
        self.rate = None;
        self
    }

    /// What is sent as `User-Agent`, unless the client sets one itself. Text that cannot be sent leaves
    /// it as it is.
    pub fn user_agent(mut self, name: &str) -> Self {
        if let Ok(name) = HeaderValue::from_str(name) {
            self.user_agent = name;
        }
        self
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            rate: Some(Rate::new(400, 800)),
            // A watch is open for a minute. Five that follow each other at once and then one in five
            // seconds leave room for failures and for a dozen watches of one path, and turn a server that
            // closes every watch at once from a flood into a trickle.
            watch_starts: Rate {
                interval: Duration::from_secs(5),
                burst: 5,
            },
            user_agent: HeaderValue::from_static(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            )),
        }
    }
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// So many times a second, and so many at once after a pause. Zero counts as one.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
        }
    }
}

/// The same client with deadlines and limits: calls have a deadline (watches until they are open), share
/// a rate, and a watch of one path is not opened again and again without a pause.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn guarded(client: Client, limits: &ClientLimits) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Guard::new(Arc::new(Target::new(client)), limits), namespace)
}

/// The client that calls go to at the moment: it can be exchanged, and taken away.
pub(crate) struct Target(RwLock<Option<Client>>);

impl Target {
    pub(crate) fn new(client: Client) -> Self {
        Self(RwLock::new(Some(client)))
    }

    /// Lets further calls go to another client; calls and watches that are open go on.
    pub(crate) fn replace(&self, client: Client) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }

    /// Lets all further calls fail.
    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn current(&self) -> Option<Client> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The service behind a guarded client.
pub(crate) struct Guard {
    target: Arc<Target>,
    throttle: Arc<Throttle>,
    deadline: Duration,
    user_agent: HeaderValue,
}

impl Guard {
    pub(crate) fn new(target: Arc<Target>, limits: &ClientLimits) -> Self {
        Self {
            target,
            throttle: Arc::new(Throttle::new(limits)),
            deadline: limits.deadline,
            user_agent: limits.user_agent.clone(),
        }
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<DeadlineBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        let (target, throttle) = (self.target.clone(), self.throttle.clone());
        let deadline = self.deadline;
        Box::pin(async move {
            let call = Call::of(&request);
            throttle.admit(call, request.uri().path()).await;
            let client = target.current().ok_or(Closed)?;
            let late = Instant::now() + deadline;
            match timeout(deadline, client.send(request)).await {
                Err(_) => Err(DeadlineExceeded(deadline).into()),
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(response)) => Ok(response.map(|inner| DeadlineBody {
                    inner,
                    late: (call != Call::Stream).then(|| Box::pin(sleep_until(late))),
                    deadline,
                })),
            }
        })
    }
}

/// What limits a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    /// A question after the server's health: always admitted, or a busy cluster would look sick.
    Probe,
    /// An answer that goes on until somebody ends it.
    Stream,
    /// Anything else.
    Short,
}

impl Call {
    fn of(request: &Request<Body>) -> Self {
        let streams =
            |pair: &str| matches!(pair, "watch=true" | "watch=1" | "follow=true" | "follow=1");
        let query = request.uri().query().unwrap_or_default();
        match request.uri().path() {
            "/healthz" | "/livez" | "/readyz" | "/version" => Self::Probe,
            _ if query.split('&').any(streams) => Self::Stream,
            _ => Self::Short,
        }
    }
}

/// Delays calls that come too often.
struct Throttle {
    calls: Option<Mutex<Pace>>,
    /// One for each path that is watched: as many as there are kinds and namespaces.
    watch_starts: Mutex<HashMap<String, Pace>>,
    watch_rate: Rate,
}

impl Throttle {
    fn new(limits: &ClientLimits) -> Self {
        Self {
            calls: limits.rate.map(|rate| Mutex::new(Pace::new(rate))),
            watch_starts: Mutex::default(),
            watch_rate: limits.watch_starts,
        }
    }

    async fn admit(&self, call: Call, path: &str) {
        if call == Call::Probe {
            return;
        }
        if call == Call::Stream {
            sleep(self.watch_delay(path)).await;
        }
        if let Some(calls) = &self.calls {
            let delay = calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .delay(Instant::now());
            sleep(delay).await;
        }
    }

    fn watch_delay(&self, path: &str) -> Duration {
        let now = Instant::now();
        let mut paths = self
            .watch_starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A path that has rested is as good as new.
        paths.retain(|_, pace| pace.next > now);
        let pace = paths
            .entry(path.to_owned())
            .or_insert_with(|| Pace::new(self.watch_rate));
        let delay = pace.delay(now);
        if !delay.is_zero() {
            tracing::warn!(
                path,
                ?delay,
                "the server keeps closing a watch; opening it again is delayed"
            );
        }
        delay
    }
}

/// The generic cell rate algorithm (ITU-T I.371): one moment tells both rate and burst.
#[derive(Debug)]
struct Pace {
    rate: Rate,
    /// When the next call would come if calls came evenly.
    next: Instant,
}

impl Pace {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            next: Instant::now(),
        }
    }

    /// Counts a call and tells how long it has to wait.
    fn delay(&mut self, now: Instant) -> Duration {
        let even = self.next.max(now);
        self.next = even + self.rate.interval;
        let ahead = self.rate.interval * (self.rate.burst - 1);
        even.duration_since(now).saturating_sub(ahead)
    }
}

/// The body of an answer, which has to be complete before a deadline.
pub(crate) struct DeadlineBody {
    inner: Body,
    late: Option<Pin<Box<Sleep>>>,
    deadline: Duration,
}

impl http_body::Body for DeadlineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match self.late.as_mut().map(|late| late.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                let error = DeadlineExceeded(self.deadline);
                Poll::Ready(Some(Err(error.into())))
            }
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A call was not answered in time. It may have taken effect all the same.
#[derive(Debug)]
struct DeadlineExceeded(Duration);

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no complete answer within {:?}", self.0)
    }
}

impl std::error::Error for DeadlineExceeded {}

/// The cluster has left the fleet, or its endpoint was changed, since the client was handed out.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed: the cluster was removed or its endpoint changed")
    }
}

impl std::error::Error for Closed {}
