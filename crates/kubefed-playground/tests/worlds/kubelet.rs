//! Plays the kubelet of a real cluster that has no nodes: every Pod runs and is ready at once.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// Reports Pods as ready for ever. Nothing has to be done for their end: a Pod that was never bound to a
/// node is deleted by the API server at once.
pub(crate) async fn play(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = pin!(watcher(pods, watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => {
                let phase = pod
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref());
                if phase != Some("Running") && pod.metadata.deletion_timestamp.is_none() {
                    // A Pod that is gone by now, or is written at the same time, comes back as an event.
                    let _ = run(&client, &pod).await;
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn run(client: &Client, pod: &Pod) -> kube::Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let ready = json!({"status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let patch = Patch::Strategic(&ready);
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
        .await
}
