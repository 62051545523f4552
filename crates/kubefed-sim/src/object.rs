//! A stored object: its JSON text and the few facts the server asks for without parsing it.
//!
//! Reads are by far the most frequent requests, so an object is kept as the bytes that a GET
//! answers with. The text begins with `kind` and `apiVersion`, followed by `metadata`; a list item
//! without them, another version and a metadata-only answer are then slices of the same text.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::json;

/// `namespace/name`, or `name` for cluster-scoped kinds: the order of lists, as in etcd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    pub(crate) fn new(namespace: Option<&str>, name: &str) -> Self {
        match namespace {
            Some(namespace) => Self(format!("{namespace}/{name}").into()),
            None => Self(name.into()),
        }
    }

    /// The key that a continue token carries.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    pub(crate) fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The first key of a namespace and the first key after it ('0' follows '/').
    pub(crate) fn namespace_bounds(namespace: &str) -> (Self, Self) {
        (
            Self(format!("{namespace}/").into()),
            Self(format!("{namespace}0").into()),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) api_version: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) controller: bool,
    pub(crate) blocks: bool,
}

/// One version of an object. Never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    pub(crate) uid: Box<str>,
    pub(crate) deleting: bool,
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    pub(crate) finalizers: Box<[Box<str>]>,
    pub(crate) owners: Box<[Owner]>,
    text: Bytes,
    /// Where `"metadata":` begins: after `{"kind":…,"apiVersion":…,`.
    head: usize,
    /// Where the value of `metadata` ends.
    metadata: usize,
}

impl Object {
    /// Encodes a value whose `metadata.resourceVersion` is already `revision`.
    pub(crate) fn new(key: Key, revision: u64, value: &Value) -> Self {
        let (text, head, metadata) = encode(value);
        let meta = &value["metadata"];
        Self {
            key,
            revision,
            uid: json::text(meta, "uid").into(),
            deleting: json::at(meta, "deletionTimestamp").is_some(),
            labels: labels(meta),
            finalizers: json::items(meta, "finalizers")
                .iter()
                .filter_map(Value::as_str)
                .map(Box::from)
                .collect(),
            owners: json::items(meta, "ownerReferences")
                .iter()
                .map(owner)
                .collect(),
            text,
            head,
            metadata,
        }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The text after `kind` and `apiVersion`, without the opening brace.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.text[self.head..]
    }

    /// The text of `metadata`.
    pub(crate) fn metadata_text(&self) -> &[u8] {
        &self.text[self.head + METADATA.len()..self.metadata]
    }

    pub(crate) fn value(&self) -> Value {
        // The text was written by `encode`, from a value.
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// The same object as another revision, which is how watches show what a selector lost.
    pub(crate) fn at_revision(&self, revision: u64) -> Self {
        let mut value = self.value();
        json::put(&mut value, "metadata.resourceVersion", revision.to_string());
        Self::new(self.key.clone(), revision, &value)
    }

    pub(crate) fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

const METADATA: &[u8] = b"\"metadata\":";

fn encode(value: &Value) -> (Bytes, usize, usize) {
    let empty = Map::new();
    let fields = value.as_object().unwrap_or(&empty);
    let mut text = Vec::with_capacity(512);
    let write = |text: &mut Vec<u8>, value: &Value| {
        // Writing a value to memory cannot fail.
        let _ = serde_json::to_writer(text, value);
    };
    text.extend_from_slice(b"{\"kind\":");
    write(&mut text, &value["kind"]);
    text.extend_from_slice(b",\"apiVersion\":");
    write(&mut text, &value["apiVersion"]);
    text.push(b',');
    let head = text.len();
    text.extend_from_slice(METADATA);
    write(&mut text, &value["metadata"]);
    let metadata = text.len();
    let mut rest: Vec<&String> = fields
        .keys()
        .filter(|key| !matches!(key.as_str(), "kind" | "apiVersion" | "metadata"))
        .collect();
    rest.sort_unstable();
    for key in rest {
        text.push(b',');
        let _ = serde_json::to_writer(&mut text, key);
        text.push(b':');
        write(&mut text, &fields[key]);
    }
    let _ = text.write_all(b"}");
    text.shrink_to_fit();
    (Bytes::from(text), head, metadata)
}

fn labels(meta: &Value) -> Box<[(Box<str>, Box<str>)]> {
    let Some(Value::Object(map)) = meta.get("labels") else {
        return Box::default();
    };
    map.iter()
        .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or("").into()))
        .collect()
}

fn owner(reference: &Value) -> Owner {
    let flag = |field| {
        reference
            .get(field)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    Owner {
        api_version: json::text(reference, "apiVersion").into(),
        kind: json::text(reference, "kind").into(),
        name: json::text(reference, "name").into(),
        uid: json::text(reference, "uid").into(),
        controller: flag("controller"),
        blocks: flag("blockOwnerDeletion"),
    }
}
