//! What is kept comes back, whatever order it came in.
//!
//! Never asks for sums or filters.

use std::ops::ControlFlow;
use std::sync::Arc;

use flowmeter_model::{
    AttributeValue, Attributes, LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent,
    TimestampNs,
};
use serde_json::json;

use super::samples::*;
use super::{ELSEWHERE, Open, Surroundings, settle};
use crate::{Append, LogFilter, ProcessMark, RunFilter, RunKey, RunStatus, Store};

fn began(span: Span) -> TelemetryEvent {
    TelemetryEvent::SpanStarted(Box::new(span))
}

fn ended_event(span: Span) -> TelemetryEvent {
    TelemetryEvent::SpanEnded(Box::new(span))
}

pub fn what_is_flushed_can_be_asked_for(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    assert!(runs(&*opened.store, &RunFilter::default()).is_empty());
    let mut sample = Sample::new(1, "greet", MARCH);
    let node = sample.node("ask", after(1), SECOND);
    sample.call(node, Call::default(), after(2), SECOND / 2);
    sample.log(after(3), LogLevel::Info, "hello");
    let key = sample.append(&*opened.store, 2 * SECOND);
    opened.store.flush().unwrap();
    for _ in 0..2 {
        let rows = runs(&*opened.store, &RunFilter::default());
        let row = rows.first().unwrap();
        assert_eq!((rows.len(), row.key, row.status), (1, key, RunStatus::Ok));
        assert_eq!((row.spans, row.logs, row.nodes, row.llm_calls), (3, 1, 1, 1));
        assert_eq!((row.started, row.ended), (MARCH, Some(after(2 * SECOND))));
        assert_eq!(row.cost.known.0, 1_000_000);
        assert_eq!(row.models, ["gpt-4o"]);
        assert_eq!(spans(&*opened.store, &key).len(), 3);
        assert_eq!(opened.store.span_rows(&key).unwrap().len(), 3);
        assert_eq!(logs(&*opened.store, &LogFilter::default()).len(), 1);
        let detail = opened.store.run(&key).unwrap().unwrap();
        assert_eq!((&detail.row, detail.metrics), (row, Some(json!({"nodes": 1}))));
        assert!(detail.open.is_empty());
        settle(&opened);
    }
}

pub fn a_span_that_comes_twice_is_kept_once(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    for round in 0..3 {
        let mut sample = Sample::new(3, "again", MARCH);
        let mut span = rich_span(&mut sample, after(10));
        span.logs.push(LogRecord {
            time: after(11),
            level: LogLevel::Warn,
            message: "once".to_owned(),
            target: None,
            span_id: None,
            attributes: Attributes::new(),
        });
        if round == 2 {
            // What came first stays.
            span.operation = "node.other".into();
        }
        sample.keep(span);
        let key = sample.append(&*opened.store, SECOND);
        if round > 0 {
            settle(&opened);
        }
        opened.store.flush().unwrap();
        let kept = spans(&*opened.store, &key);
        assert_eq!(kept.len(), 2, "round {round}");
        assert_eq!(kept[1].operation, "node.http");
        assert_eq!(logs(&*opened.store, &LogFilter::default()).len(), 1);
        assert_eq!(runs(&*opened.store, &RunFilter::default())[0].spans, 2);
    }
    // Also within one list.
    let mut sample = Sample::new(33, "twins", MARCH);
    let span = rich_span(&mut sample, after(10));
    sample.keep(span.clone());
    sample.keep(span);
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    assert_eq!(spans(&*opened.store, &key).len(), 2);
}

pub fn spans_come_in_the_order_of_their_start(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(4, "order", MARCH);
    for number in 0..200_u64 {
        // Children end first; some start at once.
        sample.node(&format!("n{number}"), after(1 + (number * 37) % 100), 5);
    }
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    let order: Vec<(TimestampNs, SpanId)> = spans(&*opened.store, &key)
        .iter()
        .map(|span| (span.start, span.span_id))
        .collect();
    assert_eq!(order.len(), 201);
    assert!(order.is_sorted(), "{order:?}");
    let rows: Vec<(TimestampNs, SpanId)> = opened
        .store
        .span_rows(&key)
        .unwrap()
        .iter()
        .map(|row| (row.start, row.span_id))
        .collect();
    assert_eq!(rows, order);
}

