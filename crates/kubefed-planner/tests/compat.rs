//! `compat` against the plain loop, and the properties it must have and is known not to have.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

mod oracle;

use kubefed_planner::compat::{Candidate, Demand, Planner, Preference};
use oracle::kubefed::{self, Cluster};
use proptest::option;
use proptest::prelude::*;

/// Plans a case with both planners and returns replicas and overflow.
#[track_caller]
fn check(planner: &mut Planner, case: &Case) -> Option<Vec<(i64, i64)>> {
    let candidates = case.candidates();
    let demand = case.demand();
    let expected = kubefed::plan(case.total, case.rebalance, &case.key, &case.clusters, 5_000)?;
    let answer = planner
        .plan(&demand, &candidates)
        .expect("the work is bounded");
    let answer: Vec<_> = answer.iter().map(|a| (a.replicas, a.overflow)).collect();
    let overflow = expected.overflow.iter().map(|v| v.unwrap_or(0));
    let expected: Vec<_> = expected.plan.iter().copied().zip(overflow).collect();
    assert_eq!(answer, expected, "{case:?}");
    Some(answer)
}

fn candidate(cluster: &Cluster) -> Candidate<'_> {
    let mut candidate = Candidate::new(&cluster.name);
    if let Some((minimum, maximum, weight)) = cluster.preference {
        let mut preference = Preference::new().minimum(minimum).weight(weight);
        if let Some(maximum) = maximum {
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
    candidate
}

#[derive(Clone, Debug)]
struct Case {
    total: i64,
    rebalance: bool,
    key: String,
    clusters: Vec<Cluster>,
}

impl Case {
    fn demand(&self) -> Demand<'_> {
        let demand = Demand::new(self.total).rebalance(self.rebalance);
        demand.key(&self.key)
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        self.clusters.iter().map(candidate).collect()
    }

    fn parse(text: &str, total: i64, rebalance: bool) -> Self {
        let number = |text: &str| text.parse::<i64>().unwrap();
        let cluster = |words: &str| {
            let mut words = words.split_whitespace();
            let mut cluster = Cluster {
                name: words.next().unwrap().to_owned(),
                ..Cluster::default()
            };
            let (mut preference, mut listed) = ((0, None, 0), true);
            for word in words {
                let (letter, value) = word.split_at(1);
                match letter {
                    "w" => preference.2 = number(value),
                    "m" => preference.0 = number(value),
                    "M" => preference.1 = Some(number(value)),
                    "r" => cluster.current = Some(number(value)),
                    "c" => cluster.capacity = Some(number(value)),
                    "-" => listed = false,
                    _ => panic!("{word}"),
                }
            }
            cluster.preference = listed.then_some(preference);
            cluster
        };
        let clusters = text.split(',').filter(|words| !words.is_empty());
        Self {
            total,
            rebalance,
            key: String::new(),
            clusters: clusters.map(cluster).collect(),
        }
    }

    /// The answer, which the oracle shares.
    #[track_caller]
    fn replicas(&self) -> Vec<i64> {
        let answer = check(&mut Planner::new(), self).unwrap();
        answer.iter().map(|&(replicas, _)| replicas).collect()
    }
}

/// How large the numbers of a family of cases are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    clusters: usize,
    total: i64,
    weight: i64,
    lowest: i64,
}

const FAMILIES: [Sizes; 7] = [
    Sizes {
        clusters: 6,
        total: 40,
        weight: 4,
        lowest: 0,
    },
    Sizes {
        clusters: 400,
        total: 3_000,
        weight: 1,
        lowest: 0,
    },
    Sizes {
        clusters: 1_500,
        total: 9_000,
        weight: 100,
        lowest: 0,
    },
    Sizes {
        clusters: 200,
        total: 300_000,
        weight: 1 << 40,
        lowest: 0,
    },
    Sizes {
        clusters: 60,
        total: 2_000_000,
        weight: 1_000_000,
        lowest: 0,
    },
    Sizes {
        clusters: 8,
        total: 60,
        weight: 5,
        lowest: -9,
    },
    Sizes {
        clusters: 5,
        total: i64::MAX,
        weight: i64::MAX,
        lowest: i64::MIN,
    },
];

fn cases() -> impl Strategy<Value = Case> {
    cases_of(&FAMILIES)
}

