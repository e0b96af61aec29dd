//! The flags that say where the telemetry of a run goes beside its trace file.
//!
//! Never opens anything: `telemetry::exports` makes the backends.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use flowmeter::{Preset, SemanticConventions};

use crate::config::did_you_mean;

/// Where telemetry goes.
#[derive(Debug, Default, Args)]
pub(crate) struct ExportArgs {
    /// Send the telemetry there too; may be given several times: otlp, otlp=URL, datadog, newrelic, langfuse,
    /// phoenix, honeycomb, grafana, console, json=FILE, jsonl=FILE, otlp-json=FILE
    #[arg(long = "export", value_name = "BACKEND")]
    pub(crate) backends: Vec<BackendWish>,
    /// Send nothing anywhere, whatever settings and OTEL_* variables say
    #[arg(long, conflicts_with = "backends")]
    pub(crate) no_export: bool,
    /// The names of the attributes that are exported [default: latest]
    #[arg(long, value_name = "VERSION")]
    pub(crate) semconv: Option<SemconvArg>,
}

/// A backend that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackendWish {
    /// An OTLP receiver: `otlp` or a preset's name, and its address where it is given.
    Otlp {
        /// `otlp`, or the preset.
        name: &'static str,
        /// The base address.
        endpoint: Option<String>,
    },
    /// The tree, as it grows, on standard error.
    Console,
    /// A file.
    File {
        /// What is written.
        format: FileKind,
        /// Where.
        path: PathBuf,
    },
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// The trace as one JSON document, which replaces what was there.
    Json,
    /// Event lines, appended.
    JsonLines,
    /// OTLP requests in JSON, one a line, one file a signal, appended.
    Otlp,
}

impl FileKind {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Json, "json"),
        (Self::JsonLines, "jsonl"),
        (Self::Otlp, "otlp-json"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }
}

impl FromStr for BackendWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, target) = match text.split_once('=') {
            Some((name, target)) => (
                name.trim(),
                Some(target.trim()).filter(|target| !target.is_empty()),
            ),
            None => (text.trim(), None),
        };
        if let Some((format, name)) = FileKind::ALL.iter().find(|(_, known)| *known == name) {
            let path = target.ok_or_else(|| format!("`{name}` needs a file: {name}=FILE"))?;
            return Ok(Self::File {
                format: *format,
                path: PathBuf::from(path),
            });
        }
        if name == "console" {
            return match target {
                None => Ok(Self::Console),
                Some(_) => Err("`console` takes no target".to_owned()),
            };
        }
        let receivers = || std::iter::once("otlp").chain(Preset::names());
        if let Some(name) = receivers().find(|known| *known == name) {
            return Ok(Self::Otlp {
                name,
                endpoint: target.map(str::to_owned),
            });
        }
        let files = FileKind::ALL.iter().map(|(_, name)| *name);
        let known: Vec<&str> = receivers().chain(["console"]).chain(files).collect();
        Err(format!(
            "there is no backend `{name}`{}; there are {}",
            did_you_mean(name, known.iter().copied()),
            known.join(", ")
        ))
    }
}

impl fmt::Display for BackendWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Otlp { name, endpoint: None } => f.write_str(name),
            Self::Otlp {
                name,
                endpoint: Some(endpoint),
            } => write!(f, "{name}={endpoint}"),
            Self::Console => f.write_str("console"),
            Self::File { format, path } => write!(f, "{}={}", format.name(), path.display()),
        }
    }
}

/// Whose names exported attributes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SemconvArg {
    /// The newest of the GenAI conventions
    #[default]
    Latest,
    /// Those of version 1.41
    #[value(name = "1.41")]
    V1_41,
    /// Both side by side
    Both,
}

impl From<SemconvArg> for SemanticConventions {
    fn from(version: SemconvArg) -> Self {
        match version {
            SemconvArg::Latest => Self::Latest,
            SemconvArg::V1_41 => Self::V1_41,
            SemconvArg::Both => Self::Both,
        }
    }
}

#[cfg(test)]
mod tests;