pub fn an_open_span_is_shown_until_it_ends(open: Open<'_>) {
    let surroundings = Surroundings::at(after(HOUR));
    surroundings.alive.lock().insert(11);
    let opened = open(&surroundings);
    let mut sample = Sample::new(5, "long", MARCH).process(11);
    let store = &*opened.store;
    let key = sample.key;
    let root = sample.root.clone();
    let node = sample.span(key.root_span_id, SpanKind::Node, "node.sleep", after(5));
    store
        .append(Append::Began(Box::new(sample.start.clone())))
        .unwrap();
    store
        .append(Append::Events(
            key,
            vec![began(root.clone()), began(node.clone())],
        ))
        .unwrap();
    store.flush().unwrap();
    let detail = store.run(&key).unwrap().unwrap();
    assert_eq!(detail.open, [root.clone(), node.clone()]);
    assert_eq!((detail.row.spans, detail.row.status), (0, RunStatus::Running));
    assert_eq!(detail.metrics, None);
    assert!(spans(store, &key).is_empty());

    let node = ended(node, 7);
    store
        .append(Append::Events(key, vec![ended_event(node.clone())]))
        .unwrap();
    settle(&opened);
    let detail = store.run(&key).unwrap().unwrap();
    assert_eq!(detail.open, std::slice::from_ref(&root));
    assert_eq!((detail.row.spans, detail.row.ended), (1, Some(after(12))));
    assert_eq!(spans(store, &key), [node]);

    store
        .append(Append::Events(key, vec![ended_event(ended(root, 20))]))
        .unwrap();
    store
        .append(Append::Ended(Box::new(sample.end(after(20)))))
        .unwrap();
    settle(&opened);
    let detail = store.run(&key).unwrap().unwrap();
    assert!(detail.open.is_empty());
    assert_eq!(
        (detail.row.status, detail.row.ended),
        (RunStatus::Ok, Some(after(20)))
    );
}

pub fn a_run_without_an_end_runs_or_is_interrupted(open: Open<'_>) {
    let surroundings = Surroundings::at(after(HOUR));
    surroundings.alive.lock().insert(21);
    let opened = open(&surroundings);
    let store = &*opened.store;
    let begin = |sample: Sample| {
        store
            .append(Append::Began(Box::new(sample.start.clone())))
            .unwrap();
        sample.key
    };
    let alive = begin(Sample::new(6, "alive", MARCH).process(21));
    let gone = begin(Sample::new(7, "gone", MARCH).process(22));
    let file = begin(Sample::new(8, "file", MARCH));
    let mut far = Sample::new(9, "far", MARCH);
    far.start.process = Some(ProcessMark {
        host: ELSEWHERE.into(),
        pid: 21,
        started: 7,
    });
    let far = begin(far);
    settle(&opened);
    let status = |key: &RunKey| store.run(key).unwrap().unwrap().row.status;
    assert_eq!(status(&alive), RunStatus::Running);
    assert_eq!(status(&gone), RunStatus::Interrupted);
    assert_eq!(status(&file), RunStatus::Interrupted);
    assert_eq!(status(&far), RunStatus::Running);
    let running = RunFilter {
        statuses: vec![RunStatus::Running],
        ..RunFilter::default()
    };
    let mut found = keys(&runs(store, &running));
    found.sort();
    let mut wanted = vec![alive, far];
    wanted.sort();
    assert_eq!(found, wanted);
    // A day later nobody has heard of the far one.
    surroundings.clock.advance(DAY);
    assert_eq!(status(&far), RunStatus::Interrupted);
    surroundings.alive.lock().clear();
    assert_eq!(status(&alive), RunStatus::Interrupted);
    let interrupted = RunFilter {
        statuses: vec![RunStatus::Interrupted],
        ..RunFilter::default()
    };
    assert_eq!(runs(store, &interrupted).len(), 4);
}

