//! Messages to and from models, made readable.

use flowmeter_model::{IdSource, SpanKind, TimestampNs};
use serde_json::json;

use super::*;

#[test]
fn every_kind_of_part_is_read() {
    let mut ids = IdSource::from_seed(1);
    let (trace, span) = (ids.trace_id(), ids.span_id());
    let mut call = Span::begin(trace, span, None, SpanKind::LlmCall, "chat m", TimestampNs(1));
    call.attributes.set(
        names::SYSTEM_INSTRUCTIONS,
        json!([{"type": "text", "content": "Be short."}]),
    );
    call.attributes.set(
        names::INPUT_MESSAGES,
        json!([
            {"role": "user", "parts": [{"type": "text", "content": "Weather?"}, {"type": "uri", "uri": "x"}]},
            {"role": "assistant", "parts": [
                {"type": "reasoning", "content": "a tool"},
                {"type": "tool_call", "name": "weather", "arguments": {"at": "Oslo"}}
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "rain"}]},
            {"role": "user", "content": "plain"}
        ]),
    );
    call.attributes.set(
        names::OUTPUT_MESSAGES,
        json!([{"role": "assistant", "parts": [{"type": "text", "content": "Rain."}]}]),
    );
    let lines = message_lines(&prompt_of(&call), false).join("\n");
    expect_test::expect![[r#"
        [system]
          Be short.
        [user]
          Weather?
          {"type":"uri","uri":"x"}
        [assistant]
          (reasoning) a tool
          → weather({"at":"Oslo"})
        [tool]
          ← rain
        [user]
          plain"#]]
    .assert_eq(&lines);
    assert_eq!(joined(&response_of(&call)), "[assistant]\nRain.");
}
