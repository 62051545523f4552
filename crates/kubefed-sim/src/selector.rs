//! Label and field selectors in their query-string form.

use serde_json::Value;

use crate::json;
use crate::object::Object;

/// What a list or watch is narrowed to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

#[derive(Clone, Debug, PartialEq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Parses `labelSelector` and `fieldSelector`; the error is the server's message.
    pub(crate) fn parse(labels: &str, fields: &str, known: &[String]) -> Result<Self, String> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(fields, known)?,
        })
    }

    /// Narrows to one object.
    pub(crate) fn and_name(mut self, name: &str) -> Self {
        self.fields.push(FieldTerm {
            path: "metadata.name".to_owned(),
            value: name.to_owned(),
            equal: true,
        });
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.labels
            .iter()
            .all(|requirement| requirement.matches(|key| label(object, key)))
            && self.matches_fields(object)
    }

    /// Whether a set of labels matches, as controllers ask.
    pub(crate) fn matches_labels(&self, labels: &Value) -> bool {
        let find = |key: &str| labels.get(key).and_then(Value::as_str);
        self.labels
            .iter()
            .all(|requirement| requirement.matches(find))
    }

    /// A `LabelSelector` object (`matchLabels`, `matchExpressions`) or a plain map of labels.
    pub(crate) fn from_object(selector: &Value) -> Self {
        let mut labels = Vec::new();
        let structured =
            selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
        let equal = if structured {
            json::at(selector, "matchLabels")
        } else {
            Some(selector)
        };
        for (key, value) in equal.and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or("").to_owned();
            labels.push(Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value]),
            });
        }
        for expression in json::items(selector, "matchExpressions") {
            let values = json::items(expression, "values").iter();
            let values = values
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let operator = match json::text(expression, "operator") {
                "In" => Operator::In(values),
                "NotIn" => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                _ => Operator::Absent,
            };
            labels.push(Requirement {
                key: json::text(expression, "key").to_owned(),
                operator,
            });
        }
        Self {
            labels,
            fields: Vec::new(),
        }
    }

    fn matches_fields(&self, object: &Object) -> bool {
        let mut parsed: Option<Value> = None;
        self.fields.iter().all(|term| {
            let equal = match term.path.as_str() {
                "metadata.name" => object.key.name() == term.value,
                "metadata.namespace" => object.key.namespace().unwrap_or("") == term.value,
                path => {
                    field_text(parsed.get_or_insert_with(|| object.value()), path) == term.value
                }
            };
            equal == term.equal
        })
    }
}

impl Requirement {
    fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = label(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Operator::Above(bound) => number().is_some_and(|number| number > *bound),
            Operator::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Renders a selector object the way `scale.status.selector` shows it.
pub(crate) fn selector_text(selector: &Value) -> String {
    let mut terms = Vec::new();
    for requirement in Selector::from_object(selector).labels {
        let key = &requirement.key;
        terms.push(match &requirement.operator {
            Operator::In(values) if values.len() == 1 => format!("{key}={}", values[0]),
            Operator::In(values) => format!("{key} in ({})", values.join(",")),
            Operator::NotIn(values) => format!("{key} notin ({})", values.join(",")),
            Operator::Absent => format!("!{key}"),
            _ => key.clone(),
        });
    }
    terms.join(",")
}

fn label<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object
        .labels
        .iter()
        .find(|(name, _)| &**name == key)
        .map(|(_, value)| &**value)
}

fn field_text(value: &Value, path: &str) -> String {
    match json::at(value, path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ if path == "spec.unschedulable" || path == "spec.hostNetwork" => "false".to_owned(),
        _ => String::new(),
    }
}

fn parse_fields(text: &str, known: &[String]) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let (path, value, equal) = match (term.split_once("!="), term.split_once("==")) {
            (Some((path, value)), _) => (path, value, false),
            (None, Some((path, value))) => (path, value, true),
            (None, None) => match term.split_once('=') {
                Some((path, value)) => (path, value, true),
                None => {
                    return Err(format!(
                        "invalid selector: {text:?}; can't understand {term:?}"
                    ));
                }
            },
        };
        let always = ["metadata.name", "metadata.namespace"];
        if !always.contains(&path) && !known.iter().any(|known| known == path) {
            return Err(format!("field label not supported: {path}"));
        }
        terms.push(FieldTerm {
            path: path.to_owned(),
            value: value.to_owned(),
            equal,
        });
    }
    Ok(terms)
}

/// `a=b,c!=d,e in (f,g),h,!i,j>3`; commas inside parentheses belong to their set.
fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut terms = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    terms.into_iter().map(parse_requirement).collect()
}

fn parse_requirement(term: &str) -> Result<Requirement, String> {
    let term = term.trim();
    let refuse = |why: &str| format!("unable to parse requirement: {why} in {term:?}");
    let (key, operator) = if let Some(key) = term.strip_prefix('!') {
        (key.trim(), Operator::Absent)
    } else if let Some((key, value)) = term.split_once("!=") {
        (key.trim(), Operator::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key.trim(), Operator::In(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once('>') {
        (
            key.trim(),
            Operator::Above(value.trim().parse().map_err(|_| refuse("not an integer"))?),
        )
    } else if let Some((key, value)) = term.split_once('<') {
        (
            key.trim(),
            Operator::Below(value.trim().parse().map_err(|_| refuse("not an integer"))?),
        )
    } else if let Some((head, values)) = term.split_once('(') {
        let values = values
            .strip_suffix(')')
            .ok_or_else(|| refuse("missing ')'"))?;
        let values = values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        let mut words = head.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => (key, Operator::In(values)),
            (Some(key), Some("notin"), None) => (key, Operator::NotIn(values)),
            _ => return Err(refuse("expected 'in' or 'notin'")),
        }
    } else {
        (term, Operator::Exists)
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(valid) {
        return Err(refuse("invalid label key"));
    }
    if let Operator::In(values) | Operator::NotIn(values) = &operator
        && let Some(bad) = values
            .iter()
            .find(|value| !value.chars().all(|c| valid(c) && c != '/'))
    {
        return Err(refuse(&format!("invalid label value {bad:?}")));
    }
    Ok(Requirement {
        key: key.to_owned(),
        operator,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Key;

    fn check(selector: &str, matches: bool) {
        let value = json!({"metadata": {"labels": {"app": "web", "tier": "1", "a.b/c": ""}}});
        let object = Object::new(Key::new(Some("default"), "x"), 1, &value);
        let parsed = Selector::parse(selector, "", &[]).unwrap();
        assert_eq!(parsed.matches(&object), matches, "{selector}");
        assert_eq!(
            parsed.matches_labels(&value["metadata"]["labels"]),
            matches,
            "{selector}"
        );
    }

    #[test]
    fn label_selectors_follow_the_grammar_of_kubectl() {
        for (selector, matches) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=web", true),
            ("app==web", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (web, db)", true),
            ("app notin (web,db)", false),
            ("other notin (web)", true),
            ("app=web,tier>0", true),
            ("tier<1", false),
            ("a.b/c=", true),
            ("app in (db),tier", false),
        ] {
            check(selector, matches);
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for selector in ["a b", "=x", "a in x", "a in (x", "a,,b", "a>b", "a=x y"] {
            assert!(Selector::parse(selector, "", &[]).is_err(), "{selector}");
        }
        assert!(Selector::parse("", "spec.x=1", &[]).is_err());
        assert!(Selector::parse("", "metadata.name", &[]).is_err());
    }

    #[test]
    fn a_selector_object_is_shown_as_text() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
        });
        assert_eq!(selector_text(&selector), "app=web,tier in (a,b)");
    }
}
