//! Strategies of proptest for the kinds: objects that can be stored, odd ones included.
//!
//! Text with known values is a known one half of the time and anything else otherwise, so nothing
//! made here need be valid. Objects have a name and no other metadata.

use std::fmt::Debug;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::core::{
    ClusterCondition, ClusterConditionStatus, ClusterConditionType, ClusterHealthCheckConfig,
    ClusterObjectVersion, ControllerDurations, ControllerStatus, FeatureGate, FeatureGateName,
    FederatedTypeConfig, FederatedTypeConfigSpec, FederatedTypeConfigStatus, KubeFedCluster,
    KubeFedClusterSpec, KubeFedClusterStatus, KubeFedConfig, KubeFedConfigSpec, LeaderElectConfig,
    LocalSecretReference, PropagatedVersionStatus, ResourceLock, ResourceType, Scope,
    StatusControllerConfig, SyncControllerConfig, TlsValidation, Toggle,
};
use crate::duration::GoDuration;
use crate::name::ClusterName;
use crate::scheduling::{
    ClusterPreferences, ReplicaSchedulingPreference, ReplicaSchedulingPreferenceSpec,
    ReplicaSchedulingPreferenceStatus,
};

/// Durations of any length and sign.
pub fn go_duration() -> impl Strategy<Value = GoDuration> {
    any::<i64>().prop_map(GoDuration::from_nanos)
}

/// Names that a cluster can have.
pub fn cluster_name() -> impl Strategy<Value = ClusterName> {
    "[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?".prop_map(ClusterName::from)
}

/// Clusters, probed or not.
pub fn kube_fed_cluster() -> impl Strategy<Value = KubeFedCluster> {
    let spec = (
        text(),
        vec(any::<u8>(), 0..8),
        text(),
        vec(one_of::<TlsValidation>(TlsValidation::KNOWN), 0..3),
        text(),
    )
        .prop_map(
            |(api_endpoint, ca_bundle, name, disabled_tls_validations, proxy_url)| {
                KubeFedClusterSpec {
                    api_endpoint,
                    ca_bundle: ByteString(ca_bundle),
                    secret_ref: LocalSecretReference { name },
                    disabled_tls_validations,
                    proxy_url,
                }
            },
        );
    let status = (
        vec(cluster_condition(), 0..3),
        option::of(text()),
        vec(text(), 0..3),
        option::of(text()),
    )
        .prop_map(
            |(conditions, kubernetes_version, zones, region)| KubeFedClusterStatus {
                conditions,
                kubernetes_version,
                zones,
                region,
            },
        );
    (cluster_name(), spec, option::of(status)).prop_map(|(name, spec, status)| {
        let mut cluster = KubeFedCluster::new(name.as_str(), spec);
        cluster.status = status;
        cluster
    })
}

/// Configurations of the control plane with any fields missing.
pub fn kube_fed_config() -> impl Strategy<Value = KubeFedConfig> {
    let duration = || option::of(go_duration());
    let number = || option::of(any::<i64>());
    let durations =
        (duration(), duration(), duration()).prop_map(|(available, unavailable, sync)| {
            ControllerDurations {
                available_delay: available,
                unavailable_delay: unavailable,
                cache_sync_timeout: sync,
            }
        });
    let lock = option::of(one_of::<ResourceLock>(ResourceLock::KNOWN));
    let election = (duration(), duration(), duration(), lock).prop_map(
        |(lease_duration, renew_deadline, retry_period, resource_lock)| LeaderElectConfig {
            lease_duration,
            renew_deadline,
            retry_period,
            resource_lock,
        },
    );
    let gate = (one_of::<FeatureGateName>(FeatureGateName::KNOWN), toggle()).prop_map(
        |(name, configuration)| FeatureGate {
            name,
            configuration,
        },
    );
    let health = (duration(), number(), number(), duration()).prop_map(
        |(period, failure_threshold, success_threshold, timeout)| ClusterHealthCheckConfig {
            period,
            failure_threshold,
            success_threshold,
            timeout,
        },
    );
    let sync = (number(), option::of(toggle())).prop_map(|(reconciles, adopt_resources)| {
        SyncControllerConfig {
            max_concurrent_reconciles: reconciles,
            adopt_resources,
        }
    });
    let status = number().prop_map(|reconciles| StatusControllerConfig {
        max_concurrent_reconciles: reconciles,
    });
    (
        one_of::<Scope>(Scope::KNOWN),
        option::of(durations),
        option::of(election),
        option::of(vec(gate, 0..5)),
        option::of(health),
        option::of(sync),
        option::of(status),
    )
        .prop_map(
            |(scope, durations, election, gates, health, sync, status)| {
                let spec = KubeFedConfigSpec {
                    scope,
                    controller_duration: durations,
                    leader_elect: election,
                    feature_gates: gates,
                    cluster_health_check: health,
                    sync_controller: sync,
                    status_controller: status,
                };
                KubeFedConfig::new(crate::well_known::CONFIG_NAME, spec)
            },
        )
}

