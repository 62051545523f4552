use std::fmt;

use kubefed_api::well_known::SERVER_OWNED_METADATA;
use kubefed_api::{ClusterName, QualifiedName, ResourceType};
use serde_json::{Map, Value, json};

use crate::{Action, Decision, Federation, Member, Observation, Record, decide};

/// What would be done for one federated object in every cluster, and why: a preview that writes
/// nothing.
///
/// Displays as text, a line per cluster with the changed fields below it. Values of Secrets are
/// redacted in the text, in the JSON form and in the changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    kind: String,
    name: QualifiedName,
    clusters: Vec<ClusterPlan>,
    warnings: Vec<String>,
}

/// What would be done in one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterPlan {
    /// The cluster.
    pub cluster: ClusterName,
    /// What would be done, and why.
    pub decision: Decision,
    /// The fields that an update would change, in the order of their paths. Empty for a creation,
    /// whose object is in the decision.
    pub changes: Vec<FieldChange>,
}

/// One field that an update would change.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// The value in the cluster, `None` where there is none.
    pub before: Option<Value>,
    /// The value to be written, `None` where the field goes.
    pub after: Option<Value>,
}

/// How much a plan may do before a person has to look at it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PlanLimits {
    deletions_max: Option<usize>,
    writes_max: Option<usize>,
}

impl PlanLimits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets in how many clusters a copy may be deleted.
    #[must_use]
    pub fn deletions_max(mut self, clusters: usize) -> Self {
        self.deletions_max = Some(clusters);
        self
    }

    /// Sets in how many clusters something may be written.
    #[must_use]
    pub fn writes_max(mut self, clusters: usize) -> Self {
        self.writes_max = Some(clusters);
        self
    }
}

/// Decides for every given cluster, in the given order, and compares with what the clusters hold.
///
/// Costs what the decisions cost, and for each update the size of the object.
pub fn plan<'a>(
    federation: &Federation,
    clusters: impl IntoIterator<Item = (&'a Member, &'a Observation)>,
    record: &Record,
) -> Plan {
    plan_with(federation, clusters, record, is_secret(federation.target()))
}

/// [`plan`] with the values of Secrets, for whoever asks for them.
pub fn plan_with_secrets<'a>(
    federation: &Federation,
    clusters: impl IntoIterator<Item = (&'a Member, &'a Observation)>,
    record: &Record,
) -> Plan {
    plan_with(federation, clusters, record, false)
}

fn plan_with<'a>(
    federation: &Federation,
    clusters: impl IntoIterator<Item = (&'a Member, &'a Observation)>,
    record: &Record,
    redacts: bool,
) -> Plan {
    let cluster_plan = |(member, observation): (&Member, &Observation)| {
        let mut decision = decide(federation, member, observation, record);
        let mut changes = match (decision.action.object(), body(observation)) {
            (Some(object), Some(body)) => differences(body, object),
            _ => Vec::new(),
        };
        if redacts {
            decision.action.object_mut().into_iter().for_each(redact);
            changes.iter_mut().for_each(FieldChange::redact);
        }
        ClusterPlan {
            cluster: member.name().clone(),
            decision,
            changes,
        }
    };
    Plan {
        kind: federation.target().kind.to_owned(),
        name: federation.target_name(),
        clusters: clusters.into_iter().map(cluster_plan).collect(),
        warnings: match federation.rendered() {
            Ok(rendered) => rendered.warnings.iter().map(ToString::to_string).collect(),
            Err(_) => Vec::new(),
        },
    }
}

impl Plan {
    /// Every cluster, in the order in which they were given.
    pub fn clusters(&self) -> &[ClusterPlan] {
        &self.clusters
    }

    /// What was dropped from the template.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether some cluster holds, or would get, a copy.
    pub fn places_something(&self) -> bool {
        self.clusters.iter().any(|cluster| {
            matches!(cluster.decision.action, Action::UpToDate { .. })
                || cluster.decision.action.object().is_some()
        })
    }

    /// Length of the longest cluster name, for columns.
    pub(crate) fn width(&self) -> usize {
        let names = self.clusters.iter().map(|cluster| cluster.cluster.as_str());
        names
            .map(|name| name.chars().count())
            .max()
            .unwrap_or_default()
    }

    /// Judges the plan by limits.
    ///
    /// # Errors
    ///
    /// The plan does more than a limit allows; the text names the limit and the clusters.
    pub fn check(&self, limits: &PlanLimits) -> Result<(), String> {
        let deletes = |action: &Action| matches!(action, Action::Delete { .. });
        self.check_one("delete from", limits.deletions_max, deletes)?;
        self.check_one("write to", limits.writes_max, Action::writes)
    }

