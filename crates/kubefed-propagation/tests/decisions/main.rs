//! What is decided in every documented situation. Each row names the section of KubeFed's behaviour, or
//! the sharp edge (S1 to S35), that it is about; the crate's page `checks` lists the observable checks.

// Helpers of tests may fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

mod case;
mod life;
mod objects;
mod status;

use std::path::Path;

/// Every test that `docs/checks.md` names is there.
#[test]
fn the_table_of_checks_is_true() {
    fn sources(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    let table = std::fs::read_to_string(root.join("docs/checks.md")).unwrap();
    let names = table.split('`').filter(|name| name.contains('_'));
    for name in names.inspect(|name| assert!(!name.contains(' '), "{name}")) {
        assert!(text.contains(&format!("fn {name}(")), "{name}");
    }
}
