//! Law: any integers are planned or refused, in bounded time; own plans keep bounds, total and order.
#![no_main]

use arbitrary::Arbitrary;
use kubefed_planner::strategy::{Aggregated, Fill, Spread, Static, Strategy, Tiered};
use kubefed_planner::{Candidate, Demand, Level, Method, Moves, Planner, Probe, Scarcity, compat};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Cluster {
    listed: bool,
    minimum: i64,
    maximum: Option<i64>,
    weight: i64,
    current: Option<i64>,
    capacity: Option<i64>,
    place: u8,
}

#[derive(Arbitrary, Debug)]
struct Input {
    total: i64,
    rebalance: bool,
    key: String,
    strategy: u8,
    moves: Option<u32>,
    proportional: bool,
    clusters: Vec<Cluster>,
}

/// Row visits that end well below a fuzzer's time limit.
const VISITS_MAX: u64 = 1 << 22;

fuzz_target!(|input: Input| {
    let names: Vec<String> = (0..input.clusters.len()).map(|i| format!("c{i}")).collect();
    as_the_original(&input, &names);
    by_strategy(&input, &names);
});

/// The order of the candidates does not matter, and a second call gives the same.
fn as_the_original(input: &Input, names: &[String]) {
    let mut candidates: Vec<compat::Candidate<'_>> = Vec::new();
    for (name, cluster) in names.iter().zip(&input.clusters) {
        let mut candidate = compat::Candidate::new(name);
        if cluster.listed {
            let mut preference = compat::Preference::new()
                .minimum(cluster.minimum)
                .weight(cluster.weight);
            if let Some(maximum) = cluster.maximum {
                preference = preference.maximum(maximum);
            }
            candidate = candidate.preference(preference);
        }
        if let Some(current) = cluster.current {
            candidate = candidate.current(current);
        }
        if let Some(capacity) = cluster.capacity {
            candidate = candidate.capacity(capacity);
        }
        candidates.push(candidate);
    }
    let demand = compat::Demand::new(input.total)
        .rebalance(input.rebalance)
        .key(&input.key);
    let mut planner = compat::Planner::new().visits_max(VISITS_MAX);
    let Ok(plan) = planner.plan(&demand, &candidates) else {
        return;
    };
    let plan = plan.to_vec();
    candidates.reverse();
    let mut again = planner
        .plan(&demand, &candidates)
        .expect("planned before")
        .to_vec();
    again.reverse();
    assert_eq!(plan, again);
}

fn by_strategy(input: &Input, names: &[String]) {
    let clip = |number: i64| number.unsigned_abs() as u32;
    let places = ["", "a", "b", "c"];
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (name, cluster) in names.iter().zip(&input.clusters) {
        let place = usize::from(cluster.place);
        let mut candidate = Candidate::new(name)
            .weight(cluster.weight.unsigned_abs())
            .minimum(clip(cluster.minimum))
            .maximum(cluster.maximum.map_or(u32::MAX, clip))
            .current(cluster.current.map_or(0, clip))
            .tier(u32::from(cluster.place) / 64)
            .label(Level::Region, places[place % 4])
            .label(Level::Zone, places[place / 4 % 4]);
        if let Some(capacity) = cluster.capacity {
            candidate = candidate.capacity(clip(capacity));
        }
        candidates.push(candidate);
    }
    let strategy: Strategy = match input.strategy % 7 {
        0 => Static::new().into(),
        1 => Static::new().method(Method::LargestRemainder).into(),
        2 => Aggregated::new().fill(Fill::BestFit).stay(1).into(),
        3 => Tiered::new().fill_percent(80).into(),
        4 => Spread::over(Level::Region)
            .skew_max(2)
            .within(Tiered::new())
            .into(),
        5 => Spread::over(Level::Zone)
            .groups_max(2)
            .within(Spread::over(Level::Region))
            .into(),
        _ => Spread::over(Level::Region).skew_max(1).skew_soft().into(),
    };
    let scarcity = if input.proportional {
        Scarcity::Proportional
    } else {
        Scarcity::ByPriority
    };
    let demand = Demand::new(clip(input.total))
        .key(&input.key)
        .strategy(strategy)
        .scarcity(scarcity)
        .moves(input.moves.map_or(Moves::UNLIMITED, Moves::at_most))
        .probe(Probe::Wanted)
        .lower_minima();
    let mut planner = Planner::new();
    let Ok(plan) = planner.plan(&demand, &candidates) else {
        return;
    };
    let placed: u64 = plan
        .iter()
        .map(|assignment| u64::from(assignment.replicas))
        .sum();
    assert!(placed <= u64::from(clip(input.total)));
    assert_eq!(
        placed + plan.summary().unplaced,
        u64::from(clip(input.total))
    );
    let replicas: Vec<u32> = plan.iter().map(|assignment| assignment.replicas).collect();
    for (cluster, &replicas) in input.clusters.iter().zip(&replicas) {
        let maximum = cluster.maximum.map_or(u32::MAX, clip);
        assert!(replicas <= maximum.min(cluster.capacity.map_or(u32::MAX, clip)));
    }
    candidates.reverse();
    let again = planner.plan(&demand, &candidates).expect("planned before");
    let again: Vec<u32> = again
        .iter()
        .rev()
        .map(|assignment| assignment.replicas)
        .collect();
    assert_eq!(replicas, again);
}
