//! What listing 1,000 saved workflows takes, from the start of the process to its end.
//!
//! Never measures the saving.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flowmeter_workflow::{Form, SavedWorkflows, WorkflowDraft, WorkflowName};

const WORKFLOWS: usize = 1_000;
const LIMIT: Duration = Duration::from_millis(30);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 10 } else { 60 };
    let folder = tempfile::tempdir().expect("a folder");
    let (saved, by_hand) = (folder.path().join("saved"), folder.path().join("by-hand"));
    fill(&saved, &by_hand);
    let first = time_of(&by_hand, &["list"]);
    println!(
        "     {WORKFLOWS} files put there by hand, listed for the first time: {:.2} ms",
        ms(first)
    );
    for (what, home, args) in [
        ("list, saved", &saved, ["list"].as_slice()),
        ("list --json, saved", &saved, &["list", "--json"]),
        ("list TEXT, saved", &saved, &["list", "number 7"]),
        ("list, put there by hand", &by_hand, &["list"]),
    ] {
        let mut times: Vec<Duration> = (0..rounds).map(|_| time_of(home, args)).collect();
        times.sort();
        let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{} {what}: {:.2} ms, p99 {:.2} ms (limit {} ms)",
            if median <= LIMIT { "ok  " } else { "MISS" },
            ms(median),
            ms(p99),
            LIMIT.as_millis()
        );
    }
}

/// The same workflows, saved and merely put there: each of ten nodes with three inputs.
fn fill(saved: &Path, by_hand: &Path) {
    let store = SavedWorkflows::open(saved.join("workflows"));
    std::fs::create_dir_all(by_hand.join("workflows")).expect("a folder");
    for number in 0..WORKFLOWS {
        let name = WorkflowName::parse(&format!("workflow-{number}")).expect("a name");
        let text = workflow(number);
        let draft = WorkflowDraft {
            name: &name,
            text: &text,
            form: Form::Json,
            file: None,
            folder: saved,
            overwrites_changes: false,
        };
        store.save(&draft).expect("it is saved");
        std::fs::write(by_hand.join(format!("workflows/{name}.json")), text).expect("it is written");
    }
}

fn workflow(number: usize) -> String {
    let nodes: Vec<String> = (0..10)
        .map(|node| {
            format!(
                r#"{{"id": "n{node}", "type": "echo", "purpose": "Says it once more.",
                     "params": {{"message": "${{topic}} ${{tone}} ${{words}} of step {node} in workflow {number}"}}}}"#
            )
        })
        .collect();
    let edges: Vec<String> = (1..10)
        .map(|node| format!(r#"{{"from": "n{}", "to": "n{node}"}}"#, node - 1))
        .collect();
    format!(
        r#"{{
  "title": "Workflow number {number}",
  "description": "Says what there is to say about a topic, in a tone and in so many words, as number {number} does.",
  "inputs": {{
    "topic": {{"type": "string", "description": "What it is about."}},
    "tone": {{"type": "string", "description": "How it is said.", "default": "calm"}},
    "words": {{"type": "integer", "description": "How long it is.", "default": 100}}
  }},
  "nodes": [{}],
  "edges": [{}],
  "outputs": {{"said": {{"source": "${{n9.echo}}", "description": "What was said."}}}}
}}"#,
        nodes.join(",\n"),
        edges.join(",\n")
    )
}

fn time_of(home: &Path, args: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowmeter"));
    command
        .args(args)
        .env("FLOWMETER_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().expect("the command starts");
    let elapsed = began.elapsed();
    assert!(status.success(), "{command:?} failed");
    elapsed
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
