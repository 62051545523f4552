//! The cells of kinds that are seldom listed.

use serde_json::{Value, json};

use super::{
    cells::{labels, list, number, selector, string, text, text_of},
    plain,
};

/// Kinds that are seldom listed.
pub(super) fn cell(plural: &str, column: &str, object: &Value) -> Value {
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

pub(super) fn storage_class_name(object: &Value) -> String {
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
