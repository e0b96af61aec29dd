//! What is wrong with a workflow file: each problem with its place, and all of them together.
//!
//! Never looks for problems itself and never reads a file.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Whether a problem keeps the workflow from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// The workflow runs, though probably not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column, counted in characters, from 1.
    pub column: usize,
    /// Whether it keeps the workflow from running.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it: the nearest valid name, what is available.
    pub help: Option<String>,
    /// The JSON Pointer of the value.
    pub pointer: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.line, self.column, self.severity, self.message
        )?;
        if let Some(help) = &self.help {
            for line in help.lines() {
                write!(f, "\n    help: {line}")?;
            }
        }
        Ok(())
    }
}

/// A workflow that cannot run, with everything that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct InvalidWorkflow {
    /// The file, where the text came from one.
    pub file: Option<PathBuf>,
    /// All problems, warnings among them.
    pub problems: Vec<Problem>,
}

impl InvalidWorkflow {
    /// How many problems keep the workflow from running.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }
}

impl fmt::Display for InvalidWorkflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match &self.file {
                Some(file) => write!(f, "{}:{problem}", file.display())?,
                None => write!(f, "{problem}")?,
            }
        }
        Ok(())
    }
}

/// What a problem is pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The value itself.
    Value,
    /// The key of the value.
    Key,
    /// The byte at this offset of the value, which is a text.
    Text(usize),
}

/// A problem before its place is known.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) pointer: String,
    pub(crate) anchor: Anchor,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Gathers problems.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, pointer: impl Into<String>, anchor: Anchor, message: impl Into<String>) {
        self.add(Severity::Error, pointer, anchor, message, None);
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        pointer: impl Into<String>,
        anchor: Anchor,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.0.push(Finding {
            severity,
            pointer: pointer.into(),
            anchor,
            message: message.into(),
            help,
        });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// A name as a step of a JSON Pointer.
pub(crate) fn pointer_step(name: &str) -> String {
    if name.contains(['~', '/']) {
        name.replace('~', "~0").replace('/', "~1")
    } else {
        name.to_owned()
    }
}
