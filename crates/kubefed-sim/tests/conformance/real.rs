//! The scenarios of the conformance suite beside a real API server. A difference is a bug of the
//! simulator.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod access;
#[cfg(feature = "cel")]
mod cel;
mod collections;
mod custom;
mod deletion;
mod discovery;
mod list;
mod objects;
mod patches;
mod schemas;
mod watches;
mod webhooks;
mod world;

use std::rc::Rc;

use futures::FutureExt as _;
use kubefed_testing::{Suite, WebhookServer};
use world::{Serve, Served, World};

fn main() -> std::process::ExitCode {
    let mut suite = Suite::new();
    for (index, (name, scenario)) in list::scenarios().into_iter().enumerate() {
        suite = suite.test(name, move || async move {
            let server = Suite::shared_server().await?;
            let world = World::new(server.client(), &format!("scenario-{index}"), serve()).await?;
            world.run(scenario).await.map_err(Into::into)
        });
    }
    suite.run()
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
