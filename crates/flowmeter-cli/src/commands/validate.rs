//! `flowmeter validate`: every problem of every file, with its place.
//!
//! Never runs a workflow, asks a model or opens a connection.

use std::path::Path;

use anyhow::{Error, Result};
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::{InvalidWorkflow, LoadError, Problem, Severity};
use serde_json::{Value, json};

use super::{run, settings, told};
use crate::args::{OutputFormat, ValidateArgs};
use crate::exit::{self, Exit};
use crate::home::Home;
use crate::output::Output;

/// What became of one file.
struct Checked<'a> {
    file: &'a Path,
    problems: Vec<Problem>,
    /// Why it could not be checked at all.
    error: Option<Error>,
}

impl Checked<'_> {
    fn is_valid(&self) -> bool {
        self.error.is_none()
            && self
                .problems
                .iter()
                .all(|problem| problem.severity == Severity::Warning)
    }

    fn exit(&self) -> Exit {
        match &self.error {
            Some(error) => exit::of_error(error).0,
            None if self.is_valid() => Exit::Success,
            None => Exit::Invalid,
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "file": self.file,
            "valid": self.is_valid(),
            "problems": self.problems.iter().map(problem_json).collect::<Vec<_>>(),
            "error": self.error.as_ref().map(told),
        })
    }
}

/// Checks the files and prints what was found.
pub(super) fn run(args: &ValidateArgs, home: &Home, output: &Output) -> Result<Exit> {
    let config = settings(home)?;
    let checked: Vec<Checked<'_>> = args
        .files
        .iter()
        .map(|file| match run::load(file, &config, home, Caching::default()) {
            Ok(workflow) => Checked {
                file,
                problems: workflow.warnings().to_vec(),
                error: None,
            },
            Err(error) => match invalid_workflow(&error) {
                Some(invalid) => Checked {
                    file,
                    problems: invalid.problems.clone(),
                    error: None,
                },
                None => Checked {
                    file,
                    problems: Vec::new(),
                    error: Some(error),
                },
            },
        })
        .collect();
    let format = args.output_format.unwrap_or(config.output_format);
    match format {
        OutputFormat::Json => {
            let files: Vec<Value> = checked.iter().map(Checked::as_json).collect();
            let valid = checked.iter().all(Checked::is_valid);
            output.json(&json!({ "valid": valid, "files": files }))?;
        }
        OutputFormat::Text => output.text(&checked.iter().map(text_of).collect::<String>())?,
    }
    // A file that is not there is worse than one that is wrong: nothing was said about it.
    let worst = checked.iter().map(Checked::exit).max_by_key(|exit| exit.code());
    Ok(worst.unwrap_or(Exit::Success))
}

fn text_of(checked: &Checked<'_>) -> String {
    let file = checked.file.display();
    let mut text = String::new();
    if let Some(error) = &checked.error {
        text.push_str(&format!("{file}: error: {}\n", told(error)));
    }
    for problem in &checked.problems {
        text.push_str(&format!("{file}:{problem}\n"));
    }
    if checked.is_valid() {
        text.push_str(&format!("{file}: ok\n"));
    }
    text
}

/// The problems behind an error, where it is about an invalid workflow.
pub(crate) fn invalid_workflow(error: &Error) -> Option<&InvalidWorkflow> {
    error
        .chain()
        .find_map(|cause| match cause.downcast_ref::<LoadError>() {
            Some(LoadError::Invalid(invalid)) => Some(invalid),
            _ => None,
        })
}

/// A problem for programs.
pub(crate) fn problem_json(problem: &Problem) -> Value {
    json!({
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity.to_string(),
        "message": problem.message,
        "help": problem.help,
        "pointer": problem.pointer,
    })
}
