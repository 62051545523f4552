use std::fmt;

use kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use kubefed_api::{
    MetadataDigest, ObjectVersion, ObservedCopy, Override, PropagationStatus, well_known,
};
use serde_json::{Map, Value, json};

use crate::observation::{Ignorance, Observation};
use crate::overrides::apply_overrides;
use crate::render::set_managed_label;
use crate::retention::{reads_body, retain};
use crate::version::needs_update;
use crate::{
    Error, Federation, Lifecycle, Member, NotSelected, Record, Selected, Selection, Undetermined,
};

/// What one member cluster needs now, and why.
///
/// A decision is complete: whoever carries it out has no choices left. A stale one is harmless, since
/// every write in it is guarded by a resource version, a uid or the object's absence.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why the cluster should, or should not, hold a copy.
    pub reason: Reason,
}

/// What is to be done in one member cluster. Closed: dispatch carries out every case.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing, and the cluster holds no copy of ours.
    Nothing,
    /// Nothing, the copy is current. Its version is to be recorded.
    UpToDate {
        /// The version of the copy.
        version: ObjectVersion,
    },
    /// Nothing can be done until something changes.
    Wait(Waiting),
    /// Read the object directly and decide again: the watch cannot prove that it is gone.
    ProveAbsence,
    /// Read the object directly and decide again: an update needs what the member owns.
    FetchBody,
    /// Create the object, which must not exist.
    Create {
        /// The object, without a resource version.
        object: Value,
    },
    /// Replace the managed copy.
    Update {
        /// The object, with the resource version it was decided on.
        object: Value,
        /// What differs.
        cause: UpdateCause,
    },
    /// Take over an object that was there before.
    Adopt {
        /// The object, with the resource version it was decided on.
        object: Value,
    },
    /// Set the copy free by removing the managed label.
    RemoveLabel {
        /// The uid of the copy.
        uid: String,
        /// The resource version it was decided on.
        resource_version: String,
    },
    /// Delete the copy.
    Delete {
        /// The uid of the copy; the delete must be guarded by it.
        uid: String,
        /// Options from the federated object's annotation.
        options: DeleteOptions,
    },
    /// Something about the federated object or the existing object forbids to act.
    Refuse(Refusal),
}

/// Why a copy is replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UpdateCause {
    /// No version is recorded for the current template and overrides.
    NotRecorded,
    /// The copy is not the one that was written last.
    Changed {
        /// The version recorded after the last write.
        recorded: ObjectVersion,
    },
    /// Labels or annotations differ although the version does not.
    Metadata,
}

/// What a cluster waits for. Closed: it decides the reported status.
#[derive(Clone, Debug, PartialEq)]
pub enum Waiting {
    /// What the cluster holds is not known.
    Unknown(Ignorance),
    /// Whether the cluster is selected is not known.
    Undetermined,
    /// The copy has a deletion timestamp.
    Removal,
    /// An object that is not ours stands in the way and is being deleted.
    ForeignRemoval,
    /// The delete-options annotation cannot be read.
    DeleteOptions(kubefed_api::Error),
}

/// Why nothing may be written, in the terms of the reported status.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The status of the cluster.
    pub status: PropagationStatus,
    /// What is wrong, for an event.
    pub message: String,
}

/// Why the cluster should, or should not, hold a copy. Closed: it is what [`Selection`] and
/// [`Lifecycle`] can say together.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The cluster is selected.
    Selected(Selected),
    /// The cluster is not selected.
    NotSelected(NotSelected),
    /// Whether it is selected cannot be told.
    Undetermined(Undetermined),
    /// The federated object is being deleted.
    Deletion,
    /// The federated object is being deleted and sets its copies free.
    Orphaning,
    /// The federated object is being deleted and does not carry our finalizer.
    Released,
    /// The KubeFedCluster is gone; what the cluster holds stays there.
    ClusterRemoved,
    /// There is no federated object of this name.
    NoFederatedObject,
}

