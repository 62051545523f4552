//! The life cycle of every type that is exercised end to end: the ten types of an installation, and a
//! custom one in both scopes.

use kubefed_playground::kubefed_api::{
    FederatedObject, QualifiedName, ResourceType, manifest, well_known,
};
use kubefed_playground::kubefed_controllers::kubefed_runtime::kubefed_propagation::{
    apply_overrides, overrides_hash, template_hash,
};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};

use crate::scene::*;

/// The kinds, the types that live in no namespace, and what is in the template besides labels.
fn templates() -> Vec<(&'static str, Value)> {
    let pods = |policy: &str| {
        json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {"restartPolicy": policy, "containers": [{"name": "web", "image": "web:1"}]},
        })
    };
    let selector = json!({"matchLabels": {"app": "web"}});
    let workload =
        json!({"spec": {"replicas": 1, "selector": selector, "template": pods("Always")}});
    // The selector that an API server makes for a Job is not in its template, and cannot be taken away.
    let job = json!({"spec": {
        "manualSelector": true, "selector": selector, "template": pods("Never"),
    }});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    vec![
        ("ClusterRole", json!({"rules": rules})),
        ("ConfigMap", json!({"data": {"colour": "blue"}})),
        ("Deployment", workload.clone()),
        ("Ingress", json!({"spec": {"defaultBackend": backend}})),
        ("Job", job),
        ("ReplicaSet", workload),
        ("Secret", json!({"stringData": {"password": "horse"}})),
        ("Service", json!({"spec": {"ports": [{"port": 80}]}})),
        ("ServiceAccount", json!({})),
        ("Widget", json!({"spec": {"size": 1}})),
        ("Gadget", json!({"spec": {"size": 1}})),
        // The others live in another namespace, so this one may go.
        ("Namespace", json!({})),
    ]
}

/// The definition of a custom type.
fn definition(kind: &str, scope: &str) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let preserved = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": preserved}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": scope, "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    })
}

/// One federated object.
struct Subject {
    target: ResourceType,
    federated: ResourceType,
    name: QualifiedName,
}

impl Subject {
    fn of(playground: &Playground, kind: &str) -> Self {
        let mut types = playground.types().iter();
        let types = types.find(|(target, _)| target.kind == kind);
        let (target, federated) = types.expect("the type is federated").clone();
        let name = match kind {
            "Namespace" => QualifiedName::namespaced("annex", "annex"),
            _ if federated.is_namespaced() => name("web"),
            _ => QualifiedName::cluster_scoped("web"),
        };
        Self {
            target,
            federated,
            name,
        }
    }

    fn host(&self, playground: &Playground) -> Option<Value> {
        let resource = self.federated.qualified_plural();
        let host = playground.host();
        host.object(&resource, self.name.namespace(), self.name.name())
    }

    fn copy(&self, playground: &Playground, member: &str) -> Option<Value> {
        let resource = self.target.qualified_plural();
        let namespace = self.name.namespace();
        let namespace = namespace.filter(|_| self.target.is_namespaced());
        cluster(playground, member).object(&resource, namespace, self.name.name())
    }

    fn versions(&self, playground: &Playground) -> Option<Value> {
        let resource = match self.federated.is_namespaced() {
            true => "propagatedversions.core.kubefed.io",
            false => "clusterpropagatedversions.core.kubefed.io",
        };
        let name = format!("{}-{}", self.target.kind.to_lowercase(), self.name.name());
        playground
            .host()
            .object(resource, self.name.namespace(), &name)
    }

    async fn patch(&self, playground: &Playground, spec: Value) {
        let patch = json!({"spec": spec});
        let patched = playground.patch(&self.federated, &self.name, &patch).await;
        patched.unwrap();
        playground.settle(PATIENCE).await.unwrap();
    }

