//! The summary below a tree: how long, how many nodes, how well, for how much.
//!
//! Never says why a trace is not complete: whoever read it does.

use std::io::{self, Write};

use flowmeter_model::{Cost, Span, SpanKind, SpanStatus, TimestampNs};

use super::wording::{cache_note, format_duration, provider_cache_note};
use crate::aggregate::{LlmSample, LlmTotals};
use crate::events::Tally;
use crate::llm::cached::{self, SpanCacheHit};
use crate::metrics::RunMetrics;
use crate::trace_file::TraceDocument;

/// The figures of a run that are shown below its tree.
#[derive(Default)]
pub(crate) struct Summary {
    /// `None` where no time is known.
    duration_ns: Option<u64>,
    /// Whether the end was not seen, so that all figures are lower bounds.
    is_partial: bool,
    nodes_executed: u64,
    nodes_failed: u64,
    nodes_unfinished: u64,
    llm: LlmTotals,
}

impl Summary {
    /// The figures as they were counted while the run went on.
    pub(crate) fn of_metrics(metrics: &RunMetrics) -> Self {
        Self {
            duration_ns: Some(metrics.duration_ns),
            is_partial: false,
            nodes_executed: metrics.nodes_executed,
            nodes_failed: metrics.nodes_failed,
            nodes_unfinished: 0,
            llm: metrics.llm.clone(),
        }
    }

    /// The figures that event lines gave.
    pub(crate) fn of_events(duration_ns: Option<u64>, is_finished: bool, tally: &Tally) -> Self {
        Self {
            duration_ns,
            is_partial: !is_finished,
            nodes_executed: tally.nodes_executed,
            nodes_failed: tally.nodes_failed,
            nodes_unfinished: tally.nodes_unfinished,
            llm: tally.llm.clone(),
        }
    }

    /// The figures that the spans of a trace give.
    pub(crate) fn of_trace(trace: &TraceDocument) -> Self {
        let mut summary = Self {
            duration_ns: total_duration_ns(trace),
            is_partial: !trace.is_finished(),
            ..Self::default()
        };
        for span in &trace.spans {
            match (span.kind, span.status) {
                (SpanKind::Node, None) => summary.nodes_unfinished += 1,
                (SpanKind::Node, Some(_)) => {
                    summary.nodes_executed += 1;
                    summary.nodes_failed += u64::from(span.status != Some(SpanStatus::Ok));
                }
                (SpanKind::LlmCall, Some(_)) => add_call(&mut summary.llm, span),
                _ => {}
            }
        }
        if !trace.sampled {
            summary.take_counts(trace);
        }
        summary
    }

    /// Of a run that was not sampled few nodes are kept, but all were counted.
    fn take_counts(&mut self, trace: &TraceDocument) {
        let metrics = trace.metrics.as_ref();
        let executed = metrics.and_then(|metrics| metrics.get("node_count")?.as_u64());
        let rate = metrics.and_then(|metrics| metrics.get("success_rate")?.as_f64());
        if let (Some(executed), Some(rate)) = (executed, rate) {
            self.nodes_executed = executed;
            self.nodes_failed = executed - ((executed as f64 * rate).round() as u64).min(executed);
        }
    }

