//! The cells of the built-in kinds.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{age, plain};

/// How many hosts of an Ingress are shown.
const HOSTS_MAX: usize = 3;

/// One cell. The server always answers as for `-o wide`: kubectl leaves out what it does not show.
pub(super) fn cell(resource: &str, column: &str, object: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let plural = resource.rsplit('/').next().unwrap_or_default();
    match (plural, column) {
        ("events", column) => event(column, object, now),
        ("storageclasses", "Name") => json!(storage_class_name(object)),
        (_, "Name") => object["metadata"]["name"].clone(),
        (_, "Age") => since(&object["metadata"]["creationTimestamp"], now),
        (_, "Created At") => object["metadata"]["creationTimestamp"].clone(),
        ("pods", column) => pod(column, object, now),
        ("nodes", column) => node(column, object),
        ("services", column) => service(column, object),
        ("jobs", column) => job(column, object, now),
        ("cronjobs", column) => cron_job(column, object, now),
        ("deployments", "Selector") => json!(selector(&spec["selector"], "")),
        ("replicationcontrollers", "Selector") => json!(labels(&spec["selector"])),
        (_, "Selector") => json!(selector(&spec["selector"], "<none>")),
        (_, "Containers") => joined(&containers(object), "name"),
        (_, "Images") => joined(&containers(object), "image"),
        ("configmaps", _) => json!(size(&object["data"]) + size(&object["binaryData"])),
        ("secrets", "Type") => text(&object["type"], ""),
        ("secrets", _) => json!(size(&object["data"])),
        ("namespaces", _) => text(&status["phase"], ""),
        ("deployments" | "statefulsets", "Ready") => {
            json!(format!(
                "{}/{}",
                number(&status["readyReplicas"]),
                number(&spec["replicas"])
            ))
        }
        ("deployments", "Up-to-date") => json!(number(&status["updatedReplicas"])),
        ("deployments", "Available") => json!(number(&status["availableReplicas"])),
        ("daemonsets", column) => daemon_set(column, object),
        (_, "Desired") => json!(number(&spec["replicas"])),
        (_, "Current") => json!(number(&status["replicas"])),
        (_, "Ready") => json!(number(&status["readyReplicas"])),
        ("ingresses", column) => ingress(column, object),
        ("endpoints", _) => json!(endpoints(object)),
        ("leases", _) => text(&spec["holderIdentity"], ""),
        ("networkpolicies", _) => json!(selector(&spec["podSelector"], "<none>")),
        _ => other(plural, column, object),
    }
}

/// Kinds that are seldom listed.
fn other(plural: &str, column: &str, object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    match (plural, column) {
        ("ingressclasses", "Controller") => text(&spec["controller"], ""),
        ("ingressclasses", _) => {
            let parameters = &spec["parameters"];
            let group = parameters["apiGroup"]
                .as_str()
                .map(|group| format!(".{group}"))
                .unwrap_or_default();
            match parameters["kind"].as_str() {
                Some(kind) => json!(format!("{kind}{group}/{}", plain(&parameters["name"]))),
                None => json!("<none>"),
            }
        }
        ("clusterrolebindings" | "rolebindings", "Role") => {
            let role = &object["roleRef"];
            json!(format!(
                "{}/{}",
                string(&role["kind"]),
                string(&role["name"])
            ))
        }
        ("clusterrolebindings" | "rolebindings", column) => json!(subjects(column, object)),
        ("poddisruptionbudgets", "Min Available") => text(&spec["minAvailable"], "N/A"),
        ("poddisruptionbudgets", "Max Unavailable") => text(&spec["maxUnavailable"], "N/A"),
        ("poddisruptionbudgets", _) => json!(number(&status["disruptionsAllowed"])),
        ("priorityclasses", "Value") => json!(number(&object["value"])),
        ("priorityclasses", "Global-Default") => json!(object["globalDefault"] == true),
        ("priorityclasses", _) => text(&object["preemptionPolicy"], ""),
        ("storageclasses", column) => storage_class(column, object),
        ("persistentvolumes" | "persistentvolumeclaims", column) => volume(plural, column, object),
        ("horizontalpodautoscalers", column) => autoscaler(column, object),
        ("endpointslices", "AddressType") => text(&object["addressType"], ""),
        ("endpointslices", "Ports") => {
            let ports = list(&object["ports"])
                .iter()
                .map(|port| text_of(&port["port"], "*"));
            limited(&ports.collect::<Vec<_>>())
        }
        ("endpointslices", _) => {
            let addresses = list(&object["endpoints"])
                .iter()
                .flat_map(|e| list(&e["addresses"]));
            limited(&addresses.map(plain).collect::<Vec<_>>())
        }
        ("controllerrevisions", "Revision") => json!(number(&object["revision"])),
        ("controllerrevisions", _) => controller(object),
        ("resourcequotas", column) => json!(quota(column, object)),
        ("podtemplates", _) => json!(labels(&object["template"]["metadata"]["labels"])),
        (_, "Webhooks") => json!(list(&object["webhooks"]).len()),
        (_, "Validations") => json!(list(&spec["validations"]).len()),
        (_, "ParamKind") => match spec["paramKind"]["kind"].as_str() {
            Some(kind) => json!(format!(
                "{}/{kind}",
                plain(&spec["paramKind"]["apiVersion"])
            )),
            None => json!("<unset>"),
        },
        (_, "PolicyName") => text(&spec["policyName"], ""),
        (_, "ParamRef") => param_ref(&spec["paramRef"]),
        _ => json!("<no cell>"),
    }
}

