//! Checks what a workflow declares: ids, inputs, outputs.
//!
//! Never looks at templates or edges.

use std::collections::HashMap;

use serde_json::Value;

use crate::document::WorkflowDocument;
use crate::inputs::coerce;
use crate::nodes::{find, llm, workflow};
use crate::problem::{Anchor, Findings, Severity, pointer_step};
use crate::template::kind_of;

/// Root keys that belong to the engine and its meter.
fn is_reserved(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

pub(super) fn check(document: &WorkflowDocument, findings: &mut Findings) {
    check_ids(document, findings);
    check_caches(document, findings);
    check_inputs(document, findings);
    check_outputs(document, findings);
}

fn check_ids(document: &WorkflowDocument, findings: &mut Findings) {
    let mut first: HashMap<&str, usize> = HashMap::with_capacity(document.nodes.len());
    for (position, node) in document.nodes.iter().enumerate() {
        let at = format!("{}/id", node.pointer);
        if let Some(earlier) = first.get(node.id.as_str()) {
            let message = format!("the node id `{}` is used twice", node.id);
            let help = format!("nodes[{earlier}] has it already; ids are unique");
            findings.add(Severity::Error, at, Anchor::Value, message, Some(help));
            continue;
        }
        first.insert(&node.id, position);
        // `__end__` is the schema's to refuse.
        if is_reserved(&node.id) && node.id != "__end__" {
            findings.error(at, Anchor::Value, format!("`{}` is a reserved id", node.id));
        } else if document.inputs.iter().any(|input| input.name == node.id) {
            let message = format!("`{}` is both a node and an input", node.id);
            let help = format!(
                "`${{{}.…}}` looks into the input first; rename one of them",
                node.id
            );
            findings.add(Severity::Warning, at, Anchor::Value, message, Some(help));
        }
    }
}

/// `cache` is of use to nodes that ask a model; elsewhere files have it for other programs, so they still run.
fn check_caches(document: &WorkflowDocument, findings: &mut Findings) {
    for node in &document.nodes {
        let is_wanted = node.cache.is_some_and(|cache| cache.enabled);
        if !is_wanted || node.node_type == llm::NAME || find(&node.node_type).is_none() {
            continue;
        }
        let message = format!(
            "`cache` has no effect on node type `{}`: only answers of `llm` nodes are used again",
            node.node_type
        );
        let help = (node.node_type == workflow::NAME)
            .then(|| "set it on the `llm` nodes of the nested workflow, or run with --cache".to_owned());
        let at = format!("{}/cache", node.pointer);
        findings.add(Severity::Warning, at, Anchor::Key, message, help);
    }
}

fn check_inputs(document: &WorkflowDocument, findings: &mut Findings) {
    let mut stdin: Option<&str> = None;
    for input in &document.inputs {
        let at = format!("/inputs/{}", pointer_step(&input.name));
        if is_reserved(&input.name) {
            findings.error(
                at.clone(),
                Anchor::Key,
                format!("`{}` is a reserved name", input.name),
            );
        }
        if let Some(default) = &input.default
            && !default.is_null()
            && coerce(default, input.value_type).is_none()
        {
            let message = format!(
                "the default of input `{}` is of type {}, but the input is of type {}",
                input.name,
                kind_of(default),
                input.value_type.as_str()
            );
            findings.error(format!("{at}/default"), Anchor::Value, message);
        }
        if input.stdin {
            match stdin {
                Some(other) => {
                    let message = "only one input can take standard input";
                    let help = format!("input `{other}` takes it already");
                    findings.add(
                        Severity::Error,
                        format!("{at}/stdin"),
                        Anchor::Key,
                        message,
                        Some(help),
                    );
                }
                None => stdin = Some(&input.name),
            }
        }
    }
}

fn check_outputs(document: &WorkflowDocument, findings: &mut Findings) {
    let mut stdout: Option<&str> = None;
    for output in &document.outputs {
        let at = format!("/outputs/{}", pointer_step(&output.name));
        if output.stdout {
            match stdout {
                Some(other) => {
                    let message = "only one output can be printed";
                    let help = format!("output `{other}` is printed already");
                    findings.add(
                        Severity::Error,
                        format!("{at}/stdout"),
                        Anchor::Key,
                        message,
                        Some(help),
                    );
                }
                None => stdout = Some(&output.name),
            }
        }
        if output.source.is_none() {
            let message = format!("output `{}` has no `source`", output.name);
            let help = "say where it comes from: \"source\": \"${node.key}\"".to_owned();
            findings.add(Severity::Warning, at, Anchor::Key, message, Some(help));
        }
    }
}

/// Whether the JSON value can be of a type at all: a template can be of any.
pub(super) fn may_be_template(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${"))
}
