//! Everything that is wrong with a workflow file, found before anything runs and reported at once.
//!
//! The schema says what has the wrong shape; the modules here say what does not fit together: names, edges,
//! templates, nested files. Reads nested workflow files; runs nothing.

mod children;
mod declarations;
mod graph;
mod references;

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

use crate::document::{NodeEntry, ResolutionMode, Source, WorkflowDocument};
use crate::markdown::{MarkdownSource, is_markdown};
use crate::nodes::{NodeType, find};
use crate::problem::{Finding, Findings, InvalidWorkflow, Problem, Severity};
use crate::run::LoadError;
use crate::saved::{self, WorkflowDraft};
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
    /// The files whose content stands in it where it names them.
    pub(crate) included_files: Vec<IncludedFile>,
    /// The workflows nested in it, by the id of the node that runs them.
    pub(crate) children: BTreeMap<SmolStr, Arc<CheckedWorkflow>>,
}

/// A file that a workflow names by a relative path, and that was read in its place.
#[derive(Clone, Debug)]
pub(crate) struct IncludedFile {
    /// The path as it is written.
    pub(crate) written: String,
    /// The file.
    pub(crate) source: PathBuf,
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

/// Checks a workflow given as a text in JSON; relative paths in it start from `folder`.
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
    Ok(checker.check(name, text, Form::Json, None, folder)?)
}

/// The same for a text in either form.
///
/// # Errors
/// [`LoadError::Invalid`] with everything that is wrong.
pub fn check_text_as(
    form: Form,
    name: &str,
    text: &str,
    folder: &Path,
    saved_workflows: Option<&Path>,
) -> Result<CheckedWorkflow, LoadError> {
    let mut checker = Checker::new(saved_workflows.map(Path::to_path_buf));
    Ok(checker.check(name, text, form, None, folder)?)
}

/// Checks workflows, each nested file once.
pub(crate) struct Checker {
    saved_workflows: Option<PathBuf>,
    /// The same as the system knows it.
    saved_folder: Option<PathBuf>,
    /// The workflow that is to be saved: whoever names it means the one that is being checked.
    saving: Option<Saving>,
    done: HashMap<PathBuf, Result<Arc<CheckedWorkflow>, InvalidWorkflow>>,
    /// The files around the one that is being checked, outermost first, and that one.
    chain: Vec<PathBuf>,
}

/// A workflow that is to be saved.
struct Saving {
    /// Where it will lie.
    place: PathBuf,
    /// Where it lies.
    file: Option<PathBuf>,
}

impl Checker {
    pub(crate) fn new(saved_workflows: Option<PathBuf>) -> Self {
        Self {
            saved_folder: saved_workflows
                .as_ref()
                .map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone())),
            saved_workflows,
            saving: None,
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

    /// Checks a workflow as it will be once it is saved: by name it means itself then.
    pub(crate) fn saving(
        saved_workflows: PathBuf,
        draft: &WorkflowDraft<'_>,
    ) -> Result<CheckedWorkflow, LoadError> {
        let mut checker = Self::new(Some(saved_workflows));
        let saved = checker.saved_folder.clone().unwrap_or_default();
        let file = draft.file.and_then(|file| file.canonicalize().ok());
        let folder = file
            .as_deref()
            .map(|file| checker.folder_of(file))
            .unwrap_or_else(|| {
                draft
                    .folder
                    .canonicalize()
                    .unwrap_or_else(|_| draft.folder.to_path_buf())
            });
        let place = saved.join(format!("{}{}", draft.name, Form::Json.ending()));
        checker.chain.push(place.clone());
        checker.saving = Some(Saving {
            place,
            file: file.clone(),
        });
        let checked = checker.check(draft.name.as_str(), draft.text, draft.form, file, &folder);
        checked.map_err(|mut invalid| {
            invalid.file = draft.file.map(Path::to_path_buf);
            invalid.into()
        })
    }

    /// What a file is in the chain and among what is done.
    fn identity(&self, path: &Path) -> std::io::Result<PathBuf> {
        let place = self.saving.as_ref().map(|saving| saving.place.as_path());
        // It need not be there yet, nor be written in the form that it will have.
        if let (Some(place), Some(saved)) = (place, &self.saved_workflows)
            && path.parent() == Some(saved)
            && saved::stem(path) == saved::stem(place)
        {
            return Ok(place.to_path_buf());
        }
        let file = path.canonicalize()?;
        match &self.saving {
            Some(saving) if saving.file.as_ref() == Some(&file) => Ok(saving.place.clone()),
            _ => Ok(file),
        }
    }

