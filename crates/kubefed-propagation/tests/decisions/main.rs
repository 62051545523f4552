//! What is decided in every documented situation. Each row names the section of KubeFed's behaviour, or
//! the sharp edge (S1 to S35), that it is about; the crate's page `checks` lists the observable checks.

// Helpers of tests may fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

mod case;
mod life;
mod objects;
mod status;
