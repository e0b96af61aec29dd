//! `flowmeter logs`: the log lines of a run or of all runs, as the console showed them when they came.
//!
//! Never filters by itself: the store does. Following only looks: it leaves the run alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use flowmeter_model::{LogRecord, SpanId};
use flowmeter_store::{LogFilter, RunKey, RunOrder, RunRow, RunStatus, Store, StoredLog};

use super::runs::nothing_yet;
use crate::args::LogsArgs;
use crate::exit::Exit;
use crate::history;
use crate::history_view::log_lines::{LogLook, log_json, log_line};
use crate::history_view::places::Places;
use crate::home::Home;
use crate::output::Output;
use crate::run_selector::{select, short_id};
use crate::times::TimeWords;

/// How many lines of many runs are shown unless more are wanted.
const LINES_OF_MANY: usize = 1000;
/// How often a run that goes on is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many runs are asked for at a time.
const RUNS_AT_A_TIME: usize = 64;
/// After so many runs in a row that ended too early no more are looked at.
const RUNS_PASSED_OVER: usize = 256;
/// How many runs' nodes are remembered while the lines of many are printed.
const RUNS_REMEMBERED: usize = 256;

/// Prints them.
pub(super) fn run(args: &LogsArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    if args.run.is_none() && !home.has_history() {
        return nothing_yet(args.json, output);
    }
    let store = history::open(home)?;
    let mut lines = Lines {
        store: &store,
        args,
        times: &times,
        output,
        filter: filter(args, &times),
        runs: HashMap::new(),
    };
    match &args.run {
        None => lines.print_newest(LINES_OF_MANY, false),
        Some(run) => {
            let selected = select(&store, run, &times)?;
            lines.filter.run = Some(selected.row.key);
            if args.follow {
                lines.follow(&selected.row)
            } else {
                lines.print_newest(usize::MAX, true)
            }
        }
    }
}

fn filter(args: &LogsArgs, times: &TimeWords) -> LogFilter {
    // A log line's own time is what --since means here.
    let mut runs = args.runs.filter(times);
    let (since, until) = (runs.since.take(), runs.until.take());
    LogFilter {
        runs,
        run: None,
        level_min: args.level,
        since,
        until,
        contains: args.grep.clone(),
        target: args.target.clone(),
    }
}

struct Lines<'a> {
    store: &'a dyn Store,
    args: &'a LogsArgs,
    times: &'a TimeWords,
    output: &'a Output,
    filter: LogFilter,
    /// The workflow of each run, and the node of each of its spans.
    runs: HashMap<RunKey, (String, HashMap<SpanId, String>)>,
}

