//! Which traces are kept: `flowmeter sample`, and what a run makes of rates and of OpenTelemetry's variables.

use std::io::Write;
use std::process::Stdio;

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

const IDS: [&str; 3] = [
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "0af7651916cd43dd8448eb211c80319c",
    "0af7651916cd43dd84ffeb211c80319c",
];

fn sample_with(stdin: &[u8], args: &[&str]) -> Ended {
    let sandbox = Sandbox::new();
    let args: Vec<&str> = [&["sample"], args].concat();
    let mut child = sandbox.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = stdin.to_vec();
    let feeder = std::thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn sample(args: &[&str]) -> Ended {
    let sandbox = Sandbox::new();
    sandbox.run(&[&["sample"], args].concat())
}

#[test]
fn each_id_gets_a_line_with_its_decision() {
    let ended = sample(&["0.25", IDS[0], IDS[1], IDS[2]]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    expect![[r"
        4bf92f3577b34da6a3ce929d0e0e4736	keep	ot=th:c
        0af7651916cd43dd8448eb211c80319c	drop	
        0af7651916cd43dd84ffeb211c80319c	keep	ot=th:c
    "]]
    .assert_eq(&ended.out);
    for (rate, state) in [
        ("25%", "ot=th:c"),
        ("1/4", "ot=th:c"),
        ("1", "ot=th:0"),
        ("100%", "ot=th:0"),
    ] {
        assert_eq!(
            sample(&[rate, IDS[2]]).out,
            format!("{}\tkeep\t{state}\n", IDS[2]),
            "{rate}"
        );
    }
    assert_eq!(sample(&["0", IDS[2]]).out, format!("{}\tdrop\t\n", IDS[2]));
}

#[test]
fn what_is_no_id_is_reported_with_its_line_and_the_rest_is_done() {
    let text = format!("{}\nnonsense\u{1b}\n\n{}\r\n{}\n", IDS[0], IDS[1], "0".repeat(32));
    let ended = sample_with(text.as_bytes(), &["1", IDS[2], "xyz", "-", IDS[0]]);
    assert_eq!(ended.code, 2);
    expect![[r"
        0af7651916cd43dd84ffeb211c80319c	keep	ot=th:0
        4bf92f3577b34da6a3ce929d0e0e4736	keep	ot=th:0
        0af7651916cd43dd8448eb211c80319c	keep	ot=th:0
        4bf92f3577b34da6a3ce929d0e0e4736	keep	ot=th:0
    "]]
    .assert_eq(&ended.out);
    expect![[r"
        error: argument 2: `xyz` is no trace id: 32 small hex digits, not all zero, are wanted
        error: line 2: `nonsense\u{1b}` is no trace id: 32 small hex digits, not all zero, are wanted
        error: line 5: `00000000000000000000000000000000` is no trace id: 32 small hex digits, not all zero, are wanted
    "]]
    .assert_eq(&ended.err);
}

#[test]
fn masses_of_lines_go_through_whatever_they_are() {
    let mut text = Vec::new();
    for number in 1..=100_000_u128 {
        writeln!(text, "{number:032x}").unwrap();
    }
    text.extend_from_slice(&[0xff; 1_000_000]);
    text.push(b'\n');
    for _ in 0..2_000 {
        text.extend_from_slice(b"bad\n");
    }
    text.extend_from_slice(IDS[2].as_bytes());
    let ended = sample_with(&text, &["0.5", "-"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.out.lines().count(), 100_001);
    assert!(ended.out.ends_with(&format!("{}\tkeep\tot=th:8\n", IDS[2])));
    assert_eq!(ended.err.lines().count(), 1_001);
    assert!(
        ended.err.ends_with("error: 1001 more were no trace ids\n"),
        "{}",
        ended.err
    );
}

#[test]
fn without_an_id_the_rate_is_explained_and_nothing_is_printed() {
    let ended = sample(&["0.25"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    expect![[r"
        rate 0.25: a trace that is kept carries ot=th:c and stands for 4; give trace ids, or `-` to read them from standard input
    "]]
    .assert_eq(&ended.err);
    let refused = sample(&["1.5", IDS[0]]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.contains("`1.5` is no sampling rate"),
        "{}",
        refused.err
    );
}

#[test]
fn an_answer_comes_as_soon_as_its_line() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["sample", "1", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    for id in IDS {
        writeln!(input, "{id}").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert_eq!(line, format!("{id}\tkeep\tot=th:0\n"));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// What a run tells those it calls: the flags of its traceparent, and the tracestate.
fn told(sandbox: &Sandbox, flags: &[&str]) -> (String, String) {
    let command = "echo $(echo $TRACEPARENT | cut -d- -f4)/$TRACESTATE";
    let file = sandbox.workflow(
        "tell.json",
        &json!({"nodes": [{"id": "n", "type": "shell", "params": {"command": command}}]}),
    );
    let ended = sandbox.run(&[&["run", &file][..], flags].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    (ended.out.trim_end().to_owned(), ended.err)
}

fn decided(sandbox: &Sandbox, flags: &[&str]) -> String {
    told(sandbox, flags).0
}

#[test]
fn flags_settings_and_variables_choose_the_sampler() {
    let plain = Sandbox::new();
    assert_eq!(decided(&plain, &[]), "03/ot=th:0");
    assert_eq!(decided(&plain, &["--sample", "100%"]), "03/ot=th:0");
    assert_eq!(decided(&plain, &["--sample", "0"]), "02/");
    let off = Sandbox::new().with("OTEL_TRACES_SAMPLER", "always_off");
    assert_eq!(decided(&off, &[]), "02/");
    assert_eq!(decided(&off, &["--sample", "1"]), "03/ot=th:0");
    let ratio = Sandbox::new()
        .with("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .with("OTEL_TRACES_SAMPLER_ARG", "1e-18");
    assert_eq!(decided(&ratio, &[]), "02/");
    let setting = Sandbox::new().with("FLOWMETER_SAMPLING_RATE", "0");
    assert_eq!(decided(&setting, &[]), "02/");
    let file = Sandbox::new();
    file.file("home/config.toml", "[sampling]\nrate = 0.0");
    assert_eq!(decided(&file, &[]), "02/");
    let file = file.with("OTEL_TRACES_SAMPLER", "always_on");
    assert_eq!(decided(&file, &[]), "03/ot=th:0");
}

#[test]
fn a_run_inside_a_trace_does_as_the_trace_does() {
    let caller = |flags: &str, state: &str| {
        Sandbox::new()
            .with("TRACEPARENT", &format!("00-{}-00f067aa0ba902b7-{flags}", IDS[0]))
            .with("TRACESTATE", state)
    };
    assert_eq!(decided(&caller("02", "a=1"), &["--sample", "1"]), "02/a=1");
    assert_eq!(
        decided(&caller("01", "a=1,ot=th:c"), &["--sample", "0"]),
        "01/a=1,ot=th:c"
    );
    assert_eq!(
        decided(&caller("03", "a=1,ot=th:f"), &[]),
        "03/a=1",
        "contradicts the flag"
    );
    let own = caller("00", "a=1,ot=th:f").with("OTEL_TRACES_SAMPLER", "traceidratio");
    let own = own.with("OTEL_TRACES_SAMPLER_ARG", "0.25");
    let (said, warnings) = told(&own, &[]);
    assert_eq!(said, "01/ot=th:c,a=1");
    assert!(
        warnings.contains("the caller does not say that its trace id is random"),
        "{warnings}"
    );
}

#[test]
fn what_opentelemetrys_variables_cannot_mean_is_a_warning() {
    let unknown = Sandbox::new().with("OTEL_TRACES_SAMPLER", "jaeger_remote");
    let (said, warnings) = told(&unknown, &[]);
    assert_eq!(said, "03/ot=th:0");
    assert!(
        warnings.contains("warning: OTEL_TRACES_SAMPLER is `jaeger_remote`, which is no sampler"),
        "{warnings}"
    );
    let argument = Sandbox::new()
        .with("OTEL_TRACES_SAMPLER", "traceidratio")
        .with("OTEL_TRACES_SAMPLER_ARG", "1.5");
    let (said, warnings) = told(&argument, &[]);
    assert_eq!(said, "03/ot=th:0");
    assert!(
        warnings.contains(
            "warning: OTEL_TRACES_SAMPLER_ARG is `1.5`, which is no number from 0 to 1; sampling with 1"
        ),
        "{warnings}"
    );
}

#[test]
fn a_rule_that_changes_nothing_is_told() {
    let (_, warnings) = told(&Sandbox::new(), &["--keep-errors"]);
    assert!(
        warnings.contains("warning: --keep-errors changes nothing, for every trace is kept; add --sample"),
        "{warnings}"
    );
    let rules = [
        "--sample",
        "0.5",
        "--keep-slower-than",
        "2s",
        "--keep-dearer-than",
        "$0.05",
    ];
    assert!(!told(&Sandbox::new(), &rules).1.contains("warning"));
    let sandbox = Sandbox::new();
    for wrong in [
        ["--sample", "2"],
        ["--keep-slower-than", "soon"],
        ["--keep-dearer-than", "much"],
    ] {
        let ended = sandbox.run(&["run", "x.json", wrong[0], wrong[1]]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(wrong[0]), "{}", ended.err);
    }
}

/// The spans of a run's trace: what they are, beneath what, and where they belonged.
fn kept(sandbox: &Sandbox, document: &Value, flags: &[&str]) -> (Value, Vec<String>) {
    let file = sandbox.workflow("run.json", document);
    let path = sandbox.path("run.trace.json");
    let flags = [
        &[
            "run",
            &file,
            "--output-format",
            "json",
            "--trace-file",
            path.to_str().unwrap(),
        ],
        flags,
    ]
    .concat();
    let ended = sandbox.run(&flags);
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let spans = trace["spans"].as_array().unwrap();
    let root = spans.iter().find(|span| span["kind"] == "run").unwrap();
    let shown = spans.iter().map(|span| {
        let beneath = if span["parent_span_id"] == root["span_id"] {
            "root/"
        } else {
            ""
        };
        let node = span["attributes"]["flowmeter.node.path"].as_str().unwrap_or("-");
        format!("{beneath}{} {node}", span["operation"].as_str().unwrap())
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    (ended.json(), shown)
}

fn flow() -> Value {
    json!({
        "nodes": [
            {"id": "say", "type": "echo", "params": {"message": "a secret of the user"}},
            {"id": "ask", "type": "llm", "params": {"prompt": "${say.echo}", "model": "demo-small"}},
            {"id": "fail", "type": "shell", "params": {"command": "exit 3"}},
            {"id": "mend", "type": "echo", "params": {"message": "mended"}},
        ],
        "edges": [{"from": "say", "to": "ask"}, {"from": "ask", "to": "fail"},
                  {"from": "fail", "to": "mend", "action": "error"}],
    })
}

#[test]
fn a_run_that_is_not_sampled_keeps_root_errors_and_usage_and_counts_everything() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("a secret of the model").usage(100, 20)));
    let sandbox = Sandbox::asking(&model);
    let (result, spans) = kept(&sandbox, &flow(), &["--sample", "0"]);
    assert_eq!(
        spans,
        [
            "root/chat demo-small ask",
            "root/node.shell fail",
            "workflow.start -"
        ]
    );
    let metrics = &result["metrics"]["workflow"];
    assert_eq!(
        (&metrics["nodes_executed"], &metrics["tokens"]["total"]),
        (&json!(4), &json!(120))
    );
    let text = std::fs::read_to_string(sandbox.path("run.trace.json")).unwrap();
    assert!(!text.contains("a secret of"), "{text}");
    assert!(text.contains("gen_ai.usage.input_tokens"), "{text}");

    let (_, whole) = kept(&sandbox, &flow(), &["--sample", "1"]);
    assert!(whole.len() > spans.len() + 2, "{whole:?}");
}

#[test]
fn rules_keep_the_whole_trace_of_a_run_that_was_not_sampled() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("yes").usage(100, 20)));
    let sandbox = Sandbox::asking(&model);
    let failing = json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": "hi"}},
                                   {"id": "fail", "type": "shell", "params": {"command": "exit 3"}}],
                         "edges": [{"from": "say", "to": "fail"}]});
    let spans =
        |document: &Value, flags: &[&str]| kept(&sandbox, document, &[&["--sample", "0"], flags].concat()).1;
    assert_eq!(spans(&failing, &[]).len(), 2);
    assert_eq!(spans(&failing, &["--keep-errors"]).len(), 3);
    // This one goes on after its error.
    assert_eq!(spans(&flow(), &["--keep-errors"]).len(), 3);
    assert_eq!(spans(&flow(), &["--keep-slower-than", "1h"]).len(), 3);
    assert!(spans(&flow(), &["--keep-slower-than", "1ns"]).len() > 4);
    let mut priced = flow();
    priced["nodes"][1]["params"]["model"] = json!("gpt-4o-mini");
    assert_eq!(spans(&priced, &["--keep-dearer-than", "1000"]).len(), 3);
    assert!(spans(&priced, &["--keep-dearer-than", "0.000001"]).len() > 4);
    // Nobody knows what this one cost.
    assert_eq!(spans(&flow(), &["--keep-dearer-than", "0"]).len(), 3);
}
