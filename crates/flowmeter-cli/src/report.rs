//! What a run came to, for people and for programs: the result, the summary, the trace, what went wrong.
//!
//! Never computes a figure: all of them come from the run's metrics.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use anyhow::{Context, Error, Result};
use flowmeter::{
    BudgetError, CostBreakdown, DropCounts, HumanStyle, RunMetrics, cache_note, format_duration,
    planner_note, planner_part, provider_cache_note, read_trace, write_human,
};
use flowmeter_engine::NodeError;
use flowmeter_workflow::{InvalidInputs, InvalidWorkflow, text_of};
use owo_colors::Style;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::OutputFormat;
use crate::budget;
use crate::commands::validate::{invalid_workflow, problem_json};
use crate::execution::Finished;
use crate::exit::{self, Exit};
use crate::output::Output;
use flowmeter::grouped;

/// The agreed object of a run.
#[derive(Serialize)]
struct RunJson<'a> {
    #[serde(flatten)]
    ending: EndingJson<'a>,
    /// What there is beside the error.
    #[serde(rename = "result", skip_serializing_if = "Option::is_none")]
    result_beside: Option<&'a Value>,
    /// What there is of the result, where a budget ended the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_result: Option<&'a Value>,
    metrics: Value,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    export_errors: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EndingJson<'a> {
    Result(&'a Value),
    Error(ErrorJson),
}

/// Why there is no result.
#[derive(Serialize)]
struct ErrorJson {
    message: String,
    #[serde(rename = "type")]
    error_type: String,
    node: Option<String>,
    chain: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Value>,
    /// Which limit it was, and how far it reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Value>,
}

impl ErrorJson {
    fn of_run(error: &NodeError, stopped_by: Option<&str>) -> Self {
        Self {
            message: message_of(error, stopped_by),
            error_type: error.error_type().to_owned(),
            node: error.node_id().map(str::to_owned),
            chain: error.chain(),
            problems: problems_of(error),
            budget: BudgetError::find(error).map(budget::error_json),
        }
    }

    fn of_refusal(error: &Error) -> Self {
        let problems = match invalid_workflow(error) {
            Some(invalid) => invalid.problems.iter().map(problem_json).collect(),
            None => match error.downcast_ref::<InvalidInputs>() {
                Some(invalid) => invalid
                    .problems
                    .iter()
                    .map(|message| json!({ "message": message }))
                    .collect(),
                None => {
                    let unpriced = error.downcast_ref::<budget::UnpricedModels>();
                    let problems = unpriced.map(budget::UnpricedModels::problems).unwrap_or_default();
                    let object = |message| json!({ "message": message });
                    problems.into_iter().map(object).collect()
                }
            },
        };
        Self {
            message: error.to_string(),
            error_type: exit::of_error(error).1.to_owned(),
            node: None,
            chain: error.chain().skip(1).map(ToString::to_string).collect(),
            problems,
            budget: None,
        }
    }
}

/// The problems of a workflow that a planner could not mend.
fn problems_of(error: &NodeError) -> Vec<Value> {
    let cause = std::error::Error::source(error);
    let invalid = cause.and_then(|cause| cause.downcast_ref::<InvalidWorkflow>());
    let problems = invalid.into_iter().flat_map(|invalid| &invalid.problems);
    problems.map(problem_json).collect()
}

/// Prints what a run came to.
pub(crate) fn run(finished: &Finished, output: &Output) -> Result<Exit> {
    let exit = exit::of_run(finished.outcome.as_ref());
    let printed = match finished.config.output_format {
        OutputFormat::Json => print_json(finished, output),
        OutputFormat::Text => print_text(finished, output),
    };
    if finished.trace.tree || finished.trace.planner {
        print_tree(finished, output);
    }
    if let Err(error) = &finished.outcome {
        let mut text = told(error, finished.stopped_by);
        if finished.config.output_format == OutputFormat::Text && printed_part(finished).is_some() {
            text.push_str("\n  what there is of the result is on standard output");
        }
        if finished.result_beside.is_some() {
            text.push_str("\n  the run itself went well: its whole result is on standard output");
        }
        output.error(&text);
    }
    if finished.config.output_format == OutputFormat::Text {
        output.note(&summary(finished, output));
    }
    warn_of_prices(&finished.report.metrics.breakdown, output);
    warn_of_losses(&finished.report.dropped, output);
    if let Some(path) = &finished.report.trace_file {
        output.say(&format!("trace: {}", path.display()));
    }
    printed.context("the result could not be written")?;
    Ok(exit)
}

