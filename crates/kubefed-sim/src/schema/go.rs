//! Values as Go prints them, which is what many messages of a real server contain.

use std::fmt;

use serde_json::{Map, Value};

/// A value as `%v` prints it: `map[name:web ports:[80 443]]`.
pub struct GoValue<'a>(pub &'a Value);

/// A value as `%#v` prints it: `map[string]interface {}{"name":"web"}`.
pub struct GoSource<'a>(pub &'a Value);

/// The type of a value as `%T` prints it.
pub struct GoType<'a>(pub &'a Value);

/// The fields of an object in the order of their names.
pub fn sorted(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
}

impl fmt::Display for GoValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::String(text) => f.write_str(text),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| GoValue(item).to_string()).collect();
                write!(f, "[{}]", items.join(" "))
            }
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| format!("{name}:{}", GoValue(value));
                let fields: Vec<_> = sorted(fields).into_iter().map(field).collect();
                write!(f, "map[{}]", fields.join(" "))
            }
            value => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for GoSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("interface {}(nil)"),
            Value::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| GoSource(item).to_string())
                    .collect();
                write!(f, "{}{{{}}}", GoType(self.0), items.join(", "))
            }
            Value::Object(fields) => {
                let field =
                    |(name, value): (&String, &Value)| format!("{name:?}:{}", GoSource(value));
                let fields: Vec<_> = sorted(fields).into_iter().map(field).collect();
                write!(f, "{}{{{}}}", GoType(self.0), fields.join(", "))
            }
            value => write!(f, "{value}"),
        }
    }
}

impl GoType<'_> {
    /// The name of the type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.as_i64().is_some() => "int64",
            Value::Number(_) => "float64",
            Value::String(_) => "string",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
        }
    }
}

impl fmt::Display for GoType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
