use serde::Serialize;

use crate::snapshot::{CopyState, ObjectState};
use crate::{ClusterState, Snapshot};

/// One line of a table of what is where: a member cluster, or a federated object in one cluster.
///
/// Empty fields do not apply or are not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Kind and name of the copies, such as `Deployment shop/web`; `KubeFedCluster` for a cluster.
    pub object: String,
    /// The cluster; empty if the object is in none.
    pub cluster: String,
    /// The version of the copy: `gen:` and its generation, or `rv:` and its resource version.
    pub version: String,
    /// Ready and wanted replicas, such as `2/3`.
    pub ready: String,
    /// The image of the first container.
    pub image: String,
    /// How it stands: see [`Row::is_well`] and [`Row::is_moving`].
    pub state: String,
    /// Why it stands like that.
    pub reason: String,
}

const READY: &str = "Ready";
const PROPAGATED: &str = "Propagated";
const NOT_MANAGED: &str = "NotManaged";
const MOVING: [&str; 4] = ["Connecting", "Deleting", "Pending", "Progressing"];

impl Row {
    /// The titles of the columns, in the order of [`Row::cells`].
    pub const COLUMNS: [&str; 7] = [
        "OBJECT", "CLUSTER", "VERSION", "READY", "IMAGE", "STATE", "REASON",
    ];

    /// The fields in order.
    pub fn cells(&self) -> [&str; 7] {
        let Self {
            object,
            cluster,
            version,
            ready,
            image,
            state,
            reason,
        } = self;
        [object, cluster, version, ready, image, state, reason]
    }

    /// Whether all is as it should be: a ready cluster (`Ready`), an object that is where it should be
    /// with all its replicas (`Propagated`), or one that is left alone for good (`NotManaged`).
    pub fn is_well(&self) -> bool {
        [READY, PROPAGATED, NOT_MANAGED].contains(&self.state.as_str())
    }

    /// Whether it will change by itself: `Connecting`, `Deleting`, `Pending` (not reported yet) or
    /// `Progressing` (replicas are not ready). All other states are those of the wire.
    pub fn is_moving(&self) -> bool {
        MOVING.contains(&self.state.as_str())
    }
}

impl Snapshot {
    /// A line per member cluster, and a line per federated object and cluster that holds or should hold
    /// it; namespaces first, then by type and name.
    pub fn rows(&self) -> Vec<Row> {
        let clusters = self.clusters().iter().map(ClusterState::row);
        let (namespaces, others): (Vec<_>, Vec<_>) = self
            .objects()
            .iter()
            .partition(|object| object.kind == "Namespace");
        let objects = namespaces.into_iter().chain(others);
        clusters
            .chain(objects.flat_map(ObjectState::rows))
            .collect()
    }
}

impl ClusterState {
    fn row(&self) -> Row {
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let state = if self.state.is_empty() {
            "Connecting"
        } else {
            &self.state
        };
        let reason = if self.reason.is_empty() {
            labels.collect::<Vec<_>>().join(" ")
        } else {
            self.reason.clone()
        };
        Row {
            object: "KubeFedCluster".to_owned(),
            cluster: self.name.clone(),
            state: state.to_owned(),
            reason,
            ..Row::default()
        }
    }
}

impl ObjectState {
    fn rows(&self) -> Vec<Row> {
        if self.is_system_namespace {
            return vec![Row {
                object: self.title(),
                state: NOT_MANAGED.to_owned(),
                reason: "a system namespace is never written to".to_owned(),
                ..Row::default()
            }];
        }
        if self.clusters.is_empty() {
            let why = [&self.explanation, &self.reason]
                .into_iter()
                .find(|why| !why.is_empty());
            return vec![Row {
                object: self.title(),
                state: if self.observed {
                    "NotPlaced"
                } else {
                    "Pending"
                }
                .to_owned(),
                reason: why
                    .map_or("no cluster is selected", String::as_str)
                    .to_owned(),
                ..Row::default()
            }];
        }
        self.clusters.iter().map(|copy| self.row(copy)).collect()
    }

    fn row(&self, copy: &CopyState) -> Row {
        let replicas = copy.replicas();
        let state = match copy.status.as_deref() {
            _ if self.deleting => "Deleting",
            None => "Pending",
            Some("") if !self.observed => "Pending",
            Some("") if !copy.is_rolled_out() => "Progressing",
            Some("") => PROPAGATED,
            Some(status) => status,
        };
        Row {
            object: self.title(),
            cluster: copy.cluster.clone(),
            version: copy
                .version()
                .map_or_else(String::new, |version| version.to_string()),
            ready: replicas.map_or_else(String::new, |(ready, wanted)| format!("{ready}/{wanted}")),
            image: copy.image().unwrap_or_default().to_owned(),
            state: state.to_owned(),
            reason: copy.explanation.clone(),
        }
    }
}
