//! Scenarios for a host and members of any kind.

use std::time::Duration;

use kubefed_playground::kubefed_api::{QualifiedName, ResourceType, manifest};
use kubefed_playground::{PlayedCluster, Playground, Snapshot};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a scenario ends with; `?` works on any error.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// How long a step may take. Real API servers are killed and started in it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

const LOOK: Duration = Duration::from_millis(50);

/// Everything that the `federation` example shows and verifies.
pub(crate) async fn tour<C: PlayedCluster>(fleet: &Playground<C>) -> Outcome {
    let shop = include_str!("../../../../examples/manifests/shop.yaml");
    let shop = manifest::read("shop.yaml", shop);
    fleet.tour(shop, PATIENCE, |_| ()).await?;
    Ok(())
}

/// A member goes down while objects are on their way to it. The others get theirs, and it gets its own
/// once it is back.
pub(crate) async fn member_lost_in_mid_propagation<C: PlayedCluster>(
    fleet: &Playground<C>,
) -> Outcome {
    const OBJECTS: usize = 40;
    let namespace = "lost";
    fleet.apply([federated_namespace(namespace)]).await?;
    fleet.settle(PATIENCE).await?;
    let member = fleet.member("member-2").ok_or("member-2 is missing")?;
    for index in 0..OBJECTS {
        fleet
            .apply([federated_config_map(namespace, index, "blue")])
            .await?;
        if index == OBJECTS / 2 {
            member.go_down().await?;
        }
    }
    let holders = |index: usize| {
        let name = QualifiedName::namespaced(namespace, format!("map-{index}"));
        let snapshot = fleet.snapshot();
        let object = snapshot.object("ConfigMap", &name);
        object.map_or_else(String::new, |object| object.holders().join(" "))
    };
    fleet.settle(PATIENCE).await?;
    let elsewhere = (0..OBJECTS).filter(|index| {
        let holders = holders(*index);
        holders.contains("member-1") && holders.contains("member-3")
    });
    assert_eq!(
        elsewhere.count(),
        OBJECTS,
        "the other members have them all"
    );
    assert_eq!(holders(OBJECTS - 1), "member-1 member-3");
    member.come_back().await?;
    let everywhere = |snapshot: &Snapshot| {
        let objects = snapshot.objects().iter();
        let mut maps = objects.filter(|object| object.name.namespace() == Some(namespace));
        match maps.find(|object| object.holders().len() != 3) {
            Some(object) => Err(format!("{} is not everywhere", object.title())),
            None => Ok(()),
        }
    };
    let snapshot = fleet.settle_when(PATIENCE, everywhere, |_, _| ()).await?;
    assert_eq!(snapshot.problems(), [""; 0]);
    empty(fleet, namespace, OBJECTS).await
}

/// A kind that one member alone knows: it gets its copy, the others say why they have none, and get
/// theirs when they know the kind.
pub(crate) async fn kind_of_one_member<C: PlayedCluster>(fleet: &mut Playground<C>) -> Outcome {
    use kubefed_playground::kubefed_api::{Target, TemplateSchema};

    let gadgets = ResourceType::namespaced("acme.example", "v1", "Gadget", "gadgets");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.acme.example"},
        "spec": {
            "group": "acme.example", "scope": "Namespaced",
            "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object",
                        "properties": {"size": {"type": "integer"}},
                    }},
                }},
            }],
        },
    });
    define(fleet, "member-1", &definition).await?;
    fleet
        .enable(&Target::new(gadgets), TemplateSchema::Present)
        .await?;
    let namespace = "kinds";
    let gadget = json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedGadget",
        "metadata": {"namespace": namespace, "name": "lever"},
        "spec": {"template": {"spec": {"size": 3}}, "placement": {"clusterSelector": {}}},
    });
    fleet
        .apply([federated_namespace(namespace), gadget])
        .await?;
    let name = QualifiedName::namespaced(namespace, "lever");
    let state = |snapshot: &Snapshot, expected: &[(&str, &str)]| {
        let Some(object) = snapshot.object("Gadget", &name) else {
            return Err("there is no such object".to_owned());
        };
        let reported = |cluster: &str| {
            let copy = object.cluster(cluster);
            copy.and_then(|copy| copy.status.clone())
        };
        match expected
            .iter()
            .find(|(cluster, status)| reported(cluster).as_deref() != Some(status))
        {
            None => Ok(()),
            Some((cluster, _)) => Err(format!("{cluster}: {:?}", reported(cluster))),
        }
    };
    let one_of_three = [
        ("member-1", ""),
        ("member-2", UNKNOWN_KIND),
        ("member-3", UNKNOWN_KIND),
    ];
    until(fleet, |snapshot| state(snapshot, &one_of_three)).await?;
    for member in ["member-2", "member-3"] {
        define(fleet, member, &definition).await?;
    }
    let all = [("member-1", ""), ("member-2", ""), ("member-3", "")];
    until(fleet, |snapshot| state(snapshot, &all)).await?;
    let gadget = federated_type("Gadget");
    fleet.delete(&gadget, &name).await?;
    until(fleet, |snapshot| match snapshot.object("Gadget", &name) {
        None => Ok(()),
        Some(_) => Err("the gadget is still there".to_owned()),
    })
    .await
}

