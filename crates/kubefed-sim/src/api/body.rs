//! Request bodies: JSON, and what is said of it before it is an object of a kind.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::Call;
use crate::refusal::Refusal;

/// How much of a body a message shows.
const SHOWN_BYTES: usize = 30;

/// A JSON object whose `kind` and `apiVersion` are text, if it has them.
pub(crate) fn parse_json(body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |why: &dyn fmt::Display| {
        Refusal::bad_request(format!(
            "couldn't get version/kind; json parse error: {why}"
        ))
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| refuse(&error))?;
    match &value {
        Value::Null => return Ok(Value::Object(Map::new())),
        Value::Object(_) => {}
        _ => return Err(refuse(&"not an object")),
    }
    for field in ["kind", "apiVersion"] {
        if !matches!(
            value.get(field),
            None | Some(Value::Null | Value::String(_))
        ) {
            return Err(refuse(&format_args!("{field} is not a string")));
        }
    }
    Ok(value)
}

/// The object in the body of a write.
pub(super) fn typed(call: &Call) -> Result<Value, Refusal> {
    let unrecognized = |why: &str| {
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            call.resource.kind,
            summary(&call.body)
        ))
    };
    let value = parse_json(&call.body).map_err(|refusal| unrecognized(&refusal.message))?;
    let kind = value["kind"].as_str().unwrap_or("");
    if call.resource.custom && kind.is_empty() {
        let text = String::from_utf8_lossy(&call.body);
        return Err(unrecognized(&format!(
            "Object 'Kind' is missing in '{text}'"
        )));
    }
    Ok(value)
}

/// The beginning of a body: as it is if it may be JSON, or else in hexadecimal.
fn summary(body: &[u8]) -> String {
    let shown = &body[..body.len().min(SHOWN_BYTES)];
    let rest = if shown.len() < body.len() { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{rest}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{rest}")
        }
    }
}

/// The paths of the fields that an object in the body names twice; the last one counts.
pub(super) fn duplicates(body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let walk = Walk {
        path: String::new(),
        found: &mut found,
    };
    // What cannot be parsed has been refused, or is no JSON.
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(body));
    found
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let dot = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{name}", self.path);
            if !names.insert(name) {
                self.found.push(path.clone());
            }
            map.next_value_seed(Walk {
                path,
                found: self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0.. {
            let walk = Walk {
                path: format!("{}[{index}]", self.path),
                found: self.found,
            };
            if list.next_element_seed(walk)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_named_twice_are_found_with_their_paths() {
        let body = br#"{"a":1,"b":[{"c":1,"c":2.5,"d":null}],"a":{"e":"x","e":true},"a":0}"#;
        assert_eq!(duplicates(body), ["b[0].c", "a", "a.e", "a"]);
        assert_eq!(duplicates(b"{"), Vec::<String>::new());
    }
}
