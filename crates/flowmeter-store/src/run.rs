//! Runs as the store knows them: what is said when one begins and ends, and what lists show.
//!
//! Never decides whether a process still lives; it only carries what that is decided by.

use std::fmt;

use flowmeter_model::{Attributes, CostTotal, Span, SpanError, SpanId, TimestampNs, TraceId};
use serde_json::Value;
use smol_str::SmolStr;
use thiserror::Error;

use crate::TokenSums;

/// Identifies one run: its trace and its root span, for several runs may share a trace (one called the other).
/// Shown as `<32 hex digits>-<16 hex digits>`; the beginning of the trace's id is enough wherever a person names a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The trace.
    pub trace_id: TraceId,
    /// The root span of this run.
    pub root_span_id: SpanId,
}

/// Why a text is no run key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no run: a trace id and a root span's id are wanted, with `-` between them")]
pub struct InvalidRunKey(pub String);

impl RunKey {
    /// Reads `<trace id>-<span id>`.
    ///
    /// # Errors
    /// [`InvalidRunKey`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidRunKey> {
        let ids = text.split_once('-').and_then(|(trace, span)| {
            Some(Self {
                trace_id: TraceId::parse(trace).ok()?,
                root_span_id: SpanId::parse(span).ok()?,
            })
        });
        ids.ok_or_else(|| InvalidRunKey(text.to_owned()))
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trace_id, self.root_span_id)
    }
}

/// The process that records a run: by it, a run without an end is known as running or as interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessMark {
    /// The machine and its boot, such as the kernel's boot id; processes elsewhere cannot be looked at.
    pub host: SmolStr,
    /// The process's number.
    pub pid: u32,
    /// When the process began, in whatever the system counts: numbers are given again, this pair is not.
    pub started: u64,
}

/// Where a run came from: what is the same for all of it and can be asked for. Part of the run's resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The workflow's version, where it is a saved one.
    pub workflow_version: Option<SmolStr>,
    /// The session (`--session`; OpenTelemetry: `session.id`).
    pub session: Option<String>,
    /// Who ran it (OpenTelemetry: `user.name`).
    pub user: Option<String>,
    /// The commit of the folder that it ran in (OpenTelemetry: `vcs.ref.head.revision`).
    pub git_commit: Option<String>,
    /// `--tag k=v`, in the order given; a key stands once.
    pub tags: Vec<(String, String)>,
}

/// A run that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStart {
    /// Which.
    pub key: RunKey,
    /// The span that called it, in another process.
    pub parent_span_id: Option<SpanId>,
    /// The workflow's name.
    pub workflow: SmolStr,
    /// When.
    pub started: TimestampNs,
    /// Whether the whole trace is kept.
    pub sampled: bool,
    /// Where it came from.
    pub origin: Origin,
    /// What describes the process (OpenTelemetry: resource).
    pub resource: Attributes,
    /// Who records it; `None` where it came as a file or over the network.
    pub process: Option<ProcessMark>,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// Which.
    pub key: RunKey,
    /// When.
    pub ended: TimestampNs,
    /// How: never [`RunStatus::Running`] or [`RunStatus::Interrupted`].
    pub status: RunStatus,
    /// Why not well.
    pub error: Option<SpanError>,
    /// Whether the whole trace was kept in the end.
    pub sampled: bool,
    /// Node executions, counted for every run, sampled or not.
    pub nodes: u64,
    /// LLM calls, counted likewise.
    pub llm_calls: u64,
    /// Tokens of all LLM calls.
    pub tokens: TokenSums,
    /// What all LLM calls cost.
    pub cost: CostTotal,
    /// What the response cache saved.
    pub saved: CostTotal,
    /// All metrics, as JSON output shows them.
    pub metrics: Value,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunStatus {
    /// It goes on, and its process lives; or its process cannot be looked at, and wrote something in the last 24 hours.
    Running,
    /// It has no end, and its process is gone; or nobody records it, for it came as a file.
    Interrupted,
    /// It did what it should.
    Ok,
    /// It failed.
    Error,
    /// It was stopped from outside.
    Cancelled,
}

impl RunStatus {
    /// The name, as in JSON and in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name; `success` and `failed` are understood, too.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "running" => Some(Self::Running),
            "interrupted" => Some(Self::Interrupted),
            "ok" | "success" => Some(Self::Ok),
            "error" | "failed" => Some(Self::Error),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// One run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Which.
    pub key: RunKey,
    /// The span that called it, in another process.
    pub parent_span_id: Option<SpanId>,
    /// The workflow's name.
    pub workflow: SmolStr,
    /// How it stands.
    pub status: RunStatus,
    /// When it began.
    pub started: TimestampNs,
    /// When it ended; of one without an end, when it was last heard of: the latest time that it has told of.
    pub ended: Option<TimestampNs>,
    /// Spans that are kept.
    pub spans: u64,
    /// Log lines that are kept.
    pub logs: u64,
    /// Node executions. These and the sums below are what the run said at its end; of a run that did not, what its kept
    /// spans come to.
    pub nodes: u64,
    /// LLM calls.
    pub llm_calls: u64,
    /// Tokens of all LLM calls.
    pub tokens: TokenSums,
    /// What all LLM calls cost. Models without a price are named in the metrics, not here.
    pub cost: CostTotal,
    /// What the response cache saved.
    pub saved: CostTotal,
    /// Why it failed.
    pub error: Option<SpanError>,
    /// The models that it asked, in the order of their names.
    pub models: Vec<SmolStr>,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the whole trace was kept.
    pub sampled: bool,
    /// Whether prompts, answers and other payloads have had their time (see [`crate::Retention`]).
    pub payloads_gone: bool,
}

impl RunRow {
    /// Nanoseconds from its start to its end, or to when it was last heard of.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        self.ended.map(|ended| ended.since(self.started))
    }
}

/// Everything about one run but its spans and logs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetail {
    /// What a list shows.
    pub row: RunRow,
    /// What describes the process.
    pub resource: Attributes,
    /// All metrics as JSON; `None` while it has no end.
    pub metrics: Option<Value>,
    /// Spans that have begun and not ended, as they were when they were last written.
    pub open: Vec<Span>,
    /// Who records it.
    pub process: Option<ProcessMark>,
}

/// Which runs. Conditions are joined by *and*; the values in one list by *or*; an empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// The workflow has one of these names.
    pub workflows: Vec<String>,
    /// It stands like this.
    pub statuses: Vec<RunStatus>,
    /// It began then or later.
    pub since: Option<TimestampNs>,
    /// It began before.
    pub until: Option<TimestampNs>,
    /// It asked one of these models.
    pub models: Vec<String>,
    /// What is known of its cost is at least so much.
    pub cost_min: Option<flowmeter_model::UsdNanos>,
    /// It took longer.
    pub slower_than_ns: Option<u64>,
    /// It has all of these tags; here *and* joins the list.
    pub tags: Vec<(String, String)>,
    /// It belongs to this session.
    pub session: Option<String>,
    /// This user ran it.
    pub user: Option<String>,
    /// It ran at a commit that begins so.
    pub git_commit: Option<String>,
    /// The workflow's version.
    pub workflow_version: Option<String>,
    /// Its trace's id begins so (lower-case hex).
    pub trace_prefix: Option<String>,
}

/// How runs are ordered; among equals the newer one comes first, and of those that began at once the one that was
/// first heard of later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// The newest first.
    #[default]
    Started,
    /// The slowest first.
    Duration,
    /// The most expensive first.
    Cost,
    /// The one with the most tokens first.
    Tokens,
    /// By the workflow's name.
    Workflow,
}
