//! Unit tests of where a trace is written and whether it stays.

use expect_test::expect;
use flowmeter_engine::{NodeError, SharedStore};
use flowmeter_model::{IdSource, TimestampNs};

use super::*;
use crate::{RunMeter, RunReport, read_trace, write_trace_json};

fn name_of(workflow: &str) -> String {
    let trace_id = IdSource::from_seed(1).trace_id();
    file_name(&TraceHeader::new(
        trace_id,
        workflow.into(),
        TimestampNs(1_736_937_045_120_999_999),
    ))
}

#[test]
fn the_name_tells_time_workflow_and_id() {
    expect!["20250115T103045.120Z-summarize-910a2dec89025cc1beeb8da1658eec67.json"]
        .assert_eq(&name_of("summarize"));
    assert!(
        name_of("../a b/ü:c").contains("Z-..-a-b-ü-c-"),
        "{}",
        name_of("../a b/ü:c")
    );
    assert!(name_of("").contains("Z-workflow-"));
    assert!(name_of(&"x".repeat(500)).len() < 150);
}

#[test]
fn parts_of_one_trace_have_names_of_their_own() {
    let mut ids = IdSource::from_seed(1);
    let header = TraceHeader::new(
        ids.trace_id(),
        "summarize".into(),
        TimestampNs(1_736_937_045_120_999_999),
    );
    let name = file_name(&header.clone().part_of_trace(Some(ids.span_id())));
    expect!["20250115T103045.120Z-summarize-f893a2eefb32555e-910a2dec89025cc1beeb8da1658eec67.json"]
        .assert_eq(&name);
    assert_ne!(file_name(&header.part_of_trace(Some(ids.span_id()))), name);
}

fn run(folder: &std::path::Path, keep: KeepTrace, outcome: Result<(), NodeError>) -> RunReport {
    let meter = RunMeter::builder("hello")
        .trace_file_in(folder)
        .keep_trace(keep)
        .start()
        .unwrap();
    drop(meter.context(SharedStore::new().root()));
    meter.finish(outcome.as_ref())
}

#[test]
fn the_trace_is_there_while_the_run_goes_on_and_stays_where_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let meter = RunMeter::builder("hello")
        .trace_file_in(folder.path())
        .keep_trace(KeepTrace::UnlessOk)
        .start()
        .unwrap();
    assert_eq!(files(), 1);
    let report = meter.finish(Ok(&()));
    assert_eq!((report.trace_file, files()), (None, 0));

    let failed = run(folder.path(), KeepTrace::UnlessOk, Err(NodeError::failed("no")));
    assert!(failed.trace_file.unwrap().starts_with(folder.path()));
    let cancelled = run(folder.path(), KeepTrace::UnlessOk, Err(NodeError::cancelled()));
    assert!(cancelled.trace_file.unwrap().exists());
    let kept = run(folder.path(), KeepTrace::Always, Ok(()));
    assert!(kept.trace_file.unwrap().exists());
    assert_eq!(files(), 3);
}

#[test]
fn the_json_of_an_unfinished_run_says_so_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let meter = RunMeter::builder("hello").trace_file(&path).start().unwrap();
    let unfinished = read_trace(&path).unwrap();
    let mut text = Vec::new();
    write_trace_json(&unfinished, &mut text).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["status"], "unfinished");
    assert_eq!(document["trace_id"], meter.trace_id().to_string());
    assert_eq!(document["metrics"]["node_count"], 0);
    drop(meter.finish(Ok(&())));

    let mut text = Vec::new();
    write_trace_json(&read_trace(&path).unwrap(), &mut text).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (
            document["status"].as_str(),
            document["spans"].as_array().map(Vec::len)
        ),
        (Some("ok"), Some(1))
    );
    assert!(document["metrics"]["tokens"].is_object());
}
