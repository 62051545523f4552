//! The law of the fuzz target `request`, for generated requests: any request is answered, and every
//! error of the API is a Status with its code.

// Functions of tests that are not marked as such may do what tests may.
#![allow(clippy::expect_used)]

use http::Request;
use http_body_util::BodyExt as _;
use kubefed_sim::Cluster;
use kubefed_sim::kube::client::Body;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const METHODS: &[&str] = &[
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "get",
];

/// Parts of paths that mean something, alone or one after the other.
const PARTS: &[&str] = &[
    "",
    "..",
    "%00",
    "%2e%2e",
    "%2f",
    "%ff",
    "api",
    "api/v1",
    "api/v1/namespaces/default",
    "api/v1/namespaces/default/configmaps",
    "api/v1/namespaces/default/configmaps/settings",
    "api/v1/namespaces/default/pods/web",
    "api/v1/nodes",
    "apis",
    "apis/apps/v1",
    "apis/apps/v1/namespaces/default/deployments",
    "apis/apps/v1/namespaces/default/deployments/web",
    "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "configmaps",
    "default",
    "eviction",
    "exec",
    "finalize",
    "log",
    "namespaces",
    "openapi/v3",
    "openapi/v3/apis/apps/v1",
    "scale",
    "status",
    "token",
    "v1",
    "version",
    "watch",
];

const PARAMETERS: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "force",
    "gracePeriodSeconds",
    "labelSelector",
    "limit",
    "pretty",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
];

const WORDS: &[&str] = &[
    "",
    "%",
    "%zz",
    "-1",
    "0",
    "1",
    "99999999999999999999",
    "All",
    "Exact",
    "NotOlderThan",
    "Orphan",
    "Strict",
    "a=b",
    "a in (b,c",
    "a notin (b)",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    "false",
    "metadata.name=web",
    "true",
];

const MEDIA: &[&str] = &[
    "",
    "*/*",
    "application/apply-patch+yaml",
    "application/json",
    "application/json-patch+json",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/json;as=Table;g=meta.k8s.io;v=v1",
    "application/json;stream=watch",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
    "text/plain; charset=\"",
];

fn parts() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(PARTS).prop_map(str::to_owned), 1 => "[ -~]{0,8}"]
}

fn queries() -> impl Strategy<Value = String> {
    let word = prop_oneof![4 => select(WORDS).prop_map(str::to_owned), 1 => "[ -~]{0,8}"];
    let pair = (select(PARAMETERS), word).prop_map(|(name, word)| format!("{name}={word}"));
    vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

fn media() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(MEDIA).prop_map(str::to_owned), 1 => "[ -~]{0,12}"]
}

/// Objects, patches and options, with something in place of one of their parts.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let metadata = json!({"name": "web", "namespace": "default", "resourceVersion": "1", "labels": {"a": "b"}});
    let spec = json!({
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
    });
    let whole = vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        json!({"kind": "DeleteOptions", "preconditions": {"uid": "1"}, "dryRun": ["All"]}),
        json!({"kind": "Scale", "metadata": metadata, "spec": {"replicas": 1}}),
        json!([{"op": "add", "path": "/data/a", "value": 1}, {"op": "test", "path": "/kind"}]),
        json!({"metadata": {"$patch": "replace", "finalizers": ["a"]}}),
    ];
    let odd = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
        Just(json!([null, [], {}])),
        Just(json!({"": {"a": []}})),
    ];
    let changed = (
        select(whole),
        any::<prop::sample::Index>(),
        proptest::option::of(odd),
    );
    let changed = changed.prop_map(|(mut body, index, odd)| {
        if let Some(odd) = odd {
            let count = pointers(&body, "").len();
            let pointer = pointers(&body, "").swap_remove(index.index(count));
            *body.pointer_mut(&pointer).expect("it is there") = odd;
        }
        body.to_string().into_bytes()
    });
    prop_oneof![6 => changed, 1 => vec(any::<u8>(), 0..40)]
}

/// Every place in a value.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<_> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    let below = below
        .into_iter()
        .flat_map(|(name, value)| pointers(value, &format!("{at}/{name}")));
    std::iter::once(at.to_owned()).chain(below).collect()
}

/// A request, unless its parts make none.
fn requests() -> impl Strategy<Value = Option<(String, Vec<u8>)>> {
    let address = (vec(parts(), 1..4), queries());
    let address = address.prop_map(|(parts, query)| format!("/{}?{query}", parts.join("/")));
    let head = (select(METHODS), address, media(), media());
    (head, bodies()).prop_map(|((method, address, accept, content), body)| {
        let head = [method, &address, &accept, &content].join("\n");
        build(&head, &body).map(|_| (head, body))
    })
}

fn build(head: &str, body: &[u8]) -> Option<Request<Body>> {
    let [method, address, accept, content] = head.split('\n').collect::<Vec<_>>()[..] else {
        return None;
    };
    Request::builder()
        .method(method)
        .uri(address)
        .header("accept", accept)
        .header("content-type", content)
        .body(Body::from(body.to_vec()))
        .ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_request_is_answered_and_every_error_is_a_status(all in vec(requests(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let cluster = Cluster::new("member-1");
            for (head, body) in all.iter().flatten() {
                // A watch is answered for as long as it lasts.
                if head.contains("watch") {
                    continue;
                }
                let request = build(head, body).expect("it was built before");
                let response = cluster.endpoint().oneshot(request).await;
                let response = response.expect("an answer");
                let code = response.status().as_u16();
                let bytes = response.into_body().collect().await.expect("a body").to_bytes();
                // Outside of the API a server answers in words.
                let no_page = code == 404 && bytes.as_ref() == b"404 page not found\n";
                if code >= 400 && !no_page {
                    let status: Value = serde_json::from_slice(&bytes).map_err(|error| {
                        TestCaseError::fail(format!("{head}: {code}: {error}: {bytes:?}"))
                    })?;
                    prop_assert_eq!(&status["kind"], "Status", "{}", head);
                    prop_assert_eq!(&status["code"], code, "{}", head);
                }
                prop_assert_ne!(code, 500, "{}", head);
            }
            Ok(())
        })?;
    }
}