pub fn a_run_nobody_began_is_told_by_its_root(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let mut sample = Sample::new(10, "imported", MARCH);
    let node = sample.node("ask", after(1), SECOND);
    sample.call(node, Call::default(), after(2), SECOND / 2);
    sample.call(
        node,
        Call {
            model: "claude",
            ..Call::default()
        },
        after(3),
        SECOND / 2,
    );
    let key = sample.key;
    store
        .append(Append::Events(key, std::mem::take(&mut sample.events)))
        .unwrap();
    store.flush().unwrap();
    assert_eq!(
        runs(store, &RunFilter::default())[0].status,
        RunStatus::Interrupted
    );
    let mut root = ended(sample.root.clone(), 4 * SECOND);
    root.parent_span_id = SpanId::from_u64(99);
    root.error = Some(failure());
    root.status = Some(SpanStatus::Error);
    store
        .append(Append::Events(key, vec![ended_event(root)]))
        .unwrap();
    settle(&opened);
    let row = runs(store, &RunFilter::default()).remove(0);
    assert_eq!(row.workflow, "imported");
    assert_eq!((row.status, row.error), (RunStatus::Error, Some(failure())));
    assert_eq!((row.started, row.ended), (MARCH, Some(after(4 * SECOND))));
    assert_eq!(row.parent_span_id, SpanId::from_u64(99));
    assert_eq!((row.nodes, row.llm_calls, row.tokens.input), (1, 2, 200));
    assert_eq!((row.cost.calls, row.cost.known.0), (2, 2_000_000));
    assert_eq!(row.models, ["claude", "gpt-4o"]);
    assert!(
        store
            .span_rows(&key)
            .unwrap()
            .iter()
            .all(|row| row.workflow == "imported")
    );
    let by_name = RunFilter {
        workflows: vec!["imported".to_owned()],
        ..RunFilter::default()
    };
    assert_eq!(runs(store, &by_name).len(), 1);
}

pub fn a_beginning_said_again_changes_nothing(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let sample = Sample::new(11, "first", MARCH).tag("team", "blue");
    let mut again = sample.start.clone();
    again.workflow = "second".into();
    again.origin.tags.clear();
    let mut end = sample.end(after(SECOND));
    let key = sample.append(store, SECOND);
    store.append(Append::Began(Box::new(again))).unwrap();
    end.status = RunStatus::Error;
    end.ended = after(9 * SECOND);
    store.append(Append::Ended(Box::new(end))).unwrap();
    settle(&opened);
    let row = store.run(&key).unwrap().unwrap().row;
    assert_eq!((row.workflow.as_str(), row.status), ("first", RunStatus::Ok));
    assert_eq!(row.ended, Some(after(SECOND)));
    assert_eq!(row.origin.tags, [("team".to_owned(), "blue".to_owned())]);
}

pub fn logs_in_a_span_stand_apart(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(12, "talk", MARCH);
    let mut span = rich_span(&mut sample, after(10));
    let attributes: Attributes = [("k".into(), AttributeValue::from("v"))].into_iter().collect();
    let record = |time, message: &str, span_id| LogRecord {
        time,
        level: LogLevel::Debug,
        message: message.to_owned(),
        target: Some("a::b".into()),
        span_id,
        attributes: attributes.clone(),
    };
    span.logs = vec![
        record(after(14), "second", None),
        record(after(12), "first", Some(span.span_id)),
    ];
    let span_id = sample.keep(span.clone());
    sample.log(after(16), LogLevel::Info, "third");
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    span.logs.clear();
    assert_eq!(opened.store.span(&key, span_id).unwrap(), Some(span));
    let found = logs(&*opened.store, &LogFilter::default());
    let messages: Vec<&str> = found.iter().map(|log| log.record.message.as_str()).collect();
    assert_eq!(messages, ["first", "second", "third"]);
    assert_eq!(found[0].record, record(after(12), "first", Some(span_id)));
    assert_eq!(found[1].record, record(after(14), "second", Some(span_id)));
    assert!(found.iter().all(|log| log.run == key));
}