fn pod(column: &str, object: &Value, now: Timestamp) -> Value {
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

fn node(column: &str, object: &Value) -> Value {
    let (status, info) = (&object["status"], &object["status"]["nodeInfo"]);
    let address = |kind: &str| {
        let found = list(&status["addresses"])
            .iter()
            .find(|address| address["type"] == kind);
        found.map_or_else(|| json!("<none>"), |address| address["address"].clone())
    };
    match column {
        "Status" => {
            let ready = match condition(status, "Ready") {
                Some("True") => "Ready",
                Some(_) => "NotReady",
                None => "Unknown",
            };
            let closed = object["spec"]["unschedulable"] == true;
            json!(format!(
                "{ready}{}",
                if closed { ",SchedulingDisabled" } else { "" }
            ))
        }
        "Roles" => {
            let mut roles = BTreeSet::new();
            for (name, value) in object["metadata"]["labels"]
                .as_object()
                .into_iter()
                .flatten()
            {
                match name.strip_prefix("node-role.kubernetes.io/") {
                    Some("") => {}
                    Some(role) => _ = roles.insert(role),
                    None if name == "kubernetes.io/role" => {
                        roles.extend(value.as_str().filter(|role| !role.is_empty()));
                    }
                    None => {}
                }
            }
            let roles: Vec<_> = roles.into_iter().collect();
            json!(if roles.is_empty() {
                "<none>".to_owned()
            } else {
                roles.join(",")
            })
        }
        "Version" => text(&info["kubeletVersion"], ""),
        "Internal-IP" => address("InternalIP"),
        "External-IP" => address("ExternalIP"),
        "OS-Image" => text(&info["osImage"], "<unknown>"),
        "Kernel-Version" => text(&info["kernelVersion"], "<unknown>"),
        _ => text(&info["containerRuntimeVersion"], "<unknown>"),
    }
}

fn service(column: &str, object: &Value) -> Value {
    let spec = &object["spec"];
    match column {
        "Type" => text(&spec["type"], ""),
        "Cluster-IP" => text(&spec["clusterIPs"][0], "<none>"),
        "External-IP" => {
            let balanced = balancer_addresses(object);
            let external = list(&spec["externalIPs"]).iter().map(plain);
            let (addresses, none): (Vec<_>, _) = match string(&spec["type"]) {
                "ClusterIP" | "NodePort" => (external.collect(), "<none>"),
                "LoadBalancer" => (balanced.into_iter().chain(external).collect(), "<pending>"),
                "ExternalName" => return text(&spec["externalName"], ""),
                _ => return json!("<unknown>"),
            };
            json!(if addresses.is_empty() {
                none.to_owned()
            } else {
                addresses.join(",")
            })
        }
        "Port(s)" => {
            let port = |port: &Value| {
                let node = number(&port["nodePort"]);
                let node = if node > 0 {
                    format!(":{node}")
                } else {
                    String::new()
                };
                format!(
                    "{}{node}/{}",
                    number(&port["port"]),
                    string(&port["protocol"])
                )
            };
            let ports: Vec<_> = list(&spec["ports"]).iter().map(port).collect();
            json!(if ports.is_empty() {
                "<none>".to_owned()
            } else {
                ports.join(",")
            })
        }
        _ => json!(labels(&spec["selector"])),
    }
}

/// The addresses of a load balancer, each once, in order.
fn balancer_addresses(object: &Value) -> Vec<String> {
    let ingress = list(&object["status"]["loadBalancer"]["ingress"]).iter();
    let address = |ingress: &Value| match string(&ingress["ip"]) {
        "" => string(&ingress["hostname"]).to_owned(),
        ip => ip.to_owned(),
    };
    let addresses: BTreeSet<_> = ingress
        .map(address)
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect()
}

fn job(column: &str, object: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    match column {
        "Status" => {
            let is = |kind: &str| condition(status, kind) == Some("True");
            let deleting = !object["metadata"]["deletionTimestamp"].is_null();
            json!(match () {
                () if is("Complete") => "Complete",
                () if is("Failed") => "Failed",
                () if deleting => "Terminating",
                () if is("Suspended") => "Suspended",
                () if is("FailureTarget") => "FailureTarget",
                () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
                () => "Running",
            })
        }
        "Completions" => {
            let succeeded = number(&status["succeeded"]);
            let parallelism = number(&spec["parallelism"]);
            json!(match spec["completions"].as_i64() {
                Some(completions) => format!("{succeeded}/{completions}"),
                None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
                None => format!("{succeeded}/1"),
            })
        }
        "Duration" => {
            let time = |name: &str| status[name].as_str().and_then(|time| time.parse().ok());
            json!(
                time("startTime")
                    .map(|start| age(start, time("completionTime").unwrap_or(now)))
                    .unwrap_or_default()
            )
        }
        column => workload(column, &spec["selector"], object),
    }
}

fn cron_job(column: &str, object: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    match column {
        "Schedule" => text(&spec["schedule"], ""),
        "Timezone" => text(&spec["timeZone"], "<none>"),
        "Suspend" => match spec["suspend"].as_bool() {
            Some(suspend) => json!(if suspend { "True" } else { "False" }),
            None => json!("<unset>"),
        },
        "Active" => json!(list(&status["active"]).len()),
        "Last Schedule" if status["lastScheduleTime"].is_null() => json!("<none>"),
        "Last Schedule" => since(&status["lastScheduleTime"], now),
        column => {
            let job = &spec["jobTemplate"];
            workload(column, &job["spec"]["selector"], job)
        }
    }
}

/// The columns that are the same for everything with a pod template.
fn workload(column: &str, labels: &Value, object: &Value) -> Value {
    match column {
        "Containers" => joined(&containers(object), "name"),
        "Images" => joined(&containers(object), "image"),
        _ => json!(selector(labels, "<none>")),
    }
}

fn daemon_set(column: &str, object: &Value) -> Value {
    let count = |name: &str| json!(number(&object["status"][name]));
    match column {
        "Desired" => count("desiredNumberScheduled"),
        "Current" => count("currentNumberScheduled"),
        "Ready" => count("numberReady"),
        "Up-to-date" => count("updatedNumberScheduled"),
        "Available" => count("numberAvailable"),
        _ => json!(labels(&object["spec"]["template"]["spec"]["nodeSelector"])),
    }
}

fn ingress(column: &str, object: &Value) -> Value {
    let spec = &object["spec"];
    match column {
        "Class" => text(&spec["ingressClassName"], "<none>"),
        "Hosts" => {
            let (mut hosts, mut more) = (Vec::new(), false);
            for rule in list(&spec["rules"]) {
                more |= hosts.len() == HOSTS_MAX;
                hosts.extend(Some(string(&rule["host"])).filter(|host| !more && !host.is_empty()));
            }
            let shown = hosts.join(",");
            json!(match hosts.len() {
                0 => "*".to_owned(),
                _ if more => format!(
                    "{shown} + {} more...",
                    list(&spec["rules"]).len() - HOSTS_MAX
                ),
                _ => shown,
            })
        }
        "Address" => json!(balancer_addresses(object).join(",")),
        _ => json!(if list(&spec["tls"]).is_empty() {
            "80"
        } else {
            "80, 443"
        }),
    }
}

fn event(column: &str, object: &Value, now: Timestamp) -> Value {
    // The fields of events.k8s.io/v1 that core/v1 names differently.
    let either = |a: &str, b: &str| {
        if object[a].is_null() {
            object[b].clone()
        } else {
            object[a].clone()
        }
    };
    let involved = either("involvedObject", "regarding");
    let source = either("source", "deprecatedSource");
    let first = either("firstTimestamp", "deprecatedFirstTimestamp");
    let first = if first.is_null() {
        object["eventTime"].clone()
    } else {
        first
    };
    let series = &object["series"];
    match column {
        "Last Seen" => {
            let last = either("lastTimestamp", "deprecatedLastTimestamp");
            let last = if last.is_null() { first } else { last };
            since(
                if series.is_object() {
                    &series["lastObservedTime"]
                } else {
                    &last
                },
                now,
            )
        }
        "Type" => text(&object["type"], ""),
        "Reason" => text(&object["reason"], ""),
        "Object" => {
            let kind = string(&involved["kind"]).to_lowercase();
            match string(&involved["name"]) {
                "" => json!(kind),
                name => json!(format!("{kind}/{name}")),
            }
        }
        "Subobject" => text(&involved["fieldPath"], ""),
        "Source" => {
            let first_of = |a: &Value, b: &Value| text_of(a, string(b));
            let reporting = either("reportingComponent", "reportingController");
            let component = first_of(&source["component"], &reporting);
            let instance = first_of(&source["host"], &object["reportingInstance"]);
            json!(if instance.is_empty() {
                component
            } else {
                format!("{component}, {instance}")
            })
        }
        "Message" => json!(string(&either("message", "note")).trim()),
        "First Seen" => since(&first, now),
        "Count" => {
            let count = number(&either("count", "deprecatedCount"));
            json!(if series.is_object() {
                number(&series["count"])
            } else {
                count.max(1)
            })
        }
        _ => object["metadata"]["name"].clone(),
    }
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(&object["subsets"]) {
        let addresses = list(&subset["addresses"]);
        if list(&subset["ports"]).is_empty() {
            all.extend(addresses.iter().map(|address| plain(&address["ip"])));
        }
        for port in list(&subset["ports"]) {
            let port = number(&port["port"]);
            all.extend(
                addresses
                    .iter()
                    .map(|address| match string(&address["ip"]) {
                        ip if ip.contains(':') => format!("[{ip}]:{port}"),
                        ip => format!("{ip}:{port}"),
                    }),
            );
        }
    }
    if list(&object["subsets"]).is_empty() {
        return "<none>".to_owned();
    }
    let shown = all.iter().take(3).cloned().collect::<Vec<_>>().join(",");
    if all.len() > 3 {
        format!("{shown} + {} more...", all.len() - 3)
    } else {
        shown
    }
}

fn limited(all: &[String]) -> Value {
    let shown = all.iter().take(3).cloned().collect::<Vec<_>>().join(",");
    json!(match all.len() {
        0 => "<unset>".to_owned(),
        1..=3 => shown,
        count => format!("{shown} + {} more...", count - 3),
    })
}

fn volume(plural: &str, column: &str, object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let claim = plural == "persistentvolumeclaims";
    let bound = !claim || !string(&spec["volumeName"]).is_empty();
    match column {
        "Status" if !object["metadata"]["deletionTimestamp"].is_null() => json!("Terminating"),
        "Status" => text(&status["phase"], ""),
        "Volume" => text(&spec["volumeName"], ""),
        "Capacity" if claim && bound => text(&status["capacity"]["storage"], "0"),
        "Capacity" if claim => json!(""),
        "Capacity" => text(&spec["capacity"]["storage"], "0"),
        "Access Modes" if claim && bound => json!(access_modes(&status["accessModes"])),
        "Access Modes" if claim => json!(""),
        "Access Modes" => json!(access_modes(&spec["accessModes"])),
        "Reclaim Policy" => text(&spec["persistentVolumeReclaimPolicy"], ""),
        "Claim" => match string(&spec["claimRef"]["name"]) {
            "" => json!(""),
            name => json!(format!("{}/{name}", string(&spec["claimRef"]["namespace"]))),
        },
        "StorageClass" => {
            let annotation =
                &object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
            json!(text_of(annotation, string(&spec["storageClassName"])))
        }
        "VolumeAttributesClass" => text(&spec["volumeAttributesClassName"], "<unset>"),
        "Reason" => text(&status["reason"], ""),
        _ => text(&spec["volumeMode"], "<unset>"),
    }
}

/// The short names, in a fixed order.
fn access_modes(modes: &Value) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |(mode, _): &&(&str, &str)| list(modes).iter().any(|known| known == mode);
    short
        .iter()
        .filter(has)
        .map(|(_, short)| *short)
        .collect::<Vec<_>>()
        .join(",")
}

