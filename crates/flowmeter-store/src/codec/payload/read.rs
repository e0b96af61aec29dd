//! Reading payloads: the whole span again.
//!
//! Never panics, whatever the bytes are.

use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, CostExplanation, CostLine, Figure, FigureSource, LogLevel, LogRecord, MutationRecord,
    Span, SpanError, SpanEvent, SpanId, TemplateResolution, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use smol_str::SmolStr;

use super::super::Damaged;
use super::super::content::ContentSource;
use super::super::known_keys::Key;
use super::super::narrow::NarrowSpan;
use super::super::pack::{Reader, Token};
use super::values::{read_attributes, read_smol, read_string, read_value};
use super::{
    AFTER, AMOUNT, APPLIES_SINCE, ATTRIBUTES, BEFORE, END, ERROR, EVENTS, EXPLANATION, LOG_ATTRIBUTES, LOGS,
    MUTATIONS, PARAMS, SOURCE_DATE, SPAN, TARGET, TEMPLATES, TERMS, TRACE, USAGE, VERSION,
};
use crate::TokenSums;

/// Figures of a usage whose tokens stand in columns: the first ones.
pub(super) const FIGURES_IN_COLUMNS: usize = 4;
const FIGURES: usize = 16;
const COUNTS: usize = 6;

/// The span whose payload is gone: what its columns tell.
pub(crate) fn without_payload(narrow: &NarrowSpan, run_trace: TraceId) -> Span {
    let end = narrow
        .duration_ns
        .map(|ns| TimestampNs(narrow.start.0.saturating_add(ns)));
    Span {
        end,
        status: narrow.status,
        cost: narrow.cost_status.map(|status| Cost {
            status,
            amount: narrow.cost,
            explanation: None,
        }),
        ..Span::begin(
            run_trace,
            narrow.span_id,
            narrow.parent_span_id,
            narrow.kind,
            narrow.operation.clone(),
            narrow.start,
        )
    }
}

/// The flags of a payload, and the reader behind them.
pub(super) fn open(payload: &[u8]) -> Result<(u64, Reader<'_>), Damaged> {
    let mut reader = Reader::new(payload);
    if reader.byte()? != VERSION {
        return Err(Damaged("a payload has a form that this program does not know"));
    }
    Ok((reader.uint()?, reader))
}

/// The span again, from its narrow part and its payload.
///
/// # Errors
/// When the payload, or what it refers to, is damaged or missing.
pub(crate) fn read(
    narrow: &NarrowSpan,
    run_trace: TraceId,
    payload: &[u8],
    source: &mut dyn ContentSource,
) -> Result<Span, Damaged> {
    let (flags, mut reader) = open(payload)?;
    let reader = &mut reader;
    let mut span = without_payload(narrow, run_trace);
    if flags & TRACE != 0 {
        let trace_id = TraceId::from_bytes(reader.hash()?.to_be_bytes());
        span.trace_id = trace_id.ok_or(Damaged("a payload holds an empty trace id"))?;
    }
    if flags & END != 0 {
        span.end = Some(TimestampNs(reader.uint()?));
    }
    if flags & AMOUNT != 0 {
        let amount = UsdNanos(reader.int()?);
        if let Some(cost) = &mut span.cost {
            cost.amount = Some(amount);
        }
    }
    if flags & USAGE != 0 {
        span.usage = Some(read_usage(reader, &narrow.tokens)?);
    }
    if flags & EXPLANATION != 0 {
        let explanation = read_explanation(reader, source)?;
        if let Some(cost) = &mut span.cost {
            cost.explanation = Some(Arc::new(explanation));
        }
    }
    if flags & ATTRIBUTES != 0 {
        span.attributes = read_attributes(reader, source)?;
    }
    if flags & ERROR != 0 {
        span.error = Some(read_error(reader, source)?);
    }
    if flags & PARAMS != 0 {
        span.params = Some(Arc::new(read_value(reader, source, 0)?));
    }
    if flags & TEMPLATES != 0 {
        for _ in 0..reader.array()? {
            span.templates.push(TemplateResolution {
                template: read_string(reader, source)?,
                value: Arc::new(read_value(reader, source, 0)?),
            });
        }
    }
    if flags & EVENTS != 0 {
        for _ in 0..reader.array()? {
            span.events.push(SpanEvent {
                name: read_smol(reader, source)?,
                time: read_distance(reader, narrow.start)?,
                attributes: read_attributes(reader, source)?,
            });
        }
    }
    if flags & MUTATIONS != 0 {
        for _ in 0..reader.array()? {
            span.mutations.push(read_mutation(reader, narrow.start, source)?);
        }
    }
    if flags & LOGS != 0 {
        for _ in 0..reader.array()? {
            span.logs.push(read_log(reader, narrow.start, source)?);
        }
    }
    if !reader.is_empty() {
        return Err(Damaged("a payload is longer than what it holds"));
    }
    Ok(span)
}

