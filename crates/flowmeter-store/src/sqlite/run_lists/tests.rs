//! Lists say what the rows of runs say, whatever becomes of these.

use std::sync::Arc;

use arbtest::arbitrary::{Result as Drawn, Unstructured};
use flowmeter_model::{IdSource, SystemClock, TimestampNs, UsdNanos};
use rusqlite::Connection;

use super::entries::encode;
use super::{IS_NEW, Listed, Pace, RunList, decode, newest_of, step, unmatched};
use crate::sqlite::SqliteConfig;
use crate::sqlite::model_sets::ModelSets;
use crate::sqlite::read::runs::runs;
use crate::sqlite::removal::{Removed, remove_row};
use crate::sqlite::run_row::StoredRun;
use crate::{RunFilter, RunKey, RunOrder, RunRow};

/// The number before that of the first run: some runs stand in one segment, and some in the next.
const BEFORE_FIRST: i64 = 490;

fn store() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
    connection
        .execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('run', ?1)",
            [BEFORE_FIRST],
        )
        .unwrap();
    connection
}

fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| Some(true)))
}

/// Gives a run what it is listed by, out of few values, so that many are equal.
fn draw(random: &mut Unstructured<'_>, run: &mut StoredRun) -> Drawn<()> {
    let row = &mut run.row;
    row.workflow = ["", "fetch", "summarize"][random.choose_index(3)?].into();
    let start = random.int_in_range(0..=6)? * 1_000_000_000;
    row.started = TimestampNs(start);
    run.seen = TimestampNs(start + random.int_in_range(0..=5_000)?);
    row.cost.known = UsdNanos(random.int_in_range(-3..=700)?);
    row.tokens.input = random.int_in_range(0..=40)?;
    let models: &[&str] = [&[][..], &["a"], &["a", "b"], &["b"]][random.choose_index(4)?];
    row.models = models.iter().map(|model| (*model).into()).collect();
    Ok(())
}

fn write(connection: &Connection, run: &mut StoredRun) {
    let set = ModelSets::default().number(connection, &run.row.models).unwrap();
    run.write(connection, set).unwrap();
}

/// What the filter and the order give by the rows alone.
fn expected(there: &[StoredRun], filter: &RunFilter, order: RunOrder) -> Vec<RunKey> {
    let config = config();
    let mut rows: Vec<(i64, RunRow)> = there
        .iter()
        .map(|run| (run.id, run.clone().into_row(&config)))
        .filter(|(_, row)| crate::rules::filters::holds_for_run(filter, row))
        .collect();
    rows.sort_by_key(|(id, row)| std::cmp::Reverse((row.started, *id)));
    match order {
        RunOrder::Started => {}
        RunOrder::Workflow => rows.sort_by(|a, b| a.1.workflow.cmp(&b.1.workflow)),
        RunOrder::Duration => rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.duration_ns())),
        RunOrder::Cost => rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.cost.known)),
        RunOrder::Tokens => rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.tokens.total())),
    }
    rows.into_iter().map(|(_, row)| row.key).collect()
}

fn filters() -> Vec<RunFilter> {
    let all = RunFilter::default;
    vec![
        all(),
        RunFilter {
            workflows: vec!["fetch".to_owned()],
            ..all()
        },
        RunFilter {
            workflows: vec!["fetch".to_owned(), "gone".to_owned(), String::new()],
            ..all()
        },
        RunFilter {
            models: vec!["a".into()],
            ..all()
        },
        RunFilter {
            cost_min: Some(UsdNanos(350)),
            ..all()
        },
        RunFilter {
            cost_min: Some(UsdNanos(-1)),
            workflows: vec!["summarize".to_owned()],
            ..all()
        },
        RunFilter {
            slower_than_ns: Some(2_500),
            ..all()
        },
        RunFilter {
            slower_than_ns: Some(u64::MAX),
            ..all()
        },
        RunFilter {
            workflows: vec!["fetch".to_owned()],
            since: Some(TimestampNs(2_000_000_000)),
            until: Some(TimestampNs(5_000_000_000)),
            ..all()
        },
        RunFilter {
            cost_min: Some(UsdNanos(100)),
            since: Some(TimestampNs(u64::MAX)),
            ..all()
        },
        RunFilter {
            models: vec!["b".into()],
            until: Some(TimestampNs(3_000_000_000)),
            ..all()
        },
    ]
}

