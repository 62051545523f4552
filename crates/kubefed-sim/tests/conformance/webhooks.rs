//! Admission webhooks by URL: what they are told, what they may change and refuse, and what happens
//! where they fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use serde_json::{Value, json};

use crate::world::{
    CONFIG_MAPS, Outcome, Reviewer, Served, World, claim, config_map, scenarios, text, version,
};

scenarios![
    validating_webhooks_refuse_in_their_own_words,
    webhooks_are_told_what_is_about_to_happen,
    mutating_webhooks_change_what_is_stored,
    webhooks_may_be_asked_again,
    a_write_waits_for_its_webhooks_alone,
    failures_of_webhooks_follow_their_policy,
    webhooks_see_what_their_rules_and_selectors_name,
    the_warnings_of_webhooks_are_passed_on,
    configurations_of_webhooks_are_checked,
];

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";
/// The label of objects that only ask whether the webhooks are in force yet.
const PROBE: &str = "probe";

#[derive(Clone, Copy)]
enum Kind {
    Mutating,
    Validating,
}

impl Kind {
    fn path(self) -> String {
        match self {
            Self::Mutating => format!("{CONFIGURATIONS}/mutatingwebhookconfigurations"),
            Self::Validating => format!("{CONFIGURATIONS}/validatingwebhookconfigurations"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }
}

/// The requests that a webhook has seen.
type Seen = Arc<Mutex<Vec<Value>>>;

/// A served webhook, its requests, and the configuration that names it.
struct Webhook {
    served: Served,
    seen: Seen,
}

impl Webhook {
    /// A webhook that answers requests with the response that `respond` makes, without its uid.
    async fn new(
        world: &World,
        respond: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::raw(world, move |request| {
            let mut response = respond(request);
            response["uid"] = request["uid"].clone();
            answer(&response)
        })
        .await
    }

    /// A webhook whose whole answer is made by `answer`; `delay` in it says after how many milliseconds
    /// it is given.
    async fn raw(
        world: &World,
        answer: impl Fn(&Value) -> Value + Send + Sync + 'static,
    ) -> Result<Self> {
        let seen = Seen::default();
        let noted = seen.clone();
        let reviewer: Reviewer = Arc::new(move |review: Value| {
            let request = &review["request"];
            noted.lock().unwrap().push(request.clone());
            let probe = request["object"]["metadata"]["labels"][PROBE] == "yes";
            let mut answered = if probe {
                allowed(request)
            } else {
                answer(request)
            };
            let delay = answered
                .as_object_mut()
                .and_then(|fields| fields.remove("delay"));
            let delay = Duration::from_millis(delay.and_then(|delay| delay.as_u64()).unwrap_or(0));
            async move {
                tokio::time::sleep(delay).await;
                answered
            }
            .boxed()
        });
        let served = (world.serve)(reviewer).await?;
        Ok(Self { served, seen })
    }

    /// An entry of a configuration: creations of ConfigMaps in the namespace of the scenario, unless
    /// `settings` say otherwise.
    fn entry(&self, world: &World, name: &str, settings: &Value) -> Value {
        let mut entry = json!({
            "name": format!("{name}.example.com"), "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": world.namespace } },
            "rules": [rule("configmaps", "CREATE")],
            "clientConfig": { "url": self.served.url },
        });
        if !self.served.authority.is_empty() {
            entry["clientConfig"]["caBundle"] = json!(STANDARD.encode(&self.served.authority));
        }
        json_patch::merge(&mut entry, settings);
        entry
    }

    /// What it was asked since the last call, probes left out.
    fn requests(&self) -> Vec<Value> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.retain(|request| request["object"]["metadata"]["labels"][PROBE].is_null());
        seen
    }
}

fn rule(resources: &str, operations: &str) -> Value {
    json!({
        "apiGroups": ["*"], "apiVersions": ["*"],
        "resources": resources.split(',').collect::<Vec<_>>(),
        "operations": operations.split(',').collect::<Vec<_>>(),
    })
}

