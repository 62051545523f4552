//! What any Kubernetes API server does, as scenarios over a [`kube::Client`].
//!
//! A scenario knows nothing of the simulator: it gets a client and a namespace of its own, and works
//! the same against a real server.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

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

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::Config;
use kubefed_sim::{Cluster, ClusterOptions, Effect, Fault, Network};
use world::{Host, Reviewer, Serve, Served, World};

#[test]
fn the_simulated_api_server_conforms() {
    let mut failures = Vec::new();
    let scenarios = [list::scenarios(), history::SCENARIOS.to_vec()].concat();
    for (index, (name, scenario)) in scenarios.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let cluster = Cluster::with_options(ClusterOptions::new("conformance").rbac());
            let namespace = format!("scenario-{index}");
            let world = World::new(host(&cluster)?, &namespace).await?;
            world.run(scenario).await
        });
        if let Err(error) = outcome {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} scenarios failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn host(cluster: &Cluster) -> anyhow::Result<Host> {
    let network = Network::new();
    network.attach(cluster);
    let mut config = Config::new("https://conformance.sim".parse()?);
    config.auth_info.token = Some("nonsense".to_owned().into());
    let forgetful = cluster.clone();
    Ok(Host {
        client: cluster.client(),
        stranger: network.client(&config)?,
        serve: serve(cluster),
        forget: Rc::new(move || {
            forgetful.inject(Fault::new(Effect::Compact));
            async { Ok(()) }.boxed_local()
        }),
    })
}

/// Serves webhooks under a host name each, in process.
fn serve(cluster: &Cluster) -> Serve {
    let cluster = cluster.clone();
    Rc::new(move |reviewer| {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let host = format!("webhook-{}.sim", COUNT.fetch_add(1, Ordering::Relaxed));
        let url = format!("https://{host}/");
        let service = tower::service_fn(move |request| review(request, reviewer.clone()));
        cluster.serve_webhooks(host, service);
        let served = Served {
            url,
            authority: String::new(),
            _server: None,
        };
        async { Ok(served) }.boxed_local()
    })
}

async fn review(
    request: Request<Full<Bytes>>,
    reviewer: Reviewer,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await?.to_bytes();
    let review = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Response::new(reviewer(review).await.to_string().into()))
}
