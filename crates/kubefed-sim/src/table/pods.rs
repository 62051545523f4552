//! The cells of pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    age,
    cells::{condition, list, number, string, text},
};

/// A cell of a pod.
pub(super) fn pod(column: &str, object: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let summary = || PodSummary::of(object);
    match column {
        "Ready" => {
            let summary = summary();
            json!(format!("{}/{}", summary.ready, summary.total))
        }
        "Status" => json!(summary().reason),
        "Restarts" => {
            let summary = summary();
            json!(match summary.last_restart {
                Some(time) if summary.restarts != 0 =>
                    format!("{} ({} ago)", summary.restarts, age(time, now)),
                _ => summary.restarts.to_string(),
            })
        }
        "IP" => text(&status["podIPs"][0]["ip"], "<none>"),
        "Node" => text(&spec["nodeName"], "<none>"),
        "Nominated Node" => text(&status["nominatedNodeName"], "<none>"),
        _ => {
            let gates = list(&spec["readinessGates"]);
            let open =
                |gate: &&Value| condition(status, string(&gate["conditionType"])) == Some("True");
            match gates.len() {
                0 => json!("<none>"),
                count => json!(format!("{}/{count}", gates.iter().filter(open).count())),
            }
        }
    }
}

/// What a pod's containers add up to.
struct PodSummary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    reason: String,
}

impl PodSummary {
    fn of(object: &Value) -> Self {
        let (spec, status) = (&object["spec"], &object["status"]);
        let restartable = |name: &Value| {
            let named = |container: &&Value| container["name"] == *name;
            list(&spec["initContainers"])
                .iter()
                .find(named)
                .is_some_and(|c| c["restartPolicy"] == "Always")
        };
        let sidecars = list(&spec["initContainers"])
            .iter()
            .filter(|c| c["restartPolicy"] == "Always")
            .count();
        let phase = string(&status["phase"]);
        let own_reason = string(&status["reason"]);
        let gated = list(&status["conditions"])
            .iter()
            .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
        let reason = if own_reason.is_empty() {
            phase
        } else {
            own_reason
        };
        let mut summary = Self {
            ready: 0,
            total: list(&spec["containers"]).len() + sidecars,
            restarts: 0,
            last_restart: None,
            reason: if gated { "SchedulingGated" } else { reason }.to_owned(),
        };
        let of_sidecars =
            summary.initialize(status, list(&spec["initContainers"]).len(), restartable);
        if let Some((restarts, last)) = of_sidecars {
            (summary.restarts, summary.last_restart) = (restarts, last);
            summary.run(status);
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            if status["reason"] == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !["Succeeded", "Failed"].contains(&phase) {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Looks at the init containers. Once they are through, returns the restarts of those that go on
    /// running, which are the only ones that count then.
    fn initialize(
        &mut self,
        status: &Value,
        count: usize,
        restartable: impl Fn(&Value) -> bool,
    ) -> Option<(i64, Option<Timestamp>)> {
        let mut of_sidecars = (0, None);
        let mut initializing = false;
        for (index, container) in list(&status["initContainerStatuses"]).iter().enumerate() {
            let sidecar = restartable(&container["name"]);
            self.add_restarts(container);
            if sidecar {
                of_sidecars.0 += number(&container["restartCount"]);
                of_sidecars.1 = of_sidecars.1.max(last_restart(container));
            }
            let (terminated, waiting) = (
                &container["state"]["terminated"],
                &container["state"]["waiting"],
            );
            if terminated.is_object() && number(&terminated["exitCode"]) == 0 {
                continue;
            }
            if sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waits_for = string(&waiting["reason"]);
            self.reason = if terminated.is_object() {
                format!("Init:{}", termination(terminated))
            } else if !waits_for.is_empty() && waits_for != "PodInitializing" {
                format!("Init:{waits_for}")
            } else {
                format!("Init:{index}/{count}")
            };
            initializing = true;
            break;
        }
        (!initializing || condition(status, "Initialized") == Some("True")).then_some(of_sidecars)
    }

    fn run(&mut self, status: &Value) {
        let mut running = false;
        let mut failure = String::new();
        for container in list(&status["containerStatuses"]).iter().rev() {
            self.add_restarts(container);
            let state = &container["state"];
            let waits_for = string(&state["waiting"]["reason"]);
            if !waits_for.is_empty() {
                waits_for.clone_into(&mut self.reason);
            } else if state["terminated"].is_object() {
                self.reason = termination(&state["terminated"]);
                if number(&state["terminated"]["exitCode"]) != 0 {
                    failure.clone_from(&self.reason);
                }
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && condition(status, "Ready") == Some("True") {
                self.reason = "Running".to_owned();
            } else if !failure.is_empty() {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".to_owned();
            }
        }
    }

    fn add_restarts(&mut self, container: &Value) {
        self.restarts += number(&container["restartCount"]);
        self.last_restart = self.last_restart.max(last_restart(container));
    }
}

fn last_restart(container: &Value) -> Option<Timestamp> {
    container["lastState"]["terminated"]["finishedAt"]
        .as_str()?
        .parse()
        .ok()
}

fn termination(terminated: &Value) -> String {
    match (string(&terminated["reason"]), number(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
