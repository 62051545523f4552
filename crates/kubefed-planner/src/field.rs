//! What strategies work on: the candidates with their effective bounds, and scratch memory.

use alloc::vec::Vec;

use crate::assignment::Limit;
use crate::candidate::Candidate;
use crate::engine::{Claim, Engine, Method};
use crate::hash::mix;

/// Memory that outlives a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) lows: Vec<u32>,
    pub(crate) highs: Vec<u32>,
    pub(crate) shares: Vec<u32>,
    pub(crate) marks: Vec<Limit>,
    pub(crate) members: Vec<u32>,
    pub(crate) engine: Engine,
    pub(crate) numbers: Vec<u32>,
    pub(crate) partition: Partition,
    saved: Vec<Saved>,
}

/// Memory for dividing members into groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    pub(crate) groups: Vec<Group>,
    pub(crate) table: Vec<u32>,
    pub(crate) group_of: Vec<u32>,
    pub(crate) sorted: Vec<u32>,
    pub(crate) order: Vec<u32>,
}

/// Members that lie side by side, with their bounds as a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// A member of the group, whose label is that of the group.
    pub(crate) first: u32,
    pub(crate) digest: u64,
    pub(crate) weight: u64,
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// What its members could take without the limits of the group.
    pub(crate) reach: u64,
    pub(crate) current: u64,
    pub(crate) chosen: bool,
    pub(crate) share: u64,
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    index: u32,
    low: u32,
    high: u32,
}

/// A place in the stack of saved bounds.
#[derive(Clone, Copy)]
pub(crate) struct Savepoint(usize);

/// One division in the making. The vectors are indexed by candidate.
pub(crate) struct Field<'a> {
    pub(crate) candidates: &'a [Candidate<'a>],
    /// Digest of the key.
    pub(crate) seed: u64,
    pub(crate) lows: &'a mut [u32],
    pub(crate) highs: &'a mut [u32],
    pub(crate) shares: &'a mut [u32],
    pub(crate) marks: &'a mut [Limit],
    pub(crate) engine: &'a mut Engine,
    pub(crate) numbers: &'a mut Vec<u32>,
    pub(crate) partition: &'a mut Partition,
    saved: &'a mut Vec<Saved>,
}

impl<'a> Field<'a> {
    /// The field of all candidates, and the indices of its members.
    pub(crate) fn new(
        candidates: &'a [Candidate<'a>],
        seed: u64,
        memory: &'a mut Memory,
    ) -> (Self, &'a mut [u32]) {
        memory.engine.claims_max = candidates.len();
        memory.numbers.clear();
        memory.numbers.reserve(candidates.len());
        memory.members.clear();
        memory.members.extend(0..candidates.len() as u32);
        memory.shares.clear();
        memory.shares.resize(candidates.len(), 0);
        memory.marks.clear();
        memory.marks.resize(candidates.len(), Limit::Share);
        let field = Self {
            candidates,
            seed,
            lows: &mut memory.lows,
            highs: &mut memory.highs,
            shares: &mut memory.shares,
            marks: &mut memory.marks,
            engine: &mut memory.engine,
            numbers: &mut memory.numbers,
            partition: &mut memory.partition,
            saved: &mut memory.saved,
        };
        (field, &mut memory.members)
    }

    /// Breaks ties between clusters, smaller first. It depends on no other cluster, so that one that
    /// joins or leaves does not reorder the rest.
    pub(crate) fn rank(&self, index: u32) -> u64 {
        mix(self.candidates[index as usize].name_digest ^ self.seed)
    }

    pub(crate) fn low_sum(&self, members: &[u32]) -> u64 {
        members
            .iter()
            .map(|&i| u64::from(self.lows[i as usize]))
            .sum()
    }

    pub(crate) fn high_sum(&self, members: &[u32]) -> u64 {
        members
            .iter()
            .map(|&i| u64::from(self.highs[i as usize]))
            .sum()
    }

    /// Divides `total` over members by weight, within their bounds.
    pub(crate) fn apportion(
        &mut self,
        method: Method,
        members: &[u32],
        total: u64,
        weight: impl Fn(&Candidate<'_>, u32) -> u64,
    ) {
        let (candidates, seed) = (self.candidates, self.seed);
        let (lows, highs) = (&*self.lows, &*self.highs);
        let claim = |slot: usize| {
            let i = members[slot] as usize;
            let (candidate, low, high) = (&candidates[i], lows[i], highs[i]);
            let weight = weight(candidate, high);
            Claim {
                weight,
                low,
                high: if weight == 0 { low } else { high },
                rank: candidate.name_digest ^ seed,
            }
        };
        let name = |slot: usize| candidates[members[slot] as usize].name;
        let tie = |a, b| name(a).cmp(name(b));
        let engine = &mut *self.engine;
        engine.divide(method, total, members.len(), claim, tie);
        for (&i, &share) in members.iter().zip(&self.engine.shares) {
            self.shares[i as usize] = share;
        }
    }

    /// Saves the bounds of members until [`restore`](Self::restore).
    pub(crate) fn save(&mut self, members: &[u32]) -> Savepoint {
        let savepoint = Savepoint(self.saved.len());
        self.saved.reserve(self.candidates.len());
        self.saved.extend(members.iter().map(|&index| Saved {
            index,
            low: self.lows[index as usize],
            high: self.highs[index as usize],
        }));
        savepoint
    }

    pub(crate) fn restore(&mut self, savepoint: Savepoint) {
        for saved in self.saved.drain(savepoint.0..) {
            self.lows[saved.index as usize] = saved.low;
            self.highs[saved.index as usize] = saved.high;
        }
    }

    /// Makes the shares the lower bounds, so that what follows only adds.
    pub(crate) fn raise_lows(&mut self, members: &[u32]) {
        for &i in members {
            self.lows[i as usize] = self.shares[i as usize];
        }
    }
}
