//! What is known of the lines so far: the traces, which of them a line belongs to, and what happens with it.

use std::io::{self, Write};

use flowmeter_model::{IdSource, SpanKind};
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::config::{EventFormat, EventFormatterConfig};
use super::line::{Line, Text, What, Whereabouts};
use super::nesting::{SpanRef, Trace};
use super::out::{Ending, Failure, Format, HumanTree, JsonDocuments, OtlpLines, Out, Remark, RemarkKind};
use super::problem::{EventProblem, EventProblemKind};

/// Traces that are kept track of at once; the one that was silent longest is taken to have ended.
const TRACES_MAX: usize = 256;

/// What is known of the lines so far.
pub(super) struct State {
    pub(super) format: Format,
    pub(super) config: EventFormatterConfig,
    pub(super) traces: Vec<Trace>,
    /// The trace that the last line belonged to.
    pub(super) current: usize,
    pub(super) trace_count: u64,
    pub(super) ids: IdSource,
    /// Spans that ended before they began, in the order of the lines.
    pub(super) ended_early: FxHashSet<SmolStr>,
    pub(super) held_bytes: usize,
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) problem_count: u64,
    pub(super) problems: Vec<EventProblem>,
    pub(super) stopped: bool,
}

impl State {
    pub(super) fn new(config: EventFormatterConfig) -> Self {
        let mut ids = IdSource::from_seed(config.id_seed);
        let span_ids = IdSource::from_seed(ids.next_u64());
        let format = match &config.format {
            EventFormat::Human(style) => Format::Human(HumanTree::new(*style, !config.live)),
            EventFormat::Json => Format::Json(JsonDocuments::new(span_ids, config.scratch)),
            EventFormat::Otlp => {
                let (encoder, resource) = (config.encoder.clone(), config.resource.clone());
                Format::Otlp(Box::new(OtlpLines::new(span_ids, encoder, resource, config.now)))
            }
            EventFormat::Metrics => Format::Metrics(Box::default()),
        };
        Self {
            format,
            config,
            traces: Vec::new(),
            current: 0,
            trace_count: 0,
            ids,
            ended_early: FxHashSet::default(),
            held_bytes: 0,
            lines: 0,
            events: 0,
            problem_count: 0,
            problems: Vec::new(),
            stopped: false,
        }
    }

    pub(super) fn report(&mut self, line: u64, kind: EventProblemKind) {
        self.problem_count += 1;
        self.stopped |= self.config.strict;
        if self.problems.len() < self.config.problems_max {
            self.problems.push(EventProblem { line, kind });
        }
    }

    pub(super) fn take<W: Write>(&mut self, line: &Line<'_>, out: &mut Out<W>) -> io::Result<()> {
        let number = line.number;
        let mut report = |kind| self.report(number, kind);
        let Some(what) = line.what(&mut report) else {
            return Ok(());
        };
        let whereabouts = line.whereabouts(&mut report);
        if self.stopped {
            return Ok(());
        }
        self.events += 1;
        self.format.line(whereabouts.at_ns);
        match what {
            What::Begins(beginning) => self.begins(line, &whereabouts, beginning, out),
            What::Ends(end) => self.ends(line, &whereabouts, &end, out),
            What::Log { level, message } => {
                self.remark(line, &whereabouts, &message, RemarkKind::Log(level), out)
            }
            What::Custom { name } => self.remark(line, &whereabouts, &name, RemarkKind::Custom, out),
            What::Fails {
                message,
                error_type,
                node,
            } => self.fails(
                line,
                &whereabouts,
                &message,
                error_type.as_deref(),
                node.as_ref(),
                out,
            ),
        }
    }

    /// The trace that a line belongs to; one is begun where there is none.
    pub(super) fn trace_of<W: Write>(
        &mut self,
        whereabouts: &Whereabouts<'_>,
        out: &mut Out<W>,
    ) -> io::Result<usize> {
        let given = whereabouts.trace_id.as_deref();
        if let Some(trace) = self.traces.get(self.current) {
            let is_same = given.is_none_or(|id| trace.answers_to(id));
            if is_same {
                return Ok(self.current);
            }
        }
        let Some(id) = given else {
            return self.begin_trace(None, out);
        };
        if let Some(found) = self.traces.iter().position(|trace| trace.answers_to(id)) {
            self.current = found;
            return Ok(found);
        }
        // A workflow that began without an id may get one later.
        if let Some(trace) = self.traces.get_mut(self.current)
            && !trace.is_id_given
            && trace.late_id.is_none()
        {
            trace.late_id = Some(id.into());
            return Ok(self.current);
        }
        self.begin_trace(Some(id), out)
    }

    fn begin_trace<W: Write>(&mut self, id: Option<&str>, out: &mut Out<W>) -> io::Result<usize> {
        // What has ended and got no further line will get none.
        while let Some(ended) = self.traces.iter().position(|trace| trace.root_end.is_some()) {
            self.end_trace(ended, out)?;
        }
        if self.traces.len() >= TRACES_MAX {
            self.end_trace(0, out)?;
        }
        self.trace_count += 1;
        let trace_id = match id {
            Some(id) => SmolStr::new(id),
            None => smol_str::format_smolstr!("{}", self.ids.trace_id()),
        };
        self.traces
            .push(Trace::new(self.trace_count, trace_id, id.is_some()));
        self.current = self.traces.len() - 1;
        Ok(self.current)
    }

