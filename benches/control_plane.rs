//! What does propagation cost on real API servers: how long, how many requests, how much processor time
//! and memory?
//!
//! One host that is also a member, and two more members: etcd, kube-apiserver and
//! kube-controller-manager each, found through `KUBEBUILDER_ASSETS`. The control plane is a program of its
//! own, `control_plane_measured.rs`, with production settings. Its requests are counted from the servers'
//! audit logs, where it has a user of its own.
//!
//! Run with `cargo bench -p kubefed-playground --bench control_plane`; `KUBEFED_BENCH_OBJECTS=2000` sets
//! the number of federated ConfigMaps (300), `KUBEFED_BENCH_PROFILE=release` the profile that the measured
//! program is built with (small). A federated ConfigMap is a template of 600 bytes, a placement in three
//! clusters and one override.
//!
//! The seconds and the pace are those until every member shows a change; beside them stands when the
//! control plane has written its last, so that every status and record is there as well.
//!
//! The least number of writes for a copy in one of n clusters is that of the wire format: 1 + 4/n to
//! create (finalizer, copy, version object and its status, status), 1 + 2/n to update, 2 for a copy that
//! was lost (the copy, the recorded version), 1 + 1/n to delete (the copy, the finalizer). Events come on
//! top, and are shown for themselves.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends when it cannot go on"
)]

#[path = "../crates/kubefed-playground/tests/worlds/cluster.rs"]
mod cluster;
#[path = "../crates/kubefed-playground/tests/worlds/kubelet.rs"]
mod kubelet;
#[path = "../crates/kubefed-playground/tests/worlds/mirror.rs"]
mod mirror;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cluster::RealCluster;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubefed_informer::HttpsConnect;
use kubefed_playground::kubefed_api::ResourceType;
use kubefed_playground::kubefed_api::well_known::{MANAGED_LABEL, MANAGED_VALUE};
use kubefed_playground::{PlayedCluster, Playground, PlaygroundOptions};
use kubefed_testing::{ApiServer, assets};
use serde_json::{Value, json};

/// The user that the measured process is in every cluster.
const USER: &str = "system:serviceaccount:default:control-plane";

const NAMESPACE: &str = "bench";

/// Requests of the bench itself that are under way at once; enough not to be what is measured.
const IN_FLIGHT: usize = 32;

/// How long to wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    if let Err(reason) = assets() {
        println!("control_plane: not measured: {reason}");
        return Ok(());
    }
    let objects = std::env::var("KUBEFED_BENCH_OBJECTS");
    let objects = objects.map_or(Ok(300), |text| text.parse())?;
    let program = measured_program()?;
    tokio::runtime::Runtime::new()?.block_on(measure(objects, &program))
}

/// Builds the program that is measured: small, static as in a container image, and without anything of
/// the bench in it.
fn measured_program() -> Outcome<PathBuf> {
    const NAME: &str = "control_plane_measured";
    let profile = std::env::var("KUBEFED_BENCH_PROFILE");
    let profile = profile.unwrap_or_else(|_| "small".to_owned());
    println!("building {NAME} with the profile {profile}");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--package", env!("CARGO_PKG_NAME")]);
    build.args(["--bench", NAME, "--profile", &profile]);
    build.args(["--message-format", "json-render-diagnostics"]);
    // With a target of its own, the flags are not those of build scripts and macros.
    if let Some(target) = host_target().filter(|target| target.ends_with("linux-gnu")) {
        let flags = "-C target-feature=+crt-static -C relocation-model=static";
        build.args(["--target", &target]).env("RUSTFLAGS", flags);
    }
    let built = build.stderr(Stdio::inherit()).output()?;
    let messages = String::from_utf8(built.stdout)?;
    let artifact = |line: &str| serde_json::from_str::<Value>(line).ok();
    let mut artifacts = messages.lines().filter_map(artifact);
    let artifact = artifacts.find(|artifact| artifact["target"]["name"] == NAME);
    let path = artifact.and_then(|artifact| Some(artifact["executable"].as_str()?.into()));
    Ok(path.ok_or_else(|| format!("{NAME} was not built: {}", built.status))?)
}

fn host_target() -> Option<String> {
    let asked = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(asked.stdout).ok()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
}

