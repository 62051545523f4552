//! An open watch: steps over the changes of a table, and the waits between them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::api::{BOOKMARK_INTERVAL, Subject, Watch, WatchStep};
use crate::cluster::Shared;
use crate::fault::Effect;
use crate::network::reset;
use crate::service::BoxError;

pub(crate) struct Watching {
    shared: Arc<Shared>,
    watch: Watch,
    subject: Subject,
    user_agent: String,
    bookmark: Instant,
    /// The counts of ended and cut watches when this one was opened.
    ended: u64,
    cut: u64,
    last: bool,
}

/// What the faults of the cluster mean for a watch now.
enum Weather {
    Fair,
    /// Only changes up to this age of the simulation are visible.
    Hazy(Duration),
    Frozen,
    Ended,
    Broken,
}

impl Watching {
    pub(crate) fn new(
        shared: Arc<Shared>,
        watch: Watch,
        subject: Subject,
        user_agent: String,
    ) -> Self {
        let (ended, cut) = {
            let state = shared.lock();
            (state.faults.ended, state.faults.cut)
        };
        let bookmark = Instant::now() + BOOKMARK_INTERVAL;
        Self {
            shared,
            watch,
            subject,
            user_agent,
            bookmark,
            ended,
            cut,
            last: false,
        }
    }

    /// The next bytes; none once the server ends the watch, an error where it breaks.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        while !self.last {
            let changed = self.shared.lock().store.changed(&self.watch.table)?;
            // Registered before looking, so that no wake-up is lost.
            let mut changed = std::pin::pin!(changed.notified());
            changed.as_mut().enable();
            let (weather, step) = self.look();
            let now = Instant::now();
            let mut wake = self.watch.deadline;
            match (weather, step) {
                (Weather::Broken, _) => return Some(Err(reset(&Effect::CutConnections).into())),
                (Weather::Ended, _) | (_, WatchStep::Ended) => return None,
                (Weather::Frozen, _) => {
                    // A frozen server does not even keep its own time.
                    changed.await;
                    continue;
                }
                (_, WatchStep::Events(bytes)) => return Some(Ok(bytes)),
                (_, WatchStep::Last(bytes)) => {
                    self.last = true;
                    return Some(Ok(bytes));
                }
                (_, WatchStep::Hidden(until)) => wake = wake.min(self.shared.clock.instant(until)),
                (_, WatchStep::Idle) if self.watch.bookmarks => {
                    if now >= self.bookmark && now < self.watch.deadline {
                        self.bookmark = now + BOOKMARK_INTERVAL;
                        return Some(Ok(self.watch.bookmark(false)));
                    }
                    wake = wake.min(self.bookmark);
                }
                (_, WatchStep::Idle) => {}
            }
            if now >= self.watch.deadline {
                return None;
            }
            // Which of the two it was does not matter: the loop looks at everything again.
            let _ = tokio::time::timeout_at(wake, changed).await;
        }
        None
    }

    fn look(&mut self) -> (Weather, WatchStep) {
        let state = self.shared.lock();
        let mut weather = Weather::Fair;
        for effect in state.faults.lasting(&self.subject, &self.user_agent) {
            match effect {
                Effect::Refuse => weather = Weather::Broken,
                Effect::Freeze if !matches!(weather, Weather::Broken) => weather = Weather::Frozen,
                Effect::DelayEvents(delay) if matches!(weather, Weather::Fair) => {
                    weather = Weather::Hazy(*delay);
                }
                _ => {}
            }
        }
        if state.faults.ended != self.ended {
            weather = Weather::Ended;
        }
        if state.faults.cut != self.cut {
            weather = Weather::Broken;
        }
        let step = match weather {
            Weather::Fair => self
                .watch
                .step(&state.store, Duration::ZERO, state.clock.elapsed()),
            Weather::Hazy(delay) => self.watch.step(&state.store, delay, state.clock.elapsed()),
            _ => WatchStep::Idle,
        };
        (weather, step)
    }
}
