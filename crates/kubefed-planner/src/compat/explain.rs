use alloc::vec::Vec;
use core::fmt;

use super::{Assignment, Candidate, Demand, Planner, WorkExceeded};
use crate::explain::{Change, OneMore};

/// What bound the replicas of a cluster in KubeFed's rule. Displays as a sentence for operators.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reason {
    /// No preference names the cluster, and there is none for `*`.
    NotListed,
    /// At or above the maximum.
    Maximum(i64),
    /// At the capacity, and how many were offered beyond it.
    Capacity(i64, i64),
    /// Weight 0 or less: what the minimum or running replicas give.
    Unweighted,
    /// Less than the minimum, since the total was used up by clusters before it.
    MinimumCut(i64),
    /// What ran is kept, or as much of it as the total allows.
    Kept(i64),
    /// The minimum and a share of the rest.
    Share,
    /// Nothing was left when its turn came.
    TooLate,
}

impl Reason {
    /// The reason for an assignment.
    pub fn of(demand: &Demand<'_>, candidate: &Candidate<'_>, assignment: &Assignment) -> Self {
        let Assignment { replicas, overflow } = *assignment;
        let kept = candidate.current.min(replicas);
        if !candidate.listed {
            Self::NotListed
        } else if replicas < candidate.minimum.min(candidate.capacity) {
            Self::MinimumCut(candidate.minimum)
        } else if replicas >= candidate.capacity {
            Self::Capacity(candidate.capacity, overflow)
        } else if replicas >= candidate.maximum {
            Self::Maximum(candidate.maximum)
        } else if candidate.weight <= 0 {
            Self::Unweighted
        } else if !demand.rebalance && kept > 0 && kept == replicas {
            Self::Kept(kept)
        } else if replicas == candidate.minimum {
            Self::TooLate
        } else {
            Self::Share
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotListed => f.write_str("no preference names it, and there is none for *"),
            Self::Maximum(maximum) => write!(f, "limited by maximum {maximum}"),
            Self::Capacity(capacity, 0) => write!(f, "limited by capacity {capacity}"),
            Self::Capacity(capacity, overflow) => {
                write!(
                    f,
                    "limited by capacity {capacity}; {overflow} more were offered"
                )
            }
            Self::Unweighted => f.write_str("weight 0: minimum and running replicas only"),
            Self::MinimumCut(minimum) => {
                write!(
                    f,
                    "less than minimum {minimum}: the total does not cover all minima"
                )
            }
            Self::Kept(replicas) => write!(f, "{replicas} running are kept"),
            Self::Share => f.write_str("its minimum and its share of the rest, rounded up"),
            Self::TooLate => f.write_str("earlier clusters took all, since shares are rounded up"),
        }
    }
}

impl Planner {
    /// What would give a cluster one replica more. Plans up to some hundred times.
    ///
    /// Every number was tried. Since the original is not monotone, a smaller one may help as well.
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan).
    ///
    /// # Panics
    ///
    /// If `index` is not below the number of candidates.
    pub fn one_more(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
        index: usize,
    ) -> Result<OneMore, WorkExceeded> {
        let replicas = self.plan(demand, candidates)?[index].replicas;
        let mut changed: Vec<_> = candidates.to_vec();
        let original = candidates[index];
        let number = |number: u64| i64::try_from(number).ok();
        let amount = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(OneMore::search(
            amount(demand.total),
            amount(original.weight),
            amount(replicas.saturating_add(1)),
            i32::MAX as u64,
            |change| {
                let (mut demand, mut candidate) = (*demand, original);
                match change {
                    Change::Capacity(capacity) => candidate.capacity = number(capacity)?,
                    Change::Maximum(maximum) => candidate.maximum = number(maximum)?,
                    Change::Total(total) => demand.total = number(total)?,
                    Change::Weight(weight) => candidate.weight = number(weight)?,
                }
                changed[index] = candidate;
                let plan = self.plan(&demand, &changed).ok()?;
                Some(plan[index].replicas > replicas)
            },
        ))
    }
}
