//! The definitions, compared by meaning with tables that were written by hand from the contract of
//! KubeFed v0.10, and the snapshots of them that are kept in `crds/`.
//!
//! A schema is compared as lines `path type`: `!` marks a property that its parent requires, `[]` the
//! elements of a list, `{}` the values of a map; after the type follow its format and, as JSON, every
//! other keyword.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kubefed_api::{
    ResourceType, Target, TemplateSchema, crds, default_targets, federated_crd,
    federated_type_config,
};
use serde_json::{Map, Value, json};

fn lines(path: &str, schema: &Value, out: &mut BTreeSet<String>) {
    let mut rest: Map<String, Value> = schema.as_object().unwrap().clone();
    let mut text = |key: &str| {
        rest.remove(key)
            .map(|value| value.as_str().unwrap().to_owned())
    };
    let type_ = text("type").unwrap_or_else(|| "any".into());
    let format = text("format")
        .map(|format| format!(":{format}"))
        .unwrap_or_default();
    let required = rest.remove("required").unwrap_or_else(|| json!([]));
    let properties = rest.remove("properties").unwrap_or_else(|| json!({}));
    for (name, property) in properties.as_object().unwrap() {
        let mark = if required.as_array().unwrap().contains(&json!(name)) {
            "!"
        } else {
            ""
        };
        lines(&format!("{path}.{name}{mark}"), property, out);
    }
    for name in required.as_array().unwrap() {
        assert!(
            !properties[name.as_str().unwrap()].is_null(),
            "{path} requires {name}"
        );
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(schema) = rest.remove(keyword) {
            lines(&format!("{path}{mark}"), &schema, out);
        }
    }
    // Sorted, whatever the order of the map.
    let rest: BTreeMap<_, _> = rest.into_iter().collect();
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(" {}", json!(rest))
    };
    out.insert(format!("{path} {type_}{format}{rest}"));
}

fn schema_lines(crd: &CustomResourceDefinition) -> BTreeSet<String> {
    let crd = serde_json::to_value(crd).unwrap();
    let mut out = BTreeSet::new();
    lines(
        "",
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        &mut out,
    );
    out
}

#[track_caller]
fn check_schema(crd: &CustomResourceDefinition, table: &str) {
    const HEADER: &str = " object\n.apiVersion string\n.kind string\n.metadata object";
    let expected: BTreeSet<_> = HEADER
        .lines()
        .chain(table.lines().map(str::trim).filter(|line| !line.is_empty()))
        .map(str::to_owned)
        .collect();
    let found = schema_lines(crd);
    let missing: Vec<_> = expected.difference(&found).collect();
    let extra: Vec<_> = found.difference(&expected).collect();
    let name = crd.metadata.name.as_deref().unwrap();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{name}: missing {missing:#?}, extra {extra:#?}"
    );
}

fn kind(kind: &str) -> CustomResourceDefinition {
    crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap()
}

