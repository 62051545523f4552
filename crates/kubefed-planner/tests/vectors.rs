//! KubeFed's recorded answers.
//!
//! The vectors beside this file must all be reproduced, and so must files of the same name in the
//! folder that the environment variable `KUBEFED_VECTORS` names.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kubefed_planner::compat::{Candidate, Demand, Planner, Preference, Preferences};
use serde::Deserialize;

const FILE: &str = "planner-kubefed.jsonl";

#[derive(Deserialize)]
struct Vector {
    id: String,
    total: i64,
    rebalance: bool,
    key: String,
    clusters: Vec<String>,
    preferences: BTreeMap<String, Limits>,
    current: BTreeMap<String, i64>,
    capacity: BTreeMap<String, i64>,
    plan: BTreeMap<String, i64>,
    overflow: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Limits {
    min: i64,
    max: Option<i64>,
    weight: i64,
}

type Answer = (BTreeMap<String, i64>, BTreeMap<String, i64>);

#[test]
fn the_recorded_answers_are_reproduced() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    assert_eq!(check(&own), 3_000);
}

#[test]
fn further_answers_are_reproduced_where_they_are_given() {
    match std::env::var_os("KUBEFED_VECTORS") {
        Some(folder) => assert!(check(Path::new(&folder)) > 0),
        None => println!("KUBEFED_VECTORS is not set"),
    }
}

/// Checks a file and returns how many of its lines passed, which are all.
#[track_caller]
fn check(folder: &Path) -> usize {
    let path = folder.join(FILE);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut planner = Planner::new();
    let mut failures = Vec::new();
    let mut passed = 0;
    for line in text.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let answer = answer(&vector, &mut planner);
        if answer == (vector.plan.clone(), vector.overflow.clone()) {
            passed += 1;
        } else {
            failures.push(format!("{}: {answer:?}\nexpected by {line}", vector.id));
        }
    }
    println!(
        "{}: {passed} passed, {} failed",
        path.display(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures[0]);
    passed
}

fn answer(vector: &Vector, planner: &mut Planner) -> Answer {
    let preferences = vector.preferences.iter().map(|(name, limits)| {
        let mut preference = Preference::new().minimum(limits.min).weight(limits.weight);
        if let Some(maximum) = limits.max {
            preference = preference.maximum(maximum);
        }
        (name.as_str(), preference)
    });
    let preferences = Preferences::from_iter(preferences);
    let candidates: Vec<Candidate<'_>> = vector
        .clusters
        .iter()
        .map(|name| {
            let mut candidate = preferences.candidate(name);
            if let Some(&current) = vector.current.get(name) {
                candidate = candidate.current(current);
            }
            if let Some(&capacity) = vector.capacity.get(name) {
                candidate = candidate.capacity(capacity);
            }
            candidate
        })
        .collect();
    let demand = Demand::new(vector.total)
        .rebalance(vector.rebalance)
        .key(&vector.key);
    let assignments = planner.plan(&demand, &candidates).unwrap();
    let named = vector.clusters.iter().zip(assignments);
    let plan = named.clone().map(|(name, a)| (name.clone(), a.replicas));
    let overflow = named.filter(|(_, a)| a.overflow != 0);
    let overflow = overflow.map(|(name, a)| (name.clone(), a.overflow));
    (plan.collect(), overflow.collect())
}
