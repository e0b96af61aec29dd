//! One signal's way out: what was handed in is gathered into requests, which are sent one after the other.
//!
//! Never drops anything without counting it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::attempts::{Attempts, Undelivered};
use super::config::OtlpDestination;
use super::delivery::{Payload, Transport, with_causes};
use super::spool::{Spool, Unsent};
use super::tally::Tally;

/// When gathered items become a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) items_max: u64,
    pub(super) bytes_max: usize,
    /// How long the first waits for others.
    pub(super) delay: Duration,
}

/// Puts what could not be sent where it can be found again.
#[derive(Clone)]
pub(super) struct Keeper {
    /// The backend's name.
    pub(super) name: String,
    pub(super) spool: Option<Spool>,
    pub(super) tally: Arc<Tally>,
}

impl Keeper {
    /// Spools a request, or counts it as lost.
    pub(super) fn keep(&self, destination: &OtlpDestination, payload: &Payload, reason: &str) {
        let Payload { signal, items, .. } = *payload;
        let Some(spool) = &self.spool else {
            return self.tally.lost(signal, items, reason);
        };
        let endpoint = destination.endpoint.identity();
        let kept = spool.keep(&Unsent {
            name: &self.name,
            endpoint: &endpoint,
            protocol: destination.protocol,
            signal,
            items,
            content: &payload.content,
        });
        match kept {
            Ok(evicted) => self.tally.kept(signal, items, reason, evicted.items),
            Err(error) => {
                let reason = format!("{reason}; {}", with_causes(&error));
                self.tally.lost(signal, items, &reason);
            }
        }
    }
}

/// One signal's way to its receiver.
pub(super) struct Lane {
    pub(super) destination: OtlpDestination,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) attempts: Attempts,
    pub(super) limits: BatchLimits,
    pub(super) incoming: mpsc::Receiver<Payload>,
    /// Bytes that wait, all lanes together.
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) keeper: Keeper,
}

impl Lane {
    /// Sends everything until no more comes. Says whether the receiver was still answering at the end.
    pub(super) async fn run(mut self) -> bool {
        let mut carried = None;
        while let Some(payload) = self.gather(&mut carried).await {
            let weight = payload.content.len();
            self.deliver(&payload).await;
            self.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        }
        !self.attempts.has_given_up()
    }

    /// The next request: of as many parts as fit, within the delay. What no longer fits is carried over.
    async fn gather(&mut self, carried: &mut Option<Payload>) -> Option<Payload> {
        let first = match carried.take() {
            Some(payload) => payload,
            None => self.incoming.recv().await?,
        };
        let until = Instant::now() + self.limits.delay;
        let signal = first.signal;
        let (mut items, mut bytes) = (first.items, first.content.len());
        let mut parts = vec![first.content];
        while items < self.limits.items_max {
            let Ok(Some(next)) = timeout_at(until, self.incoming.recv()).await else {
                break;
            };
            let fits = items + next.items <= self.limits.items_max
                && bytes + next.content.len() <= self.limits.bytes_max;
            if !fits {
                *carried = Some(next);
                break;
            }
            items += next.items;
            bytes += next.content.len();
            parts.push(next.content);
        }
        Some(Payload {
            signal,
            content: joined(parts, bytes),
            items,
        })
    }

    async fn deliver(&mut self, payload: &Payload) {
        let Payload { signal, items, .. } = *payload;
        let tally = Arc::clone(&self.keeper.tally);
        match self.attempts.send(&*self.transport, payload).await {
            Ok(answer) => tally.taken(signal, items, &answer),
            Err(Undelivered::Refused(reason)) => {
                // The specification wants such data dropped: it may not be sent again.
                tally.lost(signal, items, &reason);
            }
            // Not tried again as it is; with another key it may be welcome.
            Err(Undelivered::Unauthorized(reason) | Undelivered::Unsent(reason)) => {
                self.keeper.keep(&self.destination, payload, &reason);
            }
        }
    }
}

/// Export requests one after the other are one export request: that is how protobuf merges repeated fields.
fn joined(mut parts: Vec<Bytes>, bytes: usize) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

#[cfg(test)]
mod tests;
