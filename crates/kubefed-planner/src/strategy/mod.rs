//! How replicas are divided: one file per strategy, all of one shape.
//!
//! | strategy | rule |
//! | --- | --- |
//! | [`Static`] | in proportion to the given weights |
//! | [`Dynamic`] | in proportion to the capacities |
//! | [`Aggregated`] | in as few clusters as possible |
//! | [`Tiered`] | tier by tier, each filled before the next |
//! | [`Spread`] | over providers, regions or zones first, then inside each |
//! | [`Duplicate`] | the whole total in every cluster |
//!
//! `Tiered` and `Spread` take another strategy for the inside, so that they nest: regions, in each
//! region its zones, in each zone the fewest clusters.
//!
//! ```
//! use kubefed_planner::strategy::{Aggregated, Spread, Strategy};
//! use kubefed_planner::{Candidate, Demand, Level, Planner};
//!
//! let candidates = [
//!     Candidate::new("a1").label(Level::Region, "a").capacity(10),
//!     Candidate::new("a2").label(Level::Region, "a").capacity(4),
//!     Candidate::new("b1").label(Level::Region, "b").capacity(10),
//! ];
//! let strategy = Spread::over(Level::Region).within(Aggregated::new());
//! let mut planner = Planner::new();
//! let plan = planner.plan(&Demand::new(10).strategy(strategy), &candidates)?;
//! assert_eq!([plan[0].replicas, plan[1].replicas, plan[2].replicas], [5, 0, 5]);
//! # Ok::<(), kubefed_planner::Error>(())
//! ```

mod aggregated;
mod duplicate;
mod dynamic;
mod spread;
mod static_weights;
mod tiered;

use crate::error::Error;
use crate::field::Field;

pub use aggregated::{Aggregated, Fill};
pub use duplicate::Duplicate;
pub use dynamic::Dynamic;
pub use spread::{GroupLimits, Spread, Unlabelled};
pub use static_weights::Static;
pub use tiered::Tiered;

/// What a strategy has to know.
pub(crate) trait Rule {
    /// Refuses options that contradict each other.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// How many replicas can be placed at most, minima included.
    fn reach(&self, field: &mut Field<'_>, members: &mut [u32]) -> u64 {
        field.high_sum(members)
    }

    /// Divides `total`, or as much as can be placed, over `members`, which it may reorder. `total` is
    /// not below the sum of their lower bounds.
    fn divide(&self, field: &mut Field<'_>, members: &mut [u32], total: u64);
}

macro_rules! strategies {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A way to divide replicas.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
        #[non_exhaustive]
        pub enum Strategy {
            $($(#[$doc])* $name($name),)*
        }

        impl Strategy {
            /// The names of all strategies, as [`Strategy::from_name`] reads them.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// The strategy of this name, with its defaults.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name($name::default())),)*
                    _ => None,
                }
            }

            /// The name in lower case.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }

            pub(crate) fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$name(rule) => rule,)*
                }
            }
        }

        $(impl From<$name> for Strategy {
            fn from(strategy: $name) -> Self {
                Self::$name(strategy)
            }
        })*
    };
}

strategies! {
    /// In proportion to the given weights.
    Static = "static",
    /// In proportion to the capacities.
    Dynamic = "dynamic",
    /// In as few clusters as possible.
    Aggregated = "aggregated",
    /// Tier by tier.
    Tiered = "tiered",
    /// Over groups, then inside each.
    Spread = "spread",
    /// The whole total everywhere.
    Duplicate = "duplicate",
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Static(Static::default())
    }
}
