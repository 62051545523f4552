//! Validation of values against a structural schema.
//!
//! The original counts how many checks a value passed, to choose which alternative of an `anyOf` or
//! `oneOf` to complain about, so the count is part of the behaviour here too.

use serde_json::{Value, json};

use super::{
    Additional, Bound, FieldError, ListType, Place, Quoted, Schema, Types,
    error::FieldPath,
    format::Format,
    number::{Float, same},
};

impl Schema {
    /// Checks a new object.
    ///
    /// Fields are visited in the order of their names, where the original's order is random.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        Walk::default()
            .value(object, None, self.place())
            .into_errors()
    }

    /// Checks an object that replaces `old`. What is wrong with a value that did not change is
    /// tolerated (KEP-4008, validation ratcheting).
    pub fn validate_update(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        Walk::default()
            .value(object, Some(old), self.place())
            .into_errors()
    }
}

/// The result of a part of the walk.
#[derive(Default)]
struct Outcome {
    errors: Vec<Problem>,
    passed: u32,
}

/// An error, with the text by which the original recognises repetitions.
struct Problem {
    text: String,
    error: FieldError,
}

impl Outcome {
    fn of(problem: Problem) -> Self {
        Self {
            errors: vec![problem],
            passed: 0,
        }
    }

    fn passed() -> Self {
        Self {
            errors: Vec::new(),
            passed: 1,
        }
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn add(&mut self, problem: Problem) {
        if self.errors.iter().all(|known| known.text != problem.text) {
            self.errors.push(problem);
        }
    }

    fn merge(&mut self, other: Self) {
        other
            .errors
            .into_iter()
            .for_each(|problem| self.add(problem));
        self.passed += other.passed;
    }

    fn into_errors(self) -> Vec<FieldError> {
        self.errors
            .into_iter()
            .map(|problem| problem.error)
            .collect()
    }
}

#[derive(Default)]
struct Walk {
    path: FieldPath,
}

impl Walk {
    fn value(&mut self, value: &Value, old: Option<&Value>, place: Place<'_>) -> Outcome {
        let place = match place.own().metadata {
            // The rest of the metadata is none of the schema's business.
            Some(Some(restrictions)) => place.at(restrictions),
            Some(None) => return Outcome::passed(),
            None => place,
        };
        let mut outcome = Outcome::default();
        if value.is_null() {
            outcome.merge(self.types(value, place));
            outcome.merge(self.enumeration(value, place));
        } else {
            self.parts(value, old, place, &mut outcome);
        }
        if !outcome.is_valid() && old.is_some_and(|old| same(old, value)) {
            outcome.errors.clear();
        }
        outcome
    }

    fn parts(
        &mut self,
        value: &Value,
        old: Option<&Value>,
        place: Place<'_>,
        outcome: &mut Outcome,
    ) {
        let typed = place.types() != Types::Any || Format::named(place.format()).is_some();
        let mut step = |applies: bool, part: &mut dyn FnMut() -> Outcome| {
            if applies {
                outcome.merge(part());
                outcome.passed += 1;
            }
        };
        step(typed, &mut || self.types(value, place));
        step(true, &mut || self.junctors(value, old, place));
        step(value.is_string(), &mut || self.text(value, place));
        step(
            value.is_string() && Format::named(place.format()).is_some(),
            &mut || self.format(value, place),
        );
        step(value.is_number(), &mut || self.number(value, place));
        step(value.is_array(), &mut || self.list(value, old, place));
        step(true, &mut || self.enumeration(value, place));
        step(value.is_object(), &mut || self.object(value, old, place));
        outcome.passed += 1;
    }

