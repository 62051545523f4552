//! The answers of KubeFed v0.10's own functions, all to be reproduced; see `vectors/README.md`.
//!
//! Other files of the same form are tried when `KUBEFED_VECTORS` names their folder.

// Functions of tests that are not marked as such may do what tests may.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kubefed_api::{ClusterName, FederatedObject, Overrides, ResourceType};
use kubefed_propagation::{
    NamespaceFederation, ObjectVersion, Placement, Scope, Selection, apply_overrides,
    canonical_json, needs_update, overrides_hash, retain, template_hash,
};
use serde_json::{Value, json};

/// Member names that differ in case only are accepted by the original's decoder. The schemas of the
/// CRDs drop such members, and we read names exactly.
const LETTER_CASE: &str = "letter-case";

/// `test`, `move` and `copy`, which the schemas refuse and so do we.
const OTHER_OPERATIONS: &str = "other-operations";

/// The fields of an answer by name, or an error of any wording.
type Answer = Result<Value, String>;

/// Compares every line of a file, prints a summary, and fails with the first line that differs.
#[track_caller]
fn check(file: &str, fields: &[&str], skipped_shapes: &[&str], answer: fn(&Value) -> Answer) {
    let folder = std::env::var_os("KUBEFED_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
        PathBuf::from,
    );
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut reproduced, mut differing, mut skipped) = (0, 0, 0);
    let mut failures = Vec::new();
    for line in text.lines() {
        let line = reader::read(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let shape = line["shape"].as_str().unwrap();
        if skipped_shapes.contains(&shape) {
            skipped += 1;
        } else if line.get("differs").is_some() {
            // Not compared, but neither may it crash here.
            let _ = answer(&line);
            differing += 1;
        } else {
            match compare(&line, fields, &answer(&line)) {
                Ok(()) => reproduced += 1,
                Err(difference) => failures.push(format!("{} {difference}\n{line}", line["id"])),
            }
        }
    }
    let compared = reproduced + failures.len();
    println!(
        "{file}: {reproduced} of {compared} lines reproduced; {differing} differ on purpose; \
         {skipped} skipped ({})",
        skipped_shapes.join(", ")
    );
    if let Some(first) = failures.first() {
        panic!(
            "{file}: {} lines differ, the first is {first}",
            failures.len()
        );
    }
    assert!(reproduced > 0, "{file} is empty");
}

fn compare(line: &Value, fields: &[&str], answer: &Answer) -> Result<(), String> {
    match (answer, line.get("error")) {
        (Err(_), Some(_)) => Ok(()),
        (Ok(answer), Some(_)) => Err(format!("should be an error, not {answer}")),
        (Err(error), None) => Err(format!("should be no error: {error}")),
        (Ok(answer), None) => {
            let different = fields
                .iter()
                .find(|name| answer.get(**name) != line.get(**name));
            different.map_or(Ok(()), |name| {
                Err(format!("{name} should not be {}", answer[*name]))
            })
        }
    }
}

#[test]
fn hashes_are_those_of_the_original() {
    check(
        "hashes.jsonl",
        &["templateVersion", "overridesVersion"],
        &[LETTER_CASE],
        |line| {
            let federated = read(&line["federated"])?;
            // A hash that cannot be computed has no field; the other one is still compared.
            let mut answer = json!({});
            if let Ok(hash) = template_hash(&federated) {
                answer["templateVersion"] = hash.as_str().into();
            }
            if let Ok(hash) = overrides_hash(&federated) {
                answer["overridesVersion"] = hash.as_str().into();
            }
            Ok(answer)
        },
    );
}

#[test]
fn overrides_apply_as_in_the_original() {
    check(
        "overrides.jsonl",
        &["result"],
        &[LETTER_CASE, OTHER_OPERATIONS],
        |line| {
            let object = read(&line["object"])?;
            let (all, cluster) = match line.get("allOverrides") {
                Some(all) => (read(all)?, line["cluster"].as_str().unwrap()),
                None => {
                    let list = read(&line["overrides"])?;
                    (
                        json!([{"clusterName": "c1", "clusterOverrides": list}]),
                        "c1",
                    )
                }
            };
            let overrides = Overrides::parse(&all);
            let of_cluster = overrides.of(&ClusterName::from(cluster));
            let object = match of_cluster.map_err(ToString::to_string)? {
                None => object,
                Some(list) => apply_overrides(object, list).map_err(|error| error.to_string())?,
            };
            Ok(json!({"result": canonical_json(&object)}))
        },
    );
}

#[test]
fn placement_selects_the_clusters_of_the_original() {
    check("placement.jsonl", &["selected"], &[LETTER_CASE], |line| {
        let federated = federated(&line["federated"])?;
        let namespace = match (&line["namespaced"], &line["federatedNamespace"]) {
            (Value::Bool(false), _) => NamespaceFederation::NotNeeded,
            (_, Value::Null) => NamespaceFederation::Absent,
            (_, text) => NamespaceFederation::Present(
                self::federated(text)?
                    .placement()
                    .cloned()
                    .map_err(Clone::clone),
            ),
        };
        let scope = match line["limitedScope"] {
            Value::Bool(true) => Scope::Limited,
            _ => Scope::Cluster,
        };
        let placement = Placement::new(federated.placement(), &namespace, scope);
        if let Some(why) = placement.undetermined() {
            return Err(why.to_string());
        }
        let mut selected = Vec::new();
        for cluster in line["clusters"].as_array().unwrap() {
            let name = ClusterName::from(cluster["name"].as_str().unwrap());
            let labels: BTreeMap<_, _> = cluster["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            if let Selection::Yes(_) = placement.of(&name, &labels) {
                selected.push(name.as_str().to_owned());
            }
        }
        selected.sort_unstable();
        Ok(json!({"selected": selected}))
    });
}

#[test]
fn retention_keeps_what_the_original_keeps() {
    check("retention.jsonl", &["result"], &[], |line| {
        let mut desired = read(&line["desired"])?;
        let api_version = desired["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let target = ResourceType::namespaced(group, version, line["kind"].as_str().unwrap(), "");
        let federated = federated(&line["federated"])?;
        retain(&target, &mut desired, &read(&line["member"])?, &federated)
            .map_err(|error| error.to_string())?;
        Ok(json!({"result": canonical_json(&desired)}))
    });
}

#[test]
fn versions_are_compared_as_in_the_original() {
    check("versions.jsonl", &["version", "needsUpdate"], &[], |line| {
        let member = read(&line["member"])?;
        let recorded = line["recorded"].as_str().unwrap();
        Ok(json!({
            "version": ObjectVersion::of(&member).to_string(),
            "needsUpdate": needs_update(recorded, &read(&line["desired"])?, &member),
        }))
    });
}

fn read(text: &Value) -> Result<Value, String> {
    reader::read(text.as_str().unwrap())
}

fn federated(text: &Value) -> Result<FederatedObject, String> {
    FederatedObject::parse(read(text)?).map_err(|error| error.to_string())
}
