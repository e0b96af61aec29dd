//! Secrets in parameters, headers, answers and the environment: in no file that a run writes.

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::json;

use crate::support::{Model, Sandbox};

const SECRETS: [&str; 6] = [
    "hunter2hunter2",
    "sk-abcdefghijklmnopqrstuvwx",
    "bearer-value-1234567890",
    "value-of-the-environment",
    "ACME-123456",
    "zebra-in-the-answer-key",
];

#[test]
fn no_file_holds_a_secret() {
    let answer = format!(
        "your key is {}, your id ACME-123456, password: {}",
        SECRETS[1], SECRETS[5]
    );
    let model = Model::new(Script::new().otherwise(move |_| Reply::text(answer.clone())));
    let sandbox = Sandbox::asking(&model).with("MY_SERVICE_TOKEN", SECRETS[3]);
    sandbox.file("home/config.toml", "[redact]\npatterns = [\"ACME-[0-9]{6}\"]");
    let url = format!("{}/models", model.server.openai_base_url());
    let workflow = json!({
        "inputs": {"password": {"type": "string"}},
        "nodes": [
            {"id": "fetch", "type": "http", "params": {"url": url, "auth_token": SECRETS[2], "headers": {"X-Api-Key": "${password}"}}},
            {"id": "print", "type": "shell", "params": {"command": "echo $MY_SERVICE_TOKEN"}},
            {"id": "ask", "type": "llm", "params": {"model": "openai/x", "prompt": "I say ${print.stdout} and sk-abcdefghijklmnopqrstuvwx"}},
            {"id": "fail", "type": "shell", "params": {"command": "echo value-of-the-environment ACME-123456 >&2; exit 1"}}
        ],
        "edges": [{"from": "fetch", "to": "print"}, {"from": "print", "to": "ask"}, {"from": "ask", "to": "fail"}]
    });
    let path = sandbox.path("workflow.json");
    std::fs::write(&path, workflow.to_string()).unwrap();
    let workflow = path.display().to_string();
    for capture in ["full", "limited", "metadata", "off"] {
        let trace = format!("{capture}.json");
        let password = format!("password={}", SECRETS[0]);
        let args = [
            "run",
            &workflow,
            &password,
            "--capture",
            capture,
            "--trace-file",
            &trace,
            "--trace",
            "--output-format",
            "json",
        ];
        let ended = sandbox.run(&args);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(sandbox.path(&trace).exists(), capture != "off");
    }
    std::fs::remove_file(&path).unwrap();
    for file in sandbox.all_files() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
    }
    let limited = std::fs::read_to_string(sandbox.path("limited.json")).unwrap();
    assert!(limited.contains("[REDACTED]"));
    let full = std::fs::metadata(sandbox.path("full.json")).unwrap().len();
    let metadata = std::fs::metadata(sandbox.path("metadata.json")).unwrap().len();
    assert!(metadata < full, "{metadata} {full}");
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.file("home/config.toml", "[redact]\npatterns = [\"(\"]");
    let document = json!({"nodes": [{"id": "work", "type": "shell", "params": {"command": "touch ran"}}]});
    let ended = sandbox.run(&["run", &sandbox.workflow("w.json", &document)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("the redaction pattern `(`"), "{}", ended.err);
    assert!(!sandbox.path("ran").exists());
}
