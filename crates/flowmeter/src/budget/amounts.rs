//! What a budget counts: money, tokens and calls, added and compared alike.
//!
//! Never a float and never negative: what is spent only grows.

use std::fmt;

use flowmeter_model::UsdNanos;

use crate::formats::grouped;

/// What a budget can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetLimit {
    /// Money, in nano-dollars.
    Cost,
    /// Input and output tokens together.
    Tokens,
    /// LLM calls.
    LlmCalls,
}

impl BudgetLimit {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Cost, Self::Tokens, Self::LlmCalls];

    /// The name as in workflow files: `max_cost`, `max_tokens`, `max_llm_calls`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "max_cost",
            Self::Tokens => "max_tokens",
            Self::LlmCalls => "max_llm_calls",
        }
    }

    /// An amount of this for the eye: `$0.05`, `1,200 tokens`, `3 LLM calls`.
    pub(crate) fn show(self, amount: u64) -> Shown {
        Shown { limit: self, amount }
    }
}

/// An amount with its unit; see [`BudgetLimit::show`].
pub(crate) struct Shown {
    limit: BudgetLimit,
    amount: u64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.amount == 1 { "" } else { "s" };
        match self.limit {
            BudgetLimit::Cost => usd(self.amount).fmt(f),
            BudgetLimit::Tokens => write!(f, "{} token{plural}", grouped(self.amount)),
            BudgetLimit::LlmCalls => write!(f, "{} LLM call{plural}", grouped(self.amount)),
        }
    }
}

/// Nano-dollars as an amount of money.
pub(crate) fn usd(nanos: u64) -> UsdNanos {
    UsdNanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Money, tokens and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts([u64; 3]);

impl Amounts {
    /// More than there can be.
    pub(crate) const UNLIMITED: u64 = u64::MAX;

    pub(crate) fn new(cost_nanos: u64, tokens: u64, calls: u64) -> Self {
        Self([cost_nanos, tokens, calls])
    }

    /// One call with this cost. A negative cost, which only a wrong report can have, is nothing.
    pub(crate) fn of_call(cost: Option<UsdNanos>, tokens: u64) -> Self {
        let nanos = cost.map_or(0, |cost| u64::try_from(cost.0).unwrap_or(0));
        Self([nanos, tokens, 1])
    }

    #[inline]
    pub(crate) fn of(&self, limit: BudgetLimit) -> u64 {
        self.0[limit as usize]
    }

    #[inline]
    pub(crate) fn add(&mut self, more: Self) {
        for (held, more) in self.0.iter_mut().zip(more.0) {
            *held = held.saturating_add(more);
        }
    }

    #[inline]
    pub(crate) fn subtract(&mut self, less: Self) {
        for (held, less) in self.0.iter_mut().zip(less.0) {
            *held = held.saturating_sub(less);
        }
    }

    /// Whether any of them is more than allowed.
    #[inline]
    pub(crate) fn exceeds(&self, limits: &Self) -> bool {
        self.0.iter().zip(limits.0).any(|(amount, limit)| *amount > limit)
    }

    /// The larger of each.
    #[inline]
    pub(crate) fn raise_to(&mut self, other: Self) {
        for (held, other) in self.0.iter_mut().zip(other.0) {
            *held = (*held).max(other);
        }
    }
}
