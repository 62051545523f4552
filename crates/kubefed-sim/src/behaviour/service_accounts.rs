//! What each namespace is born with, and the tokens of service accounts.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::DeleteOptions;
use crate::behaviour::{Behaviour, Loop};
use crate::json;
use crate::object::{Key, Object};
use crate::state::{NAMESPACES, State};
use crate::store::{Change, Locator};

const ACCOUNTS: &str = "serviceaccounts";
const SECRETS: &str = "secrets";
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// Gives a namespace its default account and the certificate of the API server.
pub(super) const NAMESPACES_LOOP: Loop = Loop {
    part: Behaviour::ServiceAccounts,
    concerns: concerns_namespace,
    reconcile: provision,
};

/// Fills Secrets of the token type, and deletes them with their account.
pub(super) const TOKENS_LOOP: Loop = Loop {
    part: Behaviour::ServiceAccounts,
    concerns: concerns_token,
    reconcile: fill_token,
};

fn concerns_namespace(_: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    let namespace = match &**table {
        NAMESPACES => Some(change.new.key.name()),
        ACCOUNTS | "configmaps" if change.removed => change.new.key.namespace(),
        _ => None,
    };
    namespace
        .map(|namespace| (NAMESPACES.into(), Key::new(None, namespace)))
        .into_iter()
        .collect()
}

fn provision(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let namespace = state
        .store
        .get(table, key)
        .filter(|namespace| !namespace.deleting)?
        .key
        .clone();
    let certificate = state.certificate();
    for (resource, name, value) in [
        (ACCOUNTS, "default", json!({})),
        (
            "configmaps",
            "kube-root-ca.crt",
            json!({ "data": { "ca.crt": certificate } }),
        ),
    ] {
        if state
            .object(resource, Some(namespace.name()), name)
            .is_none()
        {
            let mut value = value;
            json::put(&mut value, "metadata.name", name);
            // The namespace exists and is not being deleted, so nothing can refuse this.
            let _ = state.insert(resource, Some(namespace.name()), value);
        }
    }
    None
}

fn concerns_token(state: &State, table: &Arc<str>, change: &Change) -> Vec<Locator> {
    match &**table {
        SECRETS if !change.removed => vec![(table.clone(), change.new.key.clone())],
        ACCOUNTS => state
            .store
            .list(SECRETS, change.new.key.namespace())
            .map(|secret| (SECRETS.into(), secret.key.clone()))
            .collect(),
        _ => Vec::new(),
    }
}

fn fill_token(state: &mut State, (table, key): &Locator) -> Option<Duration> {
    let secret = state.store.get(table, key)?.clone();
    let mut value = secret.value();
    if value["type"] != json!(TOKEN_TYPE) || secret.deleting {
        return None;
    }
    let resource = state.resource(SECRETS)?;
    let account = annotation(&value, "kubernetes.io/service-account.name");
    let uid = annotation(&value, "kubernetes.io/service-account.uid");
    let Some(account) = state
        .object(ACCOUNTS, key.namespace(), &account)
        .cloned()
        .filter(|a| same(a, &uid))
    else {
        // Without its account a token is worthless, and the server removes it.
        let _ = state.delete_object(&resource, key, &DeleteOptions::default());
        return None;
    };
    json::child(&mut value, "metadata.annotations").insert(
        "kubernetes.io/service-account.uid".to_owned(),
        json!(&*account.uid),
    );
    let namespace = key.namespace().unwrap_or("").to_owned();
    let certificate = state.certificate();
    let data = json::child(&mut value, "data");
    data.insert("ca.crt".to_owned(), json!(STANDARD.encode(certificate)));
    data.insert("namespace".to_owned(), json!(STANDARD.encode(&namespace)));
    if !data.contains_key("token") {
        let token = state.issue_token(&namespace, account.key.name(), None);
        json::child(&mut value, "data").insert("token".to_owned(), json!(STANDARD.encode(token)));
    }
    state.save(&resource, &secret, value);
    None
}

/// Whether an account is the one that a token was made for; a new token names none yet.
fn same(account: &Object, uid: &str) -> bool {
    uid.is_empty() || *account.uid == *uid
}

fn annotation(value: &Value, name: &str) -> String {
    value["metadata"]["annotations"][name]
        .as_str()
        .unwrap_or("")
        .to_owned()
}
