use std::fmt;

use kubefed_api::{Error as FieldError, ObjectVersion};
use md5::{Digest, Md5};
use serde_json::{Map, Value};

use crate::Error;
use crate::canonical::{Controls, Numbers, Writer};
use crate::nested::{nested, text};

/// The two hashes of one federated object, as a PropagatedVersion holds them.
///
/// A version that was recorded under another template says nothing about the object any more, and
/// under other overrides only what [`Record::read_by_cluster`](crate::Record::read_by_cluster) allows.
///
/// ```
/// use kubefed_propagation::Hashes;
/// use serde_json::json;
///
/// let hashes = Hashes::of(&json!({"spec": {"template": {"spec": {"replicas": 3}}}}))?;
/// assert_eq!(hashes.template.as_str(), "76b542a28835fcd14767a796167ae314");
/// assert_eq!(hashes.overrides.as_str(), "2979b7538b527abe06492021841caf47");
/// assert!(hashes.matches("76b542a28835fcd14767a796167ae314", "2979b7538b527abe06492021841caf47"));
/// # Ok::<(), kubefed_propagation::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hashes {
    /// Hash of `spec.template`; see [`template_hash`].
    pub template: Hash,
    /// Hash of `spec.overrides`; see [`overrides_hash`].
    pub overrides: Hash,
}

impl Hashes {
    /// Both hashes of a federated object.
    ///
    /// # Errors
    ///
    /// The template or the overrides cannot be hashed.
    pub fn of(federated: &Value) -> Result<Self, Error> {
        Ok(Self {
            template: template_hash(federated)?,
            overrides: overrides_hash(federated)?,
        })
    }

    /// Both hashes, also of malformed overrides, which are hashed as they stand. The original cannot hash
    /// them, so no hash of its own is ever equal.
    pub(crate) fn of_any_overrides(federated: &Value) -> Result<Self, Error> {
        let overrides = || {
            let raw = &federated["spec"]["overrides"];
            Hash::of(Numbers::Doubles, |writer| writer.value(raw))
        };
        Ok(Self {
            template: template_hash(federated)?,
            overrides: overrides_hash(federated).unwrap_or_else(|_| overrides()),
        })
    }

    /// Whether these are the recorded hashes, in either of the forms that builds of the original
    /// write.
    pub fn matches(&self, template_recorded: &str, overrides_recorded: &str) -> bool {
        self.template.matches(template_recorded) && self.overrides.matches(overrides_recorded)
    }
}

/// The MD5 of a JSON text and a newline, in lower case hexadecimal; empty where there was nothing to
/// hash.
///
/// Equal objects have equal hashes. Recorded hashes are compared with [`Hash::matches`], because
/// builds of the original with Go 1.22 or later write backspace and form feed differently.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hash {
    published: String,
    /// The other form, for the few texts in which the two differ.
    short_controls: Option<String>,
}

impl Hash {
    const NOTHING: Self = Self {
        published: String::new(),
        short_controls: None,
    };

    /// Writes the text that is hashed, up to twice.
    fn of(numbers: Numbers, write: impl Fn(&mut Writer)) -> Self {
        let text = |controls| {
            let mut writer = Writer::new(numbers, controls);
            write(&mut writer);
            writer.text.push('\n');
            writer.text
        };
        let published = text(Controls::Published);
        // An escaped backslash before `u0008` is a false alarm, which costs a second text only.
        let differs = published.contains("\\u0008") || published.contains("\\u000c");
        Self {
            short_controls: differs.then(|| hexadecimal_md5(&text(Controls::Short))),
            published: hexadecimal_md5(&published),
        }
    }

    /// The hash to record: the one of the original's published binaries.
    pub fn as_str(&self) -> &str {
        &self.published
    }

    /// Whether a recorded hash is of the same content.
    pub fn matches(&self, recorded: &str) -> bool {
        recorded == self.published || self.short_controls.as_deref() == Some(recorded)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.published)
    }
}

/// Hash of `spec.template`, with integers in the range of `i64` exact; empty where there is none.
///
/// # Errors
///
/// The template is null or no object, or `spec` is no object.
pub fn template_hash(federated: &Value) -> Result<Hash, Error> {
    match nested(federated, &["spec", "template"]).map_err(Error::hash)? {
        None => Ok(Hash::NOTHING),
        Some(template @ Value::Object(_)) => {
            Ok(Hash::of(Numbers::Exact, |writer| writer.value(template)))
        }
        Some(other) => Err(Error::hash(FieldError::wrong_type(
            "spec.template",
            "an object",
            other,
        ))),
    }
}

