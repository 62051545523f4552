//! One reconcile of the status object of a federated service.

use std::sync::Arc;

use kubefed_api::{ClusterServiceStatus, ObservedCopy, QualifiedName};
use kubefed_informer::Lookup;
use kubefed_runtime::{ReconcileKey, Requeue};
use serde_json::{Value, json};

use super::ServiceStatus;
use crate::Options;
use crate::host::HostError;

impl ServiceStatus {
    pub(super) async fn reconcile(&self, name: &QualifiedName) -> Requeue {
        let object = match self.objects.store().get(name) {
            Lookup::Present(object) if !object.is_deleting() => object,
            // The status object goes by garbage collection.
            Lookup::Present(_) | Lookup::Absent => return Requeue::OnChange,
            Lookup::Unknown(why) => {
                tracing::warn!(%name, %why, "the federated service is not known");
                return Requeue::Failed;
            }
        };
        let stored = match self.stored(name) {
            Ok(stored) => stored,
            Err(why) => {
                tracing::warn!(%name, why, "the status object is not known");
                return Requeue::Failed;
            }
        };
        let entries = stored.as_deref().map(entries);
        let collected = self.collect(name, entries.as_deref().unwrap_or_default());
        let resync = Requeue::After(self.context.options.resync);
        if entries.as_ref() == Some(&collected) {
            return resync;
        }
        let key = ReconcileKey::fleet(name.clone());
        let write = self.own_statuses.begin(key.clone());
        let written = match &stored {
            None => self.create(name, &object, &collected).await,
            Some(stored) => self.replace_entries(name, stored, &collected).await,
        };
        match written {
            Ok(answer) => {
                let version = answer["metadata"]["resourceVersion"].as_str();
                let version = version.unwrap_or_default().to_owned();
                if write.wrote(&version, Arc::new(answer)) {
                    self.queue.add(key);
                }
                resync
            }
            // Somebody else was quicker; the watch is about to show it.
            Err(error)
                if error.is_conflict() || error.is_already_exists() || error.is_not_found() =>
            {
                drop(write);
                self.own_statuses.forget(&key);
                Requeue::After(Options::OUTDATED)
            }
            Err(error) => {
                tracing::warn!(%name, %error, "the statuses of a service were not written");
                Requeue::Failed
            }
        }
    }

    async fn create(
        &self,
        name: &QualifiedName,
        object: &ObservedCopy,
        collected: &[ClusterServiceStatus],
    ) -> Result<Value, HostError> {
        let body = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind,
            "metadata": {
                "namespace": name.namespace(),
                "name": name.name(),
                "ownerReferences": [{
                    "apiVersion": self.federated.api_version(),
                    "kind": self.federated.kind,
                    "name": name.name(),
                    "uid": object.uid(),
                }],
            },
            "clusterStatus": collected,
        });
        let host = &self.context.host;
        host.create(&self.kind, name.namespace(), &body).await
    }

    async fn replace_entries(
        &self,
        name: &QualifiedName,
        stored: &Value,
        collected: &[ClusterServiceStatus],
    ) -> Result<Value, HostError> {
        let patch = json!({
            "metadata": {"resourceVersion": stored["metadata"]["resourceVersion"]},
            "clusterStatus": collected,
        });
        let host = &self.context.host;
        host.patch(&self.kind, name, None, &patch).await
    }
}

/// The entries of a stored object. What cannot be read counts as none, and is replaced.
fn entries(stored: &Value) -> Vec<ClusterServiceStatus> {
    serde_json::from_value(stored["clusterStatus"].clone()).unwrap_or_default()
}
