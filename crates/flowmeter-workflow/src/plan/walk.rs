//! Goes through a workflow as a run would, with the inputs for all there is to know.
//!
//! What nodes write is not known beforehand: a template that leads to it stays as it is written, and what it
//! stands in has an upper end only where the node that writes it has one.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flowmeter_engine::{NodeContext, SharedStore, Variables};
use serde_json::{Map, Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::call::{self, CacheForecast, PlannedCall};
use super::order::{Certainty, order};
use super::{Between, PlanTerms, PlannedStep};
use crate::document::{NodeEntry, ResolutionMode};
use crate::loop_condition::ITERATIONS_DEFAULT;
use crate::nodes::{Services, WORKFLOW_TYPE};
use crate::run::Workflow;
use crate::template::{NodeNames, ParamTemplates, Resolver, Template, parse_container};

/// So many items of a batch are looked at one by one; more are taken to be like these.
const ITEMS_MAX: usize = 1_000;

/// What stands around one answer in the results of a batch, in tokens at the most.
const ITEM_TOKENS: u64 = 400;

/// The steps of a run with these inputs.
pub(super) fn steps(
    workflow: &Workflow,
    inputs: &Map<String, Value>,
    terms: &PlanTerms<'_>,
) -> Vec<PlannedStep> {
    let mut walk = Walk {
        terms,
        steps: Vec::new(),
    };
    let place = Place {
        prefix: SmolStr::default(),
        executions: Between::exactly(1),
        certainty: Certainty::Always,
        depth: 0,
    };
    walk.workflow(workflow, inputs, &UnknownInputs::new(), &place);
    walk.steps
}

/// How long the steps take together; `None` where nothing is known of any of them.
pub(super) fn duration(workflow: &Workflow, steps: &[PlannedStep]) -> Option<Between<u64>> {
    let outermost = steps.iter().filter(|step| step.depth == 0);
    let mut known = false;
    let mut sum = Between::exactly(0_u64);
    let mut longest = 0;
    for step in outermost.filter(|step| step.certainty > Certainty::OnError) {
        match step.duration_ns {
            Some(taken) => {
                known = true;
                let low = if step.certainty == Certainty::Always {
                    taken.low
                } else {
                    0
                };
                longest = longest.max(low);
                sum = sum.plus(Between {
                    low,
                    high: taken.high,
                });
            }
            None => sum.high = None,
        }
    }
    let mut from = HashMap::new();
    for edge in &workflow.document().edges {
        *from.entry((&edge.from, &edge.action)).or_insert(0) += 1;
    }
    if from.values().any(|targets| *targets > 1) {
        // Branches run side by side, so only the longest step is certain to be waited for.
        sum.low = longest;
    }
    known.then_some(sum)
}

/// The inputs that are known in the run only, and how many tokens each can come to.
type UnknownInputs = BTreeMap<SmolStr, Option<u64>>;

/// Where a workflow stands in the run.
struct Place {
    prefix: SmolStr,
    executions: Between<u64>,
    certainty: Certainty,
    depth: usize,
}

struct Walk<'a> {
    terms: &'a PlanTerms<'a>,
    steps: Vec<PlannedStep>,
}

/// One workflow, looked at from a node of it.
struct Sight<'a> {
    names: &'a NodeNames,
    unknown_inputs: &'a UnknownInputs,
    services: &'a Services,
    /// By node: how many tokens all that it writes can come to, where that is known.
    written_tokens_max: RefCell<HashMap<SmolStr, u64>>,
}

