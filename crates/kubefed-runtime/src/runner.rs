use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{FairQueue, ReconcileKey, Requeue};

/// Runs reconciles for the keys of a queue, several at a time.
///
/// # Guarantees
///
/// * Never two runs of one key at once, never more than `workers` runs in all.
/// * A reconcile that panics counts as failed; the others go on.
/// * Dropping the future of [`FleetController::run`] cancels every run; ending it by `shutdown` lets
///   the runs that have begun finish, and begins no new one.
#[derive(Debug)]
pub struct FleetController {
    queue: FairQueue,
    workers: usize,
}

impl FleetController {
    /// A controller on a queue with at least one worker.
    pub fn new(queue: FairQueue, workers: usize) -> Self {
        Self {
            queue,
            workers: workers.max(1),
        }
    }

    /// Reconciles until `shutdown` becomes true or its sender is dropped.
    pub async fn run<F, R>(self, mut shutdown: watch::Receiver<bool>, reconcile: F)
    where
        F: Fn(ReconcileKey) -> R + Send + Sync + 'static,
        R: Future<Output = Requeue> + Send + 'static,
    {
        let reconcile = Arc::new(reconcile);
        let mut runs = JoinSet::new();
        loop {
            let full = runs.len() >= self.workers;
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(_) = runs.join_next(), if !runs.is_empty() => {}
                key = self.queue.next(), if !full => {
                    let Some(key) = key else { break };
                    let reconcile = Arc::clone(&reconcile);
                    let queue = self.queue.clone();
                    runs.spawn(async move {
                        // Gives the key back however the reconcile ends.
                        let mut run = Run { queue, key: Some(key.clone()), requeue: Requeue::Failed };
                        run.requeue = reconcile(key).await;
                    });
                }
            }
        }
        while runs.join_next().await.is_some() {}
    }
}

struct Run {
    queue: FairQueue,
    key: Option<ReconcileKey>,
    requeue: Requeue,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.queue.done(key, self.requeue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use kubefed_api::QualifiedName;

    use super::*;

    fn key(name: &str) -> ReconcileKey {
        ReconcileKey::fleet(QualifiedName::cluster_scoped(name))
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_of_its_key_alone() {
        let queue = FairQueue::default();
        queue.add(key("bad"));
        queue.add(key("good"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, shutdown) = watch::channel(false);
        let run = tokio::spawn({
            let (queue, seen) = (queue.clone(), seen.clone());
            FleetController::new(queue, 2).run(shutdown, move |key| {
                let seen = seen.clone();
                async move {
                    seen.lock().unwrap().push(key.to_string());
                    assert_ne!(key.object.name(), "bad");
                    Requeue::OnChange
                }
            })
        });
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(*seen.lock().unwrap(), ["bad", "good", "bad"]);
        assert_eq!(queue.depth().failing, 1);
        stop.send(true).unwrap();
        run.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_what_has_begun() {
        let queue = FairQueue::default();
        queue.add(key("slow"));
        let (stop, shutdown) = watch::channel(false);
        let finished = Arc::new(Mutex::new(false));
        let run = tokio::spawn({
            let finished = finished.clone();
            FleetController::new(queue.clone(), 1).run(shutdown, move |_| {
                let finished = finished.clone();
                async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    *finished.lock().unwrap() = true;
                    Requeue::OnChange
                }
            })
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        queue.add(key("never"));
        stop.send(true).unwrap();
        run.await.unwrap();
        assert!(*finished.lock().unwrap());
        assert_eq!(queue.depth().waiting, 1);
    }
}
