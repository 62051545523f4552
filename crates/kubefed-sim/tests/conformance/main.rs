//! What any Kubernetes API server does, as scenarios over a [`kube::Client`].
//!
//! A scenario knows nothing of the simulator: it gets a client and a namespace of its own, and works
//! the same against a real server.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod collections;
mod custom;
mod deletion;
mod discovery;
mod list;
mod objects;
mod patches;
mod schemas;
mod watches;
mod world;

use world::World;

#[test]
fn the_simulated_api_server_conforms() {
    let mut failures = Vec::new();
    for (index, (name, scenario)) in list::scenarios().into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let cluster = kubefed_sim::Cluster::new("conformance");
            let world = World::new(cluster.client(), &format!("scenario-{index}")).await?;
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
