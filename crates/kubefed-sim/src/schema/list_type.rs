//! Uniqueness of the items of lists of type set and map.

use serde_json::{Map, Value, json};

use super::{FieldError, ListType, Place, Schema, error::FieldPath, same};

impl Schema {
    /// Finds duplicates in lists of type set and map, each reported once, at its second appearance.
    pub fn check_list_types(&self, object: &Value) -> Vec<FieldError> {
        let mut walk = Walk {
            path: FieldPath::default(),
            errors: Vec::new(),
        };
        walk.value(object, self.place());
        walk.errors
    }
}

struct Walk {
    path: FieldPath,
    errors: Vec<FieldError>,
}

impl Walk {
    fn value(&mut self, value: &Value, place: Place<'_>) {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                for (name, value) in fields {
                    if let Some(field) = place.property(name) {
                        // Metadata has its own rules.
                        if field.own().metadata.is_some() {
                            continue;
                        }
                        let mark = self.path.child(name);
                        self.value(value, field);
                        self.path.back(mark);
                    } else if let Some(field) = place.additional_schema() {
                        let mark = self.path.bracket(name);
                        self.value(value, field);
                        self.path.back(mark);
                    }
                }
            }
            Value::Array(items) => self.list(items, place),
            _ => {}
        }
    }

    fn list(&mut self, items: &[Value], place: Place<'_>) {
        match place.list_type() {
            Some(ListType::Set) => self.unique(items),
            Some(ListType::Map) => self.map(items, place.list_map_keys()),
            _ => {}
        }
        if let Some(item) = place.items() {
            for (index, value) in items.iter().enumerate() {
                let mark = self.path.bracket(index);
                self.value(value, item);
                self.path.back(mark);
            }
        }
    }

    fn map(&mut self, items: &[Value], keys: &[Box<str>]) {
        let odd = items
            .iter()
            .position(|item| !item.is_object() && !item.is_null());
        if let Some(index) = odd {
            let mark = self.path.bracket(index);
            let detail = "must be an object for an array of list-type map";
            self.errors.push(FieldError::invalid(
                self.path.as_str(),
                &items[index],
                detail,
            ));
            self.path.back(mark);
            return;
        }
        let key_of = |item: &Value| {
            let named = keys
                .iter()
                .filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
            Value::Object(named.collect::<Map<_, _>>())
        };
        let keys: Vec<_> = items.iter().map(key_of).collect();
        self.unique(&keys);
    }

    fn unique(&mut self, items: &[Value]) {
        let mut reported: Vec<usize> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let seen = items[..index].iter().any(|earlier| same(earlier, item));
            let told = reported.iter().any(|&index| same(&items[index], item));
            if seen && !told {
                reported.push(index);
            }
        }
        for index in reported {
            let mark = self.path.bracket(index);
            self.errors.push(FieldError::duplicate(
                self.path.as_str(),
                &json!(items[index]),
            ));
            self.path.back(mark);
        }
    }
}