    fn check_one(
        &self,
        what: &str,
        max: Option<usize>,
        counts: impl Fn(&Action) -> bool,
    ) -> Result<(), String> {
        let counted = self
            .clusters
            .iter()
            .filter(|cluster| counts(&cluster.decision.action));
        let names: Vec<_> = counted.map(|cluster| cluster.cluster.as_str()).collect();
        match max {
            Some(max) if names.len() > max => Err(format!(
                "{} {}: would {what} {} clusters, at most {max} are allowed: {}",
                self.kind,
                self.name,
                names.len(),
                names.join(", ")
            )),
            _ => Ok(()),
        }
    }

    /// The plan for programs: kind, name, warnings, and for each cluster the action's name, its text,
    /// the reason, the object to be written and the changed fields.
    pub fn to_json(&self) -> Value {
        let clusters: Vec<_> = self.clusters.iter().map(ClusterPlan::to_json).collect();
        let mut plan = json!({
            "kind": self.kind,
            "name": self.name.name(),
            "warnings": self.warnings,
            "clusters": clusters,
        });
        if let Some(namespace) = self.name.namespace() {
            plan["namespace"] = namespace.into();
        }
        plan
    }
}

impl ClusterPlan {
    fn to_json(&self) -> Value {
        let Decision { action, reason } = &self.decision;
        let mut plan = json!({
            "cluster": self.cluster,
            "action": action.name(),
            "text": action.to_string(),
            "reason": reason.to_string(),
        });
        if let Some(object) = action.object() {
            plan["object"] = object.clone();
        }
        if !self.changes.is_empty() {
            plan["changes"] = self.changes.iter().map(FieldChange::to_json).collect();
        }
        plan
    }
}

impl FieldChange {
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("path".to_owned(), self.path.clone().into());
        for (name, value) in [("before", &self.before), ("after", &self.after)] {
            fields.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        Value::Object(fields)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.kind, self.name)?;
        let width = self.width();
        for ClusterPlan {
            cluster,
            decision,
            changes,
        } in &self.clusters
        {
            writeln!(f, "  {:width$}  {decision}", cluster.as_str())?;
            for change in changes {
                writeln!(f, "  {:width$}    {change}", "")?;
            }
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {}: {after}", self.path),
            (Some(before), None) => write!(f, "- {}: {before}", self.path),
            (before, after) => {
                let text = |value: &Option<Value>| {
                    value.as_ref().map_or_else(String::new, ToString::to_string)
                };
                write!(f, "~ {}: {} -> {}", self.path, text(before), text(after))
            }
        }
    }
}

fn body(observation: &Observation) -> Option<&Value> {
    match observation {
        Observation::Managed(copy) | Observation::Foreign(copy) => copy.body().map(|body| &**body),
        _ => None,
    }
}

/// The fields in which two objects differ, but for the status and what the server owns.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare(&mut String::new(), Some(before), Some(after), &mut changes);
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn is_the_servers(path: &str) -> bool {
    let metadata = path.strip_prefix("/metadata/");
    path == "/status" || metadata.is_some_and(|name| SERVER_OWNED_METADATA.contains(&name))
}

fn compare(
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    let length = path.len();
    match (before, after) {
        _ if is_the_servers(path) => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                compare(path, old.get(name), new.get(name), changes);
                path.truncate(length);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                path.push_str(&format!("/{index}"));
                compare(path, old.get(index), new.get(index), changes);
                path.truncate(length);
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(FieldChange {
            path: path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

const REDACTED: &str = "<redacted>";

/// The members of a Secret that hold no secret. Everything else is hidden, whether it is part of the
/// type or not.
const OPEN: [&str; 5] = ["apiVersion", "immutable", "kind", "metadata", "type"];

/// The same for its metadata. Annotations are missing: kubectl and its like keep whole objects there.
const OPEN_METADATA: [&str; 7] = [
    "finalizers",
    "labels",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

pub(crate) fn is_secret(target: &ResourceType) -> bool {
    target.is_core("Secret")
}

/// Whether the values at a path of a Secret are nobody's business.
fn hides(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next()) {
        (Some("metadata"), member) => member.is_none_or(|name| !OPEN_METADATA.contains(&name)),
        (member, _) => member.is_none_or(|name| !OPEN.contains(&name)),
    }
}

/// Replaces the values of a Secret; names of its entries stay.
fn redact(object: &mut Value) {
    hide_members(object, &OPEN);
    if let Some(metadata) = object.get_mut("metadata") {
        hide_members(metadata, &OPEN_METADATA);
    }
}

impl FieldChange {
    pub(crate) fn redact(&mut self) {
        if hides(&self.path) {
            let values = [&mut self.before, &mut self.after].into_iter().flatten();
            values.for_each(|value| *value = REDACTED.into());
        }
    }
}

fn hide_members(value: &mut Value, open: &[&str]) {
    let members = value.as_object_mut().into_iter().flatten();
    for (_, hidden) in members.filter(|(name, _)| !open.contains(&name.as_str())) {
        match hidden {
            Value::Object(entries) => entries.values_mut().for_each(|v| *v = REDACTED.into()),
            Value::Null => {}
            other => *other = REDACTED.into(),
        }
    }
}
