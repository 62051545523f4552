//! One control plane: etcd, kube-apiserver and, on request, kube-controller-manager.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{
    Assets, Error, assets,
    assets::{Program, ProgramKind},
    credentials::{ADMIN, Credentials},
    error::Kind,
    process::Process,
    watchdog::{Watchdog, watchdog},
};

/// Three whole clusters are ready within ten seconds on two cores; a machine that is busy compiling
/// gets twelve times that.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at a program that is not ready yet.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// A port is chosen free but bound later, by the program; somebody else may take it in between.
const STARTS_MAX: u32 = 3;

/// The loops that federation meets. Everything that needs nodes or a cloud is left out.
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,deployment-controller,\
replicaset-controller,statefulset-controller,daemonset-controller,job-controller,\
serviceaccount-controller,serviceaccount-token-controller";

/// How a cluster is started; made by [`ApiServer::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    name: String,
    assets: Option<Assets>,
    port: Option<u16>,
    controllers: bool,
    apiserver_args: Vec<String>,
}

/// A running control plane on loopback.
///
/// Dropping it kills its processes and removes its data; after a panic the logs stay.
pub struct ApiServer {
    name: String,
    dir: PathBuf,
    client: Client,
    kubeconfig: Kubeconfig,
    plan: Plan,
    // Fields drop in this order: who writes to etcd goes before etcd.
    controllers: Option<Process>,
    apiserver: Option<Process>,
    etcd: Option<Process>,
}

impl ApiServer {
    /// Starts etcd and kube-apiserver and waits until they serve.
    ///
    /// # Errors
    ///
    /// See [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Settings for a cluster that needs more than [`ApiServer::start`] gives.
    pub fn builder() -> Builder {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Builder {
            name: format!("cluster-{number}"),
            assets: None,
            port: None,
            controllers: false,
            apiserver_args: Vec::new(),
        }
    }

    /// The cluster's name, unique in this program unless two were given the same.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client that may do everything and never retries by itself.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The kubeconfig of [`ApiServer::client`], with one context named like the cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// The file with that kubeconfig, for programs; it goes with the cluster.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.plan.kubeconfig
    }

    /// The directory with the logs `etcd.log`, `kube-apiserver.log` and `kube-controller-manager.log`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ids of the processes that run now.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        [&self.etcd, &self.apiserver, &self.controllers]
            .into_iter()
            .flatten()
            .map(Process::id)
            .collect()
    }

    /// Whether every process that was started is still there.
    ///
    /// # Errors
    ///
    /// [`Error::is_ended`] for the first that is not, in the order etcd, kube-apiserver,
    /// kube-controller-manager.
    pub fn check(&mut self) -> Result<(), Error> {
        let processes = [&mut self.etcd, &mut self.apiserver, &mut self.controllers];
        processes.into_iter().flatten().try_for_each(Process::check)
    }

    /// Freezes the API server: connections are accepted and never answered.
    ///
    /// # Errors
    ///
    /// When the server is stopped or the signal cannot be sent.
    pub fn pause(&self) -> Result<(), Error> {
        self.freeze(true)
    }

    /// Lets a paused API server go on.
    ///
    /// # Errors
    ///
    /// When the server is stopped or the signal cannot be sent.
    pub fn resume(&self) -> Result<(), Error> {
        self.freeze(false)
    }

    /// Kills every process of the cluster. Its ports, credentials and data stay for
    /// [`ApiServer::restart`].
    pub fn stop(&mut self) {
        self.controllers = None;
        self.apiserver = None;
        self.etcd = None;
    }

    /// Kills what runs, starts everything again on the same ports and data, and waits until it
    /// serves.
    ///
    /// # Errors
    ///
    /// See [`Builder::start`]; a port that was taken meanwhile is not replaced by another.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let plan = &self.plan;
        let etcd = self.etcd.insert(plan.start(&plan.etcd)?);
        wait_for(etcd, READY_WITHIN, || etcd_is_healthy(plan.etcd_port)).await?;
        let apiserver = self.apiserver.insert(plan.start(&plan.apiserver)?);
        wait_for(apiserver, READY_WITHIN, || serves(&self.client)).await?;
        if let Some(controllers) = &plan.controllers {
            let controllers = self.controllers.insert(plan.start(controllers)?);
            wait_for(controllers, READY_WITHIN, || controllers_work(&self.client)).await?;
        }
        Ok(())
    }

    /// Makes etcd forget what was before now, as the API server has it do every five minutes. What the
    /// API server itself remembers is forgotten with a [`ApiServer::restart`].
    ///
    /// # Errors
    ///
    /// etcd does not run, or refuses.
    pub async fn compact(&self) -> Result<(), Error> {
        let refused = |answer| Kind::NotCompacted {
            cluster: self.name().to_owned(),
            answer,
        };
        Ok(compact(self.plan.etcd_port).await.map_err(refused)?)
    }

    fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let stopped = Kind::NotRunning {
            program: ProgramKind::KubeApiserver.file_name(),
        };
        self.apiserver.as_ref().ok_or(stopped)?.freeze(frozen)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
        let keep = watchdog().is_ok_and(Watchdog::keeps_logs);
        let unwanted = if keep {
            self.dir.join("etcd")
        } else {
            self.dir.clone()
        };
        // The watchdog removes at the end of the program what cannot be removed now.
        let _ = fs::remove_dir_all(unwanted);
    }
}