/// What one member cluster needs now, and why. Total: it never fails, and what is wrong with one
/// cluster's overrides concerns no other.
///
/// | | `Unknown` | `NotManaged` | `Managed` | `Foreign` | `ProvenAbsent` |
/// | --- | --- | --- | --- | --- | --- |
/// | undetermined | wait | wait | wait | wait | wait |
/// | not selected, may hold a copy | wait | prove absence | delete | nothing | nothing |
/// | not selected, never written to | nothing | nothing | delete | nothing | nothing |
/// | selected | wait | create | update, unless up to date | adopt or refuse | create |
///
/// Deletion of the federated object counts as not selected. The host's own Namespace, and every copy
/// of an object that orphans its copies, is unlabelled where others are deleted. Nothing is done in a
/// removed cluster, nor for an object that is being deleted without our finalizer.
pub fn decide(
    federation: &Federation,
    member: &Member,
    observation: &Observation,
    record: &Record,
) -> Decision {
    let (wanted, reason) = wants(federation, member);
    let observed = if member.ready {
        observation
    } else {
        &Observation::Unknown(Ignorance::NotReady)
    };
    let action = match (wanted, observed) {
        (Wanted::NobodysBusiness, _) => Action::Nothing,
        (Wanted::Undetermined, _) => Action::Wait(Waiting::Undetermined),
        (Wanted::No, Observation::Unknown(_)) if !may_hold_a_copy(federation, member) => {
            Action::Nothing
        }
        // Ignorance is never a cause to act.
        (_, Observation::Unknown(why)) => Action::Wait(Waiting::Unknown(why.clone())),
        (Wanted::No, Observation::Managed(copy)) => remove(federation, copy),
        (Wanted::No, Observation::NotManaged) if may_hold_a_copy(federation, member) => {
            Action::ProveAbsence
        }
        (Wanted::No, _) => Action::Nothing,
        (Wanted::Yes, Observation::NotManaged | Observation::ProvenAbsent) => {
            create(federation, member)
        }
        (Wanted::Yes, Observation::Foreign(copy)) => adopt(federation, member, copy),
        (Wanted::Yes, Observation::Managed(copy)) => keep(federation, member, copy, record),
    };
    action.because(reason)
}

/// What to do with a managed copy whose federated object does not exist: it is set free, never
/// deleted.
///
/// A cluster of which nothing is known is left alone: its copies are seen when it returns, and every
/// deleted object would otherwise wait for every cluster that is down.
pub fn decide_orphan(member: &Member, observation: &Observation) -> Decision {
    let action = match observation {
        _ if !member.joined => Action::Nothing,
        Observation::Managed(_) if !member.ready => {
            Action::Wait(Waiting::Unknown(Ignorance::NotReady))
        }
        Observation::Managed(copy) if copy.is_deleting() => Action::Wait(Waiting::Removal),
        Observation::Managed(copy) => Action::remove_label(copy),
        Observation::Unknown(_)
        | Observation::NotManaged
        | Observation::Foreign(_)
        | Observation::ProvenAbsent => Action::Nothing,
    };
    action.because(Reason::NoFederatedObject)
}

/// Whether a cluster should hold a copy.
enum Wanted {
    Yes,
    No,
    Undetermined,
    NobodysBusiness,
}

fn wants(federation: &Federation, member: &Member) -> (Wanted, Reason) {
    if !member.joined {
        return (Wanted::NobodysBusiness, Reason::ClusterRemoved);
    }
    match federation.lifecycle() {
        Lifecycle::Released => (Wanted::NobodysBusiness, Reason::Released),
        Lifecycle::Cascade(_) => (Wanted::No, Reason::Deletion),
        Lifecycle::Orphan => (Wanted::No, Reason::Orphaning),
        Lifecycle::Active => match federation.selects(member) {
            Selection::Yes(by) => (Wanted::Yes, Reason::Selected(by)),
            Selection::No(why) => (Wanted::No, Reason::NotSelected(why)),
            Selection::Undetermined(why) => (Wanted::Undetermined, Reason::Undetermined(why)),
        },
    }
}

/// Whether a cluster may hold a copy by any record, although none was observed. The placement of an
/// object that is being deleted counts, since one that was taken over from KubeFed, or lost its
/// annotation, may have no other record.
fn may_hold_a_copy(federation: &Federation, member: &Member) -> bool {
    let placed = || !matches!(federation.selects(member), Selection::No(_));
    member.in_inventory || (*federation.lifecycle() != Lifecycle::Active && placed())
}

fn create(federation: &Federation, member: &Member) -> Action {
    match desired(federation, member, None) {
        Ok(object) => Action::Create { object },
        Err(refusal) => Action::Refuse(refusal),
    }
}

