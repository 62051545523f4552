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
    let demand = Demand::new(case.total)
        .rebalance(case.rebalance)
        .key(&case.key);
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
    fn candidates(&self) -> Vec<Candidate<'_>> {
        self.clusters.iter().map(candidate).collect()
    }

    fn parse(text: &str, total: i64, rebalance: bool) -> Self {
        let number = |text: &str| text.parse::<i64>().unwrap();
        let cluster = |words: &str| {
            let mut words = words.split_whitespace();
            let mut cluster = Cluster {
                name: words.next().unwrap().to_owned(),
                preference: Some((0, None, 0)),
                ..Cluster::default()
            };
            let preference = cluster.preference.as_mut().unwrap();
            for word in words {
                let (letter, value) = word.split_at(1);
                match letter {
                    "w" => preference.2 = number(value),
                    "m" => preference.0 = number(value),
                    "M" => preference.1 = Some(number(value)),
                    "r" => cluster.current = Some(number(value)),
                    "c" => cluster.capacity = Some(number(value)),
                    _ => panic!("{word}"),
                }
            }
            cluster
        };
        Self {
            total,
            rebalance,
            key: String::new(),
            clusters: text.split(',').map(cluster).collect(),
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
    prop::sample::select(&FAMILIES[..]).prop_flat_map(|sizes| {
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

    #[test]
    fn all_that_can_be_placed_is_placed(case in cases().prop_filter("ordinary", |case| {
        case.total >= 0 && case.total < 1 << 40 && case.clusters.iter().all(|c| {
            let (min, max, weight) = c.preference.unwrap_or_default();
            min >= 0 && weight >= 0 && max.unwrap_or(i64::MAX) >= min && c.capacity.unwrap_or(0) >= 0
        })
    })) {
        let answer = check(&mut Planner::new(), &Case { rebalance: true, ..case.clone() });
        let Some(answer) = answer else { return Ok(()) };
        let reach: i128 = case.clusters.iter().filter_map(|c| {
            let (min, max, weight) = c.preference?;
            let cap = c.capacity.unwrap_or(i64::MAX);
            Some(i128::from(if weight > 0 { max.unwrap_or(i64::MAX).min(cap) } else { min.min(cap) }))
        }).sum();
        let placed: i128 = answer.iter().map(|a| i128::from(a.0)).sum();
        prop_assert_eq!(placed, reach.min(i128::from(case.total)));
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
    let hundred: Vec<_> = (0..100).map(|i| format!("c{i} w1")).collect();
    let replicas = Case::parse(&hundred.join(","), 801, true).replicas();
    let count = |n| replicas.iter().filter(|&&replicas| replicas == n).count();
    assert_eq!((count(9), count(0)), (89, 11));
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
            cluster.current = Some(planned.min(room));
            cluster.capacity = (planned > room).then_some(room);
        }
        history.push(plan);
    }
    assert_eq!(history[4..6], [[2, 2, 2, 1, 2], [2, 2, 2, 0, 3]]);
    assert_eq!(history[4..6], history[6..8]);
}

#[test]
fn more_weight_or_a_higher_minimum_can_mean_fewer_replicas() {
    // Only the cluster that is changed is looked at; the others are as recorded with the original.
    let first = |text, total| Case::parse(text, total, false).replicas()[0];
    assert_eq!(first("A w3 r3,B w3 c2,C w1", 8), 5);
    assert_eq!(first("A w4 r3,B w3 c2,C w1", 8), 4);
    assert_eq!(first("A w2,B w1 r1,C w2 M5", 12), 6);
    assert_eq!(first("A w2 m1,B w1 r1,C w2 M5", 12), 5);
}
