//! What the federated object itself carries so that no copy is ever forgotten: our finalizer and the
//! inventory annotation.

use std::collections::BTreeSet;

use kubefed_api::{ClusterName, FederatedObject, PropagatedVersionStatus, well_known};
use serde_json::{Map, Value, json};

use crate::{Action, Decision};

/// The clusters that may hold a copy of one federated object: those of its inventory annotation,
/// those of its version object and those in which a managed copy was observed.
///
/// The annotation is ours and is written before a cluster is written to. The version object is
/// KubeFed's; where an installation is taken over, or somebody strips the annotation, it still names
/// the clusters.
pub fn inventory(
    object: &FederatedObject,
    versions: Option<&PropagatedVersionStatus>,
    observed: impl IntoIterator<Item = ClusterName>,
) -> BTreeSet<ClusterName> {
    let recorded = versions
        .into_iter()
        .flat_map(|versions| &versions.cluster_versions);
    let mut clusters = object.inventory();
    clusters.extend(recorded.map(|entry| entry.cluster_name.clone()));
    clusters.extend(observed);
    clusters
}

/// The patch of the federated object that has to succeed before anything is written to a member: it
/// adds our finalizer where it is missing, and to the inventory annotation every cluster that is to be
/// written to or would otherwise be forgotten. `None` where nothing is missing.
///
/// It is a JSON merge patch (RFC 7386) that carries the resource version, so it fails if the object is
/// not the one it was decided on. The object in the server's answer is the one to go on with.
pub fn hold_before<'a>(
    object: &FederatedObject,
    inventory: &BTreeSet<ClusterName>,
    decisions: impl IntoIterator<Item = (&'a ClusterName, &'a Decision)>,
) -> Option<Value> {
    // The API server refuses new finalizers on an object that is being deleted.
    if object.is_deleting() {
        return None;
    }
    let held = object.inventory();
    let mut next = held.clone();
    let mut forgotten = false;
    for (cluster, decision) in decisions {
        let writes = decision.action.object().is_some();
        let may_hold = inventory.contains(cluster) && !decision.releases(None);
        if writes || may_hold {
            next.insert(cluster.clone());
        }
        // The version object forgets clusters that are not selected and, once the template has
        // changed, those that did not get the change. Only what is current has its entry for certain.
        let recorded = matches!(decision.action, Action::UpToDate { .. });
        forgotten |= !held.contains(cluster) && (writes || may_hold && !recorded);
    }
    patch(object, if forgotten { &next } else { &held }, true)
}

/// The patch of the federated object after the decisions were carried out: it drops the clusters that
/// were released from the inventory annotation and, once an object that is being deleted holds nothing
/// any more, our finalizer. `None` where nothing changes.
///
/// `settled` tells for every decided cluster whether it was [released](Decision::releases). The patch
/// is guarded like that of [`hold_before`].
pub fn hold_after<'a>(
    object: &FederatedObject,
    settled: impl IntoIterator<Item = (&'a ClusterName, bool)>,
) -> Option<Value> {
    if object.is_deleting() && !object.has_sync_finalizer() {
        return None;
    }
    let mut next = object.inventory();
    let mut all_released = true;
    for (cluster, released) in settled {
        all_released &= released;
        if released {
            next.remove(cluster);
        }
    }
    let gone = object.is_deleting() && all_released && next.is_empty();
    patch(object, &next, object.has_sync_finalizer() && !gone)
}

fn patch(
    object: &FederatedObject,
    inventory: &BTreeSet<ClusterName>,
    finalizer: bool,
) -> Option<Value> {
    let mut metadata = Map::new();
    if finalizer != object.has_sync_finalizer() {
        let others = object.metadata().finalizers.iter().flatten();
        let others = others
            .filter(|name| *name != well_known::SYNC_FINALIZER)
            .cloned();
        let ours = finalizer.then(|| well_known::SYNC_FINALIZER.to_owned());
        metadata.insert("finalizers".to_owned(), others.chain(ours).collect());
    }
    if *inventory != object.inventory() {
        let names: Vec<_> = inventory.iter().map(ClusterName::as_str).collect();
        let text = (!names.is_empty()).then(|| names.join(","));
        metadata.insert(
            "annotations".to_owned(),
            json!({well_known::INVENTORY_ANNOTATION: text}),
        );
    }
    if metadata.is_empty() {
        return None;
    }
    let version = object.metadata().resource_version.clone();
    metadata.insert("resourceVersion".to_owned(), version.into());
    Some(json!({ "metadata": metadata }))
}

#[cfg(test)]
mod tests {
    use kubefed_api::ClusterObjectVersion;

    use super::*;
    use crate::{Ignorance, NotSelected, Reason, Selected, Waiting};

    fn object(metadata: &Value) -> FederatedObject {
        let mut value = json!({"metadata": {"name": "web", "resourceVersion": "7"}});
        json_patch::merge(&mut value["metadata"], metadata);
        FederatedObject::parse(value).unwrap()
    }

    fn decided(cluster: &str, action: Action, reason: Reason) -> (ClusterName, Decision) {
        (cluster.into(), Decision { action, reason })
    }

