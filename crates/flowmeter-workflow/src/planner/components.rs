//! Describes to the planner what there is: node types, saved workflows, the inputs of a workflow.
//!
//! All of it comes from the table of node types and from the files; nothing is written down twice.

use std::fmt::Write as _;

use super::known::KnownWorkflow;
use crate::document::InputEntry;
use crate::nodes::{NodeType, node_types};

/// Saved workflows that are described in one prompt.
const WORKFLOWS_MAX: usize = 60;
/// How much of a description is shown, in characters.
const DESCRIPTION_CHARS_MAX: usize = 400;
/// Words shorter than this say nothing about a workflow.
const WORD_CHARS_MIN: usize = 3;

/// Each node type in a line.
pub(super) fn types_in_short() -> String {
    let lines: Vec<String> = node_types()
        .iter()
        .map(|node_type| {
            let outputs: Vec<&str> = node_type.outputs.iter().map(|output| output.name).collect();
            format!(
                "- `{}`: {} Outputs: {}.",
                node_type.name,
                node_type.summary,
                outputs.join(", ")
            )
        })
        .collect();
    lines.join("\n")
}

/// These node types with everything that can be written into a workflow.
pub(super) fn types_in_full(chosen: &[&NodeType]) -> String {
    let blocks: Vec<String> = chosen.iter().map(|node_type| type_in_full(node_type)).collect();
    blocks.join("\n\n")
}

fn type_in_full(node_type: &NodeType) -> String {
    let mut text = format!("### {}\n{}\nParams:", node_type.name, node_type.summary);
    for param in node_type.params {
        let required = if param.required { ", required" } else { "" };
        let default = param
            .default
            .map_or_else(String::new, |default| format!(", default {default}"));
        let _ = write!(
            text,
            "\n- {} ({}{required}{default}): {}",
            param.name,
            param.value_type.as_str(),
            param.description
        );
    }
    if node_type.free_params {
        text.push_str("\n- any others too");
    }
    text.push_str("\nOutputs:");
    for output in node_type.outputs {
        let _ = write!(
            text,
            "\n- {} ({}): {}",
            output.name,
            output.value_type.as_str(),
            output.description
        );
    }
    if node_type.free_outputs {
        text.push_str("\n- the outputs of the workflow that it runs");
    }
    text
}

/// Saved workflows with what they take; of very many the nearest to the request.
pub(super) fn workflows(known: &[KnownWorkflow], request: &str) -> String {
    if known.is_empty() {
        return "(none)".to_owned();
    }
    let mut chosen: Vec<&KnownWorkflow> = known.iter().collect();
    if chosen.len() > WORKFLOWS_MAX {
        let words = words_of(request);
        // A stable sort: of those that are equally near the first by name stay.
        chosen.sort_by_key(|workflow| std::cmp::Reverse(nearness(workflow, &words)));
        chosen.truncate(WORKFLOWS_MAX);
    }
    let mut lines: Vec<String> = chosen.iter().map(|workflow| workflow_in_full(workflow)).collect();
    if known.len() > chosen.len() {
        lines.push(format!(
            "({} more that have less to do with the request)",
            known.len() - chosen.len()
        ));
    }
    lines.join("\n")
}

/// One saved workflow with its inputs.
pub(super) fn workflow_in_full(workflow: &KnownWorkflow) -> String {
    let mut text = format!("- `{}`", workflow.name);
    if let Some(description) = &workflow.description {
        let _ = write!(text, ": {}", shortened(description));
    }
    if !workflow.steps.is_empty() {
        let _ = write!(text, "\n  Steps: {}", shortened(&workflow.steps.join("; ")));
    }
    if !workflow.inputs.is_empty() {
        let inputs: Vec<String> = workflow.inputs.iter().map(input_in_short).collect();
        let _ = write!(text, "\n  Inputs: {}", inputs.join("; "));
    }
    text
}

fn input_in_short(input: &InputEntry) -> String {
    let mut text = format!("{} ({})", input.name, input.value_type.as_str());
    if let Some(description) = &input.description {
        let _ = write!(text, " {}", shortened(description));
    }
    text
}

/// Inputs, each in a line of its own.
pub(super) fn inputs(inputs: &[&InputEntry]) -> String {
    if inputs.is_empty() {
        return "(none)".to_owned();
    }
    let lines: Vec<String> = inputs
        .iter()
        .map(|input| {
            let need = match (&input.default, input.required) {
                (Some(default), _) => format!("default {default}"),
                (None, true) => "required".to_owned(),
                (None, false) => "optional".to_owned(),
            };
            let description = input
                .description
                .as_deref()
                .map_or_else(String::new, |text| format!(": {}", shortened(text)));
            format!(
                "- {} ({}, {need}){description}",
                input.name,
                input.value_type.as_str()
            )
        })
        .collect();
    lines.join("\n")
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= DESCRIPTION_CHARS_MAX {
        return line;
    }
    line.chars().take(DESCRIPTION_CHARS_MAX).chain(['…']).collect()
}

fn words_of(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.chars().count() >= WORD_CHARS_MIN)
        .map(str::to_lowercase)
        .collect()
}

/// How many words of the request a workflow has.
fn nearness(workflow: &KnownWorkflow, words: &[String]) -> usize {
    let mut text = workflow.name.to_lowercase();
    for part in workflow.description.iter().chain(&workflow.steps) {
        text.push(' ');
        text.push_str(&part.to_lowercase());
    }
    words.iter().filter(|word| text.contains(word.as_str())).count()
}
