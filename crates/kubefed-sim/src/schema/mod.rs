//! Schemas: what a kind's values may be, what is dropped from them, what is filled in, and how two
//! of them are merged.
//!
//! One type, [`Schema`], carries both dialects: the structural schemas of CRDs (API convention:
//! "Specifying a structural schema") and the schemas that a real API server publishes for the
//! built-in kinds. Everything here is a pure function of a schema and a `serde_json::Value`.
//! Errors are worded as kube-apiserver v1.35 words them.

mod defaulting;
mod error;
mod format;
mod go;
mod list_type;
mod number;
mod parse;
mod prune;
mod structural;
mod validate;

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde_json::Value;

pub use error::{FieldError, Quoted};
pub use go::{GoSource, GoType, GoValue, sorted};
pub use number::same;
pub use parse::Definitions;
pub use structural::check_structural;

/// The schema of a kind, or of a part of one. Cloning is cheap.
#[derive(Clone)]
pub struct Schema {
    nodes: Arc<[Node]>,
    root: NodeId,
}

/// A place in a schema. It is what the walks over values carry along.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    nodes: &'a [Node],
    id: NodeId,
}

pub type NodeId = u32;

/// One JSON schema object.
#[derive(Debug, Default)]
pub struct Node {
    /// The definition this refers to; then only what a field may override is set here.
    reference: Option<NodeId>,
    /// The last part of the definition's name, such as `DeploymentSpec`.
    definition: Option<Box<str>>,
    /// Set for the `metadata` of a resource: its values are checked elsewhere, save for the
    /// restrictions that the schema inside declares.
    metadata: Option<Option<NodeId>>,
    types: Types,
    format: Box<str>,
    nullable: bool,
    default: Option<Value>,
    properties: BTreeMap<Box<str>, NodeId>,
    additional: Additional,
    items: Option<NodeId>,
    preserve_unknown: bool,
    embedded_resource: bool,
    list_type: Option<ListType>,
    list_map_keys: Vec<Box<str>>,
    atomic_map: Option<bool>,
    patch_strategy: Box<str>,
    patch_merge_key: Option<Box<str>>,
    rules: Rules,
}

/// What may be written in `type`. Empty stands for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Types {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntegerOrString,
}

/// `additionalProperties`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Additional {
    #[default]
    Unset,
    Allowed(bool),
    Of(NodeId),
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    Atomic,
    Set,
    Map,
}

/// The value validations of a schema object.
#[derive(Debug, Default)]
struct Rules {
    enumeration: Vec<Value>,
    required: Vec<Box<str>>,
    pattern: Option<Pattern>,
    minimum: Option<Bound>,
    maximum: Option<Bound>,
    multiple_of: Option<f64>,
    length_min: Option<u64>,
    length_max: Option<u64>,
    items_min: Option<u64>,
    items_max: Option<u64>,
    properties_min: Option<u64>,
    properties_max: Option<u64>,
    unique_items: bool,
    all_of: Vec<NodeId>,
    any_of: Vec<NodeId>,
    one_of: Vec<NodeId>,
    not: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    value: f64,
    exclusive: bool,
}

#[derive(Debug)]
struct Pattern {
    source: Box<str>,
    /// `None` for a pattern that Go's syntax allows and ours does not: it matches everything.
    regex: Option<Regex>,
}

impl Schema {
    /// Where walks begin.
    pub fn place(&self) -> Place<'_> {
        Place {
            nodes: &self.nodes,
            id: self.root,
        }
    }

    /// The schema of a declared field, as one of its own.
    pub fn of_field(&self, name: &str) -> Option<Self> {
        let root = self.place().property(name)?.id;
        Some(Self {
            nodes: self.nodes.clone(),
            root,
        })
    }
}

