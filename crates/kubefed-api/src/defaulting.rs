//! The defaults of KubeFedConfig, as the mutating webhook of KubeFed v0.10 fills them in on creation.
//!
//! The defaults of FederatedTypeConfig are never stored; see
//! [`apply_defaults`](crate::FederatedTypeConfig::apply_defaults).

use serde::Deserialize;
use serde::de::Error;
use serde_json::{Value, json};

use crate::core::{
    FeatureGate, FeatureGateName, KubeFedConfig, KubeFedConfigSpec, ResourceLock, Toggle,
};
use crate::duration::GoDuration;

impl KubeFedConfig {
    /// The JSON patch (RFC 6902) that fills in what `object` lacks; `None` if it lacks nothing.
    ///
    /// The patch replaces the whole spec, so unknown fields go and durations come back in their
    /// canonical form. Durations that are merely spelled differently cause no patch; feature gates in
    /// another order do.
    ///
    /// # Errors
    ///
    /// The object or its spec cannot be decoded.
    ///
    /// # Example
    ///
    /// ```
    /// use kubefed_api::KubeFedConfig;
    /// use serde_json::json;
    ///
    /// let object = json!({"metadata": {"name": "kubefed"}, "spec": {"scope": "Cluster"}});
    /// let patch = KubeFedConfig::default_patch(&object)?.expect("nearly everything is missing");
    /// assert_eq!(patch[0]["op"], "replace");
    /// assert_eq!(patch[0]["path"], "/spec");
    /// assert_eq!(patch[0]["value"]["controllerDuration"]["unavailableDelay"], "1m0s");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn default_patch(object: &Value) -> Result<Option<Value>, serde_json::Error> {
        let fields = object
            .as_object()
            .ok_or_else(|| serde_json::Error::custom("a KubeFedConfig is a JSON object"))?;
        let spec =
            Option::<KubeFedConfigSpec>::deserialize(fields.get("spec").unwrap_or(&Value::Null))?
                .unwrap_or_default();
        let mut defaulted = spec.clone();
        defaulted.apply_defaults();
        if defaulted == spec {
            return Ok(None);
        }
        // `replace` needs something to replace.
        let op = if fields.contains_key("spec") {
            "replace"
        } else {
            "add"
        };
        Ok(Some(
            json!([{"op": op, "path": "/spec", "value": serde_json::to_value(defaulted)?}]),
        ))
    }
}

impl KubeFedConfigSpec {
    /// Fills every missing field except the scope, and sorts the feature gates by name.
    ///
    /// Applying it twice is the same as once.
    pub fn apply_defaults(&mut self) {
        let durations = self.controller_duration.get_or_insert_default();
        durations
            .available_delay
            .get_or_insert(GoDuration::from_secs(20));
        durations
            .unavailable_delay
            .get_or_insert(GoDuration::from_secs(60));
        durations
            .cache_sync_timeout
            .get_or_insert(GoDuration::from_secs(5 * 60));

        let election = self.leader_elect.get_or_insert_default();
        election
            .lease_duration
            .get_or_insert(GoDuration::from_secs(15));
        election
            .renew_deadline
            .get_or_insert(GoDuration::from_secs(10));
        election
            .retry_period
            .get_or_insert(GoDuration::from_secs(5));
        election
            .resource_lock
            .get_or_insert(ResourceLock::ConfigMaps);

        default_gates(self.feature_gates.get_or_insert_default());

        let health = self.cluster_health_check.get_or_insert_default();
        health.period.get_or_insert(GoDuration::from_secs(10));
        health.failure_threshold.get_or_insert(3);
        health.success_threshold.get_or_insert(1);
        health.timeout.get_or_insert(GoDuration::from_secs(3));

        let sync = self.sync_controller.get_or_insert_default();
        sync.max_concurrent_reconciles.get_or_insert(1);
        sync.adopt_resources.get_or_insert(Toggle::Enabled);

        let status = self.status_controller.get_or_insert_default();
        status.max_concurrent_reconciles.get_or_insert(1);
    }
}

