//! From preferences on replicas to the input of `kubefed-planner`.
//!
//! [`ReplicaPreferences`] are read from the spec of a [`ReplicaSchedulingPreference`], or from the
//! annotation that federation v1 put on a federated object. They give the demand and the candidates of
//! either planner: [`compat`] accepts whatever is stored, as the original does;
//! our own strategies want numbers that make sense, and errors say where they do not.
//!
//! ```
//! use kubefed_api::planner::ReplicaPreferences;
//! use kubefed_api::ReplicaSchedulingPreferenceSpec;
//! use kubefed_planner::Planner;
//! use serde_json::json;
//!
//! let spec: ReplicaSchedulingPreferenceSpec = serde_json::from_value(json!({
//!     "targetKind": "FederatedDeployment",
//!     "totalReplicas": 9,
//!     "clusters": {"*": {"weight": 1}, "west": {"weight": 2, "maxReplicas": 4}},
//! }))?;
//! let preferences = ReplicaPreferences::from(&spec);
//! let candidates = [preferences.candidate("east")?, preferences.candidate("west")?];
//! let mut planner = Planner::new();
//! let plan = planner.plan(&preferences.demand("shop/web")?, &candidates)?;
//! assert_eq!([plan[0].replicas, plan[1].replicas], [5, 4]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ReplicaSchedulingPreference`]: crate::ReplicaSchedulingPreference

use std::collections::BTreeMap;

use kubefed_planner::{Candidate, Demand, Moves, compat};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::name::ClusterName;
use crate::scheduling::{ClusterPreferences, ReplicaSchedulingPreferenceSpec};

pub use kubefed_planner;

/// The key of the entry for clusters without their own.
const WILDCARD: &str = "*";

/// How many replicas, and who takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplicaPreferences {
    total: i64,
    rebalance: bool,
    clusters: BTreeMap<ClusterName, ClusterPreferences>,
    /// Path of the object of clusters, for errors.
    clusters_path: &'static str,
    total_path: &'static str,
}

impl ReplicaPreferences {
    /// `total` replicas, with the same weight everywhere: what counts where no preference is given.
    pub fn everywhere(total: i64) -> Self {
        let equal = ClusterPreferences {
            weight: 1,
            ..ClusterPreferences::default()
        };
        Self {
            total,
            rebalance: false,
            clusters: [(WILDCARD.into(), equal)].into(),
            clusters_path: "clusters",
            total_path: "spec.replicas",
        }
    }