fn adopt(federation: &Federation, member: &Member, object: &ObservedCopy) -> Action {
    let host_namespace = federation.is_host_namespace(object.uid());
    if !federation.adopts() && !host_namespace {
        let message = "Resource pre-exist in cluster".to_owned();
        return Action::Refuse(Refusal {
            status: PropagationStatus::AlreadyExists,
            message,
        });
    }
    if object.has_opted_out() {
        return Action::Refuse(opted_out());
    }
    if object.is_deleting() && !host_namespace {
        return Action::Wait(Waiting::ForeignRemoval);
    }
    if let Err(refusal) = can_be_desired(federation, member) {
        return Action::Refuse(refusal);
    }
    let Some(body) = object.body() else {
        return Action::FetchBody;
    };
    match desired(federation, member, Some(body)) {
        Ok(object) => Action::Adopt { object },
        Err(refusal) => Action::Refuse(refusal),
    }
}

fn keep(federation: &Federation, member: &Member, copy: &ObservedCopy, record: &Record) -> Action {
    if let Err(refusal) = can_be_desired(federation, member) {
        return Action::Refuse(refusal);
    }
    let version = copy.version().clone();
    let Some(body) = copy.body() else {
        return if is_current_without_body(federation, member, copy, record) {
            Action::UpToDate { version }
        } else if is_replaced_without_body(federation, copy, record) {
            replace_without_body(federation, member, copy)
        } else {
            Action::FetchBody
        };
    };
    let object = match desired(federation, member, Some(body)) {
        Ok(object) => object,
        Err(refusal) => return Action::Refuse(refusal),
    };
    let recorded = record.version(&member.name);
    let recorded_text = recorded.map(ToString::to_string).unwrap_or_default();
    // A write that would change nothing is left out: foreign writes to parts that are not ours, and
    // edits of another cluster's overrides that the record knows nothing of, would cost one each.
    if !needs_update(&recorded_text, &object, body) || same_but_for_the_server(&object, body) {
        return Action::UpToDate { version };
    }
    let cause = match recorded {
        None => UpdateCause::NotRecorded,
        Some(recorded) if *recorded != version => UpdateCause::Changed {
            recorded: recorded.clone(),
        },
        Some(_) => UpdateCause::Metadata,
    };
    Action::Update { object, cause }
}

fn remove(federation: &Federation, copy: &ObservedCopy) -> Action {
    let host_namespace = federation.is_host_namespace(copy.uid());
    match federation.lifecycle() {
        // Even a copy that is being deleted is set free, so that nobody has to wait for it.
        Lifecycle::Orphan => Action::remove_label(copy),
        Lifecycle::Released => Action::Nothing,
        _ if host_namespace && copy.is_deleting() => Action::Nothing,
        _ if host_namespace => Action::remove_label(copy),
        _ if copy.is_deleting() => Action::Wait(Waiting::Removal),
        Lifecycle::Cascade(Err(error)) => Action::Wait(Waiting::DeleteOptions(error.clone())),
        Lifecycle::Cascade(Ok(options)) => Action::delete(copy, options.clone()),
        // The options are for the deletion of the federated object only, as in the original.
        Lifecycle::Active => Action::delete(copy, DeleteOptions::default()),
    }
}

/// What forbids to replace a copy whatever it looks like, so that none is read for nothing.
fn can_be_desired(federation: &Federation, member: &Member) -> Result<(), Refusal> {
    federation.rendered().map_err(Refusal::from)?;
    overrides(federation, member).map(drop)
}

fn overrides<'a>(
    federation: &'a Federation,
    member: &Member,
) -> Result<Option<&'a [Override]>, Refusal> {
    let overrides = federation.object().overrides().of(&member.name);
    overrides.map_err(|error| Refusal {
        status: PropagationStatus::ApplyOverridesFailed,
        message: format!("Error reading cluster overrides: {}", error.message()),
    })
}

/// The object as it should be in one cluster, made from the template, from what the member owns and
/// from the cluster's overrides, in this order.
fn desired(
    federation: &Federation,
    member: &Member,
    body: Option<&Value>,
) -> Result<Value, Refusal> {
    let rendered = federation.rendered().map_err(Refusal::from)?;
    let mut object = rendered.object.clone();
    if let Some(body) = body {
        retain(federation.target(), &mut object, body, federation.object())?;
        keep_owners(&mut object, body);
        if federation.is_host_namespace(body["metadata"]["uid"].as_str().unwrap_or_default()) {
            keep_labels(&mut object, body);
        }
    }
    if let Some(overrides) = overrides(federation, member)? {
        object = apply_overrides(object, overrides)?;
    }
    set_managed_label(&mut object)?;
    Ok(object)
}

