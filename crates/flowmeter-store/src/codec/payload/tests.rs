//! Tests of payloads.

use std::sync::Arc;
use std::time::Instant;

use flowmeter_model::{Span, SpanKind, TimestampNs, TraceId};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::super::block::{Block, BlockWriter, PAYLOADS_MAX, Sealer};
use super::super::content::{
    ContentHash, ContentRow, ContentSink, ContentSource, MessageList, NoSink, OpenedContent,
};
use super::super::narrow::NarrowSpan;
use super::super::{Damaged, random_spans};
use super::*;

/// Keeps everything apart at its second sighting, as a backend would.
#[derive(Default)]
struct Contents {
    sealer: Sealer,
    seen: FxHashMap<ContentHash, u32>,
    rows: FxHashMap<ContentHash, Vec<u8>>,
}

impl Contents {
    fn keep(&mut self, hash: ContentHash, row: &ContentRow<'_>) {
        let bytes = row.seal(&mut self.sealer).expect("sealed");
        self.rows.entry(hash).or_insert(bytes);
    }

    fn is_seen(&mut self, hash: ContentHash) -> bool {
        let count = self.seen.entry(hash).or_default();
        *count += 1;
        *count > 1
    }
}

impl ContentSink for Contents {
    fn text(&mut self, hash: ContentHash, text: &[u8], _at: usize) -> bool {
        let is_seen = self.is_seen(hash);
        if is_seen {
            self.keep(hash, &ContentRow::Text(text));
        }
        is_seen
    }

    fn huge_text(&mut self, hash: ContentHash, text: &[u8]) {
        self.keep(hash, &ContentRow::Text(text));
    }

    fn messages(&mut self, list: &MessageList<'_>, _at: usize) -> usize {
        let known = (1..=list.len())
            .rev()
            .find(|count| self.seen.contains_key(&list.hash(*count)));
        self.is_seen(list.hash(list.len()));
        let Some(known) = known else { return 0 };
        if !self.rows.contains_key(&list.hash(known)) {
            let parent = (1..known)
                .rev()
                .find(|count| self.rows.contains_key(&list.hash(*count)));
            self.keep(list.hash(known), &list.row(parent.unwrap_or(0), known));
        }
        known
    }
}

