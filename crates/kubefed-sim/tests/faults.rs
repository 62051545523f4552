//! Every fault does what it says, directly and over a pipe.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Config, Error};
use kubefed_sim::{Cluster, ClusterOptions, Effect, Fault, Network, Verb};
use tokio::time::{Instant, timeout};

/// Two ways to the same cluster; a fault must show on both.
async fn on_both(test: impl AsyncFn(&Cluster, Client)) {
    let cluster = Cluster::new("member-1");
    test(&cluster, cluster.client()).await;
    let cluster = Cluster::new("member-1");
    let network = Network::new();
    network.attach(&cluster);
    test(&cluster, piped(&network, &cluster.admin_token())).await;
}

fn piped(network: &Network, token: &str) -> Client {
    let mut config = Config::new("https://member-1.sim".parse().unwrap());
    config.auth_info.token = Some(token.to_owned().into());
    network.client(&config).unwrap()
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::default_namespaced(client)
}

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

async fn create(client: &Client, name: &str) -> Result<ConfigMap, Error> {
    maps(client.clone())
        .create(&PostParams::default(), &map(name))
        .await
}

fn code(result: &Result<ConfigMap, Error>) -> Option<u16> {
    match result {
        Err(Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

fn is_lost<T>(result: &Result<T, Error>) -> bool {
    matches!(
        result,
        Err(Error::Service(_) | Error::HyperError(_) | Error::ReadEvents(_))
    )
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_an_error_of_the_connection() {
    on_both(async |cluster, client| {
        create(&client, "a").await.unwrap();
        let fault = cluster.inject(Fault::new(Effect::Refuse));
        assert!(is_lost(&create(&client, "b").await));
        assert!(cluster.lift(fault));
        create(&client, "c").await.unwrap();
        assert!(cluster.object("configmaps", Some("default"), "b").is_none());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_cluster_answers_when_it_is_thawed() {
    on_both(async |cluster, client| {
        let fault = cluster.inject(Fault::new(Effect::Freeze));
        let mut request = Box::pin(create(&client, "a"));
        assert!(
            timeout(Duration::from_secs(3600), &mut request)
                .await
                .is_err()
        );
        cluster.lift(fault);
        request.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_delayed() {
    on_both(async |cluster, client| {
        cluster.inject(Fault::new(Effect::Delay(Duration::from_secs(7))).times(1));
        let start = Instant::now();
        create(&client, "a").await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 7);
        create(&client, "b").await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 7);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn codes_are_answered_as_often_as_asked_and_only_where_asked() {
    on_both(async |cluster, client| {
        let effect = Effect::Status {
            code: 429,
            retry_after_seconds: 3,
        };
        cluster.inject(
            Fault::new(effect)
                .verb(Verb::Create)
                .resource("configmaps")
                .skip(1)
                .times(2),
        );
        create(&client, "a").await.unwrap();
        for _ in 0..2 {
            let refused = create(&client, "b").await;
            assert_eq!(code(&refused), Some(429));
            maps(client.clone()).get("a").await.unwrap();
        }
        create(&client, "b").await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_has_no_effect_and_a_lost_answer_has() {
    on_both(async |cluster, client| {
        cluster.inject(Fault::new(Effect::LoseRequest).writes().times(1));
        assert!(is_lost(&create(&client, "a").await));
        assert!(cluster.object("configmaps", Some("default"), "a").is_none());
        cluster.inject(Fault::new(Effect::LoseAnswer).writes().times(1));
        assert!(is_lost(&create(&client, "b").await));
        assert!(cluster.object("configmaps", Some("default"), "b").is_some());
        let codes: Vec<_> = cluster
            .requests()
            .iter()
            .map(|request| request.code)
            .collect();
        assert_eq!(codes, [None, None]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_takes_effect_twice() {
    on_both(async |cluster, client| {
        cluster.inject(Fault::new(Effect::Repeat).times(1));
        assert_eq!(code(&create(&client, "a").await), Some(409));
        assert!(cluster.object("configmaps", Some("default"), "a").is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_is_no_object() {
    on_both(async |cluster, client| {
        create(&client, "a").await.unwrap();
        cluster.inject(Fault::new(Effect::Truncate).times(1));
        assert!(maps(client.clone()).get("a").await.is_err());
        maps(client).get("a").await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn stale_reads_show_the_past() {
    on_both(async |cluster, client| {
        cluster.settled().await;
        create(&client, "a").await.unwrap();
        create(&client, "b").await.unwrap();
        let fault = cluster.inject(Fault::new(Effect::Stale(1)));
        let api = maps(client.clone());
        assert!(api.get_opt("b").await.unwrap().is_none());
        assert!(api.get_opt("a").await.unwrap().is_some());
        let list = api.list(&ListParams::default()).await.unwrap();
        assert!(
            list.iter()
                .all(|map| map.metadata.name.as_deref() != Some("b"))
        );
        cluster.lift(fault);
        assert!(api.get_opt("b").await.unwrap().is_some());
    })
    .await;
}

/// The names of the events that arrive within a virtual minute, and whether the watch broke.
async fn watched(
    client: &Client,
    since: &str,
    during: impl AsyncFnOnce(),
) -> (Vec<String>, &'static str) {
    let api = maps(client.clone());
    let params = WatchParams::default().timeout(50);
    let mut events = api.watch(&params, since).await.unwrap().boxed();
    during().await;
    let mut names = Vec::new();
    loop {
        match timeout(Duration::from_secs(60), events.try_next()).await {
            Err(_) => return (names, "silent"),
            Ok(Err(_)) => return (names, "broken"),
            Ok(Ok(None)) => return (names, "ended"),
            Ok(Ok(Some(WatchEvent::Added(map) | WatchEvent::Modified(map)))) => {
                names.extend(map.metadata.name);
            }
            Ok(Ok(Some(WatchEvent::Error(status)))) => names.push(status.code.to_string()),
            Ok(Ok(Some(_))) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn watches_end_break_and_fall_silent() {
    on_both(async |cluster, client| {
        cluster.settled().await;
        let since = async || cluster.resource_version().to_string();
        for (name, effect, end) in [
            ("a", Effect::EndWatches, "ended"),
            ("b", Effect::CutConnections, "broken"),
            ("c", Effect::Refuse, "broken"),
            ("d", Effect::Freeze, "silent"),
        ] {
            let (names, how) = watched(&client, &since().await, async || {
                tokio::time::sleep(Duration::from_millis(1)).await;
                cluster.inject(Fault::new(effect));
            })
            .await;
            cluster.lift_all();
            // kube takes the end of a connection amid a body for the end of the watch.
            let how = if end == "broken" && how == "ended" {
                "broken"
            } else {
                how
            };
            assert_eq!((names.len(), how), (0, end), "{name}");
        }
        let (names, how) = watched(&client, &since().await, async || {
            create(&client, "a").await.unwrap();
        })
        .await;
        assert_eq!((names, how), (vec!["a".to_owned()], "ended"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn compacted_history_is_gone() {
    on_both(async |cluster, client| {
        cluster.settled().await;
        let since = cluster.resource_version().to_string();
        create(&client, "a").await.unwrap();
        cluster.inject(Fault::new(Effect::Compact));
        let (names, _) = watched(&client, &since, async || {}).await;
        assert_eq!(names, ["410"]);
        let page = ListParams::default().limit(1);
        let page = maps(client.clone()).list(&page).await.unwrap();
        create(&client, "b").await.unwrap();
        cluster.inject(Fault::new(Effect::Compact));
        let token = page.metadata.continue_.unwrap();
        let rest = ListParams::default().limit(9).continue_token(&token);
        let Err(Error::Api(status)) = maps(client.clone()).list(&rest).await else {
            panic!("a page of the past")
        };
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn events_can_be_late_but_not_out_of_order() {
    on_both(async |cluster, client| {
        cluster.settled().await;
        cluster.inject(Fault::new(Effect::DelayEvents(Duration::from_secs(20))));
        let since = cluster.resource_version().to_string();
        let start = Instant::now();
        let mut events = maps(client.clone())
            .watch(&WatchParams::default(), &since)
            .await
            .unwrap()
            .boxed();
        create(&client, "a").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        create(&client, "b").await.unwrap();
        for (name, seconds) in [("a", 20), ("b", 25)] {
            let Some(WatchEvent::Added(map)) = events.try_next().await.unwrap() else {
                panic!("not added")
            };
            assert_eq!(
                (map.metadata.name.as_deref(), start.elapsed().as_secs()),
                (Some(name), seconds)
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_known_tokens_are_let_in() {
    let cluster = Cluster::new("member-1");
    let network = Network::new();
    network.attach(&cluster);
    let token = cluster.admin_token();
    create(&piped(&network, &token), "a").await.unwrap();
    assert_eq!(
        code(&create(&piped(&network, "wrong"), "b").await),
        Some(401)
    );
    let anonymous = network
        .client(&Config::new("https://member-1.sim".parse().unwrap()))
        .unwrap();
    assert_eq!(code(&create(&anonymous, "b").await), Some(401));
    anonymous.apiserver_version().await.unwrap();
    cluster.inject(Fault::new(Effect::RevokeToken(token.clone())));
    assert_eq!(
        code(&create(&piped(&network, &token), "b").await),
        Some(401)
    );
    let elsewhere = network
        .client(&Config::new("https://member-2.sim".parse().unwrap()))
        .unwrap();
    assert!(is_lost(&create(&elsewhere, "b").await));
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_who_asked_for_what_and_when() {
    let cluster =
        Cluster::with_options(ClusterOptions::new("member-1").latency(Duration::from_millis(250)));
    let client = cluster.client();
    create(&client, "a").await.unwrap();
    let patch = Patch::Merge(serde_json::json!({ "data": { "k": "v" } }));
    maps(client.clone())
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    maps(client.clone())
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let _ = Api::<Namespace>::all(client).get_opt("none").await.unwrap();
    let lines: Vec<String> = cluster
        .requests()
        .iter()
        .map(|r| format!("{:?} {} {} {:?}", r.at, r.verb.as_str(), r.resource, r.code))
        .collect();
    assert_eq!(
        lines,
        [
            "250ms create configmaps Some(201)",
            "500ms patch configmaps Some(200)",
            "750ms delete configmaps Some(200)",
            "1s get namespaces Some(404)",
        ]
    );
    assert_eq!(
        cluster.request_counts()[&(Verb::Create, "configmaps".to_owned())],
        1
    );
}

/// A few clients at once, a fault, and the cluster's own loops.
fn run(seed: u64) -> (u64, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let cluster = Cluster::with_options(ClusterOptions::new("member-1").seed(seed));
        let client = cluster.client();
        cluster.inject(Fault::status(503).writes().skip(7).times(3));
        let writers = (0..5).map(|writer| {
            let client = client.clone();
            async move {
                for round in 0..5 {
                    tokio::time::sleep(Duration::from_millis(7 * writer + 1)).await;
                    let mut map = map("");
                    map.metadata =
                        serde_json::from_value(serde_json::json!({ "generateName": "x-" }))
                            .unwrap();
                    map.data = Some([("round".to_owned(), round.to_string())].into());
                    let _ = maps(client.clone())
                        .create(&PostParams::default(), &map)
                        .await;
                }
            }
        });
        futures::future::join_all(writers).await;
        cluster.settled().await;
        (
            cluster.trace(),
            serde_json::to_string(&cluster.objects("configmaps")).unwrap(),
        )
    })
}

#[test]
fn the_same_seed_and_requests_give_the_same_trace_and_objects() {
    let first = run(7);
    assert_eq!(run(7), first);
    assert_ne!(run(8).1, first.1);
}
