//! How often `exec` is attempted and how long the engine waits in between.
//!
//! Never sleeps itself: [`crate::drive`] does.

use std::time::Duration;

use thiserror::Error;

/// How the wait grows from attempt to attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// The same wait each time.
    #[default]
    Fixed,
    /// Twice the wait each time, at most 60 s.
    Exponential,
}

/// The longest wait that exponential backoff reaches.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Total attempts, wait and backoff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    attempts_max: u32,
    wait: Duration,
    backoff: Backoff,
}

/// Why a retry policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("a retry policy has 1 to 10 attempts in total, not {0}")]
pub struct InvalidRetryPolicy(pub u32);

impl RetryPolicy {
    /// One attempt, no second.
    #[must_use]
    pub fn once() -> Self {
        Self {
            attempts_max: 1,
            wait: Duration::ZERO,
            backoff: Backoff::Fixed,
        }
    }

    /// At most `attempts_max` attempts in total, `wait` between them.
    ///
    /// # Errors
    /// [`InvalidRetryPolicy`] unless there are 1 to 10 attempts.
    pub fn new(attempts_max: u32, wait: Duration, backoff: Backoff) -> Result<Self, InvalidRetryPolicy> {
        if (1..=10).contains(&attempts_max) {
            Ok(Self {
                attempts_max,
                wait,
                backoff,
            })
        } else {
            Err(InvalidRetryPolicy(attempts_max))
        }
    }

    /// Attempts in total.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        self.attempts_max
    }

    /// The wait after attempt `number` (from 1) has failed.
    #[must_use]
    pub fn wait_after(&self, number: u32) -> Duration {
        match self.backoff {
            Backoff::Fixed => self.wait,
            Backoff::Exponential => self
                .wait
                .saturating_mul(2_u32.saturating_pow(number.saturating_sub(1)))
                .min(WAIT_MAX.max(self.wait)),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::once()
    }
}