impl ContentSource for Contents {
    fn content(&mut self, hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged> {
        let row = self.rows.get(&hash).ok_or(Damaged("there is no such content"))?;
        OpenedContent::open(&mut self.sealer, row).map(Arc::new)
    }
}

fn trace() -> TraceId {
    TraceId::parse("0af7651916cd43dd8448eb211c80319c").expect("an id")
}

fn written(span: &Span, contents: &mut Contents) -> (NarrowSpan, Vec<u8>) {
    let mut payload = Vec::new();
    let prompt_hash = PayloadWriter::default().write(span, trace(), contents, &mut payload);
    (
        NarrowSpan::of(span, SmolStr::new("outer/inner"), prompt_hash),
        payload,
    )
}

#[test]
fn every_span_comes_back_as_it_was() {
    arbtest::arbtest(|u| {
        let mut contents = Contents::default();
        let mut writer = PayloadWriter::default();
        for _ in 0..u.int_in_range(1..=4)? {
            let span = random_spans::span(u, trace())?;
            let mut payload = Vec::new();
            let hash = writer.write(&span, trace(), &mut contents, &mut payload);
            assert_eq!(hash, prompt_hash(&span), "whatever stands elsewhere");
            let mut narrow = NarrowSpan::of(&span, SmolStr::default(), hash);
            // Columns hold such numbers one lower.
            narrow.duration_ns = narrow.duration_ns.map(|ns| ns.min(u64::MAX - 1));
            let again = read(&narrow, trace(), &payload, &mut contents).expect("readable");
            assert_eq!(again, span);
            let order = |span: &Span| {
                let pairs = span.attributes.iter();
                pairs
                    .map(|(key, value)| (key.clone(), format!("{value:?}")))
                    .collect::<Vec<_>>()
            };
            assert_eq!(order(&again), order(&span), "the order of keys counts, too");
            visit_texts(&payload, &mut contents, &mut |_, _, _| {}).expect("readable");
            visit_references(&payload, &mut |hash| {
                assert!(contents.rows.contains_key(&hash), "{hash:?} is kept");
            })
            .expect("readable");
        }
        Ok(())
    });
}

#[test]
fn a_payload_is_the_same_when_it_is_settled_later() {
    arbtest::arbtest(|u| {
        let (mut at_once, mut later) = (Contents::default(), Contents::default());
        let mut payloads = DeferredPayloads::default();
        let mut spans = Vec::new();
        for _ in 0..u.int_in_range(1..=4)? {
            let mut span = random_spans::span(u, trace())?;
            if u.ratio(1, 4)? {
                span.attributes.set("large", "x y z ".repeat(20_000).as_str());
            }
            // What came before comes again, with more.
            if let Some((before, _)) = spans.last()
                && u.ratio(1, 2)?
            {
                let before: &Span = before;
                span.attributes = before.attributes.clone();
                span.params = before.params.clone();
            }
            let deferred = payloads.write(&mut PayloadWriter::default(), &span, trace());
            spans.push((span, deferred));
        }
        for (span, (deferred, prompt_hash)) in &spans {
            let mut written = Vec::new();
            let hash = PayloadWriter::default().write(span, trace(), &mut at_once, &mut written);
            let mut memory = Vec::new();
            let settled = payloads
                .settle(deferred, &mut later, &mut memory)
                .expect("settled");
            assert_eq!((hash, written.as_slice()), (*prompt_hash, settled));
            assert_eq!(at_once.rows, later.rows);
        }
        Ok(())
    });
}

#[test]
fn damaged_bytes_are_errors_and_never_panics() {
    arbtest::arbtest(|u| {
        let mut contents = Contents::default();
        let span = random_spans::span(u, trace())?;
        let (narrow, mut payload) = written(&span, &mut contents);
        for _ in 0..u.int_in_range(1..=8)? {
            let place = u.choose_index(payload.len())?;
            payload[place] = u.arbitrary()?;
        }
        payload.truncate(u.int_in_range(0..=payload.len())?);
        let _ = read(&narrow, trace(), &payload, &mut contents);
        let _ = visit_texts(&payload, &mut contents, &mut |_, _, _| {});
        let _ = visit_references(&payload, &mut |_| {});
        let noise: Vec<u8> = u.arbitrary()?;
        let _ = read(&narrow, trace(), &noise, &mut contents);
        let _ = visit_texts(&noise, &mut contents, &mut |_, _, _| {});
        Ok(())
    });
}

#[test]
fn texts_are_visited_as_the_rules_visit_those_of_the_span() {
    arbtest::arbtest(|u| {
        let mut contents = Contents::default();
        for _ in 0..3 {
            let mut span = random_spans::span(u, trace())?;
            span.attributes
                .set("gen_ai.tool.definitions", random_spans::messages(u)?);
            let (_, payload) = written(&span, &mut contents);
            let mut visited = Vec::new();
            visit_texts(&payload, &mut contents, &mut |place, field, text| {
                visited.push((place, field.to_owned(), text.to_owned()));
            })
            .expect("readable");
            let mut wanted = Vec::new();
            crate::rules::texts::visit_texts(&span, &mut |place, field, text| {
                wanted.push((place, field.to_owned(), text.to_owned()));
            });
            assert_eq!(visited, wanted);
        }
        Ok(())
    });
}

#[test]
fn a_chat_that_sends_its_history_again_costs_its_new_part_only() {
    let mut contents = Contents::default();
    let mut history: Vec<Value> = vec![json!({"role": "system", "content": "Be brief."})];
    let mut bytes = 0;
    let mut naive = 0;
    for turn in 0..60 {
        history.push(json!({"role": "user", "content": format!("question {turn}: {}", "why? ".repeat(40))}));
        let mut span = random_spans::llm_call(turn);
        span.attributes
            .set("gen_ai.input.messages", Value::Array(history.clone()));
        let (narrow, payload) = written(&span, &mut contents);
        bytes += payload.len();
        naive += serde_json::to_vec(&history).expect("json").len();
        let again = read(&narrow, trace(), &payload, &mut contents).expect("readable");
        assert_eq!(again.attributes, span.attributes);
        history.push(
            json!({"role": "assistant", "content": format!("answer {turn}: {}", "because. ".repeat(30))}),
        );
    }
    bytes += contents.rows.values().map(Vec::len).sum::<usize>();
    let per_turn = bytes / 60;
    assert!(
        per_turn < 2_600,
        "{per_turn} bytes a turn before compression, {} naively",
        naive / 60
    );
    assert!(contents.rows.len() <= 61, "{} rows", contents.rows.len());
}

#[test]
fn huge_texts_never_stand_in_a_payload() {
    let mut span = random_spans::llm_call(1);
    let huge = "x".repeat(3_000_000);
    span.attributes.set("tool.result", huge.as_str());
    span.attributes.set(
        "gen_ai.input.messages",
        json!([{"role": "user", "content": huge}, {"role": "user", "content": "and now?"}]),
    );
    let mut contents = Contents::default();
    let (narrow, payload) = written(&span, &mut contents);
    assert!(payload.len() < 4_000, "{}", payload.len());
    assert_eq!(
        read(&narrow, trace(), &payload, &mut contents)
            .expect("readable")
            .attributes,
        span.attributes
    );
    contents.rows.clear();
    assert!(
        read(&narrow, trace(), &payload, &mut contents).is_err(),
        "what is missing is told"
    );
}

#[test]
fn what_is_nested_too_deeply_is_kept_as_text() {
    let mut deep = json!("bottom");
    for _ in 0..2 * DEPTH_MAX {
        deep = json!([deep]);
    }
    let mut span = random_spans::llm_call(1);
    span.params = Some(Arc::new(deep));
    let mut contents = Contents::default();
    let (narrow, payload) = written(&span, &mut contents);
    let again = read(&narrow, trace(), &payload, &mut contents).expect("readable");
    assert!(again.params.expect("params").to_string().contains("bottom"));
    visit_texts(&payload, &mut contents, &mut |_, _, _| {}).expect("readable");
}

#[test]
fn message_lists_come_back_at_any_depth() {
    for depth in [0, 7, 8, 9, 100] {
        let mut inner = json!("bottom");
        for _ in 0..120 {
            inner = json!([inner]);
        }
        let mut value = json!([{"role": "user", "content": inner}, {"role": "user", "content": "x"}]);
        for _ in 0..depth {
            value = json!([value]);
        }
        let mut span = random_spans::llm_call(1);
        span.params = Some(Arc::new(value));
        let mut contents = Contents::default();
        for _ in 0..3 {
            let (narrow, payload) = written(&span, &mut contents);
            assert_eq!(
                read(&narrow, trace(), &payload, &mut contents)
                    .expect("readable")
                    .params,
                span.params
            );
        }
    }
}

#[test]
fn equal_prompts_have_equal_hashes_and_others_others() {
    let hash = |change: &dyn Fn(&mut Span)| {
        let mut span = random_spans::llm_call(5);
        change(&mut span);
        prompt_hash(&span)
    };
    let base = hash(&|_| {});
    assert_ne!(base, 0);
    assert_eq!(base, hash(&|span| span.start = TimestampNs(1)));
    assert_eq!(
        base,
        hash(&|span| span.attributes.set("gen_ai.response.id", "another"))
    );
    assert_ne!(
        base,
        hash(&|span| span.attributes.set("gen_ai.request.model", "another"))
    );
    assert_ne!(
        base,
        hash(&|span| span.attributes.set("gen_ai.system_instructions", "another"))
    );
    assert_ne!(
        base,
        hash(&|span| span
            .attributes
            .set("gen_ai.input.messages", json!([{"role": "user"}])))
    );
    assert_ne!(
        base,
        hash(&|span| span.attributes.set("gen_ai.input.messages", "a text"))
    );
    assert_eq!(
        0,
        hash(&|span| span.attributes = flowmeter_model::Attributes::new())
    );
    assert_eq!(
        0,
        hash(&|span| {
            span.kind = SpanKind::Node;
            span.usage = None;
        })
    );
}

/// The quickest of several rounds, for each span of the 320 that are used again and again.
fn quickest(mut round: impl FnMut()) -> std::time::Duration {
    let times = (0..40).map(|_| {
        let started = Instant::now();
        round();
        started.elapsed()
    });
    times.min().unwrap_or_default() / 320
}

#[test]
#[ignore = "measures"]
fn how_long_payloads_take() {
    let spans: Vec<Span> = (0..320).map(random_spans::llm_call).collect();
    let mut writer = PayloadWriter::default();
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    let encode = quickest(|| {
        out.clear();
        ends.clear();
        for span in &spans {
            writer.write(span, span.trace_id, &mut NoSink, &mut out);
            ends.push(out.len());
        }
    });
    let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let payloads: Vec<&[u8]> = starts.windows(2).map(|two| &out[two[0]..two[1]]).collect();
    let (mut sealer, mut block, mut blocks) = (Sealer::new(), BlockWriter::default(), Vec::new());
    let seal = quickest(|| {
        blocks.clear();
        for payloads in payloads.chunks(PAYLOADS_MAX) {
            payloads
                .iter()
                .for_each(|payload| block.push(payload).expect("room"));
            blocks.push(block.finish(&mut sealer).expect("sealed"));
        }
    });
    let stored: usize = blocks.iter().map(Vec::len).sum();
    let mut opened = Block::default();
    let open = quickest(|| {
        for block in &blocks {
            opened.open_again(&mut sealer, block).expect("opened");
        }
    });
    let (mut contents, mut texts) = (Contents::default(), 0);
    let visit = quickest(|| {
        for payload in &payloads {
            visit_texts(payload, &mut contents, &mut |_, _, text| texts += text.len()).expect("readable");
        }
    });
    let narrow = |span: &Span| NarrowSpan::of(span, SmolStr::default(), 0);
    let narrowing = quickest(|| {
        assert!(spans.iter().all(|span| narrow(span).mutations == 0));
    });
    let narrows: Vec<NarrowSpan> = spans.iter().map(narrow).collect();
    let decode = quickest(|| {
        for (narrow, payload) in narrows.iter().zip(&payloads) {
            read(narrow, trace(), payload, &mut contents).expect("readable");
        }
    });
    panic!(
        "{} B raw, {} B sealed a span; encode {encode:?}, seal {seal:?}, open {open:?}, visit {visit:?}, narrow \
         {narrowing:?}, decode {decode:?}",
        out.len() / spans.len(),
        stored / spans.len(),
    );
}