/// Templates and overrides have no say in owner references, so those that are there belong to the
/// member, and dropping them would change what its garbage collector does.
fn keep_owners(object: &mut Value, body: &Value) {
    let owners = &body["metadata"]["ownerReferences"];
    if let (Some(metadata), true) = (object["metadata"].as_object_mut(), owners.is_array()) {
        metadata.insert("ownerReferences".to_owned(), owners.clone());
    }
}

/// The host's own Namespace carries labels of the host's users; the template only adds to them.
fn keep_labels(object: &mut Value, body: &Value) {
    let Some(kept) = body["metadata"]["labels"].as_object() else {
        return;
    };
    let mut labels = kept.clone();
    if let Some(ours) = object["metadata"]["labels"].as_object() {
        labels.extend(ours.clone());
    }
    object["metadata"]["labels"] = Value::Object(labels);
}

/// Whether a copy of which only the metadata is known is certainly as desired.
///
/// The version tells that spec and the like are as they were written. A kind with generations says
/// nothing of labels and annotations by that: labels are compared by digest, and annotations are the
/// member's own unless an override reaches them.
fn is_current_without_body(
    federation: &Federation,
    member: &Member,
    copy: &ObservedCopy,
    record: &Record,
) -> bool {
    if record.version(&member.name) != Some(copy.version()) {
        return false;
    }
    if !matches!(copy.version(), ObjectVersion::Generation(_)) {
        return true;
    }
    let Ok(overrides) = overrides(federation, member) else {
        return false;
    };
    let overrides = overrides.unwrap_or_default();
    if overrides
        .iter()
        .any(|item| item.reaches(&["metadata", "annotations"]))
    {
        return false;
    }
    let label_overrides: Vec<_> = overrides
        .iter()
        .filter(|item| item.reaches(&["metadata", "labels"]))
        .cloned()
        .collect();
    let Ok(rendered) = federation.rendered() else {
        return false;
    };
    let mut labelled = only_identity_and_labels(&rendered.object);
    if !label_overrides.is_empty() {
        match apply_overrides(labelled, &label_overrides) {
            Ok(object) => labelled = object,
            Err(_) => return false,
        }
    }
    set_managed_label(&mut labelled).is_ok()
        && MetadataDigest::of(&labelled["metadata"]["labels"]) == copy.labels()
}

/// Whether a copy of which only the metadata is known can be written without reading the rest: nothing
/// in it would be kept, and since the template is another one, there is hardly any hope that it is as
/// desired already, which only the whole object could tell.
fn is_replaced_without_body(federation: &Federation, copy: &ObservedCopy, record: &Record) -> bool {
    record.template_changed()
        && copy.is_bare()
        && !federation.is_host_namespace(copy.uid())
        && !reads_body(federation.target(), federation.object())
}

fn replace_without_body(federation: &Federation, member: &Member, copy: &ObservedCopy) -> Action {
    let body = json!({"metadata": {"resourceVersion": copy.resource_version()}});
    match desired(federation, member, Some(&body)) {
        Ok(object) => Action::Update {
            object,
            cause: UpdateCause::NotRecorded,
        },
        Err(refusal) => Action::Refuse(refusal),
    }
}

fn only_identity_and_labels(object: &Value) -> Value {
    let metadata: Map<String, Value> = ["name", "namespace", "labels"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), object["metadata"].get(name)?.clone())))
        .collect();
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata})
}

/// Whether replacing `body` by `object` would change nothing: they are equal but for the status and
/// for metadata that belongs to the server.
fn same_but_for_the_server(object: &Value, body: &Value) -> bool {
    const OURS: [&str; 5] = ["annotations", "finalizers", "labels", "name", "namespace"];
    let members = |value: &Value| value.as_object().map_or(0, Map::len);
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let same =
        |ours: &Value, theirs: &Value| ours == theirs || (is_empty(ours) && is_empty(theirs));
    let own_status = usize::from(body.get("status").is_some());
    let (Some(fields), status) = (
        object.as_object(),
        usize::from(object.get("status").is_some()),
    ) else {
        return false;
    };
    members(object) - status == members(body) - own_status
        && fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"))
            .all(|(name, value)| body.get(name) == Some(value))
        && OURS
            .iter()
            .all(|name| same(&object["metadata"][name], &body["metadata"][name]))
}

