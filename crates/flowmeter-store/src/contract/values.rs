//! What spans hold comes back as it was: every field, odd texts, huge values, messages that are sent again.
//!
//! Never asks for sums or filters.

use std::sync::Arc;

use flowmeter_model::{LogLevel, SpanKind, SpanStatus};
use serde_json::json;

use super::samples::*;
use super::{Open, Surroundings, settle};
use crate::{Append, LogFilter, TokenSums};

pub fn a_span_comes_back_as_it_was(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(2, "fetch", MARCH);
    let rich = rich_span(&mut sample, after(10));
    let node = sample.keep(rich.clone());
    let call = rich_call(&mut sample, node, after(20));
    sample.keep(call.clone());
    let mut bare = sample.span(node, SpanKind::Custom, "", after(30));
    bare.end = Some(after(30));
    bare.status = Some(SpanStatus::Cancelled);
    sample.keep(bare.clone());
    let key = sample.append(&*opened.store, 5 * SECOND);
    for _ in 0..2 {
        settle(&opened);
        assert_eq!(
            spans(&*opened.store, &key)[1..],
            [rich.clone(), call.clone(), bare.clone()]
        );
        for span in [&rich, &call, &bare] {
            let found = opened.store.span(&key, span.span_id).unwrap();
            assert_eq!(found.as_ref(), Some(span));
        }
    }
}

pub fn rows_hold_what_spans_say(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(16, "rows", MARCH);
    let rich = rich_span(&mut sample, after(10));
    let node = sample.keep(rich);
    let call = rich_call(&mut sample, node, after(20));
    sample.keep(call.clone());
    let mut same = call.clone();
    same.span_id = sample.ids.span_id();
    same.start = after(21);
    same.attributes
        .set("gen_ai.output.messages", message("assistant", "another answer"));
    sample.keep(same);
    let mut other = call;
    other.span_id = sample.ids.span_id();
    other.start = after(22);
    other
        .attributes
        .set("gen_ai.input.messages", message("user", "another question"));
    other.cost = None;
    sample.keep(other);
    let mut hit = sample.span(node, SpanKind::LlmCall, "chat claude", after(23));
    hit.attributes.set("gen_ai.request.model", "claude");
    hit.attributes.set("flowmeter.cache.hit", true);
    hit.attributes.set("flowmeter.cache.saved_nanos", 77_i64);
    hit.attributes.set("flowmeter.cache.saved_status", "estimated");
    hit.cost = Some(priced(0));
    sample.keep(ended(hit, 1));
    let key = sample.append(&*opened.store, 5 * SECOND);
    settle(&opened);
    let rows = opened.store.span_rows(&key).unwrap();
    assert_eq!(rows.len(), 6);
    let row = &rows[1];
    assert_eq!((row.kind, row.operation.as_str()), (SpanKind::Node, "node.http"));
    assert_eq!(
        (row.status, row.error_type.as_str()),
        (SpanStatus::Error, "http_500")
    );
    assert_eq!((row.mutations, row.duration_ns), (3, 3 * SECOND));
    assert_eq!((row.cost_status, row.cost, row.prompt_hash), (None, None, 0));
    let row = &rows[2];
    assert_eq!(
        (row.model.as_str(), row.provider.as_str()),
        ("claude-sonnet-4-5", "anthropic")
    );
    assert_eq!(row.node, "fetch");
    assert_eq!(row.parent_span_id, Some(node));
    let tokens = TokenSums {
        input: 1_000,
        cache_read: 600,
        cache_write: 150,
        output: 80,
        reasoning: 30,
    };
    assert_eq!(row.tokens, tokens);
    assert_eq!(row.cost_status, Some(flowmeter_model::CostStatus::Estimated));
    assert_eq!(row.cost, Some(flowmeter_model::UsdNanos(3_000_000)));
    assert!(!row.cache_hit && row.saved.is_none() && row.saved_status.is_none());
    assert_ne!(row.prompt_hash, 0);
    assert_eq!(rows[3].prompt_hash, row.prompt_hash);
    assert_ne!(rows[4].prompt_hash, row.prompt_hash);
    assert_eq!(rows[4].cost_status, Some(flowmeter_model::CostStatus::Unpriced));
    let row = &rows[5];
    assert!(row.cache_hit);
    assert_eq!(row.saved, Some(flowmeter_model::UsdNanos(77)));
    assert_eq!(row.saved_status, Some(flowmeter_model::CostStatus::Estimated));
}

