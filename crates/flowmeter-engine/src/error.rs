//! Why a node or a flow failed.
//!
//! One error type for the engine's one failure contract: a run either leads somewhere or ends with this.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use smol_str::SmolStr;

/// What sort of failure it is; decides whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The node's own work failed; another attempt may succeed.
    Failed,
    /// The node's own work failed and would fail again (a wrong parameter, a missing file).
    Permanent,
    /// A time limit ran out; another attempt may succeed.
    TimedOut,
    /// The run was cancelled from outside.
    Cancelled,
    /// A node returned an action for which no edge leads on while others do.
    Routing,
    /// A node was visited more often than the guard allows.
    VisitLimit,
    /// What surrounds the node has run out of something that all of it needs, such as a budget: neither another
    /// attempt nor another edge nor another batch item helps.
    Halted,
}

/// A failure with its causes.
pub struct NodeError {
    kind: ErrorKind,
    error_type: SmolStr,
    message: String,
    node_id: Option<SmolStr>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl NodeError {
    fn with_kind(kind: ErrorKind, error_type: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            error_type: SmolStr::new_static(error_type),
            message: message.into(),
            node_id: None,
            source: None,
        }
    }

    /// The node's work failed; it may be tried again.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::with_kind(ErrorKind::Failed, "node_failed", message)
    }

    /// The node's work failed for good: further attempts are skipped.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::with_kind(ErrorKind::Permanent, "node_failed", message)
    }

    /// The work took longer than `limit`.
    #[must_use]
    pub fn timed_out(what: &str, limit: Duration) -> Self {
        Self::with_kind(
            ErrorKind::TimedOut,
            "timeout",
            format!("{what} took longer than the limit of {} s", limit.as_secs_f64()),
        )
    }

    /// The run was cancelled.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::with_kind(ErrorKind::Cancelled, "cancelled", "cancelled")
    }

    /// No edge for an action.
    #[must_use]
    pub fn routing(message: impl Into<String>) -> Self {
        Self::with_kind(ErrorKind::Routing, "routing", message)
    }

    /// Too many visits.
    #[must_use]
    pub fn visit_limit(message: impl Into<String>) -> Self {
        Self::with_kind(ErrorKind::VisitLimit, "visit_limit", message)
    }

    /// What surrounds the node cannot go on.
    #[must_use]
    pub fn halted(message: impl Into<String>) -> Self {
        Self::with_kind(ErrorKind::Halted, "halted", message)
    }

    /// Something beside this cannot go on, so this does not go on either.
    pub(crate) fn halted_elsewhere() -> Self {
        Self::halted("stopped: another branch of the workflow could not go on")
    }

    /// The same failure where it halts nothing further out: from here on it is a permanent one like any other.
    #[must_use]
    pub fn contained(mut self) -> Self {
        if self.is_halted() {
            self.kind = ErrorKind::Permanent;
        }
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names the class of the failure, such as `http_500` (OpenTelemetry: `error.type`).
    #[must_use]
    pub fn with_type(mut self, error_type: impl Into<SmolStr>) -> Self {
        self.error_type = error_type.into();
        self
    }

    /// Notes the node in which it happened; the innermost one wins.
    #[must_use]
    pub fn in_node(mut self, node_id: &str) -> Self {
        if self.node_id.is_none() {
            self.node_id = Some(SmolStr::new(node_id));
        }
        self
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The short, stable class.
    #[must_use]
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// The message without the causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The node in which it happened, where known.
    #[must_use]
    pub fn node_id(&self) -> Option<&str> {
        self.node_id.as_deref()
    }

    /// Whether another attempt makes sense.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Failed | ErrorKind::TimedOut)
    }

    /// Whether the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == ErrorKind::Cancelled
    }

    /// Whether what surrounds the node cannot go on.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.kind == ErrorKind::Halted
    }

    /// The messages of the causes, outermost first, without this error's own.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            messages.push(error.to_string());
            cause = error.source();
        }
        messages
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeError")
            .field("kind", &self.kind)
            .field("error_type", &self.error_type)
            .field("message", &self.message)
            .field("node_id", &self.node_id)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for NodeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
