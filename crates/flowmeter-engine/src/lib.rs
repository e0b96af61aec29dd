//! The PocketFlow engine: nodes that run `prep → exec → post`, flows that follow the action a node
//! returns, retries, batches, loops, cancellation, and the shared store with its journal.
//!
//! Knows nothing of telemetry and does no I/O: what wants to watch a run hands in a [`Scope`].
//!
//! ```
//! use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
//! use serde_json::{Value, json};
//!
//! struct Greet;
//!
//! #[async_trait]
//! impl Node for Greet {
//!     async fn exec(&self, _cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
//!         Ok(json!("hello"))
//!     }
//!     async fn post(&self, cx: &NodeContext, _prepared: Value, result: Value) -> Result<Action, NodeError> {
//!         cx.store().set("greeting", result);
//!         Ok(Action::default())
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let flow = Flow::builder("hello").node("greet", Greet).build().unwrap();
//! let store = SharedStore::new();
//! flow.run(&NodeContext::new(store.root())).await.unwrap();
//! assert_eq!(store.root().get("greeting").unwrap().as_str(), Some("hello"));
//! # });
//! ```

mod action;
mod batch;
mod context;
mod current;
mod drive;
mod error;
mod flow;
mod halt;
mod looping;
mod node;
mod retry;
mod store;
mod ticks;

pub use action::Action;
pub use async_trait::async_trait;
pub use batch::{Batch, BatchErrorHandling, BatchItems, BatchOutcome, BatchPolicy, InvalidBatchPolicy};
pub use context::{EnteredStep, NodeContext, Scope, Step, Variables};
pub use current::{EnteredScope, InScope, with_current_scope};
pub use drive::drive;
pub use error::{ErrorKind, NodeError};
pub use flow::{Flow, FlowBuilder, FlowEnd, InvalidFlow, VISITS_MAX};
pub use looping::{Loop, LoopCondition, LoopDecision};
pub use node::Node;
pub use retry::{Backoff, InvalidRetryPolicy, RetryPolicy};
pub use store::{
    InvalidStorePath, Journal, Mutation, PathSegment, SharedStore, StorePath, StoreView, Writes,
};

pub use ticks::{TickClock, Ticks};

#[cfg(test)]
mod tests;
