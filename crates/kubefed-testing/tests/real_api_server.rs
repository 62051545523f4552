//! Control planes are started, broken and stopped; what is checked is what a test relies on.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use kubefed_testing::{ApiServer, Assets, Suite, TestResult, assets};
use serde_json::json;

/// Set in the child of the test about programs that die.
const CHILD: &str = "KUBEFED_TESTING_CHILD";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return start_and_die();
    }
    Suite::new()
        .test(
            "clusters_live_side_by_side_and_know_nothing_of_each_other",
            side_by_side,
        )
        .test("namespaces_end_and_deployments_make_pods", controllers_run)
        .test(
            "a_restart_keeps_the_data_and_the_address",
            restart_keeps_data,
        )
        .test("a_paused_server_hangs_and_resumes", pause_and_resume)
        .test("requests_without_the_token_are_refused", rbac_is_on)
        .test("nothing_is_left_after_a_drop", nothing_is_left_after_a_drop)
        .test(
            "nothing_is_left_after_the_program_is_killed",
            nothing_is_left_after_a_kill,
        )
        .test("bad_programs_are_named_with_path_and_reason", bad_programs)
        .test("a_busy_port_is_named", busy_port)
        .test("an_etcd_that_dies_is_named_with_its_log", etcd_dies)
        .test("a_full_disk_is_named_with_its_log", full_disk)
        .run()
}

async fn side_by_side() -> TestResult {
    let (one, two) = tokio::try_join!(ApiServer::start(), ApiServer::start())?;
    let here = Api::<ConfigMap>::namespaced(one.client(), "default");
    let there = Api::<ConfigMap>::namespaced(two.client(), "default");
    here.create(&PostParams::default(), &config_map("only-here"))
        .await?;
    assert!(there.get_opt("only-here").await?.is_none());
    assert!(here.get_opt("only-here").await?.is_some());
    Ok(())
}

async fn controllers_run() -> TestResult {
    let client = Suite::shared_server().await?.client();
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"generateName": "controllers-"}}))?;
    let namespace = namespaces
        .create(&PostParams::default(), &namespace)
        .await?;
    let name = namespace.metadata.name.ok_or("the server gives a name")?;
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "example/web:1"}]},
            },
        },
    }))?;
    let deployments = Api::<Deployment>::namespaced(client.clone(), &name);
    deployments
        .create(&PostParams::default(), &deployment)
        .await?;
    let pods = Api::<Pod>::namespaced(client, &name);
    eventually(async || {
        pods.list(&ListParams::default())
            .await
            .is_ok_and(|p| p.items.len() == 2)
    })
    .await?;
    namespaces.delete(&name, &DeleteParams::default()).await?;
    eventually(async || namespaces.get_opt(&name).await.is_ok_and(|n| n.is_none())).await
}

async fn restart_keeps_data() -> TestResult {
    let mut server = ApiServer::start().await?;
    let maps = Api::<ConfigMap>::namespaced(server.client(), "default");
    maps.create(&PostParams::default(), &config_map("kept"))
        .await?;
    server.stop();
    assert!(maps.get("kept").await.is_err());
    server.restart().await?;
    maps.get("kept").await?;
    server.check()?;
    Ok(())
}

async fn pause_and_resume() -> TestResult {
    let server = ApiServer::start().await?;
    let maps = Api::<ConfigMap>::namespaced(server.client(), "default");
    server.pause()?;
    let everything = ListParams::default();
    let hung = tokio::time::timeout(Duration::from_millis(300), maps.list(&everything)).await;
    assert!(hung.is_err(), "a paused server answered");
    server.resume()?;
    maps.list(&ListParams::default()).await?;
    Ok(())
}

async fn rbac_is_on() -> TestResult {
    let server = Suite::shared_server().await?;
    let mut kubeconfig = server.kubeconfig().clone();
    kubeconfig.auth_infos.clear();
    kubeconfig.auth_infos.push(serde_json::from_value(json!({
        "name": "kubefed-testing-admin", "user": {"token": "wrong"},
    }))?);
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let maps = Api::<ConfigMap>::namespaced(Client::try_from(config)?, "default");
    let error = maps
        .list(&ListParams::default())
        .await
        .err()
        .ok_or("a wrong token was accepted")?;
    assert!(error.to_string().contains("Unauthorized"), "{error}");
    Ok(())
}

async fn nothing_is_left_after_a_drop() -> TestResult {
    let server = ApiServer::builder().controllers().start().await?;
    let (dir, ids) = (server.dir().to_owned(), server.process_ids());
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|&id| is_running(id)));
    drop(server);
    assert!(!ids.iter().any(|&id| is_running(id)));
    assert!(!dir.join("etcd").exists());
    Ok(())
}

