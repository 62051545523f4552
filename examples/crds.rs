//! Prints the definitions of every kind of KubeFed: the seven fixed ones, and the federated types that
//! an installation has from the start.
//!
//! `cargo run --example crds | kubectl apply -f -`

use std::io::{self, Write};

use clap::{Parser, ValueEnum};
use kubefed_api::{crds, default_targets, federated_crd};

#[derive(Parser)]
#[command(about = "Prints the CustomResourceDefinitions of KubeFed")]
struct Arguments {
    /// How to print them: YAML documents, or one JSON list
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
    /// Only these kinds, such as KubeFedCluster or FederatedDeployment
    kinds: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Yaml,
    Json,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let federated = default_targets();
    let federated = federated
        .iter()
        .map(|(target, schema)| federated_crd(target, *schema));
    let mut definitions: Vec<_> = crds().into_iter().chain(federated).collect();
    for kind in &arguments.kinds {
        let known = definitions.iter().any(|crd| crd.spec.names.kind == *kind);
        anyhow::ensure!(known, "there is no kind {kind}");
    }
    if !arguments.kinds.is_empty() {
        definitions.retain(|crd| arguments.kinds.contains(&crd.spec.names.kind));
    }
    let text = match arguments.output {
        Output::Yaml => serde_saphyr::to_string_multiple(&definitions)?,
        Output::Json => {
            let list =
                serde_json::json!({"apiVersion": "v1", "kind": "List", "items": definitions});
            serde_json::to_string_pretty(&list)? + "\n"
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Somebody like `head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
