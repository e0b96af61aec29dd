//! Keys are found wherever they stand.

use std::sync::Arc;

use flowmeter_model::{IdSource, SpanId, SystemClock, TraceId};
use rusqlite::Connection;

use super::{NEW_MANY, find, part_of_trace, parts_of_traces, remove, step, unmatched};
use crate::RunKey;
use crate::sqlite::SqliteConfig;
use crate::sqlite::run_row::StoredRun;

fn count(connection: &Connection, table: &str) -> usize {
    let sql = format!("SELECT count(*) FROM {table}");
    let count: u32 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
    count as usize
}

fn store() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
    connection
}

fn add_run(connection: &Connection, key: RunKey) -> i64 {
    let mut run = StoredRun::unknown(key);
    run.write(connection, None).unwrap();
    run.id
}

#[test]
fn the_newest_go_over_when_they_are_many_and_are_found_before_and_after() {
    let mut connection = store();
    let config = SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| None));
    let mut ids = IdSource::from_seed(5);
    let mut keys = Vec::new();
    let mut tables = Vec::new();
    connection.execute_batch("BEGIN").unwrap();
    for run in 1..=NEW_MANY as i64 + 10 {
        let key = RunKey {
            trace_id: ids.trace_id(),
            root_span_id: ids.span_id(),
        };
        assert_eq!(find(&connection, &key).unwrap(), None);
        assert_eq!(add_run(&connection, key), run);
        keys.push(key);
        if run + 1 == NEW_MANY as i64 {
            connection.execute_batch("COMMIT").unwrap();
            assert!(!step(&mut connection, &config).unwrap(), "they are not many yet");
        }
        if run == NEW_MANY as i64 {
            assert!(step(&mut connection, &config).unwrap());
            assert!(!step(&mut connection, &config).unwrap());
            tables.push((count(&connection, "run_key_new"), count(&connection, "run_key")));
        }
    }
    tables.push((count(&connection, "run_key_new"), count(&connection, "run_key")));
    assert_eq!(tables, [(0, NEW_MANY), (10, NEW_MANY)]);
    for (place, key) in keys.iter().enumerate() {
        assert_eq!(find(&connection, key).unwrap(), Some(place as i64 + 1));
    }
    assert_eq!(unmatched(&connection).unwrap(), 0);
    for place in [0, NEW_MANY + 1] {
        remove(&connection, &keys[place], place as i64 + 1).unwrap();
        assert_eq!(find(&connection, &keys[place]).unwrap(), None);
    }
    assert_eq!(unmatched(&connection).unwrap(), 2, "runs without a key");
    connection.execute_batch("DELETE FROM run WHERE id < 5").unwrap();
    assert_eq!(
        unmatched(&connection).unwrap(),
        1 + 3,
        "a run without a key, keys without a run"
    );
}

#[test]
fn runs_whose_keys_have_the_same_parts_are_told_apart() {
    let connection = store();
    let key = |trace: u128, root: u64| RunKey {
        trace_id: TraceId::from_bytes(trace.to_be_bytes()).unwrap(),
        root_span_id: SpanId::from_u64(root).unwrap(),
    };
    let first = 0x8000_0000_0000_0001_u128 << 64;
    let keys = [
        key(first, 1),
        key(first, 1 + (1 << 16)),
        key(first + 1, 1),
        key(first >> 64, 1),
        key(first >> 64, u64::MAX),
        key(1, 1),
    ];
    for key in keys {
        assert_eq!(find(&connection, &key).unwrap(), None, "{key:?}");
        let run = add_run(&connection, key);
        assert_eq!(find(&connection, &key).unwrap(), Some(run), "{key:?}");
    }
    for (place, key) in keys.iter().enumerate() {
        remove(&connection, key, place as i64 + 1).unwrap();
        let found: Vec<bool> = keys
            .iter()
            .map(|key| find(&connection, key).unwrap().is_some())
            .collect();
        let rest: Vec<bool> = (0..keys.len()).map(|other| other > place).collect();
        assert_eq!(found, rest);
    }
}

#[test]
fn every_trace_stands_where_its_prefixes_say() {
    arbtest::arbtest(|random| {
        let mut trace: u128 = random.arbitrary()?;
        if random.arbitrary()? {
            // Ids of 64 bits, made longer.
            trace >>= 64;
        }
        let hex = format!("{trace:032x}");
        let part = part_of_trace(trace.to_be_bytes());
        for length in 0..=hex.len() {
            if let Some((from, to)) = parts_of_traces(&hex[..length]) {
                assert!((from..=to).contains(&part), "{} of {hex}", &hex[..length]);
            }
        }
        Ok(())
    });
    assert_eq!(parts_of_traces("00"), None);
    assert_eq!(parts_of_traces("7fx"), None);
    assert_eq!(parts_of_traces("8"), Some((0, (1 << 60) - 1)));
}
