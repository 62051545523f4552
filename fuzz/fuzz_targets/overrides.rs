//! Law: overrides apply or are refused; identity, owners, status and server-owned metadata stay.
#![no_main]

use kubefed_api::Overrides;
use kubefed_api::well_known::SERVER_OWNED_METADATA;
use kubefed_propagation::apply_overrides;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// The input is a JSON list of the object and the overrides.
fuzz_target!(|text: &str| {
    let Ok((object, list)) = serde_json::from_str::<(Value, Value)>(text) else {
        return;
    };
    let all = serde_json::json!([{"clusterName": "c1", "clusterOverrides": list}]);
    let parsed = Overrides::parse(&all);
    let Ok(Some(overrides)) = parsed.of(&"c1".into()) else {
        return;
    };
    // Even no overrides make `1` of `1.0`.
    let Ok(object) = apply_overrides(object, &[]) else {
        return;
    };
    if let Ok(result) = apply_overrides(object.clone(), overrides) {
        assert_eq!(identity(&object), identity(&result));
        assert_eq!(owned(&object), owned(&result));
    }
});

/// An empty text is as good as none, and so is another type.
fn identity(object: &Value) -> [&str; 4] {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let group = text("/apiVersion").and_then(|version| version.split_once('/'));
    [
        group.map_or("", |(group, _)| group),
        text("/kind").unwrap_or_default(),
        text("/metadata/name").unwrap_or_default(),
        text("/metadata/namespace").unwrap_or_default(),
    ]
}

fn owned(object: &Value) -> Vec<Option<&Value>> {
    let metadata = |name: &&str| object.get("metadata")?.get(*name);
    let mut owned = vec![object.get("status"), metadata(&"ownerReferences")];
    owned.extend(SERVER_OWNED_METADATA.iter().map(metadata));
    owned
}
