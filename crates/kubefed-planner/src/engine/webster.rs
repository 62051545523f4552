//! Webster's method with bounds, in linear time for ordinary input.
//!
//! The answer is `round(level * weight)`, clamped to the bounds, for a common level. Handing out one
//! replica at a time would depend on the total, and a heap on the order; instead the level is searched
//! in floating point, as a root of a monotone function, and the few replicas for which rounding errors
//! or ties matter are decided in exact integers. So the answer does not depend on the floating point.
//!
//! # Why that is exact
//!
//! A unit is one replica more for one claim: the `(x + 1)`-th replica of weight `w` has its crossing at
//! level `(2x + 1) / 2w`, and the answer is the units with the smallest crossings. The computed level at
//! which a unit is counted differs from its crossing by a relative error below `2^-50`: half an ulp each
//! for converting the weight, for the product and for the rounding. So if `a` counts at most `total`
//! units and `b` at least as many, then every unit counted at `a * (1 - 2^-48)` belongs to the answer,
//! and every unit of the answer is counted at `b * (1 + 2^-48)`. The units between the two are ordered
//! exactly. The search ends when no claim has more than one of them.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Claim, Engine};
use crate::hash::mix;

/// Adding and subtracting this rounds a double below 2^32 to the nearest integer.
const ROUNDING: f64 = (1_u64 << 52) as f64;
/// Twice over, more than the relative error of a crossing.
const UNSURE: f64 = 1.0 / (1_u64 << 48) as f64;
/// Fills every claim, since weights are at least 1 and bounds below 2^32.
const LEVEL_MAX: f64 = (1_u64 << 33) as f64;
/// Probes placed by their predecessors. Ordinary input needs 2 to 6.
const PROBES_FAST: usize = 48;
/// Then bisection, of levels between 2^-97 and 2^33 down to 2^-32 of a level: about 60 probes.
const PROBES_MAX: usize = PROBES_FAST + 128;
const LANES: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    weights: Vec<f64>,
    lows: Vec<f64>,
    highs: Vec<f64>,
    /// Claims between the two levels, then anything.
    unsure: Vec<u32>,
    units: Vec<Unit>,
}

/// One replica more for one claim.
#[derive(Clone, Copy, Debug)]
struct Unit {
    crossing: f64,
    /// Twice the replicas before it, plus one.
    odd: u64,
    weight: u64,
    rank: u64,
    index: u32,
}

/// What is known of all claims together.
#[derive(Default)]
struct Sums {
    low: u64,
    high: u64,
    weight: f64,
    weight_max: f64,
}

/// What a level gives.
struct Probe {
    level: f64,
    /// Sum of the rounded shares.
    count: f64,
    /// Sum of the shares before rounding.
    amount: f64,
    /// Weights of the claims that are not at a bound.
    free: f64,
    /// The largest weight among the claims that are not at their upper bound.
    live: f64,
}

impl Engine {
    pub(super) fn webster(
        &mut self,
        total: u64,
        count: usize,
        claim: impl Fn(usize) -> Claim,
        tie: impl Fn(usize, usize) -> Ordering,
    ) {
        let scratch = &mut self.webster;
        scratch.reserve(self.claims_max);
        let sums = scratch.load(count, &claim);
        if total <= sums.low || total >= sums.high {
            let bounds = if total <= sums.low {
                &scratch.lows
            } else {
                &scratch.highs
            };
            self.shares.extend(bounds.iter().map(|&bound| bound as u32));
            return;
        }
        let (below, above) = scratch.bracket(total as f64, sums.weight, sums.weight_max);
        let (below, above) = (below * (1.0 - UNSURE), above * (1.0 + UNSURE));

        // Which claims are unsure is hard to foresee, so that each is noted, and most are overwritten.
        let (mut placed, mut unsure) = (0, 0);
        scratch.unsure.resize(count, 0);
        let bounds = scratch.lows.iter().zip(&scratch.highs);
        let doubles = scratch.weights.iter().zip(bounds);
        self.shares
            .extend(doubles.zip(0..).map(|((&weight, (&low, &high)), index)| {
                let share = rounded(below * weight, low, high);
                placed += u64::from(share);
                scratch.unsure[unsure] = index;
                unsure += usize::from(rounded(above * weight, low, high) > share);
                share
            }));
        let unsure = scratch.unsure[..unsure].iter().map(|&index| index as usize);
        let units = unsure.map(|index| Unit::new(&claim(index), self.shares[index], index));
        scratch.units.extend(units);

        let missing = (total - placed) as usize;
        if missing > 0 && missing < scratch.units.len() {
            let order = |a: &Unit, b: &Unit| {
                a.order(b)
                    .then_with(|| tie(a.index as usize, b.index as usize))
            };
            scratch.units.select_nth_unstable_by(missing, order);
        }
        for unit in scratch.units.iter().take(missing) {
            self.shares[unit.index as usize] += 1;
        }
    }
}

/// The nearest integer to a share within its bounds, which are below 2^32.
fn rounded(share: f64, low: f64, high: f64) -> u32 {
    // The sum is an integer between 2^52 and 2^53, whose mantissa is the rounded share.
    (clamp(share, low, high) + ROUNDING).to_bits() as u32
}

/// Compiles to two instructions, unlike `f64::clamp`, which has to mind NaN.
fn clamp(value: f64, low: f64, high: f64) -> f64 {
    let value = larger(value, low);
    if value < high { value } else { high }
}

fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

