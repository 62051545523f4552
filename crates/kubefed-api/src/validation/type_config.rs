use crate::core::{ControllerStatus, FederatedTypeConfig, ResourceType, Scope, Toggle};

use super::dns::{broken_label_rules, broken_subdomain_rules};
use super::{FieldErrors, Findings};

impl FederatedTypeConfig {
    /// Checks a new object as it was sent, without defaults.
    ///
    /// # Errors
    ///
    /// The rules that name and spec break.
    pub fn validate_create(&self) -> Result<(), FieldErrors> {
        let mut findings = Findings::default();
        self.check_name(&mut findings);
        let spec = &self.spec;
        check_type("spec.targetType", &spec.target_type, &mut findings);
        findings.one_of("spec.propagation", spec.propagation.as_str(), Toggle::KNOWN);
        check_grouped_type("spec.federatedType", &spec.federated_type, &mut findings);
        if let Some(status) = &spec.status_type {
            check_grouped_type("spec.statusType", status, &mut findings);
        }
        if let Some(collection) = &spec.status_collection {
            findings.one_of("spec.statusCollection", collection.as_str(), Toggle::KNOWN);
        }
        findings.verdict()
    }

    /// Checks a changed object by the rules of [`validate_create`](Self::validate_create): nothing is
    /// immutable.
    ///
    /// A write to an object that is being deleted passes if it leaves the spec alone. The original
    /// refuses it where the spec is invalid, so that the finalizer of such an object could never be
    /// removed.
    ///
    /// # Errors
    ///
    /// The rules that name and spec break.
    pub fn validate_update(&self, old: &Self) -> Result<(), FieldErrors> {
        if self.metadata.deletion_timestamp.is_some() && self.spec == old.spec {
            return Ok(());
        }
        self.validate_create()
    }

    /// Checks the status, which is all that a write of the status subresource changes.
    ///
    /// # Errors
    ///
    /// The rules that the status breaks; a missing status counts as an empty one.
    pub fn validate_status(&self) -> Result<(), FieldErrors> {
        let mut findings = Findings::default();
        let status = self.status.clone().unwrap_or_default();
        findings.not_negative("status.observedGeneration", status.observed_generation);
        let propagation = status.propagation_controller.as_str();
        findings.one_of(
            "status.propagationController",
            propagation,
            ControllerStatus::KNOWN,
        );
        if let Some(controller) = &status.status_controller {
            findings.one_of(
                "status.statusController",
                controller.as_str(),
                ControllerStatus::KNOWN,
            );
        }
        findings.verdict()
    }

    fn check_name(&self, findings: &mut Findings) {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name != self.spec.target_type.qualified_plural() {
            let detail = "name must be 'TARGET_PLURAL_NAME(.TARGET_GROUP_NAME)'";
            findings.invalid_text("name", name, detail);
        }
    }
}

/// A type whose group is a domain, as that of a CRD must be.
fn check_grouped_type(path: &str, type_: &ResourceType, findings: &mut Findings) {
    let group_path = format!("{path}.group");
    if type_.group.is_empty() {
        findings.required(&group_path);
    } else if !type_.group.contains('.') {
        let detail = "should be a domain with at least one dot";
        findings.invalid_text(&group_path, &type_.group, detail);
    }
    check_type(path, type_, findings);
}

