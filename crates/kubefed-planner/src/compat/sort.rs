//! The order of the rows: weight descending, hash ascending, name ascending.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Candidate, Row};
use crate::hash::{Continuation, fnv1, fnv1_lanes};

/// States hashed side by side.
const LANES: usize = 16;
/// So few are hashed one by one, since the processor overlaps them, and not at all if their weights order
/// them: comparing each with each is then cheaper.
const FEW: usize = 5;
/// So many are worth the table of a continuation, which costs as much as 256 of them.
const MANY: usize = 600;

/// Memory for sorting.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    hashes: Vec<u32>,
    pub(super) narrow: Vec<u64>,
    pub(super) wide: Vec<u128>,
    sorted: Vec<Row>,
}

/// Weight, hash and position of a row in one integer whose order is the order of the rows.
pub(super) trait Key: Copy + Ord {
    fn pack(weight_below_max: u64, hash: u32, slot: usize, slot_bits: u32) -> Self;
    fn slot(self, slot_bits: u32) -> usize;
    /// Equal for rows whose order only the name decides.
    fn place(self, slot_bits: u32) -> Self;
}

impl Key for u64 {
    fn pack(weight_below_max: u64, hash: u32, slot: usize, slot_bits: u32) -> Self {
        (weight_below_max << (32 + slot_bits)) | (u64::from(hash) << slot_bits) | slot as u64
    }

    fn slot(self, slot_bits: u32) -> usize {
        (self & ((1 << slot_bits) - 1)) as usize
    }

    fn place(self, slot_bits: u32) -> Self {
        self >> slot_bits
    }
}

impl Key for u128 {
    fn pack(weight_below_max: u64, hash: u32, slot: usize, _: u32) -> Self {
        (u128::from(weight_below_max) << 64) | (u128::from(hash) << 32) | slot as u128
    }

    fn slot(self, _: u32) -> usize {
        self as u32 as usize
    }

    fn place(self, _: u32) -> Self {
        self >> 32
    }
}

/// How keys are made for a set of rows.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    weight_max: i64,
    pub(super) slot_bits: u32,
    /// Whether 64 bits hold a key.
    pub(super) narrow: bool,
}

impl Packing {
    pub(super) fn new(rows: usize, weight_min: i64, weight_max: i64) -> Self {
        let weight_bits = u64::BITS - (weight_max.wrapping_sub(weight_min) as u64).leading_zeros();
        let slot_bits = usize::BITS - rows.saturating_sub(1).leading_zeros();
        Self {
            weight_max,
            slot_bits,
            narrow: weight_bits + 32 + slot_bits <= 64 && slot_bits < 32,
        }
    }
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self {
            hashes: Vec::new(),
            narrow: Vec::new(),
            wide: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Sorts rows. Those that only the name can order are ordered by it.
    pub(super) fn sort_rows(
        &mut self,
        rows: &mut Vec<Row>,
        key: &str,
        candidates: &[Candidate<'_>],
    ) {
        if rows.len() <= FEW && have_distinct_weights(rows) {
            rows.sort_unstable_by_key(|row| Reverse(row.weight));
            return;
        }
        let weights = rows.iter().map(|row| row.weight);
        let (weight_min, weight_max) = weights.fold((i64::MAX, i64::MIN), |(min, max), weight| {
            (min.min(weight), max.max(weight))
        });
        let packing = Packing::new(rows.len(), weight_min, weight_max);
        self.sorted.clear();
        if packing.narrow {
            pack_keys(&mut self.narrow, &mut self.hashes, rows, key, packing);
            sort_keys(&mut self.narrow, packing.slot_bits, rows, candidates);
            let slots = self.narrow.iter().map(|key| key.slot(packing.slot_bits));
            self.sorted.extend(slots.map(|slot| rows[slot]));
        } else {
            pack_keys(&mut self.wide, &mut self.hashes, rows, key, packing);
            sort_keys(&mut self.wide, packing.slot_bits, rows, candidates);
            let slots = self.wide.iter().map(|key| key.slot(packing.slot_bits));
            self.sorted.extend(slots.map(|slot| rows[slot]));
        }
        core::mem::swap(rows, &mut self.sorted);
    }

    /// The keys of rows, unsorted, in the width that `packing` needs.
    pub(super) fn pack_rows(&mut self, rows: &[Row], key: &str, packing: Packing) {
        if packing.narrow {
            pack_keys(&mut self.narrow, &mut self.hashes, rows, key, packing);
        } else {
            pack_keys(&mut self.wide, &mut self.hashes, rows, key, packing);
        }
    }
}

fn have_distinct_weights(rows: &[Row]) -> bool {
    let is_new = |(position, row): (usize, &Row)| {
        rows[..position]
            .iter()
            .all(|before| before.weight != row.weight)
    };
    rows.iter().enumerate().all(is_new)
}

fn pack_keys<K: Key>(
    keys: &mut Vec<K>,
    hashes: &mut Vec<u32>,
    rows: &[Row],
    key: &str,
    packing: Packing,
) {
    hash_rows(hashes, rows, key);
    keys.clear();
    let hashed = rows.iter().zip(hashes.iter()).enumerate();
    keys.extend(hashed.map(|(slot, (row, &hash))| {
        let below = packing.weight_max.wrapping_sub(row.weight) as u64;
        K::pack(below, hash, slot, packing.slot_bits)
    }));
}

/// Continues the hash of every name with the key, unless it can decide nothing.
fn hash_rows(hashes: &mut Vec<u32>, rows: &[Row], key: &str) {
    hashes.clear();
    if rows.len() <= FEW && have_distinct_weights(rows) {
        hashes.resize(rows.len(), 0);
        return;
    }
    let states = rows.iter().map(|row| row.name_hash);
    if rows.len() >= MANY {
        let continued = Continuation::of(key.as_bytes());
        hashes.extend(states.map(|state| continued.apply(state)));
        return;
    }
    hashes.extend(states);
    let (blocks, rest) = hashes.as_chunks_mut::<LANES>();
    for block in blocks {
        *block = fnv1_lanes(block, key.as_bytes());
    }
    if rest.len() <= FEW {
        rest.iter_mut()
            .for_each(|hash| *hash = fnv1(*hash, key.as_bytes()));
    } else {
        let mut padded = [0; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        let padded = fnv1_lanes(&padded, key.as_bytes());
        rest.copy_from_slice(&padded[..rest.len()]);
    }
}

/// Sorts keys, and by name where weight and hash are equal.
pub(super) fn sort_keys<K: Key>(
    keys: &mut [K],
    slot_bits: u32,
    rows: &[Row],
    candidates: &[Candidate<'_>],
) {
    keys.sort_unstable();
    let same = |a: &K, b: &K| a.place(slot_bits) == b.place(slot_bits);
    if keys.windows(2).all(|pair| !same(&pair[0], &pair[1])) {
        return;
    }
    for tied in keys.chunk_by_mut(same) {
        tied.sort_unstable_by_key(|key| candidates[rows[key.slot(slot_bits)].index as usize].name);
    }
}
