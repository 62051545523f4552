use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Expression, Selector, SelectorExt};
use serde_json::Value;

use super::fields::{Fields, read_string};
use crate::{ClusterName, Error, is_dns1123_subdomain};

/// The clusters that one federated object asks for, before anything else is considered.
///
/// A missing list, an empty list and a selector mean three different things (KubeFed user guide,
/// "Using cluster selector"); null counts as missing. Closed: placement has no other form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClusterSelection {
    /// `placement.clusters` was given. An empty list selects nothing; a selector beside it is ignored.
    Named(BTreeSet<ClusterName>),
    /// Only `placement.clusterSelector` was given. An empty selector selects every cluster.
    Matching(Selector),
    /// Neither was given, which selects nothing.
    Nowhere,
}

impl ClusterSelection {
    /// Reads `spec.placement`.
    ///
    /// # Errors
    ///
    /// A value of the wrong type anywhere, also in a selector that would be ignored, and a selector
    /// that is needed but has a bad key, operator or value.
    pub fn parse(placement: &Value) -> Result<Self, Error> {
        let placement = Fields::read(placement, "spec.placement")?;
        let selector_given = !placement.value("clusterSelector").is_null();
        let selector = RawSelector::read(&placement.object("clusterSelector")?)?;
        if let Some(clusters) = placement.list("clusters")? {
            return named(clusters, &placement.path("clusters"));
        }
        if !selector_given {
            return Ok(Self::Nowhere);
        }
        selector
            .check(&placement.path("clusterSelector"))
            .map(Self::Matching)
    }

    /// Whether a cluster with this name and these labels is asked for.
    pub fn selects(&self, name: &ClusterName, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Named(names) => names.contains(name),
            Self::Matching(selector) => selector.matches(labels),
            Self::Nowhere => false,
        }
    }
}

fn named(clusters: &[Value], path: &str) -> Result<ClusterSelection, Error> {
    let name = |(index, entry)| {
        let entry = Fields::read(entry, format!("{path}[{index}]"))?;
        entry.string("name").map(ClusterName::from)
    };
    clusters
        .iter()
        .enumerate()
        .map(name)
        .collect::<Result<_, _>>()
        .map(ClusterSelection::Named)
}

/// A label selector whose types are right and whose content is not yet judged.
struct RawSelector {
    labels: Vec<(String, String)>,
    requirements: Vec<Requirement>,
}

struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl RawSelector {
    fn read(selector: &Fields<'_>) -> Result<Self, Error> {
        let match_labels = selector.object("matchLabels")?;
        let label = |(key, value): (&String, &Value)| {
            let value = read_string(value, || match_labels.path(key))?;
            Ok((key.clone(), value.to_owned()))
        };
        let labels = match_labels
            .members()
            .map(label)
            .collect::<Result<_, _>>()?;
        let expressions = selector.list("matchExpressions")?.unwrap_or_default();
        let path = selector.path("matchExpressions");
        let requirement = |(index, entry)| {
            let entry = Fields::read(entry, format!("{path}[{index}]"))?;
            Ok(Requirement {
                key: entry.string("key")?.to_owned(),
                operator: entry.string("operator")?.to_owned(),
                values: entry.strings("values")?.unwrap_or_default(),
            })
        };
        let requirements = expressions
            .iter()
            .enumerate()
            .map(requirement)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            labels,
            requirements,
        })
    }

    fn check(self, path: &str) -> Result<Selector, Error> {
        let mut expressions = Vec::with_capacity(self.labels.len() + self.requirements.len());
        for (key, value) in self.labels {
            let path = format!("{path}.matchLabels[{key}]");
            check_key(&key, &path)?;
            check_value(&value, &path)?;
            expressions.push(Expression::Equal(key, value));
        }
        for (index, requirement) in self.requirements.into_iter().enumerate() {
            expressions.push(requirement.check(&format!("{path}.matchExpressions[{index}]"))?);
        }
        Ok(expressions.into_iter().collect())
    }
}

impl Requirement {
    fn check(self, path: &str) -> Result<Expression, Error> {
        check_key(&self.key, path)?;
        for value in &self.values {
            check_value(value, path)?;
        }
        let Self {
            key,
            operator,
            values,
        } = self;
        match (operator.as_str(), values.is_empty()) {
            ("In", false) => Ok(Expression::In(key, values.into_iter().collect())),
            ("NotIn", false) => Ok(Expression::NotIn(key, values.into_iter().collect())),
            ("Exists", true) => Ok(Expression::Exists(key)),
            ("DoesNotExist", true) => Ok(Expression::DoesNotExist(key)),
            ("In" | "NotIn", true) => Err(Error::new(
                path,
                format!("operator {operator} needs at least one value"),
            )),
            ("Exists" | "DoesNotExist", false) => Err(Error::new(
                path,
                format!("operator {operator} takes no values"),
            )),
            _ => Err(Error::new(
                path,
                format!(
                    "unknown operator {operator:?}, expected In, NotIn, Exists or DoesNotExist"
                ),
            )),
        }
    }
}

