//! All runs in memory, and how things come in.
//!
//! Never answers a question: see [`super::queries`].

use std::collections::BTreeMap;

use flowmeter_model::TelemetryEvent;

use super::kept_run::KeptRun;
use crate::{Append, RunKey, SpanRow};

/// Everything that was appended and is still kept.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) runs: BTreeMap<RunKey, KeptRun>,
    /// Rows of runs that have had their time: their sums stay.
    pub(super) gone: Vec<SpanRow>,
    runs_begun: u64,
}

impl History {
    pub(super) fn run(&self, key: &RunKey) -> Option<&KeptRun> {
        self.runs.get(key)
    }

    fn of(&mut self, key: RunKey) -> &mut KeptRun {
        let number = &mut self.runs_begun;
        self.runs.entry(key).or_insert_with(|| {
            *number += 1;
            KeptRun::new(key, *number)
        })
    }

    pub(super) fn append(&mut self, append: Append) {
        match append {
            Append::Began(start) => self.of(start.key).begin(*start),
            Append::Events(key, events) => {
                if !events.is_empty() {
                    self.of(key).take(events);
                }
            }
            Append::Ended(end) => self.of(end.key).ended(*end),
        }
    }
}

impl KeptRun {
    fn take(&mut self, events: Vec<TelemetryEvent>) {
        for event in &events {
            if let TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span) = event {
                self.note(span);
            }
        }
        for event in events {
            match event {
                TelemetryEvent::SpanStarted(span) => self.span_started(*span),
                TelemetryEvent::SpanEnded(span) => self.span_ended(*span),
                TelemetryEvent::Log(_, record) => self.log(*record),
            }
        }
    }
}
