//! The JSON of the kinds: which fields are written, which are left out, what is read.

#![allow(
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly, and literals read best by value"
)]

use kubefed_api::{
    ClusterPropagatedVersion, FederatedServiceStatus, FederatedTypeConfig, KubeFedCluster,
    KubeFedConfig, PropagatedVersion, ReplicaSchedulingPreference,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads `input` and writes it again; gives what was written without apiVersion, kind and metadata.
fn rewritten<K: DeserializeOwned + Serialize>(input: Value) -> Value {
    let object: K = serde_json::from_value(input).unwrap();
    let mut output = serde_json::to_value(&object).unwrap();
    let fields = output.as_object_mut().unwrap();
    for header in ["apiVersion", "kind", "metadata"] {
        assert!(fields.remove(header).is_some(), "{header}");
    }
    output
}

/// An object of a kind, with a name and the given top-level fields.
fn object<K: kube::Resource<DynamicType = ()>>(fields: Value) -> Value {
    let mut object = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": "x"}
    });
    let Value::Object(fields) = fields else {
        panic!("fields are an object")
    };
    object.as_object_mut().unwrap().extend(fields);
    object
}

#[track_caller]
fn check<K>(input: Value, expected: Value)
where
    K: DeserializeOwned + Serialize + kube::Resource<DynamicType = ()>,
{
    assert_eq!(
        rewritten::<K>(object::<K>(input)),
        expected,
        "{}",
        K::kind(&())
    );
}

/// api 2: the fields that are written even when they are empty, and only those.
#[test]
fn empty_fields_are_written_exactly_where_the_original_writes_them() {
    check::<KubeFedCluster>(
        json!({"spec": {}, "status": {}}),
        json!({
            "spec": {"apiEndpoint": "", "secretRef": {"name": ""}, "proxyURL": ""},
            "status": {"conditions": null}
        }),
    );
    check::<KubeFedCluster>(
        json!({"spec": {}, "status": {"conditions": [{}]}}),
        json!({
            "spec": {"apiEndpoint": "", "secretRef": {"name": ""}, "proxyURL": ""},
            "status": {"conditions": [{"type": "", "status": "", "lastProbeTime": null}]}
        }),
    );
    let empty_type = json!({"version": "", "kind": "", "pluralName": "", "scope": ""});
    check::<FederatedTypeConfig>(
        json!({"spec": {}, "status": {}}),
        json!({
            "spec": {"targetType": empty_type, "propagation": "", "federatedType": empty_type},
            "status": {"observedGeneration": 0, "propagationController": ""}
        }),
    );
    check::<KubeFedConfig>(json!({"spec": {}}), json!({"spec": {"scope": ""}}));
    check::<PropagatedVersion>(
        json!({"status": {}}),
        json!({"status": {"templateVersion": "", "overridesVersion": ""}}),
    );
    check::<ClusterPropagatedVersion>(json!({}), json!({}));
    check::<FederatedServiceStatus>(json!({"clusterStatus": []}), json!({}));
    // api 24.22: the original leaves the status out, and its own schema then refuses the object.
    check::<FederatedServiceStatus>(
        json!({"clusterStatus": [{"clusterName": "east"}]}),
        json!({"clusterStatus": [{"clusterName": "east", "status": {}}]}),
    );
    check::<ReplicaSchedulingPreference>(
        json!({"spec": {"clusters": {"*": {}}}, "status": {}}),
        json!({
            "spec": {
                "targetKind": "",
                "totalReplicas": 0,
                "intersectWithClusterSelector": false,
                "clusters": {"*": {}}
            },
            "status": {}
        }),
    );
}

