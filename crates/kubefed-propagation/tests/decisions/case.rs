//! One situation as data, and what comes of it as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_propagation::kubefed_api::{
    ClusterSelection, FederatedObject, ObservedCopy, PropagatedVersionStatus, PropagationStatus,
    ResourceType,
};
use kubefed_propagation::{
    Adoption, Decision, Federation, Ignorance, Member, NamespaceFederation, Observation, Record,
    Scope, decide,
};
use serde_json::{Value, json};

/// A situation of the cluster `east`. Members, all optional:
///
/// | member | meaning | default |
/// | --- | --- | --- |
/// | `kind` | Deployment, ConfigMap, Service, ServiceAccount or Namespace | Deployment |
/// | `federated` | merged into a federated object that names `east`, with our finalizer | |
/// | `namespace` | `absent`, `unknown`, or a placement of the FederatedNamespace | present, with `east` |
/// | `scope` | `limited` | cluster |
/// | `adoption` | `disabled` | enabled |
/// | `host` | uid of the host's Namespace | none |
/// | `member` | `down`, `removed`, `held` (in the inventory), `labels` | up, joined, not held |
/// | `sees` | `absent` (by a read), `unsynced`, `no client`, `read failed`, or `{managed}`, `{foreign}`: merged into the current copy, without the body if `slim` | not managed |
/// | `recorded` | the recorded version, or `another template` | none |
pub(crate) struct Situation<'a>(pub(crate) &'a Value);

impl Situation<'_> {
    pub(crate) fn federation(&self) -> Federation {
        let Self(case) = self;
        let kind = case["kind"].as_str().unwrap_or("Deployment");
        let target = match kind {
            "Deployment" => ResourceType::namespaced("apps", "v1", kind, ""),
            "Namespace" => ResourceType::cluster_scoped("", "v1", kind, ""),
            _ => ResourceType::namespaced("", "v1", kind, ""),
        };
        let mut object = json!({
            "metadata": {
                "namespace": "shop", "name": if kind == "Namespace" { "shop" } else { "web" },
                "generation": 3, "resourceVersion": "70", "finalizers": ["kubefed.io/sync-controller"],
            },
            "spec": {
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"replicas": 2}},
                "placement": {"clusters": [{"name": "east"}]},
            },
        });
        merge(&mut object, &case["federated"]);
        // A merge patch cannot say null, which is a value of its own here.
        for path in case["nulls"].as_array().into_iter().flatten() {
            *object.pointer_mut(path.as_str().unwrap()).unwrap() = Value::Null;
        }
        let namespace = match &case["namespace"] {
            _ if kind == "Namespace" => NamespaceFederation::NotNeeded,
            Value::Null => NamespaceFederation::Present(ClusterSelection::parse(
                &json!({"clusterSelector": {}}),
            )),
            Value::String(text) if text == "absent" => NamespaceFederation::Absent,
            Value::String(why) => NamespaceFederation::Unknown(why.clone()),
            placement => NamespaceFederation::Present(ClusterSelection::parse(placement)),
        };
        let mut federation =
            Federation::new(target, FederatedObject::parse(object).unwrap()).namespace(namespace);
        if case["scope"] == "limited" {
            federation = federation.scope(Scope::Limited);
        }
        if case["adoption"] == "disabled" {
            federation = federation.adoption(Adoption::Disabled);
        }
        match case["host"].as_str() {
            Some(uid) => federation.host_namespace_uid(uid),
            None => federation,
        }
    }

    pub(crate) fn member(&self) -> Member {
        let member = &self.0["member"];
        if member["removed"] == true {
            return Member::removed("east");
        }
        let labels: Option<BTreeMap<String, String>> =
            serde_json::from_value(member["labels"].clone()).ok();
        Member::new("east")
            .labels(labels.unwrap_or_default())
            .ready(member["down"] != true)
            .in_inventory(member["held"] == true)
    }

    pub(crate) fn observation(&self) -> Observation {
        let sees = &self.0["sees"];
        let why = String::new;
        match sees.as_str() {
            Some("absent") => return Observation::ProvenAbsent,
            Some("unsynced") => return Observation::Unknown(Ignorance::NotSynced(why())),
            Some("no client") => return Observation::Unknown(Ignorance::NoClient(why())),
            Some("read failed") => return Observation::Unknown(Ignorance::ReadFailed(why())),
            Some(other) => panic!("{other}"),
            None if sees.is_null() => return Observation::NotManaged,
            None => {}
        }
        let mut copy = self.current_copy();
        if sees["foreign"].is_object() {
            copy["metadata"]["labels"] = json!({"app": "web"});
            merge(&mut copy, &sees["foreign"]);
            return Observation::of_body(Arc::new(copy));
        }
        merge(&mut copy, &sees["managed"]);
        match sees["slim"] == true {
            true => Observation::Managed(ObservedCopy::from_metadata(&copy)),
            false => Observation::of_body(Arc::new(copy)),
        }
    }

    /// What was created for the federated object as it is without the case's changes.
    fn current_copy(&self) -> Value {
        let plain = json!({"kind": self.0["kind"]});
        let federation = Situation(&plain).federation();
        let mut copy = federation.rendered().unwrap().object.clone();
        let generation = self.0["kind"].is_null().then_some(1);
        let metadata = json!({
            "uid": "u1", "resourceVersion": "7", "generation": generation,
            "labels": {"kubefed.io/managed": "true"},
        });
        merge(&mut copy["metadata"], &metadata);
        copy
    }

    pub(crate) fn record(&self) -> Record {
        let recorded = self.0["recorded"].as_str();
        if recorded == Some("another template") {
            let federation = self.federation();
            let stored = PropagatedVersionStatus {
                template_version: "0".repeat(32),
                ..Default::default()
            };
            return Record::read(&stored, federation.hashes().unwrap());
        }
        recorded
            .map(|version| ("east".into(), version.parse().unwrap()))
            .into_iter()
            .collect()
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(
            &self.federation(),
            &self.member(),
            &self.observation(),
            &self.record(),
        )
    }
}

/// A merge patch; null changes nothing.
fn merge(value: &mut Value, patch: &Value) {
    if !patch.is_null() {
        json_patch::merge(value, patch);
    }
}

/// What is decided, the status that is reported if nothing more comes of it, and whether the cluster is
/// released.
#[track_caller]
pub(crate) fn check(section: &str, case: Value, expected: &str) {
    let decision = Situation(&case).decide();
    let status = match decision.status(None) {
        _ if decision.action.writes() || decision.action.reads() => "",
        None => "; not listed",
        Some(PropagationStatus::Ok) => "; OK",
        Some(status) => &format!("; {status}"),
    };
    let released = if decision.releases(None) {
        "; released"
    } else {
        ""
    };
    assert_eq!(
        format!("{decision}{status}{released}"),
        expected,
        "{section}: {case}"
    );
}

/// The object that is written, or the refusal.
pub(crate) fn written(case: &Value) -> Result<Value, String> {
    let decision = Situation(case).decide();
    match decision.action.object() {
        Some(object) => Ok(object.clone()),
        None => Err(decision.action.to_string()),
    }
}
