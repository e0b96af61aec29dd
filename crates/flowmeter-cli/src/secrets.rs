//! The secrets of a run: what the environment, the inputs and the workflow files hold under names that say so.
//!
//! Never decides which name says secret, and never masks anything: both are the library's.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use flowmeter::is_secret_name;
use flowmeter_workflow::{Workflow, WorkflowDocument};
use serde_json::{Map, Value};

/// Variables whose names say secret to a machine, though everybody knows that they hold a folder.
const FOLDER_VARIABLES: &[&str] = &["PWD", "OLDPWD"];
/// Words that stand before the secret in a header.
const SCHEMES: &[&str] = &["bearer", "basic", "token", "apikey", "api-key", "key", "bot"];
/// How long all values may be together; they are kept in memory and compared.
const SECRET_BYTES_MAX: usize = 1024 * 1024;
/// What begins a template.
const TEMPLATE: &str = "${";

/// Secret values, each once.
#[derive(Debug, Default)]
pub(crate) struct Secrets(BTreeSet<String>);

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Given for this run: it is what it is.
    Given,
    /// Written in a workflow file, where a text may be a template.
    Written,
}

impl Secrets {
    /// The values for the redactor, the shortest first, and how many are too long for it.
    pub(crate) fn into_values(self) -> (Vec<String>, usize) {
        let mut values: Vec<String> = self.0.into_iter().collect();
        values.sort_by_key(String::len);
        let all = values.len();
        let mut bytes = 0;
        values.retain(|value| {
            bytes += value.len();
            bytes <= SECRET_BYTES_MAX
        });
        let too_long = all - values.len();
        (values, too_long)
    }

    /// Takes the variables whose names say secret, unless their values cannot be meant to be one.
    pub(crate) fn take_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        for (name, value) in variables {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else {
                continue;
            };
            let is_secret = is_secret_name(&name) && !FOLDER_VARIABLES.contains(&name.as_str());
            if is_secret && !is_setting(&value) {
                self.take_text(&value);
            }
        }
    }

    /// Takes what the run is given under secret names, wherever it comes from.
    pub(crate) fn take_inputs(&mut self, inputs: &Map<String, Value>) {
        self.take_members(inputs, false, Place::Given);
    }

    /// Takes what a workflow file says under secret names, and the workflows nested in it as far as their paths are
    /// written out.
    pub(crate) fn take_workflow(&mut self, workflow: &Workflow) {
        self.take_document(workflow.document());
        let mut seen = HashSet::new();
        let mut nested: Vec<&Arc<Workflow>> = workflow.children().values().collect();
        while let Some(child) = nested.pop() {
            // One that is nested in several places is there once.
            if seen.insert(Arc::as_ptr(child)) {
                self.take_document(child.document());
                nested.extend(child.children().values());
            }
        }
    }

    /// Takes what one file says.
    fn take_document(&mut self, document: &WorkflowDocument) {
        for input in &document.inputs {
            if let Some(default) = &input.default {
                self.take(default, is_secret_name(&input.name), Place::Written);
            }
        }
        for node in &document.nodes {
            self.take(&node.params, false, Place::Written);
            if let Some(batch) = &node.batch {
                self.take(&batch.items, is_secret_name(&batch.alias), Place::Written);
            }
            for (name, value) in node.repeat.iter().flat_map(|repeat| &repeat.carry) {
                self.take(value, is_secret_name(name), Place::Written);
            }
        }
    }

    /// What stands under a secret name is secret all the way down.
    fn take(&mut self, value: &Value, is_secret: bool, place: Place) {
        match value {
            Value::Object(members) => self.take_members(members, is_secret, place),
            Value::Array(elements) => {
                for element in elements {
                    self.take(element, is_secret, place);
                }
            }
            // A template's value is taken from where it comes from.
            Value::String(text) if is_secret && (place == Place::Given || !text.contains(TEMPLATE)) => {
                self.take_text(text);
            }
            Value::Number(number) if is_secret && place == Place::Given => {
                self.take_text(&number.to_string());
            }
            _ => {}
        }
    }

    fn take_members(&mut self, members: &Map<String, Value>, is_secret: bool, place: Place) {
        for (name, member) in members {
            self.take(member, is_secret || is_secret_name(name), place);
        }
    }

    /// Takes a text, and what stands in it behind the name of a scheme.
    fn take_text(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some((scheme, secret)) = text.split_once(char::is_whitespace)
            && SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        {
            self.0.insert(secret.trim_start().to_owned());
        }
        self.0.insert(text.to_owned());
    }
}

/// Whether a variable's value switches, counts or points at something: masking it would spoil every text.
fn is_setting(value: &str) -> bool {
    let value = value.trim();
    let path = Path::new(value);
    value.parse::<f64>().is_ok()
        || ["true", "false", "yes", "no", "on", "off"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word))
        || (path.is_absolute() && path.is_dir())
}

#[cfg(test)]
mod tests;
