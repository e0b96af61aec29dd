//! Formats event lines while they come: nesting by ids or by order, problems reported, memory constant.
//!
//! Synchronous and without any input of its own: whoever reads hands blocks or lines in. Never asks for the time or
//! for randomness, and never prints.

use std::fs::File;
use std::io::{self, Write};

use flowmeter_model::{Attributes, IdSource, SpanKind, SpanStatus, TimestampNs};
use flowmeter_otlp::EncoderConfig;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;
use thiserror::Error;

use super::blocks::Block;
use super::content::Content;
use super::fields::{Field, Fields, Shape};
use super::line::{Beginning, End, Line, Subject, Text, What, Whereabouts};
use super::nesting::{OpenSpan, RootEnd, SpanRef, Trace};
use super::out::{Ending, Failure, Format, HumanTree, JsonDocuments, OtlpLines, Out, Remark, RemarkKind};
use super::parse::parse;
use super::problem::{EventProblem, EventProblemKind};
use crate::formats::HumanStyle;

/// What events are formatted as.
#[derive(Clone, Copy, Debug)]
pub enum EventFormat {
    /// A tree for each workflow, and its summary.
    Human(HumanStyle),
    /// A trace document for each workflow, one a line.
    Json,
    /// OTLP/JSON lines, traces and logs each on their own.
    Otlp,
    /// The aggregated metrics of all of it.
    Metrics,
}

/// How events are formatted.
#[derive(Clone, Debug)]
pub struct EventFormatterConfig {
    /// As what.
    pub format: EventFormat,
    /// Seed of the ids that are made where the lines give none.
    pub id_seed: u64,
    /// Whether the first problem ends it.
    pub strict: bool,
    /// Whether somebody watches the lines come: then nothing waits for more of them.
    pub live: bool,
    /// What stands for times that OTLP wants and nobody gave.
    pub now: TimestampNs,
    /// The resource that OTLP lines name, unless the events bring their own.
    pub resource: Attributes,
    /// How OTLP lines are encoded. Default: the newest names, and all the content that the events have.
    pub encoder: EncoderConfig,
    /// Most spans that may be open at once. Default: 1,000,000.
    pub open_spans_max: usize,
    /// Most bytes of lines that open spans may hold on to. Default: 64 MB.
    pub held_bytes_max: usize,
    /// Most problems that are kept until somebody takes them; all are counted. Default: 100.
    pub problems_max: usize,
    /// Makes a temporary file, for what a document says last. Default: there is none, which is an error when one
    /// is needed.
    pub scratch: fn() -> io::Result<File>,
}

impl EventFormatterConfig {
    /// This format with the defaults for everything else.
    #[must_use]
    pub fn new(format: EventFormat) -> Self {
        Self {
            format,
            id_seed: 0,
            strict: false,
            live: false,
            now: TimestampNs(0),
            resource: Attributes::new(),
            encoder: EncoderConfig {
                content: true,
                ..EncoderConfig::default()
            },
            open_spans_max: 1_000_000,
            held_bytes_max: 64 << 20,
            problems_max: 100,
            scratch: || {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "there is no place for temporary files",
                ))
            },
        }
    }
}

/// What formatting came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatOutcome {
    /// Lines that were read, blank ones included.
    pub lines: u64,
    /// Events among them.
    pub events: u64,
    /// Problems, also those that were not kept.
    pub problem_count: u64,
    /// Problems that nobody has taken yet.
    pub problems: Vec<EventProblem>,
}

/// Why formatting could not go on.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The output cannot be written.
    #[error("the formatted events cannot be written")]
    Output(#[from] io::Error),
    /// The input is no file of events but a saved trace.
    #[error("this is a saved trace, not a file of event lines; `flowmeter show` shows it")]
    IsTrace,
}

/// Whether to go on with the next lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FormatStep {
    /// More lines are welcome.
    GoOn,
    /// The first problem ended it: nothing more is formatted.
    Stop,
}

/// Formats event lines, one after the other.
pub struct EventFormatter<W> {
    out: Out<W>,
    state: State,
    fields: Fields,
}

