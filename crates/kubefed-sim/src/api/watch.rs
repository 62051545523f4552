//! Watches: a cursor over the changes of one table, turned into events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::read::{parse_revision, selector};
use crate::api::render::Rendering;
use crate::api::{Answer, Call};
use crate::object::Object;
use crate::refusal::{Cause, Refusal, unsupported};
use crate::selector::Selector;
use crate::state::State;
use crate::store::{Change, Compacted, Store};

/// A server ends a watch after this time and up to as much again, unless the client asks otherwise.
const TIMEOUT_MIN: Duration = Duration::from_secs(30 * 60);
/// How often an idle watch that wants bookmarks gets one.
pub(crate) const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Events that are sent in one go before other tasks get a turn.
const BATCH_MAX: usize = 256;

/// The state of one open watch. It borrows nothing: each step reads the store anew.
pub(crate) struct Watch {
    pub(crate) table: Arc<str>,
    pub(crate) deadline: Instant,
    pub(crate) bookmarks: bool,
    namespace: Option<String>,
    selector: Selector,
    rendering: Rendering,
    /// Everything up to this revision has been sent.
    seen: u64,
    initial: Vec<Arc<Object>>,
    /// A bookmark that says the initial events are over is still owed.
    end_owed: bool,
}

/// What a watch has to send now.
pub(crate) enum Step {
    Events(Bytes),
    /// The last bytes: an ERROR event.
    Last(Bytes),
    Idle,
    /// There is a change, which a fault hides until this time since the start of the simulation.
    Hidden(Duration),
    /// The resource is no longer served.
    Ended,
}

impl State {
    pub(super) fn watch(&mut self, call: &Call) -> Result<Answer, Refusal> {
        validate_watch(call)?;
        let mut selector = selector(call)?;
        if let Some(name) = &call.name {
            selector = selector.and_name(name);
        }
        let revision = parse_revision(call.query.text("resourceVersion"))
            .map_err(|refusal| Refusal::unforeseen(refusal.message))?
            .unwrap_or(0);
        let streaming = call.query.flag_if_given("sendInitialEvents");
        let timeout = match call.query.number("timeoutSeconds")? {
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()),
            _ => TIMEOUT_MIN.mul_f64(1.0 + self.random.f64()),
        };
        let bookmarks = call.query.flag("allowWatchBookmarks");
        let mut watch = Watch {
            table: call.resource.table.clone(),
            deadline: Instant::now() + timeout,
            bookmarks,
            namespace: call.namespace.clone(),
            selector,
            rendering: Rendering::of(call),
            seen: revision,
            initial: Vec::new(),
            end_owed: streaming == Some(true) && bookmarks,
        };
        // Without a version to start from, the present state comes first.
        if streaming == Some(true) || (streaming.is_none() && revision == 0) {
            let all = self.store.list(&watch.table, watch.namespace.as_deref());
            watch.initial = all
                .filter(|object| watch.selector.matches(object))
                .cloned()
                .collect();
            watch.initial.reverse();
        }
        if streaming == Some(true) || revision == 0 {
            watch.seen = self.store.revision();
        }
        Ok(Answer::Watch(Box::new(watch)))
    }
}

impl Watch {
    /// The next events, read from the store; changes younger than `delay` are not visible yet.
    pub(crate) fn step(&mut self, store: &Store, delay: Duration, now: Duration) -> Step {
        let mut text = Vec::new();
        if !self.initial.is_empty() {
            for _ in 0..BATCH_MAX {
                let Some(object) = self.initial.pop() else {
                    break;
                };
                event(&mut text, "ADDED", &self.rendering.object(&object));
            }
            return Step::Events(text.into());
        }
        if std::mem::take(&mut self.end_owed) {
            return Step::Events(self.bookmark(true));
        }
        if store.changed(&self.table).is_none() {
            return Step::Ended;
        }
        loop {
            let mut changes = match store.changes_after(&self.table, self.seen, BATCH_MAX) {
                Ok(changes) => changes,
                Err(Compacted) => return Step::Last(self.expired(store.compacted())),
            };
            if let Some(hidden) = changes.iter().position(|change| change.at + delay > now) {
                if hidden == 0 {
                    return Step::Hidden(changes[0].at + delay);
                }
                changes.truncate(hidden);
            }
            let Some(last) = changes.last().map(|change| change.revision) else {
                self.seen = self.seen.max(store.revision());
                return Step::Idle;
            };
            for change in &changes {
                self.convert(change, &mut text);
            }
            self.seen = last;
            if !text.is_empty() {
                return Step::Events(text.into());
            }
        }
    }

    /// A BOOKMARK event for what has been seen.
    pub(crate) fn bookmark(&self, ends_initial_events: bool) -> Bytes {
        let (api_version, kind) = self.rendering.object_type();
        let mut object = json!({
            "kind": kind, "apiVersion": api_version,
            "metadata": { "resourceVersion": self.seen.to_string() },
        });
        if ends_initial_events {
            object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut text = Vec::new();
        event(&mut text, "BOOKMARK", object.to_string().as_bytes());
        text.into()
    }

    /// An object enters and leaves a selection as it enters and leaves the world.
    fn convert(&self, change: &Change, text: &mut Vec<u8>) {
        let namespace = self.namespace.as_deref();
        if namespace.is_some() && change.new.key.namespace() != namespace {
            return;
        }
        let before = change
            .old
            .as_ref()
            .is_some_and(|old| self.selector.matches(old));
        let after = !change.removed && self.selector.matches(&change.new);
        match (before, after, &change.old) {
            (false, false, _) => {}
            (false, true, _) => event(text, "ADDED", &self.rendering.object(&change.new)),
            (true, true, _) => event(text, "MODIFIED", &self.rendering.object(&change.new)),
            (true, false, Some(old)) if !change.removed => {
                let lost = old.at_revision(change.revision);
                event(text, "DELETED", &self.rendering.object(&lost));
            }
            (true, false, _) => event(text, "DELETED", &self.rendering.object(&change.new)),
        }
    }

    fn expired(&self, oldest: u64) -> Bytes {
        let refusal = Refusal::expired(format!(
            "too old resource version: {} ({oldest})",
            self.seen
        ));
        error_event(&refusal.status())
    }
}

/// An ERROR event, as a whole line.
pub(crate) fn error_event(status: &Value) -> Bytes {
    let mut text = Vec::new();
    event(&mut text, "ERROR", status.to_string().as_bytes());
    text.into()
}

fn event(text: &mut Vec<u8>, kind: &str, object: &[u8]) {
    text.extend_from_slice(b"{\"type\":\"");
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(b"\",\"object\":");
    text.extend_from_slice(object);
    text.extend_from_slice(b"}\n");
}

fn validate_watch(call: &Call) -> Result<(), Refusal> {
    let matching = call.query.text("resourceVersionMatch");
    let streaming = call.query.has("sendInitialEvents");
    let field = "resourceVersionMatch";
    let mut causes = Vec::new();
    if streaming && matching != "NotOlderThan" {
        let message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden(field, message));
    }
    if !matching.is_empty() {
        if !streaming {
            let message =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden(field, message));
        }
        if matching != "NotOlderThan" {
            causes.push(unsupported(field, matching, &["NotOlderThan"]));
        }
        if !call.query.text("continue").is_empty() {
            let message = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(Cause::forbidden(field, message));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_kind(
        "meta.k8s.io",
        "ListOptions",
        "",
        causes,
    ))
}
