//! Schemas of CRDs beside a real server.

use kubefed_sim::schema::check_structural;
use kubefed_testing::TestResult;
use serde_json::{Value, json};

use crate::{
    verdict::{causes_of, texts},
    world::{World, crd, observe},
};

/// One field for each rule.
fn strict_schema() -> Value {
    let of = |rules: Value| {
        let mut schema = rules;
        schema["type"] = schema.get("type").cloned().unwrap_or(json!("string"));
        schema
    };
    json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}}},
        "spec": {"type": "object", "required": ["needed", "also"], "properties": {
            "needed": {"type": "string"},
            "also": {"type": "integer"},
            "number": {"type": "number", "minimum": 0.5, "exclusiveMinimum": true, "maximum": 10},
            "integer": {"type": "integer", "minimum": 1, "maximum": 5, "exclusiveMaximum": true, "multipleOf": 2},
            "fraction": {"type": "number", "multipleOf": 0.25},
            "flag": {"type": "boolean"},
            "short": of(json!({"minLength": 2, "maxLength": 4})),
            "pattern": of(json!({"pattern": "^[a-z]+$"})),
            "choice": of(json!({"enum": ["red", "green"]})),
            "level": {"type": "integer", "enum": [1, 2]},
            "when": of(json!({"format": "date-time"})),
            "day": of(json!({"format": "date"})),
            "address": of(json!({"format": "ipv4"})),
            "where": of(json!({"format": "uri"})),
            "mail": of(json!({"format": "email"})),
            "bytes": of(json!({"format": "byte"})),
            "id": of(json!({"format": "uuid"})),
            "host": of(json!({"format": "hostname"})),
            "lasts": of(json!({"format": "duration"})),
            "net": of(json!({"format": "cidr"})),
            "items": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"], "items": {
                "type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "x"}}}},
            "one": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"], "items": {
                "type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}},
            "each": {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": {"type": "integer"}},
            "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "some": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                "anyOf": [{"required": ["a"], "properties": {"a": {"minLength": 2}}}, {"required": ["b"]}]},
            "all": {"type": "integer", "allOf": [{"minimum": 2}, {"maximum": 4}, {"not": {"enum": [3]}}]},
            "not": {"type": "string", "not": {"pattern": "^x"}},
            "port": {"x-kubernetes-int-or-string": true},
            "mixed": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+%?$"},
            "nullable": {"type": "string", "nullable": true, "minLength": 2},
            "nested": {"type": "object", "properties": {"deeper": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}}},
        }},
    }})
}

