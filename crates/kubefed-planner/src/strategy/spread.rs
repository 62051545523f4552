use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::cmp::Reverse;

use super::{Rule, Static, Strategy, tiered::nested};
use crate::assignment::Limit;
use crate::candidate::Level;
use crate::engine::{Claim, Method};
use crate::error::{Error, Kind};
use crate::field::{Field, Group};
use crate::hash::mix;

/// Over the groups of a level first, evenly or by weight, then inside each group.
///
/// Where fewer groups are allowed than there are, groups that already run replicas are preferred, and
/// after that chance by key; a group with more room replaces one with less as long as the chosen ones
/// cannot hold the total. The choice is feasible whenever any choice is, but greedy, not optimal.
/// Groups that contain a minimum are always chosen.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Spread {
    level: Level,
    within: Box<Strategy>,
    groups_min: Option<u32>,
    groups_max: Option<u32>,
    skew_max: Option<u32>,
    skew_soft: bool,
    unlabelled: Unlabelled,
    limits: BTreeMap<String, GroupLimits>,
}

/// What a group gets, all its clusters together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct GroupLimits {
    weight: u64,
    minimum: u32,
    maximum: u32,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupLimits {
    /// Weight 1, no minimum, no maximum.
    pub const fn new() -> Self {
        Self {
            weight: 1,
            minimum: 0,
            maximum: u32::MAX,
        }
    }

    /// Sets the share of the group relative to other groups.
    pub const fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the fewest replicas of the group, as far as there is room.
    pub const fn minimum(mut self, replicas: u32) -> Self {
        self.minimum = replicas;
        self
    }

    /// Sets the most replicas of the group. Minima of its clusters win.
    pub const fn maximum(mut self, replicas: u32) -> Self {
        self.maximum = replicas;
        self
    }
}

/// What becomes of a cluster without the label.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Unlabelled {
    /// It is a group of its own.
    #[default]
    OwnGroup,
    /// It gets its minimum only.
    Excluded,
}

impl Default for Spread {
    fn default() -> Self {
        Self::over(Level::Region)
    }
}

impl Spread {
    /// Evenly over the groups of a level, and by weight inside each.
    pub fn over(level: Level) -> Self {
        Self {
            level,
            within: Box::new(Static::new().into()),
            groups_min: None,
            groups_max: None,
            skew_max: None,
            skew_soft: false,
            unlabelled: Unlabelled::OwnGroup,
            limits: BTreeMap::new(),
        }
    }

    /// Sets how a group's replicas are divided inside it.
    pub fn within(mut self, strategy: impl Into<Strategy>) -> Self {
        self.within = Box::new(strategy.into());
        self
    }

    /// Sets how many groups get at least one replica, as far as total and room allow.
    pub const fn groups_min(mut self, groups: u32) -> Self {
        self.groups_min = Some(groups);
        self
    }

    /// Sets how many groups are used at most. With a minimum as well, as few are used as can hold the
    /// total.
    pub const fn groups_max(mut self, groups: u32) -> Self {
        self.groups_max = Some(groups);
        self
    }

    /// Sets by how many replicas two chosen groups may differ, at least 1. Replicas that would break it
    /// are not placed.
    pub const fn skew_max(mut self, replicas: u32) -> Self {
        self.skew_max = Some(replicas);
        self
    }

    /// Places what the skew leaves over all the same, where there is room.
    pub const fn skew_soft(mut self) -> Self {
        self.skew_soft = true;
        self
    }

    /// Sets what becomes of clusters without the label.
    pub const fn unlabelled(mut self, unlabelled: Unlabelled) -> Self {
        self.unlabelled = unlabelled;
        self
    }

    /// Sets weight and bounds of one group.
    pub fn limits(mut self, group: impl Into<String>, limits: GroupLimits) -> Self {
        self.limits.insert(group.into(), limits);
        self
    }