    fn types(&self, value: &Value, place: Place<'_>) -> Outcome {
        let wanted = type_names(place.types());
        let (found, found_format) = type_of(value);
        if value.is_null() {
            let refused = !wanted.is_empty() && !place.is_nullable();
            return if refused {
                self.wrong_type(&wanted.join(","), found)
            } else {
                Outcome::passed()
            };
        }
        let integral = value.as_i64().is_some() || value.as_f64().is_some_and(|f| f.fract() == 0.0);
        let fits = wanted.contains(&found)
            || (found == "number" && integral && wanted.contains(&"integer"))
            || (found == "integer" && wanted.contains(&"number"));
        let format = Format::named(place.format()).map(|_| place.format());
        let numeric = wanted.contains(&"integer") || wanted.contains(&"number");
        match format {
            Some(format) if !value.is_string() && !value.is_array() && !fits => {
                self.wrong_type(format, found_format)
            }
            // A format is checked by itself, and says enough about the type.
            Some(_) if !numeric && (value.is_string() || value.is_array()) => Outcome::passed(),
            _ if !fits => self.wrong_type(&wanted.join(","), found),
            _ => Outcome::passed(),
        }
    }

    fn wrong_type(&self, wanted: &str, found: &str) -> Outcome {
        let detail = format!(
            "{} in body must be of type {wanted}: {}",
            self.path.as_str(),
            Quoted(found)
        );
        Outcome::of(self.problem(detail, |field, detail| {
            FieldError::type_invalid(field, &json!(found), detail)
        }))
    }

    fn enumeration(&self, value: &Value, place: Place<'_>) -> Outcome {
        let allowed = &place.rules().enumeration;
        if allowed.is_empty()
            || (!value.is_null() && allowed.iter().any(|allowed| same(allowed, value)))
        {
            return Outcome::default();
        }
        let names: Vec<String> = allowed
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect();
        let text = format!("{} in body should be one of {names:?}", self.path.as_str());
        let error = FieldError::not_supported(&self.field(), value, &names);
        Outcome::of(Problem { text, error })
    }

    fn text(&self, value: &Value, place: Place<'_>) -> Outcome {
        let text = value.as_str().unwrap_or_default();
        let length = text.chars().count() as u64;
        let rules = place.rules();
        // Only the first of these is reported.
        if let Some(max) = rules.length_max.filter(|&max| length > max) {
            let text = format!(
                "{} in body should be at most {max} chars long",
                self.path.as_str()
            );
            let error = FieldError::too_long(&self.field(), max);
            return Outcome::of(Problem { text, error });
        }
        if let Some(min) = rules.length_min.filter(|&min| length < min) {
            return self.invalid(value, &format!("should be at least {min} chars long"));
        }
        match &rules.pattern {
            Some(pattern)
                if pattern
                    .regex
                    .as_ref()
                    .is_some_and(|regex| !regex.is_match(text)) =>
            {
                self.invalid(value, &format!("should match '{}'", pattern.source))
            }
            _ => Outcome::default(),
        }
    }

    fn format(&self, value: &Value, place: Place<'_>) -> Outcome {
        let text = value.as_str().unwrap_or_default();
        match Format::named(place.format()) {
            Some(format) if !format.accepts(text) => {
                let detail = format!(
                    "{} in body must be of type {}: {}",
                    self.path.as_str(),
                    place.format(),
                    Quoted(text)
                );
                Outcome::of(self.problem(detail, |field, detail| {
                    FieldError::type_invalid(field, value, detail)
                }))
            }
            _ => Outcome::default(),
        }
    }

    fn number(&self, value: &Value, place: Place<'_>) -> Outcome {
        let rules = place.rules();
        let mut outcome = Outcome::passed();
        // A bound of an integer is itself cut to an integer.
        let integer = value.as_i64();
        let bound = |bound: f64| {
            if integer.is_some() {
                bound.trunc()
            } else {
                bound
            }
        };
        let data = value.as_f64().unwrap_or_default();
        if let Some(factor) = rules.multiple_of.map(bound) {
            let multiple = match integer {
                Some(integer) if factor != 0.0 => (integer as f64 / factor).fract() == 0.0,
                _ if factor > 0.0 && factor < 1.0 => {
                    (data / factor).round().mul_add(-factor, data).abs() < 1e-9
                }
                _ => factor > 0.0 && (data / factor).fract() == 0.0,
            };
            if !multiple {
                outcome.merge(
                    self.invalid(value, &format!("should be a multiple of {}", Float(factor))),
                );
            }
        }
        if let Some(Bound {
            value: limit,
            exclusive,
        }) = rules.minimum
        {
            let limit = bound(limit);
            if data < limit || (exclusive && data <= limit) {
                let or_equal = if exclusive { "" } else { " or equal to" };
                let detail = format!("should be greater than{or_equal} {}", Float(limit));
                outcome.merge(self.invalid(value, &detail));
            }
        }
        if let Some(Bound {
            value: limit,
            exclusive,
        }) = rules.maximum
        {
            let limit = bound(limit);
            if data > limit || (exclusive && data >= limit) {
                let or_equal = if exclusive { "" } else { " or equal to" };
                let detail = format!("should be less than{or_equal} {}", Float(limit));
                outcome.merge(self.invalid(value, &detail));
            }
        }
        outcome
    }