struct State {
    format: Format,
    config: EventFormatterConfig,
    traces: Vec<Trace>,
    /// The trace that the last line belonged to.
    current: usize,
    trace_count: u64,
    ids: IdSource,
    /// Spans that ended before they began, in the order of the lines.
    ended_early: FxHashSet<SmolStr>,
    held_bytes: usize,
    lines: u64,
    events: u64,
    problem_count: u64,
    problems: Vec<EventProblem>,
    stopped: bool,
}

/// Traces that are kept track of at once; the one that was silent longest is taken to have ended.
const TRACES_MAX: usize = 256;
/// Early ends that are remembered.
const EARLY_ENDS_MAX: usize = 10_000;
/// How far into the input a trace is told from events.
const FIRST_LINES: u64 = 64;

impl<W: Write> EventFormatter<W> {
    /// Formats to `output`.
    pub fn new(config: EventFormatterConfig, output: W) -> Self {
        let mut ids = IdSource::from_seed(config.id_seed);
        let span_ids = IdSource::from_seed(ids.next_u64());
        let format = match &config.format {
            EventFormat::Human(style) => Format::Human(HumanTree::new(*style, !config.live)),
            EventFormat::Json => Format::Json(JsonDocuments::new(span_ids, config.scratch)),
            EventFormat::Otlp => {
                let resource = config.resource.clone();
                Format::Otlp(Box::new(OtlpLines::new(
                    span_ids,
                    config.encoder.clone(),
                    resource,
                    config.now,
                )))
            }
            EventFormat::Metrics => Format::Metrics(Box::default()),
        };
        Self {
            out: Out::new(output),
            state: State {
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
            },
            fields: Fields::default(),
        }
    }

