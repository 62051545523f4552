use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::assignment::{Assignment, Limit, Plan, Reason, Summary};
use crate::candidate::Candidate;
use crate::demand::{Demand, Scarcity};
use crate::engine::{Claim, Method};
use crate::error::{Error, Kind};
use crate::field::{Field, Memory};
use crate::hash::{digest, mix};
use crate::strategy::Strategy;

/// The planner and the memory it works in.
///
/// # Guarantees
///
/// With the answer `x`, the effective bounds `low` and `high` of each cluster (minimum; the smaller of
/// maximum and capacity; weight 0 lowers `high` to `low`) and the total `T`:
///
/// * The sum of `x` is `T` or, where that is less, what the bounds allow; [`Summary`] says what is
///   missing and why. `low <= x <= high` unless `T` does not cover the minima.
/// * The order of the candidates does not matter, nor does what was planned before.
/// * A cluster of weight 0 without minimum changes nothing for the others.
/// * With [`Method::Webster`] under `Static`, `Tiered` and `Spread` over fixed groups: one more replica
///   in total takes none away from any cluster, and neither does the loss of a cluster.
/// * Running replicas stop only as far as the total, a maximum or a capacity forces it, plus what
///   [`Moves`](crate::Moves) allows.
///
/// # Cost
///
/// Linear in the number of candidates for ordinary input under `Static` and `Dynamic`, independent of
/// the total; `Aggregated`, `Tiered` and the option `LargestRemainder` sort. Nothing is allocated once
/// the planner has seen a plan of that size.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    memory: Memory,
    /// The digests of names that are known to differ.
    distinct: Vec<u64>,
    sorted: Vec<u64>,
    /// Shares of the ideal plan, of the plan that keeps what runs, and without capacities.
    ideal: Vec<u32>,
    kept: Vec<u32>,
    assignments: Vec<Assignment>,
}

impl Planner {
    /// A planner without memory; it grows with the first plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans, and answers in the order of `candidates`.
    ///
    /// # Errors
    ///
    /// Where the input contradicts itself: no candidates, two of one name, a minimum above its maximum,
    /// a capacity below its minimum (unless [`Demand::lower_minima`]), or a strategy that cannot be.
    pub fn plan(
        &mut self,
        demand: &Demand<'_>,
        candidates: &[Candidate<'_>],
    ) -> Result<Plan<'_>, Error> {
        demand.strategy.rule().check()?;
        self.check(demand, candidates)?;
        let task = Task {
            demand,
            candidates,
            total: demand.total.into(),
            seed: digest(demand.key),
        };
        let cut = self.divide(&task);
        self.assign(&task, cut);
        let summary = self.summarize(&task);
        Ok(Plan::new(&self.assignments, summary))
    }

