//! What the formatter writes, format by format. Each is told what happened and appends to a buffer.
//!
//! Never reads lines and never decides what belongs together.

mod human;
mod json;
mod metrics;
mod otlp;
mod scratch;

use std::io::{self, Write};

use flowmeter_model::{LogLevel, SpanError, SpanStatus};

use super::content::{Content, Wanted};
use super::line::{Line, Report, Text};
use super::nesting::{OpenSpan, SpanRef, Trace};
pub(super) use human::HumanTree;
pub(super) use json::JsonDocuments;
pub(super) use metrics::MetricsJson;
pub(super) use otlp::OtlpLines;

/// Where formats write to: a buffer in front of the output.
pub(super) struct Out<W> {
    pub(super) buffer: Vec<u8>,
    output: W,
}

/// From this size on the buffer is handed on.
const BUFFER_BYTES: usize = 128 * 1024;

impl<W: Write> Out<W> {
    pub(super) fn new(output: W) -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
            output,
        }
    }

    /// Hands the buffer on if it is large enough to be worth it.
    #[inline]
    pub(super) fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush_buffer()
        } else {
            Ok(())
        }
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.output.write_all(&self.buffer)?;
        self.buffer.clear();
        if self.buffer.capacity() > 4 * BUFFER_BYTES {
            self.buffer.shrink_to(BUFFER_BYTES);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()?;
        self.output.flush()
    }

    pub(super) fn into_output(self) -> W {
        self.output
    }
}

/// How a span ended.
pub(super) struct Ending {
    /// `None` where nobody saw it end.
    pub(super) status: Option<SpanStatus>,
    pub(super) at_ns: Option<u64>,
    pub(super) duration_ns: Option<u64>,
    /// Whether an `error` line told of the failure before.
    pub(super) is_failure_counted: bool,
}

/// A log or a `custom` line, or an error that concerns no span.
pub(super) struct Remark<'a> {
    pub(super) line: &'a Line<'a>,
    pub(super) at_ns: Option<u64>,
    /// The span, as the line gives it.
    pub(super) span_id: Option<&'a str>,
    pub(super) text: &'a Text<'a>,
    pub(super) kind: RemarkKind,
    /// Whether the span around it may hold it.
    pub(super) has_room: bool,
}

/// Which kind of remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemarkKind {
    Log(LogLevel),
    Custom,
}

/// An `error` line.
pub(super) struct Failure<'a> {
    pub(super) line: &'a Line<'a>,
    pub(super) at_ns: Option<u64>,
    /// The span, as the line gives it.
    pub(super) span_id: Option<&'a str>,
    pub(super) message: &'a Text<'a>,
    pub(super) error_type: Option<&'a str>,
    /// The node that it names, if that is not the span it is shown in.
    pub(super) elsewhere: Option<&'a str>,
    /// The span that failed; without it only the message is told.
    pub(super) failed: Option<SpanRef>,
}

/// One of the formats.
pub(super) enum Format {
    Human(HumanTree),
    Json(JsonDocuments),
    Otlp(Box<OtlpLines>),
    Metrics(Box<MetricsJson>),
}

impl Format {
    /// How much of a line it needs beyond what nesting does.
    pub(super) fn wanted(&self) -> Wanted {
        match self {
            Self::Human(_) | Self::Metrics(_) => Wanted::Figures,
            Self::Json(_) | Self::Otlp(_) => Wanted::All,
        }
    }

    /// Whether it needs what the ends of all nodes say, and not only of those that are shown to have more.
    pub(super) fn reads_nodes(&self) -> bool {
        matches!(self, Self::Metrics(_))
    }

    /// A span is about to be opened: its id as the format writes it.
    pub(super) fn name_span(&mut self, content: &mut Content, given: Option<&str>, parent: Option<&str>) {
        match self {
            Self::Json(json) => json.name_span(content, given, parent),
            Self::Otlp(otlp) => otlp.name_span(content, given, parent),
            Self::Human(_) | Self::Metrics(_) => {}
        }
    }

    /// The first line of a workflow says what holds for all of it.
    pub(super) fn describe(&mut self, trace: &Trace, line: &Line<'_>) {
        if let Self::Otlp(otlp) = self {
            otlp.describe(trace, line);
        }
    }

