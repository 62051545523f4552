//! The preview of manifests, and the example that prints it.

// Helpers of tests may fail as tests do.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kubefed_propagation::kubefed_api::manifest;
use kubefed_propagation::{Preview, PreviewOptions, Verdict};
use serde_json::{Value, json};

const SHOP: &str = include_str!("../../../examples/manifests/shop.yaml");
const CLUSTERS: &str = include_str!("../../../examples/manifests/clusters.yaml");

fn preview(text: &str, options: PreviewOptions) -> Preview {
    let clusters = manifest::read("clusters.yaml", CLUSTERS);
    Preview::of(
        clusters
            .into_iter()
            .chain(manifest::read("shop.yaml", text)),
        &options,
    )
}

fn federated(kind: &str, name: &str, spec: Value) -> String {
    let metadata = json!({"namespace": "shop", "name": name});
    json!({"apiVersion": "types.kubefed.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec})
        .to_string()
}

#[test]
fn the_manifests_of_the_examples_are_placed() {
    let preview = preview(SHOP, PreviewOptions::new());
    assert_eq!(preview.verdict(), Verdict::Placed);
    assert_eq!(preview.to_string(), include_str!("transcripts/shop.txt"));
}

#[test]
fn whole_objects_are_in_the_json_without_secrets_unless_asked_for() {
    let hidden = preview(SHOP, PreviewOptions::new());
    let shown = preview(SHOP, PreviewOptions::new().show_secrets());
    for text in [
        hidden.to_string(),
        hidden.to_json().to_string(),
        format!("{hidden:?}"),
    ] {
        assert!(
            !text.contains("battery-staple") && !text.contains("correct-horse"),
            "{text}"
        );
    }
    let secret = &shown.to_json()["objects"][3];
    assert_eq!(
        secret["clusters"][1]["object"]["stringData"]["password"],
        "battery-staple"
    );
    let web = &hidden.to_json()["objects"][1];
    assert_eq!(web["origin"], "shop.yaml: document 2, line 10");
    assert_eq!(web["clusters"][0]["object"]["spec"]["replicas"], 5);
    assert_eq!(
        web["clusters"][0]["overridden"][0],
        json!({"path": "/spec/replicas", "before": 2, "after": 5})
    );
    assert_eq!(
        web["clusters"][1]["object"]["metadata"]["labels"]["kubefed.io/managed"],
        "true"
    );
}

#[test]
fn without_a_federated_namespace_nothing_is_placed_unless_assumed() {
    let (_, rest) = SHOP.split_once("---").unwrap();
    let nowhere = preview(rest, PreviewOptions::new());
    assert_eq!(nowhere.verdict(), Verdict::PlacedNowhere);
    assert_eq!(
        nowhere.objects()[0].warnings,
        ["there is no FederatedNamespace for namespace shop"]
    );
    let assumed = preview(rest, PreviewOptions::new().assume_namespaces_federated());
    assert_eq!(assumed.verdict(), Verdict::Placed);
    let one = format!(
        "{SHOP}\n---\n{}",
        federated("FederatedConfigMap", "x", json!({}))
    );
    assert_eq!(
        preview(&one, PreviewOptions::new()).verdict(),
        Verdict::PlacedNowhere,
        "one object of many"
    );
}

#[test]
fn a_federated_namespace_bounds_its_objects_wherever_it_stands() {
    let web = federated(
        "FederatedConfigMap",
        "web",
        json!({"placement": {"clusterSelector": {}}}),
    );
    let namespace = federated(
        "FederatedNamespace",
        "shop",
        json!({"placement": {"clusters": [{"name": "member-2"}]}}),
    );
    let preview = preview(&format!("{web}\n{namespace}"), PreviewOptions::new());
    let text = preview.to_string();
    assert!(
        text.contains("  member-1  nothing (the federated namespace does not select this cluster)"),
        "{text}"
    );
    assert!(text.contains("  member-2  create (labels match"), "{text}");
}

#[test]
fn a_type_of_ones_own_needs_its_configuration() {
    let config = |propagation: &str| {
        let type_ = |group: &str, kind: &str, plural: &str| json!({"group": group, "version": "v1", "kind": kind, "pluralName": plural, "scope": "Namespaced"});
        json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "FederatedTypeConfig",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "targetType": type_("example.com", "Widget", "widgets"), "propagation": propagation,
                "federatedType": type_("types.kubefed.io", "FederatedWidget", "federatedwidgets"),
            },
        })
    };
    let widget = federated(
        "FederatedWidget",
        "w",
        json!({"placement": {"clusterSelector": {}}}),
    );
    let verdict = |text: &str| {
        let preview = preview(text, PreviewOptions::new().assume_namespaces_federated());
        (preview.verdict(), preview.to_string())
    };
    assert_eq!(verdict(&widget).0, Verdict::Invalid);
    assert_eq!(
        verdict(&format!("{widget}\n{}", config("Enabled"))).0,
        Verdict::Placed
    );
    let (verdict, text) = verdict(&format!("{widget}\n{}", config("Disabled")));
    assert_eq!(verdict, Verdict::PlacedNowhere);
    assert!(
        text.contains("warning: propagation of example.com/v1 Widget is disabled"),
        "{text}"
    );
}

