//! How well a cluster is: from probes to a state, and from the state to the conditions that other
//! programs read.
//!
//! Nothing here does I/O or reads a clock. [`Health`] is a value; a probe makes the next one.
//!
//! # States
//!
//! | state | meaning | conditions (KubeFed's wire form) |
//! | --- | --- | --- |
//! | Connecting | never probed | as stored |
//! | Ready | `/healthz` says `ok`, or failed fewer times in a row than the failure threshold | `Ready`=True |
//! | Syncing | was not ready; says `ok`, but not yet often enough in a row | as before |
//! | Degraded | answers, but not `ok` | `Ready`=False, `Offline`=False |
//! | Offline | does not answer with success | `Offline`=True |
//! | Malformed | no connection can be made from the configuration | `ConfigMalformed`=True |
//!
//! A missing condition means *not stated*. The thresholds count consecutive contrary results, which is
//! what their names promise; the original counts how long the present state has lasted, so that a
//! single failure turns over a cluster that has been ready for long.

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kubefed_api::{
    ClusterCondition, ClusterConditionStatus, ClusterConditionType, ClusterHealthCheckConfig,
    GoDuration, KubeFedClusterStatus,
};

use crate::connection::Malformed;
use crate::error::Error;

/// In which state a cluster is. Only a ready one is watched and written to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
// Closed: the table of the module relies on it.
pub enum ClusterState {
    /// Never probed.
    Connecting,
    /// Healthy again, but not yet for long enough.
    Syncing,
    /// Healthy.
    Ready,
    /// Reachable, but not healthy.
    Degraded,
    /// Not reachable.
    Offline,
    /// Not configured in a way that could work.
    Malformed,
}

impl ClusterState {
    /// Whether the cluster may be watched and written to.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Syncing => "syncing",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Malformed => "malformed",
        })
    }
}

/// What one probe found.
#[derive(Clone, Debug, Eq, PartialEq)]
// Closed: a row of the original's table each.
pub enum Probe {
    /// `/healthz` said `ok`; and the version, if it could be read.
    Healthy {
        /// Such as `v1.35.0`.
        version: Option<String>,
    },
    /// `/healthz` was answered with success, but not with `ok`.
    Unhealthy,
    /// There was no successful answer, for this reason.
    Unreachable(String),
}

/// How many results in a row it takes to change the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    failure: u32,
    success: u32,
}

impl Thresholds {
    /// Failures in a row until a ready cluster is not ready, and successes in a row until another one
    /// is. Zero counts as one.
    pub fn new(failure: u32, success: u32) -> Self {
        Self {
            failure: failure.max(1),
            success: success.max(1),
        }
    }
}

impl Default for Thresholds {
    /// Three failures, one success, as in the original.
    fn default() -> Self {
        Self::new(3, 1)
    }
}

/// When and how clusters are probed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// From the start of one probe to the start of the next; 10 s in the original.
    pub period: Duration,
    /// How long each request of a probe may take; 3 s in the original.
    pub timeout: Duration,
    /// What it takes to change the state.
    pub thresholds: Thresholds,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            thresholds: Thresholds::default(),
        }
    }
}

impl TryFrom<&ClusterHealthCheckConfig> for HealthCheck {
    type Error = Error;

    /// Missing fields get the original's defaults.
    ///
    /// # Errors
    ///
    /// A field is not positive.
    fn try_from(config: &ClusterHealthCheckConfig) -> Result<Self, Error> {
        let default = Self::default();
        let duration = |field: &str, given: Option<GoDuration>, default| match given {
            None => Ok(default),
            Some(given) => given
                .to_std()
                .filter(|span| !span.is_zero())
                .ok_or_else(|| Error::config(field, given)),
        };
        let count = |field: &str, given: Option<i64>, default| match given {
            None => Ok(default),
            Some(given) => u32::try_from(given)
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| Error::config(field, given)),
        };
        Ok(Self {
            period: duration("period", config.period, default.period)?,
            timeout: duration("timeout", config.timeout, default.timeout)?,
            thresholds: Thresholds {
                failure: count(
                    "failureThreshold",
                    config.failure_threshold,
                    default.thresholds.failure,
                )?,
                success: count(
                    "successThreshold",
                    config.success_threshold,
                    default.thresholds.success,
                )?,
            },
        })
    }
}

/// How well a cluster is, and what is to be written about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    state: ClusterState,
    /// Only conditions of the types that are ours.
    conditions: Vec<ClusterCondition>,
    version: Option<String>,
    cause: Option<String>,
    /// Results in a row that contradict the accepted state.
    contrary: u32,
}