/// api 1 and 2: names, scopes, versions and subresources.
#[test]
fn the_seven_kinds_have_the_originals_names_scopes_and_subresources() {
    let table = [
        // group/version kind plural singular short scope status-subresource
        "core.kubefed.io/v1beta1 KubeFedCluster kubefedclusters kubefedcluster kfc Namespaced yes",
        "core.kubefed.io/v1beta1 KubeFedConfig kubefedconfigs kubefedconfig - Namespaced no",
        "core.kubefed.io/v1beta1 FederatedTypeConfig federatedtypeconfigs federatedtypeconfig ftc Namespaced yes",
        "core.kubefed.io/v1alpha1 PropagatedVersion propagatedversions propagatedversion - Namespaced yes",
        "core.kubefed.io/v1alpha1 ClusterPropagatedVersion clusterpropagatedversions clusterpropagatedversion - Cluster yes",
        "core.kubefed.io/v1alpha1 FederatedServiceStatus federatedservicestatuses federatedservicestatus - Namespaced no",
        "scheduling.kubefed.io/v1alpha1 ReplicaSchedulingPreference replicaschedulingpreferences replicaschedulingpreference rsp Namespaced no",
    ];
    let crds = crds();
    assert_eq!(crds.len(), table.len());
    for (crd, row) in crds.iter().zip(table) {
        let [version] = &crd.spec.versions[..] else {
            panic!("one version: {row}")
        };
        assert!(version.served && version.storage, "{row}");
        let names = &crd.spec.names;
        let subresource = version
            .subresources
            .as_ref()
            .is_some_and(|sub| sub.status.is_some());
        let found = format!(
            "{}/{} {} {} {} {} {} {}",
            crd.spec.group,
            version.name,
            names.kind,
            names.plural,
            names.singular.as_deref().unwrap(),
            names
                .short_names
                .as_ref()
                .map_or("-".into(), |names| names.join(",")),
            crd.spec.scope,
            if subresource { "yes" } else { "no" },
        );
        assert_eq!(found, row);
        assert_eq!(names.list_kind, Some(format!("{}List", names.kind)));
        assert_eq!(
            crd.metadata.name,
            Some(format!("{}.{}", names.plural, crd.spec.group))
        );
        assert!(
            names.categories.is_none() && crd.spec.conversion.is_none(),
            "{row}"
        );
        assert!(
            version
                .subresources
                .as_ref()
                .is_none_or(|sub| sub.scale.is_none()),
            "{row}"
        );
        let columns = version.additional_printer_columns.iter().flatten();
        let columns: Vec<_> = columns
            .map(|column| (&*column.name, &*column.type_, &*column.json_path))
            .collect();
        let expected: &[_] = match &*names.kind {
            "KubeFedCluster" => &[
                ("age", "date", ".metadata.creationTimestamp"),
                (
                    "ready",
                    "string",
                    ".status.conditions[?(@.type=='Ready')].status",
                ),
                ("kubernetes-version", "string", ".status.kubernetesVersion"),
            ],
            _ => &[],
        };
        assert_eq!(columns, expected, "{row}");
    }
}

/// api 3.1 and 3.2.
#[test]
fn the_schema_of_kube_fed_cluster_is_the_originals() {
    check_schema(
        &kind("KubeFedCluster"),
        "
        .spec! object
        .spec!.apiEndpoint! string
        .spec!.caBundle string:byte
        .spec!.secretRef! object
        .spec!.secretRef!.name! string
        .spec!.disabledTLSValidations array
        .spec!.disabledTLSValidations[] string
        .spec!.proxyURL string
        .status object
        .status.conditions! array
        .status.conditions![] object
        .status.conditions![].type! string
        .status.conditions![].status! string
        .status.conditions![].lastProbeTime! string:date-time
        .status.conditions![].lastTransitionTime string:date-time
        .status.conditions![].reason string
        .status.conditions![].message string
        .status.kubernetesVersion string
        .status.zones array
        .status.zones[] string
        .status.region string
        ",
    );
}

/// api 4.
#[test]
fn the_schema_of_kube_fed_config_is_the_originals() {
    check_schema(
        &kind("KubeFedConfig"),
        "
        .spec! object
        .spec!.scope! string
        .spec!.controllerDuration object
        .spec!.controllerDuration.availableDelay string
        .spec!.controllerDuration.unavailableDelay string
        .spec!.controllerDuration.cacheSyncTimeout string
        .spec!.leaderElect object
        .spec!.leaderElect.leaseDuration string
        .spec!.leaderElect.renewDeadline string
        .spec!.leaderElect.retryPeriod string
        .spec!.leaderElect.resourceLock string
        .spec!.featureGates array
        .spec!.featureGates[] object
        .spec!.featureGates[].name! string
        .spec!.featureGates[].configuration! string
        .spec!.clusterHealthCheck object
        .spec!.clusterHealthCheck.period string
        .spec!.clusterHealthCheck.failureThreshold integer:int64
        .spec!.clusterHealthCheck.successThreshold integer:int64
        .spec!.clusterHealthCheck.timeout string
        .spec!.syncController object
        .spec!.syncController.maxConcurrentReconciles integer:int64
        .spec!.syncController.adoptResources string
        .spec!.statusController object
        .spec!.statusController.maxConcurrentReconciles integer:int64
        ",
    );
}

