//! What a planner has made, for people: the workflow before it runs, and its inputs.
//!
//! Never decides whether it may run.

use flowmeter_workflow::planner::{Planned, PlannedSource};
use flowmeter_workflow::text_of;
use owo_colors::Style;
use serde_json::{Map, Value, json};

use crate::output::Output;

/// The longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 120;

/// Shows the workflow: a saved one by its name, a new one whole.
pub(crate) fn show(planned: &Planned, output: &Output) {
    let name = output.paint(&planned.name, Style::new().bold());
    match &planned.source {
        PlannedSource::Saved(path) => {
            output.say(&format!("The saved workflow {name} fits ({})", path.display()));
        }
        PlannedSource::Generated(text) => {
            let description = match planned.description.as_str() {
                "" => String::new(),
                text => format!(": {text}"),
            };
            output.say(&format!("A new workflow, {name}{description}\n\n{text}\n"));
        }
    }
}

/// Shows the values of the inputs; secrets are not.
pub(crate) fn show_inputs(inputs: &Map<String, Value>, output: &Output) {
    if inputs.is_empty() {
        return;
    }
    output.note("Inputs:");
    for (name, value) in inputs {
        let shown = if flowmeter::is_secret_name(name) {
            "(secret)".to_owned()
        } else {
            shortened(&text_of(value))
        };
        output.note(&format!("  {name} = {shown}"));
    }
}

/// What a planner has made, for programs: `planned` beside the result.
pub(crate) fn json(planned: &Planned, saved_as: Option<&str>) -> Value {
    let (source, workflow) = match &planned.source {
        PlannedSource::Saved(path) => ("saved", json!(path)),
        PlannedSource::Generated(text) => ("generated", document(text)),
    };
    let values: Map<String, Value> = planned
        .values
        .iter()
        .filter(|(name, _)| !flowmeter::is_secret_name(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    json!({
        "name": planned.name,
        "description": planned.description,
        "keywords": planned.keywords,
        "source": source,
        (if source == "saved" { "file" } else { "workflow" }): workflow,
        "inputs": values,
        "missing_inputs": planned.missing,
        "saved_as": saved_as,
    })
}

/// A workflow's text as a value.
pub(crate) fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > VALUE_CHARS_MAX || line.len() < text.trim_end().len() {
        line.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}