/// The child starts a cluster, prints its processes and directory, and waits to be killed.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the parent reads it"
)]
fn start_and_die() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = match runtime.block_on(ApiServer::start()) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let ids: Vec<_> = server.process_ids().iter().map(u32::to_string).collect();
    println!("{} {}", ids.join(","), server.dir().display());
    std::thread::park();
    ExitCode::SUCCESS
}

async fn nothing_is_left_after_a_kill() -> TestResult {
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    let (ids, dir) = line
        .trim()
        .split_once(' ')
        .ok_or("the child printed nothing")?;
    let ids = ids
        .split(',')
        .map(str::parse)
        .collect::<Result<Vec<u32>, _>>()?;
    assert!(ids.iter().all(|&id| is_running(id)));
    child.kill()?;
    child.wait()?;
    eventually(async || !ids.iter().any(|&id| is_running(id)) && !Path::new(dir).exists()).await
}

async fn bad_programs() -> TestResult {
    let dir = tempfile::tempdir()?;
    let assets = assets()?;
    let etcd = dir.path().join("etcd");
    let apiserver = dir.path().join("kube-apiserver");
    let problem = async || {
        let start = ApiServer::builder()
            .assets(Assets::at(dir.path()))
            .start()
            .await;
        start
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let at = |path: &Path| path.display().to_string();

    let missing = problem().await;
    assert!(
        missing.starts_with(&format!("there is no etcd at {}", at(&etcd))),
        "{missing}"
    );

    fs::write(&etcd, "#!/bin/sh\necho etcd Version: 3.4.1\n")?;
    let forbidden = problem().await;
    assert!(
        forbidden.ends_with("is not an executable file"),
        "{forbidden}"
    );

    fs::set_permissions(&etcd, fs::Permissions::from_mode(0o755))?;
    let old = problem().await;
    assert!(
        old.contains("is 3.4.1, but 3.5 or later is needed"),
        "{old}"
    );

    fs::remove_file(&etcd)?;
    symlink(assets.dir().join("etcd"), &etcd)?;
    fs::write(&apiserver, "not a program")?;
    fs::set_permissions(&apiserver, fs::Permissions::from_mode(0o755))?;
    let nonsense = problem().await;
    assert!(
        nonsense.starts_with(&format!("kube-apiserver at {}", at(&apiserver))),
        "{nonsense}"
    );
    Ok(())
}

async fn busy_port() -> TestResult {
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let port = busy.local_addr()?.port();
    let start = ApiServer::builder().port(port).start().await;
    let error = start.err().ok_or("started on a busy port")?.to_string();
    assert!(error.contains(&format!("port {port}")), "{error}");
    Ok(())
}

async fn etcd_dies() -> TestResult {
    let mut server = ApiServer::start().await?;
    let etcd = server.process_ids()[0];
    assert!(
        Command::new("kill")
            .args(["-KILL", &etcd.to_string()])
            .status()?
            .success()
    );
    let mut error = String::new();
    eventually(async || server.check().map_err(|e| error = e.to_string()).is_err()).await?;
    assert!(error.starts_with("etcd 3."), "{error}");
    assert!(
        error.contains("signal: 9") && error.contains("etcd.log"),
        "{error}"
    );
    Ok(())
}

/// A child starts a cluster on a file system that is too small, which only it sees.
#[allow(clippy::print_stderr, reason = "what is left out is said")]
async fn full_disk() -> TestResult {
    let disk = tempfile::tempdir()?;
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs {0} && TMPDIR={0} exec {1}",
        disk.path().display(),
        std::env::current_exe()?.display()
    );
    let unshared = ["--user", "--map-root-user", "--mount"];
    let child = Command::new("unshare")
        .args(unshared)
        .args(["sh", "-c", &script])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()?;
    let error = String::from_utf8_lossy(&child.stderr);
    if error.contains("unshare: ") || error.contains("mount: ") {
        // Some kernels and containers let nobody mount.
        eprintln!("not shown here: {}", error.trim());
        return Ok(());
    }
    assert!(!child.status.success());
    for words in ["etcd 3.", "no space left on device", "etcd.log"] {
        assert!(error.contains(words), "{error}");
    }
    Ok(())
}

fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

fn is_running(id: u32) -> bool {
    let kill = Command::new("kill")
        .args(["-0", &id.to_string()])
        .stderr(Stdio::null())
        .status();
    kill.is_ok_and(|status| status.success())
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) -> TestResult {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        if Instant::now() > deadline {
            return Err("it did not happen within a minute".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
