//! What server-side apply makes of a schema: which values are merged and which are replaced.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::{Element, Scalar};
use crate::schema::{Additional, ListType, Place, Types};

/// The type of a value for merging.
#[derive(Clone, Copy)]
pub(super) enum Type<'a> {
    /// What a schema says. `open` is inherited from `x-kubernetes-preserve-unknown-fields`: fields
    /// that are not declared are merged one by one.
    Of { place: Place<'a>, open: bool },
    /// No schema: objects are merged field by field, lists are replaced.
    Deduced,
    /// No schema, and everything is replaced.
    Untyped,
}

/// The forms that a type allows. A value of one of them narrows it to that one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) map: bool,
    pub(super) scalar: bool,
    pub(super) list: bool,
}

/// How a value is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Map,
    Scalar,
    List,
}

/// The definitions whose JSON form is not what their schema looks like.
const QUANTITY: &str = "Quantity";
const RAW_EXTENSION: &str = "RawExtension";

impl<'a> Type<'a> {
    pub(super) fn of(place: Place<'a>) -> Self {
        Self::under(place, false)
    }

    fn under(place: Place<'a>, open: bool) -> Self {
        if place.definition() == Some(RAW_EXTENSION) {
            return Self::Untyped;
        }
        Self::Of {
            place,
            open: open || place.preserves_unknown_fields(),
        }
    }

    fn forms(self) -> Forms {
        let any = Forms {
            map: true,
            scalar: true,
            list: true,
        };
        let none = Forms {
            map: false,
            scalar: false,
            list: false,
        };
        let Self::Of { place, .. } = self else {
            return any;
        };
        match place.types() {
            _ if place.definition() == Some(QUANTITY) => Forms {
                scalar: true,
                ..none
            },
            Types::Any | Types::IntegerOrString => any,
            Types::Object => Forms { map: true, ..none },
            Types::Array => Forms { list: true, ..none },
            _ => Forms {
                scalar: true,
                ..none
            },
        }
    }

    /// The forms left when the value is known. Nothing and null fit every form.
    pub(super) fn forms_of(self, value: Option<&Value>) -> Forms {
        let forms = self.forms();
        let only = |map, scalar, list| Forms { map, scalar, list };
        match value {
            Some(Value::Object(_)) if forms.map => only(true, false, false),
            Some(Value::Array(_)) if forms.list => only(false, false, true),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if forms.scalar => {
                only(false, true, false)
            }
            _ => forms,
        }
    }

    /// The scalar type that is asked for; `Any` where every scalar will do.
    pub(super) fn scalar(self) -> Types {
        match self {
            // A format other than plain text is not held to its type.
            Self::Of { place, .. } => match (place.types(), place.format()) {
                (Types::String, "" | "byte") => Types::String,
                (Types::String, _) => Types::Any,
                (types, _) => types,
            },
            _ => Types::Any,
        }
    }

    pub(super) fn is_atomic_map(self) -> bool {
        match self {
            Self::Of { place, .. } => place.atomic_map() == Some(true),
            Self::Deduced => false,
            Self::Untyped => true,
        }
    }

    /// The type of a field, and whether the schema declares it; `None` when it may not be there.
    pub(super) fn field(self, name: &str) -> Option<(Self, bool)> {
        let Self::Of { place, open } = self else {
            return Some((self, false));
        };
        if let Some(field) = place.property(name) {
            return Some((Self::under(field, open), true));
        }
        let undeclared = match place.additional() {
            Additional::Of(_) => place
                .additional_schema()
                .map(|field| Self::under(field, open)),
            Additional::Allowed(true) => Some(Self::Deduced),
            Additional::Allowed(false) => None,
            Additional::Unset => {
                let free = open || place.properties().next().is_none();
                free.then_some(Self::Deduced)
            }
        };
        undeclared.map(|field| (field, false))
    }

    pub(super) fn items(self) -> Self {
        match self {
            Self::Of { place, open } => place
                .items()
                .map_or(Self::Untyped, |items| Self::under(items, open)),
            _ => Self::Untyped,
        }
    }

    /// How the items of a list are told apart; `None` for a list that is replaced as a whole.
    pub(super) fn list(self) -> Option<Keys<'a>> {
        let Self::Of { place, .. } = self else {
            return None;
        };
        match place.list_type() {
            Some(ListType::Atomic) => None,
            Some(ListType::Set) => Some(Keys {
                place,
                names: Names::Set,
            }),
            Some(ListType::Map) => Some(Keys {
                place,
                names: Names::Many(place.list_map_keys()),
            }),
            None if place.patch_strategies().any(|strategy| strategy == "merge") => {
                let names = place.patch_merge_key().map_or(Names::Set, Names::One);
                Some(Keys { place, names })
            }
            None => None,
        }
    }
}

impl Forms {
    pub(super) fn form(self) -> Form {
        match self {
            Self { map: true, .. } => Form::Map,
            Self { scalar: true, .. } => Form::Scalar,
            _ => Form::List,
        }
    }
}

/// What identifies an item of a list.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    place: Place<'a>,
    names: Names<'a>,
}

#[derive(Clone, Copy)]
enum Names<'a> {
    /// The item itself.
    Set,
    One(&'a str),
    Many(&'a [Box<str>]),
}

impl Keys<'_> {
    /// The path element of an item.
    pub(super) fn element(&self, item: &Value) -> Result<Element, String> {
        let names: Vec<&str> = match self.names {
            Names::Set => return set_element(item),
            Names::One(name) => vec![name],
            Names::Many(names) => names.iter().map(|name| &**name).collect(),
        };
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut key = BTreeMap::new();
        for &name in &names {
            let default = || self.place.items()?.property(name)?.default();
            if let Some(value) = fields.get(name).or_else(default) {
                key.insert(name.to_owned(), Scalar(value.clone()));
            }
        }
        if key.is_empty() && !names.is_empty() {
            return Err(format!(
                "associative list with keys has an element that omits all key fields {} (and doesn't have default values for any key fields)",
                go_list(&names)
            ));
        }
        Ok(Element::Key(key))
    }
}

fn go_list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(" "))
}

fn set_element(item: &Value) -> Result<Element, String> {
    match item {
        Value::Object(_) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        scalar => Ok(Element::Value(Scalar(scalar.clone()))),
    }
}

/// The fields of an object; none of anything else.
pub(super) fn fields_of(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The items of a list; none of anything else.
pub(super) fn items_of(value: Option<&Value>) -> Option<&[Value]> {
    value.and_then(Value::as_array).map(Vec::as_slice)
}
