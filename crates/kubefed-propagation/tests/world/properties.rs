//! Laws over generated worlds.

use kubefed_propagation::Adoption;
use kubefed_propagation::kubefed_api::well_known;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::driver::{Around, Tier, World};
use crate::judge;
use crate::server::{Kind, is_managed};
use crate::walks;

const CLUSTERS: [&str; 3] = ["east", "north", "west"];

/// What a cluster holds before the controller looks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    Nothing,
    Copy,
    HeldCopy,
    Foreign,
    OptedOut,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Overrides {
    None,
    Good,
    BadPath,
    BadType,
    Twice,
    DoesNotApply,
}

/// Everything about one cluster. The default is a healthy one that is to get its first copy.
#[derive(Clone, Copy, Debug)]
struct Setup {
    placed: bool,
    ready: bool,
    synced: bool,
    lags: bool,
    holds: Holds,
    overrides: Overrides,
    answers_lost: usize,
}

const HEALTHY: Setup = Setup {
    placed: true,
    ready: true,
    synced: true,
    lags: false,
    holds: Holds::Nothing,
    overrides: Overrides::None,
    answers_lost: 0,
};

impl Setup {
    fn has_bad_overrides(self) -> bool {
        !matches!(self.overrides, Overrides::None | Overrides::Good)
    }
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    kind: Kind,
    tier: Tier,
    adoption: Adoption,
    around: Around,
    by_label: bool,
}

fn setups() -> impl Strategy<Value = Setup> {
    let often = || prop::bool::weighted(0.75);
    let holds = prop_oneof![
        2 => Just(Holds::Nothing),
        4 => Just(Holds::Copy),
        1 => Just(Holds::HeldCopy),
        1 => Just(Holds::Foreign),
        1 => Just(Holds::OptedOut),
    ];
    let overrides = prop_oneof![
        4 => Just(Overrides::None),
        4 => Just(Overrides::Good),
        1 => Just(Overrides::BadPath),
        1 => Just(Overrides::BadType),
        1 => Just(Overrides::Twice),
        1 => Just(Overrides::DoesNotApply),
    ];
    (
        often(),
        often(),
        often(),
        often(),
        holds,
        overrides,
        0..3_usize,
    )
        .prop_map(
            |(placed, ready, synced, keeps_up, holds, overrides, answers_lost)| Setup {
                lags: !keeps_up,
                placed,
                ready,
                synced,
                holds,
                overrides,
                answers_lost,
            },
        )
}

fn settings() -> impl Strategy<Value = Setting> {
    let kind = prop_oneof![Just(Kind::Deployment), Just(Kind::ConfigMap)];
    let tier = prop_oneof![Just(Tier::Metadata), Just(Tier::Raw)];
    let adoption = prop_oneof![Just(Adoption::Enabled), Just(Adoption::Disabled)];
    let around = prop_oneof![
        4 => Just(Around::NotNeeded),
        1 => Just(Around::Unknown),
        1 => Just(Around::Unreadable),
        1 => Just(Around::Absent),
        3 => prop::sample::select(vec![
            Around::Names(&CLUSTERS), Around::Names(&["east", "west"]), Around::Names(&["north"]),
        ]),
    ];
    (kind, tier, adoption, around, any::<bool>()).prop_map(
        |(kind, tier, adoption, around, by_label)| Setting {
            kind,
            tier,
            adoption,
            around,
            by_label,
        },
    )
}

/// A world in which copies of an older template are where the setups say, and the federated object has
/// just been changed to what it is now.
fn world(setting: Setting, setups: &[Setup; 3]) -> World {
    let mut world = World::new(setting.kind, setting.tier, &CLUSTERS);
    world.adoption = setting.adoption;
    let all = || CLUSTERS.into_iter().zip(setups);
    let had_copy = |setup: &Setup| matches!(setup.holds, Holds::Copy | Holds::HeldCopy);
    let names = |picks: &dyn Fn(&Setup) -> bool| -> Value {
        all()
            .filter(|(_, setup)| picks(setup))
            .map(|(name, _)| json!({"name": name}))
            .collect()
    };
    walks::create(&mut world);
    world
        .host
        .edit(|object| object["spec"]["placement"] = json!({"clusters": names(&had_copy)}));
    world.settle().unwrap();
    for (name, setup) in all() {
        let target = world.target();
        let cluster = world.cluster(name);
        let label = if setup.placed { "yes" } else { "no" };
        cluster.labels.insert("placed".to_owned(), label.to_owned());
        let foreign = |labels: Value| {
            json!({
                "apiVersion": target.api_version(), "kind": target.kind,
                "metadata": {"namespace": "shop", "name": "web", "labels": labels},
                "data": {"k": "foreign"},
            })
        };
        let managed = well_known::MANAGED_LABEL;
        match setup.holds {
            Holds::Nothing | Holds::Copy => {}
            Holds::HeldCopy => cluster.store.edit(|object| {
                object["metadata"]["finalizers"] = json!(["example.com/hold"]);
                object["metadata"]["annotations"] = json!({"note": "mine"});
                object["metadata"]["ownerReferences"] = json!([{"kind": "Shop", "name": "s"}]);
            }),
            Holds::Foreign => drop(cluster.store.create(&foreign(json!({"app": "old"})))),
            Holds::OptedOut => drop(cluster.store.create(&foreign(json!({managed: "false"})))),
        }
        (cluster.ready, cluster.synced, cluster.lags) = (setup.ready, setup.synced, setup.lags);
        cluster.answers_lost = setup.answers_lost;
    }
    world.around = setting.around;
    let by_name = json!({"clusters": names(&|setup| setup.placed)});
    let by_label = json!({"clusterSelector": {"matchLabels": {"placed": "yes"}}});
    world.host.edit(|object| {
        object["spec"]["template"]["data"]["k"] = "v2".into();
        object["spec"]["placement"] = if setting.by_label { by_label } else { by_name };
        object["spec"]["overrides"] = all()
            .flat_map(|(name, setup)| overrides(name, *setup))
            .collect();
    });
    world
}

