//! The watched copies of a type: their metadata, or all of them where their statuses are collected.

use std::sync::Arc;

use kubefed_api::{ClusterName, ObservedCopy, QualifiedName};
use kubefed_informer::{FederatedInformer, Fleet, Lookup, RawObject, Subscription, WatchSpec};

/// One watch in each member.
pub(super) enum Copies {
    /// Metadata only: the rest is read where it is needed.
    Slim(FederatedInformer<ObservedCopy>),
    /// Whole objects, as text.
    Whole(FederatedInformer<RawObject>),
}

impl Copies {
    pub(super) fn watch(fleet: &Fleet, spec: WatchSpec, with_status: bool) -> Self {
        if with_status {
            Self::Whole(FederatedInformer::start(fleet, spec))
        } else {
            Self::Slim(FederatedInformer::start(fleet, spec))
        }
    }

    /// Whether bodies are watched.
    pub(super) fn are_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// What a cluster holds; with its body in a watch of whole objects.
    pub(super) fn get(&self, cluster: &ClusterName, name: &QualifiedName) -> Lookup<ObservedCopy> {
        let raw = match self {
            Self::Slim(copies) => return copies.store().get(cluster, name),
            Self::Whole(copies) => copies.store().get(cluster, name),
        };
        match raw {
            Lookup::Absent => Lookup::Absent,
            Lookup::Unknown(why) => Lookup::Unknown(why),
            Lookup::Present(raw) => match raw.parse() {
                Ok(body) => Lookup::Present(Arc::new(ObservedCopy::from_body(Arc::new(body)))),
                Err(error) => {
                    let why = kubefed_informer::Unknown::Undecodable(error.to_string().into());
                    Lookup::Unknown(why)
                }
            },
        }
    }

    /// The resource version that the watch shows.
    pub(super) fn resource_version(
        &self,
        cluster: &ClusterName,
        name: &QualifiedName,
    ) -> Option<String> {
        match self {
            Self::Slim(copies) => {
                let copy = copies.store().get(cluster, name);
                copy.present()
                    .map(|copy| copy.resource_version().to_owned())
            }
            Self::Whole(copies) => {
                let copy = copies.store().get(cluster, name);
                copy.present()
                    .map(|copy| copy.resource_version().to_owned())
            }
        }
    }

    pub(super) fn subscribe(&self) -> Subscription {
        match self {
            Self::Slim(copies) => copies.subscribe(),
            Self::Whole(copies) => copies.subscribe(),
        }
    }
}