/// api 5.
#[test]
fn the_schema_of_federated_type_config_is_the_originals() {
    let type_ = |path: &str| {
        let fields = ["group", "version!", "kind!", "pluralName!", "scope!"];
        let fields = fields.map(|field| format!("{path}.{field} string"));
        format!("{path} object\n{}\n", fields.join("\n"))
    };
    let table = [
        type_(".spec!.targetType!"),
        type_(".spec!.federatedType!"),
        type_(".spec!.statusType"),
        "
        .spec! object
        .spec!.propagation! string
        .spec!.statusCollection string
        .status object
        .status.observedGeneration! integer:int64
        .status.propagationController! string
        .status.statusController string
        "
        .to_owned(),
    ];
    check_schema(&kind("FederatedTypeConfig"), &table.concat());
}

/// api 6.
#[test]
fn the_schemas_of_the_version_kinds_are_the_originals() {
    for name in ["PropagatedVersion", "ClusterPropagatedVersion"] {
        check_schema(
            &kind(name),
            "
            .status object
            .status.templateVersion! string
            .status.overridesVersion! string
            .status.clusterVersions array
            .status.clusterVersions[] object
            .status.clusterVersions[].clusterName! string
            .status.clusterVersions[].version! string
            ",
        );
    }
}

/// api 7: the only schema with constraints of values.
#[test]
fn the_schema_of_federated_service_status_is_the_originals() {
    check_schema(
        &kind("FederatedServiceStatus"),
        r#"
        .clusterStatus array
        .clusterStatus[] object
        .clusterStatus[].clusterName! string
        .clusterStatus[].status! object
        .clusterStatus[].status!.loadBalancer object
        .clusterStatus[].status!.loadBalancer.ingress array
        .clusterStatus[].status!.loadBalancer.ingress[] object
        .clusterStatus[].status!.loadBalancer.ingress[].ip string
        .clusterStatus[].status!.loadBalancer.ingress[].hostname string
        .clusterStatus[].status!.loadBalancer.ingress[].ports array {"x-kubernetes-list-type":"atomic"}
        .clusterStatus[].status!.loadBalancer.ingress[].ports[] object
        .clusterStatus[].status!.loadBalancer.ingress[].ports[].port! integer:int32
        .clusterStatus[].status!.loadBalancer.ingress[].ports[].protocol! string {"default":"TCP"}
        .clusterStatus[].status!.loadBalancer.ingress[].ports[].error string {"maxLength":316,"pattern":"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"}
        .clusterStatus[].status!.conditions array {"x-kubernetes-list-map-keys":["type"],"x-kubernetes-list-type":"map"}
        .clusterStatus[].status!.conditions[] object
        .clusterStatus[].status!.conditions[].type! string {"maxLength":316,"pattern":"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"}
        .clusterStatus[].status!.conditions[].status! string {"enum":["True","False","Unknown"]}
        .clusterStatus[].status!.conditions[].observedGeneration integer:int64 {"minimum":0.0}
        .clusterStatus[].status!.conditions[].lastTransitionTime! string:date-time
        .clusterStatus[].status!.conditions[].reason! string {"maxLength":1024,"minLength":1,"pattern":"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}
        .clusterStatus[].status!.conditions[].message! string {"maxLength":32768}
        "#,
    );
}

/// api 8.
#[test]
fn the_schema_of_replica_scheduling_preference_is_the_originals() {
    check_schema(
        &kind("ReplicaSchedulingPreference"),
        "
        .spec object
        .spec.targetKind! string
        .spec.totalReplicas! integer:int32
        .spec.rebalance boolean
        .spec.intersectWithClusterSelector boolean
        .spec.clusters object
        .spec.clusters{} object
        .spec.clusters{}.minReplicas integer:int64
        .spec.clusters{}.maxReplicas integer:int64
        .spec.clusters{}.weight integer:int64
        .status object
        ",
    );
}

const FEDERATED: &str = r#"
    .spec! object
    .spec!.placement object
    .spec!.placement.clusters array
    .spec!.placement.clusters[] object
    .spec!.placement.clusters[].name! string
    .spec!.placement.clusterSelector object
    .spec!.placement.clusterSelector.matchLabels object
    .spec!.placement.clusterSelector.matchLabels{} string
    .spec!.placement.clusterSelector.matchExpressions array
    .spec!.placement.clusterSelector.matchExpressions[] object
    .spec!.placement.clusterSelector.matchExpressions[].key! string
    .spec!.placement.clusterSelector.matchExpressions[].operator! string
    .spec!.placement.clusterSelector.matchExpressions[].values array
    .spec!.placement.clusterSelector.matchExpressions[].values[] string
    .spec!.overrides array
    .spec!.overrides[] object
    .spec!.overrides[].clusterName string
    .spec!.overrides[].clusterOverrides array
    .spec!.overrides[].clusterOverrides[] object
    .spec!.overrides[].clusterOverrides[].op string {"pattern":"^(add|remove|replace)?$"}
    .spec!.overrides[].clusterOverrides[].path! string
    .spec!.overrides[].clusterOverrides[].value any {"x-kubernetes-preserve-unknown-fields":true}
    .status object
    .status.observedGeneration integer:int64
    .status.conditions array
    .status.conditions[] object
    .status.conditions[].type! string
    .status.conditions[].status! string
    .status.conditions[].reason string
    .status.conditions[].lastUpdateTime string:date-time
    .status.conditions[].lastTransitionTime string:date-time
    .status.clusters array
    .status.clusters[] object
    .status.clusters[].name! string
    .status.clusters[].status string
    .status.clusters[].remoteStatus object {"x-kubernetes-preserve-unknown-fields":true}
"#;
const TEMPLATE: &str = r#".spec!.template object {"x-kubernetes-preserve-unknown-fields":true}"#;
const RETAIN_REPLICAS: &str = ".spec!.retainReplicas boolean";

/// api 9.1, 9.2, 10.1 and 10.2: the shape of every federated type.
#[test]
fn the_schema_of_a_federated_type_depends_on_two_facts_only() {
    let target = Target::new(ResourceType::namespaced("a.b", "v2", "Widget", "widgets"));
    let cases = [
        (TemplateSchema::Missing, FEDERATED.to_owned()),
        (TemplateSchema::Present, format!("{FEDERATED}{TEMPLATE}")),
        (
            TemplateSchema::Scalable,
            format!("{FEDERATED}{TEMPLATE}\n{RETAIN_REPLICAS}"),
        ),
    ];
    for (schema, table) in cases {
        check_schema(&federated_crd(&target, schema), &table);
    }
}

/// api 10.1 and 12: names and scopes follow the target, with the special case of namespaces.
#[test]
fn names_and_scopes_of_a_federated_type_follow_its_target() {
    let cases = [
        // target; configuration, definition, kind, scope
        (
            Target::new(ResourceType::cluster_scoped(
                "a.b", "v2", "Widget", "widgets",
            )),
            [
                "widgets.a.b",
                "federatedwidgets.types.kubefed.io",
                "FederatedWidget",
                "Cluster",
            ],
        ),
        (
            Target::new(ResourceType::cluster_scoped(
                "",
                "v1",
                "Namespace",
                "namespaces",
            )),
            [
                "namespaces",
                "federatednamespaces.types.kubefed.io",
                "FederatedNamespace",
                "Namespaced",
            ],
        ),
        (
            Target::new(ResourceType::cluster_scoped(
                "a.b",
                "v1",
                "Namespace",
                "namespaces",
            )),
            [
                "namespaces.a.b",
                "federatednamespaces.types.kubefed.io",
                "FederatedNamespace",
                "Cluster",
            ],
        ),
        (
            Target::new(ResourceType::namespaced("", "v1", "Pod", "pods"))
                .federated_group("fed.example.com")
                .federated_version("v1"),
            [
                "pods",
                "federatedpods.fed.example.com",
                "FederatedPod",
                "Namespaced",
            ],
        ),
    ];
    for (target, [config_name, name, kind, scope]) in cases {
        let config = federated_type_config(&target);
        let crd = federated_crd(&target, TemplateSchema::Present);
        assert_eq!(config.metadata.name.as_deref(), Some(config_name));
        assert_eq!(config.spec.target_type, *target.target_type());
        assert_eq!(config.spec.federated_type.scope.as_str(), scope);
        assert_eq!(config.validate_create(), Ok(()));
        let federated_namespaced = if config.federated_is_namespaced() {
            "Namespaced"
        } else {
            "Cluster"
        };
        assert_eq!(federated_namespaced, scope);
        assert_eq!(crd.metadata.name.as_deref(), Some(name));
        assert_eq!(crd.spec.group, config.spec.federated_type.group);
        assert_eq!(
            crd.spec.versions[0].name,
            config.spec.federated_type.version
        );
        assert_eq!((&*crd.spec.names.kind, &*crd.spec.scope), (kind, scope));
        assert_eq!(crd.spec.names.short_names, None);
    }
}

/// api 10.3 and 20.2: the ten types of an installation.
#[test]
fn the_ten_types_of_an_installation_are_the_originals() {
    let table = [
        // configuration apiVersion kind scope | federated kind plural short scope retainReplicas
        "clusterroles.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1 ClusterRole Cluster | FederatedClusterRole federatedclusterroles - Cluster no",
        "configmaps v1 ConfigMap Namespaced | FederatedConfigMap federatedconfigmaps fcm Namespaced no",
        "deployments.apps apps/v1 Deployment Namespaced | FederatedDeployment federateddeployments fdeploy Namespaced yes",
        "ingresses.networking.k8s.io networking.k8s.io/v1 Ingress Namespaced | FederatedIngress federatedingresses fing Namespaced no",
        "jobs.batch batch/v1 Job Namespaced | FederatedJob federatedjobs - Namespaced no",
        "namespaces v1 Namespace Cluster | FederatedNamespace federatednamespaces fns Namespaced no",
        "replicasets.apps apps/v1 ReplicaSet Namespaced | FederatedReplicaSet federatedreplicasets frs Namespaced yes",
        "secrets v1 Secret Namespaced | FederatedSecret federatedsecrets - Namespaced no",
        "serviceaccounts v1 ServiceAccount Namespaced | FederatedServiceAccount federatedserviceaccounts fsa Namespaced no",
        "services v1 Service Namespaced | FederatedService federatedservices fsvc Namespaced no",
    ];
    let targets = default_targets();
    assert_eq!(targets.len(), table.len());
    for ((target, schema), row) in targets.iter().zip(table) {
        let config = federated_type_config(target);
        let crd = federated_crd(target, *schema);
        let lines = schema_lines(&crd);
        let names = &crd.spec.names;
        let found = format!(
            "{} {} {} {} | {} {} {} {} {}",
            config.metadata.name.as_deref().unwrap(),
            config.spec.target_type.api_version(),
            config.spec.target_type.kind,
            config.spec.target_type.scope,
            names.kind,
            names.plural,
            names
                .short_names
                .as_ref()
                .map_or("-".into(), |names| names.join(",")),
            crd.spec.scope,
            if lines.contains(RETAIN_REPLICAS) {
                "yes"
            } else {
                "no"
            },
        );
        assert_eq!(found, row);
        assert!(lines.contains(TEMPLATE), "{row}");
        assert_eq!(config.spec.propagation.as_str(), "Enabled");
        assert_eq!(
            config.spec.federated_type.api_version(),
            "types.kubefed.io/v1beta1"
        );
        assert!(config.spec.status_type.is_none() && config.spec.status_collection.is_none());
        assert_eq!(config.validate_create(), Ok(()));
    }
}

/// Compares the snapshots with the definitions; with `UPDATE_CRDS=1` in the environment it writes them
/// instead.
#[test]
fn the_snapshots_are_the_definitions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let update = std::env::var_os("UPDATE_CRDS").is_some();
    let federated = default_targets();
    let federated = federated
        .iter()
        .map(|(target, schema)| federated_crd(target, *schema));
    let mut names = BTreeSet::new();
    for crd in crds().into_iter().chain(federated) {
        let name = format!("{}.yaml", crd.metadata.name.as_deref().unwrap());
        let text = serde_saphyr::to_string(&crd).unwrap();
        let read_back: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read_back, crd, "{name}");
        let path = folder.join(&name);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            snapshot == text,
            "{name} is out of date; run the tests with UPDATE_CRDS=1"
        );
        names.insert(name);
    }
    let kept: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, names);
}
