//! What manifests would put into which clusters, without any cluster at hand.

mod input;

use std::collections::BTreeSet;
use std::fmt;

use kubefed_api::manifest::{Manifest, Origin};
use kubefed_api::{ClusterName, Error as FieldError, FederatedObject, PropagationStatus};
use serde_json::{Value, json};

use self::input::{FederatedType, Input};
use crate::plan::{FieldChange, Plan, differences, is_secret, plan, plan_with_secrets};
use crate::{
    Action, Federation, Member, NamespaceFederation, OBJECT_BYTES_MAX, Observation, Record, Scope,
    set_managed_label,
};

/// What is taken for granted in a [`Preview`], and what it shows.
#[derive(Clone, Debug, Default)]
pub struct PreviewOptions {
    namespaces_assumed: bool,
    secrets_shown: bool,
}

impl PreviewOptions {
    /// A namespace without a FederatedNamespace gets nothing, and values of Secrets are hidden.
    pub fn new() -> Self {
        Self::default()
    }

    /// A namespace without a FederatedNamespace is taken as federated to all clusters.
    #[must_use]
    pub fn assume_namespaces_federated(mut self) -> Self {
        self.namespaces_assumed = true;
        self
    }

    /// Values of Secrets are shown.
    #[must_use]
    pub fn show_secrets(mut self) -> Self {
        self.secrets_shown = true;
        self
    }
}

/// What manifests would put into clusters that are all ready and empty.
///
/// The manifests are federated objects, FederatedTypeConfigs and KubeFedClusters, in any order; types
/// that a KubeFed installation has from the start need no FederatedTypeConfig. One bad document leaves
/// the others alone. Displays as text; objects and clusters keep the order of the input and of their
/// names.
///
/// ```
/// use kubefed_api::manifest;
/// use kubefed_propagation::{Preview, PreviewOptions, Verdict};
///
/// let clusters = "apiVersion: core.kubefed.io/v1beta1\nkind: KubeFedCluster\nmetadata: {name: east}\n";
/// let objects = "
/// apiVersion: types.kubefed.io/v1beta1
/// kind: FederatedConfigMap
/// metadata: {namespace: shop, name: banner}
/// spec:
///   template: {data: {text: hello}}
///   placement: {clusterSelector: {}}
///   overrides:
///   - clusterName: east
///     clusterOverrides: [{path: /data/text, value: howdy}]
/// ";
/// let input = manifest::read("clusters.yaml", clusters)
///     .into_iter()
///     .chain(manifest::read("shop.yaml", objects));
/// let preview = Preview::of(input, &PreviewOptions::new().assume_namespaces_federated());
/// assert_eq!(preview.verdict(), Verdict::Placed);
/// assert_eq!(
///     preview.to_string(),
///     "FederatedConfigMap shop/banner (shop.yaml: document 1, line 2)
///   east  create (labels match spec.placement.clusterSelector)
///           ~ /data/text: \"hello\" -> \"howdy\"
/// ",
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    objects: Vec<PreviewedObject>,
    problems: Vec<Problem>,
}

/// One federated object in a [`Preview`].
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewedObject {
    /// Where it was read.
    pub origin: Origin,
    /// Its kind and name, such as `FederatedDeployment shop/web`.
    pub title: String,
    /// What each cluster would get, and why or why not.
    pub plan: Plan,
    /// For each cluster of the plan, what its overrides change.
    pub overridden: Vec<Vec<FieldChange>>,
    /// What is probably not meant as it was written.
    pub warnings: Vec<String>,
}

/// What is wrong with an input, and where.
///
/// Displays as `web.yaml: document 2, line 14: FederatedSecret shop/web: cluster west: path: message`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// File, document and line.
    pub origin: String,
    /// Kind and name of the object, as far as they could be read.
    pub object: String,
    /// The cluster, where only one is concerned.
    pub cluster: Option<ClusterName>,
    /// What is wrong, with the path of the field.
    pub message: String,
}

/// What a [`Preview`] comes to. Closed: programs end with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Every object would get into some cluster.
    Placed,
    /// Some input is invalid.
    Invalid,
    /// Everything is valid, and some object would get into no cluster.
    PlacedNowhere,
}

