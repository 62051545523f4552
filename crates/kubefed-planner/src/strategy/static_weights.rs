use super::Rule;
use crate::engine::Method;
use crate::field::Field;

/// In proportion to the weights of the candidates, within their bounds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Static {
    method: Method,
}

impl Static {
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

impl Rule for Static {
    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64) {
        field.apportion(self.method, members, total, |candidate, _| candidate.weight);
    }
}
