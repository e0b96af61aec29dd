//! What a run prints and counts when it goes well, or as well as it can.

use std::time::Duration;

use expect_test::expect;
use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Model, Sandbox, steady};

/// Ten cents per thousand input tokens and twenty per thousand output tokens: sums can be done by eye.
const PRICES: &str = r#"{"priced": {"input": 0.1, "output": 0.2}}"#;

fn asks(id: &str, prompt: &str) -> Value {
    json!({"id": id, "type": "llm", "params": {"model": "openai/priced", "prompt": prompt}})
}

#[test]
fn the_json_has_the_agreed_shape() {
    let model = Model::new(Script::new().reply(Reply::text("short").usage(100, 20)));
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/pricing.json", PRICES);
    let workflow = json!({
        "inputs": {"file": {"type": "string"}},
        "nodes": [
            {"id": "read", "type": "read-file", "params": {"file_path": "${file}"}},
            asks("ask", "Shorten: ${read.content}")
        ],
        "edges": [{"from": "read", "to": "ask"}],
        "outputs": {"summary": {"source": "${ask.response}"}}
    });
    let workflow = sandbox.workflow("summarize.json", &workflow);
    let notes = sandbox.file("notes.txt", "a long text");
    let ended = sandbox.run(&[
        "run",
        &workflow,
        &format!("file={notes}"),
        "--output-format",
        "json",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.err, "");
    expect![[r#"
        {
          "result": {
            "summary": "short"
          },
          "metrics": {
            "workflow": {
              "duration_ms": "<ms>",
              "nodes_executed": 2,
              "llm_calls": 1,
              "tokens": {
                "input": 100,
                "output": 20,
                "total": 120
              },
              "cost_usd": 0.014,
              "cost_nanos": 14000000,
              "cost_status": "priced",
              "unpriced_calls": 0,
              "unpriced_models": [],
              "llm_error_rate": 0.0,
              "llm_durations_ms": "<measured>",
              "time_to_first_token_ms": "<measured>",
              "cache": {
                "hits": 0,
                "misses": 0,
                "hit_rate": null,
                "saved_tokens": {
                  "input": 0,
                  "output": 0,
                  "total": 0
                },
                "saved_cost_usd": 0.0,
                "saved_cost_status": "priced",
                "provider_cached_tokens": 0,
                "provider_saved_cost_usd": 0.0,
                "provider_saved_cost_status": "priced"
              },
              "success_rate": 1.0,
              "error_rate": 0.0,
              "error_count": 0,
              "node_timings": {
                "read": "<ms>",
                "ask": "<ms>"
              },
              "node_durations": "<measured>",
              "node_counts": {
                "read-file": 1,
                "llm": 1
              },
              "cpu_time_ms": "<measured>",
              "memory_usage": "<measured>",
              "throughput": "<measured>",
              "nodes": {
                "read": {
                  "type": "read-file",
                  "runs": 1,
                  "attempts": 1,
                  "failures": 0,
                  "duration_ms": "<ms>",
                  "error_rate": 0.0,
                  "durations_ms": "<measured>",
                  "cpu_time_ms": "<measured>"
                },
                "ask": {
                  "type": "llm",
                  "runs": 1,
                  "attempts": 1,
                  "failures": 0,
                  "duration_ms": "<ms>",
                  "error_rate": 0.0,
                  "durations_ms": "<measured>",
                  "cpu_time_ms": "<measured>",
                  "llm_calls": 1,
                  "tokens": {
                    "input": 100,
                    "output": 20,
                    "total": 120
                  },
                  "cost_usd": 0.014,
                  "cost_nanos": 14000000,
                  "cost_status": "priced",
                  "unpriced_calls": 0,
                  "unpriced_models": []
                }
              },
              "by_model": {
                "priced": {
                  "llm_calls": 1,
                  "tokens": {
                    "input": 100,
                    "output": 20,
                    "total": 120
                  },
                  "cost_usd": 0.014,
                  "cost_nanos": 14000000,
                  "cost_status": "priced",
                  "unpriced_calls": 0,
                  "unpriced_models": [],
                  "llm_error_rate": 0.0,
                  "llm_durations_ms": "<measured>",
                  "time_to_first_token_ms": "<measured>"
                }
              },
              "cost_breakdown": {
                "cost_usd": 0.014,
                "cost_nanos": 14000000,
                "cost_status": "priced",
                "unpriced_calls": 0,
                "unpriced_models": [],
                "lines": [
                  {
                    "kind": "input",
                    "quantity": 100,
                    "rate_nanos": 100000000000,
                    "rate_usd": 100.0,
                    "per": 1000000,
                    "amount": "0.01",
                    "amount_usd": 0.01,
                    "amount_nanos": 10000000
                  },
                  {
                    "kind": "output",
                    "quantity": 20,
                    "rate_nanos": 200000000000,
                    "rate_usd": 200.0,
                    "per": 1000000,
                    "amount": "0.004",
                    "amount_usd": 0.004,
                    "amount_nanos": 4000000
                  }
                ],
                "by_model": {
                  "priced": {
                    "llm_calls": 1,
                    "cost_usd": 0.014,
                    "cost_nanos": 14000000,
                    "cost_status": "priced",
                    "unpriced_calls": 0,
                    "unpriced_models": [],
                    "lines": [
                      {
                        "kind": "input",
                        "quantity": 100,
                        "rate_nanos": 100000000000,
                        "rate_usd": 100.0,
                        "per": 1000000,
                        "amount": "0.01",
                        "amount_usd": 0.01,
                        "amount_nanos": 10000000
                      },
                      {
                        "kind": "output",
                        "quantity": 20,
                        "rate_nanos": 200000000000,
                        "rate_usd": 200.0,
                        "per": 1000000,
                        "amount": "0.004",
                        "amount_usd": 0.004,
                        "amount_nanos": 4000000
                      }
                    ],
                    "prices": [
                      {
                        "provider": "openai",
                        "matched": "priced",
                        "rule": "exact model",
                        "source": "pricing.json",
                        "source_date": "<day>",
                        "llm_calls": 1,
                        "cost_usd": 0.014,
                        "cost_nanos": 14000000,
                        "cost_status": "priced",
                        "unpriced_calls": 0,
                        "unpriced_models": [],
                        "lines": [
                          {
                            "kind": "input",
                            "quantity": 100,
                            "rate_nanos": 100000000000,
                            "rate_usd": 100.0,
                            "per": 1000000,
                            "amount": "0.01",
                            "amount_usd": 0.01,
                            "amount_nanos": 10000000
                          },
                          {
                            "kind": "output",
                            "quantity": 20,
                            "rate_nanos": 200000000000,
                            "rate_usd": 200.0,
                            "per": 1000000,
                            "amount": "0.004",
                            "amount_usd": 0.004,
                            "amount_nanos": 4000000
                          }
                        ]
                      }
                    ]
                  }
                },
                "calls": [
                  {
                    "node": "ask",
                    "provider": "openai",
                    "model": "priced",
                    "cost_usd": 0.014,
                    "cost_nanos": 14000000,
                    "cost_status": "priced",
                    "matched": "priced",
                    "rule": "exact model",
                    "source": "pricing.json",
                    "source_date": "<day>",
                    "lines": [
                      {
                        "kind": "input",
                        "quantity": 100,
                        "rate_nanos": 100000000000,
                        "rate_usd": 100.0,
                        "per": 1000000,
                        "amount": "0.01",
                        "amount_usd": 0.01,
                        "amount_nanos": 10000000
                      },
                      {
                        "kind": "output",
                        "quantity": 20,
                        "rate_nanos": 200000000000,
                        "rate_usd": 200.0,
                        "per": 1000000,
                        "amount": "0.004",
                        "amount_usd": 0.004,
                        "amount_nanos": 4000000
                      }
                    ],
                    "sum": "0.014",
                    "rounding": "0"
                  }
                ]
              }
            },
            "total": {
              "duration_ms": "<ms>",
              "llm_calls": 1,
              "tokens_total": 120,
              "cost_usd": 0.014,
              "cost_nanos": 14000000,
              "cost_status": "priced",
              "unpriced_calls": 0,
              "unpriced_models": [],
              "cost_breakdown": {
                "cost_usd": 0.014,
                "cost_nanos": 14000000,
                "cost_status": "priced",
                "unpriced_calls": 0,
                "unpriced_models": [],
                "lines": [
                  {
                    "kind": "input",
                    "quantity": 100,
                    "rate_nanos": 100000000000,
                    "rate_usd": 100.0,
                    "per": 1000000,
                    "amount": "0.01",
                    "amount_usd": 0.01,
                    "amount_nanos": 10000000
                  },
                  {
                    "kind": "output",
                    "quantity": 20,
                    "rate_nanos": 200000000000,
                    "rate_usd": 200.0,
                    "per": 1000000,
                    "amount": "0.004",
                    "amount_usd": 0.004,
                    "amount_nanos": 4000000
                  }
                ],
                "by_model": {
                  "priced": {
                    "llm_calls": 1,
                    "cost_usd": 0.014,
                    "cost_nanos": 14000000,
                    "cost_status": "priced",
                    "unpriced_calls": 0,
                    "unpriced_models": [],
                    "lines": [
                      {
                        "kind": "input",
                        "quantity": 100,
                        "rate_nanos": 100000000000,
                        "rate_usd": 100.0,
                        "per": 1000000,
                        "amount": "0.01",
                        "amount_usd": 0.01,
                        "amount_nanos": 10000000
                      },
                      {
                        "kind": "output",
                        "quantity": 20,
                        "rate_nanos": 200000000000,
                        "rate_usd": 200.0,
                        "per": 1000000,
                        "amount": "0.004",
                        "amount_usd": 0.004,
                        "amount_nanos": 4000000
                      }
                    ],
                    "prices": [
                      {
                        "provider": "openai",
                        "matched": "priced",
                        "rule": "exact model",
                        "source": "pricing.json",
                        "source_date": "<day>",
                        "llm_calls": 1,
                        "cost_usd": 0.014,
                        "cost_nanos": 14000000,
                        "cost_status": "priced",
                        "unpriced_calls": 0,
                        "unpriced_models": [],
                        "lines": [
                          {
                            "kind": "input",
                            "quantity": 100,
                            "rate_nanos": 100000000000,
                            "rate_usd": 100.0,
                            "per": 1000000,
                            "amount": "0.01",
                            "amount_usd": 0.01,
                            "amount_nanos": 10000000
                          },
                          {
                            "kind": "output",
                            "quantity": 20,
                            "rate_nanos": 200000000000,
                            "rate_usd": 200.0,
                            "per": 1000000,
                            "amount": "0.004",
                            "amount_usd": 0.004,
                            "amount_nanos": 4000000
                          }
                        ]
                      }
                    ]
                  }
                }
              }
            }
          },
          "status": "success",
          "trace_id": "<id>"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&steady(&ended.json())).unwrap());
    assert_eq!(ended.json()["trace_id"].as_str().unwrap().len(), 32);
    assert!(
        sandbox.traces().is_empty(),
        "nobody asked for the trace of a run that went well"
    );
}

#[test]
fn text_goes_to_stdout_and_the_summary_to_stderr() {
    let model = Model::new(Script::new().reply(Reply::text("short").usage(1_000, 234)));
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/pricing.json", PRICES);
    let workflow = sandbox.workflow("hello.json", &json!({"nodes": [asks("ask", "hi")]}));
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "short\n"));
    assert!(ended.err.starts_with("✓ hello: "), "{}", ended.err);
    assert!(
        ended
            .err
            .ends_with("1 node, 1 LLM call, 1,234 tokens (1,000 in + 234 out), $0.1468\n"),
        "{}",
        ended.err
    );
}