    /// Takes the lines of a block.
    ///
    /// # Errors
    /// [`FormatError`] when the output fails, or when the input is a saved trace.
    pub fn take_block(&mut self, block: &Block) -> Result<FormatStep, FormatError> {
        let bytes = match block.lines.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.state.lines == 0 => rest,
            _ => &block.lines,
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', bytes) {
                    // A newline is no part of another character.
                    self.line(text.get(start..end).unwrap_or_default())?;
                    start = end + 1;
                }
                if let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
                    self.line(rest)?;
                }
            }
            Err(_) => {
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.bytes(line.strip_suffix(b"\n").unwrap_or(line))?;
                }
            }
        }
        if block.then_too_long {
            self.state.lines += 1;
            let limit_bytes = super::blocks::LINE_BYTES_MAX;
            let number = self.state.lines;
            self.state
                .report(number, EventProblemKind::TooLong { limit_bytes });
        }
        if self.state.config.live && !self.state.stopped {
            self.state.format.pause(&mut self.out.buffer);
        }
        self.out.flush()?;
        Ok(self.step())
    }

    fn step(&self) -> FormatStep {
        if self.state.stopped {
            FormatStep::Stop
        } else {
            FormatStep::GoOn
        }
    }

    fn bytes(&mut self, line: &[u8]) -> Result<(), FormatError> {
        match std::str::from_utf8(line) {
            Ok(text) => self.line(text),
            Err(error) => {
                if !self.state.stopped {
                    self.state.lines += 1;
                    let byte = error.valid_up_to() + 1;
                    let number = self.state.lines;
                    self.state.report(number, EventProblemKind::NotUtf8 { byte });
                }
                Ok(())
            }
        }
    }

    /// Takes one line, without its newline.
    ///
    /// # Errors
    /// [`FormatError`] when the output fails, or when the input is a saved trace.
    pub fn take_line(&mut self, text: &str) -> Result<FormatStep, FormatError> {
        self.line(text)?;
        Ok(self.step())
    }

    fn line(&mut self, text: &str) -> Result<(), FormatError> {
        if self.state.stopped {
            return Ok(());
        }
        self.state.lines += 1;
        let number = self.state.lines;
        if let Err(error) = parse(text, &mut self.fields) {
            if is_blank(text) {
                return Ok(());
            }
            if number <= FIRST_LINES && self.state.events == 0 && looks_like_trace(text) {
                return Err(FormatError::IsTrace);
            }
            self.state.report(number, EventProblemKind::broken_json(&error));
            return Ok(());
        }
        let line = Line {
            text,
            fields: &self.fields,
            number,
        };
        if line.place(Field::Type).is_none() && is_trace(&line) {
            return Err(FormatError::IsTrace);
        }
        self.state.take(&line, &mut self.out)?;
        self.out.relieve()?;
        Ok(())
    }

    /// Takes the problems that were found since the last time.
    pub fn take_problems(&mut self) -> Vec<EventProblem> {
        std::mem::take(&mut self.state.problems)
    }

    /// How many problems there were.
    pub fn problem_count(&self) -> u64 {
        self.state.problem_count
    }

    /// Closes what is open, and says what it all came to.
    ///
    /// # Errors
    /// [`FormatError::Output`].
    pub fn finish(mut self) -> Result<(FormatOutcome, W), FormatError> {
        self.state.finish(&mut self.out)?;
        self.out.flush()?;
        let outcome = FormatOutcome {
            lines: self.state.lines,
            events: self.state.events,
            problem_count: self.state.problem_count,
            problems: self.state.problems,
        };
        Ok((outcome, self.out.into_output()))
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// Whether the line is a trace document, or the first line of an unfinished one.
fn is_trace(line: &Line<'_>) -> bool {
    let names_format = line
        .place(Field::Format)
        .is_some_and(|place| place.text(line.text).starts_with("flowmeter.trace/"));
    names_format
        || line
            .place(Field::Spans)
            .is_some_and(|place| place.shape == Shape::Array)
}

/// Whether the line is part of a trace document of several lines.
fn looks_like_trace(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("\"spans\"") || text.starts_with("\"format\": \"flowmeter.trace/") || {
        text.starts_with('{') && text.contains("\"spans\":[")
    }
}

impl State {
    fn report(&mut self, line: u64, kind: EventProblemKind) {
        self.problem_count += 1;
        self.stopped |= self.config.strict;
        if self.problems.len() < self.config.problems_max {
            self.problems.push(EventProblem { line, kind });
        }
    }

    fn take<W: Write>(&mut self, line: &Line<'_>, out: &mut Out<W>) -> io::Result<()> {
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
    fn trace_of<W: Write>(&mut self, whereabouts: &Whereabouts<'_>, out: &mut Out<W>) -> io::Result<usize> {
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

    /// Nothing more of this trace will come: what is open in it stays unfinished.
    fn end_trace<W: Write>(&mut self, index: usize, out: &mut Out<W>) -> io::Result<()> {
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
            self.current = usize::MAX;
        }
        self.format.trace_ends(out, &trace)
    }

    fn report_open<'r>(&mut self, index: usize, open: impl Iterator<Item = &'r SpanRef>) {
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

    fn close_unfinished<W: Write>(
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
        trace.tally.nodes_unfinished += u64::from(open.kind == SpanKind::Node);
        let ending = Ending {
            status: None,
            at_ns: None,
            duration_ns: None,
            is_failure_counted: false,
        };
        self.format.span_ends(out, trace, open, &ending)
    }

    fn begins<W: Write>(
        &mut self,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        beginning: Beginning<'_>,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        if let Some(id) = &whereabouts.span_id
            && self.ended_early.remove(id.as_ref())
        {
            return Ok(());
        }
        let index = if beginning.subject == Subject::Workflow {
            self.trace_of_workflow(whereabouts, out)?
        } else {
            self.trace_of(whereabouts, out)?
        };
        self.traces[index].tally.see(whereabouts.at_ns);
        self.open(index, line, whereabouts, &beginning, whereabouts.at_ns, out)
            .map(drop)
    }

    /// The trace in which a workflow begins: that of the workflow around it, or a new one.
    fn trace_of_workflow<W: Write>(
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

    /// Opens a span. `None` when there is no room for it.
    fn open<W: Write>(
        &mut self,
        index: usize,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        beginning: &Beginning<'_>,
        start_ns: Option<u64>,
        out: &mut Out<W>,
    ) -> io::Result<Option<SpanRef>> {
        let number = line.number;
        if self.stopped {
            return Ok(None);
        }
        let open_count: usize = self.traces.iter().map(Trace::open_count).sum();
        if open_count >= self.config.open_spans_max {
            let limit = self.config.open_spans_max;
            self.report(number, EventProblemKind::TooManyOpen { limit });
            return Ok(None);
        }
        let in_use = whereabouts.span_id.as_deref().and_then(|id| {
            let trace = &self.traces[index];
            let since = trace.get(trace.by_id(id)?)?.line;
            Some(EventProblemKind::IdInUse {
                id: super::problem::quoted(id),
                since,
            })
        });
        if let Some(problem) = in_use {
            self.report(number, problem);
            if self.stopped {
                return Ok(None);
            }
        }
        let trace = &self.traces[index];
        let is_root = beginning.kind == SpanKind::Run && trace.root.is_none() && trace.root_end.is_none();
        let kind = match beginning.kind {
            SpanKind::Run if !is_root => SpanKind::Workflow,
            kind => kind,
        };
        let parent = trace.parent_for(whereabouts);
        let mut span = OpenSpan::begun(whereabouts, beginning.subject, kind, number);
        span.start_ns = start_ns;
        span.parent = parent;
        span.depth = parent
            .and_then(|parent| trace.get(parent))
            .map_or(0, OpenSpan::depth_inside);
        span.is_plain =
            beginning.operation.is_plain && beginning.name.as_ref().is_none_or(|name| name.is_plain);
        span.operation = beginning.operation.text.as_ref().into();
        if let Some(name) = &beginning.name {
            span.name = name.text.as_ref().into();
        }
        span.content = self.content(index, line, whereabouts, beginning, &span);
        if self.stopped {
            return Ok(None);
        }
        let trace = &mut self.traces[index];
        let opened = trace.open(span);
        if is_root {
            trace.root = Some(opened);
            trace.had_root = true;
            if let Some(name) = &beginning.name {
                trace.workflow = Some(name.text.as_ref().into());
            }
            self.format.describe(trace, line);
        }
        self.format.span_begins(out, trace, opened)?;
        Ok(Some(opened))
    }

    /// What a beginning span holds, where the format wants any of it.
    fn content(
        &mut self,
        index: usize,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        beginning: &Beginning<'_>,
        span: &OpenSpan,
    ) -> Option<Box<Content>> {
        let wanted = self.format.wanted();
        let has_own_name = beginning.subject == Subject::Node && line.place(Field::Operation).is_some();
        if !(wanted.is_all() || beginning.subject == Subject::Span || has_own_name) {
            return None;
        }
        let number = line.number;
        if self.held_bytes + line.text.len() > self.config.held_bytes_max {
            let limit_bytes = self.config.held_bytes_max;
            self.report(number, EventProblemKind::TooMuchHeld { limit_bytes });
            if !wanted.is_all() {
                return None;
            }
        }
        let mut problems = Vec::new();
        let fits = self.held_bytes + line.text.len() <= self.config.held_bytes_max;
        let mut report = |kind| problems.push(kind);
        let mut content = if fits {
            Content::begun(line, beginning, span.kind, span.start_ns, wanted, &mut report)
        } else {
            Content::bare(beginning, span.kind, span.start_ns)
        };
        for problem in problems {
            self.report(number, problem);
        }
        let trace = &self.traces[index];
        let around = span.parent.and_then(|parent| trace.get(parent));
        let parent = match &whereabouts.parent_span_id {
            Some(given) => Some(given.as_ref()),
            None => around
                .and_then(|around| around.content.as_ref())
                .map(|content| content.id.as_str()),
        };
        self.format
            .name_span(&mut content, whereabouts.span_id.as_deref(), parent);
        self.held_bytes += content.bytes;
        Some(Box::new(content))
    }

    fn ends<W: Write>(
        &mut self,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        end: &End<'_>,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        let has_trace = match &whereabouts.trace_id {
            Some(id) => self.traces.iter().any(|trace| trace.answers_to(id)),
            None => self.traces.get(self.current).is_some(),
        };
        if !has_trace && end.start_ns.is_none() {
            self.report_no_start(line, end);
            return Ok(());
        }
        let index = self.trace_of(whereabouts, out)?;
        let found = self.traces[index].ended_by(whereabouts, end);
        let span = match found {
            Some(span) => span,
            None => {
                let Some(start_ns) = end.start_ns else {
                    self.report_no_start(line, end);
                    return Ok(());
                };
                self.traces[index].tally.see(Some(start_ns));
                let opened = self.open(index, line, whereabouts, &end.beginning, Some(start_ns), out)?;
                let Some(span) = opened else {
                    return Ok(());
                };
                if let Some(id) = &whereabouts.span_id {
                    if self.ended_early.len() >= EARLY_ENDS_MAX {
                        self.ended_early.clear();
                    }
                    self.ended_early.insert(id.as_ref().into());
                }
                span
            }
        };
        if whereabouts.span_id.is_none() {
            let left = self.traces[index].left_open_in(span);
            if !left.is_empty() {
                self.report_open(index, left.iter().rev());
                if self.stopped {
                    return Ok(());
                }
                for inner in left {
                    self.close_unfinished(index, inner, out)?;
                }
            }
        }
        self.traces[index].tally.see(whereabouts.at_ns);
        self.close(index, span, line, whereabouts, end, out)
    }

    fn report_no_start(&mut self, line: &Line<'_>, end: &End<'_>) {
        let beginning = &end.beginning;
        let name = match (&beginning.name, end.names_operation) {
            (Some(name), _) => name.text.as_ref(),
            (None, true) => beginning.operation.text.as_ref(),
            (None, false) => "",
        };
        let problem = EventProblemKind::EndWithoutStart {
            line_type: beginning.subject.end_line(),
            what: beginning.subject.named(name),
            needs: beginning.subject.start_line(),
        };
        self.report(line.number, problem);
    }

    fn close<W: Write>(
        &mut self,
        index: usize,
        span: SpanRef,
        line: &Line<'_>,
        whereabouts: &Whereabouts<'_>,
        end: &End<'_>,
        out: &mut Out<W>,
    ) -> io::Result<()> {
        let wanted = self.format.wanted();
        let number = line.number;
        let mut problems = Vec::new();
        let Some(open) = self.traces[index].get_mut(span) else {
            return Ok(());
        };
        // A node may tell of tokens without a span for its call, and an error is shown as it ends.
        let tells_more = line.has_figures() || end.error.is_some() || self.format.reads_nodes();
        if open.content.is_none() && tells_more {
            let named = Beginning {
                subject: open.subject,
                kind: open.kind,
                name: Some(Text::of(&open.name, open.is_plain)),
                operation: Text::of(&open.operation, open.is_plain),
            };
            open.content = Some(Box::new(Content::bare(&named, open.kind, open.start_ns)));
        }
        if let Some(content) = &mut open.content {
            let before = content.bytes;
            content.ended(line, end, whereabouts.at_ns, wanted, &mut |kind| {
                problems.push(kind)
            });
            self.held_bytes += content.bytes - before;
        }
        for problem in problems {
            self.report(number, problem);
        }
        if self.stopped {
            return Ok(());
        }
        let trace = &mut self.traces[index];
        let is_root = trace.root == Some(span);
        let Some(mut open) = trace.close(span) else {
            return Ok(());
        };
        let status = if open.has_failed && end.status == SpanStatus::Ok {
            SpanStatus::Error
        } else {
            end.status
        };
        let duration_ns = end.duration_ns.or_else(|| {
            // An end before its beginning gives no duration, rather than a wrong one.
            whereabouts.at_ns?.checked_sub(open.start_ns.or(end.start_ns)?)
        });
        let ending = Ending {
            status: Some(status),
            at_ns: whereabouts.at_ns,
            duration_ns,
            is_failure_counted: open.told_error.is_some(),
        };
        if let Some(content) = &mut open.content {
            self.held_bytes = self.held_bytes.saturating_sub(content.bytes);
            content.span.status = Some(status);
            if content.is_call() && !open.has_calls {
                crate::formats::summary::add_call(&mut trace.tally.llm, &content.span);
            }
        }
        let counts_calls = open.has_calls || open.content.as_ref().is_some_and(|content| content.is_call());
        if let Some(around) = open.parent.and_then(|parent| trace.get_mut(parent)) {
            around.has_calls |= counts_calls;
            if open.kind == SpanKind::BatchItem {
                around.items += 1;
                around.items_ok += u32::from(status == SpanStatus::Ok);
            }
        }
        if open.kind == SpanKind::Node {
            trace.tally.nodes_executed += 1;
            trace.tally.nodes_failed += u64::from(status != SpanStatus::Ok);
            trace.tally.errors += u64::from(status != SpanStatus::Ok && !ending.is_failure_counted);
        }
        if is_root {
            trace.root_end = Some(RootEnd { status, duration_ns });
        }
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

    fn finish<W: Write>(&mut self, out: &mut Out<W>) -> io::Result<()> {
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
