//! Law: any request to a simulated cluster is answered, and every error of the API is a Status with its code.
#![no_main]

use arbitrary::Arbitrary;
use http_body_util::BodyExt;
use kubefed_sim::Cluster;
use kubefed_sim::kube::client::Body;
use libfuzzer_sys::fuzz_target;
use tower::ServiceExt;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    method: u8,
    path: &'a str,
    query: &'a str,
    accept: &'a str,
    content_type: &'a str,
    body: &'a [u8],
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fuzz_target!(|input: Input<'_>| {
    // A watch is answered for as long as it lasts.
    if input.query.contains("watch") {
        return;
    }
    let request = http::Request::builder()
        .method(METHODS[usize::from(input.method) % METHODS.len()])
        .uri(format!("/{}?{}", input.path, input.query))
        .header("accept", input.accept)
        .header("content-type", input.content_type)
        .body(Body::from(input.body.to_vec()));
    let Ok(request) = request else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let endpoint = Cluster::new("fuzz").endpoint();
        let response = endpoint.oneshot(request).await.expect("an answer");
        let code = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        // Outside of the API a server answers in words.
        if code >= 400 && body != "404 page not found\n" {
            let status: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(status["kind"], "Status");
            assert_eq!(status["code"], code);
        }
    });
});
