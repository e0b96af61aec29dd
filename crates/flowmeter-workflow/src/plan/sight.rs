//! What is known of a node's parameters before the run: templates resolved as far as inputs go, and what stays open.
//!
//! Never runs anything; of a file that a node would read it looks at the size.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flowmeter_engine::{NodeContext, Variables};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use super::Between;
use super::call::PlannedCall;
use crate::document::NodeEntry;
use crate::loop_condition::ITERATIONS_DEFAULT;
use crate::nodes::Services;
use crate::template::{NodeNames, ParamTemplates, Resolver, Template, parse_container};

/// What stands around one answer in the results of a batch, in tokens at the most.
const ITEM_TOKENS: u64 = 400;

/// The inputs that are known in the run only, and how many tokens each can come to.
pub(super) type UnknownInputs = BTreeMap<SmolStr, Option<u64>>;

/// One workflow, looked at from a node of it.
pub(super) struct Sight<'a> {
    pub(super) names: &'a NodeNames,
    pub(super) unknown_inputs: &'a UnknownInputs,
    pub(super) services: &'a Services,
    /// By node: how many tokens all that it writes can come to, where that is known.
    pub(super) written_tokens_max: RefCell<HashMap<SmolStr, u64>>,
}

impl Sight<'_> {
    /// The templates in `written` that lead to what is not known before the run.
    pub(super) fn unknown(&self, written: &Value, also: Option<&Varying<'_>>) -> Unknown {
        let mut found = Unknown {
            templates: Vec::new(),
            tokens_max: Some(0),
        };
        self.add_unknown(written, also, &mut found);
        found
    }

    pub(super) fn add_unknown(&self, written: &Value, also: Option<&Varying<'_>>, found: &mut Unknown) {
        match written {
            Value::String(text) if Template::is_in(text) => {
                let (template, _) = Template::parse_partly(text);
                for expression in template.expressions() {
                    let paths = expression.paths();
                    let roots = paths.iter().map(|path| path.root().name.as_str());
                    let unknown: Vec<&str> = roots.filter(|root| self.is_unknown(root, also)).collect();
                    if unknown.is_empty() {
                        continue;
                    }
                    found.templates.push(expression.written.clone());
                    let known = self.written_tokens_max.borrow();
                    // Of several alternatives the longest may be it.
                    let longest = unknown
                        .iter()
                        .map(|root| match also.filter(|varying| varying.alias == *root) {
                            Some(varying) => varying.tokens_max,
                            None => known.get(*root).copied(),
                        })
                        .reduce(|one, other| Some(one?.max(other?)))
                        .flatten();
                    found.tokens_max = found
                        .tokens_max
                        .zip(longest)
                        .map(|(sum, more)| sum.saturating_add(more));
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    self.add_unknown(element, also, found);
                }
            }
            Value::Object(members) => {
                for member in members.values() {
                    self.add_unknown(member, also, found);
                }
            }
            _ => {}
        }
    }

    pub(super) fn is_unknown(&self, root: &str, also: Option<&Varying<'_>>) -> bool {
        let is_input = self.names.inputs.iter().any(|input| input == root);
        also.is_some_and(|varying| varying.alias == root)
            || self.unknown_inputs.contains_key(root)
            || (!is_input && (root == "self" || self.names.type_by_id.contains_key(root)))
    }

    /// Notes how much a node can write, for the prompts behind it.
    pub(super) fn note_written(
        &self,
        node: &NodeEntry,
        call: Option<&PlannedCall>,
        executions: Between<u64>,
        cx: &NodeContext,
    ) {
        let tokens = match (call, node.node_type.as_str()) {
            (Some(call), _) if node.batch.is_none() => call.output_tokens.high,
            // The results of a batch hold prompts, items and usage beside the answers.
            (Some(call), _) => {
                let sum = call.output_tokens.plus(call.input_tokens).plus(call.input_tokens);
                let around = executions.high.map(|items| items.saturating_mul(ITEM_TOKENS));
                sum.high
                    .zip(around)
                    .map(|(sum, around)| sum.saturating_add(around))
            }
            (None, "read-file") if node.batch.is_none() => {
                let path = params(node, self, cx)
                    .get("file_path")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                path.and_then(|path| std::fs::metadata(path).ok())
                    .map(|file| file.len())
            }
            _ => None,
        };
        if let Some(tokens) = tokens {
            self.written_tokens_max
                .borrow_mut()
                .insert(node.id.clone(), tokens);
        }
    }
}

