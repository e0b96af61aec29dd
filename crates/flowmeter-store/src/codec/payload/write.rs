//! Writing payloads.
//!
//! Never keeps anything of a span from one to the next but memory.

use flowmeter_model::{
    AttributeValue, Cost, CostExplanation, Figure, FigureSource, LogLevel, LogRecord, MutationRecord, Span,
    SpanError, SpanEvent, SpanKind, TemplateResolution, TimestampNs, TokenUsage, TraceId,
};
use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::super::attribute_names::{
    INPUT_MESSAGES, OUTPUT_MESSAGES, REQUEST_MODEL, RESPONSE_MODEL, SYSTEM_INSTRUCTIONS,
};
use super::super::columns::zigzag;
use super::super::content::{ContentHash, ContentSink, NoSink};
use super::super::known_keys::write_key;
use super::super::pack::{write_array, write_int, write_map, write_text, write_uint};
use super::values::{
    Messages, is_message_list, write_attribute, write_attributes, write_canonical, write_long_text,
    write_plain, write_value,
};
use super::{
    AFTER, AMOUNT, APPLIES_SINCE, ATTRIBUTES, BEFORE, END, ERROR, EVENTS, EXPLANATION, LOG_ATTRIBUTES, LOGS,
    MUTATIONS, PARAMS, SOURCE_DATE, SPAN, TARGET, TEMPLATES, TERMS, TRACE, USAGE, VERSION,
};
use crate::SearchPlace;
use crate::rules::texts::place_of;

/// Writes payloads; keeps the memory that this takes.
#[derive(Debug, Default)]
pub(crate) struct PayloadWriter {
    messages: Messages,
    canonical: Vec<u8>,
}

/// The prompt hash of a span, as [`PayloadWriter::write`] gives it.
pub(crate) fn prompt_hash(span: &Span) -> u64 {
    let mut writer = PayloadWriter::default();
    let input = span.attributes.get(INPUT_MESSAGES);
    let input = input.map(|value| writer.hash_of_prompt(value, &mut NoSink));
    writer.prompt_hash(span, input)
}

impl PayloadWriter {
    /// Writes the payload of a span that belongs to a run with this trace, behind what `out` holds. Gives the hash of
    /// its prompt: of model, messages and system instructions; 0 where it is no LLM call or nothing was captured.
    pub(crate) fn write(
        &mut self,
        span: &Span,
        run_trace: TraceId,
        sink: &mut dyn ContentSink,
        out: &mut Vec<u8>,
    ) -> u64 {
        let duration_ns = span.duration_ns().filter(|duration| *duration < u64::MAX);
        let end_follows = span.end
            == duration_ns
                .and_then(|ns| span.start.0.checked_add(ns))
                .map(TimestampNs);
        let cost = span.cost.as_ref();
        let amount = cost
            .and_then(|cost| cost.amount)
            .filter(|amount| zigzag(amount.0) == u64::MAX);
        let explanation = cost.and_then(|cost: &Cost| cost.explanation.as_deref());
        let flags = [
            (TRACE, span.trace_id != run_trace),
            (END, !end_follows),
            (AMOUNT, amount.is_some()),
            (ERROR, span.error.is_some()),
            (USAGE, span.usage.is_some()),
            (EXPLANATION, explanation.is_some()),
            (PARAMS, span.params.is_some()),
            (TEMPLATES, !span.templates.is_empty()),
            (MUTATIONS, !span.mutations.is_empty()),
            (EVENTS, !span.events.is_empty()),
            (LOGS, !span.logs.is_empty()),
            (ATTRIBUTES, !span.attributes.is_empty()),
        ];
        out.push(VERSION);
        let held = flags.iter().filter(|(_, is_held)| *is_held);
        write_uint(out, held.fold(0, |flags, (flag, _)| flags | flag));
        if span.trace_id != run_trace {
            out.extend_from_slice(&span.trace_id.to_bytes());
        }
        if let (false, Some(end)) = (end_follows, span.end) {
            write_uint(out, end.0);
        }
        if let Some(amount) = amount {
            write_int(out, amount.0);
        }
        if let Some(usage) = &span.usage {
            write_usage(out, usage);
        }
        if let Some(explanation) = explanation {
            write_explanation(out, explanation);
        }
        let input = self.write_span_attributes(out, span, sink);
        if let Some(error) = &span.error {
            write_error(out, error, sink);
        }
        if let Some(params) = &span.params {
            write_value(
                out,
                params,
                Some(SearchPlace::Attribute),
                sink,
                &mut self.messages,
            );
        }
        self.write_templates(out, &span.templates, sink);
        self.write_events(out, &span.events, span.start, sink);
        self.write_mutations(out, &span.mutations, span.start, sink);
        if !span.logs.is_empty() {
            write_array(out, span.logs.len());
            for record in &span.logs {
                self.write_log(record, span.start, sink, out);
            }
        }
        self.prompt_hash(span, input)
    }

