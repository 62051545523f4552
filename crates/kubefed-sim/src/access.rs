//! Who may talk to the cluster: bearer tokens and the server's certificate.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::Timestamp;

use crate::json;
use crate::rbac::Wish;
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::Change;

/// The group of everybody with credentials.
const AUTHENTICATED: &str = "system:authenticated";

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
        let groups = ["system:masters", AUTHENTICATED]
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
            AUTHENTICATED.to_owned(),
        ];
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups,
        }
    }
}

/// The namespace and the name in the user name of a service account.
fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
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
    /// Whom a request is made as: somebody else where its headers say so and the user may.
    pub(crate) fn acting(&self, user: User, headers: &HeaderMap) -> Result<User, Refusal> {
        let texts = |name: &str| {
            let values = headers.get_all(name).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut groups: Vec<String> = texts("impersonate-group").collect();
        let Some(name) = texts("impersonate-user").next() else {
            if groups.is_empty() {
                return Ok(user);
            }
            // As Go prints references to objects.
            let groups: Vec<String> = groups
                .iter()
                .map(|group| format!("{{Group  {group}    }}"))
                .collect();
            let groups = groups.join(" ");
            let message = format!("requested [{groups}] without impersonating a user");
            return Err(Refusal::bad_request(message));
        };
        let wish = match account_of(&name) {
            Some((namespace, name)) => impersonation("serviceaccounts", Some(namespace), name),
            None => impersonation("users", None, &name),
        };
        self.may_impersonate(&user, &wish)?;
        for group in &groups {
            self.may_impersonate(&user, &impersonation("groups", None, group))?;
        }
        if let Some((namespace, account)) = account_of(&name).filter(|_| groups.is_empty()) {
            return Ok(User::service_account(namespace, account));
        }
        let anonymous = User::anonymous();
        let everybody = if name == anonymous.name {
            &anonymous.groups[0]
        } else {
            AUTHENTICATED
        };
        if !groups
            .iter()
            .any(|group| *group == everybody || *group == anonymous.groups[0])
        {
            groups.push(everybody.to_owned());
        }
        Ok(User { name, groups })
    }

    fn may_impersonate(&self, user: &User, wish: &Wish<'_>) -> Result<(), Refusal> {
        if self.allows(user, wish) {
            return Ok(());
        }
        Err(Refusal::forbidden_name(
            wish.resource,
            wish.name,
            &wish.denied_to(user),
        ))
    }

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

fn impersonation<'a>(resource: &'a str, namespace: Option<&'a str>, name: &'a str) -> Wish<'a> {
    Wish {
        verb: "impersonate",
        group: "",
        resource,
        namespace,
        name,
    }
}
