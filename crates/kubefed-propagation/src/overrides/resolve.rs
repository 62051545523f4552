//! Where KubeFed's reading of an override differs from RFC 6902, and nowhere else.

use std::borrow::Cow;

use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use kubefed_api::{Override, OverrideOperation};
use serde_json::Value;

use super::limits;

/// The RFC 6902 operation that does to `document` what the override means.
///
/// The operation applies: its parent exists, its index is a plain one in range, and a member that is
/// removed is there.
pub(super) fn resolve(document: &Value, item: &Override) -> Result<PatchOperation, String> {
    let Some((_, pointer)) = item.path.split_once('/') else {
        return resolve_root(item);
    };
    let mut segments = pointer.split('/');
    let last = segments.next_back().unwrap_or_default();
    let mut parent = document;
    let mut path = PointerBuf::root();
    for segment in segments {
        parent = descend(parent, segment, &mut path)?;
    }
    let operation = target(parent, &unescape(last), item.operation, &mut path)?;
    Ok(match operation {
        OverrideOperation::Remove => PatchOperation::Remove(RemoveOperation { path }),
        OverrideOperation::Add => PatchOperation::Add(AddOperation {
            value: limits::value(item.value.as_ref(), path.count())?,
            path,
        }),
        OverrideOperation::Replace => PatchOperation::Replace(ReplaceOperation {
            value: limits::value(item.value.as_ref(), path.count())?,
            path,
        }),
    })
}

/// A path without any `/` leads nowhere, save the empty one in a `replace` of the whole object.
fn resolve_root(item: &Override) -> Result<PatchOperation, String> {
    if !item.path.is_empty() {
        return Err("a path begins with /".to_owned());
    }
    if item.operation != OverrideOperation::Replace {
        return Err("the whole object can only be replaced".to_owned());
    }
    match &item.value {
        Some(value @ Value::Object(_)) => Ok(PatchOperation::Replace(ReplaceOperation {
            value: limits::value(Some(value), 0)?,
            path: PointerBuf::root(),
        })),
        _ => Err("the whole object can only be replaced by an object".to_owned()),
    }
}

/// One step down to something that must exist and not be null.
fn descend<'a>(
    parent: &'a Value,
    segment: &str,
    path: &mut PointerBuf,
) -> Result<&'a Value, String> {
    let name = unescape(segment);
    let child = match parent {
        Value::Object(members) => {
            path.push_back(Token::new(&*name));
            members.get(&*name)
        }
        Value::Array(elements) => {
            let index = index(&name, elements.len(), elements.len())?;
            path.push_back(Token::from(index));
            elements.get(index)
        }
        _ => return Err(format!("{:?} has no members", path.as_str())),
    };
    child
        .filter(|child| !child.is_null())
        .ok_or_else(|| format!("{:?} does not exist", path.as_str()))
}

/// The last step: completes the path and says which operation of RFC 6902 it takes.
fn target(
    parent: &Value,
    name: &str,
    operation: OverrideOperation,
    path: &mut PointerBuf,
) -> Result<OverrideOperation, String> {
    match parent {
        Value::Object(members) => {
            path.push_back(Token::new(name));
            match operation {
                OverrideOperation::Remove if !members.contains_key(name) => {
                    Err(format!("{:?} does not exist", path.as_str()))
                }
                OverrideOperation::Remove => Ok(OverrideOperation::Remove),
                // Setting a member is the same whether it exists or not.
                OverrideOperation::Add | OverrideOperation::Replace => Ok(OverrideOperation::Add),
            }
        }
        Value::Array(elements) => {
            let length = elements.len();
            let index = match operation {
                OverrideOperation::Add if name == "-" => length,
                // An element can be added in one place more than there are elements.
                OverrideOperation::Add => index(name, length + 1, length)?,
                _ => index(name, length, length)?,
            };
            path.push_back(Token::from(index));
            Ok(operation)
        }
        _ => Err(format!("{:?} is neither object nor list", path.as_str())),
    }
}

/// Reads an index among `places`, of which negative ones count from the end.
fn index(text: &str, places: usize, length: usize) -> Result<usize, String> {
    let out_of_range = || format!("index {text} is out of range, the list has {length} elements");
    let Ok(index) = text.parse::<i64>() else {
        return Err(format!("{text:?} is no index of a list"));
    };
    let from_end = usize::try_from(index.unsigned_abs()).map_err(|_| out_of_range())?;
    let index = if index < 0 {
        places.checked_sub(from_end)
    } else {
        Some(from_end)
    };
    index
        .filter(|index| *index < places)
        .ok_or_else(out_of_range)
}

/// Reads `~1` and `~0`; any other use of `~` stands for itself.
fn unescape(segment: &str) -> Cow<'_, str> {
    if segment.contains('~') {
        Cow::Owned(segment.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(segment)
    }
}
