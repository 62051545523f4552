//! Turning plain objects into federated ones.

mod assigned;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value, json};

use crate::core::{ResourceType, plural};
use crate::crd::Target;
use crate::error::Error;
use crate::federated::ClusterSelection;
use crate::federated::fields::read_string;
use crate::well_known::{MANAGED_LABEL, TYPES_GROUP};

/// A federated object made of a plain one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Federated {
    /// The federated object. It has a template and a placement, and neither overrides, labels nor
    /// annotations.
    pub object: Value,
    /// What of the plain object is lost although its author may have meant it.
    pub dropped: Vec<Dropped>,
}

/// A part of a plain object that a template cannot carry.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Dropped {
    /// The names of annotations. In members they belong to the controllers there; an override with
    /// the operation `add` on `/metadata/annotations` sets them.
    Annotations(Vec<String>),
    /// Finalizers, which belong to controllers as well.
    Finalizers(Vec<String>),
    /// The owners, as `kind/name`: they have other uids in the members, or do not exist there.
    Owners(Vec<String>),
    /// The path of a field that each cluster assigns itself, such as `spec.ports[0].nodePort`.
    Assigned(String),
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotations(names) => {
                write!(
                    f,
                    "annotations are not supported in a template: {}",
                    names.join(", ")
                )
            }
            Self::Finalizers(names) => {
                write!(
                    f,
                    "finalizers are not supported in a template: {}",
                    names.join(", ")
                )
            }
            Self::Owners(owners) => {
                write!(
                    f,
                    "owners are not supported in a template: {}",
                    owners.join(", ")
                )
            }
            Self::Assigned(path) => write!(f, "{path} is assigned by each cluster"),
        }
    }
}

/// Makes a federated object of group and version `types.kubefed.io/v1beta1`.
///
/// 1. The kind is `Federated<Kind>`. Name and namespace are those of the object; without a namespace
///    the object counts as cluster-scoped. A Namespace `n` becomes the FederatedNamespace `n` in the
///    namespace `n`, which is the only place where it is valid.
/// 2. The template is the object without what a server wrote (`status`, all metadata but the labels),
///    without what each cluster assigns itself (cluster IPs, node ports, the selector of a Job, ...) and
///    without what a template cannot carry ([`Dropped`]).
/// 3. The label `kubefed.io/managed` is left out: it is the control plane's.
///
/// A headless Service stays headless. Nothing else is changed, so defaults that a server filled in
/// stay in the template.
///
/// # Errors
///
/// The value is no single object with `apiVersion`, `kind` and a name, or is federated already.
///
/// # Example
///
/// ```
/// use kubefed_api::{ClusterSelection, federate};
/// use serde_json::json;
///
/// let secret = json!({
///     "apiVersion": "v1", "kind": "Secret",
///     "metadata": {"name": "db", "namespace": "shop", "uid": "1", "annotations": {"note": "x"}},
///     "type": "Opaque",
/// });
/// let federated = federate(&secret, &ClusterSelection::Matching(Default::default()))?;
/// assert_eq!(federated.object, json!({
///     "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedSecret",
///     "metadata": {"name": "db", "namespace": "shop"},
///     "spec": {
///         "placement": {"clusterSelector": {"matchLabels": {}}},
///         "template": {"type": "Opaque"},
///     },
/// }));
/// assert_eq!(
///     federated.dropped[0].to_string(),
///     "annotations are not supported in a template: note"
/// );
/// # Ok::<(), kubefed_api::Error>(())
/// ```
pub fn federate(object: &Value, placement: &ClusterSelection) -> Result<Federated, Error> {
    let source = Source::read(object)?;
    let (group, version, kind) = (source.group, source.version, source.kind);
    let type_ = match source.namespace {
        Some(_) => ResourceType::namespaced(group, version, kind, &plural(kind)),
        None => ResourceType::cluster_scoped(group, version, kind, &plural(kind)),
    };
    source.wrap(&Target::new(type_).federated_type(), placement)
}

/// Makes a federated object of a type whose federation is known; otherwise as [`federate`].
///
/// # Errors
///
/// As [`federate`], and if the object is not of the target's group, version and kind, since its
/// template would have another schema, or lacks the namespace that the type asks for.
pub fn federate_as(
    object: &Value,
    placement: &ClusterSelection,
    target: &Target,
) -> Result<Federated, Error> {
    let source = Source::read(object)?;
    let type_ = target.target_type();
    if (source.group, source.version, source.kind) != (&type_.group, &type_.version, &type_.kind) {
        let message = format!(
            "expected {} of {}, found {} of {}",
            type_.kind,
            type_.api_version(),
            source.kind,
            object["apiVersion"].as_str().unwrap_or_default()
        );
        return Err(Error::new("kind", message));
    }
    source.wrap(&target.federated_type(), placement)
}