fn answer(response: &Value) -> Value {
    json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response })
}

fn allowed(request: &Value) -> Value {
    answer(&json!({ "uid": request["uid"], "allowed": true }))
}

fn patch(operations: &Value) -> Value {
    let patch = STANDARD.encode(operations.to_string());
    json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch })
}

/// Registers webhooks and waits until they are in force.
async fn register(world: &World, kind: Kind, entries: Vec<Value>) -> Outcome {
    let probe = Webhook::new(world, |_| json!({ "allowed": true })).await?;
    let settings = json!({ "objectSelector": { "matchLabels": { PROBE: "yes" } } });
    let mut webhooks = entries;
    webhooks.push(probe.entry(world, "probe", &settings));
    let path = kind.path();
    let name = format!("{path}/{}", world.namespace);
    world.delete(&name, &json!({})).await?;
    let body = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind.name(),
        "metadata": { "name": world.namespace }, "webhooks": webhooks,
    });
    world.post(&path, &body).await?.expect(201)?;
    let mut object = config_map("probe", &json!({}));
    object["metadata"]["labels"] = json!({ PROBE: "yes" });
    for _ in 0..200 {
        world
            .post(&format!("{CONFIG_MAPS}?dryRun=All"), &object)
            .await?;
        if !probe.seen.lock().unwrap().is_empty() {
            // Without the probe, whose server goes now.
            let left =
                json!([{ "op": "remove", "path": format!("/webhooks/{}", webhooks.len() - 1) }]);
            world.json_patch(&name, &left).await?.expect(200)?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the webhooks are never in force")
}

async fn withdraw(world: &World, kind: Kind) -> Outcome {
    let path = format!("{}/{}", kind.path(), world.namespace);
    world.delete(&path, &json!({})).await?.expect(200)?;
    Ok(())
}

async fn validating_webhooks_refuse_in_their_own_words(world: World) -> Outcome {
    let webhook = Webhook::new(&world, |request| {
        let text = text(request, "/object/data/status");
        let status: Value = serde_json::from_str(text).unwrap_or_default();
        json!({ "allowed": false, "status": status })
    })
    .await?;
    let entry = webhook.entry(&world, "deny", &json!({}));
    register(&world, Kind::Validating, vec![entry]).await?;
    let denied = "admission webhook \"deny.example.com\" denied the request";
    for (status, code, expected) in [
        (
            json!({}),
            400,
            json!({ "message": format!("{denied} without explanation"), "reason": null }),
        ),
        (
            json!({ "message": "no" }),
            400,
            json!({ "message": format!("{denied}: no"), "reason": null }),
        ),
        (
            json!({ "reason": "Forbidden" }),
            400,
            json!({ "message": format!("{denied}: Forbidden"), "reason": "Forbidden" }),
        ),
        (
            json!({ "message": "full", "reason": "TooMany", "code": 429 }),
            429,
            json!({ "message": format!("{denied}: full"), "reason": "TooMany" }),
        ),
        (
            json!({ "message": "fine", "status": "Success", "code": 200 }),
            400,
            json!({ "message": format!("{denied}: fine"), "reason": null }),
        ),
        (
            json!({ "code": 422, "details": { "causes": [{ "field": "data.a", "message": "bad" }] } }),
            422,
            json!({ "details": { "causes": [{ "field": "data.a", "message": "bad" }] } }),
        ),
    ] {
        let data = json!({ "status": status.to_string() });
        let refused = world
            .post(CONFIG_MAPS, &config_map("a", &data))
            .await?
            .expect(code)?;
        claim(
            &refused,
            &json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "metadata": {} }),
        )?;
        claim(&refused, &expected).with_context(|| status.to_string())?;
    }
    world
        .get(&format!("{CONFIG_MAPS}/a"))
        .await?
        .refused(404, "NotFound")?;
    withdraw(&world, Kind::Validating).await
}

