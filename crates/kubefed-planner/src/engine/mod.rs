//! The two ways to divide a number in proportion to weights, within bounds.

mod largest_remainder;
mod webster;

use alloc::vec::Vec;
use core::cmp::Ordering;

/// How replicas are rounded.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Method {
    /// One replica at a time to the largest `weight / (2 * replicas + 1)`; also called
    /// Sainte-Laguë.
    ///
    /// Monotone: one replica more, or one cluster less, takes nothing from anybody.
    #[default]
    Webster,
    /// The exact share rounded down, then one more to the largest fractions; also called Hamilton.
    ///
    /// Nobody is further than one replica from the exact share, but one replica more in total can
    /// take one away from a cluster.
    LargestRemainder,
}

/// What one party may and should get. `low <= high`, and `low == high` where the weight is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) weight: u64,
    pub(crate) low: u32,
    pub(crate) high: u32,
    /// Breaks ties after mixing, smaller first. Mixing waits until there is a tie.
    pub(crate) rank: u64,
}

/// The memory in which divisions are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engine {
    /// The answer, in the order of the claims.
    pub(crate) shares: Vec<u32>,
    /// The most claims that are to be divided at once. Memory is made for so many, since which parts
    /// of a plan are how large may depend on its key.
    pub(crate) claims_max: usize,
    webster: webster::Scratch,
    largest_remainder: largest_remainder::Scratch,
}

impl Engine {
    /// Divides `total` over `count` claims into `shares`. `tie` orders two claims of one weight and rank.
    ///
    /// A total outside of what the bounds allow is moved to the nearest that they do.
    pub(crate) fn divide(
        &mut self,
        method: Method,
        total: u64,
        count: usize,
        claim: impl Fn(usize) -> Claim,
        tie: impl Fn(usize, usize) -> Ordering,
    ) {
        self.claims_max = self.claims_max.max(count);
        self.shares.clear();
        self.shares.reserve(self.claims_max);
        match method {
            Method::Webster => self.webster(total, count, claim, tie),
            Method::LargestRemainder => self.largest_remainder(total, count, claim, tie),
        }
    }
}