fn print_text(finished: &Finished, output: &Output) -> io::Result<()> {
    let result = finished.outcome.as_ref().ok();
    let printed = result.and_then(|result| result.printed.as_deref());
    match printed
        .or(finished.result_beside.as_deref())
        .or(printed_part(finished))
    {
        None => Ok(()),
        // Large texts are not copied to be printed.
        Some(Value::String(text)) => output.text(text),
        Some(value) => output.text(&text_of(value)),
    }
}

/// What text output prints of a result that is not whole.
fn printed_part(finished: &Finished) -> Option<&Value> {
    finished.partial.as_ref()?.printed.as_deref()
}

/// Prints why nothing was run, as JSON.
pub(crate) fn refused(error: &Error, output: &Output) -> Result<Exit> {
    let object = RunJson {
        ending: EndingJson::Error(ErrorJson::of_refusal(error)),
        result_beside: None,
        partial_result: None,
        metrics: RunMetrics::default().to_json(),
        status: "failed",
        trace_id: None,
        trace_file: None,
        planned: None,
        export_errors: &[],
        warnings: &[],
    };
    write_json(&object, output)?;
    Ok(exit::of_error(error).0)
}

fn print_json(finished: &Finished, output: &Output) -> io::Result<()> {
    let report = &finished.report;
    let mut metrics = report.metrics.to_json();
    if report.dropped.total() > 0 {
        metrics["dropped"] = report.dropped.to_json();
    }
    let export_errors: Vec<String> = report
        .export_errors
        .iter()
        .map(|error| with_causes(error))
        .collect();
    let (ending, status) = match &finished.outcome {
        Ok(result) if export_errors.is_empty() => (EndingJson::Result(&result.whole), "success"),
        Ok(result) => (EndingJson::Result(&result.whole), "partial_success"),
        Err(error) => {
            let status = if error.is_cancelled() {
                "interrupted"
            } else {
                "failed"
            };
            (
                EndingJson::Error(ErrorJson::of_run(error, finished.stopped_by)),
                status,
            )
        }
    };
    let object = RunJson {
        ending,
        result_beside: finished.result_beside.as_deref(),
        partial_result: finished.partial.as_ref().map(|partial| &partial.whole),
        metrics,
        status,
        trace_id: Some(report.trace_id.to_string()),
        trace_file: report.trace_file.as_deref(),
        planned: finished.planned.as_ref(),
        export_errors: &export_errors,
        warnings: &finished.warnings,
    };
    write_json(&object, output)
}

fn write_json(object: &RunJson<'_>, output: &Output) -> io::Result<()> {
    output.write(|out| {
        serde_json::to_writer_pretty(&mut *out, object)?;
        out.write_all(b"\n")
    })
}

/// What is odd about the prices that applied, each once: a unit in doubt, a price file that could not be used.
fn warn_of_prices(breakdown: &CostBreakdown, output: &Output) {
    const TOLD_MAX: usize = 5;
    let told: BTreeSet<&str> = breakdown
        .all_prices()
        .flat_map(|price| price.warnings.iter().map(String::as_str))
        .collect();
    for warning in told.iter().take(TOLD_MAX) {
        output.warn(warning);
    }
    if told.len() > TOLD_MAX {
        output.warn(&format!(
            "{} more remarks on prices: see `flowmeter pricing explain last`",
            told.len() - TOLD_MAX
        ));
    }
}

fn warn_of_losses(dropped: &DropCounts, output: &Output) {
    if dropped.total() > 0 {
        output.warn(&format!(
            "some telemetry was dropped for want of memory; metrics are complete, the trace is not: {}",
            dropped.to_json()
        ));
    }
}

