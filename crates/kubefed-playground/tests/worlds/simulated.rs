//! The scenarios for a host and members of any kind, on simulated clusters and a paused clock.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod scenarios;

use kubefed_playground::{Playground, PlaygroundOptions};
use scenarios::Outcome;

async fn fleet() -> Playground {
    Playground::start(PlaygroundOptions::default())
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_tour() -> Outcome {
    scenarios::tour(&fleet().await).await
}

#[tokio::test(start_paused = true)]
async fn a_member_is_lost_in_mid_propagation() -> Outcome {
    scenarios::member_lost_in_mid_propagation(&fleet().await).await
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_known_to_one_member_only() -> Outcome {
    scenarios::kind_of_one_member(&mut fleet().await).await
}
