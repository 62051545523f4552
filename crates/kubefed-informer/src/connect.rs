//! From a connection's description to a client.

use kube::Client;

use crate::connection::{ConnectionSpec, Malformed};

/// Makes a client for a cluster from the description of its connection.
///
/// This is the seam between the fleet and the network: `HttpsConnect` (feature `tls`) dials real
/// clusters, a simulation hands out clients of servers in the same process. A closure will do.
///
/// The fleet puts its own deadlines and limits around the client, so an implementation adds none; it
/// must not retry either (kube's `default_retry` retries writes, for minutes, where nobody sees it).
///
/// ```
/// use kubefed_informer::{Connect, ConnectionSpec, Malformed};
///
/// fn offline() -> impl Connect {
///     |spec: &ConnectionSpec| Err(Malformed::Rejected(format!("{} is not simulated", spec.endpoint())))
/// }
/// let east = ConnectionSpec::new("https://east.example").unwrap();
/// assert!(offline().connect(&east).is_err());
/// ```
pub trait Connect: Send + Sync + 'static {
    /// Makes a client. It is called within a tokio runtime, must not block, and need not reach the
    /// server: that is what probes are for.
    ///
    /// # Errors
    ///
    /// No client can be made from this description, for example because the CA bundle holds no
    /// certificate. The cluster then counts as malformed until its description changes.
    fn connect(&self, spec: &ConnectionSpec) -> Result<Client, Malformed>;
}

impl<F> Connect for F
where
    F: Fn(&ConnectionSpec) -> Result<Client, Malformed> + Send + Sync + 'static,
{
    fn connect(&self, spec: &ConnectionSpec) -> Result<Client, Malformed> {
        self(spec)
    }
}

/// Connects to nothing, for providers whose clusters come with a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoConnect;

impl Connect for NoConnect {
    fn connect(&self, spec: &ConnectionSpec) -> Result<Client, Malformed> {
        let endpoint = spec.endpoint();
        Err(Malformed::Rejected(format!(
            "nothing connects to {endpoint} here"
        )))
    }
}
