//! A walk through what federation does: the steps as data, each of which is verified.
//!
//! The walk is about the objects of `examples/manifests/shop.yaml`: a Deployment `shop/web` in three
//! clusters, a Secret `shop/database`, a Service `shop/web` and a ConfigMap `shop/recommendations`.

use std::collections::BTreeMap;
use std::time::Duration;

use kubefed_api::manifest::Manifest;
use kubefed_api::{ObjectVersion, QualifiedName, ResourceType, well_known};
use serde_json::{Value, json};

use crate::{CopyState, Error, PlayedCluster, Playground, Snapshot};

/// Member clusters that the walk needs at least.
pub const MEMBERS_MIN: usize = 3;

/// One step of a walk: what is done, what is then to be seen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// A short name.
    pub name: &'static str,
    /// What happened, in one line.
    pub what: String,
    /// Why the control plane did that, in one line.
    pub why: &'static str,
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// What is to be seen once everything has settled.
    pub expectations: Vec<Expectation>,
    /// The objects that may change. The copies of all others must be left alone.
    pub touches: Vec<Subject>,
}

/// The copies of a federated object: their kind and name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Subject {
    /// The kind of the copies.
    pub kind: &'static str,
    /// Name and namespace.
    pub name: QualifiedName,
}

/// Something that is done to the world.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Objects are created or replaced in the host cluster.
    Apply(Vec<Value>),
    /// A federated object is changed by a JSON merge patch.
    Patch(Subject, Value),
    /// A federated object is deleted.
    Delete(Subject),
    /// A copy is changed behind the control plane's back, by a JSON merge patch.
    Drift(&'static str, Subject, Value),
    /// A member refuses connections.
    Down(&'static str),
    /// All faults of a member end.
    Up(&'static str),
}

/// Something that must be so once everything has settled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expectation {
    /// Exactly these clusters hold a managed copy.
    Held(Subject, Vec<String>),
    /// A field of a copy, by its JSON pointer (RFC 6901), has this value.
    Field(&'static str, Subject, &'static str, Value),
    /// The federated object reports this status for a cluster; empty if all is well.
    Status(&'static str, Subject, &'static str),
    /// The copy is there without the managed label.
    Free(String, Subject),
    /// There is no federated object and no copy in any cluster.
    Gone(Subject),
    /// The cluster is in this state: `Ready`, `Offline`, ...
    Cluster(&'static str, &'static str),
}

/// How a walk goes on, for whoever shows it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A step begins.
    Begins(&'a Step),
    /// Something that the reader may not expect.
    Noted(&'a str),
    /// Something changed or is still moving; the words say what.
    Moves(&'a Snapshot, &'a [String]),
    /// Somebody changed something while nothing else was to be done.
    Changed(&'a Snapshot),
    /// A step has ended, and this is what is where.
    Ended(&'a Step, &'a Snapshot),
}

impl Progress<'_> {
    /// For programs, on one line of JSON: the step and the rows of the table when a step has ended, and
    /// notes. Empty for everything else.
    pub fn to_json_line(&self) -> String {
        let line = match self {
            Self::Noted(note) => json!({"note": note}),
            Self::Changed(snapshot) => json!({"rows": snapshot.rows()}),
            Self::Ended(step, snapshot) => json!({
                "step": step.name, "what": step.what, "why": step.why, "rows": snapshot.rows(),
            }),
            Self::Begins(_) | Self::Moves(..) => return String::new(),
        };
        line.to_string()
    }
}

impl<C: PlayedCluster> Playground<C> {
    /// Walks through what federation does, in a playground that was given nothing else. `shop` are the
    /// objects of `examples/manifests/shop.yaml`.
    ///
    /// # Errors
    ///
    /// An object could not be read, the playground has fewer members than [`MEMBERS_MIN`], or a step
    /// fails, which the error names.
    pub async fn tour(
        &self,
        shop: Vec<Result<Manifest, kubefed_api::Error>>,
        timeout: Duration,
        mut observe: impl FnMut(Progress<'_>),
    ) -> Result<(), Error> {
        let shop = shop.into_iter().map(|object| Ok(object?.value));
        let shop: Result<_, kubefed_api::Error> = shop.collect();
        let shop = shop.map_err(|error| Error::said("walk", error.to_string()))?;
        for step in steps(self, shop)? {
            step.run(self, timeout, &mut observe).await?;
        }
        Ok(())
    }
}

/// The steps of the walk, for a playground that was given nothing else. `shop` holds the objects to
/// begin with.
///
/// # Errors
///
/// The playground has fewer members than [`MEMBERS_MIN`].
pub fn steps<C: PlayedCluster>(
    playground: &Playground<C>,
    shop: Vec<Value>,
) -> Result<Vec<Step>, Error> {
    let members = playground.members().count();
    if members < MEMBERS_MIN {
        let message = format!("at least {MEMBERS_MIN} clusters are needed, there are {members}");
        return Err(Error::said("walk", message));
    }
    let all: Vec<_> = playground
        .members()
        .map(|(name, _)| name.to_owned())
        .collect();
    // The sizes large, small and medium in turn; the ConfigMap goes where there is room.
    let roomy = |index: usize| crate::SIZES[index % crate::SIZES.len()] != "small";
    let names = playground.members_in_order().enumerate();
    let mut spacious: Vec<_> = names
        .filter(|(index, _)| roomy(*index))
        .map(|(_, name)| name)
        .collect();
    spacious.sort();
    Ok(vec![
        settle(shop, &all, &spacious),
        override_changed(),
        drift_repaired(),
        cluster_down(),
        cluster_back(),
        placement_narrowed(),
        orphaned(&spacious),
        cascaded(),
    ])
}

fn web() -> Subject {
    Subject::new("Deployment", "web")
}

const REPLICAS: &str = "/spec/replicas";
const IMAGE: &str = "/spec/template/spec/containers/0/image";
const STABLE: &str = "registry.example.com/shop/web:1.4";
const CANDIDATE: &str = "registry.example.com/shop/web:1.5-rc2";
const RELEASE: &str = "registry.example.com/shop/web:1.5";

fn settle(shop: Vec<Value>, all: &[String], spacious: &[String]) -> Step {
    let database = || Subject::new("Secret", "database");
    let password = |word: &str| json!(k8s_openapi::ByteString(word.into()));
    Step {
        name: "settle",
        what: "the shop's manifests are applied to the host cluster".to_owned(),
        why: "each object goes where its placement and its namespace's placement say, with the overrides of that cluster",
        actions: vec![Action::Apply(shop)],
        expectations: vec![
            Expectation::Held(Subject::namespace(), all.to_vec()),
            Expectation::Held(web(), strings(["member-1", "member-2", "member-3"])),
            Expectation::Held(Subject::new("Service", "web"), all.to_vec()),
            Expectation::Held(database(), all.to_vec()),
            Expectation::Held(
                Subject::new("ConfigMap", "recommendations"),
                spacious.to_vec(),
            ),
            Expectation::Field("member-1", web(), REPLICAS, json!(5)),
            Expectation::Field("member-1", web(), IMAGE, json!(CANDIDATE)),
            Expectation::Field("member-2", web(), REPLICAS, json!(2)),
            Expectation::Field("member-3", web(), IMAGE, json!(STABLE)),
            Expectation::Field(
                "member-1",
                database(),
                "/data/password",
                password("correct-horse"),
            ),
            Expectation::Field(
                "member-2",
                database(),
                "/data/password",
                password("battery-staple"),
            ),
        ],
        touches: Vec::new(),
    }
}

fn override_changed() -> Step {
    let overrides = json!([
        {"clusterName": "member-1", "clusterOverrides": [
            {"path": REPLICAS, "value": 5},
            {"path": IMAGE, "value": CANDIDATE},
        ]},
        {"clusterName": "member-2", "clusterOverrides": [{"path": REPLICAS, "value": 3}]},
    ]);
    Step {
        name: "change an override",
        what: "Deployment shop/web gets an override for member-2: 3 replicas".to_owned(),
        why: "member-2 alone is updated; the other copies already are what their overrides make of the template",
        actions: vec![Action::Patch(
            web(),
            json!({"spec": {"overrides": overrides}}),
        )],
        expectations: vec![
            Expectation::Field("member-1", web(), REPLICAS, json!(5)),
            Expectation::Field("member-2", web(), REPLICAS, json!(3)),
            Expectation::Field("member-3", web(), REPLICAS, json!(2)),
        ],
        touches: vec![web()],
    }
}

fn drift_repaired() -> Step {
    Step {
        name: "drift repaired",
        what: "somebody scales shop/web in member-1 down to 1 by hand".to_owned(),
        why: "the copy is no longer the version that was recorded, so it is written again with its 5 replicas",
        actions: vec![Action::Drift(
            "member-1",
            web(),
            json!({"spec": {"replicas": 1}}),
        )],
        expectations: vec![Expectation::Field("member-1", web(), REPLICAS, json!(5))],
        touches: vec![web()],
    }
}

fn cluster_down() -> Step {
    let release = json!({"spec": {"template": {"spec": {"template": {"spec": {"containers": [{
        "name": "web", "image": RELEASE, "ports": [{"containerPort": 8080}],
    }]}}}}}});
    Step {
        name: "a cluster goes down",
        what: "member-3 refuses connections while shop/web gets the image 1.5".to_owned(),
        why: "member-2 is updated without waiting; what member-3 holds is unknown, so nothing there is called gone",
        actions: vec![Action::Down("member-3"), Action::Patch(web(), release)],
        expectations: vec![
            Expectation::Cluster("member-3", "Offline"),
            Expectation::Field("member-2", web(), IMAGE, json!(RELEASE)),
            Expectation::Field("member-3", web(), IMAGE, json!(STABLE)),
            Expectation::Status("member-1", web(), ""),
            Expectation::Status("member-2", web(), ""),
            Expectation::Status("member-3", web(), "ClusterNotReady"),
        ],
        touches: vec![web()],
    }
}

fn cluster_back() -> Step {
    Step {
        name: "it comes back",
        what: "member-3 accepts connections again".to_owned(),
        why: "one probe says it is healthy, its watches are resumed, and it gets what it missed",
        actions: vec![Action::Up("member-3")],
        expectations: vec![
            Expectation::Cluster("member-3", "Ready"),
            Expectation::Field("member-3", web(), IMAGE, json!(RELEASE)),
            Expectation::Status("member-3", web(), ""),
        ],
        touches: vec![web()],
    }
}

fn placement_narrowed() -> Step {
    let placement = json!({"clusters": [{"name": "member-1"}, {"name": "member-2"}]});
    Step {
        name: "placement narrowed",
        what: "the placement of shop/web names member-1 and member-2 only".to_owned(),
        why: "member-3 is no longer selected, so its copy is deleted; it stays in the inventory until that is proven",
        actions: vec![Action::Patch(
            web(),
            json!({"spec": {"placement": placement}}),
        )],
        expectations: vec![Expectation::Held(web(), strings(["member-1", "member-2"]))],
        touches: vec![web()],
    }
}

fn orphaned(spacious: &[String]) -> Step {
    let recommendations = || Subject::new("ConfigMap", "recommendations");
    let free = |cluster: &String| Expectation::Free(cluster.clone(), recommendations());
    let annotations = json!({well_known::ORPHAN_ANNOTATION: "true"});
    Step {
        name: "orphaning deletion",
        what: "FederatedConfigMap shop/recommendations is deleted, annotated with kubefed.io/orphan=true".to_owned(),
        why: "the copies lose the managed label and stay where they are; from now on they are their clusters' own",
        actions: vec![
            Action::Patch(recommendations(), json!({"metadata": {"annotations": annotations}})),
            Action::Delete(recommendations()),
        ],
        expectations: std::iter::once(Expectation::Held(recommendations(), Vec::new()))
            .chain(spacious.iter().map(free))
            .collect(),
        touches: vec![recommendations()],
    }
}

fn cascaded() -> Step {
    Step {
        name: "cascading deletion",
        what: "FederatedDeployment shop/web is deleted".to_owned(),
        why: "without that annotation the copies go too, and the finalizer holds the federated object until every one is gone",
        actions: vec![Action::Delete(web())],
        expectations: vec![Expectation::Gone(web())],
        touches: vec![web()],
    }
}

impl Subject {
    /// An object in the namespace `shop`.
    fn new(kind: &'static str, name: &str) -> Self {
        let name = QualifiedName::namespaced("shop", name);
        Self { kind, name }
    }

    /// The namespace `shop` itself, by the name of its federated object.
    fn namespace() -> Self {
        Self::new("Namespace", "shop")
    }

    fn types<C: PlayedCluster>(
        &self,
        playground: &Playground<C>,
    ) -> Result<(ResourceType, ResourceType), String> {
        let types = playground.types().iter();
        let mut types = types.filter(|(target, _)| target.kind == self.kind);
        types
            .next()
            .cloned()
            .ok_or_else(|| format!("{} is not federated", self.kind))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The name, and a line each for what happened and why.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n  {}", self.name, self.what, self.why)
    }
}

impl Step {
    /// Does what the step does, waits until everything has settled and verifies it: the step's
    /// expectations hold, and nothing was written to the copies of other objects.
    ///
    /// # Errors
    ///
    /// A cluster refuses an action, the expectations do not hold in time, or copies of other objects
    /// changed. The error names the step.
    pub async fn run<C: PlayedCluster>(
        &self,
        playground: &Playground<C>,
        timeout: Duration,
        mut observe: impl FnMut(Progress<'_>),
    ) -> Result<Snapshot, Error> {
        observe(Progress::Begins(self));
        let before = playground.snapshot();
        for action in &self.actions {
            let done = action.perform(playground).await;
            done.map_err(|error| error.within(self.name))?;
        }
        let expected = |snapshot: &Snapshot| self.verify(playground, snapshot);
        let watch =
            |snapshot: &Snapshot, moving: &[String]| observe(Progress::Moves(snapshot, moving));
        let settled = playground.settle_when(timeout, expected, watch).await;
        let snapshot = settled.map_err(|error| error.within(self.name))?;
        self.verify_others(&before, &snapshot)?;
        observe(Progress::Ended(self, &snapshot));
        Ok(snapshot)
    }

    /// Whether what is to be seen is to be seen.
    ///
    /// # Errors
    ///
    /// The first expectation that does not hold, in words.
    pub fn verify<C: PlayedCluster>(
        &self,
        playground: &Playground<C>,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let mut expectations = self.expectations.iter();
        expectations.try_for_each(|expectation| expectation.verify(playground, snapshot))
    }

    /// Whether the copies of everything that the step does not touch are as they were.
    fn verify_others(&self, before: &Snapshot, after: &Snapshot) -> Result<(), Error> {
        let untouched = |snapshot: &Snapshot| -> BTreeMap<(String, String), Option<ObjectVersion>> {
            let objects = snapshot.objects().iter();
            let others = objects.filter(|object| {
                !self.touches.is_empty()
                    && !self
                        .touches
                        .iter()
                        .any(|subject| subject.kind == object.kind && subject.name == object.name)
            });
            let copies = others.flat_map(|object| {
                let key = |copy: &CopyState| (object.title(), copy.cluster.clone());
                object
                    .clusters
                    .iter()
                    .map(move |copy| (key(copy), copy.version()))
            });
            copies.collect()
        };
        let (before, after) = (untouched(before), untouched(after));
        let changed = before
            .iter()
            .find(|(key, version)| after.get(*key) != Some(*version));
        match changed {
            None => Ok(()),
            Some(((object, cluster), _)) => Err(Error::said(
                self.name,
                format!("{object} in {cluster} changed although nobody touched it"),
            )),
        }
    }
}

impl Action {
    async fn perform<C: PlayedCluster>(&self, playground: &Playground<C>) -> Result<(), Error> {
        let types = |subject: &Subject| {
            let types = subject.types(playground);
            types.map_err(|why| Error::said(subject.to_string(), why))
        };
        match self {
            Self::Apply(objects) => playground.apply(objects.iter().cloned()).await,
            Self::Patch(subject, patch) => {
                let (_, federated) = types(subject)?;
                playground.patch(&federated, &subject.name, patch).await
            }
            Self::Delete(subject) => {
                let (_, federated) = types(subject)?;
                playground.delete(&federated, &subject.name).await
            }
            Self::Drift(cluster, subject, patch) => {
                let (target, _) = types(subject)?;
                let name = &subject.name;
                playground
                    .patch_in_member(cluster, &target, name, patch)
                    .await
            }
            Self::Down(cluster) => {
                let done = playground.existing_member(cluster)?.go_down().await;
                done.map_err(|error| Error::said(*cluster, error.to_string()))
            }
            Self::Up(cluster) => {
                let done = playground.existing_member(cluster)?.come_back().await;
                done.map_err(|error| Error::said(*cluster, error.to_string()))
            }
        }
    }
}

impl Expectation {
    /// Whether it holds.
    ///
    /// # Errors
    ///
    /// It does not; the words name object and cluster.
    pub fn verify<C: PlayedCluster>(
        &self,
        playground: &Playground<C>,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let found = |subject: &Subject| snapshot.object(subject.kind, &subject.name);
        let stored = |cluster: &str, subject: &Subject| {
            let (target, _) = subject.types(playground).ok()?;
            let (name, member) = (&subject.name, playground.member(cluster)?);
            member.object(&target, name)
        };
        match self {
            Self::Held(subject, clusters) => {
                let holders = found(subject).map(crate::ObjectState::holders);
                let holders = holders.unwrap_or_default();
                let as_it_should_be = holders == clusters.iter().collect::<Vec<_>>();
                check(as_it_should_be, || {
                    let list = clusters.join(", ");
                    format!(
                        "{subject} should be in [{list}], is in [{}]",
                        holders.join(", ")
                    )
                })
            }
            Self::Field(cluster, subject, pointer, value) => {
                let copy = stored(cluster, subject).unwrap_or_default();
                let there = copy.pointer(pointer).unwrap_or(&Value::Null);
                check(there == value, || {
                    format!("{subject} in {cluster}: {pointer} should be {value}, is {there}")
                })
            }
            Self::Status(cluster, subject, status) => {
                let copy = found(subject).and_then(|object| object.cluster(cluster));
                let reported = copy.and_then(|copy| copy.status.as_deref());
                check(reported == Some(status), || {
                    format!(
                        "{subject} should report {status:?} for {cluster}, reports {reported:?}"
                    )
                })
            }
            Self::Free(cluster, subject) => {
                let copy = stored(cluster, subject);
                let label = copy
                    .as_ref()
                    .map(|copy| copy["metadata"]["labels"][well_known::MANAGED_LABEL].clone());
                check(label == Some(Value::Null), || {
                    format!("{subject} should be in {cluster} without the managed label")
                })
            }
            Self::Gone(subject) => {
                let holders = playground.members().map(|(name, _)| name);
                let holder = holders
                    .into_iter()
                    .find(|name| stored(name, subject).is_some());
                check(
                    found(subject).is_none() && holder.is_none(),
                    || match holder {
                        Some(cluster) => format!("{subject} should be gone, is in {cluster}"),
                        None => format!("the federated object of {subject} should be gone"),
                    },
                )
            }
            Self::Cluster(name, state) => {
                let cluster = snapshot
                    .clusters()
                    .iter()
                    .find(|cluster| cluster.name == *name);
                let reported = cluster.map(|cluster| cluster.state.as_str());
                check(reported == Some(state), || {
                    format!(
                        "{name} should be {state}, is {}",
                        reported.unwrap_or("unknown")
                    )
                })
            }
        }
    }
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn strings<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).into()
}
