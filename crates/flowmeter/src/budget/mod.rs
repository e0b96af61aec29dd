//! Budgets: limits on what a run, a node or a nested workflow may spend, kept before the money is gone.
//!
//! Before a call the most that it can cost is reserved in its account and in all around it; afterwards the
//! reservation is settled with what it did cost. A call that might break a limit is not made. Never makes a call, and
//! never knows where a limit was written down.

mod account;
mod amounts;
mod error;
mod ledger;
mod report;
mod shared;

use flowmeter_model::UsdNanos;
use smol_str::SmolStr;

pub(crate) use account::{Account, Held};
pub use amounts::BudgetLimit;
pub(crate) use amounts::{Amounts, usd};
pub use error::{BoundOfCall, BudgetError, OverBudget, OverBudgetKind, UnpricedModel};
pub(crate) use ledger::{Settled, Shortage};
pub(crate) use report::BudgetTally;
pub use report::{BudgetReport, NodeBudgetReport};
pub use shared::{
    SharedAccount, SharedAnswer, SharedBudgetName, SharedBudgets, SharedCall, SharedConcern, SharedCost,
    SharedHold, SharedRefusal, UncheckedBudgets,
};

/// What may be spent. The default has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Money.
    pub max_cost: Option<UsdNanos>,
    /// Input and output tokens together.
    pub max_tokens: Option<u64>,
    /// Calls to models, those that a provider refuses included.
    pub max_llm_calls: Option<u64>,
    /// Whether models without a price may be called although there is a limit on money, which they escape. In the
    /// budget of a run this holds for all budgets inside it.
    pub allow_unpriced: bool,
}

impl Budget {
    /// Whether it limits anything.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.max_cost.is_some() || self.max_tokens.is_some() || self.max_llm_calls.is_some()
    }

    fn limits(&self) -> Amounts {
        let cost = self.max_cost.map(|cost| u64::try_from(cost.0).unwrap_or(0));
        Amounts::new(
            cost.unwrap_or(Amounts::UNLIMITED),
            self.max_tokens.unwrap_or(Amounts::UNLIMITED),
            self.max_llm_calls.unwrap_or(Amounts::UNLIMITED),
        )
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetOwner {
    /// The run's.
    Run,
    /// That of the node with this path, such as `outer/inner`; of a nested workflow as the node that runs it.
    Node(SmolStr),
    /// That of the workflow with this name, as its file says.
    Workflow(SmolStr),
    /// One that several runs share.
    Shared(Box<SharedBudgetName>),
}

impl std::fmt::Display for BudgetOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run => f.write_str("the run"),
            Self::Node(path) => write!(f, "node `{path}`"),
            Self::Workflow(name) => write!(f, "workflow `{name}`"),
            Self::Shared(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
