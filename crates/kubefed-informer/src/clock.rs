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

    /// The time now.
    pub fn now(&self) -> Time {
        match self.0 {
            Source::System => Time(Timestamp::now()),
            Source::Tokio { epoch, origin } => {
                let elapsed = SignedDuration::try_from(origin.elapsed());
                Time(
                    epoch
                        .saturating_add(elapsed.unwrap_or(SignedDuration::MAX))
                        .unwrap_or(Timestamp::MAX),
                )
            }
        }
    }
}
