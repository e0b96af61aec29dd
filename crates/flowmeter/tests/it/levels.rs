//! How much is captured at which level, and where it is cut.

use std::sync::Arc;

use flowmeter::{CaptureLevel, CaptureLimits, LlmFailure, RunMeter, current};
use flowmeter_engine::{Action, Batch, BatchPolicy, Node, SharedStore};
use flowmeter_model::{AttributeValue, LogLevel, SpanKind};
use serde_json::json;

use crate::probes::{Items, Ran, call, quick, request, response, run_with, traced};

fn talkative() -> impl Node {
    let inner = quick(|cx| {
        let span = current(cx);
        span.record_params(&Arc::new(json!({"text": "content of a parameter"})));
        span.record_template("${x}", &Arc::new(json!("content of a template")));
        cx.store().set("out", json!("content of a write"));
        span.log(LogLevel::Info, "a line");
        call(cx, "gpt-4o", 10, 5);
        Ok(Action::default())
    });
    traced(
        "batch",
        Batch::new(traced("a", inner), Items(2), BatchPolicy::default()).unwrap(),
    )
}

async fn ran(level: CaptureLevel) -> Ran {
    run_with(talkative(), |builder| builder.capture(level)).await
}

#[tokio::test]
async fn content_is_kept_at_the_limited_level_and_above() {
    for level in [CaptureLevel::Full, CaptureLevel::Limited] {
        let ran = ran(level).await;
        for content in ["parameter", "template", "write", "hello", "an answer"] {
            assert!(ran.text.contains(content), "{level:?}: {content}");
        }
        let call = ran.spans(SpanKind::LlmCall)[0];
        assert_eq!(
            serde_json::to_value(call.attributes.get("gen_ai.output.messages").unwrap()).unwrap(),
            json!([{"role": "assistant", "parts": [{"type": "text", "content": "an answer"}]}])
        );
    }
}

#[tokio::test]
async fn an_answer_says_why_it_ended_where_it_did() {
    let node = traced(
        "asks",
        quick(|cx| {
            let mut whole = response(10, 5);
            whole.finish_reasons = vec!["length".into(), "stop".into()];
            let _cost = current(cx).llm_call(request("gpt-4o")).succeed(whole);
            let broken = LlmFailure {
                partial_text: "half an an".into(),
                ..LlmFailure::default()
            };
            let _cost = current(cx).llm_call(request("gpt-4o")).fail(broken);
            Ok(Action::default())
        }),
    );
    let ran = run_with(node, |builder| builder).await;
    let reasons: Vec<_> = ran
        .spans(SpanKind::LlmCall)
        .iter()
        .map(|call| match call.attributes.get("gen_ai.output.messages") {
            Some(AttributeValue::Json(messages)) => messages[0]["finish_reason"].clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, [json!("length"), json!("error")]);
}

#[tokio::test]
async fn metadata_names_and_counts_and_keeps_no_content() {
    let ran = ran(CaptureLevel::Metadata).await;
    for content in ["content of", "hello", "an answer"] {
        assert!(!ran.text.contains(content), "{content}");
    }
    let node = ran.node("a");
    assert!(node.params.is_none() && node.mutations.is_empty() && node.templates.is_empty());
    assert_eq!(
        serde_json::to_value(node.attributes.get("node.writes").unwrap()).unwrap(),
        json!(["out"]),
        "which keys were written is no content"
    );
    let call = ran.spans(SpanKind::LlmCall)[0];
    assert_eq!(call.usage.as_ref().unwrap().input_tokens(), 10);
    assert!(call.cost.is_some() && call.attributes.get("gen_ai.usage.input_tokens").is_some());
    assert!(
        ran.spans(SpanKind::BatchItem)
            .iter()
            .all(|item| item.params.is_none())
    );
}

#[tokio::test]
async fn off_writes_no_file_and_follows_a_batch_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("test")
        .capture(CaptureLevel::Off)
        .follow_progress(true)
        .trace_file(&path)
        .start()
        .unwrap();
    let progress = meter.progress_handle();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let inner = quick(move |_| {
        let now = progress.progress();
        notes.lock().push((
            now.running.join(" "),
            now.batch.map(|batch| (batch.done, batch.count)),
        ));
        Ok(Action::default())
    });
    let batch = traced(
        "batch",
        Batch::new(inner, Items(3), BatchPolicy::default()).unwrap(),
    );
    batch
        .run(&meter.context(SharedStore::new().root()))
        .await
        .unwrap();
    assert_eq!(
        *seen.lock(),
        [
            ("batch".to_owned(), None),
            ("batch".to_owned(), Some((1, 3))),
            ("batch".to_owned(), Some((2, 3)))
        ]
    );
    let report = meter.finish(Ok(&()));
    assert_eq!((report.trace_file, report.metrics.nodes_executed), (None, 1));
    assert!(!path.exists());
}

#[tokio::test]
async fn content_is_cut_where_the_limits_say() {
    let node = quick(|cx| {
        cx.store().set("out", json!("y".repeat(5_000)));
        Ok(Action::default())
    });
    let limits = CaptureLimits {
        value_chars_max: 100,
        ..CaptureLimits::default()
    };
    let ran = run_with(traced("a", node), |builder| builder.limits(limits)).await;
    let after = ran.node("a").mutations[0].after.clone().unwrap();
    assert_eq!(*after, format!("{}… [cut at 100 of 5000 chars]", "y".repeat(100)));
}