pub fn nodes_are_told_by_the_spans_around(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let mut sample = Sample::new(13, "nest", MARCH);
    let key = sample.key;
    let root = sample.root.clone();
    let named = |mut span: Span, name: &str| {
        span.attributes.set("node.id", name);
        span
    };
    let outer = sample.span(key.root_span_id, SpanKind::Node, "node.workflow", after(1));
    let outer = named(outer, "outer");
    let inside = sample.span(outer.span_id, SpanKind::Workflow, "workflow.sub", after(2));
    let inner = sample.span(inside.span_id, SpanKind::Node, "node.llm", after(3));
    let inner = named(inner, "inner");
    let attempt = sample.span(inner.span_id, SpanKind::Attempt, "attempt", after(4));
    let call = sample.span(attempt.span_id, SpanKind::LlmCall, "chat x", after(5));
    let lone = sample.span(key.root_span_id, SpanKind::LlmCall, "chat y", after(6));
    // As it happens: spans begin from the outside in, and end from the inside out, over several lists.
    store
        .append(Append::Began(Box::new(sample.start.clone())))
        .unwrap();
    let beginnings = [&root, &outer, &inside, &inner, &attempt, &call];
    store
        .append(Append::Events(
            key,
            beginnings.map(|span| began(span.clone())).to_vec(),
        ))
        .unwrap();
    for span in [&call, &attempt, &inner, &inside, &outer, &lone, &root] {
        store
            .append(Append::Events(key, vec![ended_event(ended(span.clone(), 9))]))
            .unwrap();
        store.flush().unwrap();
    }
    // As it is imported: nothing but ends, in any order, in one list.
    let mut other = Sample::new(14, "nest", MARCH);
    let outer = other.span(other.key.root_span_id, SpanKind::Node, "node.workflow", after(1));
    let outer = named(outer, "outer");
    let inner = other.span(outer.span_id, SpanKind::Node, "node.llm", after(3));
    let inner = named(inner, "inner");
    let call = other.span(inner.span_id, SpanKind::LlmCall, "chat x", after(5));
    let imported = [&call, &inner, &outer].map(|span| ended_event(ended(span.clone(), 9)));
    store
        .append(Append::Events(other.key, imported.to_vec()))
        .unwrap();
    settle(&opened);
    let nodes = |key: &RunKey| -> Vec<String> {
        let rows = store.span_rows(key).unwrap();
        rows.iter().map(|row| row.node.to_string()).collect()
    };
    assert_eq!(
        nodes(&key),
        [
            "",
            "outer",
            "outer",
            "outer/inner",
            "outer/inner",
            "outer/inner",
            ""
        ]
    );
    assert_eq!(nodes(&other.key), ["outer", "outer/inner", "outer/inner"]);
}

pub fn a_span_kept_alone_says_its_node(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(15, "sparse", MARCH);
    sample.start.sampled = false;
    let mut span = sample.span(sample.key.root_span_id, SpanKind::LlmCall, "chat x", after(5));
    span.attributes.set("flowmeter.node.path", "outer/inner");
    sample.keep(ended(span, 4));
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    assert_eq!(opened.store.span_rows(&key).unwrap()[1].node, "outer/inner");
}

/// As far as 63 bits of nanoseconds go: the year 2262.
const FAR: u64 = i64::MAX as u64;

pub fn a_clock_that_jumps_back_does_no_harm(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let mut sample = Sample::new(17, "jump", after(10 * DAY));
    let mut span = sample.span(sample.key.root_span_id, SpanKind::Node, "node.x", after(9 * DAY));
    span.attributes.set("node.id", "x");
    // It ended before it began, and both before its run.
    span.end = Some(after(8 * DAY));
    span.status = Some(SpanStatus::Ok);
    sample.keep(span.clone());
    sample.log(TimestampNs(0), LogLevel::Info, "before everything");
    let end = sample.end(after(7 * DAY));
    store
        .append(Append::Began(Box::new(sample.start.clone())))
        .unwrap();
    store
        .append(Append::Events(sample.key, sample.events.clone()))
        .unwrap();
    store.append(Append::Ended(Box::new(end))).unwrap();
    let late = Sample::new(18, "late", TimestampNs(1)).append(store, FAR - 1);
    settle(&opened);
    let row = store.run(&sample.key).unwrap().unwrap().row;
    assert_eq!((row.started, row.ended), (after(10 * DAY), Some(after(7 * DAY))));
    assert_eq!(row.duration_ns(), Some(0));
    assert_eq!(spans(store, &sample.key), [span]);
    assert_eq!(store.span_rows(&sample.key).unwrap()[0].duration_ns, 0);
    assert_eq!(
        store.run(&late).unwrap().unwrap().row.ended,
        Some(TimestampNs(FAR))
    );
    assert_eq!(spans(store, &late)[0].end, Some(TimestampNs(FAR)));
    assert_eq!(runs(store, &RunFilter::default()).len(), 2);
    assert_eq!(logs(store, &LogFilter::default()).len(), 1);
}

