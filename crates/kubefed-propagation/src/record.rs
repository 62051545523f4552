use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use kubefed_api::{ClusterName, ClusterObjectVersion, FederatedObject, PropagatedVersionStatus};
use serde_json::Value;

use crate::{Hashes, ObjectVersion};

/// The versions that were last written to the clusters, as far as they hold for what the federated
/// object says now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    versions: BTreeMap<ClusterName, ObjectVersion>,
    template_changed: bool,
}

impl Record {
    /// Nothing is recorded.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the status of a version object. Once either hash differs it says nothing.
    pub fn read(stored: &PropagatedVersionStatus, hashes: &Hashes) -> Self {
        if !is_current(stored, hashes) {
            return Self {
                template_changed: !hashes.template.matches(&stored.template_version),
                ..Self::empty()
            };
        }
        Self::of_versions(stored)
    }

    /// Like [`Record::read`]; but where only overrides differ, what was recorded still holds for the
    /// clusters whose own are as they were. `then` are the overrides of the time of the record. (The
    /// original writes to every cluster after an edit of one cluster's overrides.)
    pub fn read_by_cluster(
        stored: &PropagatedVersionStatus,
        hashes: &Hashes,
        then: &OverrideDigests,
        now: &OverrideDigests,
    ) -> Self {
        if !is_current(stored, hashes) && hashes.template.matches(&stored.template_version) {
            let mut record = Self::of_versions(stored);
            record
                .versions
                .retain(|cluster, _| then.0.get(cluster) == now.0.get(cluster));
            return record;
        }
        Self::read(stored, hashes)
    }

    fn of_versions(stored: &PropagatedVersionStatus) -> Self {
        let version = |entry: &ClusterObjectVersion| {
            Some((entry.cluster_name.clone(), entry.version.parse().ok()?))
        };
        stored.cluster_versions.iter().filter_map(version).collect()
    }

    /// Whether another template was recorded, so that hardly any copy is as desired.
    pub fn template_changed(&self) -> bool {
        self.template_changed
    }

    /// The version last written to a cluster.
    pub fn version(&self, cluster: &ClusterName) -> Option<&ObjectVersion> {
        self.versions.get(cluster)
    }
}

impl FromIterator<(ClusterName, ObjectVersion)> for Record {
    fn from_iter<T: IntoIterator<Item = (ClusterName, ObjectVersion)>>(versions: T) -> Self {
        Self {
            versions: versions.into_iter().collect(),
            ..Self::empty()
        }
    }
}

/// The overrides of each cluster by a digest, which tells whether an edit concerns a cluster.
///
/// It is compared within one process only, so it need not be stable over releases.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OverrideDigests(BTreeMap<ClusterName, u64>);

impl OverrideDigests {
    /// Those of a federated object, readable or not. Linear in the length of the overrides.
    pub fn of(object: &FederatedObject) -> Self {
        let mut entries = BTreeMap::<ClusterName, DefaultHasher>::new();
        let overrides = object.as_value()["spec"]["overrides"].as_array();
        for entry in overrides.into_iter().flatten() {
            if let Some(cluster) = entry["clusterName"].as_str() {
                // The keys of this hasher are fixed, unlike those of `RandomState`.
                let hasher = entries.entry(cluster.into()).or_default();
                hash(entry, hasher);
            }
        }
        let digests = entries.into_iter();
        Self(
            digests
                .map(|(name, hasher)| (name, hasher.finish()))
                .collect(),
        )
    }
}

/// Members are taken in the order of their names, whatever order the map keeps.
fn hash(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            (0_u8, sorted.len()).hash(hasher);
            for (name, value) in sorted {
                name.hash(hasher);
                hash(value, hasher);
            }
        }
        Value::Array(list) => {
            (1_u8, list.len()).hash(hasher);
            list.iter().for_each(|value| hash(value, hasher));
        }
        Value::String(text) => (2_u8, text).hash(hasher),
        Value::Number(number) => (3_u8, number.to_string()).hash(hasher),
        Value::Bool(_) | Value::Null => (4_u8, value.as_bool()).hash(hasher),
    }
}