#[test]
fn lists_say_what_rows_say_whatever_becomes_of_these() {
    let config = config();
    arbtest::arbtest(|random| {
        let mut connection = store();
        let mut ids = IdSource::from_seed(3);
        let mut there: Vec<StoredRun> = Vec::new();
        for _ in 0..random.int_in_range(1..=90)? {
            match random.int_in_range(0..=9)? {
                0 => {
                    step(&mut connection, &config, Pace::Idle).unwrap();
                }
                1 => {
                    step(&mut connection, &config, Pace::Urgent).unwrap();
                }
                2 if !there.is_empty() => {
                    let run = there.swap_remove(random.choose_index(there.len())?);
                    remove_row(&connection, run.id, &mut Removed::default()).unwrap();
                }
                3 | 4 if !there.is_empty() => {
                    let place = random.choose_index(there.len())?;
                    draw(random, &mut there[place])?;
                    write(&connection, &mut there[place]);
                }
                _ => {
                    let mut run = StoredRun::unknown(RunKey {
                        trace_id: ids.trace_id(),
                        root_span_id: ids.span_id(),
                    });
                    draw(random, &mut run)?;
                    write(&connection, &mut run);
                    there.push(run);
                }
            }
        }
        assert_eq!(unmatched(&connection).unwrap(), 0);
        for filter in filters() {
            for order in [
                RunOrder::Started,
                RunOrder::Workflow,
                RunOrder::Duration,
                RunOrder::Cost,
                RunOrder::Tokens,
            ] {
                let found = runs(&connection, &config, &filter, order, usize::MAX, 0).unwrap();
                let found: Vec<RunKey> = found.iter().map(|row| row.key).collect();
                assert_eq!(found, expected(&there, &filter, order), "{filter:?} {order:?}");
            }
        }
        Ok(())
    });
}

/// A thousand runs that differ in everything.
fn many(connection: &Connection) -> Vec<StoredRun> {
    let mut ids = IdSource::from_seed(3);
    let mut there = Vec::new();
    for number in 0..1_500_u64 {
        let mut run = StoredRun::unknown(RunKey {
            trace_id: ids.trace_id(),
            root_span_id: ids.span_id(),
        });
        run.row.workflow = format!("workflow-{}", number * number % 7).into();
        // Some came late.
        let start = if number % 50 == 0 { number / 2 } else { number };
        run.row.started = TimestampNs(start * 1_000_000);
        run.seen = TimestampNs(start * 1_000_000 + number * 7_919 % 100_000);
        run.row.cost.known = UsdNanos((number * 104_729 % 1_000_000).cast_signed());
        write(connection, &mut run);
        there.push(run);
    }
    there
}

