//! Prints what each member cluster would get of federated objects, and why or why not.
//!
//! `cargo run --example render -- examples/manifests/shop.yaml --clusters examples/manifests/clusters.yaml`

use std::io::{self, Read, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use kubefed_propagation::kubefed_api::{Error, manifest};
use kubefed_propagation::{Preview, PreviewOptions, Verdict};

/// Prints what each member cluster would get of federated objects, and why or why not
///
/// The clusters are taken as ready and empty. Ends with 0 if every object gets into some cluster, with 1
/// if some input or argument is invalid (the rest is printed all the same), and with 2 if everything is
/// valid but some object gets nowhere.
#[derive(Parser)]
#[command(after_long_help = EXAMPLE)]
struct Arguments {
    /// YAML or JSON files of federated objects, FederatedTypeConfigs and KubeFedClusters, in any order;
    /// `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// One more file, for the KubeFedClusters if they are kept apart
    #[arg(long, value_name = "FILE")]
    clusters: Option<String>,
    /// How to print: decisions as text, or decisions and whole objects
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Take every namespace as federated to all clusters unless there is a FederatedNamespace
    #[arg(long)]
    assume_namespace_federated: bool,
    /// Print the values of Secrets
    #[arg(long)]
    show_secrets: bool,
}

const EXAMPLE: &str = "\
Example: save this as shop.yaml and run `render shop.yaml`

  apiVersion: core.kubefed.io/v1beta1
  kind: KubeFedCluster
  metadata: {name: east, labels: {region: eu}}
  ---
  apiVersion: types.kubefed.io/v1beta1
  kind: FederatedNamespace
  metadata: {namespace: shop, name: shop}
  spec: {placement: {clusterSelector: {}}}
  ---
  apiVersion: types.kubefed.io/v1beta1
  kind: FederatedConfigMap
  metadata: {namespace: shop, name: banner}
  spec:
    template: {data: {text: hello}}
    placement: {clusterSelector: {matchLabels: {region: eu}}}
    overrides:
    - clusterName: east
      clusterOverrides: [{path: /data/text, value: howdy}]

Types that KubeFed does not come with need their FederatedTypeConfig among the files.";

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Yaml,
    Json,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(other) => {
            other.print()?;
            return Ok(ExitCode::from(u8::from(other.use_stderr())));
        }
    };
    let mut options = PreviewOptions::new();
    if arguments.assume_namespace_federated {
        options = options.assume_namespaces_federated();
    }
    if arguments.show_secrets {
        options = options.show_secrets();
    }
    let files = arguments.clusters.iter().chain(&arguments.files);
    let manifests = files.flat_map(|file| match read(file) {
        Ok(text) => manifest::read(file, &text),
        Err(error) => vec![Err(Error::new(file.as_str(), error.to_string()))],
    });
    let preview = Preview::of(manifests, &options);
    let text = match arguments.output {
        Output::Text => preview.to_string(),
        Output::Yaml => serde_saphyr::to_string(&preview.to_json())?,
        Output::Json => serde_json::to_string_pretty(&preview.to_json())? + "\n",
    };
    for problem in preview.problems() {
        writeln!(io::stderr(), "error: {problem}")?;
    }
    match io::stdout().write_all(text.as_bytes()) {
        // Somebody like `head` has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(match preview.verdict() {
        Verdict::Placed => ExitCode::SUCCESS,
        Verdict::Invalid => ExitCode::from(1),
        Verdict::PlacedNowhere => ExitCode::from(2),
    })
}

fn read(file: &str) -> io::Result<String> {
    let mut text = String::new();
    match file {
        "-" => io::stdin().read_to_string(&mut text).map(|_| text),
        file => std::fs::read_to_string(file),
    }
}
