//! How many requests it takes, how quiet a settled world is, and that a dead member delays no other.

use std::collections::BTreeMap;
use std::time::Duration;

use kubefed_playground::kubefed_api::ResourceType;
use kubefed_playground::kubefed_controllers::Options;
use kubefed_playground::kubefed_sim::{Effect, Fault, Verb};
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::scene::*;

/// The control plane's requests since the last time they were forgotten, without lists and watches and
/// without what goes about clusters themselves.
fn requests(playground: &Playground) -> BTreeMap<String, usize> {
    let all = std::iter::once(playground.host()).chain(playground.members().map(|(_, c)| c));
    let mut counts = BTreeMap::new();
    for request in all.flat_map(kubefed_playground::kubefed_sim::Cluster::requests) {
        let reading = matches!(request.verb, Verb::List | Verb::Watch | Verb::NonResource);
        let ours = request.user_agent.starts_with("kubefed");
        if !ours || reading || request.resource.starts_with("kubefedclusters") {
            continue;
        }
        let what = format!("{} {}", request.verb.as_str(), request.resource);
        *counts.entry(what).or_default() += 1;
    }
    counts
}

fn expect(playground: &Playground, expected: &[(&str, usize)]) {
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(what, n)| ((*what).to_owned(), *n))
        .collect();
    assert_eq!(requests(playground), expected);
    forget_requests(playground);
}

// One a copy, and four an object: finalizer with inventory, version object, its status, status. A change
// costs one a copy and two an object; and one a copy to read what the member owns, which is not cached,
// where it owns something: a Deployment's controller annotates it. Each is told in one event.
#[tokio::test(start_paused = true)]
async fn creation_costs_four_requests_and_a_change_two_besides_one_for_each_copy() {
    for clusters in [1, 3, 7] {
        let playground = shop(clusters).await;
        forget_requests(&playground);
        let objects = [
            config_map("settings", &everywhere()),
            deployment("web", &everywhere()),
        ];
        for object in objects {
            let (plural, group) = match object["kind"].as_str().unwrap() {
                "FederatedConfigMap" => ("configmaps", ""),
                _ => ("deployments", ".apps"),
            };
            let federated = format!("federated{plural}.types.kubefed.io");
            place(&playground, [object]).await;
            expect(
                &playground,
                &[
                    (&format!("patch {federated}"), 2),
                    (&format!("create {plural}{group}"), clusters),
                    ("create propagatedversions.core.kubefed.io", 1),
                    ("update propagatedversions.core.kubefed.io", 1),
                    ("create events", 1),
                ],
            );
        }
        let template = |template: Value| json!({"spec": {"template": template}});
        for (kind, resource, change, reads) in [
            (
                "ConfigMap",
                "configmaps",
                json!({"data": {"colour": "red"}}),
                0,
            ),
            (
                "Deployment",
                "deployments.apps",
                json!({"spec": {"minReadySeconds": 1}}),
                clusters,
            ),
        ] {
            let federated = federated_type(kind);
            let changed = if kind == "ConfigMap" {
                "settings"
            } else {
                "web"
            };
            let change = template(change);
            playground
                .patch(&federated, &name(changed), &change)
                .await
                .unwrap();
            playground.settle(PATIENCE).await.unwrap();
            let (patch, get) = (
                format!("patch {}", federated.qualified_plural()),
                format!("get {resource}"),
            );
            let expected = [
                (patch.as_str(), 1),
                (&format!("update {resource}"), clusters),
                ("update propagatedversions.core.kubefed.io", 1),
                ("create events", 1),
                (&get, reads),
            ];
            let sent = if reads == 0 {
                &expected[..4]
            } else {
                &expected
            };
            expect(&playground, sent);
        }
    }
}

