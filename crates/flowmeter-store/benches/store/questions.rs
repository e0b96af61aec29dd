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

use crate::writing;

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
    time("newest 50 runs", 0.5, || store.runs(&all, RunOrder::Started, 50, 0).unwrap().len());
    let failed = RunFilter {
        statuses: vec![RunStatus::Error],
        models: vec!["claude-haiku-4-5".to_owned()],
        ..RunFilter::default()
    };
    list(&store, "filtered list: model and error", &failed, RunOrder::Started);
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
    list(&store, "filtered list: tag and workflow", &tagged, RunOrder::Started);
    let dear = RunFilter {
        cost_min: Some(UsdNanos(2_300_000)),
        ..RunFilter::default()
    };
    list(&store, "filtered list: cost", &dear, RunOrder::Started);
    list(&store, "the dearest 50", &all, RunOrder::Cost);
    list(&store, "the slowest 50 of a workflow", &of_workflow, RunOrder::Duration);
    let rare = SpanFilter {
        error_types: vec!["content_filter".to_owned()],
        ..SpanFilter::default()
    };
    scan(&store, "rare predicate over all spans: an error", &rare, 60.0);
    let dear = SpanFilter {
        cost_min: Some(UsdNanos(330_000)),
        statuses: vec![SpanStatus::Ok],
        slower_than_ns: Some(4_190_000_000),
        ..SpanFilter::default()
    };
    scan(&store, "rare predicate over all spans: dear and slow", &dear, 60.0);
    stats(&store, spans);
    search(&store);
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
    for (name, by) in [
        ("stats from sums: all", None),
        ("stats from sums: by model", Some(GroupBy::Model)),
        ("stats from sums: by day", Some(GroupBy::Day)),
    ] {
        let query = StatsQuery {
            by,
            ..StatsQuery::default()
        };
        time(name, 1.0, || store.stats(&query).unwrap().len());
    }
    let last = writing::BEGINS + spans / writing::SPANS_PER_RUN * writing::BETWEEN_NS;
    let of_a_week = StatsQuery {
        by: Some(GroupBy::Model),
        filter: StatsFilter {
            runs: RunFilter {
                since: Some(TimestampNs(last.saturating_sub(7 * 86_400_000_000_000))),
                ..RunFilter::default()
            },
            ..StatsFilter::default()
        },
        ..StatsQuery::default()
    };
    time("stats from sums: a week by model", 1.0, || store.stats(&of_a_week).unwrap().len());
    let over_spans = StatsQuery {
        by: Some(GroupBy::Model),
        filter: StatsFilter {
            runs: RunFilter {
                cost_min: Some(UsdNanos(1)),
                ..RunFilter::default()
            },
            ..StatsFilter::default()
        },
        ..StatsQuery::default()
    };
    time("stats over all spans", 80.0, || store.stats(&over_spans).unwrap().len());
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
    query("search: a common word", "timeout", SearchMode::Words, 10.0);
    query("search: a rare word", "content_filter", SearchMode::Words, 10.0);
    query("search: a word that is not there", "nowhere", SearchMode::Words, 10.0);
    query("search: a row of characters that is not there", "qqzzxx", SearchMode::Substring, 1_500.0);
}

/// Asks often enough, and prints the median beside its limit.
fn time(name: &str, limit_ms: f64, mut ask: impl FnMut() -> usize) {
    let found = ask();
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 5 || (times.len() < 200 && began.elapsed().as_millis() < 1_000) {
        let asked = Instant::now();
        black_box(ask());
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    let p50 = times[times.len() / 2];
    let verdict = if p50 <= limit_ms { "" } else { "   over" };
    println!("  {p50:>9.3}  (at most {limit_ms:>7.1})  {name}, {found} found{verdict}");
}
