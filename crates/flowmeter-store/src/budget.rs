//! Budgets that many runs share: rules, accounts by period, and reservations that several processes make at once.
//!
//! Never lets the sum of what was settled and what is reserved pass a hard limit.

use flowmeter_model::{TimestampNs, UsdNanos};
use smol_str::SmolStr;

use crate::ProcessMark;

/// Identifies a rule in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetId(pub i64);

/// Identifies a reservation in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub i64);

/// After what time an account begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetPeriod {
    /// The hour.
    Hour,
    /// The day.
    Day,
    /// The week, from Monday.
    Week,
    /// The month.
    Month,
}

/// Whose spending counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetScope {
    /// Everybody's.
    All,
    /// Runs of this workflow.
    Workflow(SmolStr),
    /// Calls to this model.
    Model(SmolStr),
    /// Runs with this tag.
    Tag(String, String),
}

/// A rule: so much in such a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    /// Which.
    pub id: BudgetId,
    /// So much.
    pub limit: UsdNanos,
    /// In each such period.
    pub period: BudgetPeriod,
    /// Of these calls.
    pub scope: BudgetScope,
    /// Whether calls beyond it are refused; else there are warnings only.
    pub hard: bool,
    /// How far local time is east of UTC, in seconds, where the rule was set: periods begin there.
    pub utc_offset_seconds: i32,
}

/// Money that is held for a call that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Which.
    pub id: ReservationId,
    /// The rules that it counts for, each with its account as it stands with this reservation.
    pub accounts: Vec<AccountState>,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The rule.
    pub rule: BudgetRule,
    /// When the period began.
    pub begins: TimestampNs,
    /// When it ends.
    pub ends: TimestampNs,
    /// Spent for certain.
    pub spent: UsdNanos,
    /// Held for calls that go on.
    pub reserved: UsdNanos,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
    /// The highest mark (50, 80, 100 percent) that this change passed for the first time in the period, if any: to
    /// be warned of once.
    pub mark_passed: Option<u8>,
}

/// A call that a hard limit has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The account that is full.
    pub account: AccountState,
    /// What the call may have cost.
    pub wanted: UsdNanos,
    /// Whether calls that go on hold what is missing: then there may be room when they have ended.
    pub may_come_free: bool,
}

/// Whose money a call spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The workflow of the run.
    pub workflow: SmolStr,
    /// The model.
    pub model: SmolStr,
    /// The run's tags.
    pub tags: Vec<(String, String)>,
    /// Who would have to settle: what a process that is gone had reserved is set free.
    pub process: Option<ProcessMark>,
}
