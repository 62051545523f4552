//! Single objects: create, read, replace, status.

use anyhow::ensure;
use serde_json::json;

use crate::world::{CONFIG_MAPS, Outcome, World, claim, config_map, scenarios, text, version};

scenarios![
    a_created_object_gets_its_system_fields,
    an_object_can_be_read_back,
    generated_names_differ,
    creation_is_refused_with_a_reason,
    a_namespace_is_needed,
    replacing_needs_the_current_version,
    a_replacement_without_version_overwrites,
    an_update_that_changes_nothing_keeps_the_version,
    identity_survives_updates,
    one_counter_serves_all_kinds,
    a_dry_run_changes_nothing,
    the_generation_follows_the_spec,
    a_deployments_generation_follows_its_annotations_too,
    status_and_spec_are_written_apart,
    scaling_goes_through_the_scale,
    invalid_metadata_is_refused_field_by_field,
    string_data_of_secrets_is_encoded,
    immutable_config_maps_do_not_change,
    media_types_are_checked,
    unknown_paths_are_not_found,
    a_lease_is_created_by_put,
];

async fn a_created_object_gets_its_system_fields(world: World) -> Outcome {
    let created = world.config_map("a", &json!({ "k": "v" })).await?;
    claim(
        &created,
        &json!({
            "kind": "ConfigMap", "apiVersion": "v1", "data": { "k": "v" },
            "metadata": { "name": "a", "namespace": world.namespace, "generation": null },
        }),
    )?;
    ensure!(text(&created, "/metadata/uid").len() == 36);
    ensure!(text(&created, "/metadata/creationTimestamp").ends_with('Z'));
    ensure!(version(&created).parse::<u64>().is_ok());
    Ok(())
}

async fn an_object_can_be_read_back(world: World) -> Outcome {
    let created = world.config_map("a", &json!({ "k": "v" })).await?;
    let read = world.get(&format!("{CONFIG_MAPS}/a")).await?.expect(200)?;
    ensure!(read == created, "{read} {created}");
    let status = world
        .get(&format!("{CONFIG_MAPS}/b"))
        .await?
        .refused(404, "NotFound")?;
    claim(
        &status,
        &json!({
            "message": "configmaps \"b\" not found", "details": { "name": "b", "kind": "configmaps" },
        }),
    )
}

async fn generated_names_differ(world: World) -> Outcome {
    let mut body = config_map("", &json!({}));
    body["metadata"] = json!({ "generateName": "part-" });
    let first = world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    let second = world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    for created in [&first, &second] {
        let name = text(created, "/metadata/name");
        ensure!(name.len() == 10 && name.starts_with("part-"), "{name}");
    }
    ensure!(text(&first, "/metadata/name") != text(&second, "/metadata/name"));
    Ok(())
}

async fn creation_is_refused_with_a_reason(world: World) -> Outcome {
    world.config_map("a", &json!({})).await?;
    let again = world
        .post(CONFIG_MAPS, &config_map("a", &json!({})))
        .await?;
    let status = again.refused(409, "AlreadyExists")?;
    claim(
        &status,
        &json!({ "message": "configmaps \"a\" already exists" }),
    )?;

    let mut other_namespace = config_map("b", &json!({}));
    other_namespace["metadata"]["namespace"] = json!("elsewhere");
    world
        .post(CONFIG_MAPS, &other_namespace)
        .await?
        .refused(400, "BadRequest")?;

    let mut nameless = config_map("", &json!({}));
    nameless["metadata"] = json!({});
    let status = world
        .post(CONFIG_MAPS, &nameless)
        .await?
        .refused(422, "Invalid")?;
    claim(
        &status["details"]["causes"][0],
        &json!({ "reason": "FieldValueRequired", "field": "metadata.name" }),
    )?;

    let mut versioned = config_map("c", &json!({}));
    versioned["metadata"]["resourceVersion"] = json!("1");
    ensure!(world.post(CONFIG_MAPS, &versioned).await?.code >= 400);

    let mut wrong_kind = config_map("d", &json!({}));
    wrong_kind["kind"] = json!("Secret");
    world
        .post(CONFIG_MAPS, &wrong_kind)
        .await?
        .refused(400, "BadRequest")?;
    world
        .send("POST", CONFIG_MAPS, &crate::world::JSON, "{")
        .await?
        .refused(400, "BadRequest")?;
    Ok(())
}