    fn create(cluster: &str) -> (ClusterName, Decision) {
        let action = Action::Create { object: json!({}) };
        decided(cluster, action, Reason::Selected(Selected::Named))
    }

    fn before(
        metadata: &Value,
        inventory: &[&str],
        decisions: &[(ClusterName, Decision)],
    ) -> Value {
        let inventory = inventory.iter().map(|name| (*name).into()).collect();
        let decisions = decisions
            .iter()
            .map(|(cluster, decision)| (cluster, decision));
        hold_before(&object(metadata), &inventory, decisions).unwrap_or_default()
    }

    fn after(metadata: &Value, settled: &[(&str, bool)]) -> Value {
        let settled: Vec<_> = settled
            .iter()
            .map(|(name, gone)| ((*name).into(), *gone))
            .collect();
        let settled = settled
            .iter()
            .map(|(name, gone): &(ClusterName, bool)| (name, *gone));
        hold_after(&object(metadata), settled).unwrap_or_default()
    }

    const OURS: &str = well_known::SYNC_FINALIZER;

    #[test]
    fn three_sources_make_the_inventory() {
        let object = object(&json!({"annotations": {"kubefed.io/inventory": "b,a"}}));
        let versions = PropagatedVersionStatus {
            cluster_versions: vec![ClusterObjectVersion {
                cluster_name: "c".into(),
                version: "gen:1".to_owned(),
            }],
            ..PropagatedVersionStatus::default()
        };
        let clusters = inventory(&object, Some(&versions), ["d".into(), "a".into()]);
        assert_eq!(clusters, ["a", "b", "c", "d"].map(ClusterName::from).into());
    }

    #[test]
    fn finalizer_and_inventory_are_written_together_and_guarded() {
        let patch = before(
            &json!({"finalizers": ["other"]}),
            &[],
            &[create("west"), create("east")],
        );
        let expected = json!({"metadata": {
            "resourceVersion": "7",
            "finalizers": ["other", OURS],
            "annotations": {"kubefed.io/inventory": "east,west"},
        }});
        assert_eq!(patch, expected);
    }

    #[test]
    fn a_cluster_that_is_held_already_needs_no_patch() {
        let held = json!({"finalizers": [OURS], "annotations": {"kubefed.io/inventory": "east"}});
        assert_eq!(before(&held, &["east"], &[create("east")]), Value::Null);
    }

    #[test]
    fn a_cluster_that_only_the_version_object_names_is_kept_when_it_is_deselected() {
        let reason = Reason::NotSelected(NotSelected::NotNamed);
        let left_over = decided("west", Action::ProveAbsence, reason);
        let held = json!({"finalizers": [OURS]});
        let patch = before(&held, &["west"], &[left_over]);
        assert_eq!(
            patch["metadata"]["annotations"]["kubefed.io/inventory"],
            "west"
        );
    }

    #[test]
    fn a_cluster_that_only_the_version_object_names_is_kept_unless_its_entry_stays_there() {
        let held = json!({"finalizers": [OURS]});
        let selected = Reason::Selected(Selected::Named);
        let version = "gen:1".parse().unwrap();
        let current = decided("west", Action::UpToDate { version }, selected.clone());
        assert_eq!(before(&held, &["west"], &[current]), Value::Null);
        // A changed template would drop the entry of a cluster that does not answer.
        let action = Action::Wait(Waiting::Unknown(Ignorance::NotReady));
        let patch = before(&held, &["west"], &[decided("west", action, selected)]);
        assert_eq!(
            patch["metadata"]["annotations"]["kubefed.io/inventory"],
            "west"
        );
    }

    #[test]
    fn an_object_that_is_being_deleted_gets_no_finalizer() {
        let deleting = json!({"deletionTimestamp": "2024-05-01T10:00:00Z"});
        assert_eq!(before(&deleting, &[], &[]), Value::Null);
    }

    #[test]
    fn the_finalizer_goes_when_everything_is_released_and_not_before() {
        let held = json!({
            "finalizers": ["a", OURS, "b"],
            "deletionTimestamp": "2024-05-01T10:00:00Z",
            "annotations": {"kubefed.io/inventory": "east,west"},
        });
        let patch = after(&held, &[("east", true), ("west", false)]);
        let narrowed = json!({"metadata": {
            "resourceVersion": "7", "annotations": {"kubefed.io/inventory": "west"}}});
        assert_eq!(patch, narrowed);
        let patch = after(&held, &[("east", true), ("west", true)]);
        assert_eq!(patch["metadata"]["finalizers"], json!(["a", "b"]));
        let patch = after(&held, &[("east", true)]);
        assert_eq!(
            patch["metadata"]["finalizers"],
            Value::Null,
            "nobody asked about west"
        );
    }

    #[test]
    fn a_living_object_keeps_its_finalizer() {
        let held = json!({"finalizers": [OURS], "annotations": {"kubefed.io/inventory": "east"}});
        let patch = after(&held, &[("east", true)]);
        let emptied = json!({"metadata": {
            "resourceVersion": "7", "annotations": {"kubefed.io/inventory": null}}});
        assert_eq!(patch, emptied);
        assert_eq!(
            after(&held, &[("east", false), ("west", true)]),
            Value::Null
        );
    }
}
