//! Federates objects as they come: plain or federated, of any kind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, verbs};
use kubefed_api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kubefed_api::manifest::Manifest;
use kubefed_api::{
    ClusterName, ClusterSelection, FederatedObject, FederatedTypeConfig, QualifiedName,
    ResourceType, Target, TemplateSchema, federate_as, is_dns1123_label, is_dns1123_subdomain,
    well_known,
};
use serde_json::{Value, json};

use crate::walk::{Progress, Step};
use crate::{Error, PlayedCluster, Playground, Snapshot, api};

/// The namespace of objects that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

impl<C: PlayedCluster> Playground<C> {
    /// Federates objects: plain ones to every cluster, federated ones as they say.
    ///
    /// 1. CustomResourceDefinitions come first, then namespaces, then everything else in its order.
    /// 2. A type that is not federated yet is looked up in the host's discovery, its schema in the host's
    ///    OpenAPI documents, and it is enabled.
    /// 3. A namespace that is used gets a FederatedNamespace for every cluster, unless one is among the
    ///    objects or exists. An object of a namespaced kind without a namespace goes to `default`.
    /// 4. A CustomResourceDefinition is applied to the host, which has to know the kind, and federated.
    ///    Kinds of KubeFed itself are applied to the host alone. KubeFedClusters are left out, since the
    ///    clusters are simulated.
    /// 5. A cluster that a federated object names and that is no member is noted.
    ///
    /// # Errors
    ///
    /// There is no object, or everything that is not as it should be once all has settled, or when the
    /// time is up: objects that could not be read or were refused, and clusters that are not as desired.
    /// An object that cannot be federated leaves the others alone, and is refused before anything of it
    /// is written.
    pub async fn federate(
        &mut self,
        objects: Vec<Result<Manifest, kubefed_api::Error>>,
        timeout: Duration,
        mut observe: impl FnMut(Progress<'_>),
    ) -> Result<(), Error> {
        if objects.is_empty() {
            return Err(Error::said("federate", "there is no object in the input"));
        }
        let mut federating = Federating::default();
        self.federate_all(objects, &mut federating).await;
        let step = Step {
            name: "federate",
            what: format!(
                "{} objects are applied to the host cluster",
                federating.applied
            ),
            why: "plain objects go to every cluster, federated ones where they say",
            actions: Vec::new(),
            expectations: Vec::new(),
            touches: Vec::new(),
        };
        observe(Progress::Begins(&step));
        for note in &federating.notes {
            observe(Progress::Noted(note));
        }
        let watch =
            |snapshot: &Snapshot, moving: &[String]| observe(Progress::Moves(snapshot, moving));
        let settled = self.settle_when(timeout, |_| Ok(()), watch).await;
        let snapshot = self.snapshot();
        observe(Progress::Ended(&step, &snapshot));
        let mut problems: Vec<_> = federating.errors.iter().map(ToString::to_string).collect();
        problems.extend(snapshot.problems());
        match settled.as_ref().err().and_then(Error::moving) {
            Some(moving) => Err(Error::unsettled(step.name, moving.to_vec(), problems)),
            None if problems.is_empty() => Ok(()),
            None => Err(Error::problems(step.name, problems)),
        }
    }

    async fn federate_all(
        &mut self,
        objects: Vec<Result<Manifest, kubefed_api::Error>>,
        federating: &mut Federating,
    ) {
        let mut documents = Vec::new();
        for object in objects {
            let object = object.map_err(|error| Error::said(error.path(), error.message()));
            documents.extend(federating.keep(object.and_then(Document::read)));
        }
        documents.sort_by_key(|document| document.rank);
        federating.reject_duplicates(&mut documents);
        let mut namespaces = NamespacesUsed::default();
        for document in documents {
            let origin = document.origin.clone();
            let federated = self.federate_one(document, &mut namespaces, federating);
            let federated = federated.await.map_err(|error| error.within(&origin));
            let applied = federating.keep(federated).unwrap_or_default();
            federating.applied += usize::from(applied);
        }
        for namespace in namespaces.missing() {
            let made = self.federate_namespace(&namespace).await;
            let made = federating.keep(made).unwrap_or_default();
            federating.applied += usize::from(made);
        }
    }

    /// Applies what becomes of an object; false if nothing does.
    async fn federate_one(
        &mut self,
        document: Document,
        namespaces: &mut NamespacesUsed,
        federating: &mut Federating,
    ) -> Result<bool, Error> {
        let value = &document.value;
        if document.kind == "KubeFedCluster" {
            let note = format!("{}: left out, the clusters are simulated", document.title());
            federating.notes.push(note);
            return Ok(false);
        }
        if let Some(namespace) = document.name.namespace() {
            document.check_namespace(namespace)?;
        }
        if document.is_of_kubefed() {
            return self.apply_to_host(&document).await.map(|()| true);
        }
        if let Some(federated) = self.federated_type(&document).await? {
            namespaces.use_of(&federated, &document.name);
            let object = check_federated(&document)?;
            federating.notes.extend(self.strangers(&document, &object));
            return self.apply([value.clone()]).await.map(|()| true);
        }
        if document.is_definition() {
            self.apply([value.clone()]).await?;
        }
        let (target, schema) = self.target_of(&document).await?;
        if !target.target_type().is_namespaced() && document.name.namespace().is_some() {
            let message = format!(
                "metadata.namespace: {} lives in no namespace",
                document.kind
            );
            return Err(document.wrong(message));
        }
        self.enable(&target, schema).await?;
        let mut plain = value.clone();
        if target.target_type().is_namespaced() && document.name.namespace().is_none() {
            plain["metadata"]["namespace"] = DEFAULT_NAMESPACE.into();
        }
        let everywhere = ClusterSelection::Matching(Default::default());
        let federated = federate_as(&plain, &everywhere, &target);
        let federated = federated.map_err(|error| document.wrong(error.to_string()))?;
        let title = document.title();
        let notes = federated
            .dropped
            .iter()
            .map(|dropped| format!("{title}: {dropped}"));
        federating.notes.extend(notes);
        let name = QualifiedName::new(
            plain["metadata"]["namespace"].as_str(),
            document.name.name(),
        );
        namespaces.use_of(&target.federated_type(), &name);
        self.apply([federated.object]).await.map(|()| true)
    }

    /// What to say of clusters that a federated object names and that are no members.
    fn strangers(&self, document: &Document, object: &FederatedObject) -> Option<String> {
        let mut named: BTreeSet<_> = object.overrides().clusters().collect();
        if let Ok(ClusterSelection::Named(clusters)) = object.placement() {
            named.extend(clusters);
        }
        named.retain(|name| self.member(name.as_str()).is_none());
        let names: Vec<_> = named.into_iter().map(ClusterName::as_str).collect();
        let title = document.title();
        (!names.is_empty()).then(|| format!("{title}: there is no cluster {}", names.join(", ")))
    }

    /// Applies one of KubeFed's own kinds; a FederatedTypeConfig also enables its type here.
    async fn apply_to_host(&mut self, document: &Document) -> Result<(), Error> {
        let config = (document.kind == "FederatedTypeConfig").then(|| checked_config(document));
        let config = config.transpose()?;
        self.apply([document.value.clone()]).await?;
        if let Some(config) = config {
            let pair = (config.spec.target_type, config.spec.federated_type);
            if !self.types().contains(&pair) {
                self.remember_type(pair);
            }
        }
        Ok(())
    }

    /// The federated type of a federated object, which is enabled if it is not yet; `None` for a plain
    /// object.
    async fn federated_type(&mut self, document: &Document) -> Result<Option<ResourceType>, Error> {
        let known = |types: &[(ResourceType, ResourceType)]| {
            let mut types = types.iter().map(|(_, federated)| federated);
            let federated = types.find(|type_| {
                type_.kind == document.kind && type_.api_version() == document.api_version
            });
            federated.cloned()
        };
        if let Some(federated) = known(self.types()) {
            return Ok(Some(federated));
        }
        let kind = document.kind.strip_prefix("Federated");
        let Some(kind) = kind.filter(|_| document.group() == well_known::TYPES_GROUP) else {
            return Ok(None);
        };
        let discovery = Discovery::new(self.client().clone()).run().await;
        let discovery = discovery.map_err(|error| Error::call(document.title(), error))?;
        let found = discovery
            .groups()
            .filter_map(|group| group.recommended_kind(kind))
            .find(|(_, capabilities)| capabilities.supports_operation(verbs::CREATE));
        let (resource, capabilities) =
            found.ok_or_else(|| document.wrong(format!("there is no kind {kind} to federate")))?;
        let type_ = ResourceType::discovered(&resource, &capabilities.scope);
        let (target, schema) = self.with_schema(document, type_).await?;
        self.enable(&target, schema).await?;
        Ok(known(self.types()))
    }

    /// The type of a plain object, from the host's discovery.
    async fn target_of(&self, document: &Document) -> Result<(Target, TemplateSchema), Error> {
        let known = self
            .types()
            .iter()
            .map(|(target, _)| target)
            .find(|target| {
                target.kind == document.kind && target.api_version() == document.api_version
            });
        if let Some(known) = known {
            // Enabled already, so the schema is not looked at.
            return Ok((Target::new(known.clone()), TemplateSchema::Present));
        }
        let (group, version) = split(&document.api_version);
        let kind = GroupVersionKind::gvk(group, version, &document.kind);
        let found = kube::discovery::pinned_kind(self.client(), &kind).await;
        let (resource, capabilities) = found.map_err(|_| {
            document.wrong(format!(
                "no cluster serves the kind {} of {}, and no definition of it is in the input",
                document.kind, document.api_version
            ))
        })?;
        if !capabilities.supports_operation(verbs::CREATE) {
            let message = format!("objects of the kind {} cannot be created", document.kind);
            return Err(document.wrong(message));
        }
        let type_ = ResourceType::discovered(&resource, &capabilities.scope);
        self.with_schema(document, type_).await
    }

    /// What the definition of a custom type, or else the OpenAPI document of its group, says of it.
    async fn with_schema(
        &self,
        document: &Document,
        type_: ResourceType,
    ) -> Result<(Target, TemplateSchema), Error> {
        let definition = QualifiedName::cluster_scoped(type_.qualified_plural());
        let definition = api::find(self.client(), &api::definitions(), &definition).await;
        let schema = match definition.map_err(|error| Error::call(document.title(), error))? {
            Some(definition) => {
                let definition: CustomResourceDefinition = serde_json::from_value(definition)
                    .map_err(|error| document.wrong(error.to_string()))?;
                TemplateSchema::of_definition(&definition)
            }
            None => {
                let path = match type_.group.as_str() {
                    "" => format!("/openapi/v3/api/{}", type_.version),
                    group => format!("/openapi/v3/apis/{group}/{}", type_.version),
                };
                let answer = api::read(self.client(), &path).await;
                let answer = answer.map_err(|error| Error::call(document.title(), error))?;
                TemplateSchema::in_openapi(&answer, &type_)
                    .map_err(|error| document.wrong(error.to_string()))?
            }
        };
        Ok((Target::new(type_), schema))
    }

    /// Federates a namespace to every cluster; false if it is federated.
    async fn federate_namespace(&self, name: &str) -> Result<bool, Error> {
        let federated = ResourceType::namespaced(
            well_known::TYPES_GROUP,
            well_known::TYPES_VERSION,
            "FederatedNamespace",
            "federatednamespaces",
        );
        let found = QualifiedName::namespaced(name, name);
        let found = api::find(self.client(), &federated, &found).await;
        let found = found.map_err(|error| Error::call(format!("federate {name}"), error))?;
        if found.is_some() {
            return Ok(false);
        }
        self.apply([json!({
            "apiVersion": federated.api_version(), "kind": federated.kind,
            "metadata": {"namespace": name, "name": name},
            "spec": {"placement": {"clusterSelector": {}}},
        })])
        .await
        .map(|()| true)
    }
}

/// An object with what has to be known of any.
struct Document {
    origin: String,
    value: Value,
    api_version: String,
    kind: String,
    name: QualifiedName,
    rank: u8,
}

impl Document {
    fn read(manifest: Manifest) -> Result<Self, Error> {
        let (origin, value) = (manifest.origin.to_string(), manifest.value);
        let text = |value: &Value, path: &str| match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            Value::Null | Value::String(_) => {
                Err(Error::said(&origin, format!("{path}: required")))
            }
            _ => Err(Error::said(&origin, format!("{path}: expected a string"))),
        };
        let kind = text(&value["kind"], "kind")?;
        let api_version = text(&value["apiVersion"], "apiVersion")?;
        let metadata = &value["metadata"];
        let name = text(&metadata["name"], "metadata.name")?;
        let namespace = match &metadata["namespace"] {
            Value::Null => None,
            namespace => Some(text(namespace, "metadata.namespace")?),
        };
        let rank = match (split(&api_version), kind.as_str()) {
            (("apiextensions.k8s.io", _), "CustomResourceDefinition") => 0,
            ((well_known::CORE_GROUP, _), "FederatedTypeConfig") => 1,
            (("", _), "Namespace") | ((well_known::TYPES_GROUP, _), "FederatedNamespace") => 2,
            _ => 3,
        };
        Ok(Self {
            name: QualifiedName::new(namespace.as_deref(), &name),
            api_version,
            kind,
            rank,
            origin,
            value,
        })
    }