pub fn a_run_of_30_000_nodes_is_whole(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let mut sample = Sample::new(21, "wide", MARCH);
    store
        .append(Append::Began(Box::new(sample.start.clone())))
        .unwrap();
    for number in 0..30_000_u64 {
        sample.node(&format!("n{}", number % 50), after(number * 1_000), 900);
        if number % 500 == 499 {
            let events = std::mem::take(&mut sample.events);
            store.append(Append::Events(sample.key, events)).unwrap();
        }
    }
    let key = sample.append(store, SECOND);
    settle(&opened);
    let rows = store.span_rows(&key).unwrap();
    assert_eq!(rows.len(), 30_001);
    assert!(rows.is_sorted_by_key(|row| (row.start, row.span_id)));
    let mut seen = 0_usize;
    store
        .spans(&key, &mut |span| {
            assert_eq!(span.span_id, rows[seen].span_id);
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, 30_001);
    let row = store.run(&key).unwrap().unwrap().row;
    assert_eq!((row.spans, row.nodes), (30_001, 30_000));
}

pub fn writers_at_once_lose_nothing(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let threads: Vec<_> = (0..8_u64)
        .map(|thread| {
            let store = Arc::clone(&opened.store);
            std::thread::spawn(move || {
                for number in 0..20_u64 {
                    let begins = after(thread * SECOND + number * 1_000);
                    let mut sample = Sample::new(1_000 + thread * 100 + number, "many", begins);
                    for _ in 0..5 {
                        let node = sample.node("n", begins, 5);
                        sample.call(node, Call::default(), begins, 3);
                    }
                    sample.append(&*store, 10);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    settle(&opened);
    let found = runs(&*opened.store, &RunFilter::default());
    assert_eq!(found.len(), 160);
    assert!(
        found
            .iter()
            .all(|row| row.spans == 11 && row.cost.known.0 == 5_000_000)
    );
    assert_eq!(scan(&*opened.store, &crate::SpanFilter::default()).len(), 1_760);
}

pub fn a_visitor_ends_it_early(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(23, "early", MARCH);
    for number in 0..100 {
        sample.node("n", after(number), 1);
        sample.log(after(number), LogLevel::Info, "line");
    }
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    let stop_at_3 = |seen: &mut usize| {
        *seen += 1;
        if *seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let mut seen = [0_usize; 3];
    opened
        .store
        .spans(&key, &mut |_| stop_at_3(&mut seen[0]))
        .unwrap();
    opened
        .store
        .scan(&Default::default(), &mut |_| stop_at_3(&mut seen[1]))
        .unwrap();
    opened
        .store
        .logs(&Default::default(), &mut |_| stop_at_3(&mut seen[2]))
        .unwrap();
    assert_eq!(seen, [3, 3, 3]);
}

pub fn an_unknown_run_is_nothing(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    Sample::new(24, "known", MARCH).append(&*opened.store, 1);
    settle(&opened);
    let unknown = Sample::new(25, "unknown", MARCH).key;
    assert!(opened.store.run(&unknown).unwrap().is_none());
    assert!(spans(&*opened.store, &unknown).is_empty());
    assert!(opened.store.span_rows(&unknown).unwrap().is_empty());
    assert!(
        opened
            .store
            .span(&unknown, unknown.root_span_id)
            .unwrap()
            .is_none()
    );
    let known = Sample::new(24, "known", MARCH).key;
    assert!(opened.store.span(&known, unknown.root_span_id).unwrap().is_none());
    // Nothing happened in it.
    opened.store.append(Append::Events(unknown, Vec::new())).unwrap();
    settle(&opened);
    assert_eq!(runs(&*opened.store, &RunFilter::default()).len(), 1);
}

/// A store may be asked while one answers.
#[allow(dead_code, reason = "proves that the trait can be used from any thread")]
fn is_shared(store: Arc<dyn Store>) -> impl Send + Sync {
    store
}