/// Cases with nothing negative and no minimum above its maximum.
fn ordinary() -> impl Strategy<Value = Case> {
    cases_of(&FAMILIES[..5]).prop_map(|mut case| {
        for cluster in &mut case.clusters {
            if let Some((minimum, Some(maximum), _)) = &mut cluster.preference {
                *maximum = *minimum.max(maximum);
            }
        }
        case
    })
}

fn cases_of(families: &'static [Sizes]) -> impl Strategy<Value = Case> {
    prop::sample::select(families).prop_flat_map(|sizes| {
        let each = sizes.total / (sizes.clusters as i64 / 4).max(1);
        let count = move || sizes.lowest..=each.max(sizes.lowest + 1);
        let limits = (
            prop_oneof![3 => Just(0), 1 => count()],
            option::weighted(0.3, count()),
            prop_oneof![1 => Just(1), 3 => sizes.lowest..=sizes.weight],
        );
        let cluster = (
            option::weighted(0.95, limits),
            option::weighted(0.5, count()),
            option::weighted(0.3, count()),
        );
        let clusters = prop::collection::vec(cluster, 0..sizes.clusters);
        (
            sizes.lowest..=sizes.total,
            any::<bool>(),
            "[a-z/]{0,12}",
            clusters,
        )
            .prop_map(|(total, rebalance, key, clusters)| {
                let named = clusters.into_iter().enumerate();
                let clusters = named.map(|(i, (preference, current, capacity))| Cluster {
                    name: format!("cluster-{i}"),
                    preference,
                    current,
                    capacity,
                });
                Case {
                    total,
                    rebalance,
                    key,
                    clusters: clusters.collect(),
                }
            })
    })
}

impl Cluster {
    fn minimum(&self) -> i64 {
        let (minimum, ..) = self.preference.unwrap_or_default();
        minimum.min(self.capacity.unwrap_or(i64::MAX))
    }

    /// The maximum or the capacity, whichever is smaller.
    fn room(&self) -> i64 {
        let (_, maximum, _) = self.preference.unwrap_or_default();
        let limits = [maximum, self.capacity].into_iter().flatten();
        limits.min().unwrap_or(i64::MAX)
    }

    /// What keeps running if nothing forces it to stop.
    fn keep(&self) -> i64 {
        let known = self.preference.and(self.current);
        known.map_or(0, |current| current.min(self.room()))
    }
}

/// The replicas of a case, by the planner alone: the plain loop may take too long.
fn replicas(case: &Case) -> Vec<i64> {
    let (replicas, _) = answer(case);
    replicas
}

/// Replicas and overflow.
fn answer(case: &Case) -> (Vec<i64>, Vec<i64>) {
    let mut planner = Planner::new();
    let plan = planner.plan(&case.demand(), &case.candidates()).unwrap();
    plan.iter().map(|a| (a.replicas, a.overflow)).unzip()
}

/// What a cluster with this room runs of what is asked for, and what the original's controller then
/// knows of its capacity: something only where replicas wait.
fn observe(cluster: &mut Cluster, asked: i64, room: i64) {
    cluster.current = Some(asked.min(room));
    cluster.capacity = (asked > room).then_some(room);
}

