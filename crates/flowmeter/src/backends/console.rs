//! The console: what happens in a run as lines for the eye, while it happens.
//!
//! Never opens a stream itself: it writes to what it is given, and never looks whether that is a terminal.

use std::io::{self, Write};
use std::sync::Arc;

use flowmeter_model::{LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TraceId};
use owo_colors::Style;
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::{SmolStr, format_smolstr};

use super::{Backend, Batch, Deadline, ExportError, ReaderFacing, RunEnding, RunIdentity};
use crate::formats::line::{Line, LineStyle};
use crate::formats::summary::Summary;
use crate::formats::wording::{
    causes_of, end_name, format_duration, is_first_attempt, items_note, label_of, level_style, log_text,
    logs_dropped_note, mark_of, message_lines, number_of, printable_name, spend_of,
};

/// How many running spans are remembered; lines of more stand at the margin.
const OPEN_MAX: usize = 65_536;
/// How many spans that ended before they began (in the order of reading) are remembered.
const EARLY_MAX: usize = 4_096;
/// Steps on the way to a line's place that are named.
const PLACE_STEPS_MAX: usize = 8;
/// The deepest indentation where the width of the screen is not known.
const INDENT_MAX: usize = 80;
/// How much text is gathered before it is handed on.
const BUFFER_BYTES: usize = 64 * 1024;

/// How the console looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleConfig {
    /// Whether escape codes for colour are written. Default: no.
    pub colour: bool,
    /// Columns of the screen: longer lines are cut and end with `…`. Default: `None`, as long as they are.
    pub width: Option<usize>,
    /// The offset of the times shown, in seconds east of UTC. Default: 0.
    pub utc_offset_seconds: i32,
}

/// Writes a line when a span begins, for each log, and when a span ends; at the end a summary.
///
/// The shape is that of the human trace. Where branches run side by side, a line that does not follow its
/// parent's last line names its place.
pub struct ConsoleBackend {
    config: ConsoleConfig,
    output: ReaderFacing,
    /// Lines that are not written yet; empty between two calls.
    text: Vec<u8>,
    /// The run whose lines are being written.
    trace_id: Option<TraceId>,
    root: Option<SpanId>,
    open: FxHashMap<SpanId, OpenSpan>,
    early_ends: FxHashSet<SpanId>,
    /// Inside which span the next line would be read.
    reading: Option<SpanId>,
    /// Spans that were too many to be remembered.
    unplaced: u64,
}

struct OpenSpan {
    /// The next span around it that has a line.
    parent: Option<SpanId>,
    depth: usize,
    /// How it is named on the way to a place; empty where nothing is gained by it, and with a space before it
    /// where it belongs to what it stands in.
    step: SmolStr,
    /// A first attempt: it has no line unless it fails.
    is_hidden: bool,
    items: u64,
    items_good: u64,
}

impl ConsoleBackend {
    /// A console that writes to `output`.
    #[must_use]
    pub fn new(output: Box<dyn Write + Send>, config: ConsoleConfig) -> Self {
        Self {
            config,
            output: ReaderFacing::new(output),
            text: Vec::with_capacity(BUFFER_BYTES),
            trace_id: None,
            root: None,
            open: FxHashMap::default(),
            early_ends: FxHashSet::default(),
            reading: None,
            unplaced: 0,
        }
    }

    /// The heading of a run, when its first telemetry comes.
    fn head(&mut self, run: &RunIdentity) {
        if self.trace_id == Some(run.trace_id) {
            return;
        }
        self.trace_id = Some(run.trace_id);
        self.open.clear();
        self.early_ends.clear();
        (self.root, self.reading) = (None, None);
        let mut line = Line::default();
        line.push(format!("Workflow Trace: {}", run.trace_id));
        if !run.sampled {
            let note = " (not sampled: root, errors and LLM calls only)";
            line.paint(note, Style::new().yellow());
        }
        self.line(&line);
    }

    fn line(&mut self, line: &Line) {
        let style = LineStyle {
            colour: self.config.colour,
            width: self.config.width,
        };
        // A vector takes everything.
        let _never_fails = line.write(style, &mut self.text);
        self.text.push(b'\n');
    }

    fn indented(&self, depth: usize) -> Line {
        let most = self.config.width.map_or(INDENT_MAX, |width| width / 2);
        Line::indented((depth * 2).min(most))
    }

