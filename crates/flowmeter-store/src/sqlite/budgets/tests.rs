//! Rules, accounts and reservations of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowmeter_model::ManualClock;
use tempfile::TempDir;

use super::*;
use crate::{BudgetPeriod, BudgetScope, CallCost, ProcessMark, Spender};

const SECOND_NS: u64 = 1_000_000_000;
const HOUR_NS: u64 = 3_600 * SECOND_NS;
const DAY_NS: u64 = 24 * HOUR_NS;
/// 2026-03-02, a Monday, at noon.
const NOON: TimestampNs = TimestampNs(1_772_452_800 * SECOND_NS);

struct Place {
    _folder: TempDir,
    path: PathBuf,
    lives: Arc<AtomicBool>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("flowmeter.db"),
            _folder: folder,
            lives: Arc::new(AtomicBool::new(true)),
        }
    }

    fn open(&self) -> Budgets {
        let lives = Arc::clone(&self.lives);
        let config = SqliteConfig::new(
            Arc::new(ManualClock::new(NOON)),
            Arc::new(move |_| Some(lives.load(Ordering::Relaxed))),
        );
        Budgets::open(&self.path, &config).unwrap()
    }
}

fn terms(limit: i64, period: BudgetPeriod, scope: BudgetScope, hard: bool) -> BudgetTerms {
    BudgetTerms {
        limit: UsdNanos(limit),
        period,
        scope,
        hard,
        utc_offset_seconds: 0,
    }
}

fn hard_day(limit: i64) -> BudgetTerms {
    terms(limit, BudgetPeriod::Day, BudgetScope::All, true)
}

fn spender(workflow: &str, model: &str) -> Spender {
    Spender {
        workflow: workflow.into(),
        provider: "openai".into(),
        model: model.into(),
        tags: vec![("team".to_owned(), "web".to_owned())],
        process: Some(ProcessMark {
            host: "here".into(),
            pid: 7,
            started: 1,
        }),
    }
}

fn cost(spent: i64) -> CallCost {
    CallCost {
        spent: Some(UsdNanos(spent)),
        withheld: UsdNanos::ZERO,
    }
}

/// Reserves, and expects that there is room.
fn reserve(budgets: &mut Budgets, amount: i64, now: TimestampNs) -> crate::Reservation {
    let answer = budgets.reserve(&spender("w", "m"), UsdNanos(amount), now);
    answer.unwrap().unwrap().unwrap()
}

fn refused(budgets: &mut Budgets, amount: i64, now: TimestampNs) -> crate::Refused {
    let answer = budgets.reserve(&spender("w", "m"), UsdNanos(amount), now);
    answer.unwrap().unwrap_err()
}

#[test]
fn a_call_is_reserved_settled_and_refused_where_nothing_is_left() {
    let place = Place::new();
    let mut budgets = place.open();
    assert_eq!(
        budgets.reserve(&spender("w", "m"), UsdNanos(5), NOON).unwrap(),
        Ok(None)
    );
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let one = reserve(&mut budgets, 60, NOON);
    let full = refused(&mut budgets, 50, NOON);
    assert!(full.may_come_free);
    assert_eq!((full.wanted, full.account.reserved), (UsdNanos(50), UsdNanos(60)));
    budgets.settle(one.id, cost(45), NOON).unwrap();
    let two = reserve(&mut budgets, 50, NOON);
    budgets.release(two.id).unwrap();
    let never = refused(&mut budgets, 56, NOON);
    assert!(!never.may_come_free);
    // What is free of charge always goes.
    reserve(&mut budgets, 0, NOON);
    let state = &budgets.status(NOON).unwrap()[0];
    assert_eq!(
        (state.spent, state.reserved, state.left()),
        (UsdNanos(45), UsdNanos(0), UsdNanos(55))
    );
    assert_eq!(state.calls, 1);
}

