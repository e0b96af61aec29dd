//! Nothing secret reaches the disk, by whichever door it came in.

use std::sync::Arc;

use flowmeter::{
    CaptureLevel, LlmFailure, LlmRequest, LlmResponse, NodeDescription, Redactor, Traced, current, read_trace,
};
use flowmeter_engine::{Action, Flow, NodeError};
use flowmeter_model::LogLevel;
use serde_json::{Value, json};

use crate::probes::{quick, request, response, run_with, traced};

/// Short and without a pattern of its own: only its name or the list of known values gives it away.
const NAMED: &str = "zebra7";
/// A token of a well-known form.
const KNOWN_FORM: &str = "sk-proj-abcdefghijklmnop0123456789";
/// The value of an environment variable.
const FROM_ENVIRONMENT: &str = "quetzal-environment-9";

fn leaky() -> Flow {
    let config = json!({"url": "https://ann:zebra7@host/", "headers": {"Authorization": NAMED, "X-Api-Key": NAMED},
        "text": KNOWN_FORM, "nested": [{"password": NAMED}]});
    let first = quick(move |cx| {
        let span = current(cx);
        span.record_params(&Arc::new(
            json!({"api_key": NAMED, "env": FROM_ENVIRONMENT, "body": format!("key={KNOWN_FORM}"),
                "headers": {"cookie": NAMED}}),
        ));
        span.record_template("${config.api_key}", &Arc::new(json!(NAMED)));
        span.record_template("${headers[\"X-Api-Key\"]}", &Arc::new(json!(NAMED)));
        span.record_template("${credentials.value[0]}", &Arc::new(json!(NAMED)));
        span.record_template(
            &format!("curl -H 'Bearer {KNOWN_FORM}' ${{x}}"),
            &Arc::new(json!("x")),
        );
        span.set("auth_token", NAMED);
        span.set("note", format!("uses {FROM_ENVIRONMENT}"));
        span.set("client_secret", json!({"value": NAMED}));
        span.log(
            LogLevel::Info,
            format!("calling with Authorization: Bearer {KNOWN_FORM}"),
        );
        span.log(LogLevel::Debug, format!("env is {FROM_ENVIRONMENT}"));
        let store = cx.store().in_namespace("a");
        store.set("api_key", json!(NAMED));
        store.set("api_key", json!({"deep": NAMED}));
        store.set("config", json!({"db": {"password": NAMED}}));
        store
            .set_path("config.db.password", json!(format!("{NAMED}{NAMED}")))
            .unwrap();
        store
            .set_path("config.tokens_by.access_token[0]", json!(NAMED))
            .unwrap_err();
        store.set_path("config.login.secret.inner", json!(NAMED)).unwrap();
        store.set("reply", json!(format!("{{\"token\": \"{NAMED}\", \"x\": 1}}")));
        let answered = LlmRequest {
            messages: Arc::new(json!([{"role": "user", "parts": [
                {"type": "text", "content": format!("my key is {KNOWN_FORM}, my env {FROM_ENVIRONMENT}")}]}])),
            ..request("gpt-4o")
        };
        let answer = LlmResponse {
            text: Arc::new(json!(format!("your key was {KNOWN_FORM}"))),
            raw_usage: Some(Arc::new(json!({"account": FROM_ENVIRONMENT}))),
            ..response(10, 10)
        };
        drop(span.llm_call(answered).succeed(answer));
        let failure = LlmFailure {
            error_type: "http_401".into(),
            message: format!("invalid key {KNOWN_FORM}"),
            partial_text: format!("so {FROM_ENVIRONMENT}"),
            ..LlmFailure::default()
        };
        drop(span.llm_call(request("gpt-4o")).fail(failure));
        Ok(Action::default())
    });
    let description = NodeDescription {
        config: Arc::new(config),
        ..NodeDescription::node("a", "http")
    };
    let failing = quick(|_| {
        let cause = NodeError::failed(format!("https://ann:{NAMED}@host/ refused {KNOWN_FORM}"));
        Err(NodeError::failed(format!("cannot log in with {FROM_ENVIRONMENT}")).with_source(cause))
    });
    Flow::builder("leaky")
        .node("a", Traced::new(first, description))
        .node("b", traced("b", failing))
        .edge("a", "b")
        .build()
        .unwrap()
}

#[tokio::test]
async fn no_secret_is_in_the_file_at_any_level() {
    for level in [CaptureLevel::Full, CaptureLevel::Limited, CaptureLevel::Metadata] {
        let redactor = Redactor::new(&[FROM_ENVIRONMENT.to_owned()], &[]).unwrap();
        let ran = run_with(leaky(), |builder| {
            builder
                .capture(level)
                .redactor(redactor)
                .resource("x-api-key", NAMED)
                .resource("command", format!("run --env={FROM_ENVIRONMENT}"))
        })
        .await;
        for secret in [NAMED, &KNOWN_FORM[3..], FROM_ENVIRONMENT] {
            let found = ran.text.find(secret).map(|at| {
                let from = ran.text.floor_char_boundary(at.saturating_sub(160));
                &ran.text[from..at + secret.len()]
            });
            assert_eq!(found, None, "{level:?}");
        }
        assert!(ran.text.contains("[REDACTED]"));
        assert!(
            ran.outcome.unwrap_err().to_string().contains(FROM_ENVIRONMENT),
            "the run's own error stays"
        );
    }
}

#[tokio::test]
async fn what_is_not_secret_is_still_there() {
    let ran = run_with(leaky(), |builder| builder.capture(CaptureLevel::Full)).await;
    let span = ran.node("a");
    let params = span.params.as_ref().unwrap();
    assert_eq!(params["api_key"], "[REDACTED]");
    assert_eq!(params["env"], FROM_ENVIRONMENT, "nobody said that it is one");
    let write = |path: &str| span.mutations.iter().find(|write| write.path == path).unwrap();
    assert_eq!(write("a.api_key").after, Some(Value::from("[REDACTED]").into()));
    assert_eq!(
        **write("a.reply").after.as_ref().unwrap(),
        "{\"token\": \"[REDACTED]\", \"x\": 1}"
    );
    assert_eq!(
        write("a.config").after.as_ref().unwrap()["db"]["password"],
        "[REDACTED]"
    );
}

#[tokio::test]
async fn the_name_of_a_node_says_nothing_of_what_it_writes() {
    let node = quick(|cx| {
        cx.store().in_namespace("auth").set("stdout", json!("plain"));
        Ok(Action::default())
    });
    let ran = run_with(traced("auth", node), |builder| builder).await;
    assert_eq!(ran.node("auth").mutations[0].after, Some(json!("plain").into()));
}

#[tokio::test]
async fn the_lines_of_a_running_trace_hold_no_secret_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = flowmeter::RunMeter::builder("test")
        .trace_file(&path)
        .resource("db_password", NAMED)
        .start()
        .unwrap();
    let open = loop {
        let trace = read_trace(&path).unwrap();
        if let [open] = &trace.spans[..] {
            break open.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(open.end.is_none());
    assert!(!std::fs::read_to_string(&path).unwrap().contains(NAMED));
    drop(meter);
    assert!(!std::fs::read_to_string(&path).unwrap().contains(NAMED));
}