/// Configurations of types.
pub fn federated_type_config() -> impl Strategy<Value = FederatedTypeConfig> {
    let spec = (
        resource_type(),
        toggle(),
        resource_type(),
        option::of(resource_type()),
        option::of(toggle()),
    )
        .prop_map(
            |(target_type, propagation, federated_type, status_type, status_collection)| {
                FederatedTypeConfigSpec {
                    target_type,
                    propagation,
                    federated_type,
                    status_type,
                    status_collection,
                }
            },
        );
    let controller = || one_of::<ControllerStatus>(ControllerStatus::KNOWN);
    let status = (any::<i64>(), controller(), option::of(controller())).prop_map(
        |(observed_generation, propagation_controller, status_controller)| {
            FederatedTypeConfigStatus {
                observed_generation,
                propagation_controller,
                status_controller,
            }
        },
    );
    (text(), spec, option::of(status)).prop_map(|(name, spec, status)| {
        let mut config = FederatedTypeConfig::new(&name, spec);
        config.status = status;
        config
    })
}

/// Types that Kubernetes could serve.
pub fn resource_type() -> impl Strategy<Value = ResourceType> {
    let group = prop_oneof![Just(String::new()), "[a-z]{1,4}(\\.[a-z]{1,4}){0,2}"];
    let kind = "[A-Z][a-zA-Z]{0,8}";
    (
        group,
        "v[1-9](beta[1-9])?",
        kind,
        one_of::<Scope>(Scope::KNOWN),
    )
        .prop_map(|(group, version, kind, scope)| ResourceType {
            group,
            version,
            plural_name: crate::core::plural(&kind),
            kind,
            scope,
        })
}

/// Records of what was written to members.
pub fn propagated_version_status() -> impl Strategy<Value = PropagatedVersionStatus> {
    let entry = (cluster_name(), "(gen|rv):[0-9]{1,4}").prop_map(|(cluster_name, version)| {
        ClusterObjectVersion {
            cluster_name,
            version,
        }
    });
    ("[0-9a-f]{0,32}", "[0-9a-f]{0,32}", vec(entry, 0..4)).prop_map(
        |(template_version, overrides_version, cluster_versions)| PropagatedVersionStatus {
            template_version,
            overrides_version,
            cluster_versions,
        },
    )
}

/// Preferences for replicas, with numbers of any size and sign.
pub fn replica_scheduling_preference() -> impl Strategy<Value = ReplicaSchedulingPreference> {
    let preferences = (any::<i64>(), option::of(any::<i64>()), any::<i64>()).prop_map(
        |(min_replicas, max_replicas, weight)| ClusterPreferences {
            min_replicas,
            max_replicas,
            weight,
        },
    );
    let cluster = prop_oneof![Just(ClusterName::from("*")), cluster_name()];
    let kind = prop_oneof![
        select(crate::scheduling::TARGET_KINDS).prop_map(str::to_owned),
        text()
    ];
    let spec = (
        kind,
        any::<i32>(),
        any::<bool>(),
        any::<bool>(),
        btree_map(cluster, preferences, 0..4),
    )
        .prop_map(
            |(target_kind, total_replicas, rebalance, intersect, clusters)| {
                ReplicaSchedulingPreferenceSpec {
                    target_kind,
                    total_replicas,
                    rebalance,
                    intersect_with_cluster_selector: intersect,
                    clusters,
                }
            },
        );
    let status = option::of(Just(ReplicaSchedulingPreferenceStatus {}));
    (text(), spec, status).prop_map(|(name, spec, status)| {
        let mut preference = ReplicaSchedulingPreference::new(&name, spec);
        preference.status = status;
        preference
    })
}

