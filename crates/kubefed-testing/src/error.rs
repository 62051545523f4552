use std::{io, path::PathBuf, time::Duration};

/// How the Go programs word a port that is taken.
const BUSY: &str = "address already in use";

/// Why a control plane could not be started, or why it is no longer there.
///
/// The message names the program, its version where it is known, and the file to look at.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Kind>);

impl Error {
    /// `KUBEBUILDER_ASSETS` is not set: a reason to skip a test, not to fail it.
    #[must_use]
    pub fn is_no_assets(&self) -> bool {
        matches!(*self.0, Kind::NoAssets(_))
    }

    /// A program ended by itself.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(*self.0, Kind::Ended { .. })
    }

    /// There is a log that tells more than the message.
    pub(crate) fn has_log(&self) -> bool {
        matches!(*self.0, Kind::Ended { .. } | Kind::NotReady { .. })
    }

    /// A port that was free when it was chosen was taken by somebody else before it was used.
    pub(crate) fn lost_a_port(&self) -> bool {
        matches!(&*self.0, Kind::Ended { last_words, .. } if last_words.contains(BUSY))
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl From<crate::NoAssets> for Error {
    fn from(reason: crate::NoAssets) -> Self {
        Kind::NoAssets(reason).into()
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error(transparent)]
    NoAssets(crate::NoAssets),

    #[error("etcd of {cluster} could not be compacted: {answer}")]
    NotCompacted { cluster: String, answer: String },

    #[error("there is no {program} at {path}: {source}")]
    Missing {
        program: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{program} at {path} is not an executable file")]
    NotExecutable {
        program: &'static str,
        path: PathBuf,
    },

    #[error("{program} at {path} cannot be run: {source}")]
    CannotRun {
        program: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{program} at {path} is {version}, but {oldest} or later is needed")]
    WrongVersion {
        program: &'static str,
        path: PathBuf,
        version: String,
        oldest: String,
    },

    #[error("{program} at {path} does not say its version; `--version` answered {output:?}")]
    UnknownVersion {
        program: &'static str,
        path: PathBuf,
        output: String,
    },

    /// A program ended by itself.
    #[error("{program} {version} at {path} ended with {status}: {last_words} (log: {log})")]
    Ended {
        program: &'static str,
        version: String,
        path: PathBuf,
        status: String,
        last_words: String,
        log: PathBuf,
    },

    #[error(
        "{program} {version} at {path} was not ready within {} s: {last_answer} (log: {log})",
        .within.as_secs()
    )]
    NotReady {
        program: &'static str,
        version: String,
        path: PathBuf,
        within: Duration,
        last_answer: String,
        log: PathBuf,
    },

    #[error("{program} {version} cannot use port {port}: {source}")]
    PortBusy {
        program: &'static str,
        version: String,
        port: u16,
        source: io::Error,
    },

    #[error("{program} does not run; the cluster was stopped")]
    NotRunning { program: &'static str },

    #[error("cannot {what} {path}: {source}")]
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: io::Error,
    },

    #[error("cannot make the cluster's certificates: {0}")]
    Certificate(rcgen::Error),

    #[error("cannot make a client for the cluster: {0}")]
    Client(Box<dyn std::error::Error + Send + Sync>),
}
