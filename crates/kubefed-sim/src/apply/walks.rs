//! Walks over one or two values by their type: checking, collecting fields, comparing, merging and
//! removing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value};

use super::{
    set::{Element, Node, Set, Shown},
    types::{Form, Keys, Type, fields_of, items_of},
};
use crate::schema::{GoSource, GoType, GoValue, Types, same, sorted};

/// Finds what in an applied value does not fit its type; each text begins with the path. Items of a
/// list of type set or map may not be there twice, as they may in objects that were not applied.
pub(super) fn check(value: &Value, kind: Type<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    check_at(value, kind, "", &mut problems);
    problems
}

fn check_at(value: &Value, kind: Type<'_>, path: &str, problems: &mut Vec<String>) {
    let mut wrong = |what: String| problems.push(located(path, &what));
    match kind.forms_of(Some(value)).form() {
        Form::Scalar => {
            let expected = match (kind.scalar(), value) {
                (_, Value::Null)
                | (Types::String, Value::String(_))
                | (Types::Boolean, Value::Bool(_))
                | (Types::Integer | Types::Number, Value::Number(_)) => return,
                (Types::String, _) => {
                    return wrong(format!(
                        "expected string, got &value.valueUnstructured{{Value:{}}}",
                        GoSource(value)
                    ));
                }
                (Types::Boolean, _) => "boolean",
                (Types::Integer | Types::Number, _) => {
                    return wrong(format!(
                        "expected numeric (int or float), got {}",
                        GoType(value)
                    ));
                }
                (_, Value::Object(_) | Value::Array(_)) => "any scalar",
                _ => return,
            };
            wrong(format!("expected {expected}, got {}", Holder(value)));
        }
        Form::List => match value {
            Value::Null => {}
            Value::Array(items) => check_list(items, kind, path, problems),
            _ => wrong(format!("expected list, got {}", Holder(value))),
        },
        Form::Map => match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (name, value) in sorted(fields) {
                    let path = format!("{path}.{name}");
                    match kind.field(name) {
                        Some((field, _)) => check_at(value, field, &path, problems),
                        None => problems.push(located(&path, "field not declared in schema")),
                    }
                }
            }
            _ => wrong(format!("expected map, got {}", Holder(value))),
        },
    }
}

fn check_list(items: &[Value], kind: Type<'_>, path: &str, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let element = match kind.list() {
            Some(keys) => match keys.element(item) {
                Ok(element) => element,
                Err(why) => {
                    return problems.push(located(path, &format!("element {index}: {why}")));
                }
            },
            None => Element::Index(i64::try_from(index).unwrap_or(i64::MAX)),
        };
        let shown = Shown(&element).to_string();
        if kind.list().is_some() && !seen.insert(element) {
            problems.push(located(path, &format!("duplicate entries for key {shown}")));
        }
        check_at(item, kind.items(), &format!("{path}{shown}"), problems);
    }
}

fn located(path: &str, what: &str) -> String {
    if path.is_empty() {
        what.to_owned()
    } else {
        format!("{path}: {what}")
    }
}

/// A value as the original holds and prints it.
struct Holder<'a>(&'a Value);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "&{{{}}}", GoValue(self.0))
    }
}

/// The fields that a value sets.
pub(super) fn fields(value: &Value, kind: Type<'_>) -> Set {
    let mut node = Node::default();
    collect(value, kind, &mut node);
    node.below
}

fn collect(value: &Value, kind: Type<'_>, node: &mut Node) {
    match kind.forms_of(Some(value)).form() {
        Form::Scalar => node.member = true,
        Form::List => match kind.list() {
            None => node.member = true,
            Some(keys) => collect_items(value, kind, keys, node),
        },
        Form::Map if kind.is_atomic_map() => node.member = true,
        Form::Map => {
            for (name, value) in fields_of(Some(value)).into_iter().flatten() {
                // A field that may not be there has been refused before.
                let Some((field, declared)) = kind.field(name) else {
                    continue;
                };
                let mut below = Node::default();
                collect(value, field, &mut below);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                below.member |= empty || !declared;
                node.below.put(Element::Field(name.clone()), below);
            }
        }
    }
}

