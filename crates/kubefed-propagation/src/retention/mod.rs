//! What belongs to the member cluster and survives an update.
//!
//! An update replaces the whole object, so what the cluster's own servers and controllers filled in
//! is copied from there first. One rule per file; which rule is for which type is the table below.

mod metadata;
mod replicas;
mod service;
mod service_account;

use kubefed_api::{Error as FieldError, FederatedObject, ResourceType};
use serde_json::Value;

use crate::Error;

/// What the rules read.
struct Observed<'a> {
    member: &'a Value,
    federated: &'a FederatedObject,
}

struct Rule {
    applies: fn(&ResourceType) -> bool,
    /// Whether it reads more of the member's object than its metadata.
    reads_body: fn(&FederatedObject) -> bool,
    retain: fn(&mut Value, &Observed<'_>) -> Result<(), FieldError>,
}

const RULES: [Rule; 4] = [
    Rule {
        applies: |_| true,
        reads_body: |_| false,
        retain: metadata::retain,
    },
    Rule {
        applies: |target| target.is_core("Service"),
        reads_body: |_| true,
        retain: service::retain,
    },
    Rule {
        applies: |target| target.is_core("ServiceAccount"),
        reads_body: |_| true,
        retain: service_account::retain,
    },
    Rule {
        applies: |target| !target.is_core("Service") && !target.is_core("ServiceAccount"),
        // A value that cannot be read is an error of the rule, which is for the body to meet.
        reads_body: |federated| federated.retains_replicas() != Ok(false),
        retain: replicas::retain,
    },
];

/// Copies into `desired` what the member cluster owns of its present object.
///
/// | type | fields |
/// |---|---|
/// | every type | `metadata.resourceVersion` (the optimistic lock of the update), `metadata.finalizers`, `metadata.annotations` |
/// | Service | `spec.clusterIP`, `spec.clusterIPs`, `spec.healthCheckNodePort`, and `nodePort` of the ports that are equal in name, protocol and port; a missing protocol is TCP |
/// | ServiceAccount | `secrets`, unless the template has some |
/// | every other type | `spec.replicas`, if the federated object has `spec.retainReplicas` |
///
/// Service and ServiceAccount are those of the core group; kinds of these names in other groups are
/// ordinary. Overrides are applied afterwards and may still change what was kept.
///
/// # Errors
///
/// A field has the wrong type where the rule reads or writes it. `desired` is then partly written.
///
/// # Example
///
/// ```
/// use kubefed_api::{FederatedObject, ResourceType};
/// use kubefed_propagation::retain;
/// use serde_json::json;
///
/// let federated = FederatedObject::parse(json!({
///     "metadata": {"namespace": "shop", "name": "web"}, "spec": {"retainReplicas": true},
/// }))?;
/// let target = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
/// let mut desired = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1}});
/// let member = json!({"metadata": {"name": "web", "resourceVersion": "7"}, "spec": {"replicas": 4}});
/// retain(&target, &mut desired, &member, &federated)?;
/// assert_eq!(desired, member);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn retain(
    target: &ResourceType,
    desired: &mut Value,
    member: &Value,
    federated: &FederatedObject,
) -> Result<(), Error> {
    let observed = Observed { member, federated };
    RULES
        .iter()
        .filter(|rule| (rule.applies)(target))
        .try_for_each(|rule| (rule.retain)(desired, &observed))
        .map_err(Error::retention)
}

/// Whether [`retain`] reads more of the member's object than its metadata.
pub(crate) fn reads_body(target: &ResourceType, federated: &FederatedObject) -> bool {
    RULES
        .iter()
        .any(|rule| (rule.applies)(target) && (rule.reads_body)(federated))
}
