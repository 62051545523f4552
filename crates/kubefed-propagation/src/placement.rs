use std::collections::BTreeMap;
use std::fmt;

use kubefed_api::{ClusterName, ClusterSelection, Error as FieldError};

/// Whether the control plane serves all namespaces of the host cluster or only its own.
// Closed: KubeFedConfig's `spec.scope` has these two values.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// All namespaces. A namespace without a FederatedNamespace is not federated.
    Cluster,
    /// One namespace, which is federated with or without a FederatedNamespace.
    Limited,
}

/// What is known of the FederatedNamespace around an object.
// Closed: the rules of placement are a table over these cases.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NamespaceFederation {
    /// The target is cluster-scoped, so no namespace bounds it.
    NotNeeded,
    /// It is not known whether there is one; the reason says why.
    Unknown(String),
    /// There is none.
    Absent,
    /// There is one, with this placement.
    Present(Result<ClusterSelection, FieldError>),
}

/// The placement of one federated object: what it asks for itself, bounded by its namespace.
///
/// | FederatedNamespace | scope | selected clusters |
/// |---|---|---|
/// | not needed | any | the object's own |
/// | present | any | the object's own that the namespace has too |
/// | absent | cluster | none |
/// | absent | limited | the object's own |
/// | unknown, or a placement that cannot be read | any | undetermined |
///
/// Readiness plays no part: a cluster that is not ready stays selected.
///
/// ```
/// use kubefed_api::ClusterSelection;
/// use kubefed_propagation::{NamespaceFederation, Placement, Scope};
/// use serde_json::json;
///
/// let own = ClusterSelection::parse(&json!({"clusters": [{"name": "east"}, {"name": "west"}]}))?;
/// let bound = ClusterSelection::parse(&json!({"clusters": [{"name": "east"}]}));
/// let namespace = NamespaceFederation::Present(bound);
/// let placement = Placement::new(Ok(&own), &namespace, Scope::Cluster);
/// let of = |name: &str| placement.of(&name.into(), &Default::default()).to_string();
/// assert_eq!(of("east"), "selected: named in spec.placement.clusters");
/// assert_eq!(of("west"), "not selected: the federated namespace does not select this cluster");
/// assert_eq!(of("north"), "not selected: not named in spec.placement.clusters");
/// # Ok::<(), kubefed_api::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Placement<'a> {
    own: Result<&'a ClusterSelection, &'a FieldError>,
    namespace: &'a NamespaceFederation,
    scope: Scope,
}

/// Whether one cluster is to hold a copy, and why.
// Closed: what follows from it is decided case by case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection {
    /// The cluster is to hold a copy.
    Yes(Selected),
    /// The cluster is to hold no copy.
    No(NotSelected),
    /// It cannot be told, which is never a reason to delete anything.
    Undetermined(Undetermined),
}

/// Why a cluster is selected.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Selected {
    /// It is listed.
    Named,
    /// Its labels match.
    LabelsMatch,
}

/// Why a cluster is not selected.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum NotSelected {
    /// There is a list, and it is not in it.
    NotNamed,
    /// Its labels do not match.
    LabelsDoNotMatch,
    /// The object asks for no cluster at all.
    NoPlacement,
    /// The namespace has no FederatedNamespace.
    NamespaceNotFederated,
    /// The FederatedNamespace does not select it.
    NamespaceElsewhere,
}

/// Why it cannot be told whether a cluster is selected.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Undetermined {
    /// The object's own placement cannot be read.
    Placement(FieldError),
    /// The placement of the FederatedNamespace cannot be read.
    NamespacePlacement(FieldError),
    /// Whether there is a FederatedNamespace is not known.
    NamespaceUnknown(String),
}

impl<'a> Placement<'a> {
    /// The placement of an object by its own [`ClusterSelection`], what is known of its namespace,
    /// and the scope of the control plane.
    pub fn new(
        own: Result<&'a ClusterSelection, &'a FieldError>,
        namespace: &'a NamespaceFederation,
        scope: Scope,
    ) -> Self {
        Self {
            own,
            namespace,
            scope,
        }
    }

