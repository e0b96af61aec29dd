//! Names of saved workflows: what one looks like, and what to write instead of one that does not.
//!
//! Never looks whether a workflow of that name is there.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;
use thiserror::Error;

/// The longest name, in letters.
pub(super) const LETTERS_MAX: usize = 64;

/// What a command line, a template or a file system would take for something else.
const RESERVED: &[&str] = &[
    "all", "end", "last", "none", "null", "true", "false", "self", "con", "prn", "aux", "nul", "com1",
    "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5",
    "lpt6", "lpt7", "lpt8", "lpt9",
];

/// The name of a saved workflow: lower-case letters, digits, `-` and `_`, a letter first, 64 at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkflowName(SmolStr);

/// Why a text is no name of a saved workflow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.message())]
pub struct InvalidWorkflowName {
    /// What was written.
    pub written: String,
    /// What is wrong with it.
    pub reason: NameReason,
    /// A name that is near and valid.
    pub instead: Option<WorkflowName>,
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameReason {
    /// There is nothing.
    Empty,
    /// It has more than 64 letters.
    TooLong,
    /// It begins with something else than a lower-case letter.
    Start,
    /// It has a letter that names do not have.
    Letter(char),
    /// The word means something else.
    Reserved,
    /// What stands behind the `@` is no version.
    Version(String),
}

impl InvalidWorkflowName {
    fn message(&self) -> String {
        let written = shortened(&self.written);
        let what = match &self.reason {
            NameReason::Empty => "a saved workflow needs a name".to_owned(),
            NameReason::TooLong => format!(
                "the name `{written}` has {} letters; {LETTERS_MAX} is the most",
                self.written.chars().count()
            ),
            NameReason::Start => format!("the name `{written}` does not begin with a lower-case letter"),
            NameReason::Letter(letter) => format!(
                "the name `{written}` has {letter:?} in it; a name has lower-case letters, digits, `-` and `_`"
            ),
            NameReason::Reserved => format!("the name `{written}` is reserved"),
            NameReason::Version(version) => {
                format!(
                    "`{}` is no version; write a number, as in `report@2`",
                    shortened(version)
                )
            }
        };
        match &self.instead {
            Some(instead) => format!("{what}; write `{instead}`"),
            None if matches!(self.reason, NameReason::Empty | NameReason::Letter(_)) => {
                format!("{what}, such as `weekly-report`")
            }
            None => what,
        }
    }
}

/// A text for a message: a name may be anything before it is checked.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(LETTERS_MAX + 8).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

impl WorkflowName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidWorkflowName`], with a valid name that is near where there is one.
    pub fn parse(text: &str) -> Result<Self, InvalidWorkflowName> {
        match reason_against(text) {
            None => Ok(Self(SmolStr::new(text))),
            Some(reason) => Err(InvalidWorkflowName {
                written: text.to_owned(),
                instead: Self::near(text),
                reason,
            }),
        }
    }

    /// The valid name that is nearest to a text: `Weekly Report` gives `weekly-report`.
    #[must_use]
    pub fn near(text: &str) -> Option<Self> {
        if reason_against(text).is_none() {
            return Some(Self(SmolStr::new(text)));
        }
        let mut near = String::new();
        for letter in text.chars().flat_map(char::to_lowercase) {
            match letter {
                'a'..='z' | '_' => near.push(letter),
                '0'..='9' if near.is_empty() => near.extend(['w', letter]),
                '0'..='9' => near.push(letter),
                // Several of them make one.
                _ if !near.is_empty() && !near.ends_with('-') => near.push('-'),
                _ => {}
            }
        }
        let near = near.trim_start_matches('_');
        let near = &near[..near.len().min(LETTERS_MAX)];
        let mut near = near.trim_end_matches('-').to_owned();
        if near.starts_with(|first: char| !first.is_ascii_lowercase()) {
            near.insert(0, 'w');
            near.truncate(LETTERS_MAX);
        }
        if RESERVED.contains(&near.as_str()) {
            near.push_str("-workflow");
        }
        reason_against(&near).is_none().then(|| Self(SmolStr::new(near)))
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn reason_against(text: &str) -> Option<NameReason> {
    let first = match text.chars().next() {
        None => return Some(NameReason::Empty),
        Some(first) => first,
    };
    let is_letter =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    if let Some(letter) = text.chars().find(|letter| !is_letter(*letter)) {
        return Some(NameReason::Letter(letter));
    }
    if !first.is_ascii_lowercase() {
        return Some(NameReason::Start);
    }
    if text.len() > LETTERS_MAX {
        return Some(NameReason::TooLong);
    }
    RESERVED.contains(&text).then_some(NameReason::Reserved)
}

impl fmt::Display for WorkflowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkflowName {
    type Err = InvalidWorkflowName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A saved workflow as people name it: `report`, or `report@2` for an earlier version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SavedReference {
    /// The workflow.
    pub name: WorkflowName,
    /// The version; none means the file as it is now.
    pub version: Option<u64>,
}

impl SavedReference {
    /// Reads `NAME` or `NAME@VERSION`.
    ///
    /// # Errors
    /// [`InvalidWorkflowName`].
    pub fn parse(text: &str) -> Result<Self, InvalidWorkflowName> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self {
                name: WorkflowName::parse(text)?,
                version: None,
            });
        };
        let name = WorkflowName::parse(name)?;
        let is_plain = !version.starts_with(['0', '+']);
        match version.parse::<u64>() {
            Ok(version) if is_plain => Ok(Self {
                name,
                version: Some(version),
            }),
            _ => Err(InvalidWorkflowName {
                written: text.to_owned(),
                reason: NameReason::Version(version.to_owned()),
                instead: None,
            }),
        }
    }
}

impl From<WorkflowName> for SavedReference {
    fn from(name: WorkflowName) -> Self {
        Self { name, version: None }
    }
}

impl fmt::Display for SavedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
