use core::fmt;
use core::ops::Deref;

use crate::candidate::Level;

/// What one cluster gets, and why not more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Assignment {
    /// Replicas that the cluster should run.
    pub replicas: u32,
    /// Replicas to place beyond its capacity, as pending ones; see [`Probe`](crate::Probe).
    pub overflow: u32,
    /// What bound the number.
    pub reason: Reason,
}

/// What bound the replicas of a cluster. Displays as a sentence for operators.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Reason {
    /// Which rule it was.
    pub limit: Limit,
    /// The number in that rule: the minimum, maximum or capacity, the tier, or the replicas meant.
    pub bound: u32,
    /// How many more would go there if the capacity were unlimited.
    pub wanted: u32,
}

/// The rule that bound an assignment.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Limit {
    /// The share that the strategy gives.
    #[default]
    Share,
    /// Raised to the minimum.
    Minimum,
    /// Less than the minimum, since the total does not cover all minima.
    MinimumCut,
    /// Less than the minimum, since the capacity is lower.
    MinimumLowered,
    /// At the maximum.
    Maximum,
    /// At the capacity.
    Capacity,
    /// Weight 0: the minimum only.
    Unweighted,
    /// More than the share, since running replicas are not stopped.
    Kept,
    /// Less than the share, since running replicas elsewhere are not stopped.
    Waiting,
    /// Only the minimum, since earlier tiers hold the rest.
    Tier,
    /// The group has its part, or takes none.
    Group(Level),
    /// Fewer clusters suffice.
    NotNeeded,
    /// The whole total, as everywhere.
    Total,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.bound;
        match self.limit {
            Limit::Share => f.write_str("its share"),
            Limit::Minimum => write!(f, "raised to minimum {bound}"),
            Limit::MinimumCut => {
                write!(
                    f,
                    "less than minimum {bound}: the total does not cover all minima"
                )
            }
            Limit::MinimumLowered => write!(f, "less than minimum {bound}: no room for it"),
            Limit::Maximum => write!(f, "limited by maximum {bound}"),
            Limit::Capacity => write!(f, "limited by capacity {bound}"),
            Limit::Unweighted => write!(f, "weight 0: minimum {bound} only"),
            Limit::Kept => write!(f, "{bound} running beyond its share are kept"),
            Limit::Waiting => write!(f, "{bound} of its share still run elsewhere"),
            Limit::Tier => write!(f, "tier {bound} starts when earlier tiers are full"),
            Limit::Group(level) => write!(f, "its {} takes no more", level.name()),
            Limit::NotNeeded => f.write_str("fewer clusters suffice"),
            Limit::Total => f.write_str("the whole total, as everywhere"),
        }?;
        match self.wanted {
            0 => Ok(()),
            wanted => write!(f, "; {wanted} more would go here if there were room"),
        }
    }
}

/// The assignments, in the order of the candidates, and what they come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Plan<'a> {
    assignments: &'a [Assignment],
    summary: Summary,
}

impl<'a> Plan<'a> {
    pub(crate) const fn new(assignments: &'a [Assignment], summary: Summary) -> Self {
        Self {
            assignments,
            summary,
        }
    }

    /// One assignment per candidate, in their order.
    pub const fn assignments(&self) -> &'a [Assignment] {
        self.assignments
    }

    /// What the assignments come to.
    pub const fn summary(&self) -> Summary {
        self.summary
    }
}

impl Deref for Plan<'_> {
    type Target = [Assignment];

    fn deref(&self) -> &[Assignment] {
        self.assignments
    }
}

/// Sums over a plan. Displays as the sentence that says why replicas are not placed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Summary {
    /// Replicas in all assignments, without overflow.
    pub placed: u64,
    /// Replicas for which no cluster has room. The strategy `Duplicate` counts every cluster.
    pub unplaced: u64,
    /// Replicas that are assigned and do not run yet.
    pub started: u64,
    /// Replicas that run and are not assigned any more.
    pub stopped: u64,
    /// How many clusters are at their capacity.
    pub at_capacity: u32,
    /// How many clusters are at their maximum.
    pub at_maximum: u32,
    /// How many clusters get their minimum only, because their weight is 0.
    pub unweighted: u32,
    /// How many clusters could take more, but for the limits of the groups they belong to.
    pub in_limited_group: u32,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unplaced == 0 {
            return write!(f, "all {} replicas are placed", self.placed);
        }
        let are = if self.unplaced == 1 {
            "replica is"
        } else {
            "replicas are"
        };
        write!(f, "{} {are} not placed", self.unplaced)?;
        let causes = [
            (self.at_capacity, "at capacity"),
            (self.at_maximum, "at maximum"),
            (self.unweighted, "of weight 0"),
            (self.in_limited_group, "in groups that take no more"),
        ];
        let causes = causes.iter().filter(|(clusters, _)| *clusters > 0);
        for (i, (clusters, what)) in causes.enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            let noun = if *clusters == 1 {
                "cluster"
            } else {
                "clusters"
            };
            write!(f, "{before}{clusters} {noun} {what}")?;
        }
        Ok(())
    }
}
