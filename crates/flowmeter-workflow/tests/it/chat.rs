//! The chat model over the real client library, against the scripted server.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_workflow::chat::{ChatError, ChatModel, ChatReply, ChatRequest, GenaiModel};
use flowmeter_workflow::scripted_model::{Reply, Script, ScriptedModel};
use parking_lot::Mutex;
use serde_json::json;

/// A client whose providers all live at the scripted server.
pub(crate) fn client(server: &ScriptedModel) -> GenaiModel {
    let env = [
        ("OPENAI_BASE_URL", server.openai_base_url()),
        ("ANTHROPIC_BASE_URL", server.anthropic_base_url()),
        ("OLLAMA_HOST", server.ollama_host()),
        ("GOOGLE_GEMINI_BASE_URL", server.gemini_base_url()),
        ("DEEPSEEK_BASE_URL", server.anthropic_base_url()),
        ("GROQ_BASE_URL", server.openai_base_url()),
        ("OPENROUTER_BASE_URL", server.openai_base_url()),
        ("ANTHROPIC_API_KEY", "sk-ant-secret".to_owned()),
    ];
    GenaiModel::new(Arc::new(move |name| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    }))
}

fn ask(model: &str, stream: bool) -> ChatRequest {
    ChatRequest {
        model: model.into(),
        system: Some("Be brief.".to_owned()),
        prompt: "What is a river?".to_owned(),
        stream,
        timeout: Some(Duration::from_secs(10)),
        ..ChatRequest::default()
    }
}

async fn chat(
    script: Script,
    model: &str,
    stream: bool,
) -> (Result<ChatReply, ChatError>, ScriptedModel, String) {
    let server = ScriptedModel::start(script).await.unwrap();
    let pieces = Mutex::new(String::new());
    let outcome = client(&server)
        .chat(&ask(model, stream), &|piece| {
            pieces.lock().push_str(piece.text);
            ControlFlow::Continue(())
        })
        .await;
    (outcome, server, pieces.into_inner())
}

pub(crate) const ANSWER: &str =
    "Water that flows downhill, mostly in one bed, until it meets a lake or the sea.";

#[tokio::test]
async fn openai_usage_is_exact_whole_and_streamed() {
    for stream in [false, true] {
        let reply = Reply::text(ANSWER)
            .usage(100, 20)
            .cached(64)
            .reasoning(5)
            .model("gpt-4o-2024-08-06");
        let (outcome, server, pieces) = chat(Script::new().reply(reply), "gpt-4o", stream).await;
        let reply = outcome.unwrap();
        assert_eq!((reply.text.as_str(), pieces.as_str()), (ANSWER, ANSWER));
        assert_eq!(reply.model.as_deref(), Some("gpt-4o-2024-08-06"));
        assert_eq!(reply.response_id.as_deref(), Some("chatcmpl-scripted-1"));
        assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
        assert_eq!(
            (reply.usage.input_tokens(), reply.usage.output_tokens()),
            (100, 20)
        );
        assert_eq!(reply.usage.cache_read.unwrap().tokens, 64);
        assert_eq!(reply.usage.reasoning.unwrap().tokens, 5);
        assert_eq!(reply.raw_usage.unwrap()["total_tokens"], json!(120));
        assert_eq!(reply.time_to_first_token.is_some(), stream);

        let request = server.requests().remove(0);
        assert_eq!(request.path, "/v1/chat/completions");
        assert_eq!(
            request.body["messages"][0],
            json!({"role": "system", "content": "Be brief."})
        );
        assert_eq!(request.body["messages"][1]["content"], json!("What is a river?"));
        assert_eq!(request.header("authorization"), Some("Bearer unset"));
        assert_eq!(
            (server.usage_given().input, server.usage_given().output),
            (100, 20)
        );
    }
}

#[tokio::test]
async fn anthropic_usage_is_exact_whole_and_streamed() {
    for stream in [false, true] {
        let reply = Reply::text(ANSWER)
            .usage(1400, 300)
            .cached(1024)
            .cache_written(150, 50);
        let (outcome, server, pieces) =
            chat(Script::new().reply(reply), "anthropic/claude-sonnet-4-5", stream).await;
        let reply = outcome.unwrap();
        assert_eq!((reply.text.as_str(), pieces.as_str()), (ANSWER, ANSWER));
        assert_eq!(
            (reply.usage.input_tokens(), reply.usage.output_tokens()),
            (1400, 300)
        );
        assert_eq!(reply.usage.cache_read.unwrap().tokens, 1024);
        assert_eq!(reply.usage.cache_write_5m.unwrap().tokens, 150);
        assert_eq!(reply.usage.cache_write_1h.unwrap().tokens, 50);
        assert_eq!(reply.finish_reason.as_deref(), Some("end_turn"));
        assert_eq!(reply.raw_usage.unwrap()["input_tokens"], json!(176));

        let request = server.requests().remove(0);
        assert_eq!(request.path, "/v1/messages");
        assert_eq!(request.header("x-api-key"), Some("sk-ant-secret"));
        assert_eq!(request.body["model"], json!("claude-sonnet-4-5"));
    }
}

