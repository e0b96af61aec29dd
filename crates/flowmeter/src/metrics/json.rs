//! The metrics of a run as JSON: in the run result, and in the trace.
//!
//! Never a zero for what is unknown: that is null or absent.

use serde_json::{Map, Value, json};

use super::RunMetrics;
use crate::aggregate::{
    NodeMetrics, Unit, add_cost, add_node, add_resources, add_types, llm_object, object_of,
};

/// Milliseconds, rounded to a thousandth.
#[must_use]
pub fn milliseconds(duration_ns: u64) -> f64 {
    let microseconds = (duration_ns as f64 / 1e3).round();
    microseconds / 1e3
}

/// A number of milliseconds for JSON: whole numbers without a fraction, as the agreed shape shows them.
pub(super) fn json_milliseconds(duration_ns: u64) -> Value {
    let value = milliseconds(duration_ns);
    if value.fract() == 0.0 {
        json!(value as u64)
    } else {
        json!(value)
    }
}

pub(super) fn node_object(node: &NodeMetrics) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".into(), node.node_type.as_str().into());
    object.insert("runs".into(), node.runs.into());
    object.insert("attempts".into(), node.attempts.into());
    object.insert("failures".into(), node.failures.into());
    object.insert("duration_ms".into(), json_milliseconds(node.duration_ns));
    add_node(&mut object, node, Unit::Milliseconds);
    object
}

impl RunMetrics {
    /// `workflow` and `total` of the agreed run result, as if the run had one part only, with so many nodes
    /// by name at most.
    pub(super) fn undivided_json(&self, nodes_max: usize) -> Value {
        let named = &self.nodes[..self.nodes.len().min(nodes_max)];
        let timings: Map<String, Value> = named
            .iter()
            .filter(|(_, node)| node.runs > 0)
            .map(|(path, node)| (path.to_string(), json_milliseconds(node.duration_ns)))
            .collect();
        let mut workflow = Map::new();
        workflow.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        workflow.insert("nodes_executed".into(), self.nodes_executed.into());
        workflow.extend(llm_object(&self.llm, &self.llm_timings, Unit::Milliseconds));
        workflow.entry("cache").or_insert_with(|| self.llm.cache_json());
        workflow.insert("success_rate".into(), self.success_rate().into());
        workflow.insert("error_rate".into(), self.error_rate().into());
        workflow.insert("error_count".into(), self.error_count.into());
        workflow.insert("node_timings".into(), timings.into());
        add_types(&mut workflow, &self.types, self.other_types.as_ref());
        self.add_process(&mut workflow);
        workflow.entry("memory_usage").or_insert(Value::Null);
        workflow.insert("throughput".into(), self.throughput.to_json());
        workflow.insert("nodes".into(), object_of(named, node_object));
        if self.nodes.len() > named.len() {
            let unnamed = self.nodes.len() - named.len();
            workflow.insert("nodes_left_out".into(), unnamed.into());
        }
        if let Some(others) = &self.other_nodes {
            workflow.insert("other_nodes".into(), node_object(others).into());
        }
        self.add_models(&mut workflow);
        workflow.insert(
            "cost_breakdown".into(),
            self.breakdown.to_json_with_calls().into(),
        );
        let mut total = Map::new();
        total.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        total.insert("llm_calls".into(), self.llm.calls.into());
        let tokens = (!self.llm.are_tokens_unknown()).then(|| self.llm.total_tokens());
        total.insert("tokens_total".into(), tokens.into());
        if self.llm.uncounted_calls > 0 {
            total.insert("uncounted_calls".into(), self.llm.uncounted_calls.into());
        }
        if self.llm.estimated_calls > 0 {
            total.insert("estimated_calls".into(), self.llm.estimated_calls.into());
        }
        add_cost(&mut total, &self.llm.cost);
        total.insert("cost_breakdown".into(), self.breakdown.to_json().into());
        let mut metrics = json!({ "workflow": workflow, "total": total });
        if let Some(budget) = &self.budget {
            metrics["budget"] = budget.to_json();
        }
        metrics
    }

    /// CPU, memory and queue time of the run as a whole.
    fn add_process(&self, object: &mut Map<String, Value>) {
        add_resources(object, &self.resources, Unit::Milliseconds);
        if let Some(memory) = &self.memory {
            object.insert("memory_usage".into(), memory.to_json());
        }
    }

    fn add_models(&self, object: &mut Map<String, Value>) {
        if !self.models.is_empty() {
            let timings_of = |model| self.model_timings.get(model).copied().unwrap_or_default();
            let models: Map<String, Value> = self
                .models
                .iter()
                .map(|(model, totals)| {
                    let shown = llm_object(totals, &timings_of(model), Unit::Milliseconds);
                    (model.to_string(), shown.into())
                })
                .collect();
            object.insert("by_model".into(), models.into());
        }
        if let Some(others) = &self.other_models {
            let shown = llm_object(&others.llm, &others.timings, Unit::Milliseconds);
            object.insert("other_models".into(), shown.into());
        }
    }

    /// The `metrics` object of a trace: the run as a whole. What each node did stands in the spans.
    #[must_use]
    pub fn trace_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("total_duration_ms".into(), milliseconds(self.duration_ns).into());
        object.insert("node_count".into(), self.nodes_executed.into());
        object.insert("success_rate".into(), self.success_rate().into());
        object.insert("error_rate".into(), self.error_rate().into());
        object.extend(llm_object(&self.llm, &self.llm_timings, Unit::Milliseconds));
        self.add_models(&mut object);
        self.add_process(&mut object);
        self.add_planner(&mut object);
        if let Some(budget) = &self.budget {
            object.insert("budget".into(), budget.to_json());
        }
        object
    }
}
