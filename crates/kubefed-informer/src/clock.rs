use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time for timestamps that are written into objects.
///
/// Pauses and delays always follow tokio's clock; this is only what stands in a status.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug, Default)]
enum Source {
    #[default]
    System,
    Tokio {
        epoch: Timestamp,
        origin: Instant,
    },
}

impl Clock {
    /// The system's clock, the default.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `epoch` now and goes on with tokio's clock. A paused tokio clock pauses it, so
    /// that a simulation writes the same timestamps in every run.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self(Source::Tokio {
            epoch,
            origin: Instant::now(),
        })
    }

    /// The time now, in whole seconds: that is all that `metav1.Time` holds, and a finer time would
    /// differ from itself once it was stored.
    pub fn now(&self) -> Time {
        let now = match self.0 {
            Source::System => Timestamp::now(),
            Source::Tokio { epoch, origin } => {
                let elapsed = SignedDuration::try_from(origin.elapsed());
                epoch
                    .saturating_add(elapsed.unwrap_or(SignedDuration::MAX))
                    .unwrap_or(Timestamp::MAX)
            }
        };
        Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_follows_tokio_and_survives_being_stored() {
        let clock = Clock::starting_at("2026-01-01T00:00:00.7Z".parse().unwrap());
        tokio::time::advance(Duration::from_millis(1500)).await;
        let now = clock.now();
        let stored = serde_json::to_value(&now).unwrap();
        assert_eq!(stored, "2026-01-01T00:00:02Z");
        assert_eq!(serde_json::from_value::<Time>(stored).unwrap(), now);
    }
}