impl<'a> Place<'a> {
    fn own(self) -> &'a Node {
        // Ids are made by the parser, which fills every one of them.
        &self.nodes[self.id as usize]
    }

    fn at(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    /// The definition behind references. A field refers to a definition, and a definition may
    /// be nothing but a reference; more than that is a cycle without content.
    pub fn resolved(self) -> Self {
        let mut place = self;
        for _ in 0..4 {
            match place.own().reference {
                Some(id) => place = place.at(id),
                None => break,
            }
        }
        place
    }

    fn shape(self) -> &'a Node {
        self.resolved().own()
    }

    fn rules(self) -> &'a Rules {
        &self.shape().rules
    }

    pub fn types(self) -> Types {
        self.shape().types
    }

    pub fn format(self) -> &'a str {
        &self.shape().format
    }

    /// The last part of the name of the definition here, such as `DeploymentSpec`.
    pub fn definition(self) -> Option<&'a str> {
        self.shape().definition.as_deref()
    }

    pub fn is_nullable(self) -> bool {
        self.own().nullable || self.shape().nullable
    }

    pub fn default(self) -> Option<&'a Value> {
        self.own()
            .default
            .as_ref()
            .or(self.shape().default.as_ref())
    }

    /// Whether the value is a struct of Go that is never left out.
    pub fn is_struct(self) -> bool {
        if self.types() != Types::Object || self.properties().next().is_none() {
            return false;
        }
        let empty = |default: &Value| default.as_object().is_some_and(serde_json::Map::is_empty);
        self.own().reference.is_some() && self.own().default.as_ref().is_some_and(empty)
    }

    /// Whether a field must be there.
    pub fn requires(self, name: &str) -> bool {
        self.rules()
            .required
            .iter()
            .any(|required| &**required == name)
    }

    /// The schema of a declared field.
    pub fn property(self, name: &str) -> Option<Self> {
        let place = self.resolved();
        place.own().properties.get(name).map(|&id| place.at(id))
    }

    /// The declared fields, in the order of their names.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, Self)> {
        let place = self.resolved();
        place
            .own()
            .properties
            .iter()
            .map(move |(name, &id)| (&**name, place.at(id)))
    }

    pub fn additional(self) -> Additional {
        self.shape().additional
    }

    /// The schema of the fields that are not declared.
    pub fn additional_schema(self) -> Option<Self> {
        match self.additional() {
            Additional::Of(id) => Some(self.resolved().at(id)),
            _ => None,
        }
    }

    /// The schema of a field, declared or not.
    pub fn field(self, name: &str) -> Option<Self> {
        self.property(name).or_else(|| self.additional_schema())
    }

    pub fn items(self) -> Option<Self> {
        let place = self.resolved();
        place.own().items.map(|id| place.at(id))
    }

    pub fn preserves_unknown_fields(self) -> bool {
        self.shape().preserve_unknown
    }

    pub fn is_embedded_resource(self) -> bool {
        self.shape().embedded_resource
    }

    pub fn list_type(self) -> Option<ListType> {
        self.own().list_type.or(self.shape().list_type)
    }

    /// The fields that identify an item of a list of type map.
    pub fn list_map_keys(self) -> &'a [Box<str>] {
        let own = &self.own().list_map_keys;
        if own.is_empty() {
            &self.shape().list_map_keys
        } else {
            own
        }
    }

    /// Whether the field or, failing that, its type says how two values are merged:
    /// `Some(true)` atomic, `Some(false)` granular.
    pub fn atomic_map(self) -> Option<bool> {
        self.own().atomic_map.or(self.shape().atomic_map)
    }

    /// `x-kubernetes-patch-strategy`; several are separated by commas.
    pub fn patch_strategies(self) -> impl Iterator<Item = &'a str> {
        self.own()
            .patch_strategy
            .split(',')
            .filter(|strategy| !strategy.is_empty())
    }

    /// `x-kubernetes-patch-merge-key`.
    pub fn patch_merge_key(self) -> Option<&'a str> {
        self.own().patch_merge_key.as_deref()
    }
}
