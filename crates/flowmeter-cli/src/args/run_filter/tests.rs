//! Which runs a command line means: every flag, and what is refused.

use clap::Parser;
use flowmeter_model::TimestampNs;

use super::*;
use crate::times::LocalZone;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    runs: RunFilterArgs,
}

fn filter(words: &[&str]) -> Result<RunFilter, String> {
    let line = std::iter::once("runs").chain(words.iter().copied());
    let times = TimeWords::new(TimestampNs(10_000_000_000_000), LocalZone::fixed(0));
    Line::try_parse_from(line)
        .map(|line| line.runs.filter(&times))
        .map_err(|error| error.to_string())
}

#[test]
fn every_flag_is_a_condition() {
    let read = filter(&[
        "--workflow",
        "report",
        "-w",
        "triage",
        "--status",
        "failed,running",
        "--since",
        "1h",
        "--until",
        "1m",
        "--model",
        "gpt-4o",
        "--min-cost",
        "0.05",
        "--slower-than",
        "5s",
        "--tag",
        "env=prod",
        "--tag",
        "a=b=c",
        "--session",
        "s1",
        "--user",
        "ada",
        "--commit",
        "1A2B",
        "--version",
        "3",
    ]);
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let wanted = RunFilter {
        workflows: vec!["report".to_owned(), "triage".to_owned()],
        statuses: vec![RunStatus::Error, RunStatus::Running],
        since: Some(TimestampNs(6_400_000_000_000)),
        until: Some(TimestampNs(9_940_000_000_000)),
        models: vec!["gpt-4o".to_owned()],
        cost_min: Some(UsdNanos(50_000_000)),
        slower_than_ns: Some(5_000_000_000),
        tags: vec![tag("env", "prod"), tag("a", "b=c")],
        session: Some("s1".to_owned()),
        user: Some("ada".to_owned()),
        git_commit: Some("1a2b".to_owned()),
        workflow_version: Some("3".to_owned()),
        trace_prefix: None,
    };
    assert_eq!(read, Ok(wanted));
}

#[test]
fn no_flag_is_no_condition() {
    assert!(RunFilterArgs::default().is_empty());
    let some = RunFilterArgs {
        since: Moment::parse("1970-01-01").ok(),
        ..RunFilterArgs::default()
    };
    assert!(!some.is_empty());
    assert_eq!(filter(&[]), Ok(RunFilter::default()));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    for (words, wanted) in [
        (["--status", "done"], "possible values"),
        (["--since", "soon"], "must be a time such as"),
        (["--tag", "prod"], "must be KEY=VALUE"),
        (["--commit", "main"], "must be a commit's id"),
        (["--slower-than", "long"], "must be a time such as"),
    ] {
        let error = filter(&words).expect_err("it is refused");
        assert!(error.contains(wanted), "{error}");
    }
}
