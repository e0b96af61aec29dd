//! Batches of workflow files: items from a list or a template, results into the node's outputs.
//!
//! Never runs an item: the engine does.

use std::sync::Arc;

use flowmeter_engine::{Action, BatchItems, BatchOutcome, NodeContext, NodeError};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use crate::document::BatchEntry;
use crate::nodes::OutputSpec;
use crate::template::{NodeNames, ParamTemplates, Resolver, kind_of, parse_container};
use crate::wrappers::failure_of;

/// The outputs of a node that runs as a batch, in place of its own.
pub const BATCH_OUTPUTS: [&str; 6] = [
    "results",
    "count",
    "success_count",
    "error_count",
    "errors",
    "batch_metadata",
];

/// The items of a batch and what becomes of them.
pub(crate) struct FileBatch {
    pub(crate) id: SmolStr,
    pub(crate) entry: BatchEntry,
    pub(crate) items: ParamTemplates,
    pub(crate) names: Arc<NodeNames>,
    /// Where the node writes; empty for the root.
    pub(crate) namespace: SmolStr,
    /// What its type writes.
    pub(crate) outputs: &'static [OutputSpec],
}

impl BatchItems for FileBatch {
    fn items(&self, cx: &NodeContext) -> Result<Vec<Arc<Value>>, NodeError> {
        let resolver = Resolver {
            cx,
            names: &self.names,
            own_id: &self.id,
        };
        let resolved = self.items.resolve(&resolver)?;
        let items = match &*resolved {
            Value::Array(items) => items.iter().map(|item| Arc::new(item.clone())).collect(),
            Value::String(text) => match parse_container(text) {
                Some(Value::Array(items)) => items.into_iter().map(Arc::new).collect(),
                _ => return Err(no_list("a text that is not a JSON list")),
            },
            other => return Err(no_list(kind_of(other))),
        };
        // What an earlier visit wrote must not pass for the outputs of this visit's items.
        if !self.namespace.is_empty() {
            for (key, _) in cx.store().entries(&self.namespace) {
                cx.store().remove(&key);
            }
        }
        Ok(items)
    }

    fn item_context(&self, cx: &NodeContext, index: usize, item: &Arc<Value>) -> NodeContext {
        let variables = cx
            .variables()
            .with(self.entry.alias.clone(), Arc::clone(item))
            .with("__index__", json!(index));
        cx.with_store(cx.store().overlay()).with_variables(variables)
    }

    fn item_result(&self, item_cx: &NodeContext, action: &Action) -> Result<Value, NodeError> {
        if *action == Action::error() {
            return Err(failure_of(item_cx.store(), &self.namespace));
        }
        let mut result = Map::new();
        if let Some(item) = item_cx.variables().get(&self.entry.alias) {
            result.insert("item".to_owned(), Value::clone(item));
        }
        let index = item_cx
            .variables()
            .get("__index__")
            .map(|index| Value::clone(index));
        result.insert("original_index".to_owned(), index.unwrap_or(Value::Null));
        let entries = if self.namespace.is_empty() {
            // At the root the inputs lie beside the outputs: only what the type declares is the item's.
            self.outputs
                .iter()
                .filter_map(|output| Some((output.name.into(), item_cx.store().get_in("", output.name)?)))
                .collect()
        } else {
            item_cx.store().entries(&self.namespace)
        };
        for (key, value) in entries {
            let value = Arc::try_unwrap(value).unwrap_or_else(|shared| Value::clone(&shared));
            result.insert(key.to_string(), value);
        }
        Ok(Value::Object(result))
    }

    fn finish(&self, cx: &NodeContext, outcome: BatchOutcome) -> Result<Action, NodeError> {
        let count = outcome.items.len();
        let error_count = outcome.error_count();
        let mut results = Vec::with_capacity(count);
        let mut errors = Vec::new();
        for (index, (item, result)) in outcome.items.iter().zip(outcome.results).enumerate() {
            match result {
                Ok(result) => results.push(result),
                Err(error) => errors.push(json!({
                    "index": index,
                    "item": Value::clone(item),
                    "error": error.to_string(),
                })),
            }
        }
        let all_failed = count > 0 && error_count == count;
        let failures: Vec<String> = errors
            .iter()
            .take(3)
            .map(|error| {
                format!(
                    "[{}] {}",
                    error["index"],
                    error["error"].as_str().unwrap_or_default()
                )
            })
            .collect();
        let store = cx.store();
        store.set("results", Value::Array(results));
        store.set("count", json!(count));
        store.set("success_count", json!(count - error_count));
        store.set("error_count", json!(error_count));
        store.set("errors", Value::Array(errors));
        store.set(
            "batch_metadata",
            json!({
                "parallel": self.entry.parallel,
                "max_concurrent": if self.entry.parallel { self.entry.max_concurrent } else { 1 },
                "max_retries": self.entry.max_retries,
                "retry_wait": self.entry.retry_wait,
                "execution_mode": if self.entry.parallel { "parallel" } else { "sequential" },
            }),
        );
        if all_failed {
            let message = format!("all {count} items of the batch failed: {}", failures.join("; "));
            return Err(NodeError::failed(message));
        }
        Ok(Action::default())
    }
}

fn no_list(found: &str) -> NodeError {
    NodeError::permanent(format!("the `items` of a batch come to a list, not to {found}"))
        .with_type("invalid_parameter")
}
