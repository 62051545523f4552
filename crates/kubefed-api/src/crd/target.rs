use super::TemplateSchema;
use crate::core::{ResourceType, Scope};
use crate::well_known::{NAMESPACES_TYPE_CONFIG, TYPES_GROUP, TYPES_VERSION};

/// A type to federate, and the group and version of the federated type that is made for it.
///
/// ```
/// use kubefed_api::{ResourceType, Target};
///
/// let target = Target::new(ResourceType::namespaced("apps", "v1", "Deployment", "deployments"))
///     .short_names(["deploy"]);
/// assert_eq!(target.name(), "deployments.apps");
/// assert_eq!(target.federated_type().qualified_plural(), "federateddeployments.types.kubefed.io");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    pub(super) type_: ResourceType,
    pub(super) short_names: Vec<String>,
    federated_group: String,
    federated_version: String,
}

impl Target {
    /// A type that is federated as `types.kubefed.io/v1beta1`.
    pub fn new(type_: ResourceType) -> Self {
        Self {
            type_,
            short_names: Vec::new(),
            federated_group: TYPES_GROUP.to_owned(),
            federated_version: TYPES_VERSION.to_owned(),
        }
    }

    /// The short names of the type, as discovery reports them. Those of the federated type are the same
    /// with an `f` before each.
    #[must_use]
    pub fn short_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.short_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Another API group of the federated type; a domain with at least one dot.
    #[must_use]
    pub fn federated_group(mut self, group: impl Into<String>) -> Self {
        self.federated_group = group.into();
        self
    }

    /// Another API version of the federated type.
    #[must_use]
    pub fn federated_version(mut self, version: impl Into<String>) -> Self {
        self.federated_version = version.into();
        self
    }

    /// Name of the type's FederatedTypeConfig: `<plural>.<group>`, or `<plural>` for the core group.
    pub fn name(&self) -> String {
        self.type_.qualified_plural()
    }

    /// The type itself.
    pub fn target_type(&self) -> &ResourceType {
        &self.type_
    }

    /// The federated type. It has the scope of the target, save that federated namespaces live in the
    /// namespace that they federate.
    pub fn federated_type(&self) -> ResourceType {
        let is_namespaces = self.name() == NAMESPACES_TYPE_CONFIG;
        ResourceType {
            group: self.federated_group.clone(),
            version: self.federated_version.clone(),
            kind: format!("Federated{}", self.type_.kind),
            plural_name: format!("federated{}", self.type_.plural_name),
            scope: if is_namespaces {
                Scope::Namespaced
            } else {
                self.type_.scope.clone()
            },
        }
    }
}

/// The ten types that a KubeFed installation federates from the start, with what is known about their
/// schemas, in order of the names of their configurations.
pub fn default_targets() -> Vec<(Target, TemplateSchema)> {
    use TemplateSchema::{Present, Scalable};

    let cluster_role = ResourceType::cluster_scoped(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
    );
    let namespace = ResourceType::cluster_scoped("", "v1", "Namespace", "namespaces");
    let namespaced = ResourceType::namespaced;
    let types: [(ResourceType, &[&str], TemplateSchema); 10] = [
        (cluster_role, &[], Present),
        (
            namespaced("", "v1", "ConfigMap", "configmaps"),
            &["cm"],
            Present,
        ),
        (
            namespaced("apps", "v1", "Deployment", "deployments"),
            &["deploy"],
            Scalable,
        ),
        (
            namespaced("networking.k8s.io", "v1", "Ingress", "ingresses"),
            &["ing"],
            Present,
        ),
        (namespaced("batch", "v1", "Job", "jobs"), &[], Present),
        (namespace, &["ns"], Present),
        (
            namespaced("apps", "v1", "ReplicaSet", "replicasets"),
            &["rs"],
            Scalable,
        ),
        (namespaced("", "v1", "Secret", "secrets"), &[], Present),
        (
            namespaced("", "v1", "ServiceAccount", "serviceaccounts"),
            &["sa"],
            Present,
        ),
        (
            namespaced("", "v1", "Service", "services"),
            &["svc"],
            Present,
        ),
    ];
    let target = |(type_, short_names, schema): (ResourceType, &[&str], TemplateSchema)| {
        (
            Target::new(type_).short_names(short_names.iter().copied()),
            schema,
        )
    };
    types.into_iter().map(target).collect()
}