#[test]
fn each_rule_counts_what_concerns_it_and_the_fullest_hard_one_decides() {
    let place = Place::new();
    let mut budgets = place.open();
    for (limit, scope, hard) in [
        (1_000, BudgetScope::All, false),
        (300, BudgetScope::Workflow("report".into()), true),
        (100, BudgetScope::Model("openai/gpt".into()), true),
        (10, BudgetScope::Tag("team".to_owned(), "web".to_owned()), false),
        (1, BudgetScope::Tag("team".to_owned(), "data".to_owned()), true),
    ] {
        budgets
            .set(&terms(limit, BudgetPeriod::Day, scope, hard), UsdNanos(0), NOON)
            .unwrap();
    }
    let report = budgets
        .reserve(&spender("report", "gpt"), UsdNanos(90), NOON)
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(report.accounts.len(), 4);
    budgets.settle(report.id, cost(90), NOON).unwrap();
    let full = budgets
        .reserve(&spender("report", "gpt"), UsdNanos(20), NOON)
        .unwrap()
        .unwrap_err();
    assert_eq!(full.account.rule.scope, BudgetScope::Model("openai/gpt".into()));
    // A refused call holds nothing anywhere.
    assert!(
        budgets
            .status(NOON)
            .unwrap()
            .iter()
            .all(|state| state.reserved == UsdNanos(0))
    );
    let other = budgets
        .reserve(&spender("report", "cheap"), UsdNanos(200), NOON)
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(other.accounts.len(), 3);
    let soft = &other.accounts[2];
    assert_eq!(
        (soft.rule.limit, soft.spent, soft.reserved),
        (UsdNanos(10), UsdNanos(90), UsdNanos(200))
    );
}

#[test]
fn marks_are_passed_once_in_a_period() {
    let place = Place::new();
    let (mut one, mut other) = (place.open(), place.open());
    one.set(
        &terms(100, BudgetPeriod::Day, BudgetScope::All, false),
        UsdNanos(0),
        NOON,
    )
    .unwrap();
    let spend = |budgets: &mut Budgets, nanos: i64, now: TimestampNs| {
        let reservation = reserve(budgets, nanos, now);
        budgets.settle(reservation.id, cost(nanos), now).unwrap()[0].mark_passed
    };
    assert_eq!(spend(&mut one, 49, NOON), None);
    assert_eq!(spend(&mut other, 1, NOON), Some(50));
    assert_eq!(spend(&mut one, 1, NOON), None);
    assert_eq!(spend(&mut one, 60, NOON), Some(100));
    assert_eq!(spend(&mut other, 60, NOON), None);
    let tomorrow = TimestampNs(NOON.0 + DAY_NS);
    assert_eq!(spend(&mut other, 80, tomorrow), Some(80));
    // A clock that jumps back finds the account of that day as it was.
    assert_eq!(spend(&mut other, 1, NOON), None);
    assert_eq!(other.status(NOON).unwrap()[0].spent, UsdNanos(172));
    assert_eq!(other.status(tomorrow).unwrap()[0].spent, UsdNanos(80));
}

#[test]
fn a_rule_set_again_keeps_its_account_and_one_set_late_counts_what_went_before() {
    let place = Place::new();
    let mut budgets = place.open();
    let state = budgets.set(&hard_day(100), UsdNanos(85), NOON).unwrap();
    assert_eq!((state.spent, state.mark_passed), (UsdNanos(85), Some(80)));
    refused(&mut budgets, 20, NOON);
    let raised = budgets.set(&hard_day(1_000), UsdNanos(40), NOON).unwrap();
    assert_eq!((raised.spent, raised.mark_passed), (UsdNanos(85), None));
    assert_eq!(raised.rule.id, state.rule.id);
    // Elsewhere the day began at another time; its money does not come back.
    let elsewhere = BudgetTerms {
        utc_offset_seconds: 3_600,
        ..hard_day(1_000)
    };
    let moved = budgets.set(&elsewhere, UsdNanos(0), NOON).unwrap();
    assert_eq!(moved.spent, UsdNanos(85));
    assert_eq!(moved.begins, TimestampNs(NOON.0 - 13 * HOUR_NS));
    assert_eq!(budgets.rules().unwrap().len(), 1);
    assert!(Budgets::are_kept_hard(&place.path));
    assert!(budgets.remove(moved.rule.id).unwrap());
    assert!(!budgets.remove(moved.rule.id).unwrap());
    assert!(!Budgets::are_kept_hard(&place.path));
    assert_eq!(budgets.status(NOON).unwrap(), Vec::new());
}

#[test]
fn a_call_counts_in_the_period_in_which_it_was_reserved() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let long = reserve(&mut budgets, 30, NOON);
    let tomorrow = TimestampNs(NOON.0 + DAY_NS);
    reserve(&mut budgets, 100, tomorrow);
    budgets.settle(long.id, cost(25), tomorrow).unwrap();
    assert_eq!(budgets.status(NOON).unwrap()[0].spent, UsdNanos(25));
    assert_eq!(budgets.status(tomorrow).unwrap()[0].spent, UsdNanos(0));
}

