//! Rules in CEL: `x-kubernetes-validations` of a CustomResourceDefinition.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{Outcome, World, scenarios};

scenarios![
    rules_refuse_what_they_do_not_hold_for,
    rules_about_changes_see_the_old_value,
    rules_that_do_not_compile_are_refused,
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(world: &World) -> String {
    format!("{}.example.com", world.namespace)
}

fn definition(world: &World, spec: &Value) -> Value {
    let group = group(world);
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("ranges.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": "ranges", "kind": "Range" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
            }],
        },
    })
}

async fn install(world: &World) -> anyhow::Result<String> {
    let integer = json!({ "type": "integer" });
    let spec = json!({
        "type": "object", "required": ["low"],
        "x-kubernetes-validations": [
            { "rule": "!has(self.high) || self.low <= self.high", "message": "low must not exceed high", "fieldPath": ".low" },
            { "rule": "self.low != 13", "reason": "FieldValueForbidden" },
        ],
        "properties": {
            "low": integer, "high": integer,
            "name": {
                "type": "string", "maxLength": 20,
                "x-kubernetes-validations": [
                    { "rule": "self == oldSelf", "message": "a name never changes" },
                    { "rule": "self != 'bad'", "messageExpression": "'not ' + self + ' at all'" },
                ],
            },
            "labels": {
                "type": "object", "maxProperties": 5,
                "additionalProperties": {
                    "type": "string", "maxLength": 9,
                    "x-kubernetes-validations": [{ "rule": "self.startsWith('x')", "message": "begins with x" }],
                },
            },
            "parts": {
                "type": "array", "maxItems": 5,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object", "required": ["name"],
                    "x-kubernetes-validations": [{ "rule": "self.count >= oldSelf.count", "message": "only grows" }],
                    "properties": { "name": { "type": "string" }, "count": { "type": "integer", "default": 0 } },
                },
            },
            "sizes": {
                "type": "array", "maxItems": 5, "items": integer,
                "x-kubernetes-validations": [{ "rule": "self.all(size, size > 0)", "message": "all above zero" }],
            },
        },
    });
    world
        .post(DEFINITIONS, &definition(world, &spec))
        .await?
        .expect(201)?;
    let path = format!("/apis/{}/v1/namespaces/{{ns}}/ranges", group(world));
    world
        .until(&path, "served", |answer| answer.code == 200)
        .await?;
    Ok(path)
}

fn range(world: &World, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/v1", group(world)), "kind": "Range", "metadata": { "name": "a" }, "spec": spec,
    })
}

/// The causes of a refusal: field, reason and message.
fn causes(status: &Value) -> Value {
    let causes = status["details"]["causes"].as_array();
    let mut causes = causes.cloned().unwrap_or_default();
    causes.sort_by_key(ToString::to_string);
    causes.into()
}

async fn rules_refuse_what_they_do_not_hold_for(world: World) -> Outcome {
    let path = install(&world).await?;
    let shown = "Invalid value: low must not exceed high";
    for (spec, field, reason, message) in [
        (
            json!({ "low": 3, "high": 2 }),
            "spec.low",
            "FieldValueInvalid",
            shown,
        ),
        (
            json!({ "low": 1, "name": "bad" }),
            "spec.name",
            "FieldValueInvalid",
            r#"Invalid value: "bad": not bad at all"#,
        ),
        (
            json!({ "low": 13 }),
            "spec",
            "FieldValueForbidden",
            "Forbidden: failed rule: self.low != 13",
        ),
        (
            json!({ "low": 1, "labels": { "a": "xy", "b": "y" } }),
            "spec.labels[b]",
            "FieldValueInvalid",
            r#"Invalid value: "y": begins with x"#,
        ),
        (
            json!({ "low": 1, "sizes": [1, 0] }),
            "spec.sizes",
            "FieldValueInvalid",
            "Invalid value: all above zero",
        ),
    ] {
        let status = world
            .post(&path, &range(&world, &spec))
            .await?
            .refused(422, "Invalid")?;
        let expected = json!([{ "field": field, "reason": reason, "message": message }]);
        ensure!(causes(&status) == expected, "{spec}: {status}");
    }
    let status = world
        .post(&path, &range(&world, &json!({ "high": 2 })))
        .await?
        .refused(422, "Invalid")?;
    let expected = json!([
        { "field": "<nil>", "reason": "FieldValueInvalid", "message": "Invalid value: null: some validation rules \
            were not checked because the object was invalid; correct the existing errors to complete validation" },
        { "field": "spec.low", "reason": "FieldValueRequired", "message": "Required value" },
    ]);
    ensure!(causes(&status) == expected, "{status}");
    let good = json!({ "low": 1, "high": 1, "labels": { "a": "x" }, "sizes": [1] });
    world
        .post(&path, &range(&world, &good))
        .await?
        .expect(201)?;
    Ok(())
}

async fn rules_about_changes_see_the_old_value(world: World) -> Outcome {
    let path = install(&world).await?;
    let spec =
        json!({ "low": 1, "name": "x", "parts": [{ "name": "p", "count": 2 }, { "name": "q" }] });
    world
        .post(&path, &range(&world, &spec))
        .await?
        .expect(201)?;
    let path = format!("{path}/a");
    let status = world
        .merge(&path, &json!({ "spec": { "name": "y" } }))
        .await?
        .refused(422, "Invalid")?;
    let expected = json!([{
        "field": "spec.name", "reason": "FieldValueInvalid",
        "message": r#"Invalid value: "y": a name never changes"#,
    }]);
    ensure!(causes(&status) == expected, "{status}");
    // Items are told apart by their keys, wherever they are in the list.
    let grown =
        json!([{ "name": "q", "count": 1 }, { "name": "new" }, { "name": "p", "count": 2 }]);
    world
        .merge(&path, &json!({ "spec": { "parts": grown } }))
        .await?
        .expect(200)?;
    let shrunk = json!([{ "name": "p", "count": 1 }]);
    let status = world
        .merge(&path, &json!({ "spec": { "parts": shrunk } }))
        .await?
        .refused(422, "Invalid")?;
    let expected = json!([{
        "field": "spec.parts[0]", "reason": "FieldValueInvalid",
        "message": "Invalid value: only grows",
    }]);
    ensure!(causes(&status) == expected, "{status}");
    Ok(())
}

async fn rules_that_do_not_compile_are_refused(world: World) -> Outcome {
    let spec = json!({
        "type": "object", "properties": { "low": { "type": "integer" } },
        "x-kubernetes-validations": [{ "rule": "self.low >" }],
    });
    let status = world
        .post(DEFINITIONS, &definition(&world, &spec))
        .await?
        .refused(422, "Invalid")?;
    let cause = &status["details"]["causes"][0];
    let field = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule";
    ensure!(cause["field"] == field, "{status}");
    let begin = concat!(
        r#"Invalid value: {"Rule":"self.low \u003e","Message":"","MessageExpression":"","Reason":null,"#,
        r#""FieldPath":"","OptionalOldSelf":null}: compilation failed: "#,
    );
    let message = cause["message"].as_str().unwrap_or("");
    ensure!(message.starts_with(begin), "{status}");
    Ok(())
}
