//! What an LLM call cost, how sure that is, and exact sums of such costs.
//!
//! Never looks up a price: `flowmeter-pricing` makes a [`Cost`], this crate only carries and adds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::{CostExplanation, UsdNanos};

/// How a cost is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostStatus {
    /// The provider said what it cost.
    Reported,
    /// Computed from counted tokens and a known price.
    Priced,
    /// Computed from estimated tokens.
    Estimated,
    /// Some part has no price: the amount is a lower bound.
    Partial,
    /// No price is known: there is no amount.
    Unpriced,
}

impl CostStatus {
    /// The name as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Priced => "priced",
            Self::Estimated => "estimated",
            Self::Partial => "partial",
            Self::Unpriced => "unpriced",
        }
    }
}

/// The cost of one LLM call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// How it is known.
    pub status: CostStatus,
    /// The amount; `None` exactly when the status is [`CostStatus::Unpriced`].
    pub amount: Option<UsdNanos>,
    /// Why.
    pub explanation: Option<Arc<CostExplanation>>,
}

impl Cost {
    /// A known amount.
    #[must_use]
    pub fn known(status: CostStatus, amount: UsdNanos, explanation: Option<Arc<CostExplanation>>) -> Self {
        debug_assert!(status != CostStatus::Unpriced, "an unpriced cost has no amount");
        Self {
            status,
            amount: Some(amount),
            explanation,
        }
    }

    /// No price is known.
    #[must_use]
    pub fn unpriced() -> Self {
        Self {
            status: CostStatus::Unpriced,
            amount: None,
            explanation: None,
        }
    }

    /// Nothing was billed: the provider refused the call, or an answer came from our own cache.
    #[must_use]
    pub fn not_billed() -> Self {
        Self::known(CostStatus::Priced, UsdNanos::ZERO, None)
    }
}

/// An exact sum of costs that remembers what it could not price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostTotal {
    /// The sum of all known amounts.
    pub known: UsdNanos,
    /// Calls in the sum.
    pub calls: u64,
    /// Calls without any price.
    pub unpriced_calls: u64,
    /// Calls priced in part.
    pub partial_calls: u64,
    /// Calls whose tokens were estimated.
    pub estimated_calls: u64,
    /// Calls whose cost the provider reported.
    pub reported_calls: u64,
    /// The models without a price.
    pub unpriced_models: BTreeSet<SmolStr>,
}

impl CostTotal {
    /// Adds the cost of one call to `model`.
    pub fn add(&mut self, model: &str, cost: &Cost) {
        self.calls += 1;
        if let Some(amount) = cost.amount {
            self.known += amount;
        }
        match cost.status {
            CostStatus::Unpriced => {
                self.unpriced_calls += 1;
                self.unpriced_models.insert(SmolStr::new(model));
            }
            CostStatus::Partial => self.partial_calls += 1,
            CostStatus::Estimated => self.estimated_calls += 1,
            CostStatus::Reported => self.reported_calls += 1,
            CostStatus::Priced => {}
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &CostTotal) {
        self.known += other.known;
        self.calls += other.calls;
        self.unpriced_calls += other.unpriced_calls;
        self.partial_calls += other.partial_calls;
        self.estimated_calls += other.estimated_calls;
        self.reported_calls += other.reported_calls;
        self.unpriced_models.extend(other.unpriced_models.iter().cloned());
    }

    /// How the sum is known. A sum without calls is priced: it is zero for certain.
    #[must_use]
    pub fn status(&self) -> CostStatus {
        if self.calls > 0 && self.unpriced_calls == self.calls {
            CostStatus::Unpriced
        } else if self.unpriced_calls > 0 || self.partial_calls > 0 {
            CostStatus::Partial
        } else if self.estimated_calls > 0 {
            CostStatus::Estimated
        } else if self.calls > 0 && self.reported_calls == self.calls {
            CostStatus::Reported
        } else {
            CostStatus::Priced
        }
    }

    /// The sum, or `None` when nothing in it could be priced.
    #[must_use]
    pub fn amount(&self) -> Option<UsdNanos> {
        (self.status() != CostStatus::Unpriced).then_some(self.known)
    }

    /// For the eye: `$0.0089`, `~$0.0089`, `≥ $0.0089 (+2 unpriced)`, `≥ ~$0.0089`, `$0.0089 (reported)`,
    /// `unpriced (2 calls)`.
    #[must_use]
    pub fn display(&self) -> String {
        // A lower bound that rests on an estimate is one by estimate.
        let mark = if self.estimated_calls > 0 { "~" } else { "" };
        match self.status() {
            CostStatus::Unpriced => {
                let plural = if self.unpriced_calls == 1 { "" } else { "s" };
                format!("unpriced ({} call{plural})", self.unpriced_calls)
            }
            CostStatus::Partial if self.unpriced_calls > 0 => {
                format!("≥ {mark}{} (+{} unpriced)", self.known, self.unpriced_calls)
            }
            CostStatus::Partial => format!("≥ {mark}{}", self.known),
            CostStatus::Estimated => format!("~{}", self.known),
            CostStatus::Reported => format!("{} (reported)", self.known),
            CostStatus::Priced => self.known.to_string(),
        }
    }
}
