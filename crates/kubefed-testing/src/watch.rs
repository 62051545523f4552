//! What every watch of the Kubernetes API promises, checked over what a client saw.
//!
//! The promises are those that etcd's robustness tests hold a watch to, and the edges of selectors
//! that the API server adds to them. The oracle is another watch of the same collection, without a
//! selector and from before its first object: what it shows is what happened.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// A watch as a client saw it: how it was opened, and its events so far.
///
/// ```
/// use kubefed_testing::watch::{Promise, Stream};
/// use serde_json::json;
///
/// let event = |version: &str, name: &str| {
///     json!({ "type": "ADDED", "object": { "metadata": { "name": name, "resourceVersion": version } } })
/// };
/// let (mut history, mut stream) = (Stream::after(1), Stream::after(1));
/// history.push(event("2", "a"));
/// history.push(event("3", "b"));
/// stream.push(event("3", "b"));
/// let broken = stream.broken_promises(&history);
/// assert_eq!(broken[0].promise, Promise::Resumable);
/// ```
pub struct Stream {
    start: Start,
    selects: Box<dyn Fn(&Value) -> bool>,
    metadata_only: bool,
    events: Vec<Value>,
}

enum Start {
    /// Only changes after a resource version.
    After(u64),
    /// What is there, then changes.
    Initial,
    /// The same, with a bookmark between the two.
    Marked,
}

/// What a watch promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Promise {
    /// Events come in the order of their resource versions.
    Ordered,
    /// No event comes twice.
    Unique,
    /// An event shows a whole object, as one write left it.
    Atomic,
    /// No change is left out, and none is made up.
    Reliable,
    /// A watch from a version shows exactly what came after it.
    Resumable,
    /// After a bookmark nothing comes that it has covered, and it carries nothing but its version.
    Bookmarkable,
    /// Objects show while they are selected: they are added as they enter the selection and deleted
    /// as they leave it.
    Filtered,
}

/// A promise that a watch did not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub promise: Promise,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {:?}: {}", self.promise, self.what)
    }
}

/// An event that a watch must show.
#[derive(Clone)]
struct Expected {
    kind: &'static str,
    version: u64,
    object: Value,
}

impl Stream {
    /// A watch from a resource version.
    #[must_use]
    pub fn after(version: u64) -> Self {
        Self::new(Start::After(version))
    }

    /// A watch without a resource version, or from 0: it begins with what is there.
    #[must_use]
    pub fn initial() -> Self {
        Self::new(Start::Initial)
    }

    /// A watch with `sendInitialEvents`: a bookmark says where the initial events end.
    #[must_use]
    pub fn marked() -> Self {
        Self::new(Start::Marked)
    }

    fn new(start: Start) -> Self {
        Self {
            start,
            selects: Box::new(|_| true),
            metadata_only: false,
            events: Vec::new(),
        }
    }

    /// Which objects the watch selects.
    #[must_use]
    pub fn selecting(mut self, selects: impl Fn(&Value) -> bool + 'static) -> Self {
        self.selects = Box::new(selects);
        self
    }

    /// Only the metadata of the objects is shown.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// Adds an event, as JSON.
    pub fn push(&mut self, event: Value) {
        self.events.push(event);
    }

    /// The highest resource version that was seen; 0 if none was.
    #[must_use]
    pub fn last_version(&self) -> u64 {
        self.events.iter().map(version).max().unwrap_or(0)
    }

    /// Checks what was seen against the whole history of the collection: a watch without a selector,
    /// from a version before the first object, that has come at least as far.
    #[must_use]
    pub fn broken_promises(&self, history: &Self) -> Vec<Broken> {
        match self.start {
            Start::After(version) => self.check(history, version, None, &self.events),
            Start::Marked => match self.events.iter().position(ends_initial_events) {
                Some(end) => {
                    let (initial, rest) = self.events.split_at(end);
                    let mut broken = self.check(history, version(&rest[0]), Some(initial), rest);
                    broken.extend(self.check_count(history, version(&rest[0]), initial));
                    broken
                }
                // Cut short, it still shows nothing that never was.
                None => self.best_reading(history),
            },
            Start::Initial => self.best_reading(history),
        }
    }

