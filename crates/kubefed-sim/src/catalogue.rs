//! The built-in kinds, one row each.

use std::sync::{Arc, LazyLock};

use crate::admission::{self, Hook};
use crate::builtin;
use crate::resource::{Generation, Names, Resource, Rules, Scale, Version, api_version};
use crate::table::Columns;

/// A row of the table: a built-in kind in one group and version.
#[derive(Clone, Copy, Debug)]
struct Builtin {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    status: bool,
    /// The path of the selector, for kinds that scale.
    scale: Option<&'static str>,
    fields: &'static [&'static str],
    table: Option<&'static str>,
    /// A deprecation that every answer warns of.
    warning: Option<&'static str>,
    rules: Rules,
}

const fn namespaced(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Builtin {
    Builtin {
        group,
        version,
        kind,
        plural,
        short_names: &[],
        categories: &[],
        namespaced: true,
        status: false,
        scale: None,
        fields: &[],
        table: None,
        warning: None,
        rules: Rules::BUILTIN,
    }
}

const fn global(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Builtin {
    Builtin {
        namespaced: false,
        ..namespaced(group, version, kind, plural)
    }
}

/// A kind that can only be posted: the answer is computed and nothing is stored.
const fn review(group: &'static str, kind: &'static str, plural: &'static str) -> Builtin {
    let mut row = global(group, "v1", kind, plural);
    row.rules.verbs = &["create"];
    row
}

impl Builtin {
    const fn deprecated(mut self, warning: &'static str) -> Self {
        self.warning = Some(warning);
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn extension(mut self) -> Self {
        self.categories = &["api-extensions"];
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn scale(mut self, selector: &'static str) -> Self {
        self.scale = Some(selector);
        self
    }

    const fn fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    const fn generation(mut self, generation: Generation) -> Self {
        self.rules.generation = generation;
        self
    }

    const fn spec(self) -> Self {
        self.generation(Generation::Spec)
    }

    const fn names(mut self, names: Names) -> Self {
        self.rules.names = names;
        self
    }

    const fn conditional_update(mut self) -> Self {
        self.rules.unconditional_update = false;
        self
    }

    const fn create_on_update(mut self) -> Self {
        self.rules.create_on_update = true;
        self
    }

    const fn returns_deleted(mut self) -> Self {
        self.rules.returns_deleted = true;
        self
    }

    const fn orphans_by_default(mut self) -> Self {
        self.rules.orphans_by_default = true;
        self
    }

    const fn graceful(mut self) -> Self {
        self.rules.graceful = true;
        self
    }

    const fn terminates(mut self) -> Self {
        self.rules.terminates = true;
        self.rules.verbs = &[
            "create", "delete", "get", "list", "patch", "update", "watch",
        ];
        self
    }

    const fn keeps_status(mut self) -> Self {
        self.rules.keeps_status = true;
        self
    }

    const fn cleanup_finalizer(mut self, name: &'static str) -> Self {
        self.rules.cleanup_finalizer = Some(name);
        self
    }

    const fn hook(mut self, hook: Hook) -> Self {
        self.rules.hook = Some(hook);
        self
    }

    const fn stored_as(
        mut self,
        table: &'static str,
        renames: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.table = Some(table);
        self.rules.renames = renames;
        self
    }

    /// The row as the server uses it.
    fn resource(&self) -> Resource {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        let id: Arc<str> = Resource::id_of(self.group, self.plural).into();
        let scale = self.scale.map(|selector| Scale {
            replicas: "spec.replicas".to_owned(),
            status_replicas: "status.replicas".to_owned(),
            selector: Some(selector.to_owned()),
        });
        Resource {
            table: self.table.map_or_else(|| id.clone(), Arc::from),
            id,
            group: self.group.to_owned(),
            kind: self.kind.to_owned(),
            list_kind: format!("{}List", self.kind),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            namespaced: self.namespaced,
            custom: false,
            versions: vec![Version {
                name: self.version.to_owned(),
                status: self.status,
                scale,
                fields: owned(self.fields),
                warning: self.warning.map(str::to_owned),
                schema: builtin::schema_of(self.group, self.version, self.kind),
                #[cfg(feature = "cel")]
                rules: None,
                declared: None,
                columns: Columns::of_built_in(&format!(
                    "{}/{}",
                    api_version(self.group, self.version),
                    self.plural
                ))
                .map(Arc::new),
            }],
            storage: self.version.to_owned(),
            rules: self.rules,
        }
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const HOOKS: &str = "admissionregistration.k8s.io";

/// Holds a deleted CustomResourceDefinition until its objects are gone.
pub(crate) const CRD_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The built-in resources, read once and shared by every cluster of the process.
pub(crate) static RESOURCES: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    BUILTINS
        .iter()
        .map(|row| Arc::new(row.resource()))
        .collect()
});

/// Groups in the order in which discovery lists them.
const BUILTINS: &[Builtin] = &[
    namespaced("", "v1", "ConfigMap", "configmaps")
        .short(&["cm"])
        .hook(admission::config_map),
    namespaced("", "v1", "Endpoints", "endpoints")
        .short(&["ep"])
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        .create_on_update(),
    namespaced("", "v1", "Event", "events")
        .short(&["ev"])
        .create_on_update()
        .fields(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]),
    namespaced("", "v1", "LimitRange", "limitranges")
        .short(&["limits"])
        .create_on_update(),
    global("", "v1", "Namespace", "namespaces")
        .short(&["ns"])
        .status()
        .names(Names::Label)
        .terminates()
        .fields(&["status.phase"])
        .hook(admission::namespace),
    global("", "v1", "Node", "nodes")
        .short(&["no"])
        .status()
        .keeps_status()
        .fields(&["spec.unschedulable"]),
    namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
        .short(&["pvc"])
        .status()
        .returns_deleted(),
    global("", "v1", "PersistentVolume", "persistentvolumes")
        .short(&["pv"])
        .status()
        .returns_deleted(),
    namespaced("", "v1", "Pod", "pods")
        .short(&["po"])
        .all()
        .status()
        .spec()
        .returns_deleted()
        .graceful()
        .hook(admission::pod)
        .fields(&[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]),
    namespaced("", "v1", "PodTemplate", "podtemplates")
        .returns_deleted()
        .hook(admission::pod_template),
    namespaced("", "v1", "ReplicationController", "replicationcontrollers")
        .short(&["rc"])
        .all()
        .status()
        .scale("spec.selector")
        .spec()
        .fields(&["status.replicas"])
        .hook(admission::pod_template),
    namespaced("", "v1", "ResourceQuota", "resourcequotas")
        .short(&["quota"])
        .status()
        .returns_deleted(),
    namespaced("", "v1", "Secret", "secrets")
        .fields(&["type"])
        .hook(admission::secret),
    namespaced("", "v1", "ServiceAccount", "serviceaccounts")
        .short(&["sa"])
        .returns_deleted(),
    namespaced("", "v1", "Service", "services")
        .short(&["svc"])
        .all()
        .status()
        .names(Names::Label1035)
        .create_on_update()
        .returns_deleted()
        .fields(&["spec.clusterIP", "spec.type"])
        .hook(admission::service),
    global("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        .extension()
        .status()
        .conditional_update(),
    namespaced("apps", "v1", "ControllerRevision", "controllerrevisions"),
    namespaced("apps", "v1", "DaemonSet", "daemonsets")
        .short(&["ds"])
        .all()
        .status()
        .spec()
        .hook(admission::workload),
    namespaced("apps", "v1", "Deployment", "deployments")
        .short(&["deploy"])
        .all()
        .status()
        .scale("spec.selector")
        .generation(Generation::SpecAndAnnotations)
        .hook(admission::workload),
    namespaced("apps", "v1", "ReplicaSet", "replicasets")
        .short(&["rs"])
        .all()
        .status()
        .scale("spec.selector")
        .spec()
        .fields(&["status.replicas"])
        .hook(admission::workload),
    namespaced("apps", "v1", "StatefulSet", "statefulsets")
        .short(&["sts"])
        .all()
        .status()
        .scale("spec.selector")
        .spec()
        .hook(admission::workload),
    namespaced("events.k8s.io", "v1", "Event", "events")
        .short(&["ev"])
        .create_on_update()
        .stored_as(
            "events",
            &[
                ("count", "deprecatedCount"),
                ("firstTimestamp", "deprecatedFirstTimestamp"),
                ("involvedObject", "regarding"),
                ("lastTimestamp", "deprecatedLastTimestamp"),
                ("message", "note"),
                ("reportingComponent", "reportingController"),
                ("source", "deprecatedSource"),
            ],
        ),
    review(
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
    ),
    review("authentication.k8s.io", "TokenReview", "tokenreviews"),
    review(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
    ),
    review(
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
    ),
    review(
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
    ),
    namespaced(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .all()
    .status(),
    namespaced("batch", "v1", "CronJob", "cronjobs")
        .short(&["cj"])
        .all()
        .status()
        .spec(),
    namespaced("batch", "v1", "Job", "jobs")
        .all()
        .status()
        .spec()
        .orphans_by_default()
        .fields(&["status.successful"])
        .hook(admission::job),
    namespaced("networking.k8s.io", "v1", "Ingress", "ingresses")
        .short(&["ing"])
        .status()
        .spec(),
    global("networking.k8s.io", "v1", "IngressClass", "ingressclasses").spec(),
    namespaced(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
    .short(&["netpol"])
    .spec(),
    namespaced(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    )
    .short(&["pdb"])
    .status()
    .spec()
    .conditional_update(),
    global(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings")
        .names(Names::Path)
        .create_on_update(),
    global(RBAC, "v1", "ClusterRole", "clusterroles")
        .names(Names::Path)
        .create_on_update(),
    namespaced(RBAC, "v1", "RoleBinding", "rolebindings")
        .names(Names::Path)
        .create_on_update(),
    namespaced(RBAC, "v1", "Role", "roles")
        .names(Names::Path)
        .create_on_update(),
    global("storage.k8s.io", "v1", "CSIDriver", "csidrivers").conditional_update(),
    global("storage.k8s.io", "v1", "StorageClass", "storageclasses").short(&["sc"]),
    global(
        HOOKS,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    )
    .extension()
    .generation(Generation::Content)
    .conditional_update()
    .hook(admission::webhook_configuration),
    global(
        HOOKS,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
    .extension()
    .generation(Generation::Content)
    .conditional_update()
    .hook(admission::webhook_configuration),
    global(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
    .short(&["crd", "crds"])
    .cleanup_finalizer(CRD_FINALIZER)
    .extension()
    .status()
    .spec()
    .conditional_update()
    .hook(admission::custom_resource_definition),
    global(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
    )
    .short(&["pc"])
    .generation(Generation::Content),
    namespaced("coordination.k8s.io", "v1", "Lease", "leases")
        .conditional_update()
        .create_on_update(),
    global("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses"),
    namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
        .generation(Generation::Anything),
];