#[test]
fn names_that_nothing_answers_to_are_pointed_out() {
    let web = federated(
        "FederatedConfigMap",
        "web",
        json!({
            "placement": {"clusters": [{"name": "member-1"}, {"name": "mars"}]},
            "overrides": [{"clusterName": "venus"}],
        }),
    );
    let preview = preview(&web, PreviewOptions::new().assume_namespaces_federated());
    assert_eq!(preview.verdict(), Verdict::Placed);
    assert_eq!(
        preview.objects()[0].warnings,
        [
            "placement of unknown clusters: mars",
            "overrides of unknown clusters: venus"
        ]
    );
}

/// Each bad document stands between two good ones, which are placed all the same.
#[track_caller]
fn check(bad: &str, expected: &[&str]) {
    let good = |name: &str| {
        federated(
            "FederatedConfigMap",
            name,
            json!({"placement": {"clusters": [{"name": "member-2"}]}}),
        )
    };
    let text = format!("{}\n---\n{bad}\n---\n{}\n", good("first"), good("last"));
    let preview = preview(&text, PreviewOptions::new().assume_namespaces_federated());
    let problems: Vec<_> = preview.problems().iter().map(ToString::to_string).collect();
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| {
            problem
                .strip_prefix("shop.yaml: document 2, line ")
                .unwrap_or(problem)
        })
        .collect();
    assert_eq!(problems, expected);
    assert_eq!(preview.verdict(), Verdict::Invalid);
    for (object, name) in [
        (preview.objects().first(), "first"),
        (preview.objects().last(), "last"),
    ] {
        let object = object.unwrap();
        assert_eq!(object.title, format!("FederatedConfigMap shop/{name}"));
        assert!(object.plan.places_something());
    }
}

