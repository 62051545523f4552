//! Law: any JSON is read or refused; decisions are repeatable and write the right name and kind.
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
    let name = object.name().name().to_owned();
    let target = ResourceType::namespaced("apps", "v1", "Deployment", "deployments");
    let federation = Federation::new(target, object);
    let member = Member::new("c1");
    for observation in [Observation::NotManaged, Observation::ProvenAbsent] {
        let decision = decide(&federation, &member, &observation, &Record::empty());
        let again = decide(&federation, &member, &observation, &Record::empty());
        assert_eq!(decision, again);
        if let Some(object) = decision.action.object() {
            assert_eq!(object["metadata"]["name"], name.as_str());
            assert_eq!(object["kind"], "Deployment");
        }
    }
});
