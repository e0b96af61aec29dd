//! A run that is followed: the files that it and the runs that it started write, as one stream of events.
//!
//! Never prints and never waits: whoever follows asks again and again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowmeter::{ReadError, RunIdentity, TraceDocument, TraceFollower, TraceProgress, read_trace};
use flowmeter_model::{Attributes, TelemetryEvent, TimestampNs};

use crate::traces;

/// Every how many looks files of further runs are looked for.
const LOOKS_BETWEEN_SEARCHES: usize = 5;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunProgress {
    /// There is more to read: look again at once.
    Behind,
    /// It goes on.
    GoingOn,
    /// It has ended, and its document is there.
    Completed,
    /// Its file was removed.
    Removed,
    /// Its process is gone and has not written how it ended.
    Interrupted,
    /// Another run writes to its file.
    Overwritten,
}

/// A run and those that it started.
pub(crate) struct FollowedRun {
    main: TraceFollower,
    parts: Vec<TraceFollower>,
    /// Files of the same trace that were found, whatever became of them.
    found: BTreeSet<PathBuf>,
    looks: usize,
    /// Nobody wrote at the last look.
    seemed_gone: bool,
}

impl FollowedRun {
    /// Follows the trace at `path`. `None`: the run has ended.
    ///
    /// # Errors
    /// When there is no such file, or it is no trace.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ReadError> {
        Ok(TraceFollower::open(path)?.map(|main| Self {
            main,
            parts: Vec::new(),
            found: BTreeSet::new(),
            looks: 0,
            seemed_gone: false,
        }))
    }

    /// The run of the outermost file.
    pub(crate) fn main(&self) -> &TraceFollower {
        &self.main
    }

    /// What the events belong to.
    pub(crate) fn identity(&self) -> RunIdentity {
        RunIdentity {
            trace_id: self.main.trace_id(),
            root_span_id: None,
            parent_span_id: None,
            workflow: self.main.workflow().into(),
            started: self.main.started(),
            trace_state: String::new(),
            sampled: self.main.sampled(),
            resource: Attributes::new(),
        }
    }

    /// Adds what has happened since the last look.
    ///
    /// # Errors
    /// When the trace can be read no longer.
    pub(crate) fn look(&mut self, events: &mut Vec<TelemetryEvent>) -> Result<RunProgress, ReadError> {
        let before = events.len();
        let progress = self.main.poll(events)?;
        if self.looks.is_multiple_of(LOOKS_BETWEEN_SEARCHES) || progress == TraceProgress::Completed {
            self.find_parts(events);
        }
        self.looks += 1;
        let mut is_behind = false;
        self.parts.retain_mut(|part| {
            let progress = part.poll(events);
            is_behind |= matches!(progress, Ok(TraceProgress::Behind));
            // What happens to the file of a part is told by the run that started it.
            matches!(progress, Ok(TraceProgress::Behind | TraceProgress::UpToDate))
        });
        if !self.found.is_empty() {
            // Each file has its own order; together time tells.
            events[before..].sort_by_key(time_of);
        }
        Ok(match progress {
            TraceProgress::Behind => RunProgress::Behind,
            TraceProgress::UpToDate if is_behind => RunProgress::Behind,
            TraceProgress::UpToDate if traces::is_written(&self.main) => {
                self.seemed_gone = false;
                RunProgress::GoingOn
            }
            // Perhaps it has just ended, and its document is about to be seen.
            TraceProgress::UpToDate if !std::mem::replace(&mut self.seemed_gone, true) => {
                RunProgress::GoingOn
            }
            TraceProgress::UpToDate => RunProgress::Interrupted,
            TraceProgress::Completed => RunProgress::Completed,
            TraceProgress::Removed => RunProgress::Removed,
            TraceProgress::Overwritten => RunProgress::Overwritten,
        })
    }

    fn find_parts(&mut self, events: &mut Vec<TelemetryEvent>) {
        for path in traces::other_parts(self.main.path()) {
            if self.found.contains(&path) {
                continue;
            }
            match TraceFollower::open(&path) {
                Ok(Some(part)) => self.parts.push(part),
                Ok(None) => {
                    if let Ok(part) = read_trace(&path) {
                        events.extend(part.into_events());
                    }
                }
                // Its first line is not there yet, or it has gone: another look will tell.
                Err(_) => continue,
            }
            self.found.insert(path);
        }
    }

    /// All of it, as it stands now.
    ///
    /// # Errors
    /// When it can be read no longer.
    pub(crate) fn whole(&self) -> Result<TraceDocument, ReadError> {
        let main = match TraceFollower::open(self.main.path()) {
            Ok(None) => read_trace(self.main.path()).or_else(|_| self.main.read_whole())?,
            _ => self.main.read_whole()?,
        };
        let (is_finished, pid) = (main.is_finished(), main.pid);
        let parts = traces::other_parts(self.main.path());
        let others = parts.iter().filter_map(|path| read_trace(path).ok());
        let parts: Vec<TraceDocument> = std::iter::once(main).chain(others).collect();
        match TraceDocument::joined(parts) {
            Some(mut whole) => {
                if !is_finished {
                    (whole.metrics, whole.status, whole.pid) = (None, None, pid);
                }
                Ok(whole)
            }
            None => self.main.read_whole(),
        }
    }
}

fn time_of(event: &TelemetryEvent) -> TimestampNs {
    match event {
        TelemetryEvent::SpanStarted(span) => span.start,
        TelemetryEvent::SpanEnded(span) => span.end.unwrap_or(span.start),
        TelemetryEvent::Log(_, log) => log.time,
    }
}