/// What is reported for a member that does not serve the kind: its watch cannot be synced.
const UNKNOWN_KIND: &str = "CachedRetrievalFailed";

async fn define<C: PlayedCluster>(
    fleet: &Playground<C>,
    member: &str,
    definition: &Value,
) -> Outcome {
    use kube::api::PostParams;
    use kubefed_playground::kubefed_api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    let member = fleet.member(member).ok_or("there is no such member")?;
    let definitions = kube::Api::<CustomResourceDefinition>::all(member.client());
    let definition = serde_json::from_value(definition.clone())?;
    definitions
        .create(&PostParams::default(), &definition)
        .await?;
    Ok(())
}

/// Waits until something is seen, though other things may go on moving.
pub(crate) async fn until<C: PlayedCluster>(
    fleet: &Playground<C>,
    expected: impl Fn(&Snapshot) -> Result<(), String>,
) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = expected(&fleet.snapshot()) {
        if Instant::now() > deadline {
            return Err(why.into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

pub(crate) fn federated_namespace(name: &str) -> Value {
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedNamespace",
        "metadata": {"namespace": name, "name": name},
        "spec": {"placement": {"clusterSelector": {}}},
    })
}

pub(crate) fn federated_config_map(namespace: &str, index: usize, colour: &str) -> Value {
    json!({
        "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedConfigMap",
        "metadata": {"namespace": namespace, "name": format!("map-{index}")},
        "spec": {
            "template": {"data": {"colour": colour}},
            "placement": {"clusterSelector": {}},
        },
    })
}

/// Deletes the ConfigMaps of a scenario and waits until no member has any.
pub(crate) async fn empty<C: PlayedCluster>(
    fleet: &Playground<C>,
    namespace: &str,
    objects: usize,
) -> Outcome {
    for index in 0..objects {
        let name = QualifiedName::namespaced(namespace, format!("map-{index}"));
        fleet.delete(&federated_type("ConfigMap"), &name).await?;
    }
    fleet.settle(PATIENCE).await?;
    for (name, member) in fleet.members() {
        let held = member.objects(&config_maps()).into_iter().filter(|map| {
            let metadata = &map["metadata"];
            metadata["namespace"] == namespace && metadata["name"] != "kube-root-ca.crt"
        });
        assert_eq!(held.count(), 0, "{name}");
    }
    Ok(())
}

pub(crate) fn config_maps() -> ResourceType {
    ResourceType::namespaced("", "v1", "ConfigMap", "configmaps")
}

pub(crate) fn federated_type(kind: &str) -> ResourceType {
    let kind = format!("Federated{kind}");
    let plural = format!("{}s", kind.to_lowercase());
    ResourceType::namespaced("types.kubefed.io", "v1beta1", &kind, &plural)
}