    /// Members of excluded clusters go last and get their minimum. Returns how many are left.
    fn exclude(&self, field: &mut Field<'_>, members: &mut [u32]) -> usize {
        if self.unlabelled == Unlabelled::OwnGroup {
            return members.len();
        }
        let labelled = |i: u32| {
            !field.candidates[i as usize]
                .labelled(self.level)
                .text
                .is_empty()
        };
        members.sort_unstable_by_key(|&i| (!labelled(i), i));
        let kept = members.partition_point(|&i| labelled(i));
        for &i in &members[kept..] {
            field.shares[i as usize] = field.lows[i as usize];
            field.marks[i as usize] = Limit::Group(self.level);
        }
        kept
    }

    /// Puts the groups with their bounds on the stack of groups, and chooses among them.
    fn survey(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        let base = field.partition.groups.len();
        partition(field, members, self.level);
        for g in base..field.partition.groups.len() {
            let mut group = field.partition.groups[g];
            let inside = &mut members[group.start..group.end];
            group.low = field.low_sum(inside);
            group.reach = self.within.rule().reach(field, inside).max(group.low);
            let first = &field.candidates[group.first as usize];
            let limits = self.limits.get(first.labelled(self.level).text);
            let limits = limits.copied().unwrap_or_default();
            group.weight = limits.weight;
            group.high = group.reach.min(limits.maximum.into()).max(group.low);
            if group.weight == 0 {
                group.high = group.low.max(group.high.min(limits.minimum.into()));
            }
            group.current = inside
                .iter()
                .map(|&i| {
                    u64::from(
                        field.candidates[i as usize]
                            .current
                            .min(field.highs[i as usize]),
                    )
                })
                .sum();
            field.partition.groups[g] = group;
        }
        self.choose(field, base, total);
        self.bound(field, base, total);
    }

    /// Marks the groups that are used.
    fn choose(&self, field: &mut Field<'_>, base: usize, total: u64) {
        let seed = field.seed;
        let candidates = field.candidates;
        let level = self.level;
        let partition = &mut *field.partition;
        let groups = &mut partition.groups[base..];
        let order = &mut partition.order;
        order.clear();
        order.extend((0..groups.len() as u32).filter(|&g| groups[g as usize].high > 0));
        let name = |group: &Group| {
            let first = &candidates[group.first as usize];
            (first.labelled(level).text, first.name)
        };
        let usable = order.len();
        let group = |g: u32| &groups[g as usize];
        let largest = |g: &u32| (Reverse(group(*g).high), mix(group(*g).digest ^ seed));
        order.sort_unstable_by(|a, b| {
            largest(a)
                .cmp(&largest(b))
                .then_with(|| name(group(*a)).cmp(&name(group(*b))))
        });
        let mut room = 0_u64;
        let suffice = order.iter().take_while(|&&g| {
            let short = room < total;
            room = room.saturating_add(group(g).high);
            short
        });
        let suffice = suffice.count();
        let most = self
            .groups_max
            .map_or(usable, |max| usable.min(max as usize));
        let least = self.groups_min.map_or(most, |min| most.min(min as usize));
        let wanted = suffice.clamp(least, most);

        // The best by what they are needed and used for, then by chance.
        let score = |g: &u32| {
            let group = group(*g);
            (
                Reverse(group.low > 0),
                Reverse(group.current),
                mix(group.digest ^ seed),
            )
        };
        order.sort_unstable_by(|a, b| {
            score(a)
                .cmp(&score(b))
                .then_with(|| name(group(*a)).cmp(&name(group(*b))))
        });
        let forced = order.partition_point(|&g| group(g).low > 0);
        let wanted = wanted.max(forced);
        let mut room: u64 = order[..wanted]
            .iter()
            .fold(0, |sum, &g| sum.saturating_add(group(g).high));
        let (mut last, mut changed) = (wanted, true);
        while room < total && changed && last > forced {
            // Groups that were brought in are the largest and never leave again.
            let (chosen, others) = order.split_at_mut(wanted);
            let best = others.iter_mut().max_by_key(|g| group(**g).high);
            let worst = chosen[forced..last].iter().rposition(|&g| {
                best.as_ref()
                    .is_some_and(|best| group(g).high < group(**best).high)
            });
            changed = false;
            if let (Some(best), Some(worst)) = (best, worst) {
                let worst = forced + worst;
                room = room
                    .saturating_sub(group(chosen[worst]).high)
                    .saturating_add(group(*best).high);
                core::mem::swap(&mut chosen[worst], best);
                last = worst;
                changed = true;
            }
        }
        for &g in &order[..wanted] {
            groups[g as usize].chosen = true;
        }
        for group in groups.iter_mut().filter(|group| !group.chosen) {
            group.high = group.low;
        }
    }