/// A plain object whose identity is known.
struct Source<'a> {
    fields: &'a Map<String, Value>,
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn read(object: &'a Value) -> Result<Self, Error> {
        let fields = object
            .as_object()
            .ok_or_else(|| Error::wrong_type("", "an object", object))?;
        let api_version = read_string(&object["apiVersion"], || "apiVersion".into())?;
        let kind = read_string(&object["kind"], || "kind".into())?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if kind.is_empty() || version.is_empty() {
            let field = if kind.is_empty() {
                "kind"
            } else {
                "apiVersion"
            };
            return Err(Error::new(field, "a plain object needs it"));
        }
        if group.is_empty() && kind == "List" {
            return Err(Error::new(
                "kind",
                "a List is many objects; federate each of its items",
            ));
        }
        let is_placed = fields
            .get("spec")
            .is_some_and(|spec| !spec["placement"].is_null());
        if kind.starts_with("Federated") && (group == TYPES_GROUP || is_placed) {
            let message = format!("{kind} is a federated object already");
            return Err(Error::new("kind", message));
        }
        let metadata = &object["metadata"];
        let name = read_string(&metadata["name"], || "metadata.name".into())?;
        if name.is_empty() {
            let generated = metadata["generateName"].is_string();
            let why = if generated {
                "; generateName would differ between clusters"
            } else {
                ""
            };
            return Err(Error::new(
                "metadata.name",
                format!("a name is required{why}"),
            ));
        }
        let namespace = read_string(&metadata["namespace"], || "metadata.namespace".into())?;
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        Ok(Self {
            fields,
            group,
            version,
            kind,
            name,
            namespace,
        })
    }

    fn wrap(
        &self,
        federated: &ResourceType,
        placement: &ClusterSelection,
    ) -> Result<Federated, Error> {
        let mut metadata = json!({"name": self.name});
        if federated.is_namespaced() {
            let is_namespace = self.group.is_empty() && self.kind == "Namespace";
            let namespace = if is_namespace {
                Some(self.name)
            } else {
                self.namespace
            };
            let namespace = namespace.ok_or_else(|| {
                Error::new(
                    "metadata.namespace",
                    format!("{} needs a namespace", federated.kind),
                )
            })?;
            metadata["namespace"] = namespace.into();
        }
        let mut dropped = Vec::new();
        let template = self.template(&mut dropped)?;
        let object = json!({
            "apiVersion": federated.api_version(),
            "kind": federated.kind,
            "metadata": metadata,
            "spec": {"placement": placement_value(placement), "template": template},
        });
        Ok(Federated { object, dropped })
    }

    fn template(&self, dropped: &mut Vec<Dropped>) -> Result<Map<String, Value>, Error> {
        let mut template = self.fields.clone();
        for server_owned in ["apiVersion", "kind", "status"] {
            template.remove(server_owned);
        }
        let metadata = template.remove("metadata").unwrap_or_default();
        note_dropped_metadata(&metadata, dropped);
        if let Some(labels) = kept_labels(&metadata)? {
            template.insert("metadata".to_owned(), json!({"labels": labels}));
        }
        assigned::remove(self.group, self.kind, &mut template, dropped);
        Ok(template)
    }
}

fn placement_value(placement: &ClusterSelection) -> Value {
    match placement {
        ClusterSelection::Named(names) => {
            let names: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"clusters": names})
        }
        ClusterSelection::Matching(selector) if selector.selects_all() => {
            json!({"clusterSelector": {"matchLabels": {}}})
        }
        ClusterSelection::Matching(selector) => {
            json!({"clusterSelector": LabelSelector::from(selector.clone())})
        }
        ClusterSelection::Nowhere => json!({}),
    }
}

