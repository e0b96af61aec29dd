//! Unit tests of the recorder: nothing is lost in silence, nothing changes its order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::details::SpanDetails;

fn recorder(chunks: usize, payloads: usize) -> Recorder {
    Recorder::new(RecorderConfig {
        chunks_per_thread_max: chunks,
        payloads_per_thread_max: payloads,
        id_seed: 7,
    })
}

/// A record as it was read back.
#[derive(Debug, PartialEq)]
struct Read {
    name: String,
    attributes: Vec<(String, Value)>,
}

fn attributes_of(record: RecordRef<'_>) -> Vec<(String, Value)> {
    let mut attributes = Vec::new();
    record.attributes(|key, value| {
        let value = match value {
            RecordedValue::I64(number) => json!(number),
            RecordedValue::F64(number) => json!(number),
            RecordedValue::Bool(flag) => json!(flag),
            RecordedValue::Str(text) => json!(text),
        };
        attributes.push((key.to_owned(), value));
    });
    attributes
}

fn drained(recorder: &Recorder) -> Vec<Read> {
    let mut reads = Vec::new();
    recorder.drain(|record| {
        reads.push(Read {
            name: record.name().to_string(),
            attributes: attributes_of(record),
        });
    });
    reads
}

#[test]
fn a_record_holds_ids_times_and_attributes_of_all_types() {
    let recorder = recorder(4, 4);
    let before = Ticks::now();
    let outer = recorder.span("outer", None);
    let mut inner = recorder.span("inner", outer.id());
    inner.set("whole", -5_i64);
    inner.set("real", 2.5);
    inner.set("flag", true);
    inner.set("text", "Grüße, 世界");
    inner.set("empty", "");
    inner.set_with("seventh", || i64::MAX);
    let (outer_id, inner_id) = (outer.id(), inner.id());
    assert!(inner.is_recording());
    inner.end();
    drop(outer);
    let after = Ticks::now();
    let mut seen = Vec::new();
    recorder.drain(|record| {
        assert_eq!(record.kind(), RecordKind::End);
        assert!(before <= record.start() && record.start() <= record.end() && record.end() <= after);
        seen.push((record.span_id(), record.parent_span_id(), attributes_of(record)));
    });
    let expected = [
        ("whole", json!(-5)),
        ("real", json!(2.5)),
        ("flag", json!(true)),
        ("text", json!("Grüße, 世界")),
        ("empty", json!("")),
        ("seventh", json!(i64::MAX)),
    ]
    .map(|(key, value)| (key.to_owned(), value));
    assert_eq!(
        seen,
        [
            (inner_id, outer_id, expected.to_vec()),
            (outer_id, None, Vec::new())
        ]
    );
    assert_eq!(recorder.drain(|_| ()), 0, "what was read is forgotten");
}

#[test]
fn many_attributes_and_long_texts_survive() {
    let recorder = recorder(8, 4);
    let long = "ß".repeat(7_001);
    let name: &'static str = Box::leak("n".repeat(3_000).into_boxed_str());
    let mut span = recorder.span(name, None);
    for number in 0..300_i64 {
        span.set("n", number);
    }
    span.set("long", long.as_str());
    drop(span);
    let reads = drained(&recorder);
    assert_eq!(reads[0].name, name);
    assert_eq!(reads[0].attributes.len(), 301);
    assert_eq!(reads[0].attributes[299].1, 299);
    assert_eq!(reads[0].attributes[300].1, long);
    assert_eq!(recorder.dropped(), DropCounts::default());
}

#[test]
fn any_attributes_come_back_as_they_were_set() {
    arbtest::arbtest(|u| {
        let recorder = recorder(64, 4);
        let mut expected = Vec::new();
        for _ in 0..u.int_in_range(0..=40)? {
            let mut span = recorder.span("s", None);
            let mut set = Vec::new();
            for _ in 0..u.int_in_range(0..=30)? {
                let key = *u.choose(&["k", "key.eight", "a.rather.long.key.name", ""])?;
                let value = match u.int_in_range(0..=3)? {
                    0 => {
                        let number: i64 = u.arbitrary()?;
                        span.set(key, number);
                        json!(number)
                    }
                    1 => {
                        let number = f64::from(u.arbitrary::<i32>()?) / 8.0;
                        span.set(key, number);
                        json!(number)
                    }
                    2 => {
                        let flag: bool = u.arbitrary()?;
                        span.set(key, flag);
                        json!(flag)
                    }
                    _ => {
                        let text: String = u.arbitrary()?;
                        span.set(key, text.as_str());
                        json!(text)
                    }
                };
                set.push((key.to_owned(), value));
            }
            drop(span);
            expected.push(Read {
                name: "s".to_owned(),
                attributes: set,
            });
        }
        assert_eq!(drained(&recorder), expected);
        Ok(())
    });
}

