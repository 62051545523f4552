//! Connections over real sockets: a server on the loopback interface, and a proxy before it.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // In the functions that stand for servers, too.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncBufReadExt as _, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kubefed_api::TlsValidation;
use kubefed_informer::{
    BearerToken, ClientLimits, Connect, ConnectionSpec, HttpsConnect, TlsChecks, guarded,
    https_client,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The requests that a server or proxy has seen, as text.
type Seen = Arc<Mutex<Vec<String>>>;

struct Site {
    port: u16,
    ca: String,
    seen: Seen,
}

/// A certificate for `east.test` with its authority.
fn certified(protocols: &[&[u8]]) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["east.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// An API server that says `ok` to everything and shows a certificate for `east.test`.
async fn site() -> Site {
    let (acceptor, ca) = certified(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let requests = seen.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (acceptor, requests) = (acceptor.clone(), requests.clone());
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    let mut tls = BufReader::new(tls);
                    let request = head(&mut tls).await;
                    requests.lock().unwrap().push(request);
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    let _ = tls.write_all(answer).await;
                    let _ = tls.shutdown().await;
                }
            });
        }
    });
    Site { port, ca, seen }
}

/// An API server that speaks HTTP/2: a watch is answered with one line and stays open, everything else
/// with `ok`. Tells its port, its authority, and how many connections are open and were ever accepted.
async fn modern_site() -> (u16, String, [Arc<AtomicUsize>; 2]) {
    let (acceptor, ca) = certified(&[b"h2", b"http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [open, accepted] = connections.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
            let (acceptor, open) = (acceptor.clone(), open.clone());
            tokio::spawn(async move {
                let tls = acceptor.accept(tcp).await.unwrap();
                assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                open.fetch_add(1, Ordering::SeqCst);
                let answer = service_fn(async |request: http::Request<Incoming>| {
                    let watch = request.uri().query().is_some();
                    let first =
                        stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("ok\n")))]);
                    let rest = stream::pending().take(usize::from(watch));
                    Ok::<_, Infallible>(http::Response::new(StreamBody::new(first.chain(rest))))
                });
                // It ends with an error if the client goes away.
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), answer)
                    .await;
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, ca, connections)
}

/// A proxy that lets every CONNECT through to the loopback interface.
async fn proxy() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let requests = seen.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut client = BufReader::new(tcp);
                let request = head(&mut client).await;
                let target = request.split(' ').nth(1).unwrap().to_owned();
                requests.lock().unwrap().push(request);
                let port: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, seen)
}

/// Reads up to the empty line.
async fn head(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") && stream.read_line(&mut text).await.unwrap_or(0) > 0 {}
    text
}

async fn ask(spec: ConnectionSpec) -> Result<String, String> {
    let client = HttpsConnect.connect(&spec).unwrap();
    let client = guarded(client, &ClientLimits::default().user_agent("fleet/1"));
    let request = http::Request::get("/healthz").body(Vec::new()).unwrap();
    client
        .request_text(request)
        .await
        .map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn a_request_carries_prefix_token_and_user_agent() {
    let site = site().await;
    let spec = ConnectionSpec::new(&format!("https://127.0.0.1:{}/clusters/east", site.port))
        .unwrap()
        .ca_bundle(site.ca.as_bytes())
        .checks(TlsChecks::without(&[TlsValidation::SubjectName]).unwrap())
        .token(BearerToken::new("s3cret"));
    assert_eq!(ask(spec).await.as_deref(), Ok("ok"));
    let request = site.seen.lock().unwrap()[0].to_lowercase();
    for part in [
        "get /clusters/east/healthz http/1.1\r\n",
        "authorization: bearer s3cret\r\n",
        "user-agent: fleet/1\r\n",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

/// RFC 9113, 6.5.2: a connection has room for a hundred, so no watch is ever waited for.
#[tokio::test]
async fn watches_and_calls_share_connections() {
    let (port, ca, [connections, accepted]) = modern_site().await;
    let spec = ConnectionSpec::new(&format!("https://127.0.0.1:{port}"))
        .unwrap()
        .ca_bundle(ca.as_bytes())
        .checks(TlsChecks::without(&[TlsValidation::SubjectName]).unwrap());
    let client = HttpsConnect.connect(&spec).unwrap();
    let ask = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let mut lines = client.request_stream(request).await.unwrap().lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), "ok");
        lines
    };
    let burst = futures::future::join_all((0..40).map(|_| ask("/healthz"))).await;
    drop(burst);
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "one call goes ahead");
    let mut watches = Vec::new();
    for (number, expected) in [(63, 1), (64, 2), (1, 3)] {
        for _ in 0..number {
            watches.push(ask("/api/v1/configmaps?watch=true").await);
        }
        drop(ask("/healthz").await);
        assert_eq!(connections.load(Ordering::SeqCst), expected);
    }
    watches.truncate(1);
    let closed = async {
        while connections.load(Ordering::SeqCst) > 1 {
            // The next call notices that the other lines are not needed any more.
            drop(ask("/healthz").await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_kubeconfig_leads_to_the_same_connections() {
    let (port, ca, [connections, _]) = modern_site().await;
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.tls_server_name = Some("east.test".to_owned());
    let unknown = https_client(&config).unwrap();
    let request = || http::Request::get("/healthz").body(Vec::new()).unwrap();
    let error = unknown.request_text(request()).await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
    let der = CertificateDer::pem_slice_iter(ca.as_bytes()).map(|der| der.unwrap().to_vec());
    config.root_cert = Some(der.collect());
    let client = https_client(&config).unwrap();
    assert_eq!(client.request_text(request()).await.unwrap(), "ok\n");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    config.tls_server_name = Some("not a name".to_owned());
    assert!(https_client(&config).is_err());
}

#[tokio::test]
async fn a_wrong_name_and_an_unknown_authority_are_refused() {
    let site = site().await;
    let endpoint = format!("https://127.0.0.1:{}", site.port);
    let spec = ConnectionSpec::new(&endpoint).unwrap();
    let named = ask(spec.clone().ca_bundle(site.ca.as_bytes()))
        .await
        .unwrap_err();
    assert!(named.contains("NotValidForName"), "{named}");
    let unknown = ask(spec).await.unwrap_err();
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    assert!(site.seen.lock().unwrap().is_empty());
}

/// informer I11: the proxy is used whatever is checked.
#[tokio::test]
async fn a_proxy_is_used_with_every_choice_of_checks() {
    let site = site().await;
    let (address, seen) = proxy().await;
    for disabled in [
        &[][..],
        &[TlsValidation::ValidityPeriod],
        &[TlsValidation::All],
    ] {
        let spec = ConnectionSpec::new(&format!("https://east.test:{}", site.port))
            .unwrap()
            .ca_bundle(site.ca.as_bytes())
            .checks(TlsChecks::without(disabled).unwrap())
            .proxy(&format!("http://user:p%40ss@{address}"))
            .unwrap();
        assert_eq!(ask(spec).await.as_deref(), Ok("ok"), "{disabled:?}");
    }
    let requests = seen.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert!(request.starts_with("CONNECT east.test:"), "{request}");
        // user:p@ss
        assert!(
            request
                .to_lowercase()
                .contains("proxy-authorization: basic dxnlcjpwqhnz"),
            "{request}"
        );
    }
}