    /// The trace in which a workflow begins: that of the workflow around it, or a new one.
    pub(super) fn trace_of_workflow<W: Write>(
        &mut self,
        whereabouts: &Whereabouts<'_>,
        out: &mut Out<W>,
    ) -> io::Result<usize> {
        let given = whereabouts.trace_id.as_deref();
        let place = match given {
            Some(id) => self.traces.iter().position(|trace| trace.answers_to(id)),
            None => self.traces.get(self.current).map(|_| self.current),
        };
        if let Some(place) = place {
            let trace = &self.traces[place];
            let goes_on =
                trace.open_count() > 0 || (!trace.had_root && (given.is_some() || !trace.had_spans));
            if goes_on && trace.root_end.is_none() {
                self.current = place;
                return Ok(place);
            }
            self.end_trace(place, out)?;
            if self.stopped {
                return self.begin_trace(given, out);
            }
        }
        self.begin_trace(given, out)
    }

    /// Nothing more of this trace will come: what is open in it stays unfinished.
    pub(super) fn end_trace<W: Write>(&mut self, index: usize, out: &mut Out<W>) -> io::Result<()> {
        let open = self.traces[index].all_open();
        self.report_open(index, open.iter().rev());
        if self.stopped && !matches!(self.format, Format::Json(_)) {
            return Ok(());
        }
        for span in open {
            self.close_unfinished(index, span, out)?;
        }
        let trace = self.traces.remove(index);
        if self.current > index {
            self.current -= 1;
        } else if self.current == index {
            // Lines without an id go to the trace that began last.
            self.current = self.traces.len().wrapping_sub(1);
        }
        self.format.trace_ends(out, &trace)
    }

    pub(super) fn report_open<'r>(&mut self, index: usize, open: impl Iterator<Item = &'r SpanRef>) {
        for span in open {
            let found = self.traces[index]
                .get(*span)
                .map(|open| (open.line, open.what(), open.subject));
            if let Some((line, what, subject)) = found
                && !self.stopped
            {
                let problem = EventProblemKind::NeverEnded {
                    line_type: subject.start_line(),
                    what,
                    needs: subject.end_line(),
                };
                self.report(line, problem);
            }
        }
    }

    pub(super) fn close_unfinished<W: Write>(
        &mut self,
        index: usize,
        span: SpanRef,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        let trace = &mut self.traces[index];
        let Some(mut open) = trace.close(span) else {
            return Ok(());
        };
        if let Some(content) = &mut open.content {
            self.held_bytes = self.held_bytes.saturating_sub(content.bytes);
            content.span.status = None;
        }
        trace.tally.unfinished += 1;
        trace.tally.nodes_unfinished += u64::from(open.kind == SpanKind::Node);
        let ending = Ending {
            status: None,
            at_ns: None,
            duration_ns: None,
            is_failure_counted: false,
        };
        self.format.span_ends(out, trace, open, &ending)
    }

    fn remark<W: Write>(
        &mut self,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        text: &Text<'_>,
        kind: RemarkKind,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        let index = self.trace_of(whereabouts, out)?;
        let trace = &mut self.traces[index];
        trace.tally.see(whereabouts.at_ns);
        let around = trace.around(whereabouts);
        let remark = Remark {
            line,
            at_ns: whereabouts.at_ns,
            span_id: whereabouts.span_id.as_deref(),
            text,
            kind,
            has_room: self.held_bytes + line.text.len() <= self.config.held_bytes_max,
        };
        let held = |trace: &Trace| {
            let span = around.and_then(|around| trace.get(around));
            span.and_then(|span| span.content.as_ref())
                .map_or(0, |content| content.bytes)
        };
        let before = held(trace);
        let mut problems = Vec::new();
        self.format
            .remark(out, trace, around, &remark, &mut |kind| problems.push(kind))?;
        self.held_bytes += held(trace) - before;
        for problem in problems {
            self.report(line.number, problem);
        }
        Ok(())
    }

    fn fails<W: Write>(
        &mut self,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        message: &Text<'_>,
        error_type: Option<&str>,
        node: Option<&Text<'_>>,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        let index = self.trace_of(whereabouts, out)?;
        let trace = &mut self.traces[index];
        trace.tally.see(whereabouts.at_ns);
        trace.tally.errors += 1;
        let by_id = whereabouts.span_id.as_deref().and_then(|id| trace.by_id(id));
        let named = by_id.or_else(|| node.and_then(|node| trace.node_named(&node.text)));
        let around = named.or_else(|| trace.around(whereabouts));
        // An error that names nobody is told where it happened; whether that failed its end says.
        if let Some(span) = around.and_then(|around| trace.get_mut(around)) {
            span.has_failed |= named.is_some();
            span.told_error = Some(message.text.as_ref().into());
        }
        let failure = Failure {
            line,
            at_ns: whereabouts.at_ns,
            span_id: whereabouts.span_id.as_deref(),
            message,
            error_type,
            elsewhere: node.filter(|_| named.is_none()).map(|node| node.text.as_ref()),
            failed: named,
        };
        self.format.failure(out, trace, around, &failure)
    }

    pub(super) fn finish<W: Write>(&mut self, out: &mut Out<W>) -> io::Result<()> {
        if self.stopped && matches!(self.format, Format::Metrics(_)) {
            // Figures of a part would be taken for those of the whole.
            return Ok(());
        }
        let is_json = matches!(self.format, Format::Json(_));
        while !self.traces.is_empty() && (!self.stopped || is_json) {
            self.end_trace(0, out)?;
        }
        self.format.finish(&mut out.buffer)
    }
}
