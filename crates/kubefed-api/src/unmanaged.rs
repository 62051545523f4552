use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object that is read without `metadata.managedFields`, which are often most of the metadata. The
/// API server keeps them when an object is written without.
///
/// ```
/// use kubefed_api::WithoutManagedFields;
/// use serde_json::json;
///
/// let text = r#"{"kind": "ConfigMap", "metadata": {"name": "web", "managedFields": [{}]}}"#;
/// let WithoutManagedFields(object) = serde_json::from_str(text)?;
/// assert_eq!(object, json!({"kind": "ConfigMap", "metadata": {"name": "web"}}));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WithoutManagedFields(pub Value);

impl<'de> serde::Deserialize<'de> for WithoutManagedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Part::Object.deserialize(deserializer)?;
        Ok(Self(Value::Object(object)))
    }
}

/// A part of an object that is read without its managed fields.
#[derive(Clone, Copy)]
enum Part {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Metadata => "the metadata of an object",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            match (self, key.as_str()) {
                (Self::Object, "metadata") => {
                    map.insert(key, entries.next_value_seed(Self::Metadata)?.into());
                }
                (Self::Metadata, "managedFields") => {
                    entries.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.insert(key, entries.next_value()?);
                }
            }
        }
        Ok(map)
    }
}
