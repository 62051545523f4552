//! Connections to real clusters.

mod lines;
mod verifier;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderValue};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use kube::client::ConfigExt;
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::client::Resumption;
use tower::{BoxError, Service, ServiceBuilder};

use self::lines::Lines;
use crate::connect::Connect;
use crate::connection::{ConnectionSpec, Malformed};

/// Until a connection stands, TLS included. An API server answers within a few round trips; the default
/// probe gives up earlier anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sessions that are kept to be resumed: of the server under its name, and with others under way.
const SESSIONS: usize = 8;

/// When a silent connection is asked whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects over HTTPS, or HTTP where an endpoint says so.
///
/// Each check of the server's certificate can be left out on its own, with the authorities of a bundle
/// and with the system's alike, and a proxy is used in every case. Nothing is retried and no redirect is
/// followed.
///
/// Servers that offer HTTP/2 are spoken to over one connection for every 64 calls and watches that are
/// under way, whatever their number of kinds; others over a connection for each (HTTP/1.1). A connection
/// of HTTP/2 that has been silent for 30 s while a call or watch is open is asked for a sign of life and
/// given up 15 s later, as in client-go, so that no watch outlives its server by much.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpsConnect;

impl Connect for HttpsConnect {
    fn connect(&self, spec: &ConnectionSpec) -> Result<Client, Malformed> {
        let mut config = Config::new(spec.endpoint().clone());
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.proxy_url = spec.proxy_url().cloned();
        if let Some(token) = spec.bearer_token() {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                    Malformed::Rejected("the token cannot be sent in a header".to_owned())
                })?;
            value.set_sensitive(true);
            config.headers.push((AUTHORIZATION, value));
        }
        client(&config, verifier::client_config(spec)?)
    }
}

/// A client for the cluster that a kubeconfig or a pod's service account describes, with connections
/// like those of [`HttpsConnect`] and the credentials of `config`, whatever their kind.
///
/// Of the timeouts in `config` only that for connecting is used: the others end whole connections, which
/// calls share here. [`guarded`](crate::guarded) adds deadlines.
///
/// # Errors
///
/// No client can be made from `config`, for example because its CA bundle holds no certificate.
///
/// # Panics
///
/// Outside a tokio runtime; and, as in kube, if several cryptography providers of rustls are compiled in
/// and the program has not installed one as its default.
pub fn https_client(config: &Config) -> Result<Client, Malformed> {
    client(config, config.rustls_client_config().map_err(rejected)?)
}

/// The way to the cluster: at once, or through a proxy.
fn client(config: &Config, tls: ClientConfig) -> Result<Client, Malformed> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(KEEPALIVE));
    // A request that leaves in two pieces would wait for an acknowledgement in between.
    tcp.set_nodelay(true);
    let Some(proxy) = &config.proxy_url else {
        return client_over(tcp, config, tls);
    };
    match proxy.scheme_str() {
        Some("socks5") => client_over(socks(proxy, tcp), config, tls),
        Some("https") => {
            // The proxy is not the cluster, so its certificate is the system's to judge.
            let to_proxy = HttpsConnectorBuilder::new()
                .with_tls_config(verifier::system_config()?)
                .https_only()
                .enable_http1()
                .wrap_connector(tcp);
            client_over(tunnel(proxy, to_proxy), config, tls)
        }
        _ => client_over(tunnel(proxy, tcp), config, tls),
    }
}

fn client_over<C>(connector: C, config: &Config, mut tls: ClientConfig) -> Result<Client, Malformed>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    // There is one server, and rustls has room for 256 unless it is told.
    tls.resumption = Resumption::in_memory_sessions(SESSIONS);
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into().map_err(rejected)?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let mut timed = TimeoutConnector::new(https.enable_all_versions().wrap_connector(connector));
    timed.set_connect_timeout(config.connect_timeout);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(rejected)?)
        .layer(config.extra_headers_layer().map_err(rejected)?)
        .map_err(BoxError::from)
        .service(Lines::new(timed));
    Ok(Client::new(service, config.default_namespace.clone()))
}

fn rejected(error: impl std::fmt::Display) -> Malformed {
    Malformed::Rejected(error.to_string())
}

fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let basic = login(proxy)
        .map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    match basic.and_then(|basic| HeaderValue::from_str(&basic).ok()) {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

fn socks<C>(proxy: &Uri, connector: C) -> SocksV5<C> {
    let socks = SocksV5::new(proxy.clone(), connector);
    match login(proxy) {
        Some((user, password)) => socks.with_auth(user, password),
        None => socks,
    }
}

/// The user and password of a proxy's URL.
fn login(proxy: &Uri) -> Option<(String, String)> {
    let (login, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decode(user), decode(password)))
}
