//! When telemetry must be done: unknown while the run goes on, a moment once it has ended.
//!
//! Never ends anything by itself: a backend asks, or waits for it beside its own work.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// When a backend must be done. Cheap to clone; all clones see the same moment.
#[derive(Clone, Debug)]
pub struct Deadline {
    set: watch::Sender<Option<Instant>>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            set: watch::Sender::new(None),
        }
    }
}

impl Deadline {
    /// Sets the moment. An earlier one that was set before stays.
    pub fn set(&self, at: Instant) {
        self.set.send_if_modified(|set| {
            let is_earlier = set.is_none_or(|present| at < present);
            if is_earlier {
                *set = Some(at);
            }
            is_earlier
        });
    }

    /// How long there is still; `None` while the run goes on, zero when it is over.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.set
            .borrow()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits until there is no more than `spare` left: the moment to give up sending and to save what is unsent.
    /// Needs a tokio runtime with time.
    pub async fn near(&self, spare: Duration) {
        let mut set = self.set.subscribe();
        loop {
            let at = *set.borrow_and_update();
            let reached = async {
                match at {
                    Some(at) => {
                        let at = at.checked_sub(spare).unwrap_or(at);
                        tokio::time::sleep_until(at.into()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = reached => return,
                // The sender lives as long as `self`, so this is a new moment.
                _ = set.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