#[tokio::test]
async fn geminis_last_count_is_the_one_that_counts() {
    for stream in [false, true] {
        let reply = Reply::text(ANSWER).usage(100, 30).cached(40).reasoning(12);
        let (outcome, server, pieces) =
            chat(Script::new().reply(reply), "gemini/gemini-2.5-flash", stream).await;
        let reply = outcome.unwrap();
        assert_eq!((reply.text.as_str(), pieces.as_str()), (ANSWER, ANSWER));
        assert_eq!(
            (reply.usage.input_tokens(), reply.usage.output_tokens()),
            (100, 30)
        );
        assert_eq!(reply.usage.reasoning.unwrap().tokens, 12);
        assert_eq!(reply.model.as_deref(), Some("gemini-2.5-flash"));
        assert!(
            server.requests()[0]
                .path
                .starts_with("/v1beta/models/gemini-2.5-flash:")
        );
    }
}

#[tokio::test]
async fn ollama_is_spoken_to_in_its_own_words() {
    for stream in [false, true] {
        let (outcome, server, _) = chat(
            Script::new().reply(Reply::text(ANSWER).usage(9, 4)),
            "ollama/llama3:8b",
            stream,
        )
        .await;
        let reply = outcome.unwrap();
        assert_eq!(reply.text, ANSWER);
        assert_eq!((reply.usage.input_tokens(), reply.usage.output_tokens()), (9, 4));
        assert_eq!(server.requests()[0].path, "/api/chat");
        assert_eq!(server.requests()[0].body["model"], json!("llama3:8b"));
    }
}

#[tokio::test]
async fn model_names_arrive_as_they_were_written() {
    for (model, sent) in [
        ("demo-small", "demo-small"),
        ("openai/qwen-max", "qwen-max"),
        ("openai/gpt-5-mini", "gpt-5-mini"),
        ("meta-llama/llama-3-high", "meta-llama/llama-3-high"),
        ("openrouter/vendor/model", "vendor/model"),
        ("groq::llama-3", "llama-3"),
        ("deepseek/deepseek-chat", "deepseek-chat"),
    ] {
        let (outcome, server, _) = chat(Script::new(), model, true).await;
        outcome.unwrap();
        let body = &server.requests()[0].body;
        assert_eq!(body["model"], json!(sent), "{model}");
        assert_eq!(body.get("reasoning_effort"), None, "{model}");
    }
}