async fn a_namespace_is_needed(world: World) -> Outcome {
    let body = config_map("a", &json!({}));
    let status = world
        .post("/api/v1/namespaces/nowhere/configmaps", &body)
        .await?
        .refused(404, "NotFound")?;
    claim(
        &status,
        &json!({ "details": { "name": "nowhere", "kind": "namespaces" } }),
    )
}

async fn replacing_needs_the_current_version(world: World) -> Outcome {
    let path = format!("{CONFIG_MAPS}/a");
    let first = world.config_map("a", &json!({ "k": "1" })).await?;
    let mut second = first.clone();
    second["data"]["k"] = json!("2");
    let updated = world.put(&path, &second).await?.expect(200)?;
    ensure!(version(&updated).parse::<u64>()? > version(&first).parse::<u64>()?);
    let status = world.put(&path, &second).await?.refused(409, "Conflict")?;
    claim(
        &status,
        &json!({
            "message": "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; \
                please apply your changes to the latest version and try again",
            "details": { "name": "a", "kind": "configmaps" },
        }),
    )?;
    let mut other = updated.clone();
    other["metadata"]["uid"] = json!("11111111-1111-4111-8111-111111111111");
    world.put(&path, &other).await?.refused(409, "Conflict")?;
    world
        .put(&format!("{CONFIG_MAPS}/b"), &updated)
        .await?
        .refused(400, "BadRequest")?;
    world
        .put(&format!("{CONFIG_MAPS}/b"), &config_map("b", &json!({})))
        .await?
        .refused(404, "NotFound")?;
    Ok(())
}

async fn a_replacement_without_version_overwrites(world: World) -> Outcome {
    world.config_map("a", &json!({ "k": "1" })).await?;
    let updated = world
        .put(
            &format!("{CONFIG_MAPS}/a"),
            &config_map("a", &json!({ "l": "2" })),
        )
        .await?;
    let updated = updated.expect(200)?;
    ensure!(updated["data"] == json!({ "l": "2" }), "{updated}");
    Ok(())
}

async fn an_update_that_changes_nothing_keeps_the_version(world: World) -> Outcome {
    let path = format!("{CONFIG_MAPS}/a");
    let first = world.config_map("a", &json!({ "k": "1" })).await?;
    let same = world.put(&path, &first).await?.expect(200)?;
    ensure!(version(&same) == version(&first));
    let same = world
        .merge(&path, &json!({ "data": { "k": "1" } }))
        .await?
        .expect(200)?;
    ensure!(version(&same) == version(&first));
    Ok(())
}

async fn identity_survives_updates(world: World) -> Outcome {
    let first = world.config_map("a", &json!({})).await?;
    let updated = world
        .put(
            &format!("{CONFIG_MAPS}/a"),
            &config_map("a", &json!({ "k": "v" })),
        )
        .await?
        .expect(200)?;
    for field in ["uid", "creationTimestamp"] {
        ensure!(
            updated["metadata"][field] == first["metadata"][field],
            "{field}: {updated}"
        );
    }
    world
        .delete(&format!("{CONFIG_MAPS}/a"), &json!({}))
        .await?
        .expect(200)?;
    let again = world.config_map("a", &json!({})).await?;
    ensure!(again["metadata"]["uid"] != first["metadata"]["uid"]);
    Ok(())
}

async fn one_counter_serves_all_kinds(world: World) -> Outcome {
    let map = world.config_map("a", &json!({})).await?;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
    let secret = world
        .post("/api/v1/namespaces/{ns}/secrets", &secret)
        .await?
        .expect(201)?;
    ensure!(version(&secret).parse::<u64>()? > version(&map).parse::<u64>()?);
    let list = world.get(CONFIG_MAPS).await?.expect(200)?;
    ensure!(version(&list).parse::<u64>()? >= version(&secret).parse::<u64>()?);
    Ok(())
}

async fn a_dry_run_changes_nothing(world: World) -> Outcome {
    let dry = world
        .post(
            &format!("{CONFIG_MAPS}?dryRun=All"),
            &config_map("a", &json!({})),
        )
        .await?
        .expect(201)?;
    claim(&dry, &json!({ "metadata": { "resourceVersion": null } }))?;
    world
        .get(&format!("{CONFIG_MAPS}/a"))
        .await?
        .refused(404, "NotFound")?;
    let created = world.config_map("a", &json!({ "k": "1" })).await?;
    let path = format!("{CONFIG_MAPS}/a?dryRun=All");
    let dry = world
        .merge(&path, &json!({ "data": { "k": "2" } }))
        .await?
        .expect(200)?;
    claim(
        &dry,
        &json!({ "data": { "k": "2" }, "metadata": { "resourceVersion": version(&created) } }),
    )?;
    // DELETE takes its options from the body, and from the query only where there is none.
    let options = json!({ "dryRun": ["All"] });
    world
        .delete(&format!("{CONFIG_MAPS}/a"), &options)
        .await?
        .expect(200)?;
    world.send("DELETE", &path, &[], "").await?.expect(200)?;
    let read = world.get(&format!("{CONFIG_MAPS}/a")).await?.expect(200)?;
    ensure!(read == created);
    world
        .post(
            &format!("{CONFIG_MAPS}?dryRun=Some"),
            &config_map("b", &json!({})),
        )
        .await?
        .refused(422, "Invalid")?;
    Ok(())
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{ns}/deployments";

fn deployment(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "nginx:1" }] },
            },
        },
    })
}