    /// Reads the preferences annotation of federation v1, with the total of the annotated object.
    ///
    /// Member names match without regard to case, and unknown ones are ignored, as in v1. Without
    /// clusters no cluster takes anything. v1 treats text that cannot be read like a missing annotation,
    /// which is [`everywhere`](Self::everywhere).
    ///
    /// # Errors
    ///
    /// Text that is no JSON, or holds other types than expected.
    pub fn from_annotation(text: &str, total: i64) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::new("", format!("not JSON: {error}")))?;
        let object = object("", value)?;
        let mut preferences = Self::everywhere(total);
        preferences.clusters.clear();
        for (name, value) in object {
            match name.to_lowercase().as_str() {
                "rebalance" => preferences.rebalance = boolean("rebalance", &value)?,
                "clusters" if value.is_null() => {}
                "clusters" => {
                    for (cluster, value) in self::object("clusters", value)? {
                        let limits = limits(&cluster, value)?;
                        preferences.clusters.insert(cluster.into(), limits);
                    }
                }
                _ => {}
            }
        }
        Ok(preferences)
    }

    /// Whether every entry names one of the clusters that are known.
    ///
    /// # Errors
    ///
    /// The first entry that does not. It has no effect otherwise.
    pub fn check_names<'a>(
        &self,
        known: impl IntoIterator<Item = &'a ClusterName>,
    ) -> Result<(), Error> {
        let known: std::collections::BTreeSet<_> = known.into_iter().collect();
        let unknown = self
            .clusters
            .keys()
            .find(|name| name.as_str() != WILDCARD && !known.contains(name));
        match unknown {
            Some(name) => Err(Error::new(self.path(name, ""), "there is no such cluster")),
            None => Ok(()),
        }
    }

    /// The demand, under a key such as `namespace/name`. Running replicas move only with rebalance.
    ///
    /// # Errors
    ///
    /// A total that is negative or exceeds 32 bits.
    pub fn demand<'a>(&self, key: &'a str) -> Result<Demand<'a>, Error> {
        let total = count(self.total, || self.total_path.to_owned())?;
        let moves = if self.rebalance {
            Moves::UNLIMITED
        } else {
            Moves::NONE
        };
        Ok(Demand::new(total).key(key).moves(moves))
    }

    /// A candidate. A cluster without an entry, where there is none for `*`, gets weight 0.
    ///
    /// # Errors
    ///
    /// A number that is negative or exceeds 32 bits (weights: 63), or a minimum above its maximum.
    pub fn candidate<'a>(&self, cluster: &'a str) -> Result<Candidate<'a>, Error> {
        let candidate = Candidate::new(cluster);
        let Some((name, preference)) = self.entry(cluster) else {
            return Ok(candidate.weight(0));
        };
        let path = |field| move || self.path(name, field);
        let minimum = count(preference.min_replicas, path("minReplicas"))?;
        let weight = u64::try_from(preference.weight)
            .map_err(|_| negative(preference.weight, self.path(name, "weight")))?;
        let candidate = candidate.minimum(minimum).weight(weight);
        let Some(maximum) = preference.max_replicas else {
            return Ok(candidate);
        };
        let maximum = count(maximum, path("maxReplicas"))?;
        if maximum < minimum {
            let message = format!("{maximum} is below minReplicas, which is {minimum}");
            return Err(Error::new(self.path(name, "maxReplicas"), message));
        }
        Ok(candidate.maximum(maximum))
    }

    /// The demand of the original's planner, which takes any numbers.
    pub fn compat_demand<'a>(&self, key: &'a str) -> compat::Demand<'a> {
        compat::Demand::new(self.total)
            .rebalance(self.rebalance)
            .key(key)
    }

    /// The preferences of the original's planner, which takes any numbers.
    pub fn compat_preferences(&self) -> compat::Preferences<'_> {
        let preferences = self.clusters.iter().map(|(name, limits)| {
            let preference = compat::Preference::new()
                .minimum(limits.min_replicas)
                .weight(limits.weight);
            let preference = match limits.max_replicas {
                Some(maximum) => preference.maximum(maximum),
                None => preference,
            };
            (name.as_str(), preference)
        });
        preferences.collect()
    }

    /// The entry that applies to a cluster: its own, whole, or else that of `*`.
    fn entry(&self, cluster: &str) -> Option<(&ClusterName, &ClusterPreferences)> {
        let own = self.clusters.get_key_value(cluster);
        own.or_else(|| self.clusters.get_key_value(WILDCARD))
    }

    fn path(&self, cluster: &ClusterName, field: &str) -> String {
        let dot = if field.is_empty() { "" } else { "." };
        format!("{}[{cluster}]{dot}{field}", self.clusters_path)
    }
}

impl From<&ReplicaSchedulingPreferenceSpec> for ReplicaPreferences {
    /// Without clusters all have the same weight, as the original's controller has it.
    fn from(spec: &ReplicaSchedulingPreferenceSpec) -> Self {
        let mut preferences = Self::everywhere(spec.total_replicas.into());
        preferences.rebalance = spec.rebalance;
        preferences.clusters_path = "spec.clusters";
        preferences.total_path = "spec.totalReplicas";
        if !spec.clusters.is_empty() {
            preferences.clusters.clone_from(&spec.clusters);
        }
        preferences
    }
}

/// Reads an entry of the annotation.
fn limits(cluster: &str, value: Value) -> Result<ClusterPreferences, Error> {
    let mut limits = ClusterPreferences::default();
    if value.is_null() {
        return Ok(limits);
    }
    let path = format!("clusters[{cluster}]");
    for (name, value) in object(&path, value)? {
        if value.is_null() {
            continue;
        }
        let number = || {
            let path = format!("{path}.{name}");
            value
                .as_i64()
                .ok_or_else(|| Error::wrong_type(path, "an integer of 64 bits", &value))
        };
        match name.to_lowercase().as_str() {
            "minreplicas" => limits.min_replicas = number()?,
            "maxreplicas" => limits.max_replicas = Some(number()?),
            "weight" => limits.weight = number()?,
            _ => {}
        }
    }
    Ok(limits)
}

fn object(path: &str, value: Value) -> Result<Map<String, Value>, Error> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(Error::wrong_type(path, "an object", &other)),
    }
}

fn boolean(path: &str, value: &Value) -> Result<bool, Error> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        other => Err(Error::wrong_type(path, "a boolean", other)),
    }
}

fn count(number: i64, path: impl Fn() -> String) -> Result<u32, Error> {
    if number < 0 {
        return Err(negative(number, path()));
    }
    u32::try_from(number)
        .map_err(|_| Error::new(path(), format!("{number} is more than {}", u32::MAX)))
}