// S19. The other copies differ from the template by the server's defaults, so nothing but the record
// tells that they are current. After a start it tells as much as soon as it was looked at.
#[tokio::test(start_paused = true)]
async fn an_edit_of_one_clusters_overrides_reaches_that_cluster_alone() {
    let mut playground = shop(3).await;
    place(&playground, [deployment("web", &everywhere())]).await;
    for replicas in [2, 3] {
        forget_requests(&playground);
        let overrides = override_of("member-2", "/spec/replicas", &json!(replicas));
        let overrides = json!({"spec": {"overrides": overrides}});
        change(&playground, "Deployment", "web", &overrides).await;
        expect(
            &playground,
            &[
                ("patch federateddeployments.types.kubefed.io", 1),
                ("get deployments.apps", 1),
                ("update deployments.apps", 1),
                ("update propagatedversions.core.kubefed.io", 1),
                ("create events", 1),
            ],
        );
        playground.stop_control_plane().await;
        playground.start_control_plane();
        playground.settle(PATIENCE).await.unwrap();
    }
}

fn maps(count: usize) -> Vec<Value> {
    let map = |index| config_map(&format!("map-{index}"), &everywhere());
    (0..count).map(map).collect()
}

fn has_copies(playground: &Playground, count: usize) -> bool {
    playground.members().all(|(member, _)| {
        let copies =
            (0..count).filter(|index| copy(playground, member, &format!("map-{index}")).is_some());
        copies.count() == count
    })
}

// The host answers in 10 ms, so that the order of requests is seen.
async fn busy_shop(options: Options) -> Playground {
    let playground = production(3, options).await;
    open_shop(&playground).await;
    let delay = Effect::Delay(Duration::from_millis(10));
    playground
        .host()
        .inject(Fault::new(delay).user_agent("kubefed"));
    forget_requests(&playground);
    playground
}

