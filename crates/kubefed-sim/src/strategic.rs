//! Strategic merge patches: merge patches that know which lists are merged, and by which key.
//!
//! Only built-in kinds accept them. The schema of a field says how: `x-kubernetes-patch-strategy`
//! (`merge`, `replace`, `retainKeys`) and `x-kubernetes-patch-merge-key`. The patch itself may give
//! directives: `$patch`, `$setElementOrder/field`, `$deleteFromPrimitiveList/field`, `$retainKeys`.

use serde_json::{Map, Value};

use crate::schema::{GoType, GoValue, Place, Schema, same};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

type Fields = Map<String, Value>;

/// The object with the patch applied.
///
/// # Errors
///
/// A patch that is not an object, that contradicts itself, or whose list items lack their merge key.
/// The texts are those that kube-apiserver answers with.
pub fn apply(object: &Value, patch: &Value, schema: &Schema) -> Result<Value, String> {
    let (Some(object), Some(patch)) = (object.as_object(), patch.as_object()) else {
        return Err("invalid JSON document".to_owned());
    };
    Ok(Value::Object(merge(
        object.clone(),
        patch,
        Some(schema.place()),
    )?))
}

/// A place of `None` is a value without a schema: objects are merged and lists replaced.
fn merge(mut object: Fields, patch: &Fields, place: Option<Place<'_>>) -> Result<Fields, String> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                let rest = patch.iter().filter(|(name, _)| *name != DIRECTIVE);
                Ok(rest
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect())
            }
            Some("delete") => Ok(Fields::new()),
            _ => Err(unknown(directive, &Value::Object(patch.clone()))),
        };
    }
    retain_keys(&mut object, patch)?;
    let ordered = merge_ordered(&mut object, patch, place)?;
    for (name, value) in patch {
        if name == RETAIN_KEYS || name.starts_with(SET_ORDER) || ordered.contains(&name.as_str()) {
            continue;
        }
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            delete_from_list(&mut object, name, value)?;
        } else {
            merge_field(
                &mut object,
                name,
                value,
                place.and_then(|place| place.field(name)),
            )?;
        }
    }
    Ok(object)
}

fn merge_field(
    object: &mut Fields,
    name: &str,
    value: &Value,
    place: Option<Place<'_>>,
) -> Result<(), String> {
    let replaced = strategy(place) == "replace";
    let merged = match (object.get_mut(name), value) {
        (_, Value::Null) => {
            object.remove(name);
            return Ok(());
        }
        (Some(Value::Object(_)), Value::Object(_)) | (Some(Value::Array(_)), Value::Array(_))
            if replaced =>
        {
            value.clone()
        }
        (Some(Value::Object(old)), Value::Object(patch)) => {
            Value::Object(merge(std::mem::take(old), patch, place)?)
        }
        (Some(Value::Array(old)), Value::Array(patch)) => {
            Value::Array(merge_list(std::mem::take(old), patch, place)?)
        }
        _ => match without_directives(value) {
            Some(value) => value,
            None => {
                object.remove(name);
                return Ok(());
            }
        },
    };
    object.insert(name.to_owned(), merged);
    Ok(())
}

/// How the field is merged, apart from `retainKeys`, which needs a directive to do anything.
fn strategy<'a>(place: Option<Place<'a>>) -> &'a str {
    let mut strategies = place.into_iter().flat_map(Place::patch_strategies);
    strategies
        .find(|strategy| *strategy != "retainKeys")
        .unwrap_or_default()
}

fn merge_key<'a>(place: Option<Place<'a>>) -> &'a str {
    place.and_then(Place::patch_merge_key).unwrap_or_default()
}

fn unknown(directive: &Value, map: &Value) -> String {
    format!(
        "unknown patch type: {} in map: {}",
        GoValue(directive),
        GoValue(map)
    )
}

/// `$retainKeys` lists the fields that stay; everything the patch sets must be among them.
fn retain_keys(object: &mut Fields, patch: &Fields) -> Result<(), String> {
    let Some(directive) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let bad = || "invalid patch format of retainKeys".to_owned();
    let kept = directive.as_array().ok_or_else(bad)?;
    let keeps = |name: &str| kept.iter().any(|kept| kept == name);
    let directed = |name: &str| {
        name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER)
    };
    if patch
        .iter()
        .any(|(name, value)| !value.is_null() && !directed(name) && !keeps(name))
    {
        return Err(bad());
    }
    object.retain(|name, _| keeps(name));
    Ok(())
}

/// Merges the lists whose order the patch gives; returns their names.
fn merge_ordered<'p>(
    object: &mut Fields,
    patch: &'p Fields,
    place: Option<Place<'_>>,
) -> Result<Vec<&'p str>, String> {
    let mut names = Vec::new();
    for (directive, order) in patch {
        let Some(name) = directive.strip_prefix(SET_ORDER) else {
            continue;
        };
        let list = |value: Option<&Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items.clone())),
            Some(other) => Err(format!(
                "expected a []interface {{}}, but received a {}",
                GoType(other)
            )),
        };
        let order = list(Some(order))?.unwrap_or_default();
        let (old, new) = (list(object.get(name))?, list(patch.get(name))?);
        let field = place.and_then(|place| place.field(name));
        let key = merge_key(field);
        check_order(new.as_deref().unwrap_or_default(), &order, key)?;
        let merged = match (&old, &new) {
            (None, None) => continue,
            (Some(old), None) => old.clone(),
            (None, Some(new)) => new.iter().filter_map(without_directives).collect(),
            (Some(_), Some(new)) if strategy(field) != "merge" => new.clone(),
            (Some(old), Some(new)) => merge_list(old.clone(), new, field)?,
        };
        let merged = arrange(merged, &order, old.as_deref().unwrap_or_default(), key)?;
        object.insert(name.to_owned(), Value::Array(merged));
        names.push(name);
    }
    Ok(names)
}

