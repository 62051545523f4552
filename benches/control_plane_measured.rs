//! The program that `control_plane` measures: the control plane of a production with nothing else in it.
//!
//! `control_plane` builds it for itself. It is given what a pod has of its service account: the endpoint of
//! the host, and the files with its certificate authority and the token. It ends when its standard input
//! does.

use std::os::fd::AsFd;

use kubefed_controllers::{ControlPlane, Options};
use kubefed_informer::{BearerToken, Clock, Connect, ConnectionSpec, FleetConfig, HttpsConnect};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [endpoint, authority, token] = &arguments[..] else {
        return Err("expected ENDPOINT AUTHORITY-FILE TOKEN-FILE".into());
    };
    let host = ConnectionSpec::new(endpoint)?
        .ca_bundle(std::fs::read(authority)?)
        .token(BearerToken::new(std::fs::read_to_string(token)?));
    let host = HttpsConnect.connect(&host)?;
    let (options, fleet) = (Options::default(), FleetConfig::default());
    let control_plane = ControlPlane::start(host, HttpsConnect, options, fleet, Clock::system());
    let mut stdin = tokio::net::unix::pipe::Receiver::from_owned_fd(
        std::io::stdin().as_fd().try_clone_to_owned()?,
    )?;
    tokio::io::copy(&mut stdin, &mut tokio::io::sink()).await?;
    control_plane.stop().await;
    Ok(())
}
