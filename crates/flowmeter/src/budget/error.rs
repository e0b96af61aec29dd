//! Why a call is not made, or not finished: a budget that has no room for it, or a model without a price.
//!
//! Says what was spent, what the call could have cost and what is left. How a limit is raised is for whoever knows
//! where it was written down.

use std::fmt;

use flowmeter_model::UsdNanos;
use smol_str::SmolStr;
use thiserror::Error;

use super::amounts::{BudgetLimit, usd};
use super::{Account, BudgetOwner, SharedAccount, Shortage, UncheckedBudgets};
use crate::formats::grouped;

/// In place of an account's number: the account is none of this process.
const NO_ACCOUNT: u64 = 0;

/// Why a call is not made, or not finished.
#[derive(Clone, Debug, Error)]
pub enum BudgetError {
    /// A limit leaves no room for it.
    #[error(transparent)]
    Over(Box<OverBudget>),
    /// There is a limit on money and the model has no price.
    #[error(transparent)]
    Unpriced(UnpricedModel),
    /// Budgets that several runs share refuse calls, and nobody can tell how they stand.
    #[error(transparent)]
    Unchecked(Box<UncheckedBudgets>),
}

impl BudgetError {
    /// The class of the failure: `budget_exceeded`, `unpriced_model` or `budget_unchecked` (OpenTelemetry: `error.type`).
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Over(_) => "budget_exceeded",
            Self::Unpriced(_) => "unpriced_model",
            Self::Unchecked(_) => "budget_unchecked",
        }
    }

    /// Whose budget it is.
    #[must_use]
    pub fn owner(&self) -> &BudgetOwner {
        match self {
            Self::Over(over) => &over.owner,
            Self::Unpriced(unpriced) => &unpriced.owner,
            Self::Unchecked(unchecked) => &unchecked.owner,
        }
    }

    /// The first budget error among `error` and its causes.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref::<Self>())
    }

    /// The account whose limit it is.
    pub(crate) fn account_id(&self) -> u64 {
        match self {
            Self::Over(over) => over.account_id,
            Self::Unpriced(unpriced) => unpriced.account_id,
            Self::Unchecked(_) => NO_ACCOUNT,
        }
    }
}

/// What became of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverBudgetKind {
    /// It was not made.
    Refused,
    /// Its answer was cut off.
    Cut,
    /// It came to more than it could have, and the limit is passed.
    Overrun,
}

/// The most that a call can come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundOfCall {
    /// Who is asked.
    pub provider: SmolStr,
    /// The model.
    pub model: SmolStr,
    /// Input tokens at most.
    pub input_tokens: u64,
    /// Output tokens at most.
    pub output_tokens: u64,
    /// The dearest rate that may apply to an input token, in nano-dollars per million; `None` where there is no price.
    pub input_rate_nanos: Option<i64>,
    /// The same for output.
    pub output_rate_nanos: Option<i64>,
    /// What it can cost; `None` where there is no price.
    pub cost: Option<UsdNanos>,
}

/// A limit that leaves no room for a call.
#[derive(Clone, Debug)]
pub struct OverBudget {
    /// Whose budget it is.
    pub owner: BudgetOwner,
    /// Which limit of it.
    pub limit: BudgetLimit,
    /// The limit: nano-dollars, tokens or calls.
    pub max: u64,
    /// What is spent of it.
    pub spent: u64,
    /// What may be spent beyond that: nobody counted what some calls came to.
    pub withheld: u64,
    /// What became of the call.
    pub kind: OverBudgetKind,
    /// What the call could have come to.
    pub call: BoundOfCall,
    account_id: u64,
}

impl OverBudget {
    /// The error of a call for which there is no room.
    pub(crate) fn error(
        account: &Account,
        shortage: &Shortage,
        kind: OverBudgetKind,
        call: BoundOfCall,
    ) -> BudgetError {
        let account = account.of_shortage(shortage);
        let limit = shortage.limit;
        let mut spent = shortage.spent;
        if kind == OverBudgetKind::Cut {
            // The call itself, as far as it went, is still among what is reserved.
            spent = spent.saturating_add(shortage.reserved);
        }
        BudgetError::Over(Box::new(Self {
            owner: account.owner.clone(),
            limit,
            max: account.budget.limits().of(limit),
            spent,
            withheld: shortage.withheld,
            kind,
            call,
            account_id: account.id,
        }))
    }

    /// The error of a call for which a shared budget has no room.
    pub(super) fn of_shared(account: SharedAccount, kind: OverBudgetKind, call: BoundOfCall) -> BudgetError {
        let nanos = |amount: UsdNanos| u64::try_from(amount.0).unwrap_or(0);
        BudgetError::Over(Box::new(Self {
            limit: BudgetLimit::Cost,
            max: nanos(account.limit),
            spent: nanos(account.spent),
            withheld: nanos(account.withheld),
            owner: BudgetOwner::Shared(Box::new(account.name)),
            kind,
            call,
            account_id: NO_ACCOUNT,
        }))
    }

