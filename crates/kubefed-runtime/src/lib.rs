//! What any multi-cluster controller needs to act: a fair queue, a runner and dispatch to members.
//!
//! In the order data meets them: a [`ReconcileKey`] says what a reconcile is about, a [`FairQueue`]
//! holds keys and takes turns between clusters, a [`FleetController`] runs reconciles for them, a
//! [`Dispatcher`] carries decisions out in member clusters, and [`OwnWrites`] remembers what was
//! written until a watch shows it.
//!
//! Nothing here decides: what to do comes from [`kubefed_propagation`], or from a reconcile of one's
//! own. Nothing watches either; that is the informer's work. Calls are never retried behind the
//! caller's back: a failed reconcile goes back to the queue, where its back-off can be seen.
//!
//! ```
//! use kubefed_api::QualifiedName;
//! use kubefed_runtime::{FairQueue, FleetController, ReconcileKey, Requeue};
//! use tokio::sync::{mpsc, watch};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let queue = FairQueue::default();
//! queue.add(ReconcileKey::fleet(QualifiedName::namespaced("shop", "web")));
//! queue.add(ReconcileKey::in_cluster("east".into(), QualifiedName::namespaced("shop", "web")));
//!
//! let (done, mut reconciled) = mpsc::unbounded_channel();
//! let (stop, shutdown) = watch::channel(false);
//! let run = FleetController::new(queue, 4).run(shutdown, move |key| {
//!     done.send(key.to_string()).unwrap();
//!     async { Requeue::OnChange }
//! });
//! let read = async {
//!     assert_eq!(reconciled.recv().await.unwrap(), "shop/web");
//!     assert_eq!(reconciled.recv().await.unwrap(), "shop/web in cluster east");
//!     stop.send(true).unwrap();
//! };
//! tokio::join!(run, read);
//! # }
//! ```

mod dispatch;
mod own_writes;
mod queue;
mod runner;

pub use dispatch::{DispatchOptions, Dispatched, Dispatcher, MemberObject};
pub use kube;
pub use kubefed_propagation;
pub use own_writes::{Latest, OwnWrites, UnderWay};
pub use queue::{FairQueue, QueueDepth, QueueOptions, ReconcileKey, Requeue};
pub use runner::FleetController;
