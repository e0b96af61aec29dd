//! Markdown workflow files (`.pflow.md`, `.flow.md`): read into what a JSON workflow file says, each value with its
//! place in the Markdown; written from it; formatted.
//!
//! The structure is read by lines, not by a Markdown parser: parameters, continuation lines and fences have rules
//! of their own here, and every message needs the byte of each key and value. Validates nothing but that structure.

mod assemble;
mod edges;
mod emit;
mod entries;
mod format;
mod located;
mod mask;
mod pieces;
mod references;
mod scalar;
mod write;
mod yaml;

use std::path::Path;

use serde_json::Value;

use crate::problem::{Finding, Problem, Severity};
use located::{Located, Spot};

/// A Markdown text with its places.
pub(crate) struct MarkdownSource<'a> {
    text: &'a str,
    spot: Spot,
    problems: Vec<(usize, Severity, String, Option<String>)>,
    broken: Vec<assemble::Broken>,
    line_starts: Vec<usize>,
    /// What JSON has no place for, and which files were taken in.
    pub(crate) notes: Vec<String>,
    /// The files that were taken in, as they are named.
    pub(crate) inlined: Vec<String>,
}

/// Whether a file of this name holds Markdown.
pub(crate) fn is_markdown(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".md") || name.ends_with(".markdown")
}

/// Why a workflow cannot be written as Markdown: each thing that has no place there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inexpressible(pub(crate) Vec<String>);

/// A workflow as Markdown. What is read from the text again is the same, or this fails and says why.
pub(crate) fn to_markdown(workflow: &Value) -> Result<String, Inexpressible> {
    let text = write::write(workflow).map_err(Inexpressible)?;
    let again = match MarkdownSource::parse(&text, None) {
        Ok((source, again)) if !source.has_errors() => again,
        Ok((source, _)) => return Err(unreadable(&source.locate(Vec::new()))),
        Err(problems) => return Err(unreadable(&problems)),
    };
    let (wanted, found) = (canonical(workflow.clone()), canonical(again));
    if wanted == found {
        return Ok(text);
    }
    let mut differing = Vec::new();
    differences(&wanted, &found, String::new(), &mut differing);
    Err(Inexpressible(differing))
}

fn unreadable(problems: &[Problem]) -> Inexpressible {
    Inexpressible(problems.iter().map(ToString::to_string).collect())
}

/// A workflow in the one form of several that mean the same: defaults left out, edges in an order of their own.
pub(crate) fn canonical(mut workflow: Value) -> Value {
    let Some(top) = workflow.as_object_mut() else {
        return workflow;
    };
    let edges: Vec<Value> = write::plain_edges(top.get("edges"))
        .into_iter()
        .map(|(from, to, action)| serde_json::json!([from, to, action]))
        .collect();
    top.insert("edges".to_owned(), Value::Array(edges));
    if top.get("ir_version").is_some_and(|version| version == "0.1.0") {
        top.remove("ir_version");
    }
    for key in ["inputs", "outputs"] {
        if top
            .get(key)
            .and_then(Value::as_object)
            .is_some_and(serde_json::Map::is_empty)
        {
            top.remove(key);
        }
    }
    for node in top
        .get_mut("nodes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(node) = node.as_object_mut() {
            let params = node.remove("parameters").or_else(|| node.remove("params"));
            let params = params.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            node.insert("params".to_owned(), params);
        }
    }
    workflow
}

/// Where two values differ, the innermost places.
fn differences(wanted: &Value, found: &Value, at: String, differing: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (name, member) in wanted {
                let other = found.get(name).unwrap_or(&Value::Null);
                differences(
                    member,
                    other,
                    format!("{at}/{}", crate::problem::pointer_step(name)),
                    differing,
                );
            }
            for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
                differing.push(format!("{at}/{name} would be added"));
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                differences(wanted, found, format!("{at}/{index}"), differing);
            }
        }
        (wanted, found) if wanted == found => {}
        (wanted, found) => differing.push(format!("{at}: {wanted} would become {found}")),
    }
}