fn read_distance(reader: &mut Reader<'_>, base: TimestampNs) -> Result<TimestampNs, Damaged> {
    Ok(TimestampNs(base.0.wrapping_add(reader.int()? as u64)))
}

fn read_mutation(
    reader: &mut Reader<'_>,
    base: TimestampNs,
    source: &mut dyn ContentSource,
) -> Result<MutationRecord, Damaged> {
    let path = read_string(reader, source)?;
    let flags = reader.uint()?;
    let time = read_distance(reader, base)?;
    let mut value = |flag: u64| -> Result<_, Damaged> {
        Ok(if flags & flag == 0 {
            None
        } else {
            Some(Arc::new(read_value(reader, source, 0)?))
        })
    };
    Ok(MutationRecord {
        path,
        before: value(BEFORE)?,
        after: value(AFTER)?,
        time,
    })
}

fn level_of(number: u64) -> Result<LogLevel, Damaged> {
    Ok(match number {
        0 => LogLevel::Trace,
        1 => LogLevel::Debug,
        2 => LogLevel::Info,
        3 => LogLevel::Warn,
        4 => LogLevel::Error,
        _ => return Err(Damaged("a log line has an unknown level")),
    })
}

/// The flags of a log record, and what stands before its target.
pub(crate) struct LogHead {
    pub(super) flags: u64,
    pub(crate) level: LogLevel,
    pub(crate) time: TimestampNs,
    pub(crate) span_id: Option<SpanId>,
}

impl LogHead {
    /// Of a record in a block of log lines.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn of(record: &[u8]) -> Result<Self, Damaged> {
        read_log_head(&mut Reader::new(record), TimestampNs(0))
    }
}

pub(super) fn read_log_head(reader: &mut Reader<'_>, base: TimestampNs) -> Result<LogHead, Damaged> {
    let flags = reader.uint()?;
    let level = level_of(flags & 7)?;
    let time = read_distance(reader, base)?;
    let span_id = if flags & SPAN == 0 {
        None
    } else {
        let span_id = SpanId::from_u64(reader.uint()?);
        Some(span_id.ok_or(Damaged("a log line names an empty span id"))?)
    };
    Ok(LogHead {
        flags,
        level,
        time,
        span_id,
    })
}

/// Reads what [`super::PayloadWriter::write_log`] wrote.
pub(in crate::codec) fn read_log(
    reader: &mut Reader<'_>,
    base: TimestampNs,
    source: &mut dyn ContentSource,
) -> Result<LogRecord, Damaged> {
    let head = read_log_head(reader, base)?;
    let target = match head.flags & TARGET {
        0 => None,
        _ => Some(read_smol(reader, source)?),
    };
    Ok(LogRecord {
        time: head.time,
        level: head.level,
        message: read_string(reader, source)?,
        target,
        span_id: head.span_id,
        attributes: match head.flags & LOG_ATTRIBUTES {
            0 => Attributes::new(),
            _ => read_attributes(reader, source)?,
        },
    })
}

fn read_error(reader: &mut Reader<'_>, source: &mut dyn ContentSource) -> Result<SpanError, Damaged> {
    let error_type = read_smol(reader, source)?;
    let message = read_string(reader, source)?;
    let causes = reader.array()?;
    let chain = (0..causes).map(|_| read_string(reader, source));
    Ok(SpanError {
        error_type,
        message,
        chain: chain.collect::<Result<_, _>>()?,
    })
}

