//! Divides replicas among clusters.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod compat;
mod hash;
