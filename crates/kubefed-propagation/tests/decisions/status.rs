//! Sections 12.2, 12.5 and 13: what is reported of what was done.

use kubefed_propagation::kubefed_api::{ObjectVersion, PropagationReason, PropagationStatus};
use kubefed_propagation::{Decision, Failure, Outcome, RemoteStatus, Report};
use serde_json::{Value, json};

use crate::case::Situation;

fn decided(action: &str) -> Decision {
    let elsewhere = json!({"spec": {"placement": {"clusters": []}}});
    let case = match action {
        "create" => json!({}),
        "update" => json!({"sees": {"managed": {"spec": {"replicas": 9}}}}),
        "adopt" => json!({"sees": {"foreign": {}}}),
        "delete" => json!({"federated": elsewhere, "sees": {"managed": {}}}),
        "removeLabel" => {
            json!({"kind": "Namespace", "host": "u1", "federated": elsewhere, "sees": {"managed": {}}})
        }
        "fetchBody" => json!({"sees": {"managed": {}, "slim": true}}),
        other => panic!("{other}"),
    };
    let decision = Situation(&case).decide();
    assert_eq!(decision.action.name(), action);
    decision
}

/// The statuses of refusals and waits are checked beside the decisions.
#[test]
fn section_12_2_what_becomes_of_an_operation() {
    let applied = Outcome::Applied {
        version: ObjectVersion::Generation(1),
        remote_status: None,
    };
    let failed = |failure| Outcome::Failed {
        failure,
        message: "no".to_owned(),
    };
    let (refused, timed_out) = (failed(Failure::Refused), failed(Failure::TimedOut));
    let no_client = failed(Failure::NoClient);
    let rows = [
        ("create", &applied, Some(""), false),
        ("create", &refused, Some("CreationFailed"), false),
        ("create", &timed_out, Some("CreationTimedOut"), false),
        ("create", &no_client, Some("ClientRetrievalFailed"), false),
        ("update", &applied, Some(""), false),
        ("update", &refused, Some("UpdateFailed"), false),
        ("update", &timed_out, Some("UpdateTimedOut"), false),
        ("adopt", &refused, Some("UpdateFailed"), false),
        ("adopt", &timed_out, Some("UpdateTimedOut"), false),
        (
            "delete",
            &Outcome::Deleting,
            Some("WaitingForRemoval"),
            false,
        ),
        ("delete", &Outcome::Gone, None, true),
        ("delete", &refused, Some("DeletionFailed"), false),
        ("delete", &timed_out, Some("DeletionTimedOut"), false),
        ("removeLabel", &Outcome::Released, None, true),
        ("removeLabel", &refused, Some("LabelRemovalFailed"), false),
        (
            "removeLabel",
            &timed_out,
            Some("LabelRemovalTimedOut"),
            false,
        ),
        ("fetchBody", &refused, Some("RetrievalFailed"), false),
    ];
    for (action, outcome, status, released) in rows {
        let decision = decided(action);
        assert_eq!(
            decision.status(Some(outcome)),
            status.map(PropagationStatus::from),
            "{action}: {outcome:?}"
        );
        assert_eq!(
            decision.releases(Some(outcome)),
            released,
            "{action}: {outcome:?}"
        );
    }
    // S2: an operation that was not begun is not done, whatever became of the others.
    for (action, status) in [
        ("create", "CreationFailed"),
        ("update", "UpdateFailed"),
        ("adopt", "UpdateFailed"),
        ("delete", "WaitingForRemoval"),
        ("removeLabel", "WaitingForRemoval"),
        ("fetchBody", "RetrievalFailed"),
    ] {
        assert_eq!(
            decided(action).status(None),
            Some(status.into()),
            "{action}"
        );
        assert!(!decided(action).releases(None), "{action}");
    }
}

#[test]
fn section_12_5_which_states_are_tried_again() {
    let retried = [
        "CreationFailed",
        "UpdateFailed",
        "DeletionFailed",
        "LabelRemovalFailed",
        "RetrievalFailed",
        "ClientRetrievalFailed",
        "CreationTimedOut",
        "UpdateTimedOut",
        "DeletionTimedOut",
        "LabelRemovalTimedOut",
    ];
    let waits = [
        "",
        "WaitingForRemoval",
        "ClusterNotReady",
        "CachedRetrievalFailed",
        "ComputeResourceFailed",
        "ApplyOverridesFailed",
        "AlreadyExists",
        "FieldRetentionFailed",
        "VersionRetrievalFailed",
        "ManagedLabelFalse",
    ];
    let is_retried = |status: &str| {
        // S8: whatever holds for the object as a whole.
        [
            PropagationReason::Success,
            PropagationReason::NamespaceNotFederated,
        ]
        .into_iter()
        .all(|reason| {
            Report::new(1)
                .reason(reason)
                .cluster("east", status.into(), None)
                .is_retried()
        })
    };
    assert!(retried.into_iter().all(is_retried));
    assert!(!waits.into_iter().any(is_retried));
}

#[test]
fn section_13_1_the_reason_of_the_condition() {
    let reason = |federated: Value, namespace: Value, scope: &str| {
        let case = json!({"federated": federated, "namespace": namespace, "scope": scope});
        Situation(&case).federation().reason()
    };
    let bad = json!({"spec": {"placement": {"clusters": 5}}});
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(
        reason(bad.clone(), Value::Null, ""),
        PropagationReason::ComputePlacementFailed
    );
    assert_eq!(
        reason(bad, json!("absent"), ""),
        PropagationReason::ComputePlacementFailed,
        "7.1"
    );
    assert_eq!(
        reason(json!({}), json!("absent"), ""),
        PropagationReason::NamespaceNotFederated,
        "12"
    );
    assert_eq!(
        reason(json!({}), json!("absent"), "limited"),
        PropagationReason::Success,
        "12"
    );
    assert_eq!(
        reason(json!({}), Value::Null, ""),
        PropagationReason::Success
    );
    assert_eq!(
        reason(deleted, json!("absent"), ""),
        PropagationReason::Success,
        "14: the clusters say what it waits for"
    );

    let overall =
        |reason: PropagationReason, status: &str, raw: RemoteStatus, remote: Option<Value>| {
            let report = Report::new(1).reason(reason).remote_status(raw);
            report
                .cluster("east", status.into(), remote)
                .overall_reason()
        };
    use PropagationReason::{CheckClusters, NamespaceNotFederated, Success};
    let (on, off) = (RemoteStatus::Expected, RemoteStatus::NotExpected);
    assert_eq!(
        overall(NamespaceNotFederated, "CreationFailed", off, None),
        NamespaceNotFederated
    );
    assert_eq!(overall(Success, "CreationFailed", off, None), CheckClusters);
    assert_eq!(overall(Success, "", on, None), CheckClusters);
    assert_eq!(overall(Success, "", off, None), Success);
    assert_eq!(overall(Success, "", on, Some(json!({}))), Success);
    assert_eq!(
        Report::new(1).overall_reason(),
        Success,
        "no cluster selected"
    );
}
