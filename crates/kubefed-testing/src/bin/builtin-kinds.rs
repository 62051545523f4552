//! Writes what the simulator knows of the built-in kinds, as a real API server publishes it.
//!
//! `.ci/control-plane/schemas` runs this. Three files of compact JSON with a line per entry:
//! `schemas.json` (OpenAPI v3 definitions without descriptions, references shortened to the name),
//! `discovery.json` (one entry per resource) and `columns.json` (the columns of the Table answer).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::ExitCode,
};

use kube::Client;
use kubefed_testing::ApiServer;
use serde_json::{Map, Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Group, version, and the kinds of it that the simulator serves.
const KINDS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        &[
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", "v1", &["CustomResourceDefinition"]),
    (
        "apps",
        "v1",
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
        ],
    ),
    (
        "authorization.k8s.io",
        "v1",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    ("autoscaling", "v2", &["HorizontalPodAutoscaler"]),
    ("batch", "v1", &["CronJob", "Job"]),
    ("coordination.k8s.io", "v1", &["Lease"]),
    ("discovery.k8s.io", "v1", &["EndpointSlice"]),
    ("events.k8s.io", "v1", &["Event"]),
    (
        "networking.k8s.io",
        "v1",
        &["Ingress", "IngressClass", "NetworkPolicy"],
    ),
    ("policy", "v1", &["PodDisruptionBudget"]),
    (
        "rbac.authorization.k8s.io",
        "v1",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    ("scheduling.k8s.io", "v1", &["PriorityClass"]),
    ("storage.k8s.io", "v1", &["StorageClass"]),
];

/// Definitions that no kind refers to: what subresources take, and what every endpoint takes or answers.
const MORE: &[&str] = &[
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
];

const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const TABLE: &str = "application/json;g=meta.k8s.io;v=v1;as=Table";

#[allow(
    clippy::print_stderr,
    reason = "a program talks to the person who runs it"
)]
fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: builtin-kinds DIR");
        return ExitCode::from(2);
    };
    match run(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("builtin-kinds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &std::path::Path) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let server = ApiServer::start().await?;
        let client = server.client();
        let discovery = discovery(&client).await?;
        let columns = columns(&client, &discovery).await?;
        let schemas = schemas(&client).await?;
        write(
            dir,
            "schemas.json",
            &schemas.into_iter().collect::<Vec<_>>(),
        )?;
        write(dir, "discovery.json", &discovery)?;
        write(dir, "columns.json", &columns)
    })
}

/// A JSON object with one entry per line, so that a change of one entry is a change of one line.
fn write(dir: &std::path::Path, name: &str, entries: &[(String, Value)]) -> Result<(), Failure> {
    let line = |(key, value): &(String, Value)| format!("{}:{value}", json!(key));
    let lines: Vec<_> = entries.iter().map(line).collect();
    Ok(fs::write(
        dir.join(name),
        format!("{{\n{}\n}}\n", lines.join(",\n")),
    )?)
}

async fn read(client: &Client, path: &str, accept: &str) -> Result<Value, Failure> {
    let request = http::Request::get(path)
        .header("accept", accept)
        .body(Vec::new())?;
    let text = client.request_text(request).await?;
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}").into())
}

async fn discovery(client: &Client) -> Result<Vec<(String, Value)>, Failure> {
    let core = read(client, "/api", DISCOVERY).await?;
    let named = read(client, "/apis", DISCOVERY).await?;
    let mut found = Vec::new();
    for &(group, version, kinds) in KINDS {
        let list = if group.is_empty() { &core } else { &named };
        let resources = entries(list, "items")
            .filter(|item| item["metadata"]["name"].as_str().unwrap_or_default() == group)
            .flat_map(|item| entries(item, "versions"))
            .filter(|served| served["version"] == version)
            .flat_map(|served| entries(served, "resources"));
        let wanted: Vec<_> = resources
            .filter(|r| kinds.iter().any(|kind| r["responseKind"]["kind"] == *kind))
            .collect();
        if wanted.len() != kinds.len() {
            return Err(format!("{group}/{version} does not serve all of {kinds:?}").into());
        }
        for resource in wanted {
            let plural = resource["resource"].as_str().unwrap_or_default();
            found.push((path_of(group, version, plural), resource.clone()));
        }
    }
    Ok(found)
}