/// What of a request is the same on every server: everything but uids, times and the objects.
fn outline(request: &Value) -> Value {
    let mut outline = request.clone();
    for field in ["object", "oldObject"] {
        let object = &request[field];
        outline[field] = match object["data"]["k"].as_str() {
            Some(value) => json!(value),
            None => json!(object.is_object()),
        };
    }
    for field in ["uid", "userInfo"] {
        outline.as_object_mut().map(|fields| fields.remove(field));
    }
    outline
}

async fn webhooks_are_told_what_is_about_to_happen(world: World) -> Outcome {
    for kind in [Kind::Mutating, Kind::Validating] {
        let webhook = Webhook::new(&world, |_| json!({ "allowed": true })).await?;
        let rules = json!([rule("configmaps", "*"), rule("namespaces/*", "UPDATE")]);
        let entry = webhook.entry(&world, "watch", &json!({ "rules": rules }));
        register(&world, kind, vec![entry]).await?;
        webhook.requests();
        told_of_config_maps(&world, kind, &webhook).await?;

        let status = "/api/v1/namespaces/{ns}/status";
        world
            .merge(status, &json!({ "metadata": { "labels": { "a": "b" } } }))
            .await?
            .expect(200)?;
        let [request] = &webhook.requests()[..] else {
            anyhow::bail!("the status of the namespace was not reviewed once");
        };
        claim(
            request,
            &json!({
                "resource": { "group": "", "version": "v1", "resource": "namespaces" },
                "subResource": "status", "requestSubResource": "status",
                "name": world.namespace, "namespace": world.namespace, "operation": "UPDATE",
            }),
        )?;
        withdraw(&world, kind).await?;
    }
    Ok(())
}

/// Every kind of write of a ConfigMap; the first one, for which the server makes a name.
async fn write_and_delete(world: &World) -> Result<Value> {
    let path = format!("{CONFIG_MAPS}/a");
    let mut new = config_map("", &json!({ "k": "1" }));
    new["metadata"] = json!({ "generateName": "made-" });
    let made = world.post(CONFIG_MAPS, &new).await?.expect(201)?;
    world.config_map("a", &json!({ "k": "1" })).await?;
    let next = config_map("a", &json!({ "k": "2" }));
    world
        .put(&format!("{path}?fieldManager=me&dryRun=All"), &next)
        .await?
        .expect(200)?;
    world
        .merge(&path, &json!({ "data": { "k": "3" } }))
        .await?
        .expect(200)?;
    // A write that changes nothing is reviewed like any other.
    world.merge(&path, &json!({})).await?.expect(200)?;
    world.delete(&path, &json!({})).await?.expect(200)?;
    world
        .delete(
            &format!("{CONFIG_MAPS}/{}", text(&made, "/metadata/name")),
            &json!({}),
        )
        .await?
        .expect(200)?;
    Ok(made)
}

