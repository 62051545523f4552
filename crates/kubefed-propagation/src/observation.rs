use std::fmt;
use std::sync::Arc;

use kubefed_api::{ObservedCopy, well_known};
use serde_json::Value;

/// What is known of the object in one member cluster.
///
/// A watch filtered by the managed label cannot prove absence: an unlabelled object looks absent in it.
/// So `NotManaged` is enough to create, and only `ProvenAbsent` or `Foreign`, which a direct read
/// yields, release a cluster. Closed: [`decide`](crate::decide) matches every case.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Nothing can be said; never a cause to act.
    Unknown(Ignorance),
    /// A synced watch of managed objects does not hold it.
    NotManaged,
    /// It carries the managed label.
    Managed(ObservedCopy),
    /// A direct read found it without `kubefed.io/managed=true`.
    Foreign(ObservedCopy),
    /// A direct read answered 404.
    ProvenAbsent,
}

/// Why nothing can be said about a cluster's object. Closed: it decides the reported status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ignorance {
    /// The cluster is not ready.
    NotReady,
    /// The watch of this kind has not delivered its first list, or was interrupted.
    NotSynced(String),
    /// A direct read failed.
    ReadFailed(String),
    /// There is no client for the cluster.
    NoClient(String),
}

impl fmt::Display for Ignorance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("the cluster is not ready"),
            Self::NotSynced(why) => write!(f, "what the cluster holds is not known: {why}"),
            Self::ReadFailed(why) => write!(f, "the object could not be read: {why}"),
            Self::NoClient(why) => write!(f, "there is no client for the cluster: {why}"),
        }
    }
}

impl Observation {
    /// Sorts an object that a direct read found, by its managed label.
    pub fn of_body(object: Arc<Value>) -> Self {
        let label = object["metadata"]["labels"][well_known::MANAGED_LABEL].as_str();
        let managed = label == Some(well_known::MANAGED_VALUE);
        let copy = ObservedCopy::from_body(object);
        if managed {
            Self::Managed(copy)
        } else {
            Self::Foreign(copy)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_label_decides_whose_object_it_is() {
        let observe = |label: Value| {
            let object = json!({"metadata": {"uid": "u", "labels": {"kubefed.io/managed": label}}});
            Observation::of_body(Arc::new(object))
        };
        assert!(
            matches!(observe(json!("true")), Observation::Managed(copy) if !copy.has_opted_out())
        );
        assert!(
            matches!(observe(json!("false")), Observation::Foreign(copy) if copy.has_opted_out())
        );
        assert!(
            matches!(observe(Value::Null), Observation::Foreign(copy) if !copy.has_opted_out())
        );
    }
}
