//! Discovery (plain and aggregated), version and health.

use kube::core::Version as ApiVersion;
use serde_json::{Value, json};

use crate::api::{Answer, NOT_FOUND};
use crate::refusal::Refusal;
use crate::resource::{Resource, Version, api_version};
use crate::route::{Form, Route};
use crate::state::State;

/// Clients look for these parameters to know which of the two documents they got.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(crate) fn serve(state: &State, route: &Route, form: Form) -> Result<Answer, Refusal> {
    let aggregated = form == Form::Discovery;
    Ok(match route {
        Route::Health => Answer::Plain {
            code: 200,
            text: "ok",
        },
        Route::Version => Answer::value(&version(state)),
        Route::Paths => Answer::value(&paths(state)),
        Route::Core if aggregated => aggregate(state, &[String::new()]),
        Route::Groups if aggregated => aggregate(state, &named_groups(state)),
        Route::Core => Answer::value(&json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": state.options.endpoint() }],
        })),
        Route::Groups => {
            let groups: Vec<Value> = named_groups(state)
                .iter()
                .map(|name| group(state, name))
                .collect();
            Answer::value(&json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        Route::Group(name) if named_groups(state).contains(name) => {
            let mut group = group(state, name);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Answer::value(&group)
        }
        Route::GroupVersion(group, version) => {
            group_version(state, group, version).unwrap_or(NOT_FOUND)
        }
        _ => NOT_FOUND,
    })
}

fn named_groups(state: &State) -> Vec<String> {
    state
        .groups()
        .into_iter()
        .filter(|group| !group.is_empty())
        .collect()
}

/// The served versions of a group, the preferred one first: v2, v1, v1beta1, v1alpha1.
fn versions(state: &State, group: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for resource in state.resources_of(group) {
        for version in &resource.versions {
            if !versions.contains(&version.name) {
                versions.push(version.name.clone());
            }
        }
    }
    versions.sort_by_key(|name| std::cmp::Reverse(ApiVersion::parse(name).priority()));
    versions
}

fn group(state: &State, name: &str) -> Value {
    let versions: Vec<Value> = versions(state, name)
        .iter()
        .map(|version| json!({ "groupVersion": api_version(name, version), "version": version }))
        .collect();
    json!({ "name": name, "versions": versions, "preferredVersion": versions.first() })
}

fn group_version(state: &State, group: &str, version: &str) -> Option<Answer> {
    let mut entries = Vec::new();
    for resource in state.resources_of(group) {
        let Some(served) = resource.version(version) else {
            continue;
        };
        entries.push(json!({
            "name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.rules.verbs,
        }));
        if let Some(entry) = entries.last_mut() {
            names(&resource, entry);
        }
        for sub in subresources(&resource, served) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs,
            });
            if sub.group != group {
                entry["group"] = json!(sub.group);
                entry["version"] = json!("v1");
            }
            entries.push(entry);
        }
    }
    (!entries.is_empty()).then(|| {
        Answer::value(&json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": api_version(group, version), "resources": entries,
        }))
    })
}

fn aggregate(state: &State, groups: &[String]) -> Answer {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let versions: Vec<Value> =
                versions(state, group).iter().map(|version| aggregated_version(state, group, version)).collect();
            json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    Answer::Json {
        code: 200,
        media_type: AGGREGATED,
        text: list.to_string().into(),
    }
}

fn aggregated_version(state: &State, group: &str, version: &str) -> Value {
    let mut entries = Vec::new();
    for resource in state.resources_of(group) {
        let Some(served) = resource.version(version) else {
            continue;
        };
        // A built-in kind leaves out what the document around it says already.
        let (own_group, own_version) = if resource.custom {
            (group, version)
        } else {
            ("", "")
        };
        let mut entry = json!({
            "resource": resource.plural,
            "responseKind": { "group": own_group, "version": own_version, "kind": resource.kind },
            "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": resource.singular,
            "verbs": resource.rules.verbs,
        });
        names(&resource, &mut entry);
        let subs: Vec<Value> = subresources(&resource, served)
            .iter()
            .map(|sub| {
                let (group, version) = if sub.group == group {
                    (own_group, own_version)
                } else {
                    (sub.group, "v1")
                };
                json!({
                    "subresource": sub.name, "verbs": sub.verbs,
                    "responseKind": { "group": group, "version": version, "kind": sub.kind },
                })
            })
            .collect();
        if !subs.is_empty() {
            entry["subresources"] = json!(subs);
        }
        entries.push(entry);
    }
    json!({ "version": version, "resources": entries, "freshness": "Current" })
}

struct Subresource<'a> {
    name: &'static str,
    group: &'a str,
    kind: &'a str,
    verbs: &'static [&'static str],
}

fn subresources<'a>(resource: &'a Resource, version: &Version) -> Vec<Subresource<'a>> {
    let own = |name, verbs| Subresource {
        name,
        group: &resource.group,
        kind: &resource.kind,
        verbs,
    };
    let mut all = Vec::new();
    if resource.rules.terminates {
        all.push(own("finalize", &["update"]));
    }
    if version.scale.is_some() {
        let verbs = &["get", "patch", "update"];
        all.push(Subresource {
            name: "scale",
            group: "autoscaling",
            kind: "Scale",
            verbs,
        });
    }
    if &*resource.id == "serviceaccounts" {
        let verbs = &["create"];
        all.push(Subresource {
            name: "token",
            group: "authentication.k8s.io",
            kind: "TokenRequest",
            verbs,
        });
    }
    if version.status {
        all.push(own("status", &["get", "patch", "update"]));
    }
    all
}

fn names(resource: &Resource, entry: &mut Value) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

fn version(state: &State) -> Value {
    let git_version = &state.options.version;
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or("1"), "minor": numbers.next().unwrap_or("0"),
        "gitVersion": git_version, "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "",
        "compiler": "", "platform": "simulated",
    })
}

fn paths(state: &State) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for group in named_groups(state) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions(state, &group)
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    json!({ "paths": paths })
}
