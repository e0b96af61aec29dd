//! The agreed shape, what is unknown, what counts once, and the bounds of the tables. Never runs a node.

use std::time::Duration;

use expect_test::expect;
use flowmeter_model::{Cost, CostStatus, UsdNanos};

use super::*;
use crate::performance::{ChildMemory, ChildUsage, MemoryChange};

fn at(seconds: u64) -> Option<TimestampNs> {
    Some(TimestampNs(1_700_000_000_000_000_000 + seconds * 1_000_000_000))
}

fn ended<'a>(id: &'a str, node_type: &'a str, duration_ms: u64) -> NodeSample<'a> {
    NodeSample {
        duration_ns: Some(duration_ms * 1_000_000),
        ..NodeSample::new(id, node_type)
    }
}

fn failed<'a>(id: &'a str, node_type: &'a str, duration_ms: u64) -> NodeSample<'a> {
    NodeSample {
        failed: true,
        ..ended(id, node_type, duration_ms)
    }
}

#[test]
fn the_agreed_shape() {
    let mut sums = Aggregator::new();
    sums.workflow_started(at(0));
    sums.event(at(0));
    sums.memory(50_000_000);
    sums.node_ended(&ended("reader", "read_file", 250));
    sums.event(at(1));
    let cost = Cost::known(CostStatus::Priced, UsdNanos(8_900_000), None);
    sums.llm_call_ended(
        "ask",
        &LlmSample {
            input_tokens: Some(2_100),
            output_tokens: Some(850),
            duration_ns: Some(1_500_000_000),
            time_to_first_token_ns: Some(400_000_000),
            ..LlmSample::new("gpt-4o-mini", &cost)
        },
    );
    sums.node_ended(&NodeSample {
        cpu_ns: Some(2_000_000),
        memory: Some(MemoryChange {
            change_bytes: -4_096,
            peak_bytes: 80_000_000,
        }),
        children: Some(ChildUsage {
            cpu_user: Duration::from_millis(20),
            cpu_system: Duration::from_millis(10),
            memory_max: ChildMemory::Bytes(9_000_000),
        }),
        queue_ns: Some(500_000_000),
        attempts: 2,
        ..failed("ask", "llm", 2_000)
    });
    sums.memory(70_000_000);
    sums.memory(60_000_000);
    sums.event(at(4));
    sums.workflow_ended(at(4));
    let shown = serde_json::to_string_pretty(&sums.snapshot()).unwrap();
    expect![[r#"
        {
          "workflow_duration": 4.0,
          "workflow_count": 1,
          "node_durations": {
            "read_file": {
              "min": 0.25,
              "max": 0.25,
              "sum": 0.25,
              "count": 1,
              "avg": 0.25,
              "p50": 0.25,
              "p90": 0.25,
              "p99": 0.25
            },
            "llm": {
              "min": 2.0,
              "max": 2.0,
              "sum": 2.0,
              "count": 1,
              "avg": 2.0,
              "p50": 2.0,
              "p90": 2.0,
              "p99": 2.0
            }
          },
          "node_counts": {
            "read_file": 1,
            "llm": 1
          },
          "node_count": 2,
          "error_count": 1,
          "error_rate": 0.5,
          "success_rate": 0.5,
          "memory_usage": {
            "scope": "process",
            "start_bytes": 50000000,
            "end_bytes": 60000000,
            "change_bytes": 10000000,
            "peak_bytes": 70000000
          },
          "throughput": {
            "events_per_second": 0.75,
            "nodes_per_second": 0.5,
            "llm_calls_per_second": 0.25,
            "tokens_per_second": 737.5
          },
          "event_count": 3,
          "cpu_time": 0.002,
          "process_memory_peak_bytes": 80000000,
          "child_cpu_time": 0.03,
          "child_memory_max_bytes": 9000000,
          "queue_time": {
            "sum": 0.5,
            "max": 0.5,
            "count": 1
          },
          "llm_calls": 1,
          "tokens": {
            "input": 2100,
            "output": 850,
            "total": 2950
          },
          "cost_usd": 0.0089,
          "cost_nanos": 8900000,
          "cost_status": "priced",
          "unpriced_calls": 0,
          "unpriced_models": [],
          "llm_error_rate": 0.0,
          "llm_durations": {
            "min": 1.5,
            "max": 1.5,
            "sum": 1.5,
            "count": 1,
            "avg": 1.5,
            "p50": 1.5,
            "p90": 1.5,
            "p99": 1.5
          },
          "time_to_first_token": {
            "min": 0.4,
            "max": 0.4,
            "sum": 0.4,
            "count": 1,
            "avg": 0.4,
            "p50": 0.4,
            "p90": 0.4,
            "p99": 0.4
          },
          "nodes": {
            "reader": {
              "type": "read_file",
              "count": 1,
              "failures": 0,
              "error_rate": 0.0,
              "durations": {
                "min": 0.25,
                "max": 0.25,
                "sum": 0.25,
                "count": 1,
                "avg": 0.25,
                "p50": 0.25,
                "p90": 0.25,
                "p99": 0.25
              }
            },
            "ask": {
              "type": "llm",
              "count": 1,
              "failures": 1,
              "attempts": 2,
              "error_rate": 1.0,
              "durations": {
                "min": 2.0,
                "max": 2.0,
                "sum": 2.0,
                "count": 1,
                "avg": 2.0,
                "p50": 2.0,
                "p90": 2.0,
                "p99": 2.0
              },
              "cpu_time": 0.002,
              "process_memory_change_bytes": -4096,
              "process_memory_peak_bytes": 80000000,
              "child_cpu_time": 0.03,
              "child_memory_max_bytes": 9000000,
              "queue_time": {
                "sum": 0.5,
                "max": 0.5,
                "count": 1
              },
              "llm_calls": 1,
              "tokens": {
                "input": 2100,
                "output": 850,
                "total": 2950
              },
              "cost_usd": 0.0089,
              "cost_nanos": 8900000,
              "cost_status": "priced",
              "unpriced_calls": 0,
              "unpriced_models": []
            }
          },
          "models": {
            "gpt-4o-mini": {
              "llm_calls": 1,
              "tokens": {
                "input": 2100,
                "output": 850,
                "total": 2950
              },
              "cost_usd": 0.0089,
              "cost_nanos": 8900000,
              "cost_status": "priced",
              "unpriced_calls": 0,
              "unpriced_models": [],
              "llm_error_rate": 0.0,
              "llm_durations": {
                "min": 1.5,
                "max": 1.5,
                "sum": 1.5,
                "count": 1,
                "avg": 1.5,
                "p50": 1.5,
                "p90": 1.5,
                "p99": 1.5
              },
              "time_to_first_token": {
                "min": 0.4,
                "max": 0.4,
                "sum": 0.4,
                "count": 1,
                "avg": 0.4,
                "p50": 0.4,
                "p90": 0.4,
                "p99": 0.4
              }
            }
          },
          "cost_breakdown": {
            "cost_usd": 0.0089,
            "cost_nanos": 8900000,
            "cost_status": "priced",
            "unpriced_calls": 0,
            "unpriced_models": [],
            "lines": [
              {
                "kind": "unexplained",
                "quantity": 1,
                "amount": "0.0089",
                "amount_usd": 0.0089,
                "amount_nanos": 8900000
              }
            ],
            "by_model": {
              "gpt-4o-mini": {
                "llm_calls": 1,
                "cost_usd": 0.0089,
                "cost_nanos": 8900000,
                "cost_status": "priced",
                "unpriced_calls": 0,
                "unpriced_models": [],
                "lines": [
                  {
                    "kind": "unexplained",
                    "quantity": 1,
                    "amount": "0.0089",
                    "amount_usd": 0.0089,
                    "amount_nanos": 8900000
                  }
                ],
                "prices": [
                  {
                    "llm_calls": 1,
                    "cost_usd": 0.0089,
                    "cost_nanos": 8900000,
                    "cost_status": "priced",
                    "unpriced_calls": 0,
                    "unpriced_models": [],
                    "lines": [
                      {
                        "kind": "unexplained",
                        "quantity": 1,
                        "amount": "0.0089",
                        "amount_usd": 0.0089,
                        "amount_nanos": 8900000
                      }
                    ]
                  }
                ]
              }
            }
          }
        }"#]]
    .assert_eq(&shown);
}

#[test]
fn nothing_happened() {
    let shown = Aggregator::new().to_json();
    assert_eq!(shown["success_rate"], 1.0);
    assert_eq!(
        (&shown["error_count"], &shown["error_rate"]),
        (&0.into(), &0.0.into())
    );
    assert!(shown["workflow_duration"].is_null() && shown["memory_usage"].is_null());
    assert!(shown["throughput"]["nodes_per_second"].is_null());
    assert_eq!(shown["node_durations"], serde_json::json!({}));
}

#[test]
fn an_unknown_duration_is_not_zero() {
    let mut sums = Aggregator::new();
    sums.node_ended(&NodeSample::new("n1", "read"));
    sums.node_ended(&ended("n1", "read", 10));
    let shown = sums.to_json();
    assert_eq!(shown["node_counts"]["read"], 2);
    assert_eq!(shown["node_durations"]["read"]["count"], 1);
    assert_eq!(shown["node_durations"]["read"]["min"], 0.01);
    assert_eq!(shown["nodes"]["n1"]["count"], 2);
}

#[test]
fn a_failure_that_was_reported_as_an_error_counts_once() {
    let mut sums = Aggregator::new();
    sums.error();
    sums.node_ended(&NodeSample {
        failure_counted: true,
        ..failed("a", "shell", 1)
    });
    sums.node_ended(&failed("b", "shell", 1));
    sums.node_ended(&ended("c", "shell", 1));
    sums.node_ended(&ended("c", "shell", 1));
    let metrics = sums.snapshot();
    assert_eq!((metrics.error_count, metrics.nodes_failed), (2, 2));
    assert_eq!((metrics.error_rate(), metrics.success_rate()), (0.5, 0.5));
}

#[test]
fn overlapping_workflows_count_the_time_in_which_one_ran() {
    let mut sums = Aggregator::new();
    sums.workflow_started(at(0));
    sums.workflow_started(at(2));
    sums.workflow_ended(at(3));
    sums.workflow_ended(at(5));
    sums.workflow_started(at(100));
    sums.workflow_ended(at(101));
    sums.workflow_ended(at(500));
    let metrics = sums.snapshot();
    assert_eq!(
        (metrics.workflow_duration_ns, metrics.workflows),
        (Some(6_000_000_000), 3)
    );
}

#[test]
fn a_workflow_that_has_not_ended_counts_up_to_the_last_event() {
    let mut sums = Aggregator::new();
    sums.workflow_started(at(0));
    assert_eq!(sums.snapshot().workflow_duration_ns, Some(0));
    sums.event(at(7));
    assert_eq!(sums.snapshot().workflow_duration_ns, Some(7_000_000_000));
    let mut without_times = Aggregator::new();
    without_times.workflow_started(None);
    without_times.workflow_ended(None);
    assert_eq!(without_times.snapshot().workflow_duration_ns, None);
}

#[test]
fn nodes_say_what_nobody_else_said_and_nothing_counts_twice() {
    let mut sums = Aggregator::new();
    let memory = |peak_bytes| {
        Some(MemoryChange {
            change_bytes: 10,
            peak_bytes,
        })
    };
    for (id, cpu_ns, peak) in [
        ("outer/inner", 3_000, 70),
        ("outer", 5_000, 90),
        ("a/b", 1_000, 80),
    ] {
        sums.node_ended(&NodeSample {
            cpu_ns: Some(cpu_ns),
            memory: memory(peak),
            ..ended(id, "t", 1)
        });
    }
    let shown = sums.to_json();
    assert_eq!(shown["cpu_time"], 0.000_006);
    assert_eq!(shown["memory_usage"]["peak_bytes"], 90);
    assert!(shown["memory_usage"]["start_bytes"].is_null());
    assert_eq!(shown["nodes"]["outer"]["process_memory_change_bytes"], 10);
    assert!(shown.get("process_memory_change_bytes").is_none());
}

#[test]
fn an_id_that_comes_back_with_another_type_is_another_node() {
    let mut sums = Aggregator::new();
    for node_type in ["shell", "code", "shell", "code"] {
        sums.node_ended(&ended("n", node_type, 10));
    }
    let shown = sums.to_json();
    assert_eq!(shown["node_counts"], serde_json::json!({"shell": 2, "code": 2}));
    let nodes = &shown["nodes"];
    assert_eq!(
        (&nodes["n"]["type"], &nodes["n"]["count"]),
        (&"shell".into(), &2.into())
    );
    assert_eq!(
        (&nodes["n (code)"]["type"], &nodes["n (code)"]["count"]),
        (&"code".into(), &2.into())
    );
}

#[test]
fn types_keep_their_percentiles_when_their_nodes_cannot() {
    let mut sums = Aggregator::new();
    sums.node_sketches = SketchBudget::new(0);
    for index in 0..1_000 {
        sums.node_ended(&ended(if index % 2 == 0 { "a" } else { "b" }, "shell", index + 1));
    }
    let metrics = sums.snapshot();
    let (_, node) = &metrics.nodes[0];
    assert_eq!((node.durations.p50_ns, node.durations.count), (None, 500));
    let (_, shell) = &metrics.types[0];
    let p90 = shell.durations.p90_ns.unwrap() as f64;
    assert!((p90 / 900e6 - 1.0).abs() < 0.01, "{p90}");
    assert_eq!(
        (shell.durations.count, shell.durations.max_ns),
        (1_000, Some(1_000_000_000))
    );
}

#[test]
fn names_beyond_the_bounds_are_summed_together() {
    let mut sums = Aggregator::new();
    let cost = Cost::unpriced();
    for index in 0..NODES_MAX as u64 + 50 {
        let name = format!("node-{index}");
        sums.node_ended(&failed(&name, &name, 1));
        sums.llm_call_ended(&name, &LlmSample::new(&name, &cost));
    }
    let metrics = sums.snapshot();
    assert_eq!(
        (metrics.nodes.len(), metrics.types.len(), metrics.models.len()),
        (10_000, 1_000, 1_000)
    );
    let others = metrics.other_nodes.as_ref().unwrap();
    assert_eq!((others.runs, others.failures, others.llm.calls), (50, 50, 50));
    assert_eq!(others.durations.sum_ns, 50_000_000);
    assert_eq!(metrics.other_types.as_ref().unwrap().runs, 9_050);
    assert_eq!(metrics.other_models.as_ref().unwrap().llm.calls, 9_050);
    let unpriced = &metrics.llm.llm.cost.unpriced_models;
    assert!(
        unpriced.len() <= 33 && unpriced.contains("(further models)"),
        "{unpriced:?}"
    );
    let shown = metrics.to_json();
    assert_eq!(shown["other_nodes"]["count"], 50);
    assert_eq!(shown["other_node_count"], 9_050);
    assert_eq!(shown["other_models"]["llm_calls"], 9_050);
}

#[test]
fn long_names_do_not_fill_the_memory() {
    let mut sums = Aggregator::new();
    for index in 0..100 {
        let name = format!("{index}{}", "x".repeat(100_000));
        sums.node_ended(&ended(&name, "t", 1));
    }
    let metrics = sums.snapshot();
    assert_eq!(metrics.nodes.len(), 10);
    assert_eq!(metrics.other_nodes.unwrap().runs, 90);
}

/// What two halves come to together is what the whole comes to.
#[test]
fn merging_halves_gives_the_whole() {
    arbtest::arbtest(|source| {
        let mut halves = [Aggregator::new(), Aggregator::new()];
        let mut whole = Aggregator::new();
        for half in &mut halves {
            for _ in 0..source.int_in_range(0..=40)? {
                let number = source.int_in_range(0..=4_usize)?;
                let id = format!("n{number}");
                let node_type = ["shell", "llm"][number % 2];
                let mut sample = ended(&id, node_type, source.int_in_range(0..=100_000)?);
                sample.failed = source.ratio(1, 4)?;
                sample.cpu_ns = source.ratio(1, 2)?.then_some(1_000);
                half.node_ended(&sample);
                whole.node_ended(&sample);
                let cost = Cost::known(
                    CostStatus::Priced,
                    UsdNanos(source.int_in_range(0..=1_000)?),
                    None,
                );
                let call = LlmSample {
                    input_tokens: Some(source.int_in_range(0..=1_000)?),
                    ..LlmSample::new("m", &cost)
                };
                half.llm_call_ended(&id, &call);
                whole.llm_call_ended(&id, &call);
            }
        }
        let [mut merged, second] = halves;
        merged.merge(&second);
        let (merged, whole) = (merged.snapshot(), whole.snapshot());
        assert_eq!(
            (merged.nodes_executed, merged.nodes_failed, merged.error_count),
            (whole.nodes_executed, whole.nodes_failed, whole.error_count)
        );
        assert_eq!(merged.llm.llm, whole.llm.llm);
        assert_eq!(merged.all.resources, whole.all.resources);
        assert_eq!(merged.nodes.len(), whole.nodes.len());
        for (id, node) in &whole.nodes {
            let (_, found) = merged.nodes.iter().find(|(other, _)| other == id).unwrap();
            assert_eq!(
                (found.runs, found.failures, found.duration_ns, &found.llm),
                (node.runs, node.failures, node.duration_ns, &node.llm)
            );
        }
        for (name, node_type) in &whole.types {
            let (_, found) = merged.types.iter().find(|(other, _)| other == name).unwrap();
            assert_eq!(
                (found.runs, found.durations.sum_ns, found.durations.max_ns),
                (
                    node_type.runs,
                    node_type.durations.sum_ns,
                    node_type.durations.max_ns
                )
            );
        }
        Ok(())
    });
}