    fn list(&mut self, value: &Value, old: Option<&Value>, place: Place<'_>) -> Outcome {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let rules = place.rules();
        let count = items.len() as u64;
        let mut outcome = Outcome::passed();
        if let Some(item) = place.items() {
            for (index, value) in items.iter().enumerate() {
                let old = old.and_then(|old| correlated(old, value, place));
                let mark = self.path.bracket(index);
                outcome.merge(self.value(value, old, item));
                self.path.back(mark);
            }
        }
        if let Some(min) = rules.items_min.filter(|&min| count < min) {
            outcome
                .merge(self.invalid(&json!(count), &format!("should have at least {min} items")));
        }
        if let Some(max) = rules.items_max.filter(|&max| count > max) {
            outcome.add(self.too_many(count, max, "items"));
        }
        let repeated = |index: usize| items[..index].iter().any(|item| same(item, &items[index]));
        if rules.unique_items && (1..items.len()).any(repeated) {
            outcome.merge(self.invalid(&json!(""), "shouldn't contain duplicates"));
        }
        outcome
    }

    fn object(&mut self, value: &Value, old: Option<&Value>, place: Place<'_>) -> Outcome {
        let Some(fields) = value.as_object() else {
            return Outcome::default();
        };
        let rules = place.rules();
        let count = fields.len() as u64;
        let mut outcome = Outcome::default();
        if let Some(min) = rules.properties_min.filter(|&min| count < min) {
            outcome.merge(self.invalid(
                &json!(count),
                &format!("should have at least {min} properties"),
            ));
        }
        if let Some(max) = rules.properties_max.filter(|&max| count > max) {
            outcome.add(self.too_many(count, max, "properties"));
        }
        let mut names: Vec<_> = fields.keys().collect();
        names.sort();
        let old = |name: &str| {
            let separate = place.atomic_map() != Some(true);
            old.filter(|_| separate).and_then(|old| old.get(name))
        };
        for name in names.iter().filter(|name| place.property(name).is_none()) {
            if place.additional() == Additional::Allowed(false) {
                let detail = format!(
                    "{}.{name} in body is a forbidden property",
                    self.path.as_str()
                );
                outcome.add(self.problem(detail, |field, detail| {
                    FieldError::invalid(field, &json!(name), detail)
                }));
            } else if let Some(additional) = place.additional_schema() {
                let mark = self.path.child(name);
                outcome.merge(self.value(&fields[*name], old(name), additional));
                self.path.back(mark);
            }
        }
        for (name, property) in place.properties() {
            if let Some(value) = fields.get(name) {
                let mark = self.path.child(name);
                outcome.merge(self.value(value, old(name), property));
                self.path.back(mark);
            }
        }
        for name in rules
            .required
            .iter()
            .filter(|name| !fields.contains_key(&***name))
        {
            let mark = self.path.child(name);
            let text = format!(".{} in body is required", self.path.as_str());
            outcome.add(Problem {
                text,
                error: FieldError::required(&self.field(), ""),
            });
            self.path.back(mark);
        }
        outcome
    }

