//! Every scenario.

use crate::world::Scenario;
use crate::{
    access, collections, custom, deletion, discovery, objects, patches, schemas, watches, webhooks,
};

pub(crate) fn scenarios() -> Vec<(&'static str, Scenario)> {
    [
        objects::SCENARIOS,
        patches::SCENARIOS,
        collections::SCENARIOS,
        watches::SCENARIOS,
        deletion::SCENARIOS,
        custom::SCENARIOS,
        schemas::SCENARIOS,
        discovery::SCENARIOS,
        webhooks::SCENARIOS,
        access::SCENARIOS,
        #[cfg(feature = "cel")]
        crate::cel::SCENARIOS,
    ]
    .concat()
}
