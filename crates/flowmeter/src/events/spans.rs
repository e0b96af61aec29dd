//! Spans that begin and end: found, opened, filled with what their lines say, closed and counted.

use std::io::{self, Write};

use flowmeter_model::{SpanKind, SpanStatus};

use super::content::Content;
use super::fields::Field;
use super::line::{Beginning, End, Line, Subject, Text, Whereabouts};
use super::nesting::{OpenSpan, RootEnd, SpanRef, Trace};
use super::out::{Ending, Out};
use super::problem::{EventProblemKind, quoted};
use super::state::State;

/// Early ends that are remembered.
const EARLY_ENDS_MAX: usize = 10_000;

impl State {
    pub(super) fn begins<W: Write>(
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
                id: quoted(id),
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
            trace.is_sampled = line.json(Field::Sampled) != Some("false");
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

    pub(super) fn ends<W: Write>(
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
        let name = match &beginning.name {
            Some(name) => name.text.as_ref(),
            None if end.names_operation => beginning.operation.text.as_ref(),
            None => "",
        };
        let problem = EventProblemKind::EndWithoutStart {
            line_type: beginning.subject.end_line(),
            what: beginning.subject.is_not_open(name),
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
                problems.push(kind);
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
        // An end before its beginning gives no duration, rather than a wrong one.
        let between_ns = whereabouts
            .at_ns
            .and_then(|at_ns| at_ns.checked_sub(open.start_ns.or(end.start_ns)?));
        let duration_ns = match (end.duration_ns, between_ns) {
            // The one that is given may be rounded, or the times may be coarse.
            (Some(given_ns), Some(between_ns)) if given_ns.abs_diff(between_ns) <= 1_000 => Some(between_ns),
            (given_ns, between_ns) => given_ns.or(between_ns),
        };
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
                around.items_ok += u64::from(status == SpanStatus::Ok);
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
        self.format.span_ends(out, trace, open, &ending)?;
        // Where traces come in turns, nobody waits for the others to know what this one came to.
        if is_root && self.traces.len() > 1 && self.traces[index].open_count() == 0 {
            return self.end_trace(index, out);
        }
        Ok(())
    }
}