async fn told_of_config_maps(world: &World, kind: Kind, webhook: &Webhook) -> Outcome {
    let stored = write_and_delete(world).await?;
    let made = text(&stored, "/metadata/name");
    let requests = webhook.requests();
    let kind_of = json!({ "group": "", "version": "v1", "kind": "ConfigMap" });
    let resource = json!({ "group": "", "version": "v1", "resource": "configmaps" });
    let expected = |operation: &str, name: &str, old: Value, new: Value, options: Value| {
        let mut all = json!({
            "kind": kind_of, "resource": resource, "requestKind": kind_of, "requestResource": resource,
            "namespace": world.namespace, "operation": operation, "name": name,
            "object": new, "oldObject": old, "dryRun": false,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": "" },
        });
        json_patch::merge(&mut all["options"], &options);
        if options.get("dryRun").is_some() {
            all["dryRun"] = json!(true);
        }
        if name.is_empty() {
            all.as_object_mut().map(|fields| fields.remove("name"));
        }
        all
    };
    // A generated name is not there yet when objects are still to be changed.
    let early = matches!(kind, Kind::Mutating);
    let first = if early { "" } else { made };
    let no = json!(false);
    let create = json!({ "kind": "CreateOptions" });
    let dry = json!({ "kind": "UpdateOptions", "fieldManager": "me", "dryRun": ["All"] });
    let patch = json!({ "kind": "UpdateOptions" });
    let delete = json!({ "kind": "DeleteOptions" });
    let expected = [
        expected("CREATE", first, no.clone(), json!("1"), create.clone()),
        expected("CREATE", "a", no.clone(), json!("1"), create),
        expected("UPDATE", "a", json!("1"), json!("2"), dry),
        expected("UPDATE", "a", json!("1"), json!("3"), patch.clone()),
        expected("UPDATE", "a", json!("3"), json!("3"), patch),
        expected("DELETE", "a", json!("3"), no.clone(), delete.clone()),
        expected("DELETE", made, json!("1"), no, delete),
    ];
    let outlines: Vec<Value> = requests.iter().map(outline).collect();
    for (found, expected) in outlines.iter().zip(&expected) {
        ensure!(found == expected, "expected {expected}\nfound {found}");
    }
    ensure!(outlines.len() == expected.len(), "{outlines:?}");
    let [first, second] = [0, 1].map(|index| &requests[index]["object"]["metadata"]);
    ensure!(first["managedFields"].is_array(), "{first}");
    if early {
        ensure!(first["uid"].is_null(), "{first}");
    } else {
        ensure!(first["uid"] == stored["metadata"]["uid"], "{first}");
        ensure!(first["uid"] != second["uid"], "{second}");
    }
    ensure!(text(&requests[0], "/uid").len() == 36);
    ensure!(!text(&requests[0], "/userInfo/username").is_empty());
    Ok(())
}

async fn mutating_webhooks_change_what_is_stored(world: World) -> Outcome {
    let first = Webhook::new(&world, |_| {
        patch(&json!([
            { "op": "add", "path": "/metadata/labels", "value": { "first": "yes" } },
            { "op": "add", "path": "/data/added", "value": "1" },
            { "op": "add", "path": "/unknown", "value": 1 },
        ]))
    })
    .await?;
    let second = Webhook::new(&world, |request| {
        let before = text(request, "/object/data/added").to_owned();
        patch(&json!([{ "op": "add", "path": "/data/seen", "value": before }]))
    })
    .await?;
    let rules = json!({ "rules": [rule("configmaps", "CREATE,UPDATE")] });
    let entries = [&first, &second].map(|webhook| webhook.entry(&world, "change", &rules));
    let named = |(index, mut entry): (usize, Value)| {
        entry["name"] = json!(format!("change-{index}.example.com"));
        entry
    };
    let entries = entries.into_iter().enumerate().map(named).collect();
    register(&world, Kind::Mutating, entries).await?;
    let created = world.config_map("a", &json!({ "k": "1" })).await?;
    claim(
        &created,
        &json!({
            "data": { "k": "1", "added": "1", "seen": "1" }, "unknown": null,
            "metadata": { "labels": { "first": "yes" } },
        }),
    )?;
    // What a webhook sets belongs to nobody.
    let owned = &created["metadata"]["managedFields"][0]["fieldsV1"];
    claim(
        owned,
        &json!({ "f:data": { "f:k": {}, "f:added": null }, "f:metadata": null }),
    )?;
    let path = format!("{CONFIG_MAPS}/a");
    let read = world.get(&path).await?.expect(200)?;
    ensure!(read == created, "{read}");
    let replaced = world
        .put(&path, &config_map("a", &json!({ "k": "2" })))
        .await?
        .expect(200)?;
    claim(
        &replaced,
        &json!({ "data": { "k": "2", "added": "1" }, "metadata": { "labels": { "first": "yes" } } }),
    )?;
    // The webhooks undo this, and so there is nothing to write.
    let same = world
        .merge(&path, &json!({ "data": { "added": "9" } }))
        .await?
        .expect(200)?;
    claim(&same, &json!({ "data": { "added": "1" } }))?;
    withdraw(&world, Kind::Mutating).await
}

