//! Budgets across runs in words: whose they are, how they stand, when they begin anew.
//!
//! Never asks what time it is.

use flowmeter::SharedBudgetName;
use flowmeter_model::{TimestampNs, UsdNanos};
use flowmeter_store::{AccountState, BudgetPeriod, BudgetRule, BudgetScope};
use time::{OffsetDateTime, UtcOffset};

/// `$5.00/day`.
pub(crate) fn amount_of(rule: &BudgetRule) -> String {
    format!("{}/{}", rule.limit, rule.period.as_str())
}

/// What follows "the budget of": `all runs in a day`, ``all runs of workflow `w` in a day``.
pub(crate) fn owner(rule: &BudgetRule) -> String {
    let who = match &rule.scope {
        BudgetScope::All => "all runs".to_owned(),
        BudgetScope::Workflow(name) => format!("all runs of workflow `{name}`"),
        BudgetScope::Model(name) => format!("all calls to `{name}`"),
        BudgetScope::Tag(key, value) => format!("all runs with tag `{key}={value}`"),
    };
    let article = if rule.period == BudgetPeriod::Hour {
        "an"
    } else {
        "a"
    };
    format!("{who} in {article} {}", rule.period.as_str())
}

/// The flags that name the scope on a command line, each with a space before it.
fn flags(scope: &BudgetScope) -> String {
    match scope {
        BudgetScope::All => String::new(),
        BudgetScope::Workflow(name) => format!(" --workflow {}", quoted(name)),
        BudgetScope::Model(name) => format!(" --model {}", quoted(name)),
        BudgetScope::Tag(key, value) => format!(" --tag {}", quoted(&format!("{key}={value}"))),
    }
}

/// The text as a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Which budget it is, and what to do where it has no room.
pub(super) fn name(state: &AccountState, now: TimestampNs) -> SharedBudgetName {
    let rule = &state.rule;
    let held = if state.reserved > UsdNanos::ZERO {
        format!("{} is held by calls that go on; ", state.reserved)
    } else {
        String::new()
    };
    SharedBudgetName {
        whose: owner(rule),
        advice: format!(
            "{held}it begins anew {}; raise it with `flowmeter budget set AMOUNT/{}{} --hard`, or remove it with \
             `flowmeter budget remove {}`",
            ends_in_words(state, now),
            rule.period.as_str(),
            flags(&rule.scope),
            rule.id.0
        ),
    }
}

/// `at 2026-11-22 00:00 (in 3 h 12 min)`, in the local time of the rule.
pub(crate) fn ends_in_words(state: &AccountState, now: TimestampNs) -> String {
    let offset = UtcOffset::from_whole_seconds(state.rule.utc_offset_seconds).unwrap_or(UtcOffset::UTC);
    let ends = OffsetDateTime::from_unix_timestamp_nanos(i128::from(state.ends.0));
    let at = ends.map_or_else(
        |_| String::new(),
        |ends| {
            let ends = ends.to_offset(offset);
            let (date, time) = (ends.date(), ends.time());
            format!("at {date} {:02}:{:02} ", time.hour(), time.minute())
        },
    );
    format!("{at}(in {})", rest(state.ends.since(now)))
}

/// `3 d 4 h`, `3 h 12 min`, `12 min`.
fn rest(rest_ns: u64) -> String {
    let minutes = rest_ns.div_ceil(60_000_000_000);
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A call has passed a mark of a budget.
pub(super) fn mark_passed(state: &AccountState, mark: u8, now: TimestampNs) -> String {
    let rule = &state.rule;
    let beside = if state.withheld > UsdNanos::ZERO {
        format!(", and up to {} more may be", state.withheld)
    } else {
        String::new()
    };
    let what = if mark >= 100 {
        format!("the budget of {} is used up", owner(rule))
    } else {
        format!("{mark} % of the budget of {} is used", owner(rule))
    };
    let then = match (rule.hard, mark >= 100) {
        (true, _) => "calls that have no room in it are refused",
        (false, true) => "calls go on, for it is not hard",
        (false, false) => "calls beyond it are not refused, for it is not hard",
    };
    format!(
        "{what}: {} of {} is spent{beside}; {then}; it begins anew {}",
        state.spent,
        rule.limit,
        ends_in_words(state, now)
    )
}
