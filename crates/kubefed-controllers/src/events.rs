//! Events about federated objects and clusters, for whoever describes them.
//!
//! Saying something never waits and never fails: notes go to a task of their own, and are dropped when
//! it cannot keep up or the host refuses. What is said again is counted in the event that exists.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kubefed_api::{QualifiedName, ResourceType};
use kubefed_informer::Clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::host::{Host, HostError};

/// Events that are written at once. Those about one object are written one after another.
const LANES: usize = 8;

/// Notes that wait to be written in a lane; as many as the original's recorder holds in all. When many
/// objects change at once, notes come twice as fast as they are written.
const WAITING_MAX: usize = 1000;

/// Events that are remembered to be counted on, of some hundred bytes each.
const REMEMBERED_MAX: usize = 4096;

/// Repetitions within this time are counted on one event: as long as API servers keep events by default.
const REPEATED: Duration = Duration::from_secs(3600);

/// A trouble that lasts is written this often, which keeps its event from expiring.
const AGAIN: Duration = Duration::from_secs(1800);

/// A change of its cause is written this often at most, so that causes that alternate do not use up
/// what may be written about their object.
const AGAIN_CHANGED: Duration = Duration::from_secs(60);

/// Writes about one object at once, and how often one more; those of the original's spam filter.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);

/// A message has this many bytes at most, like the note of an event of `events.k8s.io`.
const MESSAGE_MAX: usize = 1024;

/// A name has 253 characters at most, of which the time takes 17, and a number as many at most.
const OBJECT_NAME_MAX: usize = 219;

/// The object that an event is about, and who says it.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) kind: ResourceType,
    pub(crate) name: QualifiedName,
    pub(crate) uid: String,
    /// The component in the event's source, such as `federatedconfigmap-controller`.
    pub(crate) component: String,
}

/// What an event says.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) warning: bool,
    /// Whether it is about a state, which is told again now and then, and not about an action, which is
    /// told each time.
    pub(crate) lasts: bool,
    pub(crate) reason: &'static str,
    /// What happened to whom. What is told of the same subject is counted on one event.
    pub(crate) subject: String,
    /// The rest of the message, such as the cause, which may differ each time.
    pub(crate) detail: String,
}

impl Note {
    pub(crate) fn warning(
        reason: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            warning: true,
            lasts: true,
            reason,
            subject: subject.into(),
            detail: detail.into(),
        }
    }

    fn message(&self) -> String {
        let whole = format!("{}{}", self.subject, self.detail);
        if whole.len() <= MESSAGE_MAX {
            return whole;
        }
        let mut end = MESSAGE_MAX - '…'.len_utf8();
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}…", &whole[..end])
    }
}

/// Where notes are handed in.
#[derive(Clone)]
pub(crate) struct Events(Arc<[Lane]>);

