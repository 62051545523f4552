use std::fmt;

/// What is wrong with one part of an object, and where.
///
/// Displays as `path: message`, or just the message where the object as a whole is meant. The object
/// and the cluster are known to the caller, who names them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    path: String,
    message: String,
}

impl Error {
    /// An error at `path`, which is empty where the whole object is meant.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }

    /// An error that says which JSON type was expected, such as `a list`, and which was found.
    pub fn wrong_type(path: impl Into<String>, expected: &str, found: &serde_json::Value) -> Self {
        Self::new(
            path,
            format!("expected {expected}, found {}", type_name(found)),
        )
    }

    /// Path of the field, for example `spec.placement.clusters[2].name`; empty for the whole object.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, without the path.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for Error {}

/// The JSON type of a value, as errors name it.
pub(crate) fn type_name(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "a string",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}
