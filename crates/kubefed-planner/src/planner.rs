use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::assignment::{Assignment, Limit, Plan, Reason, Summary};
use crate::candidate::Candidate;
use crate::demand::{Demand, Probe, Scarcity};
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
        // Whether replicas are moved may depend on the key, so that it is reserved before.
        self.kept.clear();
        self.kept.reserve(candidates.len());
        let cut = self.divide(&task);
        let summary = self.assign(&task, cut);
        Ok(Plan::new(&self.assignments, summary))
    }

    /// Checks the candidates one by one and their names together.
    fn check(&mut self, demand: &Demand<'_>, candidates: &[Candidate<'_>]) -> Result<(), Error> {
        if candidates.is_empty() {
            return Err(Kind::NoCandidates.into());
        }
        // Most plans are for the clusters of the plan before, and nothing is wrong with them.
        let mut well = candidates.len() == self.distinct.len();
        for (candidate, &known) in candidates.iter().zip(&self.distinct) {
            well &= candidate.name_digest == known;
            well &= candidate.minimum <= candidate.maximum;
            well &= demand.lower_minima | (candidate.minimum <= candidate.room());
        }
        if well {
            return Ok(());
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
            let claim = |i: usize| {
                let (kept, ideal) = (self.kept[i], self.ideal[i]);
                let amiss = if adding {
                    ideal.saturating_sub(kept)
                } else {
                    kept.saturating_sub(ideal)
                };
                Claim {
                    weight: amiss.into(),
                    low: 0,
                    high: amiss,
                    rank: task.candidates[i].name_digest ^ task.seed,
                }
            };
            engine.divide(Method::Webster, part, self.kept.len(), claim, tie);
            for (share, &moved) in shares.iter_mut().zip(&engine.shares) {
                *share = if adding {
                    *share + moved
                } else {
                    *share - moved
                };
            }
        }
    }

    /// Gives every assignment its reason. Returns what they come to.
    fn assign(&mut self, task: &Task<'_>, cut: bool) -> Summary {
        let Memory { shares, marks, .. } = &self.memory;
        let mut summary = Summary::default();
        self.assignments.clear();
        let answers = shares.iter().zip(&self.ideal).zip(marks);
        let answers = task.candidates.iter().zip(answers);
        self.assignments
            .extend(answers.map(|(candidate, ((&x, &ideal), &mark))| {
                let reason = reason(candidate, x, ideal, mark, cut);
                summary.add(x, candidate.current, reason.limit);
                Assignment {
                    replicas: x,
                    overflow: 0,
                    reason,
                }
            }));
        let asked = match task.demand.strategy {
            Strategy::Duplicate(_) => task.total * task.candidates.len() as u64,
            _ => task.total,
        };
        summary.unplaced = asked.saturating_sub(summary.placed);
        if summary.at_capacity > 0 && !cut {
            self.want(task);
        }
        summary
    }

    /// Plans again as if there were no capacities, to say what they keep out.
    fn want(&mut self, task: &Task<'_>) {
        task.bound(&mut self.memory, Bounds::NoCapacity);
        task.run(&mut self.memory);
        for (assignment, &share) in self.assignments.iter_mut().zip(&self.memory.shares) {
            let wanted = share.saturating_sub(assignment.replicas);
            let full = assignment.reason.limit == Limit::Capacity;
            assignment.reason.wanted = if full { wanted } else { 0 };
        }
        if task.demand.probe == Probe::None {
            return;
        }
        for (assignment, candidate) in self.assignments.iter_mut().zip(task.candidates) {
            let capacity = candidate.capacity.unwrap_or(u32::MAX);
            let wanted = assignment.reason.wanted;
            assignment.overflow = task.demand.probe.overflow(wanted, capacity);
        }
    }
}

impl Summary {
    fn add(&mut self, replicas: u32, current: u32, limit: Limit) {
        self.placed += u64::from(replicas);
        self.started += u64::from(replicas.saturating_sub(current));
        self.stopped += u64::from(current.saturating_sub(replicas));
        // Sums, since branches on limits are hard to foresee.
        let full = matches!(limit, Limit::Capacity | Limit::MinimumLowered);
        self.at_capacity += u32::from(full);
        self.at_maximum += u32::from(limit == Limit::Maximum);
        self.unweighted += u32::from(limit == Limit::Unweighted);
        self.in_limited_group += u32::from(matches!(limit, Limit::Group(_)));
    }
}

/// Which rule bound `x`, given the ideal share, what the strategy says, and whether minima were cut.
///
/// Of the rules that apply the last one wins. So written it compiles to moves on conditions, where
/// branches would be hard to foresee.
fn reason(candidate: &Candidate<'_>, x: u32, ideal: u32, mark: Limit, cut: bool) -> Reason {
    let Candidate {
        minimum, maximum, ..
    } = *candidate;
    let room = candidate.capacity.unwrap_or(u32::MAX);
    let known = candidate.capacity.is_some();
    let marked = if mark == Limit::Tier {
        candidate.tier
    } else {
        x
    };
    let short = if cut {
        Limit::MinimumCut
    } else {
        Limit::MinimumLowered
    };
    let rules = [
        (x == minimum && minimum > 0, Limit::Minimum, minimum),
        (mark != Limit::Share, mark, marked),
        (candidate.weight == 0, Limit::Unweighted, minimum),
        (x < ideal, Limit::Waiting, ideal.wrapping_sub(x)),
        (x > ideal, Limit::Kept, x.wrapping_sub(ideal)),
        (x >= maximum, Limit::Maximum, maximum),
        (known && x >= room && room <= maximum, Limit::Capacity, room),
        (x < minimum, short, minimum),
    ];
    let (mut limit, mut bound) = (Limit::Share, x);
    for (applies, rule, number) in rules {
        limit = if applies { rule } else { limit };
        bound = if applies { number } else { bound };
    }
    Reason {
        limit,
        bound,
        wanted: 0,
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
