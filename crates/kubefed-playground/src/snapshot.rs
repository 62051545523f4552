use std::collections::BTreeMap;

use kubefed_api::{FederatedObject, ObjectVersion, QualifiedName, ResourceType};
use kubefed_sim::Cluster;
use serde_json::Value;

/// What is where at one moment: every federated object, and what each cluster holds of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    objects: Vec<ObjectState>,
}

/// One federated object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectState {
    /// The kind of its copies, such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: QualifiedName,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The status of the condition `Propagation`; empty before the first report.
    pub propagation: String,
    /// The reason of that condition; empty if all is well.
    pub reason: String,
    /// Whether the status is about the present generation.
    pub observed: bool,
    /// The clusters that hold a copy or are reported, in order.
    pub clusters: Vec<CopyState>,
}

/// One federated object in one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyState {
    /// The cluster.
    pub cluster: String,
    /// The reported status; `None` if the cluster is not listed, empty if all is well.
    pub status: Option<String>,
    /// The copy itself.
    pub copy: Option<Value>,
}

impl Snapshot {
    pub(crate) fn take(
        host: &Cluster,
        members: &BTreeMap<String, Cluster>,
        types: &[(ResourceType, ResourceType)],
    ) -> Self {
        let mut objects = Vec::new();
        for (target, federated) in types {
            for value in host.objects(&federated.qualified_plural()) {
                if let Ok(object) = FederatedObject::parse(value) {
                    objects.push(ObjectState::of(&object, target, members));
                }
            }
        }
        Self { objects }
    }

    /// The federated objects by type and name.
    pub fn objects(&self) -> &[ObjectState] {
        &self.objects
    }

    /// One federated object by the kind of its copies and its name.
    pub fn object(&self, kind: &str, name: &QualifiedName) -> Option<&ObjectState> {
        self.objects
            .iter()
            .find(|object| object.kind == kind && object.name == *name)
    }

    /// What is not as it will be, in words: reports that are due, and replicas that are not ready.
    pub fn moving(&self) -> Vec<String> {
        let moving = |object: &ObjectState| {
            let name = format!("{} {}", object.kind, object.name);
            if object.deleting {
                return vec![format!("{name} is being deleted")];
            }
            if !object.observed {
                return vec![format!("{name} has not been reported")];
            }
            let unready = object.clusters.iter().filter_map(|copy| {
                let (ready, wanted) = copy.replicas()?;
                let well = copy.status.as_deref() == Some("");
                (well && ready != wanted)
                    .then(|| format!("{name} in {}: {ready} of {wanted} ready", copy.cluster))
            });
            unready.collect()
        };
        self.objects.iter().flat_map(moving).collect()
    }
}

impl ObjectState {
    fn of(
        object: &FederatedObject,
        target: &ResourceType,
        members: &BTreeMap<String, Cluster>,
    ) -> Self {
        let status = object.status();
        let condition = status.propagation();
        let name = object.name();
        let namespace = name.namespace().filter(|_| target.is_namespaced());
        let copy = |(cluster, member): (&String, &Cluster)| {
            let listed = status
                .clusters
                .iter()
                .find(|entry| entry.name.as_str() == cluster);
            let copy = member.object(&target.qualified_plural(), namespace, name.name());
            let state = CopyState {
                cluster: cluster.clone(),
                status: listed.map(|entry| entry.status.to_string()),
                copy,
            };
            (state.status.is_some() || state.copy.is_some()).then_some(state)
        };
        Self {
            kind: target.kind.clone(),
            name: name.clone(),
            deleting: object.is_deleting(),
            propagation: condition
                .map(|condition| condition.status.clone())
                .unwrap_or_default(),
            reason: condition
                .map(|condition| condition.reason.clone())
                .unwrap_or_default(),
            observed: status.observed_generation == object.generation(),
            clusters: members.iter().filter_map(copy).collect(),
        }
    }

    /// One cluster's part.
    pub fn cluster(&self, name: &str) -> Option<&CopyState> {
        self.clusters.iter().find(|copy| copy.cluster == name)
    }

    /// The clusters that hold a copy with the managed label, in order.
    pub fn holders(&self) -> Vec<&str> {
        let holders = self.clusters.iter().filter(|copy| copy.is_managed());
        holders.map(|copy| copy.cluster.as_str()).collect()
    }
}

impl CopyState {
    /// Whether there is a copy that carries the managed label.
    pub fn is_managed(&self) -> bool {
        self.copy.as_ref().is_some_and(|copy| {
            copy["metadata"]["labels"][kubefed_api::well_known::MANAGED_LABEL]
                == kubefed_api::well_known::MANAGED_VALUE
        })
    }

    /// The version of the copy.
    pub fn version(&self) -> Option<ObjectVersion> {
        self.copy.as_ref().map(ObjectVersion::of)
    }

    /// Ready and wanted replicas, for kinds that have them.
    pub fn replicas(&self) -> Option<(i64, i64)> {
        let copy = self.copy.as_ref()?;
        let wanted = copy["spec"]["replicas"].as_i64()?;
        Some((
            copy["status"]["readyReplicas"].as_i64().unwrap_or_default(),
            wanted,
        ))
    }

    /// The image of the first container, for kinds that have a pod template.
    pub fn image(&self) -> Option<&str> {
        self.copy.as_ref()?["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
    }
}