    /// Where the initial events end, and which version they show, is not told: the watch is right if
    /// there is one reading of it that is.
    fn best_reading(&self, history: &Self) -> Vec<Broken> {
        let initial = self
            .events
            .iter()
            .take_while(|event| event["type"] == "ADDED")
            .count();
        let mut best: Option<Vec<Broken>> = None;
        for end in (0..=initial).rev() {
            let (initial, rest) = self.events.split_at(end);
            let oldest = initial.iter().map(version).max().unwrap_or(0);
            let newer = history.events.iter().map(version);
            for from in [oldest].into_iter().chain(newer.filter(|&v| v > oldest)) {
                let mut broken = self.check(history, from, Some(initial), rest);
                if !rest.is_empty() {
                    broken.extend(self.check_count(history, from, initial));
                }
                if broken.is_empty() {
                    return broken;
                }
                if best.as_ref().is_none_or(|best| broken.len() < best.len()) {
                    best = Some(broken);
                }
            }
        }
        best.unwrap_or_default()
    }

    fn check(
        &self,
        history: &Self,
        from: u64,
        initial: Option<&[Value]>,
        rest: &[Value],
    ) -> Vec<Broken> {
        let changes: Vec<&Value> = rest.iter().filter(|event| is_change(event)).collect();
        let mut broken = check_order(rest);
        let (state, expected) = self.expected(history, from);
        broken.extend(initial.map_or(Vec::new(), |initial| self.check_initial(&state, initial)));
        let last = rest.iter().map(version).max().unwrap_or(from);
        let first = changes.first().map_or(u64::MAX, |event| version(event));
        for expected in expected.iter().filter(|expected| expected.version <= last) {
            let shown = changes
                .iter()
                .find(|event| version(event) == expected.version);
            match shown {
                None if expected.version < first => broken.push(Broken {
                    promise: Promise::Resumable,
                    what: format!("from {from}, {} is missing", Shown(expected)),
                }),
                None => broken.push(Broken {
                    promise: Promise::Reliable,
                    what: format!("{} is missing", Shown(expected)),
                }),
                Some(event) => broken.extend(self.check_event(event, expected)),
            }
        }
        for event in changes {
            if !expected.iter().any(|e| e.version == version(event)) {
                let promise = if version(event) <= from {
                    Promise::Resumable
                } else if (self.selects)(&event["object"]) {
                    Promise::Reliable
                } else {
                    Promise::Filtered
                };
                let what = format!("from {from}, nothing explains {event}");
                broken.push(Broken { promise, what });
            }
        }
        broken
    }

    fn check_event(&self, event: &Value, expected: &Expected) -> Option<Broken> {
        if event["type"] != expected.kind {
            return Some(Broken {
                promise: Promise::Filtered,
                what: format!("{event} should be {}", expected.kind),
            });
        }
        (!self.shows(&event["object"], &expected.object)).then(|| Broken {
            promise: Promise::Atomic,
            what: format!("{event} should show {}", expected.object),
        })
    }

    fn shows(&self, shown: &Value, whole: &Value) -> bool {
        if self.metadata_only {
            let fields = shown.as_object().map_or(0, serde_json::Map::len);
            shown["metadata"] == whole["metadata"] && fields == 3
        } else {
            shown == whole
        }
    }

    /// The initial events are the objects in the order of lists; a reader may not have seen them all.
    fn check_initial(&self, state: &BTreeMap<String, Value>, initial: &[Value]) -> Vec<Broken> {
        let initial: Vec<&Value> = initial.iter().filter(|event| is_change(event)).collect();
        let names = initial.iter().map(|event| name(&event["object"]));
        if !names.eq(state.keys().take(initial.len()).cloned()) {
            let what = format!("{initial:?} should be {:?}", state.keys());
            let promise = Promise::Reliable;
            return vec![Broken { promise, what }];
        }
        let torn = initial
            .iter()
            .zip(state.values())
            .filter(|(event, object)| {
                event["type"] != "ADDED" || !self.shows(&event["object"], object)
            });
        torn.map(|(event, object)| Broken {
            promise: Promise::Atomic,
            what: format!("{event} should show {object}"),
        })
        .collect()
    }

    fn check_count(&self, history: &Self, from: u64, initial: &[Value]) -> Option<Broken> {
        let (state, _) = self.expected(history, from);
        let shown = initial.iter().filter(|event| is_change(event)).count();
        (shown < state.len()).then(|| Broken {
            promise: Promise::Reliable,
            what: format!("{shown} initial events instead of {}", state.len()),
        })
    }

