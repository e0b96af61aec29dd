//! The aggregated metrics of all the workflows of a file, as one JSON object at its end.
//!
//! Only feeds the aggregator: what the figures mean is its affair.

use std::io::{self, Write};

use flowmeter_model::{AttributeValue, Cost, Span, SpanKind, SpanStatus, TimestampNs};

use super::Ending;
use crate::aggregate::{Aggregator, ItemSample, LlmSample, NodeSample};
use crate::events::line::Subject;
use crate::events::nesting::{OpenSpan, SpanRef, Trace};
use crate::genai;
use crate::llm::cached::{self, SpanCacheHit};
use crate::performance::names;

/// Adds up what happens.
#[derive(Default)]
pub(crate) struct MetricsJson {
    aggregator: Aggregator,
    /// How long workflows took of which only that is known: as if one had followed the other.
    untimed_ns: u64,
}

impl MetricsJson {
    pub(super) fn line(&mut self, at_ns: Option<u64>) {
        self.aggregator.event(at_ns.map(TimestampNs));
    }

    pub(super) fn span_begins(&mut self, trace: &mut Trace, span: SpanRef) {
        let Some(open) = trace.get(span) else {
            return;
        };
        // One whose beginning has no time is told of at its end.
        if let (SpanKind::Run, Some(start_ns)) = (open.kind, open.start_ns) {
            self.aggregator.workflow_started(Some(TimestampNs(start_ns)));
        }
        let around = open.parent.and_then(|parent| trace.get(parent));
        let (path, node) = around.map_or_else(Default::default, |around| {
            (around.path.clone(), around.node.clone())
        });
        let Some(open) = trace.get_mut(span) else {
            return;
        };
        let is_workflow = open.subject == Subject::Workflow || open.kind == SpanKind::Workflow;
        open.path = if is_workflow { node.clone() } else { path };
        open.node = if open.kind == SpanKind::Node {
            open.node_path()
        } else {
            node
        };
    }

    pub(super) fn span_ends(&mut self, span: &OpenSpan, ending: &Ending) {
        let Some(status) = ending.status else {
            return;
        };
        let failed = status != SpanStatus::Ok;
        let held = span.content.as_ref().map(|content| &content.span);
        match span.kind {
            SpanKind::Run => self.workflow(span, ending),
            SpanKind::Node => {
                let mut sample = NodeSample {
                    failed,
                    failure_counted: ending.is_failure_counted,
                    duration_ns: ending.duration_ns,
                    ..NodeSample::new(&span.node, &span.operation)
                };
                if let Some(held) = held {
                    sample = sample.with_attributes(&held.attributes);
                    if let Some(bytes) = whole(held, names::MEMORY_PEAK_BYTES) {
                        self.aggregator.memory(bytes);
                    }
                }
                self.aggregator.node_ended(&sample);
            }
            SpanKind::BatchItem => {
                let queue_ns = held.and_then(|held| whole(held, names::BATCH_QUEUE_NS));
                let item = ItemSample { failed, queue_ns };
                self.aggregator.batch_item_ended(&span.node, &item);
            }
            _ => {}
        }
        if let Some(content) = span
            .content
            .as_ref()
            .filter(|content| content.is_call() && !span.has_calls)
        {
            self.call(&span.node, &content.span, failed, ending);
        }
    }

    fn workflow(&mut self, span: &OpenSpan, ending: &Ending) {
        let end_ns = ending
            .at_ns
            .or_else(|| span.start_ns?.checked_add(ending.duration_ns?));
        if span.start_ns.is_some() {
            return self.aggregator.workflow_ended(end_ns.map(TimestampNs));
        }
        let (start_ns, end_ns) = match (end_ns, ending.duration_ns) {
            (None, Some(duration_ns)) => {
                let start_ns = self.untimed_ns;
                self.untimed_ns = start_ns.saturating_add(duration_ns);
                (Some(start_ns), Some(self.untimed_ns))
            }
            (end_ns, duration_ns) => (
                end_ns
                    .zip(duration_ns)
                    .map(|(end, took)| end.saturating_sub(took)),
                end_ns,
            ),
        };
        self.aggregator.workflow_started(start_ns.map(TimestampNs));
        self.aggregator.workflow_ended(end_ns.map(TimestampNs));
    }

    fn call(&mut self, node: &str, call: &Span, failed: bool, ending: &Ending) {
        if let Some(hit) = SpanCacheHit::of(call) {
            self.aggregator.llm_cache_hit(node, &hit.sample());
            return;
        }
        let unpriced = Cost::unpriced();
        let cost = call.cost.as_ref().unwrap_or(&unpriced);
        let model = call.attributes.get_str(genai::REQUEST_MODEL);
        let model = model.or_else(|| call.attributes.get_str(genai::RESPONSE_MODEL));
        let mut sample = LlmSample {
            provider: call.attributes.get_str(genai::PROVIDER_NAME).unwrap_or_default(),
            failed,
            duration_ns: ending.duration_ns,
            time_to_first_token_ns: seconds(call, genai::TIME_TO_FIRST_CHUNK),
            cache_missed: cached::has_missed(call),
            provider_cache_saved: cached::provider_saved(call),
            ..LlmSample::new(model.unwrap_or_default(), cost)
        };
        if let Some(usage) = &call.usage {
            sample = sample.with_usage(usage);
        }
        self.aggregator.llm_call_ended(node, &sample);
    }

    pub(super) fn failure(&mut self) {
        self.aggregator.error();
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.aggregator.to_json())?;
        out.write_all(b"\n")
    }
}

fn whole(span: &Span, key: &str) -> Option<u64> {
    match span.attributes.get(key)? {
        AttributeValue::I64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn seconds(span: &Span, key: &str) -> Option<u64> {
    match span.attributes.get(key)? {
        AttributeValue::F64(seconds) => Some((seconds * 1e9) as u64),
        AttributeValue::I64(seconds) => u64::try_from(*seconds).ok()?.checked_mul(1_000_000_000),
        _ => None,
    }
}