#[test]
fn nested_workflows_three_deep_are_counted_exactly_once() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("ok").usage(10, 5)));
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/pricing.json", PRICES);
    let nests = |child: &str| json!({"id": "inner", "type": "workflow", "params": {"workflow_path": child}});
    let level = |child: &str| json!({"nodes": [asks("ask", "hi"), nests(child)], "edges": [{"from": "ask", "to": "inner"}]});
    sandbox.workflow("three.json", &json!({"nodes": [asks("ask", "hi")]}));
    sandbox.workflow("two.json", &level("./three.json"));
    let workflow = sandbox.workflow("one.json", &level("./two.json"));
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json", "--trace"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let metrics = &ended.json()["metrics"];
    assert_eq!(metrics["total"]["llm_calls"], 3);
    assert_eq!(metrics["total"]["tokens_total"], 45);
    assert_eq!(metrics["total"]["cost_usd"], 0.006);
    assert_eq!(metrics["workflow"]["nodes_executed"], 5);
    let timings = metrics["workflow"]["node_timings"].as_object().unwrap();
    let mut nodes: Vec<&String> = timings.keys().collect();
    nodes.sort();
    assert_eq!(
        nodes,
        ["ask", "inner", "inner/ask", "inner/inner", "inner/inner/ask"]
    );
    assert!(
        ended.err.contains("      → node.workflow [inner]"),
        "{}",
        ended.err
    );
}

