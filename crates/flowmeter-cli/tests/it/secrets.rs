//! Secrets in parameters, headers, answers and the environment: in no file that a run writes.

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::history::{everything_in, history};
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
            "--session",
            SECRETS[3],
            "--tag",
            &format!("customer={}", SECRETS[4]),
            "--tag",
            &format!("api_key={}", SECRETS[0]),
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
    // The history is compressed: it is looked for in what it gives back, too.
    let texts = everything_in(&history(&sandbox));
    assert!(texts.iter().any(|text| text.contains("[REDACTED]")));
    for (text, secret) in texts.iter().flat_map(|text| SECRETS.map(|secret| (text, secret))) {
        assert!(!text.contains(secret), "{secret} in {text}");
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

/// Traces of a workflow whose secrets stand inside longer texts, and what the variables of its run held.
fn traced(sandbox: &Sandbox, document: &Value, inputs: &[&str]) -> String {
    let workflow = sandbox.workflow("longer.json", document);
    let mut args = vec!["run", &workflow, "--trace-file", "t.json", "--capture", "full"];
    args.extend(inputs);
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    std::fs::read_to_string(sandbox.path("t.json")).unwrap()
}

#[test]
fn a_secret_input_is_masked_inside_longer_texts_wherever_it_comes_from() {
    let secret = "plain-words-of-nobody";
    for (origin, default) in [
        ("command line", None),
        ("default", Some(secret)),
        ("env", None),
        ("config", None),
    ] {
        let mut sandbox = Sandbox::new();
        let mut document = json!({
            "inputs": {"api_key": {"type": "string"}},
            "nodes": [{"id": "say", "type": "echo", "params": {"message": "the words are ${api_key}, all of them"}}]
        });
        let given = format!("api_key={secret}");
        let mut inputs = Vec::new();
        match origin {
            "command line" => inputs.push(given.as_str()),
            "env" => sandbox = sandbox.with("api_key", secret),
            "config" => drop(sandbox.file("home/config.toml", &format!("[inputs]\napi_key = \"{secret}\""))),
            _ => document["inputs"]["api_key"]["default"] = json!(default),
        }
        let trace = traced(&sandbox, &document, &inputs);
        assert!(!trace.contains(secret), "{origin}: {trace}");
        assert!(
            trace.contains("the words are [REDACTED], all of them"),
            "{origin}: {trace}"
        );
    }
}

#[test]
fn what_workflow_files_say_under_secret_names_is_masked_when_it_comes_back() {
    let model = Model::new(
        Script::new().otherwise(|_| Reply::text("it came: xyz-header-value; deep-in-there; of-the-child")),
    );
    let sandbox = Sandbox::asking(&model);
    let child = json!({"nodes": [{"id": "get", "type": "http", "params": {
        "url": format!("{}/models", model.server.openai_base_url()), "auth_token": "of-the-child"}}]});
    sandbox.workflow("nested/child.json", &child);
    let document = json!({
        "nodes": [
            {"id": "get", "type": "http", "params": {
                "url": format!("{}/models", model.server.openai_base_url()),
                "method": "GET", "headers": {"Authorization": "Bearer xyz-header-value"},
                "body": {"credentials": {"inner": ["deep-in-there"]}}}},
            {"id": "inner", "type": "workflow", "params": {"workflow_path": "nested/child.json"}},
            {"id": "ask", "type": "llm", "params": {"model": "openai/x", "prompt": "hi"}}
        ],
        "edges": [{"from": "get", "to": "inner"}, {"from": "inner", "to": "ask"}]
    });
    let trace = traced(&sandbox, &document, &[]);
    for secret in ["xyz-header-value", "deep-in-there", "of-the-child"] {
        assert!(!trace.contains(secret), "{secret}: {trace}");
    }
    assert!(
        trace.contains("it came: [REDACTED]; [REDACTED]; [REDACTED]"),
        "{trace}"
    );
}

#[test]
fn the_working_folder_is_no_secret() {
    let sandbox = Sandbox::new()
        .with("PWD", "/srv/some/where")
        .with("OLDPWD", "/srv/else/where");
    let document = json!({"nodes": [{"id": "say", "type": "echo",
        "params": {"message": "from /srv/some/where to /srv/else/where"}}]});
    let trace = traced(&sandbox, &document, &[]);
    assert!(
        trace.contains("from /srv/some/where to /srv/else/where"),
        "{trace}"
    );
}