    fn junctors(&mut self, value: &Value, old: Option<&Value>, place: Place<'_>) -> Outcome {
        let rules = place.rules();
        let mut outcome = Outcome::passed();
        let place = place.resolved();
        if !rules.any_of.is_empty() {
            let results = rules
                .any_of
                .iter()
                .map(|&id| self.value(value, old, place.at(id)));
            let (valid, best) = best(results, true);
            if valid == 0 {
                outcome.add(self.composite("must validate at least one schema (anyOf)"));
            }
            outcome.merge(best);
        }
        if !rules.one_of.is_empty() {
            let results = rules
                .one_of
                .iter()
                .map(|&id| self.value(value, old, place.at(id)));
            let (valid, best) = best(results, false);
            if valid != 1 {
                let found = match valid {
                    0 => "Found none valid".to_owned(),
                    _ => format!("Found {valid} valid alternatives"),
                };
                outcome.add(self.composite(&format!(
                    "must validate one and only one schema (oneOf). {found}"
                )));
            }
            if valid <= 1 {
                outcome.merge(best);
            }
        }
        if !rules.all_of.is_empty() {
            let mut valid = 0;
            for &id in &rules.all_of {
                let result = self.value(value, old, place.at(id));
                valid += usize::from(result.is_valid());
                outcome.merge(result);
            }
            if valid != rules.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                outcome
                    .add(self.composite(&format!("must validate all the schemas (allOf){none}")));
            }
        }
        if let Some(not) = rules.not
            && self.value(value, old, place.at(not)).is_valid()
        {
            outcome.add(self.composite("must not validate the schema (not)"));
        }
        outcome
    }

    fn invalid(&self, value: &Value, detail: &str) -> Outcome {
        let detail = format!("{} in body {detail}", self.path.as_str());
        Outcome::of(self.problem(detail, |field, detail| {
            FieldError::invalid(field, value, detail)
        }))
    }

    fn too_many(&self, count: u64, max: u64, what: &str) -> Problem {
        let text = format!(
            "{} in body should have at most {max} {what}",
            self.path.as_str()
        );
        Problem {
            text,
            error: FieldError::too_many(&self.field(), count, max),
        }
    }

    /// An error about several schemas at once carries no field.
    fn composite(&self, what: &str) -> Problem {
        let text = format!("{} {what}", Quoted(self.path.as_str()));
        let error = FieldError::invalid("<nil>", &json!(""), &text);
        Problem { text, error }
    }

    fn problem(&self, detail: String, error: impl FnOnce(&str, &str) -> FieldError) -> Problem {
        let error = error(&self.field(), &detail);
        Problem {
            text: detail,
            error,
        }
    }

    /// The path as it stands in a cause. The root has none, which Go prints as a nil pointer.
    fn field(&self) -> String {
        match self.path.as_str() {
            "" => "<nil>".to_owned(),
            path => path.trim_start_matches('.').to_owned(),
        }
    }
}

/// How many alternatives are valid, and the outcome to go on with: the first valid one, or the one
/// that passed the most checks.
fn best(results: impl Iterator<Item = Outcome>, stop_at_first: bool) -> (usize, Outcome) {
    let mut valid = 0;
    let mut best: Option<Outcome> = None;
    for result in results {
        if result.is_valid() {
            valid += 1;
            if valid == 1 {
                best = Some(result);
            }
            if stop_at_first {
                break;
            }
        } else if valid == 0 && best.as_ref().is_none_or(|best| result.passed > best.passed) {
            best = Some(result);
        }
    }
    (valid, best.unwrap_or_default())
}

/// The item of the old list that stands for the same thing: only keys can tell.
fn correlated<'v>(old: &'v Value, item: &Value, place: Place<'_>) -> Option<&'v Value> {
    if place.list_type() != Some(ListType::Map) {
        return None;
    }
    let keys = place.list_map_keys();
    let alike = |old: &&Value| keys.iter().all(|key| same(&old[&**key], &item[&**key]));
    old.as_array()?.iter().find(alike)
}

fn type_names(types: Types) -> &'static [&'static str] {
    match types {
        Types::Any => &[],
        Types::Object => &["object"],
        Types::Array => &["array"],
        Types::String => &["string"],
        Types::Integer => &["integer"],
        Types::Number => &["number"],
        Types::Boolean => &["boolean"],
        Types::IntegerOrString => &["integer", "string"],
    }
}

/// The type of a value, and the format that goes with it.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.as_i64().is_some() => ("integer", "int64"),
        Value::Number(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}