impl Unit {
    fn new(claim: &Claim, share: u32, index: usize) -> Self {
        let odd = 2 * u64::from(share) + 1;
        Self {
            crossing: odd as f64 / claim.weight as f64,
            odd,
            weight: claim.weight,
            rank: mix(claim.rank),
            index: index as u32,
        }
    }

    /// Smaller crossing first, exactly; then smaller rank.
    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (self.crossing, other.crossing);
        if (a - b).abs() > b * UNSURE {
            return if a < b {
                Ordering::Less
            } else {
                Ordering::Greater
            };
        }
        let (a, b) = (u128::from(self.odd), u128::from(other.odd));
        let (a, b) = (a * u128::from(other.weight), b * u128::from(self.weight));
        a.cmp(&b).then(self.rank.cmp(&other.rank))
    }
}

impl Scratch {
    fn reserve(&mut self, claims_max: usize) {
        for doubles in [&mut self.weights, &mut self.lows, &mut self.highs] {
            doubles.reserve(claims_max.saturating_sub(doubles.len()));
        }
        let unsure = &mut self.unsure;
        unsure.reserve(claims_max.saturating_sub(unsure.len()));
        self.units.clear();
        self.units.reserve(claims_max);
    }

    /// Takes the claims over as doubles.
    fn load(&mut self, count: usize, claim: &impl Fn(usize) -> Claim) -> Sums {
        self.weights.resize(count, 0.0);
        self.lows.resize(count, 0.0);
        self.highs.resize(count, 0.0);
        let mut sums = Sums::default();
        let bounds = self.lows.iter_mut().zip(&mut self.highs);
        for (index, (weight, (low, high))) in self.weights.iter_mut().zip(bounds).enumerate() {
            let claim = claim(index);
            (*low, *high) = (claim.low.into(), claim.high.into());
            *weight = claim.weight as f64;
            sums.low += u64::from(claim.low);
            sums.high += u64::from(claim.high);
            sums.weight += *weight;
            sums.weight_max = larger(*weight, sums.weight_max);
        }
        sums
    }

    /// Two levels between which the answer lies: the first counts at most `total`, the second at
    /// least as many, and no claim gains more than one replica from the first to the second.
    fn bracket(&self, total: f64, weight_sum: f64, weight_max: f64) -> (f64, f64) {
        let (mut below, mut above) = (0.0, LEVEL_MAX);
        // The largest weight among claims that `below` does not yet fill.
        let mut live = weight_max;
        let mut step = None;
        let mut probe = self.probe(total / weight_sum);
        for probes in 0..PROBES_MAX {
            if probe.count == total {
                return (probe.level, probe.level);
            }
            if probe.count < total {
                (below, live) = (probe.level, probe.live);
            } else {
                above = probe.level;
            }
            if (above - below) * live < 0.9 {
                break;
            }
            let next = probe.next(total, live, &mut step);
            let usable = next > below && next < above && probes < PROBES_FAST;
            probe = self.probe(if usable { next } else { middle(below, above) });
        }
        (below, above)
    }

    fn probe(&self, level: f64) -> Probe {
        let mut count = [0.0; LANES];
        let mut amount = [0.0; LANES];
        let mut free = [0.0; LANES];
        let mut live = [0.0; LANES];
        let mut add = |weights: &[f64; LANES], lows: &[f64; LANES], highs: &[f64; LANES]| {
            for lane in 0..LANES {
                let exact = level * weights[lane];
                let share = clamp(exact, lows[lane], highs[lane]);
                count[lane] += (share + ROUNDING) - ROUNDING;
                amount[lane] += share;
                free[lane] += if share == exact { weights[lane] } else { 0.0 };
                let unfilled = if exact < highs[lane] {
                    weights[lane]
                } else {
                    0.0
                };
                live[lane] = larger(unfilled, live[lane]);
            }
        };
        let (weights, weights_rest) = self.weights.as_chunks();
        let (lows, lows_rest) = self.lows.as_chunks();
        let (highs, highs_rest) = self.highs.as_chunks();
        for ((weights, lows), highs) in weights.iter().zip(lows).zip(highs) {
            add(weights, lows, highs);
        }
        add(
            &padded(weights_rest),
            &padded(lows_rest),
            &padded(highs_rest),
        );
        Probe {
            level,
            count: count.iter().sum(),
            amount: amount.iter().sum(),
            free: free.iter().sum(),
            live: live.iter().fold(0.0, |max, &weight| max.max(weight)),
        }
    }
}

impl Probe {
    /// Where to probe next.
    fn next(&self, total: f64, live: f64, step: &mut Option<f64>) -> f64 {
        let amiss = total - self.amount;
        if step.is_none() && amiss.abs() >= 0.5 && self.free > 0.0 {
            // Before rounding the sum is linear as long as no claim meets a bound.
            return self.level + amiss / self.free;
        }
        // At the level of the exact shares, walk to the other side of the rounded ones.
        let short = total - self.count;
        let wide = 0.85 / live;
        let length = match *step {
            Some(length) => wide.max(2.0 * length),
            None if self.free > 0.0 => wide.min(2.0 * short.abs() / self.free),
            None => wide,
        };
        let length = length.max(self.level * UNSURE);
        *step = Some(length);
        self.level + length * short.signum()
    }
}

fn padded(rest: &[f64]) -> [f64; LANES] {
    let mut padded = [0.0; LANES];
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

/// A level strictly between two; where they differ by orders of magnitude, nearer to the first.
fn middle(below: f64, above: f64) -> f64 {
    if above > below * 4.0 {
        (below * 2.0).max(above / 1024.0)
    } else {
        below + (above - below) / 2.0
    }
}
