//! Where the programs come from.

use std::{
    env, fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, error::Kind};

/// The environment variable that names the directory with the programs.
pub(crate) const VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Kubernetes minor versions that kube 5 supports.
const KUBERNETES_MINOR_OLDEST: u32 = 33;
/// The etcd minor version that those API servers ask for (streaming lists need its progress events).
const ETCD_MINOR_OLDEST: u32 = 5;

/// The directory that holds `etcd`, `kube-apiserver` and perhaps `kube-controller-manager`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    dir: PathBuf,
}

/// Why there is nothing to run: the variable is not set.
///
/// A variable that is set but names a directory without working programs is not this: then the
/// tests run, and fail with an [`Error`] that says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAssets(());

impl fmt::Display for NoAssets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{VARIABLE} is not set; with Go installed, \
             `eval \"export $(.ci/control-plane/build)\"` builds the programs and sets it"
        )
    }
}

impl std::error::Error for NoAssets {}

/// Finds the programs through `KUBEBUILDER_ASSETS`.
///
/// # Errors
///
/// [`NoAssets`] when the variable is unset or empty: the reason to report tests as ignored.
pub fn assets() -> Result<Assets, NoAssets> {
    match env::var_os(VARIABLE) {
        Some(dir) if !dir.is_empty() => Ok(Assets::at(PathBuf::from(dir))),
        _ => Err(NoAssets(())),
    }
}

impl Assets {
    /// The programs in `dir`; they are looked at when a server is started.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory with the programs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program that exists, can be executed, and is of a version that works.
    pub(crate) fn program(&self, kind: ProgramKind) -> Result<Program, Error> {
        let path = self.dir.join(kind.file_name());
        let metadata = path.metadata().map_err(|source| Kind::Missing {
            program: kind.file_name(),
            path: path.clone(),
            source,
        })?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(Kind::NotExecutable {
                program: kind.file_name(),
                path,
            }
            .into());
        }
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|source| Kind::CannotRun {
                program: kind.file_name(),
                path: path.clone(),
                source,
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        match kind.version(&text) {
            Some((version, true)) => Ok(Program {
                kind,
                path,
                version,
            }),
            Some((version, false)) => Err(Kind::WrongVersion {
                program: kind.file_name(),
                path,
                version,
                oldest: kind.oldest(),
            }
            .into()),
            None => Err(Kind::UnknownVersion {
                program: kind.file_name(),
                path,
                output: first_line(&text, &output.stderr),
            }
            .into()),
        }
    }
}

/// A program that was found and may be run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: ProgramKind,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramKind {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
}

impl ProgramKind {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
        }
    }

    fn oldest(self) -> String {
        match self {
            Self::Etcd => format!("3.{ETCD_MINOR_OLDEST}"),
            _ => format!("v1.{KUBERNETES_MINOR_OLDEST}"),
        }
    }

    /// The version in the output of `--version`, and whether it is new enough.
    fn version(self, output: &str) -> Option<(String, bool)> {
        let (prefix, major, oldest) = match self {
            Self::Etcd => ("etcd Version: ", 3, ETCD_MINOR_OLDEST),
            _ => ("Kubernetes v", 1, KUBERNETES_MINOR_OLDEST),
        };
        let version = output
            .lines()
            .find_map(|line| line.strip_prefix(prefix))?
            .trim();
        let mut numbers = version.split('.').map(str::parse::<u32>);
        let found = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let shown = if self == Self::Etcd {
            version.to_owned()
        } else {
            format!("v{version}")
        };
        Some((shown, found >= (major, oldest)))
    }
}

fn first_line(stdout: &str, stderr: &[u8]) -> String {
    let stderr = String::from_utf8_lossy(stderr);
    let lines = stdout.lines().chain(stderr.lines());
    lines
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ProgramKind, output: &str, expected: Option<(&str, bool)>) {
        let expected = expected.map(|(version, works)| (version.to_owned(), works));
        assert_eq!(kind.version(output), expected, "{output:?}");
    }

    #[test]
    fn versions_are_read_from_the_programs_own_words() {
        use ProgramKind::{Etcd, KubeApiserver};
        check(
            KubeApiserver,
            "Kubernetes v1.35.4\n",
            Some(("v1.35.4", true)),
        );
        check(
            KubeApiserver,
            "Kubernetes v1.20.1\n",
            Some(("v1.20.1", false)),
        );
        check(
            KubeApiserver,
            "Kubernetes v0.0.0-master+$Format:%H$\n",
            Some(("v0.0.0-master+$Format:%H$", false)),
        );
        check(
            Etcd,
            "etcd Version: 3.6.5\nGit SHA: x\n",
            Some(("3.6.5", true)),
        );
        check(Etcd, "etcd Version: 3.4.0\n", Some(("3.4.0", false)));
        check(Etcd, "hello\n", None);
        check(KubeApiserver, "", None);
    }
}
