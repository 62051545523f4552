use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::fields::Fields;
use crate::well_known::SERVER_OWNED_METADATA;
use crate::{ClusterName, Error};

/// Most override operations that one cluster may have. A list is applied operation by operation to
/// the whole object, so its length bounds the work of one reconcile.
pub const CLUSTER_OVERRIDES_MAX: usize = 1_000;

/// The overrides of one federated object, by cluster.
///
/// The original lets one bad entry fail every cluster. Here an error stays with the cluster whose
/// entry it is; only what cannot be assigned to a cluster concerns them all.
#[derive(Clone, Debug, PartialEq)]
pub struct Overrides {
    clusters: Result<BTreeMap<ClusterName, ClusterOverrides>, Error>,
}

/// The list of one cluster; `None` where its entry has no list, which differs from an empty one.
type ClusterOverrides = Result<Option<Vec<Override>>, Error>;

/// One change to the object of one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// What is done; a missing `op` means replace.
    pub operation: OverrideOperation,
    /// Where, as a JSON pointer (RFC 6901) in the original's reading: text before the first `/` is
    /// ignored.
    pub path: String,
    /// The value for add and replace. A missing value and `null` both write `null`, save at the path
    /// `""`, where there must be one.
    pub value: Option<Value>,
}

/// What an override does. Closed: the schema of federated types allows these three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OverrideOperation {
    /// Insert into a list, or set a member.
    Add,
    /// Remove an element or a member that exists.
    Remove,
    /// Set a member, whether it exists or not, or replace an element that exists.
    Replace,
}

impl fmt::Display for OverrideOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        })
    }
}

impl Overrides {
    /// Reads `spec.overrides`. Never fails as a whole: see [`Overrides::of`].
    pub fn parse(overrides: &Value) -> Self {
        Self {
            clusters: parse_clusters(overrides),
        }
    }

    /// The overrides of one cluster in the order they apply; `None` where the object has no list for
    /// it.
    ///
    /// # Errors
    ///
    /// The cluster is listed twice; an entry has the wrong type, an unknown operation, a path that
    /// appears twice, or a path that leads to the object's identity, to metadata owned by the server
    /// or to its status; there are more than 1,000 entries; or the list itself cannot be read.
    pub fn of(&self, cluster: &ClusterName) -> Result<Option<&[Override]>, &Error> {
        match self.clusters.as_ref()?.get(cluster) {
            Some(Ok(overrides)) => Ok(overrides.as_deref()),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Every cluster that has an entry of its own, in order.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        self.clusters.iter().flat_map(BTreeMap::keys)
    }

    /// Everything that is wrong, in the order of the clusters.
    pub fn errors(&self) -> impl Iterator<Item = (Option<&ClusterName>, &Error)> {
        let whole = self.clusters.as_ref().err().map(|error| (None, error));
        let of_clusters = self.clusters.iter().flatten();
        whole
            .into_iter()
            .chain(of_clusters.filter_map(|(name, list)| Some((Some(name), list.as_ref().err()?))))
    }
}

fn parse_clusters(overrides: &Value) -> Result<BTreeMap<ClusterName, ClusterOverrides>, Error> {
    let mut clusters = BTreeMap::new();
    let entries = match overrides {
        Value::Null => return Ok(clusters),
        Value::Array(entries) => entries,
        other => return Err(Error::wrong_type("spec.overrides", "a list", other)),
    };
    for (index, entry) in entries.iter().enumerate() {
        let entry = Fields::read(entry, format!("spec.overrides[{index}]"))?;
        let name = ClusterName::from(entry.string("clusterName")?);
        let parsed = if clusters.contains_key(&name) {
            let message = format!("cluster {:?} appears more than once", name.as_str());
            Err(Error::new(entry.path("clusterName"), message))
        } else {
            parse_list(&entry, &name)
        };
        clusters.insert(name, parsed);
    }
    Ok(clusters)
}

fn parse_list(entry: &Fields<'_>, cluster: &ClusterName) -> ClusterOverrides {
    let path = entry.path("clusterOverrides");
    let Some(list) = entry.list("clusterOverrides")? else {
        return Ok(None);
    };
    if list.len() > CLUSTER_OVERRIDES_MAX {
        let message = format!(
            "{} overrides for cluster {:?}, at most {CLUSTER_OVERRIDES_MAX} are allowed",
            list.len(),
            cluster.as_str(),
        );
        return Err(Error::new(path, message));
    }
    let mut overrides: Vec<Override> = Vec::with_capacity(list.len());
    let mut paths = std::collections::BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let fields = Fields::read(item, format!("{path}[{index}]"))?;
        let item = parse_override(&fields)?;
        if is_protected(&item.path) {
            let message = format!(
                "override[{index}] for cluster {:?} has an invalid path: {}",
                cluster.as_str(),
                item.path
            );
            return Err(Error::new(fields.path("path"), message));
        }
        if !paths.insert(item.path.clone()) {
            let message = format!(
                "path {:?} appears more than once for cluster {:?}",
                item.path,
                cluster.as_str()
            );
            return Err(Error::new(fields.path("path"), message));
        }
        overrides.push(item);
    }
    Ok(Some(overrides))
}

fn parse_override(fields: &Fields<'_>) -> Result<Override, Error> {
    let operation = match fields.string("op")? {
        "" | "replace" => OverrideOperation::Replace,
        "add" => OverrideOperation::Add,
        "remove" => OverrideOperation::Remove,
        other => {
            let message = format!("unknown operation {other:?}, expected add, remove or replace");
            return Err(Error::new(fields.path("op"), message));
        }
    };
    let value = fields.value("value");
    Ok(Override {
        operation,
        path: fields.string("path")?.to_owned(),
        value: (!value.is_null()).then(|| value.clone()),
    })
}

