//! Log records and their levels.
//!
//! Never filters or prints: that belongs to the library's pipeline.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use thiserror::Error;

use crate::{Attributes, SpanId, TimestampNs};

/// Severity, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// The finest steps.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// The normal course.
    Info,
    /// Something odd that did no harm.
    Warn,
    /// Something failed.
    Error,
}

/// Why a text names no level.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no log level: trace, debug, info, warn or error is wanted")]
pub struct InvalidLogLevel(pub String);

impl LogLevel {
    /// The name in capitals, as output shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = InvalidLogLevel;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(InvalidLogLevel(text.to_owned())),
        }
    }
}

/// One log line, bound to the span in which it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When.
    pub time: TimestampNs,
    /// How grave.
    pub level: LogLevel,
    /// What.
    pub message: String,
    /// Where from: a module path or a node type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SmolStr>,
    /// The span it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// More.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}