    /// Writes a log record, its time as the distance from `base`.
    pub(in crate::codec) fn write_log(
        &mut self,
        record: &LogRecord,
        base: TimestampNs,
        sink: &mut dyn ContentSink,
        out: &mut Vec<u8>,
    ) {
        let LogRecord {
            time,
            level,
            message,
            target,
            span_id,
            attributes,
        } = record;
        let flag = |flag: u64, is_held: bool| if is_held { flag } else { 0 };
        write_uint(
            out,
            level_number(*level)
                | flag(TARGET, target.is_some())
                | flag(SPAN, span_id.is_some())
                | flag(LOG_ATTRIBUTES, !attributes.is_empty()),
        );
        write_distance(out, *time, base);
        if let Some(span_id) = span_id {
            write_uint(out, span_id.to_u64());
        }
        if let Some(target) = target {
            write_long_text(out, target, None, sink);
        }
        // Lines are searched where they stand by themselves.
        write_long_text(out, message, None, sink);
        if !attributes.is_empty() {
            write_attributes(out, attributes, None, sink, &mut self.messages);
        }
    }

    fn write_templates(
        &mut self,
        out: &mut Vec<u8>,
        templates: &[TemplateResolution],
        sink: &mut dyn ContentSink,
    ) {
        if templates.is_empty() {
            return;
        }
        write_array(out, templates.len());
        for TemplateResolution { template, value } in templates {
            write_long_text(out, template, None, sink);
            write_value(out, value, Some(SearchPlace::Attribute), sink, &mut self.messages);
        }
    }

    fn write_mutations(
        &mut self,
        out: &mut Vec<u8>,
        mutations: &[MutationRecord],
        base: TimestampNs,
        sink: &mut dyn ContentSink,
    ) {
        if mutations.is_empty() {
            return;
        }
        write_array(out, mutations.len());
        for MutationRecord {
            path,
            before,
            after,
            time,
        } in mutations
        {
            write_long_text(out, path, None, sink);
            let before_flag = if before.is_some() { BEFORE } else { 0 };
            let after_flag = if after.is_some() { AFTER } else { 0 };
            write_uint(out, before_flag | after_flag);
            write_distance(out, *time, base);
            for (value, searched) in [(before, None), (after, Some(SearchPlace::Mutation))] {
                if let Some(value) = value {
                    write_value(out, value, searched, sink, &mut self.messages);
                }
            }
        }
    }

    fn write_events(
        &mut self,
        out: &mut Vec<u8>,
        events: &[SpanEvent],
        base: TimestampNs,
        sink: &mut dyn ContentSink,
    ) {
        if events.is_empty() {
            return;
        }
        write_array(out, events.len());
        for SpanEvent {
            name,
            time,
            attributes,
        } in events
        {
            write_long_text(out, name, Some(SearchPlace::Attribute), sink);
            write_distance(out, *time, base);
            write_attributes(
                out,
                attributes,
                Some(SearchPlace::Attribute),
                sink,
                &mut self.messages,
            );
        }
    }

    /// Gives the hash of the messages that were sent.
    fn write_span_attributes(
        &mut self,
        out: &mut Vec<u8>,
        span: &Span,
        sink: &mut dyn ContentSink,
    ) -> Option<ContentHash> {
        if span.attributes.is_empty() {
            return None;
        }
        let mut input = None;
        write_map(out, span.attributes.len());
        for (key, value) in span.attributes.iter() {
            write_key(out, key);
            let searched = Some(place_of(key));
            match (key.as_str(), value) {
                (INPUT_MESSAGES, AttributeValue::Json(list)) => {
                    if let Value::Array(items) = &**list
                        && is_message_list(items)
                    {
                        // A list of one message, too: it is how a chat begins.
                        input = Some(self.messages.write(out, items, searched, sink));
                        continue;
                    }
                    input = Some(self.hash_of_prompt(value, sink));
                    write_attribute(out, value, searched, sink, &mut self.messages);
                }
                (INPUT_MESSAGES, _) => {
                    input = Some(self.hash_of_prompt(value, sink));
                    write_attribute(out, value, searched, sink, &mut self.messages);
                }
                (OUTPUT_MESSAGES, AttributeValue::Json(list)) if list.is_array() => {
                    // No beginning of an answer is sent again as the beginning of a list.
                    write_plain(out, list, searched, sink);
                }
                _ => write_attribute(out, value, searched, sink, &mut self.messages),
            }
        }
        input
    }

    fn hash_of_prompt(&mut self, value: &AttributeValue, sink: &mut dyn ContentSink) -> ContentHash {
        match value {
            AttributeValue::Str(text) => ContentHash::of_text(text),
            AttributeValue::Json(list) => match &**list {
                Value::Array(items) if is_message_list(items) => self.messages.hash(items, sink),
                value => {
                    self.canonical.clear();
                    write_canonical(&mut self.canonical, value, 0, None, sink);
                    ContentHash(xxh3_128(&self.canonical))
                }
            },
            AttributeValue::Bool(_) | AttributeValue::I64(_) | AttributeValue::F64(_) => {
                ContentHash::NO_MESSAGES
            }
        }
    }

