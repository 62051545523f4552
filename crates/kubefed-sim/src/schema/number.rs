//! Numbers as Go holds and prints them.

use std::fmt;

use serde_json::{Number, Value};

use super::error::Quoted;

/// Whether two values are equal where `1` and `1.0` are the same number.
///
/// `Value`'s own comparison is not enough: it tells the two apart and, with serde_json's
/// `arbitrary_precision` switched on by somebody else, even `1.0` and `1.00`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

/// A float as Go's `%v` prints it: shortest, with an exponent below 1e-4 and from 1e21 on.
pub(super) struct Float(pub(super) f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if self.0 == 0.0 || (1e-4..1e21).contains(&magnitude) {
            return write!(f, "{}", self.0);
        }
        // Rust writes 1e21 and 1e-7, Go 1e+21 and 1e-07.
        let text = format!("{:e}", self.0);
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent
                    .strip_prefix('-')
                    .map_or(('+', exponent), |exponent| ('-', exponent));
                write!(f, "{digits}e{sign}{exponent:0>2}")
            }
            None => f.write_str(&text),
        }
    }
}

/// A value inside an error message: strings quoted, the rest as JSON with Go's escapes.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => write!(f, "{}", Quoted(text)),
            Value::Number(number) => write_number(number, f),
            value => f.write_str(
                &sorted(value)
                    .to_string()
                    .replace('<', "\\u003c")
                    .replace('>', "\\u003e")
                    .replace('&', "\\u0026"),
            ),
        }
    }
}

fn write_number(number: &Number, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => write!(f, "{integer}"),
        (None, Some(float)) => write!(f, "{}", Float(float)),
        (None, None) => write!(f, "{number}"),
    }
}

/// The value with the fields of every object in the order of their names, which is what Go prints
/// whatever order the features of serde_json keep.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            names
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect()
        }
        _ => value.clone(),
    }
}
