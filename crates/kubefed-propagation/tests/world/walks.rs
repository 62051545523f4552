//! Stories of one federated object, each told again with a crash after each of its writes.

use kubefed_propagation::Adoption;
use kubefed_propagation::kubefed_api::well_known;
use serde_json::{Value, json};

use crate::driver::{Tier, World};
use crate::judge;
use crate::server::{Kind, is_managed};

type Step = fn(&mut World);

/// What happens outside the controller, step by step. It settles after each, unless it is down.
struct Walk {
    name: &'static str,
    steps: &'static [Step],
    end: fn(&World),
    /// Whether the steps make sense only once the copies exist and are recorded: they edit a copy, or
    /// strip the annotation from an object whose version object names the clusters already.
    needs_copies: bool,
}

const WALKS: &[Walk] = &[
    Walk {
        needs_copies: false,
        name: "delete while the watch lags",
        steps: &[create, the_watch_of_west_lags, change_template, delete],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "narrow while the watch lags",
        steps: &[create, the_watch_of_west_lags, narrow],
        end: only_east,
    },
    Walk {
        needs_copies: false,
        name: "create",
        steps: &[create],
        end: |world| {
            current(world, &["east", "west"]);
            assert_eq!(world.clusters["north"].store.object, None);
        },
    },
    Walk {
        needs_copies: false,
        name: "update",
        steps: &[create, override_west, change_template],
        end: |world| {
            current(world, &["east", "west"]);
            assert_eq!(copy(world, "west")["spec"]["replicas"], 5);
        },
    },
    Walk {
        needs_copies: true,
        name: "repair drift",
        steps: &[create, drift_in_east],
        end: |world| current(world, &["east", "west"]),
    },
    Walk {
        needs_copies: false,
        name: "select by label",
        steps: &[create, select_east_by_label],
        end: only_east,
    },
    Walk {
        needs_copies: false,
        name: "narrow",
        steps: &[create, narrow],
        end: only_east,
    },
    Walk {
        needs_copies: false,
        name: "narrow and widen",
        steps: &[create, narrow, widen],
        end: |world| current(world, &["east", "west"]),
    },
    Walk {
        needs_copies: false,
        name: "deselect while down",
        steps: &[create, west_goes_down, narrow, west_comes_back],
        end: only_east,
    },
    Walk {
        needs_copies: false,
        name: "change while down",
        steps: &[create, west_goes_down, change_template, west_comes_back],
        end: |world| {
            current(world, &["east", "west"]);
        },
    },
    Walk {
        needs_copies: true,
        name: "delete",
        steps: &[create, hold_copy_in_east, delete, release_copy_in_east],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "delete while down",
        steps: &[create, west_goes_down, delete, west_comes_back],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "deselect while down, then delete",
        steps: &[create, west_goes_down, narrow, delete, west_comes_back],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "orphan",
        steps: &[create, ask_for_orphans, delete],
        end: orphaned,
    },
    Walk {
        needs_copies: false,
        name: "orphan while down",
        steps: &[
            create,
            ask_for_orphans,
            west_goes_down,
            delete,
            west_comes_back,
        ],
        end: orphaned,
    },
    Walk {
        needs_copies: false,
        name: "delete and create again",
        steps: &[create, delete, create],
        end: |world| current(world, &["east", "west"]),
    },
    // A federated object that KubeFed wrote has everything but the inventory annotation.
    Walk {
        needs_copies: false,
        name: "take over from KubeFed",
        steps: &[create, strip_annotation, change_template, narrow],
        end: only_east,
    },
    Walk {
        needs_copies: true,
        name: "take over from KubeFed with a cluster down",
        steps: &[
            create,
            strip_annotation_while_west_is_down,
            change_template,
            narrow,
            delete,
            west_comes_back,
        ],
        end: nothing_left,
    },
    Walk {
        needs_copies: true,
        name: "take over from KubeFed and break the template",
        steps: &[
            create,
            strip_annotation_while_west_is_down,
            break_template,
            narrow,
            delete,
            west_comes_back,
        ],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "strip the annotation and delete",
        steps: &[create, strip_annotation, delete],
        end: nothing_left,
    },
    Walk {
        needs_copies: false,
        name: "adopt",
        steps: &[foreign_object_in_east, create],
        end: |world| {
            current(world, &["east", "west"]);
            assert_eq!(
                copy(world, "east")["metadata"]["annotations"],
                json!({"owner": "somebody"})
            );
        },
    },
    Walk {
        needs_copies: false,
        name: "do not adopt",
        steps: &[foreign_object_in_east, do_not_adopt, create, delete],
        end: |world| {
            assert_eq!(copy(world, "east")["data"], json!({"k": "foreign"}));
            assert_eq!(world.clusters["west"].store.object, None);
            assert_eq!(world.host.object, None);
        },
    },
    Walk {
        needs_copies: true,
        name: "opt out",
        steps: &[create, opt_out_in_east, change_template, delete],
        end: |world| {
            assert_eq!(copy(world, "east")["data"], json!({"k": "v1"}));
            assert_eq!(world.clusters["west"].store.object, None);
            assert_eq!(world.host.object, None);
        },
    },
    Walk {
        needs_copies: true,
        name: "take the label off",
        steps: &[create, unlabel_in_east],
        end: |world| current(world, &["east", "west"]),
    },
    Walk {
        needs_copies: false,
        name: "leave and rejoin",
        steps: &[create, west_leaves, change_template, west_rejoins],
        end: |world| {
            current(world, &["east", "west"]);
        },
    },
    Walk {
        needs_copies: true,
        name: "leave for good",
        steps: &[create, west_goes_down, west_leaves, delete],
        end: |world| {
            assert_eq!(
                world.host.object, None,
                "a removed cluster holds nothing up"
            );
            assert!(
                is_managed(copy(world, "west")),
                "and what it holds stays there"
            );
            assert_eq!(world.clusters["east"].store.object, None);
        },
    },
    Walk {
        needs_copies: false,
        name: "lose answers",
        steps: &[
            lose_answers,
            create,
            lose_answers,
            override_west,
            lose_answers,
            delete,
        ],
        end: nothing_left,
    },
];

