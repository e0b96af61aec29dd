//! Budgets that several runs share, also in other processes: what the meter asks of whoever keeps them.
//!
//! Never knows where they are kept or what they are called: that is said in words by their keeper.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use flowmeter_model::UsdNanos;
use smol_str::SmolStr;
use thiserror::Error;

use super::error::OverBudget;
use super::{BoundOfCall, BudgetError, BudgetOwner, OverBudgetKind, UnpricedModel};

/// A call that shared budgets are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedCall {
    /// Who is asked, such as `openai`.
    pub provider: SmolStr,
    /// The model.
    pub model: SmolStr,
}

/// Which shared budget it is, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBudgetName {
    /// Follows "the budget of", such as `all runs in a day`.
    pub whose: String,
    /// When it begins anew and how it is raised; begins in lower case.
    pub advice: String,
}

/// A shared budget that refuses calls for which it has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAccount {
    /// Which.
    pub name: SharedBudgetName,
    /// Its limit.
    pub limit: UsdNanos,
    /// What is spent.
    pub spent: UsdNanos,
    /// What may be spent beyond that, and is not given out again.
    pub withheld: UsdNanos,
}

impl SharedAccount {
    /// What is left once nothing is in flight any more: never below zero.
    pub(crate) fn left(&self) -> u64 {
        let left = self.limit - self.spent - self.withheld;
        u64::try_from(left.0).unwrap_or(0)
    }
}

/// What shared budgets mean for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedConcern {
    /// Of those that refuse, the one with the least left. Without it they only count and warn.
    pub tightest: Option<SharedAccount>,
}

/// Why shared budgets do not allow a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedRefusal {
    /// One has no room for it, whatever the calls in flight come to.
    Full(Box<SharedAccount>),
    /// There are some that refuse calls, and nobody can tell how they stand: why not.
    Unchecked(String),
}

/// What a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedCost {
    /// What it cost, as far as anybody knows; `None` of a model without a price.
    pub spent: Option<UsdNanos>,
    /// What it may have cost beyond that: its provider did not count.
    pub withheld: UsdNanos,
}

/// The answer to [`SharedBudgets::reserve`].
pub type SharedAnswer = Pin<Box<dyn Future<Output = Result<Box<dyn SharedHold>, SharedRefusal>> + Send>>;

/// Who keeps budgets that several runs share. The run's own budget is kept beside them: a call needs room in both.
///
/// What is not async has to be quick: it is asked where the run's nodes run.
pub trait SharedBudgets: Send + Sync {
    /// What the budgets mean for a call; `None` where none concerns it.
    ///
    /// # Errors
    /// [`SharedRefusal::Unchecked`].
    fn concern(&self, call: &SharedCall) -> Result<Option<SharedConcern>, SharedRefusal>;

    /// Sets `amount` aside for a call. Waits as long as calls in flight, also those of other processes, may leave
    /// room for it.
    fn reserve(self: Arc<Self>, call: SharedCall, amount: UsdNanos) -> SharedAnswer;

    /// The same without waiting.
    ///
    /// # Errors
    /// [`SharedRefusal`] where there is no room just now.
    fn reserve_now(
        self: Arc<Self>,
        call: &SharedCall,
        amount: UsdNanos,
    ) -> Result<Box<dyn SharedHold>, SharedRefusal>;

    /// Takes what a call cost for which nothing was set aside.
    fn charge(&self, call: &SharedCall, cost: SharedCost);
}

/// What is set aside for one call. Dropped without [`SharedHold::settle`], it is given back as if the call had never
/// been.
pub trait SharedHold: Send {
    /// Sets more aside, where there is room just now.
    ///
    /// # Errors
    /// [`SharedRefusal`] where there is none.
    fn extend(&mut self, more: UsdNanos) -> Result<(), SharedRefusal>;

    /// The call came to this.
    fn settle(self: Box<Self>, cost: SharedCost);
}

/// Budgets that cannot be checked.
#[derive(Clone, Debug, Error)]
#[error(
    "the call to `{model}` was not made: there is a hard budget across runs, and nobody can tell how it stands: {why}"
)]
pub struct UncheckedBudgets {
    /// The model.
    pub model: SmolStr,
    /// Why not.
    pub why: String,
    pub(super) owner: BudgetOwner,
}

impl SharedRefusal {
    /// The error of a call that is not made, or not finished.
    pub(crate) fn into_error(self, kind: OverBudgetKind, call: BoundOfCall) -> BudgetError {
        match self {
            Self::Full(account) => OverBudget::of_shared(*account, kind, call),
            Self::Unchecked(why) => BudgetError::Unchecked(Box::new(UncheckedBudgets {
                model: call.model,
                why,
                owner: BudgetOwner::Shared(Box::new(SharedBudgetName {
                    whose: "several runs".to_owned(),
                    advice: "see what is wrong with `flowmeter budget status`".to_owned(),
                })),
            })),
        }
    }
}

impl SharedAccount {
    /// The error of a call to a model without a price.
    pub(crate) fn unpriced(&self, provider: &SmolStr, model: &SmolStr) -> BudgetError {
        UnpricedModel::of_shared(self, provider, model)
    }
}

impl fmt::Display for SharedBudgetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whose)
    }
}
