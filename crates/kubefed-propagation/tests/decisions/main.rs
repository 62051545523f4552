//! What is decided in every documented situation. Each row names the section of KubeFed's behaviour, or
//! the sharp edge (S1 to S35), that it is about; `docs::checks` in the crate lists the observable checks.

mod case;
mod life;
mod objects;
mod status;
