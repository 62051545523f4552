//! The decisions of `kubefed-propagation` carried out on an in-memory world: a host with the federated
//! object and its version object, and members with their own stores.
//!
//! `driver` is a controller that follows the documented steps, `server` the API servers it talks to,
//! `judge` looks at every write and says how a settled world has to look. The judge reads the raw objects
//! only.

// Helpers of tests may fail as tests do.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod driver;
mod judge;
mod properties;
mod server;
mod walks;
