//! The live tree: where a run is just now, on as many lines as there are.
//!
//! What runs stands in full; what has ended is one line, or a count where there is no room. Never draws: it gives
//! the lines.

use std::collections::VecDeque;

use flowmeter_model::{LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TimestampNs};
use owo_colors::Style;
use rustc_hash::{FxHashMap, FxHashSet};

use super::line::{Line, LineStyle};
use super::summary::{add_call, spend_of_calls};
use super::wording::{
    format_duration, is_first_attempt, items_note, label_of, level_style, message_lines, number_of,
    printable_name, spend_of,
};
use crate::aggregate::LlmTotals;

/// How many running spans are remembered.
const OPEN_MAX: usize = 65_536;
/// How many of the things that happened last are remembered: more than any screen has lines.
const RECENT_MAX: usize = 512;
/// The marks of what runs, one after the other.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Lines of a screen that is too small for a hint at its end.
const HINT_ROWS_MIN: usize = 8;

/// The place that the tree is drawn in, and when.
#[derive(Clone, Copy, Debug)]
pub struct LiveView {
    /// Columns.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
    /// Whether escape codes for colour are written.
    pub colour: bool,
    /// The time now: what runs has run until then.
    pub now: TimestampNs,
    /// How often it was drawn before: the marks of what runs turn with it.
    pub frame: usize,
}

/// Where a run is.
pub struct LiveTree {
    heading: String,
    started: TimestampNs,
    root: Option<SpanId>,
    open: FxHashMap<SpanId, OpenSpan>,
    recent: VecDeque<Recent>,
    nodes_done: u64,
    nodes_failed: u64,
    llm: LlmTotals,
    /// Spans that run and were too many to be remembered.
    unplaced: usize,
}

/// A span that runs.
struct OpenSpan {
    /// The next span around it that has a line; `None`: it stands at the margin.
    parent: Option<SpanId>,
    /// A first attempt has no line: what is in it stands in its place.
    is_hidden: bool,
    title: String,
    start: TimestampNs,
    llm: LlmTotals,
    done: u64,
    failed: u64,
    /// How many items the batch has; 0 where it is none.
    items: u64,
    has_recent: bool,
}

/// Something that happened.
struct Recent {
    parent: Option<SpanId>,
    time: TimestampNs,
    line: Line,
}

/// One line of the tree.
enum Row<'a> {
    Open(SpanId, &'a OpenSpan),
    Recent(&'a Recent),
}

/// Rows with the times by which they are ordered.
type TimedRows<'a> = Vec<(TimestampNs, Row<'a>)>;

/// Puts rows on the stack so that the first comes off first.
fn stack<'a>(rows: Option<TimedRows<'a>>, depth: usize, pending: &mut Vec<(Row<'a>, usize)>) {
    let rows = rows.into_iter().flatten().rev();
    pending.extend(rows.map(|(_, row)| (row, depth)));
}

impl LiveTree {
    /// The tree of a run of this workflow that began then.
    #[must_use]
    pub fn new(workflow: &str, started: TimestampNs) -> Self {
        Self {
            heading: printable_name(workflow).into_owned(),
            started,
            root: None,
            open: FxHashMap::default(),
            recent: VecDeque::new(),
            nodes_done: 0,
            nodes_failed: 0,
            llm: LlmTotals::default(),
            unplaced: 0,
        }
    }

    /// Takes note of something that happened.
    pub fn apply(&mut self, event: &TelemetryEvent) {
        match event {
            TelemetryEvent::SpanStarted(span) => self.start(span),
            TelemetryEvent::SpanEnded(span) => self.end(span),
            TelemetryEvent::Log(_, log) => self.log(log, log.span_id),
        }
    }

    /// The span itself, or the next around it that has a line. The root has none: the heading stands for it.
    fn block(&self, span_id: Option<SpanId>) -> Option<SpanId> {
        let id = span_id.filter(|id| self.root != Some(*id))?;
        let span = self.open.get(&id)?;
        if span.is_hidden { span.parent } else { Some(id) }
    }

