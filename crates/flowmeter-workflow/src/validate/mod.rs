//! Everything that is wrong with a workflow file, found before anything runs and reported at once.
//!
//! The schema says what has the wrong shape; the modules here say what does not fit together: names, edges,
//! templates, nested files. Reads nested workflow files; runs nothing.

mod children;
mod declarations;
mod graph;
mod references;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::document::{NodeEntry, ResolutionMode, Source, WorkflowDocument};
use crate::nodes::{NodeType, find};
use crate::problem::{Findings, InvalidWorkflow, Problem, Severity};
use crate::run::LoadError;
use crate::schema::messages::check_shape;

/// A workflow file without errors.
#[derive(Debug)]
pub struct CheckedWorkflow {
    /// Its name: the file's, without the extension.
    pub name: SmolStr,
    /// The file, where the text came from one.
    pub file: Option<PathBuf>,
    /// The folder that relative paths in it start from.
    pub folder: PathBuf,
    /// What it says.
    pub document: Arc<WorkflowDocument>,
    /// What is odd about it, though it can run.
    pub warnings: Vec<Problem>,
    /// The workflows nested in it, by the id of the node that runs them.
    pub(crate) children: BTreeMap<SmolStr, Arc<CheckedWorkflow>>,
}

/// Checks a workflow file, with every workflow nested in it. `saved_workflows` is where `workflow_name` is
/// looked up.
///
/// # Errors
/// [`LoadError::Unreadable`], or [`LoadError::Invalid`] with everything that is wrong.
pub fn check_file(path: &Path, saved_workflows: Option<&Path>) -> Result<CheckedWorkflow, LoadError> {
    let mut checker = Checker::new(saved_workflows.map(Path::to_path_buf));
    checker.check_path(path)
}

/// Checks a workflow given as a text; relative paths in it start from `folder`.
///
/// # Errors
/// [`LoadError::Invalid`] with everything that is wrong.
pub fn check_text(
    name: &str,
    text: &str,
    folder: &Path,
    saved_workflows: Option<&Path>,
) -> Result<CheckedWorkflow, LoadError> {
    let mut checker = Checker::new(saved_workflows.map(Path::to_path_buf));
    Ok(checker.check(name, text, None, folder)?)
}

/// Checks workflows, each nested file once.
pub(crate) struct Checker {
    saved_workflows: Option<PathBuf>,
    done: HashMap<PathBuf, Result<Arc<CheckedWorkflow>, InvalidWorkflow>>,
    /// The files around the one that is being checked, outermost first, and that one.
    chain: Vec<PathBuf>,
}

impl Checker {
    pub(crate) fn new(saved_workflows: Option<PathBuf>) -> Self {
        Self {
            saved_workflows,
            done: HashMap::new(),
            chain: Vec::new(),
        }
    }

    /// Checks a file that is nested in `chain`.
    pub(crate) fn check_nested(
        &mut self,
        path: &Path,
        chain: &[PathBuf],
    ) -> Result<CheckedWorkflow, LoadError> {
        self.chain = chain.to_vec();
        self.check_path(path)
    }

    fn check_path(&mut self, path: &Path) -> Result<CheckedWorkflow, LoadError> {
        let unreadable = |source| LoadError::Unreadable {
            path: path.to_path_buf(),
            source,
        };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let file = path.canonicalize().map_err(unreadable)?;
        if let Some(circle) = children::circle(&self.chain, &file) {
            return Err(single(path, 1, 1, circle).into());
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                return Err(single(path, line, column, "the file is not UTF-8 text").into());
            }
        };
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        self.chain.push(file.clone());
        let checked = self.check(&name_of(path), text, Some(file), &folder);
        self.chain.pop();
        checked.map_err(|mut invalid| {
            // The user knows the file by the path that they gave.
            invalid.file = Some(path.to_path_buf());
            invalid.into()
        })
    }

    fn check(
        &mut self,
        name: &str,
        text: &str,
        file: Option<PathBuf>,
        folder: &Path,
    ) -> Result<CheckedWorkflow, InvalidWorkflow> {
        let (source, value) = Source::parse(text).map_err(|problem| InvalidWorkflow {
            file: file.clone(),
            problems: vec![problem],
        })?;
        let mut findings = Findings::default();
        source.find_duplicate_keys(&mut findings);
        check_shape(&value, &mut findings);
        let document = WorkflowDocument::from_value(value);
        declarations::check(&document, &mut findings);
        let reachable = graph::check(&document, &mut findings);
        let children = children::check(self, &document, folder, &mut findings);
        let context = Context::new(&document, &children);
        references::check(&context, &reachable, &mut findings);
        let has_errors = findings.has_errors();
        let problems = source.locate(findings.0);
        if has_errors {
            return Err(InvalidWorkflow { file, problems });
        }
        Ok(CheckedWorkflow {
            name: SmolStr::new(name),
            file,
            folder: folder.to_path_buf(),
            document: Arc::new(document),
            warnings: problems,
            children,
        })
    }
}

fn single(file: &Path, line: usize, column: usize, message: impl Into<String>) -> InvalidWorkflow {
    let problem = Problem {
        line,
        column,
        severity: Severity::Error,
        message: message.into(),
        help: None,
        pointer: String::new(),
    };
    InvalidWorkflow {
        file: Some(file.to_path_buf()),
        problems: vec![problem],
    }
}

/// The name of a workflow: its file's, without the extension.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "workflow".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// What the checks of one document share.
pub(crate) struct Context<'a> {
    pub(crate) document: &'a WorkflowDocument,
    pub(crate) position_by_id: HashMap<&'a str, usize>,
    pub(crate) children: &'a BTreeMap<SmolStr, Arc<CheckedWorkflow>>,
}

impl<'a> Context<'a> {
    fn new(document: &'a WorkflowDocument, children: &'a BTreeMap<SmolStr, Arc<CheckedWorkflow>>) -> Self {
        Self {
            document,
            position_by_id: positions(document),
            children,
        }
    }

    pub(crate) fn node(&self, id: &str) -> Option<&'a NodeEntry> {
        self.position_by_id
            .get(id)
            .map(|position| &self.document.nodes[*position])
    }

    pub(crate) fn node_type(&self, node: &NodeEntry) -> Option<&'static NodeType> {
        find(&node.node_type)
    }

    /// A template that leads nowhere is fatal in strict mode only.
    pub(crate) fn severity(&self) -> Severity {
        match self.document.template_resolution_mode {
            ResolutionMode::Strict => Severity::Error,
            ResolutionMode::Permissive => Severity::Warning,
        }
    }
}

/// Where each id first stands.
pub(crate) fn positions(document: &WorkflowDocument) -> HashMap<&str, usize> {
    let mut positions = HashMap::with_capacity(document.nodes.len());
    for (position, node) in document.nodes.iter().enumerate() {
        positions.entry(node.id.as_str()).or_insert(position);
    }
    positions
}
