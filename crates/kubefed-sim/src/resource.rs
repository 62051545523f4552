//! A kind of object that a cluster serves, as data.

use std::sync::Arc;

use serde_json::Value;

use crate::admission::Hook;
use crate::object::Key;
use crate::schema::Schema;
use crate::table::Columns;

/// One served resource: a built-in one from the [catalogue](crate::catalogue), or one that a
/// CustomResourceDefinition declares.
pub(crate) struct Resource {
    /// `plural` or `plural.group`, as error messages name it.
    pub(crate) id: Arc<str>,
    /// The resource whose table holds the objects; another one only where two groups share a kind.
    pub(crate) table: Arc<str>,
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether a CustomResourceDefinition declares it.
    pub(crate) custom: bool,
    /// The served versions, the preferred one first.
    pub(crate) versions: Vec<Version>,
    /// The version that objects are stored in.
    pub(crate) storage: String,
    pub(crate) rules: Rules,
}

/// What one served version of a [`Resource`] offers.
#[derive(Clone, Default)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) status: bool,
    pub(crate) scale: Option<Scale>,
    /// Dotted paths that field selectors may name, besides name and namespace.
    pub(crate) fields: Vec<String>,
    /// What its objects look like.
    pub(crate) schema: Option<Schema>,
    /// What the schema of a custom resource says in CEL.
    #[cfg(feature = "cel")]
    pub(crate) rules: Option<Arc<crate::cel::Rules>>,
    /// The schema of a custom resource as its definition states it.
    pub(crate) declared: Option<Arc<Value>>,
    /// What kubectl prints of its objects.
    pub(crate) columns: Option<Arc<Columns>>,
    /// A deprecation, sent as a warning with every answer.
    pub(crate) warning: Option<String>,
}

/// Where the scale subresource finds its parts: dotted paths without a leading dot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) replicas: String,
    pub(crate) status_replicas: String,
    /// A serialised selector (custom resources) or a `LabelSelector` (built-in kinds).
    pub(crate) selector: Option<String>,
}

/// How the strategy of a kind differs from that of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) verbs: &'static [&'static str],
    pub(crate) generation: Generation,
    pub(crate) names: Names,
    /// A status write changes the status alone, not labels or annotations (custom resources).
    pub(crate) status_is_isolated: bool,
    /// A PUT without resourceVersion is accepted and overwrites.
    pub(crate) unconditional_update: bool,
    /// A PUT of an absent object creates it.
    pub(crate) create_on_update: bool,
    /// DELETE answers with the object instead of a `Status`.
    pub(crate) returns_deleted: bool,
    /// Dependents survive unless the request says otherwise (Jobs).
    pub(crate) orphans_by_default: bool,
    /// Deletion gives a running object time to stop (Pods).
    pub(crate) graceful: bool,
    /// `spec.finalizers` hold the object and have a subresource of their own (Namespaces).
    pub(crate) terminates: bool,
    /// A finalizer that deletion adds, for kinds whose objects own others by name.
    pub(crate) cleanup_finalizer: Option<&'static str>,
    /// A status given at creation is kept (Nodes register themselves).
    pub(crate) keeps_status: bool,
    /// Names of top-level fields (stored, served) where two groups serve one kind.
    pub(crate) renames: &'static [(&'static str, &'static str)],
    /// Defaults, allocations and checks at create and update.
    pub(crate) hook: Option<Hook>,
}

/// When `metadata.generation` grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The kind has none.
    Never,
    /// With `spec`.
    Spec,
    /// With `spec` or the annotations (Deployments).
    SpecAndAnnotations,
    /// With anything at all (EndpointSlices).
    Anything,
    /// With anything outside `metadata` and, if it is a subresource, `status`.
    Content,
}

/// Which object names are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// RFC 1035 label.
    Label1035,
    /// Anything that can be a path segment (RBAC).
    Path,
}

/// Every verb, in the order of discovery documents.
pub(crate) const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

impl Rules {
    pub(crate) const BUILTIN: Self = Self {
        verbs: ALL_VERBS,
        generation: Generation::Never,
        names: Names::Subdomain,
        status_is_isolated: false,
        unconditional_update: true,
        create_on_update: false,
        returns_deleted: false,
        orphans_by_default: false,
        graceful: false,
        terminates: false,
        cleanup_finalizer: None,
        keeps_status: false,
        renames: &[],
        hook: None,
    };

    pub(crate) const CUSTOM: Self = Self {
        generation: Generation::Content,
        status_is_isolated: true,
        unconditional_update: false,
        ..Self::BUILTIN
    };
}

impl Resource {
    /// `plural` or `plural.group`.
    pub(crate) fn id_of(group: &str, plural: &str) -> String {
        if group.is_empty() {
            plural.to_owned()
        } else {
            format!("{plural}.{group}")
        }
    }

    /// The `apiVersion` of objects in a version.
    /// Where etcd keeps an object, which some messages tell.
    pub(crate) fn storage_key(&self, key: &Key) -> String {
        let group = if self.custom {
            format!("{}/", self.group)
        } else {
            String::new()
        };
        format!("/registry/{group}{}/{key}", self.plural)
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        api_version(&self.group, version)
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    pub(crate) fn allows(&self, verb: &str) -> bool {
        self.rules.verbs.contains(&verb)
    }
}

/// `version` or `group/version`.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}