    fn start(&mut self, span: &Span) {
        if span.kind == SpanKind::Run && self.root.is_none() {
            self.root = Some(span.span_id);
        }
        if self.open.contains_key(&span.span_id) {
            return;
        }
        if self.open.len() >= OPEN_MAX {
            self.unplaced += 1;
            return;
        }
        let parent = self.block(span.parent_span_id);
        if span.kind == SpanKind::BatchItem
            && let Some(batch) = parent.and_then(|parent| self.open.get_mut(&parent))
        {
            batch.items = u64::try_from(number_of(span, "batch.count")).unwrap_or_default();
        }
        let opened = OpenSpan {
            parent,
            is_hidden: is_first_attempt(span),
            title: title_of(span),
            start: span.start,
            llm: LlmTotals::default(),
            done: 0,
            failed: 0,
            items: 0,
            has_recent: false,
        };
        self.open.insert(span.span_id, opened);
    }

    fn end(&mut self, span: &Span) {
        for log in &span.logs {
            self.log(log, log.span_id.or(Some(span.span_id)));
        }
        let did_well = span.status == Some(SpanStatus::Ok);
        if span.kind == SpanKind::Node {
            self.nodes_done += 1;
            self.nodes_failed += u64::from(!did_well);
        }
        let opened = self.open.remove(&span.span_id);
        let parent = match &opened {
            Some(opened) => opened.parent,
            None => {
                self.unplaced = self.unplaced.saturating_sub(1);
                self.block(span.parent_span_id)
            }
        };
        if span.kind == SpanKind::LlmCall {
            add_call(&mut self.llm, span);
            self.add_call_above(parent, span);
        }
        if opened.as_ref().is_some_and(|opened| opened.has_recent) {
            // They are folded into the line of the span.
            self.recent.retain(|recent| recent.parent != Some(span.span_id));
        }
        if is_first_attempt(span) && did_well || self.root == Some(span.span_id) {
            return;
        }
        if let Some(above) = parent.and_then(|parent| self.open.get_mut(&parent)) {
            above.done += 1;
            above.failed += u64::from(!did_well);
        }
        let line = ended_line(span, opened.as_ref());
        self.remember(parent, span.end.unwrap_or(span.start), line);
    }

    fn add_call_above(&mut self, parent: Option<SpanId>, call: &Span) {
        let mut next = parent;
        // An id that is used twice may lead in a circle.
        let mut steps_left = self.open.len();
        while let Some(above) = next.and_then(|id| self.open.get_mut(&id)) {
            add_call(&mut above.llm, call);
            next = above.parent;
            steps_left -= 1;
            if steps_left == 0 {
                return;
            }
        }
    }

    fn log(&mut self, log: &LogRecord, span_id: Option<SpanId>) {
        let mut lines = message_lines(&log.message).into_iter();
        let mut line = Line::default();
        let text = format!("[{}] {}", log.level, lines.next().unwrap_or_default());
        line.paint(text, level_style(log.level));
        if lines.next().is_some() {
            line.push(" …");
        }
        let parent = self.block(span_id);
        self.remember(parent, log.time, line);
    }

    fn remember(&mut self, parent: Option<SpanId>, time: TimestampNs, line: Line) {
        if let Some(above) = parent.and_then(|parent| self.open.get_mut(&parent)) {
            above.has_recent = true;
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { parent, time, line });
    }

    /// The lines, no more and no wider than the view has room for.
    #[must_use]
    pub fn lines(&self, view: LiveView) -> Vec<String> {
        let mut lines = Vec::with_capacity(view.rows);
        let mut rows_left = view.rows;
        if rows_left > 0 {
            lines.push(written(&self.heading_line(view), view));
            rows_left -= 1;
        }
        let hint = (view.rows >= HINT_ROWS_MIN).then(|| {
            rows_left -= 1;
            let mut line = Line::default();
            line.paint("Ctrl-C to leave; the run goes on", Style::new().dimmed());
            line
        });
        self.body(view, rows_left, &mut lines);
        lines.extend(hint.map(|line| written(&line, view)));
        lines
    }

