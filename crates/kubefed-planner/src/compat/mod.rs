//! KubeFed's replica planner, bit for bit.
//!
//! A [`Candidate`] is an available cluster with the [`Preference`] that applies to it, a [`Demand`]
//! is what the ReplicaSchedulingPreference asks for, and [`Planner::plan`] gives each candidate an
//! [`Assignment`], in the order of the candidates. [`Preferences`] finds the preference of a cluster
//! as the original does: its own entry, whole, or else the entry `*`.
//!
//! ```
//! use kubefed_planner::compat::{Candidate, Demand, Planner, Preference, Preferences};
//!
//! let preferences = Preferences::from_iter([("*", Preference::new().weight(1))]);
//! let candidates = [
//!     preferences.candidate("A"),
//!     preferences.candidate("B"),
//!     preferences.candidate("C").capacity(10),
//! ];
//! let mut planner = Planner::new();
//! let plan = planner.plan(&Demand::new(50).rebalance(true), &candidates)?;
//! assert_eq!([plan[0].replicas, plan[1].replicas, plan[2].replicas], [20, 20, 10]);
//! assert_eq!(plan[2].overflow, 7);
//! # Ok::<(), kubefed_planner::compat::WorkExceeded>(())
//! ```
//!
//! # The rule
//!
//! Clusters stand in the order of weight, largest first, then of the FNV-1 hash of name and key,
//! smallest first. Where the original leaves the order to its sort (equal weight and equal hash), the
//! name decides.
//!
//! 1. Each takes its minimum, as far as its capacity and what remains allow. The maximum does not
//!    count here.
//! 2. Without rebalance, each keeps what runs, within maximum and capacity.
//! 3. In rounds, each takes its share of what remained at the start of the round, **rounded up**, as
//!    long as something remains. The share is first charged to what step 2 kept. A cluster that would
//!    exceed a limit leaves; what exceeds its capacity is its overflow.
//! 4. Without rebalance, each overflow is cut to what could not be placed.
//!
//! The rounding is first come, first served: 801 replicas over 100 equal clusters give 9 to 89 of
//! them and none to 11. That is the behaviour to reproduce; [the other
//! strategies](crate) do better.
//!
//! # Cost
//!
//! Linear in the number of clusters for ordinary input: order matters only to the clusters at which
//! the replicas run out, and these are found by selection. The original needs as many rounds as
//! replicas run when all that is left to do is to charge shares to kept replicas; here such rounds
//! are skipped at once, exactly; what is left are at most some hundred thousand rounds for totals of 32
//! bits, and a handful for ordinary ones. A planner that is used again allocates nothing.

mod explain;
mod forward;
mod ordered;
mod sort;
mod swift;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::hash::{FNV1_BASIS, fnv1};

pub use explain::Reason;

/// What a cluster named in `spec.clusters` of a ReplicaSchedulingPreference may and should take.
///
/// Every value is accepted, negative ones included, as the original's schema does.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Preference {
    #[cfg_attr(
        feature = "serde",
        serde(rename = "min", skip_serializing_if = "is_zero")
    )]
    pub(crate) minimum: i64,
    #[cfg_attr(
        feature = "serde",
        serde(rename = "max", skip_serializing_if = "Option::is_none")
    )]
    pub(crate) maximum: Option<i64>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_zero"))]
    pub(crate) weight: i64,
}

impl Preference {
    /// Minimum 0, no maximum, weight 0: the entry `{}`.
    pub const fn new() -> Self {
        Self {
            minimum: 0,
            maximum: None,
            weight: 0,
        }
    }

    /// Sets how many replicas the cluster takes before any weight counts.
    pub const fn minimum(mut self, replicas: i64) -> Self {
        self.minimum = replicas;
        self
    }

    /// Sets how many replicas the cluster takes at most.
    pub const fn maximum(mut self, replicas: i64) -> Self {
        self.maximum = Some(replicas);
        self
    }

    /// Sets the share of the cluster relative to the weights of the others.
    pub const fn weight(mut self, weight: i64) -> Self {
        self.weight = weight;
        self
    }
}

#[cfg(feature = "serde")]
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The preferences by cluster name, with `*` for clusters without an entry of their own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preferences<'a>(BTreeMap<&'a str, Preference>);

impl<'a> Preferences<'a> {
    /// The preference of a cluster: its own entry, whole, else that of `*`, else none.
    pub fn of(&self, cluster: &str) -> Option<Preference> {
        self.0.get(cluster).or_else(|| self.0.get("*")).copied()
    }

    /// A candidate with the preference that applies to it.
    pub fn candidate<'b>(&self, cluster: &'b str) -> Candidate<'b> {
        match self.of(cluster) {
            Some(preference) => Candidate::new(cluster).preference(preference),
            None => Candidate::new(cluster),
        }
    }
}

impl<'a> FromIterator<(&'a str, Preference)> for Preferences<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, Preference)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// An available cluster: 64 bytes, in which "unlimited" and "unknown" are the integers that have
/// that effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate<'a> {
    name: &'a str,
    minimum: i64,
    maximum: i64,
    weight: i64,
    current: i64,
    capacity: i64,
    /// FNV-1 of the name, to be continued with the key.
    name_hash: u32,
    listed: bool,
}

