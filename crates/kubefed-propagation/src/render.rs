use std::fmt;

use kubefed_api::well_known::{MANAGED_LABEL, MANAGED_VALUE, SERVER_OWNED_METADATA};
use kubefed_api::{Error as FieldError, FederatedObject, ResourceType, Template};
use serde_json::{Map, Value};

use crate::Error;

/// What a template becomes before anything is known of a cluster.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The object, without the managed label, which is set last.
    pub object: Value,
    /// What was left out of it although the template asks for it.
    pub warnings: Vec<Warning>,
}

/// Something in a template that is not propagated.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Warning {
    /// `metadata.annotations` was dropped.
    AnnotationsNotSupported,
    /// `metadata.finalizers` was dropped.
    FinalizersNotSupported,
}

impl Warning {
    /// The reason of the event that reports it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AnnotationsNotSupported => "AnnotationsNotSupported",
            Self::FinalizersNotSupported => "FinalizersNotSupported",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self {
            Self::AnnotationsNotSupported => "annotations",
            Self::FinalizersNotSupported => "finalizers",
        };
        write!(
            f,
            "metadata.{field} of the template is not propagated, use an override to set it"
        )
    }
}

/// Turns the template of a federated object into the object that every cluster starts from.
///
/// Name and namespace are those of the federated object, the kind is the target's, and so is the API
/// version unless the template has another one of the same group. Annotations and finalizers belong
/// to the member clusters and are dropped with a warning; `status`, owner references and metadata
/// that the API server owns make no sense in a template and are dropped silently. Everything else
/// passes through.
///
/// # Errors
///
/// The template, its metadata, labels, annotations, finalizers or API version have the wrong type,
/// or the API version is of another group. The path says which.
///
/// # Example
///
/// ```
/// use kubefed_api::{FederatedObject, ResourceType};
/// use kubefed_propagation::render;
/// use serde_json::json;
///
/// let federated = FederatedObject::parse(json!({
///     "metadata": {"namespace": "shop", "name": "web"},
///     "spec": {"template": {
///         "metadata": {"labels": {"app": "web"}, "annotations": {"note": "dropped"}},
///         "spec": {"replicas": 3},
///     }},
/// }))?;
/// let deployments = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
/// let rendered = render(&deployments, &federated)?;
/// assert_eq!(rendered.object, json!({
///     "apiVersion": "apps/v1",
///     "kind": "Deployment",
///     "metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}},
///     "spec": {"replicas": 3},
/// }));
/// assert_eq!(rendered.warnings[0].reason(), "AnnotationsNotSupported");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render(target: &ResourceType, federated: &FederatedObject) -> Result<Rendered, Error> {
    let template = federated.template().map_err(Error::render)?;
    let empty = Template::new();
    let template = template.unwrap_or(&empty);
    let mut warnings = Vec::new();
    let metadata = metadata(target, federated, template, &mut warnings).map_err(Error::render)?;
    let api_version = api_version(target, template).map_err(Error::render)?;
    let mut object: Map<String, Value> = template
        .iter()
        .filter(|(name, _)| !REPLACED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    object.insert("kind".to_owned(), Value::String(target.kind.to_owned()));
    object.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(Rendered {
        object: Value::Object(object),
        warnings,
    })
}

/// Members of a template that are written anew or dropped.
const REPLACED: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Members of a template's metadata that are written anew or dropped, besides what the server owns.
const REPLACED_METADATA: [&str; 6] = [
    "annotations",
    "finalizers",
    "labels",
    "name",
    "namespace",
    "ownerReferences",
];

fn metadata(
    target: &ResourceType,
    federated: &FederatedObject,
    template: &Template,
    warnings: &mut Vec<Warning>,
) -> Result<Map<String, Value>, FieldError> {
    const PATH: &str = "spec.template.metadata";
    let empty = Map::new();
    let given = match template.get("metadata") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(metadata)) => metadata,
        Some(other) => return Err(FieldError::wrong_type(PATH, "an object", other)),
    };
    if !strings(given, "annotations")?.is_empty() {
        warnings.push(Warning::AnnotationsNotSupported);
    }
    if has_finalizers(given)? {
        warnings.push(Warning::FinalizersNotSupported);
    }
    let is_kept =
        |name: &str| !REPLACED_METADATA.contains(&name) && !SERVER_OWNED_METADATA.contains(&name);
    let mut metadata: Map<String, Value> = given
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let labels = strings(given, "labels")?;
    if !labels.is_empty() {
        metadata.insert("labels".to_owned(), Value::Object(labels.clone()));
    }
    let name = federated.name();
    metadata.insert("name".to_owned(), name.name().into());
    if let (Some(namespace), false) = (name.namespace(), target.is_core("Namespace")) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    Ok(metadata)
}