fn storage_class_name(object: &Value) -> String {
    let annotations = &object["metadata"]["annotations"];
    let default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .iter()
    .any(|name| annotations[*name] == "true");
    format!(
        "{}{}",
        string(&object["metadata"]["name"]),
        if default { " (default)" } else { "" }
    )
}

fn storage_class(column: &str, object: &Value) -> Value {
    match column {
        "Provisioner" => text(&object["provisioner"], ""),
        "ReclaimPolicy" => text(&object["reclaimPolicy"], "Delete"),
        "VolumeBindingMode" => text(&object["volumeBindingMode"], "Immediate"),
        _ => json!(object["allowVolumeExpansion"] == true),
    }
}

fn autoscaler(column: &str, object: &Value) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    match column {
        "Reference" => {
            let target = &spec["scaleTargetRef"];
            json!(format!(
                "{}/{}",
                string(&target["kind"]),
                string(&target["name"])
            ))
        }
        "Targets" => json!(targets(
            list(&spec["metrics"]),
            list(&status["currentMetrics"])
        )),
        "MinPods" => text(&spec["minReplicas"], "<unset>"),
        "MaxPods" => json!(number(&spec["maxReplicas"])),
        _ => json!(number(&status["currentReplicas"])),
    }
}

/// Current and wanted value of the first two metrics.
fn targets(wanted: &[Value], current: &[Value]) -> String {
    if wanted.is_empty() {
        return "<none>".to_owned();
    }
    let part = |(index, metric): (usize, &Value)| {
        let kind = string(&metric["type"]);
        let field = match kind {
            "" => "resource".to_owned(),
            kind => {
                let mut letters = kind.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                first.into_iter().chain(letters).collect()
            }
        };
        let (target, now) = (
            &metric[&*field]["target"],
            &current.get(index).unwrap_or(&Value::Null)[&*field]["current"],
        );
        let name = match string(&metric[&*field]["name"]) {
            "" => String::new(),
            name => format!("{name}: "),
        };
        let percent = |value: &Value| value.as_i64().map(|value| format!("{value}%"));
        let amount = |value: &Value, field: &str| value.get(field).map(plain);
        let value = |value: &Value| {
            percent(&value["averageUtilization"])
                .or_else(|| amount(value, "averageValue"))
                .or_else(|| amount(value, "value"))
                .unwrap_or_else(|| "<unknown>".to_owned())
        };
        let unknown = "<unknown>".to_owned();
        let now = if target["averageUtilization"].is_null() {
            value(now)
        } else {
            percent(&now["averageUtilization"]).unwrap_or(unknown)
        };
        format!("{name}{now}/{}", value(target))
    };
    let parts: Vec<_> = wanted.iter().enumerate().take(2).map(part).collect();
    let shown = parts.join(", ");
    if wanted.len() > 2 {
        format!("{shown} + {} more...", wanted.len() - 2)
    } else {
        shown
    }
}

