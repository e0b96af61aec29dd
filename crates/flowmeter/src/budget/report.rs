//! What became of the budgets of a run: limits, what was spent, how close it came.
//!
//! Never decides anything: it reads accounts.

use std::collections::BTreeMap;

use flowmeter_model::{Attributes, UsdNanos};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::amounts::{Amounts, usd};
use super::{Account, Budget, BudgetLimit};
use crate::aggregate::LlmTotals;

/// Nodes whose budgets are told; the others are counted in the run's figures all the same.
const NODES_MAX: usize = 1_000;

/// What became of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetReport {
    /// The limits.
    pub budget: Budget,
    /// Money that was spent.
    pub spent: UsdNanos,
    /// Tokens that were used, input and output together.
    pub spent_tokens: u64,
    /// LLM calls that were made.
    pub spent_llm_calls: u64,
    /// Money that may be spent beyond that, and is not given out again: calls that their providers did not count may
    /// have come to more than they are guessed at.
    pub withheld: UsdNanos,
    /// Tokens of the same kind.
    pub withheld_tokens: u64,
    /// The most money that was reserved at a time.
    pub reserved_peak: UsdNanos,
    /// Calls that were not made.
    pub refused_calls: u64,
    /// Streams that were cut.
    pub cut_streams: u64,
    /// Calls that cost nobody knows what, and are not part of what was spent.
    pub unpriced_calls: u64,
    /// Budgets of nodes, by path.
    pub nodes: BTreeMap<SmolStr, NodeBudgetReport>,
}

/// What became of the budgets of one node, which opens one each time it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeBudgetReport {
    /// How often the node ran.
    pub runs: u64,
    /// How often its budget was exceeded.
    pub exceeded_runs: u64,
    /// All runs together; the limits are those of one run.
    pub totals: Box<BudgetReport>,
}

impl BudgetReport {
    pub(crate) fn of(account: &Account) -> Self {
        let position = account.position();
        Self {
            budget: account.budget,
            spent: usd(position.spent.of(BudgetLimit::Cost)),
            spent_tokens: position.spent.of(BudgetLimit::Tokens),
            spent_llm_calls: position.spent.of(BudgetLimit::LlmCalls),
            withheld: usd(position.withheld.of(BudgetLimit::Cost)),
            withheld_tokens: position.withheld.of(BudgetLimit::Tokens),
            reserved_peak: usd(position.reserved_peak.of(BudgetLimit::Cost)),
            refused_calls: position.refused_calls,
            cut_streams: position.cut_streams,
            unpriced_calls: position.unpriced_calls,
            nodes: BTreeMap::new(),
        }
    }

