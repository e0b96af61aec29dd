//! `flowmeter pricing explain`: the arithmetic of each call of a run, as it was recorded, and the sum.
//!
//! Never prices a run again: a price that changed since does not change what a run cost.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use flowmeter::{LlmTotals, TraceDocument, TracedCall, cost_json, total_of_calls};
use flowmeter_model::{CostStatus, UsdNanos};
use serde_json::{Map, Value, json};

use super::arithmetic::explained;
use super::call::{self, advice, time_text};
use crate::args::ExplainArgs;
use crate::commands::show;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::{prices, traces};

/// Explains a run, or a call that flags describe.
pub(super) fn run(args: &ExplainArgs, home: &Home, output: &Output) -> Result<Exit> {
    match (&args.model, &args.run) {
        (Some(model), _) => call::run(model, &args.call, args.view, home, output),
        (None, Some(run)) => explain_run(run, args, home, output),
        (None, None) => bail!(BadUsage("name a run, or a model with --model".to_owned())),
    }
}

fn explain_run(wanted: &str, args: &ExplainArgs, home: &Home, output: &Output) -> Result<Exit> {
    let paths = traces::find(home, wanted)?;
    let (trace, _) = show::read(&paths, output)?;
    let run = ExplainedRun::new(&trace);
    if args.view.is_json() {
        output.json(&run.json())?;
    } else {
        let book = (run.totals.cost.unpriced_calls > 0).then(|| prices::book(home).0);
        let near = |model: &str| {
            let book = book.as_ref();
            book.map_or_else(Vec::new, |book| prices::nearest_models(book, model))
        };
        output.text(&run.text(&near))?;
    }
    Ok(Exit::Success)
}

/// The calls of a run and what they came to.
struct ExplainedRun<'a> {
    trace: &'a TraceDocument,
    calls: Vec<TracedCall<'a>>,
    totals: LlmTotals,
    breakdown: Map<String, Value>,
}

impl<'a> ExplainedRun<'a> {
    fn new(trace: &'a TraceDocument) -> Self {
        let calls = trace.llm_calls();
        let (totals, breakdown) = total_of_calls(&calls);
        Self {
            trace,
            calls,
            totals,
            breakdown: breakdown.to_json(),
        }
    }

    fn title(&self) -> String {
        let workflow = self.trace.workflow.as_deref().unwrap_or("a run");
        format!("{workflow}, trace {}", self.trace.trace_id)
    }

    fn text(&self, near: &dyn Fn(&str) -> Vec<String>) -> String {
        let mut text = format!("{}\n", self.title());
        if self.calls.is_empty() {
            text.push_str("\nno model was called: it cost nothing\n");
        }
        let mut advised = BTreeSet::new();
        for (node, calls) in self.by_node() {
            text.push_str(&format!(
                "\n{}\n",
                if node.is_empty() {
                    "(outside any node)"
                } else {
                    node
                }
            ));
            for call in calls {
                text.push_str(&format!("  {}\n", headline(call)));
                text.push_str(&explained(&call.cost, "    "));
                if call.cost.amount.is_some() {
                    continue;
                }
                let usage = call.span.usage.as_ref();
                if usage.is_none_or(|usage| !usage.is_known()) {
                    text.push_str("    why       nobody said what the call used\n");
                    continue;
                }
                text.push_str("    why       neither pricing.json nor a price book knows the model\n");
                if advised.insert(call.model) {
                    text.push_str(&advice(call.model, &near(call.model), "    "));
                }
            }
        }
        if !self.calls.is_empty() {
            text.push_str(&self.sums());
        }
        if let Some(note) = self.difference() {
            text.push_str(&format!("\nnote: {note}\n"));
        }
        text
    }