fn subjects(column: &str, object: &Value) -> String {
    let kind = match column {
        "Users" => "User",
        "Groups" => "Group",
        _ => "ServiceAccount",
    };
    let named = list(&object["subjects"])
        .iter()
        .filter(|subject| subject["kind"] == kind);
    let name = |subject: &Value| match string(&subject["namespace"]) {
        namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
            format!("{namespace}/{}", string(&subject["name"]))
        }
        _ => string(&subject["name"]).to_owned(),
    };
    named.map(name).collect::<Vec<_>>().join(", ")
}

fn controller(object: &Value) -> Value {
    let owners = list(&object["metadata"]["ownerReferences"]);
    let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) else {
        return json!("<none>");
    };
    let group = string(&owner["apiVersion"])
        .split_once('/')
        .map(|(group, _)| format!(".{group}"));
    let kind = string(&owner["kind"]).to_lowercase();
    json!(format!(
        "{kind}{}/{}",
        group.unwrap_or_default(),
        string(&owner["name"])
    ))
}

fn quota(column: &str, object: &Value) -> String {
    let (hard, used) = (&object["status"]["hard"], &object["status"]["used"]);
    let limits = column == "Limit";
    let mut names: Vec<_> = hard
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    let kept = names
        .into_iter()
        .filter(|name| name.starts_with("limits") == limits);
    let part = |name: &String| {
        format!(
            "{name}: {}/{}",
            text_of(&used[name], "0"),
            plain(&hard[name])
        )
    };
    kept.map(part).collect::<Vec<_>>().join(", ")
}

