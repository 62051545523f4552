//! OpenAPI documents of what is served at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::api::{Answer, NOT_FOUND};
use crate::openapi;
use crate::resource::{Resource, Version, api_version};
use crate::state::State;

/// `/openapi/v2`, `/openapi/v3` or one document below the latter.
pub(crate) fn serve(state: &mut State, path: &str) -> Answer {
    match path {
        "v2" => Answer::value(&openapi::document_v2(
            &described(&served(state), &[]),
            &state.options.version,
        )),
        "v3" => {
            let documents = documents(state);
            let pairs = documents
                .iter()
                .map(|(name, document)| (name.as_str(), document));
            Answer::value(&openapi::index(pairs))
        }
        _ => {
            let name = path
                .strip_prefix("v3/api/")
                .or_else(|| path.strip_prefix("v3/apis/"));
            let documents = documents(state);
            name.and_then(|name| documents.get(name))
                .map_or(NOT_FOUND, Answer::value)
        }
    }
}

/// The documents by group and version, made again after a definition has changed.
fn documents(state: &mut State) -> Arc<BTreeMap<String, Value>> {
    if let Some(documents) = &state.documents {
        return documents.clone();
    }
    let served = served(state);
    let mut by_version: BTreeMap<String, Vec<(Arc<Resource>, Version)>> = BTreeMap::new();
    for (resource, version) in served {
        let name = api_version(&resource.group, &version.name);
        by_version
            .entry(name)
            .or_default()
            .push((resource, version));
    }
    let documents = by_version
        .into_iter()
        .map(|(name, served)| {
            let document =
                openapi::document(&described(&served, &["status"]), &state.options.version);
            (name, document)
        })
        .collect();
    let documents = Arc::new(documents);
    state.documents = Some(Arc::clone(&documents));
    documents
}

fn served(state: &State) -> Vec<(Arc<Resource>, Version)> {
    let all = state.resources.values();
    all.flat_map(|resource| {
        resource
            .versions
            .iter()
            .map(|version| (resource.clone(), version.clone()))
    })
    .collect()
}

fn described<'a>(
    served: &'a [(Arc<Resource>, Version)],
    subresources: &'a [&'a str],
) -> Vec<openapi::Resource<'a>> {
    served
        .iter()
        .map(|(resource, version)| openapi::Resource {
            group: &resource.group,
            version: &version.name,
            kind: &resource.kind,
            plural: &resource.plural,
            namespaced: resource.namespaced,
            verbs: resource.rules.verbs,
            subresources: if version.status { subresources } else { &[] },
            custom: version.declared.as_deref(),
        })
        .collect()
}