async fn measure(objects: usize, program: &Path) -> Outcome {
    let bench = Bench::start(objects, program).await?;
    println!(
        "{objects} federated ConfigMaps, {} members, one override each\n",
        bench.members.len()
    );
    println!("{}", Measured::HEADER);
    let members = bench.members.len() as f64;
    let copies = (objects * bench.members.len()) as f64;
    let all = objects * bench.members.len();

    let phase = bench.begin("create", copies, 1.0 + 4.0 / members);
    bench
        .each_object(async |bench, index| bench.create(index).await)
        .await?;
    bench
        .until("every copy is there", |bench| bench.copies("one") == all)
        .await?;
    phase.end(&bench).await?;

    let phase = bench.begin("update all", copies, 1.0 + 2.0 / members);
    bench
        .each_object(async |bench, index| bench.update(index).await)
        .await?;
    bench
        .until("every copy is updated", |bench| bench.copies("two") == all)
        .await?;
    phase.end(&bench).await?;

    let phase = bench.begin("a third deleted by hand", objects as f64, 2.0);
    bench
        .each_object(async |bench, index| bench.lose(index).await)
        .await?;
    bench
        .until("every copy is back", |bench| {
            bench.copies("two") == all && bench.lost_are_back()
        })
        .await?;
    phase.end(&bench).await?;

    let phase = bench.begin("delete all", copies, 1.0 + 1.0 / members);
    bench
        .each_object(async |bench, index| bench.delete(index).await)
        .await?;
    bench
        .until("everything is gone", |bench| {
            bench.copies("two") == 0 && bench.federated() == 0
        })
        .await?;
    phase.end(&bench).await?;

    bench.idle(Duration::from_secs(30)).await
}

struct Bench {
    host: RealCluster,
    members: Vec<RealCluster>,
    audits: Vec<PathBuf>,
    measured: Child,
    objects: usize,
    config_maps: ResourceType,
    federated: ResourceType,
    /// The uids of the copies that are deleted by hand.
    lost: Mutex<BTreeSet<String>>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn start(objects: usize, program: &Path) -> Outcome<Self> {
        let dir = tempfile::TempDir::new()?;
        let policy = dir.path().join("audit-policy.yaml");
        let rule =
            json!({"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]});
        let rules = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule],
        });
        std::fs::write(&policy, rules.to_string())?;
        let (mut clusters, mut audits, mut joining) = (Vec::new(), Vec::new(), Vec::new());
        let token_file = dir.path().join("token");
        for name in ["host", "member-2", "member-3"] {
            let audit = dir.path().join(format!("{name}-audit.log"));
            let server = ApiServer::builder()
                .name(name)
                .controllers()
                .apiserver_arg(format!("--audit-policy-file={}", policy.display()))
                .apiserver_arg(format!("--audit-log-path={}", audit.display()))
                .start()
                .await?;
            let token = token(&server.client()).await?;
            if clusters.is_empty() {
                std::fs::write(&token_file, &token)?;
            }
            let cluster = RealCluster::of(server)?;
            joining.push(cluster.joining(cluster.address(), &token));
            clusters.push(cluster);
            audits.push(audit);
        }
        let host = clusters[0].clone();
        let mut playground = Playground::on(
            PlaygroundOptions::default(),
            host.clone(),
            joining,
            HttpsConnect,
        )
        .await?;
        playground.stop_control_plane().await;
        let types = playground.types().iter();
        let mut maps = types.filter(|(target, _)| target.kind == "ConfigMap");
        let (config_maps, federated) =
            maps.next().cloned().ok_or("ConfigMaps are not federated")?;

