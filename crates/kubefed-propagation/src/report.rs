use std::collections::BTreeMap;

use kubefed_api::{
    ClusterName, ClusterStatus, FederatedStatus, PropagationReason, PropagationStatus,
    StatusCondition, well_known,
};
use serde_json::Value;

use crate::canonical::canonical_json_of_doubles;

/// What one reconcile found out, in the terms of the federated object's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    generation: i64,
    reason: PropagationReason,
    clusters: BTreeMap<ClusterName, ClusterStatus>,
    remote_status: RemoteStatus,
    updated: bool,
}

/// Whether copies are expected to show a status of their own. Closed: raw status collection is on or
/// off, and a kind has a status or has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RemoteStatus {
    /// Raw status collection is off for the type, or the kind has no status: none is missed. (The
    /// original misses the status of a kind that has none for ever.)
    #[default]
    NotExpected,
    /// Raw status collection is on, and a cluster without a status is not as it should be.
    Expected,
}

impl Report {
    /// A report on the generation that was reconciled, which may be older than the stored one.
    pub fn new(generation: i64) -> Self {
        Self {
            generation,
            reason: PropagationReason::Success,
            clusters: BTreeMap::new(),
            remote_status: RemoteStatus::default(),
            updated: false,
        }
    }

    /// Sets whether copies are expected to show a status of their own.
    #[must_use]
    pub fn remote_status(mut self, remote_status: RemoteStatus) -> Self {
        self.remote_status = remote_status;
        self
    }

    /// Sets the reason that holds for the object as a whole, whatever the clusters say.
    #[must_use]
    pub fn reason(mut self, reason: PropagationReason) -> Self {
        self.reason = reason;
        self
    }

    /// Sets that a copy was created or replaced in this reconcile.
    #[must_use]
    pub fn updated(mut self, updated: bool) -> Self {
        self.updated = updated;
        self
    }

    /// Adds a cluster.
    #[must_use]
    pub fn cluster(
        mut self,
        name: impl Into<ClusterName>,
        status: PropagationStatus,
        remote_status: Option<Value>,
    ) -> Self {
        let name = name.into();
        self.clusters.insert(
            name.clone(),
            ClusterStatus {
                name,
                status,
                remote_status,
            },
        );
        self
    }

    /// Whether some cluster's state may get better by trying again.
    pub fn is_retried(&self) -> bool {
        self.clusters
            .values()
            .any(|cluster| cluster.status.is_retried())
    }

    /// The reason of the `Propagation` condition. What is wrong with the object as a whole goes before
    /// what is wrong in a cluster.
    pub fn overall_reason(&self) -> PropagationReason {
        if self.reason != PropagationReason::Success {
            return self.reason.clone();
        }
        let unwell = |cluster: &ClusterStatus| {
            let misses_status =
                self.remote_status == RemoteStatus::Expected && cluster.remote_status.is_none();
            !cluster.status.is_ok() || misses_status
        };
        if self.clusters.values().any(unwell) {
            PropagationReason::CheckClusters
        } else {
            PropagationReason::Success
        }
    }

    /// The status to write, `None` where the stored one says the same.
    ///
    /// `now` is the time of the report, RFC 3339 in UTC with whole seconds. The update time moves when
    /// a cluster's entry, the condition's status or its reason changes, and, while copies show a status
    /// of their own, when a copy was written; the transition time with status and reason only.
    /// Conditions of others are kept.
    pub fn next_status(&self, stored: &FederatedStatus, now: &str) -> Option<FederatedStatus> {
        let reason = self.overall_reason();
        // Where the object as a whole could not be judged, nothing is known of the clusters either.
        let clusters = match reason {
            PropagationReason::ClusterRetrievalFailed
            | PropagationReason::ComputePlacementFailed => Vec::new(),
            _ => self.clusters.values().cloned().collect::<Vec<_>>(),
        };
        let shows_status = clusters
            .iter()
            .any(|cluster| cluster.remote_status.is_some());
        let changed = !same_clusters(&clusters, &stored.clusters) || (shows_status && self.updated);
        let status = if reason == PropagationReason::Success {
            "True"
        } else {
            "False"
        };
        let transition = stored.propagation().is_none_or(|condition| {
            condition.status != status || condition.reason != reason.as_str()
        });
        if !changed && !transition && stored.observed_generation == self.generation {
            return None;
        }
        let mut next = FederatedStatus {
            observed_generation: self.generation,
            conditions: stored.conditions.clone(),
            clusters,
        };
        let condition = propagation_condition(&mut next.conditions);
        if transition {
            status.clone_into(&mut condition.status);
            reason.as_str().clone_into(&mut condition.reason);
            condition.last_transition_time = Some(now.to_owned());
        }
        if transition || changed {
            condition.last_update_time = Some(now.to_owned());
        }
        Some(next)
    }
}

