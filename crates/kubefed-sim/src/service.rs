//! The API server as a `tower::Service`.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use tokio::time::Instant;

use crate::api::{Answer, BODY_MAX, BOOKMARK_INTERVAL, JSON, Watch, WatchStep};
use crate::cluster::Shared;
use crate::refusal::Refusal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. A watch is a body that does not end.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The API server of a cluster, to be handed to [`kube::Client::new`] or to an HTTP server.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

impl Endpoint {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<B> tower::Service<Request<B>> for Endpoint
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(serve(self.shared.clone(), request))
    }
}

async fn serve<B>(
    shared: Arc<Shared>,
    request: Request<B>,
) -> Result<Response<ResponseBody>, BoxError>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(refuse(&Refusal::too_large(format!(
                "Request entity too large: limit is {BODY_MAX}"
            ))));
        }
        Err(error) => return Err(error),
    };
    shared.start();
    // A panic is a bug of the simulator; it must cost this request and not the client.
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let mut state = shared.lock();
        let answer = state.serve(&head, body);
        state.react();
        answer
    }))
    .unwrap_or_else(|_| Err(Refusal::internal("the simulated API server panicked")));
    shared.wake();
    Ok(match answer {
        Ok(answer) => respond(shared, answer),
        Err(refusal) => refuse(&refusal),
    })
}

fn respond(shared: Arc<Shared>, answer: Answer) -> Response<ResponseBody> {
    match answer {
        Answer::Json {
            code,
            media_type,
            text,
        } => whole(code, media_type, text),
        Answer::Plain { code, text } => whole(
            code,
            "text/plain; charset=utf-8",
            Bytes::from_static(text.as_bytes()),
        ),
        Answer::Watch(watch) => {
            let frames = stream::unfold(Some(Stream::new(shared, *watch)), |stream| async {
                let mut stream = stream?;
                let bytes = stream.next().await?;
                Some((Ok::<_, Infallible>(Frame::data(bytes)), Some(stream)))
            });
            let body = StreamBody::new(frames).map_err(|never| match never {});
            response(200, JSON, UnsyncBoxBody::new(body))
        }
    }
}

fn refuse(refusal: &Refusal) -> Response<ResponseBody> {
    let mut response = whole(refusal.code, JSON, refusal.body());
    let seconds = refusal.details.retry_after_seconds;
    if seconds > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn whole(code: u16, media_type: &'static str, text: Bytes) -> Response<ResponseBody> {
    response(
        code,
        media_type,
        UnsyncBoxBody::new(Full::new(text).map_err(|never| match never {})),
    )
}

fn response(code: u16, media_type: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}

/// An open watch: steps of the [`Watch`], and the waits between them.
struct Stream {
    shared: Arc<Shared>,
    watch: Watch,
    bookmark: Instant,
    last: bool,
}

impl Stream {
    fn new(shared: Arc<Shared>, watch: Watch) -> Self {
        Self {
            shared,
            watch,
            bookmark: Instant::now() + BOOKMARK_INTERVAL,
            last: false,
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        while !self.last {
            let changed = self.shared.lock().store.changed(&self.watch.table)?;
            // Registered before looking, so that no wake-up is lost.
            let mut changed = std::pin::pin!(changed.notified());
            changed.as_mut().enable();
            let step = self.watch.step(&self.shared.lock().store);
            match step {
                WatchStep::Events(bytes) => return Some(bytes),
                WatchStep::Last(bytes) => {
                    self.last = true;
                    return Some(bytes);
                }
                WatchStep::Ended => return None,
                WatchStep::Idle => {}
            }
            let now = Instant::now();
            if now >= self.watch.deadline {
                return None;
            }
            if self.watch.bookmarks && now >= self.bookmark {
                self.bookmark = now + BOOKMARK_INTERVAL;
                return Some(self.watch.bookmark(false));
            }
            let wake = if self.watch.bookmarks {
                self.bookmark.min(self.watch.deadline)
            } else {
                self.watch.deadline
            };
            // Which of the two it was does not matter: the loop looks at everything again.
            let _ = tokio::time::timeout_at(wake, changed).await;
        }
        None
    }
}
