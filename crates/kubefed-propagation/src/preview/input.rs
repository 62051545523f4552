//! Sorts manifests into clusters, types and federated objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kubefed_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubefed_api::k8s_openapi::serde::Deserialize;
use kubefed_api::manifest::{Manifest, Origin};
use kubefed_api::{
    ClusterName, ClusterSelection, Error as FieldError, FederatedTypeConfig, QualifiedName,
    ResourceType, default_targets, federated_type_config, is_dns1035_label, is_dns1123_label,
    is_dns1123_subdomain, well_known,
};
use serde_json::Value;

use super::{FederatedObject, Problem};
use crate::Member;

/// Everything that was given, as far as it could be read.
#[derive(Default)]
pub(super) struct Input {
    pub(super) clusters: BTreeMap<ClusterName, Member>,
    /// The placements of the FederatedNamespaces, by namespace.
    pub(super) namespaces: BTreeMap<String, Result<ClusterSelection, FieldError>>,
    pub(super) objects: Vec<Object>,
    pub(super) problems: Vec<Problem>,
    types: BTreeMap<TypeKey, FederatedType>,
    seen: BTreeSet<(TypeKey, QualifiedName)>,
}

/// Group and kind of a federated type.
type TypeKey = (String, String);

/// A type that can be federated.
#[derive(Clone)]
pub(super) struct FederatedType {
    pub(super) target: ResourceType,
    pub(super) enabled: bool,
    kind: String,
}

/// A federated object whose type is known.
pub(super) struct Object {
    pub(super) origin: Origin,
    pub(super) type_: FederatedType,
    pub(super) object: Arc<FederatedObject>,
}

impl Object {
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.type_.kind, self.object.name())
    }
}

impl Input {
    pub(super) fn sort(manifests: impl IntoIterator<Item = Result<Manifest, FieldError>>) -> Self {
        let mut input = Self::default();
        for (target, _) in default_targets() {
            input.add_type(&federated_type_config(&target));
        }
        let mut federated = Vec::new();
        for manifest in manifests {
            match manifest {
                Ok(manifest) => match manifest.value["kind"].as_str() {
                    Some("KubeFedCluster") => input.read(&manifest, Self::read_cluster),
                    Some("FederatedTypeConfig") => input.read(&manifest, Self::read_type),
                    _ => federated.push(manifest),
                },
                Err(error) => input.problems.push(Problem {
                    origin: error.path().to_owned(),
                    object: String::new(),
                    cluster: None,
                    message: error.message().to_owned(),
                }),
            }
        }
        // Types may come after the objects that need them.
        for manifest in &federated {
            input.read(manifest, Self::read_object);
        }
        input
    }

    fn read(
        &mut self,
        manifest: &Manifest,
        read: impl FnOnce(&mut Self, &Manifest) -> Result<(), FieldError>,
    ) {
        if let Err(error) = read(self, manifest) {
            self.problems.push(Problem {
                origin: manifest.origin.to_string(),
                object: title(&manifest.value),
                cluster: None,
                message: error.to_string(),
            });
        }
    }

    fn read_cluster(&mut self, manifest: &Manifest) -> Result<(), FieldError> {
        check_group(&manifest.value, well_known::CORE_GROUP)?;
        let metadata: ObjectMeta = parse(&manifest.value["metadata"], "metadata")?;
        let name = ClusterName::from(metadata.name.unwrap_or_default());
        if !name.is_valid() {
            return Err(FieldError::new("metadata.name", "not a DNS-1123 subdomain"));
        }
        let member = Member::new(name.clone()).labels(metadata.labels.unwrap_or_default());
        match self.clusters.insert(name, member) {
            None => Ok(()),
            Some(_) => Err(FieldError::new(
                "metadata.name",
                "the cluster was given before",
            )),
        }
    }

    fn read_type(&mut self, manifest: &Manifest) -> Result<(), FieldError> {
        check_group(&manifest.value, well_known::CORE_GROUP)?;
        let mut config: FederatedTypeConfig = parse(&manifest.value, "")?;
        config.apply_defaults();
        config
            .validate_create()
            .map_err(|errors| FieldError::new("", errors.to_string()))?;
        self.add_type(&config);
        Ok(())
    }

