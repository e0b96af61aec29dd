//! Keys are found wherever they stand.

use std::sync::Arc;

use flowmeter_model::{IdSource, SystemClock};
use rusqlite::Connection;

use super::{NEW_MANY, add, find, remove, step, unmatched};
use crate::RunKey;
use crate::sqlite::SqliteConfig;

fn count(connection: &Connection, table: &str) -> usize {
    let sql = format!("SELECT count(*) FROM {table}");
    let count: u32 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
    count as usize
}

#[test]
fn the_newest_go_over_when_they_are_many_and_are_found_before_and_after() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
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
        add(&connection, &key, run).unwrap();
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
    for place in [0, NEW_MANY + 1] {
        remove(&connection, &keys[place]).unwrap();
        assert_eq!(find(&connection, &keys[place]).unwrap(), None);
    }
    assert_eq!(
        unmatched(&connection).unwrap() as usize,
        keys.len() - 2,
        "keys without a run"
    );
}