fn negative(number: i64, path: String) -> Error {
    Error::new(path, format!("{number} is negative"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_spec(spec: Value) -> ReplicaPreferences {
        let spec: ReplicaSchedulingPreferenceSpec = serde_json::from_value(spec).unwrap();
        ReplicaPreferences::from(&spec)
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        let cases = [
            (
                json!({"totalReplicas": -1}),
                "spec.totalReplicas: -1 is negative",
            ),
            (
                json!({"clusters": {"a": {"minReplicas": -2}}}),
                "spec.clusters[a].minReplicas: -2 is negative",
            ),
            (
                json!({"clusters": {"*": {"weight": -3}}}),
                "spec.clusters[*].weight: -3 is negative",
            ),
            (
                json!({"clusters": {"a": {"maxReplicas": 5_000_000_000_i64}}}),
                "spec.clusters[a].maxReplicas: 5000000000 is more than 4294967295",
            ),
            (
                json!({"clusters": {"a": {"minReplicas": 3, "maxReplicas": 2}}}),
                "spec.clusters[a].maxReplicas: 2 is below minReplicas, which is 3",
            ),
            (
                json!({"clusters": {"b": {"weight": 1}}}),
                "spec.clusters[b]: there is no such cluster",
            ),
        ];
        for (spec, expected) in cases {
            let preferences = of_spec(spec);
            let known = [ClusterName::from("a")];
            let found = preferences
                .demand("ns/web")
                .map(|_| ())
                .and_then(|()| preferences.candidate("a").map(|_| ()))
                .and_then(|()| preferences.check_names(&known));
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
    }

    /// scheduling 1.2: an own entry counts whole, and without any entry a cluster takes no part.
    #[test]
    fn the_entry_of_a_cluster_counts_whole() {
        let preferences = of_spec(json!({"clusters": {
            "*": {"weight": 4, "minReplicas": 2}, "a": {"weight": 1}
        }}));
        assert_eq!(preferences.candidate("a").unwrap(), Candidate::new("a"));
        let by_wildcard = Candidate::new("b").weight(4).minimum(2);
        assert_eq!(preferences.candidate("b").unwrap(), by_wildcard);
        let named = of_spec(json!({"clusters": {"a": {"weight": 1}}}));
        assert_eq!(named.candidate("b").unwrap(), Candidate::new("b").weight(0));
        assert_eq!(
            of_spec(json!({})).candidate("b").unwrap(),
            Candidate::new("b")
        );
    }

    /// scheduling 3.2: names match without regard to case; no clusters means no default.
    #[test]
    fn the_annotation_of_federation_v1_is_read_as_v1_did() {
        let text = r#"{"Rebalance": true, "other": 1, "clusters": {
            "c1": {"MinReplicas": 10, "maxreplicas": 20, "weight": 2}, "*": {"Weight": 1}}}"#;
        let preferences = ReplicaPreferences::from_annotation(text, 30).unwrap();
        let candidates = [preferences.candidate("c1"), preferences.candidate("c2")];
        let expected = [
            Candidate::new("c1").minimum(10).maximum(20).weight(2),
            Candidate::new("c2"),
        ];
        assert_eq!(candidates.map(Result::unwrap), expected);
        let moves = Demand::new(30).key("ns/web").moves(Moves::UNLIMITED);
        assert_eq!(preferences.demand("ns/web").unwrap(), moves);

        let nobody = ReplicaPreferences::from_annotation("{}", 30).unwrap();
        assert_eq!(nobody.compat_preferences().of("c1"), None);
        for (text, expected) in [
            (
                "{",
                "not JSON: EOF while parsing an object at line 1 column 1",
            ),
            ("[]", "expected an object, found a list"),
            (
                r#"{"clusters": {"a": {"weight": 1.5}}}"#,
                "clusters[a].weight: expected an integer of 64 bits, found a number",
            ),
            (
                r#"{"rebalance": "yes"}"#,
                "rebalance: expected a boolean, found a string",
            ),
        ] {
            let error = ReplicaPreferences::from_annotation(text, 1).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_originals_planner_takes_any_numbers() {
        let preferences = of_spec(json!({
            "totalReplicas": 6,
            "clusters": {"A": {"weight": 1, "minReplicas": 5, "maxReplicas": 2}, "B": {"weight": 1}}
        }));
        let limits = preferences.compat_preferences();
        let candidates = [limits.candidate("A"), limits.candidate("B")];
        let mut planner = compat::Planner::new();
        let plan = planner
            .plan(&preferences.compat_demand(""), &candidates)
            .unwrap();
        assert_eq!([plan[0].replicas, plan[1].replicas], [2, 4]);
    }
}