    pub(super) fn span_begins<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &mut Trace,
        span: SpanRef,
    ) -> io::Result<()> {
        match self {
            Self::Human(tree) => tree.span_begins(&mut out.buffer, trace, span),
            Self::Json(json) => return json.trace_goes_on(out, trace),
            Self::Metrics(metrics) => metrics.span_begins(trace, span),
            Self::Otlp(_) => {}
        }
        Ok(())
    }

    /// A span has ended, well or badly, or nobody will see its end.
    pub(super) fn span_ends<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &Trace,
        span: OpenSpan,
        ending: &Ending,
    ) -> io::Result<()> {
        match self {
            Self::Human(tree) => tree.span_ends(&mut out.buffer, trace, &span, ending),
            Self::Json(json) => return json.span_ends(out, trace, span, ending),
            Self::Metrics(metrics) => metrics.span_ends(&span, ending),
            Self::Otlp(otlp) => otlp.span_ends(&mut out.buffer, trace, span, ending),
        }
        Ok(())
    }

    pub(super) fn remark<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        remark: &Remark<'_>,
        report: Report<'_>,
    ) -> io::Result<()> {
        match self {
            Self::Human(tree) => tree.remark(&mut out.buffer, trace, around, remark),
            Self::Json(json) => return json.remark(out, trace, around, remark, report),
            Self::Otlp(otlp) => otlp.remark(&mut out.buffer, trace, around, remark, report),
            Self::Metrics(_) => {}
        }
        Ok(())
    }

    pub(super) fn failure<W: Write>(
        &mut self,
        out: &mut Out<W>,
        trace: &mut Trace,
        around: Option<SpanRef>,
        failure: &Failure<'_>,
    ) -> io::Result<()> {
        match self {
            Self::Human(tree) => tree.failure(&mut out.buffer, trace, around, failure),
            Self::Json(json) => return json.failure(out, trace, around, failure),
            Self::Otlp(otlp) => otlp.failure(&mut out.buffer, trace, around, failure),
            Self::Metrics(metrics) => metrics.failure(),
        }
        Ok(())
    }

    /// Any line at all, by its time.
    #[inline]
    pub(super) fn line(&mut self, at_ns: Option<u64>) {
        if let Self::Metrics(metrics) = self {
            metrics.line(at_ns);
        }
    }

    /// No line of this trace will follow; none of its spans is open.
    pub(super) fn trace_ends<W: Write>(&mut self, out: &mut Out<W>, trace: &Trace) -> io::Result<()> {
        match self {
            Self::Human(tree) => return tree.trace_ends(&mut out.buffer, trace),
            Self::Json(json) => return json.trace_ends(out, trace),
            Self::Otlp(otlp) => otlp.trace_ends(&mut out.buffer, trace),
            Self::Metrics(_) => {}
        }
        Ok(())
    }

    /// What has come is to be seen: nothing waits for more.
    pub(super) fn pause(&mut self, out: &mut Vec<u8>) {
        if let Self::Otlp(otlp) = self {
            otlp.write_batches(out);
        }
    }

    /// No line will follow.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Metrics(metrics) => return metrics.finish(out),
            Self::Otlp(otlp) => otlp.write_batches(out),
            Self::Human(_) | Self::Json(_) => {}
        }
        Ok(())
    }
}

/// The id of the span that a line speaks of, as the format writes it: where the line says it, also of one that
/// has ended.
fn span_id_in<'t>(given: Option<&'t str>, trace: &'t Trace, around: Option<SpanRef>) -> Option<&'t str> {
    given.or_else(|| {
        let span = around.and_then(|around| trace.get(around))?;
        span.content.as_ref().map(|content| content.id.as_str())
    })
}

impl Remark<'_> {
    fn span_id_in<'t>(&'t self, trace: &'t Trace, around: Option<SpanRef>) -> Option<&'t str> {
        span_id_in(self.span_id, trace, around)
    }
}

impl Failure<'_> {
    fn span_id_in<'t>(&'t self, trace: &'t Trace, around: Option<SpanRef>) -> Option<&'t str> {
        span_id_in(self.span_id, trace, around)
    }

    /// Whether the span that failed keeps the error; a further one is a log.
    fn is_kept_by(&self, trace: &mut Trace) -> bool {
        let failed = self.failed.and_then(|failed| trace.get_mut(failed));
        let Some(content) = failed.and_then(|span| span.content.as_mut()) else {
            return false;
        };
        if content.span.error.is_some() {
            return false;
        }
        content.span.error = Some(SpanError {
            error_type: self.error_type.unwrap_or("error").into(),
            message: self.message.text.clone().into_owned(),
            chain: Vec::new(),
        });
        true
    }
}
