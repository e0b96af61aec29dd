//! Batches: one node run for each of many items, one after the other or side by side.
//!
//! Each item runs over its own layer of the store, so items cannot overwrite each other. Never knows where
//! the items come from or where the outcome goes: that is [`BatchItems`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use thiserror::Error;

use crate::{Action, Node, NodeContext, NodeError, Step, Ticks};

/// What a failed item means for the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchErrorHandling {
    /// The batch fails with the first item that fails; the others are stopped.
    #[default]
    FailFast,
    /// The others go on; the failures are listed in the outcome.
    Continue,
}

/// How a batch runs its items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchPolicy {
    /// What a failed item means.
    pub error_handling: BatchErrorHandling,
    /// How many items run at a time, 1 to 100.
    pub concurrent_max: usize,
    /// Attempts at an item in total, 1 to 10.
    pub attempts_max: u32,
    /// The wait between them.
    pub retry_wait: Duration,
}

/// Why a batch policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBatchPolicy {
    /// Too many or too few at a time.
    #[error("a batch runs 1 to 100 items at a time, not {0}")]
    Concurrency(usize),
    /// Too many or too few attempts.
    #[error("a batch item has 1 to 10 attempts in total, not {0}")]
    Attempts(u32),
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self {
            error_handling: BatchErrorHandling::FailFast,
            concurrent_max: 1,
            attempts_max: 1,
            retry_wait: Duration::ZERO,
        }
    }
}

impl BatchPolicy {
    fn check(self) -> Result<Self, InvalidBatchPolicy> {
        if !(1..=100).contains(&self.concurrent_max) {
            return Err(InvalidBatchPolicy::Concurrency(self.concurrent_max));
        }
        if !(1..=10).contains(&self.attempts_max) {
            return Err(InvalidBatchPolicy::Attempts(self.attempts_max));
        }
        Ok(self)
    }
}

/// What became of the items, in the order of the items.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The items.
    pub items: Vec<Arc<Value>>,
    /// What each item came to, or why it failed.
    pub results: Vec<Result<Value, NodeError>>,
}

impl BatchOutcome {
    /// How many items failed.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.results.iter().filter(|result| result.is_err()).count()
    }
}

/// Where a batch's items come from and where its outcome goes.
pub trait BatchItems: Send + Sync + 'static {
    /// The items, in order.
    ///
    /// # Errors
    /// Whatever keeps them from being listed; the batch fails with it.
    fn items(&self, cx: &NodeContext) -> Result<Vec<Arc<Value>>, NodeError>;

    /// The context in which item `index` runs.
    fn item_context(&self, cx: &NodeContext, index: usize, item: &Arc<Value>) -> NodeContext;

    /// What a finished item came to, read from the context it ran in.
    ///
    /// # Errors
    /// When the item counts as failed although its node returned.
    fn item_result(&self, item_cx: &NodeContext, action: &Action) -> Result<Value, NodeError>;

    /// Writes the outcome to the store and chooses the action.
    ///
    /// # Errors
    /// When the batch as a whole counts as failed.
    fn finish(&self, cx: &NodeContext, outcome: BatchOutcome) -> Result<Action, NodeError>;
}

/// Runs a node once for each item.
pub struct Batch<N, I> {
    node: N,
    items: I,
    policy: BatchPolicy,
}

impl<N: Node, I: BatchItems> Batch<N, I> {
    /// A batch of `node` over `items`.
    ///
    /// # Errors
    /// [`InvalidBatchPolicy`].
    pub fn new(node: N, items: I, policy: BatchPolicy) -> Result<Self, InvalidBatchPolicy> {
        Ok(Self {
            node,
            items,
            policy: policy.check()?,
        })
    }

    async fn run_item(
        &self,
        cx: &NodeContext,
        index: usize,
        count: usize,
        item: &Arc<Value>,
        ready_since: Ticks,
    ) -> Result<Value, NodeError> {
        let step = cx
            .enter_when_ready(Step::BatchItem {
                index,
                count,
                item,
                ready_since,
            })
            .await;
        let outcome = step
            .within(Box::pin(self.attempt_item(&step.cx, index, item)))
            .await;
        step.leave(&outcome);
        outcome
    }

    async fn attempt_item(
        &self,
        cx: &NodeContext,
        index: usize,
        item: &Arc<Value>,
    ) -> Result<Value, NodeError> {
        let attempts_max = self.policy.attempts_max;
        let mut number = 1;
        loop {
            let outcome = if attempts_max == 1 {
                self.run_once(cx, index, item).await
            } else {
                let step = cx.enter_when_ready(Step::Attempt { number, attempts_max }).await;
                let attempt_cx = step.cx.with_attempt(number);
                let outcome = step
                    .within(Box::pin(self.run_once(&attempt_cx, index, item)))
                    .await;
                step.leave(&outcome);
                outcome
            };
            match outcome {
                Err(error) if error.is_retryable() && number < attempts_max && !cx.is_halting() => {
                    cx.pause(self.policy.retry_wait).await?;
                    number += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn run_once(&self, cx: &NodeContext, index: usize, item: &Arc<Value>) -> Result<Value, NodeError> {
        let item_cx = self.items.item_context(cx, index, item);
        let action = self.node.run(&item_cx).await?;
        self.items.item_result(&item_cx, &action)
    }
}

#[async_trait]
impl<N: Node, I: BatchItems> Node for Batch<N, I> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let items = self.items.items(cx)?;
        let count = items.len();
        let ready_since = Ticks::now();
        let mut results: Vec<Option<Result<Value, NodeError>>> = (0..count).map(|_| None).collect();
        let mut halted = None;
        let is_halted = AtomicBool::new(false);
        {
            let (items, is_halted) = (&items, &is_halted);
            let running = stream::iter(0..count)
                .map(|index| async move {
                    let result = if cx.is_halting() {
                        Err(NodeError::halted_elsewhere())
                    } else if is_halted.load(Ordering::Relaxed) {
                        Err(NodeError::failed("the item never ran"))
                    } else {
                        self.run_item(cx, index, count, &items[index], ready_since).await
                    };
                    (index, result)
                })
                .buffer_unordered(self.policy.concurrent_max);
            let mut running = std::pin::pin!(running);
            while let Some((index, result)) = running.next().await {
                match result {
                    Err(error) if error.is_cancelled() => return Err(error),
                    // Items that are under way may end: what they have is not lost. No others begin.
                    Err(error) if error.is_halted() => {
                        is_halted.store(true, Ordering::Relaxed);
                        results[index] = Some(Err(NodeError::failed(error.message())));
                        halted.get_or_insert(error);
                    }
                    Err(error) if halted.is_some() => results[index] = Some(Err(error)),
                    Err(error) if self.policy.error_handling == BatchErrorHandling::FailFast => {
                        let message = format!("item {} of {count} failed: {error}", index + 1);
                        let error_type = error.error_type().to_owned();
                        return Err(NodeError::permanent(message)
                            .with_type(error_type)
                            .with_source(error));
                    }
                    result => results[index] = Some(result),
                }
            }
        }
        let results = results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(NodeError::failed("the item never ran"))))
            .collect();
        let finished = self.items.finish(cx, BatchOutcome { items, results });
        match halted {
            Some(error) => Err(error),
            None => finished,
        }
    }
}