/// The text in the house style. `None` where it is not readable, or where that would change what it means.
pub(crate) fn formatted(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let meaning = |text: &str| match MarkdownSource::parse(text, None) {
        Ok((source, value)) if !source.has_errors() => Some(value),
        _ => None,
    };
    let before = meaning(text)?;
    let formatted = format::format(text);
    (meaning(&formatted)? == before).then_some(formatted)
}

impl<'a> MarkdownSource<'a> {
    /// Reads the text; a byte order mark in front is ignored. Files that values name are looked for in `folder`,
    /// and stay names without one.
    ///
    /// The problems alone where the text lacks what nothing more can be said without.
    pub(crate) fn parse(text: &'a str, folder: Option<&Path>) -> Result<(Self, Value), Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        let assembled = assemble::assemble(text, folder);
        let (top, mut complaints) = (assembled.top, assembled.complaints);
        if text.trim().is_empty() {
            let help = "a workflow file has a section `## Steps` with a `### step` below it";
            complaints = vec![yaml::Complaint::new(0, "the file is empty", help)];
        }
        let mut source = Self {
            text,
            spot: Spot::default(),
            problems: complaints
                .into_iter()
                .map(|complaint| {
                    (
                        complaint.offset,
                        complaint.severity,
                        complaint.message,
                        complaint.help,
                    )
                })
                .collect(),
            broken: assembled.broken,
            line_starts,
            notes: assembled.notes,
            inlined: assembled.inlined,
        };
        match top {
            Some(Located { value, spot }) => {
                source.spot = spot;
                Ok((source, value))
            }
            None => Err(source.locate(Vec::new())),
        }
    }

    /// Whether the structure itself has errors.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|(_, severity, ..)| *severity == Severity::Error)
    }

    /// Gives each finding its place and puts the problems of the structure beside them, sorted.
    pub(crate) fn locate(&self, findings: Vec<Finding>) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .problems
            .iter()
            .map(|(offset, severity, message, help)| {
                self.problem(*offset, *severity, message.clone(), help.clone(), String::new())
            })
            .collect();
        for finding in findings {
            if assemble::is_broken(&self.broken, &finding.pointer) {
                continue;
            }
            let offset = located::offset_of(&self.spot, &finding.pointer, finding.anchor);
            let help = self.help(&finding);
            problems.push(self.problem(offset, finding.severity, finding.message, help, finding.pointer));
        }
        problems.sort();
        problems.dedup_by(|later, earlier| {
            later.line == earlier.line && later.column == earlier.column && later.message == earlier.message
        });
        problems
    }

    /// What to write, in this form instead of JSON.
    fn help(&self, finding: &Finding) -> Option<String> {
        let message = finding.message.as_str();
        if message == "a node needs `type`" {
            let types: Vec<&str> = crate::nodes::node_types()
                .iter()
                .map(|node_type| node_type.name)
                .collect();
            return Some(format!(
                "write `- type: shell`; node types: {}",
                crate::names::list(types)
            ));
        }
        let help = finding.help.as_deref()?;
        if message.starts_with("the node id `")
            && let Some(index) = help
                .strip_prefix("nodes[")
                .and_then(|rest| rest.split(']').next())
        {
            let pointer = format!("/nodes/{index}/id");
            let first = located::offset_of(&self.spot, &pointer, crate::problem::Anchor::Value);
            let (line, _) = self.line_and_column(first);
            return Some(format!("line {line} has it already; ids are unique"));
        }
        if message.starts_with("output `") && message.ends_with("has no `source`") {
            return Some("say where it comes from: `- source: ${node.key}`".to_owned());
        }
        Some(help.to_owned())
    }

    fn problem(
        &self,
        offset: usize,
        severity: Severity,
        message: String,
        help: Option<String>,
        pointer: String,
    ) -> Problem {
        let (line, column) = self.line_and_column(offset);
        Problem {
            line,
            column,
            severity,
            message,
            help,
            pointer,
        }
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line.saturating_sub(1)];
        (line.max(1), self.text[start..offset].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests;