impl Health {
    /// The health of a cluster of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            state: ClusterState::Connecting,
            conditions: Vec::new(),
            version: None,
            cause: None,
            contrary: 0,
        }
    }

    /// The health that a stored status speaks of, so that a restart does not make the first probe count
    /// more than any other. A malformed cluster starts anew.
    pub fn from_status(status: &KubeFedClusterStatus) -> Self {
        let holds = |kind: ClusterConditionType, status: ClusterConditionStatus| {
            move |condition: &ClusterCondition| {
                condition.type_ == kind && condition.status == status
            }
        };
        let any = |kind, value| status.conditions.iter().any(holds(kind, value));
        let state = if any(ClusterConditionType::Ready, ClusterConditionStatus::True) {
            ClusterState::Ready
        } else if any(ClusterConditionType::Offline, ClusterConditionStatus::True) {
            ClusterState::Offline
        } else if any(ClusterConditionType::Ready, ClusterConditionStatus::False) {
            ClusterState::Degraded
        } else {
            ClusterState::Connecting
        };
        Self {
            state,
            conditions: status
                .conditions
                .iter()
                .filter(|c| is_ours(c))
                .cloned()
                .collect(),
            version: status.kubernetes_version.clone(),
            cause: None,
            contrary: 0,
        }
    }

    /// The state.
    pub fn state(&self) -> ClusterState {
        self.state
    }

    /// The version that the cluster reported, such as `v1.35.0`.
    pub fn kubernetes_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Why the last probe failed or the cluster is malformed; `None` after a success.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The conditions that are to be written.
    pub fn conditions(&self) -> &[ClusterCondition] {
        &self.conditions
    }

    /// The health after a probe that began at `at`.
    pub fn after_probe(&self, probe: Probe, thresholds: Thresholds, at: &Time) -> Self {
        let healthy = matches!(probe, Probe::Healthy { .. });
        let was_ready = self.state.is_ready();
        // A malformed or never probed cluster has no accepted state that a result could contradict.
        let first = matches!(
            self.state,
            ClusterState::Malformed | ClusterState::Connecting
        );
        let threshold = if healthy {
            thresholds.success
        } else {
            thresholds.failure
        };
        let contrary = if healthy == was_ready {
            0
        } else {
            self.contrary + 1
        };
        let held = !first && contrary > 0 && contrary < threshold;
        let cause = cause(&probe);
        if held {
            return self.held(healthy, contrary, cause, at);
        }
        let (state, version) = match &probe {
            Probe::Healthy { version } => {
                // A version that could not be read this time has hardly changed.
                (
                    ClusterState::Ready,
                    version.clone().or_else(|| self.version.clone()),
                )
            }
            Probe::Unhealthy => (ClusterState::Degraded, None),
            Probe::Unreachable(_) => (ClusterState::Offline, None),
        };
        Self {
            state,
            conditions: self.dated(findings(&probe), at),
            version,
            cause,
            contrary: 0,
        }
    }

    /// The health of a cluster that cannot be connected to, noticed at `at`.
    pub fn malformed(&self, why: &Malformed, at: &Time) -> Self {
        let finding = Finding {
            type_: ClusterConditionType::ConfigMalformed,
            status: ClusterConditionStatus::True,
            reason: "ClusterConfigMalformed",
            message: "cluster's configuration may be malformed".to_owned(),
        };
        Self {
            state: ClusterState::Malformed,
            conditions: self.dated(vec![finding], at),
            version: None,
            cause: Some(why.to_string()),
            contrary: 0,
        }
    }

    /// The health of a cluster that is from now on reached at another server: the next result counts
    /// at once, until then the old conditions stand.
    pub fn restarted(&self) -> Self {
        Self {
            state: ClusterState::Connecting,
            cause: None,
            contrary: 0,
            ..self.clone()
        }
    }

    /// The status to write: ours, merged with what others have put into the stored one. Foreign
    /// conditions, zones and region stay as they are.
    pub fn status(&self, stored: Option<&KubeFedClusterStatus>) -> KubeFedClusterStatus {
        let mut status = stored.cloned().unwrap_or_default();
        status.conditions.retain(|condition| !is_ours(condition));
        status
            .conditions
            .splice(0..0, self.conditions.iter().cloned());
        status.kubernetes_version.clone_from(&self.version);
        status
    }

    fn held(&self, healthy: bool, contrary: u32, cause: Option<String>, at: &Time) -> Self {
        let mut held = self.clone();
        for condition in &mut held.conditions {
            condition.last_probe_time = Some(at.clone());
        }
        held.contrary = contrary;
        held.cause = cause;
        if healthy {
            held.state = ClusterState::Syncing;
        }
        held
    }

    /// Conditions with their times: one whose status is as before keeps its transition time.
    fn dated(&self, findings: Vec<Finding>, at: &Time) -> Vec<ClusterCondition> {
        let since = |finding: &Finding| {
            let same = self
                .conditions
                .iter()
                .find(|old| old.type_ == finding.type_ && old.status == finding.status);
            same.and_then(|old| old.last_transition_time.clone())
        };
        let dated = |finding: Finding| ClusterCondition {
            last_probe_time: Some(at.clone()),
            last_transition_time: since(&finding).or_else(|| Some(at.clone())),
            type_: finding.type_,
            status: finding.status,
            reason: Some(finding.reason.to_owned()),
            message: Some(finding.message),
        };
        findings.into_iter().map(dated).collect()
    }
}

