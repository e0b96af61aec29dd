//! What calls of a run are told by budgets across runs.

use flowmeter_model::{ManualClock, TimestampNs};
use flowmeter_store::{BudgetPeriod, BudgetScope, BudgetTerms};
use tempfile::TempDir;

use super::*;

/// 2026-03-02, at noon.
const NOON: TimestampNs = TimestampNs(1_772_452_800_000_000_000);

fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(ManualClock::new(NOON)), Arc::new(|_| Some(true)))
}

fn budgets_of_run(folder: &TempDir) -> Arc<RunBudgets> {
    let voice = Voice::new(Output::new(true), Box::new(std::io::sink()));
    let path = folder.path().join("flowmeter.db");
    let tags = [("team", "old"), ("team", "web")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    RunBudgets::new(path, config(), "report", &tags, voice)
}

fn set(folder: &TempDir, limit: i64, scope: BudgetScope, hard: bool) {
    let mut budgets = Budgets::open(&folder.path().join("flowmeter.db"), &config()).unwrap();
    let terms = BudgetTerms {
        limit: UsdNanos(limit),
        period: BudgetPeriod::Day,
        scope,
        hard,
        utc_offset_seconds: 0,
    };
    budgets.set(&terms, UsdNanos::ZERO, NOON).unwrap();
}

fn call() -> SharedCall {
    SharedCall {
        provider: "openai".into(),
        model: "gpt".into(),
    }
}

fn cost(nanos: i64) -> SharedCost {
    SharedCost {
        spent: Some(UsdNanos(nanos)),
        withheld: UsdNanos::ZERO,
    }
}

#[test]
fn where_no_history_is_nothing_is_made_or_asked() {
    let folder = tempfile::tempdir().unwrap();
    let run = budgets_of_run(&folder);
    assert_eq!(run.concern(&call()), Ok(None));
    run.charge(&call(), cost(5));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_full_budget_says_whose_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    set(
        &folder,
        1_000_000_000,
        BudgetScope::Tag("team".to_owned(), "web".to_owned()),
        true,
    );
    set(
        &folder,
        1,
        BudgetScope::Tag("team".to_owned(), "old".to_owned()),
        true,
    );
    let run = budgets_of_run(&folder);
    let concern = run.concern(&call()).unwrap().unwrap();
    assert_eq!(concern.tightest.unwrap().limit, UsdNanos(1_000_000_000));
    let hold = Arc::clone(&run)
        .reserve_now(&call(), UsdNanos(900_000_000))
        .ok()
        .unwrap();
    let Err(SharedRefusal::Full(full)) = Arc::clone(&run).reserve_now(&call(), UsdNanos(200_000_000)) else {
        panic!("granted");
    };
    assert_eq!(full.name.whose, "all runs with tag `team=web` in a day");
    assert_eq!(
        full.name.advice,
        "$0.90 is held by calls that go on; it begins anew at 2026-03-03 00:00 (in 12 h 0 min); raise it with \
         `flowmeter budget set AMOUNT/day --tag team=web --hard`, or remove it with `flowmeter budget remove 1`"
    );
    hold.settle(cost(850_000_000));
    assert_eq!(
        run.warnings(),
        [
            "80 % of the budget of all runs with tag `team=web` in a day is used: $0.85 of $1.00 is spent; calls that \
          have no room in it are refused; it begins anew at 2026-03-03 00:00 (in 12 h 0 min)"
        ]
    );
    run.charge(&call(), cost(1));
    assert_eq!(run.warnings().len(), 1);
}

#[tokio::test]
async fn a_call_waits_for_what_others_may_leave() {
    let folder = tempfile::tempdir().unwrap();
    set(&folder, 100, BudgetScope::All, true);
    let (one, other) = (budgets_of_run(&folder), budgets_of_run(&folder));
    let hold = one.reserve_now(&call(), UsdNanos(80)).ok().unwrap();
    let mut waiting = other.reserve(call(), UsdNanos(50));
    assert!(
        tokio::time::timeout(Duration::from_millis(60), &mut waiting)
            .await
            .is_err()
    );
    hold.settle(cost(20));
    assert!(waiting.await.is_ok());
}

#[test]
fn what_cannot_be_checked_is_refused_only_where_a_hard_budget_was_set() {
    for hard in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        set(&folder, 100, BudgetScope::All, hard);
        for name in ["flowmeter.db", "flowmeter.db-wal", "flowmeter.db-shm"] {
            let path = folder.path().join(name);
            if path.exists() {
                std::fs::write(path, "no database at all, and long enough to be taken for one").unwrap();
            }
        }
        let run = budgets_of_run(&folder);
        let concern = run.concern(&call());
        assert_eq!(
            matches!(concern, Err(SharedRefusal::Unchecked(_))),
            hard,
            "{concern:?}"
        );
    }
}
