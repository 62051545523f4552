//! The same answers for ordinary input, without sorting.
//!
//! Order matters only where replicas run out: a cluster is served in full unless what remains when
//! its turn comes is less than its share. So a round in which this can happen to nobody is run in any
//! order, and in the round in which the replicas run out, selection finds the clusters around that
//! point; only these few are sorted.

use alloc::vec::Vec;

use super::ordered::{EXACT_MAX, Round};
use super::sort::{Key, Packing, sort_keys};
use super::{Assignment, Candidate, Demand, Planner, Row, WorkExceeded};

/// So few rows with several limits are sorted sooner than it is found out that they need not be.
const FEW: usize = 4;
/// Keys that are sorted at once instead of being divided further.
const SORTED_AT_ONCE: usize = 48;

impl Planner {
    /// Plans if the input is ordinary: nothing negative, no minimum above its maximum, products far
    /// from overflow, and not so small that sorting is cheaper. Returns whether it was.
    pub(super) fn plan_swiftly(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
    ) -> Result<bool, WorkExceeded> {
        let gathered = self.gather(demand, candidates);
        let involved = gathered.kept > 0 || gathered.capped;
        let small = self.rows.len() <= FEW && involved;
        if small || !gathered.is_ordinary(demand.total, candidates.len()) {
            return Ok(false);
        }
        let mut pass = Pass {
            demand,
            candidates,
            weight_min: gathered.weight_min,
            weight_max: gathered.weight_max,
            remaining: demand.total,
            overflowed: false,
        };
        if let Some(share) = gathered.single_share(demand.total, self.rows.len()) {
            self.hand_out(&pass, share);
            return Ok(true);
        }
        if gathered.minima > demand.total {
            for row in &mut self.rows {
                row.kept = row.plan;
                row.plan = 0;
            }
            pass.pour(self, &mut Keep, gathered.minima);
        } else {
            pass.remaining -= gathered.minima;
            if gathered.kept > pass.remaining {
                pass.pour(self, &mut Keep, gathered.kept);
            } else {
                pass.remaining -= gathered.kept;
                if gathered.kept > 0 {
                    self.rows.iter_mut().for_each(|row| row.plan += row.kept);
                }
                if !pass.rounds(self, gathered.weights) {
                    self.sort.sort_rows(&mut self.rows, demand.key, candidates);
                    pass.remaining = self.rounds_in_order(pass.remaining)?;
                    pass.overflowed = true;
                    self.rows.clear();
                }
            }
        }
        for row in &self.rows {
            self.assignments[row.index as usize].replicas = row.plan;
        }
        if pass.overflowed {
            self.trim_overflow(demand, pass.remaining);
        }
        Ok(true)
    }

    /// Gives `share` to the first rows, what is left to the next one, and nothing to the others.
    fn hand_out(&mut self, pass: &Pass<'_>, share: i64) {
        let served = (pass.remaining / share) as usize;
        let packing = Packing::new(self.rows.len(), 0, 0);
        if served == self.rows.len() {
            let rows = self.rows.iter();
            rows.for_each(|row| self.assignments[row.index as usize].replicas = share);
        } else if packing.narrow {
            self.sort.pack_rows(&self.rows, pass.demand.key, packing);
            let keys = &mut self.sort.narrow;
            find_first(keys, served, packing.slot_bits, &self.rows, pass.candidates);
            let rest = pass.remaining % share;
            for (position, key) in keys[..=served].iter().enumerate() {
                let row = &self.rows[key.slot(packing.slot_bits)];
                let replicas = if position < served { share } else { rest };
                self.assignments[row.index as usize].replicas = replicas;
            }
        }
    }