    /// Applies the bounds that depend on which groups are chosen.
    fn bound(&self, field: &mut Field<'_>, base: usize, total: u64) {
        let seed = field.seed;
        let groups = &mut field.partition.groups[base..];
        if let Some(skew) = self.skew_max {
            let chosen = groups.iter().filter(|group| group.chosen);
            let smallest = chosen.map(|group| group.high).min().unwrap_or(0);
            let most = smallest.saturating_add(skew.max(1).into());
            for group in groups.iter_mut() {
                group.high = group.high.min(most).max(group.low);
            }
        }
        let lows: u64 = groups.iter().map(|group| group.low).sum();
        let mut rest = total.saturating_sub(lows);
        let by_chance = &mut field.partition.order;
        by_chance.sort_unstable_by_key(|&g| {
            let group = &groups[g as usize];
            let first = &field.candidates[group.first as usize];
            (
                Reverse(group.weight),
                mix(group.digest ^ seed),
                first.labelled(self.level).text,
                first.name,
            )
        });
        let mut single = self.groups_min.unwrap_or(0);
        for &g in by_chance.iter() {
            let group = &mut groups[g as usize];
            let text = field.candidates[group.first as usize]
                .labelled(self.level)
                .text;
            let minimum = self.limits.get(text).map_or(0, |limits| limits.minimum);
            let mut low = group.low.max(minimum.into());
            if group.chosen && single > 0 {
                low = low.max(1);
                single -= 1;
            }
            let raised = low.min(group.high).saturating_sub(group.low).min(rest);
            group.low += raised;
            rest -= raised;
        }
    }

    /// Divides over the groups on the stack and inside them. Returns what was placed.
    fn fill(&self, field: &mut Field<'_>, members: &mut [u32], base: usize, total: u64) -> u64 {
        let clip = |replicas: u64| u32::try_from(replicas).unwrap_or(u32::MAX);
        let seed = field.seed;
        let groups = &field.partition.groups[base..];
        let (candidates, level) = (field.candidates, self.level);
        let claim = |g: usize| {
            let group = &groups[g];
            let high = if group.weight == 0 {
                group.low
            } else {
                group.high
            };
            Claim {
                weight: group.weight,
                low: clip(group.low),
                high: clip(high),
                rank: group.digest ^ seed,
            }
        };
        let tie = |a: usize, b: usize| {
            let first = |g: usize| &candidates[groups[g].first as usize];
            let name = |g: usize| (first(g).labelled(level).text, first(g).name);
            name(a).cmp(&name(b))
        };
        field
            .engine
            .divide(Method::Webster, total, groups.len(), claim, tie);
        for (group, &share) in field.partition.groups[base..]
            .iter_mut()
            .zip(&field.engine.shares)
        {
            group.share = share.into();
        }
        let mut placed = 0;
        for g in base..field.partition.groups.len() {
            let group = field.partition.groups[g];
            let inside = &mut members[group.start..group.end];
            self.within.rule().divide(field, inside, group.share);
            placed += group.share;
            if group.share < group.reach && group.share == group.high {
                for &i in inside.iter() {
                    let i = i as usize;
                    if field.shares[i] < field.highs[i] {
                        field.marks[i] = Limit::Group(self.level);
                    }
                }
            }
        }
        placed
    }
}

impl Rule for Spread {
    fn check(&self) -> Result<(), Error> {
        for (group, limits) in &self.limits {
            if limits.minimum > limits.maximum {
                return Err(Kind::GroupLimits {
                    group: group.clone(),
                    minimum: limits.minimum,
                    maximum: limits.maximum,
                }
                .into());
            }
        }
        if self.groups_min.unwrap_or(0) > self.groups_max.unwrap_or(u32::MAX) {
            return Err(Kind::Strategy("fewer groups are allowed than required").into());
        }
        if self.groups_max == Some(0) {
            return Err(Kind::Strategy("no group is allowed").into());
        }
        if self.skew_max.is_some() && self.limits.values().any(|limits| limits.weight != 1) {
            return Err(Kind::Strategy("a skew limit needs groups of equal weight").into());
        }
        nested(&self.within)
    }

