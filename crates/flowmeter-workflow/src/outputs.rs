//! What a workflow gives when it has run.
//!
//! Never prints.

use std::sync::Arc;

use flowmeter_engine::{NodeContext, NodeError, StoreView};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use thiserror::Error;

use crate::document::WorkflowDocument;
use crate::names;
use crate::template::{NodeNames, ParamTemplates, Resolver, kind_of, spaced_json};

/// Keys that hold a result, the most telling one first.
pub(crate) const RESULT_KEYS: [&str; 8] = [
    "result", "response", "output", "text", "data", "stdout", "echo", "results",
];

/// So many of them are agreed; the others are those of node types of ours.
const AGREED_KEYS: usize = 6;

/// An output that was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no output `{name}`; {help}")]
pub struct UnknownOutput {
    /// The name that was asked for.
    pub name: String,
    /// The nearest name and what there is.
    pub help: String,
}

/// Keys and values that one namespace holds.
type Entries = Vec<(SmolStr, Arc<Value>)>;

/// The outputs of one run.
#[derive(Clone, Debug)]
pub struct Outputs {
    pub(crate) declared: Entries,
    pub(crate) printed: Option<usize>,
    pub(crate) first: Option<Arc<Value>>,
    pub(crate) store: Vec<(SmolStr, Entries)>,
}

/// The outputs of a run that did not come to its end.
#[derive(Clone, Debug)]
pub struct PartialOutputs {
    /// The declared outputs that there are, as an object; where none are declared, what each node wrote.
    pub whole: Value,
    /// What text output would print, where that is there.
    pub printed: Option<Arc<Value>>,
}

impl PartialOutputs {
    pub(crate) fn collect(
        document: &WorkflowDocument,
        declared: &[DeclaredOutput],
        node_names: &NodeNames,
        cx: &NodeContext,
    ) -> Option<Self> {
        let order = newest_first(document, "");
        if declared.is_empty() {
            let nodes = document.nodes.iter().map(|node| &node.id);
            let wrote: Map<String, Value> = nodes
                .filter_map(|id| {
                    let entries = cx.store().entries(id);
                    let object: Map<String, Value> = entries
                        .iter()
                        .map(|(key, value)| (key.to_string(), Value::clone(value)))
                        .collect();
                    (!object.is_empty()).then(|| (id.to_string(), Value::Object(object)))
                })
                .collect();
            return (!wrote.is_empty()).then(|| Self {
                whole: Value::Object(wrote),
                printed: first_result(document, cx.store(), &order),
            });
        }
        let mut whole = Map::new();
        let mut printed = None;
        let is_chosen = |index: usize, output: &DeclaredOutput| {
            output.stdout || (index == 0 && !declared.iter().any(|other| other.stdout))
        };
        for (index, output) in declared.iter().enumerate() {
            let Ok(value) = resolve(output, node_names, cx, &order) else {
                continue;
            };
            if value.is_null() {
                continue;
            }
            if is_chosen(index, output) {
                printed = Some(Arc::clone(&value));
            }
            whole.insert(output.name.to_string(), Value::clone(&value));
        }
        (!whole.is_empty()).then_some(Self {
            whole: Value::Object(whole),
            printed,
        })
    }
}

/// A declared output, ready to be resolved.
pub(crate) struct DeclaredOutput {
    pub(crate) name: SmolStr,
    pub(crate) value_type: crate::nodes::ValueType,
    pub(crate) source: Option<ParamTemplates>,
    pub(crate) stdout: bool,
}

/// Reads the outputs from the store after a run.
///
/// # Errors
/// A declared output whose source leads nowhere, or whose value is of another type.
pub(crate) fn collect(
    document: &WorkflowDocument,
    declared: &[DeclaredOutput],
    node_names: &NodeNames,
    cx: &NodeContext,
    last_node: &str,
) -> Result<Outputs, NodeError> {
    let order = newest_first(document, last_node);
    let mut found = Vec::with_capacity(declared.len());
    for output in declared {
        found.push((output.name.clone(), resolve(output, node_names, cx, &order)?));
    }
    let mut store = vec![(SmolStr::default(), cx.store().entries(""))];
    for id in &order {
        let entries = cx.store().entries(id);
        if !entries.is_empty() {
            store.push((SmolStr::clone(id), entries));
        }
    }
    Ok(Outputs {
        declared: found,
        printed: declared
            .iter()
            .position(|output| output.stdout)
            .or((!declared.is_empty()).then_some(0)),
        first: first_result(document, cx.store(), &order),
        store,
    })
}

/// The last node first, then the others from the end of the file.
fn newest_first<'a>(document: &'a WorkflowDocument, last_node: &str) -> Vec<&'a SmolStr> {
    let last = document.nodes.iter().filter(|node| node.id == last_node);
    let others = document.nodes.iter().rev().filter(|node| node.id != last_node);
    last.chain(others).map(|node| &node.id).collect()
}

