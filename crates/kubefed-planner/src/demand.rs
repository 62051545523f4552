use crate::strategy::Strategy;

/// What is asked for, and under which rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand<'a> {
    pub(crate) total: u32,
    pub(crate) key: &'a str,
    pub(crate) strategy: Strategy,
    pub(crate) scarcity: Scarcity,
    pub(crate) moves: Moves,
    pub(crate) probe: Probe,
    pub(crate) lower_minima: bool,
}

impl<'a> Demand<'a> {
    /// `total` replicas, divided by weight, without stopping any that run only to balance.
    pub fn new(total: u32) -> Self {
        Self {
            total,
            key: "",
            strategy: Strategy::default(),
            scarcity: Scarcity::default(),
            moves: Moves::default(),
            probe: Probe::default(),
            lower_minima: false,
        }
    }

    /// Sets the text that, with a cluster's name, breaks ties: `namespace/name` of the workload, so
    /// that the odd replicas of many workloads fall on different clusters.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = key;
        self
    }

    /// Sets how replicas are divided.
    pub fn strategy(mut self, strategy: impl Into<Strategy>) -> Self {
        self.strategy = strategy.into();
        self
    }

    /// Sets who goes short if the total does not cover the minima.
    pub fn scarcity(mut self, scarcity: Scarcity) -> Self {
        self.scarcity = scarcity;
        self
    }

    /// Sets how many running replicas may be stopped for a better balance.
    pub fn moves(mut self, moves: impl Into<Moves>) -> Self {
        self.moves = moves.into();
        self
    }

    /// Sets how many replicas may wait in a full cluster to notice when room comes back.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// Lowers a minimum that the capacity does not cover, instead of refusing the plan. For callers
    /// whose capacities are observed and whose minima are configured.
    pub fn lower_minima(mut self) -> Self {
        self.lower_minima = true;
        self
    }
}

/// Who goes short if the total does not cover all minima.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Scarcity {
    /// Minima are served by tier, then by weight, largest first, until nothing is left; KubeFed's way.
    #[default]
    ByPriority,
    /// Every minimum is cut in proportion.
    Proportional,
}

/// How many running replicas may be stopped only to come closer to the ideal.
///
/// What has to stop because the total, a maximum or a capacity is lower than what runs is not counted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Moves {
    /// `None` is unlimited.
    pub(crate) stopped_max: Option<u32>,
    pub(crate) keep_unweighted: bool,
}

impl Moves {
    /// None: running replicas stay, and only new ones go where they are missing. The default.
    pub const NONE: Self = Self::at_most(0);
    /// Any number: the answer is the ideal, whatever runs.
    pub const UNLIMITED: Self = Self {
        stopped_max: None,
        keep_unweighted: false,
    };

    /// At most so many in one plan. Planning again with the answer as `current` comes so many closer.
    pub const fn at_most(replicas: u32) -> Self {
        Self {
            stopped_max: Some(replicas),
            keep_unweighted: false,
        }
    }

    /// Lets a cluster of weight 0 keep what it runs, which is otherwise stopped down to its minimum.
    pub const fn keep_unweighted(mut self) -> Self {
        self.keep_unweighted = true;
        self
    }
}

impl From<u32> for Moves {
    fn from(replicas: u32) -> Self {
        Self::at_most(replicas)
    }
}

/// How many replicas may be placed beyond the capacity of a cluster. They stay pending, and start when
/// room comes back, which is how a capacity that is only learnt from pending replicas is noticed to
/// have grown.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Probe {
    /// None, the default.
    #[default]
    None,
    /// At most so many in each cluster.
    Replicas(u32),
    /// At most this percentage of the cluster's capacity, rounded up.
    Percent(u8),
    /// All that would go there if there were room.
    Wanted,
}

impl Probe {
    /// What is placed beyond a capacity if `wanted` would go there.
    pub(crate) fn overflow(self, wanted: u32, capacity: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Replicas(replicas) => wanted.min(replicas),
            Self::Percent(percent) => {
                let part = (u64::from(capacity) * u64::from(percent)).div_ceil(100);
                wanted.min(u32::try_from(part).unwrap_or(u32::MAX))
            }
            Self::Wanted => wanted,
        }
    }
}
