//! Reading schemas from JSON.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde_json::{Map, Value};

use super::{Additional, Bound, ListType, Node, NodeId, Pattern, Rules, Schema, Types};

/// Named schemas that refer to each other.
pub struct Definitions {
    nodes: Arc<[Node]>,
    ids: BTreeMap<Box<str>, NodeId>,
}

/// The definition whose properties every object's `metadata` has.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl Definitions {
    /// Reads the schemas of the built-in kinds, with references shortened to the name.
    pub fn parse(definitions: &Map<String, Value>) -> Self {
        let mut parser = Parser::new(definitions, Dialect::Published);
        for name in definitions.keys() {
            parser.definition(name);
        }
        let ids = parser.definitions_read;
        Self {
            nodes: parser.nodes.into(),
            ids,
        }
    }

    /// The schema of that name.
    pub fn schema(&self, name: &str) -> Option<Schema> {
        let &root = self.ids.get(name)?;
        Some(Schema {
            nodes: Arc::clone(&self.nodes),
            root,
        })
    }
}

impl Schema {
    /// Reads the `openAPIV3Schema` of a CRD. What is not understood is left out:
    /// [`super::check_structural`] has the errors.
    ///
    /// `definitions` must contain `ObjectMeta`, since that is what `metadata` is in every CRD.
    pub fn of_custom_resource(schema: &Value, definitions: &Map<String, Value>) -> Self {
        let mut parser = Parser::new(definitions, Dialect::Structural);
        let mut root = parser.node(schema);
        parser.embed(&mut root);
        let root = parser.add(root);
        Self {
            nodes: parser.nodes.into(),
            root,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Of a CRD: an object without declared fields loses all fields.
    Structural,
    /// Of a built-in kind: an object without declared fields is free-form.
    Published,
}

struct Parser<'a> {
    definitions: &'a Map<String, Value>,
    dialect: Dialect,
    nodes: Vec<Node>,
    definitions_read: BTreeMap<Box<str>, NodeId>,
}

impl<'a> Parser<'a> {
    fn new(definitions: &'a Map<String, Value>, dialect: Dialect) -> Self {
        Self {
            definitions,
            dialect,
            nodes: Vec::new(),
            definitions_read: BTreeMap::new(),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        // A schema with more nodes than that does not fit into a request.
        let id = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        self.nodes.push(node);
        id
    }

    fn definition(&mut self, name: &str) -> Option<NodeId> {
        if let Some(&id) = self.definitions_read.get(name) {
            return Some(id);
        }
        let definition = self.definitions.get(name)?;
        // Registered before it is read: definitions may be recursive.
        let id = self.add(Node::default());
        self.definitions_read.insert(name.into(), id);
        let dialect = std::mem::replace(&mut self.dialect, Dialect::Published);
        let mut node = self.node(definition);
        self.dialect = dialect;
        node.definition = name.rsplit('.').next().map(Into::into);
        self.nodes[id as usize] = node;
        Some(id)
    }

    fn schema(&mut self, schema: &Value) -> NodeId {
        // Depth is bounded by the parser that made the `Value`.
        let mut node = self.node(schema);
        if node.embedded_resource {
            self.embed(&mut node);
        }
        self.add(node)
    }

    /// Makes an object a resource: the fields that every resource has are known without being
    /// declared. Declared restrictions of `metadata` are for validation only.
    fn embed(&mut self, node: &mut Node) {
        node.embedded_resource = true;
        let metadata = Node {
            reference: self.definition(OBJECT_META),
            metadata: Some(node.properties.get("metadata").copied()),
            ..Node::default()
        };
        node.properties
            .insert("metadata".into(), self.add(metadata));
        for name in ["apiVersion", "kind"] {
            if !node.properties.contains_key(name) {
                let text = self.add(Node {
                    types: Types::String,
                    ..Node::default()
                });
                node.properties.insert(name.into(), text);
            }
        }
    }

    fn node(&mut self, schema: &Value) -> Node {
        let flag = |name: &str| schema[name] == true;
        let text = |name: &str| schema[name].as_str().unwrap_or_default();
        let reference = schema["$ref"]
            .as_str()
            .and_then(|name| self.definition(name));
        let int_or_string = flag("x-kubernetes-int-or-string");
        let types = match text("type") {
            _ if int_or_string => Types::IntegerOrString,
            "object" => Types::Object,
            "array" => Types::Array,
            "string" => Types::String,
            "integer" => Types::Integer,
            "number" => Types::Number,
            "boolean" => Types::Boolean,
            _ => Types::Any,
        };
        let properties = self.properties(&schema["properties"]);
        let additional = match &schema["additionalProperties"] {
            Value::Null => Additional::Unset,
            Value::Bool(allowed) => Additional::Allowed(*allowed),
            schema => Additional::Of(self.schema(schema)),
        };
        let free_form = self.dialect == Dialect::Published
            && reference.is_none()
            && matches!(types, Types::Object | Types::Any)
            && properties.is_empty()
            && additional == Additional::Unset;
        Node {
            reference,
            types,
            format: text("format").into(),
            nullable: flag("nullable"),
            default: Some(&schema["default"])
                .filter(|default| !default.is_null())
                .cloned(),
            properties,
            additional,
            items: schema
                .get("items")
                .filter(|items| items.is_object())
                .map(|s| self.schema(s)),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields") || free_form,
            embedded_resource: flag("x-kubernetes-embedded-resource"),
            list_type: match text("x-kubernetes-list-type") {
                "atomic" => Some(ListType::Atomic),
                "set" => Some(ListType::Set),
                "map" => Some(ListType::Map),
                _ => None,
            },
            list_map_keys: strings(&schema["x-kubernetes-list-map-keys"]),
            atomic_map: match text("x-kubernetes-map-type") {
                "atomic" => Some(true),
                "granular" => Some(false),
                _ => None,
            },
            patch_strategy: text("x-kubernetes-patch-strategy").into(),
            patch_merge_key: schema["x-kubernetes-patch-merge-key"]
                .as_str()
                .map(Into::into),
            rules: self.rules(schema),
            ..Node::default()
        }
    }

    fn properties(&mut self, properties: &Value) -> BTreeMap<Box<str>, NodeId> {
        let fields = properties.as_object().into_iter().flatten();
        fields
            .map(|(name, schema)| (name.as_str().into(), self.schema(schema)))
            .collect()
    }

    fn rules(&mut self, schema: &Value) -> Rules {
        let count = |name: &str| schema[name].as_u64();
        let mut all = |name: &str| {
            let schemas = schema[name].as_array().into_iter().flatten();
            schemas.map(|schema| self.schema(schema)).collect()
        };
        Rules {
            all_of: all("allOf"),
            any_of: all("anyOf"),
            one_of: all("oneOf"),
            not: schema
                .get("not")
                .filter(|not| not.is_object())
                .map(|not| self.schema(not)),
            enumeration: schema["enum"].as_array().cloned().unwrap_or_default(),
            required: strings(&schema["required"]),
            pattern: schema["pattern"].as_str().map(|source| Pattern {
                source: source.into(),
                regex: Regex::new(source).ok(),
            }),
            minimum: bound(schema, "minimum", "exclusiveMinimum"),
            maximum: bound(schema, "maximum", "exclusiveMaximum"),
            multiple_of: schema["multipleOf"].as_f64(),
            length_min: count("minLength"),
            length_max: count("maxLength"),
            items_min: count("minItems"),
            items_max: count("maxItems"),
            properties_min: count("minProperties"),
            properties_max: count("maxProperties"),
            unique_items: schema["uniqueItems"] == true,
        }
    }
}

fn bound(schema: &Value, limit: &str, exclusive: &str) -> Option<Bound> {
    let value = schema[limit].as_f64()?;
    Some(Bound {
        value,
        exclusive: schema[exclusive] == true,
    })
}

fn strings(list: &Value) -> Vec<Box<str>> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(Into::into)
        .collect()
}