fn check_type(path: &str, type_: &ResourceType, findings: &mut Findings) {
    let path = |field| format!("{path}.{field}");
    if !type_.group.is_empty() {
        findings.named(&path("group"), &type_.group, broken_subdomain_rules);
    }
    findings.named(&path("version"), &type_.version, broken_label_rules);
    findings.named(&path("kind"), &type_.kind, |kind| {
        broken_label_rules(&kind.to_lowercase())
    });
    findings.named(&path("pluralName"), &type_.plural_name, broken_label_rules);
    findings.one_of(&path("scope"), type_.scope.as_str(), Scope::KNOWN);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check;
    use super::*;

    const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

    const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

    fn config(name: &str, changes: Value) -> FederatedTypeConfig {
        let mut object = json!({
            "metadata": {"name": name},
            "spec": {
                "targetType": {
                    "group": "apps", "version": "v1", "kind": "Deployment",
                    "pluralName": "deployments", "scope": "Namespaced"
                },
                "propagation": "Enabled",
                "federatedType": {
                    "group": "types.kubefed.io", "version": "v1beta1",
                    "kind": "FederatedDeployment", "pluralName": "federateddeployments",
                    "scope": "Namespaced"
                }
            }
        });
        for (pointer, value) in changes.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    /// api 13.5 and 25, and observable check 48 of propagation. Each case changes a valid object named `deployments.apps`.
    #[test]
    fn each_rule_of_a_type_configuration_has_its_text_and_place() {
        let long = "a".repeat(64);
        let status_type =
            json!({"version": "v1", "kind": "S", "pluralName": "s", "scope": "Cluster"});
        let cases = [
            (json!({}), String::new()),
            (
                json!({"/spec/propagation": "", "/spec/federatedType/group": ""}),
                "[spec.propagation: Required value, spec.federatedType.group: Required value]".into(),
            ),
            (
                json!({"/spec/federatedType/group": "kubefed"}),
                r#"spec.federatedType.group: Invalid value: "kubefed": should be a domain with at least one dot"#.into(),
            ),
            (
                json!({"/spec/targetType/version": "1"}),
                format!(r#"spec.targetType.version: Invalid value: "1": {LABEL}"#),
            ),
            (
                json!({"/spec/targetType/version": format!("{long}_")}),
                format!(r#"spec.targetType.version: Invalid value: "{long}_": must be no more than 63 characters,{LABEL}"#),
            ),
            (
                json!({"/spec/targetType/version": "V1"}),
                format!(r#"spec.targetType.version: Invalid value: "V1": {LABEL}"#),
            ),
            (
                json!({"/spec/targetType/pluralName": "1deployments", "/metadata/name": "1deployments.apps"}),
                format!(r#"spec.targetType.pluralName: Invalid value: "1deployments": {LABEL}"#),
            ),
            (
                json!({"/spec/federatedType/kind": "Federated.Deployment"}),
                format!(r#"spec.federatedType.kind: Invalid value: "Federated.Deployment": {LABEL}"#),
            ),
            (
                json!({"/spec/federatedType/group": "types.Kubefed.io"}),
                format!(r#"spec.federatedType.group: Invalid value: "types.Kubefed.io": {SUBDOMAIN}"#),
            ),
            (
                json!({"/spec/federatedType/version": "", "/spec/federatedType/kind": "", "/spec/federatedType/pluralName": "", "/spec/federatedType/scope": "Galaxy"}),
                r#"[spec.federatedType.version: Required value, spec.federatedType.kind: Required value, spec.federatedType.pluralName: Required value, spec.federatedType.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"]"#.into(),
            ),
            (
                json!({"/spec/propagation": "on"}),
                r#"spec.propagation: Unsupported value: "on": supported values: "Enabled", "Disabled""#.into(),
            ),
            (
                json!({"/spec/targetType/kind": "My_Kind"}),
                format!(r#"spec.targetType.kind: Invalid value: "My_Kind": {LABEL}"#),
            ),
            (
                json!({"/spec/targetType/scope": "namespaced"}),
                r#"spec.targetType.scope: Unsupported value: "namespaced": supported values: "Cluster", "Namespaced""#.into(),
            ),
            (
                json!({"/spec/statusType": status_type.clone()}),
                "spec.statusType.group: Required value".into(),
            ),
            (
                json!({"/spec/statusType": {"group": "core", "version": "1", "kind": "S", "pluralName": "s", "scope": "Cluster"}}),
                format!(r#"[spec.statusType.group: Invalid value: "core": should be a domain with at least one dot, spec.statusType.version: Invalid value: "1": {LABEL}]"#),
            ),
            (
                json!({"/spec/statusCollection": ""}),
                "spec.statusCollection: Required value".into(),
            ),
            (
                json!({"/spec/statusCollection": "on"}),
                r#"spec.statusCollection: Unsupported value: "on": supported values: "Enabled", "Disabled""#.into(),
            ),
            (
                json!({"/spec/targetType": {}}),
                r#"[name: Invalid value: "deployments.apps": name must be 'TARGET_PLURAL_NAME(.TARGET_GROUP_NAME)', spec.targetType.version: Required value, spec.targetType.kind: Required value, spec.targetType.pluralName: Required value, spec.targetType.scope: Required value]"#.into(),
            ),
        ];
        for (changes, expected) in cases {
            let config = config("deployments.apps", changes);
            check(config.validate_create(), &expected);
            check(config.validate_update(&config), &expected);
        }
    }

    /// api 24.9: the object is judged as it was sent.
    #[test]
    fn an_omitted_group_is_not_defaulted_before_the_check() {
        check(
            config("deployments.apps", json!({"/spec/targetType/group": ""})).validate_create(),
            r#"name: Invalid value: "deployments.apps": name must be 'TARGET_PLURAL_NAME(.TARGET_GROUP_NAME)'"#,
        );
        check(
            config("deployments", json!({"/spec/targetType/group": ""})).validate_create(),
            "",
        );
    }

    /// api 24.29: the original refuses this, and the object can never go.
    #[test]
    fn the_finalizer_of_an_invalid_object_can_be_removed() {
        let invalid = json!({"/spec/propagation": "on"});
        let old = config("x", invalid);
        let mut new = old.clone();
        assert!(new.validate_update(&old).is_err());
        new.metadata.deletion_timestamp =
            Some(serde_json::from_value("2026-11-21T09:44:30Z".into()).unwrap());
        check(new.validate_update(&old), "");
        new.spec.status_collection = Some(Toggle::Enabled);
        assert!(new.validate_update(&old).is_err());
    }

    /// api 13.5, status subresource.
    #[test]
    fn a_status_needs_a_generation_and_known_values() {
        let cases = [
            (
                json!({"observedGeneration": 0, "propagationController": "Running"}),
                "",
            ),
            (json!({}), "status.propagationController: Required value"),
            (
                json!({"propagationController": "NotRunning", "statusController": "Off"}),
                r#"status.statusController: Unsupported value: "Off": supported values: "Running", "NotRunning""#,
            ),
            (
                json!({"observedGeneration": -1, "propagationController": "Stopped", "statusController": ""}),
                r#"[status.observedGeneration: Invalid value: -1: must be greater than or equal to 0, status.propagationController: Unsupported value: "Stopped": supported values: "Running", "NotRunning", status.statusController: Required value]"#,
            ),
        ];
        for (status, expected) in cases {
            // Name and spec are not looked at.
            let config = config("x", json!({"/spec/propagation": "on", "/status": status}));
            check(config.validate_status(), expected);
        }
    }
}