    fn tell_withheld(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.withheld == 0 {
            return Ok(());
        }
        let withheld = self.limit.show(self.withheld);
        write!(
            f,
            ", and up to {withheld} more may be, for some calls were not counted by their providers"
        )
    }

    /// What is left: nano-dollars, tokens or calls.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.max.saturating_sub(self.spent).saturating_sub(self.withheld)
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner, limit, call, ..
        } = self;
        let model = &call.model;
        // Where nobody counted, what is spent is an estimate in part.
        let guess = if self.withheld > 0 { "~" } else { "" };
        let (max, spent, left) = (
            limit.show(self.max),
            limit.show(self.spent),
            limit.show(self.left()),
        );
        match (self.kind, limit) {
            (OverBudgetKind::Refused, BudgetLimit::Cost) => {
                let cost = call.cost.unwrap_or_default();
                write!(
                    f,
                    "the call to `{model}` was not made: it could cost {cost} ({call}), "
                )?;
                write!(
                    f,
                    "but {left} is left of the budget of {owner}: {guess}{spent} of {max} is spent"
                )?;
                self.tell_withheld(f)
            }
            (OverBudgetKind::Refused, BudgetLimit::Tokens) => {
                let tokens = limit.show(call.input_tokens.saturating_add(call.output_tokens));
                write!(
                    f,
                    "the call to `{model}` was not made: it could take {tokens} ({call}), "
                )?;
                write!(
                    f,
                    "but {left} are left of the budget of {owner}: {guess}{} of {max} are spent",
                    grouped(self.spent)
                )?;
                self.tell_withheld(f)
            }
            (OverBudgetKind::Refused, BudgetLimit::LlmCalls) => {
                write!(
                    f,
                    "the call to `{model}` was not made: the budget of {owner} allows {max}, "
                )?;
                write!(f, "and {} went before", grouped(self.spent))
            }
            (OverBudgetKind::Cut, _) => {
                write!(
                    f,
                    "the answer of `{model}` was cut off: with more of it, the budget of {owner}, "
                )?;
                write!(f, "{max}, would be exceeded; {spent} is spent")
            }
            (OverBudgetKind::Overrun, _) => {
                write!(
                    f,
                    "the call to `{model}` came to more than was agreed with its provider ({call}): "
                )?;
                write!(f, "{spent} is spent, and the budget of {owner} is {max}")
            }
        }
    }
}

impl std::error::Error for OverBudget {}

/// `1,234 input tokens at $0.15 and 4,096 output tokens at $0.60 per million`.
impl fmt::Display for BoundOfCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, output) = (grouped(self.input_tokens), grouped(self.output_tokens));
        match (self.input_rate_nanos, self.output_rate_nanos) {
            (Some(input_rate), Some(output_rate)) => write!(
                f,
                "at most {input} input tokens at {} and {output} output tokens at {} per million",
                UsdNanos(input_rate),
                UsdNanos(output_rate)
            ),
            _ => write!(f, "at most {input} input and {output} output tokens"),
        }
    }
}

/// A model without a price where there is a limit on money.
#[derive(Clone, Debug, Error)]
#[error(
    "the call to `{model}` was not made: no price is known for `{provider}/{model}`, so the budget of {owner}, {}, \
     cannot be kept", usd(*max_cost_nanos)
)]
pub struct UnpricedModel {
    /// Who would have been asked.
    pub provider: SmolStr,
    /// The model.
    pub model: SmolStr,
    /// Whose budget it is.
    pub owner: BudgetOwner,
    /// Its limit on money, in nano-dollars.
    pub max_cost_nanos: u64,
    account_id: u64,
}

impl UnpricedModel {
    /// The error of a shared budget.
    pub(super) fn of_shared(account: &SharedAccount, provider: &SmolStr, model: &SmolStr) -> BudgetError {
        BudgetError::Unpriced(Self {
            provider: provider.clone(),
            model: model.clone(),
            owner: BudgetOwner::Shared(Box::new(account.name.clone())),
            max_cost_nanos: u64::try_from(account.limit.0).unwrap_or(0),
            account_id: NO_ACCOUNT,
        })
    }

    /// `None` where no account has a limit on money, or all let such models pass.
    pub(crate) fn find(account: &Account, provider: &SmolStr, model: &SmolStr) -> Option<BudgetError> {
        let around = account.around();
        let strict = around.into_iter().find(|account| {
            account.budget.max_cost.is_some() && !account.around().any(|outer| outer.budget.allow_unpriced)
        })?;
        Some(BudgetError::Unpriced(Self {
            provider: provider.clone(),
            model: model.clone(),
            owner: strict.owner.clone(),
            max_cost_nanos: strict.budget.limits().of(BudgetLimit::Cost),
            account_id: strict.id,
        }))
    }
}
