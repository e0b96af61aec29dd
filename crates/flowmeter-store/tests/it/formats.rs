//! Files that released programs wrote are opened, brought to the present form, and hold what they held.
//!
//! `cargo test -p flowmeter-store --test it formats::make -- --ignored` writes the file of the present format anew: for
//! a format that was not released yet.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowmeter_model::{Span, SpanKind, SystemClock};
use flowmeter_store::contract::samples::{Sample, after, ended, message};
use flowmeter_store::{
    LogFilter, RunFilter, RunKey, RunOrder, SearchQuery, SqliteConfig, SqliteStore, StatsQuery, Store,
};

fn golden(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/format_{format}.db"))
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(
        path,
        SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| Some(false))),
    )
    .unwrap()
}

/// Runs as all golden files hold them.
fn samples() -> Vec<Sample> {
    (1..=20)
        .map(|seed| {
            let mut sample = Sample::new(seed, "数据/golden", after(seed));
            sample.start.origin.tags = vec![("team".to_owned(), format!("t{}", seed % 3))];
            let root = sample.key.root_span_id;
            let mut span = sample.span(root, SpanKind::LlmCall, "chat gpt-4o", after(seed));
            span.attributes.set("gen_ai.request.model", "gpt-4o");
            span.attributes.set(
                "gen_ai.input.messages",
                message(
                    "user",
                    &format!("the same long question {} ", "again ".repeat(200)),
                ),
            );
            sample.keep(ended(span, 1_000_000 * seed));
            sample
        })
        .collect()
}

#[test]
#[ignore = "writes the golden file of the present format"]
fn make() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.db");
    let store = open(&path);
    for sample in samples() {
        sample.append(&store, 10);
    }
    store.settle().unwrap();
    std::fs::create_dir_all(golden(1).parent().unwrap()).unwrap();
    store.backup(&golden(1)).unwrap();
}

#[test]
fn a_file_of_each_format_holds_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    for format in 1..=1 {
        let path = folder.path().join(format!("format_{format}.db"));
        std::fs::copy(golden(format), &path).unwrap();
        let old = open(&path);
        let path = folder.path().join("new.db");
        let new = open(&path);
        let keys: Vec<RunKey> = samples()
            .into_iter()
            .map(|sample| sample.append(&new, 10))
            .collect();
        new.settle().unwrap();
        let rows = |store: &SqliteStore| {
            store
                .runs(&RunFilter::default(), RunOrder::Started, 100, 0)
                .unwrap()
        };
        assert_eq!(rows(&old), rows(&new));
        for key in &keys {
            let spans = |store: &SqliteStore| {
                let mut spans: Vec<Span> = Vec::new();
                let visit = &mut |span| {
                    spans.push(span);
                    ControlFlow::Continue(())
                };
                store.spans(key, visit).unwrap();
                spans
            };
            assert_eq!(spans(&old), spans(&new));
            assert_eq!(old.span_rows(key).unwrap(), new.span_rows(key).unwrap());
            assert_eq!(old.run(key).unwrap(), new.run(key).unwrap());
        }
        let lines = |store: &SqliteStore| {
            let mut count = 0;
            let visit = &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            };
            store.logs(&LogFilter::default(), visit).unwrap();
            count
        };
        assert_eq!(lines(&old), lines(&new));
        let everything = StatsQuery::default();
        assert_eq!(old.stats(&everything).unwrap(), new.stats(&everything).unwrap());
        let again = SearchQuery {
            text: "again".to_owned(),
            limit: 10,
            ..SearchQuery::default()
        };
        assert_eq!(old.search(&again).unwrap(), new.search(&again).unwrap());
        assert_eq!(old.check().unwrap().problems, [""; 0]);
        // It goes on to be written to.
        let key = Sample::new(99, "later", after(99)).append(&old, 5);
        old.flush().unwrap();
        assert!(old.run(&key).unwrap().is_some());
    }
}
