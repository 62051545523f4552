use kubefed_api::{ClusterName, Overrides};
use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"namespace": "shop", "name": "web", "resourceVersion": "7", "labels": {}},
        "spec": {"list": [1, 2, 3], "null": null, "a/b": {"m~n": 1}},
    })
}

fn overrides(list: Value) -> Vec<Override> {
    let list = Overrides::parse(&json!([{"clusterName": "c", "clusterOverrides": list}]));
    list.of(&ClusterName::from("c")).unwrap().unwrap().to_vec()
}

#[track_caller]
fn check(list: Value, expected: Result<Value, &str>) {
    let outcome = apply_overrides(object(), &overrides(list.clone()));
    match (outcome, expected) {
        (Ok(object), Ok(spec)) => assert_eq!(object["spec"], spec, "{list}"),
        (Err(error), Err(message)) => {
            assert!(error.is_overrides());
            let text = error.to_string();
            let (_, found) = text.split_once("cannot apply the overrides: ").unwrap();
            assert_eq!(found, message, "{list}");
        }
        (outcome, _) => panic!("{list}: {outcome:?}"),
    }
}