    /// Why nothing can be told about any cluster; `None` if every cluster has an answer.
    pub fn undetermined(&self) -> Option<Undetermined> {
        if let Err(error) = self.own {
            return Some(Undetermined::Placement(error.clone()));
        }
        match self.namespace {
            NamespaceFederation::Present(Err(error)) => {
                Some(Undetermined::NamespacePlacement(error.clone()))
            }
            NamespaceFederation::Unknown(why) => Some(Undetermined::NamespaceUnknown(why.clone())),
            _ => None,
        }
    }

    /// Whether the namespace is known not to be federated, so that no cluster is selected.
    pub fn is_namespace_unfederated(&self) -> bool {
        *self.namespace == NamespaceFederation::Absent && self.scope == Scope::Cluster
    }

    /// Whether a registered cluster with these labels is selected.
    pub fn of(&self, cluster: &ClusterName, labels: &BTreeMap<String, String>) -> Selection {
        let (own, bound) = match (self.own, self.namespace) {
            (Ok(own), NamespaceFederation::Present(Ok(bound))) => (own, Some(bound)),
            (Ok(own), NamespaceFederation::NotNeeded | NamespaceFederation::Absent) => (own, None),
            (Err(error), _) => {
                return Selection::Undetermined(Undetermined::Placement(error.clone()));
            }
            (_, NamespaceFederation::Present(Err(error))) => {
                return Selection::Undetermined(Undetermined::NamespacePlacement(error.clone()));
            }
            (_, NamespaceFederation::Unknown(why)) => {
                return Selection::Undetermined(Undetermined::NamespaceUnknown(why.clone()));
            }
        };
        if self.is_namespace_unfederated() {
            return Selection::No(NotSelected::NamespaceNotFederated);
        }
        match select(own, cluster, labels) {
            Ok(_) if bound.is_some_and(|bound| !bound.selects(cluster, labels)) => {
                Selection::No(NotSelected::NamespaceElsewhere)
            }
            Ok(reason) => Selection::Yes(reason),
            Err(reason) => Selection::No(reason),
        }
    }

    /// The names that the object lists and no cluster is registered under, in order. They select
    /// nothing; whoever reads the object may have meant something by them.
    pub fn unregistered(
        &self,
        is_registered: impl Fn(&ClusterName) -> bool,
    ) -> impl Iterator<Item = &'a ClusterName> {
        let named = match self.own {
            Ok(ClusterSelection::Named(names)) => Some(names),
            _ => None,
        };
        named
            .into_iter()
            .flatten()
            .filter(move |name| !is_registered(name))
    }
}

fn select(
    own: &ClusterSelection,
    cluster: &ClusterName,
    labels: &BTreeMap<String, String>,
) -> Result<Selected, NotSelected> {
    let (yes, no) = match own {
        ClusterSelection::Named(_) => (Selected::Named, NotSelected::NotNamed),
        ClusterSelection::Matching(_) => (Selected::LabelsMatch, NotSelected::LabelsDoNotMatch),
        ClusterSelection::Nowhere => return Err(NotSelected::NoPlacement),
    };
    if own.selects(cluster, labels) {
        Ok(yes)
    } else {
        Err(no)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes(reason) => write!(f, "selected: {reason}"),
            Self::No(reason) => write!(f, "not selected: {reason}"),
            Self::Undetermined(why) => write!(f, "undetermined: {why}"),
        }
    }
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "named in spec.placement.clusters",
            Self::LabelsMatch => "labels match spec.placement.clusterSelector",
        })
    }
}

impl fmt::Display for NotSelected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNamed => "not named in spec.placement.clusters",
            Self::LabelsDoNotMatch => "labels do not match spec.placement.clusterSelector",
            Self::NoPlacement => "spec.placement has neither clusters nor a clusterSelector",
            Self::NamespaceNotFederated => "the namespace has no FederatedNamespace",
            Self::NamespaceElsewhere => "the federated namespace does not select this cluster",
        })
    }
}