/// Hash of `spec.overrides` for all clusters, with every number a double; empty where there is no
/// `spec`.
///
/// What is hashed is `{"overrides": L}`, L being the list without unknown members and without empty
/// or null `op`, `value` and `clusterOverrides`; a missing or null list is `null`.
///
/// # Errors
///
/// The list or something in it has the wrong type, or `spec` is no object.
pub fn overrides_hash(federated: &Value) -> Result<Hash, Error> {
    let spec = nested(federated, &["spec"]).map_err(Error::hash)?;
    let Some(spec) = spec.filter(|spec| !spec.is_null()) else {
        return Ok(Hash::NOTHING);
    };
    let overrides = members(spec, "spec")
        .and_then(|spec| elements(spec, "overrides", "spec.overrides"))
        .map_err(Error::hash)?;
    let items = overrides
        .map(|list| read_all(list, "spec.overrides", Item::read))
        .transpose()
        .map_err(Error::hash)?;
    Ok(Hash::of(Numbers::Doubles, |writer| {
        writer.text.push_str("{\"overrides\":");
        match &items {
            Some(items) => writer.list(items, |writer, item| item.write(writer)),
            None => writer.text.push_str("null"),
        }
        writer.text.push('}');
    }))
}

/// One entry of `spec.overrides`, as far as it is hashed.
struct Item<'a> {
    cluster: &'a str,
    overrides: Vec<Entry<'a>>,
}

struct Entry<'a> {
    operation: &'a str,
    path: &'a str,
    value: Option<&'a Value>,
}

impl<'a> Item<'a> {
    fn read(value: &'a Value, path: &str) -> Result<Self, FieldError> {
        let item = members(value, path)?;
        let list_path = format!("{path}.clusterOverrides");
        let list = elements(item, "clusterOverrides", &list_path)?.unwrap_or_default();
        Ok(Self {
            cluster: string(item, "clusterName", path)?,
            overrides: read_all(list, &list_path, Entry::read)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.text.push_str("{\"clusterName\":");
        writer.string(self.cluster);
        if !self.overrides.is_empty() {
            writer.text.push_str(",\"clusterOverrides\":");
            writer.list(&self.overrides, |writer, entry| entry.write(writer));
        }
        writer.text.push('}');
    }
}

impl<'a> Entry<'a> {
    fn read(value: &'a Value, path: &str) -> Result<Self, FieldError> {
        let entry = members(value, path)?;
        Ok(Self {
            operation: string(entry, "op", path)?,
            path: string(entry, "path", path)?,
            value: entry
                .and_then(|entry| entry.get("value"))
                .filter(|value| !value.is_null()),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.text.push('{');
        if !self.operation.is_empty() {
            writer.text.push_str("\"op\":");
            writer.string(self.operation);
            writer.text.push(',');
        }
        writer.text.push_str("\"path\":");
        writer.string(self.path);
        if let Some(value) = self.value {
            writer.text.push_str(",\"value\":");
            writer.value(value);
        }
        writer.text.push('}');
    }
}

type Members<'a> = Option<&'a Map<String, Value>>;

fn members<'a>(value: &'a Value, path: &str) -> Result<Members<'a>, FieldError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(members) => Ok(Some(members)),
        other => Err(FieldError::wrong_type(path, "an object", other)),
    }
}

fn elements<'a>(
    members: Members<'a>,
    name: &str,
    path: &str,
) -> Result<Option<&'a [Value]>, FieldError> {
    match members.and_then(|members| members.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(elements)) => Ok(Some(elements)),
        Some(other) => Err(FieldError::wrong_type(path, "a list", other)),
    }
}

fn string<'a>(members: Members<'a>, name: &str, path: &str) -> Result<&'a str, FieldError> {
    match members.and_then(|members| members.get(name)) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(FieldError::wrong_type(
            format!("{path}.{name}"),
            "a string",
            other,
        )),
    }
}

fn read_all<'a, T>(
    list: &'a [Value],
    path: &str,
    read: impl Fn(&'a Value, &str) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    list.iter()
        .enumerate()
        .map(|(index, value)| read(value, &format!("{path}[{index}]")))
        .collect()
}

