//! The order of events: whatever the order of the lines, and however they are cut into groups.

use flowmeter_model::{
    Attributes, IdSource, LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent,
    TimestampNs, TraceId,
};

use super::{LineRead, Sequence, WAITS_MAX};

fn trace_id() -> TraceId {
    IdSource::from_seed(1).trace_id()
}

fn span(id: u64, parent: u64, start: u64) -> Span {
    let id = SpanId::from_u64(id).unwrap();
    let operation = format!("s{}", id.to_u64());
    let (parent, start) = (SpanId::from_u64(parent), TimestampNs(start));
    Span::begin(trace_id(), id, parent, SpanKind::Node, operation, start)
}

fn open(id: u64, parent: u64, start: u64) -> LineRead {
    LineRead::Open(span(id, parent, start))
}

fn ended(id: u64, parent: u64, start: u64, end: u64) -> LineRead {
    let mut span = span(id, parent, start);
    span.end = Some(TimestampNs(end));
    span.status = Some(SpanStatus::Ok);
    LineRead::Ended(span)
}

fn log(span_id: u64, time: u64) -> LineRead {
    LineRead::Log(LogRecord {
        time: TimestampNs(time),
        level: LogLevel::Info,
        message: format!("{span_id}@{time}"),
        target: None,
        span_id: SpanId::from_u64(span_id),
        attributes: Attributes::new(),
    })
}

/// `>1` for a beginning, `<1` for an end, `"1@5"` for a log.
fn told(groups: Vec<Vec<LineRead>>) -> String {
    let mut sequence = Sequence::default();
    let count = groups.len();
    let mut text = Vec::new();
    for (number, lines) in groups.into_iter().enumerate() {
        let mut events = Vec::new();
        sequence.order(lines, trace_id(), number + 1 == count, &mut events);
        text.push(
            events
                .iter()
                .map(|event| match event {
                    TelemetryEvent::SpanStarted(span) => format!(">{}", span.span_id.to_u64()),
                    TelemetryEvent::SpanEnded(span) => format!("<{}", span.span_id.to_u64()),
                    TelemetryEvent::Log(_, log) => log.message.clone(),
                })
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    text.join(" | ")
}

#[test]
fn spans_begin_before_what_is_in_them_and_end_after_it() {
    // As a file has it: what ends first stands first, and what goes on comes last.
    let lines = vec![
        log(3, 4),
        ended(3, 2, 3, 5),
        ended(2, 1, 2, 6),
        open(4, 1, 7),
        open(1, 0, 1),
    ];
    assert_eq!(told(vec![lines]), ">1 >2 >3 3@4 <3 <2 >4");
}

#[test]
fn a_span_that_was_told_to_be_open_begins_once() {
    let groups = vec![
        vec![open(1, 0, 1), open(2, 1, 2)],
        vec![log(2, 3)],
        vec![ended(2, 1, 2, 4), ended(1, 0, 1, 5)],
    ];
    assert_eq!(told(groups), ">1 >2 | 2@3 | <2 <1");
}

#[test]
fn children_wait_for_their_parent_but_not_for_long() {
    let groups = vec![
        vec![ended(3, 2, 3, 4), log(3, 3)],
        vec![open(2, 1, 2), open(1, 0, 1)],
        vec![],
    ];
    assert_eq!(told(groups), " | >1 >2 >3 3@3 <3 | ");
    let lost = vec![vec![ended(3, 99, 3, 4)]];
    let waiting = (0..WAITS_MAX).map(|_| Vec::new());
    let groups: Vec<Vec<LineRead>> = lost.into_iter().chain(waiting).chain([vec![]]).collect();
    assert_eq!(told(groups), " |  |  | >3 <3 | ");
    assert_eq!(told(vec![vec![ended(3, 99, 3, 4)], vec![]]), " | >3 <3");
}

#[test]
fn who_waits_keeps_what_is_in_it_waiting() {
    let groups = vec![
        vec![ended(4, 3, 4, 5), log(4, 4), ended(3, 2, 3, 6)],
        vec![log(3, 3)],
        vec![open(2, 1, 2), open(1, 0, 1)],
        vec![],
    ];
    assert_eq!(told(groups), " |  | >1 >2 >3 3@3 >4 4@4 <4 <3 | ");
}

#[test]
fn what_happens_at_one_moment_stays_nested() {
    // Clocks of other tools tick in milliseconds.
    let lines = vec![
        ended(3, 2, 5, 5),
        ended(4, 2, 5, 7),
        log(4, 5),
        log(4, 7),
        ended(2, 1, 5, 7),
        ended(5, 1, 7, 8),
        ended(1, 0, 5, 8),
    ];
    assert_eq!(told(vec![lines]), ">1 >2 >3 >4 4@5 <3 4@7 <4 <2 >5 <5 <1");
}

#[test]
fn ids_that_lead_in_a_circle_come_to_an_end() {
    let text = told(vec![vec![
        ended(1, 2, 1, 2),
        ended(2, 3, 1, 2),
        ended(3, 1, 1, 2),
        ended(4, 4, 1, 2),
    ]]);
    assert_eq!(text.split(' ').count(), 8, "{text}");
}

#[test]
fn every_span_begins_once_and_ends_once() {
    arbtest::arbtest(|u| {
        let count: u64 = u.int_in_range(0..=20)?;
        let mut lines = Vec::new();
        for id in 1..=count {
            let parent = u.int_in_range(0..=count)?;
            let start = u.int_in_range(0..=20)?;
            let end = u.int_in_range(0..=30)?;
            if u.arbitrary()? {
                lines.push(open(id, parent, start));
            }
            lines.push(ended(id, parent, start, end));
        }
        let mut groups = vec![Vec::new()];
        for line in lines {
            if u.ratio(1, 4)? {
                groups.push(Vec::new());
            }
            groups.last_mut().unwrap().push(line);
        }
        let text = told(groups);
        for id in 1..=count {
            let begins = text
                .split([' ', '|'])
                .filter(|word| *word == format!(">{id}"))
                .count();
            let ends = text
                .split([' ', '|'])
                .filter(|word| *word == format!("<{id}"))
                .count();
            assert_eq!((begins, ends), (1, 1), "{id} in {text}");
            assert!(
                text.find(&format!(">{id}")) < text.find(&format!("<{id}")),
                "{id} in {text}"
            );
        }
        Ok(())
    });
}
