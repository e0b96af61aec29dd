//! The store in one SQLite file keeps the contract.

use std::sync::Arc;

use flowmeter_model::{Clock, ManualClock};
use flowmeter_store::contract::histories::{Dice, tell_both};
use flowmeter_store::contract::samples::{Call, DAY, HOUR, Sample, after};
use flowmeter_store::contract::{Opened, Surroundings};
use flowmeter_store::{GroupBy, SqliteConfig, SqliteStore, StatsQuery, Store};

fn open(surroundings: &Surroundings) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::<ManualClock>::clone(&surroundings.clock) as Arc<dyn Clock>;
    let config = SqliteConfig::new(clock, surroundings.is_alive());
    let store = Arc::new(SqliteStore::open(&folder.path().join("flowmeter.db"), config).unwrap());
    let settled = Arc::clone(&store);
    Opened {
        store,
        settle: Box::new(move || {
            settled.settle().unwrap();
            assert_eq!(settled.check().unwrap().problems, [""; 0]);
        }),
        holds: Box::new(folder),
    }
}

flowmeter_store::store_contract!(super::open);

/// Random histories are answered as the store in memory answers them.
#[test]
fn random_histories_are_answered_alike() {
    arbtest::arbtest(|u| {
        let mut dice = |limit: u64| u.int_in_range(0..=limit - 1).unwrap_or(0);
        tell_both(&open, &mut Dice(&mut dice));
        Ok(())
    })
    .budget_ms(3_000);
}

/// Several stores on one file fold and ask at once, as processes do: nothing is counted twice, nothing is left out, and
/// no answer is ever between two states.
#[test]
fn folding_at_once_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let surroundings = Surroundings::at(after(40 * DAY));
    let open = || {
        let clock = Arc::<ManualClock>::clone(&surroundings.clock) as Arc<dyn Clock>;
        SqliteStore::open(&path, SqliteConfig::new(clock, surroundings.is_alive())).unwrap()
    };
    let query = StatsQuery {
        by: Some(GroupBy::Model),
        ..StatsQuery::default()
    };
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (open, query) = (&open, &query);
            scope.spawn(move || {
                let store = open();
                let mut calls_before = 0;
                for number in 0..30_u64 {
                    let begins = after(number * 23 * HOUR + thread);
                    let mut sample = Sample::new(10_000 + thread * 100 + number, "many", begins);
                    let node = sample.node("ask", begins, 1_000 + number);
                    for _ in 0..3 {
                        sample.call(node, Call::default(), begins, 500);
                    }
                    sample.append(&store, 2_000);
                    store.flush().unwrap();
                    if number % 3 == thread % 3 {
                        store.settle().unwrap();
                    }
                    let sums = store.stats(query).unwrap().remove(0).sums;
                    assert_eq!(sums.llm_calls % 3, 0, "a run came in parts");
                    assert_eq!(sums.cost.known.0, sums.llm_calls as i64 * 1_000_000);
                    assert!(sums.llm_calls >= calls_before + 3, "something was lost");
                    calls_before = sums.llm_calls;
                }
            });
        }
    });
    let store = open();
    assert_eq!(store.stats(&query).unwrap()[0].sums.llm_calls, 360);
    store.settle().unwrap();
    assert_eq!(store.stats(&query).unwrap()[0].sums.llm_calls, 360);
    assert_eq!(store.check().unwrap().problems, [""; 0]);
}
