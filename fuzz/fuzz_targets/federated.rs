//! Law: any JSON is read as a federated object or refused, and every question to it has an answer.
#![no_main]

use kubefed_api::{FederatedObject, ResourceType};
use kubefed_propagation::{Federation, Hashes, Member, Observation, Record, decide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str(text) else {
        return;
    };
    let Ok(object) = FederatedObject::parse(value) else {
        return;
    };
    let _ = (
        object.template().is_ok(),
        object.delete_options().is_ok(),
        object.retains_replicas().is_ok(),
        object.inventory(),
        Hashes::of(object.as_value()).is_ok(),
    );
    let target = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
    let federation = Federation::new(target, object);
    for observation in [Observation::NotManaged, Observation::ProvenAbsent] {
        let member = Member::new("c1");
        let decision = decide(&federation, &member, &observation, &Record::empty());
        let again = decide(&federation, &member, &observation, &Record::empty());
        assert_eq!(decision, again);
    }
});