/// The first of the telling keys that any node wrote, the newest node first; pflow chooses alike. Only where there is
/// none, a key of a node type of ours.
fn first_result(document: &WorkflowDocument, store: &StoreView, order: &[&SmolStr]) -> Option<Arc<Value>> {
    let namespaces: Vec<&str> = if document.enable_namespacing {
        order.iter().map(|id| id.as_str()).collect()
    } else {
        vec![""]
    };
    let told = |namespace: &str, key: &str| {
        store
            .get_in(namespace, key)
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
    };
    let (agreed, ours) = RESULT_KEYS.split_at(AGREED_KEYS);
    let by_key = agreed
        .iter()
        .find_map(|key| namespaces.iter().find_map(|namespace| told(namespace, key)));
    by_key.or_else(|| {
        namespaces
            .iter()
            .find_map(|namespace| ours.iter().find_map(|key| told(namespace, key)))
    })
}

fn resolve(
    output: &DeclaredOutput,
    node_names: &NodeNames,
    cx: &NodeContext,
    order: &[&SmolStr],
) -> Result<Arc<Value>, NodeError> {
    let in_output = |error: NodeError| {
        NodeError::permanent(format!("output `{}`: {error}", output.name))
            .with_type(error.error_type().to_owned())
    };
    let value = match &output.source {
        Some(source) => {
            let resolver = Resolver {
                cx,
                names: node_names,
                own_id: "",
            };
            source.resolve(&resolver).map_err(in_output)?
        }
        // Without a source the output is what a node, or an input, of that name holds.
        None => order
            .iter()
            .map(|id| id.as_str())
            .chain([""])
            .find_map(|namespace| cx.store().get_in(namespace, &output.name))
            .unwrap_or_default(),
    };
    if value.is_null() {
        return Ok(value);
    }
    match crate::inputs::coerce(&value, output.value_type) {
        Some(same) if same == *value => Ok(value),
        Some(coerced) => Ok(Arc::new(coerced)),
        None => {
            let message = format!(
                "it is declared as {}, but its value is of type {}",
                output.value_type.as_str(),
                kind_of(&value)
            );
            Err(in_output(
                NodeError::permanent(message).with_type("invalid_output"),
            ))
        }
    }
}

impl Outputs {
    /// The declared outputs, in the order of the file.
    #[must_use]
    pub fn declared(&self) -> &[(SmolStr, Arc<Value>)] {
        &self.declared
    }

    /// The `result` of JSON output: the declared outputs as an object, else the first result there is.
    #[must_use]
    pub fn result(&self) -> Arc<Value> {
        if self.declared.is_empty() {
            return self.first.clone().unwrap_or_default();
        }
        let object: Map<String, Value> = self
            .declared
            .iter()
            .map(|(name, value)| (name.to_string(), Value::clone(value)))
            .collect();
        Arc::new(Value::Object(object))
    }

    /// The one value that text output prints: the declared output chosen with `stdout`, else the first declared
    /// one, else the first result there is.
    #[must_use]
    pub fn printed(&self) -> Option<&Arc<Value>> {
        match self.printed {
            Some(index) => self.declared.get(index).map(|(_, value)| value),
            None => self.first.as_ref(),
        }
    }

    /// The output of this name: declared, at the root of the store, `node.key`, a key that a node wrote (the
    /// last node's first), or all that one node wrote.
    ///
    /// # Errors
    /// [`UnknownOutput`] with the nearest name.
    pub fn named(&self, name: &str) -> Result<Arc<Value>, UnknownOutput> {
        if let Some((_, value)) = self.declared.iter().find(|(declared, _)| declared == name) {
            return Ok(Arc::clone(value));
        }
        let entry = |entries: &[(SmolStr, Arc<Value>)], key: &str| {
            entries
                .iter()
                .find(|(found, _)| found == key)
                .map(|(_, value)| Arc::clone(value))
        };
        if let Some(value) = self.store.iter().find_map(|(_, entries)| entry(entries, name)) {
            return Ok(value);
        }
        if let Some((id, key)) = name.split_once('.')
            && let Some((_, entries)) = self.store.iter().find(|(found, _)| found == id)
            && let Some(value) = entry(entries, key)
        {
            return Ok(value);
        }
        if let Some((_, entries)) = self
            .store
            .iter()
            .find(|(found, _)| found == name && !name.is_empty())
        {
            let object: Map<String, Value> = entries
                .iter()
                .map(|(key, value)| (key.to_string(), Value::clone(value)))
                .collect();
            return Ok(Arc::new(Value::Object(object)));
        }
        let mut known: Vec<&str> = self
            .declared
            .iter()
            .map(|(declared, _)| declared.as_str())
            .collect();
        for (_, entries) in &self.store {
            for (key, _) in entries {
                if !known.contains(&key.as_str()) {
                    known.push(key);
                }
            }
        }
        let help = names::suggestion(name, &known, "available").unwrap_or_else(|| "there is none".to_owned());
        Err(UnknownOutput {
            name: name.to_owned(),
            help,
        })
    }
}

/// A value as text output prints it: a text as it is, anything else as JSON.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => spaced_json(other),
    }
}