    /// What is selected at a version, and the events after it.
    fn expected(&self, history: &Self, from: u64) -> (BTreeMap<String, Value>, Vec<Expected>) {
        let (mut all, mut state) = (BTreeMap::new(), BTreeMap::new());
        let mut expected = Vec::new();
        for event in history.events.iter().filter(|event| is_change(event)) {
            let (object, version) = (&event["object"], version(event));
            let old: Option<Value> = all.remove(&name(object));
            let removed = event["type"] == "DELETED";
            if !removed {
                all.insert(name(object), object.clone());
            }
            let before = old.filter(|old| (self.selects)(old));
            let after = !removed && (self.selects)(object);
            if after && version <= from {
                state.insert(name(object), object.clone());
            } else if version <= from {
                state.remove(&name(object));
            }
            let (kind, object) = match (before, after) {
                (None, false) => continue,
                (None, true) => ("ADDED", object.clone()),
                (Some(_), true) => ("MODIFIED", object.clone()),
                (Some(_), false) if removed => ("DELETED", object.clone()),
                // As it last was in the selection, at the version at which it left.
                (Some(mut old), false) => {
                    old["metadata"]["resourceVersion"] = json!(version.to_string());
                    ("DELETED", old)
                }
            };
            if version > from {
                expected.push(Expected {
                    kind,
                    version,
                    object,
                });
            }
        }
        (state, expected)
    }
}

/// What can be said of a stream without knowing what happened.
fn check_order(events: &[Value]) -> Vec<Broken> {
    let (mut seen, mut marked) = (0, 0);
    let mut broken = Vec::new();
    for event in events.iter().filter(|event| event["type"] != "ERROR") {
        let version = version(event);
        let promise = if is_change(event) {
            match version {
                _ if version == seen => Some(Promise::Unique),
                _ if version <= marked => Some(Promise::Bookmarkable),
                _ if version < seen => Some(Promise::Ordered),
                _ => None,
            }
        } else {
            let carries = event["object"]["metadata"].as_object();
            let bare = carries.is_some_and(|metadata| metadata.get("name").is_none());
            marked = marked.max(version);
            (version < seen || !bare).then_some(Promise::Bookmarkable)
        };
        if let Some(promise) = promise {
            let what = format!("{event} after version {}", seen.max(marked));
            broken.push(Broken { promise, what });
        }
        if is_change(event) {
            seen = seen.max(version);
        }
    }
    broken
}

fn is_change(event: &Value) -> bool {
    event["type"] != "BOOKMARK" && event["type"] != "ERROR"
}

fn ends_initial_events(event: &Value) -> bool {
    let annotations = &event["object"]["metadata"]["annotations"];
    event["type"] == "BOOKMARK" && annotations["k8s.io/initial-events-end"] == "true"
}