    /// Makes the rows, with the full minimum in `plan` and all that could be kept in `kept`.
    fn gather(&mut self, demand: &Demand<'_>, candidates: &[Candidate<'_>]) -> Gathered {
        let mut gathered = Gathered {
            odd: demand.total,
            weights: 0,
            weight_min: i64::MAX,
            weight_max: 0,
            minima: 0,
            kept: 0,
            capped: false,
            room_min: i64::MAX,
        };
        self.rows.clear();
        self.rows.reserve(candidates.len());
        for (candidate, index) in candidates.iter().zip(0..) {
            if !candidate.listed {
                continue;
            }
            let mut row = Row::new(candidate, index);
            row.plan = candidate.minimum.min(candidate.capacity);
            if !demand.rebalance {
                let target = candidate.current.min(row.maximum).min(row.capacity);
                row.kept = target.saturating_sub(row.plan).max(0);
            }
            gathered.odd |= candidate.minimum
                | candidate.weight
                | candidate.capacity
                | candidate.maximum.wrapping_sub(candidate.minimum);
            gathered.weights = gathered.weights.wrapping_add(row.weight);
            gathered.weight_min = gathered.weight_min.min(row.weight);
            gathered.weight_max = gathered.weight_max.max(row.weight);
            gathered.minima = gathered.minima.saturating_add(row.plan);
            gathered.kept = gathered.kept.saturating_add(row.kept);
            gathered.capped |= row.capacity != i64::MAX;
            gathered.room_min = gathered.room_min.min(row.maximum.min(row.capacity));
            self.rows.push(row);
        }
        gathered
    }
}

/// Moves the first `served` keys to the front, in any order, and the next one behind them.
fn find_first<K: Key>(
    keys: &mut [K],
    served: usize,
    slot_bits: u32,
    rows: &[Row],
    candidates: &[Candidate<'_>],
) {
    if keys.len() > SORTED_AT_ONCE {
        keys.select_nth_unstable(served);
        let place = keys[served].place(slot_bits);
        let tied = |key: &K| key.place(slot_bits) == place;
        if keys.iter().filter(|key| tied(key)).count() == 1 {
            return;
        }
    }
    sort_keys(keys, slot_bits, rows, candidates);
}

/// What is known of all rows together.
struct Gathered {
    /// Negative if anything is that must not be.
    odd: i64,
    weights: i64,
    weight_min: i64,
    weight_max: i64,
    minima: i64,
    kept: i64,
    /// Whether any capacity is known.
    capped: bool,
    /// The least room of any row.
    room_min: i64,
}

impl Gathered {
    fn is_ordinary(&self, total: i64, candidates: usize) -> bool {
        let factor = i128::from(total) + candidates as i128;
        self.odd >= 0 && factor * i128::from(self.weight_max) < i128::from(EXACT_MAX)
    }

    /// The share of every row, if all weights are equal and no bound is met: then one round places
    /// everything, on the first rows in order.
    fn single_share(&self, total: i64, rows: usize) -> Option<i64> {
        let equal = self.weight_min == self.weight_max && self.weight_max > 0;
        let share = (total as u64).div_ceil(rows.max(1) as u64) as i64;
        let unbounded = self.minima == 0 && self.kept == 0 && share <= self.room_min;
        (equal && unbounded && share > 0).then_some(share)
    }
}

/// One plan in the making.
struct Pass<'a> {
    demand: &'a Demand<'a>,
    candidates: &'a [Candidate<'a>],
    weight_min: i64,
    weight_max: i64,
    remaining: i64,
    overflowed: bool,
}

/// What a round would do if nobody's share were clipped.
struct Forecast {
    growth: i64,
    /// The largest share among rows to which a clip would matter even if they grow by less.
    margin: i64,
}

