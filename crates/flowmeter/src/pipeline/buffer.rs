//! The buffer of a live pipeline: events of several threads, given out in the order in which they happened.
//!
//! Never bounds itself: whoever fills it looks at its weight.

use flowmeter_model::{TelemetryEvent, TimestampNs};

use super::weight::weight_of;

struct Buffered {
    at: TimestampNs,
    weight: usize,
    event: TelemetryEvent,
}

/// Events that wait to be handed on.
#[derive(Default)]
pub(crate) struct EventBuffer {
    events: Vec<Buffered>,
    bytes: usize,
}

impl EventBuffer {
    pub(crate) fn push(&mut self, event: TelemetryEvent) {
        let weight = weight_of(&event);
        self.bytes += weight;
        self.events.push(Buffered {
            at: time_of(&event),
            weight,
            event,
        });
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Its size in bytes, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events that happened up to that moment, all of them where there is none, in order, with their weight.
    /// What happened at one time stays in the order in which it was read.
    pub(crate) fn take(&mut self, until: Option<TimestampNs>) -> (Vec<TelemetryEvent>, usize) {
        self.events.sort_by_key(|buffered| buffered.at);
        let count = match until {
            Some(until) => self.events.partition_point(|buffered| buffered.at <= until),
            None => self.events.len(),
        };
        let mut weight = 0;
        let taken = self.events.drain(..count).map(|buffered| {
            weight += buffered.weight;
            buffered.event
        });
        let events = taken.collect();
        self.bytes -= weight;
        (events, weight)
    }
}

/// When it happened.
fn time_of(event: &TelemetryEvent) -> TimestampNs {
    match event {
        TelemetryEvent::SpanStarted(span) => span.start,
        TelemetryEvent::SpanEnded(span) => span.end.unwrap_or(span.start),
        TelemetryEvent::Log(_, log) => log.time,
    }
}

#[cfg(test)]
mod tests;
