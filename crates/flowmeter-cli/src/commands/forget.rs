//! `flowmeter forget`: deletes runs for good, with their traces, and says what went.
//!
//! Never deletes anything that was not named, and never without a yes.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use anyhow::Result;
use flowmeter::{Spool, grouped};
use flowmeter_model::TimestampNs;
use flowmeter_store::{
    ForgetSelector, Forgotten, RunFilter, RunKey, RunOrder, RunRow, RunStatus, Store, StoreError,
};
use serde_json::json;

use crate::amounts::shown_size;
use crate::args::ForgetArgs;
use crate::caching::responses;
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::printable::printable;
use crate::progress::TaskLine;
use crate::run_selector::select;
use crate::times::TimeWords;
use crate::traces::{self, ForgottenTraces};

/// Runs that are asked for at a time.
const PAGE: usize = 5_000;
/// Runs that are deleted at a time.
const STEP: usize = 500;
/// Workflows that are named.
const NAMED_MAX: usize = 3;

/// A run that is to go.
struct Doomed {
    key: RunKey,
    is_part: bool,
    spans: u64,
    logs: u64,
    started: TimestampNs,
}

/// What is to go.
#[derive(Default)]
struct Wanted {
    runs: Vec<Doomed>,
    known: HashSet<RunKey>,
    /// How many runs each workflow has among them.
    workflows: HashMap<String, usize>,
    /// Runs that go on and stay.
    going_on: usize,
}

impl Wanted {
    fn add(&mut self, row: &RunRow) {
        if !self.known.insert(row.key) {
            return;
        }
        *self.workflows.entry(row.workflow.to_string()).or_default() += 1;
        self.runs.push(Doomed {
            key: row.key,
            is_part: row.parent_span_id.is_some(),
            spans: row.spans,
            logs: row.logs,
            started: row.started,
        });
    }

    /// `3 runs (412 spans) of summarize, from yesterday 14:05 to 3 min ago`.
    fn told(&self, times: &TimeWords) -> String {
        let spans: u64 = self.runs.iter().map(|run| run.spans).sum();
        let mut names: Vec<(&String, &usize)> = self.workflows.iter().collect();
        names.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        let mut named: Vec<String> = names
            .iter()
            .take(NAMED_MAX)
            .map(|(name, _)| printable(name).into_owned())
            .collect();
        if names.len() > NAMED_MAX {
            named.push(format!("{} more workflows", names.len() - NAMED_MAX));
        }
        let begun = || self.runs.iter().map(|run| run.started);
        let (first, last) = (
            begun().min().unwrap_or_default(),
            begun().max().unwrap_or_default(),
        );
        let when = match (times.relative(first), times.relative(last)) {
            (first, last) if first == last => first,
            (first, last) => format!("from {first} to {last}"),
        };
        format!(
            "{} ({}) of {}, {when}",
            counted(self.runs.len() as u64, "run"),
            counted(spans, "span"),
            named.join(", ")
        )
    }
}

/// Deletes what was asked for.
pub(super) fn run(args: &ForgetArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let until = args.before.or(args.which.until);
    let filter = RunFilter {
        // What begins while this looks is not meant, and would move what it looks at.
        until: Some(until.map_or(times.now(), |moment| moment.resolve(&times))),
        ..args.which.filter(&times)
    };
    let has_filter = until.is_some() || !args.which.is_empty();
    if args.runs.is_empty() != has_filter {
        let message = if has_filter {
            "runs are named or described, not both: leave out either the ids or the conditions"
        } else {
            "nothing is named: give runs, or conditions such as --before 90d or --tag customer=acme"
        };
        return Err(BadUsage(message.to_owned()).into());
    }
    let store = history::open_for(&args.runs, home)?;
    let wanted = match args.runs.as_slice() {
        [] => described(&*store, &filter)?,
        names => named(&*store, names, &times)?,
    };
    if wanted.going_on > 0 {
        output.note(&format!(
            "{} of them go on and stay; name them to delete what they have written so far",
            counted(wanted.going_on as u64, "run")
        ));
    }
    if wanted.runs.is_empty() {
        return nothing(args, output);
    }
    if args.dry_run {
        return would_delete(args, &wanted, &times, home, output);
    }
    if !args.yes {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            let message = format!(
                "nothing was deleted: this would delete {}; add --yes to do it, or --dry-run to look",
                wanted.told(&times)
            );
            return Err(BadUsage(message).into());
        }
        output.ask(&format!("Delete {} for good? [y/N] ", wanted.told(&times)));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            output.say("nothing was deleted");
            return Ok(Exit::Interrupted);
        }
    }
    let gone = delete(&*store, &wanted, home, output)?;
    let traces = traces::forget(home, &parts(&wanted));
    if args.json {
        output.json(&json!({
            "runs": gone.runs,
            "spans": gone.spans,
            "logs": gone.logs,
            "bytes": gone.bytes,
            "trace_files": traces.files,
            "trace_bytes": traces.bytes,
        }))?;
    } else {
        output.text(&told(&gone, &traces))?;
    }
    if traces.left > 0 {
        output.warn(&format!(
            "{} could not be deleted: they are being written, or belong to somebody else",
            counted(traces.left, "trace file")
        ));
    }
    tell_what_stays(home, output);
    Ok(Exit::Success)
}

