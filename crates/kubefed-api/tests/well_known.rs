//! The names that other programs see, written down a second time: changing one breaks installations.

use kubefed_api::well_known::{
    CONFIG_NAME, CORE_GROUP, DEFAULT_KUBEFED_NAMESPACE, DELETE_OPTIONS_ANNOTATION, MANAGED_LABEL,
    MANAGED_SELECTOR, MANAGED_VALUE, NAMESPACES_TYPE_CONFIG, ORPHAN_ANNOTATION,
    PROPAGATION_CONDITION, SCHEDULING_GROUP, SYNC_FINALIZER, SYSTEM_NAMESPACES, TOKEN_KEY,
    TYPE_CONFIG_FINALIZER, TYPES_GROUP, TYPES_VERSION, UNMANAGED_VALUE,
};

/// api 19.1, 19.2 and 1.
#[test]
fn the_names_are_those_of_kubefed() {
    let table = [
        (MANAGED_LABEL, "kubefed.io/managed"),
        (MANAGED_VALUE, "true"),
        (UNMANAGED_VALUE, "false"),
        (MANAGED_SELECTOR, "kubefed.io/managed=true"),
        (ORPHAN_ANNOTATION, "kubefed.io/orphan"),
        (DELETE_OPTIONS_ANNOTATION, "kubefed.io/deleteoption"),
        (SYNC_FINALIZER, "kubefed.io/sync-controller"),
        (
            TYPE_CONFIG_FINALIZER,
            "core.kubefed.io/federated-type-config",
        ),
        (PROPAGATION_CONDITION, "Propagation"),
        (CORE_GROUP, "core.kubefed.io"),
        (SCHEDULING_GROUP, "scheduling.kubefed.io"),
        (TYPES_GROUP, "types.kubefed.io"),
        (TYPES_VERSION, "v1beta1"),
        (DEFAULT_KUBEFED_NAMESPACE, "kube-federation-system"),
        (CONFIG_NAME, "kubefed"),
        (NAMESPACES_TYPE_CONFIG, "namespaces"),
        (TOKEN_KEY, "token"),
    ];
    for (constant, name) in table {
        assert_eq!(constant, name);
    }
    assert_eq!(SYSTEM_NAMESPACES, ["kube-system", "kube-public", "default"]);
}
