//! Federating objects as they come, good and bad.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kubefed_playground::kubefed_api::manifest;
use kubefed_playground::walk::Progress;
use kubefed_playground::{Playground, PlaygroundOptions, Snapshot};

const PATIENCE: Duration = Duration::from_secs(20);

/// Federates a text. Checks the lines of the error, of which each begins as expected, and gives what is
/// then where.
async fn check(text: &str, problems: &[&str]) -> Snapshot {
    let mut playground = Playground::start(PlaygroundOptions::default())
        .await
        .unwrap();
    let mut last = Snapshot::default();
    let observe = |progress: Progress<'_>| {
        if let Progress::Ended(_, snapshot) = progress {
            last = snapshot.clone();
        }
    };
    let federated = playground
        .federate(manifest::read("in.yaml", text), PATIENCE, observe)
        .await;
    let error = federated
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    let found: Vec<_> = error.lines().skip(1).map(str::trim).collect();
    let alike = found.len() == problems.len()
        && found
            .iter()
            .zip(problems)
            .all(|(found, begin)| found.starts_with(begin));
    assert!(alike, "{found:#?}");
    last
}

/// The clusters in which all is well with an object.
fn well(snapshot: &Snapshot, title: &str) -> Vec<String> {
    let rows = snapshot.rows();
    let rows = rows
        .iter()
        .filter(|row| row.object == title && row.is_well());
    rows.map(|row| row.cluster.clone()).collect()
}

const EVERYWHERE: [&str; 3] = ["member-1", "member-2", "member-3"];

#[tokio::test(start_paused = true)]
async fn plain_objects_of_any_kind_go_to_every_cluster() {
    let text = r#"
apiVersion: example.com/v1
kind: Widget
metadata: {namespace: data, name: small}
spec: {size: 1}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: nowhere-in-particular}
---
apiVersion: v1
kind: Namespace
metadata: {name: empty}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {namespace: data, name: db}
spec:
  replicas: 1
  selector: {matchLabels: {app: db}}
  serviceName: db
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db}]}}
"#;
    let snapshot = check(text, &[]).await;
    for title in [
        "Widget data/small",
        "CustomResourceDefinition widgets.example.com",
        "ConfigMap default/nowhere-in-particular",
        "Namespace data",
        "Namespace empty",
        "StatefulSet data/db",
    ] {
        assert_eq!(well(&snapshot, title), EVERYWHERE, "{title}");
    }
}

#[tokio::test(start_paused = true)]
async fn federated_types_are_enabled_by_their_name() {
    let text = r#"
apiVersion: types.kubefed.io/v1beta1
kind: FederatedRole
metadata: {namespace: data, name: reader}
spec: {template: {rules: []}, placement: {clusters: [{name: member-2}]}}
"#;
    let snapshot = check(text, &[]).await;
    assert_eq!(well(&snapshot, "Role data/reader"), ["member-2"]);
}

#[tokio::test(start_paused = true)]
async fn clusters_that_there_are_not_are_noted() {
    let text = r#"
apiVersion: types.kubefed.io/v1beta1
kind: FederatedConfigMap
metadata: {namespace: data, name: settings}
spec:
  template: {}
  placement: {clusters: [{name: member-2}, {name: cluster2}, {name: cluster1}]}
  overrides: [{clusterName: cluster3}, {clusterName: member-1}]
"#;
    let options = PlaygroundOptions::default();
    let mut playground = Playground::start(options).await.unwrap();
    let mut notes = Vec::new();
    let observe = |progress: Progress<'_>| {
        if let Progress::Noted(note) = progress {
            notes.push(note.to_owned());
        }
    };
    let objects = manifest::read("in.yaml", text);
    playground
        .federate(objects, PATIENCE, observe)
        .await
        .unwrap();
    let title = "FederatedConfigMap data/settings";
    let names = "cluster1, cluster2, cluster3";
    assert_eq!(notes, [format!("{title}: there is no cluster {names}")]);
}

