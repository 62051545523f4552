//! Label and field selectors in their query-string form.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::json;
use crate::metadata;
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
    /// `unknown` words what is said of a field that cannot be selected by.
    pub(crate) fn parse(
        labels: &str,
        fields: &str,
        known: &[String],
        unknown: &dyn Fn(&str) -> String,
    ) -> Result<Self, String> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(fields, known, unknown)?,
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

fn parse_fields(
    text: &str,
    known: &[String],
    unknown: &dyn Fn(&str) -> String,
) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    for term in split_unescaped(text).filter(|term| !term.is_empty()) {
        let Some((path, operator, value)) = split_field_term(term) else {
            return Err(format!(
                "invalid selector: '{text}'; can't understand '{term}'"
            ));
        };
        let value = unescape(value)?;
        if path.is_empty() && value.is_empty() {
            continue;
        }
        let always = ["metadata.name", "metadata.namespace"];
        if !always.contains(&path) && !known.iter().any(|known| known == path) {
            return Err(unknown(path));
        }
        terms.push(FieldTerm {
            path: path.to_owned(),
            value,
            equal: operator != "!=",
        });
    }
    Ok(terms)
}

/// The terms between commas that no backslash precedes.
fn split_unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c: char| {
        let splits = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

fn split_field_term(term: &str) -> Option<(&str, &'static str, &str)> {
    term.char_indices().find_map(|(at, _)| {
        let operator = ["!=", "==", "="]
            .into_iter()
            .find(|operator| term[at..].starts_with(operator))?;
        Some((&term[..at], operator, &term[at + operator.len()..]))
    })
}

/// A backslash comes before another, a comma or an equals sign, and those come after one.
fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                Some(c) => {
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{c}"
                    ));
                }
                None => {
                    return Err("invalid field selector: invalid escape sequence: \\".to_owned());
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {c}"
                ));
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

/// `a=b,c!=d,e in (f,g),h,!i,j>3`.
fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser {
        tokens: scan(text),
        next: 0,
    };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::Word(_) | Token::Symbol("!") => {}
            Token::End => return Ok(requirements),
            token => {
                return Err(format!(
                    "found '{token}', expected: !, identifier, or 'end of string'"
                ));
            }
        }
        let requirement = parser.requirement();
        requirements
            .push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.take() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => match parser.peek() {
                Token::Word(_) | Token::Symbol("!") => {}
                token => {
                    return Err(format!("found '{token}', expected: identifier after ','"));
                }
            },
            token => {
                return Err(format!("found '{token}', expected: ',' or 'end of string'"));
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) => f.write_str(text),
            Self::Symbol(text) => f.write_str(text),
            Self::End => Ok(()),
        }
    }
}

/// The longer ones first.
const SYMBOLS: [&str; 9] = ["!=", "==", "!", "=", "(", ")", ",", ">", "<"];

fn scan(text: &str) -> Vec<Token> {
    let is_space = |c: char| [' ', '\t', '\r', '\n'].contains(&c);
    let is_special = |c: char| "=!(),><".contains(c);
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
        let length = if let Some(symbol) = symbol {
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        } else {
            let end = rest.find(|c| is_space(c) || is_special(c));
            let word = &rest[..end.unwrap_or(rest.len())];
            tokens.push(Token::Word(word.to_owned()));
            word.len()
        };
        rest = rest[length..].trim_start_matches(is_space);
    }
    tokens
}

/// Reads requirements as the server does, down to the messages.
struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.next).cloned().unwrap_or(Token::End)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.take();
        let absent = token == Token::Symbol("!");
        if absent {
            token = self.take();
        }
        let Token::Word(key) = token else {
            return Err(format!("found '{token}', expected: identifier"));
        };
        check_key(&key)?;
        let ends = matches!(self.peek(), Token::End | Token::Symbol(","));
        if absent || ends {
            let operator = if absent {
                Operator::Absent
            } else {
                Operator::Exists
            };
            return Ok(Requirement { key, operator });
        }
        let operator = match self.take() {
            Token::Word(word) if word == "in" => Operator::In(self.values()?),
            Token::Word(word) if word == "notin" => Operator::NotIn(self.values()?),
            Token::Symbol("=" | "==") => Operator::In(vec![self.value()?]),
            Token::Symbol("!=") => Operator::NotIn(vec![self.value()?]),
            Token::Symbol(">") => Operator::Above(self.bound()?),
            Token::Symbol("<") => Operator::Below(self.bound()?),
            token => {
                return Err(format!(
                    "found '{token}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        };
        if let Operator::In(values) | Operator::NotIn(values) = &operator {
            check_values(&key, values)?;
        }
        Ok(Requirement { key, operator })
    }

    /// `(a, b)`, in order and each once.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let token = self.take();
        if token != Token::Symbol("(") {
            return Err(format!("found '{token}' expected: '('"));
        }
        let mut values = BTreeSet::new();
        match self.peek() {
            Token::Symbol(")") => {
                self.take();
                return Ok(vec![String::new()]);
            }
            Token::Word(_) | Token::Symbol(",") => {}
            token => {
                return Err(format!("found '{token}', expected: ',', ')' or identifier"));
            }
        }
        loop {
            match self.take() {
                Token::Word(word) => {
                    values.insert(word);
                    match self.peek() {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => break,
                        token => return Err(format!("found '{token}', expected: ',' or ')'")),
                    }
                }
                Token::Symbol(",") => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek() {
                        Token::Symbol(")") => {
                            values.insert(String::new());
                            break;
                        }
                        Token::Symbol(",") => {
                            self.take();
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                token => return Err(format!("found '{token}', expected: ',', or identifier")),
            }
        }
        self.take();
        Ok(values.into_iter().collect())
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(word) => {
                self.take();
                Ok(word)
            }
            token => Err(format!("found '{token}', expected: identifier")),
        }
    }

    fn bound(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            )
        })
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let problems = metadata::label_key_problems(key);
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "<nil>: Invalid value: {key:?}: {}",
        problems.join("; ")
    ))
}

fn check_values(key: &str, values: &[String]) -> Result<(), String> {
    let mut all = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let problems = metadata::label_value_problems(value);
        if !problems.is_empty() {
            let problems = problems.join("; ");
            all.push(format!(
                "values[{index}][{key}]: Invalid value: {value:?}: {problems}"
            ));
        }
    }
    match all.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Key;

    fn check(selector: &str, matches: bool) {
        let value = json!({"metadata": {"labels": {"app": "web", "tier": "1", "a.b/c": ""}}});
        let object = Object::new(Key::new(Some("default"), "x"), 1, &value);
        let parsed = Selector::parse(selector, "", &[], &str::to_owned).unwrap();
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
            assert!(
                Selector::parse(selector, "", &[], &str::to_owned).is_err(),
                "{selector}"
            );
        }
        assert!(Selector::parse("", "spec.x=1", &[], &str::to_owned).is_err());
        assert!(Selector::parse("", "metadata.name", &[], &str::to_owned).is_err());
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