    /// Checks the candidates one by one and their names together.
    fn check(&mut self, demand: &Demand<'_>, candidates: &[Candidate<'_>]) -> Result<(), Error> {
        if candidates.is_empty() {
            return Err(Kind::NoCandidates.into());
        }
        for candidate in candidates {
            let (minimum, maximum) = (candidate.minimum, candidate.maximum);
            if minimum > maximum {
                return Err(Kind::MinimumAboveMaximum {
                    cluster: candidate.name.to_owned(),
                    minimum,
                    maximum,
                }
                .into());
            }
            if candidate.room() < minimum && !demand.lower_minima {
                return Err(Kind::CapacityBelowMinimum {
                    cluster: candidate.name.to_owned(),
                    capacity: candidate.room(),
                    minimum,
                }
                .into());
            }
        }
        self.check_names(candidates)
    }

    /// Names whose digests differ differ; these are sorted only when the candidates have changed.
    fn check_names(&mut self, candidates: &[Candidate<'_>]) -> Result<(), Error> {
        let digests = candidates.iter().map(|candidate| candidate.name_digest);
        if digests.clone().eq(self.distinct.iter().copied()) {
            return Ok(());
        }
        self.sorted.clear();
        self.sorted.extend(digests.clone());
        self.sorted.sort_unstable();
        if self.sorted.windows(2).all(|pair| pair[0] != pair[1]) {
            self.distinct.clear();
            self.distinct.extend(digests);
            return Ok(());
        }
        let mut names: Vec<&str> = candidates.iter().map(|candidate| candidate.name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Kind::DuplicateName(pair[0].to_owned()).into()),
            None => Ok(()),
        }
    }

    /// Leaves the answer in the shares, the ideal in `ideal`, and returns whether minima were cut.
    fn divide(&mut self, task: &Task<'_>) -> bool {
        task.bound(&mut self.memory, Bounds::Limits);
        let lows: u64 = self.memory.lows.iter().copied().map(u64::from).sum();
        let everywhere = matches!(task.demand.strategy, Strategy::Duplicate(_));
        if lows > task.total && !everywhere {
            task.cut_minima(&mut self.memory);
            self.ideal.clone_from(&self.memory.shares);
            return true;
        }
        task.run(&mut self.memory);
        self.ideal.clone_from(&self.memory.shares);
        let Some(stopped_max) = task.demand.moves.stopped_max else {
            return false;
        };
        let runs = task
            .candidates
            .iter()
            .any(|candidate| candidate.current > 0);
        if runs && !everywhere {
            let kept: u64 = task.bound(&mut self.memory, Bounds::Kept);
            if kept > task.total {
                task.bound(&mut self.memory, Bounds::OnlyKept);
            }
            // What runs may stretch the limits of groups, but nothing is added beyond what the ideal places
            // within them; or the next plan, which finds more running, would add more.
            let ideal: u64 = self.ideal.iter().copied().map(u64::from).sum();
            task.run_for(&mut self.memory, ideal.max(kept).min(task.total));
            self.move_towards_ideal(task, stopped_max);
        }
        false
    }

    /// Takes up to `stopped_max` replicas from where there are too many, and adds as many, and those
    /// that limits of groups keep from clusters where they would be kept.
    fn move_towards_ideal(&mut self, task: &Task<'_>, stopped_max: u32) {
        let Memory { shares, engine, .. } = &mut self.memory;
        let pairs = || shares.iter().zip(&self.ideal);
        let over: u64 = pairs()
            .map(|(&kept, &ideal)| u64::from(kept.saturating_sub(ideal)))
            .sum();
        if over <= u64::from(stopped_max) {
            shares.clone_from(&self.ideal);
            return;
        }
        let under: u64 = pairs()
            .map(|(&kept, &ideal)| u64::from(ideal.saturating_sub(kept)))
            .sum();
        let taken = u64::from(stopped_max);
        let added = (under + taken).saturating_sub(over).min(under);
        if taken == 0 && added == 0 {
            return;
        }
        self.kept.clone_from(shares);
        let tie = |a: usize, b: usize| task.candidates[a].name.cmp(task.candidates[b].name);
        for (adding, part) in [(false, taken), (true, added)] {
            engine.claims.clear();
            engine
                .claims
                .extend(self.kept.iter().zip(&self.ideal).zip(task.candidates).map(
                    |((&kept, &ideal), candidate)| {
                        let (from, to) = if adding { (kept, ideal) } else { (ideal, kept) };
                        let amiss = to.saturating_sub(from);
                        Claim {
                            weight: amiss.into(),
                            low: 0,
                            high: amiss,
                            rank: candidate.name_digest ^ task.seed,
                        }
                    },
                ));
            engine.divide(Method::Webster, part, tie);
            for (share, &moved) in shares.iter_mut().zip(&engine.shares) {
                *share = if adding {
                    *share + moved
                } else {
                    *share - moved
                };
            }
        }
    }

    /// Gives every assignment its reason.
    fn assign(&mut self, task: &Task<'_>, cut: bool) {
        self.assignments.clear();
        let shares = self
            .memory
            .shares
            .iter()
            .zip(&self.ideal)
            .zip(&self.memory.marks);
        let mut full = false;
        let assignments =
            task.candidates
                .iter()
                .zip(shares)
                .map(|(candidate, ((&x, &ideal), &mark))| {
                    let reason = if cut && x < candidate.minimum {
                        Reason::new(Limit::MinimumCut, candidate.minimum)
                    } else {
                        reason(candidate, x, ideal, mark)
                    };
                    full |= reason.limit == Limit::Capacity;
                    Assignment {
                        replicas: x,
                        overflow: 0,
                        reason,
                    }
                });
        self.assignments.extend(assignments);
        if full && !cut {
            self.want(task);
        }
    }

    /// Plans again as if there were no capacities, to say what they keep out.
    fn want(&mut self, task: &Task<'_>) {
        task.bound(&mut self.memory, Bounds::NoCapacity);
        task.run(&mut self.memory);
        let unlimited = self.memory.shares.iter().zip(task.candidates);
        for (assignment, (&share, candidate)) in self.assignments.iter_mut().zip(unlimited) {
            if let (Limit::Capacity, Some(capacity)) = (assignment.reason.limit, candidate.capacity)
            {
                let wanted = share.saturating_sub(assignment.replicas);
                assignment.reason.wanted = wanted;
                assignment.overflow = task.demand.probe.overflow(wanted, capacity);
            }
        }
    }

    fn summarize(&self, task: &Task<'_>) -> Summary {
        let mut summary = Summary::default();
        for (assignment, candidate) in self.assignments.iter().zip(task.candidates) {
            let (replicas, current) = (assignment.replicas, candidate.current);
            summary.placed += u64::from(replicas);
            summary.started += u64::from(replicas.saturating_sub(current));
            summary.stopped += u64::from(current.saturating_sub(replicas));
            match assignment.reason.limit {
                Limit::Capacity | Limit::MinimumLowered => summary.at_capacity += 1,
                Limit::Maximum => summary.at_maximum += 1,
                Limit::Unweighted => summary.unweighted += 1,
                Limit::Group(_) => summary.in_limited_group += 1,
                _ => {}
            }
        }
        let asked = match task.demand.strategy {
            Strategy::Duplicate(_) => task.total * task.candidates.len() as u64,
            _ => task.total,
        };
        summary.unplaced = asked.saturating_sub(summary.placed);
        summary
    }
}

