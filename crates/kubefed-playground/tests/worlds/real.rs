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
use kubefed_testing::{ApiServer, Suite};
use relay::Relay;
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
            let stage = Stage::take().await?;
            let relay = &stage.clusters.members[0].relay;
            servers::watch_that_cannot_be_resumed(&stage.fleet, relay).await
        })
        .test("a_token_expires", || async {
            servers::token_that_expires(&Stage::take().await?.fleet).await
        })
        .run()
}

/// A playground on the shared clusters, which nobody else uses meanwhile.
struct Stage {
    fleet: Playground<RealCluster>,
    clusters: MutexGuard<'static, Clusters>,
}

struct Clusters {
    host: RealCluster,
    members: Vec<Member>,
}

/// A member, and the relay through which the control plane alone reaches it.
struct Member {
    cluster: RealCluster,
    relay: Relay,
    token: String,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Stage {
    async fn take() -> Result<Self, Failure> {
        static CLUSTERS: OnceCell<Mutex<Clusters>> = OnceCell::const_new();
        let start = async || Clusters::start().await.map(Mutex::new);
        let clusters = CLUSTERS.get_or_try_init(start).await?.lock().await;
        // Probes of real servers that share two processors with this test need more time.
        let probes = HealthCheck {
            period: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            thresholds: Thresholds::new(2, 1),
        };
        let options = PlaygroundOptions::default().health_check(probes);
        let joining = |member: &Member| {
            member
                .cluster
                .joining(member.relay.address(), &member.token)
        };
        let members = clusters.members.iter().map(joining).collect();
        let host = clusters.host.clone();
        let fleet = Playground::on(options, host, members, HttpsConnect).await?;
        fleet.settle(scenarios::PATIENCE).await?;
        Ok(Self { fleet, clusters })
    }
}

impl Clusters {
    async fn start() -> Result<Self, Failure> {
        let names = ["host", "member-1", "member-2", "member-3"];
        let start = async |name| {
            let server = ApiServer::builder()
                .name(name)
                .controllers()
                .start()
                .await?;
            let user = serde_json::to_value(&server.kubeconfig().auth_infos[0].auth_info)?;
            let token = user["token"].as_str().unwrap_or_default().to_owned();
            let cluster = RealCluster::of(server)?;
            let relay = Relay::to(cluster.address()).await?;
            Ok::<_, Failure>(Member {
                cluster,
                relay,
                token,
            })
        };
        let mut members = futures::future::try_join_all(names.map(start)).await?;
        Ok(Self {
            host: members.remove(0).cluster,
            members,
        })
    }
}
