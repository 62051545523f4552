//! How a cluster is reached, parsed once.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use kubefed_api::{KubeFedClusterSpec, TlsValidation};

/// How the API server of a cluster is reached: endpoint, trust, credentials and proxy.
///
/// Two specifications are equal if a connection made from one can stand for the other.
///
/// ```
/// use kubefed_informer::{BearerToken, ConnectionSpec};
///
/// let east = ConnectionSpec::new("east.example:6443")?.token(BearerToken::new("s3cret"));
/// assert_eq!(east.endpoint(), "https://east.example:6443/");
/// assert!(!format!("{east:?}").contains("s3cret"));
/// # Ok::<(), kubefed_informer::Malformed>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ConnectionSpec {
    endpoint: Uri,
    ca_bundle: Arc<[u8]>,
    token: Option<BearerToken>,
    proxy: Option<Uri>,
    checks: TlsChecks,
}

impl ConnectionSpec {
    /// A connection to an endpoint: a URL with the scheme http or https and an optional path prefix, or
    /// `host[:port]`, which means https (the original dials such an endpoint as plain http where there
    /// is no CA bundle, although its admission takes it as https).
    ///
    /// # Errors
    ///
    /// The endpoint is empty, cannot be parsed, has another scheme, or has a user, query or fragment.
    pub fn new(endpoint: &str) -> Result<Self, Malformed> {
        Ok(Self {
            endpoint: parse_endpoint(endpoint)?,
            ca_bundle: Arc::default(),
            token: None,
            proxy: None,
            checks: TlsChecks::default(),
        })
    }

    /// The connection that a KubeFedCluster describes, with the token from its Secret.
    ///
    /// # Errors
    ///
    /// The first part that is missing or cannot be parsed, in the order of the original: endpoint,
    /// name of the Secret, the Secret, its token, proxy, TLS checks.
    pub fn from_cluster(
        cluster: &KubeFedClusterSpec,
        token: Option<&SecretToken>,
    ) -> Result<Self, Malformed> {
        let secret = &cluster.secret_ref.name;
        if cluster.api_endpoint.is_empty() {
            return Err(Malformed::EmptyEndpoint);
        }
        if secret.is_empty() {
            return Err(Malformed::NoSecretName);
        }
        let token = match token {
            None => return Err(Malformed::NoSecret(secret.clone())),
            Some(SecretToken::Missing) => return Err(Malformed::NoToken(secret.clone())),
            Some(SecretToken::Present(token)) => token.clone(),
        };
        let spec = Self::new(&cluster.api_endpoint)?
            .token(token)
            .ca_bundle(cluster.ca_bundle.0.as_slice())
            .checks(TlsChecks::without(&cluster.disabled_tls_validations)?);
        match cluster.proxy_url.as_str() {
            "" => Ok(spec),
            proxy => spec.proxy(proxy),
        }
    }

    /// Trusts the certificate authorities of this PEM bundle instead of the system's. An empty bundle
    /// means the system's.
    pub fn ca_bundle(mut self, pem: impl Into<Arc<[u8]>>) -> Self {
        self.ca_bundle = pem.into();
        self
    }

    /// Sends this token with every request.
    pub fn token(mut self, token: BearerToken) -> Self {
        self.token = Some(token);
        self
    }

    /// Goes through a proxy: a URL with the scheme http, https or socks5.
    ///
    /// # Errors
    ///
    /// The URL cannot be parsed or has another scheme.
    pub fn proxy(mut self, url: &str) -> Result<Self, Malformed> {
        let reject = |why: String| Malformed::Proxy(why);
        let uri: Uri = url.parse().map_err(|error| reject(format!("{error}")))?;
        match uri.scheme_str() {
            Some("http" | "https" | "socks5") if uri.host().is_some() => {}
            _ => return Err(reject("expected an http, https or socks5 URL".to_owned())),
        }
        self.proxy = Some(uri);
        Ok(self)
    }

    /// Leaves out checks of the server's certificate.
    pub fn checks(mut self, checks: TlsChecks) -> Self {
        self.checks = checks;
        self
    }

    /// The endpoint as a URL with a scheme.
    pub fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// The PEM bundle of trusted authorities; empty for the system's.
    pub fn trusted_pem(&self) -> &[u8] {
        &self.ca_bundle
    }

    /// The bearer token.
    pub fn bearer_token(&self) -> Option<&BearerToken> {
        self.token.as_ref()
    }

    /// The proxy. Its URL may contain a password, so it must not be printed.
    pub fn proxy_url(&self) -> Option<&Uri> {
        self.proxy.as_ref()
    }

