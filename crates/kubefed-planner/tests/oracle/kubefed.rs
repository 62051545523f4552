//! KubeFed's rule as a plain loop.

/// One cluster; `None` means unlimited or unknown.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub name: String,
    /// Minimum, maximum, weight; none if no preference applies.
    pub preference: Option<(i64, Option<i64>, i64)>,
    pub current: Option<i64>,
    pub capacity: Option<i64>,
}

pub struct Answer {
    pub plan: Vec<i64>,
    pub overflow: Vec<Option<i64>>,
    pub rounds: u64,
}

fn hash(text: &str) -> u32 {
    let mut hash: u32 = 2_166_136_261;
    for byte in text.bytes() {
        hash = hash.wrapping_mul(16_777_619);
        hash ^= u32::from(byte);
    }
    hash
}

/// Plans by running every round. Gives up after `rounds_max`.
pub fn plan(
    total: i64,
    rebalance: bool,
    key: &str,
    clusters: &[Cluster],
    rounds_max: u64,
) -> Option<Answer> {
    let mut order: Vec<usize> = (0..clusters.len())
        .filter(|&i| clusters[i].preference.is_some())
        .collect();
    let preference = |i: usize| clusters[i].preference.unwrap();
    order.sort_by(|&a, &b| {
        let by_weight = preference(b).2.cmp(&preference(a).2);
        let hash_of = |i: usize| hash(&format!("{}{key}", clusters[i].name));
        by_weight
            .then_with(|| hash_of(a).cmp(&hash_of(b)))
            .then_with(|| clusters[a].name.cmp(&clusters[b].name))
    });
    let mut plan = vec![0_i64; clusters.len()];
    let mut kept = vec![0_i64; clusters.len()];
    let mut overflow = vec![None; clusters.len()];
    let mut remaining = total;
    for &i in &order {
        let mut minimum = preference(i).0.min(remaining);
        if let Some(capacity) = clusters[i].capacity {
            minimum = minimum.min(capacity);
        }
        plan[i] = minimum;
        remaining = remaining.wrapping_sub(minimum);
    }
    if !rebalance {
        for &i in &order {
            let Some(current) = clusters[i].current.filter(|&current| current > plan[i]) else {
                continue;
            };
            let mut target = current;
            if let Some(maximum) = preference(i).1 {
                target = target.min(maximum);
            }
            if let Some(capacity) = clusters[i].capacity {
                target = target.min(capacity);
            }
            let extra = target.wrapping_sub(plan[i]).min(remaining).max(0);
            kept[i] = extra;
            plan[i] = plan[i].wrapping_add(extra);
            remaining = remaining.wrapping_sub(extra);
        }
    }
    let mut rounds = 0;
    let mut modified = true;
    while modified && remaining > 0 {
        modified = false;
        let weights = order
            .iter()
            .fold(0_i64, |sum, &i| sum.wrapping_add(preference(i).2));
        if weights <= 0 {
            break;
        }
        rounds += 1;
        if rounds > rounds_max {
            return None;
        }
        let at_start = remaining;
        let mut next = Vec::new();
        for &i in &order {
            let (_, maximum, weight) = preference(i);
            let start = plan[i];
            let up = at_start
                .wrapping_mul(weight)
                .wrapping_add(weights)
                .wrapping_sub(1);
            let mut extra = (up / weights).min(remaining);
            let used = extra.min(kept[i]);
            kept[i] = kept[i].wrapping_sub(used);
            extra = extra.wrapping_sub(used);
            modified |= used > 0;
            let mut target = start.wrapping_add(extra);
            let mut full = false;
            if let Some(maximum) = maximum.filter(|&maximum| target > maximum) {
                target = maximum;
                full = true;
            }
            if let Some(capacity) = clusters[i].capacity.filter(|&capacity| target > capacity) {
                overflow[i] = Some(target.wrapping_sub(capacity));
                target = capacity;
                full = true;
            }
            if !full {
                next.push(i);
            }
            remaining = remaining.wrapping_sub(target.wrapping_sub(start));
            plan[i] = target;
            modified |= target > start;
        }
        order = next;
    }
    if !rebalance {
        for entry in &mut overflow {
            *entry = entry.map(|v: i64| v.min(remaining)).filter(|&v| v > 0);
        }
    }
    Some(Answer {
        plan,
        overflow,
        rounds,
    })
}