/// Tells a walk. The controller crashes after `fuse` writes; it is back at once, or only after the next
/// step.
fn tell(walk: &Walk, kind: Kind, tier: Tier, fuse: Option<usize>, is_back_at_once: bool) -> World {
    let mut world = World::new(kind, tier, &["east", "north", "west"]);
    world.fuse = fuse;
    for step in walk.steps {
        step(&mut world);
        if world.settle().is_err() && is_back_at_once {
            world.settle().unwrap();
        }
    }
    world.settle().unwrap();
    world
}

const VARIANTS: [(Kind, Tier); 4] = [
    (Kind::Deployment, Tier::Metadata),
    (Kind::Deployment, Tier::Raw),
    (Kind::ConfigMap, Tier::Metadata),
    (Kind::ConfigMap, Tier::Raw),
];

#[test]
fn every_walk_ends_as_it_should() {
    for walk in WALKS {
        for (kind, tier) in VARIANTS {
            println!("{}: {kind:?} {tier:?}", walk.name);
            (walk.end)(&tell(walk, kind, tier, None, true));
        }
    }
}

#[test]
fn a_crash_after_any_write_changes_nothing_about_the_end() {
    let mut crashes = 0;
    for walk in WALKS {
        for (kind, tier) in VARIANTS {
            let whole = tell(walk, kind, tier, None, true);
            for fuse in 1..=whole.writes.len() {
                println!(
                    "{}: {kind:?} {tier:?}, crash after {}",
                    walk.name,
                    whole.writes[fuse - 1]
                );
                let world = tell(walk, kind, tier, Some(fuse), true);
                assert_eq!(end_state(&world, true), end_state(&whole, true));
                (walk.end)(&world);
                crashes += 1;
            }
        }
    }
    assert!(crashes > 500, "{crashes}");
}

#[test]
fn a_controller_that_is_away_for_a_while_comes_to_the_same_end() {
    for walk in WALKS {
        for (kind, tier) in VARIANTS {
            let whole = tell(walk, kind, tier, None, true);
            let recorded = whole
                .writes
                .iter()
                .position(|write| write == "host: versions");
            let first = recorded
                .filter(|_| walk.needs_copies)
                .map_or(1, |index| index + 1);
            for fuse in first..=whole.writes.len() {
                println!(
                    "{}: {kind:?} {tier:?}, away after {}",
                    walk.name,
                    whole.writes[fuse - 1]
                );
                let world = tell(walk, kind, tier, Some(fuse), false);
                (walk.end)(&world);
                assert_eq!(end_state(&world, false), end_state(&whole, false));
            }
        }
    }
}

