//! The program that `control_plane` measures: the control plane of a production with nothing else in it.
//!
//! `control_plane` builds it for itself. It is given the kubeconfig of the host, and ends when its
//! standard input does.

use std::os::fd::AsFd;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kubefed_controllers::{ControlPlane, Options};
use kubefed_informer::{Clock, FleetConfig, HttpsConnect, https_client};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let kubeconfig = std::env::args_os()
        .nth(1)
        .ok_or("the kubeconfig is missing")?;
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let host = https_client(&config)?;
    let (options, fleet) = (Options::default(), FleetConfig::default());
    let control_plane = ControlPlane::start(host, HttpsConnect, options, fleet, Clock::system());
    let mut stdin = tokio::net::unix::pipe::Receiver::from_owned_fd(
        std::io::stdin().as_fd().try_clone_to_owned()?,
    )?;
    tokio::io::copy(&mut stdin, &mut tokio::io::sink()).await?;
    control_plane.stop().await;
    Ok(())
}
