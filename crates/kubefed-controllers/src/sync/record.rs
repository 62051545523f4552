//! Version objects: what was last written to each cluster, kept in memory and in the host cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kubefed_api::{
    ClusterName, FederatedObject, ObjectVersion, PropagatedVersionStatus, QualifiedName,
    ResourceType,
};
use kubefed_propagation::{CopyInputs, Federation, Hashes, Record, next_versions};
use serde_json::{Value, json};

use crate::host::{Host, HostError};

/// Attempts of one write. Each one after the first follows somebody else's write or deletion.
const ATTEMPTS: usize = 5;

/// The version objects of one federated type.
///
/// They are listed once; from then on memory is the source, and the host cluster's objects are its
/// copy for the next start. An object that somebody else changed or deleted is put right by the next
/// write.
pub(crate) struct VersionRecords {
    host: Host,
    kind: ResourceType,
    prefix: String,
    /// By the name of the federated object.
    entries: Mutex<BTreeMap<QualifiedName, Stored>>,
}

#[derive(Clone)]
struct Stored {
    /// Empty before it was created.
    resource_version: String,
    owner_uid: String,
    status: PropagatedVersionStatus,
    /// Whether the host cluster has this status.
    saved: bool,
    /// What the versions are made from; `None` where that is not known, as after a start.
    inputs: Option<CopyInputs>,
}

impl VersionRecords {
    /// Lists the version objects of a target kind in a namespace; empty means all.
    pub(crate) async fn load(
        host: Host,
        kind: ResourceType,
        target_kind: &str,
        namespace: &str,
    ) -> Result<Self, HostError> {
        let prefix = format!("{}-", target_kind.to_lowercase());
        let listed = host.list(&kind, namespace).await?;
        let entry = |object: &Value| {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str()?.strip_prefix(&prefix)?;
            let name = QualifiedName::new(metadata["namespace"].as_str(), name);
            Some((name, Stored::read(object)))
        };
        let entries = Mutex::new(listed.iter().filter_map(entry).collect());
        Ok(Self {
            host,
            kind,
            prefix,
            entries,
        })
    }

    /// What is stored for a federated object. A record of another object that had the same name says
    /// nothing.
    pub(crate) fn stored(&self, object: &FederatedObject) -> Option<PropagatedVersionStatus> {
        let entries = self.entries();
        let stored = entries.get(object.name())?;
        (stored.owner_uid == object.uid()).then(|| stored.status.clone())
    }

    /// What is recorded of the copies of a federated object, as far as it holds for what it says now.
    pub(crate) fn record(&self, object: &FederatedObject, hashes: &Hashes) -> Record {
        let entries = self.entries();
        let entry = entries.get(object.name());
        let Some(stored) = entry.filter(|stored| stored.owner_uid == object.uid()) else {
            return Record::empty();
        };
        match &stored.inputs {
            Some(then) if !stored.is_of(hashes) => {
                Record::read_by_cluster(&stored.status, hashes, then, &CopyInputs::of(object))
            }
            _ => Record::read(&stored.status, hashes),
        }
    }

    /// Forgets a federated object that is gone; its version object goes by garbage collection.
    pub(crate) fn forget(&self, name: &QualifiedName) {
        self.entries().remove(name);
    }

    /// Takes note of what the clusters hold now of a federation, to be stored later.
    pub(crate) fn learn(
        &self,
        object: &FederatedObject,
        federation: &Federation,
        selected: &BTreeSet<ClusterName>,
        produced: &BTreeMap<ClusterName, ObjectVersion>,
    ) {
        let Ok(hashes) = federation.hashes() else {
            return;
        };
        let mut entries = self.entries();
        let ours = entries.get(object.name());
        let ours = ours.filter(|stored| stored.owner_uid == object.uid());
        let stored = ours.map(|stored| &stored.status);
        if let Some(next) = next_versions(stored, hashes, selected, produced) {
            let resource_version = ours.map(|stored| stored.resource_version.clone());
            let stored = Stored {
                resource_version: resource_version.unwrap_or_default(),
                owner_uid: object.uid().to_owned(),
                inputs: kept_inputs(ours, &next),
                status: next,
                saved: false,
            };
            entries.insert(object.name().clone(), stored);
        }
        drop(entries);
        self.learn_inputs(federation.object());
    }

