//! Sending what waits in the spool: at the end of a run, or when the user asks for it.
//!
//! Never removes a request that may still be taken, and never sends headers to a receiver they are not for.

use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{Clock, SystemClock};
use flowmeter_otlp::Signal;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use super::attempts::{Attempts, Deadline, Random, Undelivered};
use super::config::{OtlpConfig, OtlpDestination, OtlpEndpoint, OtlpProtocol, items_of};
use super::delivery::{Payload, Transport, with_causes};
use super::environment::Variables;
use super::presets::Preset;
use super::retry::OtlpRetryPolicy;
use super::sender;
use super::spool::{Spool, SpoolError, SpoolEvictions, SpooledRequest};

/// A request is sent once and not again.
pub(super) const ONCE: OtlpRetryPolicy = OtlpRetryPolicy {
    attempts_max: 1,
    wait_first: Duration::ZERO,
    wait_max: Duration::ZERO,
    retry_after_max: Duration::ZERO,
};

/// How to reach a receiver.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) timeout: Duration,
}

/// What became of the requests for one receiver and signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushedRequests {
    /// The backend that they were for: `otlp`, or a preset's name.
    pub name: String,
    /// The receiver.
    pub endpoint: String,
    /// What they carried.
    pub signal: Signal,
    /// How many requests.
    pub requests: u64,
    /// Spans, log records or metrics in them.
    pub items: u64,
    /// What became of them.
    pub outcome: FlushOutcome,
}

/// What became of a request in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlushOutcome {
    /// The receiver took it.
    Sent,
    /// The receiver took it in part: so many items it rejected, for this reason.
    SentInPart {
        /// The items that it rejected.
        rejected: u64,
        /// Why.
        reason: String,
    },
    /// It still waits, for this reason.
    Left(String),
    /// The receiver will never take it, for this reason; it is gone.
    Refused(String),
}

impl FlushedRequests {
    /// What the items are called.
    #[must_use]
    pub fn items_name(&self) -> &'static str {
        items_of(self.signal)
    }
}

/// What became of everything in the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// By receiver, signal and outcome.
    pub flushed: Vec<FlushedRequests>,
    /// What was too old to be sent.
    pub expired: SpoolEvictions,
}

impl FlushReport {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let mut outcomes = self.flushed.iter().map(|flushed| &flushed.outcome);
        !outcomes.any(|outcome| matches!(outcome, FlushOutcome::Left(_)))
    }

    fn add(&mut self, request: &SpooledRequest, outcome: FlushOutcome) {
        let same = |flushed: &&mut FlushedRequests| {
            let is_same_outcome = match (&flushed.outcome, &outcome) {
                (FlushOutcome::SentInPart { .. }, FlushOutcome::SentInPart { .. }) => true,
                (present, new) => present == new,
            };
            is_same_outcome
                && flushed.name == request.name
                && flushed.endpoint == request.endpoint
                && flushed.signal == request.signal
        };
        match self.flushed.iter_mut().find(same) {
            Some(flushed) => {
                flushed.requests += 1;
                flushed.items += request.items;
                if let (
                    FlushOutcome::SentInPart { rejected, .. },
                    FlushOutcome::SentInPart { rejected: more, .. },
                ) = (&mut flushed.outcome, &outcome)
                {
                    *rejected += more;
                }
            }
            None => self.flushed.push(FlushedRequests {
                name: request.name.clone(),
                endpoint: request.endpoint.clone(),
                signal: request.signal,
                requests: 1,
                items: request.items,
                outcome,
            }),
        }
    }
}

/// Why nothing could be sent.
#[derive(Debug, Error)]
pub enum FlushError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The system has no threads or files left.
    #[error("the sender could not be started")]
    Runtime(#[source] std::io::Error),
}

/// Sends everything that waits in `spool`, no longer than `time_max`.
///
/// Headers and certificates are those of `configs`, else those that `variables` give. A receiver that neither names
/// gets its requests without any.
///
/// # Errors
/// [`FlushError`] when the spool cannot be read or nothing can be sent at all. What could not be sent is in the
/// report.
pub fn flush_spool(
    spool: &Spool,
    configs: &[OtlpConfig],
    variables: Variables<'_>,
    time_max: Duration,
) -> Result<FlushReport, FlushError> {
    let expired = spool.remove_expired()?;
    let requests = spool.requests()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(FlushError::Runtime)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let route = |request: &SpooledRequest| {
        let destination = destination_of(request, configs, variables);
        Some(destination.map(|destination| Route {
            transport: sender::transport(&destination, &clock),
            timeout: destination.timeout,
        }))
    };
    let report = runtime.block_on(async {
        let (_ending, deadline) = watch::channel(Some(Instant::now() + time_max));
        let policy = OtlpRetryPolicy::default();
        send_all(spool, requests, &route, policy, deadline, &mut sender::random).await
    });
    // A name that is being looked up must not hold the program up.
    runtime.shutdown_background();
    Ok(FlushReport { expired, ..report })
}