#[test]
fn a_batch_goes_on_after_three_of_two_hundred_failed() {
    let bad = |asked: &flowmeter_workflow::scripted_model::Asked| {
        ["item 7.", "item 77.", "item 177."]
            .iter()
            .any(|item| asked.prompt.ends_with(item))
    };
    let script = Script::new()
        .on(bad, Reply::status(400, "no"))
        .otherwise(|_| Reply::text("ok").usage(10, 5));
    let model = Model::new(script);
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/pricing.json", PRICES);
    let items: Vec<usize> = (0..200).collect();
    let mut node = asks("each", "This is item ${item}.");
    node["batch"] =
        json!({"items": items, "parallel": true, "max_concurrent": 20, "error_handling": "continue"});
    let workflow = json!({
        "nodes": [node],
        "outputs": {"ok": {"source": "${each.success_count}"}, "failed": {"source": "${each.error_count}"}}
    });
    let workflow = sandbox.workflow("batch.json", &workflow);
    let ended = sandbox.run(&[
        "run",
        &workflow,
        "--output-format",
        "json",
        "--trace-file",
        "trace.json",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let printed = ended.json();
    assert_eq!(printed["result"], json!({"ok": 197, "failed": 3}));
    let total = &printed["metrics"]["total"];
    assert_eq!(
        (&total["llm_calls"], &total["tokens_total"]),
        (&json!(200), &json!(197 * 15))
    );
    assert_eq!(total["cost_usd"], json!(0.394));
    assert_eq!(printed["metrics"]["workflow"]["failed_llm_calls"], 3);
    let trace: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("trace.json")).unwrap()).unwrap();
    let items = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|span| span["kind"] == "batch_item");
    assert_eq!(items.count(), 200);
}