impl Builder {
    /// A name for messages, certificates and the kubeconfig's context; `cluster-N` otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Programs from elsewhere than `KUBEBUILDER_ASSETS`.
    pub fn assets(mut self, assets: Assets) -> Self {
        self.assets = Some(assets);
        self
    }

    /// The port of the API server; a free one otherwise.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Starts kube-controller-manager too, with the loops for namespaces, garbage collection,
    /// service accounts, Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs.
    pub fn controllers(mut self) -> Self {
        self.controllers = true;
        self
    }

    /// One more argument for kube-apiserver, such as `--audit-log-path=…`. Repeatable.
    pub fn apiserver_arg(mut self, arg: impl Into<String>) -> Self {
        self.apiserver_args.push(arg.into());
        self
    }

    /// Starts the cluster and waits until it serves: `/readyz` answers, the namespace `default`
    /// exists and, with controllers, so does its ServiceAccount `default`.
    ///
    /// # Errors
    ///
    /// No programs, or programs that are missing, not executable or too old; a file that cannot be
    /// written; a program that ends or is not ready in time. Whatever was started is killed, and
    /// the log that the message names is kept.
    pub async fn start(self) -> Result<ApiServer, Error> {
        let assets = match &self.assets {
            Some(assets) => assets.clone(),
            None => assets()?,
        };
        let programs = Programs::find(&assets, self.controllers)?;
        let mut starts = 1;
        loop {
            match self.start_once(&programs).await {
                Err(error) if error.lost_a_port() && self.port.is_none() && starts < STARTS_MAX => {
                    starts += 1;
                }
                result => return result,
            }
        }
    }

    async fn start_once(&self, programs: &Programs) -> Result<ApiServer, Error> {
        let plan = Plan::new(self, programs)?;
        let client = plan.client(&self.name).await?;
        let mut server = ApiServer {
            name: self.name.clone(),
            dir: plan.dir.clone(),
            client,
            kubeconfig: plan.kubeconfig_value()?,
            plan,
            controllers: None,
            apiserver: None,
            etcd: None,
        };
        let result = server.restart().await;
        if let Err(error) = &result
            && error.has_log()
            && let Ok(watchdog) = watchdog()
        {
            watchdog.keep_logs();
        }
        result.map(|()| server)
    }
}

struct Programs {
    etcd: Program,
    apiserver: Program,
    controllers: Option<Program>,
}

impl Programs {
    fn find(assets: &Assets, controllers: bool) -> Result<Self, Error> {
        let controllers = controllers.then_some(ProgramKind::KubeControllerManager);
        Ok(Self {
            etcd: assets.program(ProgramKind::Etcd)?,
            apiserver: assets.program(ProgramKind::KubeApiserver)?,
            controllers: controllers.map(|kind| assets.program(kind)).transpose()?,
        })
    }
}

/// Everything that is decided before the first process starts, and kept for a restart.
struct Plan {
    dir: PathBuf,
    kubeconfig: PathBuf,
    etcd_port: u16,
    etcd: Command,
    apiserver: Command,
    controllers: Option<Command>,
}

struct Command {
    program: Program,
    args: Vec<String>,
}

impl Plan {
    fn new(builder: &Builder, programs: &Programs) -> Result<Self, Error> {
        let dir = cluster_dir(&builder.name)?;
        let credentials = Credentials::write(&dir, &builder.name)?;
        let [etcd_port, peer_port, free_port] = free_ports()?;
        let port = match builder.port {
            Some(port) => {
                let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
                bound.map_err(|source| Kind::PortBusy {
                    program: programs.apiserver.kind.file_name(),
                    version: programs.apiserver.version.clone(),
                    port,
                    source,
                })?;
                port
            }
            None => free_port,
        };
        let kubeconfig = write_kubeconfig(&dir, &builder.name, port, &credentials)?;
        let apiserver_args = [
            apiserver_args(etcd_port, port, &dir, &credentials),
            builder.apiserver_args.clone(),
        ]
        .concat();
        let controllers = programs.controllers.as_ref();
        Ok(Self {
            etcd_port,
            etcd: Command {
                program: programs.etcd.clone(),
                args: etcd_args(&builder.name, etcd_port, peer_port, &dir),
            },
            apiserver: Command {
                program: programs.apiserver.clone(),
                args: apiserver_args,
            },
            controllers: controllers.map(|program| Command {
                program: program.clone(),
                args: controller_args(&kubeconfig, &credentials),
            }),
            kubeconfig,
            dir,
        })
    }

    fn start(&self, command: &Command) -> Result<Process, Error> {
        let log = self
            .dir
            .join(format!("{}.log", command.program.kind.file_name()));
        Process::start(&command.program, &command.args, log)
    }

    fn kubeconfig_value(&self) -> Result<Kubeconfig, Error> {
        Ok(Kubeconfig::read_from(&self.kubeconfig).map_err(|error| Kind::Client(error.into()))?)
    }

