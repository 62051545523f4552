use std::collections::BTreeMap;
use std::sync::Arc;

use kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use kubefed_api::{ClusterName, FederatedObject, PropagationReason, QualifiedName, ResourceType};

use crate::render::{Rendered, render};
use crate::{Error, Hashes, NamespaceFederation, Placement, Scope, Selection};

/// Everything about one federated object that does not depend on a cluster, computed once per
/// reconcile.
#[derive(Clone, Debug)]
pub struct Federation {
    target: ResourceType,
    object: Arc<FederatedObject>,
    namespace: NamespaceFederation,
    scope: Scope,
    adoption: Adoption,
    lifecycle: Lifecycle,
    host_namespace_uid: Option<String>,
    rendered: Result<Rendered, Error>,
    hashes: Result<Hashes, Error>,
}

/// Whether objects that were there before may be taken over: `adoptResources` of KubeFedConfig.
/// Closed: the configuration has two values.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Adoption {
    /// An object of the same name is labelled and overwritten. The default.
    #[default]
    Enabled,
    /// It is left alone and reported.
    Disabled,
}

/// What the federated object's own life asks for. Closed: there is no other way to end.
#[derive(Clone, Debug, PartialEq)]
pub enum Lifecycle {
    /// Copies are kept as the placement says.
    Active,
    /// The federated object is being deleted, and its copies with it.
    Cascade(Result<DeleteOptions, kubefed_api::Error>),
    /// The federated object is being deleted, and its copies are set free.
    Orphan,
    /// The federated object is being deleted and does not carry our finalizer: we are done with it, or
    /// somebody took the finalizer off to keep the copies. Nothing more is done.
    Released,
}

impl Federation {
    /// Reads what the object asks for: its life cycle from the deletion timestamp and annotations, and
    /// the object to propagate from its template.
    ///
    /// Without further settings the namespace is not needed, the scope is the whole cluster and
    /// adoption is enabled.
    pub fn new(target: ResourceType, object: impl Into<Arc<FederatedObject>>) -> Self {
        let object = object.into();
        let lifecycle = if !object.is_deleting() {
            Lifecycle::Active
        } else if !object.has_sync_finalizer() {
            Lifecycle::Released
        } else if object.orphans_copies() {
            Lifecycle::Orphan
        } else {
            Lifecycle::Cascade(object.delete_options())
        };
        Self {
            rendered: render(&target, &object),
            hashes: Hashes::of_any_overrides(object.as_value()),
            target,
            object,
            namespace: NamespaceFederation::NotNeeded,
            scope: Scope::Cluster,
            adoption: Adoption::default(),
            lifecycle,
            host_namespace_uid: None,
        }
    }

    /// Sets what is known of the FederatedNamespace around the object.
    #[must_use]
    pub fn namespace(mut self, namespace: NamespaceFederation) -> Self {
        self.namespace = namespace;
        self
    }

    /// Sets the scope of the control plane.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets whether objects that were there before are taken over.
    #[must_use]
    pub fn adoption(mut self, adoption: Adoption) -> Self {
        self.adoption = adoption;
        self
    }

    /// Sets the uid of the host's Namespace of the same name, by which the host's own Namespace is
    /// recognised where the host is a member too. It is unlabelled instead of deleted.
    #[must_use]
    pub fn host_namespace_uid(mut self, uid: impl Into<String>) -> Self {
        self.host_namespace_uid = Some(uid.into());
        self
    }

    /// The type of the copies.
    pub fn target(&self) -> &ResourceType {
        &self.target
    }

    /// The federated object.
    pub fn object(&self) -> &Arc<FederatedObject> {
        &self.object
    }

    /// Name and namespace of the copies.
    pub fn target_name(&self) -> QualifiedName {
        if self.target.is_core("Namespace") {
            QualifiedName::cluster_scoped(self.object.name().name())
        } else {
            self.object.name().clone()
        }
    }

    /// What the federated object's own life asks for.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The object made from the template, and what was dropped from it.
    ///
    /// # Errors
    ///
    /// The template is no object, or its metadata is malformed.
    pub fn rendered(&self) -> Result<&Rendered, &Error> {
        self.rendered.as_ref()
    }

    /// The hashes by which recorded versions are judged. Malformed overrides are hashed as they stand, so
    /// that those of one cluster do not cost the others their record.
    ///
    /// # Errors
    ///
    /// The template is malformed; see [`template_hash`](crate::template_hash).
    pub fn hashes(&self) -> Result<&Hashes, &Error> {
        self.hashes.as_ref()
    }

    /// The clusters asked for, bounded by the namespace and the scope.
    pub fn placement(&self) -> Placement<'_> {
        Placement::new(self.object.placement(), &self.namespace, self.scope)
    }

    /// Whether the placement selects a registered cluster. The object's deletion is not looked at.
    pub fn selects(&self, member: &Member) -> Selection {
        self.placement().of(&member.name, &member.labels)
    }

    /// The reason that holds for the object as a whole, whatever the clusters say; `Success` if there
    /// is none. An object that is being deleted has none.
    pub fn reason(&self) -> PropagationReason {
        let placement = self.placement();
        if self.lifecycle != Lifecycle::Active {
            PropagationReason::Success
        } else if placement.undetermined().is_some() {
            PropagationReason::ComputePlacementFailed
        } else if placement.is_namespace_unfederated() {
            PropagationReason::NamespaceNotFederated
        } else {
            PropagationReason::Success
        }
    }

    pub(crate) fn adopts(&self) -> bool {
        self.adoption == Adoption::Enabled
    }

    /// Whether an object is the host's own Namespace, as a member sees it.
    pub(crate) fn is_host_namespace(&self, uid: &str) -> bool {
        self.target.is_core("Namespace") && self.host_namespace_uid.as_deref() == Some(uid)
    }
}

/// One cluster, as far as it concerns the decision.
#[derive(Clone, Debug)]
pub struct Member {
    pub(crate) name: ClusterName,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ready: bool,
    pub(crate) joined: bool,
    pub(crate) in_inventory: bool,
}

impl Member {
    /// A joined, ready cluster without labels that holds nothing as far as is recorded.
    pub fn new(name: impl Into<ClusterName>) -> Self {
        Self {
            name: name.into(),
            labels: BTreeMap::new(),
            ready: true,
            joined: true,
            in_inventory: false,
        }
    }

    /// A cluster whose KubeFedCluster is gone, by the word of a synced store or of a direct read.
    pub fn removed(name: impl Into<ClusterName>) -> Self {
        Self {
            joined: false,
            ready: false,
            in_inventory: true,
            ..Self::new(name)
        }
    }

    /// Sets the labels of its KubeFedCluster.
    #[must_use]
    pub fn labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    /// Sets whether the cluster is ready.
    #[must_use]
    pub fn ready(mut self, ready: bool) -> Self {
        self.ready = ready;
        self
    }

    /// Sets whether the cluster may hold a copy by any record: the inventory annotation, the version
    /// object or an observed managed copy.
    #[must_use]
    pub fn in_inventory(mut self, in_inventory: bool) -> Self {
        self.in_inventory = in_inventory;
        self
    }

    /// The cluster's name.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Whether the cluster is ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether its KubeFedCluster exists.
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// Whether the cluster may hold a copy by any record.
    pub fn is_in_inventory(&self) -> bool {
        self.in_inventory
    }
}