/// `v1/pods`, `apps/v1/deployments`.
fn path_of(group: &str, version: &str, plural: &str) -> String {
    if group.is_empty() {
        format!("{version}/{plural}")
    } else {
        format!("{group}/{version}/{plural}")
    }
}

fn entries<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

async fn columns(
    client: &Client,
    discovery: &[(String, Value)],
) -> Result<Vec<(String, Value)>, Failure> {
    let mut found = Vec::new();
    for (resource, facts) in discovery {
        if !entries(facts, "verbs").any(|verb| verb == "list") {
            continue;
        }
        let root = if resource.matches('/').count() == 1 {
            "/api"
        } else {
            "/apis"
        };
        let table = read(client, &format!("{root}/{resource}"), TABLE).await?;
        let columns: Vec<_> = entries(&table, "columnDefinitions")
            .map(|c| json!([c["name"], c["type"], c["format"], c["priority"]]))
            .collect();
        found.push((resource.clone(), Value::Array(columns)));
    }
    Ok(found)
}

/// The definitions of the kinds and of all they refer to.
async fn schemas(client: &Client) -> Result<BTreeMap<String, Value>, Failure> {
    let index = read(client, "/openapi/v3", "application/json").await?;
    let paths = index["paths"]
        .as_object()
        .ok_or("the index of OpenAPI v3 has no paths")?;
    let mut all = Map::new();
    for location in paths.values() {
        let path = location["serverRelativeURL"].as_str().unwrap_or_default();
        let mut document = read(client, path, "application/json").await?;
        if let Value::Object(more) = document["components"]["schemas"].take() {
            all.extend(more);
        }
    }
    let is_wanted = |name: &str, schema: &Value| {
        MORE.contains(&name)
            || entries(schema, "x-kubernetes-group-version-kind").any(|gvk| {
                KINDS.iter().any(|(group, version, kinds)| {
                    let kind = gvk["kind"].as_str().unwrap_or_default();
                    let kind = kind.strip_suffix("List").unwrap_or(kind);
                    gvk["group"] == *group && gvk["version"] == *version && kinds.contains(&kind)
                })
            })
    };
    let mut pending: BTreeSet<String> = all
        .iter()
        .filter(|(name, schema)| is_wanted(name, schema))
        .map(|(name, _)| name.clone())
        .collect();
    let mut found = BTreeMap::new();
    while let Some(name) = pending.pop_first() {
        let schema = all
            .get(&name)
            .ok_or_else(|| format!("no schema is named {name}"))?;
        let schema = compact(schema, &mut |reference| {
            pending.insert(reference.to_owned());
        });
        found.insert(name, schema);
        pending.retain(|name| !found.contains_key(name));
    }
    Ok(found)
}

/// The schema without descriptions, with `{"$ref": "name"}` in place of the two long forms.
fn compact(schema: &Value, refer: &mut impl FnMut(&str)) -> Value {
    let Value::Object(schema) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    for (key, value) in schema {
        match (key.as_str(), value) {
            ("description" | "title" | "externalDocs", Value::String(_) | Value::Object(_)) => {}
            ("$ref", Value::String(path)) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                refer(name);
                out.insert(key.clone(), json!(name));
            }
            ("allOf", Value::Array(one)) if one.len() == 1 && one[0].get("$ref").is_some() => {
                out.extend(
                    compact(&one[0], refer)
                        .as_object()
                        .cloned()
                        .unwrap_or_default(),
                );
            }
            ("properties", Value::Object(fields)) => {
                let fields = fields
                    .iter()
                    .map(|(name, s)| (name.clone(), compact(s, refer)));
                out.insert(key.clone(), Value::Object(fields.collect()));
            }
            ("oneOf" | "anyOf" | "allOf", Value::Array(all)) => {
                let all = all.iter().map(|schema| compact(schema, refer)).collect();
                out.insert(key.clone(), Value::Array(all));
            }
            ("items" | "additionalProperties" | "not", value) => {
                out.insert(key.clone(), compact(value, refer));
            }
            (_, value) => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(out)
}
