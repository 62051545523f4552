use alloc::boxed::Box;

use super::{Rule, Static, Strategy};
use crate::assignment::Limit;
use crate::error::{Error, Kind};
use crate::field::Field;

/// Tier by tier: a tier gets more than its minima only when all earlier tiers are full.
///
/// The minima of all tiers come first, so that a standby tier can be kept warm. Failing back to an
/// earlier tier when it recovers is a matter of [`Moves`](crate::Moves): unlimited moves everything at
/// once, a number moves so many in each plan, and none sends only new replicas home.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Tiered {
    within: Box<Strategy>,
    fill_percent: u8,
}

impl Default for Tiered {
    fn default() -> Self {
        Self::new()
    }
}

impl Tiered {
    /// By weight inside each tier, and each tier filled to the limit.
    pub fn new() -> Self {
        Self {
            within: Box::new(Static::new().into()),
            fill_percent: 100,
        }
    }

    /// Sets how a tier's replicas are divided inside it.
    pub fn within(mut self, strategy: impl Into<Strategy>) -> Self {
        self.within = Box::new(strategy.into());
        self
    }

    /// Sets to what percentage of their capacity the clusters of a tier are filled before the next
    /// tier starts. When all tiers are filled so far, the first goes on to 100.
    pub const fn fill_percent(mut self, percent: u8) -> Self {
        self.fill_percent = percent;
        self
    }

    /// Divides over the tiers in turn, members sorted by tier. Returns what is left.
    fn fill(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) -> u64 {
        let candidates = field.candidates;
        let tier = |i: &u32| candidates[*i as usize].tier;
        let mut rest = total - field.low_sum(members);
        let same = |a: &u32, b: &u32| tier(a) == tier(b);
        for members in members.chunk_by_mut(same) {
            let low = field.low_sum(members);
            let reach = self.within.rule().reach(field, members).max(low);
            let part = rest.min(reach - low);
            if part == 0 && reach > low {
                for &i in members.iter() {
                    field.shares[i as usize] = field.lows[i as usize];
                    field.marks[i as usize] = Limit::Tier;
                }
            } else {
                self.within.rule().divide(field, members, low + part);
            }
            rest -= part;
        }
        rest
    }
}

impl Rule for Tiered {
    fn check(&self) -> Result<(), Error> {
        if self.fill_percent == 0 || self.fill_percent > 100 {
            return Err(Kind::Strategy("the fill of a tier must be 1 to 100 percent").into());
        }
        nested(&self.within)
    }

    fn reach(&self, field: &mut Field<'_>, members: &mut [u32]) -> u64 {
        sort_by_tier(field, members);
        let candidates = field.candidates;
        let same = |a: &u32, b: &u32| candidates[*a as usize].tier == candidates[*b as usize].tier;
        let tiers = members.chunk_by_mut(same);
        tiers
            .map(|members| self.within.rule().reach(field, members))
            .sum()
    }

    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        sort_by_tier(field, members);
        if self.fill_percent == 100 {
            self.fill(field, members, total);
            return;
        }
        // First with lowered bounds; what is left then goes on top of that.
        let saved = field.save(members);
        for &i in members.iter() {
            let i = i as usize;
            if let Some(capacity) = field.candidates[i].capacity {
                let part = u64::from(capacity) * u64::from(self.fill_percent) / 100;
                field.highs[i] = field.highs[i].min(part as u32).max(field.lows[i]);
            }
        }
        let rest = self.fill(field, members, total);
        field.restore(saved);
        if rest > 0 {
            let saved = field.save(members);
            field.raise_lows(members);
            self.fill(field, members, total);
            field.restore(saved);
        }
    }
}

fn sort_by_tier(field: &Field<'_>, members: &mut [u32]) {
    let tier = |i: &u32| field.candidates[*i as usize].tier;
    if !members.is_sorted_by_key(tier) {
        members.sort_unstable_by_key(|i| (tier(i), *i));
    }
}

/// What may stand inside another strategy: anything that divides a total.
pub(super) fn nested(strategy: &Strategy) -> Result<(), Error> {
    if matches!(strategy, Strategy::Duplicate(_)) {
        return Err(Kind::Strategy("duplicate cannot stand inside another strategy").into());
    }
    strategy.rule().check()
}
