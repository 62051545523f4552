use std::fmt;

/// The type of the objects that one federated type puts into member clusters.
///
/// ```
/// use kubefed_propagation::TargetType;
///
/// let deployments = TargetType::new("apps", "v1", "Deployment", true);
/// assert_eq!(deployments.api_version(), "apps/v1");
/// assert_eq!(TargetType::new("", "v1", "Service", true).api_version(), "v1");
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TargetType {
    group: String,
    version: String,
    kind: String,
    namespaced: bool,
}

impl TargetType {
    /// A type by its group (empty for the core group), version, kind and scope.
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        kind: impl Into<String>,
        namespaced: bool,
    ) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            namespaced,
        }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The API version within the group.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether objects of the type live in a namespace.
    pub fn is_namespaced(&self) -> bool {
        self.namespaced
    }

    /// Group and version as objects state them: `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether this is the core group's Namespace, which has rules of its own. A kind of that name in
    /// another group is an ordinary kind; the original does not tell them apart.
    pub fn is_namespace(&self) -> bool {
        self.is_core("Namespace")
    }

    pub(crate) fn is_core(&self, kind: &str) -> bool {
        self.group.is_empty() && self.kind == kind
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_core_groups_namespace_is_one() {
        assert!(TargetType::new("", "v1", "Namespace", false).is_namespace());
        assert!(!TargetType::new("example.com", "v1", "Namespace", false).is_namespace());
        assert!(!TargetType::new("", "v1", "Secret", true).is_namespace());
    }
}