/// api 3-8: every field, with its name and shape, survives a round trip.
#[test]
fn full_objects_survive_a_round_trip() {
    let same = |fields: Value| (fields.clone(), fields);

    let (input, output) = same(json!({
        "spec": {
            "apiEndpoint": "https://east:6443",
            "caBundle": "LS0tLS1CRUdJTg==",
            "secretRef": {"name": "east-token"},
            "disabledTLSValidations": ["SubjectName", "Whatever"],
            "proxyURL": "socks5://proxy:1080"
        },
        "status": {
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "lastProbeTime": "2026-11-21T09:44:30Z",
                "lastTransitionTime": "2026-11-20T00:00:00Z",
                "reason": "ClusterReady",
                "message": "/healthz responded with ok"
            }],
            "kubernetesVersion": "v1.35.0",
            "zones": ["a", "b"],
            "region": "eu"
        }
    }));
    check::<KubeFedCluster>(input, output);

    let (input, output) = same(json!({"spec": {
        "scope": "Namespaced",
        "controllerDuration": {
            "availableDelay": "20s", "unavailableDelay": "1m0s", "cacheSyncTimeout": "5m0s"
        },
        "leaderElect": {
            "leaseDuration": "15s",
            "renewDeadline": "10s",
            "retryPeriod": "5s",
            "resourceLock": "leases"
        },
        "featureGates": [{"name": "PushReconciler", "configuration": "Enabled"}],
        "clusterHealthCheck": {
            "period": "10s", "failureThreshold": 3, "successThreshold": 1, "timeout": "3s"
        },
        "syncController": {"maxConcurrentReconciles": 1, "adoptResources": "Enabled"},
        "statusController": {"maxConcurrentReconciles": 1}
    }}));
    check::<KubeFedConfig>(input, output);

    let service = |kind: &str, group: &str| {
        json!({
            "group": group,
            "version": "v1",
            "kind": kind,
            "pluralName": "x",
            "scope": "Namespaced"
        })
    };
    let (input, output) = same(json!({
        "spec": {
            "targetType": service("Service", "a.b"),
            "propagation": "Enabled",
            "federatedType": service("FederatedService", "types.kubefed.io"),
            "statusType": service("FederatedServiceStatus", "core.kubefed.io"),
            "statusCollection": "Enabled"
        },
        "status": {
            "observedGeneration": 4,
            "propagationController": "Running",
            "statusController": "NotRunning"
        }
    }));
    check::<FederatedTypeConfig>(input, output);

    let (input, output) = same(json!({"status": {
        "templateVersion": "8a80554c91d9fca8acb82f023de02f11",
        "overridesVersion": "2979b7538b527abe06492021841caf47",
        "clusterVersions": [{"clusterName": "east", "version": "gen:7"}]
    }}));
    check::<PropagatedVersion>(input.clone(), output.clone());
    check::<ClusterPropagatedVersion>(input, output);

    let (input, output) = same(json!({"clusterStatus": [{
        "clusterName": "east",
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    }]}));
    check::<FederatedServiceStatus>(input, output);

    let (input, output) = same(json!({
        "spec": {
            "targetKind": "FederatedDeployment",
            "totalReplicas": 9,
            "rebalance": true,
            "intersectWithClusterSelector": true,
            "clusters": {"east": {"minReplicas": 1, "maxReplicas": 5, "weight": 2}}
        },
        "status": {}
    }));
    check::<ReplicaSchedulingPreference>(input, output);
}

/// api 2: durations and timestamps come back in their canonical form.
#[test]
fn other_spellings_are_read_and_written_canonically() {
    check::<KubeFedConfig>(
        json!({"spec": {"scope": "Cluster", "clusterHealthCheck": {"period": "60000ms"}}}),
        json!({"spec": {"scope": "Cluster", "clusterHealthCheck": {"period": "1m0s"}}}),
    );
    let condition = |time: &str| {
        json!({
            "spec": {"apiEndpoint": "", "secretRef": {"name": ""}, "proxyURL": ""},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastProbeTime": time}]}
        })
    };
    check::<KubeFedCluster>(
        condition("2026-11-21T10:44:30.999+01:00"),
        condition("2026-11-21T09:44:30Z"),
    );
}

#[test]
fn odd_objects_are_read_so_that_one_of_them_cannot_break_a_watch() {
    check::<KubeFedCluster>(
        json!({"spec": {"caBundle": null, "disabledTLSValidations": null, "unknown": 1}}),
        json!({"spec": {"apiEndpoint": "", "secretRef": {"name": ""}, "proxyURL": ""}}),
    );
    check::<PropagatedVersion>(
        json!({"spec": {"unknown": 1}, "status": {"clusterVersions": null}}),
        json!({"status": {"templateVersion": "", "overridesVersion": ""}}),
    );
    check::<FederatedServiceStatus>(
        json!({"clusterStatus": [{"clusterName": "east", "status": null}]}),
        json!({"clusterStatus": [{"clusterName": "east", "status": {}}]}),
    );
    check::<KubeFedConfig>(
        json!({"spec": {"scope": "Galaxy", "featureGates": [{}], "leaderElect": null}}),
        json!({"spec": {"scope": "Galaxy", "featureGates": [{"name": "", "configuration": ""}]}}),
    );
}

/// api 4: the order of keys that the original writes.
#[test]
fn the_configuration_is_written_in_the_originals_order_of_keys() {
    let spec = kubefed_api::KubeFedConfigSpec {
        controller_duration: Some(Default::default()),
        leader_elect: Some(Default::default()),
        feature_gates: Some(Vec::new()),
        cluster_health_check: Some(Default::default()),
        sync_controller: Some(Default::default()),
        status_controller: Some(Default::default()),
        ..Default::default()
    };
    assert_eq!(
        serde_json::to_string(&spec).unwrap(),
        r#"{"scope":"","controllerDuration":{},"leaderElect":{},"featureGates":[],"clusterHealthCheck":{},"syncController":{},"statusController":{}}"#
    );
}
