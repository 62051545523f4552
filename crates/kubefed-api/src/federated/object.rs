use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use serde_json::{Map, Value};

use super::{ClusterSelection, FederatedStatus, Overrides};
use crate::error::type_name;
use crate::{ClusterName, Error, QualifiedName, well_known};

/// A federated object, read once.
///
/// Reading is total where an error should stay local: a bad placement, the bad overrides of one
/// cluster or a bad template are kept as errors beside the good parts, and the raw object stays
/// available for hashing and rendering.
///
/// ```
/// use kubefed_api::{ClusterName, FederatedObject};
/// use serde_json::json;
///
/// let web = FederatedObject::parse(json!({
///     "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedDeployment",
///     "metadata": {"namespace": "shop", "name": "web", "generation": 3},
///     "spec": {
///         "template": {"spec": {"replicas": 2}},
///         "placement": {"clusters": [{"name": "east"}, {"name": "west"}]},
///         "overrides": [
///             {"clusterName": "west", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]},
///         ],
///     },
/// }))?;
/// assert_eq!(web.name().to_string(), "shop/web");
/// assert!(web.placement().unwrap().selects(&"east".into(), &Default::default()));
/// assert_eq!(web.overrides().of(&"west".into()).unwrap().unwrap()[0].path, "/spec/replicas");
/// # Ok::<(), kubefed_api::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FederatedObject {
    value: Value,
    metadata: ObjectMeta,
    name: QualifiedName,
    placement: Result<ClusterSelection, Error>,
    overrides: Overrides,
    status: FederatedStatus,
}

/// The members of `spec.template`.
pub type Template = Map<String, Value>;

impl FederatedObject {
    /// Reads a federated object of any kind.
    ///
    /// # Errors
    ///
    /// The value is no object, or its metadata is missing, malformed or without a name.
    pub fn parse(value: Value) -> Result<Self, Error> {
        if !value.is_object() {
            return Err(Error::wrong_type("", "an object", &value));
        }
        let metadata: ObjectMeta = serde::Deserialize::deserialize(&value["metadata"])
            .map_err(|error: serde_json::Error| Error::new("metadata", error.to_string()))?;
        let name = match metadata.name.as_deref() {
            Some(name) if !name.is_empty() => {
                QualifiedName::new(metadata.namespace.as_deref(), name)
            }
            _ => return Err(Error::new("metadata.name", "a name is required")),
        };
        let spec = &value["spec"];
        let (placement, overrides) = match spec {
            Value::Object(_) | Value::Null => (
                ClusterSelection::parse(&spec["placement"]),
                Overrides::parse(&spec["overrides"]),
            ),
            other => (
                Err(Error::wrong_type("spec", "an object", other)),
                Overrides::parse(&Value::Null),
            ),
        };
        // A status that cannot be read is nobody's work but ours; it is replaced by the next report.
        let status = serde::Deserialize::deserialize(&value["status"]).unwrap_or_default();
        Ok(Self {
            metadata,
            name,
            placement,
            overrides,
            status,
            value,
        })
    }

    /// Name and namespace.
    pub fn name(&self) -> &QualifiedName {
        &self.name
    }

    /// The object's own metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    /// The uid in the host cluster; empty for an object that was never stored.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The generation in the host cluster; 0 for an object that was never stored.
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// Whether deletion has been asked for.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether our finalizer is held.
    pub fn has_sync_finalizer(&self) -> bool {
        let ours = |finalizer: &String| finalizer == well_known::SYNC_FINALIZER;
        self.metadata.finalizers.iter().flatten().any(ours)
    }

    /// Whether deletion leaves the copies in place: the orphan annotation is exactly `true`.
    pub fn orphans_copies(&self) -> bool {
        self.annotation(well_known::ORPHAN_ANNOTATION) == Some("true")
    }

    /// Options for the deletion of copies: grace period, propagation policy and preconditions of the
    /// annotation; everything else in it is ignored, as the original does.
    ///
    /// # Errors
    ///
    /// The annotation is not the JSON of a `meta/v1` `DeleteOptions`.
    pub fn delete_options(&self) -> Result<DeleteOptions, Error> {
        let Some(text) = self.annotation(well_known::DELETE_OPTIONS_ANNOTATION) else {
            return Ok(DeleteOptions::default());
        };
        let given: DeleteOptions = serde_json::from_str(text).map_err(|error| {
            let path = format!(
                "metadata.annotations[{}]",
                well_known::DELETE_OPTIONS_ANNOTATION
            );
            Error::new(path, format!("not a DeleteOptions: {error}"))
        })?;
        Ok(DeleteOptions {
            grace_period_seconds: given.grace_period_seconds,
            preconditions: given.preconditions,
            propagation_policy: given.propagation_policy,
            ..DeleteOptions::default()
        })
    }

