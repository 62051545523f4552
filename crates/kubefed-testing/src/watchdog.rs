//! Kills what a test program leaves behind.
//!
//! A process cannot clean up after its own SIGKILL, and values in statics are never dropped. So one
//! small shell per test program holds the other end of a pipe: when the program ends, for whatever
//! reason, the pipe closes and the shell kills the processes that are still running and removes
//! their data. The parent-death signal of Linux would be simpler, but it follows the *thread* that
//! started a process, and test threads end long before the program does.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    panic,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;

/// Reads `run PID`, `gone PID` and `keep`. At the end of its input it kills what runs and removes
/// the directory, or only the large part of it when the logs are wanted.
const SCRIPT: &str = r#"
pids=" "
keep=
while read -r word pid; do
  case $word in
    run) pids="$pids$pid " ;;
    gone) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;;
    keep) keep=1 ;;
  esac
done
for pid in $pids; do kill -KILL "$pid"; done
if [ -n "$keep" ]; then rm -rf "$1"/*/etcd; else rm -rf "$1"; fi
"#;

pub(crate) struct Watchdog {
    dir: PathBuf,
    pipe: Mutex<ChildStdin>,
    keep: AtomicBool,
}

/// The watchdog of this test program, started at first use.
pub(crate) fn watchdog() -> io::Result<&'static Watchdog> {
    static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watchdog) = WATCHDOG.get() {
        return Ok(watchdog);
    }
    let watchdog = WATCHDOG.get_or_init({
        let started = Watchdog::start()?;
        || started
    });
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        watchdog.keep_logs();
    }));
    Ok(watchdog)
}

impl Watchdog {
    fn start() -> io::Result<Self> {
        let dir = TempDir::with_prefix("kubefed-testing-")?;
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "kubefed-testing-watchdog"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that Ctrl-C in a terminal does not reach it.
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // From here on the shell removes it.
        Ok(Self {
            dir: dir.keep(),
            pipe: Mutex::new(pipe),
            keep: AtomicBool::new(false),
        })
    }

    /// The directory that holds one subdirectory per cluster.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn runs(&self, pid: u32) -> io::Result<()> {
        self.tell(&format!("run {pid}"))
    }

    pub(crate) fn is_gone(&self, pid: u32) {
        // A watchdog that no longer listens has nothing left to kill.
        let _ = self.tell(&format!("gone {pid}"));
    }

    pub(crate) fn keep_logs(&self) {
        if !self.keep.swap(true, Ordering::SeqCst) {
            let _ = self.tell("keep");
            let _ = writeln!(
                io::stderr(),
                "control-plane logs are kept in {}",
                self.dir.display()
            );
        }
    }

    pub(crate) fn keeps_logs(&self) -> bool {
        self.keep.load(Ordering::SeqCst)
    }

    fn tell(&self, line: &str) -> io::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipe, "{line}")
    }
}
