use serde_json::{Map, Value};

use super::Dropped;

/// Removes from the template of a plain object what each cluster assigns itself, and notes what its
/// author may have meant.
pub(super) fn remove(
    group: &str,
    kind: &str,
    template: &mut Map<String, Value>,
    dropped: &mut Vec<Dropped>,
) {
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let is_headless = spec["clusterIP"] == "None";
    let selects_by_hand = spec["manualSelector"] == true;
    let kept = |path: &str| match (kind, path) {
        ("Service", "spec.clusterIP" | "spec.clusterIPs") => is_headless,
        ("Job", _) => selects_by_hand,
        _ => false,
    };
    for AssignedField { path, loss, .. } in ASSIGNED
        .into_iter()
        .filter(|field| (field.group, field.kind) == (group, kind) && !kept(field.path))
    {
        let removed = match path.split_once('.') {
            Some((parent, field)) => template
                .get_mut(parent)
                .and_then(Value::as_object_mut)
                .and_then(|parent| parent.remove(field)),
            None => template.remove(path),
        };
        if removed.is_some() && loss == Loss::Noted {
            dropped.push(Dropped::Assigned(path.to_owned()));
        }
    }
    match (group, kind) {
        ("", "Service") => remove_node_ports(template, dropped),
        ("batch", "Job") if !selects_by_hand => remove_job_labels(template),
        _ => {}
    }
}

/// A field that the API server or a controller of each cluster fills in. A member would refuse the
/// value of another cluster, or take something that is not there.
struct AssignedField {
    group: &'static str,
    kind: &'static str,
    path: &'static str,
    loss: Loss,
}

/// Whether anybody may have meant the value. Servers fill in the others in every object.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Loss {
    Noted,
    Silent,
}

const fn assigned(
    group: &'static str,
    kind: &'static str,
    path: &'static str,
    loss: Loss,
) -> AssignedField {
    AssignedField {
        group,
        kind,
        path,
        loss,
    }
}

const ASSIGNED: [AssignedField; 8] = [
    assigned("", "Namespace", "spec.finalizers", Loss::Silent),
    assigned("", "PersistentVolumeClaim", "spec.volumeName", Loss::Noted),
    assigned("", "Pod", "spec.nodeName", Loss::Noted),
    assigned("", "Service", "spec.clusterIP", Loss::Silent),
    assigned("", "Service", "spec.clusterIPs", Loss::Silent),
    assigned("", "Service", "spec.healthCheckNodePort", Loss::Silent),
    assigned("", "ServiceAccount", "secrets", Loss::Noted),
    assigned("batch", "Job", "spec.selector", Loss::Silent),
];

/// Labels that the Job controller puts on pods so that its generated selector finds them.
const JOB_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

fn remove_node_ports(template: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    let ports = template
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("ports"));
    let ports = ports.and_then(Value::as_array_mut).into_iter().flatten();
    for (index, port) in ports.enumerate() {
        let Some(port) = port.as_object_mut() else {
            continue;
        };
        if port.remove("nodePort").is_some() {
            dropped.push(Dropped::Assigned(format!("spec.ports[{index}].nodePort")));
        }
    }
}

fn remove_job_labels(template: &mut Map<String, Value>) {
    let labels = template
        .get_mut("spec")
        .and_then(|spec| spec.pointer_mut("/template/metadata/labels"))
        .and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        for label in JOB_LABELS {
            labels.remove(label);
        }
    }
}
