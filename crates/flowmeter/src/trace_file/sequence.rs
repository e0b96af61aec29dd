//! Puts what stands in a trace into the order in which it happened: spans stand there as they end, children before
//! their parents.
//!
//! Never holds anything back for long: what has lost its parent comes without it.

use flowmeter_model::{LogRecord, Span, SpanId, SpanKind, TelemetryEvent, TimestampNs, TraceId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::reader::LineRead;

/// How often a span is asked to wait for its parent to be named.
const WAITS_MAX: u8 = 3;
/// How many spans may wait.
const WAITING_MAX: usize = 10_000;

/// Makes events of lines, group by group.
#[derive(Default)]
pub(super) struct Sequence {
    /// Spans whose beginning was told and whose end was not.
    open: FxHashSet<SpanId>,
    /// Spans and logs whose parent is not known yet, and how often they were passed over.
    waiting: Vec<(LineRead, u8)>,
}

impl Sequence {
    /// The events of these lines and of those that have waited long enough, in their order. `is_last`: no more will
    /// come.
    pub(super) fn order(
        &mut self,
        lines: Vec<LineRead>,
        trace_id: TraceId,
        is_last: bool,
        events: &mut Vec<TelemetryEvent>,
    ) {
        let fresh = lines.into_iter().map(|line| (line, 0));
        let candidates: Vec<(LineRead, u8)> = std::mem::take(&mut self.waiting)
            .into_iter()
            .chain(fresh)
            .collect();
        let mut known = self.known(&candidates, is_last);
        let mut group = Vec::with_capacity(candidates.len());
        for (line, waits) in candidates {
            let has_its_place = match &line {
                LineRead::Open(span) | LineRead::Ended(span) => {
                    self.open.contains(&span.span_id) || known.get(&span.span_id) == Some(&true)
                }
                LineRead::Log(log) => log.span_id.is_none_or(|id| {
                    self.open.contains(&id) || *known.entry(id).or_insert(waits >= WAITS_MAX || is_last)
                }),
            };
            if has_its_place || self.waiting.len() >= WAITING_MAX {
                group.push(line);
            } else {
                self.waiting.push((line, waits + 1));
            }
        }
        self.tell(group, trace_id, events);
    }

    /// Which of the spans can be told: those whose surroundings were told or can be told with them, and those that have
    /// waited for theirs long enough.
    fn known(&self, candidates: &[(LineRead, u8)], is_last: bool) -> FxHashMap<SpanId, bool> {
        let mut around: FxHashMap<SpanId, Option<SpanId>> = FxHashMap::default();
        for (line, waits) in candidates {
            let (LineRead::Open(span) | LineRead::Ended(span)) = line else {
                continue;
            };
            // A run that another one started has its surroundings in that one's trace.
            let stands_alone = is_last || *waits >= WAITS_MAX || span.kind == SpanKind::Run;
            let parent = span.parent_span_id.filter(|_| !stands_alone);
            around.insert(span.span_id, parent);
        }
        let mut known: FxHashMap<SpanId, bool> = FxHashMap::default();
        let mut way = Vec::new();
        for span_id in around.keys() {
            let mut next = *span_id;
            let is_known = loop {
                if let Some(is_known) = known.get(&next) {
                    break *is_known;
                }
                if self.open.contains(&next) {
                    break true;
                }
                match around.get(&next) {
                    None => break false,
                    Some(parent) => {
                        // An id that is used twice may lead in a circle: nobody outside will come.
                        known.insert(next, true);
                        way.push(next);
                        match parent {
                            None => break true,
                            Some(parent) => next = *parent,
                        }
                    }
                }
            };
            known.extend(way.drain(..).map(|id| (id, is_known)));
        }
        known
    }

    fn tell(&mut self, lines: Vec<LineRead>, trace_id: TraceId, events: &mut Vec<TelemetryEvent>) {
        let moments = Moments::of(&lines);
        let mut told: Vec<(Order, TelemetryEvent)> = Vec::with_capacity(lines.len() * 2);
        for line in lines {
            match line {
                LineRead::Open(span) => {
                    if self.open.insert(span.span_id) {
                        told.push((moments.start(&span), TelemetryEvent::SpanStarted(Box::new(span))));
                    }
                }
                LineRead::Ended(span) => {
                    if self.open.insert(span.span_id) {
                        let started = begun(&span);
                        told.push((
                            moments.start(&span),
                            TelemetryEvent::SpanStarted(Box::new(started)),
                        ));
                    }
                    told.push((moments.end(&span), TelemetryEvent::SpanEnded(Box::new(span))));
                }
                LineRead::Log(log) => {
                    told.push((moments.log(&log), TelemetryEvent::Log(trace_id, Box::new(log))));
                }
            }
        }
        told.sort_by_key(|(order, _)| *order);
        for (_, event) in told {
            if let TelemetryEvent::SpanEnded(span) = &event {
                self.open.remove(&span.span_id);
            }
            events.push(event);
        }
    }
}

/// The span as it was when it began.
fn begun(span: &Span) -> Span {
    let mut begun = Span::begin(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.kind,
        span.operation.clone(),
        span.start,
    );
    begun.attributes = span.attributes.clone();
    begun
}

/// When something happened and, of what happened at one moment, what comes first: last words, ends, beginnings from
/// the outside in, first words, and the ends of what lasted no time from the inside out.
type Order = (TimestampNs, u8, i64);

const LAST_WORDS: u8 = 0;
const ENDS: u8 = 1;
const BEGINNINGS: u8 = 2;
const FIRST_WORDS: u8 = 3;
const ENDS_AT_ONCE: u8 = 4;

/// What is known of the spans of a group.
struct Moments {
    starts: FxHashMap<SpanId, TimestampNs>,
    depths: FxHashMap<SpanId, i64>,
}

impl Moments {
    fn of(lines: &[LineRead]) -> Self {
        let mut parents: FxHashMap<SpanId, Option<SpanId>> = FxHashMap::default();
        let mut starts = FxHashMap::default();
        for line in lines {
            if let LineRead::Open(span) | LineRead::Ended(span) = line {
                parents.insert(span.span_id, span.parent_span_id);
                starts.insert(span.span_id, span.start);
            }
        }
        let mut depths: FxHashMap<SpanId, i64> = FxHashMap::default();
        let mut way = Vec::new();
        for span_id in parents.keys() {
            let mut next = Some(*span_id);
            // An id that is used twice may lead in a circle: then the way ends where it began.
            while let Some(id) = next.filter(|id| !depths.contains_key(id)) {
                depths.insert(id, 0);
                way.push(id);
                next = parents.get(&id).copied().flatten();
            }
            let outermost = next.and_then(|id| depths.get(&id)).map_or(0, |depth| depth + 1);
            depths.extend(way.drain(..).rev().zip(outermost..));
        }
        Self { starts, depths }
    }

    fn depth(&self, span: &Span) -> i64 {
        self.depths.get(&span.span_id).copied().unwrap_or_default()
    }

    fn start(&self, span: &Span) -> Order {
        (span.start, BEGINNINGS, self.depth(span))
    }

    fn end(&self, span: &Span) -> Order {
        let end = span.end.unwrap_or(span.start).max(span.start);
        let rank = if end == span.start { ENDS_AT_ONCE } else { ENDS };
        (end, rank, -self.depth(span))
    }

    fn log(&self, log: &LogRecord) -> Order {
        let start = log.span_id.and_then(|id| self.starts.get(&id));
        let rank = if start == Some(&log.time) {
            FIRST_WORDS
        } else {
            LAST_WORDS
        };
        (log.time, rank, 0)
    }
}

#[cfg(test)]
mod tests;