fn cluster_condition() -> impl Strategy<Value = ClusterCondition> {
    (
        one_of::<ClusterConditionType>(ClusterConditionType::KNOWN),
        one_of::<ClusterConditionStatus>(ClusterConditionStatus::KNOWN),
        option::of(time()),
        option::of(time()),
        option::of(text()),
        option::of(text()),
    )
        .prop_map(
            |(type_, status, last_probe_time, last_transition_time, reason, message)| {
                ClusterCondition {
                    type_,
                    status,
                    last_probe_time,
                    last_transition_time,
                    reason,
                    message,
                }
            },
        )
}

/// Points in time of the years 1970 to 2096, to the second.
fn time() -> impl Strategy<Value = Time> {
    (0..4_000_000_000_i64)
        .prop_map(|second| Time(Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)))
}

fn toggle() -> impl Strategy<Value = Toggle> {
    one_of(Toggle::KNOWN)
}

fn one_of<T: Debug + From<String>>(known: &'static [&'static str]) -> impl Strategy<Value = T> {
    prop_oneof![select(known).prop_map(str::to_owned), text()].prop_map(T::from)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,8}"
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn check<T: Debug + DeserializeOwned + PartialEq + Serialize>(
        object: &T,
    ) -> Result<(), TestCaseError> {
        let text = serde_json::to_string(object).unwrap();
        prop_assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), object);
        let value = serde_json::to_value(object).unwrap();
        prop_assert_eq!(&serde_json::from_value::<T>(value).unwrap(), object);
        Ok(())
    }

    proptest! {
        /// api 2-8: what is read is what was written, odd values included.
        #[test]
        fn every_kind_survives_a_round_trip(
            cluster in kube_fed_cluster(),
            config in kube_fed_config(),
            type_config in federated_type_config(),
            versions in propagated_version_status(),
            preference in replica_scheduling_preference(),
        ) {
            check(&cluster)?;
            check(&config)?;
            check(&type_config)?;
            check(&versions)?;
            check(&preference)?;
        }

        /// No object makes a rule panic, and an error always has a path and a text.
        #[test]
        fn every_object_is_judged(
            cluster in kube_fed_cluster(),
            config in kube_fed_config(),
            type_config in federated_type_config(),
            preference in replica_scheduling_preference(),
        ) {
            let verdicts = [
                cluster.validate_create(),
                cluster.validate_update(&cluster),
                cluster.validate_status(),
                config.validate_create(),
                config.validate_update(&config),
                type_config.validate_create(),
                type_config.validate_status(),
                preference.validate(),
            ];
            for error in verdicts.into_iter().filter_map(Result::err).flatten() {
                prop_assert!(!error.path().is_empty());
                prop_assert!(error.to_string().starts_with(error.path()));
            }
        }

        /// Filling in defaults twice is the same as once, and never takes anything away.
        #[test]
        fn defaults_are_filled_in_once(config in kube_fed_config()) {
            let mut once = config.spec.clone();
            once.apply_defaults();
            let mut twice = once.clone();
            twice.apply_defaults();
            prop_assert_eq!(&twice, &once);
            let object = serde_json::to_value(KubeFedConfig::new("kubefed", once)).unwrap();
            prop_assert_eq!(KubeFedConfig::default_patch(&object).unwrap(), None);
        }

        /// A configuration made for a type is valid, and its parts agree with each other.
        #[test]
        fn a_generated_type_configuration_is_valid(mut type_ in resource_type()) {
            type_.scope = if type_.is_namespaced() { Scope::Namespaced } else { Scope::Cluster };
            let target = crate::Target::new(type_);
            let config = crate::federated_type_config(&target);
            prop_assert_eq!(config.validate_create(), Ok(()));
            let crd = crate::federated_crd(&target, crate::TemplateSchema::Present);
            prop_assert_eq!(crd.metadata.name, Some(config.spec.federated_type.qualified_plural()));
            prop_assert_eq!(crd.spec.scope == "Namespaced", config.federated_is_namespaced());
            let mut defaulted = config.clone();
            defaulted.apply_defaults();
            prop_assert_eq!(defaulted, config);
        }
    }
}