const GATES: [(FeatureGateName, Toggle); 3] = [
    (FeatureGateName::PushReconciler, Toggle::Enabled),
    (
        FeatureGateName::RawResourceStatusCollection,
        Toggle::Disabled,
    ),
    (FeatureGateName::SchedulerPreferences, Toggle::Enabled),
];

/// Adds the known gates that are missing. Unknown ones are kept; validation refuses them.
fn default_gates(gates: &mut Vec<FeatureGate>) {
    for (name, configuration) in GATES {
        if !gates.iter().any(|gate| gate.name == name) {
            gates.push(FeatureGate {
                name,
                configuration,
            });
        }
    }
    gates.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete() -> Value {
        json!({
            "scope": "Cluster",
            "controllerDuration": {"availableDelay": "20s", "unavailableDelay": "1m0s", "cacheSyncTimeout": "5m0s"},
            "leaderElect": {"leaseDuration": "15s", "renewDeadline": "10s", "retryPeriod": "5s", "resourceLock": "configmaps"},
            "featureGates": [
                {"name": "PushReconciler", "configuration": "Enabled"},
                {"name": "RawResourceStatusCollection", "configuration": "Disabled"},
                {"name": "SchedulerPreferences", "configuration": "Enabled"}
            ],
            "clusterHealthCheck": {"period": "10s", "failureThreshold": 3, "successThreshold": 1, "timeout": "3s"},
            "syncController": {"maxConcurrentReconciles": 1, "adoptResources": "Enabled"},
            "statusController": {"maxConcurrentReconciles": 1}
        })
    }

    /// The complete spec with one change; null removes a field.
    fn changed(pointer: &str, value: Value) -> Value {
        let mut spec = complete();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(field)),
            value => drop(parent.insert(field.to_owned(), value)),
        }
        spec
    }

    #[track_caller]
    fn check(spec: Value, expected: Option<Value>) {
        let patch = KubeFedConfig::default_patch(&json!({"spec": spec})).unwrap();
        let replaced = |value| json!([{"op": "replace", "path": "/spec", "value": value}]);
        assert_eq!(patch, expected.map(replaced));
    }

    /// api 14: the complete default object; the scope is never defaulted.
    #[test]
    fn everything_but_the_scope_is_filled_in() {
        check(json!({"scope": "Cluster"}), Some(complete()));
        check(json!({}), Some(changed("/scope", "".into())));
        check(
            json!({"scope": "Cluster", "unknown": 1, "leaderElect": {}}),
            Some(complete()),
        );
        check(complete(), None);
    }

    /// api 14: what is given stays, in whatever spelling.
    #[test]
    fn what_is_given_is_kept() {
        check(
            changed("/controllerDuration/unavailableDelay", "60s".into()),
            None,
        );
        check(changed("/syncController/adoptResources", "".into()), None);
        check(
            changed("/clusterHealthCheck/failureThreshold", 0.into()),
            None,
        );
        let mut spec = changed("/statusController", Value::Null);
        spec["controllerDuration"]["unavailableDelay"] = "120s".into();
        check(
            spec,
            Some(changed(
                "/controllerDuration/unavailableDelay",
                "2m0s".into(),
            )),
        );
    }

    /// api 4 and 14, and observable check 49 of propagation.
    #[test]
    fn no_value_that_is_given_is_replaced() {
        let given = [
            ("/scope", json!("Namespaced")),
            ("/controllerDuration/availableDelay", json!("1s")),
            ("/controllerDuration/unavailableDelay", json!("1s")),
            ("/controllerDuration/cacheSyncTimeout", json!("1s")),
            ("/leaderElect/leaseDuration", json!("1s")),
            ("/leaderElect/renewDeadline", json!("1s")),
            ("/leaderElect/retryPeriod", json!("1s")),
            ("/leaderElect/resourceLock", json!("endpoints")),
            ("/featureGates/0/configuration", json!("Disabled")),
            ("/featureGates/1/configuration", json!("Enabled")),
            ("/featureGates/2/configuration", json!("Disabled")),
            ("/clusterHealthCheck/period", json!("1s")),
            ("/clusterHealthCheck/failureThreshold", json!(7)),
            ("/clusterHealthCheck/successThreshold", json!(7)),
            ("/clusterHealthCheck/timeout", json!("1s")),
            ("/syncController/maxConcurrentReconciles", json!(7)),
            ("/syncController/adoptResources", json!("Disabled")),
            ("/statusController/maxConcurrentReconciles", json!(7)),
        ];
        for (pointer, value) in given {
            let mut spec = complete();
            let default = spec.pointer_mut(pointer).unwrap();
            assert_ne!(*default, value, "{pointer} differs from its default");
            *default = value;
            check(spec.clone(), None);
            // Beside a part that is missing, so that there is a patch to look at.
            let removed = if pointer.starts_with("/leaderElect") {
                "statusController"
            } else {
                "leaderElect"
            };
            let mut partial = spec.clone();
            partial.as_object_mut().unwrap().remove(removed);
            check(partial, Some(spec));
        }
    }

    /// api 14: missing gates are appended, the list is sorted, unknown names stay.
    #[test]
    fn feature_gates_are_completed_and_sorted() {
        let gate =
            |name: &str, configuration: &str| json!({"name": name, "configuration": configuration});
        let (push, raw, scheduler) = (
            gate("PushReconciler", "Enabled"),
            gate("RawResourceStatusCollection", "Disabled"),
            gate("SchedulerPreferences", "Enabled"),
        );
        check(
            changed("/featureGates", json!([scheduler, raw, push])),
            Some(complete()),
        );
        check(changed("/featureGates", json!([])), Some(complete()));
        check(
            changed(
                "/featureGates",
                json!([
                    gate("Zeta", ""),
                    gate("RawResourceStatusCollection", "Enabled")
                ]),
            ),
            Some(changed(
                "/featureGates",
                json!([
                    push,
                    gate("RawResourceStatusCollection", "Enabled"),
                    scheduler,
                    gate("Zeta", "")
                ]),
            )),
        );
    }

    #[test]
    fn a_missing_spec_is_added_and_a_malformed_object_refused() {
        let patch = KubeFedConfig::default_patch(&json!({})).unwrap().unwrap();
        assert_eq!(patch[0]["op"], "add");
        for object in [json!([]), json!({"spec": 5}), json!({"spec": {"scope": 5}})] {
            assert!(KubeFedConfig::default_patch(&object).is_err(), "{object}");
        }
        let duration = json!({"spec": {"controllerDuration": {"availableDelay": 5}}});
        assert!(KubeFedConfig::default_patch(&duration).is_err());
    }

    proptest! {
        /// Defaulting is idempotent and leaves nothing for validation to miss but the scope.
        #[test]
        fn defaults_are_complete_and_applied_once(
            removed in proptest::collection::vec(
                proptest::sample::select(vec![
                    "/controllerDuration", "/controllerDuration/availableDelay", "/leaderElect",
                    "/leaderElect/retryPeriod", "/leaderElect/resourceLock", "/featureGates",
                    "/clusterHealthCheck/timeout", "/clusterHealthCheck", "/syncController",
                    "/syncController/adoptResources", "/statusController",
                    "/statusController/maxConcurrentReconciles",
                ]),
                0..6,
            )
        ) {
            let mut spec = complete();
            for pointer in removed {
                let (parent, field) = pointer.rsplit_once('/').unwrap();
                if let Some(parent) = spec.pointer_mut(parent) {
                    parent.as_object_mut().unwrap().remove(field);
                }
            }
            let mut spec: KubeFedConfigSpec = serde_json::from_value(spec).unwrap();
            spec.apply_defaults();
            prop_assert_eq!(serde_json::to_value(&spec).unwrap(), complete());
            prop_assert!(KubeFedConfig::new("kubefed", spec).validate_create().is_ok());
        }
    }
}
