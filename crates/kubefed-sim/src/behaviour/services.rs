//! Addresses from outside, and the endpoints behind a Service.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::behaviour::pods::{PODS, controlled, controller_reference, is_over, is_ready};
use crate::behaviour::{Behaviour, Loop};
use crate::json;
use crate::object::Object;
use crate::selector::Selector;
use crate::state::State;
use crate::store::{Change, Locator};

/// Gives load balancers and ingresses an address.
pub(super) const ADDRESSES_LOOP: Loop = Loop {
    part: Behaviour::LoadBalancers,
    concerns: concerns_address,
    reconcile: give_address,
};

/// Lists the ready pods behind each service.
pub(super) const ENDPOINTS_LOOP: Loop = Loop {
    part: Behaviour::Endpoints,
    concerns: concerns_endpoints,
    reconcile: list_endpoints,
};

const SERVICES: &str = "services";
const INGRESSES: &str = "ingresses.networking.k8s.io";
const SLICES: &str = "endpointslices.discovery.k8s.io";
const ENDPOINTS: &str = "endpoints";

fn concerns_address(_: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    let concerned = matches!(&**table, SERVICES | INGRESSES) && !change.removed;
    concerned
        .then(|| (table.clone(), change.new.key.clone()))
        .into_iter()
        .collect()
}

fn give_address(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let object = state
        .store
        .get(table, key)
        .filter(|object| !object.deleting)?
        .clone();
    let mut value = object.value();
    let wanted = **table == *INGRESSES || json::text(&value, "spec.type") == "LoadBalancer";
    let has = !json::items(&value, "status.loadBalancer.ingress").is_empty();
    match (wanted, has) {
        (true, false) => {
            let address = state.addresses.outside();
            json::put(
                &mut value,
                "status.loadBalancer.ingress",
                json!([{ "ip": address }]),
            );
        }
        (false, true) => json::put(&mut value, "status.loadBalancer", json!({})),
        _ => return None,
    }
    let resource = state.resource(table)?;
    state.save(&resource, &object, value);
    None
}

fn concerns_endpoints(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        SERVICES => vec![(table.clone(), change.new.key.clone())],
        PODS => state
            .store
            .list(SERVICES, change.new.key.namespace())
            .map(|service| (SERVICES.into(), service.key.clone()))
            .collect(),
        _ => Vec::new(),
    }
}

fn list_endpoints(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let endpoints = state.store.get(ENDPOINTS, key).cloned();
    let Some(service) = state
        .store
        .get(table, key)
        .filter(|service| !service.deleting)
        .cloned()
    else {
        // Endpoints have no owner reference; slices have, and the garbage collector follows it.
        if endpoints.is_some() {
            state.store.remove(&ENDPOINTS.into(), key);
        }
        return None;
    };
    let value = service.value();
    let selector = json::at(&value, "spec.selector")?;
    let selector = Selector::from_object(selector);
    let pods: Vec<Value> = state
        .store
        .list(PODS, key.namespace())
        .map(|pod| pod.value())
        .filter(|pod| selector.matches_labels(&pod["metadata"]["labels"]))
        .filter(|pod| !is_over(pod) && !json::text(pod, "status.podIP").is_empty())
        .collect();
    write_slice(state, &service, &value, &pods);
    write_endpoints(state, &service, &value, &pods, endpoints.as_deref());
    None
}

fn target(pod: &Value) -> Value {
    let meta = &pod["metadata"];
    json!({ "kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"] })
}

/// The ports of a service as its pods have them; a port by name is looked up in the first pod.
fn ports(service: &Value, pods: &[Value]) -> Vec<Value> {
    let named = |name: &str| {
        let containers = pods
            .first()
            .map_or(&[] as &[Value], |pod| json::items(pod, "spec.containers"));
        let ports = containers
            .iter()
            .flat_map(|container| json::items(container, "ports"));
        ports
            .into_iter()
            .find(|port| json::text(port, "name") == name)
            .map(|port| port["containerPort"].clone())
    };
    json::items(service, "spec.ports")
        .iter()
        .filter_map(|port| {
            let number = match &port["targetPort"] {
                Value::String(name) => named(name)?,
                Value::Null => port["port"].clone(),
                number => number.clone(),
            };
            let mut entry = json!({ "port": number, "protocol": port["protocol"] });
            json::copy(port, &mut entry, "name");
            Some(entry)
        })
        .collect()
}

