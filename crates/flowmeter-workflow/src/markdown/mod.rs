//! Markdown workflow files (`.pflow.md`, `.flow.md`): read into what a JSON workflow file says, each value with its
//! place in the Markdown; written from it; formatted.
//!
//! The structure is read by lines, not by a Markdown parser: parameters, continuation lines and fences have rules
//! of their own here, and every message needs the byte of each key and value. Validates nothing but that structure.

mod assemble;
mod edges;
mod entries;
mod located;
mod mask;
mod pieces;
mod references;
mod scalar;
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
    /// The files that were taken in.
    pub(crate) inlined: Vec<String>,
}

/// Whether a file of this name holds Markdown.
pub(crate) fn is_markdown(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".md") || name.ends_with(".markdown")
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
