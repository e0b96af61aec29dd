//! The models that a workflow will call, as far as its files say so, and which of them have no price.
//!
//! Never runs anything: what a template comes to is not known here.

use flowmeter_model::{Clock, SystemClock};
use flowmeter_pricing::{BoundedCall, CallBound, PriceBook};
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use crate::document::NodeEntry;
use crate::run::Workflow;

/// A model without a price in a place where money is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpricedCall {
    /// The node, as `outer/inner`.
    pub node: SmolStr,
    /// Who would be asked.
    pub provider: SmolStr,
    /// The model, as the provider is asked for it.
    pub model: SmolStr,
}

impl Workflow {
    /// The `llm` nodes whose model has no price although money is limited around them: in the run as a whole, where
    /// `run_limits_money`, or by a budget of a file or node. Nodes of nested workflows are among them; models and
    /// workflows that are known in the run only are not.
    #[must_use]
    pub fn unpriced_calls(&self, prices: &PriceBook, run_limits_money: bool) -> Vec<UnpricedCall> {
        let mut found = Vec::new();
        self.find_unpriced("", prices, run_limits_money, &mut found);
        found
    }

    fn find_unpriced(&self, path: &str, prices: &PriceBook, limited: bool, found: &mut Vec<UnpricedCall>) {
        let limits_money =
            |budget: Option<flowmeter::Budget>| budget.is_some_and(|budget| budget.max_cost.is_some());
        let limited = limited || limits_money(self.document().budget);
        for node in &self.document().nodes {
            let limited = limited || limits_money(node.budget);
            let path = if path.is_empty() {
                node.id.clone()
            } else {
                format_smolstr!("{path}/{}", node.id)
            };
            if let Some(child) = self.children().get(&node.id) {
                child.find_unpriced(&path, prices, limited, found);
            } else if limited && node.node_type == "llm" {
                found.extend(self.unpriced_call(path, node, prices));
            }
        }
    }

    fn unpriced_call(&self, path: SmolStr, node: &NodeEntry, prices: &PriceBook) -> Option<UnpricedCall> {
        let services = self.services();
        let written = node.params.get("model").and_then(Value::as_str).map(str::trim);
        if written.is_some_and(|model| model.contains("${")) {
            return None;
        }
        let model = written.filter(|model| !model.is_empty()).map(SmolStr::new);
        let model = model.or_else(|| services.default_model.clone())?;
        // A name that leads nowhere is told when the node runs, with what to do about it.
        let target = services.chat.target(&model).ok()?;
        let bound = prices.bound(&BoundedCall {
            provider: Some(&target.provider),
            model: &target.model,
            start: SystemClock.now(),
            input_tokens_max: 1,
            output_tokens_max: Some(1),
            ..BoundedCall::default()
        });
        matches!(bound, CallBound::Unpriced { .. }).then_some(UnpricedCall {
            node: path,
            provider: target.provider,
            model: target.model,
        })
    }
}
