//! How long questions take, warm: the median of many.
//!
//! Never counts the first one.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use flowmeter_model::{SpanStatus, TimestampNs, UsdNanos};
use flowmeter_store::{
    GroupBy, RunFilter, RunKey, RunOrder, RunStatus, SearchMode, SearchQuery, SpanFilter, SqliteStore,
    StatsFilter, StatsQuery, Store,
};

use crate::machine;
use crate::text::Prose;
use crate::writing;

/// Rounds at least.
const ROUNDS_MIN: usize = 21;
/// Log lines of many runs.
const LINES: u64 = 1_000_000;
/// Spans of a long run.
const LONG_RUN_SPANS: u64 = 50_000;

/// Asks everything, and prints what it took.
pub(crate) fn ask(path: &Path, spans: u64) {
    let store = writing::open(path, true);
    let keys: Vec<RunKey> = store
        .runs(&RunFilter::default(), RunOrder::Started, 2_000, 0)
        .unwrap()
        .iter()
        .map(|run| run.key)
        .collect();
    println!("\nquestions, p50 in ms, warm:");
    let mut turn = 0;
    let all = RunFilter::default();
    time("open and the newest 50 runs", 1.5, || {
        let store = writing::open(path, true);
        store.runs(&all, RunOrder::Started, 50, 0).unwrap().len()
    });
    time("a run of 10 spans with payloads", 0.3, || {
        turn += 7;
        let mut count = 0;
        store
            .spans(&keys[turn % keys.len()], &mut |span| {
                count += black_box(span).attributes.len();
                ControlFlow::Continue(())
            })
            .unwrap();
        count
    });
    time("newest 50 runs", 0.5, || {
        store.runs(&all, RunOrder::Started, 50, 0).unwrap().len()
    });
    let failed = RunFilter {
        statuses: vec![RunStatus::Error],
        models: vec!["claude-haiku-4-5".to_owned()],
        ..RunFilter::default()
    };
    list(
        &store,
        "filtered list: model and error",
        &failed,
        RunOrder::Started,
    );
    let of_workflow = RunFilter {
        workflows: vec!["workflow-3".to_owned()],
        ..RunFilter::default()
    };
    list(&store, "filtered list: workflow", &of_workflow, RunOrder::Started);
    let tagged = RunFilter {
        tags: vec![("team".to_owned(), "team-4".to_owned())],
        workflows: vec!["workflow-3".to_owned()],
        ..RunFilter::default()
    };
    list(
        &store,
        "filtered list: tag and workflow",
        &tagged,
        RunOrder::Started,
    );
    let dear = RunFilter {
        cost_min: Some(UsdNanos(1_900_000)),
        ..RunFilter::default()
    };
    list(&store, "filtered list: cost", &dear, RunOrder::Started);
    list(&store, "the dearest 50", &all, RunOrder::Cost);
    list(
        &store,
        "the slowest 50 of a workflow",
        &of_workflow,
        RunOrder::Duration,
    );
    let rare = SpanFilter {
        error_types: vec!["content_filter".to_owned()],
        ..SpanFilter::default()
    };
    scan(&store, "rare predicate over all spans: an error", &rare, 60.0);
    let dear = SpanFilter {
        cost_min: Some(UsdNanos(240_000)),
        statuses: vec![SpanStatus::Ok],
        slower_than_ns: Some(4_190_000_000),
        ..SpanFilter::default()
    };
    scan(
        &store,
        "rare predicate over all spans: dear and slow",
        &dear,
        60.0,
    );
    stats(&store, spans);
    search(&store);
    drop(store);
    program(path);
    long_run();
    many_lines();
}

fn list(store: &SqliteStore, name: &str, filter: &RunFilter, order: RunOrder) {
    time(name, 2.0, || store.runs(filter, order, 50, 0).unwrap().len());
}