impl Preview {
    /// Judges manifests, as [`kubefed_api::manifest::read`] yields them.
    ///
    /// Costs what the decisions cost: linear in objects times clusters.
    pub fn of(
        manifests: impl IntoIterator<Item = Result<Manifest, FieldError>>,
        options: &PreviewOptions,
    ) -> Self {
        let mut input = Input::sort(manifests);
        let mut missing = |origin: &str, message: &str| {
            input.problems.push(Problem {
                origin: origin.to_owned(),
                object: String::new(),
                cluster: None,
                message: message.to_owned(),
            });
        };
        if input.objects.is_empty() {
            missing("objects", "no federated object could be read");
        }
        if input.clusters.is_empty() {
            missing("clusters", "no KubeFedCluster was given");
        }
        let mut preview = Self {
            objects: Vec::new(),
            problems: std::mem::take(&mut input.problems),
        };
        for object in &input.objects {
            preview.add(&input, object, options);
        }
        preview
    }

    /// The objects, in the order of the input. Documents that could not be read are not among them.
    pub fn objects(&self) -> &[PreviewedObject] {
        &self.objects
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        if !self.problems.is_empty() {
            Verdict::Invalid
        } else if self
            .objects
            .iter()
            .all(|object| object.plan.places_something())
        {
            Verdict::Placed
        } else {
            Verdict::PlacedNowhere
        }
    }

