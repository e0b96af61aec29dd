//! Which events of a run go on to the backends: all of a sampled run, little of any other, and nothing before the
//! end where only the end decides.
//!
//! Never decides by itself: the sampler has, or the tail rules will. What it holds back is bounded.

use std::collections::VecDeque;

use flowmeter_model::{SpanId, TelemetryEvent};

use super::weight::weight_of;
use crate::sampling::MinimalTrace;

/// Bytes of events that are held until the end decides, by estimate.
const HELD_BYTES_MAX: usize = 16 << 20;

/// What goes on.
pub(crate) enum Selection {
    /// Everything.
    Whole,
    /// The minimal trace.
    Minimal(MinimalTrace),
    /// Nothing yet.
    Held(Held),
}

/// Events that wait for the end.
pub(crate) struct Held {
    minimal: MinimalTrace,
    /// Events that are still whole, oldest first.
    whole: VecDeque<(TelemetryEvent, usize)>,
    /// What is left of older ones, for which there was no room.
    reduced: VecDeque<(TelemetryEvent, usize)>,
    bytes: usize,
    lost: u64,
}

impl Selection {
    /// For a run that was sampled or not, with rules for its end or without, beneath this root.
    pub(crate) fn new(sampled: bool, has_tail_rules: bool, root: SpanId) -> Self {
        match (sampled, has_tail_rules) {
            (true, _) => Self::Whole,
            (false, false) => Self::Minimal(MinimalTrace::new(root)),
            (false, true) => Self::Held(Held {
                minimal: MinimalTrace::new(root),
                whole: VecDeque::new(),
                reduced: VecDeque::new(),
                bytes: 0,
                lost: 0,
            }),
        }
    }

    /// Whether the beginnings of spans are wanted: they name the nodes of what is kept.
    pub(crate) fn wants_starts(&self) -> bool {
        !matches!(self, Self::Whole)
    }
}

impl Held {
    /// Keeps the event until the end. Where there is no room, the oldest are reduced to what is kept in any case.
    pub(crate) fn hold(&mut self, event: TelemetryEvent) {
        let weight = weight_of(&event);
        self.bytes += weight;
        self.whole.push_back((event, weight));
        while self.bytes > HELD_BYTES_MAX {
            if let Some((event, weight)) = self.whole.pop_front() {
                self.bytes -= weight;
                self.lost += 1;
                if let Some(event) = self.minimal.take(event) {
                    let weight = weight_of(&event);
                    self.bytes += weight;
                    self.reduced.push_back((event, weight));
                }
            } else if let Some((_, weight)) = self.reduced.pop_front() {
                self.bytes -= weight;
            } else {
                return;
            }
        }
    }

    /// The end has decided: everything that is there, or the minimal trace of it. The number is of events that
    /// are no longer whole although they should be.
    pub(crate) fn release(mut self, keep: bool) -> (Vec<TelemetryEvent>, u64) {
        let mut events: Vec<TelemetryEvent> = self.reduced.into_iter().map(|(event, _)| event).collect();
        let whole = self.whole.into_iter().map(|(event, _)| event);
        if keep {
            events.extend(whole);
            (events, self.lost)
        } else {
            events.extend(whole.filter_map(|event| self.minimal.take(event)));
            (events, 0)
        }
    }
}

#[cfg(test)]
mod tests;
