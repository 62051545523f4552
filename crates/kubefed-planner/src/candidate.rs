use crate::hash::digest;

/// A cluster that may take replicas.
///
/// A new candidate has weight 1, no minimum, no maximum, nothing running, unknown capacity and tier 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) name_digest: u64,
    pub(crate) weight: u64,
    pub(crate) minimum: u32,
    pub(crate) maximum: u32,
    pub(crate) current: u32,
    pub(crate) capacity: Option<u32>,
    pub(crate) tier: u32,
    labels: [Label<'a>; Level::ALL.len()],
}

/// Where a cluster stands, from wide to narrow: KubeFed and its peers know these three.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
// Closed: a level is a field of every candidate.
pub enum Level {
    /// The company or the installation that runs the cluster.
    Provider,
    /// The region, as in the label `topology.kubernetes.io/region`.
    Region,
    /// The zone, as in the label `topology.kubernetes.io/zone`.
    Zone,
}

impl Level {
    /// All levels, from wide to narrow.
    pub const ALL: [Self; 3] = [Self::Provider, Self::Region, Self::Zone];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Region => "region",
            Self::Zone => "zone",
        }
    }
}

/// The text of a label, empty where there is none, with its digest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Label<'a> {
    pub(crate) text: &'a str,
    pub(crate) digest: u64,
}

impl<'a> Candidate<'a> {
    /// A cluster of this name. Names are unique within a plan.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            name_digest: digest(name),
            weight: 1,
            minimum: 0,
            maximum: u32::MAX,
            current: 0,
            capacity: None,
            tier: 0,
            labels: [Label::default(); Level::ALL.len()],
        }
    }

    /// Sets the share relative to the weights of others. A cluster of weight 0 gets its minimum only.
    pub const fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the fewest replicas. Unlike KubeFed's, which is a head start, this is a floor: replicas
    /// that the weight earns count towards it.
    pub const fn minimum(mut self, replicas: u32) -> Self {
        self.minimum = replicas;
        self
    }

    /// Sets the most replicas.
    pub const fn maximum(mut self, replicas: u32) -> Self {
        self.maximum = replicas;
        self
    }

    /// Sets how many replicas run there, or were assigned last.
    pub const fn current(mut self, replicas: u32) -> Self {
        self.current = replicas;
        self
    }

    /// Sets how many replicas there is room for, those that run included.
    pub const fn capacity(mut self, replicas: u32) -> Self {
        self.capacity = Some(replicas);
        self
    }

    /// Sets the tier, for [`Tiered`](crate::strategy::Tiered). Lower tiers are filled first.
    pub const fn tier(mut self, tier: u32) -> Self {
        self.tier = tier;
        self
    }

    /// Sets the provider, region or zone, for [`Spread`](crate::strategy::Spread). Empty means none.
    pub fn label(mut self, level: Level, text: &'a str) -> Self {
        self.labels[level as usize] = Label {
            text,
            digest: digest(text),
        };
        self
    }

    /// The name of the cluster.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    pub(crate) const fn labelled(&self, level: Level) -> Label<'a> {
        self.labels[level as usize]
    }

    /// The most replicas that may run: the maximum or the capacity, whichever is smaller.
    pub(crate) fn room(&self) -> u32 {
        self.capacity
            .map_or(self.maximum, |capacity| capacity.min(self.maximum))
    }
}
