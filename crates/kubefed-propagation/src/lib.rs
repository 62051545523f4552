//! Decides what each member cluster of a federation should hold, as pure functions.
//!
//! In the order data meets them: a [`TargetType`] says what kind of object is propagated, a
//! [`Placement`] which clusters are to hold a copy, [`render`] makes the object of the template,
//! [`retain`] copies into it what the member cluster owns, [`apply_overrides`] makes the changes for
//! one cluster, and [`Hashes`] and [`ObjectVersion`] tell whether the cluster has it already.
//!
//! Nothing here reads a clock, holds a client or knows what is in a cluster; callers bring what they
//! observed and carry out what follows.
//!
//! ```
//! use kubefed_api::FederatedObject;
//! use kubefed_propagation::{TargetType, apply_overrides, render, set_managed_label};
//! use serde_json::json;
//!
//! let federated = FederatedObject::parse(json!({
//!     "metadata": {"namespace": "shop", "name": "web"},
//!     "spec": {
//!         "template": {"spec": {"replicas": 3}},
//!         "placement": {"clusters": [{"name": "west"}]},
//!         "overrides": [
//!             {"clusterName": "west", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]},
//!         ],
//!     },
//! }))?;
//! let target = TargetType::new("apps", "v1", "Deployment", true);
//! let mut object = render(&target, &federated)?.object;
//! if let Some(overrides) = federated.overrides().of(&"west".into()).unwrap() {
//!     object = apply_overrides(object, overrides)?;
//! }
//! set_managed_label(&mut object)?;
//! assert_eq!(object, json!({
//!     "apiVersion": "apps/v1", "kind": "Deployment",
//!     "metadata": {"namespace": "shop", "name": "web", "labels": {"kubefed.io/managed": "true"}},
//!     "spec": {"replicas": 5},
//! }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod target;
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
pub use record::{Record, next_versions};
pub use render::{Rendered, Warning, render, set_managed_label};
pub use report::{RemoteStatus, Report};
pub use retention::retain;
pub use target::TargetType;
pub use version::{Hash, Hashes, needs_update, overrides_hash, template_hash};