#[test]
fn lists_of_many_segments_are_in_order_to_the_end() {
    let (mut connection, config) = (store(), config());
    connection.execute_batch("BEGIN").unwrap();
    let there = many(&connection);
    connection.execute_batch("COMMIT").unwrap();
    assert!(step(&mut connection, &config, Pace::Urgent).unwrap());
    assert!(!step(&mut connection, &config, Pace::Urgent).unwrap());
    let new = format!("SELECT count(*) FROM run WHERE {IS_NEW}");
    let count = |connection: &Connection| {
        connection
            .query_row(&new, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count(&connection), (BEFORE_FIRST + 1_500 + 1) % 512);
    for pace in [Pace::Urgent, Pace::Idle] {
        step(&mut connection, &config, pace).unwrap();
        assert_eq!(unmatched(&connection).unwrap(), 0);
        let costly = RunFilter {
            cost_min: Some(UsdNanos(400_000)),
            ..RunFilter::default()
        };
        let one = RunFilter {
            workflows: vec!["workflow-2".to_owned()],
            ..RunFilter::default()
        };
        for filter in [RunFilter::default(), costly, one] {
            for order in [
                RunOrder::Started,
                RunOrder::Workflow,
                RunOrder::Cost,
                RunOrder::Duration,
            ] {
                let keys = expected(&there, &filter, order);
                for (limit, offset) in [(50, 0), (3, 70), (usize::MAX, 0)] {
                    let found = runs(&connection, &config, &filter, order, limit, offset).unwrap();
                    let found: Vec<RunKey> = found.iter().map(|row| row.key).collect();
                    let wanted: Vec<RunKey> = keys.iter().skip(offset).take(limit).copied().collect();
                    assert_eq!(found, wanted, "{filter:?} {order:?} {limit} {offset}");
                }
            }
        }
    }
    assert_eq!(count(&connection), 0);
}

#[test]
fn a_listed_run_that_turns_out_later_than_others_comes_before_them() {
    let (mut connection, config) = (store(), config());
    connection.execute_batch("BEGIN").unwrap();
    let mut there = many(&connection);
    connection.execute_batch("COMMIT").unwrap();
    while step(&mut connection, &config, Pace::Idle).unwrap() {}
    for (place, workflow) in [(3, "workflow-2"), (700, "workflow-2"), (5, "new")] {
        there[place].row.started = TimestampNs(1_200_000_000);
        there[place].row.workflow = workflow.into();
        write(&connection, &mut there[place]);
    }
    assert_eq!(unmatched(&connection).unwrap(), 0);
    for workflow in ["workflow-2", "new"] {
        let filter = RunFilter {
            workflows: vec![workflow.to_owned()],
            ..RunFilter::default()
        };
        let found = runs(&connection, &config, &filter, RunOrder::Started, usize::MAX, 0).unwrap();
        let found: Vec<RunKey> = found.iter().map(|row| row.key).collect();
        assert_eq!(found, expected(&there, &filter, RunOrder::Started));
    }
}

#[test]
fn what_is_wrong_in_a_list_is_told() {
    let (mut connection, config) = (store(), config());
    connection.execute_batch("BEGIN").unwrap();
    many(&connection);
    connection.execute_batch("COMMIT").unwrap();
    while step(&mut connection, &config, Pace::Idle).unwrap() {}
    connection
        .execute("UPDATE run SET cost = cost + 1 WHERE id IN (600, 601)", [])
        .unwrap();
    assert_eq!(
        unmatched(&connection).unwrap(),
        4,
        "two entries, and two runs without theirs"
    );
    connection
        .execute("UPDATE run SET cost = cost - 1 WHERE id IN (600, 601)", [])
        .unwrap();
    connection
        .execute(
            "DELETE FROM run_list WHERE list = ?1 AND place = 'workflow-2' AND segment = 1",
            [RunList::Workflow.number()],
        )
        .unwrap();
    assert!(unmatched(&connection).unwrap() > 10);
}

#[test]
fn a_row_comes_back_as_it_was() {
    arbtest::arbtest(|random| {
        let first = random.int_in_range(0..=i64::MAX >> 10)? << 9;
        let mut listed: Vec<Listed> = Vec::new();
        for _ in 0..random.int_in_range(0..=20)? {
            listed.push(Listed {
                started: random.arbitrary()?,
                run: first + random.int_in_range(0..=511)?,
                amount: random.arbitrary()?,
            });
        }
        let bytes = encode(&mut listed, first);
        assert_eq!(decode(&bytes, first).unwrap(), listed);
        assert_eq!(newest_of(&bytes, first).unwrap(), listed.first().copied());
        assert!(listed.is_sorted_by(|a, b| a >= b));
        if let Some((_, cut)) = bytes.split_last() {
            assert!(cut.is_empty() || decode(cut, first).is_err());
        }
        Ok(())
    });
}
