//! The log lines of a span: how they are recorded, and how many it may have.
//!
//! Never asks whether a line is wanted: the run's filter was asked before.

use std::sync::atomic::Ordering;

use flowmeter_engine::Ticks;
use flowmeter_model::{Attributes, LogLevel};

use super::SpanScope;
use crate::details::log_tag_of;
use crate::recorder::{Payload, RecordDraft, RecordKind};

/// How many log lines of a span were dropped because it had too many.
pub(crate) const LOGS_DROPPED: &str = "flowmeter.logs.dropped";

impl SpanScope {
    /// What its logs are called where they do not say it themselves.
    pub(crate) fn log_target(&self) -> &str {
        if self.node_type.is_empty() {
            "workflow"
        } else {
            &self.node_type
        }
    }

    /// Writes a log line into the span, unless the run's filter does not want it or the span has too many.
    /// `describe` adds the message and what goes with it.
    #[inline]
    pub(crate) fn log(&self, level: LogLevel, target: &str, describe: impl FnOnce(&mut RecordDraft)) {
        let run = &self.run;
        if !run.keeps_spans || !self.has_room_for_log(level) {
            return;
        }
        let at = Ticks::now();
        if let Some(mut draft) = run.recorder.begin_log(self.span_id, at, target) {
            describe(&mut draft);
            let tag = log_tag_of(level, draft.has_more());
            let payload = |more: Option<Box<Attributes>>| more.map(Payload::Log);
            run.recorder
                .append_draft(draft, RecordKind::Log, tag, at, payload);
        }
    }

    /// Counts the line. A flood of others does not hide what went wrong: of that there may be a tenth more.
    #[inline]
    fn has_room_for_log(&self, level: LogLevel) -> bool {
        let most = self.run.logs_per_span_max;
        let most = if level >= LogLevel::Warn {
            most.saturating_add(most / 10)
        } else {
            most
        };
        if self.logs.fetch_add(1, Ordering::Relaxed) < most {
            return true;
        }
        self.logs.fetch_sub(1, Ordering::Relaxed);
        self.logs_dropped.fetch_add(1, Ordering::Relaxed);
        self.run.logs_over_limit.fetch_add(1, Ordering::Relaxed);
        false
    }

    pub(super) fn logs_dropped(&self) -> u32 {
        self.logs_dropped.load(Ordering::Relaxed)
    }
}
