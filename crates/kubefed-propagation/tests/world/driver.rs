//! A controller in its smallest form: the steps that every real one follows, over the world's servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kubefed_propagation::kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    DeleteOptions, Preconditions,
};
use kubefed_propagation::kubefed_api::{
    ClusterName, ClusterSelection, FederatedObject, ObjectVersion, ObservedCopy, PropagationReason,
    ResourceType, well_known,
};
use kubefed_propagation::{
    Action, Adoption, CopyInputs, Decision, Failure, Federation, Ignorance, Lifecycle, Member,
    NamespaceFederation, Observation, Outcome, Record, Report, Selection, decide, decide_orphan,
    hold_after, hold_before, inventory, next_versions,
};
use serde_json::{Value, json};

use crate::judge;
use crate::server::{Cluster, Crash, Host, Kind, Refused, Store, is_managed};

/// What the watch of a kind delivers of each object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tier {
    Metadata,
    Raw,
}

/// What there is, or is known, of the FederatedNamespace around the object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Around {
    NotNeeded,
    /// The store of FederatedNamespaces has no proof of sync.
    Unknown,
    /// Its placement makes no sense.
    Unreadable,
    Absent,
    Names(&'static [&'static str]),
}

impl Around {
    fn observed(self) -> NamespaceFederation {
        let placement = |clusters: Value| {
            NamespaceFederation::Present(ClusterSelection::parse(&json!({"clusters": clusters})))
        };
        match self {
            Self::NotNeeded => NamespaceFederation::NotNeeded,
            Self::Unknown => NamespaceFederation::Unknown("no list yet".to_owned()),
            Self::Unreadable => placement(json!("all")),
            Self::Absent => NamespaceFederation::Absent,
            Self::Names(names) => {
                placement(names.iter().map(|name| json!({"name": name})).collect())
            }
        }
    }

    pub(crate) fn is_undetermined(self) -> bool {
        matches!(self, Self::Unknown | Self::Unreadable)
    }

    pub(crate) fn admits(self, cluster: &str) -> bool {
        match self {
            Self::NotNeeded => true,
            Self::Unknown | Self::Unreadable | Self::Absent => false,
            Self::Names(names) => names.contains(&cluster),
        }
    }
}

/// Everything there is.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) tier: Tier,
    pub(crate) adoption: Adoption,
    pub(crate) around: Around,
    pub(crate) host: Host,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// Every write that took effect.
    pub(crate) writes: Vec<String>,
    /// Every request that was to write in a member and was refused.
    pub(crate) refused: Vec<String>,
    /// The process ends after so many writes in all.
    pub(crate) fuse: Option<usize>,
}

const NOW: &str = "2026-01-01T00:00:00Z";

impl World {
    pub(crate) fn new(kind: Kind, tier: Tier, clusters: &[&str]) -> Self {
        let cluster = |name: &&str| {
            let cluster = Cluster {
                labels: [("name".to_owned(), (*name).to_owned())].into(),
                joined: true,
                ready: true,
                synced: true,
                lags: false,
                answers_lost: 0,
                store: Store::new(name, kind),
            };
            ((*name).to_owned(), cluster)
        };
        Self {
            kind,
            tier,
            adoption: Adoption::Enabled,
            around: Around::NotNeeded,
            host: Host::default(),
            clusters: clusters.iter().map(cluster).collect(),
            writes: Vec::new(),
            refused: Vec::new(),
            fuse: None,
        }
    }

    pub(crate) fn target(&self) -> ResourceType {
        match self.kind {
            Kind::Deployment => ResourceType::namespaced("apps", "v1", "Deployment", "deployments"),
            Kind::ConfigMap => ResourceType::namespaced("", "v1", "ConfigMap", "configmaps"),
        }
    }