fn read_usage(reader: &mut Reader<'_>, tokens: &TokenSums) -> Result<TokenUsage, Damaged> {
    let present = reader.uint()?;
    let sources = reader.uint()?;
    let is_there = |bit: usize| present >> bit & 1 == 1;
    let in_columns = [tokens.input, tokens.cache_read, tokens.output, tokens.reasoning];
    let mut figures = [None; FIGURES];
    let there = figures.iter_mut().enumerate().filter(|(bit, _)| is_there(*bit));
    for (place, (bit, figure)) in there.enumerate() {
        let tokens = match in_columns.get(bit) {
            Some(tokens) => *tokens,
            None => reader.uint()?,
        };
        let source = match sources >> (2 * place) & 3 {
            0 => FigureSource::Provider,
            1 => FigureSource::Convention,
            2 => FigureSource::Tokenizer,
            _ => FigureSource::Estimate,
        };
        *figure = Some(Figure { tokens, source });
    }
    let mut counts = [None; COUNTS];
    for (place, count) in counts.iter_mut().enumerate() {
        if is_there(FIGURES + place) {
            *count = Some(reader.uint()?);
        }
    }
    let reported_cost = match is_there(FIGURES + COUNTS) {
        true => Some(UsdNanos(reader.int()?)),
        false => None,
    };
    let mut text = |bit: usize| -> Result<Option<String>, Damaged> {
        if !is_there(bit) {
            return Ok(None);
        }
        match reader.token()? {
            Token::Text(text) => Ok(Some(text.to_owned())),
            _ => Err(Damaged("a payload holds something else where a text belongs")),
        }
    };
    let service_tier = text(FIGURES + COUNTS + 1)?;
    let inference_geo = text(FIGURES + COUNTS + 2)?;
    let [
        input,
        cache_read,
        output,
        reasoning,
        cache_write_5m,
        cache_write_1h,
        input_audio,
        input_image,
        output_audio,
        input_video,
        cache_read_audio,
        cache_read_image,
        cache_read_video,
        output_image,
        output_video,
        citation,
    ] = figures;
    let [
        web_searches,
        web_fetches,
        file_searches,
        search_units,
        audio_ms,
        document_pages,
    ] = counts;
    Ok(TokenUsage {
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        input_audio,
        input_image,
        output_audio,
        web_searches,
        reported_cost,
        service_tier,
        input_video,
        cache_read_audio,
        cache_read_image,
        cache_read_video,
        output_image,
        output_video,
        citation,
        web_fetches,
        file_searches,
        search_units,
        audio_ms,
        document_pages,
        inference_geo,
    })
}

fn read_explanation(
    reader: &mut Reader<'_>,
    source: &mut dyn ContentSource,
) -> Result<CostExplanation, Damaged> {
    let flags = reader.uint()?;
    let matched = read_smol(reader, source)?;
    let price_source = read_smol(reader, source)?;
    let rule = read_smol(reader, source)?;
    let mut optional = |flag: u64, reader: &mut Reader<'_>| -> Result<Option<SmolStr>, Damaged> {
        match flags & flag {
            0 => Ok(None),
            _ => read_smol(reader, source).map(Some),
        }
    };
    let source_date = optional(SOURCE_DATE, reader)?;
    let applies_since = optional(APPLIES_SINCE, reader)?;
    let terms = optional(TERMS, reader)?;
    let mut lines = Vec::new();
    for _ in 0..reader.array()? {
        lines.push(CostLine {
            kind: Key::read(reader)?.to_smol(),
            quantity: reader.uint()?,
            rate_nanos: reader.int()?,
            per: u32::try_from(reader.uint()?).map_err(|_| Damaged("a rate is for too many"))?,
        });
    }
    let mut warnings = Vec::new();
    for _ in 0..reader.array()? {
        warnings.push(read_string(reader, source)?);
    }
    Ok(CostExplanation {
        matched,
        source: price_source,
        source_date,
        applies_since,
        terms,
        rule,
        lines,
        warnings,
    })
}
