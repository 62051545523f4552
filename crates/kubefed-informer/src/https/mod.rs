//! Connections to real clusters.

mod verifier;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderValue};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use tower::{BoxError, Layer, Service};

use crate::connect::Connect;
use crate::connection::{ConnectionSpec, Malformed};

/// Until a connection stands, TLS included. An API server answers within a few round trips; the default
/// probe gives up earlier anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When a silent connection is asked whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects over HTTPS, or HTTP where an endpoint says so.
///
/// Each check of the server's certificate can be left out on its own, with the authorities of a bundle
/// and with the system's alike, and a proxy is used in every case. Connections speak HTTP/1.1. Nothing
/// is retried and no redirect is followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpsConnect;

impl Connect for HttpsConnect {
    fn connect(&self, spec: &ConnectionSpec) -> Result<Client, Malformed> {
        let mut config = Config::new(spec.endpoint().clone());
        if let Some(token) = spec.bearer_token() {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                    Malformed::Rejected("the token cannot be sent in a header".to_owned())
                })?;
            value.set_sensitive(true);
            config.headers.push((AUTHORIZATION, value));
        }
        let tls = verifier::client_config(spec)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_keepalive(Some(KEEPALIVE));
        match spec.proxy_url() {
            None => client(tcp, tls, &config),
            Some(proxy) => match proxy.scheme_str() {
                Some("socks5") => client(socks(proxy, tcp), tls, &config),
                Some("https") => {
                    // The proxy is not the cluster, so its certificate is the system's to judge.
                    let to_proxy = HttpsConnectorBuilder::new()
                        .with_tls_config(verifier::system_config()?)
                        .https_only()
                        .enable_http1()
                        .wrap_connector(tcp);
                    client(tunnel(proxy, to_proxy), tls, &config)
                }
                _ => client(tunnel(proxy, tcp), tls, &config),
            },
        }
    }
}

fn client<C>(connector: C, tls: ClientConfig, config: &Config) -> Result<Client, Malformed>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let mut timed = TimeoutConnector::new(https);
    timed.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let http = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(timed);
    let headers = config
        .extra_headers_layer()
        .map_err(|error| Malformed::Rejected(error.to_string()))?;
    let service = config.base_uri_layer().layer(headers.layer(http));
    Ok(Client::new(service, config.default_namespace.clone()))
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
