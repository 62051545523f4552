//! Admission webhooks of a test's own.

use std::{convert::Infallible, future::Future, io, net::Ipv4Addr, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_rustls::TlsAcceptor;

use crate::{Error, credentials::Serving, error::Kind};

/// An HTTPS server on loopback that answers admission reviews. Dropping it ends it.
#[derive(Debug)]
pub struct WebhookServer {
    url: String,
    authority: String,
    task: AbortHandle,
}

impl WebhookServer {
    /// Starts a server that answers every JSON document posted to it with what `answer` makes of it.
    ///
    /// # Errors
    ///
    /// When no port can be bound or no certificate be made.
    pub async fn start<A, F>(answer: A) -> Result<Self, Error>
    where
        A: Fn(Value) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Value> + Send + 'static,
    {
        let serving = Serving::new("webhook", "server")?;
        let acceptor = acceptor(&serving).map_err(|source| Kind::System {
            what: "read the certificate of a webhook",
            source,
        })?;
        let bound = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let (listener, port) = bound.await.map_err(|source| Kind::System {
            what: "bind a port for a webhook",
            source,
        })?;
        Ok(Self {
            url: format!("https://127.0.0.1:{port}/"),
            authority: serving.authority,
            task: tokio::spawn(serve(listener, acceptor, answer)).abort_handle(),
        })
    }

    /// For `clientConfig.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate, in PEM, that `clientConfig.caBundle` has to name, in base64.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for WebhookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(serving: &Serving) -> io::Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_slice(serving.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(serving.key.as_bytes());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.map_err(io::Error::other)?],
            key.map_err(io::Error::other)?,
        )
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve<A, F>(listener: TcpListener, acceptor: TlsAcceptor, answer: A)
where
    A: Fn(Value) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Value> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            // Who breaks off has the error on its own side.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| reply(request, answer.clone()));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

async fn reply<A, F>(
    request: Request<Incoming>,
    answer: A,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    A: Fn(Value) -> F,
    F: Future<Output = Value>,
{
    let body = request.into_body().collect().await;
    let text = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut response = match serde_json::from_slice(&text) {
        Ok(document) => Response::new(answer(document).await.to_string().into()),
        Err(error) => {
            let mut response = Response::new(error.to_string().into());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    };
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}
