use super::Rule;
use crate::engine::Method;
use crate::field::Field;

/// In proportion to the capacities.
///
/// A cluster of unknown capacity counts like the median of those that are known, so that a missing
/// report neither empties nor floods it; if none is known, the given weights count. A weight of 0 still
/// means the minimum only.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Dynamic {
    method: Method,
}

impl Dynamic {
    /// Webster's method.
    pub const fn new() -> Self {
        Self {
            method: Method::Webster,
        }
    }

    /// Sets how shares are rounded.
    pub const fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }
}

impl Rule for Dynamic {
    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        let candidates = field.candidates;
        field.numbers.clear();
        let weighted = members.iter().map(|&i| &candidates[i as usize]);
        let weighted = weighted.filter(|candidate| candidate.weight > 0);
        field
            .numbers
            .extend(weighted.filter_map(|candidate| candidate.capacity));
        let known = field.numbers.len();
        if known == 0 {
            field.apportion(self.method, members, total, |candidate, _| candidate.weight);
            return;
        }
        let (_, &mut median, _) = field.numbers.select_nth_unstable(known / 2);
        field.apportion(self.method, members, total, |candidate, _| {
            u64::from(candidate.capacity.unwrap_or(median.max(1)))
        });
    }
}
