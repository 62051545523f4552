use std::collections::BTreeMap;

use kubefed_api::{
    ClusterSelection, FederatedObject, KubeFedCluster, ObjectVersion, PropagationStatus,
    QualifiedName, ResourceType, well_known,
};
use kubefed_controllers::Explanation;
use serde_json::Value;

use crate::PlayedCluster;
use crate::playground::clusters as kubefed_clusters;

/// What is where at one moment: every federated object, and what each cluster holds of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    clusters: Vec<ClusterState>,
    objects: Vec<ObjectState>,
}

/// One member cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// Its name.
    pub name: String,
    /// The labels of its KubeFedCluster.
    pub labels: BTreeMap<String, String>,
    /// `Ready`, or `NotReady`, or the condition that says more: `Offline` or `ConfigMalformed`. Empty
    /// before the first probe.
    pub state: String,
    /// What the last probe said, where it is not ready.
    pub reason: String,
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
    /// Whether it is the federated object of a system namespace. Such a namespace is never written to or
    /// reported; its placement counts for the objects in it.
    pub is_system_namespace: bool,
    /// The status of the condition `Propagation`; empty before the first report.
    pub propagation: String,
    /// The reason of that condition; empty if all is well.
    pub reason: String,
    /// Whether the status is about the present generation.
    pub observed: bool,
    /// What is wrong with it as a whole, in words; empty if nothing is known to be.
    pub explanation: String,
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
    /// Why it is like that, in words: by which part of the object the cluster is selected, or what is
    /// wrong.
    pub explanation: String,
    /// The copy itself.
    pub copy: Option<Value>,
}

impl Snapshot {
    pub(crate) fn take<C: PlayedCluster>(
        host: &C,
        members: &BTreeMap<String, C>,
        types: &[(ResourceType, ResourceType)],
        explain: impl Fn(&ResourceType, &QualifiedName) -> Option<Explanation>,
    ) -> Self {
        let clusters = host.objects(&kubefed_clusters());
        let mut objects = Vec::new();
        for (target, federated) in types {
            for value in host.objects(federated) {
                if let Ok(object) = FederatedObject::parse(value) {
                    let said = explain(federated, object.name()).unwrap_or_default();
                    objects.push(ObjectState::of(&object, target, members, &said));
                }
            }
        }
        Self {
            clusters: clusters.into_iter().map(ClusterState::of).collect(),
            objects,
        }
    }

    /// The member clusters by name.
    pub fn clusters(&self) -> &[ClusterState] {
        &self.clusters
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

    /// What is not as it will be, in words: first probes and reports that are due, problems that are
    /// tried again, and replicas that are not ready.
    pub fn moving(&self) -> Vec<String> {
        let unprobed = self
            .clusters
            .iter()
            .filter(|cluster| cluster.state.is_empty());
        unprobed
            .map(|cluster| format!("{} has not been probed", cluster.name))
            .chain(self.objects.iter().flat_map(ObjectState::moving))
            .collect()
    }

    /// What is not as it should be although nothing moves, in words that name object and cluster.
    pub fn problems(&self) -> Vec<String> {
        self.objects
            .iter()
            .flat_map(ObjectState::problems)
            .collect()
    }
}

impl ClusterState {
    fn of(value: Value) -> Self {
        let cluster: KubeFedCluster = serde_json::from_value(value).unwrap_or_default();
        let conditions = cluster.status.map(|status| status.conditions);
        let conditions = conditions.unwrap_or_default();
        let is_true =
            |condition: &&kubefed_api::ClusterCondition| condition.status.to_string() == "True";
        // Of several true conditions, one that is not `Ready` says more.
        let telling = conditions
            .iter()
            .filter(is_true)
            .max_by_key(|condition| condition.type_.to_string() != "Ready");
        let state = match telling {
            Some(condition) => condition.type_.to_string(),
            None if conditions.is_empty() => String::new(),
            None => "NotReady".to_owned(),
        };
        let said = telling.or(conditions.first()).filter(|_| state != "Ready");
        Self {
            name: cluster.metadata.name.unwrap_or_default(),
            labels: cluster.metadata.labels.unwrap_or_default(),
            state,
            reason: said
                .and_then(|condition| condition.message.clone())
                .unwrap_or_default(),
        }
    }
}

impl ObjectState {
    fn of<C: PlayedCluster>(
        object: &FederatedObject,
        target: &ResourceType,
        members: &BTreeMap<String, C>,
        said: &Explanation,
    ) -> Self {
        let selected = selection(object);
        let status = object.status();
        let condition = status.propagation();
        let name = object.name();
        let namespace = name.namespace().filter(|_| target.is_namespaced());
        let stored = QualifiedName::new(namespace, name.name());
        let copy = |(cluster, member): (&String, &C)| {
            let listed = status
                .clusters
                .iter()
                .find(|entry| entry.name.as_str() == cluster);
            let copy = member.object(target, &stored);
            let wrong = said.clusters.get(cluster.as_str());
            let overridden = object
                .overrides()
                .clusters()
                .any(|name| name.as_str() == cluster);
            let overridden = if overridden { ", overridden" } else { "" };
            let state = CopyState {
                cluster: cluster.clone(),
                status: listed.map(|entry| entry.status.to_string()),
                explanation: match (wrong, listed) {
                    (Some(wrong), _) => wrong.clone(),
                    (None, Some(_)) => format!("{selected}{overridden}"),
                    (None, None) => String::new(),
                },
                copy,
            };
            (state.status.is_some() || state.copy.is_some()).then_some(state)
        };
        Self {
            kind: target.kind.clone(),
            name: name.clone(),
            deleting: object.is_deleting(),
            is_system_namespace: target.kind == "Namespace"
                && well_known::SYSTEM_NAMESPACES.contains(&name.name()),
            propagation: condition
                .map(|condition| condition.status.clone())
                .unwrap_or_default(),
            reason: condition
                .map(|condition| condition.reason.clone())
                .unwrap_or_default(),
            observed: status.observed_generation == object.generation(),
            explanation: said.whole.clone(),
            clusters: members.iter().filter_map(copy).collect(),
        }
    }