#[test]
fn two_failures_and_a_success_are_three_attempts() {
    let script = Script::new()
        .reply(Reply::status(503, "busy"))
        .reply(Reply::status(503, "busy"))
        .reply(Reply::text("at last").usage(10, 5));
    let model = Model::new(script);
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/pricing.json", PRICES);
    let mut node = asks("ask", "hi");
    node["retry"] = json!({"max": 3, "wait": 0.01});
    let workflow = sandbox.workflow("retry.json", &json!({"nodes": [node]}));
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json", "--trace"]);
    let printed = ended.json();
    assert_eq!((ended.code, &printed["result"]), (0, &json!("at last")));
    assert_eq!(printed["metrics"]["workflow"]["nodes"]["ask"]["attempts"], 3);
    assert_eq!(printed["metrics"]["workflow"]["nodes_executed"], 1);
    assert_eq!(printed["metrics"]["total"]["llm_calls"], 3);
    assert_eq!(printed["metrics"]["total"]["cost_usd"], json!(0.002));
    assert!(ended.err.contains("→ attempt [3 of 3]"), "{}", ended.err);
    assert_eq!(model.server.calls(), 3);
}

#[test]
fn a_value_of_fifty_megabytes_passes_and_is_cut_in_the_trace() {
    let sandbox = Sandbox::new();
    let big = sandbox.file("big.txt", &"0123456789abcde\n".repeat(50 << 16));
    let workflow = json!({
        "inputs": {"file": {"type": "string"}},
        "nodes": [
            {"id": "read", "type": "read-file", "params": {"file_path": "${file}"}},
            {"id": "copy", "type": "echo", "params": {"message": "${read.content}"}}
        ],
        "edges": [{"from": "read", "to": "copy"}]
    });
    let workflow = sandbox.workflow("big.json", &workflow);
    let ended = sandbox.run(&[
        "run",
        &workflow,
        &format!("file={big}"),
        "--trace-file",
        "trace.json",
        "-o",
        "copy.echo",
    ]);
    assert_eq!((ended.code, ended.out.len()), (0, 50 << 20));
    let trace = std::fs::metadata(sandbox.path("trace.json")).unwrap();
    assert!(trace.len() < 200_000, "{} bytes", trace.len());
}

#[test]
fn an_output_is_chosen_by_name_and_an_unknown_one_is_bad_usage() {
    let sandbox = Sandbox::new();
    let workflow = json!({
        "nodes": [{"id": "a", "type": "echo", "params": {"message": "A"}}],
        "outputs": {"first": {"source": "${a.echo}"}, "second": {"source": "two ${a.echo}", "stdout": true}}
    });
    let workflow = sandbox.workflow("outputs.json", &workflow);
    assert_eq!(sandbox.run(&["run", &workflow]).out, "two A\n");
    assert_eq!(sandbox.run(&["run", &workflow, "-o", "first"]).out, "A\n");
    let ended = sandbox.run(&["run", &workflow, "-o", "frist"]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(
        ended
            .err
            .contains("there is no output `frist`; did you mean `first`?"),
        "{}",
        ended.err
    );
}

#[test]
fn a_stream_that_takes_its_time_is_measured() {
    let model =
        Model::new(Script::new().reply(Reply::text("one two three four").delay(Duration::from_millis(60))));
    let sandbox = Sandbox::asking(&model);
    let workflow = sandbox.workflow("slow.json", &json!({"nodes": [asks("ask", "hi")]}));
    let ended = sandbox.run(&["run", &workflow, "--output-format", "json"]);
    let duration = ended.json()["metrics"]["workflow"]["node_timings"]["ask"]
        .as_f64()
        .unwrap();
    assert!(duration >= 60.0, "{duration}");
}