/// Positive numbers of every length in bits.
fn up_to(most: i64) -> impl Strategy<Value = i64> {
    (0..most.ilog2() + 1).prop_flat_map(move |bits| (1 << bits)..=(2 << bits).min(most))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn every_answer_is_that_of_the_plain_loop(cases in prop::collection::vec(cases(), 1..4)) {
        // One planner for all: what it remembers must not matter.
        let mut planner = Planner::new();
        for case in &cases {
            check(&mut planner, case);
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(case in cases(), seed in any::<u64>()) {
        let mut shuffled = case.clone();
        shuffled.clusters.sort_by_key(|cluster| {
            let index = cluster.name.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            index.rotate_left(17)
        });
        let named = |case: &Case| {
            let answer = check(&mut Planner::new(), case)?;
            let names = case.clusters.iter().map(|cluster| cluster.name.clone());
            let mut named: Vec<_> = names.zip(answer).collect();
            named.sort();
            Some(named)
        };
        prop_assert_eq!(named(&case), named(&shuffled));
    }

    #[test]
    fn running_nearly_everything_takes_rounds_as_the_root_of_what_is_missing(
        running in up_to(1_000_000_000),
        weights in prop::collection::vec(up_to(2_000_000_000), 2..6),
        missing in up_to(i32::MAX.into()),
    ) {
        // The plain loop would need up to as many rounds as replicas run.
        let names: Vec<_> = (0..weights.len()).map(|i| format!("c{i}")).collect();
        let candidates: Vec<_> = names.iter().zip(&weights).enumerate().map(|(i, (name, &weight))| {
            let candidate = Candidate::new(name).preference(Preference::new().weight(weight));
            if i > 0 { candidate.current(running) } else { candidate }
        }).collect();
        let total = running * (weights.len() as i64 - 1) + missing;
        let rounds_max = 32 * missing.unsigned_abs().isqrt() + 512;
        let mut planner = Planner::new().visits_max(rounds_max * weights.len() as u64);
        let plan = planner.plan(&Demand::new(total), &candidates).expect("skipped rounds are cheap");
        prop_assert_eq!(plan.iter().map(|a| a.replicas).sum::<i64>(), total);
    }

}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn all_that_can_be_placed_is_placed(case in ordinary()) {
        let case = Case { rebalance: true, ..case };
        let reach: i128 = case.clusters.iter().map(|cluster| {
            let positive = cluster.preference.is_some_and(|(_, _, weight)| weight > 0);
            i128::from(if positive { cluster.room() } else { cluster.minimum() })
        }).sum();
        let placed: i128 = replicas(&case).iter().copied().map(i128::from).sum();
        prop_assert_eq!(placed, reach.min(i128::from(case.total)));
    }

    #[test]
    fn bounds_hold_and_minima_as_far_as_the_total_lasts(case in ordinary()) {
        let minima: i64 = case.clusters.iter().map(Cluster::minimum).sum();
        for (cluster, replicas) in case.clusters.iter().zip(replicas(&case)) {
            prop_assert!(replicas <= cluster.room(), "{:?} {}", cluster, replicas);
            prop_assert!(minima > case.total || replicas >= cluster.minimum(), "{:?} {}", cluster, replicas);
        }
    }

    #[test]
    fn a_cluster_without_weight_or_minimum_changes_nothing(case in ordinary(), capacity in option::of(0..9_i64)) {
        let mut expected = answer(&case);
        let mut more = case.clone();
        more.clusters.push(Cluster {
            name: "guest".into(), preference: Some((0, None, 0)), current: None, capacity,
        });
        expected.0.push(0);
        expected.1.push(0);
        prop_assert_eq!(answer(&more), expected);
    }

    #[test]
    fn with_rebalance_no_raised_limit_means_fewer_replicas(
        case in ordinary(), chosen in any::<prop::sample::Index>(), more in 1..20_i64, capacity in any::<bool>(),
    ) {
        prop_assume!(!case.clusters.is_empty());
        let case = Case { rebalance: true, ..case };
        let chosen = chosen.index(case.clusters.len());
        let before = replicas(&case)[chosen];
        let mut raised = case.clone();
        let cluster = &mut raised.clusters[chosen];
        if capacity {
            cluster.capacity = cluster.capacity.map(|capacity| capacity + more);
        } else if let Some((_, Some(maximum), _)) = &mut cluster.preference {
            *maximum += more;
        }
        prop_assert!(replicas(&raised)[chosen] >= before);
    }

    #[test]
    fn scaling_all_weights_of_kubefeds_rule_changes_nothing(case in ordinary(), factor in 2..100_i64) {
        // Short enough that nothing wraps.
        let by = |factor: i64| {
            let mut case = case.clone();
            for cluster in &mut case.clusters {
                cluster.preference = cluster.preference.map(|(minimum, maximum, weight)| {
                    (minimum, maximum, weight % (1 << 30) * factor)
                });
            }
            case
        };
        let (case, scaled) = (by(1), by(factor));
        prop_assert_eq!(answer(&scaled), answer(&case));
    }

    #[test]
    fn without_rebalance_what_runs_stops_only_for_minima_limits_and_the_total(case in ordinary()) {
        let needed: i64 = case.clusters.iter().map(|c| c.keep().max(c.minimum())).sum();
        let case = Case { rebalance: false, total: case.total.max(needed), ..case };
        for (cluster, replicas) in case.clusters.iter().zip(replicas(&case)) {
            prop_assert!(replicas >= cluster.keep(), "{:?} {}", cluster, replicas);
        }
    }

    #[test]
    fn without_rebalance_the_answer_is_that_of_its_answer(case in ordinary()) {
        let mut case = Case { rebalance: false, ..case };
        let first = replicas(&case);
        for (cluster, &replicas) in case.clusters.iter_mut().zip(&first) {
            cluster.current = Some(replicas);
        }
        prop_assert_eq!(replicas(&case), first);
    }

    #[test]
    fn with_rebalance_and_without_minima_capacities_are_learnt_in_five_passes(
        case in cases_of(&FAMILIES[..1]), rooms in prop::collection::vec(option::of(0..30_i64), 6),
    ) {
        let mut case = Case { rebalance: true, ..case };
        for cluster in &mut case.clusters {
            let (_, _, weight) = cluster.preference.unwrap_or_default();
            cluster.preference = Some((0, None, weight));
            (cluster.current, cluster.capacity) = (None, None);
        }
        let mut pass = || {
            let (replicas, overflow) = answer(&case);
            let asked: Vec<_> = replicas.iter().zip(overflow).map(|(r, o)| r + o).collect();
            for ((cluster, &room), &asked) in case.clusters.iter_mut().zip(&rooms).zip(&asked) {
                observe(cluster, asked, room.unwrap_or(i64::MAX));
            }
            asked
        };
        let settled = (0..5).map(|_| pass()).last();
        prop_assert_eq!(Some(pass()), settled);
    }
}

#[test]
fn clusters_that_only_the_name_can_order_are_ordered_by_it() {
    let (first, second) = collision();
    for text in [
        format!("{first} w1,{second} w1"),
        format!("{second} w1,{first} w1"),
    ] {
        let case = Case::parse(&text, 1, true);
        let winner = case.replicas().iter().position(|&n| n == 1).unwrap();
        assert_eq!(case.clusters[winner].name, first);
    }
}

/// Two different names of one hash, smaller name first.
fn collision() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    for i in 0_u64.. {
        let name = format!("c{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| {
            h.wrapping_mul(0x0100_0193) ^ u32::from(b)
        });
        if let Some(other) = seen.insert(hash, name.clone()) {
            return if other < name {
                (other, name)
            } else {
                (name, other)
            };
        }
    }
    unreachable!()
}