impl<'a> Candidate<'a> {
    /// A cluster to which no preference applies: it gets 0 replicas and takes no part.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            minimum: 0,
            maximum: i64::MAX,
            weight: 0,
            current: i64::MIN,
            capacity: i64::MAX,
            name_hash: fnv1(FNV1_BASIS, name.as_bytes()),
            listed: false,
        }
    }

    /// Sets the preference that applies, so that the cluster takes part.
    pub fn preference(mut self, preference: Preference) -> Self {
        self.minimum = preference.minimum;
        self.maximum = preference.maximum.unwrap_or(i64::MAX);
        self.weight = preference.weight;
        self.listed = true;
        self
    }

    /// Sets how many replicas are known to run there. Only counts without rebalance.
    pub fn current(mut self, replicas: i64) -> Self {
        self.current = replicas;
        self
    }

    /// Sets how many replicas there is room for; unlimited otherwise.
    pub fn capacity(mut self, replicas: i64) -> Self {
        self.capacity = replicas;
        self
    }

    /// The name of the cluster.
    pub fn name(&self) -> &'a str {
        self.name
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Demand<'a> {
    total: i64,
    rebalance: bool,
    key: &'a str,
}

impl<'a> Demand<'a> {
    /// `total` replicas; the original's field is an int32. Running replicas stay where they are.
    pub const fn new(total: i64) -> Self {
        Self {
            total,
            rebalance: false,
            key: "",
        }
    }

    /// Sets whether running replicas may be moved, `spec.rebalance`.
    pub const fn rebalance(mut self, rebalance: bool) -> Self {
        self.rebalance = rebalance;
        self
    }

    /// Sets the key that orders clusters of one weight: `namespace/name` of the preference object.
    pub const fn key(mut self, key: &'a str) -> Self {
        self.key = key;
        self
    }
}

/// What one cluster gets.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Assignment {
    /// Replicas planned for the cluster.
    pub replicas: i64,
    /// Replicas wanted there beyond its capacity; 0 where the original has no entry. The controller
    /// adds them to `replicas`, as pending pods that notice when room comes back.
    pub overflow: i64,
}

/// Row visits after which a plan is given up: a few seconds.
///
/// Nothing whose totals fit into an int32 comes near, since skipped rounds cost one visit. What
/// remains is input with overflowing products, where the original would run for hours.
pub const VISITS_MAX_DEFAULT: u64 = 1 << 30;

/// The rounds did not end within [`Planner::visits_max`]. Possible only where weights overflow
/// 64-bit products or capacities are hugely negative.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorkExceeded {
    visits_max: u64,
}

impl fmt::Display for WorkExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visits = self.visits_max;
        write!(f, "the rounds did not end within {visits} cluster visits")
    }
}

impl core::error::Error for WorkExceeded {}

/// One participating cluster while the plan is made.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    weight: i64,
    plan: i64,
    /// Replicas that step 2 kept and that later shares are charged to.
    kept: i64,
    /// The share of the round that is being looked at.
    share: i64,
    maximum: i64,
    capacity: i64,
    name_hash: u32,
    index: u32,
}

/// The planner and the memory it works in.
#[derive(Clone, Debug)]
pub struct Planner {
    rows: Vec<Row>,
    sort: sort::Scratch,
    assignments: Vec<Assignment>,
    visits_max: u64,
}

impl Default for Planner {
    fn default() -> Self {
        Self::new()
    }
}

impl Planner {
    /// A planner without memory; it grows with the first plan.
    pub const fn new() -> Self {
        Self {
            rows: Vec::new(),
            sort: sort::Scratch::new(),
            assignments: Vec::new(),
            visits_max: VISITS_MAX_DEFAULT,
        }
    }

    /// Sets how many row visits a plan may take, [`VISITS_MAX_DEFAULT`] otherwise.
    pub const fn visits_max(mut self, visits: u64) -> Self {
        self.visits_max = visits;
        self
    }

    /// Plans, and answers in the order of `candidates`. Names must be unique; the order in which
    /// they are given does not matter. At most `u32::MAX` candidates are considered.
    ///
    /// # Errors
    ///
    /// [`WorkExceeded`], see there. No plan is returned then.
    pub fn plan(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
    ) -> Result<&[Assignment], WorkExceeded> {
        self.assignments.clear();
        self.assignments
            .resize(candidates.len(), Assignment::default());
        if !self.plan_swiftly(demand, candidates)? {
            self.plan_in_order(demand, candidates)?;
        }
        Ok(&self.assignments)
    }

    /// Step 4: without rebalance an overflow is at most what could not be placed.
    fn trim_overflow(&mut self, demand: &Demand<'_>, remaining: i64) {
        if demand.rebalance {
            return;
        }
        for assignment in &mut self.assignments {
            assignment.overflow = assignment.overflow.min(remaining).max(0);
        }
    }
}
