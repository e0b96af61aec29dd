//! Loops: one node run again and again until a condition says that it is enough.
//!
//! Never evaluates a template: the condition is a [`LoopCondition`].

use async_trait::async_trait;

use crate::{Action, Node, NodeContext, NodeError, Step};

/// Whether a loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopDecision {
    /// Another round.
    Continue,
    /// Enough.
    Stop,
}

/// What keeps a loop going.
pub trait LoopCondition: Send + Sync + 'static {
    /// The context in which round `number` (from 1) runs.
    fn round_context(&self, cx: &NodeContext, number: u32) -> Result<NodeContext, NodeError>;

    /// Asked after round `number`.
    ///
    /// # Errors
    /// When the condition cannot be evaluated; the loop fails with it.
    fn decide(&self, round_cx: &NodeContext, number: u32, action: &Action)
    -> Result<LoopDecision, NodeError>;
}

/// Runs a node in rounds.
pub struct Loop<N, C> {
    node: N,
    condition: C,
    iterations_max: u32,
}

impl<N: Node, C: LoopCondition> Loop<N, C> {
    /// A loop of `node`, at most `iterations_max` rounds (at least one).
    #[must_use]
    pub fn new(node: N, condition: C, iterations_max: u32) -> Self {
        Self {
            node,
            condition,
            iterations_max: iterations_max.max(1),
        }
    }
}

#[async_trait]
impl<N: Node, C: LoopCondition> Node for Loop<N, C> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let mut number = 1;
        loop {
            if cx.cancellation().is_cancelled() {
                return Err(NodeError::cancelled());
            }
            let round = Step::Iteration {
                number,
                iterations_max: self.iterations_max,
            };
            let step = cx.enter_when_ready(round).await;
            let round_cx = match self.condition.round_context(&step.cx, number) {
                Ok(round_cx) => round_cx,
                Err(error) => {
                    let outcome = Err(error);
                    step.leave(&outcome);
                    return outcome;
                }
            };
            let outcome = step.within(self.node.run(&round_cx)).await;
            step.leave(&outcome);
            let action = outcome?;
            let decision = self.condition.decide(&round_cx, number, &action)?;
            if decision == LoopDecision::Stop || number >= self.iterations_max {
                return Ok(action);
            }
            if cx.is_halting() {
                return Err(NodeError::halted_elsewhere());
            }
            number += 1;
        }
    }
}
