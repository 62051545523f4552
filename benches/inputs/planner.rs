//! The inputs of the planner benches: the Go harness in `peers/planner` makes the same from the same
//! seeds.

use kubefed_planner::compat::{Candidate, Demand, Preference};

/// Shapes that KubeFed's planner knows.
pub const SHAPES: [&str; 6] = ["wildcard", "bounds", "capacity", "keep", "full", "drain"];
/// Shapes for planners that know weights only: so long that nothing ties, and so short that many do.
pub const VOTES: &str = "votes";
pub const TIES: &str = "ties";
/// Numbers of clusters.
pub const SIZES: [usize; 6] = [3, 10, 100, 1_000, 10_000, 100_000];
/// Workloads that are planned in turn, so that every plan has another order of clusters.
pub const KEYS: usize = 16;

/// SplitMix64, of which the Go harness has the same.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.unsigned_abs()) as i64
    }
}

/// A cluster as a caller may hold it.
pub struct Cluster {
    pub name: String,
    pub weight: i64,
    pub minimum: i64,
    pub maximum: Option<i64>,
    pub current: Option<i64>,
    pub capacity: Option<i64>,
}

/// One input, to be planned for each of its keys.
pub struct Input {
    pub clusters: Vec<Cluster>,
    pub keys: Vec<String>,
    pub total: i64,
    pub rebalance: bool,
}

impl Input {
    pub fn new(shape: &str, size: usize) -> Self {
        let number = SHAPES
            .iter()
            .position(|&name| name == shape)
            .unwrap_or(SHAPES.len());
        let mut random = Random(((number as u64) << 32) | size as u64);
        let clusters = (0..size).map(|i| cluster(shape, i, &mut random)).collect();
        let size = size as i64;
        Self {
            clusters,
            keys: (0..KEYS).map(|i| format!("default/web-{i}")).collect(),
            total: match shape {
                "wildcard" => 10 * size + size / 3 + 1,
                "keep" => 12 * size,
                "drain" => 100 * size + 1,
                _ => 10 * size,
            },
            rebalance: !matches!(shape, "keep" | "full" | "drain"),
        }
    }

    pub fn candidates(&self) -> Vec<Candidate<'_>> {
        self.clusters.iter().map(Cluster::candidate).collect()
    }

    pub fn demand(&self, key: usize) -> Demand<'_> {
        let key = &self.keys[key % KEYS];
        Demand::new(self.total).rebalance(self.rebalance).key(key)
    }
}

impl Cluster {
    pub fn candidate(&self) -> Candidate<'_> {
        let preference = Preference::new().weight(self.weight).minimum(self.minimum);
        let preference = match self.maximum {
            Some(maximum) => preference.maximum(maximum),
            None => preference,
        };
        let candidate = Candidate::new(&self.name).preference(preference);
        let candidate = match self.current {
            Some(current) => candidate.current(current),
            None => candidate,
        };
        match self.capacity {
            Some(capacity) => candidate.capacity(capacity),
            None => candidate,
        }
    }
}

fn cluster(shape: &str, i: usize, random: &mut Random) -> Cluster {
    let mut cluster = Cluster {
        name: format!("member-{i:05}"),
        weight: 1,
        minimum: 0,
        maximum: None,
        current: None,
        capacity: None,
    };
    match shape {
        "bounds" => {
            cluster.weight = 1 + random.below(100);
            cluster.minimum = random.below(4);
            cluster.maximum = Some(5 + random.below(26));
        }
        "capacity" => {
            cluster.weight = 1 + random.below(10);
            let room = random.below(16);
            cluster.capacity = i.is_multiple_of(2).then_some(room);
        }
        "keep" => {
            cluster.weight = 1 + random.below(10);
            cluster.current = Some(random.below(20));
        }
        "full" => {
            cluster.weight = 1 + random.below(100);
            cluster.minimum = random.below(4);
            cluster.maximum = Some(5 + random.below(36));
            cluster.current = Some(random.below(16));
            let room = random.below(21);
            cluster.capacity = i.is_multiple_of(2).then_some(room);
        }
        "drain" => cluster.current = Some(100),
        VOTES => cluster.weight = 1 + random.below(1 << 40),
        TIES => cluster.weight = 1 + random.below(10),
        _ => {}
    }
    cluster
}