#[test]
fn bad_documents_are_named_and_leave_the_others_alone() {
    let all = || json!({"clusterSelector": {}});
    let web = |spec: Value| federated("FederatedConfigMap", "web", spec);
    let overridden = |list: Value| {
        web(json!({"template": {"data": {"list": [1, 2]}}, "placement": all(), "overrides": list}))
    };
    let of_second =
        |list: Value| overridden(json!([{"clusterName": "member-2", "clusterOverrides": list}]));
    const WEB: &str = "3: FederatedConfigMap shop/web: ";
    let at = |text: &str| format!("{WEB}{text}");

    check("kind: [", &["3: unclosed bracket '['"]);
    check("5", &["3: expected an object, found a number"]);
    check("{}", &["3: apiVersion: missing"]);
    check(
        "apiVersion: v1\nkind: Gadget\nmetadata: {name: x}",
        &["3: Gadget x: kind: v1 Gadget is no federated type that is known"],
    );
    check(
        "apiVersion: v1\nkind: KubeFedCluster\nmetadata: {name: x}",
        &["3: KubeFedCluster x: apiVersion: expected core.kubefed.io/v1beta1"],
    );
    check(
        "apiVersion: core.kubefed.io/v1beta1\nkind: KubeFedCluster\nmetadata: {name: member-2}",
        &["3: KubeFedCluster member-2: metadata.name: the cluster was given before"],
    );
    check(
        "apiVersion: core.kubefed.io/v1beta1\nkind: KubeFedCluster\nmetadata: {name: Not-A-Name}",
        &["3: KubeFedCluster Not-A-Name: metadata.name: not a DNS-1123 subdomain"],
    );
    check(
        &federated("FederatedConfigMap", "first", json!({})),
        &["3: FederatedConfigMap shop/first: metadata.name: the object was given before"],
    );
    check(
        &federated("FederatedConfigMap", "a_b", json!({})),
        &["3: FederatedConfigMap shop/a_b: metadata.name: not a DNS-1123 subdomain"],
    );
    check(
        &federated("FederatedService", "1st", json!({})),
        &["3: FederatedService shop/1st: metadata.name: not a DNS-1035 label"],
    );
    check(
        &federated("FederatedNamespace", "other", json!({})),
        &[
            "3: FederatedNamespace shop/other: metadata.name: a federated namespace is named like the namespace it is in",
        ],
    );
    check(
        &federated("FederatedNamespace", "shop", json!({})).replace("shop", "kube-system"),
        &[
            "3: FederatedNamespace kube-system/kube-system: metadata.name: this namespace is never federated",
        ],
    );
    check(
        &federated("FederatedConfigMap", "web", json!({})).replace("shop", "Shop"),
        &["3: FederatedConfigMap Shop/web: metadata.namespace: not a DNS-1123 label"],
    );
    check(
        &federated("FederatedClusterRole", "role", json!({})),
        &["3: FederatedClusterRole shop/role: metadata.namespace: the type has no namespaces"],
    );
    check(
        &web(json!(5)),
        &[
            &at("spec: expected an object, found a number"),
            &at("cannot render the template: spec: expected an object, found a number"),
        ],
    );
    check(
        &web(json!({"placement": {"clusters": 5}})),
        &[&at(
            "spec.placement.clusters: expected a list, found a number",
        )],
    );
    check(
        &web(json!({"template": {"metadata": {"labels": 5}}, "placement": all()})),
        &[&at(
            "cannot render the template: spec.template.metadata.labels: expected a map of strings, found a number",
        )],
    );
    check(
        &overridden(json!({})),
        &[&at("spec.overrides: expected a list, found an object")],
    );
    check(
        &overridden(json!([{"clusterName": "member-2"}, {"clusterName": "member-2"}])),
        &[&at(
            "cluster member-2: spec.overrides[1].clusterName: cluster \"member-2\" appears more than once",
        )],
    );
    check(
        &of_second(json!([{"path": "/kind", "value": "Pod"}])),
        &[&at(
            "cluster member-2: spec.overrides[0].clusterOverrides[0].path: override[0] for cluster \"member-2\" has an invalid path: /kind",
        )],
    );
    check(
        &of_second(json!([{"path": "/no/where", "value": 1}])),
        &[&at(
            "cluster member-2: cannot apply the overrides: clusterOverrides[0]: replace \"/no/where\": \"/no\" does not exist",
        )],
    );
    check(
        &of_second(json!([{"op": "add", "path": "data", "value": 1}])),
        &[&at(
            "cluster member-2: cannot apply the overrides: clusterOverrides[0]: add \"data\": a path begins with /",
        )],
    );
    let elements: Vec<_> = (0..10_000).collect();
    check(
        &of_second(
            json!([{"path": "/data/list", "value": elements}, {"path": "/data/list/10000", "value": 1}]),
        ),
        &[&at(
            "cluster member-2: cannot apply the overrides: clusterOverrides[1]: replace \"/data/list/10000\": index 10000 is out of range, the list has 10000 elements",
        )],
    );
    check(
        &of_second(json!([{"path": "/data/list/-3", "value": 1}])),
        &[&at(
            "cluster member-2: cannot apply the overrides: clusterOverrides[0]: replace \"/data/list/-3\": index -3 is out of range, the list has 2 elements",
        )],
    );
    check(
        &of_second(json!([{"path": "/metadata", "value": {"name": "x"}}])),
        &[&at(
            "cluster member-2: cannot apply the overrides: metadata.namespace: no override may change this",
        )],
    );
    let many: Vec<_> = (0..10_000)
        .map(|n| json!({"op": "add", "path": format!("/data/k{n}"), "value": "v"}))
        .collect();
    check(
        &of_second(json!(many)),
        &[&at(
            "cluster member-2: spec.overrides[0].clusterOverrides: 10000 overrides for cluster \"member-2\", at most 1000 are allowed",
        )],
    );
}