pub(crate) async fn validation() -> TestResult {
    let world = World::new().await?;
    let kind = world
        .register("stricts", "Strict", &strict_schema())
        .await?;
    let cases = [
        json!({}),
        json!({"number": 0.5}),
        json!({"number": 11}),
        json!({"number": 0}),
        json!({"number": "1"}),
        json!({"number": 1e30}),
        json!({"integer": 0}),
        json!({"integer": 5}),
        json!({"integer": 6}),
        json!({"integer": 3}),
        json!({"integer": 1.5}),
        json!({"integer": 2.0}),
        json!({"fraction": 0.3}),
        json!({"fraction": 0.5}),
        json!({"flag": "true"}),
        json!({"flag": 1}),
        json!({"short": "a"}),
        json!({"short": "abcde"}),
        json!({"short": 5}),
        json!({"short": "ä€"}),
        json!({"pattern": "A\"<"}),
        json!({"choice": "blue"}),
        json!({"choice": 1}),
        json!({"level": 3}),
        json!({"level": "1"}),
        json!({"level": 1.0}),
        json!({"when": "yesterday"}),
        json!({"when": 5}),
        json!({"day": "2020-02-30"}),
        json!({"address": "1.2.3"}),
        json!({"where": "a b"}),
        json!({"mail": "nobody"}),
        json!({"bytes": "*"}),
        json!({"id": "1"}),
        json!({"host": "-"}),
        json!({"lasts": "long"}),
        json!({"net": "1.2.3.4"}),
        json!({"when": "2020-01-01T00:00:00Z", "day": "2020-02-29", "address": "1.2.3.4", "where": "http://a/b", "mail": "a@b.c", "bytes": "YQ==",
            "id": "123e4567-e89b-12d3-a456-426614174000", "host": "a.example", "lasts": "3m", "net": "10.0.0.0/8"}),
        json!({"items": []}),
        json!({"items": ["a", "b", "c"]}),
        json!({"items": ["a", "bcde"]}),
        json!({"items": ["a", 1]}),
        json!({"items": "a"}),
        json!({"items": {}}),
        json!({"set": ["a", "b", "a", "b", "a"]}),
        json!({"map": [{"a": "1"}, {"a": "1", "b": "x"}]}),
        json!({"map": [{"a": "1"}, {"b": "y"}]}),
        json!({"one": [{"a": "1"}, {"a": "2"}, {"a": "1"}]}),
        json!({"map": ["a"]}),
        json!({"each": {}}),
        json!({"each": {"a": 1, "b": 2, "c": 3}}),
        json!({"each": {"a": "x"}}),
        json!({"each": []}),
        json!({"either": {}}),
        json!({"either": {"a": "1", "b": "2"}}),
        json!({"either": {"a": "1"}}),
        json!({"some": {}}),
        json!({"some": {"a": "x"}}),
        json!({"some": {"b": 1}}),
        json!({"some": {"a": 5}}),
        json!({"all": 1}),
        json!({"all": 5}),
        json!({"all": 3}),
        json!({"all": 2}),
        json!({"not": "xy"}),
        json!({"not": "y"}),
        json!({"port": 1}),
        json!({"port": "a"}),
        json!({"port": true}),
        json!({"port": {}}),
        json!({"mixed": "50%"}),
        json!({"mixed": "a"}),
        json!({"mixed": 1.5}),
        json!({"nullable": null}),
        json!({"nullable": "a"}),
        json!({"needed": null}),
        json!({"nested": {"deeper": {}}}),
        json!({"nested": {"deeper": {"x": "y"}}}),
        json!({"nested": null}),
        json!({"items": [null]}),
    ];
    let spec = |case: &Value| {
        let mut spec = json!({"needed": "yes", "also": 1});
        if let (Some(spec), Some(case)) = (spec.as_object_mut(), case.as_object()) {
            if case.is_empty() {
                spec.clear();
            }
            spec.extend(case.clone());
        }
        spec
    };
    let named = cases
        .iter()
        .enumerate()
        .map(|(index, case)| (format!("s{index}"), spec(case)));
    let mut record = Vec::new();
    for (name, spec) in named.chain([("too-long-a-name".to_owned(), spec(&json!({"short": "ab"})))])
    {
        let object = json!({"apiVersion": "engines.example/v1", "kind": "Strict", "metadata": {"name": name}, "spec": spec});
        let answer = world
            .send(
                "POST",
                &world.path(&kind, None),
                "application/json",
                &object,
            )
            .await?;
        record.push(json!({"request": object, "code": answer.code, "body": answer.body}));
    }
    observe(
        "validation",
        &json!({"engine": "validation", "schema": kind.schema, "cases": record}),
    )
}

