//! A Job runs pods until enough of them have succeeded.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::behaviour::pods::{PODS, controlled, create_pod, is_over, is_ready, itself_or_owner};
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::{self, Condition};
use crate::json;
use crate::object::Object;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Workloads,
    concerns,
    reconcile,
};

const JOBS: &str = "jobs.batch";

fn concerns(_: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        JOBS | PODS => itself_or_owner(table, change, JOBS, "Job"),
        _ => Vec::new(),
    }
}

fn reconcile(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let job = state
        .store
        .get(table, key)
        .filter(|job| !job.deleting)?
        .clone();
    let mut value = job.value();
    if conditions::holds(&value, "Complete") {
        return None;
    }
    let now = state.timestamp();
    let parallelism = json::number(&value, "spec.parallelism").unwrap_or(1);
    let completions = json::number(&value, "spec.completions").unwrap_or(parallelism);
    let suspended = value["spec"]["suspend"] == json!(true);
    let (active, succeeded, _) = counts(state, &job);
    if !suspended {
        for _ in active..parallelism.min(completions - succeeded) {
            // Refused only while the namespace goes, and then the job goes with it.
            if create_pod(state, &job, &value, ("batch/v1", "Job"), None).is_err() {
                break;
            }
        }
        if json::at(&value, "status.startTime").is_none() {
            json::put(&mut value, "status.startTime", now.clone());
        }
    }
    let (active, succeeded, ready) = counts(state, &job);
    for (field, count) in [
        ("active", active),
        ("succeeded", succeeded),
        ("ready", ready),
    ] {
        if count > 0 || field == "ready" {
            json::put(&mut value, &format!("status.{field}"), count);
        } else {
            json::take(&mut value, &format!("status.{field}"));
        }
    }
    json::put(&mut value, "status.uncountedTerminatedPods", json!({}));
    if !suspended && succeeded >= completions {
        json::put(&mut value, "status.completionTime", now.clone());
        let message = "Reached expected number of succeeded pods";
        for kind in ["SuccessCriteriaMet", "Complete"] {
            Condition::new(kind, true, "CompletionsReached", message).set(&mut value, &now);
        }
    }
    let resource = state.resource(JOBS)?;
    state.save(&resource, &job, value);
    None
}

/// Pods that run, that succeeded, and that are ready.
fn counts(state: &State, job: &Object) -> (i64, i64, i64) {
    let (mut active, mut succeeded, mut ready) = (0, 0, 0);
    for pod in controlled(state, job, PODS) {
        let value: Value = pod.value();
        succeeded += i64::from(json::text(&value, "status.phase") == "Succeeded");
        if !pod.deleting && !is_over(&value) {
            active += 1;
            ready += i64::from(is_ready(&value));
        }
    }
    (active, succeeded, ready)
}
