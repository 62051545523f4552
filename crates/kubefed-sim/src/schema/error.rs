//! Errors of fields, worded as kube-apiserver words them.

use std::fmt;

use serde_json::Value;

use super::number::Shown;

/// One thing that is wrong with one field: a cause in a `Status` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// A `CauseType`, such as `FieldValueRequired`.
    pub reason: &'static str,
    /// The path, such as `spec.containers[0].name`.
    pub field: String,
    /// What is wrong, without the path.
    pub message: String,
}

impl FieldError {
    pub fn required(field: &str, detail: &str) -> Self {
        Self::new(
            "FieldValueRequired",
            field,
            "Required value".to_owned(),
            detail,
        )
    }

    pub fn forbidden(field: &str, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, "Forbidden".to_owned(), detail)
    }

    pub fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        Self::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {}", Shown(value)),
            detail,
        )
    }

    /// The same for a value that is already written out.
    pub fn invalid_text(field: &str, shown: &str, detail: &str) -> Self {
        let body = format!("Invalid value: {shown}");
        Self::new("FieldValueInvalid", field, body, detail)
    }

    pub fn type_invalid(field: &str, value: &Value, detail: &str) -> Self {
        let body = format!("Invalid value: {}", Shown(value));
        Self::new("FieldValueTypeInvalid", field, body, detail)
    }

    pub fn duplicate(field: &str, value: &Value) -> Self {
        Self::new(
            "FieldValueDuplicate",
            field,
            format!("Duplicate value: {}", Shown(value)),
            "",
        )
    }

    pub fn not_supported(field: &str, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<_> = supported.iter().map(|s| Quoted(s).to_string()).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        let body = format!("Unsupported value: {}", Shown(value));
        Self::new("FieldValueNotSupported", field, body, &detail)
    }

    pub fn too_long(field: &str, length_max: u64) -> Self {
        let unit = if length_max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {length_max} {unit}");
        Self::new("FieldValueTooLong", field, "Too long".to_owned(), &detail)
    }

    pub fn too_many(field: &str, count: u64, count_max: u64) -> Self {
        let unit = if count_max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {count_max} {unit}");
        Self::new(
            "FieldValueTooMany",
            field,
            format!("Too many: {count}"),
            &detail,
        )
    }

    fn new(reason: &'static str, field: &str, body: String, detail: &str) -> Self {
        let message = if detail.is_empty() {
            body
        } else {
            format!("{body}: {detail}")
        };
        Self {
            reason,
            field: field.to_owned(),
            message,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A string in double quotes, as Go's `%q` writes it.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{7}' => f.write_str("\\a")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{b}' => f.write_str("\\v")?,
                '\u{c}' => f.write_str("\\f")?,
                '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", u32::from(c))?,
                // Whatever else Rust would escape is what Go takes for unprintable.
                _ if c.escape_debug().len() > 1 && c != '\'' => {
                    let code = u32::from(c);
                    if code < 0x1_0000 {
                        write!(f, "\\u{code:04x}")
                    } else {
                        write!(f, "\\U{code:08x}")
                    }?;
                }
                _ => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The path of the field that a walk is at. Each step down returns a mark to go back to.
#[derive(Default)]
pub(super) struct FieldPath(String);

impl FieldPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Steps into a field.
    pub(super) fn child(&mut self, name: &str) -> usize {
        let mark = self.0.len();
        if mark > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        mark
    }

    /// Steps into an index or a key in brackets.
    pub(super) fn bracket(&mut self, key: impl fmt::Display) -> usize {
        let mark = self.0.len();
        self.0.push_str(&format!("[{key}]"));
        mark
    }

    pub(super) fn back(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}
