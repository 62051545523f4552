//! Services get their addresses and node ports with the write itself.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::admission::{Admission, defaults};
use crate::json;
use crate::refusal::{Cause, Refusal, unsupported};

pub(crate) fn service(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    defaults::fill(admission.new, "services");
    keep_allocations(admission);
    check(admission)?;
    let kind = json::text(admission.new, "spec.type").to_owned();
    if kind == "ExternalName" {
        for field in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            json::take(admission.new, &format!("spec.{field}"));
        }
    } else {
        allocate_address(admission)?;
    }
    allocate_ports(admission, matches!(&*kind, "NodePort" | "LoadBalancer"))?;
    if admission.old.is_none() {
        json::put(admission.new, "status", json!({ "loadBalancer": {} }));
    }
    Ok(())
}

/// The defaults that depend on the type, and the ports that pods listen on.
pub(super) fn set_defaults(service: &mut Value) {
    let kind = json::text(service, "spec.type").to_owned();
    fill_ports(service);
    let defaults: &[(&str, Value)] = match &*kind {
        "ExternalName" => &[],
        "LoadBalancer" => &[
            ("internalTrafficPolicy", json!("Cluster")),
            ("externalTrafficPolicy", json!("Cluster")),
            ("allocateLoadBalancerNodePorts", json!(true)),
        ],
        "NodePort" => &[
            ("internalTrafficPolicy", json!("Cluster")),
            ("externalTrafficPolicy", json!("Cluster")),
        ],
        _ => &[("internalTrafficPolicy", json!("Cluster"))],
    };
    for (field, value) in defaults {
        let path = format!("spec.{field}");
        if json::at(service, &path).is_none() {
            json::put(service, &path, value.clone());
        }
    }
}

fn check(admission: &Admission<'_>) -> Result<(), Refusal> {
    let kind = json::text(admission.new, "spec.type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        return Err(admission.invalid(unsupported("spec.type", kind, &kinds)));
    }
    let headless = json::text(admission.new, "spec.clusterIP") == "None";
    let ports = json::items(admission.new, "spec.ports");
    if ports.is_empty() && kind != "ExternalName" && !headless {
        return Err(admission.invalid(Cause::required("spec.ports", "")));
    }
    for (index, port) in ports.iter().enumerate() {
        if ports.len() > 1 && json::text(port, "name").is_empty() {
            return Err(
                admission.invalid(Cause::required(&format!("spec.ports[{index}].name"), ""))
            );
        }
        let number = json::number(port, "port").unwrap_or(0);
        if !(1..=65_535).contains(&number) {
            let field = format!("spec.ports[{index}].port");
            let message = "must be between 1 and 65535, inclusive";
            return Err(admission.invalid(Cause::invalid(&field, &json!(number), message)));
        }
    }
    Ok(())
}

/// An update that does not mention what was allocated keeps it.
fn keep_allocations(admission: &mut Admission<'_>) {
    let Some(old) = admission.old else { return };
    if json::text(admission.new, "spec.type") != "ExternalName" {
        for path in [
            "spec.clusterIP",
            "spec.clusterIPs",
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
        ] {
            if json::at(admission.new, path).is_none() {
                json::copy(old, admission.new, path);
            }
        }
    }
    if json::text(old, "spec.type") == json::text(admission.new, "spec.type") {
        let old_ports = json::items(old, "spec.ports").to_vec();
        for port in admission
            .new
            .pointer_mut("/spec/ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let same = old_ports
                .iter()
                .find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
            if let Some(same) = same.filter(|_| json::at(port, "nodePort").is_none()) {
                json::copy(same, port, "nodePort");
            }
        }
    }
}

fn allocate_address(admission: &mut Admission<'_>) -> Result<(), Refusal> {
    let wanted = json::text(admission.new, "spec.clusterIP").to_owned();
    let before = admission
        .old
        .map_or("", |old| json::text(old, "spec.clusterIP"))
        .to_owned();
    let field = "spec.clusterIPs[0]";
    let address = if !before.is_empty() && wanted != before {
        let message = "may not change once set";
        return Err(admission.invalid(Cause::invalid(field, &json!(wanted), message)));
    } else if wanted.is_empty() {
        let free = admission.state.addresses.inside();
        free.ok_or_else(|| Refusal::internal("failed to allocate a serviceIP: range is full"))?
    } else {
        let address = wanted.parse::<Ipv4Addr>();
        if wanted != "None" && address.is_err() {
            let message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            return Err(admission.invalid(Cause::invalid(field, &json!(wanted), message)));
        }
        if before.is_empty()
            && address.is_ok_and(|address| admission.state.addresses.is_taken(address))
        {
            let message = "failed to allocate IP: provided IP is already allocated";
            return Err(admission.invalid(Cause::invalid(field, &json!([wanted]), message)));
        }
        wanted
    };
    json::put(admission.new, "spec.clusterIP", address.clone());
    json::put(admission.new, "spec.clusterIPs", json!([address]));
    for (path, value) in [
        ("spec.ipFamilies", json!(["IPv4"])),
        ("spec.ipFamilyPolicy", json!("SingleStack")),
    ] {
        if json::at(admission.new, path).is_none() {
            json::put(admission.new, path, value);
        }
    }
    Ok(())
}

fn allocate_ports(admission: &mut Admission<'_>, wanted: bool) -> Result<(), Refusal> {
    let before: Vec<i64> = admission
        .old
        .into_iter()
        .flat_map(|old| json::items(old, "spec.ports"))
        .filter_map(|port| json::number(port, "nodePort"))
        .collect();
    let mut ports = json::items(admission.new, "spec.ports").to_vec();
    let mut given: Vec<i64> = ports
        .iter()
        .filter_map(|port| json::number(port, "nodePort"))
        .collect();
    for (index, port) in ports.iter_mut().enumerate() {
        match json::number(port, "nodePort").filter(|port| *port != 0) {
            _ if !wanted => drop(json::take(port, "nodePort")),
            Some(number) if before.contains(&number) => {}
            Some(number) => {
                let free = u16::try_from(number)
                    .is_ok_and(|port| !admission.state.addresses.is_port_taken(port));
                if !free {
                    let field = format!("spec.ports[{index}].nodePort");
                    let message = "provided port is already allocated";
                    return Err(admission.invalid(Cause::invalid(&field, &json!(number), message)));
                }
            }
            None => {
                let number = admission.state.addresses.port(&given);
                let number = number.ok_or_else(|| {
                    Refusal::internal("failed to allocate a nodePort: range is full")
                })?;
                given.push(i64::from(number));
                json::put(port, "nodePort", number);
            }
        }
    }
    if !ports.is_empty() {
        json::put(admission.new, "spec.ports", ports);
    }
    Ok(())
}

fn fill_ports(service: &mut Value) {
    for port in service
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if json::at(port, "targetPort").is_none() {
            json::copy(&json!({ "targetPort": port["port"] }), port, "targetPort");
        }
    }
}
