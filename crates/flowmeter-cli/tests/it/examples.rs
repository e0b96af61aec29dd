//! Every workflow in examples/ and the demo, run as a user would run them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox, ended, repository};

/// Runs an example from the root of the repository.
fn example(sandbox: &Sandbox, args: &[&str]) -> Ended {
    let mut command = sandbox.command(args);
    command.current_dir(repository());
    ended(command)
}

#[test]
fn every_example_is_valid_and_named_in_the_readme() {
    let readme = std::fs::read_to_string(repository().join("examples/README.md")).unwrap();
    let sandbox = Sandbox::new();
    let mut count = 0;
    for folder in std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if !folder.is_dir() || folder.ends_with("out") {
            continue;
        }
        count += 1;
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(
            readme.contains(&format!("]({name}/")),
            "{name} is not in the README"
        );
        for file in std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let text = std::fs::read_to_string(&file).unwrap();
            if file.extension().is_some_and(|extension| extension == "json") && text.contains("\"nodes\"") {
                let checked = sandbox.run(&["validate", &file.display().to_string()]);
                assert_eq!(checked.out, format!("{}: ok\n", file.display()));
            }
        }
    }
    assert!(count >= 6);
}

#[test]
fn the_demo_needs_nothing_and_shows_everything() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(&["demo"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.out.contains("6 of 6 reviews summarised"), "{}", shown.out);
    for part in [
        "is no language model",
        "→ batch.item [6 of 6]",
        "→ attempt [2 of 3]",
        "✗",
        "    → workflow.answer",
        "- Cost: $0.000",
    ] {
        assert!(shown.err.contains(part), "{part}: {}", shown.err);
    }
    let first = sandbox
        .run(&["demo", "--output-format", "json", "--quiet"])
        .json();
    let second = sandbox
        .run(&["demo", "--output-format", "json", "--quiet"])
        .json();
    for key in ["result", "status"] {
        assert_eq!(first[key], second[key]);
    }
    let total = |printed: &Value| {
        let total = &printed["metrics"]["total"];
        (
            total["llm_calls"].clone(),
            total["tokens_total"].clone(),
            total["cost_usd"].clone(),
        )
    };
    assert_eq!(total(&first), total(&second));
    assert_eq!(first["metrics"]["total"]["llm_calls"], 8);
    assert!(first["metrics"]["workflow"]["nodes_executed"].as_u64().unwrap() >= 6);
    assert!(first["metrics"]["total"]["cost_usd"].as_f64().unwrap() > 0.0);
}

#[test]
fn summarize_takes_a_file_or_a_pipe() {
    let model = Model::new(Script::new());
    let sandbox = Sandbox::asking(&model);
    let file = "examples/summarize/summarize.json";
    let from_file = example(&sandbox, &["run", file, "words=30"]);
    assert_eq!(from_file.code, 0, "{from_file:?}");
    let mut command = sandbox.command(&["run", file]);
    let mut child = command
        .current_dir(repository())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"piped text").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let prompts: Vec<String> = model
        .server
        .requests()
        .iter()
        .map(|request| request.body["messages"].to_string())
        .collect();
    assert!(
        prompts[0].contains("at most 30 words") && prompts[0].contains("photo archive"),
        "{prompts:?}"
    );
    assert!(
        prompts[1].contains("piped text") && !prompts[1].contains("photo archive"),
        "{prompts:?}"
    );
}

