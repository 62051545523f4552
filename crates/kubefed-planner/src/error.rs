use alloc::string::String;
use core::fmt;

/// Why a plan was refused. Nothing has been planned then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error(Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    NoCandidates,
    DuplicateName(String),
    MinimumAboveMaximum {
        cluster: String,
        minimum: u32,
        maximum: u32,
    },
    CapacityBelowMinimum {
        cluster: String,
        capacity: u32,
        minimum: u32,
    },
    Strategy(&'static str),
    GroupLimits {
        group: String,
        minimum: u32,
        maximum: u32,
    },
}

impl Error {
    /// There is no cluster to plan for.
    pub fn is_no_candidates(&self) -> bool {
        self.0 == Kind::NoCandidates
    }

    /// Two candidates have the same name.
    pub fn is_duplicate_name(&self) -> bool {
        matches!(self.0, Kind::DuplicateName(_))
    }

    /// A cluster or a group has a minimum above its maximum.
    pub fn is_minimum_above_maximum(&self) -> bool {
        matches!(
            self.0,
            Kind::MinimumAboveMaximum { .. } | Kind::GroupLimits { .. }
        )
    }

    /// A cluster has no room for its minimum. [`Demand::lower_minima`](crate::Demand::lower_minima)
    /// plans all the same.
    pub fn is_capacity_below_minimum(&self) -> bool {
        matches!(self.0, Kind::CapacityBelowMinimum { .. })
    }

    /// The strategy contradicts itself.
    pub fn is_invalid_strategy(&self) -> bool {
        matches!(self.0, Kind::Strategy(_) | Kind::GroupLimits { .. })
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NoCandidates => f.write_str("there is no cluster to plan for"),
            Kind::DuplicateName(name) => write!(f, "cluster {name:?} is given twice"),
            Kind::MinimumAboveMaximum {
                cluster,
                minimum,
                maximum,
            } => write!(
                f,
                "cluster {cluster:?}: minimum {minimum} is above maximum {maximum}"
            ),
            Kind::CapacityBelowMinimum {
                cluster,
                capacity,
                minimum,
            } => write!(
                f,
                "cluster {cluster:?}: capacity {capacity} is below minimum {minimum}"
            ),
            Kind::Strategy(what) => write!(f, "strategy: {what}"),
            Kind::GroupLimits {
                group,
                minimum,
                maximum,
            } => write!(
                f,
                "group {group:?}: minimum {minimum} is above maximum {maximum}"
            ),
        }
    }
}

impl core::error::Error for Error {}