fn note_dropped_metadata(metadata: &Value, dropped: &mut Vec<Dropped>) {
    let list = |field: &str| metadata[field].as_array().into_iter().flatten();
    let annotations: Vec<String> = metadata["annotations"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    let finalizers: Vec<_> = list("finalizers")
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let owners: Vec<_> = list("ownerReferences")
        .map(|owner| format!("{}/{}", word(&owner["kind"]), word(&owner["name"])))
        .collect();
    let parts = [
        (sorted(annotations), Dropped::Annotations as fn(_) -> _),
        (finalizers, Dropped::Finalizers),
        (owners, Dropped::Owners),
    ];
    dropped.extend(
        parts
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, part)| part(names)),
    );
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// All labels but the control plane's own; `None` if there are none.
fn kept_labels(metadata: &Value) -> Result<Option<Map<String, Value>>, Error> {
    let mut labels = match &metadata["labels"] {
        Value::Null => return Ok(None),
        Value::Object(labels) => labels.clone(),
        other => return Err(Error::wrong_type("metadata.labels", "an object", other)),
    };
    labels.remove(MANAGED_LABEL);
    Ok((!labels.is_empty()).then_some(labels))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::federated::FederatedObject;

    fn everywhere() -> ClusterSelection {
        ClusterSelection::parse(&json!({"clusterSelector": {}})).unwrap()
    }

    /// Federates `fields` as a `kind` named `n` in `ns`; checks its template and what was dropped.
    #[track_caller]
    fn check(api_version: &str, kind: &str, fields: Value, template: Value, dropped: &[&str]) {
        let mut object = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": "n", "namespace": "ns"}
        });
        for (name, value) in fields.as_object().unwrap() {
            match (name.as_str(), value) {
                ("metadata", Value::Object(more)) => {
                    object["metadata"]
                        .as_object_mut()
                        .unwrap()
                        .extend(more.clone());
                }
                _ => object[name] = value.clone(),
            }
        }
        let federated = federate(&object, &everywhere()).unwrap();
        assert_eq!(federated.object["spec"]["template"], template);
        assert_eq!(federated.object["kind"], format!("Federated{kind}"));
        let found: Vec<_> = federated.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(found, dropped);
        let parsed = FederatedObject::parse(federated.object).unwrap();
        assert!(
            parsed
                .placement()
                .unwrap()
                .selects(&"east".into(), &Default::default())
        );
    }

    #[test]
    fn only_labels_survive_of_the_metadata() {
        let metadata = json!({
            "uid": "1", "resourceVersion": "2", "generation": 3, "managedFields": [], "selfLink": "/x",
            "creationTimestamp": "2026-11-21T09:44:30Z", "deletionGracePeriodSeconds": 0,
            "labels": {"app": "web", "kubefed.io/managed": "true"},
            "annotations": {"b": "1", "a": "2"},
            "finalizers": ["example.com/x"],
            "ownerReferences": [{"kind": "App", "name": "web", "uid": "9", "apiVersion": "v1"}]
        });
        check(
            "apps/v1",
            "Deployment",
            json!({"metadata": metadata, "spec": {"replicas": 3}, "status": {"replicas": 3}}),
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"replicas": 3}}),
            &[
                "annotations are not supported in a template: a, b",
                "finalizers are not supported in a template: example.com/x",
                "owners are not supported in a template: App/web",
            ],
        );
        let unlabelled =
            json!({"metadata": {"labels": {"kubefed.io/managed": "true"}}, "data": {}});
        check("v1", "ConfigMap", unlabelled, json!({"data": {}}), &[]);
    }

    #[test]
    fn what_each_cluster_assigns_is_left_out() {
        check(
            "v1",
            "Service",
            json!({"spec": {
                "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "healthCheckNodePort": 30001,
                "ports": [{"port": 80, "nodePort": 30000}, 5, {"port": 81}]
            }}),
            json!({"spec": {"ports": [{"port": 80}, 5, {"port": 81}]}}),
            &["spec.ports[0].nodePort is assigned by each cluster"],
        );
        let headless = json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
        check("v1", "Service", headless.clone(), headless, &[]);
        // A type of another group with the same kind has fields of its own.
        let knative = json!({"spec": {"clusterIP": "10.0.0.1"}});
        check(
            "serving.knative.dev/v1",
            "Service",
            knative.clone(),
            knative,
            &[],
        );
        check(
            "v1",
            "ServiceAccount",
            json!({"secrets": [{"name": "t"}]}),
            json!({}),
            &["secrets is assigned by each cluster"],
        );
        let generated =
            json!({"controller-uid": "1", "batch.kubernetes.io/job-name": "n", "app": "x"});
        let job = |labels: Value| json!({"template": {"metadata": {"labels": labels}}});
        let mut spec = job(generated.clone());
        spec["selector"] = json!({"matchLabels": {"controller-uid": "1"}});
        check(
            "batch/v1",
            "Job",
            json!({"spec": spec}),
            json!({"spec": job(json!({"app": "x"}))}),
            &[],
        );
        spec = job(generated);
        spec["selector"] = json!({"matchLabels": {"app": "x"}});
        spec["manualSelector"] = true.into();
        check(
            "batch/v1",
            "Job",
            json!({"spec": spec}),
            json!({"spec": spec}),
            &[],
        );
    }

    /// api 9.5: a federated namespace lives in the namespace that it federates.
    #[test]
    fn the_namespace_of_the_result_follows_the_source() {
        let cases = [
            // apiVersion, kind, namespace; kind and namespace of the result
            ("v1", "Namespace", None, "FederatedNamespace", Some("n")),
            (
                "v1",
                "ConfigMap",
                Some("ns"),
                "FederatedConfigMap",
                Some("ns"),
            ),
            ("v1", "ConfigMap", Some(""), "FederatedConfigMap", None),
            (
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                None,
                "FederatedClusterRole",
                None,
            ),
        ];
        for (api_version, kind, namespace, federated_kind, federated_namespace) in cases {
            let object = json!({
                "apiVersion": api_version,
                "kind": kind,
                "metadata": {"name": "n", "namespace": namespace},
                "spec": {"finalizers": ["kubernetes"]}
            });
            let federated = federate(&object, &ClusterSelection::Nowhere)
                .unwrap()
                .object;
            assert_eq!(federated["apiVersion"], "types.kubefed.io/v1beta1");
            assert_eq!(federated["kind"], federated_kind);
            assert_eq!(
                federated["metadata"]["namespace"].as_str(),
                federated_namespace,
                "{kind}"
            );
            assert_eq!(federated["spec"]["placement"], json!({}));
            let finalizers = &federated["spec"]["template"]["spec"]["finalizers"];
            assert_eq!(finalizers.is_null(), kind == "Namespace");
        }
    }

    #[test]
    fn placements_are_written_in_their_own_form() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n", "namespace": "ns"}});
        for placement in [
            json!({"clusters": []}),
            json!({"clusters": [{"name": "east"}, {"name": "west"}]}),
            json!({"clusterSelector": {"matchLabels": {}}}),
            json!({"clusterSelector": selector}),
            json!({}),
        ] {
            let selection = ClusterSelection::parse(&placement).unwrap();
            let federated = federate(&object, &selection).unwrap().object;
            assert_eq!(
                ClusterSelection::parse(&federated["spec"]["placement"]),
                Ok(selection)
            );
            assert_eq!(federated["spec"]["placement"], placement);
        }
        let named = ClusterSelection::Named(BTreeSet::from(["b".into(), "a".into()]));
        let federated = federate(&object, &named).unwrap().object;
        assert_eq!(
            federated["spec"]["placement"],
            json!({"clusters": [{"name": "a"}, {"name": "b"}]})
        );
    }

    #[test]
    fn a_known_target_decides_group_version_and_scope() {
        let target = Target::new(ResourceType::namespaced(
            "apps",
            "v1",
            "Deployment",
            "deployments",
        ))
        .federated_group("fed.example.com")
        .federated_version("v1");
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n", "namespace": "ns"}});
        let federated = federate_as(&object, &everywhere(), &target).unwrap().object;
        assert_eq!(federated["apiVersion"], "fed.example.com/v1");
        object["metadata"]["namespace"] = "".into();
        let error = federate_as(&object, &everywhere(), &target).unwrap_err();
        assert_eq!(
            error.to_string(),
            "metadata.namespace: FederatedDeployment needs a namespace"
        );
        object["apiVersion"] = "apps/v1beta1".into();
        let error = federate_as(&object, &everywhere(), &target).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kind: expected Deployment of apps/v1, found Deployment of apps/v1beta1"
        );
    }

    #[test]
    fn what_is_no_plain_object_is_refused_with_the_path() {
        let federated = json!({"apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedSecret", "metadata": {"name": "n"}});
        let cases = [
            (json!([]), "expected an object, found a list"),
            (
                json!({"kind": "Secret"}),
                "apiVersion: a plain object needs it",
            ),
            (json!({"apiVersion": "v1"}), "kind: a plain object needs it"),
            (
                json!({"apiVersion": "v1", "kind": 5}),
                "kind: expected a string, found a number",
            ),
            (
                json!({"apiVersion": "apps/", "kind": "X"}),
                "apiVersion: a plain object needs it",
            ),
            (
                json!({"apiVersion": "v1", "kind": "List"}),
                "kind: a List is many objects; federate each of its items",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret"}),
                "metadata.name: a name is required",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "x-"}}),
                "metadata.name: a name is required; generateName would differ between clusters",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "n", "labels": []}}),
                "metadata.labels: expected an object, found a list",
            ),
            (
                federated,
                "kind: FederatedSecret is a federated object already",
            ),
        ];
        for (object, error) in cases {
            let found = federate(&object, &everywhere()).unwrap_err();
            assert_eq!(found.to_string(), error);
        }
    }
}