fn write_slice(state: &mut State, service: &Object, value: &Value, pods: &[Value]) {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let ready = is_ready(pod);
            let leaving = json::at(pod, "metadata.deletionTimestamp").is_some();
            json!({
                "addresses": [pod["status"]["podIP"]], "nodeName": pod["spec"]["nodeName"], "targetRef": target(pod),
                "conditions": { "ready": ready && !leaving, "serving": ready, "terminating": leaving },
            })
        })
        .collect();
    let ports: Vec<Value> = ports(value, pods)
        .into_iter()
        .map(|mut port| {
            if port.get("name").is_none() {
                port["name"] = json!("");
            }
            port
        })
        .collect();
    let Some(resource) = state.resource(SLICES) else {
        return;
    };
    match controlled(state, service, SLICES).into_iter().next() {
        Some(slice) => {
            let mut new = slice.value();
            json::put(&mut new, "endpoints", endpoints);
            json::put(&mut new, "ports", ports);
            state.modify(&resource, &slice, new);
        }
        None => {
            let slice = json!({
                "metadata": {
                    "generateName": format!("{}-", service.key.name()),
                    "labels": {
                        "kubernetes.io/service-name": service.key.name(),
                        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                    },
                    "ownerReferences": [controller_reference(service, ("v1", "Service"))],
                },
                "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            });
            // Refused only while the namespace goes.
            let _ = state.insert(SLICES, service.key.namespace(), slice);
        }
    }
}

fn write_endpoints(
    state: &mut State,
    service: &Object,
    value: &Value,
    pods: &[Value],
    old: Option<&Object>,
) {
    let addresses = |ready: bool| -> Vec<Value> {
        let chosen = pods.iter().filter(|pod| is_ready(pod) == ready);
        let chosen = chosen.filter(|pod| json::at(pod, "metadata.deletionTimestamp").is_none());
        chosen
            .map(|pod| {
                json!({ "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target(pod) })
            })
            .collect()
    };
    let mut subset = json!({ "ports": ports(value, pods) });
    let mut any = false;
    for (field, list) in [
        ("addresses", addresses(true)),
        ("notReadyAddresses", addresses(false)),
    ] {
        if !list.is_empty() {
            any = true;
            subset[field] = json!(list);
        }
    }
    let subsets = if any { json!([subset]) } else { Value::Null };
    match old {
        Some(old) => {
            let mut new = old.value();
            json::copy(&json!({ "subsets": subsets }), &mut new, "subsets");
            if let Some(resource) = state.resource(ENDPOINTS) {
                state.save(&resource, old, new);
            }
        }
        None => {
            let mut new = json!({ "metadata": { "name": service.key.name() } });
            if any {
                new["subsets"] = subsets;
            }
            json::copy(&value["metadata"], &mut new["metadata"], "labels");
            // Refused only while the namespace goes.
            let _ = state.insert(ENDPOINTS, service.key.namespace(), new);
        }
    }
}

/// The addresses that a cluster hands out.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    inside: BTreeSet<u32>,
    ports: BTreeSet<u16>,
    outside: u32,
}

/// 10.96.0.0/16 and 30000-32767, the usual ranges.
const INSIDE: u32 = (10 << 24) | (96 << 16);
const PORTS: RangeInclusive<u16> = 30_000..=32_767;

impl Addresses {
    /// Clusters of different names begin far apart, so that their load balancers rarely share one.
    pub(crate) fn new(cluster: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        cluster.hash(&mut hasher);
        let outside = u32::try_from(hasher.finish() % 0x3f_ffff).unwrap_or(0);
        Self {
            outside,
            ..Self::default()
        }
    }

    /// Keeps what is taken up to date with a change of a service.
    pub(crate) fn observe(&mut self, table: &str, change: &Change) {
        if table != SERVICES {
            return;
        }
        let facts = |object: &Object| {
            let value = object.value();
            let ports: Vec<u16> = json::items(&value, "spec.ports")
                .iter()
                .filter_map(|port| {
                    json::number(port, "nodePort").and_then(|port| u16::try_from(port).ok())
                })
                .collect();
            let address = json::text(&value, "spec.clusterIP")
                .parse::<Ipv4Addr>()
                .ok();
            (address.map(u32::from), ports)
        };
        if let Some(old) = &change.old {
            let (address, ports) = facts(old);
            address.map(|address| self.inside.remove(&address));
            self.ports.retain(|port| !ports.contains(port));
        }
        if !change.removed {
            let (address, ports) = facts(&change.new);
            self.inside.extend(address);
            self.ports.extend(ports);
        }
    }

    pub(crate) fn is_taken(&self, address: Ipv4Addr) -> bool {
        self.inside.contains(&u32::from(address))
    }

    pub(crate) fn is_port_taken(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// A free address for a service; none once all 65,533 are taken.
    pub(crate) fn inside(&self) -> Option<String> {
        let after = self
            .inside
            .last()
            .map_or(INSIDE + 1, |last| last + 1)
            .max(INSIDE + 2);
        let free = |address: &u32| !self.inside.contains(address);
        let found = (after..INSIDE + 0xffff)
            .find(free)
            .or_else(|| (INSIDE + 2..INSIDE + 0xffff).find(free))?;
        Some(Ipv4Addr::from(found).to_string())
    }

    /// A free port of the nodes, none of `besides`.
    pub(crate) fn port(&self, besides: &[i64]) -> Option<u16> {
        PORTS
            .into_iter()
            .find(|port| !self.ports.contains(port) && !besides.contains(&i64::from(*port)))
    }

    /// The next address of a load balancer, from 100.64.0.0/10, which no network of the world routes.
    fn outside(&mut self) -> String {
        self.outside = (self.outside + 1) % 0x3f_ffff;
        Ipv4Addr::from((100 << 24) | (64 << 16) | self.outside).to_string()
    }
}