#[tokio::test(start_paused = true)]
async fn copies_come_first_and_nothing_that_follows_is_lost() {
    const OBJECTS: usize = 100;
    let playground = busy_shop(Options::default()).await;
    playground.apply(maps(OBJECTS)).await.unwrap();
    until("every copy is there", || has_copies(&playground, OBJECTS)).await;
    let so_far = requests(&playground);
    let records = so_far.get("update propagatedversions.core.kubefed.io");
    assert!(records.copied().unwrap_or(0) < OBJECTS / 2, "{so_far:?}");
    playground.settle(PATIENCE).await.unwrap();
    let all = [
        ("patch federatedconfigmaps.types.kubefed.io", 2 * OBJECTS),
        ("create configmaps", 3 * OBJECTS),
        ("create propagatedversions.core.kubefed.io", OBJECTS),
        ("update propagatedversions.core.kubefed.io", OBJECTS),
        ("create events", OBJECTS),
    ];
    expect(&playground, &all);
    for index in 0..OBJECTS {
        let name = format!("map-{index}");
        assert_eq!(propagation(&playground, "ConfigMap", &name), "True");
        let version = version_object(&playground, &format!("configmap-{name}")).unwrap();
        assert_eq!(
            version["status"]["clusterVersions"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_follows_its_copies_however_many_objects_wait() {
    const OBJECTS: usize = 100;
    let playground = busy_shop(Options::default().workers(1)).await;
    let slow = Effect::Delay(Duration::from_millis(500));
    playground
        .host()
        .inject(Fault::new(slow).user_agent("kubefed"));
    playground.apply(maps(OBJECTS)).await.unwrap();
    let first = || copy(&playground, "member-1", "map-0").is_some();
    until("the first copy is there", first).await;
    let reported = || propagation(&playground, "ConfigMap", "map-0") == "True";
    let after = until("the first is reported", reported).await;
    assert!(after > seconds(10) && after < seconds(20), "{after:?}");
    // An object that is touched meanwhile, and those that came next, are not overtaken by later ones.
    let touch = json!({"metadata": {"annotations": {"touched": "now"}}});
    playground
        .patch(&federated_type("ConfigMap"), &name("map-9"), &touch)
        .await
        .unwrap();
    let reported = || {
        (0..10)
            .all(|index| propagation(&playground, "ConfigMap", &format!("map-{index}")) == "True")
    };
    let after = until("the first ten are reported", reported).await;
    assert!(after < seconds(20), "{after:?}");
    assert!(!has_copies(&playground, OBJECTS), "others still wait");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_for_later_is_found_after_a_restart() {
    const OBJECTS: usize = 100;
    let mut playground = busy_shop(Options::default()).await;
    playground.apply(maps(OBJECTS)).await.unwrap();
    until("every copy is there", || has_copies(&playground, OBJECTS)).await;
    playground.stop_control_plane().await;
    let is_reported =
        |index: &usize| propagation(&playground, "ConfigMap", &format!("map-{index}")) == "True";
    assert!((0..OBJECTS).filter(is_reported).count() < OBJECTS);
    playground.start_control_plane();
    playground.settle(PATIENCE).await.unwrap();
    for index in 0..OBJECTS {
        let name = format!("map-{index}");
        assert_eq!(propagation(&playground, "ConfigMap", &name), "True");
        assert!(version_object(&playground, &format!("configmap-{name}")).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn objects_that_come_with_their_namespace_wait_for_it() {
    let playground = production(3, Options::default()).await;
    forget_requests(&playground);
    playground
        .apply([
            config_map("settings", &everywhere()),
            federated_namespace(&everywhere()),
        ])
        .await
        .unwrap();
    let begun = Instant::now();
    until("the copies are there", || {
        copy(&playground, "member-3", "settings").is_some()
    })
    .await;
    assert!(begun.elapsed() < seconds(2), "{:?}", begun.elapsed());
    playground.settle(PATIENCE).await.unwrap();
    let creations = requests(&playground)["create configmaps"];
    assert_eq!(creations, 3, "none was refused for want of a namespace");
}

// Where nobody carries FederatedNamespaces out, the namespaces may be there all the same.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_nobody_reports_on_is_waited_for_once() {
    let playground = shop(1).await;
    let config = system("namespaces");
    let types = ResourceType::namespaced(
        "core.kubefed.io",
        "v1beta1",
        "FederatedTypeConfig",
        "federatedtypeconfigs",
    );
    playground
        .patch(
            &types,
            &config,
            &json!({"spec": {"propagation": "Disabled"}}),
        )
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let placement = json!({"spec": {"placement": named(&["member-1"])}});
    let namespace = name(NAMESPACE);
    playground
        .patch(&federated_type("Namespace"), &namespace, &placement)
        .await
        .unwrap();
    for (object, most) in [("settings", 6), ("more", 1)] {
        let begun = Instant::now();
        playground
            .apply([config_map(object, &everywhere())])
            .await
            .unwrap();
        until("the copy is there", || {
            copy(&playground, "member-1", object).is_some()
        })
        .await;
        assert!(
            begun.elapsed() < seconds(most),
            "{object}: {:?}",
            begun.elapsed()
        );
    }
}

// What a slow cluster answers late is not asked again: not the body of a copy that is current, and not
// whether a copy is gone.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_answers_late_settles_too() {
    let playground = shop(2).await;
    place(&playground, [deployment("web", &everywhere())]).await;
    let slow = Fault::new(Effect::Delay(seconds(2))).resource("deployments.apps");
    playground.member("member-2").unwrap().inject(slow);
    let overrides = override_of("member-2", "/metadata/annotations/a", &json!("b"));
    let overrides = json!({"spec": {"overrides": overrides}});
    change(&playground, "Deployment", "web", &overrides).await;
    assert_eq!(
        reported(&playground, "Deployment", "web"),
        ["member-1", "member-2"]
    );
    forget_requests(&playground);
    tokio::time::sleep(seconds(60)).await;
    let asked = requests(&playground).get("get deployments.apps").copied();
    assert!(asked.unwrap_or_default() <= 2, "{asked:?}");
    playground
        .delete(&federated_type("Deployment"), &name("web"))
        .await
        .unwrap();
    until("it is gone", || {
        host_object(&playground, "Deployment", "web").is_none()
    })
    .await;
}

// The original writes to every cluster after an edit of overrides, and here it must, too, if the edit
// also ends what members keep.
#[tokio::test(start_paused = true)]
async fn replicas_that_are_retained_no_longer_are_written_with_the_next_overrides() {
    let playground = shop(2).await;
    let mut web = deployment("web", &everywhere());
    web["spec"]["retainReplicas"] = json!(true);
    place(&playground, [web]).await;
    let scaled = json!({"spec": {"replicas": 7}});
    let deployments = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
    playground
        .patch_in_member("member-1", &deployments, &name("web"), &scaled)
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    tokio::time::sleep(seconds(60)).await;
    let replicas = || {
        let web =
            cluster(&playground, "member-1").object("deployments.apps", Some(NAMESPACE), "web");
        web.unwrap()["spec"]["replicas"].clone()
    };
    assert_eq!(replicas(), 7, "they are retained");
    let overrides = override_of("member-2", "/spec/minReadySeconds", &json!(1));
    let edit = json!({"spec": {"retainReplicas": false, "overrides": overrides}});
    change(&playground, "Deployment", "web", &edit).await;
    assert_ne!(replicas(), 7);
}

// INV-B1, for a day, or for an hour where there are many clusters to be probed. The time of an
// unchanged probe is written once in five minutes.
#[tokio::test(start_paused = true)]
async fn a_settled_world_writes_nothing_but_the_heartbeat_of_clusters() {
    for (clusters, hours) in [(1, 24), (8, 1)] {
        check_settled_world(clusters, hours).await;
    }
}

async fn check_settled_world(clusters: usize, hours: usize) {
    let playground = production(clusters, Options::default()).await;
    open_shop(&playground).await;
    place(
        &playground,
        [
            config_map("settings", &everywhere()),
            deployment("web", &everywhere()),
        ],
    )
    .await;
    tokio::time::sleep(seconds(60)).await;
    for _ in 0..hours {
        forget_requests(&playground);
        tokio::time::sleep(seconds(3600)).await;
        let writes = writes(&playground);
        let heartbeat = "host patch kubefedclusters.core.kubefed.io";
        let others: Vec<_> = writes.iter().filter(|write| *write != heartbeat).collect();
        assert_eq!(others, Vec::<&String>::new());
        let heartbeats = clusters * 11..=clusters * 13;
        assert!(heartbeats.contains(&writes.len()), "{}", writes.len());
    }
}

/// How long changes take to arrive in member-1, one by one.
async fn latencies(playground: &Playground, changes: usize) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for change in 0..changes {
        let object = format!("settings-{}", change % 10);
        let colour = format!("colour-{change}");
        let patch = json!({"spec": {"template": {"data": {"colour": colour}}}});
        playground
            .patch(&federated_type("ConfigMap"), &name(&object), &patch)
            .await
            .unwrap();
        let start = Instant::now();
        while copy(playground, "member-1", &object).unwrap()["data"]["colour"] != colour.as_str() {
            assert!(start.elapsed() < PATIENCE, "{colour} never arrives");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        latencies.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    latencies.sort();
    latencies
}

/// 10 objects in a fleet whose clusters take 20 ms for an answer.
async fn slow_fleet(members: usize) -> Playground {
    let playground = production(members, Options::default()).await;
    open_shop(&playground).await;
    place(
        &playground,
        (0..10).map(|n| config_map(&format!("settings-{n}"), &everywhere())),
    )
    .await;
    for (_, member) in playground.members() {
        member.inject(Fault::new(Effect::Delay(Duration::from_millis(20))));
    }
    playground
}

/// The 99th percentile of sorted latencies.
fn p99(latencies: &[Duration]) -> Duration {
    latencies[latencies.len() * 99 / 100 - 1]
}

// INV-L3: with 20 of 21 members dead the 99th percentile stays within a tenth.
#[tokio::test(start_paused = true)]
async fn dead_members_do_not_delay_the_healthy_one() {
    let healthy = p99(&latencies(&slow_fleet(21).await, 200).await);
    for effect in [Effect::Refuse, Effect::Freeze] {
        let playground = slow_fleet(21).await;
        for (name, member) in playground.members() {
            if name != "member-1" {
                member.inject(Fault::new(effect.clone()));
            }
        }
        // From the first moment, while the dead still count as ready, until long after.
        let latencies = latencies(&playground, 400).await;
        let (p99, worst) = (p99(&latencies), latencies[latencies.len() - 1]);
        assert!(
            p99 <= healthy.mul_f64(1.1),
            "{effect:?}: {p99:?}, {healthy:?} without, worst {worst:?}"
        );
    }
}

// A member that hangs while its health is still believed.
#[tokio::test(start_paused = true)]
async fn a_member_that_hangs_while_it_is_ready_delays_nobody() {
    let playground = slow_fleet(3).await;
    let hangs = [Verb::Create, Verb::Update, Verb::Get]
        .map(|verb| Fault::new(Effect::Freeze).resource("configmaps").verb(verb));
    let member = playground.member("member-2").unwrap();
    for hang in hangs {
        member.inject(hang);
    }
    let latencies = latencies(&playground, 300).await;
    assert!(ready(&playground, "member-2"), "probes are answered");
    assert!(
        p99(&latencies) < Duration::from_millis(200),
        "{:?}",
        p99(&latencies)
    );
    let worst = latencies[latencies.len() - 1];
    assert!(worst < Duration::from_millis(1500), "{worst:?}");
    playground
        .apply([config_map("late", &everywhere())])
        .await
        .unwrap();
    let took = until("a new object is created elsewhere", || {
        copy(&playground, "member-3", "late").is_some()
    })
    .await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    // Every object says so.
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(
        reported(&playground, "ConfigMap", "late"),
        ["member-1", "member-2: CreationTimedOut", "member-3"]
    );
    for n in 0..10 {
        let status = reported(&playground, "ConfigMap", &format!("settings-{n}"));
        assert!(
            matches!(status.as_slice(), [a, b, c] if a == "member-1" && b.starts_with("member-2: ") && c == "member-3"),
            "{status:?}"
        );
    }
    member.lift_all();
    playground.settle(PATIENCE).await.unwrap();
    for n in 0..10 {
        let object = format!("settings-{n}");
        assert_eq!(propagation(&playground, "ConfigMap", &object), "True");
        assert_eq!(
            copy(&playground, "member-2", &object).unwrap()["data"],
            copy(&playground, "member-1", &object).unwrap()["data"]
        );
    }
}

// INV-B3: an outage costs the dead a trickle, the others nothing, and its end one write an object.
#[tokio::test(start_paused = true)]
async fn an_outage_costs_little() {
    let playground = start(PlaygroundOptions::default().members(3)).await;
    open_shop(&playground).await;
    place(
        &playground,
        (0..10).map(|n| config_map(&format!("settings-{n}"), &everywhere())),
    )
    .await;
    let member = playground.member("member-2").unwrap();
    let down = member.inject(Fault::new(Effect::Refuse));
    until("it is reported", || !ready(&playground, "member-2")).await;
    playground.settle(PATIENCE).await.unwrap();
    forget_requests(&playground);
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(
        requests(&playground),
        BTreeMap::new(),
        "nothing is tried while it is known to be down"
    );
    let patch = json!({"spec": {"template": {"data": {"colour": "red"}}}});
    change(&playground, "ConfigMap", "settings-3", &patch).await;
    forget_requests(&playground);
    member.lift(down);
    until("it is ready", || ready(&playground, "member-2")).await;
    playground.settle(PATIENCE).await.unwrap();
    let in_members: Vec<_> = writes(&playground)
        .into_iter()
        .filter(|write| !write.starts_with("host"))
        .collect();
    assert_eq!(
        in_members,
        ["member-2 update configmaps"],
        "only what differs"
    );
}
