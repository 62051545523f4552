//! The API server as a `tower::Service`: faults, authentication and the request log around it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{FutureExt as _, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};

use crate::access::User;
use crate::api::{Answer, BODY_MAX, JSON, Subject};
use crate::cluster::Shared;
use crate::fault::Effect;
use crate::log::RequestRecord;
use crate::network::{refused, reset};
use crate::refusal::Refusal;
use crate::route::{self, Verb};
use crate::state::State;
use crate::watching::Watching;
use crate::webhooks::{Question, Reviews};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. A watch is a body that does not end.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The API server of a cluster, to be handed to [`kube::Client::new`] or to an HTTP server.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
    /// Requests without a bearer token are those of an administrator.
    trusting: bool,
    /// Paths below this one are those of an administrator, for clients that send no token over HTTP
    /// without TLS, as kubectl does not.
    #[cfg(feature = "serve")]
    secret_path: Option<String>,
}

impl Endpoint {
    pub(crate) fn trusting(shared: Arc<Shared>) -> Self {
        Self {
            trusting: true,
            ..Self::checked(shared)
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(crate) fn checked(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            trusting: false,
            #[cfg(feature = "serve")]
            secret_path: None,
        }
    }

    #[cfg(feature = "serve")]
    pub(crate) fn below(mut self, secret_path: String) -> Self {
        self.secret_path = Some(secret_path);
        self
    }

    /// Takes the secret path off a request that knows it.
    #[cfg(feature = "serve")]
    fn unwrap_path(&mut self, uri: &mut http::Uri) {
        let Some(secret) = &self.secret_path else {
            return;
        };
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let inner = path
            .strip_prefix(secret.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let inner = inner.map(|rest| if rest.is_empty() { "/" } else { rest });
        if let Some(inner) = inner.and_then(|rest| rest.parse::<http::Uri>().ok()) {
            *uri = inner;
            self.trusting = true;
        }
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
        let this = self.clone();
        Box::pin(async move {
            let served = AssertUnwindSafe(this.serve(request)).catch_unwind().await;
            // A panic is a bug of the simulator; it must cost this request and not the client.
            served.unwrap_or_else(|_| {
                Ok(refuse(&Refusal::internal(
                    "the simulated API server panicked",
                )))
            })
        })
    }
}

/// A request that was read, and what is known of it before it is served.
struct Received {
    head: Parts,
    body: Bytes,
    subject: Subject,
    user_agent: String,
}

/// What became of serving a request once.
enum Run {
    /// The answer, and what it warns of.
    Done(Result<Answer, Refusal>, Vec<String>),
    /// It is served again when these have been put.
    Waits(Vec<Question>),
}

/// What lasts from run to run of a request that admission webhooks may concern.
struct Consultation {
    random: fastrand::Rng,
    reviews: Reviews,
}

/// What faults make of an answer.
#[derive(Default)]
struct Spoilers {
    repeat: bool,
    lose: bool,
    truncate: bool,
    behind: u64,
}

impl Endpoint {
    #[cfg_attr(not(feature = "serve"), allow(unused_mut))]
    async fn serve<B>(mut self, request: Request<B>) -> Result<Response<ResponseBody>, BoxError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let shared = self.shared.clone();
        shared.start();
        #[cfg_attr(not(feature = "serve"), allow(unused_mut))]
        let (mut head, body) = request.into_parts();
        #[cfg(feature = "serve")]
        self.unwrap_path(&mut head.uri);
        let subject = Subject::of(&head);
        let user_agent = route::user_agent(&head.headers).to_owned();
        let body = match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("Request entity too large: limit is {BODY_MAX}");
                return Ok(refuse(&Refusal::too_large(message)));
            }
            Err(error) => return Err(error),
        };
        let received = Received {
            head,
            body,
            subject,
            user_agent,
        };
        let effects = {
            let mut state = shared.lock();
            state.faults.strike(&received.subject, &received.user_agent)
        };
        if !shared.latency.is_zero() {
            tokio::time::sleep(shared.latency).await;
        }
        let mut spoilers = Spoilers::default();
        for (effect, counted) in effects {
            match effect {
                Effect::Refuse => {
                    record(&mut shared.lock(), &received, None);
                    return Err(refused().into());
                }
                Effect::LoseRequest => {
                    record(&mut shared.lock(), &received, None);
                    return Err(reset(&effect).into());
                }
                Effect::Freeze if counted => std::future::pending().await,
                Effect::Freeze => thawed(&shared, &received).await,
                Effect::Delay(time) => tokio::time::sleep(time).await,
                Effect::Status {
                    code,
                    retry_after_seconds,
                } => {
                    record(&mut shared.lock(), &received, Some(code));
                    return Ok(refuse(&Refusal::of_code(code, retry_after_seconds)));
                }
                Effect::LoseAnswer => spoilers.lose = true,
                Effect::Repeat => spoilers.repeat = true,
                Effect::Truncate => spoilers.truncate = true,
                Effect::Stale(revisions) => spoilers.behind = revisions,
                _ => {}
            }
        }
        self.answer(&received, &spoilers).await
    }

    /// Serves the request under the lock of the cluster, in one go; again from the beginning where
    /// admission webhooks have to be asked in between.
    async fn answer(
        self,
        received: &Received,
        spoilers: &Spoilers,
    ) -> Result<Response<ResponseBody>, BoxError> {
        let mut consultation = None;
        let (answer, warnings) = loop {
            match self.run(received, spoilers, &mut consultation) {
                Run::Done(answer, warnings) => break (answer, warnings),
                Run::Waits(questions) => {
                    let replies = self.shared.webhooks.put(questions).await;
                    if let Some(consultation) = &mut consultation {
                        consultation.reviews.learn(replies);
                    }
                }
            }
        };
        if received.subject.verb.writes() {
            self.shared.wake();
        }
        if spoilers.lose {
            return Err(reset(&Effect::LoseAnswer).into());
        }
        let mut response = match answer {
            Ok(Answer::Json {
                code,
                media_type,
                text,
            }) if spoilers.truncate => truncated(code, media_type, &text),
            Ok(Answer::Json {
                code,
                media_type,
                text,
            }) => whole(code, media_type, text),
            Ok(Answer::Plain { code, text }) => whole(
                code,
                "text/plain; charset=utf-8",
                Bytes::from_static(text.as_bytes()),
            ),
            Ok(Answer::Watch(watch)) => {
                let Received {
                    subject,
                    user_agent,
                    ..
                } = received;
                let watching = Watching::new(
                    self.shared.clone(),
                    *watch,
                    subject.clone(),
                    user_agent.clone(),
                );
                response(
                    200,
                    JSON,
                    UnsyncBoxBody::new(StreamBody::new(frames(watching))),
                )
            }
            Err(refusal) => refuse(&refusal),
        };
        for warning in warnings {
            if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        Ok(response)
    }

    /// One run of a request. Every run draws the same random numbers, or else the object that is
    /// stored would not be the one that webhooks saw.
    fn run(
        &self,
        received: &Received,
        spoilers: &Spoilers,
        consultation: &mut Option<Consultation>,
    ) -> Run {
        let mut state = self.shared.lock();
        if consultation.is_none() && received.subject.verb.writes() && state.has_webhooks() {
            let random = state.random.fork();
            *consultation = Some(Consultation {
                random,
                reviews: Reviews::default(),
            });
        }
        let random = consultation.as_mut().map(|consultation| {
            state.reviews = std::mem::take(&mut consultation.reviews);
            std::mem::replace(&mut state.random, consultation.random.clone())
        });
        let mut handle = || {
            let handled = AssertUnwindSafe(|| self.handle(&mut state, received, spoilers));
            catch_unwind(handled)
                .unwrap_or_else(|_| Err(Refusal::internal("the simulated API server panicked")))
        };
        let mut answer = handle();
        if spoilers.repeat {
            answer = handle();
        }
        if let (Some(consultation), Some(random)) = (consultation, random) {
            state.random = random;
            consultation.reviews = std::mem::take(&mut state.reviews);
            let questions = consultation.reviews.take_questions();
            if !questions.is_empty() {
                state.warnings.clear();
                return Run::Waits(questions);
            }
        }
        let code = match &answer {
            Ok(Answer::Json { code, .. } | Answer::Plain { code, .. }) => *code,
            Ok(Answer::Watch(_)) => 200,
            Err(refusal) => refusal.code,
        };
        record(&mut state, received, (!spoilers.lose).then_some(code));
        Run::Done(answer, std::mem::take(&mut state.warnings))
    }

    fn handle(
        &self,
        state: &mut State,
        received: &Received,
        spoilers: &Spoilers,
    ) -> Result<Answer, Refusal> {
        let headers = &received.head.headers;
        let user = self.authenticate(state, headers, &received.subject)?;
        state.user = state.acting(user, headers)?;
        state.behind = spoilers.behind;
        let answer = state.serve(&received.head, received.body.clone());
        state.behind = 0;
        state.react();
        answer
    }

    fn authenticate(
        &self,
        state: &State,
        headers: &HeaderMap,
        subject: &Subject,
    ) -> Result<User, Refusal> {
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        match header.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => {
                let user = state.tokens.user(token.trim(), state.now());
                user.cloned().ok_or_else(Refusal::unauthorized)
            }
            None if self.trusting => Ok(User::admin()),
            // Health, version and discovery are public, as on most servers.
            None if subject.verb == Verb::NonResource => Ok(User::anonymous()),
            None => Err(Refusal::unauthorized()),
        }
    }
}

