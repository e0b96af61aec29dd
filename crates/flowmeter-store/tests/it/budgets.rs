//! Budgets under many processes: two that overlap are never overrun, nobody sees a lock, and what a killed process
//! held is not given out again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::{SystemClock, TimestampNs, UsdNanos};
use flowmeter_store::{
    AccountState, BudgetPeriod, BudgetScope, BudgetTerms, Budgets, CallCost, ProcessMark, Spender,
    SqliteConfig,
};

const FOLDER: &str = "FLOWMETER_TEST_BUDGET_FOLDER";
const ROLE: &str = "FLOWMETER_TEST_BUDGET_ROLE";
const NOW: TimestampNs = TimestampNs(1_772_452_800_000_000_000);
const PROCESSES: usize = 50;
const CALLS: u64 = 40;
/// The most that a call may come to.
const BOUND: i64 = 1_000;
const LIMIT_ALL: i64 = 400_000;
const LIMIT_MODEL: i64 = 150_000;

fn is_alive(mark: &ProcessMark) -> Option<bool> {
    Some(Path::new(&format!("/proc/{}", mark.pid)).exists())
}

fn open(folder: &Path) -> Budgets {
    let config = SqliteConfig::new(Arc::new(SystemClock), Arc::new(is_alive));
    Budgets::open(&folder.join("flowmeter.db"), &config).unwrap()
}

fn set(budgets: &mut Budgets, limit: i64, scope: BudgetScope) {
    let terms = BudgetTerms {
        limit: UsdNanos(limit),
        period: BudgetPeriod::Day,
        scope,
        hard: true,
        utc_offset_seconds: 0,
    };
    budgets.set(&terms, UsdNanos::ZERO, NOW).unwrap();
}

fn spender(model: &str) -> Spender {
    Spender {
        workflow: "w".into(),
        provider: "p".into(),
        model: model.into(),
        tags: Vec::new(),
        process: Some(ProcessMark {
            host: "here".into(),
            pid: std::process::id(),
            started: 0,
        }),
    }
}

/// This binary once more, as one process among many.
fn child(folder: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "budgets::one_of_many_processes",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the other tests start it as a process of its own"]
fn one_of_many_processes() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let role = std::env::var(ROLE).unwrap();
    let mut budgets = open(&folder);
    if role == "holds" {
        budgets
            .reserve(&spender("dear"), UsdNanos(700), NOW)
            .unwrap()
            .unwrap();
        std::fs::write(folder.join("held"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let number: u64 = role.parse().unwrap();
    let (mut spent, mut spent_dear) = (0, 0);
    for call in 0..CALLS {
        let seed = number * 7_919 + call * 104_729;
        let is_dear = seed.is_multiple_of(3);
        let spender = spender(if is_dear { "dear" } else { "cheap" });
        // A call that has no room is not made; one that may have it later is made without waiting, another time.
        let Ok(Some(held)) = budgets.reserve(&spender, UsdNanos(BOUND), NOW).unwrap() else {
            continue;
        };
        for account in &held.accounts {
            let committed = account.spent + account.withheld + account.reserved;
            assert!(committed <= account.rule.limit, "{account:?}");
        }
        let cost = i64::try_from(seed % 900).unwrap() + 100;
        let settled = CallCost {
            spent: Some(UsdNanos(cost)),
            withheld: UsdNanos::ZERO,
        };
        budgets.settle(held.id, settled, NOW).unwrap();
        spent += cost;
        spent_dear += if is_dear { cost } else { 0 };
    }
    std::fs::write(
        folder.join(format!("spent-{number}")),
        format!("{spent} {spent_dear}"),
    )
    .unwrap();
}

fn of_scope<'a>(states: &'a [AccountState], scope: &BudgetScope) -> &'a AccountState {
    states.iter().find(|state| state.rule.scope == *scope).unwrap()
}

#[test]
fn two_budgets_that_overlap_are_never_overrun_by_fifty_processes() {
    let folder = tempfile::tempdir().unwrap();
    let mut budgets = open(folder.path());
    let model = BudgetScope::Model("dear".into());
    set(&mut budgets, LIMIT_ALL, BudgetScope::All);
    set(&mut budgets, LIMIT_MODEL, model.clone());
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| child(folder.path(), &number.to_string()))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let (mut spent, mut spent_dear) = (0, 0);
    for number in 0..PROCESSES {
        let text = std::fs::read_to_string(folder.path().join(format!("spent-{number}"))).unwrap();
        let (all, dear) = text.split_once(' ').unwrap();
        spent += all.parse::<i64>().unwrap();
        spent_dear += dear.parse::<i64>().unwrap();
    }
    let states = budgets.status(NOW).unwrap();
    let (all, dear) = (of_scope(&states, &BudgetScope::All), of_scope(&states, &model));
    assert_eq!(
        (all.spent, all.reserved, all.withheld),
        (UsdNanos(spent), UsdNanos(0), UsdNanos(0))
    );
    assert_eq!((dear.spent, dear.reserved), (UsdNanos(spent_dear), UsdNanos(0)));
    assert!(
        spent <= LIMIT_ALL && spent_dear <= LIMIT_MODEL,
        "{spent} {spent_dear}"
    );
    // As much as is safe: what is left is less than the calls side by side could have cost.
    let wanted = i64::try_from(PROCESSES).unwrap() * i64::try_from(CALLS).unwrap() * 550;
    assert!(wanted > LIMIT_ALL);
    assert!(
        spent > LIMIT_ALL - i64::try_from(PROCESSES).unwrap() * BOUND,
        "{spent}"
    );
}

#[test]
fn what_a_killed_process_held_is_not_given_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut budgets = open(folder.path());
    set(&mut budgets, 1_000, BudgetScope::All);
    let mut held = child(folder.path(), "holds");
    let began = Instant::now();
    while !folder.path().join("held").exists() {
        assert!(began.elapsed() < Duration::from_secs(50));
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = budgets
        .reserve(&spender("cheap"), UsdNanos(400), NOW)
        .unwrap()
        .unwrap_err();
    assert!(refused.may_come_free);
    // SIGKILL.
    held.kill().unwrap();
    held.wait().unwrap();
    let refused = budgets
        .reserve(&spender("cheap"), UsdNanos(400), NOW)
        .unwrap()
        .unwrap_err();
    assert!(!refused.may_come_free);
    assert_eq!(refused.account.withheld, UsdNanos(700));
    assert!(
        budgets
            .reserve(&spender("cheap"), UsdNanos(300), NOW)
            .unwrap()
            .is_ok()
    );
}
