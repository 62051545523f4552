//! The rules that the admission webhooks of KubeFed v0.10 enforce, as functions of objects.
//!
//! Paths, texts and their order are wire facts: they appear in the API server's answers. The rules
//! run in a fixed order and all of them are reported; equal texts are reported once. Where a rule is
//! stricter than the original's, the method that adds it says so.
//!
//! | Kind | Functions |
//! |---|---|
//! | KubeFedCluster | `validate_create`, `validate_update`, `validate_status` |
//! | KubeFedConfig | `validate_create`, `validate_update` |
//! | FederatedTypeConfig | `validate_create`, `validate_update`, `validate_status` |
//! | ReplicaSchedulingPreference | `validate`, which no webhook of the original calls |
//!
//! The version kinds and FederatedServiceStatus are written by controllers only and have no rules
//! beside their schemas.

mod cluster;
mod config;
mod dns;
mod go_text;
mod go_url;
mod preference;
mod type_config;

use std::collections::HashSet;
use std::fmt;

use go_text::quoted;

/// One broken rule: the path of a field and what is wrong with it.
///
/// Displays as the original's field error, such as
/// `spec.propagation: Unsupported value: "On": supported values: "Enabled", "Disabled"`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    path: String,
    problem: Problem,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Problem {
    Required,
    Invalid {
        value: String,
        detail: String,
    },
    Unsupported {
        value: String,
        supported: &'static [&'static str],
    },
    Duplicate {
        value: String,
    },
}

impl FieldError {
    /// Path of the field, such as `spec.secretRef.name`. Elements of lists carry their index only where
    /// the original prints one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the field is missing or empty.
    pub fn is_required(&self) -> bool {
        self.problem == Problem::Required
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("Required value"),
            Self::Invalid { value, detail } => write!(f, "Invalid value: {value}: {detail}"),
            Self::Unsupported { value, supported } => {
                let supported: Vec<_> = supported.iter().map(|value| quoted(value)).collect();
                let (value, supported) = (quoted(value), supported.join(", "));
                write!(
                    f,
                    "Unsupported value: {value}: supported values: {supported}"
                )
            }
            Self::Duplicate { value } => write!(f, "Duplicate value: {}", quoted(value)),
        }
    }
}

/// All rules that an object breaks; at least one.
///
/// Displays as the API server's answer does: one error as its text, several as `[first, second]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldErrors {
    errors: Vec<FieldError>,
}

impl FieldErrors {
    /// The errors in the order of the rules.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.errors.iter()
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [error] = &self.errors[..] {
            return error.fmt(f);
        }
        let texts: Vec<_> = self.errors.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", texts.join(", "))
    }
}

impl std::error::Error for FieldErrors {}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Collects broken rules in their order.
#[derive(Default)]
struct Findings {
    errors: Vec<FieldError>,
}

impl Findings {
    /// The verdict: equal texts count once.
    fn verdict(mut self) -> Result<(), FieldErrors> {
        let mut seen = HashSet::new();
        self.errors.retain(|error| seen.insert(error.to_string()));
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(FieldErrors {
                errors: self.errors,
            })
        }
    }

    fn add(&mut self, path: &str, problem: Problem) {
        self.errors.push(FieldError {
            path: path.to_owned(),
            problem,
        });
    }

    fn required(&mut self, path: &str) {
        self.add(path, Problem::Required);
    }

    /// A wrong value that Go prints as it is: a number or a struct.
    fn invalid(&mut self, path: &str, value: impl fmt::Display, detail: impl Into<String>) {
        self.add(
            path,
            Problem::Invalid {
                value: value.to_string(),
                detail: detail.into(),
            },
        );
    }

    /// A wrong text, which Go prints quoted.
    fn invalid_text(&mut self, path: &str, text: &str, detail: impl Into<String>) {
        self.invalid(path, quoted(text), detail);
    }

    /// The value must be given and be one of the known ones; upper and lower case differ.
    fn one_of(&mut self, path: &str, value: &str, known: &'static [&'static str]) {
        if value.is_empty() {
            self.required(path);
        } else if !known.contains(&value) {
            self.add(
                path,
                Problem::Unsupported {
                    value: value.to_owned(),
                    supported: known,
                },
            );
        }
    }

    /// The text must be given and obey rules of names; those that it breaks are joined by commas, as
    /// the original does.
    fn named(&mut self, path: &str, text: &str, broken_rules: impl Fn(&str) -> Vec<String>) {
        let broken = broken_rules(text);
        if text.is_empty() {
            self.required(path);
        } else if !broken.is_empty() {
            self.invalid_text(path, text, broken.join(","));
        }
    }

    fn duplicate(&mut self, path: &str, value: &str) {
        self.add(
            path,
            Problem::Duplicate {
                value: value.to_owned(),
            },
        );
    }

    /// The number must be given and be positive.
    fn positive(&mut self, path: &str, value: Option<i64>) {
        match value {
            None => self.required(path),
            Some(value) if value <= 0 => self.invalid(path, value, "should be greater than 0"),
            Some(_) => {}
        }
    }

    fn not_negative(&mut self, path: &str, value: i64) {
        if value < 0 {
            self.invalid(path, value, "must be greater than or equal to 0");
        }
    }
}

#[cfg(test)]
#[track_caller]
fn check(verdict: Result<(), FieldErrors>, expected: &str) {
    let text = verdict.map_or_else(|errors| errors.to_string(), |()| String::new());
    assert_eq!(text, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// api 13.4: how errors are printed and joined.
    #[test]
    fn errors_are_joined_in_order_and_equal_texts_count_once() {
        let mut findings = Findings::default();
        check(Findings::default().verdict(), "");
        findings.required("a");
        findings.required("a");
        check(std::mem::take(&mut findings).verdict(), "a: Required value");
        findings.one_of("b", "x", &["A", "B"]);
        findings.invalid("c", 7, "too odd");
        findings.one_of("b", "x", &["A", "B"]);
        findings.invalid_text("c", "q\"\n", "no");
        findings.duplicate("d", "e");
        let errors = findings.verdict().unwrap_err();
        assert_eq!(
            errors.to_string(),
            r#"[b: Unsupported value: "x": supported values: "A", "B", c: Invalid value: 7: too odd, c: Invalid value: "q\"\n": no, d: Duplicate value: "e"]"#
        );
        let paths: Vec<_> = errors.iter().map(FieldError::path).collect();
        assert_eq!(paths, ["b", "c", "c", "d"]);
        assert!(!errors.iter().any(FieldError::is_required));
    }
}
