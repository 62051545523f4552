//! The largest-remainder method with bounds.
//!
//! The exact level is a rational number: between two neighbouring levels at which some claim meets a
//! bound, the sum of the shares is linear. Sorting these break points and sweeping over them finds the
//! piece that holds the total; all is in integers.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Claim, Engine};
use crate::hash::mix;

/// A level at which a claim leaves its lower bound or reaches its upper one: `bound / weight`.
#[derive(Clone, Copy, Debug)]
struct Break {
    bound: u32,
    weight: u64,
    /// Whether the claim grows above this level.
    opens: bool,
}

/// What the exact share of a claim exceeds its rounded one by, in parts of one common denominator.
#[derive(Clone, Copy, Debug)]
struct Remainder {
    part: u128,
    rank: u64,
    index: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    claims: Vec<Claim>,
    breaks: Vec<Break>,
    remainders: Vec<Remainder>,
}

/// A level as a fraction: the replicas for all claims that are not at a bound, and their weights.
struct Level {
    replicas: u128,
    weights: u128,
}

impl Engine {
    pub(super) fn largest_remainder(
        &mut self,
        total: u64,
        count: usize,
        claim: impl Fn(usize) -> Claim,
        tie: impl Fn(usize, usize) -> Ordering,
    ) {
        let scratch = &mut self.largest_remainder;
        scratch.reserve(self.claims_max);
        scratch.claims.extend((0..count).map(claim));
        let sum =
            |bound: fn(&Claim) -> u32| scratch.claims.iter().map(|c| u64::from(bound(c))).sum();
        let total = total.clamp(sum(|claim| claim.low), sum(|claim| claim.high));
        let level = scratch.level(total);
        let mut missing = total;
        for (claim, index) in scratch.claims.iter().zip(0..) {
            let exact = level.replicas * u128::from(claim.weight);
            let floor = exact / level.weights;
            let share = floor.clamp(claim.low.into(), claim.high.into());
            if floor == share && share < u128::from(claim.high) {
                scratch.remainders.push(Remainder {
                    part: exact % level.weights,
                    rank: mix(claim.rank),
                    index,
                });
            }
            missing -= share as u64;
            self.shares.push(share as u32);
        }
        let missing = missing as usize;
        let remainders = &mut scratch.remainders;
        if missing > 0 && missing < remainders.len() {
            remainders.select_nth_unstable_by(missing, |a, b| {
                let by_part = b.part.cmp(&a.part).then(a.rank.cmp(&b.rank));
                by_part.then_with(|| tie(a.index as usize, b.index as usize))
            });
        }
        for remainder in remainders.iter().take(missing) {
            self.shares[remainder.index as usize] += 1;
        }
    }
}

impl Scratch {
    fn reserve(&mut self, claims_max: usize) {
        self.claims.clear();
        self.claims.reserve(claims_max);
        self.breaks.clear();
        self.breaks.reserve(2 * claims_max);
        self.remainders.clear();
        self.remainders.reserve(claims_max);
    }

    /// The level at which the exact shares add up to `total`, which lies between the sums of bounds.
    fn level(&mut self, total: u64) -> Level {
        let growing = |claim: &&Claim| claim.low < claim.high;
        for claim in self.claims.iter().filter(growing) {
            let at = |bound, opens| Break {
                bound,
                weight: claim.weight,
                opens,
            };
            self.breaks.push(at(claim.low, true));
            self.breaks.push(at(claim.high, false));
        }
        self.breaks.sort_unstable_by(|a, b| {
            let (left, right) = (u128::from(a.bound), u128::from(b.bound));
            (left * u128::from(b.weight)).cmp(&(right * u128::from(a.weight)))
        });
        let at_bound: u64 = self.claims.iter().map(|claim| u64::from(claim.low)).sum();
        // May be negative on the way: a claim that opens takes its lower bound out.
        let mut replicas = i128::from(total) - i128::from(at_bound);
        let mut weights = 0_u128;
        for point in &self.breaks {
            // Up to this break the shares add up to at_bound + level * weights.
            let reached =
                replicas * i128::from(point.weight) <= i128::from(point.bound) * weights as i128;
            if weights > 0 && reached {
                break;
            }
            let bound = i128::from(point.bound);
            if point.opens {
                weights += u128::from(point.weight);
                replicas += bound;
            } else {
                weights -= u128::from(point.weight);
                replicas -= bound;
            }
        }
        Level {
            replicas: replicas.max(0) as u128,
            weights: weights.max(1),
        }
    }
}
