//! Unit tests of the progress line.

use expect_test::expect;
use flowmeter::{BatchProgress, LlmTotals};
use flowmeter_model::{Cost, CostStatus, UsdNanos};

use super::*;

fn running(paths: &[&str]) -> Progress {
    Progress {
        running: paths.iter().copied().map(smol_str::SmolStr::new).collect(),
        ..Progress::default()
    }
}

#[test]
fn the_innermost_nodes_are_named() {
    assert_eq!(
        running_nodes(&running(&["outer", "outer/inner", "other"])),
        "outer/inner, other"
    );
    assert_eq!(running_nodes(&running(&["read", "read_more"])), "read, read_more");
    assert_eq!(
        running_nodes(&running(&["a", "b", "c", "d", "e"])),
        "a, b, c and 2 more"
    );
    assert_eq!(running_nodes(&running(&[])), "0 nodes done");
}

#[test]
fn the_line_tells_node_batch_time_tokens_and_cost() {
    let mut llm = LlmTotals {
        calls: 3,
        input_tokens: 12_000,
        output_tokens: 345,
        ..LlmTotals::default()
    };
    llm.cost.add(
        "demo",
        &Cost::known(CostStatus::Priced, UsdNanos(8_900_000), None),
    );
    let progress = Progress {
        llm,
        batch: Some(BatchProgress {
            done: 12,
            count: 200,
            failed: 3,
        }),
        ..running(&["triage"])
    };
    expect!["triage · batch 12/200 (3 failed) · 3.20s · 12,345 tokens · $0.0089"]
        .assert_eq(&line(&progress, Duration::from_millis(3200)));
    expect!["triage · 450.0ms"].assert_eq(&line(&running(&["triage"]), Duration::from_millis(450)));
}

#[test]
fn thousands_stand_apart() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_000), "1,000");
    assert_eq!(grouped(1_234_567), "1,234,567");
}