    fn group(&self) -> &str {
        split(&self.api_version).0
    }

    fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn wrong(&self, message: impl Into<String>) -> Error {
        Error::said(self.title(), message)
    }

    fn is_definition(&self) -> bool {
        self.rank == 0
    }

    /// Kinds that the control plane reads from the host, and the definitions of federated types.
    fn is_of_kubefed(&self) -> bool {
        let groups = [well_known::CORE_GROUP, well_known::SCHEDULING_GROUP];
        let defined = self.value["spec"]["group"].as_str().unwrap_or_default();
        groups.contains(&self.group())
            || (self.is_definition()
                && (groups.contains(&defined) || defined == well_known::TYPES_GROUP))
    }

    fn check_namespace(&self, namespace: &str) -> Result<(), Error> {
        if is_dns1123_label(namespace) {
            return Ok(());
        }
        let message = format!("metadata.namespace: {namespace:?} is no DNS label (RFC 1123)");
        Err(self.wrong(message))
    }
}

/// What admission would refuse is refused, since there is none.
fn checked_config(document: &Document) -> Result<FederatedTypeConfig, Error> {
    let config = serde_json::from_value::<FederatedTypeConfig>(document.value.clone());
    let mut config = config.map_err(|error| document.wrong(error.to_string()))?;
    config.apply_defaults();
    let checked = config.validate_create();
    checked.map_err(|errors| document.wrong(errors.to_string()))?;
    Ok(config)
}

