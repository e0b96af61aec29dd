//! Workflow files from one form to the other, and into the house style of their own.
//!
//! Loses nothing unsaid: what the other form has no place for is refused or told. Never writes a file.

use std::path::Path;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::markdown::{self, Inexpressible};
use crate::problem::{Findings, InvalidWorkflow};
use crate::schema::messages::check_shape;
use crate::validate::{Form, Written};

/// A workflow file in another form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The text.
    pub text: String,
    /// What is not in it, and what came into it from elsewhere.
    pub notes: Vec<String>,
}

/// Why a workflow file cannot be converted or formatted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// The text is no workflow of the form that it is in.
    #[error(transparent)]
    Invalid(#[from] InvalidWorkflow),
    /// The other form has no place for something that the workflow says.
    #[error("this workflow cannot be written as Markdown without loss; change in it:\n  {}", what.join("\n  "))]
    Inexpressible {
        /// Each thing.
        what: Vec<String>,
    },
    /// Formatting would change what the file means.
    #[error("this file cannot be formatted without changing what it means; please report it")]
    Unformattable,
}

/// Converts a workflow file. Files that Markdown names are looked for in `folder` and taken in.
///
/// Only the shape of the workflow is checked: what does not fit together may be converted.
///
/// # Errors
/// [`ConvertError`]; everything that is in the way at once.
pub fn convert(text: &str, from: Form, to: Form, folder: &Path) -> Result<Converted, ConvertError> {
    let (value, mut notes) = read(text, from, Some(folder))?;
    let text = match to {
        Form::Json => pretty(&in_order(value)),
        Form::Markdown => markdown::to_markdown(&value)
            .map_err(|Inexpressible(what)| ConvertError::Inexpressible { what })?,
    };
    if from == to {
        notes.clear();
    }
    Ok(Converted { text, notes })
}

/// A workflow file in the house style of its form; its meaning, and in Markdown its prose, comments and order stay.
///
/// # Errors
/// [`ConvertError`], also for a text that is no workflow.
pub fn format(text: &str, form: Form) -> Result<String, ConvertError> {
    let (value, _) = read(text, form, None)?;
    match form {
        Form::Json => Ok(pretty(&value)),
        Form::Markdown => markdown::formatted(text).ok_or(ConvertError::Unformattable),
    }
}

fn read(text: &str, form: Form, folder: Option<&Path>) -> Result<(Value, Vec<String>), ConvertError> {
    let invalid = |problems| InvalidWorkflow { file: None, problems };
    let (source, value) = Written::parse(text, form, folder).map_err(invalid)?;
    let mut findings = Findings::default();
    source.find_duplicate_keys(&mut findings);
    check_shape(&value, &mut findings);
    let has_errors = findings.has_errors() || source.has_errors();
    if has_errors {
        return Err(invalid(source.locate(findings.0)).into());
    }
    Ok((value, source.into_notes()))
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// The members in the order in which people look for them; what says nothing is left out.
fn in_order(value: Value) -> Value {
    const FIRST: [&str; 12] = [
        "$schema",
        "ir_version",
        "title",
        "description",
        "inputs",
        "start_node",
        "nodes",
        "edges",
        "outputs",
        "enable_namespacing",
        "template_resolution_mode",
        "budget",
    ];
    let Value::Object(mut top) = value else {
        return value;
    };
    top.entry("ir_version").or_insert_with(|| Value::from("0.1.0"));
    for node in top
        .get_mut("nodes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let is_empty = |node: &Map<String, Value>| {
            let params = node.get("params").and_then(Value::as_object);
            params.is_some_and(Map::is_empty)
        };
        if let Some(node) = node.as_object_mut()
            && is_empty(node)
        {
            node.shift_remove("params");
        }
    }
    let mut ordered = Map::new();
    for key in FIRST {
        if let Some(member) = top.remove(key) {
            ordered.insert(key.to_owned(), member);
        }
    }
    ordered.extend(top);
    Value::Object(ordered)
}