/// Whether a status has to be written: at once if it says something new, otherwise only so that the
/// stored probe time does not fall behind by `heartbeat` or more.
///
/// The original writes after every probe, which wakes every watcher of KubeFedClusters for nothing.
pub fn needs_write(
    stored: Option<&KubeFedClusterStatus>,
    status: &KubeFedClusterStatus,
    heartbeat: Duration,
) -> bool {
    let Some(stored) = stored else {
        return true;
    };
    let undated = |status: &KubeFedClusterStatus| {
        let mut status = status.clone();
        for condition in &mut status.conditions {
            condition.last_probe_time = None;
        }
        status
    };
    if undated(stored) != undated(status) {
        return true;
    }
    let probed = |status: &KubeFedClusterStatus| {
        let times = status.conditions.iter().filter(|c| is_ours(c));
        times
            .filter_map(|c| c.last_probe_time.as_ref().map(|time| time.0))
            .max()
    };
    let heartbeat = SignedDuration::try_from(heartbeat).unwrap_or(SignedDuration::MAX);
    match (probed(stored), probed(status)) {
        (Some(old), Some(new)) => new.duration_since(old) >= heartbeat,
        (old, new) => old != new,
    }
}

struct Finding {
    type_: ClusterConditionType,
    status: ClusterConditionStatus,
    reason: &'static str,
    message: String,
}

/// The original's table from outcome to conditions.
fn findings(probe: &Probe) -> Vec<Finding> {
    use ClusterConditionStatus::{False, True};
    use ClusterConditionType::{Offline, Ready};
    let finding = |type_, status, reason, message: &str| Finding {
        type_,
        status,
        reason,
        message: message.to_owned(),
    };
    match probe {
        Probe::Healthy { .. } => {
            vec![finding(
                Ready,
                True,
                "ClusterReady",
                "/healthz responded with ok",
            )]
        }
        Probe::Unhealthy => vec![
            finding(Ready, False, "ClusterNotReady", UNHEALTHY),
            finding(Offline, False, "ClusterReachable", "cluster is reachable"),
        ],
        Probe::Unreachable(error) => {
            let message = format!("cluster is not reachable: {error}");
            vec![finding(Offline, True, "ClusterNotReachable", &message)]
        }
    }
}

const UNHEALTHY: &str = "/healthz responded without ok";

fn cause(probe: &Probe) -> Option<String> {
    match probe {
        Probe::Healthy { .. } => None,
        Probe::Unhealthy => Some(UNHEALTHY.to_owned()),
        Probe::Unreachable(error) => Some(error.clone()),
    }
}