fn param_ref(reference: &Value) -> Value {
    let namespace = text_of(&reference["namespace"], "*");
    match string(&reference["name"]) {
        _ if reference.is_null() => json!("<unset>"),
        "" => json!(format!(
            "{namespace}/{}",
            selector(&reference["selector"], "<none>")
        )),
        name => json!(format!("{namespace}/{name}")),
    }
}

/// Labels as `a=b,c=d`.
fn labels(labels: &Value) -> String {
    let mut pairs: Vec<_> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", string(value)))
        .collect();
    pairs.sort();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

/// A label selector in the form that queries have.
fn selector(selector: &Value, empty: &str) -> String {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<(String, String)> = equal
        .map(|(name, value)| (name.clone(), format!("{name}={}", string(value))))
        .collect();
    for expression in list(&selector["matchExpressions"]) {
        let key = string(&expression["key"]);
        let mut values: Vec<_> = list(&expression["values"]).iter().map(string).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match string(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|(a, _), (b, _)| a.cmp(b));
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    if parts.is_empty() {
        empty.to_owned()
    } else {
        parts.join(",")
    }
}

fn containers(object: &Value) -> Vec<Value> {
    let template = match &object["template"] {
        Value::Null => &object["spec"]["template"],
        template => template,
    };
    list(&template["spec"]["containers"]).to_vec()
}

fn joined(items: &[Value], field: &str) -> Value {
    json!(
        items
            .iter()
            .map(|item| string(&item[field]))
            .collect::<Vec<_>>()
            .join(",")
    )
}

/// The status of a condition.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
    list(&status["conditions"])
        .iter()
        .find(|c| c["type"] == kind)
        .map(|c| string(&c["status"]))
}

fn since(time: &Value, now: Timestamp) -> Value {
    match time.as_str().map(str::parse) {
        Some(Ok(time)) => json!(age(time, now)),
        _ => json!("<unknown>"),
    }
}

fn text(value: &Value, otherwise: &str) -> Value {
    json!(text_of(value, otherwise))
}

fn text_of(value: &Value, otherwise: &str) -> String {
    match value {
        Value::Null => otherwise.to_owned(),
        Value::String(text) if text.is_empty() => otherwise.to_owned(),
        value => plain(value),
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, Map::len)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