#[tokio::test]
async fn refusals_say_what_the_provider_said_and_cost_nothing() {
    for stream in [false, true] {
        for model in ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "ollama/x"] {
            for (code, retryable) in [(400, false), (401, false), (429, true), (500, true), (503, true)] {
                let (outcome, ..) = chat(
                    Script::new().reply(Reply::status(code, "slow down sk-ant-secret")),
                    model,
                    stream,
                )
                .await;
                let error = outcome.unwrap_err();
                assert_eq!(error.error_type, format!("http_{code}"), "{model} {stream}");
                assert_eq!((error.retryable, error.may_be_billed), (retryable, false));
                assert!(error.message.contains("slow down"), "{}", error.message);
                assert!(
                    model != "claude-sonnet-4-5" || !error.message.contains("sk-ant-secret"),
                    "{}",
                    error.message
                );
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_may_be_billed_and_keeps_its_text() {
    for model in ["gpt-4o", "claude-sonnet-4-5", "ollama/x"] {
        let reply = Reply::text(ANSWER).usage(100, 20).cut_after(2);
        let (outcome, _, pieces) = chat(Script::new().reply(reply), model, true).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.error_type, "stream_cut", "{model}: {error}");
        assert!(error.retryable && error.may_be_billed);
        assert_eq!(
            error.partial_text, "Water that flows downhill, mostly in ",
            "{model}"
        );
        assert_eq!(pieces, error.partial_text);
        assert_eq!(error.usage.output, None, "{model}: the output is not known");
        let input = (model == "claude-sonnet-4-5").then_some(100);
        assert_eq!(error.usage.input.map(|figure| figure.tokens), input, "{model}");
    }
}

#[tokio::test]
async fn a_stream_that_gave_its_reason_is_whole_without_the_mark_at_its_end() {
    let frames = concat!(
        "data: {\"id\": \"c\", \"model\": \"m\", \"choices\": [{\"index\": 0, \"delta\": ",
        "{\"content\": \"Hello\"}, \"finish_reason\": null}]}\n\n",
        "data: {\"id\": \"c\", \"model\": \"m\", \"choices\": [{\"index\": 0, \"delta\": {}, ",
        "\"finish_reason\": \"stop\"}]}\n\n",
        "data: {\"id\": \"c\", \"model\": \"m\", \"choices\": [], ",
        "\"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}}\n\n",
    );
    let script = Script::new().reply(Reply::garbage("text/event-stream", frames));
    let (outcome, _, pieces) = chat(script, "gpt-4o", true).await;
    let reply = outcome.unwrap();
    assert_eq!((reply.text.as_str(), pieces.as_str()), ("Hello", "Hello"));
    assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
    assert_eq!((reply.usage.input_tokens(), reply.usage.output_tokens()), (7, 3));
}

#[tokio::test]
async fn a_server_that_hangs_runs_into_the_timeout() {
    let server = ScriptedModel::start(Script::new().reply(Reply::hang()).reply(Reply::hang()))
        .await
        .unwrap();
    for stream in [false, true] {
        let request = ChatRequest {
            timeout: Some(Duration::from_millis(200)),
            ..ask("gpt-4o", stream)
        };
        let began = Instant::now();
        let error = client(&server)
            .chat(&request, &|_| ControlFlow::Continue(()))
            .await
            .unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert_eq!(error.error_type, "timeout");
        assert!(error.retryable && error.may_be_billed);
    }
}

#[tokio::test]
async fn garbage_is_told_apart_and_its_usage_counts() {
    let body = json!({"usage": {"prompt_tokens": 7, "completion_tokens": 3}}).to_string();
    for reply in [
        Reply::garbage("application/json", body.clone()),
        Reply::garbage("text/plain", body),
        Reply::garbage("application/json", "{ not json"),
        Reply::text(ANSWER).cut_after(1),
    ] {
        let (outcome, ..) = chat(Script::new().reply(reply.clone()), "gpt-4o", false).await;
        let error = outcome.unwrap_err();
        assert!(
            error.may_be_billed || error.error_type == "connect",
            "{reply:?}: {error:?}"
        );
        assert!(error.retryable, "{reply:?}: {error:?}");
    }
    let body = json!({"usage": {"prompt_tokens": 7, "completion_tokens": 3}}).to_string();
    let (outcome, ..) = chat(
        Script::new().reply(Reply::garbage("application/json", body)),
        "gpt-4o",
        false,
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.error_type, "malformed_reply");
    assert_eq!((error.usage.input_tokens(), error.usage.output_tokens()), (7, 3));

    let (outcome, ..) = chat(
        Script::new().reply(Reply::garbage("application/json", "{}")),
        "gpt-4o",
        true,
    )
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.error_type, "malformed_reply");
    assert!(error.message.contains("`stream`"), "{}", error.message);
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_what_to_do() {
    let nobody = GenaiModel::new(Arc::new(|name| {
        (name == "OLLAMA_HOST").then(|| "127.0.0.1:1".to_owned())
    }));
    for stream in [false, true] {
        let error = nobody
            .chat(&ask("ollama/x", stream), &|_| ControlFlow::Continue(()))
            .await
            .unwrap_err();
        assert_eq!(error.error_type, "connect");
        assert!(error.retryable && !error.may_be_billed);
        assert!(
            error.message.contains("ollama at 127.0.0.1:1 cannot be reached"),
            "{}",
            error.message
        );
        assert!(error.message.contains("OLLAMA_HOST"), "{}", error.message);
    }
    let keyless = GenaiModel::new(Arc::new(|_| None));
    assert!(
        keyless
            .target("gpt-4o")
            .unwrap_err()
            .message
            .contains("OPENAI_API_KEY")
    );
    assert!(
        keyless
            .chat(&ask("claude-x", true), &|_| ControlFlow::Continue(()))
            .await
            .unwrap_err()
            .message
            .contains("ANTHROPIC_API_KEY")
    );
}
