use std::collections::HashSet;

use crate::core::{
    ClusterHealthCheckConfig, ControllerDurations, FeatureGate, FeatureGateName, KubeFedConfig,
    KubeFedConfigSpec, LeaderElectConfig, ResourceLock, Scope, SyncControllerConfig, Toggle,
};
use crate::duration::GoDuration;

use super::{FieldErrors, Findings};

impl KubeFedConfig {
    /// Checks a new object, after the defaults were filled in: every field must be there.
    ///
    /// # Errors
    ///
    /// The rules that the spec breaks.
    pub fn validate_create(&self) -> Result<(), FieldErrors> {
        self.spec.broken_rules(None).verdict()
    }

    /// Checks a changed object. The scope is immutable.
    ///
    /// # Errors
    ///
    /// The rules that the new spec breaks.
    pub fn validate_update(&self, old: &Self) -> Result<(), FieldErrors> {
        self.spec.broken_rules(Some(&old.spec.scope)).verdict()
    }
}

impl KubeFedConfigSpec {
    fn broken_rules(&self, scope_before: Option<&Scope>) -> Findings {
        let mut findings = Findings::default();
        let scope = self.scope.as_str();
        findings.one_of("spec.scope", scope, Scope::KNOWN);
        if scope_before.is_some_and(|before| *before != self.scope) {
            findings.invalid_text("spec.scope", scope, "field is immutable");
        }
        findings.section(
            "spec.controllerDuration",
            self.controller_duration.as_ref(),
            durations,
        );
        findings.section(
            "spec.leaderElect",
            self.leader_elect.as_ref(),
            leader_election,
        );
        findings.section(
            "spec.featureGates",
            self.feature_gates.as_deref(),
            feature_gates,
        );
        findings.section(
            "spec.clusterHealthCheck",
            self.cluster_health_check.as_ref(),
            health_check,
        );
        findings.section(
            "spec.syncController",
            self.sync_controller.as_ref(),
            sync_controller,
        );
        findings.section(
            "spec.statusController",
            self.status_controller.as_ref(),
            |status, findings| {
                let reconciles = status.max_concurrent_reconciles;
                findings.positive("spec.statusController.maxConcurrentReconciles", reconciles);
            },
        );
        findings
    }
}

impl Findings {
    /// A part of the spec that must be there, and the rules of its fields.
    fn section<T: ?Sized>(
        &mut self,
        path: &str,
        section: Option<&T>,
        rules: impl Fn(&T, &mut Self),
    ) {
        match section {
            Some(section) => rules(section, self),
            None => self.required(path),
        }
    }

    /// The duration must be given and be positive; it is printed in nanoseconds.
    fn positive_duration(&mut self, path: &str, duration: Option<GoDuration>) {
        self.positive(path, duration.map(GoDuration::as_nanos));
    }
}

fn durations(durations: &ControllerDurations, findings: &mut Findings) {
    let fields = [
        (
            "spec.controllerDuration.availableDelay",
            durations.available_delay,
        ),
        (
            "spec.controllerDuration.unavailableDelay",
            durations.unavailable_delay,
        ),
        (
            "spec.controllerDuration.cacheSyncTimeout",
            durations.cache_sync_timeout,
        ),
    ];
    for (path, duration) in fields {
        findings.positive_duration(path, duration);
    }
}

fn leader_election(election: &LeaderElectConfig, findings: &mut Findings) {
    const LEASE_DURATION: &str = "spec.leaderElect.leaseDuration";
    const RENEW_DEADLINE: &str = "spec.leaderElect.renewDeadline";
    let (lease, renew) = (election.lease_duration, election.renew_deadline);
    findings.positive_duration(LEASE_DURATION, lease);
    findings.positive_duration(RENEW_DEADLINE, renew);
    findings.positive_duration("spec.leaderElect.retryPeriod", election.retry_period);
    if let (Some(lease), Some(renew)) = (lease, renew)
        && lease <= renew
    {
        let detail = "leaseDuration must be greater than renewDeadline";
        findings.invalid(LEASE_DURATION, go_struct(lease), detail);
    }
    if let (Some(renew), Some(retry)) = (renew, election.retry_period)
        && renew <= jittered(retry)
    {
        let detail = "renewDeadline must be greater than retryPeriod*JitterFactor(1.2)";
        findings.invalid(RENEW_DEADLINE, go_struct(renew), detail);
    }
    match &election.resource_lock {
        None => findings.required("spec.leaderElect.resourceLock"),
        Some(lock) => {
            findings.one_of(
                "spec.leaderElect.resourceLock",
                lock.as_str(),
                ResourceLock::KNOWN,
            );
        }
    }
}

