//! The scenarios of the conformance suite beside a real API server. A difference is a bug of the
//! simulator.

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

use kubefed_testing::Suite;

fn main() -> std::process::ExitCode {
    let mut suite = Suite::new();
    for (index, (name, scenario)) in list::scenarios().into_iter().enumerate() {
        suite = suite.test(name, move || async move {
            let server = Suite::shared_server().await?;
            let world = world::World::new(server.client(), &format!("scenario-{index}")).await?;
            world.run(scenario).await.map_err(Into::into)
        });
    }
    suite.run()
}