fn scan(store: &SqliteStore, name: &str, filter: &SpanFilter, limit_ms: f64) {
    time(name, limit_ms, || {
        let mut count = 0;
        store
            .scan(filter, &mut |row| {
                black_box(row);
                count += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        count
    });
}

fn stats(store: &SqliteStore, spans: u64) {
    let last = writing::BEGINS + spans / writing::SPANS_PER_RUN * writing::BETWEEN_NS;
    let of_a_week = RunFilter {
        since: Some(TimestampNs(last.saturating_sub(7 * 86_400_000_000_000))),
        ..RunFilter::default()
    };
    let of_workflow = RunFilter {
        workflows: vec!["workflow-3".to_owned()],
        ..RunFilter::default()
    };
    let all = RunFilter::default();
    for (name, by, runs) in [
        ("stats from sums: all", None, &all),
        ("stats from sums: by model", Some(GroupBy::Model), &all),
        ("stats from sums: by provider", Some(GroupBy::Provider), &all),
        ("stats from sums: by workflow", Some(GroupBy::Workflow), &all),
        ("stats from sums: by node", Some(GroupBy::Node), &all),
        (
            "stats from sums: by model, of one workflow",
            Some(GroupBy::Model),
            &of_workflow,
        ),
        ("stats from sums: by day", Some(GroupBy::Day), &all),
        (
            "stats from sums: by hour, of a week",
            Some(GroupBy::Hour),
            &of_a_week,
        ),
        (
            "stats from sums: by model, of a week",
            Some(GroupBy::Model),
            &of_a_week,
        ),
    ] {
        let filter = StatsFilter {
            runs: runs.clone(),
            ..StatsFilter::default()
        };
        let query = StatsQuery {
            by,
            filter,
            ..StatsQuery::default()
        };
        time(name, 1.0, || store.stats(&query).unwrap().len());
    }
    let failed = RunFilter {
        statuses: vec![RunStatus::Error],
        ..RunFilter::default()
    };
    let dear = RunFilter {
        cost_min: Some(UsdNanos(1)),
        ..RunFilter::default()
    };
    for (name, by, runs) in [
        (
            "stats over all spans: by tag",
            GroupBy::Tag("team".to_owned()),
            &all,
        ),
        (
            "stats over all spans: by model, of runs of a cost",
            GroupBy::Model,
            &dear,
        ),
        (
            "stats over all spans: by model, of failed runs",
            GroupBy::Model,
            &failed,
        ),
    ] {
        let query = StatsQuery {
            by: Some(by),
            filter: StatsFilter {
                runs: runs.clone(),
                ..StatsFilter::default()
            },
            ..StatsQuery::default()
        };
        time(name, 80.0, || store.stats(&query).unwrap().len());
    }
}

fn search(store: &SqliteStore) {
    let query = |name: &str, text: &str, mode: SearchMode, limit_ms: f64| {
        let query = SearchQuery {
            text: text.to_owned(),
            mode,
            limit: 50,
            ..SearchQuery::default()
        };
        time(name, limit_ms, || store.search(&query).unwrap().len());
    };
    let prose = Prose::new(writing::SEED);
    let phrase = |first: usize, second: usize| format!("\"{} {}\"", prose.word(first), prose.word(second));
    for (name, text) in [
        ("search: a word of nearly every text", prose.word(0)),
        ("search: a word of every tenth text", prose.word(300)),
        ("search: a word of one in a hundred", "timeout"),
        ("search: a word of one in five hundred", prose.word(19_999)),
        ("search: a word of one in ten thousand", "content_filter"),
        ("search: a word that is not there", "nowhere"),
        ("search: a frequent phrase", &phrase(0, 1)),
        ("search: Chinese", "正在重试"),
    ] {
        query(name, text, SearchMode::Words, 10.0);
    }
    // Both words are in nearly every block, so all texts must be looked at.
    let text = phrase(300, 200);
    query(
        "search: a rare phrase of frequent words",
        &text,
        SearchMode::Words,
        1_500.0,
    );
    for (name, text) in [
        ("search: a row of characters", "rovider did not an"),
        ("search: a row of characters that is not there", "qqzzxx"),
    ] {
        query(name, text, SearchMode::Substring, 1_500.0);
    }
}

/// A run of 50,000 spans, in a file of its own.
fn long_run() {
    let name = "a run of 50,000 spans without payloads";
    if !is_wanted(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = writing::open(&folder.path().join("long.db"), true);
    let key = writing::write_run(&store, LONG_RUN_SPANS);
    time(name, 50.0, || store.span_rows(&key).unwrap().len());
}

/// Log lines, in a file of their own.
fn many_lines() {
    let names = [
        "a frequent word",
        "a word of one in ten thousand",
        "a word that is not there",
    ]
    .map(|word| format!("search in 1,000,000 log lines: {word}"));
    if !names.iter().any(|name| is_wanted(name)) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = writing::open(&folder.path().join("lines.db"), true);
    writing::write_lines(&store, LINES);
    let prose = Prose::new(writing::LINES_SEED);
    for (name, text) in names.iter().zip([prose.word(0), "content_filter", "nowhere"]) {
        let query = SearchQuery {
            text: text.to_owned(),
            mode: SearchMode::Words,
            limit: 50,
            ..SearchQuery::default()
        };
        time(name, 10.0, || store.search(&query).unwrap().len());
    }
}

/// The program, from its start to its exit, where it was built.
fn program(path: &Path) {
    let name = "flowmeter runs, from start to exit";
    if !is_wanted(name) {
        return;
    }
    let binary = std::env::current_exe()
        .ok()
        .and_then(|bench| Some(bench.parent()?.parent()?.join("flowmeter")))
        .filter(|binary| binary.exists());
    let home = path
        .parent()
        .filter(|_| path.file_name().is_some_and(|name| name == "flowmeter.db"));
    let (Some(binary), Some(home)) = (binary, home) else {
        println!(
            "  {:>9}  (at most {:>7.1})  {name}: no program is built",
            "-", 30.0
        );
        return;
    };
    time(name, 30.0, || {
        let output = std::process::Command::new(&binary)
            .arg("runs")
            .env("FLOWMETER_HOME", home)
            .output()
            .unwrap();
        assert!(output.status.success(), "the program failed");
        output.stdout.iter().filter(|byte| **byte == b'\n').count()
    });
}

/// Whether a question with this name is to be asked.
fn is_wanted(name: &str) -> bool {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--only");
    arguments.nth(1).is_none_or(|only| name.contains(&only))
}

/// Asks often enough, and prints the median beside its limit, the shortest, and the CPU time of all threads:
/// on a machine with other work, these tell more.
fn time(name: &str, limit_ms: f64, mut ask: impl FnMut() -> usize) {
    if !is_wanted(name) {
        return;
    }
    let found = ask();
    let mut times = Vec::new();
    let (began, ticks) = (Instant::now(), machine::cpu_ticks());
    while times.len() < ROUNDS_MIN || (times.len() < 200 && began.elapsed().as_millis() < 500) {
        let asked = Instant::now();
        black_box(ask());
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    let cpu = (machine::cpu_ticks() - ticks) as f64 * 10.0 / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let (least, p50) = (times[0], times[times.len() / 2]);
    let verdict = if p50 <= limit_ms { "" } else { "   over" };
    println!(
        "  {p50:>9.3}  (at most {limit_ms:>7.1})  least {least:>9.3}  CPU {cpu:>8.2}  {name}, {found} found{verdict}"
    );
}
