//! Checks the workflows nested in a workflow: that their files are there and valid, that they do not run
//! each other in a circle, and that they are given the inputs they declare.
//!
//! Never runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::declarations::may_be_template;
use super::{CheckedWorkflow, Checker};
use crate::document::{NodeEntry, WorkflowDocument};
use crate::inputs::coerce;
use crate::names;
use crate::nodes::workflow as nested_node;
use crate::problem::{Anchor, Findings, Problem, Severity, pointer_step};
use crate::run::LoadError;
use crate::saved;
use crate::template::kind_of;

/// The parameters that say which workflow it is.
const PLACE_PARAMS: [&str; 3] = ["workflow_path", "workflow_name", "workflow"];

pub(super) fn check(
    checker: &mut Checker,
    document: &WorkflowDocument,
    folder: &Path,
    findings: &mut Findings,
) -> BTreeMap<SmolStr, Arc<CheckedWorkflow>> {
    let mut children = BTreeMap::new();
    for node in document
        .nodes
        .iter()
        .filter(|node| node.node_type == nested_node::NAME)
    {
        let Some(params) = node.params_object() else {
            continue;
        };
        // Which file a template comes to is known in the run only.
        if PLACE_PARAMS
            .iter()
            .any(|name| params.get(*name).is_some_and(may_be_template))
        {
            continue;
        }
        let Some(child) = load(checker, node, params, folder, findings) else {
            continue;
        };
        check_inputs(node, params, &child, findings);
        children.insert(node.id.clone(), child);
    }
    children
}

fn load(
    checker: &mut Checker,
    node: &NodeEntry,
    params: &Map<String, Value>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<Arc<CheckedWorkflow>> {
    let at = match PLACE_PARAMS.iter().find(|name| params.contains_key(**name)) {
        Some(name) => node.param_pointer(name),
        None => node.pointer.clone(),
    };
    let path = match nested_node::place_of(params, folder, checker.saved_workflows.as_deref()) {
        Ok(path) => path,
        Err(message) => {
            findings.error(at, Anchor::Value, message);
            return None;
        }
    };
    if let Ok(file) = checker.identity(&path) {
        if let Some(message) = circle(checker, &file) {
            findings.error(at, Anchor::Value, message);
            return None;
        }
        if let Some(known) = checker.done.get(&file) {
            return match known {
                Ok(child) => Some(Arc::clone(child)),
                Err(invalid) => {
                    report_invalid(&path, &invalid.clone(), at, findings);
                    None
                }
            };
        }
    }
    match checker.check_path(&path) {
        Ok(child) => {
            let child = Arc::new(child);
            if let Some(file) = &child.file {
                checker.done.insert(file.clone(), Ok(Arc::clone(&child)));
            }
            Some(child)
        }
        Err(LoadError::Invalid(invalid)) => {
            report_invalid(&path, &invalid, at, findings);
            if let Ok(file) = checker.identity(&path) {
                checker.done.insert(file, Err(invalid));
            }
            None
        }
        Err(LoadError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let (message, help) = missing(&path, checker.saved_workflows.as_deref());
            findings.add(Severity::Error, at, Anchor::Value, message, help);
            None
        }
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            findings.error(at, Anchor::Value, format!("{error}{cause}"));
            None
        }
    }
}

/// That there is no such file, and what other workflow files its folder has, the nearest name first.
fn missing(path: &Path, saved_workflows: Option<&Path>) -> (String, Option<String>) {
    if let Some(saved) = saved_workflows
        && path.parent() == Some(saved)
    {
        let wanted = saved::stem(path).unwrap_or_default();
        let help = saved::names_near(saved, &wanted)
            .unwrap_or_else(|| "nothing is saved yet; `flowmeter save FILE` saves a workflow".to_owned());
        return (format!("there is no saved workflow `{wanted}`"), Some(help));
    }
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut found: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| saved::is_workflow_file(Path::new(name)))
        .collect();
    found.sort();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let help = names::suggestion(&wanted, &found, "in that folder");
    (format!("there is no workflow file `{}`", path.display()), help)
}

