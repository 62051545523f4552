//! Connections that calls share.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;
use tokio::sync::Mutex;
use tower::{BoxError, Service};

use super::KEEPALIVE;

/// How many calls and watches share a connection of HTTP/2. RFC 9113 (6.5.2) advises servers to allow
/// 100 at least, and API servers do; a call beyond a server's limit would wait for some watch to end.
const CALLS_PER_LINE: usize = 64;

/// How long a server may take to answer a sign of life.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(15);

/// Sends each call over the first line that has room, and opens a further line where none has.
#[derive(Clone)]
pub(super) struct Lines<C> {
    connector: C,
    lines: Arc<SyncMutex<Vec<Line<C>>>>,
}

/// A pool of hyper's: it keeps one connection of HTTP/2, or as many of HTTP/1.1 as there are calls.
#[derive(Clone)]
struct Line<C> {
    client: Client<C, Body>,
    /// Held by every call until its answer's body is dropped.
    calls: Arc<()>,
    /// Whether a call was answered. Until then one goes ahead alone: hyper would open a connection for
    /// each, and drop all but one when they turn out to speak HTTP/2.
    answered: Arc<Mutex<bool>>,
}

impl<C: Connect + Clone + Send + Sync + 'static> Lines<C> {
    pub(super) fn new(connector: C) -> Self {
        Self {
            connector,
            lines: Arc::default(),
        }
    }

    fn line(&self) -> Line<C> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A burst is over: its lines close.
        while lines.len() > 1 && lines.last().is_some_and(|line| line.calls() == 0) {
            lines.pop();
        }
        if let Some(line) = lines.iter().find(|line| line.calls() < CALLS_PER_LINE) {
            return line.clone();
        }
        let line = Line::new(self.connector.clone());
        lines.push(line.clone());
        line
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Line<C> {
    fn new(connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(KEEPALIVE_ANSWER)
            .build(connector);
        Self {
            client,
            calls: Arc::default(),
            answered: Arc::default(),
        }
    }
}

impl<C> Line<C> {
    fn calls(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Service<Request<Body>> for Lines<C> {
    type Response = Response<UnsyncBoxBody<Bytes, hyper::Error>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Line {
            client,
            calls,
            answered,
        } = self.line();
        Box::pin(async move {
            let mut first = answered.lock().await;
            let answer = if *first {
                drop(first);
                client.request(request).await?
            } else {
                let answer = client.request(request).await?;
                *first = true;
                drop(first);
                answer
            };
            Ok(answer.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &calls;
                    frame
                })
                .boxed_unsync()
            }))
        })
    }
}