    fn add_type(&mut self, config: &FederatedTypeConfig) {
        let federated = &config.spec.federated_type;
        let type_ = FederatedType {
            target: config.spec.target_type.clone(),
            enabled: config.propagation_enabled(),
            kind: federated.kind.clone(),
        };
        self.types
            .insert((federated.group.clone(), federated.kind.clone()), type_);
    }

    fn read_object(&mut self, manifest: &Manifest) -> Result<(), FieldError> {
        let text = |name: &str| match &manifest.value[name] {
            Value::String(text) if !text.is_empty() => Ok(text.as_str()),
            Value::Null => Err(FieldError::new(name, "missing")),
            other => Err(FieldError::wrong_type(name, "a text", other)),
        };
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let key = (group.to_owned(), kind.to_owned());
        let Some(type_) = self.types.get(&key).cloned() else {
            let message = format!("{api_version} {kind} is no federated type that is known");
            return Err(FieldError::new("kind", message));
        };
        let object = Arc::new(FederatedObject::parse(manifest.value.clone())?);
        check_name(&type_.target, &object)?;
        if !self.seen.insert((key, object.name().clone())) {
            return Err(FieldError::new(
                "metadata.name",
                "the object was given before",
            ));
        }
        if type_.target.is_core("Namespace") {
            let placement = object.placement().cloned().map_err(Clone::clone);
            self.namespaces
                .insert(object.name().name().to_owned(), placement);
        }
        self.objects.push(Object {
            origin: manifest.origin.clone(),
            type_,
            object,
        });
        Ok(())
    }
}

/// Whether API servers accept the name of the copies.
fn check_name(target: &ResourceType, object: &FederatedObject) -> Result<(), FieldError> {
    let bad = |path: &str, message: &str| Err(FieldError::new(path, message));
    let (name, namespace) = (object.name().name(), object.name().namespace());
    match namespace {
        Some(namespace) if !is_dns1123_label(namespace) => {
            return bad("metadata.namespace", "not a DNS-1123 label");
        }
        None if target.is_namespaced() || target.is_core("Namespace") => {
            return bad("metadata.namespace", "missing");
        }
        Some(_) if !target.is_namespaced() && !target.is_core("Namespace") => {
            return bad("metadata.namespace", "the type has no namespaces");
        }
        Some(namespace) if target.is_core("Namespace") && namespace != name => {
            return bad(
                "metadata.name",
                "a federated namespace is named like the namespace it is in",
            );
        }
        _ => {}
    }
    if target.is_core("Namespace") && well_known::SYSTEM_NAMESPACES.contains(&name) {
        return bad("metadata.name", "this namespace is never federated");
    }
    if target.is_core("Namespace") && !is_dns1123_label(name) {
        bad("metadata.name", "not a DNS-1123 label")
    } else if target.is_core("Service") && !is_dns1035_label(name) {
        bad("metadata.name", "not a DNS-1035 label")
    } else if target.group == "rbac.authorization.k8s.io" {
        // Names of roles may be anything that can stand in a path.
        if name.contains(['/', '%']) {
            bad("metadata.name", "not a path segment")
        } else {
            Ok(())
        }
    } else if is_dns1123_subdomain(name) {
        Ok(())
    } else {
        bad("metadata.name", "not a DNS-1123 subdomain")
    }
}

fn check_group(value: &Value, group: &str) -> Result<(), FieldError> {
    let api_version = value["apiVersion"].as_str().unwrap_or_default();
    match api_version.split_once('/') {
        Some((found, _)) if found == group => Ok(()),
        _ => Err(FieldError::new(
            "apiVersion",
            format!("expected {group}/v1beta1"),
        )),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(value: &Value, path: &str) -> Result<T, FieldError> {
    T::deserialize(value).map_err(|error| FieldError::new(path, error.to_string()))
}

/// Kind and name of a document, as far as they can be told.
fn title(value: &Value) -> String {
    let metadata = &value["metadata"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let name = [text(&metadata["namespace"]), text(&metadata["name"])];
    let name = name.into_iter().flatten().collect::<Vec<_>>().join("/");
    let parts = [text(&value["kind"]), Some(name)];
    parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
