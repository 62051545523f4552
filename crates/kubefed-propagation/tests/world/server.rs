//! What is outside the controller: the store of the host and one store per member, each with the rules
//! of an API server that matter here, and a judge of every write that arrives.

use std::collections::BTreeMap;

use kubefed_propagation::CopyInputs;
use kubefed_propagation::kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use kubefed_propagation::kubefed_api::{PropagatedVersionStatus, well_known};
use serde_json::{Value, json};

/// The process ended after a write that took effect.
#[derive(Debug)]
pub(crate) struct Crash;

/// Why a server refused a request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    AlreadyExists,
    Conflict,
    NotFound,
}

/// Whether the servers of a kind count generations; the kinds that do also fill in defaults here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Deployment,
    ConfigMap,
}

/// One store for the one object of the test.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) object: Option<Value>,
    kind: Kind,
    name: String,
    revision: u64,
    uids: u64,
}

impl Store {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self {
            object: None,
            kind,
            name: name.to_owned(),
            revision: 0,
            uids: 0,
        }
    }

    pub(crate) fn create(&mut self, object: &Value) -> Result<Value, Refused> {
        if self.object.is_some() {
            return Err(Refused::AlreadyExists);
        }
        self.uids += 1;
        let mut stored = object.clone();
        stored["metadata"]["uid"] = format!("{}-{}", self.name, self.uids).into();
        if self.kind == Kind::Deployment {
            stored["metadata"]["generation"] = 1.into();
        }
        self.fill_in(&mut stored);
        Ok(self.store(stored))
    }

    pub(crate) fn replace(&mut self, object: &Value) -> Result<Value, Refused> {
        let old = self.object.clone().ok_or(Refused::NotFound)?;
        if object["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        let mut stored = object.clone();
        for name in ["uid", "generation", "deletionTimestamp"] {
            put(&mut stored["metadata"], name, &old["metadata"][name]);
        }
        put(&mut stored, "status", &old["status"]);
        self.fill_in(&mut stored);
        if stored == old {
            return Ok(old);
        }
        let content = |object: &Value| {
            let fields = object.as_object().cloned().unwrap_or_default().into_iter();
            fields
                .filter(|(name, _)| name != "metadata" && name != "status")
                .collect::<Value>()
        };
        if self.kind == Kind::Deployment && content(&stored) != content(&old) {
            bump(&mut stored);
        }
        if old["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&stored) {
            self.object = None;
            return Ok(stored);
        }
        Ok(self.store(stored))
    }

    /// A merge patch that removes the managed label from this very object.
    pub(crate) fn unlabel(&mut self, uid: &str, resource_version: &str) -> Result<Value, Refused> {
        let mut object = self.object.clone().ok_or(Refused::NotFound)?;
        let metadata = &mut object["metadata"];
        if metadata["uid"] != uid || metadata["resourceVersion"] != resource_version {
            return Err(Refused::Conflict);
        }
        put(
            &mut metadata["labels"],
            well_known::MANAGED_LABEL,
            &Value::Null,
        );
        Ok(self.store(object))
    }

    /// `Ok(None)` if the object is gone at once.
    pub(crate) fn delete(&mut self, options: &DeleteOptions) -> Result<Option<Value>, Refused> {
        let mut object = self.object.clone().ok_or(Refused::NotFound)?;
        let uid = options
            .preconditions
            .as_ref()
            .and_then(|p| p.uid.as_deref());
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Refused::Conflict);
        }
        if !has_finalizers(&object) {
            self.object = None;
            return Ok(None);
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            if self.kind == Kind::Deployment {
                bump(&mut object);
            }
            object = self.store(object);
        }
        Ok(Some(object))
    }

    /// Somebody in the member cluster edits the object.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.object.clone() else {
            return;
        };
        edit(&mut object);
        let _ = self.replace(&object);
    }

    fn store(&mut self, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.object = Some(object.clone());
        object
    }

    /// Defaults, as an API server sets them for kinds with a specification.
    fn fill_in(&self, object: &mut Value) {
        if self.kind == Kind::Deployment && object["spec"]["strategy"].is_null() {
            object["spec"]["strategy"] = json!({"type": "RollingUpdate"});
        }
    }
}

/// One member cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) joined: bool,
    pub(crate) ready: bool,
    pub(crate) synced: bool,
    /// The watch does not show the object yet, or its label.
    pub(crate) lags: bool,
    /// So many of the next writes take effect, and their answers are lost.
    pub(crate) answers_lost: usize,
    pub(crate) store: Store,
}

/// The host: the federated object and its version object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) object: Option<Value>,
    pub(crate) versions: Option<PropagatedVersionStatus>,
    /// What the versions are made from, which memory keeps beside them.
    pub(crate) inputs: CopyInputs,
    revision: u64,
}

impl Host {
    /// Somebody edits the federated object, or creates it.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut object = self
            .object
            .clone()
            .unwrap_or_else(|| json!({"metadata": {"uid": "host-1"}}));
        let spec = object["spec"].clone();
        edit(&mut object);
        if object["spec"] != spec {
            bump(&mut object);
        }
        self.store(object);
    }

    /// Somebody deletes the federated object.
    pub(crate) fn delete(&mut self) {
        let Some(mut object) = self.object.clone() else {
            return;
        };
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        self.store(object);
    }

    /// A merge patch guarded by its resource version.
    pub(crate) fn patch(&mut self, patch: &Value) -> Result<(), Refused> {
        let mut object = self.object.clone().ok_or(Refused::NotFound)?;
        let version = &patch["metadata"]["resourceVersion"];
        assert!(
            version.is_string(),
            "an unguarded patch of the host: {patch}"
        );
        if *version != object["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        json_patch::merge(&mut object, patch);
        self.store(object);
        Ok(())
    }

    pub(crate) fn write_status(&mut self, status: Value) {
        let Some(mut object) = self.object.clone() else {
            return;
        };
        object["status"] = status;
        self.store(object);
    }

    fn store(&mut self, mut object: Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let gone = object["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&object);
        if gone {
            // The garbage collector takes the version object with its owner.
            (self.object, self.versions) = (None, None);
        } else {
            self.object = Some(object);
        }
    }
}

fn bump(object: &mut Value) {
    let generation = object["metadata"]["generation"]
        .as_i64()
        .unwrap_or_default();
    object["metadata"]["generation"] = (generation + 1).into();
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
}

/// Sets a member, or removes it if the value is null.
fn put(object: &mut Value, name: &str, value: &Value) {
    let Some(members) = object.as_object_mut() else {
        return;
    };
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value.clone());
    }
}

/// Whether an object carries the managed label.
pub(crate) fn is_managed(object: &Value) -> bool {
    object["metadata"]["labels"][well_known::MANAGED_LABEL] == well_known::MANAGED_VALUE
}
