//! When a request is sent again, and what a receiver's wish to wait means.
//!
//! Never sleeps and never asks for the time or for randomness: both are handed in.

use std::time::{Duration, SystemTime};

/// How often and when a request is tried again.
///
/// Only what the specification calls retryable is tried again: HTTP 429, 502, 503 and 504, connections that do not
/// come about or break off, attempts without an answer in time, and the gRPC codes CANCELLED, DEADLINE_EXCEEDED,
/// ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, and RESOURCE_EXHAUSTED if the receiver says when to come again.
/// Source: OTLP specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtlpRetryPolicy {
    /// So often a request is sent in all. Default: 3.
    pub attempts_max: u32,
    /// About so long the first wait is; each further one is about twice as long. Default: 2 s.
    pub wait_first: Duration,
    /// No wait of our own choice is longer. Default: 30 s.
    pub wait_max: Duration,
    /// No wait of the receiver's choice is longer: the request goes to the spool instead. Default: 60 s.
    pub retry_after_max: Duration,
}

impl Default for OtlpRetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            wait_first: Duration::from_secs(2),
            wait_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

impl OtlpRetryPolicy {
    /// How long to wait after `failures` attempts that failed: between half and one and a half times the
    /// exponential wait, so that many clients do not come back at the same moment.
    ///
    /// `random` is from 0 up to 1.
    pub(super) fn backoff(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.wait_first.saturating_mul(1 << doublings).min(self.wait_max);
        wait.mul_f64(0.5 + random.clamp(0.0, 1.0))
    }
}

/// What a `Retry-After` header asks for: a number of seconds, or a date. Source: RFC 9110, 10.2.3.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    // A date that has passed means: at once.
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