fn opted_out() -> Refusal {
    Refusal {
        status: PropagationStatus::ManagedLabelFalse,
        message: format!(
            "Unable to manage the object which has label {}: {}",
            well_known::MANAGED_LABEL,
            well_known::UNMANAGED_VALUE
        ),
    }
}

impl Action {
    fn because(self, reason: Reason) -> Decision {
        Decision {
            action: self,
            reason,
        }
    }

    fn remove_label(copy: &ObservedCopy) -> Self {
        Self::RemoveLabel {
            uid: copy.uid().to_owned(),
            resource_version: copy.resource_version().to_owned(),
        }
    }

    fn delete(copy: &ObservedCopy, options: DeleteOptions) -> Self {
        Self::Delete {
            uid: copy.uid().to_owned(),
            options,
        }
    }

    /// Whether carrying the action out changes something in the member cluster.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::Update { .. }
                | Self::Adopt { .. }
                | Self::RemoveLabel { .. }
                | Self::Delete { .. }
        )
    }

    /// Whether the action needs a direct read and a second decision.
    pub fn reads(&self) -> bool {
        matches!(self, Self::ProveAbsence | Self::FetchBody)
    }

    /// The action's name, for programs: `create`, `update`, `upToDate` and so on.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::UpToDate { .. } => "upToDate",
            Self::Wait(_) => "wait",
            Self::ProveAbsence => "proveAbsence",
            Self::FetchBody => "fetchBody",
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Adopt { .. } => "adopt",
            Self::RemoveLabel { .. } => "removeLabel",
            Self::Delete { .. } => "delete",
            Self::Refuse(_) => "refuse",
        }
    }

    /// The object that will be in the cluster, where the action writes one.
    pub fn object(&self) -> Option<&Value> {
        match self {
            Self::Create { object } | Self::Update { object, .. } | Self::Adopt { object } => {
                Some(object)
            }
            _ => None,
        }
    }

    pub(crate) fn object_mut(&mut self) -> Option<&mut Value> {
        match self {
            Self::Create { object } | Self::Update { object, .. } | Self::Adopt { object } => {
                Some(object)
            }
            _ => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let status = if error.is_overrides() {
            PropagationStatus::ApplyOverridesFailed
        } else if error.is_retention() {
            PropagationStatus::FieldRetentionFailed
        } else if error.is_hash() {
            PropagationStatus::VersionRetrievalFailed
        } else {
            PropagationStatus::ComputeResourceFailed
        };
        Self {
            status,
            message: error.to_string(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.action, self.reason)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::UpToDate { version } => write!(f, "up to date at {version}"),
            Self::Wait(waiting) => write!(f, "wait: {waiting}"),
            Self::ProveAbsence => f.write_str("read the object, it may be there without its label"),
            Self::FetchBody => f.write_str("read the object"),
            Self::Create { .. } => f.write_str("create"),
            Self::Update { cause, .. } => write!(f, "update: {cause}"),
            Self::Adopt { .. } => f.write_str("take over the existing object"),
            Self::RemoveLabel { .. } => f.write_str("remove the managed label"),
            Self::Delete { .. } => f.write_str("delete"),
            Self::Refuse(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

impl fmt::Display for UpdateCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRecorded => f.write_str("template or overrides changed since the last write"),
            Self::Changed { recorded } => {
                write!(f, "the copy was changed by somebody else since {recorded}")
            }
            Self::Metadata => f.write_str("labels or annotations differ"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => why.fmt(f),
            Self::Undetermined => f.write_str("whether the cluster is selected is not known"),
            Self::Removal => f.write_str("the copy is being deleted"),
            Self::ForeignRemoval => {
                f.write_str("an object that is not ours has this name and is being deleted")
            }
            Self::DeleteOptions(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selected(by) => by.fmt(f),
            Self::NotSelected(why) => why.fmt(f),
            Self::Undetermined(why) => why.fmt(f),
            Self::Deletion => f.write_str("the federated object is being deleted"),
            Self::Orphaning => {
                f.write_str("the federated object is being deleted and leaves its copies in place")
            }
            Self::Released => f.write_str("the federated object was released before"),
            Self::ClusterRemoved => f.write_str("the cluster is no longer joined"),
            Self::NoFederatedObject => f.write_str("there is no federated object of this name"),
        }
    }
}