async fn the_generation_follows_the_spec(world: World) -> Outcome {
    let path = "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies";
    let body = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "a" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    });
    let generation = |value: &serde_json::Value| value["metadata"]["generation"].as_i64();
    let created = world.post(path, &body).await?.expect(201)?;
    ensure!(generation(&created) == Some(1));
    let path = format!("{path}/a");
    let labelled = world
        .merge(&path, &json!({ "metadata": { "labels": { "a": "b" } } }))
        .await?
        .expect(200)?;
    ensure!(generation(&labelled) == Some(1));
    let spec = json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } } } });
    let changed = world.merge(&path, &spec).await?.expect(200)?;
    ensure!(generation(&changed) == Some(2));
    let forced = world
        .merge(&path, &json!({ "metadata": { "generation": 9 } }))
        .await?
        .expect(200)?;
    ensure!(generation(&forced) == Some(2));
    Ok(())
}

async fn a_deployments_generation_follows_its_annotations_too(world: World) -> Outcome {
    let created = world
        .post(DEPLOYMENTS, &deployment("web"))
        .await?
        .expect(201)?;
    ensure!(created["metadata"]["generation"] == 1);
    let patch = json!({ "metadata": { "annotations": { "a": "b" } } });
    let patched = world
        .merge(&format!("{DEPLOYMENTS}/web"), &patch)
        .await?
        .expect(200)?;
    ensure!(patched["metadata"]["generation"] == 2, "{patched}");
    Ok(())
}

async fn status_and_spec_are_written_apart(world: World) -> Outcome {
    let path = "/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets";
    let body = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "a" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "a": "b" } } },
        "status": { "currentHealthy": 7, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 },
    });
    let created = world.post(path, &body).await?.expect(201)?;
    ensure!(created["status"]["currentHealthy"] != 7, "{created}");
    let path = format!("{path}/a");
    let status = json!({
        "spec": { "minAvailable": 5 },
        "status": { "currentHealthy": 3, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 },
    });
    let written = world
        .merge(&format!("{path}/status"), &status)
        .await?
        .expect(200)?;
    claim(
        &written,
        &json!({ "spec": { "minAvailable": 1 }, "status": { "currentHealthy": 3 } }),
    )?;
    let written = world
        .merge(&path, &json!({ "status": { "currentHealthy": 9 } }))
        .await?
        .expect(200)?;
    ensure!(written["status"]["currentHealthy"] != 9, "{written}");
    Ok(())
}

async fn scaling_goes_through_the_scale(world: World) -> Outcome {
    world
        .post(DEPLOYMENTS, &deployment("web"))
        .await?
        .expect(201)?;
    let path = format!("{DEPLOYMENTS}/web/scale");
    let scale = world.get(&path).await?.expect(200)?;
    claim(&scale, &json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "web" },
        "spec": { "replicas": null }, "status": { "selector": "app=web" },
    }))
    .or_else(|_| claim(&scale, &json!({ "kind": "Scale", "spec": { "replicas": 0 }, "status": { "selector": "app=web" } })))?;
    let scaled = world
        .merge(&path, &json!({ "spec": { "replicas": 2 } }))
        .await?
        .expect(200)?;
    ensure!(scaled["spec"]["replicas"] == 2);
    let read = world
        .get(&format!("{DEPLOYMENTS}/web"))
        .await?
        .expect(200)?;
    claim(
        &read,
        &json!({ "spec": { "replicas": 2 }, "metadata": { "generation": 2 } }),
    )?;
    let negative = world
        .merge(&path, &json!({ "spec": { "replicas": -1 } }))
        .await?;
    negative.refused(422, "Invalid")?;
    Ok(())
}

