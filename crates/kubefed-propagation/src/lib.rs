//! Decides what each member cluster of a federation should hold, as pure functions.
//!
//! In the order data meets them: a [`Federation`] is everything about one federated object that no
//! cluster changes, a [`Member`] is a cluster, an [`Observation`] what is known of the object there and
//! a [`Record`] what was written there last. [`decide`] makes a [`Decision`] of them, with its reason;
//! what becomes of it is an [`Outcome`], and all of them make a [`Report`], which is the object's next
//! status. [`hold_before`] and [`hold_after`] keep finalizer and inventory of the federated object, so
//! that no copy is ever forgotten, and [`plan`] shows what would be done without doing it.
//!
//! The steps are functions of their own: [`Placement`], [`render`], [`retain`], [`apply_overrides`],
//! [`Hashes`].
//!
//! What it does not do: it reads no clock, holds no client and knows nothing of what is in a cluster.
//! Callers bring what they observed and carry out what follows (`kubefed-runtime` and
//! `kubefed-controllers` do).
//!
//! ```
//! use kubefed_api::{FederatedObject, ResourceType};
//! use kubefed_propagation::{Federation, Member, Observation, Record, decide};
//! use serde_json::json;
//!
//! let web = FederatedObject::parse(json!({
//!     "metadata": {"namespace": "shop", "name": "web"},
//!     "spec": {
//!         "template": {"spec": {"replicas": 3}},
//!         "placement": {"clusters": [{"name": "west"}]},
//!         "overrides": [
//!             {"clusterName": "west", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]},
//!         ],
//!     },
//! }))?;
//! let deployments = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
//! let federation = Federation::new(deployments, web);
//! let decision = |cluster: &str| {
//!     decide(&federation, &Member::new(cluster), &Observation::NotManaged, &Record::empty())
//! };
//! assert_eq!(decision("east").to_string(), "nothing (not named in spec.placement.clusters)");
//! assert_eq!(decision("west").to_string(), "create (named in spec.placement.clusters)");
//! assert_eq!(decision("west").action.object(), Some(&json!({
//!     "apiVersion": "apps/v1", "kind": "Deployment",
//!     "metadata": {"namespace": "shop", "name": "web", "labels": {"kubefed.io/managed": "true"}},
//!     "spec": {"replicas": 5},
//! })));
//! # Ok::<(), kubefed_api::Error>(())
//! ```
//!
//! The page `checks` of the documentation lists which test shows which behaviour of KubeFed.
//!
//! # Features
//!
//! * `preview` (off by default): what manifests would put where, without any cluster (`Preview`).

#[cfg(doc)]
#[doc = include_str!("../docs/checks.md")]
pub mod checks {}

mod canonical;
mod decision;
mod error;
mod federation;
mod hold;
mod nested;
mod observation;
mod outcome;
mod overrides;
mod placement;
mod plan;
#[cfg(feature = "preview")]
mod preview;
mod record;
mod render;
mod report;
mod retention;
#[cfg(test)]
mod strategies;
mod version;

pub use canonical::{canonical_json, canonical_json_of_doubles};
pub use decision::{
    Action, Decision, Reason, Refusal, UpdateCause, Waiting, decide, decide_orphan,
};
pub use error::Error;
pub use federation::{Adoption, Federation, Lifecycle, Member};
pub use hold::{hold_after, hold_before, inventory};
pub use kubefed_api;
pub use kubefed_api::ObjectVersion;
pub use observation::{Ignorance, Observation};
pub use outcome::{Failure, Outcome};
pub use overrides::{OBJECT_BYTES_MAX, OBJECT_DEPTH_MAX, apply_overrides};
pub use placement::{
    NamespaceFederation, NotSelected, Placement, Scope, Selected, Selection, Undetermined,
};
pub use plan::{ClusterPlan, FieldChange, Plan, PlanLimits, plan, plan_with_secrets};
#[cfg(feature = "preview")]
pub use preview::{Preview, PreviewOptions, PreviewedObject, Problem, Verdict};
pub use record::{OverrideDigests, Record, next_versions};
pub use render::{Rendered, Warning, render, set_managed_label};
pub use report::{RemoteStatus, Report};
pub use retention::retain;
pub use version::{Hash, Hashes, needs_update, overrides_hash, template_hash};