impl Lines<'_> {
    fn print_newest(&mut self, limit: usize, is_one_run: bool) -> Result<Exit> {
        let limit = match self.args.limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None => limit,
        };
        let (newest, has_more) = if is_one_run || limit == usize::MAX {
            self.newest_of_all(limit)?
        } else {
            self.newest_of_many(limit)?
        };
        let shown = newest.len();
        let text = newest
            .iter()
            .map(|log| self.line(log, is_one_run))
            .collect::<Result<Vec<String>>>()?;
        self.output
            .write(|out| text.iter().try_for_each(|line| out.write_all(line.as_bytes())))?;
        if shown == 0 && limit > 0 {
            self.output.note(if is_one_run {
                "the run has no such log lines"
            } else {
                "no log line fits"
            });
        } else if has_more && self.args.limit.is_none() {
            self.output.note(&format!(
                "the newest {shown} lines are shown, there are more; `--limit 0` shows all"
            ));
        }
        Ok(Exit::Success)
    }

    /// The newest lines, by looking at all; and whether there are more.
    fn newest_of_all(&self, limit: usize) -> Result<(Vec<StoredLog>, bool)> {
        let mut newest: VecDeque<StoredLog> = VecDeque::new();
        let mut count = 0_usize;
        self.store.logs(&self.filter, &mut |log| {
            count += 1;
            newest.push_back(log);
            if newest.len() > limit {
                newest.pop_front();
            }
            ControlFlow::Continue(())
        })?;
        let has_more = count > newest.len();
        Ok((newest.into(), has_more))
    }

    /// The newest lines of many runs: the newest runs are looked at first, until older ones cannot have newer lines.
    fn newest_of_many(&self, limit: usize) -> Result<(Vec<StoredLog>, bool)> {
        let mut newest: Vec<StoredLog> = Vec::new();
        let mut has_more = false;
        // Runs that began earlier may end later: so many in a row that did not are enough.
        let mut out_of_date = 0;
        let mut offset = 0;
        while out_of_date < RUNS_PASSED_OVER {
            let rows = self
                .store
                .runs(&self.filter.runs, RunOrder::Started, RUNS_AT_A_TIME, offset)?;
            offset += rows.len();
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let oldest = newest.first().map(|log| log.record.time);
                let is_full = newest.len() >= limit;
                let can_be_newer = row
                    .ended
                    .zip(oldest)
                    .is_none_or(|(ended, oldest)| ended >= oldest);
                if is_full && !can_be_newer {
                    out_of_date += 1;
                    has_more |= row.logs > 0;
                    continue;
                }
                out_of_date = 0;
                if row.logs == 0 && row.status != RunStatus::Running {
                    continue;
                }
                let filter = LogFilter {
                    run: Some(row.key),
                    ..self.filter.clone()
                };
                self.store.logs(&filter, &mut |log| {
                    newest.push(log);
                    ControlFlow::Continue(())
                })?;
                newest.sort_by_key(|log| log.record.time);
                if newest.len() > limit {
                    has_more = true;
                    newest.drain(..newest.len() - limit);
                }
            }
        }
        Ok((newest, has_more))
    }

    /// Prints what there is and what comes, until the run ends.
    fn follow(&mut self, run: &RunRow) -> Result<Exit> {
        // Lines come in batches, and one batch may bring lines that are older than the last one shown.
        let mut shown: HashSet<(u64, u64)> = HashSet::new();
        let mut is_over = run.status != RunStatus::Running;
        let mut skipped = self.args.limit.unwrap_or(0);
        loop {
            let mut fresh = Vec::new();
            let mut same = HashMap::<u64, u64>::new();
            self.store.logs(&self.filter, &mut |log| {
                let hash = identity(&log.record);
                // Equal lines of the same moment are told apart by their number.
                let number = same.entry(hash).or_default();
                *number += 1;
                if shown.insert((hash, *number)) {
                    fresh.push(log);
                }
                ControlFlow::Continue(())
            })?;
            let first = if skipped == 0 {
                0
            } else {
                fresh.len().saturating_sub(std::mem::take(&mut skipped))
            };
            self.runs.clear();
            let lines = fresh[first..]
                .iter()
                .map(|log| self.line(log, true))
                .collect::<Result<Vec<String>>>()?;
            if !lines.is_empty() && self.is_reader_gone(&lines)? {
                return Ok(Exit::Success);
            }
            if is_over {
                return Ok(Exit::Success);
            }
            std::thread::sleep(LOOK_EVERY);
            // Once more after the end: the last lines come with it.
            is_over = self
                .store
                .run(&run.key)?
                .is_none_or(|detail| detail.row.status != RunStatus::Running);
        }
    }

    fn is_reader_gone(&self, lines: &[String]) -> Result<bool> {
        let mut is_gone = false;
        self.output.write(|out: &mut dyn Write| {
            let outcome = lines
                .iter()
                .try_for_each(|line| out.write_all(line.as_bytes()))
                .and_then(|()| out.flush());
            is_gone = outcome.is_err();
            outcome
        })?;
        Ok(is_gone)
    }

    fn line(&mut self, log: &StoredLog, is_one_run: bool) -> Result<String> {
        let look = LogLook {
            colour: self.output.colour_out(),
            times: self.times,
            with_day: !is_one_run,
        };
        let is_json = self.args.json;
        let (workflow, nodes) = self.run_of(&log.run)?;
        let node = log
            .record
            .span_id
            .and_then(|id| nodes.get(&id))
            .map_or("", String::as_str);
        if is_json {
            return Ok(format!("{}\n", log_json(log, workflow, node)));
        }
        let run = if is_one_run {
            String::new()
        } else {
            short_id(&log.run)
        };
        Ok(log_line(&log.record, &run, node, look))
    }

    fn run_of(&mut self, key: &RunKey) -> Result<&(String, HashMap<SpanId, String>)> {
        if self.runs.len() >= RUNS_REMEMBERED && !self.runs.contains_key(key) {
            self.runs.clear();
        }
        if !self.runs.contains_key(key) {
            let known = match self.store.run(key)? {
                Some(detail) => {
                    let places = Places::of_run(self.store, &detail)?;
                    let nodes = places
                        .all()
                        .iter()
                        .map(|span| (span.span_id, span.node.to_string()));
                    (detail.row.workflow.to_string(), nodes.collect())
                }
                None => (String::new(), HashMap::new()),
            };
            self.runs.insert(*key, known);
        }
        Ok(&self.runs[key])
    }
}

/// What a line is known by when it is read again.
fn identity(log: &LogRecord) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (log.time, log.level, &log.message, log.span_id).hash(&mut hasher);
    hasher.finish()
}
