//! CustomResourceDefinitions: those of the fixed kinds and those of federated types.

mod federated;
mod kinds;
mod schema;
mod target;

pub use federated::{TemplateSchema, federated_crd, federated_type_config};
pub use kinds::crds;
pub use target::{Target, default_targets};
