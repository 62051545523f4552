//! Events about federated objects and clusters, for whoever describes them.
//!
//! Saying something never waits and never fails: notes go to a task of their own, and are dropped when
//! it cannot keep up or the host refuses. What is said again is counted in the event that exists.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kubefed_api::{QualifiedName, ResourceType};
use kubefed_informer::Clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::host::Host;

/// Notes that wait to be written; as many as the original's recorder holds.
const WAITING_MAX: usize = 1000;

/// Events that are remembered to be counted on, about 1 MB.
const REMEMBERED_MAX: usize = 4096;

/// Repetitions within this time are counted on one event: as long as API servers keep events by default.
const REPEATED: Duration = Duration::from_secs(3600);

/// A trouble that lasts is written this often, which keeps its event from expiring.
const AGAIN: Duration = Duration::from_secs(1800);

/// Writes about one object at once, and how often one more; those of the original's spam filter.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);

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
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Note {
    pub(crate) warning: bool,
    /// Whether it is about a state, which is told again now and then, and not about an action, which is
    /// told each time.
    pub(crate) lasts: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Note {
    pub(crate) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            warning: false,
            lasts: false,
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            warning: true,
            lasts: true,
            reason,
            message: message.into(),
        }
    }
}

/// Where notes are handed in.
#[derive(Clone)]
pub(crate) struct Events(mpsc::Sender<(About, Note)>);

impl Events {
    /// Says something, unless too much waits to be said.
    pub(crate) fn say(&self, about: &About, note: Note) {
        if self.0.try_send((about.clone(), note)).is_err() {
            tracing::debug!(name = %about.name, "an event was dropped");
        }
    }
}

/// Writes the notes that are handed in to [`Events`], until all of those are dropped.
pub(crate) struct Recorder {
    host: Host,
    clock: Clock,
    notes: mpsc::Receiver<(About, Note)>,
    said: BTreeMap<(String, Note), Said>,
    order: VecDeque<(String, Note)>,
    allowances: BTreeMap<String, Allowance>,
    written: u64,
}

/// An event that was written.
struct Said {
    name: QualifiedName,
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
    pub(crate) fn new(host: Host, clock: Clock) -> (Events, Self) {
        let (sender, notes) = mpsc::channel(WAITING_MAX);
        let recorder = Self {
            host,
            clock,
            notes,
            said: BTreeMap::new(),
            order: VecDeque::new(),
            allowances: BTreeMap::new(),
            written: 0,
        };
        (Events(sender), recorder)
    }

    pub(crate) async fn run(mut self) {
        while let Some((about, note)) = self.notes.recv().await {
            self.record(&about, note).await;
        }
    }

    async fn record(&mut self, about: &About, note: Note) {
        let now = Instant::now();
        let key = (about.uid.clone(), note);
        let repeated = match self.said.get_mut(&key) {
            Some(said) if now - said.first < REPEATED => {
                said.count += 1;
                if key.1.lasts && now - said.written < AGAIN {
                    return;
                }
                Some((said.name.clone(), said.count))
            }
            _ => None,
        };
        if !self.is_allowed(&about.uid, now) {
            return;
        }
        tracing::info!(name = %about.name, reason = key.1.reason, "{}", key.1.message);
        let events = ResourceType::namespaced("", "v1", "Event", "events");
        let written = match &repeated {
            Some((name, count)) => {
                let patch = json!({"count": count, "lastTimestamp": self.time()});
                self.host.patch(&events, name, None, &patch).await.map(drop)
            }
            None => {
                let (name, event) = self.event(about, &key.1);
                let created = self.host.create(&events, name.namespace(), &event).await;
                created.map(|_| self.remember(key.clone(), name, now))
            }
        };
        match written {
            Ok(()) => {
                if let Some(said) = self.said.get_mut(&key) {
                    said.written = now;
                }
            }
            Err(error) => {
                // It may have expired; the next repetition is a new event.
                self.said.remove(&key);
                tracing::debug!(name = %about.name, %error, "an event was not written");
            }
        }
    }

    fn event(&mut self, about: &About, note: &Note) -> (QualifiedName, Value) {
        self.written += 1;
        // Two events of one moment differ in the last digits.
        let nanos = self.clock.now().0.as_nanosecond() + i128::from(self.written);
        let object: String = about.name.name().chars().take(OBJECT_NAME_MAX).collect();
        let name = format!("{object}.{nanos:x}");
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
            "message": note.message,
            "source": {"component": about.component},
            "firstTimestamp": time, "lastTimestamp": time, "count": 1,
        });
        (QualifiedName::namespaced(namespace, name), event)
    }

    fn time(&self) -> String {
        let now = self.clock.now().0;
        now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn remember(&mut self, key: (String, Note), name: QualifiedName, now: Instant) {
        let said = Said {
            name,
            first: now,
            written: now,
            count: 1,
        };
        if self.said.insert(key.clone(), said).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.allowances.remove(&oldest.0);
                self.said.remove(&oldest);
            }
        }
    }

    fn is_allowed(&mut self, uid: &str, now: Instant) -> bool {
        // Where the host refuses events, none is ever remembered and forgotten again.
        if self.allowances.len() > REMEMBERED_MAX {
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

/// A name has 253 characters at most, of which the time takes 17.
const OBJECT_NAME_MAX: usize = 236;
