//! Sets of fields, and their form in `managedFields` (FieldsV1).

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use crate::schema::Quoted;

/// One step of a path to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of an object: `f:name`.
    Field(String),
    /// An item of a list of type map, by its key fields: `k:{"name":"x"}`.
    Key(BTreeMap<String, Scalar>),
    /// An item of a list of type set: `v:"x"`.
    Value(Scalar),
    /// An item by its index: `i:0`. Never made here, but kept when it is read.
    Index(i64),
}

/// A value that identifies an item, ordered as the original orders them.
#[derive(Clone, Debug)]
pub struct Scalar(pub Value);

/// Fields of one object. A field may be a member, have members below it, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: BTreeMap<Element, Node>,
}

/// What a set says about one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub member: bool,
    pub below: Set,
}

impl Set {
    /// The set of the given paths of plain fields.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path
                .iter()
                .map(|name| Element::Field((*name).to_owned()))
                .collect();
            set.insert(&path);
        }
        set
    }

    /// Makes a path a member. The whole object, which has no path, never is one.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((last, parents)) = path.split_last() else {
            return;
        };
        let mut set = self;
        for element in parents {
            set = &mut set.nodes.entry(element.clone()).or_default().below;
        }
        set.nodes.entry(last.clone()).or_default().member = true;
    }

    /// Adds what is known about one field, unless it is nothing.
    pub fn put(&mut self, element: Element, node: Node) {
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    pub fn node(&self, element: &Element) -> Option<&Node> {
        self.nodes.get(element)
    }

    pub fn nodes(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.nodes.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.values().all(Node::is_empty)
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (element, node) in &other.nodes {
            let merged = match union.nodes.get(element) {
                Some(own) => Node {
                    member: own.member || node.member,
                    below: own.below.union(&node.below),
                },
                None => node.clone(),
            };
            union.nodes.insert(element.clone(), merged);
        }
        union
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.filtered(|element, node| {
            let other = other.nodes.get(element);
            Node {
                member: node.member && other.is_some_and(|other| other.member),
                below: other
                    .map(|o| node.below.intersection(&o.below))
                    .unwrap_or_default(),
            }
        })
    }

    /// The members that `other` does not have. What is below a member of `other` stays.
    pub fn difference(&self, other: &Self) -> Self {
        self.filtered(|element, node| match other.nodes.get(element) {
            Some(other) => Node {
                member: node.member && !other.member,
                below: node.below.difference(&other.below),
            },
            None => node.clone(),
        })
    }

    /// The members that `other` does not have, and that are not below one of its members.
    pub fn without(&self, other: &Self) -> Self {
        self.filtered(|element, node| match other.nodes.get(element) {
            Some(other) if other.member => Node::default(),
            Some(other) => Node {
                member: node.member,
                below: node.below.without(&other.below),
            },
            None => node.clone(),
        })
    }

    fn filtered(&self, keep: impl Fn(&Element, &Node) -> Node) -> Self {
        let mut set = Self::default();
        for (element, node) in &self.nodes {
            set.put(element.clone(), keep(element, node));
        }
        set
    }

    /// Every member's path: first the members of one object, then what is below each field.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Path>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            let mut path = prefix.clone();
            path.push(element.clone());
            paths.push(Path(path));
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.below.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// Reads FieldsV1. Kinds of path elements that a later version may add are left out.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, String> {
        Ok(Node::read(fields)?.below)
    }

    /// Writes FieldsV1.
    pub fn to_fields_v1(&self) -> Value {
        let mut fields = Map::new();
        for (element, node) in self.nodes.iter().filter(|(_, node)| !node.is_empty()) {
            let mut below = node.below.to_fields_v1();
            // A member without fields below it is an empty object.
            if node.member
                && let Value::Object(fields) = &mut below
                && !fields.is_empty()
            {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            fields.insert(element.to_string(), below);
        }
        Value::Object(fields)
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    fn read(fields: &Value) -> Result<Self, String> {
        let mut node = Self::default();
        for (key, value) in fields.as_object().into_iter().flatten() {
            if key == "." {
                node.member = true;
            } else if let Some(element) = Element::parse(key)? {
                node.below.put(element, Self::read(value)?);
            }
        }
        // An empty object stands for the member itself.
        node.member |= node.below.nodes.is_empty();
        Ok(node)
    }
}

impl Element {
    /// `Ok(None)` for a kind of element that is not known.
    fn parse(key: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = key.split_at_checked(2) else {
            return Err("key must be 2 characters long:".to_owned());
        };
        if !kind.ends_with(':') {
            return Err(format!("missing colon: {key}"));
        }
        let json =
            |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        Ok(Some(match kind {
            "f:" => Self::Field(rest.to_owned()),
            "v:" => Self::Value(Scalar(json(rest)?)),
            "i:" => Self::Index(rest.parse().map_err(|_| format!("invalid index: {rest}"))?),
            "k:" => match json(rest)? {
                Value::Object(fields) => Self::Key(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name, Scalar(value)))
                        .collect(),
                ),
                _ => return Err(format!("invalid key: {rest}")),
            },
            _ => return Ok(None),
        }))
    }
}

/// The form in FieldsV1.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "f:{name}"),
            Self::Value(value) => write!(f, "v:{}", value.json()),
            Self::Index(index) => write!(f, "i:{index}"),
            Self::Key(fields) => {
                f.write_str("k:{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{}", Value::from(name.as_str()), value.json())?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A path as messages show it: `.spec.containers[name="web"].image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<Element>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|element| write!(f, "{}", Shown(element)))
    }
}

/// One element as messages show it.
pub(super) struct Shown<'a>(pub(super) &'a Element);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Value(value) => write!(f, "[={value}]"),
            Element::Index(index) => write!(f, "[{index}]"),
            Element::Key(fields) => {
                let pairs: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", pairs.join(","))
            }
        }
    }
}

impl Scalar {
    fn json(&self) -> String {
        let json = self.0.to_string();
        json.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    }

    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => write!(f, "{}", Quoted(text)),
            value => write!(f, "{value}"),
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a
                    .as_f64()
                    .unwrap_or_default()
                    .total_cmp(&b.as_f64().unwrap_or_default()),
            },
            (a, b) if self.rank() == other.rank() => a.to_string().cmp(&b.to_string()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}