    /// Whether a call was refused or cut because of it, or more was spent than it allows.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        let spent = Amounts::new(
            u64::try_from(self.spent.0).unwrap_or(0),
            self.spent_tokens,
            self.spent_llm_calls,
        );
        let limits = self.budget.limits();
        let is_passed = |limit| spent.of(limit) > limits.of(limit);
        self.refused_calls > 0 || self.cut_streams > 0 || BudgetLimit::ALL.into_iter().any(is_passed)
    }

    /// The same as attributes of a span: `flowmeter.budget.max_cost_usd`, ….
    pub(crate) fn describe(&self, attributes: &mut Attributes) {
        if let Value::Object(figures) = self.to_json() {
            for (name, figure) in figures {
                attributes.set(format!("flowmeter.budget.{name}"), figure);
            }
        }
    }

    /// `max_cost_usd`, `spent_usd`, `left_usd`, …: only of limits that there are. Money is in dollars.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let dollars = |amount: UsdNanos| Value::from(amount.to_usd());
        if let Some(max) = self.budget.max_cost {
            object.insert("max_cost_usd".into(), dollars(max));
        }
        object.insert("spent_usd".into(), dollars(self.spent));
        if let Some(max) = self.budget.max_cost {
            let left = UsdNanos((max - self.spent - self.withheld).0.max(0));
            object.insert("left_usd".into(), dollars(left));
            object.insert("withheld_usd".into(), dollars(self.withheld));
            object.insert("reserved_high_usd".into(), dollars(self.reserved_peak));
        }
        let counts = [
            (
                "tokens",
                self.budget.max_tokens,
                self.spent_tokens,
                Some(self.withheld_tokens),
            ),
            ("llm_calls", self.budget.max_llm_calls, self.spent_llm_calls, None),
        ];
        for (name, max, spent, withheld) in counts {
            if let Some(max) = max {
                object.insert(format!("max_{name}"), max.into());
            }
            object.insert(format!("spent_{name}"), spent.into());
            if let Some(max) = max {
                let left = max.saturating_sub(spent).saturating_sub(withheld.unwrap_or(0));
                object.insert(format!("left_{name}"), left.into());
                if let Some(withheld) = withheld {
                    object.insert(format!("withheld_{name}"), withheld.into());
                }
            }
        }
        object.insert("refused_calls".into(), self.refused_calls.into());
        object.insert("cut_streams".into(), self.cut_streams.into());
        object.insert("unpriced_calls".into(), self.unpriced_calls.into());
        object.insert("exceeded".into(), self.is_exceeded().into());
        if !self.nodes.is_empty() {
            let nodes = self.nodes.iter().map(|(path, node)| {
                let mut object = node.totals.to_json();
                // The limits are those of one run: what is left of them cannot be told of several together.
                if let Some(object) = object.as_object_mut().filter(|_| node.runs > 1) {
                    object.retain(|key, _| !key.starts_with("left_"));
                }
                object["runs"] = node.runs.into();
                object["exceeded_runs"] = node.exceeded_runs.into();
                object["exceeded"] = (node.exceeded_runs > 0).into();
                (path.to_string(), object)
            });
            object.insert("nodes".into(), nodes.collect::<Map<_, _>>().into());
        }
        Value::Object(object)
    }
}

/// What a run knows of its budgets.
#[derive(Default)]
pub(crate) struct BudgetTally {
    nodes: Mutex<BTreeMap<SmolStr, NodeBudgetReport>>,
}

impl BudgetTally {
    /// A node with a budget of its own has ended.
    pub(crate) fn node_ended(&self, path: &SmolStr, report: &BudgetReport) {
        let mut nodes = self.nodes.lock();
        if nodes.len() >= NODES_MAX && !nodes.contains_key(path) {
            return;
        }
        let node = nodes.entry(path.clone()).or_default();
        node.runs += 1;
        node.exceeded_runs += u64::from(report.is_exceeded());
        let totals = &mut node.totals;
        totals.budget = report.budget;
        totals.spent += report.spent;
        totals.spent_tokens += report.spent_tokens;
        totals.spent_llm_calls += report.spent_llm_calls;
        totals.withheld += report.withheld;
        totals.withheld_tokens += report.withheld_tokens;
        totals.reserved_peak = totals.reserved_peak.max(report.reserved_peak);
        totals.refused_calls += report.refused_calls;
        totals.cut_streams += report.cut_streams;
        totals.unpriced_calls += report.unpriced_calls;
    }

    /// The run's budget and those of its nodes; `None` where there was none. `used` is what the run as a whole used.
    pub(crate) fn report(&self, run: Option<&Account>, used: &LlmTotals) -> Option<BudgetReport> {
        let nodes = self.nodes.lock().clone();
        let report = match run {
            Some(account) => BudgetReport::of(account),
            None if nodes.is_empty() => return None,
            None => BudgetReport {
                spent: used.cost.known,
                spent_tokens: used.total_tokens(),
                spent_llm_calls: used.calls,
                unpriced_calls: used.cost.unpriced_calls,
                ..BudgetReport::default()
            },
        };
        Some(BudgetReport { nodes, ..report })
    }
}