    /// Where the relative paths of a file start: beside it, or where a saved workflow has its files.
    fn folder_of(&self, file: &Path) -> PathBuf {
        let saved = self.saved_folder.as_deref();
        saved
            .and_then(|saved| saved::base_folder(saved, file))
            .or_else(|| file.parent().map(Path::to_path_buf))
            .unwrap_or_default()
    }

    /// How messages call a file of the chain.
    fn shown(&self, file: &Path) -> String {
        let saved = self.saved_folder.as_deref();
        saved
            .and_then(|saved| saved::shown(saved, file))
            .unwrap_or_else(|| {
                file.file_name()
                    .unwrap_or(file.as_os_str())
                    .to_string_lossy()
                    .into_owned()
            })
    }

    fn check_path(&mut self, path: &Path) -> Result<CheckedWorkflow, LoadError> {
        let unreadable = |source| LoadError::Unreadable {
            path: path.to_path_buf(),
            source,
        };
        let bytes = read_limited(path).map_err(unreadable)?;
        let file = self.identity(path).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!("the file is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024);
            return Err(single(path, 1, 1, message).into());
        }
        if let Some(circle) = children::circle(self, &file) {
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
        let folder = self.folder_of(&file);
        self.chain.push(file.clone());
        let form = Form::of_path(path);
        let checked = self.check(&name_of(path), text, form, Some(file), &folder);
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
        form: Form,
        file: Option<PathBuf>,
        folder: &Path,
    ) -> Result<CheckedWorkflow, InvalidWorkflow> {
        let (source, value) =
            Written::parse(text, form, Some(folder)).map_err(|problems| InvalidWorkflow {
                file: file.clone(),
                problems,
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
        let has_errors = findings.has_errors() || source.has_errors();
        let included_files = source.included_files(folder);
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
            included_files,
            children,
        })
    }
}

/// A form of workflow files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One JSON object.
    Json,
    /// Markdown with a section `## Steps`.
    Markdown,
}

impl Form {
    /// The form of a file, by its name: Markdown where it ends with `.md`, else JSON.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        match path.file_name() {
            Some(name) if is_markdown(&name.to_string_lossy()) => Self::Markdown,
            _ => Self::Json,
        }
    }
}

/// A text in either form, with its places.
pub(crate) enum Written<'a> {
    Json(Source<'a>),
    Markdown(MarkdownSource<'a>),
}

impl<'a> Written<'a> {
    /// Reads a text. Files that Markdown names are taken from `folder`; without one they stay names.
    pub(crate) fn parse(
        text: &'a str,
        form: Form,
        folder: Option<&Path>,
    ) -> Result<(Self, Value), Vec<Problem>> {
        match form {
            Form::Json => Source::parse(text)
                .map(|(source, value)| (Self::Json(source), value))
                .map_err(|problem| vec![problem]),
            Form::Markdown => {
                MarkdownSource::parse(text, folder).map(|(source, value)| (Self::Markdown(source), value))
            }
        }
    }

    fn included_files(&self, folder: &Path) -> Vec<IncludedFile> {
        let written = match self {
            Self::Json(_) => &[],
            Self::Markdown(source) => source.inlined.as_slice(),
        };
        written
            .iter()
            .map(|written| IncludedFile {
                source: folder.join(written),
                written: written.clone(),
            })
            .collect()
    }

    /// What the other form has no place for, and which files were taken in.
    pub(crate) fn into_notes(self) -> Vec<String> {
        match self {
            Self::Json(_) => Vec::new(),
            Self::Markdown(source) => source.notes,
        }
    }

    pub(crate) fn find_duplicate_keys(&self, findings: &mut Findings) {
        match self {
            Self::Json(source) => source.find_duplicate_keys(findings),
            // Said where they were read.
            Self::Markdown(_) => {}
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Markdown(source) => source.has_errors(),
        }
    }

    pub(crate) fn locate(&self, findings: Vec<Finding>) -> Vec<Problem> {
        match self {
            Self::Json(source) => source.locate(findings),
            Self::Markdown(source) => source.locate(findings),
        }
    }
}

/// How large a workflow file may be, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The file, and one byte more than is allowed where it is too large.
fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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
    saved::stem(path).unwrap_or_else(|| "workflow".to_owned())
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
