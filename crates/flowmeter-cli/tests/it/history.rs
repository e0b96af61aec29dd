//! Runs in the history: what is kept of them, whatever happens to them, their file and their disk.

mod kept;
mod looking_after;
mod trouble;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::{Span, SystemClock};
use flowmeter_store::{
    LogFilter, ProcessMark, RunFilter, RunOrder, RunRow, SqliteConfig, SqliteStore, Store,
};
use serde_json::{Value, json};

use crate::support::Sandbox;

/// Where the history of a sandbox is.
fn file_of(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join("flowmeter.db")
}

/// The history of a sandbox, as this process sees it.
pub(crate) fn history(sandbox: &Sandbox) -> SqliteStore {
    open(&file_of(sandbox)).unwrap()
}

fn open(path: &Path) -> Option<SqliteStore> {
    let is_alive = |mark: &ProcessMark| Some(Path::new(&format!("/proc/{}", mark.pid)).exists());
    let config = SqliteConfig {
        create: false,
        ..SqliteConfig::new(Arc::new(SystemClock), Arc::new(is_alive))
    };
    SqliteStore::open(path, config).ok()
}

/// All runs, the newest first.
fn runs(store: &dyn Store) -> Vec<RunRow> {
    store
        .runs(&RunFilter::default(), RunOrder::Started, 1_000, 0)
        .unwrap()
}

fn only_run(sandbox: &Sandbox) -> RunRow {
    let mut runs = runs(&history(sandbox));
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// Everything that is kept of a run's spans.
fn spans(store: &dyn Store, run: &RunRow) -> Vec<Span> {
    let mut spans = Vec::new();
    let collect = &mut |span: Span| {
        spans.push(span);
        ControlFlow::Continue(())
    };
    store.spans(&run.key, collect).unwrap();
    spans
}

/// Everything that a history gives back, as texts.
pub(crate) fn everything_in(store: &dyn Store) -> Vec<String> {
    let mut texts = Vec::new();
    for run in runs(store) {
        texts.push(format!("{run:?}"));
        texts.push(format!("{:?}", store.run(&run.key).unwrap()));
        texts.extend(spans(store, &run).iter().map(|span| format!("{span:?}")));
    }
    let collect = &mut |log| {
        texts.push(format!("{log:?}"));
        ControlFlow::Continue(())
    };
    store.logs(&LogFilter::default(), collect).unwrap();
    texts
}

/// The ids of the nodes among spans.
fn nodes(spans: &[Span]) -> Vec<&str> {
    spans
        .iter()
        .filter_map(|span| span.attributes.get_str("node.id"))
        .collect()
}

fn echo(sandbox: &Sandbox, name: &str, message: &str) -> String {
    let node = json!({"id": "say", "type": "echo", "params": {"message": message}});
    sandbox.workflow(name, &json!({ "nodes": [node] }))
}

fn shell(sandbox: &Sandbox, name: &str, commands: &[&str]) -> String {
    let node = |(index, command): (usize, &&str)| json!({"id": format!("n{index}"), "type": "shell", "params": {"command": command, "timeout": 900}});
    let nodes: Vec<Value> = commands.iter().enumerate().map(node).collect();
    let edges: Vec<Value> = (1..commands.len())
        .map(|index| json!({"from": format!("n{}", index - 1), "to": format!("n{index}")}))
        .collect();
    sandbox.workflow(name, &json!({ "nodes": nodes, "edges": edges }))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}