impl Pass<'_> {
    /// Step 3. Returns false if the rounds must go on in order, from the state reached.
    fn rounds(&mut self, planner: &mut Planner, mut weights: i64) -> bool {
        while self.remaining > 0 && weights > 0 {
            let shares = Shares::new(self, weights);
            let forecast = shares.forecast(&mut planner.rows);
            if forecast.growth <= self.remaining - forecast.margin {
                let left = self.run_unclipped(planner);
                if !left.modified {
                    break;
                }
                weights -= left.weights;
                self.remaining -= forecast.growth;
                if forecast.growth == 0 && left.weights == 0 {
                    skip_absorbing(&mut planner.rows);
                }
            } else if forecast.growth >= self.remaining {
                let mut offer = Offer {
                    margin: forecast.margin,
                    assignments: core::mem::take(&mut planner.assignments),
                    overflowed: false,
                };
                self.pour(planner, &mut offer, forecast.growth);
                self.overflowed |= offer.overflowed;
                planner.assignments = offer.assignments;
                if self.remaining > 0 {
                    planner.rows.retain(|row| row.kept != FULL);
                    return false;
                }
            } else {
                return false;
            }
        }
        true
    }

    /// A round in which nobody's share is clipped, so that the order does not matter.
    fn run_unclipped(&mut self, planner: &mut Planner) -> Unclipped {
        let mut outcome = Unclipped {
            weights: 0,
            modified: false,
        };
        let assignments = &mut planner.assignments;
        planner.rows.retain_mut(|row| {
            let accepted = row.accept(row.share);
            outcome.modified |= accepted.modified;
            if accepted.full {
                outcome.weights += row.weight;
                self.overflowed |= accepted.overflow > 0;
                assignments[row.index as usize] = Assignment {
                    replicas: row.plan,
                    overflow: accepted.overflow,
                };
            }
            !accepted.full
        });
        outcome
    }

    /// Serves the rows in order until nothing remains. `need` is what all of them would take.
    fn pour(&mut self, planner: &mut Planner, service: &mut impl Service, need: i64) {
        let packing = Packing::new(planner.rows.len(), self.weight_min, self.weight_max);
        planner
            .sort
            .pack_rows(&planner.rows, self.demand.key, packing);
        let mut stream = Stream {
            rows: &mut planner.rows,
            candidates: self.candidates,
            slot_bits: packing.slot_bits,
            remaining: &mut self.remaining,
        };
        if packing.narrow {
            stream.pour(&mut planner.sort.narrow, service, need);
        } else {
            stream.pour(&mut planner.sort.wide, service, need);
        }
    }
}

/// What left in a round.
struct Unclipped {
    weights: i64,
    modified: bool,
}

/// The shares of a round.
struct Shares {
    round: Round,
    /// Where all weights are equal, their share.
    uniform: Option<i64>,
}

impl Shares {
    fn new(pass: &Pass<'_>, weights: i64) -> Self {
        let round = Round {
            remaining: pass.remaining,
            weights,
        };
        let equal = pass.weight_min == pass.weight_max;
        Self {
            uniform: equal.then(|| round.share(pass.weight_max)),
            round,
        }
    }

    /// Notes the share of each row, and adds up what would happen.
    fn forecast(&self, rows: &mut [Row]) -> Forecast {
        let mut forecast = Forecast {
            growth: 0,
            margin: 0,
        };
        for row in rows {
            let share = self.uniform.unwrap_or_else(|| self.round.share(row.weight));
            row.share = share;
            let wanted = row.plan + share - share.min(row.kept);
            let sensitive = row.kept > 0 || wanted > row.capacity;
            forecast.margin = forecast.margin.max(if sensitive { share } else { 0 });
            forecast.growth += wanted.min(row.maximum).min(row.capacity) - row.plan;
        }
        forecast
    }
}

/// Skips the rounds in which all is absorbed again.
fn skip_absorbing(rows: &mut [Row]) {
    let positive = rows.iter().filter(|row| row.weight > 0);
    let rounds = positive.map(|row| row.kept / row.share).min();
    let rounds = rounds.unwrap_or(0);
    for row in rows {
        row.kept -= rounds * row.share;
    }
}

/// What pouring does to a row.
trait Service {
    /// What the row takes if enough remains.
    fn need(&self, row: &Row) -> i64;
    /// As long as this much remains after a row, it has been served in full.
    fn margin(&self) -> i64;
    /// Serves a row from what remains. Returns what it took.
    fn serve(&mut self, row: &mut Row, remaining: i64) -> i64;
}

/// Adds `kept` to `plan`, as far as it lasts.
struct Keep;

impl Service for Keep {
    fn need(&self, row: &Row) -> i64 {
        row.kept
    }

    fn margin(&self) -> i64 {
        0
    }

    fn serve(&mut self, row: &mut Row, remaining: i64) -> i64 {
        let growth = row.kept.min(remaining);
        row.plan += growth;
        growth
    }
}

