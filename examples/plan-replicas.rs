//! Plans replicas: JSON lines in and out, or a table with reasons for clusters given by hand.
#![allow(clippy::print_stderr, reason = "a program prints")]

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use kubefed_planner::program::{Options, run};

fn main() -> ExitCode {
    let options = Options::parse();
    let mut input = io::stdin().lock();
    let lines = (!io::stdin().is_terminal()).then_some(&mut input as &mut dyn BufRead);
    let mut output = BufWriter::new(io::stdout().lock());
    let planned = run(&options, lines, &mut output, &mut io::stderr());
    let written = output.flush().map_err(Into::into);
    match planned.and_then(|well| written.map(|()| well)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
