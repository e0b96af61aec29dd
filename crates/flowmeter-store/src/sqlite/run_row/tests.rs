//! Rows of runs: what is written comes back.

use std::sync::Arc;

use flowmeter_model::{CostTotal, IdSource, SpanError, SystemClock, TimestampNs, UsdNanos};
use rusqlite::Connection;

use super::{Known, StoredRun, counts_to_column, total_of_columns};
use crate::sqlite::SqliteConfig;
use crate::sqlite::model_sets::ModelSets;
use crate::{Origin, ProcessMark, RunKey, RunStatus, TokenSums};

fn connection() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
    connection
}

fn run() -> StoredRun {
    let mut ids = IdSource::from_seed(3);
    let mut run = StoredRun::unknown(RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    });
    run.begun = Known::Said;
    run.closed = Known::Root;
    run.seen = TimestampNs(2_000);
    run.process = Some(ProcessMark {
        host: "here".into(),
        pid: 7,
        started: u64::MAX,
    });
    let row = &mut run.row;
    row.parent_span_id = Some(ids.span_id());
    row.workflow = "数据/a".into();
    row.status = RunStatus::Error;
    row.started = TimestampNs(1_000);
    row.ended = Some(TimestampNs(1_500));
    (row.spans, row.logs, row.nodes, row.llm_calls) = (1, 2, 3, 4);
    row.tokens = TokenSums {
        input: 5,
        cache_read: 6,
        cache_write: 7,
        output: 8,
        reasoning: 9,
    };
    row.cost = CostTotal {
        known: UsdNanos(-12),
        calls: 300,
        estimated_calls: 2,
        ..CostTotal::default()
    };
    row.saved = CostTotal {
        known: UsdNanos(i64::MAX),
        calls: 1,
        unpriced_calls: 1,
        ..CostTotal::default()
    };
    row.error = Some(SpanError {
        error_type: "timeout".into(),
        message: "too \"slow\"\n".to_owned(),
        chain: vec!["because".to_owned()],
    });
    row.models = vec!["a".into(), "b".into()];
    row.origin = Origin {
        workflow_version: Some("2".into()),
        session: Some("s".to_owned()),
        user: Some(String::new()),
        git_commit: Some("abc".to_owned()),
        tags: vec![("k".to_owned(), "v".to_owned()), ("k2".to_owned(), String::new())],
    };
    row.sampled = false;
    row.payloads_gone = true;
    run
}

#[test]
fn a_row_comes_back_as_it_was_written_and_rewritten() {
    let connection = connection();
    let mut written = run();
    let mut sets = ModelSets::default();
    let set = sets.number(&connection, &written.row.models).unwrap();
    written.write(&connection, set).unwrap();
    assert!(written.id > 0);
    let key = written.row.key;
    assert_eq!(StoredRun::find(&connection, &key).unwrap(), Some(written.clone()));
    written.row.spans += 10;
    written.row.error = None;
    written.process = None;
    written.write(&connection, set).unwrap();
    assert_eq!(StoredRun::find(&connection, &key).unwrap(), Some(written));
    assert_eq!(
        StoredRun::find(
            &connection,
            &RunKey {
                trace_id: IdSource::from_seed(9).trace_id(),
                ..key
            }
        )
        .unwrap(),
        None
    );
}

#[test]
fn counts_of_sums_come_back() {
    for calls in [0, 1, 127, 128, 1 << 40, u64::MAX] {
        let total = CostTotal {
            known: UsdNanos(5),
            calls,
            reported_calls: calls / 2,
            ..CostTotal::default()
        };
        assert_eq!(total_of_columns(5, &counts_to_column(&total)), total);
    }
    // Whatever stands there is read without harm.
    let _any = total_of_columns(1, &[0xff; 40]);
}

#[test]
fn a_run_without_an_end_stands_as_its_process_does() {
    let mut run = run();
    run.closed = Known::Heard;
    run.row.ended = None;
    for (lives, status) in [
        (Some(true), RunStatus::Running),
        (Some(false), RunStatus::Interrupted),
        // Nothing was heard of it for many years.
        (None, RunStatus::Interrupted),
    ] {
        let config = SqliteConfig::new(Arc::new(SystemClock), Arc::new(move |_| lives));
        let row = run.clone().into_row(&config);
        assert_eq!((row.status, row.ended), (status, Some(TimestampNs(2_000))));
    }
}
