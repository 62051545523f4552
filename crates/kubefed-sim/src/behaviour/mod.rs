//! What a cluster does of its own accord: control loops, each in a file of the same shape.
//!
//! A loop says which objects a change concerns and, a moment later, looks at one such object and
//! writes what follows. It reads and writes the store directly, under the lock of its cluster, and
//! so a run of the same requests at the same times has the same outcome.

mod custom_resources;
mod deployments;
mod garbage;
mod jobs;
mod kubelet;
mod namespaces;
mod nodes;
mod pods;
mod queue;
mod replica_sets;
mod scheduler;
mod service_accounts;
mod services;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::kubelet::Kubelets;
pub use self::nodes::NodeOptions;
pub(crate) use self::nodes::register;
pub(crate) use self::queue::Queue;
pub(crate) use self::scheduler::Scheduling;
pub(crate) use self::services::Addresses;
use crate::state::State;
use crate::store::{Change, Locator};

/// A part of a cluster's machinery that can be switched off with
/// [`ClusterOptions::without`](crate::ClusterOptions::without).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Behaviour {
    /// Deletes the objects of a deleted CustomResourceDefinition.
    CustomResources,
    /// Lists the ready pods behind each Service, as EndpointSlice and Endpoints.
    Endpoints,
    /// Deletes, releases and waits for dependents by their owner references.
    GarbageCollection,
    /// Starts, finishes and stops scheduled pods.
    Kubelets,
    /// Gives Services of type LoadBalancer and Ingresses an address.
    LoadBalancers,
    /// Records which client manages which field, in `metadata.managedFields`.
    ManagedFields,
    /// Empties a deleted namespace and lets it go.
    Namespaces,
    /// Gives each namespace its default ServiceAccount and root certificate, and fills token Secrets.
    ServiceAccounts,
    /// Places pods on nodes.
    Scheduler,
    /// Deployments, ReplicaSets and Jobs.
    Workloads,
}

/// A control loop.
pub(crate) struct Loop {
    pub(crate) part: Behaviour,
    /// The objects that a change may concern.
    pub(crate) concerns: fn(&State, &Arc<str>, &Change) -> Vec<Locator>,
    /// Brings one object forward; a duration asks to look again.
    pub(crate) reconcile: fn(&mut State, &Locator) -> Option<Duration>,
}

/// Every loop, in the order in which work of the same moment is done.
pub(crate) const LOOPS: &[Loop] = &[
    custom_resources::LOOP,
    garbage::LOOP,
    namespaces::LOOP,
    service_accounts::NAMESPACES_LOOP,
    service_accounts::TOKENS_LOOP,
    deployments::LOOP,
    replica_sets::LOOP,
    jobs::LOOP,
    scheduler::LOOP,
    kubelet::LOOP,
    services::ADDRESSES_LOOP,
    services::ENDPOINTS_LOOP,
];

impl State {
    /// Notes what a change means for the loops.
    pub(super) fn enqueue(&mut self, table: &Arc<str>, change: &Change) {
        let due = self.clock.elapsed() + self.options.reaction;
        for (index, each) in LOOPS.iter().enumerate() {
            if self.options.has(each.part) {
                for locator in (each.concerns)(self, table, change) {
                    self.work.push(due, index, locator);
                }
            }
        }
    }

    /// Does the work that is due; the result is when there is more.
    pub(crate) fn work(&mut self) -> Option<Duration> {
        let now = self.clock.elapsed();
        while let Some((index, locator)) = self.work.pop(now) {
            let again = (LOOPS[index].reconcile)(self, &locator);
            if let Some(delay) = again {
                self.work.push(now + delay, index, locator);
            }
            self.react();
        }
        self.work.next_due()
    }
}