/// Everything that matters at the end. Counters differ with the way there, and so do uids where a copy
/// was never made because the controller was away.
fn end_state(world: &World, with_uids: bool) -> Value {
    let without = |object: &Value, names: &[&str]| {
        let mut object = object.clone();
        for name in names {
            object["metadata"].as_object_mut().unwrap().remove(*name);
        }
        object
    };
    let counters: &[&str] = if with_uids {
        &["resourceVersion", "generation"]
    } else {
        &["resourceVersion", "generation", "uid"]
    };
    let copies = world.clusters.values().map(|cluster| {
        cluster
            .store
            .object
            .as_ref()
            .map(|object| without(object, counters))
    });
    let host = world
        .host
        .object
        .as_ref()
        .map(|object| without(object, &["resourceVersion", "generation"]));
    let host = host.map(|mut host| {
        host["status"]["observedGeneration"] = Value::Null;
        host
    });
    // Whether each recorded version is that of the copy, whatever its number.
    let versions = world
        .host
        .versions
        .iter()
        .flat_map(|versions| &versions.cluster_versions);
    let versions = versions.map(|entry| {
        let metadata = &copy(world, entry.cluster_name.as_str())["metadata"];
        let recorded = match &metadata["generation"] {
            Value::Null => format!("rv:{}", metadata["resourceVersion"].as_str().unwrap()),
            generation => format!("gen:{generation}"),
        };
        (
            entry.cluster_name.to_string(),
            Value::Bool(entry.version == recorded),
        )
    });
    json!({
        "host": host, "copies": copies.collect::<Vec<_>>(),
        "versions": versions.collect::<serde_json::Map<_, _>>(),
    })
}

fn copy<'a>(world: &'a World, cluster: &str) -> &'a Value {
    world.clusters[cluster]
        .store
        .object
        .as_ref()
        .unwrap_or_else(|| panic!("{cluster} holds nothing"))
}

fn current(world: &World, clusters: &[&str]) {
    for cluster in clusters {
        assert!(is_managed(copy(world, cluster)));
        assert_eq!(
            judge::content(copy(world, cluster)),
            judge::expected_content(world, cluster)
        );
    }
    let host = world.host.object.as_ref().unwrap();
    assert_eq!(
        host["metadata"]["finalizers"],
        json!([well_known::SYNC_FINALIZER])
    );
    assert_eq!(
        host["status"]["observedGeneration"],
        host["metadata"]["generation"]
    );
    assert_eq!(host["status"]["conditions"][0]["status"], "True");
    let names: Vec<_> = clusters.iter().map(|name| json!({"name": name})).collect();
    assert_eq!(host["status"]["clusters"], json!(names));
}

fn only_east(world: &World) {
    current(world, &["east"]);
    assert_eq!(world.clusters["west"].store.object, None);
    let annotation = &world.host.object.as_ref().unwrap()["metadata"]["annotations"];
    assert_eq!(annotation[well_known::INVENTORY_ANNOTATION], "east");
}

/// Observable check 8 of propagation; INV-S4.
fn nothing_left(world: &World) {
    assert_eq!(world.host.object, None);
    for (name, cluster) in &world.clusters {
        assert_eq!(cluster.store.object, None, "{name}");
    }
}

/// Observable check 9 of propagation; INV-S5. The uids are those of the first creation.
fn orphaned(world: &World) {
    assert_eq!(world.host.object, None);
    for name in ["east", "west"] {
        let copy = copy(world, name);
        assert_eq!(copy["metadata"]["uid"], format!("{name}-1"));
        assert_eq!(copy["metadata"]["labels"], json!({"app": "web"}));
        assert_eq!(copy["data"], json!({"k": "v1"}));
    }
}