    /// Checks 1, 2, 3, 5 and 6: these clusters hold a copy with its overrides, and status and version
    /// object tell exactly that.
    fn check(&self, playground: &Playground, clusters: &[&str]) {
        let kind = &self.target.kind;
        let host = self
            .host(playground)
            .expect("the federated object is there");
        let object = FederatedObject::parse(host.clone()).unwrap();
        for (member, _) in playground.members() {
            let copy = self.copy(playground, member);
            assert_eq!(
                copy.is_some(),
                clusters.contains(&member),
                "{kind} {member}"
            );
            let Some(copy) = copy else { continue };
            assert!(is_managed(&copy), "{kind} {member}");
            let Some(overrides) = object.overrides().of(&member.into()).unwrap() else {
                continue;
            };
            let mut again = apply_overrides(copy.clone(), overrides).unwrap();
            for label in [well_known::MANAGED_LABEL, "kubernetes.io/metadata.name"] {
                let stored = &copy["metadata"]["labels"][label];
                if !stored.is_null() {
                    again["metadata"]["labels"][label] = stored.clone();
                }
            }
            assert_eq!(again, copy, "{kind} {member}");
        }

        let status = &host["status"];
        assert_eq!(status["observedGeneration"], host["metadata"]["generation"]);
        assert_eq!(status["conditions"][0]["type"], "Propagation");
        assert_eq!(status["conditions"][0]["status"], "True", "{kind}");
        let reported: Value = clusters.iter().map(|name| json!({"name": name})).collect();
        assert_eq!(status["clusters"], reported, "{kind}");

        let versions = self.versions(playground).expect("versions are recorded");
        let version = |cluster: &&str| {
            let metadata = self.copy(playground, cluster).unwrap()["metadata"].clone();
            let version = match metadata["generation"].as_i64() {
                Some(generation) => format!("gen:{generation}"),
                None => format!("rv:{}", metadata["resourceVersion"].as_str().unwrap()),
            };
            json!({"clusterName": cluster, "version": version})
        };
        let expected = json!({
            "templateVersion": template_hash(&host).unwrap().as_str(),
            "overridesVersion": overrides_hash(&host).unwrap().as_str(),
            "clusterVersions": clusters.iter().map(version).collect::<Value>(),
        });
        assert_eq!(versions["status"], expected, "{kind}");
    }
}

// Checks 1 to 6 and 8 of propagation.
#[tokio::test(start_paused = true)]
async fn every_type_lives_its_life() {
    let options = PlaygroundOptions::default().members(2);
    let mut playground = start(options).await;
    let federated = |kind: &str, template: &Value| {
        let mut template = template.clone();
        template["metadata"] = json!({"labels": {"app": "web"}});
        let metadata = match kind {
            "Namespace" => json!({"namespace": "annex", "name": "annex"}),
            "ClusterRole" | "Gadget" => json!({"name": "web"}),
            _ => json!({"namespace": NAMESPACE, "name": "web"}),
        };
        json!({
            "apiVersion": "types.kubefed.io/v1beta1", "kind": format!("Federated{kind}"),
            "metadata": metadata,
            "spec": {
                "template": template, "placement": everywhere(),
                "overrides": override_of("member-2", "/metadata/labels/app", &json!("shop")),
            },
        })
    };
    let mut objects = vec![
        definition("Widget", "Namespaced"),
        definition("Gadget", "Cluster"),
    ];
    objects.extend(templates().iter().map(|(kind, spec)| federated(kind, spec)));
    let texts: Vec<_> = objects.iter().map(Value::to_string).collect();
    let objects = manifest::read("in.json", &texts.join("\n"));
    playground
        .federate(objects, PATIENCE, |_| ())
        .await
        .unwrap();

    for (kind, _) in templates() {
        let subject = Subject::of(&playground, kind);
        subject.check(&playground, &["member-1", "member-2"]);
        let app = |member| {
            let copy = subject.copy(&playground, member).unwrap();
            copy["metadata"]["labels"]["app"].clone()
        };
        assert_eq!(
            (app("member-1"), app("member-2")),
            ("web".into(), "shop".into())
        );

        let tier =
            |cluster: &str| override_of(cluster, "/metadata/labels", &json!({"tier": cluster}));
        let overrides = [tier("member-1"), tier("member-2")];
        let overrides: Value = overrides.iter().map(|list| list[0].clone()).collect();
        let unlabelled = json!({"metadata": null});
        let spec = json!({"template": unlabelled, "overrides": overrides});
        subject.patch(&playground, spec).await;
        subject.check(&playground, &["member-1", "member-2"]);
        for member in ["member-1", "member-2"] {
            let mut expected = json!({"tier": member, well_known::MANAGED_LABEL: "true"});
            if kind == "Namespace" {
                expected["kubernetes.io/metadata.name"] = "annex".into();
            }
            let copy = subject.copy(&playground, member).unwrap();
            assert_eq!(copy["metadata"]["labels"], expected, "{kind}");
        }

        let narrowed = json!({"placement": named(&["member-2"])});
        subject.patch(&playground, narrowed).await;
        subject.check(&playground, &["member-2"]);

        let deleted = playground.delete(&subject.federated, &subject.name).await;
        deleted.unwrap();
        playground.settle(PATIENCE).await.unwrap();
        assert_eq!(subject.copy(&playground, "member-2"), None, "{kind}");
        assert_eq!(subject.host(&playground), None, "{kind}");
        assert_eq!(subject.versions(&playground), None, "{kind}");
    }
}
