//! What it would take to get one replica more: found by planning again with one number changed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::assignment::Reason;
use crate::candidate::Candidate;
use crate::demand::Demand;
use crate::error::Error;
use crate::planner::Planner;

/// Why a cluster gets what it gets, and what would give it one more. Displays as sentences.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Explanation {
    /// The cluster.
    pub cluster: String,
    /// What it gets.
    pub replicas: u32,
    /// What bound that.
    pub reason: Reason,
    /// What would give it more.
    pub one_more: OneMore,
}

/// The smallest single changes, each on its own, that give a cluster at least one replica more. Every
/// number was tried; `None` where that change alone does not help.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OneMore {
    /// A capacity of this much.
    pub capacity: Option<u64>,
    /// A maximum of this much.
    pub maximum: Option<u64>,
    /// A total of this much.
    pub total: Option<u64>,
    /// A weight of this much.
    pub weight: Option<u64>,
}

/// One number of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Capacity(u64),
    Maximum(u64),
    Total(u64),
    Weight(u64),
}

impl Planner {
    /// Explains one assignment. Plans up to some hundred times, so it is for people, not for loops.
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan).
    ///
    /// # Panics
    ///
    /// If `index` is not below the number of candidates.
    pub fn explain(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
        index: usize,
    ) -> Result<Explanation, Error> {
        let assignment = self.plan(demand, candidates)?[index];
        let mut changed: Vec<_> = candidates.to_vec();
        let original = candidates[index];
        let clip = |number: u64| u32::try_from(number).ok();
        let one_more = OneMore::search(
            u64::from(demand.total),
            original.weight,
            u64::from(assignment.replicas) + 1,
            u64::from(u32::MAX),
            |change| {
                let mut demand = demand.clone();
                let mut candidate = original;
                match change {
                    Change::Capacity(capacity) => candidate.capacity = Some(clip(capacity)?),
                    Change::Maximum(maximum) => candidate.maximum = clip(maximum)?,
                    Change::Total(total) => demand.total = clip(total)?,
                    Change::Weight(weight) => candidate.weight = weight,
                }
                changed[index] = candidate;
                let plan = self.plan(&demand, &changed).ok()?;
                Some(plan[index].replicas > assignment.replicas)
            },
        );
        Ok(Explanation {
            cluster: original.name.into(),
            replicas: assignment.replicas,
            reason: assignment.reason,
            one_more,
        })
    }
}

impl OneMore {
    /// Tries changes. `helps` plans with a change and says whether the cluster gets more.
    pub(crate) fn search(
        total: u64,
        weight: u64,
        next: u64,
        total_max: u64,
        mut helps: impl FnMut(Change) -> Option<bool>,
    ) -> Self {
        let mut helps = |change| helps(change).unwrap_or(false);
        let capacity = Some(next).filter(|&next| helps(Change::Capacity(next)));
        let maximum = Some(next).filter(|&next| helps(Change::Maximum(next)));
        let total = smallest(total, total_max, |total| helps(Change::Total(total)));
        let weight = smallest(weight, u64::from(u32::MAX), |weight| {
            helps(Change::Weight(weight))
        });
        Self {
            capacity,
            maximum,
            total,
            weight,
        }
    }
}

/// The smallest number above `from` and up to `max` that helps, if helping is monotone; some number
/// that helps, otherwise.
fn smallest(from: u64, max: u64, mut helps: impl FnMut(u64) -> bool) -> Option<u64> {
    let (mut fails, mut step) = (from, 1_u64);
    let mut found = loop {
        let next = from.saturating_add(step).min(max);
        if next <= fails {
            return None;
        }
        if helps(next) {
            break next;
        }
        fails = next;
        step = step.saturating_mul(2);
    };
    while found - fails > 1 {
        let middle = fails + (found - fails) / 2;
        if helps(middle) {
            found = middle;
        } else {
            fails = middle;
        }
    }
    Some(found)
}

impl fmt::Display for OneMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = [
            ("a capacity", self.capacity),
            ("a maximum", self.maximum),
            ("a total", self.total),
            ("a weight", self.weight),
        ];
        let mut ways = ways
            .iter()
            .filter_map(|(what, number)| Some((what, (*number)?)));
        let Some((what, number)) = ways.next() else {
            return f.write_str("no single change gives one more");
        };
        write!(f, "one more with {what} of {number}")?;
        ways.try_for_each(|(what, number)| write!(f, ", or {what} of {number}"))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            replicas,
            reason,
            one_more,
        } = self;
        write!(f, "{cluster} gets {replicas}: {reason}; {one_more}")
    }
}
