//! A Deployment moves its replicas from ReplicaSet to ReplicaSet.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::DeleteOptions;
use crate::behaviour::pods::{controlled, controller_reference, itself_or_owner};
use crate::behaviour::replica_sets::REPLICA_SETS;
use crate::behaviour::{Behaviour, Loop};
use crate::conditions::Condition;
use crate::json;
use crate::object::Object;
use crate::state::State;
use crate::store::{Change, Locator};

pub(super) const LOOP: Loop = Loop {
    part: Behaviour::Workloads,
    concerns,
    reconcile,
};

const DEPLOYMENTS: &str = "deployments.apps";
const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A ReplicaSet of the deployment with the numbers that matter.
struct Set {
    object: Arc<Object>,
    value: Value,
    wanted: i64,
    available: i64,
}

fn concerns(_: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        DEPLOYMENTS | REPLICA_SETS => itself_or_owner(table, change, DEPLOYMENTS, "Deployment"),
        _ => Vec::new(),
    }
}

fn reconcile(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let deployment = state.store.get(table, key)?.clone();
    let mut value = deployment.value();
    let mut sets = sets(state, &deployment, Vec::new());
    if !deployment.deleting {
        let hash = template_hash(&value);
        if sets.iter().all(|set| set_hash(set) != hash) && value["spec"]["paused"] != json!(true) {
            create_set(state, &deployment, &value, &hash, &sets);
            sets = self::sets(state, &deployment, sets);
        }
        publish_revision(state, &mut sets, &hash, &mut value);
        roll(state, &value, &hash, &sets);
        forget_old(state, &value, &hash, &sets);
    }
    let sets = self::sets(state, &deployment, sets);
    report(state, &deployment, value, &sets)
}

/// The sets as they are now. Those that are known already are not read again.
fn sets(state: &State, deployment: &Object, mut known: Vec<Set>) -> Vec<Set> {
    controlled(state, deployment, REPLICA_SETS)
        .into_iter()
        .map(|object| {
            let is_it = |set: &Set| Arc::ptr_eq(&set.object, &object);
            if let Some(index) = known.iter().position(is_it) {
                return known.swap_remove(index);
            }
            let value = object.value();
            let number = |path| json::number(&value, path).unwrap_or(0);
            let (wanted, available) = (number("spec.replicas"), number("status.availableReplicas"));
            Set {
                object,
                value,
                wanted,
                available,
            }
        })
        .collect()
}

fn set_hash(set: &Set) -> &str {
    set.value["metadata"]["labels"][HASH_LABEL]
        .as_str()
        .unwrap_or("")
}

/// Ten characters that change with the template.
fn template_hash(deployment: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = DefaultHasher::new();
    hash_value(&deployment["spec"]["template"], &mut hasher);
    let mut rest = hasher.finish();
    (0..10)
        .map(|_| {
            let index = usize::try_from(rest % 27).unwrap_or(0);
            rest /= 27;
            char::from(ALPHABET[index])
        })
        .collect()
}

/// Hashes a value whatever the order of its fields.
fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            for key in keys {
                key.hash(hasher);
                hash_value(&fields[key], hasher);
            }
            "}".hash(hasher);
        }
        Value::Array(items) => {
            items.iter().for_each(|item| hash_value(item, hasher));
            "]".hash(hasher);
        }
        other => other.to_string().hash(hasher),
    }
}