/// Refuses what no cluster can be given, before anything is written.
fn check_federated(document: &Document) -> Result<FederatedObject, Error> {
    let object = FederatedObject::parse(document.value.clone())
        .map_err(|error| document.wrong(error.to_string()))?;
    let name = document.name.name();
    if !is_dns1123_subdomain(name) {
        let message = format!("metadata.name: {name:?} is no DNS subdomain (RFC 1123)");
        return Err(document.wrong(message));
    }
    let is_namespace = document.kind == "FederatedNamespace";
    if is_namespace && document.name.namespace() != Some(name) {
        let message = "metadata.namespace: a FederatedNamespace lives in the namespace of its name";
        return Err(document.wrong(message));
    }
    object
        .placement()
        .map_err(|error| document.wrong(error.to_string()))?;
    object
        .template()
        .map_err(|error| document.wrong(error.to_string()))?;
    Ok(object)
}

/// What becomes of objects that are to be federated.
#[derive(Default)]
struct Federating {
    /// How many objects were applied to the host cluster.
    applied: usize,
    /// What the reader may not expect.
    notes: Vec<String>,
    /// What could not be federated, each with its origin.
    errors: Vec<Error>,
}

/// The namespaces of federated objects, and whether they are federated.
#[derive(Default)]
struct NamespacesUsed(BTreeMap<String, bool>);

impl NamespacesUsed {
    fn use_of(&mut self, federated: &ResourceType, name: &QualifiedName) {
        let is_namespace = federated.kind == "FederatedNamespace";
        let namespace = if is_namespace {
            Some(name.name())
        } else {
            name.namespace()
        };
        if let Some(namespace) = namespace.filter(|_| federated.is_namespaced()) {
            *self.0.entry(namespace.to_owned()).or_default() |= is_namespace;
        }
    }

    fn missing(&self) -> BTreeSet<String> {
        let missing = self.0.iter().filter(|(_, federated)| !**federated);
        missing.map(|(name, _)| name.clone()).collect()
    }
}

impl Federating {
    fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// Of several documents about one object the first counts.
    fn reject_duplicates(&mut self, documents: &mut Vec<Document>) {
        let mut seen = BTreeMap::new();
        documents.retain(|document| {
            let key = (
                document.group().to_owned(),
                document.kind.clone(),
                document.name.clone(),
            );
            let origin = document.origin.clone();
            match seen.get(&key) {
                None => {
                    seen.insert(key, origin);
                    true
                }
                Some(first) => {
                    let message = format!("the same object is in {first}");
                    self.errors.push(document.wrong(message).within(&origin));
                    false
                }
            }
        });
    }
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