    async fn client(&self, name: &str) -> Result<Client, Error> {
        let options = KubeConfigOptions {
            context: Some(name.to_owned()),
            ..Default::default()
        };
        let mut config = Config::from_custom_kubeconfig(self.kubeconfig_value()?, &options)
            .await
            .map_err(|error| Kind::Client(error.into()))?;
        // A test wants to see the answer, not the third one after it.
        config.default_retry = false;
        Ok(Client::try_from(config).map_err(|error| Kind::Client(error.into()))?)
    }
}

fn cluster_dir(name: &str) -> Result<PathBuf, Error> {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let base = watchdog()
        .map_err(|source| Kind::System {
            what: "start the watchdog",
            source,
        })?
        .dir();
    let dir = base.join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).map_err(|source| Kind::File {
        what: "create",
        path: dir.clone(),
        source,
    })?;
    Ok(dir)
}

/// All are held while they are chosen, so that no two are the same.
fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    let error = |source| Kind::System {
        what: "find a free port",
        source,
    };
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(error)?;
        *port = listener.local_addr().map_err(error)?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

fn write_kubeconfig(
    dir: &Path,
    name: &str,
    port: u16,
    credentials: &Credentials,
) -> Result<PathBuf, Error> {
    let path = dir.join("kubeconfig");
    // JSON is YAML; the authority is named by file to keep the text readable.
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": credentials.authority,
        }}],
        "users": [{"name": ADMIN, "user": {"token": credentials.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": ADMIN}}],
        "current-context": name,
    });
    fs::write(&path, format!("{kubeconfig:#}\n")).map_err(|source| Kind::File {
        what: "write",
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn etcd_args(name: &str, client_port: u16, peer_port: u16, dir: &Path) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    vec![
        format!("--name={name}"),
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={name}={peer}"),
        // The data need not survive the machine, and syncing is most of etcd's time.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn apiserver_args(etcd_port: u16, port: u16, dir: &Path, credentials: &Credentials) -> Vec<String> {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        file("cert-dir", dir),
        file("tls-cert-file", &credentials.serving_certificate),
        file("tls-private-key-file", &credentials.serving_key),
        file(
            "service-account-key-file",
            &credentials.service_account_public_key,
        ),
        file(
            "service-account-signing-key-file",
            &credentials.service_account_key,
        ),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        file("token-auth-file", &credentials.tokens),
        "--authorization-mode=RBAC".to_owned(),
        // Pods need no tokens where there are no nodes.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--allow-privileged".to_owned(),
    ]
}

fn controller_args(kubeconfig: &Path, credentials: &Credentials) -> Vec<String> {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    vec![
        file("kubeconfig", kubeconfig),
        file(
            "service-account-private-key-file",
            &credentials.service_account_key,
        ),
        file("root-ca-file", &credentials.authority),
        format!("--controllers={CONTROLLERS}"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // With the default rate limit a namespace takes seconds to go.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]
}

/// Asks again and again until `ready` agrees, the process ends, or the time is up.
async fn wait_for<F>(
    process: &mut Process,
    within: Duration,
    ready: impl Fn() -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), String>>,
{
    let deadline = Instant::now() + within;
    loop {
        process.check()?;
        let answer = tokio::time::timeout_at(deadline, ready())
            .await
            .unwrap_or_else(|_| Err("it accepts connections but does not answer".to_owned()));
        match answer {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() >= deadline => return Err(process.not_ready(within, why)),
            Err(_) => sleep(POLL_EVERY).await,
        }
    }
}

async fn etcd_is_healthy(port: u16) -> Result<(), String> {
    let answer = ask_etcd(port, "GET /health", "").await?;
    if answer.contains(r#""health":"true""#) {
        Ok(())
    } else {
        Err(answer)
    }
}

/// What etcd's gateway answers, with the head of the answer.
async fn ask_etcd(port: u16, request: &str, body: &str) -> Result<String, String> {
    let length = body.len();
    let request = format!("{request} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    let ask = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.map_err(|error| error.to_string())
}

/// Makes etcd forget every state but the last.
async fn compact(port: u16) -> Result<(), String> {
    // Any read tells the revision; no key begins with a zero byte.
    let answer = ask_etcd(port, "POST /v3/kv/range", r#"{"key": "AA=="}"#).await?;
    let revision = answer
        .split_once(r#""revision":""#)
        .and_then(|(_, rest)| rest.split_once('"'));
    let Some((revision, _)) = revision else {
        return Err(answer);
    };
    let order = format!(r#"{{"revision": "{revision}", "physical": true}}"#);
    let answer = ask_etcd(port, "POST /v3/kv/compaction", &order).await?;
    let done = answer
        .lines()
        .next()
        .is_some_and(|status| status.contains(" 200 "));
    if done { Ok(()) } else { Err(answer) }
}

async fn serves(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .map_err(|e| e.to_string())?;
    client
        .request_text(request)
        .await
        .map_err(|error| error.to_string())?;
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces
        .get_metadata("default")
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}

async fn controllers_work(client: &Client) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    accounts
        .get_metadata("default")
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}