/// The status to store in the version object after a reconcile, `None` where the stored one is right.
///
/// `produced` are the versions of copies that were written or found current. Of the other clusters the
/// stored entries are kept as long as they are selected and the hashes are the stored ones. The result
/// equals KubeFed's: entries ascend by cluster name, and entries of unselected clusters are dropped.
pub fn next_versions(
    stored: Option<&PropagatedVersionStatus>,
    hashes: &Hashes,
    selected: &BTreeSet<ClusterName>,
    produced: &BTreeMap<ClusterName, ObjectVersion>,
) -> Option<PropagatedVersionStatus> {
    let mut versions: BTreeMap<_, _> = stored
        .filter(|stored| is_current(stored, hashes))
        .map(|stored| stored.cluster_versions.iter())
        .into_iter()
        .flatten()
        .filter(|entry| selected.contains(&entry.cluster_name))
        .map(|entry| (entry.cluster_name.clone(), entry.version.clone()))
        .collect();
    versions.extend(
        produced
            .iter()
            .map(|(name, version)| (name.clone(), version.to_string())),
    );
    let next = PropagatedVersionStatus {
        template_version: hashes.template.to_string(),
        overrides_version: hashes.overrides.to_string(),
        cluster_versions: versions
            .into_iter()
            .map(|(cluster_name, version)| ClusterObjectVersion {
                cluster_name,
                version,
            })
            .collect(),
    };
    (stored != Some(&next)).then_some(next)
}

fn is_current(stored: &PropagatedVersionStatus, hashes: &Hashes) -> bool {
    hashes.matches(&stored.template_version, &stored.overrides_version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hashes(text: &str) -> Hashes {
        Hashes::of(&json!({"spec": {"template": {"data": text}}})).unwrap()
    }

    fn versions(entries: &[(&str, &str)]) -> BTreeMap<ClusterName, ObjectVersion> {
        entries
            .iter()
            .map(|(name, version)| ((*name).into(), version.parse().unwrap()))
            .collect()
    }

    fn selected(names: &[&str]) -> BTreeSet<ClusterName> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn entries(status: &PropagatedVersionStatus) -> Vec<String> {
        let entry =
            |entry: &ClusterObjectVersion| format!("{} {}", entry.cluster_name, entry.version);
        status.cluster_versions.iter().map(entry).collect()
    }

    // Observable check 41 of propagation, as far as it is computed.
    #[test]
    fn the_first_record_is_what_was_produced() {
        let produced = versions(&[("west", "gen:1"), ("east", "rv:7")]);
        let next =
            next_versions(None, &hashes("t"), &selected(&["east", "west"]), &produced).unwrap();
        assert_eq!(entries(&next), ["east rv:7", "west gen:1"]);
        assert!(hashes("t").matches(&next.template_version, &next.overrides_version));
        let again = next_versions(
            Some(&next),
            &hashes("t"),
            &selected(&["east", "west"]),
            &produced,
        );
        assert_eq!(again, None, "nothing is written twice");
    }

    #[test]
    fn entries_are_kept_while_selected_and_dropped_when_the_template_changes() {
        let produced = versions(&[("east", "gen:1"), ("west", "gen:1")]);
        let all = selected(&["east", "west"]);
        let stored = next_versions(None, &hashes("t"), &all, &produced).unwrap();

        let west_again = versions(&[("west", "gen:2")]);
        let next = next_versions(Some(&stored), &hashes("t"), &all, &west_again).unwrap();
        assert_eq!(entries(&next), ["east gen:1", "west gen:2"]);

        let narrowed = next_versions(
            Some(&stored),
            &hashes("t"),
            &selected(&["west"]),
            &west_again,
        );
        assert_eq!(entries(&narrowed.unwrap()), ["west gen:2"]);

        let changed = next_versions(Some(&stored), &hashes("u"), &all, &west_again).unwrap();
        assert_eq!(entries(&changed), ["west gen:2"]);
        let other_template = Record::read(&stored, &hashes("u"));
        assert_eq!(other_template.version(&"east".into()), None);
        assert!(other_template.template_changed());
        let record = Record::read(&stored, &hashes("t"));
        assert_eq!(record.version(&"east".into()).unwrap().to_string(), "gen:1");
        assert!(!record.template_changed());
    }
}
