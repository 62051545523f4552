//! A test harness for tests that need real servers.

use std::{fmt, future::Future, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tokio::{runtime::Runtime, sync::OnceCell};

use crate::{ApiServer, Error, assets};

/// What a test of a [`Suite`] returns; `?` works on any error.
pub type TestResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Tests that run against real servers, or say why they do not.
///
/// A test file with `harness = false` in its manifest has a `main` that lists its tests:
///
/// ```no_run
/// use kubefed_testing::{Suite, TestResult};
///
/// fn main() -> std::process::ExitCode {
///     Suite::new().test("a_new_cluster_has_namespaces", a_new_cluster_has_namespaces).run()
/// }
///
/// async fn a_new_cluster_has_namespaces() -> TestResult {
///     let server = Suite::shared_server().await?;
///     server.client().apiserver_version().await?;
///     Ok(())
/// }
/// ```
///
/// All tests of a suite share one runtime, so that they may share clients, and one server
/// ([`Suite::shared_server`]), on which they keep apart by namespace. Tests that break their server
/// start their own. The command line is that of the standard harness.
#[must_use]
pub struct Suite {
    trials: Vec<(String, Test)>,
}

type Test = Box<dyn FnOnce(&Runtime) -> Result<(), Failed> + Send>;

impl Suite {
    /// A suite without tests.
    #[allow(
        clippy::new_without_default,
        reason = "an empty suite is no sensible default"
    )]
    pub fn new() -> Self {
        Self { trials: Vec::new() }
    }

    /// Adds a test. It fails when it returns an error or panics.
    pub fn test<F>(
        mut self,
        name: impl Into<String>,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = TestResult> + 'static,
    {
        let run = move |runtime: &Runtime| runtime.block_on(test()).map_err(Failed::from);
        self.trials.push((name.into(), Box::new(run)));
        self
    }

    /// Runs what the command line asks for and reports it as the standard harness does.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let arguments = Arguments::from_args();
        let ignored = assets().err();
        if let Some(reason) = ignored
            && !arguments.list
        {
            announce(format_args!("ignored: {reason}"));
        }
        let conclusion = match Runtime::new() {
            Ok(runtime) => self.run_on(&Arc::new(runtime), &arguments, ignored.is_some()),
            Err(error) => {
                announce(format_args!(
                    "cannot start the runtime of the tests: {error}"
                ));
                return ExitCode::FAILURE;
            }
        };
        conclusion.exit_code()
    }

    fn run_on(self, runtime: &Arc<Runtime>, arguments: &Arguments, ignored: bool) -> Conclusion {
        let trials = self.trials.into_iter().map(|(name, test)| {
            let runtime = Arc::clone(runtime);
            Trial::test(name, move || test(&runtime)).with_ignored_flag(ignored)
        });
        libtest_mimic::run(arguments, trials.collect())
    }

    /// The cluster that the tests of this program share, with controllers; started at first use.
    ///
    /// # Errors
    ///
    /// See [`crate::Builder::start`]. After a failure the next call tries again.
    pub async fn shared_server() -> Result<&'static ApiServer, Error> {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED
            .get_or_try_init(|| ApiServer::builder().name("shared").controllers().start())
            .await
    }
}

#[allow(
    clippy::print_stderr,
    reason = "a test harness talks to the person who runs it"
)]
fn announce(line: fmt::Arguments<'_>) {
    eprintln!("\n{line}");
}