#[test]
fn records_of_every_size_cross_the_chunks_ends() {
    for bytes in [0, 1, 7, 8, 9, 100, 4_000, 16_000, 32_000] {
        let recorder = recorder(200, 4);
        let text = "x".repeat(bytes);
        let count = 150;
        for number in 0..count {
            let mut span = recorder.span("s", None);
            span.set("n", number);
            span.set("text", text.as_str());
        }
        let reads = drained(&recorder);
        let numbers: Vec<i64> = reads
            .iter()
            .map(|read| read.attributes[0].1.as_i64().unwrap())
            .collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{bytes}");
        assert!(reads.iter().all(|read| read.attributes[1].1 == text));
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    arbtest::arbtest(|u| {
        let recorder = recorder(u.int_in_range(2..=4)?, 4);
        let (mut recorded, mut kept) = (0_u64, 0_u64);
        for _ in 0..u.int_in_range(1..=6)? {
            for _ in 0..u.int_in_range(0..=60)? {
                let bytes = *u.choose(&[0_usize, 500, 5_000, 20_000, 40_000])?;
                let mut span = recorder.span("s", None);
                span.set("text", "x".repeat(bytes).as_str());
                recorded += 1;
            }
            if u.arbitrary()? {
                kept += drained(&recorder).len() as u64;
            }
        }
        kept += drained(&recorder).len() as u64;
        assert_eq!(kept + recorder.dropped().total(), recorded);
        Ok(())
    });
}

#[test]
fn a_journal_that_was_full_records_again_once_it_is_read() {
    let recorder = recorder(2, 4);
    for _ in 0..10_000 {
        drop(recorder.span("s", None));
    }
    let first = drained(&recorder).len() as u64;
    let dropped = recorder.dropped();
    assert!(dropped.journal_full > 0);
    assert_eq!(first + dropped.total(), 10_000);
    drop(recorder.span("again", None));
    assert_eq!(drained(&recorder)[0].name, "again");
    assert_eq!(recorder.dropped(), dropped);
}

#[test]
fn a_record_larger_than_a_chunk_is_counted_and_the_next_is_kept() {
    let recorder = recorder(4, 4);
    let mut span = recorder.span("large", None);
    span.set("text", "x".repeat(40_000).as_str());
    drop(span);
    drop(recorder.span("small", None));
    assert_eq!(drained(&recorder)[0].name, "small");
    assert_eq!(recorder.dropped().too_large, 1);
}

#[test]
fn a_disabled_recorder_does_nothing_at_all() {
    let recorder = Recorder::disabled();
    let mut span = recorder.span("s", None);
    span.set_with("costly", || -> i64 { unreachable!("it is not computed") });
    span.set("k", 1_i64);
    assert!(!span.is_recording() && span.id().is_none());
    drop(span);
    assert!(!recorder.is_enabled());
    assert_eq!(recorder.drain(|_| ()), 0);
    assert_eq!(recorder.dropped().total(), 0);
}

#[test]
fn many_threads_record_while_one_drains() {
    const THREADS: i64 = 8;
    const SPANS: i64 = 20_000;
    let recorder = recorder(64, 4);
    let done = AtomicBool::new(false);
    let mut last: HashMap<i64, i64> = HashMap::new();
    let mut kept = 0_u64;
    std::thread::scope(|scope| {
        let drainer = scope.spawn(|| {
            loop {
                let stopping = done.load(Ordering::Acquire);
                recorder.drain(|record| {
                    let attributes = attributes_of(record);
                    let (thread, number) = (
                        attributes[0].1.as_i64().unwrap(),
                        attributes[1].1.as_i64().unwrap(),
                    );
                    let before = last.insert(thread, number).unwrap_or(-1);
                    assert!(before < number, "{thread}: {number} after {before}");
                    assert_eq!(attributes[2].1.as_str().unwrap().len() as i64, number % 50);
                    kept += 1;
                });
                if stopping {
                    break;
                }
                std::thread::yield_now();
            }
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let recorder = &recorder;
                scope.spawn(move || {
                    let text = "t".repeat(50);
                    for number in 0..SPANS {
                        let mut span = recorder.span("s", None);
                        span.set("thread", thread);
                        span.set("number", number);
                        span.set("text", &text[..usize::try_from(number % 50).unwrap()]);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
        drainer.join().unwrap();
    });
    let recorded = (THREADS * SPANS).cast_unsigned();
    assert_eq!(kept + recorder.dropped().total(), recorded);
    assert!(kept > 0);
}

#[test]
fn threads_that_end_leave_their_records_and_no_lane() {
    let recorder = recorder(4, 4);
    for _ in 0..50 {
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| drop(recorder.span("s", None)));
            writer.join().unwrap();
        });
    }
    assert_eq!(drained(&recorder).len(), 50);
    assert_eq!(recorder.shared.lanes.lock().len(), 0);
}

#[test]
fn the_count_of_what_was_lost_outlives_its_thread() {
    let recorder = recorder(2, 4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10_000 {
                drop(recorder.span("s", None));
            }
        });
    });
    let kept = drained(&recorder).len() as u64;
    drained(&recorder);
    assert_eq!(kept + recorder.dropped().journal_full, 10_000);
}

