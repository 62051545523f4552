//! The scenarios of the conformance suite beside a real API server. A difference is a bug of the
//! simulator.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
#[cfg(feature = "cel")]
mod cel;
mod collections;
mod custom;
mod deletion;
mod discovery;
mod history;
mod list;
mod objects;
mod patches;
mod schemas;
mod watches;
mod webhooks;
mod world;

use std::rc::Rc;

use futures::FutureExt as _;
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};
use kubefed_testing::{ApiServer, Suite, WebhookServer};
use tokio::sync::Mutex;
use world::{Forget, Host, Serve, Served, World};

fn main() -> std::process::ExitCode {
    let mut suite = Suite::new();
    for (index, (name, scenario)) in list::scenarios().into_iter().enumerate() {
        suite = suite.test(name, move || async move {
            let server = Suite::shared_server().await?;
            let host = host(server, Rc::new(|| panic!("this server is shared"))).await?;
            let world = World::new(host, &format!("scenario-{index}")).await?;
            world.run(scenario).await.map_err(Into::into)
        });
    }
    for (name, scenario) in history::SCENARIOS {
        suite = suite.test(*name, move || async move {
            let server = ApiServer::builder().name(*name).start().await?;
            let server = Rc::new(Mutex::new(server));
            let forgetful = server.clone();
            let forget: Forget = Rc::new(move || forget(forgetful.clone()).boxed_local());
            let host = host(&*server.lock().await, forget).await?;
            let world = World::new(host, "scenario").await?;
            world.run(*scenario).await.map_err(Into::into)
        });
    }
    suite.run()
}

async fn host(server: &ApiServer, forget: Forget) -> anyhow::Result<Host> {
    let mut kubeconfig = server.kubeconfig().clone();
    for user in &mut kubeconfig.auth_infos {
        user.auth_info = Some(AuthInfo {
            token: Some("nonsense".to_owned().into()),
            ..AuthInfo::default()
        });
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Host {
        client: server.client(),
        stranger: Client::try_from(config)?,
        serve: serve(),
        forget,
    })
}

/// Neither etcd nor the API server knows any event from before.
async fn forget(server: Rc<Mutex<ApiServer>>) -> anyhow::Result<()> {
    let mut server = server.lock().await;
    server.compact().await?;
    Ok(server.restart().await?)
}

/// Serves webhooks on loopback, over TLS.
fn serve() -> Serve {
    Rc::new(|reviewer| {
        async move {
            let server = WebhookServer::start(move |review| reviewer(review)).await?;
            Ok(Served {
                url: server.url().to_owned(),
                authority: server.authority().to_owned(),
                _server: Some(server),
            })
        }
        .boxed_local()
    })
}
