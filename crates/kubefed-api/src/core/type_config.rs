use std::fmt;

use kube::CustomResource;
use kube::ResourceExt;
use kube::core::discovery::Scope as DiscoveredScope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scope, Toggle};
use crate::open_enum::open_enum;
use crate::well_known::NAMESPACES_TYPE_CONFIG;
use crate::wire::is_default;

/// Which type is federated, and how.
///
/// There is one FederatedTypeConfig per target type, in the KubeFed namespace. Its name is
/// `<plural>.<group>` of the target type, or `<plural>` for the core group.
#[derive(
    Clone, CustomResource, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize,
)]
#[kube(
    group = "core.kubefed.io",
    version = "v1beta1",
    kind = "FederatedTypeConfig",
    plural = "federatedtypeconfigs",
    shortname = "ftc",
    namespaced,
    status = "FederatedTypeConfigStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Which type is federated, and how."
)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct FederatedTypeConfigSpec {
    /// The type that is propagated to members.
    pub target_type: ResourceType,
    /// Whether objects of the type are propagated.
    pub propagation: Toggle,
    /// The type whose objects hold template, placement and overrides. Its scope is never consulted.
    pub federated_type: ResourceType,
    /// The type that receives collected service status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_type: Option<ResourceType>,
    /// Whether status is collected; missing means off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_collection: Option<Toggle>,
}

impl FederatedTypeConfig {
    /// Whether copies live in namespaces.
    pub fn target_is_namespaced(&self) -> bool {
        self.spec.target_type.is_namespaced()
    }

    /// Whether this is the configuration of namespaces, by its name.
    pub fn is_namespace(&self) -> bool {
        self.metadata.name.as_deref() == Some(NAMESPACES_TYPE_CONFIG)
    }

    /// Whether the target kind is `Namespace`. The sync loop asks this, not
    /// [`is_namespace`](Self::is_namespace); the two agree for every valid configuration.
    pub fn target_is_namespace(&self) -> bool {
        self.spec.target_type.kind == "Namespace"
    }

    /// Whether federated objects live in namespaces: as the target does, save that federated
    /// namespaces do although namespaces do not. `spec.federatedType.scope` plays no part.
    pub fn federated_is_namespaced(&self) -> bool {
        self.is_namespace() || self.target_is_namespaced()
    }

    /// Whether status objects live in namespaces; `None` without a status type.
    pub fn status_is_namespaced(&self) -> Option<bool> {
        self.spec
            .status_type
            .as_ref()
            .map(ResourceType::is_namespaced)
    }

    /// Whether objects of the type are propagated. Anything but `Enabled` is off.
    pub fn propagation_enabled(&self) -> bool {
        self.spec.propagation.is_enabled()
    }

    /// Whether status is collected. Anything but `Enabled` is off.
    pub fn status_enabled(&self) -> bool {
        self.spec
            .status_collection
            .as_ref()
            .is_some_and(Toggle::is_enabled)
    }

    /// Name of the PropagatedVersion or ClusterPropagatedVersion of a federated object, such as
    /// `deployment-web`. Target types of equal kind in different groups share these names.
    pub fn propagated_version_name(&self, federated_name: &str) -> String {
        format!(
            "{}-{federated_name}",
            self.spec.target_type.kind.to_lowercase()
        )
    }

    /// Fills what can be told from the rest, as the loops do with their own copies; it is never
    /// stored.
    ///
    /// The name, split at its first dot, gives plural and group of the target type; plurals of the
    /// other types come from their kinds; group and version of the status type come from the federated
    /// type. The schema and validation ask for these fields, so this matters only where both were
    /// bypassed.
    pub fn apply_defaults(&mut self) {
        let name = self.name_any();
        let (head, tail) = name.split_once('.').unwrap_or((&name, ""));
        let spec = &mut self.spec;
        fill(&mut spec.target_type.plural_name, head);
        fill(&mut spec.target_type.group, tail);
        let federated = &mut spec.federated_type;
        fill(&mut federated.plural_name, &plural(&federated.kind));
        if let Some(status) = &mut spec.status_type {
            fill(&mut status.plural_name, &plural(&status.kind));
            fill(&mut status.group, &federated.group);
            fill(&mut status.version, &federated.version);
        }
    }
}

/// A type of API objects, called `APIResource` on the wire.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct ResourceType {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Plural in lower case, such as `deployments`.
    pub plural_name: String,
    /// Whether objects live in namespaces.
    pub scope: Scope,
}

