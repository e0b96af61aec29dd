//! Where a run comes from: tags, session, workflow, commit and user, as attributes of its resource.
//!
//! Never asks a program: git's files and the environment are read.

use std::path::Path;

use flowmeter_model::{AttributeValue, Attributes};
use flowmeter_store::Origin;
use smol_str::{SmolStr, format_smolstr};

use super::git;
use crate::args::HistoryArgs;
use crate::home::Home;
use crate::saved;

/// Source: OpenTelemetry semantic conventions, general session attributes.
const SESSION: &str = "session.id";
/// Source: OpenTelemetry semantic conventions, user attributes.
const USER: &str = "user.name";
/// Source: OpenTelemetry semantic conventions, VCS attributes.
const COMMIT: &str = "vcs.ref.head.revision";
/// Source: OpenTelemetry semantic conventions for generative AI.
const WORKFLOW: &str = "gen_ai.workflow.name";
const WORKFLOW_VERSION: &str = "flowmeter.workflow.version";
/// Before the key of a tag.
const TAG: &str = "flowmeter.tag.";
/// Tags that are kept of a run.
const TAGS_MAX: usize = 64;

/// What a run says of itself.
#[derive(Debug, Default)]
pub(crate) struct RunOrigin {
    workflow: String,
    version: Option<String>,
    session: Option<String>,
    tags: Vec<(String, String)>,
    commit: Option<String>,
    user: Option<String>,
}

impl RunOrigin {
    /// What flags and surroundings say of a run of the workflow in `file`, or of one that is only being planned. What
    /// is odd about it goes to `warnings`.
    pub(crate) fn of_run(
        workflow: &str,
        file: Option<&Path>,
        args: &HistoryArgs,
        home: &Home,
        warnings: &mut Vec<String>,
    ) -> Self {
        let saved = file.and_then(|file| {
            let workflows = saved::workflows(home);
            let reference = workflows.reference_of(file)?;
            workflows.find(&reference).ok()
        });
        // What was saved has left its repository; so has what nobody has written yet.
        let folder = match file.filter(|_| saved.is_none()) {
            Some(file) => file
                .canonicalize()
                .ok()
                .and_then(|file| Some(file.parent()?.to_owned())),
            None => std::env::current_dir().ok(),
        };
        Self {
            workflow: workflow.to_owned(),
            version: saved.and_then(|saved| {
                let changed = if saved.entry.is_changed { "+changed" } else { "" };
                Some(format!("{}{changed}", saved.entry.version?))
            }),
            session: args.session.clone(),
            tags: each_once(&args.tags, warnings),
            commit: folder.and_then(|folder| git::commit_of(&folder)),
            user: user(),
        }
    }

    /// What the command line says of the run: receivers look for it at spans, too.
    pub(crate) fn given(&self) -> impl Iterator<Item = (SmolStr, &str)> {
        let tags = self.tags.iter();
        let tags = tags.map(|(key, value)| (format_smolstr!("{TAG}{key}"), value.as_str()));
        let session = self.session.iter();
        tags.chain(session.map(|session| (SmolStr::new_static(SESSION), session.as_str())))
    }

    /// Adds it to what describes the process. What the command line says wins over what is there, and that over what
    /// was found.
    pub(crate) fn describe(&self, resource: &mut Attributes) {
        for (key, value) in self.given() {
            resource.set(key, value);
        }
        resource.set(WORKFLOW, self.workflow.as_str());
        for (key, found) in [
            (WORKFLOW_VERSION, &self.version),
            (COMMIT, &self.commit),
            (USER, &self.user),
        ] {
            if let Some(found) = found
                && resource.get(key).is_none()
            {
                resource.set(key, found.as_str());
            }
        }
    }
}

/// What can be asked for of what describes a run.
pub(crate) fn origin_of(resource: &Attributes) -> Origin {
    let text = |key: &str| resource.get(key).map(text_of);
    let tags = resource.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix(TAG).filter(|key| !key.is_empty())?;
        Some((key.to_owned(), text_of(value)))
    });
    Origin {
        workflow_version: text(WORKFLOW_VERSION).map(SmolStr::from),
        session: text(SESSION),
        user: text(USER),
        git_commit: text(COMMIT),
        tags: tags.take(TAGS_MAX).collect(),
    }
}

/// Where a run came from, as attributes of its resource: what [`origin_of`] reads.
pub(crate) fn attributes_of(origin: &Origin) -> Vec<(SmolStr, &str)> {
    let known = [
        (SESSION, origin.session.as_deref()),
        (USER, origin.user.as_deref()),
        (COMMIT, origin.git_commit.as_deref()),
        (WORKFLOW_VERSION, origin.workflow_version.as_deref()),
    ];
    let known = known
        .into_iter()
        .filter_map(|(key, value)| Some((SmolStr::new_static(key), value?)));
    let tags = origin
        .tags
        .iter()
        .map(|(key, value)| (format_smolstr!("{TAG}{key}"), value.as_str()));
    known.chain(tags).collect()
}

fn text_of(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Str(text) => text.to_string(),
        AttributeValue::I64(number) => number.to_string(),
        AttributeValue::F64(number) => number.to_string(),
        AttributeValue::Bool(flag) => flag.to_string(),
        AttributeValue::Json(json) => json.to_string(),
    }
}

/// The tags with each key once: the last one counts.
fn each_once(given: &[(String, String)], warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for (key, value) in given {
        match tags.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => {
                if known != value {
                    warnings.push(format!("--tag {key} is given more than once; `{value}` counts"));
                }
                known.clone_from(value);
            }
            None => tags.push((key.clone(), value.clone())),
        }
    }
    if tags.len() > TAGS_MAX {
        warnings.push(format!(
            "more than {TAGS_MAX} tags are given; the first {TAGS_MAX} are kept"
        ));
        tags.truncate(TAGS_MAX);
    }
    tags
}

/// Who runs this: the name in the environment, else the one that belongs to the number of the user.
fn user() -> Option<String> {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| {
        let name = std::env::var(name).ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    });
    named.or_else(|| {
        user_in(
            &std::fs::read_to_string("/etc/passwd").ok()?,
            rustix::process::getuid().as_raw(),
        )
    })
}

/// Source: passwd(5): name, password, number, ….
fn user_in(passwd: &str, wanted: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(wanted) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests;