/// The message of a failed run.
fn message_of(error: &NodeError, stopped_by: Option<&str>) -> String {
    match stopped_by {
        Some(signal) => format!("interrupted by {signal}"),
        None => error.message().to_owned(),
    }
}

fn told(error: &NodeError, stopped_by: Option<&str>) -> String {
    let mut text = message_of(error, stopped_by);
    if let Some(node) = error.node_id() {
        text = format!("node `{node}`: {text}");
    }
    for cause in error.chain() {
        if !text.contains(&cause) {
            text.push_str(&format!("\n  caused by: {cause}"));
        }
    }
    text
}

/// An error with its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// One line: duration, nodes, LLM calls, tokens, cost.
fn summary(finished: &Finished, output: &Output) -> String {
    let metrics = &finished.report.metrics;
    let (mark, word, style) = match &finished.outcome {
        Ok(_) => ("✓", "", Style::new().green()),
        Err(error) if error.is_cancelled() => ("✗", " interrupted", Style::new().yellow()),
        Err(_) => ("✗", " failed", Style::new().red()),
    };
    let count = |number: u64, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{} {what}{plural}", grouped(number))
    };
    let mut parts = vec![
        format_duration(metrics.duration_ns),
        count(metrics.nodes_executed, "node"),
    ];
    if metrics.llm.calls > 0 {
        let llm = &metrics.llm;
        parts.push(count(llm.calls, "LLM call"));
        parts.push(if llm.are_tokens_unknown() {
            "tokens unknown".to_owned()
        } else {
            format!(
                "{}{} tokens ({} in + {} out){}",
                llm.tokens_mark(),
                grouped(llm.total_tokens()),
                grouped(llm.input_tokens),
                grouped(llm.output_tokens),
                llm.tokens_note()
            )
        });
        parts.push(metrics.llm.cost.display());
    }
    if metrics.llm.cache.lookups() > 0 {
        parts.push(format!("cache: {}", cache_note(&metrics.llm.cache)));
    }
    if let Some(note) = provider_cache_note(&metrics.llm) {
        parts.push(format!("provider's cache: {note}"));
    }
    let mut line = format!(
        "{} {}{word}: {}",
        output.paint(mark, style),
        finished.workflow,
        parts.join(", ")
    );
    if let Some(parts) = &metrics.parts {
        line.push_str(&format!("\n  {}", planner_note(parts)));
    }
    if let Some(spent) = metrics
        .budget
        .as_ref()
        .and_then(|report| budget::summary(report, output))
    {
        line.push_str(&format!("\n  {spent}"));
    }
    let unpriced = &metrics.llm.cost.unpriced_models;
    if !unpriced.is_empty() {
        let models: Vec<&str> = unpriced.iter().map(smol_str::SmolStr::as_str).collect();
        line.push_str(&format!(
            "\n  no price is known for {}: set one with `flowmeter pricing set MODEL --input … --output …`, or put it \
             into pricing.json",
            models.join(", ")
        ));
    }
    line
}

fn print_tree(finished: &Finished, output: &Output) {
    let Some(path) = &finished.report.trace_file else {
        output.warn("there is no trace to show: nothing was captured, or it could not be written");
        return;
    };
    match read_trace(path) {
        Ok(trace) => {
            let style = HumanStyle {
                colour: output.colour_err(),
                utc_offset_seconds: finished.utc_offset_seconds,
            };
            let mut err = io::BufWriter::new(io::stderr().lock());
            let part = (!finished.trace.tree).then(|| planner_part(&trace)).flatten();
            if finished.trace.planner && !finished.trace.tree && part.is_none() {
                drop(err);
                output.warn("no planner ran: there is no part of the trace to show");
                return;
            }
            let shown = part.as_ref().unwrap_or(&trace);
            // A standard error that is closed is no failure.
            let _closed = write_human(shown, style, &mut err).and_then(|()| io::Write::flush(&mut err));
        }
        Err(error) => output.warn(&with_causes(&error)),
    }
}