impl ResourceType {
    /// A type whose objects live in namespaces. The group is empty for the core group.
    pub fn namespaced(group: &str, version: &str, kind: &str, plural_name: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural_name: plural_name.to_owned(),
            scope: Scope::Namespaced,
        }
    }

    /// A type whose objects have no namespace. The group is empty for the core group.
    pub fn cluster_scoped(group: &str, version: &str, kind: &str, plural_name: &str) -> Self {
        let namespaced = Self::namespaced(group, version, kind, plural_name);
        Self {
            scope: Scope::Cluster,
            ..namespaced
        }
    }

    /// A type as discovery reports it.
    pub fn discovered(resource: &kube::core::ApiResource, scope: &DiscoveredScope) -> Self {
        let (group, version) = (&resource.group, &resource.version);
        match scope {
            DiscoveredScope::Cluster => {
                Self::cluster_scoped(group, version, &resource.kind, &resource.plural)
            }
            DiscoveredScope::Namespaced => {
                Self::namespaced(group, version, &resource.kind, &resource.plural)
            }
        }
    }

    /// The `apiVersion` of the type's objects: `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The name `plural.group`, or `plural` for the core group.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() {
            self.plural_name.clone()
        } else {
            format!("{}.{}", self.plural_name, self.group)
        }
    }

    /// Whether objects live in namespaces. Anything but `Namespaced` counts as no.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether this is the core group's type of that kind. Namespaces, Services, ServiceAccounts and
    /// Secrets of the core group have rules of their own; kinds of these names in other groups are
    /// ordinary, which the original does not tell apart.
    pub fn is_core(&self, kind: &str) -> bool {
        self.group.is_empty() && self.kind == kind
    }

    /// The type as kube's dynamic API knows it.
    pub fn api_resource(&self) -> kube::core::ApiResource {
        kube::core::ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: self.api_version(),
            kind: self.kind.clone(),
            plural: self.plural_name.clone(),
        }
    }
}

/// Displays as `apps/v1 Deployment`.
impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

/// What the loops of a type are doing.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
#[schemars(!default)]
pub struct FederatedTypeConfigStatus {
    /// Generation of the configuration that the loops run with. Written even when 0.
    pub observed_generation: i64,
    /// Whether the type is propagated. Written even when unknown.
    pub propagation_controller: ControllerStatus,
    /// Whether status is collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_controller: Option<ControllerStatus>,
}

open_enum! {
    /// Whether a loop runs.
    ControllerStatus {
        /// It runs.
        Running = "Running",
        /// It does not.
        NotRunning = "NotRunning",
    }
}

/// The plural that is assumed for a kind of which only the kind is known.
///
/// This is the original's rule, oddities included: lower case; after s, x, ch, sh, z or o follows
/// `es`; a final y becomes `ies` even after a vowel.
///
/// ```
/// assert_eq!(kubefed_api::plural("NetworkPolicy"), "networkpolicies");
/// assert_eq!(kubefed_api::plural("Gateway"), "gatewaies");
/// ```
pub fn plural(kind: &str) -> String {
    let singular = kind.to_lowercase();
    if let Some(stem) = singular.strip_suffix('y') {
        return format!("{stem}ies");
    }
    let sibilant = ["s", "x", "ch", "sh", "z", "o"];
    let suffix = if sibilant.iter().any(|end| singular.ends_with(end)) {
        "es"
    } else {
        "s"
    };
    singular + suffix
}