fn version(event: &Value) -> u64 {
    let version = event["object"]["metadata"]["resourceVersion"].as_str();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The key of an object in its collection, in the order of lists.
fn name(object: &Value) -> String {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

struct Shown<'a>(&'a Expected);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.kind, self.0.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ADDED a 3 web` is an event about `a` at version 3 with the label `app=web`.
    fn event(text: &str) -> Value {
        let words: Vec<&str> = text.split(' ').collect();
        if words[0] == "BOOKMARK" {
            let mut object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "resourceVersion": words[1] } });
            if words.len() > 2 {
                object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            }
            return json!({ "type": "BOOKMARK", "object": object });
        }
        let metadata =
            json!({ "name": words[1], "resourceVersion": words[2], "labels": { "app": words[3] } });
        json!({ "type": words[0], "object": { "kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": { "v": words[3] } } })
    }

    fn with(mut stream: Stream, events: &[&str]) -> Stream {
        events.iter().for_each(|text| stream.push(event(text)));
        stream
    }

    fn web() -> impl Fn(&Value) -> bool {
        |object| object["metadata"]["labels"]["app"] == "web"
    }

    fn history() -> Stream {
        let events = [
            "ADDED a 2 web",
            "ADDED b 3 db",
            "MODIFIED b 5 web",
            "MODIFIED a 6 db",
            "ADDED c 7 web",
            "DELETED c 9 web",
        ];
        with(Stream::after(1), &events)
    }

    #[track_caller]
    fn check(stream: Stream, events: &[&str], expected: &[Promise]) {
        let broken = with(stream, events).broken_promises(&history());
        let promises: Vec<Promise> = broken.iter().map(|broken| broken.promise).collect();
        assert_eq!(promises, expected, "{events:?}: {broken:#?}");
    }

    #[test]
    fn good_streams_keep_every_promise() {
        let all = ["MODIFIED b 5 web", "MODIFIED a 6 db", "ADDED c 7 web"];
        check(Stream::after(3), &all, &[]);
        check(Stream::after(3), &[], &[]);
        check(Stream::after(9), &["BOOKMARK 12"], &[]);
        check(
            Stream::after(3),
            &[&all[..2], &["BOOKMARK 6"], &all[2..]].concat(),
            &[],
        );
        check(
            Stream::after(1).selecting(web()),
            &["ADDED a 2 web", "ADDED b 5 web", "DELETED a 6 web"],
            &[],
        );
        let initial = ["ADDED a 6 db", "ADDED b 5 web"];
        check(Stream::initial(), &initial, &[]);
        check(
            Stream::initial(),
            &["ADDED a 2 web", "ADDED b 3 db", all[0], all[1]],
            &[],
        );
        check(
            Stream::marked(),
            &[initial[0], initial[1], "BOOKMARK 6 end", "ADDED c 7 web"],
            &[],
        );
        check(Stream::marked(), &["ADDED a 6 db"], &[]);
    }

    #[test]
    fn planted_mistakes_are_found() {
        use Promise::{Atomic, Bookmarkable, Filtered, Ordered, Reliable, Resumable, Unique};
        let (five, six, seven) = ("MODIFIED b 5 web", "MODIFIED a 6 db", "ADDED c 7 web");
        check(Stream::after(3), &[six, five, seven], &[Ordered]);
        check(Stream::after(3), &[five, five, six], &[Unique]);
        check(Stream::after(3), &[five, seven], &[Reliable]);
        check(Stream::after(3), &[six, seven], &[Resumable]);
        check(Stream::after(5), &[five, six], &[Resumable]);
        check(Stream::after(3), &[five, "MODIFIED a 6 web"], &[Atomic]);
        check(Stream::after(3), &[five, "ADDED a 6 db"], &[Filtered]);
        check(
            Stream::after(5),
            &[six, "ADDED x 8 db", "DELETED c 9 web"],
            &[Reliable, Reliable],
        );
        check(
            Stream::after(3),
            &[five, "BOOKMARK 6", six],
            &[Bookmarkable],
        );
        check(
            Stream::after(3),
            &[five, six, "BOOKMARK 5"],
            &[Bookmarkable],
        );
        check(
            Stream::after(5),
            &["BOOKMARK 7", "DELETED c 9 web"],
            &[Resumable, Resumable],
        );
        check(
            Stream::marked(),
            &["ADDED a 6 db", "BOOKMARK 6 end"],
            &[Reliable],
        );
        check(
            Stream::marked(),
            &["ADDED a 6 web", "ADDED b 5 web", "BOOKMARK 6 end"],
            &[Atomic],
        );

        let selected = || Stream::after(2).selecting(web());
        check(selected(), &["ADDED b 5 web", "DELETED a 6 db"], &[Atomic]);
        check(
            selected(),
            &["MODIFIED b 5 web", "DELETED a 6 web"],
            &[Filtered],
        );
        check(selected(), &["ADDED b 3 db", "ADDED b 5 web"], &[Filtered]);
    }

    #[test]
    fn metadata_only_streams_show_metadata_only() {
        let bare = |name: &str, version: &str| {
            let metadata =
                json!({ "name": name, "resourceVersion": version, "labels": { "app": "web" } });
            json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
        };
        let mut stream = Stream::after(1).metadata_only();
        stream.push(json!({ "type": "ADDED", "object": bare("a", "2") }));
        assert_eq!(stream.broken_promises(&history()), []);
        let mut object = bare("b", "3");
        object["data"] = json!({});
        stream.push(json!({ "type": "ADDED", "object": object }));
        assert_eq!(
            stream.broken_promises(&history())[0].promise,
            Promise::Atomic
        );
    }
}
