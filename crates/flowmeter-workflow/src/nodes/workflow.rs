//! The `workflow` type: runs another workflow file, in a store of its own.
//!
//! The child sees the inputs it is given and nothing else of the parent; the parent sees the child's outputs
//! and nothing else of the child.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flowmeter::{NodeDescription, Traced};
use flowmeter_engine::{
    Action, Node, NodeContext, NodeError, RetryPolicy, SharedStore, StoreView, Variables,
};
use flowmeter_model::SpanKind;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::{ERROR, ERROR_TYPE, NodeType, ValueType, optional, output};
use crate::inputs::complete_inputs;
use crate::outputs::PartialOutputs;
use crate::run::{LoadError, Loader, Workflow};
use crate::saved::{self, SavedReference};
use crate::validate::Form;

/// The `type` of nested workflows.
pub(crate) const NAME: &str = "workflow";

/// How deep workflows may be nested.
pub(crate) const DEPTH_MAX: usize = 32;

pub(super) const TYPE: NodeType = NodeType {
    name: NAME,
    summary: "Runs another workflow.",
    params: &[
        optional("workflow_name", ValueType::String, "the name of a saved workflow"),
        optional(
            "workflow_path",
            ValueType::String,
            "the workflow's file, relative to this one",
        ),
        optional("workflow", ValueType::String, "a name or a path"),
        optional("inputs", ValueType::Object, "the workflow's inputs, by name"),
    ],
    free_params: false,
    outputs: &[
        output(
            "result",
            ValueType::Any,
            "the workflow's result, where it declares no outputs",
        ),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: true,
    actions: &["error"],
    free_actions: false,
    default_retry: RetryPolicy::once,
    // The compiler makes these nodes itself: they need the workflows around them.
    make: |setting| {
        Box::new(Unplaced {
            message: format!(
                "node `{}` runs a workflow and must be made with its file",
                setting.id
            ),
        })
    },
};

struct Unplaced {
    message: String,
}

#[async_trait]
impl Node for Unplaced {
    async fn run(&self, _cx: &NodeContext) -> Result<Action, NodeError> {
        Err(NodeError::permanent(self.message.clone()))
    }
}

/// Makes the node; `child` is known where the path is written out.
pub(crate) fn node(child: Option<Arc<Workflow>>, retry: RetryPolicy, loader: Loader) -> Box<dyn Node> {
    Box::new(Nested {
        child,
        retry,
        loader,
        loaded: Mutex::new(Vec::new()),
    })
}

struct Nested {
    child: Option<Arc<Workflow>>,
    retry: RetryPolicy,
    loader: Loader,
    /// Workflows whose path came from a template: each is loaded once.
    loaded: Mutex<Vec<(PathBuf, Arc<Workflow>)>>,
}

/// How parameters say which workflow is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenPlace<'a> {
    /// By the name of a saved workflow.
    Name(&'a str),
    /// By a path.
    Path(&'a str),
}

/// Which workflow parameters mean: `workflow_name`, `workflow_path`, or `workflow` for either.
pub(crate) fn written_place(params: &Map<String, Value>) -> Result<WrittenPlace<'_>, String> {
    let text = |key: &str| params.get(key).and_then(Value::as_str);
    match (text("workflow_name"), text("workflow_path"), text("workflow")) {
        (Some(name), None, None) => Ok(WrittenPlace::Name(name)),
        (None, Some(path), None) => Ok(WrittenPlace::Path(path)),
        (None, None, Some(either)) if either.contains(['/', '\\', '.']) => Ok(WrittenPlace::Path(either)),
        (None, None, Some(name)) => Ok(WrittenPlace::Name(name)),
        (None, None, None) => Err("a nested workflow needs `workflow_path` or `workflow_name`".to_owned()),
        _ => Err("a nested workflow has one of `workflow_path`, `workflow_name` and `workflow`".to_owned()),
    }
}

/// The file of the nested workflow; for a saved one that is not there, where it would be.
pub(crate) fn place_of(
    params: &Map<String, Value>,
    folder: &Path,
    saved_workflows: Option<&Path>,
) -> Result<PathBuf, String> {
    let name = match written_place(params)? {
        WrittenPlace::Path(path) => return Ok(folder.join(path)),
        WrittenPlace::Name(name) => name,
    };
    let reference = SavedReference::parse(name).map_err(|error| error.to_string())?;
    match saved_workflows {
        Some(saved) => {
            let unsaved = || saved.join(format!("{reference}{}", Form::Json.ending()));
            Ok(saved::file_of(saved, &reference).unwrap_or_else(unsaved))
        }
        None => Err(format!(
            "the saved workflow `{name}` cannot be looked up: no folder of saved workflows is set"
        )),
    }
}

impl Nested {
    fn child(&self, params: &Map<String, Value>) -> Result<Arc<Workflow>, NodeError> {
        if let Some(child) = &self.child {
            return Ok(Arc::clone(child));
        }
        let refuse = |message: String| NodeError::permanent(message).with_type("invalid_workflow");
        let saved = self.loader.options.saved_workflows.as_deref();
        let path = place_of(params, &self.loader.folder, saved).map_err(refuse)?;
        if let Some((_, known)) = self.loaded.lock().iter().find(|(loaded, _)| *loaded == path) {
            return Ok(Arc::clone(known));
        }
        let child = Workflow::load_nested(&path, &self.loader).map_err(|error| match error {
            LoadError::Unreadable { path, source } => {
                refuse(format!("there is no readable workflow file `{}`", path.display())).with_source(source)
            }
            other => refuse(format!(
                "the nested workflow `{}` is invalid:\n{other}",
                path.display()
            )),
        })?;
        let child = Arc::new(child);
        self.loaded.lock().push((path, Arc::clone(&child)));
        Ok(child)
    }
}

/// The child's run as a node, so that the meter can stand around it.
struct ChildRun {
    child: Arc<Workflow>,
    inputs: Mutex<Map<String, Value>>,
    outputs: Arc<Mutex<Map<String, Value>>>,
}

#[async_trait]
impl Node for ChildRun {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let inputs = std::mem::take(&mut *self.inputs.lock());
        let store = SharedStore::new();
        let end = match self.child.run_in(cx, &store, inputs).await {
            Ok(end) => end,
            Err(error) => {
                if error.is_halted()
                    && let Some(partial) = self.child.partial_outputs(&store)
                {
                    *self.outputs.lock() = partial_outputs(partial);
                }
                return Err(error);
            }
        };
        let mut outputs = Map::new();
        for (name, value) in end.outputs.declared() {
            outputs.insert(name.to_string(), Value::clone(value));
        }
        if outputs.is_empty() {
            outputs.insert("result".to_owned(), Value::clone(&end.outputs.result()));
        }
        *self.outputs.lock() = outputs;
        Ok(Action::default())
    }
}

