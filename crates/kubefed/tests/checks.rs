//! The pages that say which test shows which behaviour name tests that exist.
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// The text of all sources below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &std::fs::read_to_string(path).unwrap();
        }
    }
}

/// Whether one function has this name, and an attribute of tests before it.
fn is_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let Some((before, after)) = text.split_once(&function) else {
        return false;
    };
    let attribute = before.trim_end_matches("async ").trim_end().lines().last();
    attribute.is_some_and(|line| line.contains("test")) && !after.contains(&function)
}

/// In `docs/checks.md` of any crate, the last column of each table names tests of that crate.
#[test]
fn every_test_that_a_page_of_checks_names_is_there() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut named = 0;
    for folder in std::fs::read_dir(crates).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(page) = std::fs::read_to_string(folder.join("docs/checks.md")) else {
            continue;
        };
        let mut text = String::new();
        for part in ["src", "tests"].map(|part| folder.join(part)) {
            if part.is_dir() {
                sources(&part, &mut text);
            }
        }
        let rows = page.lines().filter(|line| line.starts_with('|'));
        for row in rows.filter(|row| !row.ends_with("| Test |") && !row.contains("---")) {
            let (_, tests) = row.trim_end_matches([' ', '|']).rsplit_once('|').unwrap();
            let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
            assert!(!tests.is_empty(), "no test is named: {row}");
            for test in tests {
                assert!(is_test(&text, test), "{}: {test}: {row}", folder.display());
                named += 1;
            }
        }
    }
    assert!(named > 100, "only {named} tests are named");
}
