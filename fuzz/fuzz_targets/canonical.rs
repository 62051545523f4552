//! Law: canonical text reads back as JSON, and writing what was read gives the same text.
#![no_main]

use kubefed_propagation::{canonical_json, canonical_json_of_doubles};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    for write in [canonical_json, canonical_json_of_doubles] {
        let once = write(&value);
        let read: Value = serde_json::from_str(&once).expect("canonical text is JSON");
        assert_eq!(write(&read), once);
    }
});
