//! Who may talk to the cluster: bearer tokens and the server's certificate.

use std::collections::BTreeMap;

use crate::state::State;

/// The user behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// The tokens that a cluster accepts.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<String, User>);

impl User {
    /// What the server itself and clients without HTTP act as.
    pub(crate) fn admin() -> Self {
        let groups = ["system:masters", "system:authenticated"]
            .map(str::to_owned)
            .to_vec();
        Self {
            name: "system:admin".to_owned(),
            groups,
        }
    }

    fn service_account(namespace: &str, name: &str) -> Self {
        let groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups,
        }
    }
}

impl Tokens {
    pub(crate) fn user(&self, token: &str) -> Option<&User> {
        self.0.get(token)
    }

    pub(crate) fn insert(&mut self, token: String, user: User) {
        self.0.insert(token, user);
    }

    /// Makes a token worthless; false where it was already.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        self.0.remove(token).is_some()
    }
}

impl State {
    /// A new token for a service account.
    pub(crate) fn issue_token(&mut self, namespace: &str, account: &str) -> String {
        let token = format!("sa-{}", self.suffix(40));
        self.tokens
            .insert(token.clone(), User::service_account(namespace, account));
        token
    }

    /// What stands in for the certificate of the server. Simulated connections use no TLS, and so
    /// it only has to be the same wherever it is published.
    pub(crate) fn certificate(&self) -> String {
        format!(
            "-----BEGIN CERTIFICATE-----\nsimulated certificate of {}\n-----END CERTIFICATE-----\n",
            self.options.name
        )
    }
}
