//! A ReplicaSet keeps its number of pods.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::DeleteOptions;
use crate::behaviour::pods::{PODS, controlled, create_pod, is_over, is_ready, itself_or_owner};
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::Condition;
use crate::json;
use crate::object::Object;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Workloads,
    concerns,
    reconcile,
};
pub(super) const REPLICA_SETS: &str = "replicasets.apps";

fn concerns(_: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        REPLICA_SETS | PODS => itself_or_owner(table, change, REPLICA_SETS, "ReplicaSet"),
        _ => Vec::new(),
    }
}

fn reconcile(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let set = state.store.get(table, key)?.clone();
    let value = set.value();
    let wanted = usize::try_from(json::number(&value, "spec.replicas").unwrap_or(1)).unwrap_or(0);
    let mut pods = active(state, &set);
    let mut failure = None;
    if !set.deleting {
        for _ in pods.len()..wanted {
            if let Err(refusal) = create_pod(state, &set, &value, ("apps/v1", "ReplicaSet"), None) {
                failure = Some(refusal.message);
                break;
            }
        }
        if pods.len() > wanted {
            // Pods that serve nobody go first, then the youngest.
            pods.sort_by_key(|(pod, value)| {
                (
                    is_ready(value),
                    !json::text(value, "spec.nodeName").is_empty(),
                    std::cmp::Reverse(pod.revision),
                )
            });
            let pod_resource = state.resource(PODS)?;
            for (pod, _) in pods.iter().take(pods.len() - wanted) {
                // The pod was read under the same lock, so it is there.
                let _ = state.delete_object(&pod_resource, &pod.key, &DeleteOptions::default());
            }
        }
    }
    report(state, &set, value, failure.as_deref());
    None
}

/// Pods that count: neither over nor on their way out.
fn active(state: &State, set: &Object) -> Vec<(Arc<Object>, Value)> {
    controlled(state, set, PODS)
        .into_iter()
        .filter(|pod| !pod.deleting)
        .map(|pod| (pod.clone(), pod.value()))
        .filter(|(_, value)| !is_over(value))
        .collect()
}

fn report(state: &mut State, set: &Arc<Object>, mut value: Value, failure: Option<&str>) {
    let pods = active(state, set);
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let generation = json::number(&value, "metadata.generation").unwrap_or(0);
    let mut status = json!({ "replicas": pods.len(), "observedGeneration": generation });
    for (field, count) in [
        ("fullyLabeledReplicas", pods.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    json::copy(&value["status"], &mut status, "conditions");
    json::put(&mut value, "status", status);
    match failure {
        Some(message) => {
            let now = state.timestamp();
            Condition::new("ReplicaFailure", true, "FailedCreate", message).set(&mut value, &now);
        }
        None => drop(json::take(&mut value, "status.conditions")),
    }
    if let Some(resource) = state.resource(REPLICA_SETS) {
        state.save(&resource, set, value);
    }
}