fn nothing(args: &ForgetArgs, output: &Output) -> Result<Exit> {
    if args.json {
        output.json(
            &json!({ "runs": 0, "spans": 0, "logs": 0, "bytes": 0, "trace_files": 0, "trace_bytes": 0 }),
        )?;
    }
    output.note("no run is like that: nothing was deleted");
    Ok(Exit::Success)
}

/// The runs with these names, and those that they started.
fn named(store: &dyn Store, names: &[String], times: &TimeWords) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for name in names {
        for row in select(store, name, times)?.trace {
            wanted.add(&row);
        }
    }
    Ok(wanted)
}

/// The runs that a filter holds for, but those that go on.
fn described(store: &dyn Store, filter: &RunFilter) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut offset = 0;
    loop {
        let rows = store.runs(filter, RunOrder::Started, PAGE, offset)?;
        offset += rows.len();
        for row in &rows {
            match row.status {
                RunStatus::Running => wanted.going_on += 1,
                _ => wanted.add(row),
            }
        }
        if rows.len() < PAGE {
            return Ok(wanted);
        }
    }
}

fn would_delete(
    args: &ForgetArgs,
    wanted: &Wanted,
    times: &TimeWords,
    home: &Home,
    output: &Output,
) -> Result<Exit> {
    let traces = traces::count_of(home, &parts(wanted));
    if args.json {
        let sum = |count: fn(&Doomed) -> u64| wanted.runs.iter().map(count).sum::<u64>();
        output.json(&json!({
            "dry_run": true,
            "runs": wanted.runs.len(),
            "spans": sum(|run| run.spans),
            "logs": sum(|run| run.logs),
            "trace_files": traces.files,
            "trace_bytes": traces.bytes,
        }))?;
    } else {
        let mut text = format!("would delete {}", wanted.told(times));
        if traces.files > 0 {
            text.push_str(&format!(
                ", and {} ({})",
                counted(traces.files, "trace file"),
                shown_size(traces.bytes)
            ));
        }
        output.text(&text)?;
    }
    Ok(Exit::Success)
}

/// The runs by which trace files are found.
fn parts(wanted: &Wanted) -> Vec<(RunKey, bool)> {
    wanted.runs.iter().map(|run| (run.key, run.is_part)).collect()
}

fn delete(store: &dyn Store, wanted: &Wanted, home: &Home, output: &Output) -> Result<Forgotten> {
    // The oldest first: what was written together goes together.
    let mut keys: Vec<(TimestampNs, RunKey)> = wanted.runs.iter().map(|run| (run.started, run.key)).collect();
    keys.sort();
    let line = TaskLine::new(output, Some(keys.len() as u64), "runs deleted");
    let mut sum = Forgotten::default();
    for step in keys.chunks(STEP) {
        let selector = ForgetSelector::Runs(step.iter().map(|(_, key)| *key).collect());
        let gone = match store.forget(&selector) {
            Err(StoreError::DiskFull) => {
                // What waits in the log of changes may have its place in the file already.
                history::open(home)?.tend(Duration::ZERO)?;
                store.forget(&selector)?
            }
            outcome => outcome?,
        };
        sum.runs += gone.runs;
        sum.spans += gone.spans;
        sum.logs += gone.logs;
        sum.payloads += gone.payloads;
        sum.bytes += gone.bytes;
        line.reach(sum.runs);
    }
    line.clear();
    Ok(sum)
}

fn told(gone: &Forgotten, traces: &ForgottenTraces) -> String {
    let mut text = format!(
        "deleted {}: {}, {}, {} of the history",
        counted(gone.runs, "run"),
        counted(gone.spans, "span"),
        counted(gone.logs, "log line"),
        shown_size(gone.bytes)
    );
    if traces.files > 0 {
        text.push_str(&format!(
            "; and {} ({})",
            counted(traces.files, "trace file"),
            shown_size(traces.bytes)
        ));
    }
    text
}

/// Says where something of the runs may still be, as far as there is anything.
fn tell_what_stays(home: &Home, output: &Output) {
    let mut places = Vec::new();
    let waiting = Spool::new(home.spool())
        .requests()
        .map_or(0, |waiting| waiting.len());
    if waiting > 0 {
        places.push(format!(
            "{} to receivers that wait to be sent (`flowmeter flush --list`)",
            counted(waiting as u64, "request")
        ));
    }
    let kept = super::settings(home).map_or(0, |config| responses(&config, home).stats().entries);
    if kept > 0 {
        places.push(format!(
            "{} in the response cache (`flowmeter cache clear`)",
            counted(kept, "answer")
        ));
    }
    if !places.is_empty() {
        output.note(&format!(
            "not covered, and perhaps of these runs: {}",
            places.join("; ")
        ));
    }
}

/// `1 run`, `12 runs`.
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}
