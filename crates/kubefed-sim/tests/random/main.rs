//! Requests, the same ones to a simulated and to a real API server: random ones, and a table of single
//! ones with every kind of mistake. The answers and the events of watches must not differ.
//!
//! `KUBEFED_RANDOM_CASES` sets the number of cases and `KUBEFED_RANDOM_SEED` where they begin. A
//! difference is shrunk to the shortest run of requests that shows it.

// Requests are written as JSON.
#![recursion_limit = "512"]
// A test that cannot go on has failed.
#![allow(clippy::panic)]

mod normal;
mod request;
mod server;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use kubefed_sim::{Behaviour, Cluster, ClusterOptions};
use kubefed_testing::{ApiServer, Suite, TestResult};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};

use self::request::Request;
use self::server::Server;

/// A few seconds' worth; more by hand.
const CASES: u32 = 50;
const SEED: u64 = 1;
/// Runs to make a difference shorter; the last ones only make it prettier.
const SHRINKS_MAX: u32 = 60;
/// Enough for a day's work.
const DIFFERENCES_MAX: usize = 10;

fn main() -> ExitCode {
    Suite::new()
        .test("random_requests_are_answered_alike", answered_alike)
        .test("single_requests_are_answered_alike", single_requests)
        .run()
}

async fn single_requests() -> TestResult {
    let real = ApiServer::start().await?;
    Server::install_kinds(&real.client()).await?;
    let cluster = Cluster::with_options(options());
    Server::install_kinds(&cluster.client()).await?;
    let simulated = Server::new(cluster.client(), "table").await?;
    let real = Server::new(real.client(), "table").await?;
    let mut found = Vec::new();
    for exchange in table::exchanges() {
        let (real, simulated) = (
            real.exchange(&exchange).await?,
            simulated.exchange(&exchange).await?,
        );
        if real != simulated {
            found.push(format!(
                "{exchange}\n     real: {real}\nsimulated: {simulated}"
            ));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("{} differ:\n{}", found.len(), found.join("\n")).into())
}

async fn answered_alike() -> TestResult {
    // Without controllers, which would write between the requests.
    let real = ApiServer::start().await?;
    Server::install_kinds(&real.client()).await?;
    let mut runner = TestRunner::new(Config {
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(variable("KUBEFED_RANDOM_SEED").unwrap_or(SEED)),
        ..Config::default()
    });
    let requests = request::requests();
    let cases = variable("KUBEFED_RANDOM_CASES").unwrap_or(CASES);
    let mut namespaces = (0..).map(|number: u32| format!("random-{number}"));
    // By the request that shows it: one mistake shows in many cases.
    let mut found = BTreeMap::new();
    for case in 0..cases {
        let tree = requests.new_tree(&mut runner);
        let mut tree = tree.map_err(|reason| reason.message().to_owned())?;
        let run = async |requests: &[Request], namespace: String| {
            differences(&real, &namespace, requests).await
        };
        let mut namespace = || namespaces.next().unwrap_or_default();
        let Some(mut shown) = run(&tree.current(), namespace()).await? else {
            continue;
        };
        let mut differed = true;
        for _ in 0..SHRINKS_MAX {
            let simpler = if differed {
                tree.simplify()
            } else {
                tree.complicate()
            };
            if !simpler {
                break;
            }
            let difference = run(&tree.current(), namespace()).await?;
            differed = difference.is_some();
            shown = difference.unwrap_or(shown);
        }
        let last = shown.lines().rfind(|line| line.contains(" -> "));
        found.insert(
            last.unwrap_or_default().to_owned(),
            format!("case {case}:\n{shown}"),
        );
        if found.len() == DIFFERENCES_MAX {
            break;
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let found: Vec<String> = found.into_values().collect();
    Err(found.join("\n").into())
}

/// Without controllers, as the real server.
fn options() -> ClusterOptions {
    ClusterOptions::new("random")
        .without(Behaviour::ServiceAccounts)
        .without(Behaviour::Workloads)
        .without(Behaviour::GarbageCollection)
        .without(Behaviour::Namespaces)
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Sends the requests to both servers; a text with the first difference, if there is one.
async fn differences(
    real: &ApiServer,
    namespace: &str,
    requests: &[Request],
) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let cluster = Cluster::with_options(options());
    Server::install_kinds(&cluster.client()).await?;
    let mut simulated = Server::new(cluster.client(), namespace).await?;
    let mut real = Server::new(real.client(), namespace).await?;
    let mut text = String::new();
    for request in requests {
        let answers = (real.send(request).await?, simulated.send(request).await?);
        writeln!(text, "{request} -> {}", answers.0.code)?;
        if answers.0 != answers.1 {
            let patch = json_patch::diff(&answers.0.body, &answers.1.body);
            let (real, simulated) = answers;
            write!(
                text,
                "     real: {real}\nsimulated: {simulated}\nthe latter by: {patch}\n"
            )?;
            return Ok(Some(text));
        }
    }
    let events = (real.events().await?, simulated.events().await?);
    for (real, simulated) in events.0.iter().zip(&events.1) {
        if real != simulated {
            write!(text, "watches:\n     real: {real}\nsimulated: {simulated}")?;
            return Ok(Some(text));
        }
    }
    Ok((events.0.len() != events.1.len()).then_some(text))
}
