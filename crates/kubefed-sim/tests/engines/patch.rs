//! Strategic merge patches beside a real server.

use kubefed_testing::TestResult;
use serde_json::{Value, json};

use crate::world::{Kind, World, built_in, observe};

async fn check(world: &World, kind: &Kind, object: &Value, patches: Vec<Value>) -> TestResult {
    let collection = world.path(kind, None);
    let created = world
        .send("POST", &collection, "application/json", object)
        .await?;
    assert_eq!(created.code, 201, "{created:?}");
    let path = world.path(kind, object["metadata"]["name"].as_str());
    let mut steps = Vec::new();
    for patch in patches {
        let media_type = "application/strategic-merge-patch+json";
        let answer = world.send("PATCH", &path, media_type, &patch).await?;
        steps.push(json!({"request": patch, "code": answer.code, "body": answer.body}));
    }
    let record = json!({"engine": "strategic", "schema": kind.schema, "object": created.body, "steps": steps});
    observe(&format!("strategic-{}", kind.plural), &record)
}

pub(crate) async fn strategic_merge() -> TestResult {
    let world = World::new().await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {"name": "a", "image": "i:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "args": ["p", "q"]},
                    {"name": "b", "image": "i:1", "ports": [{"containerPort": 80, "name": "http"}]},
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "tolerations": [{"key": "t", "operator": "Exists"}],
            },
        }},
    });
    let pods = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    let patches = vec![
        pods(json!({"containers": [{"name": "b", "image": "i:2"}]})),
        pods(
            json!({"containers": [{"name": "c", "image": "i:3"}, {"name": "a", "env": [{"name": "Z", "value": "3"}]}]}),
        ),
        pods(json!({"containers": [{"name": "c", "$patch": "delete"}]})),
        pods(json!({"containers": [{"name": "a", "env": [{"name": "X", "$patch": "delete"}]}]})),
        pods(
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "i:4"}]}),
        ),
        pods(
            json!({"$setElementOrder/containers": [{"name": "d"}, {"name": "b"}, {"name": "a"}], "containers": [{"name": "d", "image": "i:5"}]}),
        ),
        pods(json!({"containers": [{"name": "a", "args": ["r"]}]})),
        pods(json!({"containers": [{"name": "a", "args": null}]})),
        pods(
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}),
        ),
        pods(json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "emptyDir": {}}]})),
        pods(json!({"tolerations": [{"key": "u", "operator": "Exists"}]})),
        pods(json!({"containers": [{"name": "z", "image": "i:9"}, {"$patch": "replace"}]})),
        pods(json!({"containers": [{"image": "no-name"}]})),
        pods(json!({"containers": [{"name": "z", "$patch": "unknown"}]})),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"$patch": "replace", "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}),
        json!({"metadata": {"labels": {"app": null, "x": "y"}, "annotations": {"a": "b"}}}),
        json!({"metadata": {"finalizers": ["a.example/x", "a.example/y"]}}),
        json!({"metadata": {"finalizers": ["a.example/z", "a.example/x"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.example/x"]}}),
        json!({"metadata": {"$setElementOrder/finalizers": ["a.example/z", "a.example/y"], "finalizers": []}}),
        json!({"metadata": {"finalizers": null}}),
        pods(json!({"nodeSelector": {"a": "b", "c": "d"}})),
        pods(json!({"nodeSelector": {"$patch": "replace", "e": "f"}})),
        pods(json!({"nodeSelector": {"$patch": "delete"}})),
    ];
    check(
        &world,
        &built_in("apps", "v1", "Deployment"),
        &deployment,
        patches,
    )
    .await?;

    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "name": "http", "protocol": "TCP", "targetPort": 80}]},
    });
    let patches = vec![
        json!({"spec": {"ports": [{"port": 443, "name": "https", "protocol": "TCP", "targetPort": 443}]}}),
        json!({"spec": {"$setElementOrder/ports": [{"port": 443}, {"port": 80}], "ports": [{"port": 80, "name": "web"}]}}),
        json!({"spec": {"ports": [{"port": 443, "$patch": "delete"}]}}),
        json!({"spec": {"selector": {"c": "d"}}}),
    ];
    check(&world, &built_in("", "v1", "Service"), &service, patches).await
}
