//! Tests of the word index.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowmeter_model::{ManualClock, TimestampNs};

use super::super::look_up::{check, look_up_batch, look_up_segment};
use super::*;
use crate::Upkeep;
use crate::codec::Damaged;
use crate::codec::content::OpenedContent;
use crate::codec::payload::{DeferredPayloads, PayloadWriter};
use crate::codec::random_spans;
use crate::rules::texts::visit_texts;
use crate::sqlite::connection::{Purpose, open, prepare};

struct Nothing;

impl ContentSource for Nothing {
    fn content(&mut self, _hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged> {
        Err(Damaged("there is no such content"))
    }
}

fn config() -> SqliteConfig {
    let clock = Arc::new(ManualClock::new(TimestampNs(0)));
    SqliteConfig::new(clock, Arc::new(|_| None))
}

fn numbers(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    visit_numbers(text.as_bytes(), &mut |number| numbers.push(number));
    numbers
}

/// The words of batches: batch, block, text.
fn with_batches(texts: &[(i64, usize, &str)], test: impl FnOnce(&Connection)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    let connection = open(&path, &config(), Purpose::Write).unwrap();
    let mut batches: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (batch, block, text) in texts {
        let pairs = numbers(text)
            .into_iter()
            .map(|number| number << 8 | *block as u32);
        batches.entry(*batch).or_default().extend(pairs);
    }
    for (batch, mut pairs) in batches {
        pairs.sort_unstable();
        pairs.dedup();
        write_batch(&connection, batch, &encode_batch(&pairs)).unwrap();
    }
    test(&connection);
}

#[test]
fn a_segment_holds_what_its_batches_held() {
    let names: Vec<String> = (1..=40)
        .map(|batch| format!("common number{batch} part{}", batch % 7))
        .collect();
    let texts: Vec<(i64, usize, &str)> = names
        .iter()
        .enumerate()
        .map(|(place, text)| (place as i64 + 1, place % 64, text.as_str()))
        .collect();
    with_batches(&texts, |connection| {
        assert!(merge(connection).unwrap());
        assert!(!merge(connection).unwrap(), "eight are too few");
        let find = |text: &str| {
            look_up_segment(connection, &mut BucketReader::default(), 1, &numbers(text)).unwrap()
        };
        assert_eq!(find("common").len(), 32);
        assert_eq!(find("number5"), [(5, 1 << 4)]);
        assert_eq!(find("part3").len(), 5);
        assert_eq!(find("part3 number5"), []);
        assert_eq!(find("part5 number5"), [(5, 1 << 4)]);
        assert_eq!(find("number39"), []);
        assert_eq!(
            look_up_batch(connection, 39, &numbers("number39")).unwrap(),
            1 << 38
        );
        assert_eq!(look_up_batch(connection, 39, &numbers("number38")).unwrap(), 0);

        forget_batch(connection, 5).unwrap();
        forget_batch(connection, 39).unwrap();
        let find = |text: &str| {
            look_up_segment(connection, &mut BucketReader::default(), 1, &numbers(text)).unwrap()
        };
        assert_eq!(find("number5"), []);
        assert_eq!(find("common").len(), 31);
        assert_eq!(look_up_batch(connection, 39, &numbers("number39")).unwrap(), 0);
        for batch in 1..=40 {
            forget_batch(connection, batch).unwrap();
        }
        for table in ["word_batch", "word_segment", "word_bucket"] {
            let left: i64 = connection
                .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap();
            assert_eq!(left, 0, "{table}");
        }
    });
}

#[test]
fn what_is_wrong_with_the_index_is_told() {
    let names: Vec<String> = (1..=34).map(|batch| format!("common number{batch}")).collect();
    let texts: Vec<(i64, usize, &str)> = names
        .iter()
        .enumerate()
        .map(|(place, text)| (place as i64 + 1, place % 64, text.as_str()))
        .collect();
    with_batches(&texts, |connection| {
        assert!(merge(connection).unwrap());
        let mut upkeep = Upkeep::default();
        check(connection, &mut upkeep).unwrap();
        assert_eq!(
            upkeep.problems.len(),
            1,
            "no batch of these is there: {:?}",
            upkeep.problems
        );
        connection
            .execute("UPDATE word_bucket SET body = x'ff'", [])
            .unwrap();
        check(connection, &mut upkeep).unwrap();
        assert_eq!(upkeep.problems.len(), 3, "{:?}", upkeep.problems);
        let broken = look_up_segment(connection, &mut BucketReader::default(), 1, &numbers("common"));
        assert!(broken.is_err());
    });
}

#[test]
fn words_of_payloads_are_told_by_their_blocks() {
    let mut indexer = WordIndexer::default();
    let mut writer = PayloadWriter::default();
    for (block, answer) in [(0, "alpha beta"), (1, "beta gamma"), (33, "alpha delta")] {
        for number in 0..3 {
            let mut span = random_spans::llm_call(number);
            span.attributes.set("note", answer);
            let mut payload = Vec::new();
            let mut sink = crate::codec::content::NoSink;
            writer.write(&span, span.trace_id, &mut sink, &mut payload);
            indexer.add(block, &payload, &mut Nothing).unwrap();
        }
        indexer.add(block, &[], &mut Nothing).unwrap();
    }
    let bytes = indexer.finish();
    let blocks = |text: &str| {
        let mut numbers = numbers(text);
        numbers.sort_unstable();
        BatchWords::open(&bytes)
            .unwrap()
            .blocks_with_all(&numbers)
            .unwrap()
    };
    assert_eq!(blocks("alpha"), 1 | 1 << 33);
    assert_eq!(blocks("BETA"), 0b11);
    assert_eq!(blocks("alpha beta"), 1);
    assert_eq!(blocks("alpha gamma"), 0);
    assert_eq!(blocks("assistant"), 0, "a mark is nobody's text");
    assert_eq!(
        BatchWords::open(&indexer.finish()).unwrap().count(),
        0,
        "it begins anew"
    );
}

#[test]
fn a_span_and_its_payload_have_the_same_words() {
    arbtest::arbtest(|u| {
        let trace = flowmeter_model::TraceId::from_bytes([7; 16]).unwrap();
        let span = random_spans::span(u, trace)?;
        let (mut of_span, mut of_payload) = (WordIndexer::default(), WordIndexer::default());
        visit_texts(&span, &mut |_, _, text| of_span.add_text(3, text));
        let mut payload = Vec::new();
        // What is nested deeply is written as a text; huge texts have no place here.
        PayloadWriter::default().write(&span, trace, &mut crate::codec::content::NoSink, &mut payload);
        of_payload.add(3, &payload, &mut Nothing).unwrap();
        let of_span = of_span.finish();
        assert_eq!(of_span, of_payload.finish());
        let mut payloads = DeferredPayloads::default();
        let (deferred, _) = payloads.write(&mut PayloadWriter::default(), &span, trace);
        of_payload.add_deferred(3, &payloads, &deferred);
        assert_eq!(of_span, of_payload.finish());
        Ok(())
    });
}

#[test]
fn what_begins_as_before_has_the_same_words() {
    arbtest::arbtest(|u| {
        let trace = flowmeter_model::TraceId::from_bytes([7; 16]).unwrap();
        let pieces = [
            "alpha ",
            "beta",
            " ",
            "gamma-delta ",
            "3.14",
            "\u{301}x",
            "请求超时 ",
            "it's",
            "\n",
            "ß ",
        ];
        let mut before = String::new();
        let (mut of_texts, mut of_payloads) = (WordIndexer::default(), WordIndexer::default());
        for number in 0..u.int_in_range(1..=8)? {
            // Most texts begin as the one before did, up to some place.
            let mut text: String = before.chars().take(u.int_in_range(0..=400)?).collect();
            for _ in 0..u.int_in_range(0..=60)? {
                text.push_str(u.choose(&pieces)?);
            }
            let mut span = random_spans::llm_call(number);
            span.attributes.set("note", text.as_str());
            let block = usize::from(u.ratio(1, 5)?);
            let mut payload = Vec::new();
            let mut sink = crate::codec::content::NoSink;
            PayloadWriter::default().write(&span, trace, &mut sink, &mut payload);
            of_payloads.add(block, &payload, &mut Nothing).unwrap();
            visit_texts(&span, &mut |_, _, text| of_texts.add_text(block, text));
            before = text;
        }
        assert_eq!(of_texts.finish(), of_payloads.finish());
        Ok(())
    });
}

/// Nanoseconds that this thread was on a processor, where the system tells.
fn cpu_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "measures"]
fn how_long_words_take() {
    let mut writer = PayloadWriter::default();
    let payloads: Vec<Vec<u8>> = (0..1_000)
        .map(|number| {
            let span = random_spans::llm_call(number);
            let mut payload = Vec::new();
            writer.write(
                &span,
                span.trace_id,
                &mut crate::codec::content::NoSink,
                &mut payload,
            );
            payload
        })
        .collect();
    let mut indexer = WordIndexer::default();
    let (mut best, mut bytes, mut pairs) = (u64::MAX, 0, 0);
    for _ in 0..20 {
        let started = cpu_ns();
        for (place, payload) in payloads.iter().enumerate() {
            indexer.add(place / 32, payload, &mut Nothing).unwrap();
        }
        pairs = indexer.pairs.len();
        bytes = indexer.finish().len();
        best = best.min(cpu_ns() - started);
    }
    panic!(
        "{} ns of processor and {} B a span, {pairs} pairs",
        best / 1_000,
        bytes / 1_000
    );
}
