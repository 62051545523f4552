//! Dropping what a schema does not know.

use serde_json::{Map, Value};

use super::{Additional, Place, Schema, error::FieldPath};

/// The fields of every resource, which are not reported at the root of an object.
const TYPE_META: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Removes every field that the schema does not specify, and says which: the paths, sorted, as
    /// they stand in the answer to a request with `fieldValidation=Strict` or `Warn`.
    ///
    /// Fields below `x-kubernetes-preserve-unknown-fields` stay. `metadata` is held to the fields
    /// that every object's metadata has.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut walk = Walk {
            path: FieldPath::default(),
            unknown: Vec::new(),
        };
        walk.value(object, Some(self.place()));
        walk.unknown.sort();
        walk.unknown
    }
}

struct Walk {
    path: FieldPath,
    unknown: Vec<String>,
}

impl Walk {
    /// A place of `None` is a value that nothing describes: all its fields go.
    fn value(&mut self, value: &mut Value, place: Option<Place<'_>>) {
        match value {
            Value::Object(fields) => self.fields(fields, place),
            Value::Array(items) => {
                let keeps = place.is_some_and(Place::preserves_unknown_fields);
                let item = place.and_then(Place::items);
                if keeps && item.is_none() {
                    return;
                }
                for (index, value) in items.iter_mut().enumerate() {
                    let mark = self.path.bracket(index);
                    self.value(value, item);
                    self.path.back(mark);
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, place: Option<Place<'_>>) {
        let keeps = place.is_some_and(Place::preserves_unknown_fields);
        let any = place.is_some_and(|place| place.additional() == Additional::Allowed(true));
        fields.retain(|name, value| {
            let field = place.and_then(|place| place.field(name));
            if field.is_some() {
                let mark = self.path.child(name);
                self.value(value, field);
                self.path.back(mark);
                return true;
            }
            if any && !keeps {
                // `additionalProperties: true` says that the field may be there, and nothing about
                // what may be in it.
                let mark = self.path.child(name);
                self.value(value, None);
                self.path.back(mark);
                return true;
            }
            let at_root = self.path.as_str().is_empty();
            let implied = at_root && TYPE_META.contains(&name.as_str());
            if !keeps && !implied {
                let mark = self.path.child(name);
                self.unknown.push(self.path.as_str().to_owned());
                self.path.back(mark);
            }
            keeps
        });
    }
}