    fn prompt_hash(&mut self, span: &Span, input: Option<ContentHash>) -> u64 {
        let attributes = &span.attributes;
        if span.kind != SpanKind::LlmCall && span.usage.is_none() {
            return 0;
        }
        let system = attributes.get(SYSTEM_INSTRUCTIONS);
        let system = system.map(|system| self.hash_of_prompt(system, &mut NoSink));
        if input.is_none() && system.is_none() {
            return 0;
        }
        let model = attributes
            .get_str(REQUEST_MODEL)
            .or_else(|| attributes.get_str(RESPONSE_MODEL));
        let mut hash = Xxh3::new();
        for part in [input, system] {
            hash.update(&part.map_or([0; 16], ContentHash::to_bytes));
        }
        hash.update(model.unwrap_or_default().as_bytes());
        hash.digest().max(1)
    }
}

fn write_distance(out: &mut Vec<u8>, time: TimestampNs, base: TimestampNs) {
    write_int(out, time.0.wrapping_sub(base.0) as i64);
}

fn level_number(level: LogLevel) -> u64 {
    match level {
        LogLevel::Trace => 0,
        LogLevel::Debug => 1,
        LogLevel::Info => 2,
        LogLevel::Warn => 3,
        LogLevel::Error => 4,
    }
}

fn write_error(out: &mut Vec<u8>, error: &SpanError, sink: &mut dyn ContentSink) {
    let SpanError {
        error_type,
        message,
        chain,
    } = error;
    let searched = Some(SearchPlace::Error);
    write_long_text(out, error_type, searched, sink);
    write_long_text(out, message, searched, sink);
    write_array(out, chain.len());
    for cause in chain {
        write_long_text(out, cause, searched, sink);
    }
}

/// Which figures are there, who counted them, and their tokens; those that the columns hold are not written again.
fn write_usage(out: &mut Vec<u8>, usage: &TokenUsage) {
    let figures = figures_of(usage);
    let counts = counts_of(usage);
    let texts = [&usage.service_tier, &usage.inference_geo];
    let present = figures.iter().map(Option::is_some);
    let present = present.chain(counts.iter().map(Option::is_some));
    let present = present.chain([usage.reported_cost.is_some()]);
    let present = present.chain(texts.iter().map(|text| text.is_some()));
    write_uint(
        out,
        present
            .enumerate()
            .fold(0, |bits, (bit, is_there)| bits | u64::from(is_there) << bit),
    );
    let sources = figures.iter().flatten().enumerate();
    write_uint(
        out,
        sources.fold(0, |bits, (place, figure)| {
            bits | source_number(figure.source) << (2 * place)
        }),
    );
    for figure in figures.iter().skip(super::read::FIGURES_IN_COLUMNS).flatten() {
        write_uint(out, figure.tokens);
    }
    for count in counts.into_iter().flatten() {
        write_uint(out, count);
    }
    if let Some(cost) = usage.reported_cost {
        write_int(out, cost.0);
    }
    for text in texts.into_iter().flatten() {
        write_text(out, text);
    }
}

/// The first four stand in columns.
fn figures_of(usage: &TokenUsage) -> [Option<Figure>; 16] {
    [
        usage.input,
        usage.cache_read,
        usage.output,
        usage.reasoning,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.input_audio,
        usage.input_image,
        usage.output_audio,
        usage.input_video,
        usage.cache_read_audio,
        usage.cache_read_image,
        usage.cache_read_video,
        usage.output_image,
        usage.output_video,
        usage.citation,
    ]
}

fn counts_of(usage: &TokenUsage) -> [Option<u64>; 6] {
    [
        usage.web_searches,
        usage.web_fetches,
        usage.file_searches,
        usage.search_units,
        usage.audio_ms,
        usage.document_pages,
    ]
}

fn source_number(source: FigureSource) -> u64 {
    match source {
        FigureSource::Provider => 0,
        FigureSource::Convention => 1,
        FigureSource::Tokenizer => 2,
        FigureSource::Estimate => 3,
    }
}

fn write_explanation(out: &mut Vec<u8>, explanation: &CostExplanation) {
    let CostExplanation {
        matched,
        source,
        source_date,
        applies_since,
        terms,
        rule,
        lines,
        warnings,
    } = explanation;
    let optional = [
        (SOURCE_DATE, source_date),
        (APPLIES_SINCE, applies_since),
        (TERMS, terms),
    ];
    let held = optional.iter().filter(|(_, text)| text.is_some());
    write_uint(out, held.fold(0, |flags, (flag, _)| flags | flag));
    for text in [matched, source, rule] {
        write_text(out, text);
    }
    for text in optional.into_iter().filter_map(|(_, text)| text.as_ref()) {
        write_text(out, text);
    }
    write_array(out, lines.len());
    for line in lines {
        write_key(out, &line.kind);
        write_uint(out, line.quantity);
        write_int(out, line.rate_nanos);
        write_uint(out, u64::from(line.per));
    }
    write_array(out, warnings.len());
    for warning in warnings {
        write_text(out, warning);
    }
}
