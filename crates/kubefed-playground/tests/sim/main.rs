//! The real loops on simulated clusters, in virtual time: no socket, no process, no wall clock.
//!
//! One file per theme. A test that checks a numbered statement of KubeFed's observable behaviour names
//! it in the comment above.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clusters;
mod crashes;
mod events;
mod every_type;
mod life_cycle;
mod members;
mod ownership;
mod requests;
mod scene;
mod services;
mod statuses;
mod types;
mod versions;
