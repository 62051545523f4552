//! Watches one kind in a fleet of Kubernetes clusters.
//!
//! In the order in which data meets them:
//!
//! - A [`ClusterProvider`] knows which clusters there are: [`KubeFedClusters`] with their Secrets,
//!   [`KubeconfigContexts`], or [`StaticClusters`].
//! - [`Connect`] makes a client from a [`ConnectionSpec`].
//! - A [`Fleet`] connects to the clusters, probes them and tells their [`Health`] and their changes.
//! - A [`FederatedInformer`] watches one kind in every ready cluster of a fleet; an [`Informer`] in one
//!   cluster, such as the host.
//! - A [`FederatedStore`] tells what is where: present, absent, or unknown and why.
//! - A [`Subscription`] tells where to look again.
//!
//! It only reads. It writes to no cluster, the status of KubeFedClusters included (see
//! [`Health::status`] for what to write); it knows nothing of placement; it elects no leader and runs no
//! reconciliation. It does not follow members through other APIs than the core ones: what a cluster
//! serves is not discovered.
//!
//! ```
//! use kubefed_informer::k8s_openapi::api::core::v1::ConfigMap;
//! use kubefed_informer::{
//!     ClusterSpec, FederatedInformer, Fleet, FleetConfig, NoConnect, ObservedCopy, QualifiedName,
//!     StaticClusters, WatchSpec,
//! };
//! # use kubefed_informer::kube::{Client, client::Body};
//! # /// A cluster of which only the answers are there.
//! # fn cluster(names: &'static [&'static str]) -> Client {
//! #     let answer = move |request: http::Request<Body>| async move {
//! #         let watch = request.uri().query().unwrap_or_default().contains("watch=true");
//! #         if watch {
//! #             std::future::pending::<()>().await;
//! #         }
//! #         let item = |name| serde_json::json!({"metadata": {"name": name, "namespace": "shop"}});
//! #         let list = serde_json::json!({
//! #             "metadata": {"resourceVersion": "1"},
//! #             "items": names.iter().map(item).collect::<Vec<_>>(),
//! #         });
//! #         let text = match request.uri().path() {
//! #             "/healthz" => "ok".to_owned(),
//! #             "/version" => r#"{"gitVersion": "v1.37.0"}"#.to_owned(),
//! #             _ => list.to_string(),
//! #         };
//! #         Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(text.into_bytes())))
//! #     };
//! #     Client::new(tower::service_fn(answer), "default")
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//!
//! let clusters = StaticClusters::new([
//!     ClusterSpec::new("east", cluster(&["web", "db"])),
//!     ClusterSpec::new("west", cluster(&["web"])),
//! ]);
//! let fleet = Fleet::start(clusters, NoConnect, FleetConfig::default());
//! let maps = FederatedInformer::<ObservedCopy>::start(&fleet, WatchSpec::of_kind::<ConfigMap>());
//! maps.until_synced().await;
//!
//! let holding = |name| maps.store().clusters_holding(&QualifiedName::namespaced("shop", name));
//! assert_eq!(holding("web"), ["east".into(), "west".into()]);
//! assert_eq!(holding("db"), ["east".into()]);
//! assert!(maps.store().get(&"north".into(), &QualifiedName::cluster_scoped("x")).unknown().is_some());
//! # }
//! ```
//!
//! # Features
//!
//! - `tls`: `HttpsConnect` and `https_client`, connections to real clusters. Off by default; simulated
//!   clusters need none.
//!
//! # Guarantees
//!
//! - A broken cluster delays no other: connections, probes, watches, back-offs and limits are for one
//!   cluster each.
//! - Nothing is reported gone out of ignorance: not before a first list, not while a cluster is not
//!   ready, and a cluster itself only when a synced set says so.
//! - No lock is held during I/O; reading a snapshot or a store never waits for a cluster.
//! - Every call has a deadline and nothing is retried in secret; watches are closed by the server once a
//!   minute and by us five seconds later.
//! - Memory is bounded by what is watched: subscribers that do not read cost a fixed amount.
//! - All pauses follow tokio's clock and nothing is random, so a paused clock repeats a run.
//!
//! # What the original promises, and where it is tested
//!
//! Numbers are those of the observable checks and sharp edges of KubeFed's informer and cluster
//! controller, as listed in the documents of this project.
//!
//! | check | test |
//! | --- | --- |
//! | informer 10.1 triggers | `store::additions_changes_and_deletions_are_events_and_repetitions_are_not` |
//! | informer 10.6, I1, I4 an unreachable member | `fleet::a_broken_cluster_delays_no_other` |
//! | informer 10.8, I6 labels | `fleet::a_label_only_relabels` |
//! | informer 10.10, I12 endpoints | `connection::an_endpoint_is_a_url_or_host_and_port` |
//! | informer 10.12, clusters 10.6 to 10.8 probing | `fleet::a_cluster_is_probed_from_joining_to_leaving` |
//! | informer 6.1 malformed | `connection::a_cluster_is_malformed_for_its_first_missing_part` |
//! | informer 6.2, I11 TLS checks, proxy | `verifier::each_check_is_left_out_on_its_own`, `https::a_proxy_is_used_with_every_choice_of_checks` |
//! | informer 6.2 HTTP/2 | `https::watches_and_calls_share_connections`, `https::a_kubeconfig_leads_to_the_same_connections` |
//! | informer I2 tombstones | `fleet::a_missed_deletion_is_noticed` |
//! | informer I3 repair | `fleet::a_secret_that_comes_later_repairs_its_cluster` |
//! | informer I5 deadlines | `fleet::a_call_has_a_deadline` |
//! | informer I9, clusters C3 tokens | `fleet::a_rotated_token_is_taken_up_without_a_new_list` |
//! | informer I10 rate | `fleet::calls_share_a_rate_and_probes_pass` |
//! | informer I13 transitions | `fleet::events_are_real_transitions` |
//! | informer I15 end | `fleet::dropping_the_fleet_ends_everything` |
//! | clusters 4 conditions, C4 | `health::each_outcome_has_its_conditions`, `member::a_refusal_tells_its_status` |
//! | clusters 10.1 to 10.5, C1 thresholds | `health::thresholds_count_contrary_results_in_a_row` |
//! | clusters 10.9 another endpoint | `fleet::another_endpoint_is_another_server` |
//! | clusters C2 writes | `health::a_status_is_written_on_change_and_as_a_heartbeat` |
//! | clusters C5 version | `health::the_version_is_held_with_the_conditions` |
//! | clusters C6 merge | `health::a_status_is_merged_with_the_stored_one` |
//! | clusters C10 restart | `health::the_stored_status_is_where_counting_goes_on` |
//! | clusters 7, C14 malformed | `health::a_malformed_cluster_starts_anew_when_it_is_repaired` |

