//! A workflow that has a budget of its own and runs in a run that began without it: the budget holds for its part.
//!
//! Never loosens a budget: the one of the run holds as well.

use std::sync::{Arc, Mutex, PoisonError};

use flowmeter::{NodeDescription, Traced};
use flowmeter_engine::{Action, Node, NodeContext, NodeError, SharedStore, async_trait};
use flowmeter_model::SpanKind;
use flowmeter_workflow::{Workflow, WorkflowEnd};
use serde_json::{Map, Value};

/// The workflow's run as a node, so that an account can stand around it.
struct Part {
    workflow: Arc<Workflow>,
    store: Arc<SharedStore>,
    inputs: Map<String, Value>,
    end: Arc<Mutex<Option<WorkflowEnd>>>,
}

#[async_trait]
impl Node for Part {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let end = self.workflow.run_in(cx, &self.store, self.inputs.clone()).await?;
        let action = end.action.clone();
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        Ok(action)
    }
}

/// Runs the workflow, within its own budget where its file has one.
pub(crate) async fn run(
    workflow: Arc<Workflow>,
    store: Arc<SharedStore>,
    cx: NodeContext,
    inputs: Map<String, Value>,
) -> Result<WorkflowEnd, NodeError> {
    let budget = workflow.document().budget;
    if budget.is_none() {
        return workflow.run_in(&cx, &store, inputs).await;
    }
    let description = NodeDescription {
        kind: SpanKind::Workflow,
        ..NodeDescription::node(workflow.name(), "workflow")
    };
    let end = Arc::new(Mutex::new(None));
    let part = Part {
        workflow,
        store,
        inputs,
        end: Arc::clone(&end),
    };
    Traced::new(part, description).budget(budget).run(&cx).await?;
    let end = end.lock().unwrap_or_else(PoisonError::into_inner).take();
    end.ok_or_else(|| NodeError::permanent("the workflow ended without a result"))
}