    pub(crate) fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.get_mut(name).unwrap()
    }

    /// Reconciles until nothing is written any more.
    pub(crate) fn settle(&mut self) -> Result<(), Crash> {
        for _ in 0..20 {
            let before = self.writes.len();
            self.reconcile()?;
            if self.writes.len() == before {
                return Ok(());
            }
        }
        panic!(
            "does not settle: {:#?}",
            &self.writes[self.writes.len() - 20..]
        );
    }

    /// One reconcile, in the order of the documented steps.
    pub(crate) fn reconcile(&mut self) -> Result<(), Crash> {
        let Some(stored) = self.host.object.clone() else {
            return self.free_orphans();
        };
        let object = Arc::new(FederatedObject::parse(stored).unwrap());
        let federation = Federation::new(self.target(), object.clone())
            .adoption(self.adoption)
            .namespace(self.around.observed());
        let record = match (federation.hashes(), &self.host.versions) {
            (Ok(hashes), Some(versions)) => {
                let now = CopyInputs::of(&object);
                Record::read_by_cluster(versions, hashes, &self.host.inputs, &now)
            }
            _ => Record::empty(),
        };
        let members = self.members(&object);
        let mut decisions: BTreeMap<ClusterName, Decision> = BTreeMap::new();
        for member in members.values() {
            let observation = self.observe(member.name());
            let decision = self.decide(&federation, member, observation, &record);
            decisions.insert(member.name().clone(), decision);
        }

        let held = members.values().filter(|member| member.is_in_inventory());
        let held: BTreeSet<_> = held.map(|member| member.name().clone()).collect();
        if let Some(patch) = hold_before(&object, &held, &decisions) {
            self.patch_host(&patch)?;
        }
        let mut outcomes: BTreeMap<ClusterName, Outcome> = BTreeMap::new();
        for (name, decision) in &mut decisions {
            // A decision that met another object than it was made for is made again, a few times.
            for _ in 0..3 {
                if !decision.action.writes() {
                    break;
                }
                if let Some(outcome) = self.dispatch(name, &decision.action)? {
                    outcomes.insert(name.clone(), outcome);
                    break;
                }
                let observation = self.read(name);
                *decision = self.decide(&federation, &members[name], observation, &record);
            }
        }
        self.record(&federation, &members, &decisions, &outcomes)?;
        self.report(&federation, &decisions, &outcomes)?;

        let Some(stored) = self.host.object.clone() else {
            return Ok(());
        };
        let object = FederatedObject::parse(stored).unwrap();
        let settled = decisions
            .iter()
            .map(|(name, decision)| (name, decision.releases(outcomes.get(name))));
        match hold_after(&object, settled) {
            Some(patch) => self.patch_host(&patch),
            None => Ok(()),
        }
    }

    fn free_orphans(&mut self) -> Result<(), Crash> {
        let names: Vec<_> = self
            .clusters
            .keys()
            .map(|name| ClusterName::from(name.as_str()))
            .collect();
        for name in names {
            let member = self.member(&name, false);
            let decision = decide_orphan(&member, &self.observe(&name));
            if decision.action.writes() {
                self.dispatch(&name, &decision.action)?;
            }
        }
        Ok(())
    }

    fn members(&self, object: &FederatedObject) -> BTreeMap<ClusterName, Member> {
        let names = || {
            self.clusters
                .keys()
                .map(|name| ClusterName::from(name.as_str()))
        };
        let observed = names().filter(|name| matches!(self.observe(name), Observation::Managed(_)));
        let held = inventory(object, self.host.versions.as_ref(), observed);
        let joined = names().filter(|name| self.clusters[name.as_str()].joined);
        let all = held.iter().cloned().chain(joined).collect::<BTreeSet<_>>();
        all.into_iter()
            .map(|name| (name.clone(), self.member(&name, held.contains(&name))))
            .collect()
    }

    fn member(&self, name: &ClusterName, is_held: bool) -> Member {
        match self.clusters.get(name.as_str()) {
            Some(cluster) if cluster.joined => Member::new(name.clone())
                .labels(cluster.labels.clone())
                .ready(cluster.ready)
                .in_inventory(is_held),
            _ => Member::removed(name.clone()),
        }
    }

    /// What the label-filtered watch shows. That of a cluster that is not ready is a lie on purpose.
    fn observe(&self, name: &ClusterName) -> Observation {
        let Some(cluster) = self
            .clusters
            .get(name.as_str())
            .filter(|cluster| cluster.joined)
        else {
            return Observation::NotManaged;
        };
        if cluster.ready && !cluster.synced {
            return Observation::Unknown(Ignorance::NotSynced("no list yet".to_owned()));
        }
        match cluster
            .store
            .object
            .as_ref()
            .filter(|object| cluster.ready && !cluster.lags && is_managed(object))
        {
            None => Observation::NotManaged,
            Some(object) => Observation::Managed(match self.tier {
                Tier::Metadata => ObservedCopy::from_metadata(object),
                Tier::Raw => ObservedCopy::from_body(Arc::new(object.clone())),
            }),
        }
    }

    fn read(&self, name: &ClusterName) -> Observation {
        let cluster = &self.clusters[name.as_str()];
        match &cluster.store.object {
            _ if !cluster.ready => {
                Observation::Unknown(Ignorance::ReadFailed("no route".to_owned()))
            }
            None => Observation::ProvenAbsent,
            Some(object) => Observation::of_body(Arc::new(object.clone())),
        }
    }

    fn decide(
        &self,
        federation: &Federation,
        member: &Member,
        observation: Observation,
        record: &Record,
    ) -> Decision {
        let decision = decide(federation, member, &observation, record);
        if !decision.action.reads() {
            return decision;
        }
        let again = decide(federation, member, &self.read(member.name()), record);
        assert!(
            !again.action.reads(),
            "a direct read answers the question: {again}"
        );
        again
    }

    /// Carries an action out; `None` if the object was not what it was decided for.
    fn dispatch(&mut self, name: &ClusterName, action: &Action) -> Result<Option<Outcome>, Crash> {
        judge::may_write(self, name, action);
        let cluster = self.cluster(name.as_str());
        assert!(
            cluster.ready && cluster.synced,
            "{name} is written to in ignorance: {action}"
        );
        let before = cluster.store.object.clone();
        let reply = match action {
            Action::Create { object } => cluster.store.create(object).map(Some),
            Action::Update { object, .. } | Action::Adopt { object } => {
                cluster.store.replace(object).map(Some)
            }
            Action::RemoveLabel {
                uid,
                resource_version,
            } => cluster.store.unlabel(uid, resource_version).map(Some),
            Action::Delete { uid, options } => cluster.store.delete(&guarded(options, uid)),
            other => panic!("{other} writes nothing"),
        };
        let lost = cluster.answers_lost > 0 && reply.is_ok();
        cluster.answers_lost -= usize::from(lost);
        let after = cluster.store.object.clone();
        let outcome = match (reply, action) {
            (Err(refused), _) => {
                self.refused.push(format!("{name}: {}", action.name()));
                return Ok(match (refused, action) {
                    (Refused::NotFound, Action::Delete { .. }) => Some(Outcome::Gone),
                    (Refused::NotFound, Action::RemoveLabel { .. }) => Some(Outcome::Released),
                    _ => None,
                });
            }
            (Ok(_), _) if lost => Outcome::Failed {
                failure: Failure::TimedOut,
                message: "no answer".to_owned(),
            },
            (Ok(None), _) => Outcome::Gone,
            (Ok(Some(_)), Action::Delete { .. }) => Outcome::Deleting,
            (Ok(Some(_)), Action::RemoveLabel { .. }) => Outcome::Released,
            (Ok(Some(object)), _) => Outcome::Applied {
                version: ObjectVersion::of(&object),
                remote_status: None,
            },
        };
        judge::has_written(action, before.as_ref(), after.as_ref());
        self.wrote(format!("{name}: {}", action.name()))?;
        Ok(Some(outcome))
    }

    fn record(
        &mut self,
        federation: &Federation,
        members: &BTreeMap<ClusterName, Member>,
        decisions: &BTreeMap<ClusterName, Decision>,
        outcomes: &BTreeMap<ClusterName, Outcome>,
    ) -> Result<(), Crash> {
        let (Ok(hashes), Lifecycle::Active, None) = (
            federation.hashes(),
            federation.lifecycle(),
            federation.placement().undetermined(),
        ) else {
            return Ok(());
        };
        let is_selected = |member: &&Member| {
            member.is_joined() && matches!(federation.selects(member), Selection::Yes(_))
        };
        let selected = members
            .values()
            .filter(is_selected)
            .map(|member| member.name().clone())
            .collect();
        let produced = decisions.iter().filter_map(|(name, decision)| {
            let version = match (outcomes.get(name), &decision.action) {
                (Some(Outcome::Applied { version, .. }), _) => version,
                (None, Action::UpToDate { version }) => version,
                _ => return None,
            };
            Some((name.clone(), version.clone()))
        });
        let produced = produced.collect();
        match next_versions(self.host.versions.as_ref(), hashes, &selected, &produced) {
            None => Ok(()),
            Some(versions) => {
                let before = self.host.versions.replace(versions);
                // Under the same hashes some copies may be older than this.
                let same = before.is_some_and(|before| {
                    hashes.matches(&before.template_version, &before.overrides_version)
                });
                if !same {
                    self.host.inputs = CopyInputs::of(federation.object());
                }
                self.wrote("host: versions".to_owned())
            }
        }
    }

    fn report(
        &mut self,
        federation: &Federation,
        decisions: &BTreeMap<ClusterName, Decision>,
        outcomes: &BTreeMap<ClusterName, Outcome>,
    ) -> Result<(), Crash> {
        let object = federation.object();
        let mut report = Report::new(object.generation()).reason(federation.reason());
        for (name, decision) in decisions {
            if let Some(status) = decision.status(outcomes.get(name)) {
                report = report.cluster(name.clone(), status, None);
            }
        }
        if report.overall_reason() == PropagationReason::Success {
            judge::may_report_success(self);
        }
        match report.next_status(object.status(), NOW) {
            None => Ok(()),
            Some(status) => {
                self.host
                    .write_status(serde_json::to_value(status).unwrap());
                self.wrote("host: status".to_owned())
            }
        }
    }

    fn patch_host(&mut self, patch: &Value) -> Result<(), Crash> {
        let foreign = judge::foreign_parts(self.host.object.as_ref());
        self.host
            .patch(patch)
            .expect("nobody else writes during a reconcile");
        if self.host.object.is_some() {
            assert_eq!(
                judge::foreign_parts(self.host.object.as_ref()),
                foreign,
                "{patch}"
            );
        }
        let finalizers = &patch["metadata"]["finalizers"];
        let held =
            finalizers.is_null() || finalizers.to_string().contains(well_known::SYNC_FINALIZER);
        self.wrote(if held { "host: hold" } else { "host: release" }.to_owned())
    }

    fn wrote(&mut self, what: String) -> Result<(), Crash> {
        self.writes.push(what);
        if self.fuse == Some(self.writes.len()) {
            self.fuse = None;
            return Err(Crash);
        }
        Ok(())
    }
}

fn guarded(options: &DeleteOptions, uid: &str) -> DeleteOptions {
    let preconditions = Preconditions {
        uid: Some(uid.to_owned()),
        ..options.preconditions.clone().unwrap_or_default()
    };
    DeleteOptions {
        preconditions: Some(preconditions),
        ..options.clone()
    }
}
