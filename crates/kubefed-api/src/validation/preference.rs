use crate::scheduling::{ReplicaSchedulingPreference, TARGET_KINDS};

use super::{FieldErrors, Findings};

impl ReplicaSchedulingPreference {
    /// Checks what a scheduler cannot act on sensibly.
    ///
    /// The original has no webhook for this kind: such objects are stored, and a wrong target kind is
    /// then ignored without a trace. So this is for reporting; refusing the write would break users
    /// of KubeFed.
    ///
    /// # Errors
    ///
    /// An unknown target kind, a negative number, or a maximum below its minimum.
    pub fn validate(&self) -> Result<(), FieldErrors> {
        let mut findings = Findings::default();
        let spec = &self.spec;
        findings.one_of("spec.targetKind", &spec.target_kind, TARGET_KINDS);
        findings.not_negative("spec.totalReplicas", spec.total_replicas.into());
        for (cluster, preferences) in &spec.clusters {
            let path = |field| format!("spec.clusters[{cluster}].{field}");
            let minimum = preferences.min_replicas;
            findings.not_negative(&path("minReplicas"), minimum);
            match preferences.max_replicas {
                Some(maximum) if maximum < 0 => {
                    findings.not_negative(&path("maxReplicas"), maximum);
                }
                Some(maximum) if maximum < minimum => {
                    let detail = format!("must be at least minReplicas, which is {minimum}");
                    findings.invalid(&path("maxReplicas"), maximum, detail);
                }
                _ => {}
            }
            findings.not_negative(&path("weight"), preferences.weight);
        }
        findings.verdict()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check;
    use super::*;

    /// api 8 and 24.38: what the original ignores is named here.
    #[test]
    fn what_a_scheduler_cannot_act_on_is_named() {
        let cases = [
            (
                json!({"targetKind": "FederatedReplicaSet", "totalReplicas": 3}),
                "",
            ),
            (
                json!({"targetKind": "FederatedDeployment", "totalReplicas": 0, "clusters": {"*": {"weight": 1}, "east": {"minReplicas": 2, "maxReplicas": 2}}}),
                "",
            ),
            (
                json!({"targetKind": "Deployment", "totalReplicas": -1}),
                r#"[spec.targetKind: Unsupported value: "Deployment": supported values: "FederatedDeployment", "FederatedReplicaSet", spec.totalReplicas: Invalid value: -1: must be greater than or equal to 0]"#,
            ),
            (
                json!({"targetKind": "FederatedDeployment", "clusters": {"a": {"minReplicas": 3, "maxReplicas": 2}, "b": {"minReplicas": -1, "maxReplicas": -2, "weight": -3}}}),
                "[spec.clusters[a].maxReplicas: Invalid value: 2: must be at least minReplicas, which is 3, spec.clusters[b].minReplicas: Invalid value: -1: must be greater than or equal to 0, spec.clusters[b].maxReplicas: Invalid value: -2: must be greater than or equal to 0, spec.clusters[b].weight: Invalid value: -3: must be greater than or equal to 0]",
            ),
        ];
        for (spec, expected) in cases {
            let spec = serde_json::from_value(spec).unwrap();
            check(
                ReplicaSchedulingPreference::new("web", spec).validate(),
                expected,
            );
        }
    }
}