fn overrides(cluster: &str, setup: Setup) -> Vec<Value> {
    let entry = |item: Value| json!({"clusterName": cluster, "clusterOverrides": [item]});
    let good = entry(json!({"path": "/data/k", "value": cluster}));
    match setup.overrides {
        Overrides::None => vec![],
        Overrides::Good => vec![good],
        Overrides::BadPath => vec![entry(json!({"path": "/kind", "value": "Pod"}))],
        Overrides::BadType => vec![entry(json!({"op": 5, "path": "/data/k"}))],
        Overrides::Twice => vec![good.clone(), good],
        Overrides::DoesNotApply => vec![entry(json!({"path": "/no/such/parent", "value": 1}))],
    }
}

/// What a cluster has to hold in the end, by the words of the documentation.
fn check_copy(name: &str, setup: Setup, before: &World, after: &World) {
    let held = before.clusters[name].store.object.as_ref();
    let holds = after.clusters[name].store.object.as_ref();
    let untouched = || assert_eq!(holds, held, "{name} is left alone");
    let placed = setup.placed && before.around.admits(name);
    let ignorant = !setup.ready || !setup.synced || before.around.is_undetermined();
    if ignorant || (placed && setup.has_bad_overrides()) {
        return untouched();
    }
    match (placed, setup.holds) {
        (_, Holds::OptedOut) | (false, Holds::Foreign | Holds::Nothing) => untouched(),
        (true, Holds::Foreign) if before.adoption == Adoption::Disabled => untouched(),
        (false, Holds::Copy) => assert_eq!(holds, None, "{name}"),
        (false, Holds::HeldCopy) => {
            assert!(
                holds.unwrap()["metadata"]["deletionTimestamp"].is_string(),
                "{name}"
            );
        }
        (true, Holds::Nothing | Holds::Copy | Holds::HeldCopy | Holds::Foreign) => {
            let object = holds.unwrap_or_else(|| panic!("{name} holds nothing"));
            let data = if setup.overrides == Overrides::Good {
                name
            } else {
                "v2"
            };
            assert!(is_managed(object), "{name}");
            assert_eq!(object["data"], json!({"k": data}), "{name}");
            if let Some(held) = held {
                assert_eq!(object["metadata"]["uid"], held["metadata"]["uid"], "{name}");
            }
        }
    }
}

/// Every copy is in the inventory, and the federated object cannot go before it.
fn check_hold(world: &World) {
    let Some(object) = &world.host.object else {
        return;
    };
    let metadata = &object["metadata"];
    assert_eq!(metadata["finalizers"], json!([well_known::SYNC_FINALIZER]));
    let text = metadata["annotations"][well_known::INVENTORY_ANNOTATION].as_str();
    let held: Vec<_> = text.unwrap_or_default().split(',').collect();
    for (name, cluster) in &world.clusters {
        let holds_copy = cluster.store.object.as_ref().is_some_and(is_managed);
        assert!(
            !holds_copy || held.contains(&name.as_str()),
            "{name} is forgotten: {held:?}"
        );
    }
}

/// A second look finds nothing to write, save the creation that tells whether an object is still there
/// that the watch does not show.
fn check_settled(world: &World, setups: &[Setup; 3]) {
    let mut again = world.clone();
    again.writes.clear();
    again.refused.clear();
    again.reconcile().unwrap();
    assert_eq!(again.writes, Vec::<String>::new());
    let is_foreign = |name: &str| {
        let index = CLUSTERS
            .iter()
            .position(|cluster| *cluster == name)
            .unwrap();
        setups[index].lags || matches!(setups[index].holds, Holds::Foreign | Holds::OptedOut)
    };
    for request in &again.refused {
        let (cluster, action) = request.split_once(": ").unwrap();
        assert!(action == "create" && is_foreign(cluster), "{request}");
    }
}