    fn heading_line(&self, view: LiveView) -> Line {
        let mut line = Line::default();
        line.paint(spinner(view), Style::new().cyan());
        line.push(" ");
        line.paint(self.heading.clone(), Style::new().bold());
        let mut parts = vec![format!(" {}", elapsed(self.started, view.now))];
        let plural = if self.nodes_done == 1 { "" } else { "s" };
        parts.push(format!("{} node{plural} done", self.nodes_done));
        if self.nodes_failed > 0 {
            parts.push(format!("{} failed", self.nodes_failed));
        }
        parts.extend(spend_of_calls(&self.llm));
        line.push(parts.join(" · "));
        line
    }

    /// What runs, and in the room that is left what happened last.
    fn body(&self, view: LiveView, rows: usize, lines: &mut Vec<String>) {
        let running = self.running();
        let shown = chosen(&running, rows);
        let hidden = running.len() - shown.len() + self.unplaced;
        let room = rows.saturating_sub(shown.len() + usize::from(hidden > 0));
        let mut beneath = self.rows_beneath(&running, &shown, room);
        let mut pending: Vec<(Row<'_>, usize)> = Vec::new();
        stack(beneath.remove(&None), 1, &mut pending);
        while let Some((row, depth)) = pending.pop() {
            let mut line = Line::indented((depth * 2).min(view.columns / 2));
            match row {
                Row::Recent(recent) => line.extend(&recent.line),
                Row::Open(id, span) => {
                    line.extend(&span.line(view));
                    stack(beneath.remove(&Some(id)), depth + 1, &mut pending);
                }
            }
            lines.push(written(&line, view));
        }
        if hidden > 0 && rows > 0 {
            let mut line = Line::indented(2);
            line.paint(format!("… {hidden} more running"), Style::new().dimmed());
            lines.push(written(&line, view));
        }
    }

    /// The spans that run and have a line, earliest first. One whose surroundings have ended was lost on the way.
    fn running(&self) -> Vec<(SpanId, &OpenSpan)> {
        let is_shown = |id: SpanId, span: &OpenSpan| {
            !span.is_hidden
                && self.root != Some(id)
                && span.parent.is_none_or(|parent| self.open.contains_key(&parent))
        };
        let mut running: Vec<(SpanId, &OpenSpan)> = self
            .open
            .iter()
            .map(|(id, span)| (*id, span))
            .filter(|(id, span)| is_shown(*id, span))
            .collect();
        running.sort_unstable_by_key(|(id, span)| (span.start, *id));
        running
    }

    /// The rows beneath each span that is shown, and at the margin, in the order of time.
    fn rows_beneath<'a>(
        &'a self,
        running: &[(SpanId, &'a OpenSpan)],
        shown: &FxHashSet<SpanId>,
        room: usize,
    ) -> FxHashMap<Option<SpanId>, TimedRows<'a>> {
        let mut beneath: FxHashMap<Option<SpanId>, TimedRows<'a>> = FxHashMap::default();
        for (id, span) in running.iter().filter(|(id, _)| shown.contains(id)) {
            let parent = span.parent.filter(|parent| shown.contains(parent));
            let row = (span.start, Row::Open(*id, span));
            beneath.entry(parent).or_default().push(row);
        }
        let has_a_place = |recent: &&Recent| recent.parent.is_none_or(|parent| shown.contains(&parent));
        for recent in self.recent.iter().rev().filter(has_a_place).take(room) {
            let row = (recent.time, Row::Recent(recent));
            beneath.entry(recent.parent).or_default().push(row);
        }
        for rows in beneath.values_mut() {
            rows.sort_by_key(|(time, _)| *time);
        }
        beneath
    }
}

/// As many of what runs as there are rows for, what began last first, each with what is around it.
fn chosen(running: &[(SpanId, &OpenSpan)], rows: usize) -> FxHashSet<SpanId> {
    if running.len() <= rows {
        return running.iter().map(|(id, _)| *id).collect();
    }
    // One row says how many there are besides.
    let most = rows.saturating_sub(1);
    let by_id: FxHashMap<SpanId, &OpenSpan> = running.iter().copied().collect();
    let around: FxHashSet<SpanId> = running.iter().filter_map(|(_, span)| span.parent).collect();
    let mut shown = FxHashSet::default();
    let innermost = running.iter().rev().map(|(id, _)| *id);
    for id in innermost.filter(|id| !around.contains(id)) {
        let mut way = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !shown.contains(id) && !way.contains(id)) {
            way.push(id);
            next = by_id.get(&id).and_then(|span| span.parent);
        }
        if shown.len() + way.len() > most {
            break;
        }
        shown.extend(way);
    }
    shown
}

