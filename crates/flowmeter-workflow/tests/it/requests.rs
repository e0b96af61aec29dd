//! The `llm` and `http` nodes against the scripted server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter::RunMeter;
use flowmeter_engine::{Backoff, RetryPolicy, SharedStore};
use flowmeter_workflow::chat::GenaiModel;
use flowmeter_workflow::nodes::{NodeSetting, find};
use flowmeter_workflow::scripted_model::{DemoModel, Reply, Script, ScriptedModel};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::chat::{ANSWER, client};
use crate::nodes::{Ran, run_with, services};

async fn llm(script: Script, params: Value, attempts: u32) -> (Ran, ScriptedModel) {
    let server = ScriptedModel::start(script).await.unwrap();
    let retry = RetryPolicy::new(attempts, Duration::from_millis(1), Backoff::Fixed).unwrap();
    let services = services(Some(client(&server)), Some("demo-small"));
    (
        run_with(&services, "llm", params, Some(retry), CancellationToken::new()).await,
        server,
    )
}

#[tokio::test]
async fn the_llm_node_writes_answer_usage_and_prompt() {
    let reply = Reply::text(ANSWER).usage(100, 20).cached(64);
    let (ran, server) = llm(
        Script::new().reply(reply),
        json!({"prompt": "What is a river?", "temperature": 0.5, "max_tokens": 99}),
        1,
    )
    .await;
    assert_eq!(ran.action(), "default");
    assert_eq!(
        (ran.get("response"), ran.get("prompt")),
        (json!(ANSWER), json!("What is a river?"))
    );
    let usage = ran.get("llm_usage");
    assert_eq!(usage["model"], json!("demo-small"));
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["output_tokens"],
            &usage["total_tokens"]
        ),
        (&json!(100), &json!(20), &json!(120))
    );
    assert_eq!(usage["cache_read_input_tokens"], json!(64));
    assert_eq!(usage["cache_creation_input_tokens"], Value::Null);
    let body = &server.requests()[0].body;
    assert_eq!(
        (&body["stream"], &body["temperature"], &body["max_tokens"]),
        (&json!(true), &json!(0.5), &json!(99))
    );
    assert_eq!(body["stream_options"]["include_usage"], json!(true));
}

#[tokio::test]
async fn the_llm_node_tries_again_what_may_pass() {
    let script = Script::new()
        .reply(Reply::status(429, "slow down"))
        .reply(Reply::text("yes"));
    let (ran, server) = llm(script, json!({"prompt": "p"}), 3).await;
    assert_eq!((ran.get("response"), server.calls()), (json!("yes"), 2));

    let script = Script::new()
        .reply(Reply::status(401, "no"))
        .reply(Reply::text("yes"));
    let (ran, server) = llm(script, json!({"prompt": "p"}), 3).await;
    assert_eq!(
        ran.error(),
        "openai answered with HTTP 401: no; set OPENAI_API_KEY"
    );
    assert_eq!((server.calls(), ran.get("prompt")), (1, json!("p")));
}

