//! Time: tokio's clock plus a fixed epoch.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z, in seconds since the Unix epoch. Any fixed moment would do.
const EPOCH_SECONDS: i64 = 1_767_225_600;

/// The time of a simulation: tokio's clock, counted from a fixed epoch.
///
/// A paused tokio clock pauses it, so a run takes no wall time and its timestamps never differ.
/// Copies share the same origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    epoch: Timestamp,
}

impl Clock {
    /// A clock that shows 2026-01-01T00:00:00Z now.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Timestamp::from_second(EPOCH_SECONDS).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// A clock that shows this time now. The wall clock's is for people, who compare ages with it.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self {
            start: Instant::now(),
            epoch,
        }
    }

    /// The simulated wall-clock time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        self.epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The moment at which a time since the beginning is reached.
    pub(crate) fn instant(&self, elapsed: Duration) -> Instant {
        self.start + elapsed
    }

    /// Time since the simulation began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// A timestamp as Kubernetes writes `metav1.Time`: UTC, whole seconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