#[test]
fn log_triage_sorts_errors_and_survives_a_refusal() {
    let judged = json!({"severity": "high", "cause": "the network"});
    let script = Script::new()
        .on(|asked| asked.prompt.contains("disk #"), Reply::status(400, "no"))
        .otherwise(move |_| Reply::json(&judged));
    let model = Model::new(script);
    let sandbox = Sandbox::asking(&model);
    let report = format!("report={}", sandbox.path("triage.md").display());
    let ended = example(&sandbox, &["run", "examples/log-triage/triage.json", &report]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("| high | 3 | connection # to database lost after # s | the network |"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("1 could not be judged."), "{}", ended.out);
    assert_eq!(
        std::fs::read_to_string(sandbox.path("triage.md")).unwrap(),
        ended.out
    );
    let quiet = sandbox.file("quiet.log", "2025-01-15 INFO all is well\n");
    let ended = example(
        &sandbox,
        &[
            "run",
            "examples/log-triage/triage.json",
            &report,
            &format!("log={quiet}"),
        ],
    );
    assert!(ended.out.starts_with("No errors in "), "{ended:?}");
}

/// Answers one request with this JSON.
fn answering_once(body: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/releases", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _length = connection.read(&mut request).unwrap();
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    address
}

#[test]
fn http_report_lists_releases_or_says_why_not() {
    let sandbox = Sandbox::new();
    let url = answering_once(json!([
        {"tag_name": "v2", "name": "Second", "published_at": "2025-01-02T00:00:00Z"},
        {"tag_name": "v1", "name": null, "published_at": "2024-12-01T00:00:00Z"}
    ]));
    let ended = example(
        &sandbox,
        &["run", "examples/http-report/report.json", &format!("url={url}")],
    );
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "2025-01-02  v2            Second\n2024-12-01  v1\n"),
        "{ended:?}"
    );
    let ended = example(
        &sandbox,
        &["run", "examples/http-report/report.json", "url=ftp://nowhere"],
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.out.starts_with("The releases cannot be had: "),
        "{}",
        ended.out
    );
}

#[test]
fn csv_cleanup_keeps_what_is_whole() {
    let sandbox = Sandbox::new();
    let target = format!("target={}", sandbox.path("clean.csv").display());
    let ended = example(
        &sandbox,
        &[
            "run",
            "examples/csv-cleanup/clean.json",
            &target,
            "--output-format",
            "json",
        ],
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(
        (
            &ended.json()["result"]["kept"],
            &ended.json()["result"]["dropped"]
        ),
        (&json!(3), &json!(2))
    );
    let clean = std::fs::read_to_string(sandbox.path("clean.csv")).unwrap();
    assert_eq!(
        clean.lines().next_back(),
        Some("Alan Turing,alan@example.org,Manchester")
    );
}

#[test]
fn refine_goes_on_until_the_reviewer_is_content() {
    let verdict = |approved: bool, notes: &str| Reply::json(&json!({"approved": approved, "notes": notes}));
    let script = Script::new()
        .reply(Reply::text("first draft"))
        .reply(verdict(false, "too long"))
        .reply(Reply::text("second draft"))
        .reply(verdict(true, ""));
    let model = Model::new(script);
    let sandbox = Sandbox::asking(&model);
    let ended = example(&sandbox, &["run", "examples/refine/refine.json"]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "second draft\n"),
        "{ended:?}"
    );
    let third = model.server.requests()[2].body.to_string();
    assert!(
        third.contains("first draft") && third.contains("too long"),
        "{third}"
    );
    assert_eq!(model.server.calls(), 4);
}

#[test]
fn changelog_reads_the_history_or_says_that_there_is_none() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("## Added")));
    let sandbox = Sandbox::asking(&model);
    let script = "git init -q r && cd r && git -c user.name=n -c user.email=e@example.org commit -q --allow-empty -m 'add tea'";
    assert!(
        std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(sandbox.path(""))
            .status()
            .unwrap()
            .success()
    );
    let repository = format!("repository={}", sandbox.path("r").display());
    let ended = example(
        &sandbox,
        &["run", "examples/changelog/changelog.json", &repository],
    );
    assert_eq!((ended.code, ended.out.as_str()), (0, "## Added\n"), "{ended:?}");
    assert!(model.server.requests()[0].body.to_string().contains("- add tea"));
    std::fs::create_dir(sandbox.path("bare")).unwrap();
    let nowhere = format!("repository={}", sandbox.path("bare").display());
    let ended = example(&sandbox, &["run", "examples/changelog/changelog.json", &nowhere]);
    assert!(
        ended.out.starts_with("There is no history to read in "),
        "{ended:?}"
    );
}