pub fn huge_values_come_back(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let mut sample = Sample::new(19, "huge", MARCH);
    let mut big = sample.span(sample.key.root_span_id, SpanKind::Node, "node.x", after(1));
    // Nothing that packs well: numbers that follow a rule nobody knows.
    let mut noise = flowmeter_model::IdSource::from_seed(1);
    let text: String = (0..400_000).map(|_| format!("{:x} ", noise.next_u64())).collect();
    big.params = Some(Arc::new(
        json!({ "text": text, "list": (0..20_000).collect::<Vec<_>>() }),
    ));
    for number in 0..2_000 {
        big.attributes.set(format!("key.{number}"), "v".repeat(number));
    }
    let big = ended(big, 5);
    sample.keep(big.clone());
    let mut deep = json!("bottom");
    for _ in 0..100 {
        deep = json!({ "in": [deep] });
    }
    let mut nested = sample.span(sample.key.root_span_id, SpanKind::Custom, "deep", after(2));
    nested.attributes.set("deep", deep);
    let nested = ended(nested, 5);
    sample.keep(nested.clone());
    sample.log(after(3), LogLevel::Info, &text);
    let key = sample.append(&*opened.store, SECOND);
    for _ in 0..2 {
        settle(&opened);
        assert!(
            opened.store.span(&key, big.span_id).unwrap() == Some(big.clone()),
            "the big one"
        );
        assert_eq!(
            opened.store.span(&key, nested.span_id).unwrap(),
            Some(nested.clone())
        );
        assert!(
            logs(&*opened.store, &LogFilter::default())[0].record.message == text,
            "the log"
        );
    }
}

pub fn odd_texts_come_back(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let odd = [
        "",
        " ",
        "\0",
        "a\0b",
        "'\"\\%_",
        "\u{feff}x",
        "é e\u{301} 👩‍👩‍👧‍👦",
        "数据\n\r\t",
        "{}",
        "${x}",
        "\u{10ffff}",
    ];
    let mut sample = Sample::new(20, "odd 'name' \0", MARCH)
        .tag("k'ey", "\0")
        .session("数据");
    let mut kept = Vec::new();
    for text in odd {
        let mut span = sample.span(sample.key.root_span_id, SpanKind::Node, text, after(1));
        span.attributes.set(format!("key {text}"), text);
        span.attributes.set("node.id", text);
        span.attributes.set("json", json!({ text: [text] }));
        span.error = Some(flowmeter_model::SpanError {
            error_type: text.into(),
            message: text.to_owned(),
            chain: vec![text.to_owned()],
        });
        let span = ended(span, 1);
        sample.keep(span.clone());
        sample.log(after(2), LogLevel::Error, text);
        kept.push(span);
    }
    let start = sample.start.clone();
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    for span in &kept {
        assert_eq!(
            opened.store.span(&key, span.span_id).unwrap().as_ref(),
            Some(span)
        );
    }
    let row = opened.store.run(&key).unwrap().unwrap().row;
    assert_eq!((row.workflow, row.origin), (start.workflow, start.origin));
    let mut messages: Vec<String> = logs(&*opened.store, &LogFilter::default())
        .into_iter()
        .map(|log| log.record.message)
        .collect();
    messages.sort();
    let mut wanted = odd.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(messages, wanted);
}

pub fn a_resent_history_comes_back(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(HOUR)));
    let store = &*opened.store;
    let mut kept = Vec::new();
    let mut sample = Sample::new(22, "chat", MARCH);
    let mut messages = Vec::new();
    for turn in 0..40_u64 {
        let long = format!(
            "turn {turn}: {}",
            "the quick brown fox jumps over the lazy dog. ".repeat(40)
        );
        messages.push(json!({"role": "user", "parts": [{"type": "text", "content": long}]}));
        let mut span = sample.span(sample.key.root_span_id, SpanKind::LlmCall, "chat", after(turn));
        span.attributes.set(
            "gen_ai.system_instructions",
            json!([{"type": "text", "content": "s".repeat(5_000)}]),
        );
        span.attributes.set("gen_ai.input.messages", json!(messages));
        span.attributes
            .set("gen_ai.output.messages", message("assistant", &long));
        let span = ended(span, 1);
        sample.keep(span.clone());
        kept.push(span);
        messages.push(json!({"role": "assistant", "parts": [{"type": "text", "content": long}]}));
        if turn % 7 == 0 {
            let events = std::mem::take(&mut sample.events);
            store.append(Append::Events(sample.key, events)).unwrap();
            settle(&opened);
        }
    }
    let key = sample.append(store, SECOND);
    for _ in 0..2 {
        settle(&opened);
        let found = spans(store, &key);
        assert_eq!(found.len(), 41);
        assert!(
            found
                .iter()
                .filter(|span| span.kind == SpanKind::LlmCall)
                .eq(&kept)
        );
    }
}