fn report_invalid(
    path: &Path,
    invalid: &crate::problem::InvalidWorkflow,
    at: String,
    findings: &mut Findings,
) {
    let count = invalid.error_count();
    let problems = if count == 1 { "a problem" } else { "problems" };
    let message = format!("the nested workflow `{}` has {problems}", path.display());
    let mut lines = Vec::new();
    for problem in &invalid.problems {
        lines.push(match &problem.help {
            // What is wrong further in is said once, not once more for every level around it.
            Some(inner) if is_report(&problem.message) => inner.clone(),
            Some(help) => format!("{}; {help}", placed(path, problem)),
            None => placed(path, problem),
        });
    }
    findings.add(
        Severity::Error,
        at,
        Anchor::Value,
        message,
        Some(lines.join("\n")),
    );
}

/// Whether a message says no more than that a nested workflow has problems.
fn is_report(message: &str) -> bool {
    message.starts_with("the nested workflow `")
        && (message.ends_with("` has a problem") || message.ends_with("` has problems"))
}

/// A problem of another file on one line, without its help.
fn placed(path: &Path, problem: &Problem) -> String {
    let Problem {
        line,
        column,
        severity,
        message,
        ..
    } = problem;
    format!("{}:{line}:{column}: {severity}: {message}", path.display())
}

/// What to say where `file` is one of the files around it.
pub(super) fn circle(checker: &Checker, file: &Path) -> Option<String> {
    let chain = &checker.chain;
    let first = chain.iter().position(|outer| outer == file);
    if first.is_none() && chain.len() >= nested_node::DEPTH_MAX {
        return Some(format!(
            "workflows are nested more than {} deep",
            nested_node::DEPTH_MAX
        ));
    }
    let shown: Vec<String> = chain[first?..]
        .iter()
        .map(PathBuf::as_path)
        .chain([file])
        .map(|path| checker.shown(path))
        .collect();
    Some(format!("the workflow runs itself: {}", shown.join(" → ")))
}

fn check_inputs(
    node: &NodeEntry,
    params: &Map<String, Value>,
    child: &CheckedWorkflow,
    findings: &mut Findings,
) {
    let empty = Map::new();
    let given = match params.get("inputs") {
        Some(Value::Object(given)) => given,
        Some(_) => return,
        None => &empty,
    };
    let at = if params.contains_key("inputs") {
        node.param_pointer("inputs")
    } else {
        node.pointer.clone()
    };
    let declared: Vec<&str> = child
        .document
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    for (name, value) in given {
        let here = format!("{at}/{}", pointer_step(name));
        let Some(input) = child.document.inputs.iter().find(|input| input.name == *name) else {
            let message = format!("the nested workflow `{}` has no input `{name}`", child.name);
            let help = names::suggestion(name, &declared, "its inputs")
                .unwrap_or_else(|| "it takes none".to_owned());
            findings.add(Severity::Error, here, Anchor::Key, message, Some(help));
            continue;
        };
        if !may_be_template(value) && !value.is_null() && coerce(value, input.value_type).is_none() {
            let message = format!(
                "input `{name}` of the nested workflow `{}` is of type {}, not {}",
                child.name,
                input.value_type.as_str(),
                kind_of(value)
            );
            findings.error(here, Anchor::Value, message);
        }
    }
    let carried = |name: &str| {
        node.repeat
            .as_ref()
            .is_some_and(|repeat| repeat.carry.iter().any(|(carried, _)| carried == name))
    };
    for input in &child.document.inputs {
        let name = input.name.as_str();
        if input.required && input.default.is_none() && !given.contains_key(name) {
            let first = if carried(name) { " in the first round" } else { "" };
            let message = format!(
                "the nested workflow `{}` needs the input `{name}`{first}",
                child.name
            );
            let help = input
                .description
                .as_ref()
                .map(|text| format!("`{name}` ({}): {text}", input.value_type.as_str()));
            findings.add(Severity::Error, at.clone(), Anchor::Key, message, help);
        }
    }
}