    /// The span itself, or the next around it that has a line; and how deep what is inside it stands.
    fn block(&self, span_id: Option<SpanId>) -> (Option<SpanId>, usize) {
        match span_id.and_then(|id| Some((id, self.open.get(&id)?))) {
            Some((_, span)) if span.is_hidden => (span.parent, span.depth),
            Some((id, span)) => (Some(id), span.depth + 1),
            // Nobody saw it begin: it is somewhere in the run.
            None => (self.root, usize::from(self.root.is_some())),
        }
    }

    /// The way from the root to a span: `fetch #3/parse attempt 2`.
    fn place(&self, span_id: Option<SpanId>) -> String {
        let mut steps: Vec<&str> = Vec::new();
        let mut next = span_id;
        // An id that is used twice may lead in a circle: the way goes up, or it ends.
        let mut beneath = usize::MAX;
        while let Some(span) = next.and_then(|id| self.open.get(&id)) {
            if span.depth >= beneath {
                break;
            }
            beneath = span.depth;
            if !span.step.is_empty() {
                steps.push(&span.step);
            }
            next = span.parent;
        }
        let mut place = String::new();
        let left_out = steps.len().saturating_sub(PLACE_STEPS_MAX);
        steps.truncate(PLACE_STEPS_MAX);
        if left_out > 0 {
            place.push('…');
        }
        for step in steps.into_iter().rev() {
            if !place.is_empty() && !step.starts_with(' ') {
                place.push('/');
            }
            place.push_str(step);
        }
        place.trim_start().to_owned()
    }

    fn started(&mut self, span: &Span) {
        if self.early_ends.remove(&span.span_id) {
            return;
        }
        let is_root = span.kind == SpanKind::Run && self.root.is_none();
        let (parent, depth) = if is_root {
            (None, 0)
        } else {
            self.block(span.parent_span_id)
        };
        if is_root {
            self.root = Some(span.span_id);
        }
        let is_hidden = is_first_attempt(span);
        if self.open.len() < OPEN_MAX {
            let remembered = OpenSpan {
                parent,
                depth,
                step: step_of(span),
                is_hidden,
                items: 0,
                items_good: 0,
            };
            self.open.insert(span.span_id, remembered);
        } else {
            self.unplaced += 1;
        }
        if is_hidden {
            return;
        }
        let mut line = self.indented(depth);
        line.paint("→", Style::new().cyan());
        line.push(format!(
            " {}{}",
            printable_name(&span.operation),
            label_of(span, self.config.utc_offset_seconds)
        ));
        if self.reading != parent {
            self.name_place(parent, &mut line);
        }
        self.line(&line);
        self.reading = Some(span.span_id);
    }

    fn name_place(&self, span_id: Option<SpanId>, line: &mut Line) {
        let place = self.place(span_id);
        if !place.is_empty() {
            line.paint(format!(" in [{place}]"), Style::new().dimmed());
        }
    }

    fn log(&mut self, log: &LogRecord, span_id: Option<SpanId>) {
        let (block, depth) = self.block(span_id);
        let style = level_style(log.level);
        let place = if self.reading == block {
            String::new()
        } else {
            self.place(block)
        };
        let mut lines = message_lines(&log_text(log)).into_iter();
        let mut line = self.indented(depth);
        line.paint(format!("[{}] ", log.level), style);
        if !place.is_empty() {
            line.paint(format!("[{place}] "), Style::new().dimmed());
        }
        line.paint(lines.next().unwrap_or_default(), style);
        self.line(&line);
        for text in lines {
            let mut line = self.indented(depth + 1);
            line.paint(text, style);
            self.line(&line);
        }
        self.reading = block;
    }