fn record(state: &mut State, received: &Received, code: Option<u16>) {
    let path = received
        .head
        .uri
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let record = RequestRecord {
        at: state.clock.elapsed(),
        verb: received.subject.verb,
        resource: received.subject.resource.clone(),
        path,
        user_agent: received.user_agent.clone(),
        code,
    };
    state.log.push(record, &received.body);
}

/// Waits until no fault freezes such requests any more.
async fn thawed(shared: &Shared, received: &Received) {
    loop {
        let mut changed = std::pin::pin!(shared.faults_changed.notified());
        changed.as_mut().enable();
        let frozen = {
            let state = shared.lock();
            let mut lasting = state
                .faults
                .lasting(&received.subject, &received.user_agent);
            lasting.any(|effect| *effect == Effect::Freeze)
        };
        if !frozen {
            return;
        }
        changed.await;
    }
}

fn frames(watching: Watching) -> impl stream::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send {
    stream::unfold(Some(watching), |watching| async {
        let mut watching = watching?;
        match watching.next().await? {
            Ok(bytes) => Some((Ok(Frame::data(bytes)), Some(watching))),
            Err(error) => Some((Err(error), None)),
        }
    })
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

/// Half of an answer, after which the connection breaks.
fn truncated(code: u16, media_type: &'static str, text: &Bytes) -> Response<ResponseBody> {
    let half = Frame::data(text.slice(..text.len() / 2));
    let frames: [Result<_, BoxError>; 2] = [Ok(half), Err(reset(&Effect::Truncate).into())];
    response(
        code,
        media_type,
        UnsyncBoxBody::new(StreamBody::new(stream::iter(frames))),
    )
}

fn response(code: u16, media_type: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