fn revision(set: &Set) -> i64 {
    set.value["metadata"]["annotations"][REVISION]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn create_set(state: &mut State, deployment: &Object, value: &Value, hash: &str, sets: &[Set]) {
    let revision = sets.iter().map(revision).max().unwrap_or(0) + 1;
    let mut template = value["spec"]["template"].clone();
    json::child(&mut template, "metadata.labels").insert(HASH_LABEL.to_owned(), json!(hash));
    let mut selector = value["spec"]["selector"].clone();
    json::child(&mut selector, "matchLabels").insert(HASH_LABEL.to_owned(), json!(hash));
    let set = json!({
        "metadata": {
            "name": format!("{}-{hash}", deployment.key.name()),
            "labels": template["metadata"]["labels"],
            "annotations": { REVISION: revision.to_string() },
            "ownerReferences": [controller_reference(deployment, ("apps/v1", "Deployment"))],
        },
        "spec": { "replicas": 0, "selector": selector, "template": template },
    });
    // Refused only while the namespace goes, and then the deployment goes with it.
    let _ = state.insert(REPLICA_SETS, deployment.key.namespace(), set);
}

/// An old template that is wanted again becomes the newest revision.
fn publish_revision(state: &mut State, sets: &mut [Set], hash: &str, deployment: &mut Value) {
    let newest = sets.iter().map(revision).max().unwrap_or(0);
    let Some(index) = sets.iter().position(|set| set_hash(set) == hash) else {
        return;
    };
    let mut current = revision(&sets[index]);
    if current < newest {
        current = newest + 1;
        let set = &mut sets[index];
        json::child(&mut set.value, "metadata.annotations")
            .insert(REVISION.to_owned(), json!(current.to_string()));
        set.object = state.write(&REPLICA_SETS.into(), &set.object.key, set.value.clone());
        json::put(
            &mut set.value,
            "metadata.resourceVersion",
            set.object.revision.to_string(),
        );
    }
    json::child(deployment, "metadata.annotations")
        .insert(REVISION.to_owned(), json!(current.to_string()));
}

fn scale(state: &mut State, set: &Set, replicas: i64) {
    if set.wanted == replicas.max(0) {
        return;
    }
    let mut value = set.value.clone();
    json::put(&mut value, "spec.replicas", replicas.max(0));
    if let Some(resource) = state.resource(REPLICA_SETS) {
        state.modify(&resource, &set.object, value);
    }
}

fn roll(state: &mut State, deployment: &Value, hash: &str, sets: &[Set]) {
    let replicas = json::number(deployment, "spec.replicas").unwrap_or(1);
    let Some(new) = sets.iter().find(|set| set_hash(set) == hash) else {
        return;
    };
    let old: Vec<&Set> = sets
        .iter()
        .filter(|set| set_hash(set) != hash && set.wanted > 0)
        .collect();
    if old.is_empty() && json::text(deployment, "spec.strategy.type") != "Recreate" {
        return scale(state, new, replicas);
    }
    if deployment["spec"]["paused"] == json!(true) {
        return;
    }
    if json::text(deployment, "spec.strategy.type") == "Recreate" {
        for set in &old {
            scale(state, set, 0);
        }
        let others = sets.iter().filter(|set| set_hash(set) != hash);
        if others
            .map(|set| json::number(&set.value, "status.replicas").unwrap_or(0))
            .sum::<i64>()
            == 0
        {
            scale(state, new, replicas);
        }
        return;
    }
    let (surge, unavailable) = rolling_bounds(deployment, replicas);
    let total: i64 = sets.iter().map(|set| set.wanted).sum();
    if new.wanted != replicas {
        let room = (replicas + surge - total).max(0);
        let target = if new.wanted > replicas {
            replicas
        } else {
            replicas.min(new.wanted + room)
        };
        scale(state, new, target);
    }
    // Replicas that are not available can go at once; the others only above the minimum.
    let minimum = replicas - unavailable;
    let mut spare = total - minimum - (new.wanted - new.available).max(0);
    let available: i64 = sets.iter().map(|set| set.available).sum();
    let mut spare_available = available - minimum;
    for set in old {
        let broken = (set.wanted - set.available).clamp(0, spare.max(0));
        let healthy = (set.wanted - broken)
            .min(spare_available.max(0))
            .min((spare - broken).max(0));
        spare -= broken + healthy;
        spare_available -= healthy;
        if broken + healthy > 0 {
            scale(state, set, set.wanted - broken - healthy);
        }
    }
}

/// `maxSurge` rounded up and `maxUnavailable` rounded down; never both 0.
fn rolling_bounds(deployment: &Value, replicas: i64) -> (i64, i64) {
    let bound = |field: &str, up: bool| {
        let value = json::at(deployment, &format!("spec.strategy.rollingUpdate.{field}"));
        let percent = value
            .and_then(Value::as_str)
            .and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
        match (value.and_then(Value::as_i64), percent) {
            (Some(number), _) => number,
            (None, Some(percent)) if up => (replicas * percent + 99) / 100,
            (None, Some(percent)) => replicas * percent / 100,
            (None, None) => 0,
        }
    };
    let (surge, unavailable) = (bound("maxSurge", true), bound("maxUnavailable", false));
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

fn forget_old(state: &mut State, deployment: &Value, hash: &str, sets: &[Set]) {
    let keep = json::number(deployment, "spec.revisionHistoryLimit").unwrap_or(10);
    let mut idle: Vec<&Set> = sets
        .iter()
        .filter(|set| set_hash(set) != hash && set.wanted == 0)
        .filter(|set| json::number(&set.value, "status.replicas").unwrap_or(0) == 0)
        .collect();
    idle.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    let Some(resource) = state.resource(REPLICA_SETS) else {
        return;
    };
    for set in idle.iter().skip(usize::try_from(keep).unwrap_or(0)) {
        // The set was read under the same lock, so it is there.
        let _ = state.delete_object(&resource, &set.object.key, &DeleteOptions::default());
    }
}

fn report(
    state: &mut State,
    deployment: &Arc<Object>,
    mut value: Value,
    sets: &[Set],
) -> Option<Duration> {
    let hash = template_hash(&value);
    let new = sets.iter().find(|set| set_hash(set) == hash);
    let sum = |path: &str| {
        sets.iter()
            .map(|set| json::number(&set.value, path).unwrap_or(0))
            .sum::<i64>()
    };
    let wanted = json::number(&value, "spec.replicas").unwrap_or(1);
    let replicas = sum("status.replicas");
    let (ready, available) = (sum("status.readyReplicas"), sum("status.availableReplicas"));
    let updated = new.map_or(0, |set| {
        json::number(&set.value, "status.replicas").unwrap_or(0)
    });
    let mut status = json!({ "observedGeneration": value["metadata"]["generation"] });
    let counts = [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        (
            "unavailableReplicas",
            (wanted.max(replicas) - available).max(0),
        ),
    ];
    for (field, count) in counts {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    let moved = counts
        .iter()
        .any(|(field, count)| value["status"][*field].as_i64().unwrap_or(0) != *count)
        || value["status"]["observedGeneration"] != status["observedGeneration"];
    json::copy(&value["status"], &mut status, "conditions");
    json::put(&mut value, "status", status);

    let now = state.now();
    let (_, unavailable) = rolling_bounds(&value, wanted);
    let condition = if available >= wanted - unavailable {
        let message = "Deployment has minimum availability.";
        Condition::new("Available", true, "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        Condition::new("Available", false, "MinimumReplicasUnavailable", message)
    };
    condition.set(&mut value, &state.timestamp());
    let complete = updated == wanted && replicas == wanted && available == wanted;
    let name = new
        .map(|set| set.object.key.name().to_owned())
        .unwrap_or_default();
    let again = set_progress(&mut value, &name, complete, moved, now);
    if let Some(resource) = state.resource(DEPLOYMENTS) {
        state.save(&resource, deployment, value);
    }
    again.filter(|_| !deployment.deleting)
}

/// The condition Progressing, and when it will be overdue.
fn set_progress(
    value: &mut Value,
    set: &str,
    complete: bool,
    moved: bool,
    now: Timestamp,
) -> Option<Duration> {
    let deadline = json::number(value, "spec.progressDeadlineSeconds").unwrap_or(600);
    let before = json::items(value, "status.conditions")
        .iter()
        .find(|c| c["type"] == json!("Progressing"));
    let updated = before.and_then(|c| json::text(c, "lastUpdateTime").parse::<Timestamp>().ok());
    let updated = updated.filter(|_| !moved).unwrap_or(now);
    let left = deadline - now.duration_since(updated).as_secs();
    let (status, reason, message) = if complete {
        (
            true,
            "NewReplicaSetAvailable",
            format!("ReplicaSet {set:?} has successfully progressed."),
        )
    } else if left <= 0 {
        (
            false,
            "ProgressDeadlineExceeded",
            format!("ReplicaSet {set:?} has timed out progressing."),
        )
    } else {
        (
            true,
            "ReplicaSetUpdated",
            format!("ReplicaSet {set:?} is progressing."),
        )
    };
    let text = crate::clock::rfc3339(now);
    Condition::new("Progressing", status, reason, &message).set(value, &text);
    // Being overdue is no progress, so only movement restarts the clock.
    let stamp = if moved {
        text
    } else {
        crate::clock::rfc3339(updated)
    };
    if let Some(Value::Array(conditions)) = value.pointer_mut("/status/conditions") {
        for condition in conditions {
            if condition["type"] == json!("Progressing") {
                condition["lastUpdateTime"] = json!(stamp);
            } else {
                condition["lastUpdateTime"] = condition["lastTransitionTime"].clone();
            }
        }
    }
    (!complete && left > 0).then(|| Duration::from_secs(left.unsigned_abs() + 1))
}
