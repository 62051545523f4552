//! The scheduler: pods go to the node with the most room, and wait where there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::behaviour::pods::{PODS, is_over};
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::Condition;
use crate::json;
use crate::object::Object;
use crate::quantity;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Scheduler,
    concerns,
    reconcile,
};

const NODES: &str = "nodes";

/// What is used on each node, and the pods that wait for room.
#[derive(Debug, Default)]
pub(crate) struct Scheduling {
    used: BTreeMap<String, Amounts>,
    waiting: BTreeSet<Locator>,
}

/// Amounts of CPU and memory in thousandths, and of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    cpu: i128,
    memory: i128,
    pods: i128,
}

impl Scheduling {
    /// Keeps the sums up to date with a change of a pod.
    pub(crate) fn observe(&mut self, table: &str, change: &Change) {
        if table != PODS {
            return;
        }
        if let Some(old) = &change.old {
            self.count(&old.value(), -1);
        }
        if !change.removed {
            self.count(&change.new.value(), 1);
        }
    }

    fn count(&mut self, pod: &Value, sign: i128) {
        let node = json::text(pod, "spec.nodeName");
        if node.is_empty() || is_over(pod) {
            return;
        }
        let requested = requested(pod);
        let used = self.used.entry(node.to_owned()).or_default();
        used.cpu += sign * requested.cpu;
        used.memory += sign * requested.memory;
        used.pods += sign;
    }
}

fn concerns(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        // Room has been made: whoever waits may try again.
        PODS if change.removed => state.scheduling.waiting.iter().cloned().collect(),
        PODS => vec![(table.clone(), change.new.key.clone())],
        NODES => state.scheduling.waiting.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

fn reconcile(state: &mut State, locator: &Locator) -> Option<Duration> {
    state.scheduling.waiting.remove(locator);
    let pod = state
        .store
        .get(PODS, &locator.1)
        .filter(|pod| !pod.deleting)?
        .clone();
    let mut value = pod.value();
    let scheduler = json::text(&value, "spec.schedulerName");
    if !json::text(&value, "spec.nodeName").is_empty() || scheduler != "default-scheduler" {
        return None;
    }
    let now = state.timestamp();
    match place(state, &value) {
        Ok(node) => {
            json::put(&mut value, "spec.nodeName", node);
            Condition::new("PodScheduled", true, "", "").set(&mut value, &now);
        }
        Err(message) => {
            state.scheduling.waiting.insert(locator.clone());
            Condition::new("PodScheduled", false, "Unschedulable", &message).set(&mut value, &now);
        }
    }
    let resource = state.resource(PODS)?;
    state.save(&resource, &pod, value);
    None
}

/// The node for a pod, or why there is none.
fn place(state: &State, pod: &Value) -> Result<String, String> {
    let wanted = requested(pod);
    let nodes: Vec<Arc<Object>> = state.store.list(NODES, None).cloned().collect();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut best: Option<(i128, String)> = None;
    for node in &nodes {
        let value = node.value();
        let used = state
            .scheduling
            .used
            .get(node.key.name())
            .copied()
            .unwrap_or_default();
        match fit(&value, pod, wanted, used) {
            Ok(room) if best.as_ref().is_none_or(|(most, _)| room > *most) => {
                best = Some((room, node.key.name().to_owned()));
            }
            Ok(_) => {}
            Err(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    best.map(|(_, node)| node).ok_or_else(|| {
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        format!(
            "0/{} nodes are available: {}.",
            nodes.len(),
            reasons.join(", ")
        )
    })
}

/// How much room a node has left after the pod, as a share of its capacity in millionths.
fn fit(node: &Value, pod: &Value, wanted: Amounts, used: Amounts) -> Result<i128, &'static str> {
    let ready = crate::conditions::holds(node, "Ready");
    let tainted = json::items(node, "spec.taints")
        .iter()
        .any(|taint| taint["effect"] != json!("PreferNoSchedule"));
    if node["spec"]["unschedulable"] == json!(true) {
        return Err("node(s) were unschedulable");
    }
    if !ready || tainted {
        return Err("node(s) had untolerated taint(s)");
    }
    let labels = &node["metadata"]["labels"];
    for (key, label) in json::at(pod, "spec.nodeSelector")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if labels[key] != *label {
            return Err("node(s) didn't match Pod's node affinity/selector");
        }
    }
    let capacity = amounts(&node["status"]["allocatable"]);
    let left = Amounts {
        cpu: capacity.cpu - used.cpu - wanted.cpu,
        memory: capacity.memory - used.memory - wanted.memory,
        pods: capacity.pods / 1_000 - used.pods - 1,
    };
    match left {
        _ if left.pods < 0 => Err("Too many pods"),
        _ if left.cpu < 0 => Err("Insufficient cpu"),
        _ if left.memory < 0 => Err("Insufficient memory"),
        _ => {
            let share = |left: i128, whole: i128| left * 1_000_000 / whole.max(1);
            let pods = share(left.pods, capacity.pods / 1_000);
            Ok(share(left.cpu, capacity.cpu) + share(left.memory, capacity.memory) + pods)
        }
    }
}

/// What the containers of a pod ask for together; init containers run one at a time before them.
fn requested(pod: &Value) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"]["requests"]);
    let mut sum = Amounts::default();
    for container in json::items(pod, "spec.containers") {
        let request = of(container);
        sum.cpu += request.cpu;
        sum.memory += request.memory;
    }
    for container in json::items(pod, "spec.initContainers") {
        let request = of(container);
        sum.cpu = sum.cpu.max(request.cpu);
        sum.memory = sum.memory.max(request.memory);
    }
    sum
}

fn amounts(list: &Value) -> Amounts {
    let amount = |name: &str| match &list[name] {
        Value::String(text) => quantity::millis(text).unwrap_or(0),
        Value::Number(number) => quantity::millis(&number.to_string()).unwrap_or(0),
        _ => 0,
    };
    Amounts {
        cpu: amount("cpu"),
        memory: amount("memory"),
        pods: amount("pods"),
    }
}