fn collect_items(value: &Value, kind: Type<'_>, keys: Keys<'_>, node: &mut Node) {
    let items = items_of(Some(value)).unwrap_or_default();
    let mut by_element: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(element) = keys.element(item) {
            by_element.entry(element).or_default().push(item);
        }
    }
    for (element, items) in by_element {
        let mut below = Node {
            member: true,
            ..Node::default()
        };
        // Nobody can own what is inside of an item that is there twice.
        if let [item] = items[..] {
            collect(item, kind.items(), &mut below);
        }
        node.below.put(element, below);
    }
}

/// What distinguishes two values. No field is in more than one of the sets.
#[derive(Default)]
pub(super) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

impl Comparison {
    pub(super) fn between(old: &Value, new: &Value, kind: Type<'_>) -> Self {
        let mut comparison = Self::default();
        comparison.compare(Some(old), Some(new), kind, &mut Vec::new());
        comparison
    }

    /// The comparison without the given fields and what is below them.
    pub(super) fn without(&self, fields: &Set) -> Self {
        Self {
            removed: self.removed.without(fields),
            modified: self.modified.without(fields),
            added: self.added.without(fields),
        }
    }

    fn compare(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        kind: Type<'_>,
        path: &mut Vec<Element>,
    ) {
        let (old_forms, new_forms) = (kind.forms_of(old), kind.forms_of(new));
        let leaf = if new.is_none() {
            self.as_form(old_forms.form(), old, new, kind, path)
        } else {
            if old.is_some() && old_forms != new_forms {
                self.as_form(old_forms.form(), old, new, kind, path);
            }
            self.as_form(new_forms.form(), old, new, kind, path)
        };
        if !leaf {
            if old.is_none() {
                self.added.insert(path);
            } else if new.is_none() {
                self.removed.insert(path);
            }
        }
    }

