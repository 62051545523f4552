//! kubectl, a client that knows nothing of us, against a served cluster. Ignored where there is none.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use kubefed_sim::{Clock, Cluster, ClusterOptions, PodTimes};
use libtest_mimic::{Arguments, Trial};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: main, image: 'nginx:1' }
";

const CONFIG_MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { key: value }
";

/// Arguments, standard input, and what the output must contain.
const STEPS: &[(&str, &str, &[&str])] = &[
    ("version", "", &["Server Version: v1.35.4"]),
    ("get nodes", "", &["STATUS", "node-1   Ready"]),
    ("apply -f -", DEPLOYMENT, &["deployment.apps/web created"]),
    (
        "rollout status deployment/web --timeout=60s",
        "",
        &["successfully rolled out"],
    ),
    ("get deployments", "", &["READY", "2/2"]),
    (
        "get deployment web -o wide",
        "",
        &["IMAGES", "nginx:1", "app=web"],
    ),
    ("get pods -l app=web", "", &["Running"]),
    (
        "describe deployment web",
        "",
        &["Replicas:", "2 desired | 2 updated | 2 total | 2 available"],
    ),
    ("apply -f -", DEPLOYMENT, &["deployment.apps/web unchanged"]),
    (
        "set image deployment/web main=nginx:2",
        "",
        &["deployment.apps/web image updated"],
    ),
    (
        "rollout status deployment/web --timeout=60s",
        "",
        &["successfully rolled out"],
    ),
    (
        "scale deployment web --replicas=1",
        "",
        &["deployment.apps/web scaled"],
    ),
    (
        "get deployments --watch-only=false -w --request-timeout=2s",
        "",
        &["web"],
    ),
    (
        "apply --server-side -f -",
        CONFIG_MAP,
        &["configmap/settings serverside-applied"],
    ),
    (
        "apply --dry-run=server -f -",
        CONFIG_MAP,
        &["configmap/settings", "(server dry run)"],
    ),
    ("get configmap settings", "", &["DATA", "settings   1"]),
    (
        "explain deployment.spec.replicas",
        "",
        &["FIELD: replicas <integer>"],
    ),
    (
        "api-resources --api-group=apps",
        "",
        &["deployments", "deploy", "Deployment"],
    ),
    ("logs deployment/web", "", &["there are no logs"]),
    (
        "exec deployment/web -- ls",
        "",
        &["nothing can be executed"],
    ),
    ("attach deployment/web", "", &["nothing can be attached to"]),
    (
        "port-forward deployment/web 0:80",
        "",
        &["no port can be forwarded"],
    ),
    (
        "delete deployment web --timeout=60s",
        "",
        &["deployment.apps \"web\" deleted"],
    ),
    (
        "get deployments",
        "",
        &["No resources found in default namespace."],
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Command::new("kubectl")
        .arg("help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err();
    let trial = Trial::test("kubectl_works_against_a_served_cluster", || {
        work();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(missing)]).exit_code()
}

fn work() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let step = Duration::from_millis(50);
    let times = PodTimes::new().start(step).ready(step).run(step).stop(step);
    let options = ClusterOptions::new("member-1").pod_times(times);
    // kubectl compares ages with the wall clock.
    let cluster = Cluster::on_clock(options, Clock::starting_at(jiff::Timestamp::now()));
    let serving = runtime.block_on(cluster.serve(0)).unwrap();
    let kubeconfig =
        std::env::temp_dir().join(format!("kubefed-sim-kubectl-{}.json", std::process::id()));
    std::fs::write(
        &kubeconfig,
        serde_json::to_string(&serving.kubeconfig().unwrap()).unwrap(),
    )
    .unwrap();
    for (arguments, input, expected) in STEPS {
        let mut kubectl = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(arguments.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        kubectl
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = kubectl.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat();
        for part in *expected {
            assert!(
                text.contains(part),
                "kubectl {arguments}: expected {part:?} in\n{text}"
            );
        }
    }
    std::fs::remove_file(&kubeconfig).unwrap();
}