#[test]
fn ties_astride_a_split_are_ordered_by_name() {
    let (first, second) = collision();
    let hash = first.bytes().fold(0x811c_9dc5_u32, |h, b| {
        h.wrapping_mul(0x0100_0193) ^ u32::from(b)
    });
    for total in 1..200 {
        for names in [[&first, &second], [&second, &first]] {
            let others = (0..200).map(|i| format!("n{i} w1"));
            let mut words: Vec<String> = names.iter().map(|name| format!("{name} w1")).collect();
            words.extend(others);
            let case = Case::parse(&words.join(","), total, true);
            assert_eq!(case.replicas().iter().sum::<i64>(), total, "{hash:x}");
        }
    }
}

/// Clusters, total, rebalance (none where both give the same), key, plan and overflow. Letters as in
/// [`Case::parse`]; a cluster without any is one that no preference names.
type Example = (
    &'static str,
    i64,
    Option<bool>,
    &'static str,
    &'static [i64],
    &'static [i64],
);

/// The examples of the specification. Without a key, clusters of one weight are served from the last letter.
const EXAMPLES: &[Example] = &[
    ("A w1,B w1,C w1", 50, None, "", &[16, 17, 17], &[0, 0, 0]),
    ("A w1,B w1", 50, None, "", &[25, 25], &[0, 0]),
    ("A w1,B w1", 1, None, "", &[0, 1], &[0, 0]),
    ("A w1,B w1,C w1,D w1", 1, None, "", &[0, 0, 0, 1], &[0; 4]),
    ("", 1, None, "", &[], &[]),
    (
        "A w1,B w1,C w1 r30",
        50,
        Some(false),
        "",
        &[10, 10, 30],
        &[0; 3],
    ),
    ("A w1 r30,B w1", 50, Some(false), "", &[30, 20], &[0; 2]),
    ("A w1 r0,B w1 r8", 15, Some(false), "", &[7, 8], &[0; 2]),
    ("A w1 r7,B w1 r8", 15, Some(false), "", &[7, 8], &[0; 2]),
    (
        "A w1 r300000,B w1",
        500_000,
        Some(false),
        "",
        &[300_000, 200_000],
        &[0; 2],
    ),
    ("A w1 r10,B w1 r70", 50, Some(false), "", &[0, 50], &[0; 2]),
    ("A w1 r30,B w1", 1, Some(false), "", &[1, 0], &[0; 2]),
    ("A w1 r10,B w1 r20", 50, Some(false), "", &[25, 25], &[0; 2]),
    (
        "A w1,B w1,C w1 c10",
        50,
        Some(true),
        "",
        &[20, 20, 10],
        &[0, 0, 7],
    ),
    ("B w1 c10,C -", 50, Some(true), "", &[10, 0], &[40, 0]),
    (
        "A w1,B w2 c10,C -",
        60,
        Some(true),
        "",
        &[50, 10, 0],
        &[0, 30, 0],
    ),
    (
        "A w10000 M10,B w1,C w1 M21 c10,D w1 M10",
        71,
        Some(true),
        "",
        &[10, 41, 10, 10],
        &[0, 0, 11, 0],
    ),
    (
        "A w1 c10,B w1 c10,C -",
        60,
        Some(false),
        "",
        &[10, 10, 0],
        &[20, 20, 0],
    ),
    (
        "A w1,B w5 c10,C -",
        60,
        Some(false),
        "",
        &[50, 10, 0],
        &[0; 3],
    ),
    (
        "A m20,B m20 c10,C m20",
        50,
        Some(false),
        "",
        &[20, 10, 20],
        &[0; 3],
    ),
    (
        "A m20 w1,B m20 w1 c10",
        60,
        Some(true),
        "",
        &[50, 10],
        &[0, 15],
    ),
    ("A m2,B m2,C m2", 50, Some(false), "", &[2, 2, 2], &[0; 3]),
    (
        "A m20,B m20,C m20",
        50,
        Some(false),
        "",
        &[10, 20, 20],
        &[0; 3],
    ),
    (
        "A m100 w1,B m20,C m20",
        50,
        Some(false),
        "",
        &[50, 0, 0],
        &[0; 3],
    ),
    (
        "A m10 w1 M12,B m10 w1 M12,C m10 w1 M12",
        50,
        Some(false),
        "",
        &[12, 12, 12],
        &[0; 3],
    ),
    ("A M2,B M2,C M2", 50, Some(false), "", &[0, 0, 0], &[0; 3]),
    (
        "A w10000 M10,B w1,C w1 M21,D w1 M10,E w1",
        91,
        Some(false),
        "",
        &[10, 25, 21, 10, 25],
        &[0; 5],
    ),
    (
        "A w1 m4 M6,B w2 m4 M8,C -",
        9,
        Some(false),
        "",
        &[4, 5, 0],
        &[0; 3],
    ),
    (
        "cluster1 w2 m2 M6,cluster2 w3 m4 M8",
        10,
        Some(true),
        "",
        &[3, 7],
        &[0; 2],
    ),
    ("A w1,C w1 M20", 50, Some(false), "", &[30, 20], &[0; 2]),
    (
        "A w1000000 c40,B w1,C w1",
        50,
        Some(false),
        "",
        &[40, 5, 5],
        &[0; 3],
    ),
    (
        "A w1,B w1,C w1",
        50,
        Some(true),
        "ns/web",
        &[17, 17, 16],
        &[0; 3],
    ),
    ("A w1,B w1,C w1", 4, Some(true), "", &[0, 2, 2], &[0; 3]),
    (
        "A w1,B w1,C w1,D w1",
        9,
        Some(true),
        "",
        &[0, 3, 3, 3],
        &[0; 4],
    ),
    ("A w0 r4,B w1", 10, Some(false), "", &[4, 6], &[0; 2]),
    ("A w1 m5 M2", 5, Some(true), "", &[5], &[0]),
    ("A w1 m5 M2,B w1", 6, Some(true), "", &[2, 4], &[0; 2]),
    ("A w1 c-2,B w1", 10, Some(true), "", &[-2, 12], &[6, 0]),
    ("A w1 m1 c0,B w2 c0", 1, Some(false), "", &[0, 0], &[1, 1]),
    ("A w1 r10,B w1 r70", 20, Some(false), "", &[0, 20], &[0; 2]),
    (
        "A w1 r20,B w1,C w1 c6",
        50,
        Some(false),
        "",
        &[21, 23, 6],
        &[0; 3],
    ),
    // The layouts of the original's end-to-end tests.
    ("cluster1 w1,cluster2 w1", 4, None, "", &[2, 2], &[0; 2]),
    ("cluster1 w2,cluster2 w1", 6, None, "", &[4, 2], &[0; 2]),
    (
        "cluster1 w2 m3,cluster2 w1 m3",
        6,
        None,
        "",
        &[3, 3],
        &[0; 2],
    ),
    ("cluster1 w2 m3", 6, None, "", &[6], &[0]),
    // Minima come before what runs.
    ("A w1 r10,B w2 m4", 10, Some(false), "", &[6, 4], &[0; 2]),
    // A negative total goes to the first one.
    ("A w1,B w2", -3, None, "", &[0, -3], &[0; 2]),
    // A negative weight.
    ("A w-1 r2,B w3", 5, Some(false), "", &[2, 3], &[0; 2]),
];

