//! Federates manifests over simulated clusters: a host, members and the control plane in one process.
//!
//! `cargo run --example federation` walks through what federation does;
//! `cargo run --example federation -- --manifests DIR` federates what is in your files.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use kubefed::api::manifest;
use kubefed::cli::{Cell, LiveView, PrivateFile, Table, Terminal, Tone, read_manifests};
use kubefed::playground::walk::Progress;
use kubefed::playground::{Playground, PlaygroundOptions, Row, Snapshot};
use tracing_subscriber::EnvFilter;

/// Federates manifests over simulated clusters, verifies the result and shows what is where
///
/// Ends with 0 if all is as it should be, and with an error that says what is not.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// Federate these objects instead of the tour: a folder, a file, or `-` for the standard input.
    /// Plain objects go to every cluster
    #[arg(long, value_name = "DIR|FILE|-")]
    manifests: Option<String>,
    /// Number of member clusters, of which the tour needs three; hundreds want `--release`
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clusters: u16,
    /// What uids, generated names and tokens are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A table, or a line of JSON for each step
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// What to log to the standard error, such as `info` or `kubefed_controllers=debug`
    #[arg(long, value_name = "LEVEL", default_value = "off", value_parser = str::parse::<EnvFilter>)]
    log: EnvFilter,
    /// How long each step may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Stay up for kubectl until Ctrl-C; without manifests, with those of the tour
    #[arg(long)]
    serve: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[allow(dead_code, reason = "the test of the README calls `run`")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let filter = std::mem::take(&mut arguments.log);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(Terminal::stderr().is_live())
        .init();
    let mut view = LiveView::stdout();
    let done = run(arguments, &mut view).await;
    kubefed::cli::exit_code(done.and(view.finish().map_err(Into::into)))
}

/// The whole program, on any output.
pub(crate) async fn run(arguments: Arguments, view: &mut LiveView<impl Write>) -> Result<()> {
    let timeout = Duration::from_secs(arguments.timeout);
    let members = arguments.clusters.into();
    let options = PlaygroundOptions::default()
        .members(members)
        .seed(arguments.seed);
    let mut world = Playground::start(options).await?;
    let output = arguments.output;
    let observe = |progress: Progress<'_>| show(&progress, output, view);
    let shop = || manifest::read("shop.yaml", include_str!("manifests/shop.yaml"));
    let given = arguments.manifests.as_deref().map(read_manifests);
    match given.or_else(|| arguments.serve.then(shop)) {
        Some(objects) => world.federate(objects, timeout, observe).await?,
        None => world.tour(shop(), timeout, observe).await?,
    }
    if arguments.serve {
        let served = world.serve().await?;
        let file = PrivateFile::create("kubefed-kubeconfig", &served.kubeconfig())?;
        let contexts = served.contexts().join(", ");
        view.conclude(&format!("export KUBECONFIG={}", file.path().display()));
        view.conclude(&format!("contexts {contexts}; Ctrl-C ends"));
        tokio::select! {
            end = tokio::signal::ctrl_c() => end?,
            () = world.watch(|progress| show(&progress, output, view)) => {}
        }
    }
    Ok(())
}

fn show(progress: &Progress<'_>, output: Output, view: &mut LiveView<impl Write>) {
    match (output, progress) {
        (Output::Json, _) => view.say(&progress.to_json_line()),
        (_, Progress::Begins(step)) => view.say(&format!("\n{step}")),
        (_, Progress::Noted(note)) => view.say(note),
        (_, Progress::Moves(snapshot, moving)) => view.draw(&table(snapshot), &moving.join("; ")),
        (_, Progress::Changed(snapshot) | Progress::Ended(_, snapshot)) => {
            view.rest(&table(snapshot));
        }
        _ => {}
    }
}

fn table(snapshot: &Snapshot) -> Table {
    let table = Table::new(Row::COLUMNS).keyed_by(2);
    snapshot.rows().iter().fold(table, |table, row| {
        let [object, cluster, version, ready, image, state, why] = row.cells().map(Cell::from);
        let state = state.tone(Tone::of(row.is_well(), row.is_moving()));
        table.row([object, cluster, version, ready, image, state, why])
    })
}