struct Lane {
    notes: mpsc::Sender<(About, Note)>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// Says something, unless too much waits to be said.
    pub(crate) fn say(&self, about: &About, note: Note) {
        let lane = &self.0[digest(&about.uid) as usize % self.0.len()];
        if lane.notes.try_send((about.clone(), note)).is_err() {
            lane.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes the notes that are handed in to [`Events`], until all of those are dropped.
pub(crate) struct Recorder {
    host: Host,
    clock: Clock,
    notes: mpsc::Receiver<(About, Note)>,
    dropped: Arc<AtomicU64>,
    said: BTreeMap<Arc<Subject>, Said>,
    order: VecDeque<Arc<Subject>>,
    allowances: BTreeMap<String, Allowance>,
    /// Tells events of one moment apart; no two lanes ever have the same.
    number: usize,
}

/// What is counted on one event.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Subject {
    uid: String,
    reason: &'static str,
    text: String,
}

struct Said {
    event: QualifiedName,
    message: u64,
    first: Instant,
    written: Instant,
    count: u64,
}

/// How many more writes about one object there may be.
struct Allowance {
    left: u32,
    since: Instant,
}

impl Recorder {
    /// Where to say something, and those who write it, each to be run.
    pub(crate) fn lanes(host: &Host, clock: Clock) -> (Events, Vec<Self>) {
        let (lanes, recorders): (Vec<_>, _) = (0..LANES)
            .map(|number| {
                let (sender, notes) = mpsc::channel(WAITING_MAX);
                let dropped = Arc::<AtomicU64>::default();
                let recorder = Self {
                    host: host.clone(),
                    clock,
                    notes,
                    dropped: Arc::clone(&dropped),
                    said: BTreeMap::new(),
                    order: VecDeque::new(),
                    allowances: BTreeMap::new(),
                    number,
                };
                let notes = sender;
                (Lane { notes, dropped }, recorder)
            })
            .unzip();
        (Events(lanes.into()), recorders)
    }

    pub(crate) async fn run(mut self) {
        while let Some((about, note)) = self.notes.recv().await {
            self.record(&about, note).await;
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(dropped, "the host cluster takes events too slowly");
            }
        }
    }

    async fn record(&mut self, about: &About, note: Note) {
        let now = Instant::now();
        let text = note.message();
        let message = digest(&text);
        let subject = Subject {
            uid: about.uid.clone(),
            reason: note.reason,
            text: note.subject.clone(),
        };
        let repeated = match self.said.get_mut(&subject) {
            Some(said) if now - said.first < REPEATED => {
                said.count += 1;
                let again = if said.message == message {
                    AGAIN
                } else {
                    AGAIN_CHANGED
                };
                if note.lasts && now - said.written < again {
                    return;
                }
                Some((said.event.clone(), said.count))
            }
            _ => None,
        };
        if !self.is_allowed(&about.uid, now) {
            return;
        }
        let level_of = if note.warning { "warning" } else { "normal" };
        tracing::info!(name = %about.name, kind = about.kind.kind, reason = note.reason, "{level_of}: {text}");
        if let Some((name, count)) = repeated {
            let patch = json!({"count": count, "lastTimestamp": self.time(), "message": text});
            let patched = self.host.patch(&events(), &name, None, &patch).await;
            match (patched, self.said.get_mut(&subject)) {
                (Ok(_), Some(said)) => return (said.written, said.message) = (now, message),
                // It has expired, and is told anew.
                (Err(error), _) if error.is_not_found() => {}
                (Err(error), _) => return not_written(about, &error),
                (Ok(_), None) => return,
            }
        }
        let (name, event) = self.event(about, &note, &text);
        match self.host.create(&events(), name.namespace(), &event).await {
            Ok(_) => self.remember(subject, name, message, now),
            Err(error) => not_written(about, &error),
        }
    }

    fn event(&mut self, about: &About, note: &Note, message: &str) -> (QualifiedName, Value) {
        self.number += LANES;
        let nanos = self.clock.now().0.as_nanosecond();
        let number = self.number;
        let object: String = about.name.name().chars().take(OBJECT_NAME_MAX).collect();
        let name = format!("{object}.{nanos:x}.{number:x}");
        let namespace = about.name.namespace().unwrap_or("default");
        let time = self.time();
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": {
                "apiVersion": about.kind.api_version(), "kind": about.kind.kind,
                "namespace": about.name.namespace(), "name": about.name.name(), "uid": about.uid,
            },
            "type": if note.warning { "Warning" } else { "Normal" },
            "reason": note.reason,
            "message": message,
            "source": {"component": about.component},
            "firstTimestamp": time, "lastTimestamp": time, "count": 1,
        });
        (QualifiedName::namespaced(namespace, name), event)
    }

    fn time(&self) -> String {
        let now = self.clock.now().0;
        now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn remember(&mut self, subject: Subject, event: QualifiedName, message: u64, now: Instant) {
        let subject = Arc::new(subject);
        let said = Said {
            event,
            message,
            first: now,
            written: now,
            count: 1,
        };
        if self.said.insert(Arc::clone(&subject), said).is_none() {
            self.order.push_back(subject);
        }
        while self.order.len() > REMEMBERED_MAX / LANES {
            if let Some(oldest) = self.order.pop_front() {
                self.allowances.remove(&oldest.uid);
                self.said.remove(&oldest);
            }
        }
    }

    fn is_allowed(&mut self, uid: &str, now: Instant) -> bool {
        // Where the host refuses events, none is ever remembered and forgotten again.
        if self.allowances.len() > REMEMBERED_MAX / LANES {
            self.allowances.clear();
        }
        let full = || Allowance {
            left: BURST,
            since: now,
        };
        let allowance = self.allowances.entry(uid.to_owned()).or_insert_with(full);
        let refills = (now - allowance.since).as_secs() / REFILL.as_secs();
        if refills > 0 {
            let refills = u32::try_from(refills).unwrap_or(BURST);
            allowance.left = BURST.min(allowance.left.saturating_add(refills));
            allowance.since = now;
        }
        let allowed = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
        allowed
    }
}

fn events() -> ResourceType {
    ResourceType::namespaced("", "v1", "Event", "events")
}

fn not_written(about: &About, error: &HostError) {
    tracing::debug!(name = %about.name, %error, "an event was not written");
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