#[test]
fn the_worked_examples_are_reproduced() {
    for &(text, total, rebalance, key, plan, overflow) in EXAMPLES {
        let both = [true, false];
        let values = both
            .iter()
            .filter(|&&value| rebalance.is_none_or(|only| only == value));
        for &rebalance in values {
            let mut case = Case::parse(text, total, rebalance);
            case.key = key.into();
            let answer = check(&mut Planner::new(), &case).unwrap();
            let (replicas, beyond): (Vec<_>, Vec<_>) = answer.into_iter().unzip();
            assert_eq!(replicas, plan, "{text}");
            assert_eq!(beyond, overflow, "{text}");
        }
    }
}

/// What KubeFed's planner is known not to do. Each row is a case in which it fails; the plans are the
/// original's.
#[test]
fn the_originals_weaknesses_are_reproduced() {
    let cases: &[(&str, &str, i64, bool, &[i64])] = &[
        (
            "house monotone: one more replica takes one away",
            "A w1,B w1,C w1",
            3,
            true,
            &[1, 1, 1],
        ),
        ("", "A w1,B w1,C w1", 4, true, &[0, 2, 2]),
        ("also without rebalance", "A w1,B w3 r3", 5, false, &[2, 3]),
        ("", "A w1,B w3 r3", 6, false, &[1, 5]),
        (
            "losing a cluster takes from others",
            "A w1,B w1,C w1,D w1,E w1",
            9,
            true,
            &[1, 2, 2, 2, 2],
        ),
        ("", "A w1,B w1,C w1,D w1", 9, true, &[0, 3, 3, 3]),
        (
            "equal clusters differ by more than 1",
            "A w1,B w1,C w1,D w1",
            9,
            true,
            &[0, 3, 3, 3],
        ),
        (
            "the total is exceeded by overflow",
            "A w1,B w1,C w1 c10",
            50,
            true,
            &[20, 20, 10],
        ),
        (
            "a scale-down ignores the weights",
            "A w1 r10,B w1 r70",
            50,
            false,
            &[0, 50],
        ),
        (
            "the excess over a maximum stays",
            "A w1 m5 M2",
            5,
            true,
            &[5],
        ),
        (
            "but not if a round is run",
            "A w1 m5 M2,B w1",
            6,
            true,
            &[2, 4],
        ),
        (
            "a negative capacity gives a negative plan",
            "A w1 c-2,B w1",
            10,
            true,
            &[-2, 12],
        ),
    ];
    for (rule, text, total, rebalance, expected) in cases {
        let case = Case::parse(text, *total, *rebalance);
        assert_eq!(case.replicas(), *expected, "{rule}: {text}");
    }
    let equal = |clusters: usize, total: i64| {
        let clusters: Vec<_> = (0..clusters).map(|i| format!("c{i} w1")).collect();
        let mut replicas = Case::parse(&clusters.join(","), total, true).replicas();
        replicas.sort_unstable();
        let count = |n| replicas.iter().filter(|&&replicas| replicas == n).count();
        (count(0), count(replicas[replicas.len() - 1]))
    };
    // Below the share rounded down, further than one from it, and unequal: eleven get nothing.
    assert_eq!([equal(100, 800), equal(100, 801)], [(0, 100), (11, 89)]);
    // Losing one of a hundred empties eight others.
    assert_eq!([equal(100, 1000), equal(99, 1000)], [(0, 100), (8, 90)]);
}

