use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::table::printable;

/// Success, or 1 after the error was written to the standard error, all causes in its lines.
pub fn exit_code<E: Display>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let text = format!("error: {error:#}");
    let lines: Vec<_> = text.lines().map(printable).collect();
    // Nobody is left to be told of an error here.
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
    ExitCode::FAILURE
}