impl Sight<'_> {
    /// The templates in `written` that lead to what is not known before the run.
    fn unknown(&self, written: &Value, also: Option<&Varying<'_>>) -> Unknown {
        let mut found = Unknown {
            templates: Vec::new(),
            tokens_max: Some(0),
        };
        self.add_unknown(written, also, &mut found);
        found
    }

    fn add_unknown(&self, written: &Value, also: Option<&Varying<'_>>, found: &mut Unknown) {
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

    fn is_unknown(&self, root: &str, also: Option<&Varying<'_>>) -> bool {
        let is_input = self.names.inputs.iter().any(|input| input == root);
        also.is_some_and(|varying| varying.alias == root)
            || self.unknown_inputs.contains_key(root)
            || (!is_input && (root == "self" || self.names.type_by_id.contains_key(root)))
    }

    /// Notes how much a node can write, for the prompts behind it.
    fn note_written(
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
struct Varying<'a> {
    alias: &'a str,
    /// How many tokens an item can come to, where that is known.
    tokens_max: Option<u64>,
}

/// What of a request is known in the run only.
pub(super) struct Unknown {
    /// The templates that lead to it.
    pub(super) templates: Vec<String>,
    /// How many tokens it can come to; `None` where nothing bounds it.
    pub(super) tokens_max: Option<u64>,
}

impl Unknown {
    fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}

impl Walk<'_> {
    fn workflow(
        &mut self,
        workflow: &Workflow,
        inputs: &Map<String, Value>,
        unknown_inputs: &UnknownInputs,
        place: &Place,
    ) {
        let document = workflow.document();
        let names = NodeNames {
            type_by_id: document
                .nodes
                .iter()
                .map(|node| (node.id.clone(), node.node_type.clone()))
                .collect(),
            inputs: document.inputs.iter().map(|input| input.name.clone()).collect(),
            mode: ResolutionMode::Permissive,
        };
        let sight = Sight {
            names: &names,
            unknown_inputs,
            services: workflow.services(),
            written_tokens_max: RefCell::new(
                unknown_inputs
                    .iter()
                    .filter_map(|(name, tokens)| Some((name.clone(), (*tokens)?)))
                    .collect(),
            ),
        };
        let store = SharedStore::new().root();
        for (name, value) in inputs {
            store.set(name, value.clone());
        }
        let cx = NodeContext::new(store);
        for (position, certainty) in order(document) {
            let node = &document.nodes[position];
            let certainty = certainty.min(place.certainty);
            self.node(workflow, node, &sight, &cx, certainty, place);
        }
    }

    fn node(
        &mut self,
        workflow: &Workflow,
        node: &NodeEntry,
        sight: &Sight<'_>,
        cx: &NodeContext,
        certainty: Certainty,
        place: &Place,
    ) {
        let path = if place.prefix.is_empty() {
            node.id.clone()
        } else {
            format_smolstr!("{}/{}", place.prefix, node.id)
        };
        let items = items(node, sight, cx);
        let count = match &items {
            Items::None => Between::exactly(1),
            Items::Known(items) => Between::exactly(items.len() as u64),
            Items::Unknown => Between { low: 0, high: None },
        };
        let runs = place.executions.times(rounds(node, sight, cx));
        let executions = runs.times(count);
        let past = self.terms.past.node(&path);
        let call = (node.node_type == "llm").then(|| {
            let call = self.call(node, &items, sight, cx);
            // Of unknown items one was looked at, of known ones all.
            let call = call.times(if matches!(items, Items::Unknown) {
                executions
            } else {
                runs
            });
            call.sharing_answers()
        });
        sight.note_written(node, call.as_ref(), executions, cx);
        let cost = match (&call, past.and_then(|past| past.cost)) {
            // Earlier runs may have had to ask.
            (Some(call), _) if call.cache == CacheForecast::Hit => call.cost,
            // A node's span holds all its items and rounds.
            (Some(_), Some(past)) => Some(past.times(place.executions)),
            (Some(call), None) => call.cost,
            (None, _) => None,
        };
        let side_by_side = node.batch.as_ref().filter(|batch| batch.parallel);
        let side_by_side = side_by_side.map_or(1, |batch| batch.max_concurrent.max(1) as u64);
        let duration_ns = match (past, &call) {
            (Some(past), _) => Some(past.duration_ns.times(place.executions)),
            (None, Some(call)) => Some(
                call.duration_ns.times(Between {
                    low: executions.low.div_ceil(side_by_side),
                    high: executions
                        .high
                        .map(|executions| executions.div_ceil(side_by_side)),
                }),
            ),
            (None, None) => None,
        };
        self.steps.push(PlannedStep {
            path: path.clone(),
            node_type: node.node_type.clone(),
            purpose: node.purpose.clone(),
            certainty,
            executions,
            call,
            cost,
            duration_ns,
            past,
            depth: place.depth,
        });
        if node.node_type != WORKFLOW_TYPE {
            return;
        }
        let Some(child) = workflow.children().get(&node.id) else {
            return;
        };
        let item = match &items {
            Items::Known(items) => items.first(),
            _ => None,
        };
        let (inputs, unknown) = self.child_inputs(child, node, item, &items, sight, cx);
        let inner = Place {
            prefix: path,
            executions,
            certainty,
            depth: place.depth + 1,
        };
        self.workflow(child, &inputs, &unknown, &inner);
    }

    /// What a nested workflow is given, as far as it is known, and the names of what is not.
    fn child_inputs(
        &self,
        child: &Workflow,
        node: &NodeEntry,
        item: Option<&Arc<Value>>,
        items: &Items,
        sight: &Sight<'_>,
        cx: &NodeContext,
    ) -> (Map<String, Value>, UnknownInputs) {
        // Items differ: what comes from one is known only where there is but one.
        let tokens_max = match items {
            Items::Known(items) => items.iter().map(|item| item.to_string().len() as u64).max(),
            Items::None | Items::Unknown => None,
        };
        let is_one = matches!(items, Items::None) || matches!(items, Items::Known(items) if items.len() == 1);
        let varying = node.batch.as_ref().filter(|_| !is_one).map(|batch| Varying {
            alias: &batch.alias,
            tokens_max,
        });
        let mut inputs = Map::new();
        let mut unknown = UnknownInputs::new();
        for input in &child.document().inputs {
            if let Some(default) = &input.default {
                inputs.insert(input.name.to_string(), default.clone());
            }
        }
        let written = node.params.get("inputs").and_then(Value::as_object);
        let cx = with_item(cx, node, item);
        for (name, written) in written.into_iter().flatten() {
            let open = sight.unknown(written, varying.as_ref());
            match resolved(written, node, sight, &cx).filter(|_| open.is_empty()) {
                Some(value) => {
                    inputs.insert(name.clone(), value);
                }
                None => {
                    inputs.remove(name);
                    unknown.insert(name.into(), open.tokens_max);
                }
            }
        }
        (inputs, unknown)
    }

    /// The calls of one execution over all items.
    fn call(&self, node: &NodeEntry, items: &Items, sight: &Sight<'_>, cx: &NodeContext) -> PlannedCall {
        let written = written_params(node);
        match items {
            Items::None => {
                let unknown = sight.unknown(&written, None);
                call::planned(
                    self.terms,
                    sight.services,
                    node,
                    &params(node, sight, cx),
                    &unknown,
                )
            }
            Items::Unknown => {
                let varying = node.batch.as_ref().map(|batch| Varying {
                    alias: &batch.alias,
                    tokens_max: None,
                });
                let unknown = sight.unknown(&written, varying.as_ref());
                call::planned(
                    self.terms,
                    sight.services,
                    node,
                    &params(node, sight, cx),
                    &unknown,
                )
            }
            Items::Known(items) => {
                let unknown = sight.unknown(&written, None);
                let calls = items.iter().take(ITEMS_MAX).map(|item| {
                    let cx = with_item(cx, node, Some(item));
                    call::planned(
                        self.terms,
                        sight.services,
                        node,
                        &params(node, sight, &cx),
                        &unknown,
                    )
                });
                let looked_at = items.len().min(ITEMS_MAX) as u64;
                calls
                    .reduce(PlannedCall::plus)
                    .map(|sum| sum.scaled(items.len() as u64, looked_at))
                    .unwrap_or_else(PlannedCall::none)
            }
        }
    }
}

/// The items of a node's batch.
enum Items {
    None,
    Known(Vec<Arc<Value>>),
    Unknown,
}

fn items(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Items {
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
fn rounds(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Between<u64> {
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

fn with_item(cx: &NodeContext, node: &NodeEntry, item: Option<&Arc<Value>>) -> NodeContext {
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
fn written_params(node: &NodeEntry) -> Value {
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
fn params(node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Map<String, Value> {
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

fn resolved(written: &Value, node: &NodeEntry, sight: &Sight<'_>, cx: &NodeContext) -> Option<Value> {
    let resolver = Resolver {
        cx,
        names: sight.names,
        own_id: &node.id,
    };
    let templates = ParamTemplates::new(Arc::new(written.clone())).ok()?;
    templates.resolve(&resolver).ok().map(Arc::unwrap_or_clone)
}
