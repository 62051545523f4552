//! kubectl against the clusters that `cargo run --example federation -- --serve` keeps up. Ignored where
//! there is no kubectl.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use kubefed::cli::{LiveView, Terminal};
use libtest_mimic::{Arguments, Trial};

#[path = "../../../examples/federation.rs"]
mod example;

/// Real time: what a slow machine may need for a step.
const PATIENCE: Duration = Duration::from_secs(60);

const GREETING: &str = "
apiVersion: types.kubefed.io/v1beta1
kind: FederatedConfigMap
metadata: { namespace: shop, name: greeting }
spec:
  template: { data: { text: hello } }
  placement: { clusters: [{ name: member-2 }] }
";

/// Context and arguments, standard input, and what the output must contain. What others must do first
/// is asked for again until it is there.
const STEPS: &[(&str, &str, &[&str])] = &[
    ("host get kubefedclusters -A", "", &["member-3", "True"]),
    ("host get federateddeployments -n shop", "", &["web"]),
    (
        "host describe federateddeployment web -n shop",
        "",
        &["kubefed.io/inventory: member-1,member-2,member-3"],
    ),
    (
        "host explain federateddeployment.spec.overrides",
        "",
        &["clusterName", "clusterOverrides"],
    ),
    (
        "member-1 get deployments -n shop -o wide",
        "",
        &["5/5", "registry.example.com/shop/web:1.5-rc2"],
    ),
    ("member-2 get deployment web -n shop", "", &["2/2"]),
    (
        "member-1 get pods -n shop --watch --request-timeout=2s",
        "",
        &["web-", "Running"],
    ),
    (
        "member-1 logs -n shop deployment/web",
        "",
        &["there are no logs"],
    ),
    (
        "member-1 exec -n shop deployment/web -- ls",
        "",
        &["nothing can be executed"],
    ),
    (
        "host apply --dry-run=server -f -",
        GREETING,
        &["greeting created (server dry run)"],
    ),
    (
        "host apply --server-side -f -",
        GREETING,
        &["greeting serverside-applied"],
    ),
    (
        "member-2 get configmap greeting -n shop -o jsonpath={.data.text}",
        "",
        &["hello"],
    ),
    ("member-1 get configmap greeting -n shop", "", &["NotFound"]),
    (
        "host delete federatedconfigmap greeting -n shop --timeout=60s",
        "",
        &["deleted"],
    ),
    ("member-2 get configmap greeting -n shop", "", &["NotFound"]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let kubectl = Command::new("kubectl")
        .arg("help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let trial = Trial::test("kubectl_works_against_a_served_federation", || {
        work();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(kubectl.is_err())]).exit_code()
}

/// What the example has printed so far.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printed {
    /// What follows a word on its line, once the line is complete.
    fn after(&self, word: &str) -> Option<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let (_, rest) = text.split_once(word)?;
        Some(rest.split_once('\n')?.0.to_owned())
    }
}

fn work() {
    let printed = Printed::default();
    let out = printed.clone();
    let example = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let arguments = example::Arguments::parse_from(["federation", "--serve"]);
        let mut view = LiveView::new(out, Terminal::plain());
        let done = runtime
            .unwrap()
            .block_on(example::run(arguments, &mut view));
        done.map_err(|error| format!("{error:#}"))
    });
    let begin = Instant::now();
    let contexts = loop {
        if let Some(contexts) = printed.after("contexts ") {
            break contexts;
        }
        assert!(!example.is_finished(), "it ended: {:?}", example.join());
        assert!(begin.elapsed() < PATIENCE, "nothing is served");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(contexts, "host, member-1, member-2, member-3; Ctrl-C ends");
    let kubeconfig = printed.after("export KUBECONFIG=").unwrap();
    for (arguments, input, expected) in STEPS {
        let begin = Instant::now();
        loop {
            let text = kubectl(&kubeconfig, arguments, input);
            if expected.iter().all(|part| text.contains(part)) {
                break;
            }
            assert!(
                arguments.contains(" get ") && begin.elapsed() < PATIENCE,
                "kubectl {arguments}: expected {expected:?} in\n{text}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let interrupt = ["-INT", &std::process::id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(example.join().unwrap(), Ok(()));
    assert!(!Path::new(&kubeconfig).exists(), "it cleans up");
}

/// What kubectl prints; the first of the arguments is the context.
fn kubectl(kubeconfig: &str, arguments: &str, input: &str) -> String {
    let mut kubectl = Command::new("kubectl")
        .args(["--kubeconfig", kubeconfig, "--context"])
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read its input may be gone already.
    let _ = kubectl.stdin.take().unwrap().write_all(input.as_bytes());
    let output = kubectl.wait_with_output().unwrap();
    [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat()
}
