//! The rules between crates, checked: arrows, pure crates, sizes, and thin examples.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that each crate may depend on, dev-dependencies included. Everything may be tested with
/// `kubefed-testing`. A new arrow is a change of the design.
const ARROWS: &[(&str, &[&str])] = &[
    ("kubefed-planner", &[]),
    ("kubefed-sim", &[]),
    ("kubefed-testing", &[]),
    ("kubefed-api", &["kubefed-planner"]),
    ("kubefed-propagation", &["kubefed-api"]),
    ("kubefed-dns", &["kubefed-api"]),
    ("kubefed-informer", &["kubefed-api"]),
    ("kubefed-webhook", &["kubefed-api"]),
    (
        "kubefed-runtime",
        &["kubefed-api", "kubefed-informer", "kubefed-propagation"],
    ),
    (
        "kubefed-controllers",
        &[
            "kubefed-api",
            "kubefed-dns",
            "kubefed-informer",
            "kubefed-planner",
            "kubefed-propagation",
            "kubefed-runtime",
        ],
    ),
    (
        "kubefed-admin",
        &[
            "kubefed-api",
            "kubefed-informer",
            "kubefed-propagation",
            "kubefed-runtime",
        ],
    ),
    (
        "kubefed-cli",
        &[
            "kubefed-admin",
            "kubefed-api",
            "kubefed-informer",
            "kubefed-propagation",
        ],
    ),
    (
        "kubefed-playground",
        &[
            "kubefed-api",
            "kubefed-controllers",
            "kubefed-informer",
            "kubefed-planner",
            "kubefed-propagation",
            "kubefed-runtime",
            "kubefed-sim",
        ],
    ),
];

/// Crates that decide and do no I/O.
const PURE: [&str; 4] = [
    "kubefed-api",
    "kubefed-dns",
    "kubefed-planner",
    "kubefed-propagation",
];

/// What no pure crate may have below it, with any of its features.
const IMPURE: [&str; 5] = ["hyper", "kube-client", "kube-runtime", "tokio", "tower"];

/// The most crates that may stand below a crate, itself included, without optional features.
const SIZES: [(&str, usize); 4] = [
    ("kubefed-planner", 1),
    ("kubefed-api", 45),
    ("kubefed-propagation", 55),
    ("kubefed-informer", 160),
];

/// Lines of an example that are neither blank nor comment.
const EXAMPLE_LINES_MAX: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(arguments)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps", "--locked"]);
    let mut metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array_mut().unwrap();
    assert!(packages.len() > 3, "the workspace has crates");
    std::mem::take(packages)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// The distinct crates below a crate, itself included.
fn tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let edges = [
        "tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}", "-p", package,
    ];
    let listing = cargo(&[&edges[..], features].concat());
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    listing
        .lines()
        .map(name)
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = packages();
    for package in &packages {
        let name = text(package, "name");
        // The facade stands above everything.
        if name == "kubefed" {
            continue;
        }
        let allowed = arrows
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no place in the design"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let target = text(dependency, "name");
            // A crate may turn on its own features for its tests.
            let ours = target.starts_with("kubefed") && target != name;
            let test_bench = target == "kubefed-testing" && dependency["kind"] == "dev";
            assert!(
                !ours || test_bench || allowed.contains(&target),
                "{name} must not depend on {target}"
            );
            if ours && dependency["kind"] == "dev" {
                assert_eq!(
                    text(dependency, "req"),
                    "*",
                    "{name}: {target} must be path-only"
                );
            }
        }
    }
}

#[test]
fn pure_crates_have_no_io_below_them() {
    for package in packages() {
        let name = text(&package, "name");
        if PURE.contains(&name) {
            let below = tree(name, &["--all-features"]);
            let impure: Vec<_> = IMPURE
                .iter()
                .filter(|impure| below.contains(**impure))
                .collect();
            assert!(impure.is_empty(), "{name} has {impure:?} below it");
            // Their tests and build scripts do without, too.
            for dependency in package["dependencies"].as_array().unwrap() {
                let target = text(dependency, "name");
                assert!(!IMPURE.contains(&target), "{name} must not use {target}");
            }
        }
    }
}

#[test]
fn crates_keep_their_sizes() {
    let names: Vec<_> = packages()
        .iter()
        .map(|package| text(package, "name").to_owned())
        .collect();
    for (name, max) in SIZES {
        if names.iter().any(|present| present == name) {
            let size = tree(name, &[]).len();
            assert!(
                size <= max,
                "{name} has {size} crates in its tree, at most {max} are allowed"
            );
        }
    }
}

#[test]
fn every_manifest_opts_into_the_rules() {
    for package in packages() {
        let name = text(&package, "name");
        let manifest = std::fs::read_to_string(text(&package, "manifest_path")).unwrap();
        for rule in ["[lints]\nworkspace = true", "rust-version.workspace = true"] {
            assert!(manifest.contains(rule), "{name} lacks {rule:?}");
        }
        let lib = manifest.split("[lib]").nth(1).unwrap_or_default();
        let lib = lib.split("\n[").next().unwrap_or_default();
        assert!(
            lib.contains("bench = false"),
            "{name}: `cargo bench -- --save-baseline x` would die"
        );
    }
}

#[test]
fn no_library_chooses_a_kubernetes_version() {
    for package in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["name"] == "k8s-openapi" && dependency["kind"].is_null() {
                let chosen = dependency["features"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|feature| {
                        let feature = feature.as_str().unwrap();
                        feature.starts_with("v1_") || ["latest", "earliest"].contains(&feature)
                    });
                assert_eq!(chosen, None, "{}", text(&package, "name"));
            }
        }
    }
}

#[test]
fn examples_and_benches_are_declared_and_examples_are_thin() {
    let declared: BTreeSet<PathBuf> = packages()
        .iter()
        .flat_map(|package| package["targets"].as_array().unwrap().clone())
        .map(|target| Path::new(text(&target, "src_path")).canonicalize().unwrap())
        .collect();
    for folder in ["examples", "benches"] {
        let Ok(files) = std::fs::read_dir(root().join(folder)) else {
            continue;
        };
        for mut file in files.map(|file| file.unwrap().path()) {
            if file.is_dir() {
                file.push("main.rs");
            }
            if file.extension().is_none_or(|extension| extension != "rs") || !file.exists() {
                continue;
            }
            let shown = file.display();
            assert!(
                declared.contains(&file.canonicalize().unwrap()),
                "{shown} is not declared"
            );
            if folder == "examples" {
                let source = std::fs::read_to_string(&file).unwrap();
                let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
                let lines = source.lines().map(str::trim).filter(is_code).count();
                assert!(
                    lines <= EXAMPLE_LINES_MAX,
                    "{shown} has grown a body of {lines} lines"
                );
                assert!(
                    !source.contains("#[test]"),
                    "{shown} has a function that wants a test"
                );
            }
        }
    }
}

#[test]
fn every_crate_begins_with_a_front_page() {
    for package in packages() {
        for target in package["targets"].as_array().unwrap() {
            if target["kind"][0] == "lib" {
                let source = std::fs::read_to_string(text(target, "src_path")).unwrap();
                assert!(
                    source.starts_with("//! "),
                    "{} has no front page",
                    text(target, "src_path")
                );
            }
        }
    }
}
