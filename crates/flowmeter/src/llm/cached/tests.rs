//! Hits as spans: written, and read again.

use flowmeter_model::Figure;

use super::*;
use crate::{KeepTrace, RunMeter, read_trace};

fn hit(cost: Cost) -> LlmCacheHit {
    let usage = TokenUsage {
        input: Some(Figure::provider(1_200)),
        output: Some(Figure::provider(34)),
        ..TokenUsage::default()
    };
    LlmCacheHit::new("hello", Duration::from_millis(1_500)).saving(usage, cost)
}

#[test]
fn a_hit_by_hand_is_counted_shown_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let meter = RunMeter::builder("cached")
        .keep_trace(KeepTrace::Always)
        .trace_file_in(folder.path())
        .start()
        .unwrap();
    {
        let _entered = meter.enter();
        let cost = Cost::known(CostStatus::Estimated, UsdNanos(3_100_000), None);
        crate::llm_cache_hit(LlmRequest::chat("openai", "gpt-4o").prompt("hi"), hit(cost));
        crate::llm_cache_hit(LlmRequest::chat("openai", "mystery"), hit(Cost::unpriced()));
    }
    let report = meter.finish(Ok(&()));
    let llm = &report.metrics.llm;
    assert_eq!((llm.calls, llm.total_tokens(), llm.cost.calls), (0, 0, 0));
    assert_eq!((llm.cache.hits, llm.cache.saved_tokens()), (2, 2 * 1_234));
    assert_eq!(llm.cache.saved_cost.status(), CostStatus::Partial);

    let trace = read_trace(&report.trace_file.unwrap()).unwrap();
    let spans: Vec<&Span> = trace.spans.iter().filter(|span| is_hit(span)).collect();
    assert_eq!(spans.len(), 2);
    for (span, status) in spans.iter().zip([CostStatus::Estimated, CostStatus::Unpriced]) {
        let read = SpanCacheHit::of(span).unwrap();
        assert_eq!((read.input_tokens, read.output_tokens), (Some(1_200), Some(34)));
        assert_eq!(read.saved.status, status);
        assert_eq!(span.cost.as_ref().unwrap().amount, Some(UsdNanos::ZERO));
        assert!(span.usage.as_ref().is_none_or(|usage| !usage.is_known()));
    }
    let mut shown = Vec::new();
    let style = crate::HumanStyle {
        colour: false,
        utc_offset_seconds: 0,
    };
    crate::write_human(&trace, style, &mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("✓ cached (saved 1,234 tokens, ~$0.0031)"),
        "{shown}"
    );
    assert!(
        shown.contains("✓ cached (saved 1,234 tokens, unpriced (1 call))"),
        "{shown}"
    );
    assert!(
        shown.contains("- Response Cache: 2 of 2 found, saved 2,468 tokens, ≥ ~$0.0031 (+1 unpriced)"),
        "{shown}"
    );
    assert!(!shown.contains("LLM Calls"), "{shown}");
}

#[test]
fn without_a_meter_a_hit_is_nothing() {
    crate::llm_cache_hit(LlmRequest::chat("openai", "gpt-4o"), hit(Cost::unpriced()));
}
