//! What nodes and their processes used, as a run's result, its trace and the metrics of an event file say it.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// The attributes of the span of this node, and of the items below it.
fn attributes<'a>(trace: &'a Value, id: &str) -> &'a Value {
    let spans = trace["spans"].as_array().unwrap();
    let span = spans.iter().find(|span| span["attributes"]["node.id"] == id);
    &span.unwrap()["attributes"]
}

fn child_cpu_ns(attributes: &Value) -> u64 {
    ["process.child.cpu.user_ns", "process.child.cpu.system_ns"]
        .iter()
        .map(|key| attributes[*key].as_u64().unwrap())
        .sum()
}

#[test]
fn a_command_that_works_is_told_from_one_that_waits() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(
        "work.json",
        &json!({
            "nodes": [
                {"id": "burn", "type": "shell", "params": {"command":
                    "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; head -c 80000000 /dev/zero | tail -n 1 | wc -c"}},
                {"id": "wait", "type": "shell", "params": {"command": "sleep 0.1"}},
                {"id": "python", "type": "code", "params": {"code": "result = sum(range(2_000_000))"}},
                {"id": "killed", "type": "shell", "params": {"command":
                    "while true; do i=$((i + 1)); done", "timeout": 0.2}}
            ],
            "edges": [
                {"from": "burn", "to": "wait"}, {"from": "wait", "to": "python"}, {"from": "python", "to": "killed"}
            ]
        }),
    );
    let ended = sandbox.run(&[
        "run",
        &workflow,
        "--output-format",
        "json",
        "--trace-file",
        "run.json",
    ]);
    let workflow = &ended.json()["metrics"]["workflow"];
    let shown = sandbox.run(&["show", "run.json", "--format", "json"]).json();
    let [burn, wait, python, killed] = ["burn", "wait", "python", "killed"].map(|id| attributes(&shown, id));
    assert!(
        child_cpu_ns(burn) > 5 * child_cpu_ns(wait),
        "{burn} against {wait}"
    );
    assert!(
        burn["process.child.memory.max_bytes"].as_u64().unwrap() > 70_000_000,
        "{burn}"
    );
    assert!(
        child_cpu_ns(python) > 0 && child_cpu_ns(killed) > child_cpu_ns(wait),
        "{python} {killed}"
    );
    // The work was the processes', not ours.
    assert!(
        burn["node.cpu_ns"].as_u64().unwrap() < child_cpu_ns(burn) / 2,
        "{burn}"
    );
    let of_node = workflow["nodes"]["burn"]["child_cpu_time_ms"].as_f64().unwrap();
    assert!(
        (of_node * 1e6 / child_cpu_ns(burn) as f64 - 1.0).abs() < 0.001,
        "{of_node}"
    );
    let sum: u64 = [burn, wait, python, killed].into_iter().map(child_cpu_ns).sum();
    let of_run = workflow["child_cpu_time_ms"].as_f64().unwrap();
    assert!((of_run * 1e6 / sum as f64 - 1.0).abs() < 0.001, "{of_run}");
    assert!(workflow["cpu_time_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(workflow["memory_usage"]["scope"], "process");
}

#[test]
fn items_beyond_the_places_wait_for_one() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(
        "queue.json",
        &json!({"nodes": [{
            "id": "each", "type": "shell", "params": {"command": "sleep 0.05; echo ${item}"},
            "batch": {"items": [1, 2, 3, 4], "as": "item", "parallel": true, "max_concurrent": 2}
        }]}),
    );
    let ended = sandbox.run(&[
        "run",
        &workflow,
        "--output-format",
        "json",
        "--trace-file",
        "run.json",
    ]);
    let queue = &ended.json()["metrics"]["workflow"]["nodes"]["each"]["queue_time_ms"];
    assert_eq!(queue["count"], 4);
    assert!(
        queue["max"].as_f64().unwrap() >= 50.0 && queue["sum"].as_f64().unwrap() >= 100.0,
        "{queue}"
    );
    let shown = sandbox.run(&["show", "run.json", "--format", "json"]).json();
    let waits: Vec<u64> = shown["spans"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|span| span["attributes"]["batch.queue_ns"].as_u64())
        .collect();
    assert_eq!(waits.len(), 4);
    assert_eq!(
        waits.iter().filter(|wait| **wait >= 50_000_000).count(),
        2,
        "{waits:?}"
    );
}
