use kubefed_api::Error as FieldError;
use serde_json::{Map, Value};

use super::Observed;
use crate::nested::{nested, set};

/// Keeps the addresses and ports that the member cluster allocated.
pub(super) fn retain(desired: &mut Value, observed: &Observed<'_>) -> Result<(), FieldError> {
    for (name, expected, is_kept) in ADDRESSES {
        let Some(value) = nested(observed.member, &["spec", name])? else {
            continue;
        };
        match is_kept(value) {
            Some(true) => set(desired, "spec", name, value.clone())?,
            Some(false) => {}
            None => {
                let path = format!("spec.{name}");
                return Err(FieldError::wrong_type(path, expected, value));
            }
        }
    }
    node_ports(desired, observed.member)
}

/// Whether a value of the right type is kept; `None` for one of another type.
type IsKept = fn(&Value) -> Option<bool>;

const ADDRESSES: [(&str, &str, IsKept); 3] = [
    ("healthCheckNodePort", "an integer", |value| {
        value.as_i64().map(|port| port > 0)
    }),
    ("clusterIP", "a string", |value| {
        value.as_str().map(|address| !address.is_empty())
    }),
    ("clusterIPs", "a list of strings", |value| {
        let addresses = value.as_array()?;
        let strings = addresses.iter().all(Value::is_string);
        strings.then_some(!addresses.is_empty())
    }),
];

fn node_ports(desired: &mut Value, member: &Value) -> Result<(), FieldError> {
    let Some(of_member) = ports(member)? else {
        return Ok(());
    };
    let Some(wanted) = ports(desired)? else {
        return set(desired, "spec", "ports", Value::Array(Vec::new()));
    };
    if of_member.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let of_member = all_objects(of_member)?;
    all_objects(wanted)?;
    let wanted = desired
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut);
    for port in wanted
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        // Where several ports of the member are equal, the last one decides.
        let mut same = of_member
            .iter()
            .rev()
            .filter(|other| is_same_port(port, other));
        if let Some(node_port) = same.find_map(|other| other.get("nodePort")) {
            let node_port = node_port.clone();
            port.insert("nodePort".to_owned(), node_port);
        }
    }
    Ok(())
}

fn ports(service: &Value) -> Result<Option<&[Value]>, FieldError> {
    match nested(service, &["spec", "ports"])? {
        None => Ok(None),
        Some(Value::Array(ports)) => Ok(Some(ports)),
        Some(other) => Err(FieldError::wrong_type("spec.ports", "a list", other)),
    }
}

fn all_objects(ports: &[Value]) -> Result<Vec<&Map<String, Value>>, FieldError> {
    let object = |(index, port): (usize, &'_ Value)| match port {
        Value::Object(_) => Ok(()),
        other => {
            let path = format!("spec.ports[{index}]");
            Err(FieldError::wrong_type(path, "an object", other))
        }
    };
    ports.iter().enumerate().try_for_each(object)?;
    Ok(ports.iter().filter_map(Value::as_object).collect())
}

fn is_same_port(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    let same = |name| is_same(member(left, name), member(right, name));
    same("name") && same("port") && is_same(protocol(left), protocol(right))
}

fn member<'a>(port: &'a Map<String, Value>, name: &str) -> &'a Value {
    port.get(name).unwrap_or(&Value::Null)
}

/// The protocol of a port, `null` where the server's default applies (Kubernetes API reference,
/// ServicePort: TCP).
fn protocol(port: &Map<String, Value>) -> &Value {
    match member(port, "protocol") {
        Value::String(protocol) if protocol.is_empty() || protocol == "TCP" => &Value::Null,
        other => other,
    }
}

/// Equality of scalars as the original has it: the integer 80 is not the double 80.0, and nothing
/// equals a list or an object.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (None, None) => left.as_f64() == right.as_f64(),
            (left, right) => left == right,
        },
        (Value::Array(_) | Value::Object(_), _) => false,
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use kubefed_api::{FederatedObject, ResourceType};
    use serde_json::json;

    use super::*;
    use crate::retain;

    fn check(desired: Value, member: Value, expected: Result<Value, &str>) {
        let federated = FederatedObject::parse(json!({"metadata": {"name": "web"}})).unwrap();
        let mut service = json!({"spec": desired});
        let member = json!({"spec": member});
        let target = ResourceType::namespaced("", "v1", "Service", "services");
        let outcome = retain(&target, &mut service, &member, &federated);
        let kept = outcome
            .map(|()| service["spec"].clone())
            .map_err(|error| format!("{}: {}", error.path(), error.message()));
        assert_eq!(kept, expected.map_err(str::to_owned), "{desired} {member}");
    }

    // Observable check 26 of propagation.
    #[test]
    fn a_health_check_port_is_kept_once_it_was_allocated() {
        check(json!({}), json!({}), Ok(json!({})));
        check(json!({}), json!({"healthCheckNodePort": 0}), Ok(json!({})));
        let allocated = json!({"healthCheckNodePort": 1000});
        check(json!({}), allocated.clone(), Ok(allocated));
        check(
            json!({}),
            json!({"healthCheckNodePort": "invalid string"}),
            Err("spec.healthCheckNodePort: expected an integer, found a string"),
        );
    }

    // Observable check 27 of propagation.
    #[test]
    fn the_two_address_fields_are_kept_independently() {
        for addresses in [
            json!({"clusterIP": "1.2.3.4"}),
            json!({"clusterIPs": ["1.2.3.4", "5.6.7.8"]}),
            json!({"clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4"]}),
        ] {
            check(json!({}), addresses.clone(), Ok(addresses));
        }
        check(
            json!({}),
            json!({"clusterIP": 1000}),
            Err("spec.clusterIP: expected a string, found a number"),
        );
    }

    #[test]
    fn a_missing_protocol_is_tcp() {
        for missing in [
            json!({}),
            json!({"protocol": null}),
            json!({"protocol": ""}),
        ] {
            let mut port = json!({"port": 80});
            port.as_object_mut()
                .unwrap()
                .extend(missing.as_object().unwrap().clone());
            let mut expected = port.clone();
            expected["nodePort"] = json!(30237);
            check(
                json!({"ports": [port]}),
                json!({"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30237}]}),
                Ok(json!({"ports": [expected]})),
            );
        }
        check(
            json!({"ports": [{"port": 80}]}),
            json!({"ports": [{"port": 80, "protocol": "UDP", "nodePort": 30237}]}),
            Ok(json!({"ports": [{"port": 80}]})),
        );
    }

    #[test]
    fn ports_are_equal_as_numbers_of_one_sort() {
        for (desired, member, kept) in [
            (json!(80), json!(80), true),
            (json!(80.5), json!(80.5), true),
            (json!(80.5), json!(80.25), false),
            (json!(80), json!(80.0), false),
        ] {
            let mut expected = json!({"port": desired});
            if kept {
                expected["nodePort"] = json!(30237);
            }
            check(
                json!({"ports": [{"port": desired}]}),
                json!({"ports": [{"port": member, "nodePort": 30237}]}),
                Ok(json!({"ports": [expected]})),
            );
        }
    }

    #[test]
    fn a_port_that_is_no_object_is_an_error_and_not_a_crash() {
        check(
            json!({"ports": [{"port": 80}, "http"]}),
            json!({"ports": [{"port": 80}]}),
            Err("spec.ports[1]: expected an object, found a string"),
        );
    }
}