async fn webhooks_may_be_asked_again(world: World) -> Outcome {
    for (policy, rounds) in [("Never", 1), ("IfNeeded", 2)] {
        let first = Webhook::new(&world, |_| json!({ "allowed": true })).await?;
        let second = Webhook::new(&world, |_| {
            patch(&json!([{ "op": "add", "path": "/data/late", "value": "1" }]))
        })
        .await?;
        let settings = json!({ "reinvocationPolicy": policy });
        let entries = vec![
            first.entry(&world, "first", &settings),
            second.entry(&world, "second", &settings),
        ];
        register(&world, Kind::Mutating, entries).await?;
        first.requests();
        second.requests();
        world
            .config_map(&policy.to_lowercase(), &json!({ "k": "1" }))
            .await?;
        let requests = first.requests();
        ensure!(requests.len() == rounds, "{policy}: {requests:?}");
        let second = second.requests();
        ensure!(second.len() == 1, "{policy}: {second:?}");
        let last = &requests[rounds - 1]["object"]["data"];
        ensure!(last["late"].is_string() == (rounds == 2), "{last}");
        withdraw(&world, Kind::Mutating).await?;
    }
    Ok(())
}

async fn a_write_waits_for_its_webhooks_alone(world: World) -> Outcome {
    let webhook = Webhook::raw(&world, |request| {
        let mut answered = allowed(request);
        answered["delay"] = json!(if request["object"]["data"]["k"] == "slow" {
            500
        } else {
            0
        });
        answered
    })
    .await?;
    let entry = webhook.entry(&world, "wait", &json!({}));
    register(&world, Kind::Validating, vec![entry]).await?;
    webhook.requests();
    let create = async |speed: &str| {
        let mut object = config_map("", &json!({ "k": speed }));
        object["metadata"] = json!({ "generateName": "made-" });
        world.post(CONFIG_MAPS, &object).await?.expect(201)
    };
    let quick = async {
        // Until the slow one is under way.
        while webhook.seen.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = create("quick").await?;
        create("quick").await.map(|after| [before, after])
    };
    let (slow, quick) = futures::future::try_join(create("slow"), quick).await?;
    let [before, after] = quick;
    let number = |object: &Value| version(object).parse::<u64>();
    ensure!(number(&before)? < number(&after)? && number(&after)? < number(&slow)?);
    // Each object is the very one that was reviewed, and there are no two alike.
    let requests = webhook.requests();
    let reviewed: Vec<&Value> = requests.iter().map(|request| &request["object"]).collect();
    for (field, stored) in ["/metadata/name", "/metadata/uid"]
        .into_iter()
        .flat_map(|field| [&slow, &before, &after].map(|stored| (field, stored)))
    {
        let seen = reviewed
            .iter()
            .filter(|object| object.pointer(field) == stored.pointer(field));
        ensure!(seen.count() == 1, "{field} of {stored} in {reviewed:?}");
    }
    ensure!(reviewed.len() == 3, "{reviewed:?}");
    withdraw(&world, Kind::Validating).await
}

