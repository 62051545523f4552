//! Connections over real sockets: a server on the loopback interface, and a proxy before it.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // In the functions that stand for servers, too.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use kubefed_api::TlsValidation;
use kubefed_informer::{
    BearerToken, ClientLimits, Connect, ConnectionSpec, HttpsConnect, TlsChecks, guarded,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// The requests that a server or proxy has seen, as text.
type Seen = Arc<Mutex<Vec<String>>>;

struct Site {
    port: u16,
    ca: String,
    seen: Seen,
}

/// An API server that says `ok` to everything and shows a certificate for `east.test`.
async fn site() -> Site {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["east.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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
    Site {
        port,
        ca: authority.pem(),
        seen,
    }
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