/// Marks a row that became full while the replicas ran out; nothing ordinary keeps a negative count.
const FULL: i64 = -1;

/// Offers each row its share of a round.
struct Offer {
    margin: i64,
    assignments: Vec<Assignment>,
    overflowed: bool,
}

impl Service for Offer {
    fn need(&self, row: &Row) -> i64 {
        let wanted = row.plan + row.share - row.share.min(row.kept);
        wanted.min(row.maximum).min(row.capacity) - row.plan
    }

    fn margin(&self) -> i64 {
        self.margin
    }

    fn serve(&mut self, row: &mut Row, remaining: i64) -> i64 {
        let accepted = row.accept(row.share.min(remaining));
        if accepted.full {
            row.kept = FULL;
            self.overflowed |= accepted.overflow > 0;
            self.assignments[row.index as usize] = Assignment {
                replicas: row.plan,
                overflow: accepted.overflow,
            };
        }
        accepted.growth
    }
}

/// Rows that are served in order, of which most need not be sorted.
struct Stream<'a> {
    rows: &'a mut [Row],
    candidates: &'a [Candidate<'a>],
    slot_bits: u32,
    remaining: &'a mut i64,
}

impl Stream<'_> {
    /// Serves rows in order until nothing remains. `need` is what the rows of `keys` would take.
    ///
    /// Splits the keys near the point where the replicas run out. What lies before it is served in
    /// any order; what lies behind is set aside; and the few keys around the point are sorted.
    fn pour<K: Key>(&mut self, keys: &mut [K], service: &mut impl Service, mut need: i64) {
        let (mut begin, mut end) = (0, keys.len());
        let mut halve = false;
        while *self.remaining > 0 && begin < keys.len() {
            if begin == end {
                end = keys.len();
                need = self.need(&keys[begin..], service);
            }
            let segment = &mut keys[begin..end];
            if segment.len() <= SORTED_AT_ONCE {
                self.serve_in_order(segment, service);
                begin = end;
                continue;
            }
            let split = split_point(segment.len(), *self.remaining, need, halve);
            segment.select_nth_unstable(split);
            let (before, after) = segment.split_at(split);
            let place = after[0].place(self.slot_bits);
            if before.iter().any(|key| key.place(self.slot_bits) == place) {
                // Only names order the rows on both sides of the split.
                self.serve_in_order(segment, service);
                begin = end;
                continue;
            }
            let need_before = self.need(before, service);
            if need_before + service.margin() <= *self.remaining {
                self.serve(before, service);
                halve = split < segment.len() / 4;
                begin += split;
                need -= need_before;
            } else {
                halve = split > segment.len() / 4 * 3;
                end = begin + split;
                need = need_before;
            }
        }
    }

    fn need<K: Key>(&self, keys: &[K], service: &impl Service) -> i64 {
        let slots = keys.iter().map(|key| key.slot(self.slot_bits));
        slots.fold(0, |sum: i64, slot| {
            sum.saturating_add(service.need(&self.rows[slot]))
        })
    }

    fn serve_in_order<K: Key>(&mut self, keys: &mut [K], service: &mut impl Service) {
        sort_keys(keys, self.slot_bits, self.rows, self.candidates);
        self.serve(keys, service);
    }

    fn serve<K: Key>(&mut self, keys: &[K], service: &mut impl Service) {
        for key in keys {
            if *self.remaining == 0 {
                break;
            }
            let row = &mut self.rows[key.slot(self.slot_bits)];
            *self.remaining -= service.serve(row, *self.remaining);
        }
    }
}

/// Where to split `keys` keys that need `need` together, when `remaining` remain. Every other split
/// at least halves what is looked at, so that all of them together cost as much as a few.
fn split_point(keys: usize, remaining: i64, need: i64, halve: bool) -> usize {
    if halve {
        return keys / 2;
    }
    let guess = (keys as f64 * (remaining as f64 / need.max(1) as f64)) as usize;
    let below = guess.saturating_sub(guess / 16 + 1);
    let split = if below >= SORTED_AT_ONCE {
        below
    } else {
        guess.saturating_mul(2).max(SORTED_AT_ONCE)
    };
    split.clamp(1, keys - 1)
}
