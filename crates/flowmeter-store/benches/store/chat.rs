//! A chat of 200 turns that sends its whole history with each turn.
//!
//! Never lets two turns share anything but their history.

use std::path::Path;

use flowmeter_model::{Span, SpanKind, SpanStatus, TelemetryEvent, TimestampNs};
use flowmeter_store::{Append, RunKey, Store};
use serde_json::{Value, json};

use crate::text::Prose;
use crate::writing;

const TURNS: u64 = 200;

/// Writes the chat in two ways, and prints how much smaller it is than its text.
pub(crate) fn report(folder: &Path) {
    for is_alone in [false, true] {
        let path = folder.join(format!("chat-{is_alone}.db"));
        let empty = {
            drop(writing::open(&path, true));
            std::fs::metadata(&path).unwrap().len()
        };
        let naive = write(&path, is_alone);
        let bytes = std::fs::metadata(&path).unwrap().len() - empty;
        let how = if is_alone { "each in a process's store of its own" } else { "in one run" };
        println!(
            "chat of {TURNS} turns, {how}: {} KiB instead of {} KiB, {:.0} times smaller",
            bytes / 1024,
            naive / 1024,
            naive as f64 / bytes as f64
        );
    }
}

/// Writes all turns; the bytes that their texts have.
fn write(path: &Path, is_alone: bool) -> u64 {
    let mut prose = Prose::new(11);
    let mut ids = flowmeter_model::IdSource::from_seed(12);
    let key = |ids: &mut flowmeter_model::IdSource| RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    let mut run = key(&mut ids);
    let mut history: Vec<Value> = Vec::new();
    let mut naive = 0;
    let mut store = writing::open(path, true);
    for turn in 0..TURNS {
        if is_alone {
            run = key(&mut ids);
            store = writing::open(path, true);
        }
        history.push(message("user", &prose.text(300)));
        let answer = message("assistant", &prose.text(500));
        let at = TimestampNs(writing::BEGINS + turn * 60_000_000_000);
        let mut span = Span::begin(run.trace_id, ids.span_id(), None, SpanKind::LlmCall, "chat gpt-4o", at);
        span.end = Some(TimestampNs(at.0 + 2_000_000_000));
        span.status = Some(SpanStatus::Ok);
        span.attributes.set("gen_ai.request.model", "gpt-4o");
        let input = Value::Array(history.clone());
        let output = json!([answer]);
        naive += (input.to_string().len() + output.to_string().len()) as u64;
        span.attributes.set("gen_ai.input.messages", input);
        span.attributes.set("gen_ai.output.messages", output);
        history.push(answer);
        let event = TelemetryEvent::SpanEnded(Box::new(span));
        store.append(Append::Events(run, vec![event])).unwrap();
        store.flush().unwrap();
    }
    store.settle().unwrap();
    store.vacuum().unwrap();
    naive
}

fn message(role: &str, text: &str) -> Value {
    json!({"role": role, "parts": [{"type": "text", "content": text}]})
}