    fn reach(&self, field: &mut Field<'_>, members: &mut [u32]) -> u64 {
        let kept = self.exclude(field, members);
        let (members, excluded) = members.split_at_mut(kept);
        let base = field.partition.groups.len();
        self.survey(field, members, u64::MAX);
        let groups = &field.partition.groups[base..];
        let soft = self.skew_max.is_some() && self.skew_soft;
        let reach: u64 = groups
            .iter()
            .map(|group| {
                if soft && group.chosen {
                    group.reach
                } else {
                    group.high
                }
            })
            .sum();
        field.partition.groups.truncate(base);
        reach + field.low_sum(excluded)
    }

    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        let kept = self.exclude(field, members);
        let (members, excluded) = members.split_at_mut(kept);
        let total = total.saturating_sub(field.low_sum(excluded));
        let base = field.partition.groups.len();
        self.survey(field, members, total);
        let placed = self.fill(field, members, base, total);
        if placed < total && self.skew_soft && self.skew_max.is_some() {
            let saved = field.save(members);
            field.raise_lows(members);
            for group in &mut field.partition.groups[base..] {
                group.low = group.share;
                let text = field.candidates[group.first as usize]
                    .labelled(self.level)
                    .text;
                let maximum = self
                    .limits
                    .get(text)
                    .map_or(u32::MAX, |limits| limits.maximum);
                if group.chosen {
                    group.high = group.reach.min(maximum.into()).max(group.low);
                }
            }
            self.fill(field, members, base, total);
            field.restore(saved);
        }
        field.partition.groups.truncate(base);
    }
}

/// Moves the members of a group side by side, and pushes the groups.
fn partition(field: &mut Field<'_>, members: &mut [u32], level: Level) {
    let partition = &mut *field.partition;
    let base = partition.groups.len();
    partition.table.clear();
    partition.table.resize(64, 0);
    partition
        .group_of
        .resize(partition.group_of.len().max(field.candidates.len()), 0);
    for &i in members.iter() {
        let label = field.candidates[i as usize].labelled(level);
        let own = label.text.is_empty();
        let digest = if own {
            field.candidates[i as usize].name_digest
        } else {
            label.digest
        };
        let groups = &mut partition.groups;
        if (groups.len() - base) * 2 >= partition.table.len() {
            rehash(&mut partition.table, &groups[base..]);
        }
        let mask = partition.table.len() - 1;
        let mut slot = mix(digest) as usize & mask;
        let group = loop {
            // Entries are one too large, so that 0 is free.
            let Some(entry) = (partition.table[slot] as usize).checked_sub(1) else {
                partition.table[slot] = (groups.len() - base) as u32 + 1;
                groups.push(Group {
                    first: i,
                    digest,
                    ..Group::default()
                });
                break groups.len() - 1 - base;
            };
            let first = &field.candidates[groups[base + entry].first as usize];
            let same = !own && first.labelled(level).text == label.text;
            if same && groups[base + entry].digest == digest {
                break entry;
            }
            slot = (slot + 1) & mask;
        };
        groups[base + group].end += 1;
        partition.group_of[i as usize] = group as u32;
    }
    let mut start = 0;
    for group in &mut partition.groups[base..] {
        let size = group.end;
        (group.start, group.end) = (start, start);
        start += size;
    }
    partition.sorted.clear();
    partition.sorted.extend_from_slice(members);
    for &i in &partition.sorted {
        let group = &mut partition.groups[base + partition.group_of[i as usize] as usize];
        members[group.end] = i;
        group.end += 1;
    }
}

fn rehash(table: &mut alloc::vec::Vec<u32>, groups: &[Group]) {
    let slots = table.len() * 4;
    table.clear();
    table.resize(slots, 0);
    for (group, entry) in groups.iter().zip(1..) {
        let mut slot = mix(group.digest) as usize & (slots - 1);
        while table[slot] != 0 {
            slot = (slot + 1) & (slots - 1);
        }
        table[slot] = entry;
    }
}
