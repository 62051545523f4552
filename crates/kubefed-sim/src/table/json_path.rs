//! The JSONPath of printer columns: fields, indexes, `[*]` and filters that compare one field.

use serde_json::Value;

use crate::schema::same;

pub(super) struct JsonPath(Vec<Step>);

enum Step {
    Field(String),
    /// From the end if negative.
    Index(i64),
    All,
    /// `[?(@.type=="Ready")]`; without a comparison the field only has to be there.
    Where(JsonPath, Option<(bool, Value)>),
}

impl JsonPath {
    /// # Errors
    ///
    /// The text from where it is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text
            .trim()
            .trim_start_matches('{')
            .trim_end_matches('}')
            .trim_start_matches('$');
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = if let Some(after) = rest.strip_prefix('.') {
                field(after)
            } else if let Some(after) = rest.strip_prefix('[') {
                bracket(after).ok_or_else(|| rest.to_owned())?
            } else {
                return Err(rest.to_owned());
            };
            steps.extend(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// Everything at the path.
    pub(super) fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        self.0.iter().fold(vec![value], |found, step| {
            found
                .into_iter()
                .flat_map(|value| step.find(value))
                .collect()
        })
    }
}

impl Step {
    fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let index = if *index < 0 {
                    index.saturating_add(length)
                } else {
                    *index
                };
                usize::try_from(index)
                    .ok()
                    .and_then(|index| items.get(index))
                    .into_iter()
                    .collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Where(path, comparison), Value::Array(items)) => items
                .iter()
                .filter(|item| holds(path, comparison.as_ref(), item))
                .collect(),
            _ => Vec::new(),
        }
    }
}

fn holds(path: &JsonPath, comparison: Option<&(bool, Value)>, item: &Value) -> bool {
    let found = path.find(item);
    match comparison {
        None => !found.is_empty(),
        Some((equal, wanted)) => found
            .first()
            .is_some_and(|found| same(found, wanted) == *equal),
    }
}

/// A name up to the next dot or bracket; a backslash takes the character after it literally.
fn field(text: &str) -> (Option<Step>, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    let step = match name.as_str() {
        "" => None,
        "*" => Some(Step::All),
        _ => Some(Step::Field(name)),
    };
    (step, &text[end..])
}

fn bracket(text: &str) -> Option<(Option<Step>, &str)> {
    if let Some(filter) = text.strip_prefix("?(") {
        let end = filter.find(")]")?;
        return Some((Some(condition(&filter[..end])?), &filter[end + 2..]));
    }
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c));
    if let Some(quote) = quote {
        let end = text[1..].find(quote)? + 1;
        let after = text[end + 1..].strip_prefix(']')?;
        return Some((Some(Step::Field(text[1..end].to_owned())), after));
    }
    let (inside, after) = text.split_once(']')?;
    let step = if inside == "*" {
        Step::All
    } else {
        Step::Index(inside.parse().ok()?)
    };
    Some((Some(step), after))
}

fn condition(text: &str) -> Option<Step> {
    let operator = ["==", "!="]
        .into_iter()
        .find_map(|operator| Some((operator, text.split_once(operator)?)));
    let (path, comparison) = match operator {
        Some((operator, (path, value))) => (path, Some((operator == "==", literal(value.trim())?))),
        None => (text, None),
    };
    let path = JsonPath::parse(path.trim().strip_prefix('@')?).ok()?;
    Some(Step::Where(path, comparison))
}

fn literal(text: &str) -> Option<Value> {
    match text.strip_prefix('\'') {
        Some(text) => Some(Value::from(text.strip_suffix('\'')?)),
        None => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let value = json!({"a": {"b.c": [1, 2, {"d": "e"}]}, "list": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "é": 1});
        let cases: &[(&str, &[Value])] = &[
            (".a['b.c'][0]", &[json!(1)]),
            (".a.b\\.c[-1].d", &[json!("e")]),
            ("{.list[*].v}", &[json!(1), json!(2)]),
            (".list[?(@.k==\"y\")].v", &[json!(2)]),
            (".list[?(@.k!='y')].v", &[json!(1)]),
            (".list[?(@.v==2)].k", &[json!("y")]),
            (".list[?(@.k)].k", &[json!("x"), json!("y")]),
            (".nothing.here", &[]),
            (".list[9]", &[]),
            (".é", &[json!(1)]),
        ];
        for (path, expected) in cases {
            let found = JsonPath::parse(path).expect("a path");
            let found: Vec<_> = found.find(&value).into_iter().cloned().collect();
            assert_eq!(&found, expected, "{path}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for path in ["a", ".a[", ".a[?(@.b==]", ".a[x]", ".a['b]", ".a[?(b)]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