    fn ended(&mut self, span: &Span) {
        for log in &span.logs {
            self.log(log, log.span_id.or(Some(span.span_id)));
        }
        let remembered = self.open.remove(&span.span_id);
        if remembered.is_none() && self.early_ends.len() < EARLY_MAX {
            self.early_ends.insert(span.span_id);
        }
        let (parent, depth) = match &remembered {
            Some(open) => (open.parent, open.depth),
            None if span.kind == SpanKind::Run => (None, 0),
            None => self.block(span.parent_span_id),
        };
        if span.kind == SpanKind::BatchItem
            && let Some(batch) = parent.and_then(|parent| self.open.get_mut(&parent))
        {
            batch.items += 1;
            batch.items_good += u64::from(span.status == Some(SpanStatus::Ok));
        }
        if is_first_attempt(span) && span.status == Some(SpanStatus::Ok) {
            return;
        }
        if let Some(note) = logs_dropped_note(span) {
            let mut line = self.indented(depth + 1);
            line.paint(note, Style::new().yellow());
            self.line(&line);
        }
        self.error(span, depth);
        let mut line = self.indented(depth);
        line.paint("←", Style::new().cyan());
        line.push(format!(" {}", end_name(span)));
        if self.reading != Some(span.span_id) && span.kind != SpanKind::Run {
            line.push(label_of(span, self.config.utc_offset_seconds));
            if self.reading != parent {
                self.name_place(parent, &mut line);
            }
        }
        if let Some(duration_ns) = span.duration_ns() {
            line.push(format!(" ({})", format_duration(duration_ns)));
        }
        if let Some((mark, style)) = mark_of(span) {
            line.push(" ");
            line.paint(mark, style);
        }
        if let Some(open) = &remembered {
            line.push(items_note(open.items_good, open.items));
        }
        line.push(spend_of(span));
        self.line(&line);
        self.reading = parent;
        if self.root == Some(span.span_id) {
            self.root = None;
        }
    }

    fn error(&mut self, span: &Span, depth: usize) {
        let Some(error) = &span.error else { return };
        let messages = std::iter::once(("error: ", 1, error.message.as_str()))
            .chain(causes_of(error).map(|cause| ("caused by: ", 2, cause)));
        for (what, deeper, message) in messages {
            let mut lines = message_lines(message).into_iter();
            let mut line = self.indented(depth + deeper);
            let style = if deeper == 1 {
                Style::new().red().bold()
            } else {
                Style::new()
            };
            line.paint(what.trim_end(), style);
            line.push(format!(" {}", lines.next().unwrap_or_default()));
            self.line(&line);
            for text in lines {
                let mut line = self.indented(depth + deeper + 1);
                line.push(text);
                self.line(&line);
            }
        }
    }

    /// Hands the lines to the output.
    fn hand_on(&mut self) -> Result<(), ExportError> {
        self.output.hand_on(&mut self.text).map_err(failed)
    }
}

fn failed(source: io::Error) -> ExportError {
    ExportError::new("the console could not be written").with_source(source)
}

/// How a span is named on the way to a place.
fn step_of(span: &Span) -> SmolStr {
    match span.kind {
        SpanKind::Run | SpanKind::Workflow => SmolStr::default(),
        SpanKind::Node => match span.attributes.get_str("node.id") {
            Some(id) => SmolStr::new(printable_name(id)),
            None => SmolStr::new(printable_name(&span.operation)),
        },
        SpanKind::BatchItem => format_smolstr!(" #{}", number_of(span, "batch.index") + 1),
        SpanKind::Iteration => format_smolstr!(" round {}", number_of(span, "loop.iteration")),
        SpanKind::Attempt if is_first_attempt(span) => SmolStr::default(),
        SpanKind::Attempt => format_smolstr!(" attempt {}", number_of(span, "attempt.number")),
        SpanKind::LlmCall | SpanKind::Custom => SmolStr::new(printable_name(&span.operation)),
    }
}

impl Backend for ConsoleBackend {
    fn name(&self) -> &str {
        "console"
    }

    fn begin(&mut self, run: &Arc<RunIdentity>, _deadline: &Deadline) -> Result<(), ExportError> {
        self.head(run);
        self.hand_on()
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.head(&batch.run);
        let mut outcome = Ok(());
        for event in &batch.events {
            match event {
                TelemetryEvent::SpanStarted(span) => self.started(span),
                TelemetryEvent::SpanEnded(span) => self.ended(span),
                TelemetryEvent::Log(_, log) => self.log(log, log.span_id),
            }
            if self.text.len() >= BUFFER_BYTES {
                outcome = outcome.and(self.hand_on());
            }
        }
        outcome.and(self.hand_on())
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        self.text.push(b'\n');
        // A vector takes everything.
        let _never_fails = Summary::of_metrics(&ending.metrics).write(&mut self.text);
        let mut warnings = Vec::new();
        if ending.dropped.total() > 0 {
            warnings.push(format!(
                "{} records of telemetry were dropped",
                ending.dropped.total()
            ));
        }
        if self.unplaced > 0 {
            let most = "too many ran at a time for all to stand at their place";
            warnings.push(format!("{most}: {} do not", self.unplaced));
        }
        for warning in warnings {
            let mut line = Line::default();
            line.push("- ");
            line.paint(warning, Style::new().yellow());
            self.line(&line);
        }
        self.hand_on()
    }
}

#[cfg(test)]
mod tests;
