//! The federation example: its whole text is golden, and what the README shows of it is true.
#![allow(clippy::unwrap_used)]

use clap::Parser;
use kubefed::cli::{LiveView, Terminal};

#[path = "../../../examples/federation.rs"]
mod example;

const README: &str = include_str!("../../../README.md");

/// Runs the example as `cargo run --example federation | cat` would, on a clock that does not wait.
async fn run(arguments: &[&str]) -> (String, Result<(), String>) {
    let arguments = [&["federation"], arguments].concat();
    let mut out = Vec::new();
    let mut view = LiveView::new(&mut out, Terminal::plain());
    let done = example::run(example::Arguments::parse_from(arguments), &mut view).await;
    view.finish().unwrap();
    let done = done.map_err(|error| format!("{error:#}"));
    (masked(&String::from_utf8(out).unwrap()), done)
}

/// Resource versions count all writes to a cluster, whose order is nobody's promise.
fn masked(text: &str) -> String {
    let masked = |word: &str| {
        let number = word.strip_prefix("rv:")?.parse::<u64>().ok()?;
        Some(format!("rv:{:1$}", "_", number.to_string().len()))
    };
    let word = |word: &str| masked(word).unwrap_or_else(|| word.to_owned());
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(|text| line(text) + "\n").collect()
}

#[tokio::test(start_paused = true)]
async fn the_tour_prints_what_the_golden_text_and_the_readme_show() {
    let (text, done) = run(&[]).await;
    assert_eq!(done, Ok(()), "{text}");
    expect_test::expect_file!["federation.txt"].assert_eq(&text);

    // The README leaves lines out; those it shows come in this order.
    let mut lines = text.lines();
    let shown = README.split("$ cargo run --example federation\n").nth(1);
    let shown = shown.and_then(|rest| rest.split("```").next()).unwrap();
    assert!(shown.lines().count() > 10, "the README shows something");
    for shown in masked(shown).lines().filter(|line| *line != "...") {
        assert!(
            lines.any(|line| line == shown),
            "not printed, or elsewhere: {shown:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn json_has_a_line_for_each_step_with_every_row() {
    let (text, done) = run(&["--output", "json", "--clusters", "4", "--seed", "7"]).await;
    assert_eq!(done, Ok(()), "{text}");
    let steps: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "settle");
    let clusters = steps[0]["rows"].as_array().unwrap().iter();
    let clusters = clusters.filter(|row| row["object"] == "KubeFedCluster");
    assert_eq!(clusters.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_tour_says_how_many_clusters_it_needs() {
    let (_, done) = run(&["--clusters", "2"]).await;
    assert_eq!(
        done,
        Err("walk: at least 3 clusters are needed, there are 2".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_does_not_settle_says_what_is_moving_and_everything_once() {
    let (_, done) = run(&["--timeout", "0"]).await;
    let error = done.unwrap_err();
    let beginning = "settle: not settled in time, still moving:\n  ";
    assert!(error.starts_with(beginning), "{error}");
    let lines: std::collections::BTreeSet<_> = error.lines().collect();
    assert_eq!(lines.len(), error.lines().count(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn manifests_are_federated_and_clusters_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/manifests");
    let (text, done) = run(&["--manifests", folder]).await;
    assert_eq!(done, Ok(()), "{text}");
    assert!(
        text.contains("member-1: left out, the clusters are simulated"),
        "{text}"
    );
    assert!(text.contains("Deployment shop/web"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_is_an_error_and_no_table_of_problems_is_lost() {
    let (text, done) = run(&["--manifests", "/no/such.yaml"]).await;
    let error = done.unwrap_err();
    assert!(error.starts_with("federate:\n  /no/such.yaml: "), "{error}");
    assert!(text.contains("KubeFedCluster"), "{text}");
}