#[tokio::test]
async fn a_structured_answer_is_parsed_and_checked() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    for model in [
        "gpt-4o",
        "claude-sonnet-4-5",
        "ollama/x",
        "deepseek/deepseek-chat",
    ] {
        let script = Script::new()
            .reply(Reply::text("{\"n\": \"three\"}").usage(10, 2))
            .reply(Reply::text("no json").usage(10, 2))
            .reply(Reply::text("```json\n{\"n\": 3}\n```").usage(10, 2));
        let params = json!({"prompt": "p", "model": model, "output_schema": schema});
        let (ran, server) = llm(script, params, 3).await;
        assert_eq!(ran.action(), "default", "{model}");
        assert_eq!(
            (ran.get("response"), server.calls()),
            (json!({"n": 3}), 3),
            "{model}"
        );
    }
    let script = Script::new().reply(Reply::text("{}").usage(10, 2));
    let (ran, server) = llm(script, json!({"prompt": "p", "output_schema": schema}), 1).await;
    assert!(
        ran.error().contains("\"n\" is a required property"),
        "{}",
        ran.error()
    );
    assert_eq!(
        (ran.get("response"), ran.get("llm_usage")["input_tokens"].clone()),
        (json!("{}"), json!(10))
    );
    assert_eq!(
        server.requests()[0].body["response_format"]["type"],
        json!("json_schema")
    );

    let (ran, server) = llm(
        Script::new(),
        json!({"prompt": "p", "output_schema": {"type": "no-such-type"}}),
        3,
    )
    .await;
    assert!(ran.error().contains("no JSON Schema"), "{}", ran.error());
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn every_attempt_is_a_call_that_counts_once() {
    let schema = json!({"type": "object", "required": ["n"]});
    let script = Script::new()
        .reply(Reply::status(503, "busy"))
        .reply(Reply::text("{}").usage(100, 10))
        .reply(Reply::text(ANSWER).usage(100, 20).cut_after(2))
        .reply(Reply::text("{\"n\": 1}").usage(100, 30));
    let server = ScriptedModel::start(script).await.unwrap();
    let retry = RetryPolicy::new(4, Duration::from_millis(1), Backoff::Fixed).unwrap();
    let services = services(Some(client(&server)), None);
    let node = (find("llm").unwrap().make)(&NodeSetting {
        cache: None,
        id: "n",
        retry,
        services: &services,
    });

    let meter = RunMeter::builder("metered").start().unwrap();
    let params = json!({"prompt": "12345678", "model": "claude-sonnet-4-5", "output_schema": schema});
    let cx = meter
        .context(SharedStore::new().root().in_namespace("n"))
        .with_params(Arc::new(params));
    let outcome = node.run(&cx).await;
    assert!(outcome.as_ref().unwrap().is_default());
    let llm = meter.finish(outcome.as_ref()).metrics.llm;
    assert_eq!((llm.calls, llm.failed_calls), (4, 2));
    // The refused call used nothing; of the one that broke off the output is estimated from what came.
    assert_eq!(llm.input_tokens, 300);
    assert_eq!(llm.output_tokens, 10 + 10 + 30);
    assert_eq!(llm.estimated_calls, 1);
}

#[tokio::test]
async fn a_request_without_a_model_says_what_to_set() {
    let none = services(Some(GenaiModel::new(Arc::new(|_| None))), None);
    let ran = run_with(
        &none,
        "llm",
        json!({"prompt": "p"}),
        None,
        CancellationToken::new(),
    )
    .await;
    assert!(ran.error().contains("parameter `model`"), "{}", ran.error());
}