/// A map of strings in the template's metadata; a missing or null one is empty.
fn strings<'a>(
    metadata: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, FieldError> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let path = || format!("spec.template.metadata.{name}");
    let map = match metadata.get(name) {
        None | Some(Value::Null) => return Ok(&EMPTY),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(FieldError::wrong_type(path(), "a map of strings", other)),
    };
    match map.iter().find(|(_, value)| !value.is_string()) {
        None => Ok(map),
        Some((key, other)) => {
            let path = format!("{}[{key}]", path());
            Err(FieldError::wrong_type(path, "a string", other))
        }
    }
}

fn has_finalizers(metadata: &Map<String, Value>) -> Result<bool, FieldError> {
    match metadata.get("finalizers") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Array(finalizers)) if finalizers.iter().all(Value::is_string) => {
            Ok(!finalizers.is_empty())
        }
        Some(other) => Err(FieldError::wrong_type(
            "spec.template.metadata.finalizers",
            "a list of strings",
            other,
        )),
    }
}

/// The template's API version if it has one of the target's group. Another group is another type,
/// which neither the watches nor the permissions of the target cover.
fn api_version(target: &ResourceType, template: &Template) -> Result<String, FieldError> {
    const PATH: &str = "spec.template.apiVersion";
    let given = match template.get("apiVersion") {
        None | Some(Value::Null) => "",
        Some(Value::String(given)) => given,
        Some(other) => return Err(FieldError::wrong_type(PATH, "a string", other)),
    };
    let (group, version) = given.split_once('/').unwrap_or(("", given));
    if given.is_empty() {
        Ok(target.api_version())
    } else if group == target.group && !version.contains('/') {
        Ok(given.to_owned())
    } else {
        let message = format!("{given:?} is not of the group of {target}");
        Err(FieldError::new(PATH, message))
    }
}

/// Marks an object as managed by the control plane. It is the last step, so that no override can
/// remove or change the label.
///
/// # Errors
///
/// The object, its metadata or its labels are no objects, or a label is no string, which only an
/// override can have caused.
pub fn set_managed_label(object: &mut Value) -> Result<(), Error> {
    set_label(object).map_err(Error::overrides)
}

fn set_label(object: &mut Value) -> Result<(), FieldError> {
    let object = object_at(object, "")?;
    let metadata = object_at(member(object, "metadata"), "metadata")?;
    let labels = object_at(member(metadata, "labels"), "metadata.labels")?;
    labels.insert(MANAGED_LABEL.to_owned(), MANAGED_VALUE.into());
    match labels.iter().find(|(_, value)| !value.is_string()) {
        None => Ok(()),
        Some((name, other)) => {
            let path = format!("metadata.labels[{name}]");
            Err(FieldError::wrong_type(path, "a string", other))
        }
    }
}

fn object_at<'a>(
    value: &'a mut Value,
    path: &str,
) -> Result<&'a mut Map<String, Value>, FieldError> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(FieldError::wrong_type(path, "an object", other)),
    }
}