/// The longest that a retry may take: client-go waits up to 1.2 times the period, truncated to
/// nanoseconds from floating point.
fn jittered(retry: GoDuration) -> GoDuration {
    GoDuration::from_nanos((retry.as_nanos() as f64 * 1.2) as i64)
}

/// A duration as Go's `%#v` prints the struct around it.
fn go_struct(duration: GoDuration) -> String {
    format!("v1.Duration{{Duration:{}}}", duration.as_nanos())
}

fn feature_gates(gates: &[FeatureGate], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for gate in gates {
        if !seen.insert(gate.name.as_str()) {
            findings.duplicate("spec.featureGates.name", gate.name.as_str());
            continue;
        }
        findings.one_of(
            "spec.featureGates.name",
            gate.name.as_str(),
            FeatureGateName::KNOWN,
        );
        let configuration = gate.configuration.as_str();
        findings.one_of(
            "spec.featureGates.configuration",
            configuration,
            Toggle::KNOWN,
        );
    }
}

fn health_check(check: &ClusterHealthCheckConfig, findings: &mut Findings) {
    findings.positive_duration("spec.clusterHealthCheck.period", check.period);
    findings.positive(
        "spec.clusterHealthCheck.failureThreshold",
        check.failure_threshold,
    );
    findings.positive(
        "spec.clusterHealthCheck.successThreshold",
        check.success_threshold,
    );
    findings.positive_duration("spec.clusterHealthCheck.timeout", check.timeout);
}

