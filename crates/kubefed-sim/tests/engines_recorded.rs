//! The pure engines answer as a real kube-apiserver did when its answers were recorded.
//!
//! The records are written by the tests beside a real server; see `engines/main.rs`.

#[path = "engines/verdict.rs"]
#[allow(dead_code, reason = "the tests beside a server use all of it")]
mod verdict;

use std::{fs, path::Path};

#[test]
fn recorded_answers_are_given_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/recorded");
    let mut count = 0;
    for entry in fs::read_dir(dir).expect("the records") {
        let path = entry.expect("a record").path();
        let text = fs::read_to_string(&path).expect("a record");
        println!("{}", path.display());
        verdict::judge(&serde_json::from_str(&text).expect("JSON"));
        count += 1;
    }
    assert!(count >= 10, "{count} records");
}