fn is_ours(condition: &ClusterCondition) -> bool {
    matches!(
        condition.type_,
        ClusterConditionType::Ready
            | ClusterConditionType::Offline
            | ClusterConditionType::ConfigMalformed
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn t(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn probe(word: &str) -> Probe {
        match word {
            "ok" => Probe::Healthy {
                version: Some("v1.35.0".to_owned()),
            },
            "unversioned" => Probe::Healthy { version: None },
            "unwell" => Probe::Unhealthy,
            "down" => Probe::Unreachable("connection refused".to_owned()),
            other => panic!("{other}"),
        }
    }

    /// State, time of the probe and of the transition after each of some probes, a second apart.
    fn history(start: &Health, thresholds: Thresholds, probes: &str) -> String {
        let mut health = start.clone();
        let mut lines = Vec::new();
        for (second, word) in (1..).zip(probes.split(' ')) {
            health = health.after_probe(probe(word), thresholds, &t(second));
            let time = |time: &Option<Time>| time.as_ref().map_or(-1, |time| time.0.as_second());
            let first = &health.conditions()[0];
            let [probed, since] = [&first.last_probe_time, &first.last_transition_time].map(time);
            lines.push(format!("{word}: {} {probed} {since}", health.state()));
        }
        lines.join(", ")
    }

    /// clusters 10.1 to 10.5 (row 4 as C1 changes it): what a threshold means.
    #[test]
    fn thresholds_count_contrary_results_in_a_row() {
        let default = Thresholds::default();
        let check = |thresholds, probes, expected: &str| {
            assert_eq!(history(&Health::unknown(), thresholds, probes), expected);
        };
        check(default, "ok", "ok: ready 1 1");
        check(default, "down", "down: offline 1 1");
        check(default, "ok down", "ok: ready 1 1, down: ready 2 1");
        check(
            default,
            "ok down down down",
            "ok: ready 1 1, down: ready 2 1, down: ready 3 1, down: offline 4 4",
        );
        check(default, "down ok", "down: offline 1 1, ok: ready 2 2");
        // A success in between starts the count anew.
        check(
            default,
            "ok down down ok down down",
            "ok: ready 1 1, down: ready 2 1, down: ready 3 1, ok: ready 4 1, down: ready 5 1, down: ready 6 1",
        );
        check(
            Thresholds::new(1, 3),
            "down ok ok ok down",
            "down: offline 1 1, ok: syncing 2 1, ok: syncing 3 1, ok: ready 4 4, down: offline 5 5",
        );
        check(
            Thresholds::new(1, 2),
            "down ok down ok ok",
            "down: offline 1 1, ok: syncing 2 1, down: offline 3 1, ok: syncing 4 1, ok: ready 5 5",
        );
        // Another kind of failure is told at once.
        check(
            default,
            "down unwell unwell",
            "down: offline 1 1, unwell: degraded 2 2, unwell: degraded 3 2",
        );
    }

    fn wire(health: &Health) -> Value {
        serde_json::to_value(health.conditions()).unwrap()
    }

    /// clusters 4: the conditions, word for word.
    #[test]
    fn each_outcome_has_its_conditions() {
        let time = "1970-01-01T00:00:09Z";
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastProbeTime": time, "lastTransitionTime": time,
            })
        };
        let cases = [
            (
                "ok",
                json!([condition(
                    "Ready",
                    "True",
                    "ClusterReady",
                    "/healthz responded with ok"
                )]),
            ),
            (
                "unwell",
                json!([
                    condition(
                        "Ready",
                        "False",
                        "ClusterNotReady",
                        "/healthz responded without ok"
                    ),
                    condition(
                        "Offline",
                        "False",
                        "ClusterReachable",
                        "cluster is reachable"
                    ),
                ]),
            ),
            (
                "down",
                json!([condition(
                    "Offline",
                    "True",
                    "ClusterNotReachable",
                    "cluster is not reachable: connection refused"
                )]),
            ),
        ];
        for (word, expected) in cases {
            let health = Health::unknown().after_probe(probe(word), Thresholds::default(), &t(9));
            assert_eq!(wire(&health), expected);
        }
        let malformed = Health::unknown().malformed(&Malformed::EmptyEndpoint, &t(9));
        let message = "cluster's configuration may be malformed";
        let expected = condition("ConfigMalformed", "True", "ClusterConfigMalformed", message);
        assert_eq!(wire(&malformed), json!([expected]));
        assert_eq!(malformed.cause(), Some("the API endpoint is empty"));
    }

    /// clusters 5, 7 and C14: no thresholds around a malformed configuration, and its time stays.
    #[test]
    fn a_malformed_cluster_starts_anew_when_it_is_repaired() {
        let ready = Health::unknown().after_probe(probe("ok"), Thresholds::default(), &t(1));
        let first = ready.malformed(&Malformed::NoSecretName, &t(2));
        let again = first.malformed(&Malformed::NoSecretName, &t(3));
        assert_eq!(again.conditions()[0].last_transition_time, Some(t(2)));
        assert_eq!(again.conditions()[0].last_probe_time, Some(t(3)));
        let repaired = again.after_probe(probe("down"), Thresholds::default(), &t(4));
        assert_eq!(repaired.state(), ClusterState::Offline);
        assert_eq!(repaired.conditions()[0].last_transition_time, Some(t(4)));
    }

    /// C5: the version belongs to the conditions that are held.
    #[test]
    fn the_version_is_held_with_the_conditions() {
        let versions = |probes: &str| {
            let mut health = Health::unknown();
            let mut versions = Vec::new();
            for word in probes.split(' ') {
                health = health.after_probe(probe(word), Thresholds::default(), &t(1));
                versions.push(health.kubernetes_version().is_some());
            }
            versions
        };
        assert_eq!(versions("unversioned ok unversioned"), [false, true, true]);
        assert_eq!(versions("ok down down down"), [true, true, true, false]);
    }

    fn stored() -> KubeFedClusterStatus {
        serde_json::from_value(json!({
            "conditions": [
                {"type": "Quota", "status": "True", "lastProbeTime": "1970-01-01T00:00:01Z"},
                {
                    "type": "Ready", "status": "True", "reason": "ClusterReady",
                    "message": "/healthz responded with ok",
                    "lastProbeTime": "1970-01-01T00:00:05Z",
                    "lastTransitionTime": "1970-01-01T00:00:02Z",
                },
            ],
            "kubernetesVersion": "v1.35.0",
            "zones": ["a", "b"],
            "region": "north",
        }))
        .unwrap()
    }

    /// C10: a hiccup during a restart flips nothing.
    #[test]
    fn the_stored_status_is_where_counting_goes_on() {
        let seeded = Health::from_status(&stored());
        assert_eq!(
            history(&seeded, Thresholds::default(), "down down down"),
            "down: ready 1 2, down: ready 2 2, down: offline 3 3"
        );
        let offline = json!({"conditions": [{"type": "Offline", "status": "True"}]});
        let offline = Health::from_status(&serde_json::from_value(offline).unwrap());
        let thresholds = Thresholds::new(3, 2);
        assert_eq!(
            history(&offline, thresholds, "ok ok"),
            "ok: syncing 1 -1, ok: ready 2 2"
        );
    }

    /// C6: what others have written stays.
    #[test]
    fn a_status_is_merged_with_the_stored_one() {
        let stored = stored();
        let health = Health::from_status(&stored);
        let mut down = health.clone();
        for second in 6..9 {
            down = down.after_probe(probe("down"), Thresholds::default(), &t(second));
        }
        let status = down.status(Some(&stored));
        let kinds: Vec<_> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(kinds, ["Offline", "Quota"]);
        assert_eq!((status.zones, status.region), (stored.zones, stored.region));
        assert_eq!(status.kubernetes_version, None);
        assert_eq!(health.status(None).conditions.len(), 1);
    }

    /// C2: a status is written when it says something new, and otherwise seldom.
    #[test]
    fn a_status_is_written_on_change_and_as_a_heartbeat() {
        let heartbeat = Duration::from_secs(60);
        let stored = stored();
        let at = |second, word| {
            let health = Health::from_status(&stored);
            let health = health.after_probe(probe(word), Thresholds::new(1, 1), &t(second));
            health.status(Some(&stored))
        };
        let needed = |status: &KubeFedClusterStatus| {
            // The order of foreign conditions is no news.
            let base = Health::from_status(&stored).status(Some(&stored));
            needs_write(Some(&base), status, heartbeat)
        };
        assert!(!needed(&at(6, "ok")));
        assert!(!needed(&at(64, "ok")));
        assert!(needed(&at(65, "ok")));
        assert!(needed(&at(6, "down")));
        assert!(needs_write(None, &at(6, "ok"), heartbeat));
    }

    #[test]
    fn settings_that_are_not_positive_are_refused() {
        let check = |config: Value, expected: Result<HealthCheck, &str>| {
            let config: ClusterHealthCheckConfig = serde_json::from_value(config).unwrap();
            let check = HealthCheck::try_from(&config).map_err(|error| error.to_string());
            assert_eq!(check, expected.map_err(str::to_owned));
        };
        check(json!({}), Ok(HealthCheck::default()));
        let fast = HealthCheck {
            period: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            thresholds: Thresholds::new(1, 2),
        };
        check(
            json!({"period": "1s", "timeout": "500ms", "failureThreshold": 1, "successThreshold": 2}),
            Ok(fast),
        );
        check(
            json!({"period": "0s"}),
            Err("clusterHealthCheck.period: 0s is not positive"),
        );
        check(
            json!({"failureThreshold": -1}),
            Err("clusterHealthCheck.failureThreshold: -1 is not positive"),
        );
    }
}