    /// Stores what the clusters hold now of a federation, which `object` may be newer than. Until it
    /// succeeds the control plane's next start would read every copy again.
    pub(crate) async fn store(
        &self,
        object: &FederatedObject,
        federation: &Federation,
        selected: &BTreeSet<ClusterName>,
        produced: &BTreeMap<ClusterName, ObjectVersion>,
    ) -> Result<(), HostError> {
        let Ok(hashes) = federation.hashes() else {
            return Ok(());
        };
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let entry = self.entries().get(object.name()).cloned();
            let ours = entry
                .as_ref()
                .filter(|stored| stored.owner_uid == object.uid());
            let stored = ours.map(|stored| &stored.status);
            let learnt = ours.filter(|stored| !stored.saved);
            let learnt = learnt.map(|stored| stored.status.clone());
            let Some(next) = next_versions(stored, hashes, selected, produced).or(learnt) else {
                self.learn_inputs(federation.object());
                return Ok(());
            };
            let version = ours.map(|stored| &stored.resource_version);
            let written = match version.filter(|version| !version.is_empty()) {
                Some(version) => self.write(object, version, &next).await,
                None => self.create(object, &next).await,
            };
            match written {
                Ok(()) => {
                    self.learn_inputs(federation.object());
                    return Ok(());
                }
                Err(error) if error.is_conflict() || error.is_already_exists() => {
                    match self.refresh(object).await? {
                        Owner::Ourselves => failure = Some(error),
                        // It is left to the garbage collector, which comes in a moment.
                        Owner::Predecessor => return Err(error),
                        Owner::Other => return Ok(()),
                    }
                }
                Err(error) if error.is_not_found() => {
                    self.forget(object.name());
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The stored versions are of what the object says.
    fn learn_inputs(&self, object: &FederatedObject) {
        if let Some(stored) = self.entries().get_mut(object.name()) {
            stored.inputs.get_or_insert_with(|| CopyInputs::of(object));
        }
    }

    async fn create(
        &self,
        object: &FederatedObject,
        next: &PropagatedVersionStatus,
    ) -> Result<(), HostError> {
        let name = self.name(object);
        let mut body = self.body(object);
        body["status"] = json!(next);
        let created = self
            .host
            .create(&self.kind, name.namespace(), &body)
            .await?;
        // The server drops the status of a creation.
        let version = created["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        self.write(object, version, next).await
    }

    async fn write(
        &self,
        object: &FederatedObject,
        resource_version: &str,
        next: &PropagatedVersionStatus,
    ) -> Result<(), HostError> {
        let mut body = self.body(object);
        body["metadata"]["resourceVersion"] = resource_version.into();
        body["status"] = json!(next);
        let written = self
            .host
            .replace_status(&self.kind, &self.name(object), &body)
            .await?;
        let mut entries = self.entries();
        let earlier = entries.get(object.name());
        let earlier = earlier.filter(|stored| stored.owner_uid == object.uid());
        let stored = Stored {
            resource_version: text(&written["metadata"]["resourceVersion"]),
            owner_uid: object.uid().to_owned(),
            status: next.clone(),
            saved: true,
            inputs: kept_inputs(earlier, next),
        };
        entries.insert(object.name().clone(), stored);
        Ok(())
    }

    /// Reads a version object that is not as it was remembered, and tells whose it is.
    async fn refresh(&self, object: &FederatedObject) -> Result<Owner, HostError> {
        match self.host.read(&self.kind, &self.name(object)).await {
            Ok(found) => {
                let stored = Stored::read(&found);
                let owner = Owner::of(&found, object);
                self.entries().insert(object.name().clone(), stored);
                Ok(owner)
            }
            Err(error) if error.is_not_found() => {
                self.forget(object.name());
                Ok(Owner::Ourselves)
            }
            Err(error) => Err(error),
        }
    }

    fn name(&self, object: &FederatedObject) -> QualifiedName {
        let name = format!("{}{}", self.prefix, object.name().name());
        QualifiedName::new(object.name().namespace(), &name)
    }

    fn body(&self, object: &FederatedObject) -> Value {
        let name = self.name(object);
        let mut metadata = json!({
            "name": name.name(),
            "ownerReferences": [{
                "apiVersion": object.as_value()["apiVersion"],
                "kind": object.as_value()["kind"],
                "name": object.name().name(),
                "uid": object.uid(),
            }],
        });
        if let Some(namespace) = name.namespace() {
            metadata["namespace"] = namespace.into();
        }
        json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind, "metadata": metadata})
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<QualifiedName, Stored>> {
        // A map operation cannot leave the map half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose version object it is. Closed: a federated object may own it, have owned it, or never have.
enum Owner {
    Ourselves,
    /// A federated object of the same type and name that is gone.
    Predecessor,
    /// An object of another federated type, whose target kind has the same name.
    Other,
}

impl Owner {
    fn of(version: &Value, object: &FederatedObject) -> Self {
        let owner = &version["metadata"]["ownerReferences"][0];
        if owner["uid"] == object.uid() {
            Self::Ourselves
        } else if owner["kind"] == object.as_value()["kind"] {
            Self::Predecessor
        } else {
            Self::Other
        }
    }
}

impl Stored {
    fn is_of(&self, hashes: &Hashes) -> bool {
        hashes.matches(
            &self.status.template_version,
            &self.status.overrides_version,
        )
    }

    fn read(object: &Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            resource_version: text(&metadata["resourceVersion"]),
            owner_uid: text(&metadata["ownerReferences"][0]["uid"]),
            status: serde_json::from_value(object["status"].clone()).unwrap_or_default(),
            saved: true,
            inputs: None,
        }
    }
}

/// The inputs of an earlier record that hold for the next: under the same hashes some copies may be older
/// than the write, and so are their inputs.
fn kept_inputs(earlier: Option<&Stored>, next: &PropagatedVersionStatus) -> Option<CopyInputs> {
    let earlier = earlier.filter(|stored| {
        stored.status.template_version == next.template_version
            && stored.status.overrides_version == next.overrides_version
    });
    earlier.and_then(|stored| stored.inputs.clone())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