    /// The calls by node, in the order in which nodes first called.
    fn by_node(&self) -> Vec<(&str, Vec<&TracedCall<'a>>)> {
        let mut nodes: Vec<(&str, Vec<&TracedCall<'a>>)> = Vec::new();
        for call in &self.calls {
            match nodes.iter_mut().find(|(node, _)| *node == call.node) {
                Some((_, calls)) => calls.push(call),
                None => nodes.push((&call.node, vec![call])),
            }
        }
        nodes
    }

    fn sums(&self) -> String {
        let mut models: Vec<(&str, LlmTotals)> = Vec::new();
        for call in &self.calls {
            let (one, _) = total_of_calls(std::slice::from_ref(call));
            match models.iter_mut().find(|(model, _)| *model == call.model) {
                Some((_, totals)) => totals.cost.merge(&one.cost),
                None if call.from_cache => {}
                None => models.push((call.model, one)),
            }
        }
        let width = models
            .iter()
            .map(|(model, _)| model.len())
            .max()
            .unwrap_or(0)
            .max("total".len());
        let line = |name: &str, totals: &LlmTotals| {
            let calls = totals.cost.calls;
            let plural = if calls == 1 { " " } else { "s" };
            format!(
                "{name:width$}  {calls:>5} call{plural}  {}\n",
                totals.cost.display()
            )
        };
        let mut text = "\n".to_owned();
        if models.len() > 1 {
            for (model, totals) in &models {
                text.push_str(&line(model, totals));
            }
        }
        text.push_str(&line("total", &self.totals));
        text
    }

    /// What the run itself counted, where that is something else: a trace may have lost calls.
    fn difference(&self) -> Option<String> {
        let metrics = self.trace.metrics.as_ref()?;
        let calls = metrics.get("llm_calls")?.as_u64()?;
        let usd = metrics.get("cost_usd").and_then(Value::as_f64);
        let cost = usd.and_then(|usd| UsdNanos::from_usd(usd).ok());
        let is_same = cost.unwrap_or_default() == self.totals.cost.known;
        (calls != self.totals.calls || !is_same).then(|| {
            let cost = cost.map_or_else(|| "no known cost".to_owned(), |cost| cost.to_string());
            format!(
                "the run itself counted {calls} calls and {cost}; the trace has {} of them: its figures are complete, \
                 the trace is not",
                self.totals.calls
            )
        })
    }

    fn json(&self) -> Value {
        let calls = self.calls.iter().map(|call| {
            let mut object = Map::new();
            object.insert("node".into(), call.node.as_str().into());
            object.insert("span_id".into(), call.span.span_id.to_string().into());
            object.insert("provider".into(), call.provider.into());
            object.insert("model".into(), call.model.into());
            if let Some(answered) = call.response_model {
                object.insert("response_model".into(), answered.into());
            }
            object.insert("start_time".into(), time_text(call.span.start).into());
            if call.from_cache {
                object.insert("from_cache".into(), true.into());
            }
            object.insert("status".into(), json!(call.span.status));
            object.insert("usage".into(), json!(call.span.usage));
            object.extend(cost_json(&call.cost));
            Value::from(object)
        });
        let calls: Vec<Value> = calls.collect();
        let mut object = Map::new();
        object.insert("trace_id".into(), self.trace.trace_id.as_str().into());
        object.insert("workflow".into(), self.trace.workflow.as_deref().into());
        object.insert("llm_calls".into(), self.totals.calls.into());
        object.insert("calls".into(), calls.into());
        object.insert("cost_breakdown".into(), self.breakdown.clone().into());
        if let Some(note) = self.difference() {
            object.insert("note".into(), note.into());
        }
        object.into()
    }
}

/// One line about a call: model, provider, time, how it ended.
fn headline(call: &TracedCall<'_>) -> String {
    let model = if call.model.is_empty() {
        "an unnamed model"
    } else {
        call.model
    };
    let mut text = model.to_owned();
    if !call.provider.is_empty() {
        text.push_str(&format!(", served by {}", call.provider));
    }
    if let Some(answered) = call.response_model {
        text.push_str(&format!(", answered by {answered}"));
    }
    text.push_str(&format!(", at {}", time_text(call.span.start)));
    if call.from_cache {
        text.push_str(", not called: the response cache had the answer");
    }
    if let Some(error) = &call.span.error {
        text.push_str(&format!(", failed: {}", error.error_type));
    }
    if call.cost.status == CostStatus::Estimated
        && let Some(usage) = &call.span.usage
    {
        let figures = [("in", usage.input), ("out", usage.output)];
        let guessed = figures
            .iter()
            .filter_map(|(name, figure)| Some(format!("~{} {name}", figure.as_ref()?.tokens)));
        let guessed: Vec<String> = guessed.collect();
        text.push_str(&format!(", {}", guessed.join(" ")));
    }
    text
}