mod clock;
mod connect;
mod connection;
mod error;
mod federated;
mod feed;
mod fleet;
mod guard;
pub mod health;
#[cfg(feature = "tls")]
mod https;
mod informer;
mod member;
mod observed;
mod provider;
mod received;
mod store;
mod task;

pub use clock::Clock;
pub use connect::{Connect, NoConnect};
pub use connection::{BearerToken, ConnectionSpec, Malformed, SecretToken, TlsChecks};
pub use error::Error;
pub use federated::{FederatedInformer, FederatedStore, Synced};
pub use feed::{Change, Event, Subscription};
pub use fleet::{Cluster, Fleet, FleetConfig, FleetEvent, FleetEvents, FleetSnapshot};
pub use guard::{ClientLimits, Rate, guarded};
pub use health::{ClusterState, Health, HealthCheck, Probe, Thresholds};
#[cfg(feature = "tls")]
pub use https::{HttpsConnect, https_client};
pub use informer::{Informer, KnownScope, WATCH_TIMEOUT_SECS, WatchSpec};
pub use k8s_openapi;
pub use kube;
pub use kubefed_api::{ClusterName, ObservedCopy, QualifiedName};
pub use observed::{Observed, RawObject, Typed};
pub use provider::{
    Access, ClusterProvider, ClusterSet, ClusterSpec, KubeFedClusters, KubeconfigContexts,
    StaticClusters,
};
pub use store::{Lookup, Store, Unknown};
