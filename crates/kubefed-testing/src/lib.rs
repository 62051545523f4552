//! Starts real etcd and kube-apiserver processes on loopback, for tests.
//!
//! [`assets()`] finds the programs through `KUBEBUILDER_ASSETS`, the ecosystem's convention, and says
//! why there are none. [`ApiServer::start`] starts one control plane with ports, certificates,
//! service-account keys and data of its own and RBAC on; any number of them live side by side. A
//! [`WebhookServer`] is what their admission webhooks may call. A
//! [`Suite`] is a test harness that starts nothing and reports its tests as ignored, with the
//! reason, on machines without the programs.
//!
//! Nothing is left running: dropping an [`ApiServer`] kills its processes, and a watchdog process
//! kills whatever remains when the test program itself ends, be it by panic, abort or Ctrl-C. Logs
//! are kept when a start fails or a test panics, and the message says where.
//!
//! [`watch`] checks what a watch promises over what a client saw of it.
//!
//! What is not here: nodes and kubelets (pods stay Pending unless a test writes their status),
//! simulated clusters, and anything that knows of federation. Unix only.
//!
//! # Example
//!
//! Without the programs this example does nothing, as the tests do.
//!
//! ```
//! use kubefed_testing::{ApiServer, assets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! match assets() {
//!     Err(reason) => assert!(reason.to_string().contains("KUBEBUILDER_ASSETS")),
//!     Ok(_) => {
//!         let server = ApiServer::start().await?;
//!         let version = server.client().apiserver_version().await?;
//!         assert!(version.git_version.starts_with("v1."));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```

mod assets;
mod credentials;
mod error;
mod process;
mod server;
mod suite;
pub mod watch;
mod watchdog;
mod webhook;

pub use assets::{Assets, NoAssets, assets};
pub use error::Error;
pub use kube;
pub use server::{ApiServer, Builder};
pub use suite::{Suite, TestResult};
pub use webhook::WebhookServer;