    fn moving(&self) -> Vec<String> {
        let name = self.title();
        if self.is_system_namespace {
            return Vec::new();
        }
        if self.deleting {
            return vec![format!("{name} is being deleted")];
        }
        if !self.observed {
            return vec![format!("{name} has not been reported")];
        }
        let moving = self.clusters.iter().filter_map(|copy| {
            let (cluster, status) = (&copy.cluster, copy.status.as_deref()?);
            // Between two attempts no loop has anything in work.
            if PropagationStatus::from(status).is_retried() {
                return copy.problem(&name);
            }
            let (ready, wanted) = copy.replicas()?;
            let moves = copy.is_propagated() && !copy.is_rolled_out();
            moves.then(|| format!("{name} in {cluster}: {ready} of {wanted} replicas ready"))
        });
        moving.collect()
    }

    fn problems(&self) -> Vec<String> {
        let name = self.title();
        let failing = self.clusters.iter().filter_map(|copy| copy.problem(&name));
        let failing: Vec<_> = failing.collect();
        if !failing.is_empty() || self.reason.is_empty() {
            return failing;
        }
        let separator = if self.explanation.is_empty() {
            ""
        } else {
            ": "
        };
        vec![format!(
            "{name}: {}{separator}{}",
            self.reason, self.explanation
        )]
    }

    /// Kind and name, such as `Deployment shop/web`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.target_name())
    }

    /// The name of the copies: a FederatedNamespace `shop/shop` is about the Namespace `shop`.
    fn target_name(&self) -> QualifiedName {
        if self.kind == "Namespace" {
            QualifiedName::cluster_scoped(self.name.name())
        } else {
            self.name.clone()
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
            copy["metadata"]["labels"][well_known::MANAGED_LABEL] == well_known::MANAGED_VALUE
        })
    }

    /// Whether the cluster is reported to hold what it should.
    pub fn is_propagated(&self) -> bool {
        self.status.as_deref() == Some("")
    }

    /// What is reported to be wrong with the copy of an object of this name.
    fn problem(&self, name: &str) -> Option<String> {
        let status = self.status.as_ref().filter(|status| !status.is_empty())?;
        let (cluster, why) = (&self.cluster, &self.explanation);
        Some(format!("{name} in {cluster}: {status}: {why}"))
    }

    /// The version of the copy.
    pub fn version(&self) -> Option<ObjectVersion> {
        self.copy.as_ref().map(ObjectVersion::of)
    }

    /// Ready and wanted replicas, for kinds that have them and that the simulated cluster runs: others
    /// never get a status.
    pub fn replicas(&self) -> Option<(i64, i64)> {
        let copy = self.copy.as_ref()?;
        let wanted = copy["spec"]["replicas"].as_i64()?;
        copy["status"]["observedGeneration"].as_i64()?;
        Some((
            copy["status"]["readyReplicas"].as_i64().unwrap_or_default(),
            wanted,
        ))
    }

    /// Whether all wanted replicas, and no others, are ready and made of the present pod template.
    pub fn is_rolled_out(&self) -> bool {
        let (Some(copy), Some((ready, wanted))) = (&self.copy, self.replicas()) else {
            return true;
        };
        let status = |field: &str| copy["status"][field].as_i64();
        ready == wanted
            && status("replicas").unwrap_or_default() == wanted
            // Only kinds that roll have this field.
            && status("updatedReplicas").is_none_or(|updated| updated == wanted)
            && status("observedGeneration") >= copy["metadata"]["generation"].as_i64()
    }

    /// The image of the first container, for kinds that have a pod template.
    pub fn image(&self) -> Option<&str> {
        self.copy.as_ref()?["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
    }
}

/// By which part of an object clusters are selected.
fn selection(object: &FederatedObject) -> &'static str {
    match object.placement() {
        Ok(ClusterSelection::Named(_)) => "named",
        Ok(ClusterSelection::Matching(selector)) if selector.selects_all() => "every cluster",
        Ok(ClusterSelection::Matching(_)) => "labels match",
        Ok(ClusterSelection::Nowhere) | Err(_) => "",
    }
}
