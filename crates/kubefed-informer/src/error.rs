use std::fmt;

use kubefed_api::ClusterName;

use crate::connection::Malformed;
use crate::health::ClusterState;

/// Why something asked of the fleet or of its configuration cannot be had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error(Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    NotInFleet(ClusterName),
    NotConnected(ClusterName, ClusterState),
    Config { field: String, given: String },
    Kubeconfig(String),
}

impl Error {
    pub(crate) fn not_in_fleet(cluster: &ClusterName) -> Self {
        Self(Kind::NotInFleet(cluster.clone()))
    }

    pub(crate) fn not_connected(cluster: &ClusterName, state: ClusterState) -> Self {
        Self(Kind::NotConnected(cluster.clone(), state))
    }

    pub(crate) fn config(field: &str, given: impl fmt::Display) -> Self {
        Self(Kind::Config {
            field: field.to_owned(),
            given: given.to_string(),
        })
    }

    pub(crate) fn kubeconfig(why: impl fmt::Display) -> Self {
        Self(Kind::Kubeconfig(why.to_string()))
    }

    /// Whether the fleet has no such cluster.
    pub fn is_not_in_fleet(&self) -> bool {
        matches!(self.0, Kind::NotInFleet(_))
    }

    /// Whether the cluster is known, but there is no connection to it.
    pub fn is_not_connected(&self) -> bool {
        matches!(self.0, Kind::NotConnected(..))
    }

    /// Whether a setting or a kubeconfig is invalid.
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config { .. } | Kind::Kubeconfig(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NotInFleet(cluster) => write!(f, "cluster {cluster} is not in the fleet"),
            Kind::NotConnected(cluster, state) => {
                write!(f, "cluster {cluster} has no connection: it is {state}")
            }
            Kind::Config { field, given } => {
                write!(f, "clusterHealthCheck.{field}: {given} is not positive")
            }
            Kind::Kubeconfig(why) => write!(f, "the kubeconfig cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Malformed {
    fn from(error: Error) -> Self {
        Self::Rejected(error.to_string())
    }
}
