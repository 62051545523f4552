//! The entries of `metadata.managedFields`.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value, json};

use super::set::Set;
use crate::schema::Quoted;

/// How many entries of operation Update an object keeps; the oldest are put together.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager of the entries that were put together.
const ANCIENT: &str = "ancient-changes";

/// Who manages which fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Identity, Managed>);

/// What tells entries apart. An applier keeps its entry when it goes to another version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    manager: String,
    operation: Operation,
    /// Empty for appliers.
    api_version: String,
    subresource: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// The fields of one manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed {
    pub(super) set: Set,
    pub(super) api_version: String,
    /// To the second.
    pub(super) time: Option<Timestamp>,
}

impl Identity {
    pub(super) fn new(
        operation: Operation,
        manager: &str,
        api_version: &str,
        subresource: &str,
    ) -> Self {
        let manager = if manager.is_empty() {
            "unknown"
        } else {
            manager
        };
        let api_version = if operation == Operation::Apply {
            ""
        } else {
            api_version
        };
        Self {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// How a conflict names the manager.
    pub(super) fn described(&self) -> String {
        let mut text = Quoted(&self.manager).to_string();
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {}", Quoted(&self.subresource));
        }
        if self.operation == Operation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

impl Managers {
    /// Reads the entries of an object. Errors are those of entries that no server has written.
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        let mut managers = BTreeMap::new();
        let entries = object["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten();
        for (index, entry) in entries.enumerate() {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            if text("apiVersion").is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => {
                    return Err(format!(
                        "missing fieldsType in managed fields entry {index}"
                    ));
                }
                other => {
                    let other = Quoted(other);
                    return Err(format!(
                        "invalid fieldsType {other} in managed fields entry {index}"
                    ));
                }
            }
            let api_version = text("apiVersion");
            let mut identity =
                Identity::new(operation, text("manager"), api_version, text("subresource"));
            identity.manager = text("manager").to_owned();
            let managed = Managed {
                set: match &entry["fieldsV1"] {
                    Value::Null => Set::default(),
                    fields => Set::from_fields_v1(fields)?,
                },
                api_version: api_version.to_owned(),
                time: text("time").parse().ok(),
            };
            managers.insert(identity, managed);
        }
        Ok(Self(managers))
    }

    /// Writes the entries into an object: appliers first, then by time, manager, version and
    /// subresource.
    pub(super) fn write(&self, object: &mut Value) {
        let seconds = |managed: &Managed| managed.time.map_or(0, Timestamp::as_second);
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(a, a_managed), (b, b_managed)| {
            let key =
                |identity: &Identity, managed: &Managed| (identity.operation, seconds(managed));
            key(a, a_managed)
                .cmp(&key(b, b_managed))
                .then_with(|| a.manager.cmp(&b.manager))
                .then_with(|| a_managed.api_version.cmp(&b_managed.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(identity, managed)| entry(identity, managed))
            .collect();
        let Some(object) = object.as_object_mut() else {
            return;
        };
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        match metadata.as_object_mut() {
            Some(metadata) if entries.is_empty() => {
                metadata.remove("managedFields");
            }
            Some(metadata) => {
                metadata.insert("managedFields".to_owned(), Value::Array(entries));
            }
            None => {}
        }
    }

    /// Puts the oldest updaters together while there are too many.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<_> = self
            .0
            .iter()
            .filter(|(identity, _)| identity.operation == Operation::Update)
            .map(|(identity, managed)| {
                (
                    managed.time.map_or(0, Timestamp::as_second),
                    identity.clone(),
                )
            })
            .collect();
        updaters.sort();
        let mut count = updaters.len();
        let mut first_of_version: BTreeMap<String, Identity> = BTreeMap::new();
        for (_, identity) in updaters {
            if count <= UPDATE_MANAGERS_MAX {
                return;
            }
            let Some(managed) = self.0.get(&identity).cloned() else {
                continue;
            };
            let version = managed.api_version.clone();
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, identity);
                continue;
            };
            let first = self.0.remove(first).unwrap_or_default();
            let own = self.0.remove(&identity).unwrap_or_default();
            let bucket = Identity::new(Operation::Update, ANCIENT, &version, "");
            let known = self.0.remove(&bucket).unwrap_or_default();
            let together = Managed {
                set: known.set.union(&first.set).union(&own.set),
                api_version: version.clone(),
                // The one that is put in last is the youngest.
                time: own.time,
            };
            self.0.insert(bucket.clone(), together);
            first_of_version.insert(version, bucket);
            count = self
                .0
                .keys()
                .filter(|identity| identity.operation == Operation::Update)
                .count();
        }
    }
}

fn entry(identity: &Identity, managed: &Managed) -> Value {
    let mut entry = json!({
        "operation": match identity.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
        "apiVersion": managed.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": managed.set.to_fields_v1(),
    });
    let mut optional = |name: &str, text: String| {
        if !text.is_empty() {
            entry[name] = Value::String(text);
        }
    };
    optional("manager", identity.manager.clone());
    optional("subresource", identity.subresource.clone());
    optional(
        "time",
        managed
            .time
            .map(|time| to_second(time).to_string())
            .unwrap_or_default(),
    );
    entry
}

/// API times have no fraction.
pub(super) fn to_second(time: Timestamp) -> Timestamp {
    // Rounding down to the second cannot leave the range of timestamps.
    let round = jiff::TimestampRound::new()
        .smallest(Unit::Second)
        .mode(jiff::RoundMode::Floor);
    time.round(round).unwrap_or(time)
}