    /// The checks of the server's certificate.
    pub fn tls_checks(&self) -> TlsChecks {
        self.checks
    }

    /// Whether the other connection leads to the same server with the same trust, so that only
    /// credentials differ.
    pub fn same_server(&self, other: &Self) -> bool {
        let anonymous = |spec: &Self| Self {
            token: None,
            ..spec.clone()
        };
        anonymous(self) == anonymous(other)
    }
}

impl fmt::Debug for ConnectionSpec {
    /// Neither the token nor a password in the proxy's URL is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSpec")
            .field("endpoint", &self.endpoint)
            .field("ca_bundle_bytes", &self.ca_bundle.len())
            .field("token", &self.token)
            .field("proxy_host", &self.proxy.as_ref().and_then(Uri::host))
            .field("checks", &self.checks)
            .finish()
    }
}

/// A bearer token. It can be sent, but neither displayed nor debugged.
#[derive(Clone, Eq, PartialEq)]
pub struct BearerToken(Arc<str>);

impl BearerToken {
    /// A token as it stands in an `Authorization` header.
    pub fn new(token: impl Into<Arc<str>>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the `Authorization` header and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// What a cluster's Secret says about its token.
// Closed: a Secret that exists has a token or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretToken {
    /// The key `token` holds text.
    Present(BearerToken),
    /// The key `token` is missing, empty or no text.
    Missing,
}

/// Which checks of a server's certificate are made; by default all.
///
/// Each is left out on its own, whether the authorities come from a bundle or from the system. (The
/// original leaves out all of them as soon as one is disabled and there is no bundle.)
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TlsChecks {
    chain: bool,
    name: bool,
    period: bool,
}

impl TlsChecks {
    /// All checks but these.
    ///
    /// # Errors
    ///
    /// A value is unknown.
    pub fn without(disabled: &[TlsValidation]) -> Result<Self, Malformed> {
        let mut checks = Self::default();
        for validation in disabled {
            match validation {
                TlsValidation::All => checks.chain = false,
                TlsValidation::SubjectName => checks.name = false,
                TlsValidation::ValidityPeriod => checks.period = false,
                other => {
                    return Err(Malformed::Tls(format!(
                        "unknown TLS validation {:?}",
                        other.as_str()
                    )));
                }
            }
        }
        Ok(checks)
    }

    /// Whether the certificate must have been signed by a trusted authority; if not, nothing else is
    /// checked either.
    pub fn verify_chain(self) -> bool {
        self.chain
    }

    /// Whether the certificate must name the endpoint's host.
    pub fn verify_name(self) -> bool {
        self.chain && self.name
    }

    /// Whether the certificate must be valid now.
    pub fn verify_period(self) -> bool {
        self.chain && self.period
    }
}

impl Default for TlsChecks {
    fn default() -> Self {
        Self {
            chain: true,
            name: true,
            period: true,
        }
    }
}

/// Why no connection can be made from what is configured for a cluster.
///
/// The cluster is named by whoever holds this reason.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There is no endpoint.
    #[error("the API endpoint is empty")]
    EmptyEndpoint,
    /// The endpoint cannot be used.
    #[error("the API endpoint cannot be used: {0}")]
    Endpoint(String),
    /// No Secret is named.
    #[error("no secret is named")]
    NoSecretName,
    /// The named Secret does not exist.
    #[error("the secret {0:?} does not exist")]
    NoSecret(String),
    /// The named Secret has no token.
    #[error("the secret {0:?} is missing a non-empty value for \"token\"")]
    NoToken(String),
    /// The proxy's URL cannot be used.
    #[error("the proxy URL cannot be used: {0}")]
    Proxy(String),
    /// The trusted authorities or the choice of TLS checks cannot be used.
    #[error("the TLS settings cannot be used: {0}")]
    Tls(String),
    /// The connector refuses the connection.
    #[error("the connection was refused before it was tried: {0}")]
    Rejected(String),
}

