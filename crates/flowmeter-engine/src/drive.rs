//! Drives one node from `prep` through its attempts at `exec` to `post`.
//!
//! The only place that retries; never decides where the flow goes next.

use crate::{Action, Node, NodeContext, NodeError, Step};

/// Runs `node` once: `prep`, up to [`Node::retry_policy`]'s attempts at `exec`, `exec_fallback` when they all
/// failed, then `post`. Cancellation reaches the wait between attempts and every await inside the node.
///
/// # Errors
/// Whatever the node fails with, or [`NodeError::cancelled`].
pub async fn drive<N: Node + ?Sized>(node: &N, cx: &NodeContext) -> Result<Action, NodeError> {
    let prepared = cx.until_cancelled(node.prep(cx)).await?;
    let policy = node.retry_policy();
    let attempts_max = policy.attempts_max();
    let mut number = 1;
    let result = loop {
        // A single attempt needs no step of its own: the node's span says it all.
        let outcome = if attempts_max == 1 {
            cx.until_cancelled(node.exec(cx, &prepared)).await
        } else {
            let step = cx.enter_when_ready(Step::Attempt { number, attempts_max }).await;
            let attempt_cx = step.cx.with_attempt(number);
            let outcome = cx
                .until_cancelled(step.within(node.exec(&attempt_cx, &prepared)))
                .await;
            step.leave(&outcome);
            outcome
        };
        match outcome {
            Ok(result) => break result,
            Err(error) if error.is_retryable() && number < attempts_max && !cx.is_halting() => {
                cx.pause(policy.wait_after(number)).await?;
                number += 1;
            }
            Err(error) if error.is_cancelled() || error.is_halted() => return Err(error),
            Err(error) => {
                break cx
                    .until_cancelled(node.exec_fallback(cx, &prepared, error))
                    .await?;
            }
        }
    };
    cx.until_cancelled(node.post(cx, prepared, result)).await
}