impl Reason {
    const fn new(limit: Limit, bound: u32) -> Self {
        Self {
            limit,
            bound,
            wanted: 0,
        }
    }
}

/// Which rule bound `x`, given the ideal share and what the strategy says.
fn reason(candidate: &Candidate<'_>, x: u32, ideal: u32, mark: Limit) -> Reason {
    let Candidate {
        minimum, maximum, ..
    } = *candidate;
    if x < minimum {
        return Reason::new(Limit::MinimumLowered, minimum);
    }
    match candidate.capacity {
        Some(capacity) if x >= capacity && capacity <= maximum => {
            return Reason::new(Limit::Capacity, capacity);
        }
        _ if x >= maximum => return Reason::new(Limit::Maximum, maximum),
        _ => {}
    }
    if x > ideal {
        Reason::new(Limit::Kept, x - ideal)
    } else if x < ideal {
        Reason::new(Limit::Waiting, ideal - x)
    } else if candidate.weight == 0 {
        Reason::new(Limit::Unweighted, minimum)
    } else if mark != Limit::Share {
        Reason::new(
            mark,
            if mark == Limit::Tier {
                candidate.tier
            } else {
                x
            },
        )
    } else if x == minimum && minimum > 0 {
        Reason::new(Limit::Minimum, minimum)
    } else {
        Reason::new(Limit::Share, x)
    }
}

/// Which bounds a division has.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Bounds {
    /// Minimum, and maximum or capacity.
    Limits,
    /// As `Limits`, and what runs is not taken away.
    Kept,
    /// As `Limits`, and nothing is added to what runs, minima apart.
    OnlyKept,
    /// As `Limits`, without the capacities.
    NoCapacity,
}

/// What is planned.
struct Task<'a> {
    demand: &'a Demand<'a>,
    candidates: &'a [Candidate<'a>],
    total: u64,
    seed: u64,
}

impl Task<'_> {
    /// Sets the effective bounds. Returns the sum of the lower ones.
    fn bound(&self, memory: &mut Memory, bounds: Bounds) -> u64 {
        memory.lows.clear();
        memory.highs.clear();
        let keep_unweighted = self.demand.moves.keep_unweighted;
        let mut sum = 0;
        for candidate in self.candidates {
            let room = match bounds {
                Bounds::NoCapacity => candidate.maximum,
                _ => candidate.room(),
            };
            let low = candidate.minimum.min(room);
            let kept = candidate.current.min(room).max(low);
            let high = match candidate.weight {
                0 if keep_unweighted => kept,
                0 => low,
                _ => room,
            };
            let kept = kept.min(high);
            let (low, high) = match bounds {
                Bounds::Limits | Bounds::NoCapacity => (low, high),
                Bounds::Kept => (kept, high),
                Bounds::OnlyKept => (low, kept),
            };
            sum += u64::from(low);
            memory.lows.push(low);
            memory.highs.push(high);
        }
        sum
    }

    /// Divides by the strategy, within the bounds.
    fn run(&self, memory: &mut Memory) {
        self.run_for(memory, self.total);
    }

    fn run_for(&self, memory: &mut Memory, total: u64) {
        let (mut field, members) = Field::new(self.candidates, self.seed, memory);
        let rule = self.demand.strategy.rule();
        rule.divide(&mut field, members, total);
    }

    /// Divides a total that does not cover the minima.
    fn cut_minima(&self, memory: &mut Memory) {
        let (mut field, members) = Field::new(self.candidates, self.seed, memory);
        match self.demand.scarcity {
            Scarcity::ByPriority => {
                members.sort_unstable_by_key(|&i| {
                    let candidate = &self.candidates[i as usize];
                    let rank = mix(candidate.name_digest ^ self.seed);
                    (
                        candidate.tier,
                        Reverse(candidate.weight),
                        rank,
                        candidate.name,
                    )
                });
                let mut rest = self.demand.total;
                for &mut i in members {
                    field.shares[i as usize] = field.lows[i as usize].min(rest);
                    rest -= field.shares[i as usize];
                }
            }
            Scarcity::Proportional => {
                field.highs.copy_from_slice(field.lows);
                field.lows.fill(0);
                let minimum = |_: &Candidate<'_>, high: u32| u64::from(high);
                field.apportion(Method::Webster, members, self.total, minimum);
            }
        }
    }
}