#[tokio::test(start_paused = true)]
async fn an_input_without_objects_is_an_error() {
    let options = PlaygroundOptions::default();
    let mut playground = Playground::start(options).await.unwrap();
    let objects = manifest::read("in.yaml", "# nothing\n---\n");
    let federated = playground.federate(objects, PATIENCE, |_| ()).await;
    let error = federated.unwrap_err().to_string();
    assert_eq!(error, "federate: there is no object in the input");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_document_leaves_the_others_alone() {
    let text = r#"
kind: [
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: data, name: good}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: data, name: good}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: data, name: Bad_Name}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: "No Label", name: x}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: data, name: 5}}
---
{kind: ConfigMap, metadata: {name: x}}
---
{apiVersion: nosuch.io/v1, kind: Thing, metadata: {namespace: data, name: x}}
---
{apiVersion: types.kubefed.io/v1beta1, kind: FederatedThing, metadata: {namespace: data, name: x}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {namespace: data, name: x}}
---
{apiVersion: types.kubefed.io/v1beta1, kind: FederatedNamespace, metadata: {namespace: data, name: x}}
---
apiVersion: core.kubefed.io/v1beta1
kind: FederatedTypeConfig
metadata: {namespace: kube-federation-system, name: wrong}
spec:
  targetType: {version: v1, kind: Pod, pluralName: pods, scope: Namespaced}
  federatedType: {group: nodot, version: v1, kind: FederatedPod, pluralName: federatedpods, scope: Namespaced}
  propagation: Enabled
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedConfigMap
metadata: {namespace: data, name: x}
spec: {placement: {clusterSelector: {matchLabels: 5}}}
"#;
    let problems = [
        "in.yaml: document 1, line 2: ",
        "in.yaml: document 6, line 12: metadata.name: expected a string",
        "in.yaml: document 7, line 14: apiVersion: required",
        "in.yaml: document 3, line 6: ConfigMap data/good: the same object is in in.yaml: document 2, line 4",
        "in.yaml: document 12, line 24: FederatedTypeConfig kube-federation-system/wrong: [name: ",
        "in.yaml: document 11, line 22: FederatedNamespace data/x: metadata.namespace: ",
        "in.yaml: document 4, line 8: apply FederatedConfigMap data/Bad_Name: ",
        "in.yaml: document 5, line 10: ConfigMap No Label/x: metadata.namespace: ",
        "in.yaml: document 8, line 16: Thing data/x: no cluster serves the kind Thing of nosuch.io/v1",
        "in.yaml: document 9, line 18: FederatedThing data/x: there is no kind Thing to federate",
        "in.yaml: document 10, line 20: ClusterRole data/x: ",
        "in.yaml: document 13, line 32: FederatedConfigMap data/x: spec.placement.clusterSelector.matchLabels: ",
    ];
    let snapshot = check(text, &problems).await;
    assert_eq!(well(&snapshot, "ConfigMap data/good"), EVERYWHERE);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_cluster_leaves_the_others_alone() {
    let with = |name: &str, overrides: &str| {
        format!(
            "---\napiVersion: types.kubefed.io/v1beta1\nkind: FederatedConfigMap\n\
             metadata: {{namespace: data, name: {name}}}\nspec:\n  template: {{data: {{a: b}}}}\n  \
             placement: {{clusterSelector: {{}}}}\n  overrides: [{overrides}]\n"
        )
    };
    let of =
        |operation: &str| format!("{{clusterName: member-2, clusterOverrides: [{operation}]}}");
    let many: Vec<_> = (0..10_000)
        .map(|n| format!("{{op: add, path: /data/k{n}, value: v}}"))
        .collect();
    let text = [
        with("identity", &of("{path: /metadata/name, value: c}")),
        with(
            "large",
            &of(&format!(
                "{{path: /data/a, value: {}}}",
                "x".repeat(1_600_000)
            )),
        ),
        with("many", &of(&many.join(", "))),
        with("pointer", &of("{path: /no/where, value: c}")),
        with(
            "twice",
            &[of("{path: /data/a, value: c}"), of("")].join(", "),
        ),
    ]
    .concat();
    let refused = "in member-2: ApplyOverridesFailed: ";
    let problems = ["identity", "many", "pointer", "twice"]
        .map(|name| format!("ConfigMap data/{name} {refused}"));
    let mut problems: Vec<_> = problems.iter().map(String::as_str).collect();
    problems.insert(
        0,
        "in.yaml: document 2, line 10: apply FederatedConfigMap data/large: ",
    );
    let snapshot = check(&text, &problems).await;
    for name in ["identity", "many", "pointer", "twice"] {
        let title = format!("ConfigMap data/{name}");
        assert_eq!(well(&snapshot, &title), ["member-1", "member-3"], "{title}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_refuses_is_told_in_its_words() {
    let text = r#"
apiVersion: types.kubefed.io/v1beta1
kind: FederatedDeployment
metadata: {namespace: data, name: negative}
spec: {template: {spec: {replicas: -1}}, placement: {clusters: [{name: member-1}]}}
"#;
    let problems = [
        "FederatedDeployment: ",
        "Deployment data/negative in member-1: CreationFailed: Deployment.apps \"negative\" is invalid",
    ];
    check(text, &problems).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_without_end_is_waited_for() {
    let mut playground = Playground::start(PlaygroundOptions::default())
        .await
        .unwrap();
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}";
    let objects = manifest::read("in.yaml", text);
    let federated = playground.federate(objects, Duration::MAX, |_| ()).await;
    federated.unwrap();
}
