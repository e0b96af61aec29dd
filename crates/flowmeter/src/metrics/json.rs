//! The metrics of a run as JSON: in the run result, and in the trace.
//!
//! Never a zero for what is unknown: that is null or absent.

use super::RunMetrics;
use crate::aggregate::{add_cost, totals_object};

/// Milliseconds, rounded to a thousandth.
#[must_use]
pub fn milliseconds(duration_ns: u64) -> f64 {
    let microseconds = (duration_ns as f64 / 1e3).round();
    microseconds / 1e3
}

/// A number of milliseconds for JSON: whole numbers without a fraction, as the agreed shape shows them.
fn json_milliseconds(duration_ns: u64) -> serde_json::Value {
    let value = milliseconds(duration_ns);
    if value.fract() == 0.0 {
        serde_json::json!(value as u64)
    } else {
        serde_json::json!(value)
    }
}

impl RunMetrics {
    /// The `metrics` object of the agreed run result: `workflow` and `total`, with `by_model` and `nodes` beside.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let timings: serde_json::Map<String, serde_json::Value> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.runs > 0)
            .map(|(path, node)| (path.to_string(), json_milliseconds(node.duration_ns)))
            .collect();
        let mut workflow = serde_json::Map::new();
        workflow.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        workflow.insert("nodes_executed".into(), self.nodes_executed.into());
        workflow.extend(totals_object(&self.llm));
        workflow.insert("success_rate".into(), self.success_rate().into());
        workflow.insert("node_timings".into(), timings.into());
        let nodes: serde_json::Map<String, serde_json::Value> = self
            .nodes
            .iter()
            .map(|(path, node)| {
                let mut object = serde_json::Map::new();
                object.insert("type".into(), node.node_type.as_str().into());
                object.insert("runs".into(), node.runs.into());
                object.insert("attempts".into(), node.attempts.into());
                object.insert("failures".into(), node.failures.into());
                object.insert("duration_ms".into(), json_milliseconds(node.duration_ns));
                if node.items > 0 {
                    object.insert("items".into(), node.items.into());
                    object.insert("failed_items".into(), node.failed_items.into());
                }
                if node.llm.calls > 0 {
                    object.extend(totals_object(&node.llm));
                }
                (path.to_string(), object.into())
            })
            .collect();
        workflow.insert("nodes".into(), nodes.into());
        self.add_models(&mut workflow);
        let mut total = serde_json::Map::new();
        total.insert("duration_ms".into(), json_milliseconds(self.duration_ns));
        total.insert("llm_calls".into(), self.llm.calls.into());
        total.insert("tokens_total".into(), self.llm.total_tokens().into());
        add_cost(&mut total, &self.llm.cost);
        serde_json::json!({ "workflow": workflow, "total": total })
    }
    fn add_models(&self, object: &mut serde_json::Map<String, serde_json::Value>) {
        if !self.models.is_empty() {
            let models: serde_json::Map<String, serde_json::Value> = self
                .models
                .iter()
                .map(|(model, totals)| (model.to_string(), totals_object(totals).into()))
                .collect();
            object.insert("by_model".into(), models.into());
        }
    }

    /// The `metrics` object of a trace: the run as a whole. What each node did stands in the spans.
    pub(crate) fn trace_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut object = serde_json::Map::new();
        object.insert("total_duration_ms".into(), milliseconds(self.duration_ns).into());
        object.insert("node_count".into(), self.nodes_executed.into());
        object.insert("success_rate".into(), self.success_rate().into());
        object.extend(totals_object(&self.llm));
        self.add_models(&mut object);
        object
    }
}