fn fill(field: &mut String, value: &str) {
    if field.is_empty() {
        value.clone_into(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> FederatedTypeConfig {
        FederatedTypeConfig::new(name, FederatedTypeConfigSpec::default())
    }

    fn scoped(scope: &str) -> ResourceType {
        ResourceType {
            scope: scope.into(),
            ..ResourceType::default()
        }
    }

    /// api 12.1 and 25: plurals of kinds, as the original computes them.
    #[test]
    fn plurals_follow_the_originals_rule() {
        let cases = [
            ("ConfigMap", "configmaps"),
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Box", "boxes"),
            ("Branch", "branches"),
            ("Gateway", "gatewaies"),
            ("Mesh", "meshes"),
            ("Quiz", "quizes"),
            ("Hero", "heroes"),
            ("Stomach", "stomaches"),
            ("", "s"),
        ];
        for (kind, expected) in cases {
            assert_eq!(plural(kind), expected, "{kind}");
        }
    }

    /// api 12.1: missing parts come from the name and from the federated type.
    #[test]
    fn defaults_fill_only_what_is_missing() {
        let mut core = config("services");
        core.spec.federated_type.kind = "FederatedService".into();
        core.spec.federated_type.group = "types.kubefed.io".into();
        core.spec.federated_type.version = "v1beta1".into();
        core.spec.status_type = Some(ResourceType {
            kind: "FederatedServiceStatus".into(),
            ..ResourceType::default()
        });
        core.apply_defaults();
        assert_eq!(core.spec.target_type.qualified_plural(), "services");
        assert_eq!(core.spec.federated_type.plural_name, "federatedservices");
        let status = core.spec.status_type.as_ref().unwrap();
        assert_eq!(
            status.qualified_plural(),
            "federatedservicestatuses.types.kubefed.io"
        );
        assert_eq!(status.version, "v1beta1");

        let mut grouped = config("ingresses.networking.k8s.io");
        grouped.apply_defaults();
        assert_eq!(grouped.spec.target_type.plural_name, "ingresses");
        assert_eq!(grouped.spec.target_type.group, "networking.k8s.io");

        let mut full = config("a.b");
        full.spec.target_type.plural_name = "c".into();
        full.spec.target_type.group = "d".into();
        full.spec.federated_type.plural_name = "e".into();
        full.apply_defaults();
        assert_eq!(full.spec.target_type.qualified_plural(), "c.d");
        assert_eq!(full.spec.federated_type.plural_name, "e");
    }

    /// api 12.2 and 24.8: what is derived, and from what.
    #[test]
    fn scopes_and_switches_are_derived_from_target_type_and_name_alone() {
        let cases = [
            // name, target scope, federated scope; target namespaced, is namespace, federated namespaced
            (
                "deployments.apps",
                "Namespaced",
                "Cluster",
                true,
                false,
                true,
            ),
            (
                "clusterroles.rbac.authorization.k8s.io",
                "Cluster",
                "Namespaced",
                false,
                false,
                false,
            ),
            ("namespaces", "Cluster", "Cluster", false, true, true),
            (
                "namespaces.example.com",
                "Cluster",
                "Namespaced",
                false,
                false,
                false,
            ),
            ("odd", "namespaced", "Namespaced", false, false, false),
        ];
        for (name, target, federated, target_namespaced, is_namespace, federated_namespaced) in
            cases
        {
            let mut config = config(name);
            config.spec.target_type = scoped(target);
            config.spec.federated_type = scoped(federated);
            assert_eq!(config.target_is_namespaced(), target_namespaced, "{name}");
            assert_eq!(config.is_namespace(), is_namespace, "{name}");
            assert_eq!(
                config.federated_is_namespaced(),
                federated_namespaced,
                "{name}"
            );
        }

        let mut config = config("services");
        assert!(!config.propagation_enabled() && !config.status_enabled());
        assert_eq!(config.status_is_namespaced(), None);
        config.spec.propagation = "enabled".into();
        config.spec.status_collection = Some(Toggle::Disabled);
        assert!(!config.propagation_enabled() && !config.status_enabled());
        config.spec.propagation = Toggle::Enabled;
        config.spec.status_collection = Some(Toggle::Enabled);
        config.spec.status_type = Some(scoped("Namespaced"));
        assert!(config.propagation_enabled() && config.status_enabled());
        assert_eq!(config.status_is_namespaced(), Some(true));
        assert!(!config.target_is_namespace());
        config.spec.target_type.kind = "Namespace".into();
        assert!(config.target_is_namespace());
    }

    /// api 24.15: the core group has no slash in its apiVersion. api 6: names of version objects.
    #[test]
    fn names_made_from_types_leave_out_the_empty_group() {
        let mut config = config("configmaps");
        config.spec.target_type = ResourceType {
            version: "v1".into(),
            kind: "ConfigMap".into(),
            plural_name: "configmaps".into(),
            ..scoped("Namespaced")
        };
        assert_eq!(config.spec.target_type.api_version(), "v1");
        assert_eq!(config.propagated_version_name("cfg"), "configmap-cfg");
        config.spec.target_type.group = "example.com".into();
        assert_eq!(config.spec.target_type.api_version(), "example.com/v1");
        assert_eq!(
            config.spec.target_type.api_resource().api_version,
            "example.com/v1"
        );
    }

    #[test]
    fn a_core_type_is_known_by_group_and_kind() {
        let namespace = ResourceType::cluster_scoped("", "v1", "Namespace", "namespaces");
        assert!(namespace.is_core("Namespace") && !namespace.is_core("Secret"));
        assert_eq!(namespace.to_string(), "v1 Namespace");
        let foreign = ResourceType::cluster_scoped("a.b", "v1", "Namespace", "namespaces");
        assert!(!foreign.is_core("Namespace"));
        assert_eq!(foreign.to_string(), "a.b/v1 Namespace");
    }

    #[test]
    fn a_discovered_type_keeps_its_plural_and_scope() {
        let gvk = kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment");
        let resource = kube::core::ApiResource::from_gvk_with_plural(&gvk, "deployments");
        let namespaced = ResourceType::discovered(&resource, &DiscoveredScope::Namespaced);
        assert_eq!(
            namespaced,
            ResourceType::namespaced("apps", "v1", "Deployment", "deployments")
        );
        assert_eq!(namespaced.api_resource(), resource);
        let cluster_wide = ResourceType::discovered(&resource, &DiscoveredScope::Cluster);
        assert_eq!(cluster_wide.scope, Scope::Cluster);
    }
}