/// The items of a patch must stand in the order that its directive gives.
fn check_order(items: &[Value], order: &[Value], key: &str) -> Result<(), String> {
    let mut rest = order.iter();
    for item in items.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if !rest.any(|next| alike(next, item, key)) {
            let (items, order) = (Value::Array(items.to_vec()), Value::Array(order.to_vec()));
            let (items, order) = (GoValue(&items), GoValue(&order));
            return Err(format!(
                "The order in patch list:\n{items}\n doesn't match $setElementOrder list:\n{order}\n"
            ));
        }
    }
    Ok(())
}

fn delete_from_list(object: &mut Fields, name: &str, gone: &Value) -> Result<(), String> {
    let gone = gone
        .as_array()
        .ok_or("invalid patch format of primitive list")?;
    if let Some(Value::Array(items)) = object.get_mut(name) {
        items.retain(|item| !gone.iter().any(|gone| same(gone, item)));
    }
    Ok(())
}

fn merge_list(
    old: Vec<Value>,
    patch: &[Value],
    place: Option<Place<'_>>,
) -> Result<Vec<Value>, String> {
    if strategy(place) != "merge" {
        return Ok(patch.to_vec());
    }
    let first = old.iter().chain(patch).next();
    let Some(first) = first else { return Ok(old) };
    if old
        .iter()
        .chain(patch)
        .any(|item| GoType(item).name() != GoType(first).name())
    {
        return Err("list element types are not identical".to_owned());
    }
    match first {
        Value::Array(_) => Err("lists of lists are not supported".to_owned()),
        Value::Object(_) => merge_objects(old, patch, place),
        _ => {
            let mut merged: Vec<Value> = Vec::with_capacity(old.len() + patch.len());
            for item in old.iter().chain(patch) {
                if !merged.iter().any(|known| same(known, item)) {
                    merged.push(item.clone());
                }
            }
            arrange(merged, patch, &old, "")
        }
    }
}

fn merge_objects(
    mut old: Vec<Value>,
    patch: &[Value],
    place: Option<Place<'_>>,
) -> Result<Vec<Value>, String> {
    let key = merge_key(place);
    if key.is_empty() {
        return Err("cannot merge lists without merge key".to_owned());
    }
    let mut items = Vec::new();
    let mut replace = false;
    for item in patch {
        match item
            .get(DIRECTIVE)
            .map(|directive| directive.as_str().unwrap_or_default())
        {
            None => items.push(item),
            Some("replace") => replace = true,
            Some("delete") => {
                let gone = key_of(item, key)?;
                old.retain(|item| item.get(key).is_none_or(|value| !same(value, gone)));
            }
            Some("merge") => {
                return Err("merging lists cannot yet be specified in the patch".to_owned());
            }
            Some(_) => return Err(unknown(&item[DIRECTIVE], item)),
        }
    }
    if replace {
        let items: Vec<_> = items.into_iter().cloned().collect();
        return arrange(items, &[], &[], key);
    }
    let before = old.clone();
    let item_place = place.and_then(Place::items);
    for item in &items {
        let value = key_of(item, key)?;
        let found = old
            .iter_mut()
            .find(|old| old.get(key).is_some_and(|old| same(old, value)));
        match (found, item) {
            (Some(Value::Object(old)), Value::Object(patch)) => {
                *old = merge(std::mem::take(old), patch, item_place)?;
            }
            _ => old.push((*item).clone()),
        }
    }
    let order: Vec<_> = items.into_iter().cloned().collect();
    arrange(old, &order, &before, key)
}

fn key_of<'v>(item: &'v Value, key: &str) -> Result<&'v Value, String> {
    item.get(key).ok_or_else(|| {
        let item = GoValue(item);
        format!("map: {item} does not contain declared merge key: {key}")
    })
}

/// Puts items in order: those of the patch as `order` says, the others as they were before, and the
/// two as they stood to each other before, as far as they did.
fn arrange(
    items: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: &str,
) -> Result<Vec<Value>, String> {
    if !key.is_empty() {
        items
            .iter()
            .try_for_each(|item| key_of(item, key).map(drop))?;
    }
    let index =
        |list: &[Value], item: &Value| list.iter().position(|other| alike(other, item, key));
    let (mut patched, mut others): (Vec<_>, Vec<_>) = items
        .into_iter()
        .partition(|item| index(order, item).is_some());
    patched.sort_by_key(|item| index(order, item));
    others.sort_by_key(|item| index(before, item));
    let mut arranged = Vec::with_capacity(patched.len() + others.len());
    let (mut patched, mut others) = (
        patched.into_iter().peekable(),
        others.into_iter().peekable(),
    );
    loop {
        let other_first = match (patched.peek(), others.peek()) {
            (None, None) => return Ok(arranged),
            (patched, other) => match (patched, other) {
                (None, _) => true,
                (_, None) => false,
                (Some(patched), Some(other)) => {
                    matches!((index(before, other), index(before, patched)), (Some(o), Some(p)) if o < p)
                }
            },
        };
        arranged.extend(if other_first {
            others.next()
        } else {
            patched.next()
        });
    }
}

/// Whether two items stand for the same thing.
fn alike(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() {
        return same(a, b);
    }
    matches!((a.get(key), b.get(key)), (Some(a), Some(b)) if same(a, b))
}

/// A value that is taken from the patch as it is: without nulls, and without what carries a
/// directive; `None` if that is all of it.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Some(
                kept.filter_map(|(name, value)| Some((name.clone(), without_directives(value)?)))
                    .collect(),
            )
        }
        Value::Array(items) => Some(items.iter().filter_map(without_directives).collect()),
        value => Some(value.clone()),
    }
}