#[test]
fn oversized_and_deep_objects_are_refused() {
    let problems = |text: &str| {
        let preview = preview(text, PreviewOptions::new().assume_namespaces_federated());
        assert_eq!(preview.verdict(), Verdict::Invalid);
        preview
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let large = "x".repeat(3 * 512 * 1024);
    let large = federated(
        "FederatedConfigMap",
        "web",
        json!({"template": {"data": {"k": large}}, "placement": {"clusterSelector": {}}}),
    );
    let text = problems(&large);
    assert!(
        text.contains("FederatedConfigMap shop/web: the object has 1573")
            && text.contains("at most 1572864 can be stored"),
        "{text}"
    );

    let deep = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70));
    let value: Value = serde_json::from_str(&deep).unwrap();
    let overrides = json!([{"clusterName": "member-2", "clusterOverrides": [{"path": "/data", "value": value}]}]);
    let text = problems(&federated(
        "FederatedConfigMap",
        "web",
        json!({"placement": {"clusterSelector": {}}, "overrides": overrides}),
    ));
    assert!(
        text.contains("cluster member-2: ") && text.contains("nested more than 64 levels deep"),
        "{text}"
    );

    let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    assert!(problems(&deep).starts_with("shop.yaml: document 1, line 1: "));
}

#[test]
fn no_clusters_and_no_objects_are_errors() {
    let problems = |file: &str, text: &str| {
        let preview = Preview::of(manifest::read(file, text), &PreviewOptions::new());
        assert_eq!(preview.verdict(), Verdict::Invalid);
        let problems = preview.problems().iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("\n")
    };
    let (no_clusters, no_objects) = (
        "clusters: no KubeFedCluster was given",
        "objects: no federated object could be read",
    );
    assert_eq!(problems("shop.yaml", SHOP), no_clusters);
    assert_eq!(problems("clusters.yaml", CLUSTERS), no_objects);
    assert_eq!(
        problems("empty.yaml", "# nothing\n---\n"),
        format!("{no_objects}\n{no_clusters}")
    );
}

/// The program beside this test. `cargo test` builds it; `cargo test --test` does not.
fn render(arguments: &[&str], input: &str) -> Option<(i32, String, String)> {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/render");
    if !program.exists() {
        println!("ignored: {} is not built", program.display());
        return None;
    }
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/manifests"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some((
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    ))
}

#[test]
fn the_program_prints_the_preview_and_ends_with_the_verdict() {
    let Some(output) = render(&["shop.yaml", "--clusters", "clusters.yaml"], "") else {
        return;
    };
    assert_eq!(
        output,
        (
            0,
            include_str!("transcripts/shop.txt").to_owned(),
            String::new()
        )
    );

    let (code, json, _) =
        render(&["-", "--clusters", "clusters.yaml", "-o", "json"], SHOP).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["objects"][1]["origin"]),
        (0, &json!("-: document 2, line 10"))
    );
    let (code, yaml, _) =
        render(&["-", "--clusters", "clusters.yaml", "-o", "yaml"], SHOP).unwrap();
    assert_eq!(
        (
            code,
            manifest::read("", &yaml)[0].as_ref().unwrap().value.clone()
        ),
        (0, json)
    );

    let (_, rest) = SHOP.split_once("---").unwrap();
    let (code, _, errors) = render(&["-", "--clusters", "clusters.yaml"], rest).unwrap();
    assert_eq!((code, errors.as_str()), (2, ""));
    let (code, _, _) = render(
        &[
            "-",
            "--clusters",
            "clusters.yaml",
            "--assume-namespace-federated",
        ],
        rest,
    )
    .unwrap();
    assert_eq!(code, 0);

    let (code, text, errors) = render(
        &["shop.yaml", "missing.yaml", "--clusters", "clusters.yaml"],
        "",
    )
    .unwrap();
    assert_eq!(
        (code, text.as_str()),
        (1, include_str!("transcripts/shop.txt"))
    );
    assert!(errors.starts_with("error: missing.yaml: "), "{errors}");
    let (code, text, errors) = render(&["shop.yaml", "--output", "xml"], "").unwrap();
    assert_eq!((code, text.as_str()), (1, ""), "2 says something else");
    assert!(errors.contains("'xml'"), "{errors}");
    let (code, help, _) = render(&["--help"], "").unwrap();
    assert!(
        code == 0 && help.contains("some object gets nowhere"),
        "{help}"
    );
    // The example of the help does what it says.
    let example = help.split("`render shop.yaml`\n").nth(1).unwrap();
    let example = example.split("\n\nTypes that").next().unwrap();
    let (code, text, errors) = render(&["-"], &example.replace("\n  ", "\n")).unwrap();
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        text.contains("~ /data/text: \"hello\" -> \"howdy\""),
        "{text}"
    );
}
