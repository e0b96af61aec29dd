//! Loops of workflow files: a condition that is asked after each round, values carried to the next.
//!
//! Never runs a round: the engine does.

use std::sync::Arc;

use flowmeter_engine::{Action, LoopCondition, LoopDecision, NodeContext, NodeError};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::template::{NodeNames, ParamTemplates, Resolver, kind_of};

/// What a loop writes beside its node's own outputs: why it stopped.
pub const LOOP_OUTPUT: &str = "loop_stopped";

/// Rounds where the file names no limit.
pub(crate) const ITERATIONS_DEFAULT: u32 = 100;

/// How a loop of a file goes on.
pub(crate) struct FileLoop {
    pub(crate) id: SmolStr,
    pub(crate) condition: ParamTemplates,
    pub(crate) until: bool,
    pub(crate) carry: Vec<(SmolStr, ParamTemplates)>,
    pub(crate) iterations_max: Option<ParamTemplates>,
    pub(crate) names: Arc<NodeNames>,
}

impl FileLoop {
    fn resolver<'a>(&'a self, cx: &'a NodeContext) -> Resolver<'a> {
        Resolver {
            cx,
            names: &self.names,
            own_id: &self.id,
        }
    }

    fn limit(&self, cx: &NodeContext) -> Result<u32, NodeError> {
        let Some(written) = &self.iterations_max else {
            return Ok(ITERATIONS_DEFAULT);
        };
        let value = written.resolve(&self.resolver(cx))?;
        let number = match &*value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number >= 1.0 && number.fract() == 0.0 => {
                Ok(number.min(f64::from(u32::MAX)) as u32)
            }
            _ => {
                let message = format!(
                    "`max_iterations` comes to a whole number from 1, not to {} ({value})",
                    kind_of(&value)
                );
                Err(NodeError::permanent(message).with_type("invalid_parameter"))
            }
        }
    }
}

impl LoopCondition for FileLoop {
    fn round_context(&self, cx: &NodeContext, number: u32) -> Result<NodeContext, NodeError> {
        let mut variables = cx.variables().clone();
        if number > 1 {
            let resolver = self.resolver(cx);
            for (name, template) in &self.carry {
                variables = variables.with(name.clone(), template.resolve(&resolver)?);
            }
        }
        Ok(cx.with_variables(variables.with("__iteration__", json!(number))))
    }

    fn decide(
        &self,
        round_cx: &NodeContext,
        number: u32,
        action: &Action,
    ) -> Result<LoopDecision, NodeError> {
        // A round that failed leads to the edge for it; another round would hide it.
        if *action == Action::error() {
            return Ok(LoopDecision::Stop);
        }
        let holds = is_true(&*self.condition.resolve(&self.resolver(round_cx))?);
        let reason = if holds == self.until {
            "condition"
        } else if number >= self.limit(round_cx)? {
            "max_iterations"
        } else {
            return Ok(LoopDecision::Continue);
        };
        round_cx.store().set(LOOP_OUTPUT, json!(reason));
        Ok(LoopDecision::Stop)
    }
}

/// Nothing, zero, and what is empty are false; so are the words that say so, because commands print words.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let text = text.trim().to_lowercase();
            !matches!(text.as_str(), "" | "false" | "0" | "no" | "off" | "null" | "none")
        }
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