fn hexadecimal_md5(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    Md5::digest(text.as_bytes())
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Whether the original would write `desired` over `member`.
///
/// It would if the version of `member` is not the recorded one (empty if there is none), or if that
/// version is a generation, which does not count metadata, and name, namespace, labels or annotations
/// differ. A map that is missing, or holds anything but strings, equals an empty one.
pub fn needs_update(recorded: &str, desired: &Value, member: &Value) -> bool {
    let version = ObjectVersion::of(member);
    if version.to_string() != recorded {
        return true;
    }
    matches!(version, ObjectVersion::Generation(_)) && !same_metadata(desired, member)
}

fn same_metadata(desired: &Value, member: &Value) -> bool {
    let same_text = |name| text(desired, &["metadata", name]) == text(member, &["metadata", name]);
    let same_map = |name| {
        let desired = strings(desired, name);
        let member = strings(member, name);
        let of_member = |name| member.and_then(|map: &Map<String, Value>| map.get(name));
        desired.map_or(0, Map::len) == member.map_or(0, Map::len)
            && desired
                .into_iter()
                .flatten()
                .all(|(name, value)| of_member(name) == Some(value))
    };
    ["name", "namespace"].into_iter().all(same_text)
        && ["labels", "annotations"].into_iter().all(same_map)
}

fn strings<'a>(object: &'a Value, name: &str) -> Members<'a> {
    nested(object, &["metadata", name])
        .ok()
        .flatten()
        .and_then(Value::as_object)
        .filter(|map| map.values().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_control_characters_are_accepted() {
        let template = json!({"data": {"c": "\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}\"\\/"}});
        let hash = template_hash(&json!({"spec": {"template": template}})).unwrap();
        assert_eq!(hash.as_str(), "670925af5967a5652d1d7e8e5e9f2e64");
        assert!(hash.matches("670925af5967a5652d1d7e8e5e9f2e64"));
        assert!(hash.matches("011b25bc2418a0c4f72a7f6d63815aa7"));
        assert!(!hash.matches(""));
        for (text, published, short) in [
            (
                "\u{8}",
                "6e111b74286f2b583ab8d459a3b2ce96",
                "30db81b53b0e20bd2aa31b53359ac6eb",
            ),
            (
                "\u{c}",
                "610fd802981effef388ab68280f34956",
                "cf2b32ef211042f3d775d4ebfd37f5e7",
            ),
        ] {
            let template = json!({"spec": {"template": {"data": {"c": text}}}});
            let hash = template_hash(&template).unwrap();
            assert_eq!(hash.as_str(), published);
            assert!(hash.matches(short), "{text:?}");
        }
    }

    /// The examples of propagation 11.2 and api 25, as the original hashes them.
    #[test]
    fn documented_examples_have_their_documented_hashes() {
        let templates = [
            (json!({}), "8a80554c91d9fca8acb82f023de02f11"),
            (
                json!({"spec": {"foo": null}}),
                "a5b8d4352d5aed51c51b93900258ccf3",
            ),
            (
                json!({"spec": {"replicas": 3}}),
                "76b542a28835fcd14767a796167ae314",
            ),
            (
                json!({"data": {"foo": "bar"}}),
                "4682012eb72f035cfe2b227efe7ca8c8",
            ),
            (
                json!({"data": {"k": "a<b>&c"}}),
                "3200a8387e02c69e6ccc3b6d6c9fa5e9",
            ),
            (
                json!({"data": {"a": "<b>&"}}),
                "f41f64b0cfee57d50f67304152780966",
            ),
        ];
        for (template, expected) in templates {
            let hash = template_hash(&json!({"spec": {"template": template}})).unwrap();
            assert_eq!(hash.as_str(), expected, "{template}");
        }
        let overrides = [
            (json!(null), "2979b7538b527abe06492021841caf47"),
            (json!([]), "fd97e6d9a670c7dcdc2477764f78b459"),
            (
                json!([{"clusterName": "cluster1", "clusterOverrides": [{"path": "/data", "value": {"foo": "baz"}}]}]),
                "83ab4a072c6b38ec5b27715c2fe62c9d",
            ),
            (
                json!([{"clusterName": "c1", "clusterOverrides": [
                    {"path": "/spec/replicas", "value": 5}, {"op": "remove", "path": "/spec/paused"},
                ]}]),
                "1835fec3f945adca8b1654e872ba4d35",
            ),
            (
                json!([{"clusterName": "c1", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]}]),
                "2cf1d0d2ed4f49c3bc3023cd28280be2",
            ),
            (
                json!([{"clusterName": "c1", "clusterOverrides": [
                    {"path": "/spec/replicas", "value": 5}, {"op": "add", "path": "/x", "value": null},
                    {"path": "/y", "value": 0},
                ]}, {"clusterName": "c2"}]),
                "ae176038c693a71afa14a0e4d4f3673e",
            ),
        ];
        for (list, expected) in overrides {
            let hash = overrides_hash(&json!({"spec": {"overrides": list}})).unwrap();
            assert_eq!(hash.as_str(), expected, "{list}");
        }
        assert_eq!(template_hash(&json!({"spec": {}})).unwrap().as_str(), "");
        assert_eq!(overrides_hash(&json!({})).unwrap().as_str(), "");
    }

    #[test]
    fn hash_errors_name_the_field() {
        let cases = [
            (
                json!({"spec": {"template": null}}),
                "spec.template: expected an object, found null",
            ),
            (
                json!({"spec": 5}),
                "spec: expected an object, found a number",
            ),
        ];
        for (federated, message) in cases {
            let error = template_hash(&federated).unwrap_err();
            assert!(error.is_hash());
            assert_eq!(
                error.to_string(),
                format!("cannot hash the federated object: {message}")
            );
        }
        let overrides = json!([{"clusterName": "a"}, {"clusterOverrides": [{}, {"op": 5}]}]);
        let error = overrides_hash(&json!({"spec": {"overrides": overrides}})).unwrap_err();
        assert_eq!(error.path(), "spec.overrides[1].clusterOverrides[1].op");
    }
}