    /// The clusters that may hold a copy, as far as the object itself records them.
    pub fn inventory(&self) -> BTreeSet<ClusterName> {
        let names = self
            .annotation(well_known::INVENTORY_ANNOTATION)
            .unwrap_or_default();
        names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(ClusterName::from)
            .collect()
    }

    /// The template, `None` where there is none.
    ///
    /// # Errors
    ///
    /// The template is null or no object, or `spec` is no object.
    pub fn template(&self) -> Result<Option<&Template>, Error> {
        match self.spec()?.and_then(|spec| spec.get("template")) {
            None => Ok(None),
            Some(Value::Object(template)) => Ok(Some(template)),
            Some(other) => Err(Error::wrong_type("spec.template", "an object", other)),
        }
    }

    /// The clusters asked for.
    ///
    /// # Errors
    ///
    /// The placement cannot be read; see [`ClusterSelection::parse`].
    pub fn placement(&self) -> Result<&ClusterSelection, &Error> {
        self.placement.as_ref()
    }

    /// The overrides of all clusters.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Whether `spec.replicas` of a copy belongs to its cluster.
    ///
    /// # Errors
    ///
    /// `spec.retainReplicas` is present and no boolean, or `spec` is no object.
    pub fn retains_replicas(&self) -> Result<bool, Error> {
        match self.spec()?.and_then(|spec| spec.get("retainReplicas")) {
            None => Ok(false),
            Some(Value::Bool(retain)) => Ok(*retain),
            Some(other) => Err(Error::new(
                "spec.retainReplicas",
                format!("expected a boolean, found {}", type_name(other)),
            )),
        }
    }

    /// The status that was written last.
    pub fn status(&self) -> &FederatedStatus {
        &self.status
    }

    /// The whole object as it was given.
    pub fn as_value(&self) -> &Value {
        &self.value
    }

    fn spec(&self) -> Result<Option<&Map<String, Value>>, Error> {
        match self.value.get("spec") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(spec)) => Ok(Some(spec)),
            Some(other) => Err(Error::wrong_type("spec", "an object", other)),
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata
            .annotations
            .as_ref()?
            .get(name)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_annotation(name: &str, value: &str) -> FederatedObject {
        FederatedObject::parse(json!({"metadata": {"name": "a", "annotations": {name: value}}}))
            .unwrap()
    }

    // Observable check 28 of propagation.
    #[test]
    fn delete_options_honour_three_fields_and_nothing_else() {
        let options = |text| {
            let object = with_annotation(well_known::DELETE_OPTIONS_ANNOTATION, text);
            object
                .delete_options()
                .map(|options| serde_json::to_value(options).unwrap())
        };
        assert_eq!(options("{}"), Ok(json!({})));
        assert_eq!(
            options(r#"{"gracePeriodSeconds":5,"propagationPolicy":"Orphan","dryRun":["All"]}"#),
            Ok(json!({"gracePeriodSeconds": 5, "propagationPolicy": "Orphan"}))
        );
        let error = options("{").unwrap_err().to_string();
        assert!(
            error.starts_with("metadata.annotations[kubefed.io/deleteoption]: not a DeleteOptions"),
            "{error}"
        );
    }

    #[test]
    fn only_the_exact_value_orphans() {
        for (value, orphans) in [("true", true), ("True", false), ("", false)] {
            let object = with_annotation(well_known::ORPHAN_ANNOTATION, value);
            assert_eq!(object.orphans_copies(), orphans, "{value:?}");
        }
    }

    #[test]
    fn the_inventory_is_a_set_of_names() {
        let object = with_annotation(well_known::INVENTORY_ANNOTATION, "west,east,,east");
        let names: Vec<_> = object.inventory().into_iter().map(String::from).collect();
        assert_eq!(names, ["east", "west"]);
    }

    #[test]
    fn errors_stay_with_the_part_they_are_in() {
        let object = FederatedObject::parse(json!({
            "metadata": {"name": "a"},
            "spec": {"template": 5, "placement": {"clusters": "all"}, "retainReplicas": null},
            "status": "odd",
        }))
        .unwrap();
        let messages = [
            object.template().unwrap_err().to_string(),
            object.placement().unwrap_err().to_string(),
            object.retains_replicas().unwrap_err().to_string(),
        ];
        assert_eq!(
            messages,
            [
                "spec.template: expected an object, found a number",
                "spec.placement.clusters: expected a list, found a string",
                "spec.retainReplicas: expected a boolean, found null",
            ]
        );
        assert_eq!(object.overrides().of(&"east".into()), Ok(None));
        assert_eq!(*object.status(), FederatedStatus::default());
    }
}