fn sync_controller(sync: &SyncControllerConfig, findings: &mut Findings) {
    const ADOPT_RESOURCES: &str = "spec.syncController.adoptResources";
    let Some(adopt) = &sync.adopt_resources else {
        return findings.required(ADOPT_RESOURCES);
    };
    let reconciles = sync.max_concurrent_reconciles;
    findings.positive("spec.syncController.maxConcurrentReconciles", reconciles);
    findings.one_of(ADOPT_RESOURCES, adopt.as_str(), Toggle::KNOWN);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check;
    use super::*;

    /// A valid configuration after the changes; null removes a field.
    fn config(changes: Value) -> KubeFedConfig {
        let mut spec = KubeFedConfigSpec {
            scope: Scope::Cluster,
            ..KubeFedConfigSpec::default()
        };
        spec.apply_defaults();
        let mut spec = serde_json::to_value(spec).unwrap();
        for (pointer, value) in changes.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        KubeFedConfig::new("kubefed", serde_json::from_value(spec).unwrap())
    }

    fn gates(list: &[(&str, &str)]) -> Value {
        list.iter()
            .map(|(name, configuration)| json!({"name": name, "configuration": configuration}))
            .collect()
    }

    /// api 13.7 and 25, rules 1 and 3-15. Each case changes a valid configuration.
    #[test]
    fn each_rule_of_the_configuration_has_its_text_and_place() {
        let cases = [
            (json!({}), ""),
            (json!({"/scope": ""}), "spec.scope: Required value"),
            (
                json!({"/scope": "cluster"}),
                r#"spec.scope: Unsupported value: "cluster": supported values: "Cluster", "Namespaced""#,
            ),
            (
                json!({"/controllerDuration": null}),
                "spec.controllerDuration: Required value",
            ),
            (
                json!({"/controllerDuration/availableDelay": "0s"}),
                "spec.controllerDuration.availableDelay: Invalid value: 0: should be greater than 0",
            ),
            (
                json!({"/controllerDuration": {"unavailableDelay": "-1s"}}),
                "[spec.controllerDuration.availableDelay: Required value, spec.controllerDuration.unavailableDelay: Invalid value: -1000000000: should be greater than 0, spec.controllerDuration.cacheSyncTimeout: Required value]",
            ),
            (
                json!({"/leaderElect": null}),
                "spec.leaderElect: Required value",
            ),
            (
                json!({"/leaderElect/leaseDuration": "10s"}),
                "spec.leaderElect.leaseDuration: Invalid value: v1.Duration{Duration:10000000000}: leaseDuration must be greater than renewDeadline",
            ),
            (
                json!({"/leaderElect/renewDeadline": "6s"}),
                "spec.leaderElect.renewDeadline: Invalid value: v1.Duration{Duration:6000000000}: renewDeadline must be greater than retryPeriod*JitterFactor(1.2)",
            ),
            (json!({"/leaderElect/renewDeadline": "6.000000001s"}), ""),
            (
                json!({"/leaderElect": {}}),
                "[spec.leaderElect.leaseDuration: Required value, spec.leaderElect.renewDeadline: Required value, spec.leaderElect.retryPeriod: Required value, spec.leaderElect.resourceLock: Required value]",
            ),
            (
                json!({"/leaderElect/resourceLock": "leases"}),
                r#"spec.leaderElect.resourceLock: Unsupported value: "leases": supported values: "configmaps", "endpoints""#,
            ),
            (
                json!({"/featureGates": null}),
                "spec.featureGates: Required value",
            ),
            (json!({"/featureGates": []}), ""),
            (
                json!({"/featureGates": gates(&[("PushReconciler", "on"), ("PushReconciler", ""), ("X", "")])}),
                r#"[spec.featureGates.configuration: Unsupported value: "on": supported values: "Enabled", "Disabled", spec.featureGates.name: Duplicate value: "PushReconciler", spec.featureGates.name: Unsupported value: "X": supported values: "PushReconciler", "RawResourceStatusCollection", "SchedulerPreferences", spec.featureGates.configuration: Required value]"#,
            ),
            (
                json!({"/clusterHealthCheck": null}),
                "spec.clusterHealthCheck: Required value",
            ),
            (
                json!({"/clusterHealthCheck": {"failureThreshold": 0, "timeout": "1ns"}}),
                "[spec.clusterHealthCheck.period: Required value, spec.clusterHealthCheck.failureThreshold: Invalid value: 0: should be greater than 0, spec.clusterHealthCheck.successThreshold: Required value]",
            ),
            (
                json!({"/syncController": null}),
                "spec.syncController: Required value",
            ),
            (
                json!({"/syncController": {}}),
                "spec.syncController.adoptResources: Required value",
            ),
            (
                json!({"/syncController": {"maxConcurrentReconciles": -2, "adoptResources": "No"}}),
                r#"[spec.syncController.maxConcurrentReconciles: Invalid value: -2: should be greater than 0, spec.syncController.adoptResources: Unsupported value: "No": supported values: "Enabled", "Disabled"]"#,
            ),
            (
                json!({"/statusController": null}),
                "spec.statusController: Required value",
            ),
            (
                json!({"/statusController": {}}),
                "spec.statusController.maxConcurrentReconciles: Required value",
            ),
        ];
        for (changes, expected) in cases {
            check(config(changes).validate_create(), expected);
        }
    }

    /// api 4 and 13.7, and observable check 49 of propagation.
    #[test]
    fn every_duration_and_count_must_be_given_and_positive() {
        let durations = [
            "controllerDuration.availableDelay",
            "controllerDuration.unavailableDelay",
            "controllerDuration.cacheSyncTimeout",
            "leaderElect.leaseDuration",
            "leaderElect.renewDeadline",
            "leaderElect.retryPeriod",
            "clusterHealthCheck.period",
            "clusterHealthCheck.timeout",
        ];
        let counts = [
            "clusterHealthCheck.failureThreshold",
            "clusterHealthCheck.successThreshold",
            "syncController.maxConcurrentReconciles",
            "statusController.maxConcurrentReconciles",
        ];
        let bad_durations = [(json!("0s"), "0"), (json!("-1s"), "-1000000000")];
        let bad_counts = [(json!(0), "0"), (json!(-1), "-1")];
        let fields = durations
            .map(|field| (field, &bad_durations))
            .into_iter()
            .chain(counts.map(|field| (field, &bad_counts)));
        for (field, bad) in fields {
            let first_error = |value: &Value| {
                let pointer = format!("/{}", field.replace('.', "/"));
                let errors = config(json!({pointer: value}))
                    .validate_create()
                    .unwrap_err();
                errors.iter().next().unwrap().to_string()
            };
            assert_eq!(
                first_error(&Value::Null),
                format!("spec.{field}: Required value")
            );
            for (value, printed) in bad {
                let error =
                    format!("spec.{field}: Invalid value: {printed}: should be greater than 0");
                assert_eq!(first_error(value), error);
            }
        }
    }

    /// api 13.7, rule 2: everything else may change.
    #[test]
    fn only_the_scope_is_immutable() {
        let old = config(json!({}));
        check(
            config(json!({"/syncController/adoptResources": "Disabled"})).validate_update(&old),
            "",
        );
        let moved = config(json!({"/scope": "Namespaced"}));
        check(moved.validate_create(), "");
        check(
            moved.validate_update(&old),
            r#"spec.scope: Invalid value: "Namespaced": field is immutable"#,
        );
        check(
            config(json!({"/scope": ""})).validate_update(&old),
            r#"[spec.scope: Required value, spec.scope: Invalid value: "": field is immutable]"#,
        );
    }
}