fn status_of(world: &World, cluster: &str) -> Value {
    let clusters = world.host.object.as_ref().unwrap()["status"]["clusters"].as_array();
    let entry = clusters
        .into_iter()
        .flatten()
        .find(|entry| entry["name"] == cluster);
    entry.cloned().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn reconciling_twice_changes_nothing(
        setting in settings(),
        setups in [setups(), setups(), setups()],
    ) {
        let mut world = world(setting, &setups);
        world.settle().unwrap();
        check_settled(&world, &setups);
        check_hold(&world);
    }

    #[test]
    fn every_cluster_gets_what_placement_template_and_overrides_say(
        setting in settings(),
        setups in [setups(), setups(), setups()],
    ) {
        let before = world(setting, &setups);
        let mut after = before.clone();
        after.settle().unwrap();
        for (name, setup) in CLUSTERS.into_iter().zip(setups) {
            check_copy(name, setup, &before, &after);
        }
    }

    #[test]
    fn a_clusters_end_does_not_depend_on_the_others(
        setting in settings(),
        setups in [setups(), setups(), setups()],
    ) {
        let mut together = world(setting, &setups);
        together.settle().unwrap();
        for (index, name) in CLUSTERS.into_iter().enumerate() {
            let mut others_healthy = [HEALTHY; 3];
            others_healthy[index] = setups[index];
            let mut alone = world(setting, &others_healthy);
            alone.settle().unwrap();
            prop_assert_eq!(&together.clusters[name].store.object, &alone.clusters[name].store.object);
            prop_assert_eq!(status_of(&together, name), status_of(&alone, name));
        }
    }

    #[test]
    fn a_crash_at_any_time_changes_nothing_about_the_end(
        setting in settings(),
        setups in [setups(), setups(), setups()],
        fuse in any::<prop::sample::Index>(),
    ) {
        let before = world(setting, &setups);
        let mut whole = before.clone();
        whole.settle().unwrap();
        let writes = whole.writes.len() - before.writes.len();
        prop_assume!(writes > 0);
        let mut crashed = before.clone();
        crashed.fuse = Some(before.writes.len() + 1 + fuse.index(writes));
        prop_assert!(crashed.settle().is_err());
        crashed.settle().unwrap();
        for (name, setup) in CLUSTERS.into_iter().zip(setups) {
            check_copy(name, setup, &before, &crashed);
            prop_assert_eq!(status_of(&crashed, name), status_of(&whole, name));
        }
        check_hold(&crashed);
        check_settled(&crashed, &setups);
    }

    /// INV-S4 and INV-S5: nothing is lost track of, whatever was down when.
    #[test]
    fn deletion_waits_for_every_copy_and_takes_or_frees_them_all(
        setting in settings(),
        setups in [setups(), setups(), setups()],
        orphans in any::<bool>(),
    ) {
        let mut world = world(setting, &setups);
        world.settle().unwrap();
        let before = world.clone();
        if orphans {
            world.host.edit(|object| {
                object["metadata"]["annotations"][well_known::ORPHAN_ANNOTATION] = "true".into();
            });
        }
        world.host.delete();
        world.settle().unwrap();
        check_hold(&world);
        let copies = |world: &World| {
            let managed = |name: &&str| world.clusters[*name].store.object.as_ref().is_some_and(is_managed);
            CLUSTERS.into_iter().filter(managed).collect::<Vec<_>>()
        };
        prop_assert_eq!(world.host.object.is_some(), !copies(&world).is_empty() || is_in_the_dark(&world, &setups));

        for name in CLUSTERS {
            let cluster = world.cluster(name);
            (cluster.ready, cluster.synced) = (true, true);
        }
        world.settle().unwrap();
        for name in CLUSTERS {
            // Whoever holds the copy lets go of it once it is being deleted.
            world.cluster(name).store.edit(|object| {
                if object["metadata"]["deletionTimestamp"].is_string() {
                    object["metadata"]["finalizers"] = json!([]);
                }
            });
        }
        world.settle().unwrap();
        prop_assert_eq!(&world.host.object, &None);
        for name in CLUSTERS {
            let was = before.clusters[name].store.object.as_ref();
            let is = world.clusters[name].store.object.as_ref();
            match was {
                Some(was) if !is_managed(was) => prop_assert_eq!(is, Some(was), "{} is not ours", name),
                Some(was) if orphans && was["metadata"]["deletionTimestamp"].is_null() => {
                    let is = is.expect("an orphaned copy stays");
                    prop_assert!(!is_managed(is));
                    prop_assert_eq!(&is["metadata"]["uid"], &was["metadata"]["uid"]);
                    prop_assert_eq!(judge::content(is), judge::content(was));
                }
                _ => prop_assert_eq!(is, None, "{}", name),
            }
        }
    }
}

/// Whether a cluster that nobody can look into is placed, or may be, and so may hold a copy by that
/// record.
fn is_in_the_dark(world: &World, setups: &[Setup; 3]) -> bool {
    let dark = |(name, _): &(&str, &Setup)| {
        let cluster = &world.clusters[*name];
        !cluster.ready || !cluster.synced
    };
    CLUSTERS
        .into_iter()
        .zip(setups)
        .filter(dark)
        .any(|(name, setup)| {
            world.around.is_undetermined() || (setup.placed && world.around.admits(name))
        })
}
