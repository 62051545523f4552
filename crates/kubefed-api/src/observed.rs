use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use crate::well_known;

/// The slim record of an object in a member cluster, about 200 bytes without its body.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedCopy {
    uid: Arc<str>,
    version: ObjectVersion,
    resource_version: Arc<str>,
    deleting: bool,
    opted_out: bool,
    bare: bool,
    labels: MetadataDigest,
    annotations: MetadataDigest,
    body: Option<Arc<Value>>,
}

impl ObservedCopy {
    /// The record of an object of which only the metadata was read, for example from a metadata watch.
    pub fn from_metadata(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default();
        let managed = metadata["labels"][well_known::MANAGED_LABEL].as_str();
        Self {
            uid: text("uid").into(),
            version: ObjectVersion::of(object),
            resource_version: text("resourceVersion").into(),
            deleting: !metadata["deletionTimestamp"].is_null(),
            opted_out: managed == Some(well_known::UNMANAGED_VALUE),
            bare: MEMBERS_OWN.iter().all(|name| is_empty(&metadata[name])),
            labels: MetadataDigest::of(&metadata["labels"]),
            annotations: MetadataDigest::of(&metadata["annotations"]),
            body: None,
        }
    }

    /// The record of an object that was read as a whole.
    pub fn from_body(object: Arc<Value>) -> Self {
        Self {
            body: Some(object.clone()),
            ..Self::from_metadata(&object)
        }
    }

    /// The uid, by which a delete is guarded.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The version as it is recorded in a PropagatedVersion.
    pub fn version(&self) -> &ObjectVersion {
        &self.version
    }

    /// The resource version.
    pub fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// Whether the object has a deletion timestamp.
    pub fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Whether the object carries `kubefed.io/managed: "false"`.
    pub fn has_opted_out(&self) -> bool {
        self.opted_out
    }

    /// Whether its metadata holds nothing that belongs to the member cluster and outlives an update: no
    /// annotations, finalizers or owner references.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// Digest of the labels.
    pub fn labels(&self) -> MetadataDigest {
        self.labels
    }

    /// Digest of the annotations.
    pub fn annotations(&self) -> MetadataDigest {
        self.annotations
    }

    /// The whole object, if it was read.
    pub fn body(&self) -> Option<&Arc<Value>> {
        self.body.as_ref()
    }
}

/// Metadata that an update takes over from the object in the member cluster.
const MEMBERS_OWN: [&str; 3] = ["annotations", "finalizers", "ownerReferences"];

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The version of an object in a member cluster, as it is recorded after a write.
///
/// Displays as on the wire, `gen:7` or `rv:123`, and reads only what displays the same.
///
/// ```
/// use kubefed_api::ObjectVersion;
/// use serde_json::json;
///
/// let version = ObjectVersion::of(&json!({"metadata": {"generation": 7, "resourceVersion": "123"}}));
/// assert_eq!(version.to_string(), "gen:7");
/// assert_eq!("rv:123".parse(), Ok(ObjectVersion::Resource("123".to_owned())));
/// ```
// Closed: the wire has these two forms.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectVersion {
    /// The generation, for kinds whose specification the server counts; never 0.
    Generation(i64),
    /// The resource version, for all other kinds.
    Resource(String),
}

impl ObjectVersion {
    /// The version of an object. A generation that is no integer counts as 0, a resource version that
    /// is no string as empty.
    pub fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let generation = metadata["generation"].as_i64().unwrap_or_default();
        Self::new(
            generation,
            metadata["resourceVersion"].as_str().unwrap_or_default(),
        )
    }

    /// The version of an object with this generation, 0 if it has none, and this resource version.
    pub fn new(generation: i64, resource_version: &str) -> Self {
        match generation {
            0 => Self::Resource(resource_version.to_owned()),
            generation => Self::Generation(generation),
        }
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(generation) => write!(f, "gen:{generation}"),
            Self::Resource(version) => write!(f, "rv:{version}"),
        }
    }
}

impl FromStr for ObjectVersion {
    type Err = ParseVersionError;

    fn from_str(recorded: &str) -> Result<Self, ParseVersionError> {
        let version = match recorded.split_once(':') {
            Some(("rv", version)) => Self::Resource(version.to_owned()),
            Some(("gen", digits)) => match digits.parse() {
                Ok(generation) => Self::Generation(generation),
                Err(_) => return Err(ParseVersionError),
            },
            _ => return Err(ParseVersionError),
        };
        if version == Self::Generation(0) || version.to_string() != recorded {
            return Err(ParseVersionError);
        }
        Ok(version)
    }
}

/// A text is not the version of any object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseVersionError;

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an object version, expected gen:N or rv:TEXT")
    }
}

impl std::error::Error for ParseVersionError {}

/// A digest of labels or annotations, by which they are compared without being kept.
///
/// It is compared within one process only, so it need not be stable over releases. A missing and an
/// empty map are equal, as is a map with a value that is no string (the original reads such a map as
/// empty).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MetadataDigest(u64);

impl MetadataDigest {
    /// Digest of a map of strings.
    pub fn of(map: &Value) -> Self {
        let mut sorted = BTreeMap::new();
        for (key, value) in map.as_object().into_iter().flatten() {
            let Some(value) = value.as_str() else {
                return Self::of(&Value::Null);
            };
            sorted.insert(key.as_str(), value);
        }
        // The keys of this hasher are fixed, unlike those of `RandomState`.
        let mut hasher = DefaultHasher::new();
        sorted.hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digests_compare_maps_of_strings() {
        let ab = MetadataDigest::of(&json!({"a": "1", "b": "2"}));
        assert_eq!(ab, MetadataDigest::of(&json!({"b": "2", "a": "1"})));
        assert_ne!(ab, MetadataDigest::of(&json!({"a": "1"})));
        assert_ne!(ab, MetadataDigest::of(&json!({"a": "1b", "": "2"})));
        let empty = MetadataDigest::of(&Value::Null);
        assert_eq!(empty, MetadataDigest::of(&json!({})));
        assert_eq!(empty, MetadataDigest::of(&json!({"a": 1})));
    }

    #[test]
    fn a_copy_with_anything_of_its_members_is_not_bare() {
        let is_bare =
            |metadata: Value| ObservedCopy::from_metadata(&json!({"metadata": metadata})).is_bare();
        assert!(is_bare(
            json!({"labels": {"a": "b"}, "annotations": {}, "finalizers": null})
        ));
        assert!(!is_bare(json!({"annotations": {"a": "b"}})));
        assert!(!is_bare(json!({"finalizers": ["a/b"]})));
        assert!(!is_bare(json!({"ownerReferences": [{"name": "a"}]})));
        assert!(!is_bare(json!({"finalizers": "of no use, but there"})));
    }

    #[test]
    fn only_what_displays_the_same_is_a_version() {
        for text in ["gen:7", "gen:-1", "rv:123", "rv:", "rv:a:b"] {
            let version: ObjectVersion = text.parse().unwrap();
            assert_eq!(version.to_string(), text);
        }
        for text in [
            "", "gen:", "gen:0", "gen:07", "gen:+7", "gen:x", "7", "uid:7",
        ] {
            assert_eq!(
                text.parse::<ObjectVersion>(),
                Err(ParseVersionError),
                "{text}"
            );
        }
    }
}