impl fmt::Display for Undetermined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placement(error) => write!(f, "the placement cannot be read: {error}"),
            Self::NamespacePlacement(error) => {
                write!(
                    f,
                    "the placement of the federated namespace cannot be read: {error}"
                )
            }
            Self::NamespaceUnknown(why) => {
                write!(
                    f,
                    "it is not known whether the namespace is federated: {why}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selection(placement: serde_json::Value) -> Result<ClusterSelection, FieldError> {
        ClusterSelection::parse(&placement)
    }

    #[track_caller]
    fn check(
        own: &Result<ClusterSelection, FieldError>,
        namespace: &NamespaceFederation,
        scope: Scope,
        expected: [&str; 2],
    ) {
        let placement = Placement::new(own.as_ref(), namespace, scope);
        let labels = |region: &str| BTreeMap::from([("region".to_owned(), region.to_owned())]);
        let east = placement.of(&"east".into(), &labels("eu"));
        let west = placement.of(&"west".into(), &labels("us"));
        assert_eq!([east.to_string(), west.to_string()], expected);
        let undetermined = placement.undetermined().map(Selection::Undetermined);
        assert_eq!(
            undetermined.is_some(),
            matches!(east, Selection::Undetermined(_))
        );
        assert_eq!(undetermined.unwrap_or(east.clone()), east);
    }

    #[test]
    fn the_table_of_namespaces_and_scopes() {
        let own = selection(json!({"clusters": [{"name": "east"}]}));
        let yes_no = [
            "selected: named in spec.placement.clusters",
            "not selected: not named in spec.placement.clusters",
        ];
        let unfederated = ["not selected: the namespace has no FederatedNamespace"; 2];
        let unknown =
            ["undetermined: it is not known whether the namespace is federated: no sync"; 2];
        let unreadable = ["undetermined: the placement of the federated namespace cannot be read: \
             spec.placement: expected an object, found a number"; 2];
        use NamespaceFederation::{Absent, NotNeeded, Present, Unknown};
        for scope in [Scope::Cluster, Scope::Limited] {
            check(&own, &NotNeeded, scope, yes_no);
            check(&own, &Unknown("no sync".to_owned()), scope, unknown);
            check(&own, &Present(selection(json!(5))), scope, unreadable);
            let everywhere = json!({"clusterSelector": {}});
            check(&own, &Present(selection(everywhere)), scope, yes_no);
            let elsewhere = [
                "not selected: the federated namespace does not select this cluster",
                yes_no[1],
            ];
            check(&own, &Present(selection(json!({}))), scope, elsewhere);
        }
        check(&own, &Absent, Scope::Cluster, unfederated);
        check(&own, &Absent, Scope::Limited, yes_no);
    }

    #[test]
    fn reasons_say_which_rule_decided() {
        let by_labels = selection(json!({"clusterSelector": {"matchLabels": {"region": "eu"}}}));
        check(
            &by_labels,
            &NamespaceFederation::NotNeeded,
            Scope::Cluster,
            [
                "selected: labels match spec.placement.clusterSelector",
                "not selected: labels do not match spec.placement.clusterSelector",
            ],
        );
        check(
            &selection(json!({})),
            &NamespaceFederation::NotNeeded,
            Scope::Cluster,
            ["not selected: spec.placement has neither clusters nor a clusterSelector"; 2],
        );
        // A bad placement is an error even where the namespace is not federated.
        check(
            &selection(json!({"clusters": "all"})),
            &NamespaceFederation::Absent,
            Scope::Cluster,
            ["undetermined: the placement cannot be read: \
                 spec.placement.clusters: expected a list, found a string"; 2],
        );
    }

    #[test]
    fn names_without_a_cluster_are_reported() {
        let own = selection(
            json!({"clusters": [{"name": "west"}, {"name": "nowhere"}, {"name": "abroad"}]}),
        );
        let placement = Placement::new(
            own.as_ref(),
            &NamespaceFederation::NotNeeded,
            Scope::Cluster,
        );
        let names: Vec<_> = placement
            .unregistered(|name| name.as_str() == "west")
            .map(ClusterName::as_str)
            .collect();
        assert_eq!(names, ["abroad", "nowhere"]);
    }
}
