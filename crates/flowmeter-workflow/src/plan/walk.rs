//! Goes through a workflow as a run would, with the inputs for all there is to know.
//!
//! What nodes write is not known beforehand: a template that leads to it stays as it is written, and what it
//! stands in has an upper end only where the node that writes it has one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use flowmeter_engine::{NodeContext, SharedStore};
use serde_json::{Map, Value};
use smol_str::{SmolStr, format_smolstr};

use super::call::{self, CacheForecast, PlannedCall};
use super::order::{Certainty, order};
use super::sight::{
    Items, Sight, UnknownInputs, Varying, items, params, resolved, rounds, with_item, written_params,
};
use super::{Between, PlanTerms, PlannedStep};
use crate::document::{NodeEntry, ResolutionMode};
use crate::nodes::WORKFLOW_TYPE;
use crate::run::Workflow;
use crate::template::NodeNames;

/// So many items of a batch are looked at one by one; more are taken to be like these.
const ITEMS_MAX: usize = 1_000;

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
