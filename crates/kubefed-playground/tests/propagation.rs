//! Propagation on simulated clusters, with the real loops.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kubefed_api::QualifiedName;
use kubefed_playground::kubefed_api;
use kubefed_playground::{Playground, PlaygroundOptions};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_federated_config_map_appears_where_it_is_placed() {
    let playground = Playground::start(PlaygroundOptions::default())
        .await
        .unwrap();
    playground
        .apply([
            json!({
                "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedNamespace",
                "metadata": {"namespace": "shop", "name": "shop"},
                "spec": {"placement": {"clusterSelector": {}}},
            }),
            json!({
                "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedConfigMap",
                "metadata": {"namespace": "shop", "name": "settings"},
                "spec": {
                    "template": {"data": {"colour": "blue"}},
                    "placement": {"clusterSelector": {"matchLabels": {"region": "eu"}}},
                },
            }),
        ])
        .await
        .unwrap();
    playground.settle(PATIENCE).await.unwrap();
    let snapshot = playground.snapshot();
    let settings = QualifiedName::namespaced("shop", "settings");
    let state = snapshot.object("ConfigMap", &settings).unwrap();
    assert_eq!(state.propagation, "True", "{state:?}");
    assert_eq!(state.holders(), ["member-1"]);
}
