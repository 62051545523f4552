//! Simulated clusters behind real HTTP: an in-memory pipe for each connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::cluster::{Cluster, Shared};
use crate::fault::Effect;
use crate::service::Endpoint;

/// What a pipe holds in each direction before its writer has to wait, in bytes: a usual socket buffer.
const PIPE_BYTES: usize = 64 * 1024;

/// A network on which clusters are found by host name.
///
/// Clients connect through an in-memory pipe and speak HTTP/1.1 over it, so that base URI, bearer
/// token, HTTP errors and lost connections are real. A cluster called `member-1` answers at
/// `https://member-1.sim`; there is no TLS below.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube::api::{Api, ListParams};
/// use kubefed_sim::{Cluster, Network};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::new("member-1");
/// let network = Network::new();
/// network.attach(&cluster);
/// let mut config = kube::Config::new("https://member-1.sim".parse()?);
/// config.auth_info.token = Some(cluster.admin_token().into());
/// let api: Api<Namespace> = Api::all(network.client(&config)?);
/// assert_eq!(api.list(&ListParams::default()).await?.items[0].metadata.name.as_deref(), Some("default"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Network {
    clusters: Arc<Mutex<BTreeMap<String, Cluster>>>,
}

impl Network {
    /// A network without clusters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a cluster reachable at `https://NAME.sim`.
    pub fn attach(&self, cluster: &Cluster) {
        self.lock()
            .insert(format!("{}.sim", cluster.name()), cluster.clone());
    }

    /// Takes a cluster off the network: new connections to it find no host. Open ones go on.
    pub fn detach(&self, cluster: &Cluster) {
        self.lock().remove(&format!("{}.sim", cluster.name()));
    }

    /// A client with the URL and the credentials of a configuration. Its TLS and time-out fields
    /// have no meaning here.
    ///
    /// # Errors
    /// Where kube cannot make the credentials into a layer, for example a token file that cannot be
    /// read.
    ///
    /// # Panics
    /// Outside a tokio runtime, as every [`kube::Client`] does.
    pub fn client(&self, config: &Config) -> kube::Result<Client> {
        let connector = Connector {
            network: self.clone(),
        };
        let http: HttpClient<Connector, Body> =
            HttpClient::builder(TokioExecutor::new()).build(connector);
        let service = tower::ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(tower::BoxError::from)
            .service(http);
        Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
    }

    /// What opens the pipes, for HTTP clients of one's own.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector {
            network: self.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Cluster>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens connections to the clusters of a [`Network`], as a connector of hyper-util's client.
#[derive(Clone, Debug)]
pub struct Connector {
    network: Network,
}

impl tower::Service<Uri> for Connector {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Pipe>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or("").to_owned();
        let cluster = self.network.lock().get(&host).cloned();
        Box::pin(async move {
            let cluster = cluster.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}"))
            })?;
            open(&cluster.shared)
        })
    }
}

fn open(shared: &Arc<Shared>) -> io::Result<Pipe> {
    if shared.lock().faults.refuses() {
        return Err(refused());
    }
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    tokio::spawn(serve_connection(Endpoint::checked(shared.clone()), far));
    Ok(Pipe(TokioIo::new(near)))
}

/// Serves one connection until either side closes it or a fault cuts it.
pub(crate) async fn serve_connection<S>(endpoint: Endpoint, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = endpoint.shared();
    let opened = shared.lock().faults.cut;
    let service = TowerToHyperService::new(endpoint);
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let cut = async {
        loop {
            let mut changed = std::pin::pin!(shared.faults_changed.notified());
            changed.as_mut().enable();
            if shared.lock().faults.cut != opened {
                return;
            }
            changed.await;
        }
    };
    // Either the client went away, or the stream is dropped, which it sees as a broken connection.
    futures::future::select(std::pin::pin!(cut), std::pin::pin!(connection)).await;
}

pub(crate) fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, Effect::Refuse.words())
}

pub(crate) fn reset(effect: &Effect) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, effect.words())
}

/// The client's end of a connection to a simulated cluster.
#[derive(Debug)]
pub struct Pipe(TokioIo<DuplexStream>);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
