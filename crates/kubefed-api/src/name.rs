use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Name of a member cluster: the `metadata.name` of its KubeFedCluster.
///
/// Cheap to clone. Placement lists and overrides may mention names that no cluster can have; such a
/// name is kept as it is and matches nothing, so construction does not fail. Whether a name is one
/// that the API server accepts is told by [`ClusterName::is_valid`].
///
/// ```
/// use kubefed_api::ClusterName;
///
/// let east = ClusterName::from("east");
/// assert_eq!(east.as_str(), "east");
/// assert!(east.is_valid());
/// assert!(!ClusterName::from("East!").is_valid());
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a KubeFedCluster can have this name: a DNS-1123 subdomain (RFC 1123) of at most 253
    /// characters.
    pub fn is_valid(&self) -> bool {
        is_dns1123_subdomain(&self.0)
    }
}

impl AsRef<str> for ClusterName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClusterName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ClusterName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for ClusterName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// Name of an object within its kind: a name and, for namespaced kinds, a namespace.
///
/// Displays as `namespace/name`, or just `name` where there is no namespace. That text is the
/// original's cache key and appears in its events.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct QualifiedName {
    namespace: Option<Arc<str>>,
    name: Arc<str>,
}

impl QualifiedName {
    /// Name of an object of a cluster-scoped kind.
    pub fn cluster_scoped(name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: None,
            name: name.into(),
        }
    }

    /// Name of an object in a namespace.
    pub fn namespaced(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// Name of an object whose namespace may be missing or empty, as in its metadata.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        Self {
            namespace: namespace.map(Into::into),
            name: name.into(),
        }
    }

    /// The namespace; `None` for cluster-scoped kinds.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Whether `text` is a DNS-1123 subdomain as Kubernetes defines it: dot-separated labels of lower
/// case alphanumerics and `-`, 253 characters at most. Unlike DNS, a label may exceed 63 characters.
pub fn is_dns1123_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_alphanumeric_with_dashes)
}

/// Whether `text` is a DNS-1123 label: lower case alphanumerics and `-`, alphanumeric at both ends,
/// 63 characters at most.
pub fn is_dns1123_label(text: &str) -> bool {
    text.len() <= 63 && is_alphanumeric_with_dashes(text)
}

/// Whether `text` is a DNS-1035 label: like a DNS-1123 label, but it begins with a letter.
pub fn is_dns1035_label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase()) && is_dns1123_label(text)
}

/// The form of a label, whatever its length.
pub(crate) fn is_alphanumeric_with_dashes(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    label.bytes().all(inner)
        && !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_and_labels_follow_kubernetes() {
        let long = "a".repeat(64);
        let too_long = "a".repeat(254);
        let cases = [
            // text, subdomain, 1123 label, 1035 label
            ("a", true, true, true),
            ("0", true, true, false),
            ("a-b", true, true, true),
            ("a.b", true, false, false),
            ("", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a..b", false, false, false),
            ("A", false, false, false),
            ("a_b", false, false, false),
            ("ä", false, false, false),
            (&long, true, false, false),
            (&too_long, false, false, false),
        ];
        for (text, subdomain, label_1123, label_1035) in cases {
            assert_eq!(is_dns1123_subdomain(text), subdomain, "subdomain {text:?}");
            assert_eq!(is_dns1123_label(text), label_1123, "1123 label {text:?}");
            assert_eq!(is_dns1035_label(text), label_1035, "1035 label {text:?}");
        }
    }

    #[test]
    fn a_qualified_name_reads_like_the_originals_key() {
        assert_eq!(QualifiedName::namespaced("b1", "web").to_string(), "b1/web");
        assert_eq!(QualifiedName::cluster_scoped("web").to_string(), "web");
        assert_eq!(QualifiedName::new(Some(""), "web").namespace(), None);
    }
}
