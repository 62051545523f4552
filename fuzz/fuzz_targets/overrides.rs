//! Law: overrides apply or are refused; whatever they say, group, kind, name and namespace stay.
#![no_main]

use kubefed_api::Overrides;
use kubefed_propagation::apply_overrides;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (&str, &str)| {
    let (object, overrides) = input;
    let Ok(object) = serde_json::from_str::<Value>(object) else {
        return;
    };
    let Ok(list) = serde_json::from_str::<Value>(overrides) else {
        return;
    };
    let all = serde_json::json!([{"clusterName": "c1", "clusterOverrides": list}]);
    let parsed = Overrides::parse(&all);
    let Ok(Some(overrides)) = parsed.of(&"c1".into()) else {
        return;
    };
    if let Ok(result) = apply_overrides(object.clone(), overrides) {
        assert_eq!(identity(&object), identity(&result));
    }
});

fn identity(object: &Value) -> [Option<String>; 4] {
    let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    let api_version = text("/apiVersion").unwrap_or_default();
    let group = api_version.split_once('/').map(|(group, _)| group.to_owned());
    [
        group,
        text("/kind"),
        text("/metadata/name"),
        text("/metadata/namespace"),
    ]
}