/// What a child has written that cannot go on, under the names that its outputs would have.
fn partial_outputs(partial: PartialOutputs) -> Map<String, Value> {
    match partial.whole {
        Value::Object(outputs) => outputs,
        whole => Map::from_iter([("result".to_owned(), whole)]),
    }
}

fn write(store: &StoreView, outputs: Map<String, Value>) {
    for (key, value) in outputs {
        store.set(&key, value);
    }
}

#[async_trait]
impl Node for Nested {
    async fn exec(&self, cx: &NodeContext, _prepared: &Value) -> Result<Value, NodeError> {
        let empty = Map::new();
        let params = cx.params().as_object().unwrap_or(&empty);
        let child = self.child(params)?;
        let given = match params.get("inputs") {
            Some(Value::Object(given)) => given.clone(),
            _ => Map::new(),
        };
        let inputs = complete_inputs(child.document(), given).map_err(|problems| {
            let message = format!("nested workflow `{}`: {problems}", child.name());
            NodeError::permanent(message).with_type("invalid_inputs")
        })?;
        let outputs = Arc::new(Mutex::new(Map::new()));
        let description = NodeDescription {
            id: child.name().into(),
            node_type: NAME.into(),
            config: Arc::clone(cx.params()),
            kind: SpanKind::Workflow,
        };
        let run = ChildRun {
            child: Arc::clone(&child),
            inputs: Mutex::new(inputs),
            outputs: Arc::clone(&outputs),
        };
        // The parent's batch item and loop round are none of the child's business.
        let child_cx = cx.with_variables(Variables::default());
        Traced::new(run, description)
            .budget(child.document().budget)
            .run(&child_cx)
            .await
            .map_err(|error| {
                if error.is_cancelled() {
                    return error;
                }
                // Nobody comes after this to write it: what was paid for is not lost.
                if error.is_halted() {
                    write(cx.store(), std::mem::take(&mut *outputs.lock()));
                }
                let at = error
                    .node_id()
                    .map(|id| format!(" at node `{id}`"))
                    .unwrap_or_default();
                let message = format!("nested workflow `{}` failed{at}: {error}", child.name());
                let error_type = error.error_type().to_owned();
                let outer = if error.is_retryable() {
                    NodeError::failed(message)
                } else if error.is_halted() {
                    NodeError::halted(message)
                } else {
                    NodeError::permanent(message)
                };
                outer.with_type(error_type).with_source(error)
            })?;
        let outputs = std::mem::take(&mut *outputs.lock());
        Ok(Value::Object(outputs))
    }

    async fn post(&self, cx: &NodeContext, _prepared: Value, result: Value) -> Result<Action, NodeError> {
        if let Value::Object(outputs) = result {
            write(cx.store(), outputs);
        }
        Ok(Action::default())
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.retry
    }
}