#[test]
fn recorders_of_one_thread_are_apart() {
    let (one, two) = (recorder(4, 4), recorder(4, 4));
    drop(one.span("of one", None));
    drop(two.span("of two", None));
    let clone = one.clone();
    drop(clone.span("of one", None));
    assert_eq!(drained(&one).len(), 2);
    assert_eq!(drained(&two).len(), 1);
    for _ in 0..200 {
        drop(recorder(4, 4).span("gone", None));
    }
    let kept = LANES.with(|lanes| lanes.borrow().len());
    assert!(kept <= 4, "{kept} lanes of recorders that are gone");
}

#[test]
fn span_ids_never_repeat() {
    let recorder = recorder(4, 4);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..4 {
        std::thread::scope(|scope| {
            let here: Vec<SpanId> = scope
                .spawn(|| (0..5_000).map(|_| recorder.next_span_id()).collect())
                .join()
                .unwrap();
            ids.extend(here);
        });
    }
    assert_eq!(ids.len(), 20_000);
}

/// Appends a log record whose payload says which one it is.
fn log(recorder: &Recorder, number: usize) {
    let parts = SpanParts {
        kind: RecordKind::Log,
        span_id: recorder.next_span_id(),
        parent_span_id: None,
        start: Ticks::from_raw(number as u64),
        end: Ticks::from_raw(number as u64),
        tag: 0,
        name: "",
        attributes: &[],
    };
    let mut beside = flowmeter_model::Attributes::new();
    beside.set("number", number.to_string());
    recorder.append_span(&parts, Some(Payload::Log(Box::new(beside))));
}

#[test]
fn a_payload_never_goes_with_another_record() {
    arbtest::arbtest(|u| {
        let recorder = recorder(u.int_in_range(2..=3)?, u.int_in_range(1..=40)?);
        let (mut number, mut kept, mut bare) = (0_usize, 0_u64, 0_u64);
        for _ in 0..u.int_in_range(1..=8)? {
            for _ in 0..u.int_in_range(0..=60)? {
                if u.arbitrary()? {
                    log(&recorder, number);
                } else {
                    // A record without a payload, sometimes one that leaves little room.
                    let mut span = recorder.span("s", None);
                    let bytes = *u.choose(&[0_usize, 30_000])?;
                    span.set("text", "x".repeat(bytes).as_str());
                }
                number += 1;
            }
            recorder.drain_with_payloads(usize::MAX, |record, payload| {
                kept += 1;
                match (record.kind(), payload) {
                    (RecordKind::Log, Some(Payload::Log(beside))) => {
                        let number = record.start().to_raw().to_string();
                        assert_eq!(beside.get_str("number"), Some(number.as_str()));
                    }
                    (RecordKind::Log, None) => bare += 1,
                    (kind, payload) => assert!(payload.is_none() && kind == RecordKind::End),
                }
            });
        }
        let dropped = recorder.dropped();
        assert_eq!(bare, dropped.payloads_full);
        assert_eq!(kept + dropped.journal_full + dropped.too_large, number as u64);
        assert_eq!(recorder.payloads_waiting(), 0);
        Ok(())
    });
}

#[test]
fn the_reader_is_woken_before_the_journal_is_full() {
    let recorder = recorder(8, 1_000);
    let woken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&woken);
    recorder.set_waker(Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    while woken.load(Ordering::Relaxed) == 0 {
        drop(recorder.span("s", None));
        assert_eq!(recorder.dropped().total(), 0);
    }
    let before = woken.load(Ordering::Relaxed);
    for number in 0..100 {
        log(&recorder, number);
    }
    assert!(woken.load(Ordering::Relaxed) > before, "payloads wake it as well");
}

#[test]
fn what_waits_is_let_go_of_with_the_recorder() {
    let value = Arc::new(json!({"k": "v"}));
    let recorder = recorder(4, 10);
    let parts = SpanParts {
        kind: RecordKind::End,
        span_id: recorder.next_span_id(),
        parent_span_id: None,
        start: Ticks::now(),
        end: Ticks::now(),
        tag: 0,
        name: "n",
        attributes: &[],
    };
    let details = SpanDetails {
        params: Some(Arc::clone(&value)),
        ..SpanDetails::default()
    };
    recorder.append_span(&parts, Some(Payload::Details(Box::new(details))));
    assert_eq!(Arc::strong_count(&value), 2);
    let mut seen = false;
    recorder.drain_with_payloads(usize::MAX, |_, payload| seen = payload.is_some());
    assert!(seen);
    assert_eq!(Arc::strong_count(&value), 1);
}