#[tokio::test]
async fn cancellation_reaches_an_llm_call() {
    let server = ScriptedModel::start(Script::new().reply(Reply::hang()))
        .await
        .unwrap();
    let services = services(Some(client(&server)), Some("demo-small"));
    let cancellation = CancellationToken::new();
    let cancel = cancellation.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let ran = run_with(&services, "llm", json!({"prompt": "p"}), None, cancellation).await;
    assert!(ran.outcome.unwrap_err().is_cancelled());
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_demo_model_fails_once_and_is_deterministic() {
    let demo = DemoModel::new()
        .latency(Duration::from_millis(30), Duration::ZERO)
        .failing_call(1);
    let prompt = json!({"prompt": "Rivers carry water. Rivers shape valleys. They end in the sea."});
    let began = Instant::now();
    let (first, server) = llm(demo.clone().into(), prompt.clone(), 2).await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert_eq!(server.calls(), 2);
    let (second, _) = llm(demo.into(), prompt, 2).await;
    assert_eq!(first.get("response"), second.get("response"));
    assert!(first.get("response").as_str().unwrap().contains("demo model"));
    let usage = first.get("llm_usage");
    let answer_bytes = first.get("response").as_str().unwrap().len() as u64;
    assert_eq!(usage["output_tokens"], json!(answer_bytes.div_ceil(4)));
}

async fn http(params: Value, script: Script) -> (Ran, ScriptedModel) {
    let server = ScriptedModel::start(script).await.unwrap();
    let mut params = params;
    let path = params["url"].as_str().unwrap().to_owned();
    params["url"] = Value::from(format!("{}{path}", server.anthropic_base_url()));
    (
        run_with(
            &services(None, None),
            "http",
            params,
            None,
            CancellationToken::new(),
        )
        .await,
        server,
    )
}

#[tokio::test]
async fn the_http_node_reads_json_text_and_bytes() {
    let (ran, _) = http(json!({"url": "/v1/models"}), Script::new()).await;
    assert_eq!((ran.action(), ran.get("status_code")), ("default", json!(200)));
    assert_eq!(ran.get("response")["data"][0]["id"], json!("demo-small"));
    assert_eq!(
        ran.get("response_headers")["content-type"],
        json!("application/json")
    );
    assert!(ran.get("response_time").as_f64().unwrap() > 0.0);

    let body = json!({"url": "/v1/chat/completions", "body": {"model": "m"}, "params": {"a": [1, true], "b": null},
        "headers": {"X-One": "1"}, "auth_token": "t0ken"});
    let (ran, server) = http(
        body,
        Script::new().reply(Reply::garbage("text/plain", "{\"a\": 1}")),
    )
    .await;
    assert_eq!(ran.get("response"), json!("{\"a\": 1}"));
    let request = server.requests().remove(0);
    assert_eq!(request.body, json!({"model": "m"}));
    assert_eq!(request.header("x-one"), Some("1"));
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(request.header("content-type"), Some("application/json"));

    let picture = json!({"url": "/v1/chat/completions", "body": "hello"});
    let (ran, server) = http(picture, Script::new().reply(Reply::garbage("image/png", "ab"))).await;
    assert_eq!(
        (ran.get("response"), ran.get("response_is_binary")),
        (json!("YWI="), json!(true))
    );
    assert_eq!(
        server.requests()[0].header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn the_http_node_leads_refusals_to_the_action_error() {
    let post = json!({"url": "/v1/chat/completions?token=s3cret", "body": {}});
    let (ran, _) = http(post, Script::new().reply(Reply::status(404, "nothing here"))).await;
    let error = ran.error();
    assert!(error.contains("HTTP 404 (Not Found): nothing here"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
    assert_eq!(ran.get("status_code"), json!(404));
    assert_eq!(ran.get("response")["error"]["message"], json!("nothing here"));

    let run = async |params| {
        run_with(
            &services(None, None),
            "http",
            params,
            None,
            CancellationToken::new(),
        )
        .await
    };
    assert!(
        run(json!({"url": "http://127.0.0.1:1/x?token=s3cret"}))
            .await
            .error()
            .contains("GET http://127.0.0.1:1/x failed")
    );
    assert!(
        run(json!({"url": "example.com"}))
            .await
            .error()
            .contains("must begin with http")
    );
    assert!(
        run(json!({"url": "http://x", "method": "G E T"}))
            .await
            .error()
            .contains("no HTTP method")
    );

    let began = Instant::now();
    let slow = json!({"url": "/v1/chat/completions", "body": {}, "timeout": 0.2});
    let (ran, _) = http(slow, Script::new().reply(Reply::hang())).await;
    assert!(
        ran.error().contains("took longer than the limit of 0.2 s"),
        "{}",
        ran.error()
    );
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_no_call() {
    for (params, said) in [
        (
            json!({"prompt": "p", "images": ["no/such.png"]}),
            "the image `no/such.png` cannot be read",
        ),
        (
            json!({"prompt": "p", "reasoning_effort": "lots"}),
            "`lots` is no `reasoning_effort`",
        ),
    ] {
        let server = ScriptedModel::start(Script::new()).await.unwrap();
        let node = (find("llm").unwrap().make)(&NodeSetting {
            cache: None,
            id: "n",
            retry: RetryPolicy::once(),
            services: &services(Some(client(&server)), Some("demo-small")),
        });
        let meter = RunMeter::builder("test").start().unwrap();
        let store = SharedStore::new().root().in_namespace("n");
        let outcome = node
            .run(&meter.context(store.clone()).with_params(Arc::new(params)))
            .await;
        let error = store.get("error").unwrap();
        assert!(error.as_str().unwrap().starts_with(said), "{error}");
        assert_eq!(meter.finish(outcome.as_ref()).metrics.llm.calls, 0);
    }
}