async fn failures_of_webhooks_follow_their_policy(world: World) -> Outcome {
    /// What is wrong with an answer.
    type Broken = fn(&Value) -> Value;
    let cases: [(&str, Broken, &str); 5] = [
        (
            "late",
            |_| json!({ "delay": 5000 }),
            "context deadline exceeded",
        ),
        (
            "other",
            |_| answer(&json!({ "uid": "1", "allowed": true })),
            "expected response.uid=",
        ),
        (
            "old",
            |request| {
                json!({
                    "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1",
                    "response": { "uid": request["uid"], "allowed": true },
                })
            },
            "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
        ),
        (
            "empty",
            |_| json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1" }),
            "webhook response was absent",
        ),
        (
            "patched",
            |request| {
                let mut response = patch(&json!([{ "op": "remove", "path": "/data/absent" }]));
                response["uid"] = request["uid"].clone();
                answer(&response)
            },
            "",
        ),
    ];
    for policy in ["Fail", "Ignore"] {
        let mut entries = Vec::new();
        let mut webhooks = Vec::new();
        for (name, broken, _) in cases {
            let webhook = Webhook::raw(&world, broken).await?;
            let settings = json!({
                "failurePolicy": policy, "timeoutSeconds": 1,
                "objectSelector": { "matchLabels": { "case": name } },
            });
            entries.push(webhook.entry(&world, name, &settings));
            webhooks.push(webhook);
        }
        register(&world, Kind::Mutating, entries).await?;
        for (name, _, why) in cases {
            let mut object = config_map(&format!("{name}-{}", policy.to_lowercase()), &json!({}));
            object["metadata"]["labels"] = json!({ "case": name });
            let answer = world.post(CONFIG_MAPS, &object).await?;
            if policy == "Ignore" && name != "patched" {
                answer.expect(201).context(name)?;
                continue;
            }
            let refused = answer.refused(500, "InternalError").context(name)?;
            let message = text(&refused, "/message");
            ensure!(message.contains(why), "{name}: {message}");
            let start =
                format!("Internal error occurred: failed calling webhook \"{name}.example.com\": ");
            ensure!(
                name == "patched" || message.starts_with(&start),
                "{message}"
            );
        }
        withdraw(&world, Kind::Mutating).await?;
    }
    Ok(())
}

async fn webhooks_see_what_their_rules_and_selectors_name(world: World) -> Outcome {
    let rules = |groups: &str, versions: &str, resources: &str, scope: &str| {
        json!({ "rules": [{
            "apiGroups": [groups], "apiVersions": [versions], "resources": [resources],
            "operations": ["CREATE"], "scope": scope,
        }] })
    };
    let selector = |field: &str, value: &str| {
        let expression = json!({ "key": "app", "operator": "In", "values": [value] });
        json!({ field: { "matchExpressions": [expression] } })
    };
    let cases = [
        ("plain", rules("", "v1", "configmaps", "*"), true),
        ("every", rules("*", "*", "*", "*"), true),
        ("all-parts", rules("*", "*", "*/*", "*"), true),
        ("with-parts", rules("", "v1", "configmaps/*", "*"), true),
        ("part", rules("", "v1", "configmaps/status", "*"), false),
        ("group", rules("apps", "*", "*", "*"), false),
        ("version", rules("", "v2", "configmaps", "*"), false),
        ("secrets", rules("", "v1", "secrets", "*"), false),
        ("local", rules("", "v1", "configmaps", "Namespaced"), true),
        ("global", rules("", "v1", "configmaps", "Cluster"), false),
        ("labels", selector("objectSelector", "web"), true),
        ("other-labels", selector("objectSelector", "db"), false),
        ("elsewhere", selector("namespaceSelector", "web"), false),
        (
            "updates",
            json!({ "rules": [rule("configmaps", "UPDATE,DELETE")] }),
            false,
        ),
    ];
    let mut webhooks = Vec::new();
    let mut entries = Vec::new();
    for (name, settings, _) in &cases {
        let webhook = Webhook::new(&world, |_| json!({ "allowed": true })).await?;
        entries.push(webhook.entry(&world, name, settings));
        webhooks.push(webhook);
    }
    register(&world, Kind::Validating, entries).await?;
    for webhook in &webhooks {
        webhook.requests();
    }
    let mut object = config_map("a", &json!({}));
    object["metadata"]["labels"] = json!({ "app": "web" });
    world.post(CONFIG_MAPS, &object).await?.expect(201)?;
    for ((name, _, expected), webhook) in cases.iter().zip(&webhooks) {
        let asked = !webhook.requests().is_empty();
        ensure!(asked == *expected, "{name}: asked is {asked}");
    }
    withdraw(&world, Kind::Validating).await
}

