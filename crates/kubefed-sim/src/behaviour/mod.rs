//! What a cluster does of its own accord: control loops, each in a file of the same shape.
//!
//! A loop says which objects a change concerns and, a moment later, looks at one such object and
//! writes what follows. It reads and writes the store directly, under the lock of its cluster, and
//! so a run of the same requests at the same times has the same outcome.

mod custom_resources;
mod garbage;
mod namespaces;
mod queue;
mod service_accounts;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::queue::Queue;
use crate::state::State;
use crate::store::{Change, Locator};

/// A part of a cluster's machinery that can be switched off with
/// [`ClusterOptions::without`](crate::ClusterOptions::without).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Behaviour {
    /// Deletes the objects of a deleted CustomResourceDefinition.
    CustomResources,
    /// Deletes, releases and waits for dependents by their owner references.
    GarbageCollection,
    /// Empties a deleted namespace and lets it go.
    Namespaces,
    /// Gives each namespace its default ServiceAccount and root certificate, and fills token Secrets.
    ServiceAccounts,
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