/// A batch's item that is not known, or another one each time.
pub(super) struct Varying<'a> {
    pub(super) alias: &'a str,
    /// How many tokens an item can come to, where that is known.
    pub(super) tokens_max: Option<u64>,
}

/// What of a request is known in the run only.
pub(super) struct Unknown {
    /// The templates that lead to it.
    pub(super) templates: Vec<String>,
    /// How many tokens it can come to; `None` where nothing bounds it.
    pub(super) tokens_max: Option<u64>,
}

impl Unknown {
    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}

/// The items of a node's batch.
pub(super) enum Items {
    None,
    Known(Vec<Arc<Value>>),
    Unknown,
}

pub(super) fn items(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Items {
    let Some(batch) = &node.batch else {
        return Items::None;
    };
    let listed = |elements: Vec<Value>| Items::Known(elements.into_iter().map(Arc::new).collect());
    // The list itself must be known; what stands in its elements may be open.
    if !batch.items.is_array() && !sight.unknown(&batch.items, None).is_empty() {
        return Items::Unknown;
    }
    match resolved(&batch.items, node, sight, cx) {
        Some(Value::Array(elements)) => listed(elements),
        Some(Value::String(text)) => match parse_container(&text) {
            Some(Value::Array(elements)) => listed(elements),
            _ => Items::Unknown,
        },
        _ => Items::Unknown,
    }
}

/// How many rounds a node's loop makes.
pub(super) fn rounds(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Between<u64> {
    let Some(repeat) = &node.repeat else {
        return Between::exactly(1);
    };
    let high = match &repeat.max_iterations {
        None => Some(u64::from(ITERATIONS_DEFAULT)),
        Some(written) if sight.unknown(written, None).is_empty() => {
            match resolved(written, node, sight, cx) {
                Some(Value::Number(number)) => number.as_u64(),
                Some(Value::String(text)) => text.trim().parse().ok(),
                _ => None,
            }
        }
        Some(_) => None,
    };
    Between { low: 1, high }
}

pub(super) fn with_item(cx: &NodeContext, node: &NodeEntry, item: Option<&Arc<Value>>) -> NodeContext {
    match (&node.batch, item) {
        (Some(batch), Some(item)) => cx.with_variables(
            Variables::default()
                .with(batch.alias.clone(), Arc::clone(item))
                .with("__index__", json!(0)),
        ),
        _ => cx.clone(),
    }
}

/// The parameters that make the request.
pub(super) fn written_params(node: &NodeEntry) -> Value {
    const ASKING: [&str; 6] = [
        "prompt",
        "system",
        "model",
        "max_tokens",
        "output_schema",
        "model_options",
    ];
    let members = node.params.as_object().into_iter().flatten();
    Value::Object(
        members
            .filter(|(name, _)| ASKING.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// The parameters, each as far as it can be resolved.
pub(super) fn params(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Map<String, Value> {
    let members = node.params.as_object().into_iter().flatten();
    members
        .filter_map(|(name, written)| {
            let is_text = matches!(name.as_str(), "prompt" | "system");
            if !is_text && !sight.unknown(written, None).is_empty() {
                return None;
            }
            Some((name.clone(), resolved(written, node, sight, cx)?))
        })
        .collect()
}

pub(super) fn resolved(
    written: &Value,
    node: &NodeEntry,
    sight: &Sight<'_>,
    cx: &NodeContext,
) -> Option<Value> {
    let resolver = Resolver {
        cx,
        names: sight.names,
        own_id: &node.id,
    };
    let templates = ParamTemplates::new(Arc::new(written.clone())).ok()?;
    templates.resolve(&resolver).ok().map(Arc::unwrap_or_clone)
}