/// The condition `Propagation`, which is added where it is missing.
fn propagation_condition(conditions: &mut Vec<StatusCondition>) -> &mut StatusCondition {
    let ours = |condition: &StatusCondition| condition.kind == well_known::PROPAGATION_CONDITION;
    let index = conditions.iter().position(ours).unwrap_or_else(|| {
        let kind = well_known::PROPAGATION_CONDITION.to_owned();
        conditions.push(StatusCondition {
            kind,
            ..StatusCondition::default()
        });
        conditions.len() - 1
    });
    &mut conditions[index]
}

/// Whether two lists say the same of the same clusters, in whatever order: the original's is random.
fn same_clusters(ours: &[ClusterStatus], stored: &[ClusterStatus]) -> bool {
    let mut stored: Vec<_> = stored.iter().collect();
    stored.sort_by(|a, b| a.name.cmp(&b.name));
    let same = |(ours, stored): (&ClusterStatus, &ClusterStatus)| {
        ours.name == stored.name
            && ours.status == stored.status
            && same_remote_status(ours.remote_status.as_ref(), stored.remote_status.as_ref())
    };
    ours.len() == stored.len() && ours.iter().zip(stored).all(same)
}

/// The stored status went through the API server, which may have written `1.0` as `1`.
fn same_remote_status(ours: Option<&Value>, stored: Option<&Value>) -> bool {
    match (ours, stored) {
        (Some(ours), Some(stored)) => {
            ours == stored || canonical_json_of_doubles(ours) == canonical_json_of_doubles(stored)
        }
        (ours, stored) => ours.is_none() == stored.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const THEN: &str = "2024-05-01T10:00:00Z";
    const NOW: &str = "2024-05-01T10:05:00Z";

    /// One entry, cluster1 OK, condition True, generation 0: the start of observable checks 31 to 40.
    fn stored(remote_status: Option<Value>) -> FederatedStatus {
        let report = Report::new(0).cluster("cluster1", PropagationStatus::Ok, remote_status);
        report
            .next_status(&FederatedStatus::default(), THEN)
            .unwrap()
    }

    fn check(report: &Report, stored: &FederatedStatus, changes: bool) {
        let next = report.next_status(stored, NOW);
        assert_eq!(next.is_some(), changes, "{report:?}");
        if let Some(next) = next {
            assert_eq!(
                report.next_status(&next, NOW),
                None,
                "a second report changes nothing"
            );
        }
    }

    fn cluster1(status: PropagationStatus, remote_status: Option<Value>) -> Report {
        Report::new(0).cluster("cluster1", status, remote_status)
    }

    // Observable checks 31 to 39 of propagation; each with raw collection on and off.
    #[test]
    fn a_status_is_written_when_it_says_something_new() {
        use PropagationStatus::{ClusterNotReady, Ok};
        let full = || Some(json!({"replicas": 1}));
        for expected in [RemoteStatus::NotExpected, RemoteStatus::Expected] {
            let none = stored(None);
            let report = |report: Report| report.remote_status(expected);
            check(
                &report(cluster1(ClusterNotReady, Some(json!({})))),
                &none,
                true,
            ); // 31
            check(&report(Report::new(0)), &none, true); // 32
            // 33 and 34: a missing raw status is news only where the kind has one.
            let misses = expected == RemoteStatus::Expected;
            check(&report(cluster1(Ok, None)), &none, misses);
            for updated in [true, false] {
                let first = report(cluster1(Ok, Some(json!({})))).updated(updated);
                assert!(first.next_status(&none, NOW).is_some()); // 35
            }
            check(&report(cluster1(Ok, full())), &stored(full()), false); // 36
            check(
                &report(cluster1(Ok, None).cluster("cluster2", Ok, None)),
                &none,
                true,
            ); // 37
            let unfederated = cluster1(Ok, None).reason(PropagationReason::NamespaceNotFederated);
            check(&report(unfederated), &none, true); // 38
            let newer = Report::new(1).cluster("cluster1", Ok, None);
            check(&report(newer), &none, true); // 39
        }
    }

    /// Section 13.2: a write is news by itself where copies show a status of their own, and only there.
    #[test]
    fn a_copy_that_was_written_moves_the_update_time_if_copies_show_a_status() {
        let full = || Some(json!({"replicas": 1}));
        for (remote_status, moves) in [(full(), true), (None, false)] {
            let stored = stored(remote_status.clone());
            let report = cluster1(PropagationStatus::Ok, remote_status);
            assert_eq!(
                report.clone().updated(false).next_status(&stored, NOW),
                None
            );
            let next = report.updated(true).next_status(&stored, NOW);
            assert_eq!(next.is_some(), moves);
            if let Some(next) = next {
                let condition = next.propagation().unwrap();
                assert_eq!(condition.last_update_time.as_deref(), Some(NOW));
                assert_eq!(condition.last_transition_time.as_deref(), Some(THEN));
            }
        }
    }

    // Observable check 40 of propagation.
    #[test]
    fn remote_statuses_are_compared_by_value() {
        let report = cluster1(PropagationStatus::Ok, Some(json!({"a": 1.0, "m": {}})));
        check(&report, &stored(Some(json!({"m": {}, "a": 1}))), false);
        check(&report, &stored(Some(json!({"a": 1}))), true);
    }

    #[test]
    fn the_order_of_clusters_says_nothing() {
        use PropagationStatus::Ok;
        let report = Report::new(0).cluster("b", Ok, None).cluster("a", Ok, None);
        let mut stored = report
            .next_status(&FederatedStatus::default(), THEN)
            .unwrap();
        assert_eq!(stored.clusters[0].name.as_str(), "a");
        stored.clusters.reverse();
        check(&report, &stored, false);
    }

    #[test]
    fn the_transition_time_moves_with_status_and_reason_only() {
        let times = |report: &Report, stored: &FederatedStatus| {
            let next = report.next_status(stored, NOW).unwrap();
            let condition = next.propagation().unwrap().clone();
            (
                condition.last_transition_time.unwrap(),
                condition.last_update_time.unwrap(),
            )
        };
        let ok = stored(None);
        let more = cluster1(PropagationStatus::Ok, None).cluster("b", PropagationStatus::Ok, None);
        assert_eq!(times(&more, &ok), (THEN.to_owned(), NOW.to_owned()));
        let failed = cluster1(PropagationStatus::UpdateFailed, None);
        assert_eq!(times(&failed, &ok), (NOW.to_owned(), NOW.to_owned()));
        let newer = Report::new(2).cluster("cluster1", PropagationStatus::Ok, None);
        assert_eq!(times(&newer, &ok), (THEN.to_owned(), THEN.to_owned()));
    }

    #[test]
    fn conditions_of_others_and_their_order_survive() {
        let mut old = stored(None);
        let foreign = StatusCondition {
            kind: "Checked".to_owned(),
            ..StatusCondition::default()
        };
        old.conditions.insert(0, foreign.clone());
        let next = Report::new(1).next_status(&old, NOW).unwrap();
        assert_eq!(next.conditions[0], foreign);
        assert_eq!(next.conditions.len(), 2);
    }

    #[test]
    fn an_early_failure_empties_the_clusters() {
        for reason in [
            PropagationReason::ClusterRetrievalFailed,
            PropagationReason::ComputePlacementFailed,
        ] {
            let report = cluster1(PropagationStatus::Ok, None).reason(reason);
            let next = report.next_status(&stored(None), NOW).unwrap();
            assert_eq!(next.clusters, []);
        }
    }
}
