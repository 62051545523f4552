//! The pure engines answer as a real kube-apiserver does.
//!
//! Each test sends requests to a real server and gives the same requests, with the server's own
//! state before each of them, to the engines. With `KUBEFED_RECORD=1` in the environment the answers
//! are kept in `recorded/`, where `engines_recorded` finds them on machines without a server.

// Schemas and objects are written as JSON.
#![recursion_limit = "512"]
#![allow(
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "cases are written as values"
)]

mod apply;
mod openapi;
mod patch;
mod schema;
mod table;
mod verdict;
mod world;

use std::process::ExitCode;

use kubefed_testing::Suite;

fn main() -> ExitCode {
    Suite::new()
        .test(
            "writes_are_attributed_to_their_managers",
            apply::writes_are_attributed,
        )
        .test(
            "random_writes_are_attributed_to_their_managers",
            apply::random_writes,
        )
        .test(
            "refused_applies_say_why_in_the_same_words",
            apply::refused_applies,
        )
        .test(
            "strategic_merge_patches_have_the_same_result",
            patch::strategic_merge,
        )
        .test(
            "custom_resources_are_refused_in_the_same_words",
            schema::validation,
        )
        .test(
            "custom_resources_are_pruned_and_defaulted_alike",
            schema::pruning_and_defaulting,
        )
        .test(
            "schemas_that_are_not_structural_are_refused_in_the_same_words",
            schema::structural,
        )
        .test(
            "documents_have_the_schemas_and_operations_of_the_real_ones",
            openapi::documents,
        )
        .test("lists_are_printed_alike", table::lists)
        .test(
            "lists_of_custom_resources_are_printed_alike",
            table::custom_lists,
        )
        .run()
}
