//! The kubelets: scheduled pods start, become ready, end and stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::DeleteOptions;
use crate::behaviour::pods::{PODS, is_over, is_ready};
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::Condition;
use crate::json;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Kubelets,
    concerns,
    reconcile,
};

/// The next step in the life of a pod, and when it is taken.
#[derive(Debug, Default)]
pub(crate) struct Kubelets {
    due: BTreeMap<Locator, (Step, Duration)>,
    addresses: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    BecomeReady,
    Finish,
    Stop,
}

fn concerns(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    let known = state
        .kubelets
        .due
        .contains_key(&(table.clone(), change.new.key.clone()));
    if **table == *PODS && (!change.removed || known) {
        return vec![(table.clone(), change.new.key.clone())];
    }
    Vec::new()
}

fn reconcile(state: &mut State, locator: &Locator) -> Option<Duration> {
    let Some(pod) = state.store.get(PODS, &locator.1).cloned() else {
        state.kubelets.due.remove(locator);
        return None;
    };
    let mut value = pod.value();
    let step = next_step(state, &value, pod.deleting)?;
    if let Some(wait) = wait_for(state, locator, step) {
        return Some(wait);
    }
    let resource = state.resource(PODS)?;
    if step == Step::Stop {
        let now = DeleteOptions {
            grace: Some(0),
            ..DeleteOptions::default()
        };
        // The pod was read under the same lock, so it is there.
        let _ = state.delete_object(&resource, &pod.key, &now);
        return None;
    }
    take_step(state, step, &mut value);
    state.save(&resource, &pod, value);
    None
}

fn next_step(state: &State, pod: &Value, deleting: bool) -> Option<Step> {
    if json::text(pod, "spec.nodeName").is_empty() {
        return None;
    }
    let finishes = json::text(pod, "spec.restartPolicy") != "Always";
    match json::text(pod, "status.phase") {
        // Only its grace period holds it: finalizers are not the kubelet's business.
        _ if deleting => (json::number(pod, "metadata.deletionGracePeriodSeconds") != Some(0))
            .then_some(Step::Stop),
        "Pending"
            if !unpullable(state, pod)
                || json::items(pod, "status.containerStatuses").is_empty() =>
        {
            Some(Step::Start)
        }
        "Running" if !is_ready(pod) => Some(Step::BecomeReady),
        "Running" if finishes => Some(Step::Finish),
        _ => None,
    }
}

/// How long the step still has to wait; the first question starts the wait.
fn wait_for(state: &mut State, locator: &Locator, step: Step) -> Option<Duration> {
    let now = state.clock.elapsed();
    let delay = match step {
        Step::Start => state.options.pods.start,
        Step::BecomeReady => state.options.pods.ready,
        Step::Finish => state.options.pods.run,
        Step::Stop => state.options.pods.stop,
    };
    let due = match state.kubelets.due.get(locator) {
        Some((pending, due)) if *pending == step => *due,
        _ => now + delay,
    };
    if due > now {
        state.kubelets.due.insert(locator.clone(), (step, due));
        return Some(due - now);
    }
    state.kubelets.due.remove(locator);
    None
}

fn unpullable(state: &State, pod: &Value) -> bool {
    let broken = |image: &str| {
        state
            .options
            .unpullable
            .iter()
            .any(|prefix| image.starts_with(prefix))
    };
    json::items(pod, "spec.containers")
        .iter()
        .any(|container| broken(json::text(container, "image")))
}

fn take_step(state: &mut State, step: Step, pod: &mut Value) {
    let now = state.timestamp();
    match step {
        Step::Start if unpullable(state, pod) => {
            let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
            set_containers(pod, &waiting, false);
            set_readiness(pod, false, &now);
        }
        Step::Start => {
            state.kubelets.addresses += 1;
            let number = state.kubelets.addresses;
            let address = format!("10.244.{}.{}", number / 250 % 250, number % 250 + 1);
            json::put(pod, "status.phase", "Running");
            json::put(pod, "status.startTime", now.clone());
            json::put(pod, "status.podIP", address.clone());
            json::put(pod, "status.podIPs", json!([{ "ip": address }]));
            set_containers(pod, &json!({ "running": { "startedAt": now } }), false);
            set_readiness(pod, false, &now);
        }
        Step::BecomeReady => {
            let running = json::at(pod, "status.containerStatuses")
                .map(|statuses| statuses[0]["state"].clone());
            set_containers(pod, &running.unwrap_or_default(), true);
            set_readiness(pod, true, &now);
        }
        Step::Finish => {
            json::put(pod, "status.phase", "Succeeded");
            let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": now } });
            set_containers(pod, &ended, false);
            set_readiness(pod, false, &now);
        }
        Step::Stop => {}
    }
    debug_assert!(step != Step::Finish || is_over(pod));
}

fn set_containers(pod: &mut Value, state: &Value, ready: bool) {
    let statuses: Vec<Value> = json::items(pod, "spec.containers")
        .iter()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0,
                "ready": ready, "started": ready, "state": state, "lastState": {},
            })
        })
        .collect();
    json::put(pod, "status.containerStatuses", statuses);
}

fn set_readiness(pod: &mut Value, ready: bool, now: &str) {
    Condition::new("Initialized", true, "", "").set(pod, now);
    let (reason, message) = match (ready, json::text(pod, "status.phase")) {
        (true, _) => ("", ""),
        (false, "Succeeded") => ("PodCompleted", ""),
        (false, _) => ("ContainersNotReady", "containers are not ready"),
    };
    for kind in ["Ready", "ContainersReady"] {
        Condition::new(kind, ready, reason, message).set(pod, now);
    }
}
