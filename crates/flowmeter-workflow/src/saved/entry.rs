//! What is known of a saved workflow without validating it: the record that saving leaves, and what a glance at a
//! file that somebody changed or put there tells.
//!
//! Never says whether the workflow can run.

use flowmeter_model::TimestampNs;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::path::PathBuf;

use super::name::WorkflowName;
use crate::document::{InputEntry, OutputEntry, WorkflowDocument};
use crate::markdown::MarkdownSource;
use crate::nodes::workflow::{self as nested_node, WrittenPlace};
use crate::validate::Form;

/// A saved workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedEntry {
    /// Its name.
    pub name: WorkflowName,
    /// How its file is written.
    pub form: Form,
    /// The version, counted from 1; none for a file that was put into the folder by hand.
    #[serde(default)]
    pub version: Option<u64>,
    /// Whether the file is another one than the one that was saved.
    #[serde(default)]
    pub is_changed: bool,
    /// When it was saved.
    #[serde(default)]
    pub saved_ns: Option<TimestampNs>,
    /// The SHA-256 of the file that was saved.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The file that it was saved from.
    #[serde(default)]
    pub origin: Option<PathBuf>,
    /// The workflow's title.
    #[serde(default)]
    pub title: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// What it takes.
    #[serde(default)]
    pub inputs: Vec<SavedInput>,
    /// What it gives.
    #[serde(default)]
    pub outputs: Vec<SavedOutput>,
    /// How many nodes it has.
    #[serde(default)]
    pub nodes: usize,
    /// The saved workflows that it runs by name.
    #[serde(default)]
    pub uses: Vec<SmolStr>,
    /// The files that were saved along, relative to their folder.
    #[serde(default)]
    pub files: Vec<SavedFile>,
    /// Where relative paths in it start: this folder among those files.
    #[serde(default)]
    pub(super) folder: Option<String>,
}

/// An input of a saved workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedInput {
    /// Its name.
    pub name: SmolStr,
    /// What it holds: `string`, `number`, …
    #[serde(rename = "type")]
    pub value_type: SmolStr,
    /// Whether it must be given: it is required and has no default.
    pub required: bool,
    /// The value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub default: Option<Value>,
    /// What it is.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether piped standard input goes here.
    #[serde(default)]
    pub stdin: bool,
}

/// A default of `null` is a default.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// An output of a saved workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOutput {
    /// Its name.
    pub name: SmolStr,
    /// What it holds.
    #[serde(rename = "type")]
    pub value_type: SmolStr,
    /// What it is.
    #[serde(default)]
    pub description: Option<String>,
}

/// A file that a workflow needs and that was saved with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFile {
    /// Where it lies, relative to the version's files.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
}

impl Serialize for WorkflowName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for WorkflowName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl SavedEntry {
    /// An entry of which only the name is known.
    pub(super) fn named(name: WorkflowName, form: Form) -> Self {
        Self {
            name,
            form,
            version: None,
            is_changed: false,
            saved_ns: None,
            sha256: None,
            origin: None,
            title: None,
            description: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            nodes: 0,
            uses: Vec::new(),
            files: Vec::new(),
            folder: None,
        }
    }

    /// Takes over what a file says.
    pub(super) fn take(&mut self, head: Head) {
        self.title = head.title;
        self.description = head.description;
        self.inputs = head.inputs;
        self.outputs = head.outputs;
        self.nodes = head.nodes;
        self.uses = head.uses;
    }

    /// What it is for, on one line: the description, else the title.
    #[must_use]
    pub fn summary(&self) -> Option<&str> {
        let text = self.description.as_deref().or(self.title.as_deref())?;
        text.lines().map(str::trim).find(|line| !line.is_empty())
    }
}

/// What a workflow says of itself.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) inputs: Vec<SavedInput>,
    pub(super) outputs: Vec<SavedOutput>,
    pub(super) nodes: usize,
    pub(super) uses: Vec<SmolStr>,
}

impl Head {
    /// From a document that was read in full.
    pub(super) fn of_document(document: &WorkflowDocument) -> Self {
        let nested = document
            .nodes
            .iter()
            .filter(|node| node.node_type == nested_node::NAME);
        Self {
            title: document.title.clone(),
            description: document.description.clone(),
            inputs: document.inputs.iter().map(SavedInput::of).collect(),
            outputs: document.outputs.iter().map(SavedOutput::of).collect(),
            nodes: document.nodes.len(),
            uses: names_used(nested.filter_map(|node| node.params.as_object())),
        }
    }

    /// From a text, without reading more of it than is needed. What cannot be read says nothing.
    pub(super) fn of_text(form: Form, text: &str) -> Self {
        match form {
            Form::Json => serde_json::from_str::<Light>(text.trim_start_matches('\u{feff}'))
                .map(Light::head)
                .unwrap_or_default(),
            // Files that it names are not looked for.
            Form::Markdown => MarkdownSource::parse(text, None)
                .map(|(_, value)| Self::of_document(&WorkflowDocument::from_value(value)))
                .unwrap_or_default(),
        }
    }
}

impl SavedInput {
    fn of(input: &InputEntry) -> Self {
        Self {
            name: input.name.clone(),
            value_type: SmolStr::new_static(input.value_type.as_str()),
            required: input.required && input.default.is_none(),
            default: input.default.clone(),
            description: input.description.clone(),
            stdin: input.stdin,
        }
    }
}

impl SavedOutput {
    fn of(output: &OutputEntry) -> Self {
        Self {
            name: output.name.clone(),
            value_type: SmolStr::new_static(output.value_type.as_str()),
            description: output.description.clone(),
        }
    }
}

/// The saved workflows that nodes with these parameters run, each once.
fn names_used<'a>(params: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<SmolStr> {
    let mut names: Vec<SmolStr> = params
        .filter_map(|params| match nested_node::written_place(params) {
            Ok(WrittenPlace::Name(name)) => Some(SmolStr::new(name)),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The members of a JSON workflow that a glance needs; all others are passed over.
#[derive(Deserialize)]
struct Light {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    inputs: Map<String, Value>,
    #[serde(default)]
    outputs: Map<String, Value>,
    #[serde(default)]
    nodes: Vec<LightNode>,
}

#[derive(Deserialize)]
struct LightNode {
    #[serde(default, rename = "type")]
    node_type: SmolStr,
    #[serde(default, alias = "parameters")]
    params: LightParams,
}

#[derive(Default, Deserialize)]
struct LightParams {
    #[serde(default)]
    workflow_name: Option<Value>,
    #[serde(default)]
    workflow: Option<Value>,
}

impl Light {
    fn head(self) -> Head {
        let nested: Vec<Map<String, Value>> = self
            .nodes
            .iter()
            .filter(|node| node.node_type == nested_node::NAME)
            .map(|node| {
                let place = |name: &str, value: &Option<Value>| Some((name.to_owned(), value.clone()?));
                place("workflow_name", &node.params.workflow_name)
                    .into_iter()
                    .chain(place("workflow", &node.params.workflow))
                    .collect()
            })
            .collect();
        Head {
            title: self.title,
            description: self.description,
            inputs: self
                .inputs
                .iter()
                .filter_map(|(name, input)| Some(SavedInput::of(&InputEntry::read(name, input)?)))
                .collect(),
            outputs: self
                .outputs
                .iter()
                .filter_map(|(name, output)| Some(SavedOutput::of(&OutputEntry::read(name, output)?)))
                .collect(),
            nodes: self.nodes.len(),
            uses: names_used(nested.iter()),
        }
    }
}
