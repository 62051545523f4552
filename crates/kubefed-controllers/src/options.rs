use std::time::Duration;

use kubefed_api::{
    FeatureGate, FeatureGateName, GoDuration, KubeFedConfig, Scope as ConfigScope, Toggle,
    well_known,
};
use kubefed_informer::FleetEvent;
use kubefed_propagation::{Adoption, Scope};
use kubefed_runtime::{DispatchOptions, QueueOptions};

/// How a control plane behaves. The defaults are those of KubeFedConfig.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) namespace: String,
    pub(crate) scope: Scope,
    pub(crate) adoption: Adoption,
    pub(crate) raw_status_collection: bool,
    pub(crate) workers: usize,
    pub(crate) available_delay: Duration,
    pub(crate) unavailable_delay: Duration,
    pub(crate) drift_delay: Duration,
    pub(crate) resync: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) host_deadline: Duration,
    pub(crate) queue: QueueOptions,
    pub(crate) dispatch: DispatchOptions,
}

impl Default for Options {
    /// KubeFedConfig's defaults, and: 16 reconciles of a type at once, which with a round trip of 20 ms
    /// keeps some 200 objects a second moving; drift repaired after 10 s, as in the original, so that
    /// somebody who writes against us is answered six times a minute at most; every object looked at
    /// once in 10 minutes without cause; the time of an unchanged probe written once in 5 minutes.
    fn default() -> Self {
        Self {
            namespace: well_known::DEFAULT_KUBEFED_NAMESPACE.to_owned(),
            scope: Scope::Cluster,
            adoption: Adoption::Enabled,
            raw_status_collection: false,
            workers: 16,
            available_delay: Duration::from_secs(20),
            unavailable_delay: Duration::from_secs(60),
            drift_delay: Duration::from_secs(10),
            resync: Duration::from_secs(600),
            heartbeat: Duration::from_secs(300),
            host_deadline: Duration::from_secs(10),
            queue: QueueOptions::default(),
            dispatch: DispatchOptions::default(),
        }
    }
}

impl Options {
    /// Objects are looked at this much later when a cluster's store is synced, so that a fleet that
    /// comes up together costs one look each, not one per cluster.
    pub(crate) const SYNC_DELAY: Duration = Duration::from_millis(100);

    /// How long to wait for the answer of the host's watch after it refused an outdated patch.
    pub(crate) const OUTDATED: Duration = Duration::from_millis(250);

    /// Sets the KubeFed namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the scope: all namespaces, or the KubeFed namespace alone.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets whether objects that were there before are taken over.
    #[must_use]
    pub fn adoption(mut self, adoption: Adoption) -> Self {
        self.adoption = adoption;
        self
    }

    /// Sets whether the statuses of copies are shown in the statuses of their federated objects, for the
    /// types whose configuration enables the collection of statuses. Whole objects are then watched.
    #[must_use]
    pub fn raw_status_collection(mut self, collect: bool) -> Self {
        self.raw_status_collection = collect;
        self
    }

    /// Sets how many federated objects of a type are reconciled at once; at least one.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets how long to wait after a cluster became ready, or stopped being ready, before the objects
    /// of every type are looked at. A cluster that flaps costs nothing within this time.
    #[must_use]
    pub fn cluster_delays(mut self, available: Duration, unavailable: Duration) -> Self {
        self.available_delay = available;
        self.unavailable_delay = unavailable;
        self
    }

    /// Sets how long a change in a member cluster waits for its correction.
    #[must_use]
    pub fn drift_delay(mut self, delay: Duration) -> Self {
        self.drift_delay = delay;
        self
    }

    /// Sets how failing objects are retried.
    #[must_use]
    pub fn queue(mut self, queue: QueueOptions) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the limits of calls to member clusters.
    #[must_use]
    pub fn dispatch(mut self, dispatch: DispatchOptions) -> Self {
        self.dispatch = dispatch;
        self
    }

    /// Takes what a KubeFedConfig says; what it leaves out stays as it is.
    #[must_use]
    pub fn config(mut self, config: &KubeFedConfig) -> Self {
        let spec = &config.spec;
        self.scope = match spec.scope {
            ConfigScope::Namespaced => Scope::Limited,
            _ => Scope::Cluster,
        };
        let delay = |given: Option<GoDuration>| given.and_then(GoDuration::to_std);
        let durations = spec.controller_duration.clone().unwrap_or_default();
        self.available_delay = delay(durations.available_delay).unwrap_or(self.available_delay);
        self.unavailable_delay =
            delay(durations.unavailable_delay).unwrap_or(self.unavailable_delay);
        let sync = spec.sync_controller.clone().unwrap_or_default();
        let workers = sync.max_concurrent_reconciles.map(usize::try_from);
        if let Some(Ok(workers)) = workers {
            self.workers = workers.max(1);
        }
        let gates = spec.feature_gates.iter().flatten();
        let collects =
            |gate: &&FeatureGate| gate.name == FeatureGateName::RawResourceStatusCollection;
        if let Some(gate) = gates.into_iter().find(collects) {
            self.raw_status_collection = gate.configuration.is_enabled();
        }
        self.adoption = match sync.adopt_resources {
            Some(Toggle::Enabled) => Adoption::Enabled,
            Some(Toggle::Disabled) => Adoption::Disabled,
            _ => self.adoption,
        };
        self
    }

    /// When the objects of every type are looked at after a change of the fleet, if they are.
    pub(crate) fn delay_after(&self, event: &FleetEvent) -> Option<Duration> {
        match event {
            FleetEvent::Added(_) | FleetEvent::Relabelled(_) => Some(Self::SYNC_DELAY),
            FleetEvent::BecameReady(_) => Some(self.available_delay),
            FleetEvent::Removed(_) | FleetEvent::BecameUnready(_) => Some(self.unavailable_delay),
            _ => None,
        }
    }

    /// The namespace that is watched; empty means all.
    pub(crate) fn watched_namespace(&self) -> &str {
        match self.scope {
            Scope::Cluster => "",
            Scope::Limited => &self.namespace,
        }
    }

    /// Whether a namespace is never federated.
    pub(crate) fn is_system_namespace(&self, name: &str) -> bool {
        well_known::SYSTEM_NAMESPACES.contains(&name) || name == self.namespace
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_changes_what_it_mentions() {
        let config: KubeFedConfig = serde_json::from_value(json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedConfig",
            "metadata": {"name": "kubefed"},
            "spec": {
                "scope": "Namespaced",
                "controllerDuration": {"availableDelay": "7s"},
                "syncController": {"maxConcurrentReconciles": 3, "adoptResources": "Disabled"},
                "featureGates": [
                    {"name": "RawResourceStatusCollection", "configuration": "Enabled"},
                ],
            },
        }))
        .unwrap();
        let options = Options::default().config(&config);
        assert_eq!(options.scope, Scope::Limited);
        assert_eq!(options.available_delay, Duration::from_secs(7));
        assert_eq!(options.unavailable_delay, Duration::from_secs(60));
        assert_eq!(options.workers, 3);
        assert_eq!(options.adoption, Adoption::Disabled);
        assert!(options.raw_status_collection);
    }
}
