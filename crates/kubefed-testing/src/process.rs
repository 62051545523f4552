//! One running program with its log.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{Error, assets::Program, error::Kind, watchdog::watchdog};

/// How much of the end of a log is searched for the reason of a failure.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// Every thread of a program stops within milliseconds, unless the machine is overloaded.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Killed when dropped.
pub(crate) struct Process {
    program: Program,
    log: PathBuf,
    child: Child,
    reaped: bool,
}

impl Process {
    /// Starts `program`; what it prints is appended to `log`.
    pub(crate) fn start(program: &Program, args: &[String], log: PathBuf) -> Result<Self, Error> {
        let name = program.kind.file_name();
        let cannot_run = |source| Kind::CannotRun {
            program: name,
            path: program.path.clone(),
            source,
        };
        let open = || {
            let file = File::options().create(true).append(true).open(&log)?;
            Ok::<_, io::Error>((file.try_clone()?, file))
        };
        let (stdout, stderr) = open().map_err(|source| Kind::File {
            what: "write",
            path: log.clone(),
            source,
        })?;
        let watchdog = watchdog().map_err(|source| Kind::System {
            what: "start the watchdog",
            source,
        })?;
        let mut child = Command::new(&program.path)
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // Ctrl-C belongs to the test program; the watchdog ends this one afterwards.
            .process_group(0)
            .spawn()
            .map_err(cannot_run)?;
        if let Err(source) = watchdog.runs(child.id()) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Kind::System {
                what: "tell the watchdog of a process",
                source,
            }
            .into());
        }
        Ok(Self {
            program: program.clone(),
            log,
            child,
            reaped: false,
        })
    }

    /// An error if the program has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let status = match self.child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => {
                self.forget();
                status.to_string()
            }
            Err(error) => error.to_string(),
        };
        Err(Kind::Ended {
            program: self.program.kind.file_name(),
            version: self.program.version.clone(),
            path: self.program.path.clone(),
            status,
            last_words: self.last_words(),
            log: self.log.clone(),
        }
        .into())
    }

    pub(crate) fn not_ready(&self, within: std::time::Duration, last_answer: String) -> Error {
        Kind::NotReady {
            program: self.program.kind.file_name(),
            version: self.program.version.clone(),
            path: self.program.path.clone(),
            within,
            last_answer,
            log: self.log.clone(),
        }
        .into()
    }

    /// Stops the program's execution without ending it, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        let pid = Pid::from_child(&self.child);
        let failed = |source| Kind::System {
            what: "signal a process",
            source,
        };
        kill_process(pid, signal).map_err(|error| failed(error.into()))?;
        if frozen {
            wait_until_stopped(pid).map_err(failed)?;
        }
        Ok(())
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The line of the log that most likely says why the program ended.
    fn last_words(&self) -> String {
        let tail = || {
            let mut file = File::open(&self.log)?;
            let size = fs::metadata(&self.log)?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let Ok(tail) = tail() else {
            return "its log cannot be read".to_owned();
        };
        let lines = || {
            tail.lines()
                .rev()
                .map(str::trim)
                .filter(|line| !line.is_empty())
        };
        lines()
            .find(|line| tells_of_failure(line))
            .or_else(|| lines().find(|line| line.starts_with("panic: ")))
            .or_else(|| lines().next())
            .unwrap_or("its log is empty")
            .to_owned()
    }

    fn forget(&mut self) {
        if !std::mem::replace(&mut self.reaped, true)
            && let Ok(watchdog) = watchdog()
        {
            watchdog.is_gone(self.child.id());
        }
    }
}

/// A signal is only on its way when it has been sent: until the last thread is stopped, requests are
/// still answered.
fn wait_until_stopped(pid: Pid) -> io::Result<()> {
    let deadline = Instant::now() + STOPPED_WITHIN;
    while waitid(
        WaitId::Pid(pid),
        WaitIdOptions::STOPPED | WaitIdOptions::NOHANG,
    )?
    .is_none()
    {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget();
    }
}

/// etcd logs JSON with a level; klog's lines begin with a letter, and fatal errors of the
/// Kubernetes programs are printed as `Error: …`. What etcd panics with it has logged with its cause.
fn tells_of_failure(line: &str) -> bool {
    let klog = line.starts_with(['F', 'E']) && line[1..].starts_with(|c: char| c.is_ascii_digit());
    let etcd = [r#""level":"fatal""#, r#""level":"panic""#]
        .iter()
        .any(|level| line.contains(level));
    klog || etcd || line.starts_with("Error: ")
}