    /// Whether the values were compared as a whole.
    fn as_form(
        &mut self,
        form: Form,
        old: Option<&Value>,
        new: Option<&Value>,
        kind: Type<'_>,
        path: &mut Vec<Element>,
    ) -> bool {
        match form {
            Form::Scalar => self.leaf(old, new, path),
            Form::List => {
                let (old_items, new_items) = (items_of(old), items_of(new));
                let empty = is_none_or_empty(old_items) && is_none_or_empty(new_items);
                match kind.list() {
                    Some(keys) if !empty => {
                        let items = (old_items.unwrap_or_default(), new_items.unwrap_or_default());
                        self.items(items, kind, keys, path);
                        false
                    }
                    _ => self.leaf(old, new, path),
                }
            }
            Form::Map => {
                let (old_fields, new_fields) = (fields_of(old), fields_of(new));
                let empty =
                    old_fields.is_none_or(Map::is_empty) && new_fields.is_none_or(Map::is_empty);
                if kind.is_atomic_map() || empty {
                    return self.leaf(old, new, path);
                }
                let names: BTreeSet<&String> = old_fields
                    .into_iter()
                    .chain(new_fields)
                    .flat_map(Map::keys)
                    .collect();
                for name in names {
                    let Some((field, _)) = kind.field(name) else {
                        continue;
                    };
                    let (old, new) = (
                        old_fields.and_then(|f| f.get(name)),
                        new_fields.and_then(|f| f.get(name)),
                    );
                    path.push(Element::Field(name.clone()));
                    self.compare(old, new, field, path);
                    path.pop();
                }
                false
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>, path: &[Element]) -> bool {
        match (old, new) {
            (None, _) => self.added.insert(path),
            (_, None) => self.removed.insert(path),
            (Some(old), Some(new)) if !same(old, new) => self.modified.insert(path),
            _ => {}
        }
        true
    }

    fn items(
        &mut self,
        items: (&[Value], &[Value]),
        kind: Type<'_>,
        keys: Keys<'_>,
        path: &mut Vec<Element>,
    ) {
        let mut by_element: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in items.0 {
            if let Ok(element) = keys.element(item) {
                by_element.entry(element).or_default().0.push(item);
            }
        }
        for item in items.1 {
            if let Ok(element) = keys.element(item) {
                by_element.entry(element).or_default().1.push(item);
            }
        }
        for (element, (old, new)) in by_element {
            path.push(element);
            match (&old[..], &new[..]) {
                ([] | [_], [] | [_]) => {
                    self.compare(
                        old.first().copied(),
                        new.first().copied(),
                        kind.items(),
                        path,
                    );
                }
                // Items that are there several times are compared as a whole.
                ([_, _, ..], [_, _, ..]) => {
                    let equal =
                        old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| same(a, b));
                    if !equal {
                        self.modified.insert(path);
                    }
                }
                ([_, _, ..], rest) => {
                    if let [item] = rest {
                        self.compare(None, Some(item), kind.items(), path);
                    }
                    self.removed.insert(path);
                }
                (rest, [_, _, ..]) => {
                    if let [item] = rest {
                        self.compare(Some(item), None, kind.items(), path);
                    }
                    self.added.insert(path);
                }
            }
            path.pop();
        }
    }
}

fn is_none_or_empty(items: Option<&[Value]>) -> bool {
    items.is_none_or(<[Value]>::is_empty)
}

/// `config` laid over `live`.
pub(super) fn merge(live: &Value, config: &Value, kind: Type<'_>) -> Value {
    match kind.forms_of(Some(config)).form() {
        Form::Scalar => config.clone(),
        Form::List => match (kind.list(), items_of(Some(live)), items_of(Some(config))) {
            (Some(keys), live_items, Some(items))
                if !(is_none_or_empty(live_items) && items.is_empty()) =>
            {
                Value::Array(merge_items(
                    live_items.unwrap_or_default(),
                    items,
                    kind,
                    keys,
                ))
            }
            // A null list adds nothing to the items that are there.
            (Some(_), Some(live_items), None) if !live_items.is_empty() => live.clone(),
            _ => config.clone(),
        },
        Form::Map if kind.is_atomic_map() => config.clone(),
        Form::Map => match (fields_of(Some(live)), fields_of(Some(config))) {
            (Some(live_fields), Some(config)) => {
                let mut merged = live_fields.clone();
                for (name, value) in config {
                    let value = match (live_fields.get(name), kind.field(name)) {
                        (Some(live), Some((field, _))) => merge(live, value, field),
                        _ => value.clone(),
                    };
                    merged.insert(name.clone(), value);
                }
                Value::Object(merged)
            }
            (Some(live_fields), None) if !live_fields.is_empty() => live.clone(),
            _ => config.clone(),
        },
    }
}

/// Merges two lists item by item. The order is that of `config` as far as the items are in it; the
/// others stay where they are relative to their neighbours.
fn merge_items(live: &[Value], config: &[Value], kind: Type<'_>, keys: Keys<'_>) -> Vec<Value> {
    let keyed = |items: &[Value]| -> Vec<(Element, Value)> {
        let key = |item: &Value| {
            keys.element(item)
                .ok()
                .map(|element| (element, item.clone()))
        };
        items.iter().filter_map(key).collect()
    };
    let (live, config) = (keyed(live), keyed(config));
    let mut live_by_element: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (element, item) in &live {
        // Of an item that is there twice neither is a base to merge with.
        live_by_element
            .entry(element)
            .and_modify(|known| *known = None)
            .or_insert(Some(item));
    }
    let in_config: BTreeSet<&Element> = config.iter().map(|(element, _)| element).collect();
    let join = |element: &Element, item: &Value| match live_by_element.get(element) {
        Some(Some(live)) => merge(live, item, kind.items()),
        _ => item.clone(),
    };
    let mut shared = config
        .iter()
        .map(|(e, _)| e)
        .filter(|e| live_by_element.contains_key(e))
        .peekable();
    let mut merged_elements: BTreeSet<&Element> = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut c) = (0, 0);
    while l < live.len() || c < config.len() {
        if let (Some((live_element, _)), Some((element, item))) = (live.get(l), config.get(c)) {
            if live_element == element {
                merged_elements.insert(element);
                out.push(join(element, item));
                (l, c) = (l + 1, c + 1);
                shared.next();
                continue;
            }
            let is_next = shared.peek().is_none_or(|next| *next == live_element);
            if in_config.contains(live_element) && !is_next {
                // Shared, but config wants another shared item first.
                l += 1;
                continue;
            }
        }
        if let Some((element, item)) = live.get(l) {
            if !in_config.contains(element) {
                out.push(item.clone());
                l += 1;
                continue;
            }
            if merged_elements.contains(element) {
                l += 1;
            }
        }
        if let Some((element, item)) = config.get(c) {
            merged_elements.insert(element);
            out.push(join(element, item));
            c += 1;
            if shared.peek() == Some(&element) {
                shared.next();
            }
        }
    }
    out
}

