//! Where a trace is written, under which name, and whether it stays.
//!
//! Never touches the disk.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::TraceHeader;

/// Which traces stay when the run has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepTrace {
    /// All.
    #[default]
    Always,
    /// Those of runs that failed or were cancelled. The file is there while the run goes on all the same, so
    /// that a kill leaves a trace.
    UnlessOk,
}

/// Where a trace is written.
#[derive(Clone, Debug)]
pub(crate) enum TracePlace {
    /// Exactly here.
    File(PathBuf),
    /// In this folder.
    Folder(PathBuf),
}

/// The longest part of a file name that a workflow's name may take.
const NAME_CHARS_MAX: usize = 60;

impl TracePlace {
    /// The file of a trace.
    pub(crate) fn path(self, header: &TraceHeader) -> PathBuf {
        match self {
            Self::File(path) => path,
            Self::Folder(folder) => folder.join(file_name(header)),
        }
    }
}

/// `<UTC time>-<workflow>-<trace id>.json`: names sort by time. A run that joined the trace of another one has the id
/// of its root span before that: runs that are started together would write to one file.
fn file_name(header: &TraceHeader) -> String {
    let workflow: String = header
        .workflow
        .chars()
        .take(NAME_CHARS_MAX)
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    let workflow = if workflow.is_empty() {
        "workflow"
    } else {
        &workflow
    };
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(header.started.0))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let part = header.part.map_or_else(String::new, |root| format!("-{root}"));
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z-{workflow}{part}-{}.json",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond(),
        header.trace_id
    )
}

#[cfg(test)]
mod tests;
