//! What the history says by itself, end to end: a year of runs that were made up, in a home of its own.

use std::sync::Arc;

use flowmeter_model::{Clock, SystemClock, TimestampNs};
use flowmeter_store::synthetic::{Effect, Year};
use flowmeter_store::{SqliteConfig, SqliteStore, Store};
use serde_json::Value;

use crate::support::Sandbox;

const DAY_NS: u64 = 86_400_000_000_000;

/// A sandbox with a history of a year that ended last midnight.
fn sandbox(effects: &[Effect], days: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    let today = SystemClock.now().0 / DAY_NS;
    let year = Year {
        begins: TimestampNs((today - days) * DAY_NS),
        days,
        runs_per_day: 4.0,
        ..Year::new(3, effects)
    };
    std::fs::create_dir_all(sandbox.home()).unwrap();
    let config = SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| None));
    let store = SqliteStore::open(&sandbox.home().join("flowmeter.db"), config).unwrap();
    for append in year.appends() {
        store.append(append).unwrap();
    }
    store.flush().unwrap();
    sandbox
}

fn kinds(document: &Value) -> Vec<&str> {
    let insights = document["insights"].as_array().unwrap();
    insights
        .iter()
        .map(|insight| insight["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn a_planted_change_is_told_to_people_and_to_programs() {
    let sandbox = sandbox(&[Effect::LatencyShift], 365);
    let ended = sandbox.run(&["insights", "--workflow", "digest", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let document = ended.json();
    let insights = document["insights"].as_array().unwrap();
    let change = insights
        .iter()
        .find(|insight| insight["kind"] == "latency_change")
        .unwrap();
    let title = change["title"].as_str().unwrap();
    assert!(
        title.starts_with("p50 of node `summarize` rose from 2."),
        "{title}"
    );
    assert!(title.ends_with("with model gpt-4o → gpt-5"), "{title}");
    assert!(change["size"]["seconds"].as_f64().unwrap() > 2.0);
    assert_eq!(document["time"][0]["node"], "summarize");
    assert_eq!(
        document["paths"][0]["nodes"],
        serde_json::json!(["fetch", "summarize", "publish"])
    );

    let human = sandbox.run(&["insights", "-w", "digest"]);
    assert_eq!(human.code, 0, "{human:?}");
    for wanted in [
        title.split(" since ").next().unwrap(),
        "a run · latency change",
        "→ ",
        "where the time goes",
    ] {
        assert!(human.out.contains(wanted), "{wanted}: {}", human.out);
    }

    // The run after the change, beside those before it.
    let first_after = change["runs"][1].as_str().unwrap();
    let of_run = sandbox.run(&["insights", first_after, "--json"]);
    assert_eq!(of_run.code, 0, "{of_run:?}");
    assert!(kinds(&of_run.json()).contains(&"critical_path"), "{}", of_run.out);
    let last = sandbox.run(&["insights", "last"]);
    assert_eq!(last.code, 0, "{last:?}");
}

#[test]
fn too_little_data_is_said_plainly() {
    let sandbox = sandbox(&[], 4);
    let ended = sandbox.run(&["insights"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.starts_with("nothing stands out ("), "{}", ended.out);
    assert!(ended.out.contains("not enough data to look for"), "{}", ended.out);
    assert!(ended.out.contains("it takes 40 runs"), "{}", ended.out);
    assert_eq!(kinds(&sandbox.run(&["insights", "--json"]).json()), [""; 0]);
}

#[test]
fn what_is_not_there_is_said() {
    let empty = Sandbox::new();
    let ended = empty.run(&["insights"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert!(ended.err.contains("no run is recorded yet"), "{}", ended.err);
    let sandbox = sandbox(&[], 1);
    let ended = sandbox.run(&["insights", "-w", "digets"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert!(
        ended.err.contains("no run of a workflow `digets`"),
        "{}",
        ended.err
    );
}
