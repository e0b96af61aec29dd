//! The workflows that are saved already, as the planner sees them.
//!
//! Never saves or changes one: that is the store's work.

use std::path::{Path, PathBuf};

use crate::document::{InputEntry, Source, WorkflowDocument, value_type_named};
use crate::nodes::ValueType;
use crate::saved::{SavedEntry, SavedReference, SavedWorkflows};

/// A saved workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownWorkflow {
    /// Its name.
    pub name: String,
    /// What it is for, where somebody wrote that down.
    pub description: Option<String>,
    /// What its nodes are for, in the order of the file.
    pub steps: Vec<String>,
    /// What it takes.
    pub inputs: Vec<InputEntry>,
    /// Its file.
    pub path: PathBuf,
}

impl KnownWorkflow {
    /// What a document says of itself.
    #[must_use]
    pub fn of_document(
        name: impl Into<String>,
        document: &WorkflowDocument,
        path: impl Into<PathBuf>,
    ) -> Self {
        let steps = document.nodes.iter().map(|node| match &node.purpose {
            Some(purpose) => format!("{} ({})", purpose.trim().trim_end_matches('.'), node.node_type),
            None => format!("{} ({})", node.id, node.node_type),
        });
        Self {
            name: name.into(),
            description: None,
            steps: steps.collect(),
            inputs: document.inputs.clone(),
            path: path.into(),
        }
    }
}

/// Where saved workflows are found.
pub trait KnownWorkflows: Send + Sync + 'static {
    /// All of them, by name. One that cannot be read is left out.
    fn list(&self) -> Vec<KnownWorkflow>;
}

/// No workflow at all.
impl KnownWorkflows for () {
    fn list(&self) -> Vec<KnownWorkflow> {
        Vec::new()
    }
}

impl KnownWorkflows for SavedWorkflows {
    fn list(&self) -> Vec<KnownWorkflow> {
        let entries = Self::list(self).unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|entry| self.known(entry))
            .collect()
    }
}

impl SavedWorkflows {
    fn known(&self, entry: SavedEntry) -> Option<KnownWorkflow> {
        let inputs = entry.inputs.into_iter().map(|input| InputEntry {
            name: input.name,
            description: input.description,
            required: input.required,
            value_type: value_type_named(&input.value_type).unwrap_or(ValueType::Any),
            default: input.default,
            stdin: input.stdin,
        });
        let about = [entry.title, entry.description].into_iter().flatten();
        let about = about.collect::<Vec<_>>().join(". ");
        Some(KnownWorkflow {
            name: entry.name.to_string(),
            description: (!about.is_empty()).then_some(about),
            steps: Vec::new(),
            inputs: inputs.collect(),
            path: self.file(&SavedReference::from(entry.name)).ok()?,
        })
    }
}

/// A folder of workflow files, each named after its workflow.
#[derive(Clone, Debug)]
pub struct WorkflowFolder(PathBuf);

impl WorkflowFolder {
    /// The workflows in this folder; it need not be there.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }
}

impl KnownWorkflows for WorkflowFolder {
    fn list(&self) -> Vec<KnownWorkflow> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut known: Vec<KnownWorkflow> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| read(&path))
            .collect();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        known
    }
}

/// What a file says, as far as it can be read; whether it is valid is looked at when it is chosen.
fn read(path: &Path) -> Option<KnownWorkflow> {
    let name = path.file_stem()?.to_str()?;
    let text = std::fs::read_to_string(path).ok()?;
    let (_, value) = Source::parse(&text).ok()?;
    let document = WorkflowDocument::from_value(value);
    (!document.nodes.is_empty()).then(|| KnownWorkflow::of_document(name, &document, path))
}