#[test]
fn what_nobody_counted_is_withheld_and_what_nobody_knows_is_unpriced() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let broken_off = reserve(&mut budgets, 60, NOON);
    let guess = CallCost {
        spent: Some(UsdNanos(10)),
        withheld: UsdNanos(50),
    };
    let states = budgets.settle(broken_off.id, guess, NOON).unwrap();
    assert_eq!(
        (states[0].mark_passed, states[0].left()),
        (Some(50), UsdNanos(40))
    );
    let unpriced = budgets
        .charge(&spender("w", "m"), CallCost::default(), NOON)
        .unwrap();
    assert_eq!((unpriced[0].unpriced_calls, unpriced[0].calls), (1, 2));
    refused(&mut budgets, 41, NOON);
}

#[test]
fn a_stream_holds_more_while_there_is_room() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let stream = reserve(&mut budgets, 60, NOON);
    assert_eq!(budgets.extend(stream.id, UsdNanos(40)).unwrap(), Ok(()));
    let full = budgets.extend(stream.id, UsdNanos(1)).unwrap().unwrap_err();
    assert_eq!(full.account.reserved, UsdNanos(100));
    budgets.release(stream.id).unwrap();
    assert_eq!(budgets.status(NOON).unwrap()[0].left(), UsdNanos(100));
}

#[test]
fn what_a_process_held_that_is_gone_is_not_given_out_again() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let held = reserve(&mut budgets, 70, NOON);
    assert!(refused(&mut budgets, 40, NOON).may_come_free);
    place.lives.store(false, Ordering::Relaxed);
    let full = refused(&mut budgets, 40, NOON);
    assert!(!full.may_come_free);
    assert_eq!(
        (full.account.withheld, full.account.reserved),
        (UsdNanos(70), UsdNanos(0))
    );
    // Should it have lived after all, its cost is among what is withheld.
    assert_eq!(budgets.settle(held.id, cost(70), NOON).unwrap(), Vec::new());
    assert_eq!(budgets.status(NOON).unwrap()[0].left(), UsdNanos(30));
}

#[test]
fn whoever_cannot_be_looked_at_holds_for_an_hour() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(100), UsdNanos(0), NOON).unwrap();
    let elsewhere = Spender {
        process: None,
        ..spender("w", "m")
    };
    budgets.reserve(&elsewhere, UsdNanos(70), NOON).unwrap().unwrap();
    assert!(refused(&mut budgets, 40, NOON).may_come_free);
    // The clock jumped back: that makes nobody old.
    assert_eq!(
        budgets.status(TimestampNs(NOON.0 - HOUR_NS)).unwrap()[0].reserved,
        UsdNanos(70)
    );
    let later = TimestampNs(NOON.0 + HOUR_NS + 1);
    assert!(!refused(&mut budgets, 40, later).may_come_free);
}

#[test]
fn past_periods_are_cut_where_the_present_one_stands() {
    let place = Place::new();
    let mut budgets = place.open();
    let rule = budgets.set(&hard_day(1_000_000), UsdNanos(0), NOON).unwrap().rule;
    for (day, hour, nanos) in [(0, 12, 5), (1, 3, 10), (1, 20, 30), (3, 12, 100), (4, 1, 7)] {
        let at = TimestampNs(NOON.0 - 12 * HOUR_NS + day * DAY_NS + hour * HOUR_NS);
        budgets.charge(&spender("w", "m"), cost(nanos), at).unwrap();
    }
    let now = TimestampNs(NOON.0 + 4 * DAY_NS);
    let past = budgets.past(&rule, now).unwrap();
    let sums: Vec<(i64, i64)> = past
        .iter()
        .map(|period| (period.before.0, period.after.0))
        .collect();
    // A day without spending counts as one; the first, which is not whole, does not.
    assert_eq!(sums, [(0, 100), (0, 0), (10, 30)]);
    let in_weeks = TimestampNs(NOON.0 + 40 * DAY_NS);
    assert_eq!(budgets.past(&rule, in_weeks).unwrap().len(), 4);
}

#[test]
fn a_thousand_reservations_take_no_second() {
    let place = Place::new();
    let mut budgets = place.open();
    budgets.set(&hard_day(i64::MAX / 2), UsdNanos(0), NOON).unwrap();
    budgets
        .set(
            &terms(5, BudgetPeriod::Month, BudgetScope::All, false),
            UsdNanos(0),
            NOON,
        )
        .unwrap();
    let mut times: Vec<u128> = (0..1_000)
        .map(|_| {
            let began = std::time::Instant::now();
            reserve(&mut budgets, 10, NOON);
            began.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    // Far above what it takes, for machines that are busy with other things.
    assert!(times[500] < 5_000, "{} µs", times[500]);
    println!("p50 {} µs, p99 {} µs", times[500], times[990]);
}
