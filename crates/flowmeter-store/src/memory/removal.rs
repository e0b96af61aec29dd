//! Forgetting and retention in memory.
//!
//! Never removes what a run that goes on has written, unless that run is named.

use std::time::Duration;

use flowmeter_model::{AttributeValue, LogRecord, Span, TimestampNs};

use super::MemoryConfig;
use super::history::History;
use super::kept_run::KeptRun;
use crate::rules::filters;
use crate::rules::texts::visit_texts;
use crate::{ForgetSelector, Forgotten, Retention, RunKey, RunStatus};

/// What the row of a span takes, by estimate, bytes.
const ROW_BYTES: u64 = 200;

impl History {
    pub(super) fn forget(&mut self, config: &MemoryConfig, selector: &ForgetSelector) -> Forgotten {
        let keys: Vec<RunKey> = match selector {
            ForgetSelector::Runs(keys) => keys.clone(),
            ForgetSelector::Matching(filter) if filters::is_empty(filter) => Vec::new(),
            ForgetSelector::Matching(filter) => self
                .runs
                .values()
                .map(|run| run.row(config))
                .filter(|row| row.status != RunStatus::Running && filters::holds_for_run(filter, row))
                .map(|row| row.key)
                .collect(),
        };
        let mut forgotten = Forgotten::default();
        for key in keys {
            self.remove(&key, &mut forgotten);
        }
        forgotten
    }

    fn remove(&mut self, key: &RunKey, forgotten: &mut Forgotten) -> Option<KeptRun> {
        let run = self.runs.remove(key)?;
        forgotten.runs += 1;
        forgotten.spans += run.spans.len() as u64;
        forgotten.logs += run.logs.len() as u64;
        forgotten.bytes += size_of(&run);
        Some(run)
    }

    /// Removes a run that has had its time; what it came to stays in the sums.
    fn retire(&mut self, key: &RunKey, forgotten: &mut Forgotten) {
        if let Some(run) = self.remove(key, forgotten) {
            self.gone.extend(run.spans.into_values().map(|kept| kept.row));
        }
    }

    fn drop_payloads(&mut self, key: &RunKey, forgotten: &mut Forgotten) {
        if let Some(run) = self.runs.get_mut(key) {
            let before = size_of(run);
            let (payloads, logs) = run.drop_payloads();
            forgotten.payloads += payloads;
            forgotten.logs += logs;
            forgotten.bytes += before.saturating_sub(size_of(run));
        }
    }

    pub(super) fn retain(&mut self, config: &MemoryConfig, retention: &Retention) -> Forgotten {
        let now = config.clock.now();
        let mut forgotten = Forgotten::default();
        // The oldest first.
        let mut over: Vec<(TimestampNs, RunKey)> = self
            .runs
            .values()
            .filter(|run| run.status(config) != RunStatus::Running)
            .map(|run| (run.last_heard(), run.key))
            .collect();
        over.sort_unstable();
        for (last_heard, key) in &over {
            if is_older(*last_heard, now, retention.runs) {
                self.retire(key, &mut forgotten);
            } else if is_older(*last_heard, now, retention.payloads) {
                self.drop_payloads(key, &mut forgotten);
            }
        }
        if let Some(size_max) = retention.size_bytes_max {
            for (_, key) in &over {
                if self.size() > size_max {
                    self.drop_payloads(key, &mut forgotten);
                }
            }
            for (_, key) in &over {
                if self.size() > size_max {
                    self.retire(key, &mut forgotten);
                }
            }
        }
        forgotten
    }

    fn size(&self) -> u64 {
        self.runs.values().map(size_of).sum()
    }
}

fn is_older(time: TimestampNs, now: TimestampNs, age: Option<Duration>) -> bool {
    age.is_some_and(|age| u128::from(now.since(time)) > age.as_nanos())
}

/// What a run takes, by estimate: its texts, and something for each row.
fn size_of(run: &KeptRun) -> u64 {
    let spans: u64 = run
        .spans
        .values()
        .map(|kept| ROW_BYTES + kept.span.as_ref().map_or(0, size_of_texts))
        .sum();
    let logs: u64 = run.logs.iter().map(size_of_log).sum();
    ROW_BYTES + spans + logs
}

fn size_of_texts(span: &Span) -> u64 {
    let mut bytes = 0;
    visit_texts(span, &mut |_, field, text| {
        bytes += (field.len() + text.len()) as u64;
    });
    bytes
}

fn size_of_log(record: &LogRecord) -> u64 {
    let attributes: usize = record
        .attributes
        .iter()
        .map(|(key, value)| {
            key.len()
                + match value {
                    AttributeValue::Str(text) => text.len(),
                    _ => 8,
                }
        })
        .sum();
    (record.message.len() + attributes) as u64
}