/// The way to the receiver of a spooled request: with the headers of the settings that lead to it now, and without
/// any where none do.
fn destination_of(
    request: &SpooledRequest,
    configs: &[OtlpConfig],
    variables: Variables<'_>,
) -> Result<OtlpDestination, String> {
    let leads_there = |config: &OtlpConfig| {
        let destination = config.destination(request.signal)?;
        let is_same = config.name == request.name
            && destination.protocol == request.protocol
            && destination.endpoint.identity() == request.endpoint;
        is_same.then(|| destination.clone())
    };
    if let Some(destination) = configs.iter().find_map(leads_there) {
        return Ok(destination);
    }
    let from_variables = match Preset::parse(&request.name) {
        Ok(preset) => preset.config(variables),
        Err(_) => OtlpConfig::from_environment(variables),
    };
    let from_variables = from_variables.map_err(|error| with_causes(&error))?;
    if let Some(destination) = leads_there(&from_variables) {
        return Ok(destination);
    }
    let endpoint = OtlpEndpoint::parse(&request.endpoint, request.protocol, false);
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    Ok(OtlpDestination::new(endpoint, request.protocol))
}

/// How to reach a receiver, or why that is of no use.
type KnownReceiver = Result<(Route, Attempts), String>;

/// What the requests for one receiver and signal have in common.
type ReceiverKey = (String, String, OtlpProtocol, Signal);

/// Sends requests one after the other. A receiver that does not answer is not asked again.
pub(super) async fn send_all(
    spool: &Spool,
    requests: Vec<SpooledRequest>,
    route: &dyn Fn(&SpooledRequest) -> Option<Result<Route, String>>,
    policy: OtlpRetryPolicy,
    deadline: watch::Receiver<Deadline>,
    random: &mut dyn FnMut() -> Random,
) -> FlushReport {
    let mut report = FlushReport::default();
    let mut receivers: Vec<(ReceiverKey, KnownReceiver)> = Vec::new();
    for request in requests {
        let key: ReceiverKey = (
            request.name.clone(),
            request.endpoint.clone(),
            request.protocol,
            request.signal,
        );
        let place = match receivers.iter().position(|(known, _)| *known == key) {
            Some(place) => place,
            None => {
                let Some(route) = route(&request) else {
                    continue;
                };
                let receiver = route.map(|route| {
                    let attempts = Attempts::new(policy, route.timeout, deadline.clone(), random());
                    (route, attempts)
                });
                receivers.push((key, receiver));
                receivers.len() - 1
            }
        };
        let (route, attempts) = match &mut receivers[place].1 {
            Ok(receiver) => receiver,
            Err(reason) => {
                report.add(&request, FlushOutcome::Left(reason.clone()));
                continue;
            }
        };
        let Some(outcome) = send_one(spool, &request, &*route.transport, attempts).await else {
            continue;
        };
        let is_shut_out = matches!(&outcome, Sent::Unauthorized(_));
        let outcome = outcome.into_outcome();
        if is_shut_out && let FlushOutcome::Left(reason) = &outcome {
            receivers[place].1 = Err(reason.clone());
        }
        report.add(&request, outcome);
    }
    report
}

/// What came of sending a request.
enum Sent {
    Done(FlushOutcome),
    Unauthorized(String),
}

impl Sent {
    fn into_outcome(self) -> FlushOutcome {
        match self {
            Self::Done(outcome) => outcome,
            Self::Unauthorized(reason) => FlushOutcome::Left(reason),
        }
    }
}

/// Sends a request; `None` where another process has done so.
async fn send_one(
    spool: &Spool,
    request: &SpooledRequest,
    transport: &dyn Transport,
    attempts: &mut Attempts,
) -> Option<Sent> {
    let claim = match spool.claim(request) {
        Ok(Some(claim)) => claim,
        Ok(None) if !spool.holds(request) => return None,
        Ok(None) => {
            let reason = "another process is sending it";
            return Some(Sent::Done(FlushOutcome::Left(reason.to_owned())));
        }
        Err(error) => return Some(Sent::Done(FlushOutcome::Left(with_causes(&error)))),
    };
    let payload = Payload {
        signal: request.signal,
        content: claim.content.clone(),
        items: request.items,
    };
    let outcome = match attempts.send(transport, &payload).await {
        Ok(answer) if answer.rejected > 0 => FlushOutcome::SentInPart {
            rejected: answer.rejected,
            reason: answer.message,
        },
        Ok(_) => FlushOutcome::Sent,
        Err(Undelivered::Refused(reason)) => FlushOutcome::Refused(reason),
        Err(Undelivered::Unauthorized(reason)) => return Some(Sent::Unauthorized(reason)),
        Err(Undelivered::Unsent(reason)) => return Some(Sent::Done(FlushOutcome::Left(reason))),
    };
    let outcome = match claim.remove() {
        Ok(()) => outcome,
        Err(error) => FlushOutcome::Left(format!("it was sent, but {}", with_causes(&error))),
    };
    Some(Sent::Done(outcome))
}