/// The value without the fields of a set. An object or list that loses everything becomes null.
pub(super) fn remove(value: &Value, fields: &Set, kind: Type<'_>) -> Value {
    match (kind.forms_of(Some(value)).form(), value) {
        (Form::List, Value::Array(items)) => {
            let Some(keys) = kind.list() else {
                return Value::Null;
            };
            let mut kept = Vec::new();
            for item in items {
                let node = keys
                    .element(item)
                    .ok()
                    .and_then(|element| fields.node(&element));
                match node {
                    Some(node) if node.member => {}
                    Some(node) => kept.push(remove(item, &node.below, kind.items())),
                    None => kept.push(item.clone()),
                }
            }
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Array(kept)
            }
        }
        (Form::Map, Value::Object(_)) if kind.is_atomic_map() => Value::Null,
        (Form::Map, Value::Object(entries)) => {
            let mut kept = Map::new();
            for (name, value) in entries {
                let field = kind.field(name).map_or(Type::Untyped, |(field, _)| field);
                match fields.node(&Element::Field(name.clone())) {
                    Some(node) if node.member => {}
                    Some(node) => {
                        kept.insert(name.clone(), remove(value, &node.below, field));
                    }
                    None => {
                        kept.insert(name.clone(), value.clone());
                    }
                }
            }
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        _ => value.clone(),
    }
}

/// The set with every declared field that has members below it as a member itself. That is what
/// removing needs: an object goes when its last owned field goes.
pub(super) fn with_parents(set: &Set, kind: Type<'_>) -> Set {
    let mut out = Set::default();
    for (element, node) in set.nodes() {
        let (below, declared) = match element {
            Element::Field(name) => kind.field(name).unwrap_or((Type::Untyped, false)),
            _ => (kind.items(), false),
        };
        let parent = declared && !node.below.is_empty();
        let node = Node {
            member: node.member || parent,
            below: with_parents(&node.below, below),
        };
        out.put(element.clone(), node);
    }
    out
}

/// The set after the schema has changed: what has become atomic is owned as a whole.
pub(super) fn reconciled(set: &Set, kind: Type<'_>) -> Set {
    let mut out = Set::default();
    for (element, node) in set.nodes() {
        let below = match element {
            Element::Field(name) => kind.field(name).map(|(field, _)| field),
            _ => Some(kind.items()),
        };
        let node = match below {
            Some(below @ Type::Of { .. }) if !node.below.is_empty() && is_atomic(below) => Node {
                member: true,
                below: Set::default(),
            },
            Some(below) => Node {
                member: node.member,
                below: reconciled(&node.below, below),
            },
            None => node.clone(),
        };
        out.put(element.clone(), node);
    }
    out
}

fn is_atomic(kind: Type<'_>) -> bool {
    match kind.forms_of(None).form() {
        Form::Map => kind.is_atomic_map(),
        Form::List => kind.list().is_none(),
        Form::Scalar => false,
    }
}
