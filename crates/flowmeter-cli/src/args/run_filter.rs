//! The flags that say which runs are meant: the same for every command that looks at many.
//!
//! Never asks the store.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use flowmeter_model::UsdNanos;
use flowmeter_store::{RunFilter, RunStatus};

use crate::amounts;
use crate::times::{Moment, TimeWords, nanoseconds};

/// Which runs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which runs")]
pub(crate) struct RunFilterArgs {
    /// Of this workflow; several are joined by *or*
    #[arg(short = 'w', long, value_name = "NAME")]
    pub(crate) workflow: Vec<String>,
    /// That stand like this: running, interrupted, ok, error, cancelled (success and failed are understood, too)
    #[arg(long, value_name = "STATUS", value_delimiter = ',', hide_possible_values = true, value_parser = statuses())]
    pub(crate) status: Vec<RunStatus>,
    /// That began then or later: 90m, 3h, 2d, 1w, today, yesterday, monday, 2026-11-01, 2026-11-01T10:00 (local time)
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) since: Option<Moment>,
    /// That began before; a date means its beginning
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Option<Moment>,
    /// That asked this model; several are joined by *or*
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Vec<String>,
    /// That cost at least so many dollars
    #[arg(long, value_name = "DOLLARS", value_parser = amounts::usd)]
    pub(crate) min_cost: Option<UsdNanos>,
    /// That took longer, such as 5s or 2m
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub(crate) slower_than: Option<Duration>,
    /// With this tag; with several flags a run must have all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tag: Vec<(String, String)>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// That this user ran
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// That ran at the commit that begins so
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    pub(crate) commit: Option<String>,
    /// Of this version of a saved workflow
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
}

impl RunFilterArgs {
    /// The conditions, as seen from now and here.
    pub(crate) fn filter(&self, times: &TimeWords) -> RunFilter {
        RunFilter {
            workflows: self.workflow.clone(),
            statuses: self.status.clone(),
            since: self.since.map(|moment| moment.resolve(times)),
            until: self.until.map(|moment| moment.resolve(times)),
            models: self.model.clone(),
            cost_min: self.min_cost,
            slower_than_ns: self.slower_than.map(nanoseconds),
            tags: self.tag.clone(),
            session: self.session.clone(),
            user: self.user.clone(),
            git_commit: self.commit.clone(),
            workflow_version: self.version.clone(),
            trace_prefix: None,
        }
    }

    /// Whether no condition is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.filter(&TimeWords::new(
            flowmeter_model::TimestampNs(1),
            crate::times::LocalZone::fixed(0),
        )) == RunFilter::default()
    }
}

fn statuses() -> impl TypedValueParser<Value = RunStatus> {
    PossibleValuesParser::new([
        "running",
        "interrupted",
        "ok",
        "success",
        "error",
        "failed",
        "cancelled",
    ])
    .try_map(|name| RunStatus::of_name(&name).ok_or_else(|| format!("`{name}` is no status of a run")))
}

/// Reads `key=value`.
///
/// # Errors
/// What would be welcome.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE, such as env=prod".to_owned()),
    }
}

/// A commit or its beginning, in lower-case hex as git writes it.
fn commit(text: &str) -> Result<String, String> {
    let commit = text.trim().to_ascii_lowercase();
    if !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(commit)
    } else {
        Err("must be a commit's id or its beginning, such as 1a2b3c4".to_owned())
    }
}

#[cfg(test)]
mod tests;
