//! What a run is expected to do, before it does it: nodes in order, calls, tokens, money and time as ranges.
//!
//! Never runs a node or asks a model; of files that a node would read it looks at the size.

mod call;
mod order;
mod sight;
mod walk;

use std::time::Duration;

use flowmeter_model::{TimestampNs, UsdNanos};
use flowmeter_pricing::PriceBook;
use serde::Serialize;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::run::Workflow;

pub use call::{CacheForecast, PlannedCall, PriceKnown};
pub use order::Certainty;

/// From the least to the most that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Between<T> {
    /// The least.
    pub low: T,
    /// The most; `None` where nothing bounds it.
    pub high: Option<T>,
}

impl<T: Copy> Between<T> {
    /// A known amount.
    pub(crate) fn exactly(amount: T) -> Self {
        Self {
            low: amount,
            high: Some(amount),
        }
    }
}

impl Between<u64> {
    fn times(self, other: Self) -> Self {
        let high = match (self.high, other.high) {
            (Some(0), _) | (_, Some(0)) => Some(0),
            (Some(one), Some(other)) => Some(one.saturating_mul(other)),
            _ => None,
        };
        Self {
            low: self.low.saturating_mul(other.low),
            high,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low.saturating_add(other.low),
            high: self
                .high
                .zip(other.high)
                .map(|(one, other)| one.saturating_add(other)),
        }
    }
}

impl Between<UsdNanos> {
    fn times(self, runs: Between<u64>) -> Self {
        let nanos = |amount: UsdNanos| u64::try_from(amount.0).unwrap_or(0);
        let product = Between {
            low: nanos(self.low),
            high: self.high.map(nanos),
        }
        .times(runs);
        let amount = |nanos: u64| UsdNanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        Self {
            low: amount(product.low),
            high: product.high.map(amount),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high.zip(other.high).map(|(one, other)| one + other),
        }
    }
}

/// What a node did in earlier runs, each figure for one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PastNode {
    /// How many executions were looked at.
    pub executions: u64,
    /// Shortest and longest, in nanoseconds.
    pub duration_ns: Between<u64>,
    /// Cheapest and dearest; `None` where what it cost is not known of all of them.
    pub cost: Option<Between<UsdNanos>>,
}

/// What earlier runs of a workflow say about the next one.
pub trait PastRuns {
    /// How many runs were looked at.
    fn runs(&self) -> u64;
    /// Shortest and longest run, in nanoseconds.
    fn duration_ns(&self) -> Option<Between<u64>>;
    /// The node at this path, as `outer/inner`.
    fn node(&self, path: &str) -> Option<PastNode>;
}

/// No run came before.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPast;

impl PastRuns for NoPast {
    fn runs(&self) -> u64 {
        0
    }
    fn duration_ns(&self) -> Option<Between<u64>> {
        None
    }
    fn node(&self, _path: &str) -> Option<PastNode> {
        None
    }
}

/// What a plan is made with.
pub struct PlanTerms<'a> {
    /// What models cost.
    pub prices: &'a PriceBook,
    /// When the run would begin.
    pub start: TimestampNs,
    /// What is known of earlier runs.
    pub past: &'a dyn PastRuns,
}

/// One node of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    /// The node, as `outer/inner`.
    pub path: SmolStr,
    /// Its type.
    #[serde(rename = "type")]
    pub node_type: SmolStr,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whether it runs.
    pub certainty: Certainty,
    /// How often, with all its items and rounds; further attempts are not in it.
    pub executions: Between<u64>,
    /// What it asks of a model, for an `llm` node; of all executions together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<PlannedCall>,
    /// What all its executions cost; `None` for nodes that ask no model, and where there is no price.
    #[serde(rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<Between<UsdNanos>>,
    /// How long all its executions take, in nanoseconds; `None` where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<Between<u64>>,
    /// What it did in earlier runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past: Option<PastNode>,
    /// How deep it is nested.
    #[serde(skip)]
    pub depth: usize,
}

/// What a run is expected to do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The workflow.
    pub workflow: SmolStr,
    /// Its nodes, in the order in which they run, those of nested workflows behind their own.
    pub steps: Vec<PlannedStep>,
    /// Calls of models, those after failures not counted.
    pub llm_calls: Between<u64>,
    /// Input and output tokens.
    pub tokens: Between<u64>,
    /// Money.
    #[serde(rename = "cost_usd")]
    pub cost: Between<UsdNanos>,
    /// Time, in nanoseconds; `None` where nothing tells.
    pub duration_ns: Option<Between<u64>>,
    /// Calls whose model has no price, at least.
    pub unpriced_calls: u64,
    /// How many earlier runs were looked at.
    pub past_runs: u64,
}

impl Plan {
    /// Plans a run of `workflow` with these inputs.
    #[must_use]
    pub fn of(workflow: &Workflow, inputs: &Map<String, Value>, terms: &PlanTerms<'_>) -> Self {
        let steps = walk::steps(workflow, inputs, terms);
        let nothing = Between::exactly(0);
        let (mut llm_calls, mut tokens) = (nothing, nothing);
        let mut cost = Between::exactly(UsdNanos::ZERO);
        let mut unpriced_calls = 0;
        for step in steps.iter().filter(|step| step.certainty > Certainty::OnError) {
            let Some(call) = &step.call else { continue };
            let always = step.certainty == Certainty::Always;
            llm_calls = llm_calls.plus(surely(call.calls, always));
            tokens = tokens.plus(surely(call.input_tokens.plus(call.output_tokens), always));
            match step.cost {
                Some(of_step) if always => cost = cost.plus(of_step),
                Some(of_step) => {
                    cost = cost.plus(Between {
                        low: UsdNanos::ZERO,
                        high: of_step.high,
                    });
                }
                None => {
                    unpriced_calls += step.executions.low.max(1);
                    cost.high = None;
                }
            }
        }
        Self {
            workflow: workflow.name().into(),
            duration_ns: terms
                .past
                .duration_ns()
                .or_else(|| walk::duration(workflow, &steps)),
            llm_calls,
            tokens,
            cost,
            unpriced_calls,
            past_runs: terms.past.runs(),
            steps,
        }
    }
}

/// What may not happen at all is at least nothing.
fn surely(amount: Between<u64>, always: bool) -> Between<u64> {
    Between {
        low: if always { amount.low } else { 0 },
        high: amount.high,
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
