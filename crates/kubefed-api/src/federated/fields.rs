//! Reads members of untyped JSON as the original's decoder does: a missing member and `null` are the
//! zero value, every other type than the expected one is an error.

use serde_json::{Map, Value};

use crate::Error;

static NULL: Value = Value::Null;

/// An object or the absence of one, with the path that leads to it.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    members: Option<&'a Map<String, Value>>,
    path: String,
}

impl<'a> Fields<'a> {
    pub(super) fn read(value: &'a Value, path: impl Into<String>) -> Result<Self, Error> {
        let path = path.into();
        match value {
            Value::Null => Ok(Self {
                members: None,
                path,
            }),
            Value::Object(members) => Ok(Self {
                members: Some(members),
                path,
            }),
            other => Err(Error::wrong_type(path, "an object", other)),
        }
    }

    /// The member's value, `null` where it is missing.
    pub(super) fn value(&self, name: &str) -> &'a Value {
        self.members
            .and_then(|members| members.get(name))
            .unwrap_or(&NULL)
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Fields<'a>, Error> {
        Fields::read(self.value(name), self.path(name))
    }

    pub(super) fn string(&self, name: &str) -> Result<&'a str, Error> {
        read_string(self.value(name), || self.path(name))
    }

    /// The member's elements; `None` where it is missing or null, which differs from an empty list.
    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Error> {
        match self.value(name) {
            Value::Array(elements) => Ok(Some(elements)),
            Value::Null => Ok(None),
            other => Err(Error::wrong_type(self.path(name), "a list", other)),
        }
    }

    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(elements) = self.list(name)? else {
            return Ok(None);
        };
        let string = |(index, element)| {
            read_string(element, || format!("{}[{index}]", self.path(name))).map(str::to_owned)
        };
        elements
            .iter()
            .enumerate()
            .map(string)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.members.into_iter().flatten()
    }
}

pub(crate) fn read_string(value: &Value, path: impl FnOnce() -> String) -> Result<&str, Error> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(""),
        other => Err(Error::wrong_type(path(), "a string", other)),
    }
}