async fn the_warnings_of_webhooks_are_passed_on(world: World) -> Outcome {
    let webhook = Webhook::new(
        &world,
        |_| json!({ "allowed": true, "warnings": ["mind the gap"] }),
    )
    .await?;
    let entry = webhook.entry(&world, "warn", &json!({}));
    register(&world, Kind::Validating, vec![entry]).await?;
    let created = world
        .post(CONFIG_MAPS, &config_map("a", &json!({})))
        .await?;
    ensure!(
        created.warnings == ["299 - \"mind the gap\""],
        "{:?}",
        created.warnings
    );
    created.expect(201)?;
    withdraw(&world, Kind::Validating).await
}

async fn configurations_of_webhooks_are_checked(world: World) -> Outcome {
    let name = &world.namespace;
    let configuration = |kind: Kind, webhook: &Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind.name(),
            "metadata": { "name": name }, "webhooks": [webhook],
        })
    };
    let good = json!({
        "name": "good.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": { "url": "https://webhook.example.com/" },
        "rules": [{ "apiGroups": ["none.example.com"], "apiVersions": ["v1"], "resources": ["nones"], "operations": ["*"] }],
    });
    for (kind, policy) in [
        (Kind::Validating, Value::Null),
        (Kind::Mutating, json!("Never")),
    ] {
        let created = world
            .post(
                &format!("{}?dryRun=All", kind.path()),
                &configuration(kind, &good),
            )
            .await?
            .expect(201)?;
        claim(
            &created["webhooks"][0],
            &json!({
                "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10,
                "namespaceSelector": {}, "objectSelector": {}, "reinvocationPolicy": policy,
            }),
        )?;
        claim(
            &created["webhooks"][0]["rules"][0],
            &json!({ "scope": "*" }),
        )?;
        claim(&created, &json!({ "metadata": { "generation": 1 } }))?;
    }
    for (change, [field, reason, message]) in bad_settings() {
        let mut bad = good.clone();
        json_patch::merge(&mut bad, &change);
        let path = Kind::Validating.path();
        let refused = world
            .post(&path, &configuration(Kind::Validating, &bad))
            .await?
            .refused(422, "Invalid")?;
        let cause = json!({ "field": format!("webhooks[0].{field}"), "reason": reason, "message": message });
        let causes = &refused["details"]["causes"];
        ensure!(*causes == json!([cause]), "{change}: {causes}");
    }
    Ok(())
}

/// What makes a good webhook a bad one, and the cause that is told: field, reason and message.
fn bad_settings() -> [(Value, [&'static str; 3]); 7] {
    let (required, invalid) = ("FieldValueRequired", "FieldValueInvalid");
    [
        (
            json!({ "name": "short" }),
            [
                "name",
                invalid,
                "Invalid value: \"short\": should be a domain with at least three segments separated by dots",
            ],
        ),
        (
            json!({ "sideEffects": null }),
            [
                "sideEffects",
                required,
                "Required value: must specify one of None, NoneOnDryRun",
            ],
        ),
        (
            json!({ "sideEffects": "Some" }),
            [
                "sideEffects",
                "FieldValueNotSupported",
                "Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            ],
        ),
        (
            json!({ "admissionReviewVersions": null }),
            [
                "admissionReviewVersions",
                required,
                "Required value: must specify one of v1, v1beta1",
            ],
        ),
        (
            json!({ "timeoutSeconds": 31 }),
            [
                "timeoutSeconds",
                invalid,
                "Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            ],
        ),
        (
            json!({ "clientConfig": { "url": "http://webhook.example.com/" } }),
            [
                "clientConfig.url",
                invalid,
                "Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ],
        ),
        (
            json!({ "clientConfig": { "url": null } }),
            [
                "clientConfig",
                required,
                "Required value: exactly one of url or service is required",
            ],
        ),
    ]
}