fn parse_endpoint(text: &str) -> Result<Uri, Malformed> {
    if text.is_empty() {
        return Err(Malformed::EmptyEndpoint);
    }
    let reject = |why: &str| Err(Malformed::Endpoint(format!("{why} in {text:?}")));
    let has_scheme = text.contains("://");
    let url = if has_scheme {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(error) => return reject(&format!("{error}")),
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return reject("a scheme other than http and https"),
    }
    if uri.host().is_none_or(str::is_empty) {
        return reject("no host");
    }
    // A user would be sent to whoever the host is, and Kubernetes knows no such login.
    if authority.contains('@') {
        return reject("a user");
    }
    if uri.query().is_some() || text.contains('#') {
        return reject("a query or fragment");
    }
    // `http` keeps a port that is no port as part of the authority.
    let port = authority.rsplit(']').next().unwrap_or("");
    let explicit = port.rsplit_once(':').map(|(_, port)| port);
    if explicit.is_some() && uri.port_u16().is_none_or(|port| port == 0) {
        return reject("a port outside 1-65535");
    }
    if !has_scheme && uri.path() != "/" {
        return reject("a path without a scheme");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kubefed_api::LocalSecretReference;

    use super::*;

    /// informer 10.10: the endpoints that admission accepts and rejects; I12: https is the default.
    #[test]
    fn an_endpoint_is_a_url_or_host_and_port() {
        for host in ["east.example", "10.0.0.1", "[::1]"] {
            for port in ["", ":1", ":6443", ":65535"] {
                for path in ["", "/", "/prefix"] {
                    let scheme_less = ConnectionSpec::new(&format!("{host}{port}{path}"));
                    match (path, scheme_less) {
                        ("/prefix", result) => assert!(result.is_err()),
                        (_, result) => {
                            let expected = format!("https://{host}{port}/");
                            assert_eq!(result.unwrap().endpoint(), expected.as_str());
                        }
                    }
                    for scheme in ["http", "https"] {
                        let text = format!("{scheme}://{host}{port}{path}");
                        let uri = ConnectionSpec::new(&text).unwrap().endpoint().clone();
                        assert_eq!(uri.scheme_str(), Some(scheme), "{text}");
                    }
                }
            }
        }
        let rejected = [
            "",
            "https://",
            "https:///path",
            "ftp://east",
            "https://east:port",
            "https://east:-1",
            "https://east:0",
            "https://east:65536",
            "https://[::1]:0",
            "https://me:secret@east",
            "https://east/?watch=1",
            "https://east/#part",
            "east west",
        ];
        for text in rejected {
            assert!(ConnectionSpec::new(text).is_err(), "{text:?}");
        }
    }

    /// informer 6.1: the first missing part is the one that is reported.
    #[test]
    fn a_cluster_is_malformed_for_its_first_missing_part() {
        let whole = KubeFedClusterSpec::new("https://east", "east-token");
        let token = SecretToken::Present(BearerToken::new("t"));
        let check = |change: fn(&mut KubeFedClusterSpec), token, expected: Option<&str>| {
            let mut spec = whole.clone();
            change(&mut spec);
            let outcome = ConnectionSpec::from_cluster(&spec, token).err();
            assert_eq!(outcome.map(|why| why.to_string()).as_deref(), expected);
        };
        let present = Some(&token);
        check(|_| {}, present, None);
        check(
            |spec| *spec = KubeFedClusterSpec::default(),
            None,
            Some("the API endpoint is empty"),
        );
        check(
            |spec| spec.secret_ref = LocalSecretReference::default(),
            None,
            Some("no secret is named"),
        );
        check(
            |_| {},
            None,
            Some("the secret \"east-token\" does not exist"),
        );
        check(
            |_| {},
            Some(&SecretToken::Missing),
            Some("the secret \"east-token\" is missing a non-empty value for \"token\""),
        );
        check(
            |spec| spec.proxy_url = "ftp://proxy".to_owned(),
            present,
            Some("the proxy URL cannot be used: expected an http, https or socks5 URL"),
        );
        check(
            |spec| spec.disabled_tls_validations = vec!["Chain".into()],
            present,
            Some("the TLS settings cannot be used: unknown TLS validation \"Chain\""),
        );
    }

    #[test]
    fn secrets_are_not_debugged() {
        let mut spec = KubeFedClusterSpec::new("https://east", "east-token");
        spec.proxy_url = "http://user:pr0xy@proxy:3128".to_owned();
        spec.ca_bundle = ByteString(b"pem".to_vec());
        let token = SecretToken::Present(BearerToken::new("s3cret"));
        let connection = ConnectionSpec::from_cluster(&spec, Some(&token)).unwrap();
        let shown = format!("{connection:?} {token:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("pr0xy"),
            "{shown}"
        );
    }

    #[test]
    fn a_new_token_leads_to_the_same_server() {
        let spec = ConnectionSpec::new("https://east").unwrap();
        let old = spec.clone().token(BearerToken::new("old"));
        let new = spec.clone().token(BearerToken::new("new"));
        assert!(old != new && old.same_server(&new));
        assert!(!old.same_server(&new.clone().ca_bundle(*b"pem")));
        assert!(!old.same_server(&ConnectionSpec::new("https://west").unwrap()));
    }
}