/// Shares of 20,000 workloads of one replica each, in percent.
#[test]
fn the_originals_ties_fall_unevenly_on_the_clusters() {
    let shares = |clusters: usize| {
        let names: Vec<_> = (1..=clusters).map(|i| format!("cluster{i}")).collect();
        let preference = Preference::new().weight(1);
        let candidate = |name| Candidate::new(name).preference(preference);
        let candidates: Vec<_> = names.iter().map(|name| candidate(name)).collect();
        let mut wins = vec![0; clusters];
        let mut planner = Planner::new();
        for workload in 0..20_000 {
            let key = format!("prod/app-{workload}");
            let plan = planner.plan(&Demand::new(1).key(&key), &candidates);
            for (wins, assignment) in wins.iter_mut().zip(plan.unwrap()) {
                *wins += assignment.replicas;
            }
        }
        wins.sort_unstable();
        wins.iter()
            .map(|wins| (wins + 100) / 200)
            .collect::<Vec<_>>()
    };
    assert_eq!(shares(3), [24, 37, 38]);
    let ten = shares(10);
    assert_eq!([ten[0], ten[9]], [6, 17]);
}

#[test]
fn a_forgotten_limit_makes_the_answer_alternate() {
    // Room is only known where replicas are pending, as the original's controller derives it.
    let room = [i64::MAX, i64::MAX, i64::MAX, 0, 2];
    let mut case = Case::parse("A w1,B w1,C w1,D w1,E w1", 9, false);
    let mut history = Vec::new();
    for _ in 0..8 {
        let plan = case.replicas();
        for ((cluster, &room), &planned) in case.clusters.iter_mut().zip(&room).zip(&plan) {
            observe(cluster, planned, room);
        }
        history.push(plan);
    }
    assert_eq!(history[4..6], [[2, 2, 2, 1, 2], [2, 2, 2, 0, 3]]);
    assert_eq!(history[4..6], history[6..8]);

    // Where a capacity cuts a minimum, with either value of rebalance.
    for rebalance in [true, false] {
        let mut case = Case::parse("A m20,B m20,C m20", 50, rebalance);
        let mut history = Vec::new();
        for _ in 0..6 {
            let plan = case.replicas();
            observe(&mut case.clusters[1], plan[1], 10);
            history.push(plan);
        }
        assert_eq!(history[2..4], [[10, 20, 20], [20, 10, 20]]);
        assert_eq!(history[2..4], history[4..6]);
    }
}

#[test]
fn more_weight_or_a_higher_minimum_can_mean_fewer_replicas() {
    // Only the cluster that is changed is looked at; the others are as recorded with the original.
    let first = |text, total| Case::parse(text, total, false).replicas()[0];
    assert_eq!(first("A w3 r3,B w3 c2,C w1", 8), 5);
    assert_eq!(first("A w4 r3,B w3 c2,C w1", 8), 4);
    assert_eq!(first("A w2,B w1 r1,C w2 M5", 12), 6);
    assert_eq!(first("A w2 m1,B w1 r1,C w2 M5", 12), 5);
    // With rebalance as well: both leave less for another round, in which all shares are rounded up.
    let replicas = |text| Case::parse(text, 19, true).replicas();
    assert_eq!(replicas("A w1 M3,B w10 M0,C w8,D w8 M4")[2], 14);
    assert_eq!(replicas("A w1 M3,B w10 M0,C w20,D w8 M4")[2], 13);
    assert_eq!(replicas("A w117 M0,B w88,C w25 M2,D w6")[1], 16);
    assert_eq!(replicas("A w117 M0,B w88 m6,C w25 M2,D w6")[1], 15);
}
