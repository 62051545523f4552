//! The cells of the built-in kinds.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{age, plain, pods::pod, seldom};

/// How many hosts of an Ingress are shown.
const HOSTS_MAX: usize = 3;

/// One cell. The server always answers as for `-o wide`: kubectl leaves out what it does not show.
pub(super) fn cell(resource: &str, column: &str, object: &Value, now: Timestamp) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let plural = resource.rsplit('/').next().unwrap_or_default();
    match (plural, column) {
        ("events", column) => event(column, object, now),
        ("storageclasses", "Name") => json!(seldom::storage_class_name(object)),
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
        _ => seldom::cell(plural, column, object),
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

/// Labels as `a=b,c=d`.
pub(super) fn labels(labels: &Value) -> String {
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
pub(super) fn selector(selector: &Value, empty: &str) -> String {
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
pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
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

pub(super) fn text(value: &Value, otherwise: &str) -> Value {
    json!(text_of(value, otherwise))
}

pub(super) fn text_of(value: &Value, otherwise: &str) -> String {
    match value {
        Value::Null => otherwise.to_owned(),
        Value::String(text) if text.is_empty() => otherwise.to_owned(),
        value => plain(value),
    }
}

pub(super) fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, Map::len)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