async fn invalid_metadata_is_refused_field_by_field(world: World) -> Outcome {
    for (metadata, field) in [
        (json!({ "name": "Upper" }), "metadata.name"),
        (
            json!({ "name": "a", "labels": { "k": "no spaces" } }),
            "metadata.labels",
        ),
        (
            json!({ "name": "a", "labels": { "/k": "v" } }),
            "metadata.labels",
        ),
        (
            json!({ "name": "a", "annotations": { "a b": "v" } }),
            "metadata.annotations",
        ),
        (
            json!({ "name": "a", "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "" }] }),
            "metadata.ownerReferences.uid",
        ),
    ] {
        let mut body = config_map("a", &json!({}));
        body["metadata"] = metadata;
        let status = world
            .post(CONFIG_MAPS, &body)
            .await?
            .refused(422, "Invalid")?;
        claim(&status["details"], &json!({ "kind": "ConfigMap" }))?;
        let causes = status["details"]["causes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(
            causes.iter().any(|cause| cause["field"] == field),
            "{field}: {status}"
        );
    }
    let mut body = config_map("a", &json!({}));
    body["metadata"]["labels"] = json!({ "k": 1 });
    world
        .post(CONFIG_MAPS, &body)
        .await?
        .refused(400, "BadRequest")?;
    Ok(())
}

async fn string_data_of_secrets_is_encoded(world: World) -> Outcome {
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" },
        "data": { "kept": "eA==" }, "stringData": { "plain": "hello" },
    });
    let created = world
        .post("/api/v1/namespaces/{ns}/secrets", &body)
        .await?
        .expect(201)?;
    claim(
        &created,
        &json!({
            "type": "Opaque", "stringData": null, "data": { "kept": "eA==", "plain": "aGVsbG8=" },
        }),
    )?;
    let path = "/api/v1/namespaces/{ns}/secrets/a";
    world
        .merge(path, &json!({ "type": "other" }))
        .await?
        .refused(422, "Invalid")?;
    world
        .merge(path, &json!({ "data": { "bad": "%" } }))
        .await?
        .refused(422, "Invalid")?;
    Ok(())
}

async fn immutable_config_maps_do_not_change(world: World) -> Outcome {
    let mut body = config_map("a", &json!({ "k": "1" }));
    body["immutable"] = json!(true);
    world.post(CONFIG_MAPS, &body).await?.expect(201)?;
    let path = format!("{CONFIG_MAPS}/a");
    world
        .merge(&path, &json!({ "data": { "k": "2" } }))
        .await?
        .refused(422, "Invalid")?;
    world
        .merge(&path, &json!({ "metadata": { "labels": { "a": "b" } } }))
        .await?
        .expect(200)?;
    Ok(())
}

async fn media_types_are_checked(world: World) -> Outcome {
    let protobuf = "application/vnd.kubernetes.protobuf";
    let nothing = world
        .send("GET", CONFIG_MAPS, &[("accept", "text/csv")], "")
        .await?;
    nothing.refused(406, "NotAcceptable")?;
    let unknown = world
        .send("POST", CONFIG_MAPS, &[("content-type", "text/csv")], "x")
        .await?;
    unknown.refused(415, "UnsupportedMediaType")?;
    let falls_back = [(
        "accept",
        &*format!("{protobuf};as=None;v=v9,application/json"),
    )];
    world
        .send("GET", CONFIG_MAPS, &falls_back, "")
        .await?
        .expect(200)?;
    world.config_map("a", &json!({})).await?;
    let patch = world
        .send(
            "PATCH",
            &format!("{CONFIG_MAPS}/a"),
            &[("content-type", "text/csv")],
            "{}",
        )
        .await?;
    patch.refused(415, "UnsupportedMediaType")?;
    Ok(())
}

async fn unknown_paths_are_not_found(world: World) -> Outcome {
    for path in [
        "/apis/nothing.example/v1/things",
        "/api/v1/namespaces/{ns}/nothings",
        "/api/v9/pods",
        "/apis/apps/v1beta9/deployments",
        "/something/else",
    ] {
        world.get(path).await?.expect(404)?;
    }
    let body = config_map("a", &json!({}));
    let answer = world.put(CONFIG_MAPS, &body).await?;
    ensure!(answer.code == 405, "{answer:?}");
    Ok(())
}

async fn a_lease_is_created_by_put(world: World) -> Outcome {
    let path = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/a";
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "a" },
        "spec": { "holderIdentity": "me" },
    });
    world.put(path, &body).await?.expect(201)?;
    world.put(path, &body).await?.refused(422, "Invalid")?;
    Ok(())
}