    /// The preview for programs: for each object its plan, its origin and its warnings; then the errors.
    pub fn to_json(&self) -> Value {
        let object = |object: &PreviewedObject| {
            let mut value = object.plan.to_json();
            value["origin"] = object.origin.to_string().into();
            value["warnings"] = object.warnings.clone().into();
            for (cluster, changes) in value["clusters"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .zip(&object.overridden)
            {
                if !changes.is_empty() {
                    cluster["overridden"] = changes.iter().map(FieldChange::to_json).collect();
                }
            }
            value
        };
        let problems = self.problems.iter().map(ToString::to_string);
        json!({
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(),
            "errors": problems.collect::<Vec<_>>(),
        })
    }

    fn add(&mut self, input: &Input, read: &input::Object, options: &PreviewOptions) {
        let title = read.title();
        let mut warnings = Vec::new();
        let federation = federation(input, read, options, &mut warnings);
        let empty = Observation::ProvenAbsent;
        // Nothing is decided for a type that is not propagated.
        let members = input.clusters.values().filter(|_| read.type_.enabled);
        let members: Vec<Member> = members.cloned().collect();
        let clusters = members.iter().map(|member| (member, &empty));
        let plan = if options.secrets_shown {
            plan_with_secrets(&federation, clusters, &Record::empty())
        } else {
            plan(&federation, clusters, &Record::empty())
        };
        self.problems.extend(
            problems(&federation, &plan).map(|(cluster, message)| Problem {
                origin: read.origin.to_string(),
                object: title.clone(),
                cluster,
                message,
            }),
        );
        let unknown = |clusters: Vec<&ClusterName>, where_: &str| {
            let names: Vec<_> = clusters.into_iter().map(ClusterName::as_str).collect();
            (!names.is_empty())
                .then(|| format!("{where_} of unknown clusters: {}", names.join(", ")))
        };
        let is_known = |name: &ClusterName| input.clusters.contains_key(name);
        let placed = federation.placement().unregistered(is_known).collect();
        let overridden = read
            .object
            .overrides()
            .clusters()
            .filter(|name| !is_known(name))
            .collect();
        warnings.extend(plan.warnings().iter().cloned());
        warnings.extend(unknown(placed, "placement"));
        warnings.extend(unknown(overridden, "overrides"));
        self.objects.push(PreviewedObject {
            overridden: overridden_fields(&federation, &plan, options),
            origin: read.origin.clone(),
            title,
            plan,
            warnings,
        });
    }
}

fn federation(
    input: &Input,
    read: &input::Object,
    options: &PreviewOptions,
    warnings: &mut Vec<String>,
) -> Federation {
    let FederatedType {
        target, enabled, ..
    } = &read.type_;
    let federation = Federation::new(target.clone(), read.object.clone());
    if !enabled {
        warnings.push(format!("propagation of {target} is disabled"));
        return federation;
    }
    let Some(namespace) = read
        .object
        .name()
        .namespace()
        .filter(|_| target.is_namespaced())
    else {
        return federation;
    };
    match input.namespaces.get(namespace) {
        Some(placement) => federation.namespace(NamespaceFederation::Present(placement.clone())),
        None if options.namespaces_assumed => federation
            .namespace(NamespaceFederation::Absent)
            .scope(Scope::Limited),
        None => {
            warnings.push(format!(
                "there is no FederatedNamespace for namespace {namespace}"
            ));
            federation.namespace(NamespaceFederation::Absent)
        }
    }
}

/// Everything that is wrong with an object, each thing once, with the cluster that it concerns.
fn problems(
    federation: &Federation,
    plan: &Plan,
) -> impl Iterator<Item = (Option<ClusterName>, String)> {
    let object = federation.object();
    let size = object.as_value().to_string().len();
    let too_large = (size > OBJECT_BYTES_MAX)
        .then(|| format!("the object has {size} bytes, at most {OBJECT_BYTES_MAX} can be stored"));
    let whole = too_large.into_iter();
    let whole = whole.chain(object.placement().err().map(ToString::to_string));
    let whole = whole.chain(federation.rendered().err().map(ToString::to_string));
    let overrides = object.overrides().errors();
    let overrides: Vec<_> = overrides
        .map(|(cluster, error)| (cluster.cloned(), error.to_string()))
        .collect();
    // What cannot be read was named above, in every cluster that it concerns.
    let unread: BTreeSet<_> = overrides
        .iter()
        .map(|(cluster, _)| cluster.clone())
        .collect();
    let refused = plan
        .clusters()
        .iter()
        .filter_map(|cluster| match &cluster.decision.action {
            Action::Refuse(refusal) => Some((cluster.cluster.clone(), refusal.clone())),
            _ => None,
        });
    let refused: Vec<_> = refused
        .filter(|(cluster, refusal)| match refusal.status {
            PropagationStatus::ComputeResourceFailed => false,
            PropagationStatus::ApplyOverridesFailed => {
                !unread.contains(&None) && !unread.contains(&Some(cluster.clone()))
            }
            _ => true,
        })
        .map(|(cluster, refusal)| (Some(cluster), refusal.message))
        .collect();
    whole
        .map(|message| (None, message))
        .collect::<Vec<_>>()
        .into_iter()
        .chain(overrides)
        .chain(refused)
}

/// For each cluster, what distinguishes its copy from the template.
fn overridden_fields(
    federation: &Federation,
    plan: &Plan,
    options: &PreviewOptions,
) -> Vec<Vec<FieldChange>> {
    let changes = |object: &Value| {
        let mut plain = federation.rendered().ok()?.object.clone();
        set_managed_label(&mut plain).ok()?;
        Some(differences(&plain, object))
    };
    // The plan's objects are redacted; an override of a secret is to be seen, though not its value.
    let decided = |member: &ClusterName| {
        let overrides = federation.object().overrides().of(member).ok()??;
        let object = federation.rendered().ok()?.object.clone();
        let mut object = crate::apply_overrides(object, overrides).ok()?;
        set_managed_label(&mut object).ok()?;
        changes(&object)
    };
    let of_cluster = |cluster: &crate::ClusterPlan| {
        cluster.decision.action.object()?;
        let mut changes = decided(&cluster.cluster)?;
        if is_secret(federation.target()) && !options.secrets_shown {
            changes.iter_mut().for_each(FieldChange::redact);
        }
        Some(changes)
    };
    plan.clusters()
        .iter()
        .map(|cluster| of_cluster(cluster).unwrap_or_default())
        .collect()
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, object) in self.objects.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            object.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for PreviewedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.title, self.origin)?;
        let width = self.plan.width();
        for (cluster, changes) in self.plan.clusters().iter().zip(&self.overridden) {
            writeln!(
                f,
                "  {:width$}  {}",
                cluster.cluster.as_str(),
                cluster.decision
            )?;
            for change in changes {
                writeln!(f, "  {:width$}    {change}", "")?;
            }
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self
            .cluster
            .as_ref()
            .map(|cluster| format!("cluster {cluster}"));
        let parts = [&self.origin, &self.object].into_iter().chain(&cluster);
        for part in parts.filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}