/// A member that is to be an object, made where it is missing or null.
fn member<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Value {
    let value = object.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        Federation, Hashes, Member, Observation, Record, apply_overrides, decide, retain,
        strategies,
    };

    fn target() -> ResourceType {
        ResourceType::namespaced("apps", "v1", "Deployment", "deployments")
    }

    #[track_caller]
    fn check(target: &ResourceType, template: Value, expected: Result<Value, &str>) {
        let federated = FederatedObject::parse(json!({
            "metadata": {"namespace": "shop", "name": "web", "labels": {"not": "copied"}},
            "spec": {"template": template},
        }));
        let rendered = render(target, &federated.unwrap());
        match (rendered, expected) {
            (Ok(rendered), Ok(expected)) => assert_eq!(rendered.object, expected, "{template}"),
            (Err(error), Err(message)) => {
                assert!(error.is_render());
                let text = error.to_string();
                let found = text.strip_prefix("cannot render the template: ").unwrap();
                assert_eq!(found, message, "{template}");
            }
            (rendered, _) => panic!("{template}: {rendered:?}"),
        }
    }

    // Sharp edge S32 of propagation.
    #[test]
    fn what_a_template_has_no_say_in_is_dropped() {
        let metadata = json!({
            "name": "other", "namespace": "other", "labels": {}, "generateName": "x-", "uid": "u",
            "resourceVersion": "7", "ownerReferences": [{}], "creationTimestamp": null, "odd": 1,
        });
        check(
            &target(),
            json!({"kind": "Other", "metadata": metadata, "spec": {}, "status": {"x": 1}}),
            Ok(json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"namespace": "shop", "name": "web", "odd": 1},
                "spec": {},
            })),
        );
    }

    // Sharp edge S33 of propagation.
    #[test]
    fn malformed_metadata_is_an_error_that_names_the_field() {
        let cases = [
            (
                json!(5),
                "spec.template.metadata: expected an object, found a number",
            ),
            (
                json!({"labels": {"a": 5}}),
                "spec.template.metadata.labels[a]: expected a string, found a number",
            ),
            (
                json!({"annotations": []}),
                "spec.template.metadata.annotations: expected a map of strings, found a list",
            ),
            (
                json!({"finalizers": [5]}),
                "spec.template.metadata.finalizers: expected a list of strings, found a list",
            ),
        ];
        for (metadata, message) in cases {
            check(&target(), json!({"metadata": metadata}), Err(message));
        }
    }

    #[test]
    fn the_template_may_choose_a_version_of_the_group() {
        let rendered = |api_version: &str| {
            json!({
                "apiVersion": api_version,
                "kind": "Deployment",
                "metadata": {"namespace": "shop", "name": "web"},
            })
        };
        check(
            &target(),
            json!({"apiVersion": "apps/v9"}),
            Ok(rendered("apps/v9")),
        );
        for missing in [
            json!({}),
            json!({"apiVersion": ""}),
            json!({"apiVersion": null}),
        ] {
            check(&target(), missing, Ok(rendered("apps/v1")));
        }
        check(
            &target(),
            json!({"apiVersion": "extensions/v1beta1"}),
            Err(
                "spec.template.apiVersion: \"extensions/v1beta1\" is not of the group of \
                 apps/v1 Deployment",
            ),
        );
    }

    #[test]
    fn only_the_core_groups_namespace_has_no_namespace() {
        let rendered = |group: &str| {
            let target = ResourceType::cluster_scoped(group, "v1", "Namespace", "namespaces");
            let federated = json!({"metadata": {"namespace": "shop", "name": "shop"}});
            let federated = FederatedObject::parse(federated).unwrap();
            render(&target, &federated).unwrap().object["metadata"].clone()
        };
        assert_eq!(rendered(""), json!({"name": "shop"}));
        assert_eq!(
            rendered("example.com"),
            json!({"name": "shop", "namespace": "shop"})
        );
    }

    #[test]
    fn dropped_annotations_and_finalizers_are_warned_of_if_there_are_any() {
        let warnings = |metadata: Value| {
            let federated =
                json!({"metadata": {"name": "web"}, "spec": {"template": {"metadata": metadata}}});
            let rendered = render(&target(), &FederatedObject::parse(federated).unwrap());
            rendered.unwrap().warnings
        };
        assert_eq!(warnings(json!({"annotations": {}, "finalizers": []})), []);
        assert_eq!(
            warnings(json!({"annotations": {"a": "b"}, "finalizers": ["x"]})),
            [
                Warning::AnnotationsNotSupported,
                Warning::FinalizersNotSupported
            ]
        );
        assert_eq!(
            Warning::FinalizersNotSupported.to_string(),
            "metadata.finalizers of the template is not propagated, use an override to set it"
        );
    }

    proptest! {
        #[test]
        fn no_federated_object_breaks_any_step(
            federated in strategies::json(),
            spec in strategies::json(),
            template in strategies::json(),
            placement in strategies::json(),
            overrides in strategies::json(),
            member in strategies::json(),
        ) {
            let name = json!({"name": "web"});
            let parts = json!({"template": template, "placement": placement, "overrides": overrides});
            let everywhere = json!({
                "template": template, "placement": {"clusterSelector": {}}, "overrides": overrides,
            });
            for federated in [
                federated,
                json!({"metadata": name, "spec": spec}),
                json!({"metadata": name, "spec": parts}),
                json!({"metadata": name, "spec": everywhere}),
            ] {
                let _ = Hashes::of(&federated);
                let Ok(federated) = FederatedObject::parse(federated) else { continue };
                let federated = Arc::new(federated);
                for kind in ["Service", "ServiceAccount", "ConfigMap"] {
                    let target = ResourceType::namespaced("", "v1", kind, "");
                    let federation = Federation::new(target.clone(), federated.clone());
                    let held = Observation::of_body(Arc::new(member.clone()));
                    for observation in [Observation::NotManaged, held] {
                        let decide = || {
                            decide(&federation, &Member::new("c"), &observation, &Record::empty())
                        };
                        prop_assert_eq!(decide(), decide());
                        if let Some(object) = decide().action.object() {
                            prop_assert_eq!(&object["kind"], kind);
                            prop_assert_eq!(&object["metadata"]["name"], "web");
                        }
                    }
                    let Ok(rendered) = render(&target, &federated) else { continue };
                    let mut object = rendered.object;
                    let _ = retain(&target, &mut object, &member, &federated);
                    let _ = set_managed_label(&mut object);
                    for cluster in federated.overrides().clusters() {
                        if let Ok(Some(list)) = federated.overrides().of(cluster) {
                            let _ = apply_overrides(object.clone(), list);
                        }
                    }
                }
            }
        }
    }
}