pub(crate) async fn pruning_and_defaulting() -> TestResult {
    let world = World::new().await?;
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "default": {"mode": "auto"}, "properties": {
            "mode": {"type": "string", "default": "manual"},
            "count": {"type": "integer", "default": 3},
            "maybe": {"type": "string", "nullable": true, "default": "x"},
            "plain": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "b"}, "c": {"type": "string"}}}},
            "each": {"type": "object", "additionalProperties": {"type": "object", "properties": {"d": {"type": "integer", "default": 1}}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "object", "properties": {"x": {"type": "string"}}}}},
            "closed": {"type": "object"},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "resource": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object", "properties": {"y": {"type": "string"}}}}},
            "raw": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "all": {"type": "object", "additionalProperties": true},
        }},
    }});
    let kind = world.register("loose", "Loose", &schema).await?;
    let embedded = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}, "nope": 1}, "spec": {"y": "1", "z": "2"}, "other": 1});
    let cases = [
        json!({}),
        json!({"spec": {}}),
        json!({"spec": null}),
        json!({"spec": {"mode": null, "maybe": null, "plain": null, "unknown": null}}),
        json!({"spec": {"unknown": {"a": 1}, "list": [{}, {"a": null, "z": 1}, {"c": "d"}], "each": {"k": {}, "l": {"d": 5, "e": 6}}}}),
        json!({"spec": {"open": {"free": {"x": [1, {"y": null}]}, "known": {"x": "1", "y": 2}}, "closed": {"gone": 1}, "any": [{"kept": 1}, null]}}),
        json!({"spec": {"resource": embedded, "raw": embedded}}),
        json!({"spec": {"all": {"a": {"b": {"c": 1}}, "d": 1}}}),
        json!({"top": 1, "status": {"x": 1}, "spec": {"count": 4}}),
    ];
    let mut record = Vec::new();
    for (index, mut object) in cases.into_iter().enumerate() {
        object["apiVersion"] = json!("engines.example/v1");
        object["kind"] = json!("Loose");
        object["metadata"] = json!({"name": format!("l{index}"), "surprise": 1});
        let path = world.path(&kind, None);
        let strictly = format!("{path}?fieldValidation=Strict&dryRun=All");
        let strict = world
            .send("POST", &strictly, "application/json", &object)
            .await?;
        let answer = world
            .send("POST", &path, "application/json", &object)
            .await?;
        record.push(json!({"request": object, "strict": strict.body, "code": answer.code, "body": answer.body}));
    }
    observe(
        "pruning",
        &json!({"engine": "pruning", "schema": kind.schema, "cases": record}),
    )
}

pub(crate) async fn structural() -> TestResult {
    let world = World::new().await?;
    let object = |spec: Value| json!({"type": "object", "properties": {"spec": spec}});
    let cases = [
        json!({"properties": {"spec": {"type": "object"}}}),
        json!({"type": "string"}),
        object(json!({"properties": {"a": {}}})),
        object(json!({"type": "array"})),
        object(json!({"type": "array", "items": {"description": "no type"}})),
        object(
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"a": {"type": "string"}}}]}),
        ),
        object(json!({"type": "object", "anyOf": [{"properties": {"b": {"minLength": 1}}}]})),
        object(
            json!({"type": "object", "allOf": [{"description": "no", "nullable": true, "default": {}}]}),
        ),
        object(json!({"type": "object", "not": {"items": {"minLength": 1}}})),
        object(
            json!({"type": "object", "oneOf": [{"x-kubernetes-preserve-unknown-fields": true}]}),
        ),
        object(json!({"type": "object", "x-kubernetes-embedded-resource": true})),
        object(
            json!({"type": "string", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
        ),
        object(
            json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        ),
        object(
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        object(
            json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]}),
        ),
        object(
            json!({"type": "object", "allOf": [{"properties": {"metadata": {"minLength": 1}}}]}),
        ),
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}}}),
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        json!({"type": "object", "properties": {"metadata": {"type": "string"}, "kind": {"type": "integer"}, "apiVersion": {"type": "object"}}}),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let mut crd = crd(&format!("odds{index}"), &format!("Odd{index}"), &case);
        // With a status subresource the server says more about the root.
        crd["spec"]["versions"][0]["subresources"] = Value::Null;
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
        let answer = world.send("POST", path, "application/json", &crd).await?;
        // kube-apiserver reports the schema of the first version under this path when all are the same.
        let errors = check_structural("spec.validation.openAPIV3Schema", &case);
        assert_eq!(
            texts(&errors),
            causes_of(&answer.body),
            "{case}\n{}",
            answer.body["message"]
        );
    }
    Ok(())
}
