//! One reconcile of a FederatedTypeConfig.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_api::{
    ControllerStatus, FederatedTypeConfig, FederatedTypeConfigStatus, QualifiedName, well_known,
};
use kubefed_informer::Lookup;
use kubefed_propagation::Scope;
use kubefed_runtime::{ReconcileKey, Requeue};
use serde_json::json;
use tokio::sync::Mutex;

use super::{Running, TypeConfigs};
use crate::host::HostError;
use crate::service_status::ServiceStatus;
use crate::sync::{Kinds, Sync};

impl TypeConfigs {
    pub(super) async fn reconcile(&self, name: &QualifiedName) -> Requeue {
        let config = match self.configs.store().get(name) {
            Lookup::Present(config) => config,
            Lookup::Absent => {
                stop(&self.running, name).await;
                stop(&self.collecting, name).await;
                self.requeue_dependents(name);
                return Requeue::OnChange;
            }
            Lookup::Unknown(why) => {
                tracing::warn!(%name, %why, "the federated type config is not known");
                return Requeue::Failed;
            }
        };
        let mut config = FederatedTypeConfig::clone(&config);
        config.apply_defaults();
        let reconciled = self.reconcile_config(name, &config).await;
        // Whether it is new, is being deleted or is back: those that depend on it see for themselves.
        self.requeue_dependents(name);
        match reconciled {
            Ok(()) => Requeue::OnChange,
            Err(why) => {
                tracing::warn!(%name, why, "the federated type could not be set up");
                Requeue::Failed
            }
        }
    }

    async fn reconcile_config(
        &self,
        name: &QualifiedName,
        config: &FederatedTypeConfig,
    ) -> Result<(), String> {
        if config.metadata.deletion_timestamp.is_some() {
            stop(&self.running, name).await;
            stop(&self.collecting, name).await;
            return self.patch_finalizer(name, config, false).await;
        }
        // Cluster-scoped targets are out of reach of a control plane that is limited to a namespace.
        let out_of_scope =
            self.context.options.scope == Scope::Limited && !config.target_is_namespaced();
        if out_of_scope {
            stop(&self.running, name).await;
            stop(&self.collecting, name).await;
            let stopped = ControllerStatus::NotRunning;
            return self.report(name, config, stopped.clone(), stopped).await;
        }
        self.patch_finalizer(name, config, true).await?;
        let propagation = self.run_or_stop(name, config).await?;
        let collection = self.collect_or_stop(name, config).await;
        self.report(name, config, propagation, collection).await
    }

    async fn run_or_stop(
        &self,
        name: &QualifiedName,
        config: &FederatedTypeConfig,
    ) -> Result<ControllerStatus, String> {
        let generation = config.metadata.generation.unwrap_or_default();
        let namespaces = if config.target_is_namespaced() {
            self.namespaces().await
        } else {
            None
        };
        let possible = !config.target_is_namespaced() || namespaces.is_some();
        if !config.propagation_enabled() || !possible {
            stop(&self.running, name).await;
            return Ok(ControllerStatus::NotRunning);
        }
        if !is_current(&self.running, name, generation).await {
            stop(&self.running, name).await;
            let sync =
                Sync::start(Arc::clone(&self.context), Kinds::of(config), namespaces).await?;
            let running = Running::start(generation, sync, Sync::run);
            self.running.lock().await.insert(name.clone(), running);
        }
        Ok(ControllerStatus::Running)
    }

    /// Runs or stops the collection of services' statuses, which does not depend on propagation.
    async fn collect_or_stop(
        &self,
        name: &QualifiedName,
        config: &FederatedTypeConfig,
    ) -> ControllerStatus {
        let generation = config.metadata.generation.unwrap_or_default();
        let wanted = ServiceStatus::is_wanted(&self.context.options, config);
        let Some(kind) = config.spec.status_type.clone().filter(|_| wanted) else {
            stop(&self.collecting, name).await;
            return ControllerStatus::NotRunning;
        };
        if !is_current(&self.collecting, name, generation).await {
            stop(&self.collecting, name).await;
            let kinds = Kinds::of(config);
            let context = Arc::clone(&self.context);
            let statuses = ServiceStatus::start(context, kinds.federated, &kinds.target, kind);
            let running = Running::start(generation, statuses, ServiceStatus::run);
            self.collecting.lock().await.insert(name.clone(), running);
        }
        ControllerStatus::Running
    }

    /// Every namespaced type depends on the configuration of namespaces.
    fn requeue_dependents(&self, name: &QualifiedName) {
        if name.name() == well_known::NAMESPACES_TYPE_CONFIG {
            for dependent in self.configs.store().names() {
                if dependent != *name {
                    self.queue.add(ReconcileKey::fleet(dependent));
                }
            }
        }
    }

    /// Adds or removes our finalizer and no other one; the resource version guards the rest of the list.
    async fn patch_finalizer(
        &self,
        name: &QualifiedName,
        config: &FederatedTypeConfig,
        wanted: bool,
    ) -> Result<(), String> {
        let ours = well_known::TYPE_CONFIG_FINALIZER;
        let mut finalizers = config.metadata.finalizers.clone().unwrap_or_default();
        if finalizers.iter().any(|finalizer| finalizer == ours) == wanted {
            return Ok(());
        }
        finalizers.retain(|finalizer| finalizer != ours);
        if wanted {
            finalizers.push(ours.to_owned());
        }
        let patch = json!({"metadata": {
            "finalizers": finalizers,
            "resourceVersion": config.metadata.resource_version,
        }});
        match self
            .context
            .host
            .patch(&self.kind, name, None, &patch)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn report(
        &self,
        name: &QualifiedName,
        config: &FederatedTypeConfig,
        propagation_controller: ControllerStatus,
        status_controller: ControllerStatus,
    ) -> Result<(), String> {
        let status = FederatedTypeConfigStatus {
            observed_generation: config.metadata.generation.unwrap_or_default(),
            propagation_controller,
            status_controller: Some(status_controller),
        };
        if config.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let patch = json!({ "status": status });
        match self
            .context
            .host
            .patch(&self.kind, name, Some("status"), &patch)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if HostError::is_not_found(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The loops of one sort, by the names of their configurations.
type Loops<L> = Mutex<BTreeMap<QualifiedName, Running<L>>>;

async fn is_current<L>(loops: &Loops<L>, name: &QualifiedName, generation: i64) -> bool {
    let loops = loops.lock().await;
    let running = loops.get(name);
    running.is_some_and(|running| running.generation == generation)
}

async fn stop<L>(loops: &Loops<L>, name: &QualifiedName) {
    let running = loops.lock().await.remove(name);
    if let Some(running) = running {
        running.stop().await;
    }
}
