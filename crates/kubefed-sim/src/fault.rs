//! Faults as values: what goes wrong, for which requests, and how often.

use std::time::Duration;

use crate::api::Subject;
use crate::route::Verb;

/// Something that goes wrong in a cluster, injected with [`Cluster::inject`](crate::Cluster::inject).
///
/// Without further words a fault hits every request until it is lifted.
///
/// ```
/// use kubefed_sim::{Effect, Fault, Verb};
///
/// // The second and third creation of a ConfigMap take effect, but the answers are lost.
/// let fault = Fault::new(Effect::LoseAnswer).verb(Verb::Create).resource("configmaps").skip(1).times(2);
/// # let _ = fault;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    effect: Effect,
    verbs: Vec<Verb>,
    resource: Option<String>,
    user_agent: Option<String>,
    skip: u32,
    times: Option<u32>,
}

/// What a [`Fault`] does to a request, to the open watches, or to the cluster at once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Connections are refused, and open ones break.
    Refuse,
    /// Nothing is answered and open watches fall silent until the fault is lifted; then what was held
    /// goes on. Requests that a counted fault hits are never answered.
    Freeze,
    /// Answers take this much longer.
    Delay(Duration),
    /// The request is answered with this HTTP code and has no effect.
    Status {
        /// The HTTP code.
        code: u16,
        /// `Retry-After`, in seconds; 0 sends none.
        retry_after_seconds: u32,
    },
    /// The connection breaks before the request has an effect.
    LoseRequest,
    /// The connection breaks after the request took effect.
    LoseAnswer,
    /// The request takes effect twice; the second answer is sent.
    Repeat,
    /// The answer is cut in the middle of its text.
    Truncate,
    /// Reads show the state of so many revisions ago, as far as history reaches.
    Stale(u64),
    /// Watches show a change so long after it was made. The order within a watch is kept.
    DelayEvents(Duration),
    /// At once: open watches end as if their time were up.
    EndWatches,
    /// At once: open connections and watches break.
    CutConnections,
    /// At once: history is forgotten, and older versions are answered with 410.
    Compact,
    /// At once: a bearer token is no longer accepted.
    RevokeToken(String),
}

/// Names an injected fault, to lift it with [`Cluster::lift`](crate::Cluster::lift).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u64);

impl Fault {
    /// A fault for every request.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            verbs: Vec::new(),
            resource: None,
            user_agent: None,
            skip: 0,
            times: None,
        }
    }

    /// A fault that answers with an HTTP code.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::new(Effect::Status {
            code,
            retry_after_seconds: 0,
        })
    }

    /// Only requests with this verb; called again, with any of these verbs.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verbs.push(verb);
        self
    }

    /// Only requests that may change the cluster.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.verbs.extend([
            Verb::Create,
            Verb::Update,
            Verb::Patch,
            Verb::Delete,
            Verb::DeleteCollection,
        ]);
        self
    }

    /// Only requests for a resource: `plural` or `plural.group`.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Only requests of clients whose user agent begins like this.
    #[must_use]
    pub fn user_agent(mut self, prefix: impl Into<String>) -> Self {
        self.user_agent = Some(prefix.into());
        self
    }

    /// Spares the first requests that would be hit.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Lifts itself after it has hit so many requests.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    pub(crate) fn effect(&self) -> &Effect {
        &self.effect
    }

    fn concerns(&self, subject: &Subject, user_agent: &str) -> bool {
        (self.verbs.is_empty() || self.verbs.contains(&subject.verb))
            && self
                .resource
                .as_ref()
                .is_none_or(|resource| *resource == subject.resource)
            && self
                .user_agent
                .as_ref()
                .is_none_or(|prefix| user_agent.starts_with(prefix))
    }
}

impl Effect {
    /// What a client is told where it is told anything.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Refuse => "connection refused: injected by the simulator",
            _ => "connection lost: injected by the simulator",
        }
    }

    /// Whether it is something that happens once, and not to a request.
    pub(crate) fn is_immediate(&self) -> bool {
        matches!(
            self,
            Self::EndWatches | Self::CutConnections | Self::Compact | Self::RevokeToken(_)
        )
    }
}

/// The faults of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<(FaultId, Fault)>,
    next: u64,
    /// Grows whenever watches are to end.
    pub(crate) ended: u64,
    /// Grows whenever connections are to break.
    pub(crate) cut: u64,
}

impl Faults {
    pub(crate) fn insert(&mut self, fault: Fault) -> FaultId {
        self.next += 1;
        let id = FaultId(self.next);
        if *fault.effect() == Effect::Refuse {
            self.cut += 1;
        }
        self.active.push((id, fault));
        id
    }

    /// A name for a fault that was over at once.
    pub(crate) fn spent(&mut self) -> FaultId {
        self.next += 1;
        FaultId(self.next)
    }

    pub(crate) fn lift(&mut self, id: FaultId) -> bool {
        let before = self.active.len();
        self.active.retain(|(active, _)| *active != id);
        self.active.len() < before
    }

    pub(crate) fn lift_all(&mut self) {
        self.active.clear();
    }

    /// The effects that hit a request, and whether each is counted. Counts are used up.
    pub(crate) fn strike(&mut self, subject: &Subject, user_agent: &str) -> Vec<(Effect, bool)> {
        let mut effects = Vec::new();
        for (_, fault) in &mut self.active {
            if !fault.concerns(subject, user_agent) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            effects.push((fault.effect.clone(), fault.times.is_some()));
        }
        self.active.retain(|(_, fault)| fault.times != Some(0));
        effects
    }

    /// The lasting effects on an open watch or a connection; nothing is counted.
    pub(crate) fn lasting<'a>(
        &'a self,
        subject: &'a Subject,
        user_agent: &'a str,
    ) -> impl Iterator<Item = &'a Effect> {
        self.active
            .iter()
            .filter(move |(_, fault)| fault.times.is_none() && fault.concerns(subject, user_agent))
            .map(|(_, fault)| &fault.effect)
    }

    /// Whether new connections are refused.
    pub(crate) fn refuses(&self) -> bool {
        let whole = |fault: &Fault| {
            fault.verbs.is_empty() && fault.resource.is_none() && fault.user_agent.is_none()
        };
        self.active
            .iter()
            .any(|(_, fault)| fault.effect == Effect::Refuse && whole(fault) && fault.skip == 0)
    }
}