    /// Writes the lines.
    ///
    /// # Errors
    /// Whatever `output` fails with.
    pub(crate) fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let more = match self.nodes_unfinished {
            0 => String::new(),
            unfinished => format!(" (and {unfinished} that had not ended)"),
        };
        let at_least = if self.is_partial { "at least " } else { "" };
        writeln!(output, "Summary:")?;
        match self.duration_ns {
            Some(duration_ns) => {
                writeln!(
                    output,
                    "- Total Duration: {at_least}{}",
                    format_duration(duration_ns)
                )?;
            }
            None => writeln!(output, "- Total Duration: unknown")?,
        }
        writeln!(output, "- Nodes Executed: {}{more}", self.nodes_executed)?;
        writeln!(output, "- Success Rate: {}", self.success_rate())?;
        if self.llm.cache.lookups() > 0 {
            writeln!(output, "- Response Cache: {}", cache_note(&self.llm.cache))?;
        }
        if let Some(note) = provider_cache_note(&self.llm) {
            writeln!(output, "- Provider Cache: {note}")?;
        }
        if self.llm.calls > 0 {
            writeln!(output, "- LLM Calls: {}", self.llm.calls)?;
            if self.llm.are_tokens_unknown() {
                writeln!(output, "- Tokens: unknown")?;
            } else {
                writeln!(
                    output,
                    "- Tokens: {}{} ({} in + {} out){}",
                    self.llm.tokens_mark(),
                    self.llm.total_tokens(),
                    self.llm.input_tokens,
                    self.llm.output_tokens,
                    self.llm.tokens_note()
                )?;
            }
            writeln!(output, "- Cost: {}", self.llm.cost.display())?;
        }
        Ok(())
    }

    fn success_rate(&self) -> String {
        match self.nodes_executed {
            // Of nothing nothing failed, unless the end was not seen.
            0 if self.nodes_unfinished > 0 => "unknown".to_owned(),
            0 => "100%".to_owned(),
            executed => {
                let rate = (executed - self.nodes_failed) as f64 * 100.0 / executed as f64;
                if rate.fract() == 0.0 {
                    format!("{rate:.0}%")
                } else {
                    format!("{rate:.1}%")
                }
            }
        }
    }
}

/// Adds what an LLM call used and cost. A cost that nobody gave is unknown, not zero.
pub(crate) fn add_call(totals: &mut LlmTotals, call: &Span) {
    if let Some(hit) = SpanCacheHit::of(call) {
        totals.add_cache_hit(&hit.sample());
        return;
    }
    let unpriced = Cost::unpriced();
    let model = call.attributes.get_str(crate::genai::REQUEST_MODEL);
    let model = model.or_else(|| call.attributes.get_str(crate::genai::RESPONSE_MODEL));
    let cost = call.cost.as_ref().unwrap_or(&unpriced);
    let mut sample = LlmSample {
        failed: call.status == Some(SpanStatus::Error),
        cache_missed: cached::has_missed(call),
        provider_cache_saved: cached::provider_saved(call),
        ..LlmSample::new(model.unwrap_or_default(), cost)
    };
    if let Some(usage) = &call.usage {
        sample = sample.with_usage(usage);
    }
    totals.add(&sample);
}

/// Tokens and cost of several calls: `1234 tokens, $0.0120`; `None` of no calls.
pub(crate) fn spend_of_calls(totals: &LlmTotals) -> Option<String> {
    (totals.calls > 0).then(|| {
        let tokens = if totals.are_tokens_unknown() {
            "tokens unknown".to_owned()
        } else {
            format!("{}{} tokens", totals.tokens_mark(), totals.total_tokens())
        };
        format!("{tokens}{}, {}", totals.tokens_note(), totals.cost.display())
    })
}

/// `None` where nobody gave a time.
fn total_duration_ns(trace: &TraceDocument) -> Option<u64> {
    let root = trace
        .spans
        .iter()
        .find(|span| span.kind == SpanKind::Run)
        .and_then(Span::duration_ns);
    root.or_else(|| {
        let milliseconds = trace.metrics.as_ref()?.get("total_duration_ms")?.as_f64()?;
        Some((milliseconds * 1e6) as u64)
    })
    .or_else(|| {
        let is_known = |time: &TimestampNs| time.0 > 0;
        let first = trace.spans.iter().map(|span| span.start).filter(is_known).min();
        let seen = trace.spans.iter().map(|span| span.end.unwrap_or(span.start));
        let last = seen.chain(trace.logs.iter().map(|log| log.time)).max();
        first.zip(last).map(|(first, last)| last.since(first))
    })
}
