//! The scenarios for a host and members of any kind, on real API servers, and what only those can do.
//!
//! One host and three members are started once and shared, one scenario after the other.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod cluster;
mod kubelet;
mod mirror;
mod relay;
mod scenarios;
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use cluster::RealCluster;
use kubefed_informer::{HealthCheck, HttpsConnect, Thresholds};
use kubefed_playground::{Playground, PlaygroundOptions};
use kubefed_testing::Suite;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

fn main() -> ExitCode {
    Suite::new()
        .test("the_tour", || async {
            scenarios::tour(&Stage::take().await?.fleet).await
        })
        .test("a_member_is_lost_in_mid_propagation", || async {
            scenarios::member_lost_in_mid_propagation(&Stage::take().await?.fleet).await
        })
        .test("a_kind_is_known_to_one_member_only", || async {
            scenarios::kind_of_one_member(&mut Stage::take().await?.fleet).await
        })
        .test("a_member_is_restored_from_a_backup", || async {
            servers::member_restored_from_a_backup(&Stage::take().await?.fleet).await
        })
        .test("a_watch_cannot_be_resumed", || async {
            servers::watch_that_cannot_be_resumed(&Stage::take().await?.fleet).await
        })
        .test("a_token_expires", || async {
            servers::token_that_expires(&Stage::take().await?.fleet).await
        })
        .run()
}

/// A playground on the shared clusters, which nobody else uses meanwhile.
struct Stage {
    fleet: Playground<RealCluster>,
    _turn: MutexGuard<'static, ()>,
}

struct Clusters {
    host: RealCluster,
    members: Vec<RealCluster>,
    turn: Mutex<()>,
}

impl Stage {
    async fn take() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        static CLUSTERS: OnceCell<Clusters> = OnceCell::const_new();
        let clusters = CLUSTERS.get_or_try_init(Clusters::start).await?;
        let turn = clusters.turn.lock().await;
        // Probes of real servers that share two processors with this test need more time.
        let probes = HealthCheck {
            period: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            thresholds: Thresholds::new(2, 1),
        };
        let options = PlaygroundOptions::default().health_check(probes);
        let members = clusters.members.iter().map(RealCluster::joining).collect();
        let host = clusters.host.clone();
        let fleet = Playground::on(options, host, members, HttpsConnect).await?;
        fleet.settle(scenarios::PATIENCE).await?;
        Ok(Self { fleet, _turn: turn })
    }
}

impl Clusters {
    async fn start() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let names = ["host", "member-1", "member-2", "member-3"];
        let mut clusters = futures::future::try_join_all(names.map(RealCluster::start)).await?;
        Ok(Self {
            host: clusters.remove(0),
            members: clusters,
            turn: Mutex::default(),
        })
    }
}
