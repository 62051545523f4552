use core::cmp::Reverse;

use super::Rule;
use crate::assignment::Limit;
use crate::candidate::Candidate;
use crate::engine::Method;
use crate::field::Field;

/// In as few clusters as possible.
///
/// The clusters with the most room are taken until they suffice, which no smaller set does. Clusters
/// with a minimum are always among them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Aggregated {
    fill: Fill,
    slack: Option<u32>,
}

/// How replicas are divided over the clusters that were chosen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Fill {
    /// One after the other, so that all but one are full or at their minimum.
    #[default]
    First,
    /// As `First`, but the last cluster is the smallest one that holds the rest.
    BestFit,
    /// In proportion to their room.
    Weighted,
}

impl Aggregated {
    /// Clusters with the most room first, filled one after the other.
    pub const fn new() -> Self {
        Self {
            fill: Fill::First,
            slack: None,
        }
    }

    /// Sets how replicas are divided over the chosen clusters.
    pub const fn fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// Stays with the clusters that already run replicas, as long as that takes at most so many
    /// clusters more than the fewest possible.
    pub const fn stay(mut self, clusters_more: u32) -> Self {
        self.slack = Some(clusters_more);
        self
    }

    /// Orders members so that the chosen ones come first. Returns how many are chosen.
    fn choose(&self, field: &Field<'_>, members: &mut [u32], total: u64) -> usize {
        let order = |members: &mut [u32], by_use: bool| {
            let key = |&i: &u32| {
                let (candidate, high) = (&field.candidates[i as usize], field.highs[i as usize]);
                let used = Reverse(candidate.current.min(high));
                // More room than the total is no better than enough.
                let room = Reverse(u64::from(high).min(total));
                let first = if by_use { used } else { Reverse(0) };
                let needs = Reverse(field.lows[i as usize] > 0);
                (needs, first, room, used, field.rank(i), candidate.name)
            };
            members.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        };
        order(members, false);
        let fewest = enough(field, members, total);
        if let Some(slack) = self.slack {
            // Clusters in use, most replicas first; then the others with the most room.
            order(members, true);
            let stayed = enough(field, members, total);
            if stayed <= fewest.saturating_add(slack as usize) {
                return stayed;
            }
            order(members, false);
        }
        if self.fill == Fill::BestFit {
            best_fit(field, members, fewest, total);
        }
        fewest
    }
}

impl Rule for Aggregated {
    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        let chosen = self.choose(field, members, total);
        let (chosen, others) = members.split_at_mut(chosen);
        for &i in others.iter() {
            // No minimum stands here: clusters with one come first and are all chosen.
            field.shares[i as usize] = field.lows[i as usize];
            field.marks[i as usize] = Limit::NotNeeded;
        }
        if self.fill == Fill::Weighted {
            let room = |_: &Candidate<'_>, high: u32| u64::from(high).min(total);
            field.apportion(Method::Webster, chosen, total, room);
            return;
        }
        let mut rest = total.saturating_sub(field.low_sum(chosen));
        for &i in chosen.iter() {
            let i = i as usize;
            let part = rest.min(u64::from(field.highs[i] - field.lows[i]));
            field.shares[i] = field.lows[i] + part as u32;
            rest -= part;
        }
    }
}

/// The shortest prefix that has room for `total` and holds all clusters with a minimum.
fn enough(field: &Field<'_>, members: &[u32], total: u64) -> usize {
    let mut room = 0;
    let needed = members.iter().position(|&i| {
        let done = room >= total && field.lows[i as usize] == 0;
        room += u64::from(field.highs[i as usize]);
        done
    });
    needed.unwrap_or(members.len())
}

/// Replaces the last chosen cluster by the smallest that holds what the others leave.
fn best_fit(field: &Field<'_>, members: &mut [u32], chosen: usize, total: u64) {
    let Some((&last, others)) = members[..chosen].split_last() else {
        return;
    };
    if field.lows[last as usize] > 0 {
        return;
    }
    let rest = total.saturating_sub(field.high_sum(others));
    // Behind the last chosen one, rooms descend.
    let fitting = |i: &u32| u64::from(field.highs[*i as usize]) >= rest;
    let beyond = members[chosen..].partition_point(fitting);
    if beyond > 0 {
        members.swap(chosen - 1, chosen + beyond - 1);
    }
}
