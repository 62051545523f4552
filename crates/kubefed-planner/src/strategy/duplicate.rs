use super::Rule;
use crate::assignment::Limit;
use crate::field::Field;

/// The whole total in every cluster, within its bounds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Duplicate {}

impl Duplicate {
    /// The whole total everywhere.
    pub const fn new() -> Self {
        Self {}
    }
}

impl Rule for Duplicate {
    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        for &mut i in members {
            let i = i as usize;
            field.shares[i] = total.min(field.highs[i]).max(field.lows[i]);
            field.marks[i] = Limit::Total;
        }
    }
}
