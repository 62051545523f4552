//! The rule as it stands, over rows in order. It accepts every input.

use alloc::vec::Vec;

use super::{Assignment, Candidate, Demand, Planner, Row, WorkExceeded, forward};

/// Integers below this are exact in an f64.
pub(super) const EXACT_MAX: u64 = 1 << 53;

impl Planner {
    /// Plans by the rule as it is written, with the original's wrapping arithmetic. The rows have been
    /// made by `gather`.
    pub(super) fn plan_in_order(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
    ) -> Result<(), WorkExceeded> {
        for row in &mut self.rows {
            row.kept = 0;
        }
        self.sort.sort_rows(&mut self.rows, demand.key, candidates);

        let mut remaining = take_minima(&mut self.rows, candidates, demand.total);
        if !demand.rebalance {
            remaining = keep_running(&mut self.rows, candidates, remaining);
        }
        remaining = self.rounds_in_order(remaining)?;
        self.trim_overflow(demand, remaining);
        Ok(())
    }

    /// Step 3 over sorted rows, from any state. Rounds that repeat each other are skipped, see
    /// [`forward`]. Returns what could not be placed, and writes the assignments.
    pub(super) fn rounds_in_order(&mut self, mut remaining: i64) -> Result<i64, WorkExceeded> {
        let mut visits = 0;
        let rows = &mut self.rows;
        let mut weights = rows
            .iter()
            .fold(0, |sum: i64, row| sum.wrapping_add(row.weight));
        let mut pace = forward::Pace::default();
        while remaining > 0 && weights > 0 {
            visits += rows.len() as u64;
            if visits > self.visits_max {
                return Err(WorkExceeded {
                    visits_max: self.visits_max,
                });
            }
            let at_start = Round { remaining, weights };
            let round = at_start.run(rows, &mut remaining, &mut self.assignments);
            if !round.modified {
                break;
            }
            weights = weights.wrapping_sub(round.weights_gone);
            if round.left == 0 {
                remaining = pace.skip(rows, remaining, &at_start, round.growth);
            }
        }
        for row in rows.iter() {
            self.assignments[row.index as usize].replicas = row.plan;
        }
        Ok(remaining)
    }
}

impl Row {
    pub(super) fn new(candidate: &Candidate<'_>, index: u32) -> Self {
        Self {
            weight: candidate.weight,
            plan: 0,
            kept: 0,
            share: 0,
            maximum: candidate.maximum,
            capacity: candidate.capacity,
            name_hash: candidate.name_hash,
            index,
        }
    }

    /// Offers the row `offer` replicas. Returns how far its limits were exceeded, if they were.
    pub(super) fn accept(&mut self, offer: i64) -> Acceptance {
        let charged = offer.min(self.kept);
        self.kept = self.kept.wrapping_sub(charged);
        let start = self.plan;
        let mut wanted = start.wrapping_add(offer.wrapping_sub(charged));
        let mut full = false;
        let mut overflow = 0;
        if wanted > self.maximum {
            wanted = self.maximum;
            full = true;
        }
        if wanted > self.capacity {
            overflow = wanted.wrapping_sub(self.capacity);
            wanted = self.capacity;
            full = true;
        }
        self.plan = wanted;
        Acceptance {
            growth: wanted.wrapping_sub(start),
            modified: charged > 0 || wanted > start,
            full,
            overflow,
        }
    }
}

/// What became of an offer.
pub(super) struct Acceptance {
    /// Negative where a minimum above the maximum is taken back.
    pub(super) growth: i64,
    pub(super) modified: bool,
    pub(super) full: bool,
    pub(super) overflow: i64,
}

/// What is fixed for a whole round: the replicas and the weights at its start.
pub(super) struct Round {
    pub(super) remaining: i64,
    pub(super) weights: i64,
}

/// What a round did.
struct Outcome {
    modified: bool,
    /// How many rows left, and their weights.
    left: usize,
    weights_gone: i64,
    growth: i64,
}

impl Round {
    /// The share of a weight, rounded up. Products wrap as the original's do.
    pub(super) fn share(&self, weight: i64) -> i64 {
        let up = self
            .remaining
            .wrapping_mul(weight)
            .wrapping_add(self.weights);
        let dividend = up.wrapping_sub(1);
        // Most processors divide 32 bits in a fraction of the time that 64 take.
        match (u32::try_from(dividend), u32::try_from(self.weights)) {
            (Ok(dividend), Ok(weights)) => i64::from(dividend / weights),
            _ => dividend.wrapping_div(self.weights),
        }
    }

    /// Offers every row its share, in order, and removes those that are full.
    fn run(
        &self,
        rows: &mut Vec<Row>,
        remaining: &mut i64,
        assignments: &mut [Assignment],
    ) -> Outcome {
        let mut outcome = Outcome {
            modified: false,
            left: 0,
            weights_gone: 0,
            growth: 0,
        };
        // Rows are sorted by weight, so that most shares are those of the row before.
        let mut weight = rows.first().map_or(0, |row| row.weight);
        let mut share = self.share(weight);
        rows.retain_mut(|row| {
            if row.weight != weight {
                (weight, share) = (row.weight, self.share(row.weight));
            }
            let accepted = row.accept(share.min(*remaining));
            *remaining = remaining.wrapping_sub(accepted.growth);
            outcome.growth = outcome.growth.wrapping_add(accepted.growth);
            outcome.modified |= accepted.modified;
            if accepted.full {
                outcome.left += 1;
                outcome.weights_gone = outcome.weights_gone.wrapping_add(row.weight);
                assignments[row.index as usize] = Assignment {
                    replicas: row.plan,
                    overflow: accepted.overflow,
                };
            }
            !accepted.full
        });
        outcome
    }
}

/// Step 1. Returns what remains.
fn take_minima(rows: &mut [Row], candidates: &[Candidate<'_>], mut remaining: i64) -> i64 {
    for row in rows {
        let minimum = candidates[row.index as usize].minimum;
        row.plan = minimum.min(remaining).min(row.capacity);
        remaining = remaining.wrapping_sub(row.plan);
    }
    remaining
}

/// Step 2. Returns what remains.
fn keep_running(rows: &mut [Row], candidates: &[Candidate<'_>], mut remaining: i64) -> i64 {
    for row in rows {
        let current = candidates[row.index as usize].current;
        if current > row.plan {
            let target = current.min(row.maximum).min(row.capacity);
            row.kept = target.wrapping_sub(row.plan).min(remaining).max(0);
            row.plan = row.plan.wrapping_add(row.kept);
            remaining = remaining.wrapping_sub(row.kept);
        }
    }
    remaining
}