/// A label key is an optional DNS subdomain and a `/`, then a name (Kubernetes, "Labels and
/// Selectors").
fn check_key(key: &str, path: &str) -> Result<(), Error> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_none_or(is_dns1123_subdomain) && !name.is_empty() && is_label_text(name) {
        return Ok(());
    }
    Err(Error::new(path, format!("{key:?} is not a label key")))
}

fn check_value(value: &str, path: &str) -> Result<(), Error> {
    if value.is_empty() || is_label_text(value) {
        return Ok(());
    }
    Err(Error::new(path, format!("{value:?} is not a label value")))
}

/// At most 63 alphanumerics, `-`, `_` and `.`, alphanumeric at both ends.
fn is_label_text(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= 63
        && text.bytes().all(inner)
        && ends
            .into_iter()
            .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(placement: Value, expected: Result<&[&str], &str>) {
        let clusters = [("east", "eu"), ("west", "us"), ("bare", "")];
        let selected = ClusterSelection::parse(&placement).map(|selection| {
            let labels = |region: &str| match region {
                "" => BTreeMap::new(),
                region => BTreeMap::from([("region".to_owned(), region.to_owned())]),
            };
            clusters
                .iter()
                .filter(|(name, region)| selection.selects(&(*name).into(), &labels(region)))
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
        });
        match (selected, expected) {
            (Ok(selected), Ok(expected)) => assert_eq!(selected, expected, "{placement}"),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{placement}"),
            (selected, _) => panic!("{placement}: {selected:?}, expected {expected:?}"),
        }
    }

    // Observable checks 19 to 23 of propagation.
    #[test]
    fn a_list_a_selector_and_nothing_are_three_things() {
        let selector = json!({"matchLabels": {"region": "eu"}});
        check(
            json!({"clusters": [{"name": "west"}], "clusterSelector": selector}),
            Ok(&["west"]),
        );
        check(json!({}), Ok(&[]));
        check(Value::Null, Ok(&[]));
        check(json!({"clusters": [], "clusterSelector": {}}), Ok(&[]));
        check(
            json!({"clusters": null, "clusterSelector": {}}),
            Ok(&["east", "west", "bare"]),
        );
        check(json!({"clusterSelector": selector}), Ok(&["east"]));
        check(json!({"clusterSelector": null}), Ok(&[]));
    }

    #[test]
    fn a_label_that_is_missing_is_not_in_any_set() {
        let expressions = |operator, values: &[&str]| {
            json!({"clusterSelector": {"matchExpressions":
                [{"key": "region", "operator": operator, "values": values}]}})
        };
        check(expressions("In", &["eu", "us"]), Ok(&["east", "west"]));
        check(expressions("NotIn", &["eu"]), Ok(&["west", "bare"]));
        check(expressions("Exists", &[]), Ok(&["east", "west"]));
        check(expressions("DoesNotExist", &[]), Ok(&["bare"]));
    }

    #[test]
    fn a_selector_beside_a_list_need_not_make_sense_but_must_have_the_right_types() {
        let nonsense = json!({"matchExpressions": [{"key": "-", "operator": "?"}]});
        check(
            json!({"clusters": [{"name": "east"}], "clusterSelector": nonsense}),
            Ok(&["east"]),
        );
        check(
            json!({"clusters": [{"name": "east"}], "clusterSelector": {"matchLabels": 5}}),
            Err("spec.placement.clusterSelector.matchLabels: expected an object, found a number"),
        );
    }

    #[test]
    fn bad_selectors_name_the_requirement() {
        let cases = [
            (
                json!([{"key": "region", "operator": "In"}]),
                "operator In needs at least one value",
            ),
            (
                json!([{"key": "region", "operator": "Exists", "values": ["a"]}]),
                "operator Exists takes no values",
            ),
            (
                json!([{"key": "region", "operator": "Gt", "values": ["1"]}]),
                "unknown operator \"Gt\", expected In, NotIn, Exists or DoesNotExist",
            ),
            (
                json!([{"key": "a/b/c", "operator": "Exists"}]),
                "\"a/b/c\" is not a label key",
            ),
            (
                json!([{"key": "region", "operator": "In", "values": ["a b"]}]),
                "\"a b\" is not a label value",
            ),
        ];
        for (expressions, message) in cases {
            let expected = format!("spec.placement.clusterSelector.matchExpressions[0]: {message}");
            check(
                json!({"clusterSelector": {"matchExpressions": expressions}}),
                Err(&expected),
            );
        }
    }
}
