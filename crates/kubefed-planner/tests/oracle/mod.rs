//! Slow planners that share no code with the crate: the contract, written as plainly as possible.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

pub mod apportion;
pub mod kubefed;
