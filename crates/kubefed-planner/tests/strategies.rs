//! Worked examples of what the strategies promise, small enough to be checked by hand.
#![allow(clippy::unwrap_used)]

use kubefed_planner::strategy::{
    Aggregated, Dynamic, Fill, GroupLimits, Spread, Static, Strategy, Tiered, Unlabelled,
};
use kubefed_planner::{Candidate, Demand, Level, Moves, Planner};

/// The replicas of each cluster, whatever runs.
fn ideal(total: u32, strategy: impl Into<Strategy>, clusters: &[Candidate<'_>]) -> Vec<u32> {
    plan(total, strategy, Moves::UNLIMITED, clusters)
}

fn plan(
    total: u32,
    strategy: impl Into<Strategy>,
    moves: Moves,
    clusters: &[Candidate<'_>],
) -> Vec<u32> {
    let demand = Demand::new(total).strategy(strategy).moves(moves);
    let mut planner = Planner::new();
    let plan = planner.plan(&demand, clusters).unwrap();
    plan.assignments().iter().map(|a| a.replicas).collect()
}

#[test]
fn weights_follow_capacities_and_what_is_unknown_counts_like_the_median() {
    let known =
        [("a", 10), ("b", 20), ("c", 30)].map(|(name, room)| Candidate::new(name).capacity(room));
    assert_eq!(ideal(12, Dynamic::new(), &known), [2, 4, 6]);
    let [a, b, c] = known;
    let one_unknown = [a, b, c, Candidate::new("d")];
    assert_eq!(ideal(16, Dynamic::new(), &one_unknown), [2, 4, 6, 4]);
    let none_known = ["a", "b"].map(Candidate::new);
    let none_known = [none_known[0].weight(3), none_known[1]];
    assert_eq!(ideal(8, Dynamic::new(), &none_known), [6, 2]);
}

#[test]
fn a_tier_spills_at_its_fill_limit_and_the_first_goes_on_when_all_are_there() {
    let tiers =
        [("home", 0), ("away", 1)].map(|(name, tier)| Candidate::new(name).tier(tier).capacity(10));
    let spilling = Tiered::new().fill_percent(80);
    assert_eq!(ideal(8, spilling.clone(), &tiers), [8, 0]);
    assert_eq!(ideal(10, spilling.clone(), &tiers), [8, 2]);
    assert_eq!(ideal(17, spilling.clone(), &tiers), [9, 8]);
    assert_eq!(ideal(20, spilling, &tiers), [10, 10]);
    let warm = [tiers[0], tiers[1].minimum(1)];
    assert_eq!(
        ideal(5, Tiered::new(), &warm),
        [4, 1],
        "a standby is kept warm"
    );
}

#[test]
fn failing_back_is_as_fast_as_moves_allow_and_scaling_down_empties_the_last_tier() {
    let after_failure = [
        Candidate::new("home").tier(0).capacity(10),
        Candidate::new("away").tier(1).capacity(10).current(6),
    ];
    let failback = |total, moves| plan(total, Tiered::new(), moves, &after_failure);
    assert_eq!(failback(6, Moves::UNLIMITED), [6, 0], "at once");
    assert_eq!(
        failback(6, Moves::at_most(2)),
        [2, 4],
        "so many in each plan"
    );
    assert_eq!(failback(6, Moves::NONE), [0, 6], "never");
    assert_eq!(failback(8, Moves::NONE), [2, 6], "but new ones go home");
    let both = [after_failure[0].current(4), after_failure[1]];
    assert_eq!(plan(7, Tiered::new(), Moves::NONE, &both), [4, 3]);
}

#[test]
fn groups_share_by_their_limits_and_at_least_so_many_are_used() {
    let at = |name, region| Candidate::new(name).label(Level::Region, region);
    let clusters = [
        at("a", "east"),
        at("b", "east"),
        at("c", "west"),
        at("d", ""),
    ];
    let over = || Spread::over(Level::Region);
    let excluded = over().unlabelled(Unlabelled::Excluded);
    assert_eq!(ideal(8, excluded.clone(), &clusters), [2, 2, 4, 0]);
    let by_weight = excluded.limits("east", GroupLimits::new().weight(3));
    assert_eq!(ideal(8, by_weight, &clusters), [3, 3, 2, 0]);
    let bounded = over().limits("west", GroupLimits::new().maximum(1));
    let answer = ideal(9, bounded, &clusters);
    assert_eq!((answer[0] + answer[1], answer[2], answer[3]), (4, 1, 4));

    // Each region could hold all; with a maximum alone one is enough, a minimum asks for more.
    let used = |spread: Spread| {
        let answer = ideal(6, spread, &clusters);
        let regions = [answer[0] + answer[1], answer[2], answer[3]];
        regions.into_iter().filter(|&replicas| replicas > 0).count()
    };
    assert_eq!(used(over().groups_min(1).groups_max(3)), 1);
    assert_eq!(used(over().groups_min(2).groups_max(3)), 2);
    assert_eq!(used(over().groups_min(3)), 3);
}

#[test]
fn levels_nest() {
    let at = |name, region, zone| {
        let cluster = Candidate::new(name).label(Level::Region, region);
        cluster.label(Level::Zone, zone)
    };
    let clusters = [
        at("a", "east", "e1"),
        at("b", "east", "e1"),
        at("c", "east", "e2"),
        at("d", "west", "w1"),
    ];
    let zones = Spread::over(Level::Zone).within(Static::new());
    let regions = Spread::over(Level::Region).within(zones);
    assert_eq!(ideal(8, regions, &clusters), [1, 1, 2, 4]);
}

#[test]
fn few_clusters_stay_those_in_use_and_the_last_one_fits() {
    let rooms =
        [("a", 10), ("b", 6), ("c", 3)].map(|(name, room)| Candidate::new(name).capacity(room));
    assert_eq!(ideal(12, Aggregated::new(), &rooms), [10, 2, 0]);
    assert_eq!(
        ideal(12, Aggregated::new().fill(Fill::BestFit), &rooms),
        [10, 0, 2]
    );
    assert_eq!(
        ideal(8, Aggregated::new().fill(Fill::Weighted), &rooms),
        [8, 0, 0]
    );
    let in_use = [rooms[0], rooms[1].current(4), rooms[2].current(3)];
    assert_eq!(ideal(7, Aggregated::new(), &in_use), [7, 0, 0]);
    let staying = ideal(7, Aggregated::new().stay(1), &in_use);
    assert_eq!(
        (staying[0], staying[1] + staying[2]),
        (0, 7),
        "one more than the fewest"
    );
}
