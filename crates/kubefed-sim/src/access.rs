//! Who may talk to the cluster: bearer tokens and the server's certificate.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::json;
use crate::state::State;
use crate::store::Change;

/// The user behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// The tokens that a cluster accepts, with their users and when they expire.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<String, (User, Option<Timestamp>)>);

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

    /// Somebody without credentials.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
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
    /// Whose token it is, unless it has expired.
    pub(crate) fn user(&self, token: &str, now: Timestamp) -> Option<&User> {
        let (user, expires) = self.0.get(token)?;
        expires.is_none_or(|expires| now < expires).then_some(user)
    }

    pub(crate) fn insert(&mut self, token: String, user: User, expires: Option<Timestamp>) {
        self.0.insert(token, (user, expires));
    }

    /// Makes a token worthless; false where it was already.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        self.0.remove(token).is_some()
    }

    /// A deleted Secret takes its token along.
    pub(crate) fn observe(&mut self, table: &str, change: &Change) {
        if table == "secrets" && change.removed {
            let secret = change.new.value();
            let token = STANDARD.decode(json::text(&secret, "data.token")).ok();
            if let Some(token) = token.and_then(|token| String::from_utf8(token).ok()) {
                self.revoke(&token);
            }
        }
    }
}

impl State {
    /// A new token for a service account.
    pub(crate) fn issue_token(
        &mut self,
        namespace: &str,
        account: &str,
        expires: Option<Timestamp>,
    ) -> String {
        let token = format!("sa-{}", self.suffix(40));
        self.tokens.insert(
            token.clone(),
            User::service_account(namespace, account),
            expires,
        );
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