pub(crate) fn create(world: &mut World) {
    world.host.edit(|object| {
        *object = json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "host-1"},
            "spec": {
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"replicas": 2},
                    "data": {"k": "v1"},
                },
                "placement": {"clusters": [{"name": "east"}, {"name": "west"}, {"name": "unheard-of"}]},
            },
        });
    });
}

fn override_west(world: &mut World) {
    world.host.edit(|object| {
        object["spec"]["overrides"] = json!([
            {"clusterName": "west", "clusterOverrides": [{"path": "/spec/replicas", "value": 5}]},
        ]);
    });
}

fn change_template(world: &mut World) {
    world
        .host
        .edit(|object| object["spec"]["template"]["data"]["k"] = "v2".into());
}

/// Nothing can be made of this template, so no copy is current under its hash.
fn break_template(world: &mut World) {
    world
        .host
        .edit(|object| object["spec"]["template"]["metadata"]["labels"] = json!({"app": 5}));
}

fn drift_in_east(world: &mut World) {
    world
        .cluster("east")
        .store
        .edit(|object| object["spec"]["replicas"] = 9.into());
}

fn select_east_by_label(world: &mut World) {
    world.host.edit(|object| {
        object["spec"]["placement"] = json!({"clusterSelector": {"matchLabels": {"name": "east"}}});
    });
}

fn narrow(world: &mut World) {
    world
        .host
        .edit(|object| object["spec"]["placement"]["clusters"] = json!([{"name": "east"}]));
}

fn widen(world: &mut World) {
    world.host.edit(|object| {
        object["spec"]["placement"]["clusters"] = json!([{"name": "east"}, {"name": "west"}]);
    });
}

fn west_goes_down(world: &mut World) {
    world.cluster("west").ready = false;
}

fn the_watch_of_west_lags(world: &mut World) {
    world.cluster("west").lags = true;
}

fn west_comes_back(world: &mut World) {
    world.cluster("west").ready = true;
}

fn west_leaves(world: &mut World) {
    world.cluster("west").joined = false;
}

fn west_rejoins(world: &mut World) {
    world.cluster("west").joined = true;
}

fn delete(world: &mut World) {
    world.host.delete();
}

fn ask_for_orphans(world: &mut World) {
    world.host.edit(|object| {
        object["metadata"]["annotations"][well_known::ORPHAN_ANNOTATION] = "true".into();
    });
}

fn hold_copy_in_east(world: &mut World) {
    world.cluster("east").store.edit(|object| {
        object["metadata"]["finalizers"] = json!(["example.com/hold"]);
        object["metadata"]["annotations"] = json!({"note": "mine"});
        object["metadata"]["ownerReferences"] = json!([{"kind": "Shop", "name": "s", "uid": "u"}]);
    });
}

fn release_copy_in_east(world: &mut World) {
    world
        .cluster("east")
        .store
        .edit(|object| object["metadata"]["finalizers"] = json!([]));
}

fn strip_annotation(world: &mut World) {
    world.host.edit(|object| {
        let annotations = object["metadata"]["annotations"].as_object_mut();
        annotations.map(|annotations| annotations.remove(well_known::INVENTORY_ANNOTATION));
    });
}

fn strip_annotation_while_west_is_down(world: &mut World) {
    west_goes_down(world);
    strip_annotation(world);
}

pub(crate) fn foreign_object_in_east(world: &mut World) {
    let target = world.target();
    let object = json!({
        "apiVersion": target.api_version(), "kind": target.kind,
        "metadata": {"namespace": "shop", "name": "web", "annotations": {"owner": "somebody"}},
        "data": {"k": "foreign"}, "spec": {"replicas": 1},
    });
    world.cluster("east").store.create(&object).unwrap();
}

fn do_not_adopt(world: &mut World) {
    world.adoption = Adoption::Disabled;
}

fn opt_out_in_east(world: &mut World) {
    world.cluster("east").store.edit(|object| {
        object["metadata"]["labels"][well_known::MANAGED_LABEL] = "false".into();
    });
}

fn unlabel_in_east(world: &mut World) {
    world.cluster("east").store.edit(|object| {
        object["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove(well_known::MANAGED_LABEL);
    });
}

fn lose_answers(world: &mut World) {
    world.cluster("east").answers_lost = 1;
    world.cluster("west").answers_lost = 2;
}
