//! Sending one request as often as the policy allows and the time lasts.
//!
//! Never waits past the ending's deadline, and never sends again what may not be sent again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::delivery::{Accepted, Failure, FailureKind, Payload, Transport};
use super::retry::OtlpRetryPolicy;

/// When everything must have been sent; `None` while the run goes on.
pub(super) type Deadline = Option<Instant>;

/// Why an attempt ended that the end of the run cut short.
const TIME_IS_OVER: &str = "the time to send it was over";

/// A source of numbers from 0 up to 1.
pub(super) type Random = Box<dyn FnMut() -> f64 + Send>;

/// How requests are sent to one receiver, and what is known of that receiver.
pub(super) struct Attempts {
    policy: OtlpRetryPolicy,
    /// How long one attempt may take.
    timeout: Duration,
    ending: watch::Receiver<Deadline>,
    random: Random,
    /// The receiver is not to be asked before this, and why.
    rests: Option<(Rest, String)>,
}

/// Until when a receiver is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Until(Instant),
    ForGood,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// It may be taken another time.
    Unsent(String),
    /// The receiver does not let us in.
    Unauthorized(String),
    /// It never will be.
    Refused(String),
}

impl Attempts {
    pub(super) fn new(
        policy: OtlpRetryPolicy,
        timeout: Duration,
        ending: watch::Receiver<Deadline>,
        random: Random,
    ) -> Self {
        Self {
            policy,
            timeout,
            ending,
            random,
            rests: None,
        }
    }

    /// Whether the receiver is not to be asked any more.
    pub(super) fn has_given_up(&self) -> bool {
        matches!(self.rests, Some((Rest::ForGood, _)))
    }

    /// Sends a request until it is taken, refused, or out of attempts or time.
    pub(super) async fn send(
        &mut self,
        transport: &dyn Transport,
        payload: &Payload,
    ) -> Result<Accepted, Undelivered> {
        match &self.rests {
            Some((Rest::ForGood, reason)) => return Err(Undelivered::Unsent(reason.clone())),
            Some((Rest::Until(until), reason)) if Instant::now() < *until => {
                return Err(Undelivered::Unsent(reason.clone()));
            }
            _ => self.rests = None,
        }
        let mut failures = 0;
        let mut failed_before: Option<String> = None;
        loop {
            let mut failure = match self.attempt(transport, payload).await {
                Ok(accepted) => return Ok(accepted),
                Err(failure) => failure,
            };
            // That the time was over says less than what went wrong while there was some.
            if failure.message == TIME_IS_OVER
                && let Some(earlier) = failed_before.take()
            {
                failure.message = earlier;
            }
            match failure.kind {
                FailureKind::Retryable => {}
                FailureKind::Permanent => return Err(Undelivered::Refused(failure.message)),
                FailureKind::Unauthorized => return Err(Undelivered::Unauthorized(failure.message)),
                FailureKind::Unusable => {
                    self.rests = Some((Rest::ForGood, failure.message.clone()));
                    return Err(Undelivered::Unsent(failure.message));
                }
            }
            failures += 1;
            if let Some(wait) = failure
                .retry_after
                .filter(|wait| *wait > self.policy.retry_after_max)
            {
                let until = Instant::now() + wait.min(Duration::from_secs(24 * 3600));
                self.rests = Some((Rest::Until(until), failure.message.clone()));
                return Err(Undelivered::Unsent(failure.message));
            }
            let is_last = failures >= self.policy.attempts_max;
            let wait = failure.retry_after;
            let wait = wait.unwrap_or_else(|| self.policy.backoff(failures, (self.random)()));
            if is_last || !self.pause(wait).await {
                if self.deadline().is_some() {
                    // What comes after it would only use up the rest of the time in the same way.
                    self.rests = Some((Rest::ForGood, failure.message.clone()));
                }
                return Err(Undelivered::Unsent(failure.message));
            }
            failed_before = Some(failure.message);
        }
    }

    fn deadline(&self) -> Deadline {
        *self.ending.borrow()
    }

    /// Sends once, no longer than an attempt may take and the time lasts.
    async fn attempt(&mut self, transport: &dyn Transport, payload: &Payload) -> Result<Accepted, Failure> {
        let mut send = transport.send(payload);
        let timeout = Instant::now() + self.timeout;
        let mut follows_ending = true;
        loop {
            let deadline = self.deadline();
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Failure::retryable(TIME_IS_OVER));
            }
            let until = deadline.map_or(timeout, |deadline| deadline.min(timeout));
            tokio::select! {
                biased;
                outcome = &mut send => return outcome,
                () = sleep_until(until) => {
                    if until == timeout {
                        let seconds = self.timeout.as_secs_f64();
                        return Err(Failure::retryable(format!("the receiver gave no answer within {seconds} s")));
                    }
                }
                changed = self.ending.changed(), if follows_ending => follows_ending = changed.is_ok(),
            }
        }
    }

    /// Waits, unless the time would be over before; says whether it has waited.
    async fn pause(&mut self, wait: Duration) -> bool {
        let wake = Instant::now() + wait;
        let mut follows_ending = true;
        loop {
            if self.deadline().is_some_and(|deadline| deadline <= wake) {
                return false;
            }
            tokio::select! {
                () = sleep_until(wake) => return true,
                changed = self.ending.changed(), if follows_ending => follows_ending = changed.is_ok(),
            }
        }
    }
}