/// The paths that the original refuses, compared literally as it does. In any other spelling these
/// members are judged by the object that results.
const IDENTITY_PATHS: [&str; 4] = [
    "/kind",
    "/metadata/generateName",
    "/metadata/name",
    "/metadata/namespace",
];

impl Override {
    /// Whether the path leads to `target`, to something that contains it or to something inside it.
    ///
    /// ```
    /// # use kubefed_api::Overrides;
    /// # let overrides = Overrides::parse(&serde_json::json!([
    /// #     {"clusterName": "c", "clusterOverrides": [{"path": "/metadata/labels/app"}]}]));
    /// # let item = &overrides.of(&"c".into()).unwrap().unwrap()[0];
    /// assert_eq!(item.path, "/metadata/labels/app");
    /// assert!(item.reaches(&["metadata", "labels"]));
    /// assert!(!item.reaches(&["metadata", "annotations"]));
    /// ```
    pub fn reaches(&self, target: &[&str]) -> bool {
        segments(&self.path)
            .zip(target)
            .all(|(segment, wanted)| segment == *wanted)
    }
}

/// The member names and indices on the way, without the ignored text before the first `/`.
fn segments(path: &str) -> impl Iterator<Item = String> {
    let pointer = path.split_once('/').map(|(_, pointer)| pointer);
    let tokens = pointer.into_iter().flat_map(|pointer| pointer.split('/'));
    tokens.map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Whether no override may have this path: it is one that the original refuses, or leads in any
/// spelling to or into the status, the owner references or metadata that the API server owns.
fn is_protected(path: &str) -> bool {
    if IDENTITY_PATHS.contains(&path) {
        return true;
    }
    let mut segments = segments(path);
    match segments.next().as_deref() {
        Some("status") => true,
        Some("metadata") => segments.next().is_some_and(|member| {
            member == "ownerReferences" || SERVER_OWNED_METADATA.contains(&member.as_str())
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(overrides: Value, cluster: &str, expected: Result<usize, &str>) {
        let parsed = Overrides::parse(&overrides);
        let count = parsed
            .of(&cluster.into())
            .map(|list| list.map_or(0, <[_]>::len));
        let count = count.map_err(ToString::to_string);
        assert_eq!(
            count,
            expected.map_err(str::to_owned),
            "{cluster} of {overrides}"
        );
    }

    #[test]
    fn a_bad_entry_concerns_its_cluster_only() {
        let overrides = json!([
            {"clusterName": "east", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]},
            {"clusterName": "west", "clusterOverrides": [{"path": "/kind", "value": "Pod"}]},
            {"clusterName": "north", "clusterOverrides": [{"op": "move", "path": "/a"}]},
            {"clusterName": "south"},
            {"clusterName": "south"},
        ]);
        check(overrides.clone(), "east", Ok(1));
        check(overrides.clone(), "nowhere", Ok(0));
        check(
            overrides.clone(),
            "west",
            Err("spec.overrides[1].clusterOverrides[0].path: \
                 override[0] for cluster \"west\" has an invalid path: /kind"),
        );
        check(
            overrides.clone(),
            "north",
            Err("spec.overrides[2].clusterOverrides[0].op: \
                 unknown operation \"move\", expected add, remove or replace"),
        );
        check(
            overrides,
            "south",
            Err("spec.overrides[4].clusterName: cluster \"south\" appears more than once"),
        );
    }

    #[test]
    fn what_belongs_to_no_cluster_concerns_all() {
        check(
            json!({}),
            "east",
            Err("spec.overrides: expected a list, found an object"),
        );
        check(
            json!([7]),
            "east",
            Err("spec.overrides[0]: expected an object, found a number"),
        );
    }

    #[test]
    fn the_same_path_twice_is_refused() {
        let twice = json!([{"path": "/a"}, {"path": "/b"}, {"path": "/a"}]);
        check(
            json!([{"clusterName": "c", "clusterOverrides": twice}]),
            "c",
            Err("spec.overrides[0].clusterOverrides[2].path: \
                 path \"/a\" appears more than once for cluster \"c\""),
        );
    }

    #[test]
    fn a_cluster_has_no_more_overrides_than_the_limit() {
        let list = |count| {
            let item = |number: usize| json!({"path": format!("/a/{number}")});
            let list: Vec<_> = (0..count).map(item).collect();
            json!([{"clusterName": "c", "clusterOverrides": list}])
        };
        check(list(CLUSTER_OVERRIDES_MAX), "c", Ok(CLUSTER_OVERRIDES_MAX));
        check(
            list(CLUSTER_OVERRIDES_MAX + 1),
            "c",
            Err("spec.overrides[0].clusterOverrides: \
                 1001 overrides for cluster \"c\", at most 1000 are allowed"),
        );
    }

    #[test]
    fn what_the_server_owns_is_recognised_in_every_spelling() {
        for path in [
            "/kind",
            "/metadata/name",
            "/status/replicas",
            "x/status",
            "/metadata/uid",
            "x/metadata/ownerReferences/0/name",
        ] {
            assert!(is_protected(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/metadata",
            "/metadata/labels/name",
            "/metadata~1uid",
            "/spec/kind",
            "x/kind",
            "kind",
            "/apiVersion",
        ] {
            assert!(!is_protected(path), "{path}");
        }
    }
}
