//! Budgets that many runs share: rules, accounts by period, and reservations that several processes make at once.
//!
//! Never lets the sum of what was settled and what is reserved pass a hard limit.

mod forecast;
mod period;

use std::fmt;

use flowmeter_model::{TimestampNs, UsdNanos};
use smol_str::SmolStr;

use crate::ProcessMark;
pub use forecast::{Forecast, ForecastGround, PastPeriod};

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

impl BudgetScope {
    /// Whether a call of `spender` counts. A model may be named with its provider (`openai/gpt-4o`) or without.
    #[must_use]
    pub fn concerns(&self, spender: &Spender) -> bool {
        match self {
            Self::All => true,
            Self::Workflow(name) => *name == spender.workflow,
            Self::Model(name) => {
                *name == spender.model
                    || name
                        .strip_prefix(spender.provider.as_str())
                        .and_then(|rest| rest.strip_prefix('/'))
                        .is_some_and(|model| model == spender.model)
            }
            Self::Tag(key, value) => spender
                .tags
                .iter()
                .any(|(their_key, theirs)| their_key == key && theirs == value),
        }
    }
}

/// `everything`, ``workflow `report` ``, ``model `gpt-4o` ``, ``tag `team=web` ``.
impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Workflow(name) => write!(f, "workflow `{name}`"),
            Self::Model(name) => write!(f, "model `{name}`"),
            Self::Tag(key, value) => write!(f, "tag `{key}={value}`"),
        }
    }
}

/// What a rule is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetTerms {
    /// So much.
    pub limit: UsdNanos,
    /// In each such period.
    pub period: BudgetPeriod,
    /// Of these calls.
    pub scope: BudgetScope,
    /// Whether calls beyond it are refused; else there are warnings only.
    pub hard: bool,
    /// How far local time is east of UTC, in seconds: periods begin there.
    pub utc_offset_seconds: i32,
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
    /// What may be spent beyond that and is not given out again: calls that their providers did not count, and calls
    /// of processes that are gone, may have come to so much more.
    pub withheld: UsdNanos,
    /// Held for calls that go on.
    pub reserved: UsdNanos,
    /// Calls that have ended.
    pub calls: u64,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
    /// The highest mark (50, 80, 100 percent) that this change passed for the first time in the period, if any: to
    /// be warned of once.
    pub mark_passed: Option<u8>,
}

impl AccountState {
    /// What is neither spent nor held: never below zero.
    #[must_use]
    pub fn left(&self) -> UsdNanos {
        UsdNanos(self.unspent().0.saturating_sub(self.reserved.0).max(0))
    }

    /// What would be left if all calls that go on came to nothing: never below zero.
    #[must_use]
    pub fn unspent(&self) -> UsdNanos {
        UsdNanos((self.rule.limit - self.spent - self.withheld).0.max(0))
    }
}

/// What a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCost {
    /// What it cost; `None` where nobody knows, as with a model without a price.
    pub spent: Option<UsdNanos>,
    /// What it may have cost beyond that, for its provider did not count.
    pub withheld: UsdNanos,
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
    /// Who is asked, such as `openai`.
    pub provider: SmolStr,
    /// The model.
    pub model: SmolStr,
    /// The run's tags.
    pub tags: Vec<(String, String)>,
    /// Who would have to settle: what a process that is gone had reserved is set free.
    pub process: Option<ProcessMark>,
}
