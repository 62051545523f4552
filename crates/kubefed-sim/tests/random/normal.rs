//! Answers without what two servers cannot agree on: uids, resource versions and times.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Value, json};

/// An answer that can be compared with that of another server.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Value,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {:?}\n{}", self.code, self.warnings, self.body)
    }
}

/// The uids and resource versions that a server has shown, in the order in which it did.
#[derive(Default)]
pub(crate) struct Names {
    seen: HashMap<String, String>,
}

impl Names {
    /// The symbol of a uid or a resource version: the n-th of its kind that was shown.
    fn symbol(&mut self, kind: &str, text: &str) -> String {
        let next = self.seen.len();
        let symbol = self.seen.entry(text.to_owned());
        symbol.or_insert_with(|| format!("{kind}-{next}")).clone()
    }

    pub(crate) fn normalise(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.normalise(item)),
            Value::Object(fields) => {
                let is_list = fields.contains_key("items");
                let of_patch = fields.get("field") == Some(&json!("patch"));
                let is_failure = fields.get("status") == Some(&json!("Failure"));
                for (key, field) in fields.iter_mut() {
                    match (key.as_str(), field.as_str()) {
                        ("metadata", _) if is_list => normalise_list(field),
                        // It shows the whole object in the order of Go's fields.
                        ("message", _) if of_patch => *field = json!(null),
                        ("message", Some(text)) if is_failure => *field = json!(self.plain(text)),
                        ("uid", Some(uid)) => *field = json!(self.symbol("uid", uid)),
                        ("resourceVersion", Some(version)) => {
                            *field = json!(self.symbol("version", version));
                        }
                        ("creationTimestamp" | "deletionTimestamp" | "time", Some(_)) => {
                            *field = json!("then");
                        }
                        _ => self.normalise(field),
                    }
                    if key == "causes"
                        && let Some(causes) = field.as_array_mut()
                    {
                        // Several checks of a real server find the same.
                        causes.sort_by_key(ToString::to_string);
                        causes.dedup();
                    }
                    if key == "managedFields"
                        && let Some(managers) = field.as_array_mut()
                    {
                        // They are sorted by times that may fall into two seconds.
                        managers.sort_by_cached_key(|manager| {
                            ["operation", "manager", "subresource", "apiVersion"]
                                .map(|key| manager[key].as_str().unwrap_or("").to_owned())
                        });
                    }
                }
            }
            _ => {}
        }
    }

    /// A message with symbols in place of what was shown before.
    fn plain(&self, message: &str) -> String {
        // What follows these speaks of Go's types, or of its parser of selectors.
        let ends = [
            "json: cannot unmarshal",
            // The causes are compared; several come in any order.
            "is invalid: [",
            "error decoding YAML: ",
            "continue key is not valid: ",
            "cannot be handled as a",
            "patch: Invalid value: ",
            // Which of several mistakes is told depends on the order of a map.
            "failed to create typed patch object",
        ];
        // Their beginnings tell the parser from its caller, which words the rest in its own way.
        let parsers = ["json parse error: ", "error decoding patch: "];
        let ends = [&ends[..], &parsers].concat();
        let end = ends.iter().filter_map(|end| message.find(end)).min();
        let message = &message[..end.unwrap_or(message.len())];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut plain = String::new();
        for part in message.split_inclusive(|c| !is_word(c)) {
            let word = part.trim_end_matches(|c| !is_word(c));
            match self.seen.get(word) {
                Some(symbol) if word.len() > 1 => plain.push_str(symbol),
                _ => plain.push_str(word),
            }
            plain.push_str(&part[word.len()..]);
        }
        plain
    }
}

/// Other clients write too, and so the version of a list means nothing to others.
fn normalise_list(metadata: &mut Value) {
    metadata["resourceVersion"] = json!("now");
    if metadata["continue"]
        .as_str()
        .is_some_and(|token| !token.is_empty())
    {
        metadata["continue"] = json!("token");
    }
}