        let authority_file = dir.path().join("ca.crt");
        std::fs::write(&authority_file, host.authority())?;
        let measured = Command::new(program)
            .arg(format!("https://{}", host.address()))
            .args([authority_file, token_file])
            .stdin(Stdio::piped())
            .spawn()?;
        let bench = Self {
            host,
            members: clusters,
            audits,
            measured,
            objects,
            config_maps,
            federated,
            lost: Mutex::default(),
            _dir: dir,
        };
        playground
            .apply([json!({
                "apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedNamespace",
                "metadata": {"namespace": NAMESPACE, "name": NAMESPACE},
                "spec": {"placement": {"clusterSelector": {}}},
            })])
            .await?;
        let namespaces = ResourceType::cluster_scoped("", "v1", "Namespace", "namespaces");
        bench
            .until("the namespace is everywhere", |bench| {
                let managed = |found: &Value| {
                    let labels = &found["metadata"]["labels"];
                    found["metadata"]["name"] == NAMESPACE && labels[MANAGED_LABEL] == MANAGED_VALUE
                };
                bench
                    .members
                    .iter()
                    .all(|member| member.count(&namespaces, managed) == 1)
            })
            .await?;
        bench.quiet().await?;
        Ok(bench)
    }

    /// Waits until something is so.
    async fn until(&self, what: &str, test: impl Fn(&Self) -> bool) -> Outcome {
        let start = Instant::now();
        while !test(self) {
            if start.elapsed() > PATIENCE {
                return Err(format!("never: {what}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the control plane has not written for a while, and tells since when.
    async fn quiet(&self) -> Outcome<Instant> {
        let start = Instant::now();
        let mut writes = self.requests()?.writes();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = self.requests()?.writes();
            if now != writes {
                (writes, since) = (now, Instant::now());
            }
            if start.elapsed() > PATIENCE {
                return Err("the control plane never stops writing".into());
            }
        }
        Ok(since)
    }

    async fn each_object(&self, act: impl AsyncFn(&Self, usize) -> Outcome) -> Outcome {
        let acts = stream::iter(0..self.objects).map(|index| act(self, index));
        let mut acts = acts.buffer_unordered(IN_FLIGHT);
        while let Some(done) = acts.next().await {
            done?;
        }
        Ok(())
    }

    fn api(&self) -> Api<kube::api::DynamicObject> {
        let resource = self.federated.api_resource();
        Api::namespaced_with(self.host.client(), NAMESPACE, &resource)
    }

    async fn create(&self, index: usize) -> Outcome {
        // About 600 bytes in all.
        let filler = "x".repeat(480);
        let object = json!({
            "apiVersion": self.federated.api_version(), "kind": self.federated.kind,
            "metadata": {"namespace": NAMESPACE, "name": name(index)},
            "spec": {
                "template": {"metadata": {"labels": {"app": "bench"}}, "data": {"round": "one", "filler": filler}},
                "placement": {"clusterSelector": {}},
                "overrides": [{"clusterName": "member-2", "clusterOverrides": [
                    {"path": "/data/region", "op": "add", "value": "eu"},
                ]}],
            },
        });
        let object = serde_json::from_value(object)?;
        self.api().create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn update(&self, index: usize) -> Outcome {
        let patch = Patch::Merge(json!({"spec": {"template": {"data": {"round": "two"}}}}));
        self.api()
            .patch(&name(index), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    async fn lose(&self, index: usize) -> Outcome {
        let member = &self.members[index % self.members.len()];
        let copies: Api<ConfigMap> = Api::namespaced(member.client(), NAMESPACE);
        let copy = copies.get(&name(index)).await?;
        let uid = copy.metadata.uid.unwrap_or_default();
        self.lost.lock().unwrap().insert(uid);
        copies
            .delete(&name(index), &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn delete(&self, index: usize) -> Outcome {
        self.api()
            .delete(&name(index), &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// The copies of a round.
    fn copies(&self, round: &str) -> usize {
        let of = |member: &RealCluster| {
            member.count(&self.config_maps, |map| map["data"]["round"] == round)
        };
        self.members.iter().map(of).sum()
    }

    fn lost_are_back(&self) -> bool {
        let lost = self.lost.lock().unwrap();
        self.members.iter().all(|member| {
            let is_lost = |map: &Value| {
                map["metadata"]["uid"]
                    .as_str()
                    .is_some_and(|uid| lost.contains(uid))
            };
            member.count(&self.config_maps, is_lost) == 0
        })
    }

    fn federated(&self) -> usize {
        self.host.count(&self.federated, |_| true)
    }

    fn requests(&self) -> Outcome<Requests> {
        let mut all = Requests::default();
        for audit in &self.audits {
            for line in std::fs::read_to_string(audit)?.lines() {
                // The last line may be half written.
                if let Ok(event) = serde_json::from_str::<Value>(line) {
                    all.count(&event);
                }
            }
        }
        Ok(all)
    }

    fn begin(&self, name: &'static str, copies: f64, minimum: f64) -> Phase {
        Phase {
            name,
            copies,
            minimum,
            start: Instant::now(),
            requests: self.requests().unwrap_or_default(),
            processor: processor_time(&self.measured),
        }
    }

    async fn idle(&self, time: Duration) -> Outcome {
        let before = self.requests()?;
        tokio::time::sleep(time).await;
        let after = self.requests()?;
        let per_second = |after: usize, before: usize| (after - before) as f64 / time.as_secs_f64();
        println!(
            "\nidle: {:.1} requests/s, of which {:.2} writes/s and {:.1} probes/s",
            per_second(after.all() + after.probes, before.all() + before.probes),
            per_second(after.writes(), before.writes()),
            per_second(after.probes, before.probes),
        );
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.measured.kill();
        let _ = self.measured.wait();
    }
}

#[derive(Clone, Default)]
struct Requests {
    reads: usize,
    watches: usize,
    probes: usize,
    changes: usize,
    events: usize,
}

impl Requests {
    fn count(&mut self, event: &Value) {
        if event["user"]["username"] != USER {
            return;
        }
        let resource = event["objectRef"]["resource"].as_str();
        *match (event["verb"].as_str().unwrap_or_default(), resource) {
            ("create" | "update" | "patch" | "delete", Some("events")) => &mut self.events,
            ("create" | "update" | "patch" | "delete", _) => &mut self.changes,
            ("watch", _) => &mut self.watches,
            (_, None) => &mut self.probes,
            _ => &mut self.reads,
        } += 1;
    }

    fn writes(&self) -> usize {
        self.changes + self.events
    }

    fn all(&self) -> usize {
        self.reads + self.watches + self.writes()
    }
}

struct Phase {
    name: &'static str,
    copies: f64,
    minimum: f64,
    start: Instant,
    requests: Requests,
    processor: Duration,
}

/// A line of the table.
struct Measured;

impl Measured {
    const HEADER: &str = "\
| phase | seconds | copies/s | last write s | requests/copy | writes/copy | least | events/copy | CPU ms/copy | peak RSS MB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
}

impl Phase {
    async fn end(self, bench: &Bench) -> Outcome {
        let seconds = self.start.elapsed().as_secs_f64();
        let last_write = (bench.quiet().await? - self.start).as_secs_f64();
        let (after, before) = (bench.requests()?, self.requests);
        let per_copy = |after: usize, before: usize| (after - before) as f64 / self.copies;
        let processor = processor_time(&bench.measured) - self.processor;
        println!(
            "| {} | {seconds:.1} | {:.0} | {last_write:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
            self.name,
            self.copies / seconds,
            per_copy(after.all(), before.all()),
            per_copy(after.changes, before.changes),
            self.minimum,
            per_copy(after.events, before.events),
            processor.as_secs_f64() * 1e3 / self.copies,
            peak_memory(&bench.measured) / 1e6,
        );
        Ok(())
    }
}

fn name(index: usize) -> String {
    format!("map-{index}")
}

/// The token of an administrator with a name of its own.
async fn token(client: &Client) -> Outcome<String> {
    use k8s_openapi::api::authentication::v1::TokenRequest;
    use k8s_openapi::api::core::v1::ServiceAccount;
    use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

    let create = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account = json!({"metadata": {"name": "control-plane"}});
    accounts
        .create(&create, &serde_json::from_value(account)?)
        .await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let binding = json!({
        "metadata": {"name": "control-plane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "control-plane"}],
    });
    bindings
        .create(&create, &serde_json::from_value(binding)?)
        .await?;
    let request: TokenRequest = serde_json::from_value(
        json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 7200}}),
    )?;
    let answer = accounts
        .create_token_request("control-plane", &create, &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    Ok(token.ok_or("there is no token in the answer")?)
}

/// Processor time of a process so far, from `/proc`; zero where there is none.
fn processor_time(process: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
    // The name in parentheses may hold blanks; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second towards user space on every architecture.
    Duration::from_millis(10 * ticks)
}

/// The most memory a process had in use, in bytes, from `/proc`; zero where there is none.
fn peak_memory(process: &Child) -> f64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibibytes.unwrap_or_default() * 1024.0
}