impl OpenSpan {
    fn line(&self, view: LiveView) -> Line {
        let mut line = Line::default();
        line.paint(spinner(view), Style::new().cyan());
        line.push(format!(" {}", self.title));
        let mut parts = vec![format!(" {}", elapsed(self.start, view.now))];
        if self.items > 0 {
            parts.push(format!("{} of {} done", self.done, self.items));
        } else if self.done > 0 {
            parts.push(format!("{} done", self.done));
        }
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        parts.extend(spend_of_calls(&self.llm));
        line.paint(parts.join(" · "), Style::new().dimmed());
        line
    }
}

fn spinner(view: LiveView) -> &'static str {
    SPINNER[view.frame % SPINNER.len()]
}

fn elapsed(since: TimestampNs, now: TimestampNs) -> String {
    let elapsed_ns = now.since(since);
    if elapsed_ns < 60_000_000_000 {
        format!("{:.1}s", (elapsed_ns / 100_000_000) as f64 / 10.0)
    } else {
        format_duration(elapsed_ns)
    }
}

fn title_of(span: &Span) -> String {
    match span.kind {
        // A run that another one started.
        SpanKind::Run => printable_name(&span.operation).into_owned(),
        _ => format!("{}{}", printable_name(&span.operation), label_of(span, 0)),
    }
}

/// The line of a span that ended: what is in it is told by numbers.
fn ended_line(span: &Span, opened: Option<&OpenSpan>) -> Line {
    let mut line = Line::default();
    let (mark, style) = match span.status {
        Some(SpanStatus::Ok) | None => ("✓", Style::new().green()),
        Some(SpanStatus::Error) => ("✗", Style::new().red()),
        Some(SpanStatus::Cancelled) => ("✗", Style::new().yellow()),
    };
    line.paint(mark, style);
    line.push(format!(" {}", title_of(span)));
    if let Some(duration_ns) = span.duration_ns() {
        line.push(format!(" ({})", format_duration(duration_ns)));
    }
    if span.status == Some(SpanStatus::Cancelled) {
        line.paint(" cancelled", style);
    }
    if let Some(opened) = opened {
        if opened.items > 0 {
            line.push(items_note(opened.done.saturating_sub(opened.failed), opened.done));
        }
        if let Some(spend) = spend_of_calls(&opened.llm) {
            line.paint(format!(" {spend}"), Style::new().dimmed());
        }
    }
    line.paint(spend_of(span), Style::new().dimmed());
    if let Some(error) = span
        .error
        .as_ref()
        .filter(|_| span.status == Some(SpanStatus::Error))
    {
        let message = message_lines(&error.message)
            .into_iter()
            .next()
            .unwrap_or_default();
        line.paint(format!(" error: {message}"), style);
    }
    line
}

fn written(line: &Line, view: LiveView) -> String {
    let style = LineStyle {
        colour: view.colour,
        width: Some(view.columns),
    };
    let mut text = Vec::new();
    // A vector takes everything.
    let _never_fails = line.write(style, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
