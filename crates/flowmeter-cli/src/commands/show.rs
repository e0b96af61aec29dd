//! `flowmeter show`: a run of the history or a saved trace, for people or for programs.
//!
//! Never changes the trace, also not one that a kill left unfinished.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowmeter::{HumanStyle, TraceDocument, read_trace, write_human, write_trace_json};
use flowmeter_store::{RunStatus, Store};

use crate::args::ShowArgs;
use crate::exit::{BadUsage, Exit, MissingRun};
use crate::history;
use crate::history_view::node_view::{NodeDetail, NodeLook};
use crate::history_view::stored_trace::{RunSpans, otlp_json, trace_of};
use crate::home::Home;
use crate::output::Output;
use crate::run_selector::{RunSelector, SelectedRun, missing};
use crate::times::TimeWords;
use crate::traces;

/// Prints the run.
pub(super) fn run(args: &ShowArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let selector = RunSelector::parse(&args.trace).filter(|_| !Path::new(&args.trace).exists());
    let Some(selector) = selector else {
        return show_files(args, &traces::find(home, &args.trace)?, &times, output);
    };
    if !home.has_history() {
        return show_files(args, &saved_files(home, args, &selector)?, &times, output);
    }
    let store = history::open(home)?;
    match selector.find(&store, &times)? {
        Some(selected) => show_run(&store, &selected, args, &times, output),
        None => match saved_files(home, args, &selector) {
            Ok(paths) => show_files(args, &paths, &times, output),
            Err(_) => Err(missing(&store, &selector)?.into()),
        },
    }
}

/// The saved trace files that a name means, where the history does not know it.
fn saved_files(home: &Home, args: &ShowArgs, selector: &RunSelector) -> Result<Vec<PathBuf>> {
    match selector {
        RunSelector::Last(0) | RunSelector::Id { .. } => traces::find(home, &args.trace),
        other => Err(MissingRun(format!(
            "there is no run `{other}`: nothing is recorded yet; `flowmeter run FILE` and `flowmeter demo` make one"
        ))
        .into()),
    }
}

fn show_run(
    store: &dyn Store,
    selected: &SelectedRun,
    args: &ShowArgs,
    times: &TimeWords,
    output: &Output,
) -> Result<Exit> {
    let row = &selected.row;
    if let Some(node) = &args.node {
        return show_stored_node(store, selected, node, args, times, output);
    }
    if args.otlp {
        for request in otlp_json(store, &selected.trace)? {
            output.write(|out| {
                out.write_all(&request)?;
                out.write_all(b"\n")
            })?;
        }
        return Ok(Exit::Success);
    }
    let trace = trace_of(store, &selected.trace)?
        .ok_or_else(|| MissingRun(format!("the run {} has just been removed", row.key)))?;
    if selected.trace.len() > 1 {
        output.note(&format!(
            "note: {} runs make up this trace; status and metrics are those of {}",
            selected.trace.len(),
            crate::printable::one_line(trace.workflow.as_deref().unwrap_or("the first run"))
        ));
    }
    match row.status {
        RunStatus::Running => {
            let process = trace
                .pid
                .map_or_else(String::new, |pid| format!(", in process {pid}"));
            output.note(&format!("note: the run is still going on{process}"));
        }
        RunStatus::Interrupted => {
            let when = row.ended.map_or_else(String::new, |seen| {
                format!("; it was last heard of {}", times.relative(seen))
            });
            output.note(&format!(
                "note: the run was interrupted: its process is gone{when}"
            ));
        }
        _ => {}
    }
    if row.payloads_gone {
        output.note(
            "note: prompts, answers, parameters, writes and logs of this run have had their time (retention) and are \
             gone",
        );
    }
    print(&trace, args, times, output)?;
    Ok(Exit::Success)
}

fn show_stored_node(
    store: &dyn Store,
    selected: &SelectedRun,
    node: &str,
    args: &ShowArgs,
    times: &TimeWords,
    output: &Output,
) -> Result<Exit> {
    // The run itself first, then the runs that it started.
    let others = selected.trace.iter().filter(|row| row.key != selected.row.key);
    let mut not_there = None;
    for row in std::iter::once(&selected.row).chain(others) {
        let Some(detail) = store.run(&row.key)? else {
            continue;
        };
        let run = RunSpans::stored(store, detail)?;
        match run.places().find(node, args.nth) {
            Ok(_) => return show_node(&run, node, args, times, output),
            Err(error) => not_there = not_there.or(Some(error)),
        }
    }
    Err(not_there
        .unwrap_or_else(|| MissingRun(format!("the run {} has just been removed", selected.row.key)).into()))
}

fn show_node(
    run: &RunSpans<'_>,
    node: &str,
    args: &ShowArgs,
    times: &TimeWords,
    output: &Output,
) -> Result<Exit> {
    let found = run.places().find(node, args.nth)?;
    let is_full = args.is_json() || args.full;
    let detail = NodeDetail::gather_some(run, found, is_full)?.ok_or_else(|| {
        MissingRun(format!(
            "the span {} of the node `{node}` is not kept",
            found.span.span_id
        ))
    })?;
    if args.is_json() {
        output.json(&detail.json()?)?;
    } else {
        output.text(&detail.text(NodeLook {
            colour: output.colour_out(),
            is_full: args.full,
            times,
        }))?;
    }
    Ok(Exit::Success)
}

/// Prints a trace that was saved as a file.
fn show_files(args: &ShowArgs, paths: &[PathBuf], times: &TimeWords, output: &Output) -> Result<Exit> {
    if args.otlp {
        return Err(BadUsage(
            "a trace file has no resource, which OTLP wants; --otlp takes runs of the history: `flowmeter runs` lists \
             them"
                .to_owned(),
        )
        .into());
    }
    let (trace, is_one_file) = read(paths, output)?;
    if let Some(pid) = running_process(&trace) {
        output.note(&format!("note: the run is still going on, in process {pid}"));
    }
    if let Some(node) = &args.node {
        return show_node(&RunSpans::read(&trace), node, args, times, output);
    }
    // A finished trace is JSON already, with whatever another tool wrote into it.
    if args.is_json() && trace.is_finished() && is_one_file {
        let mut file = File::open(&paths[0])?;
        output.write(|out| io::copy(&mut file, out).map(drop))?;
    } else {
        print(&trace, args, times, output)?;
    }
    Ok(Exit::Success)
}

fn print(trace: &TraceDocument, args: &ShowArgs, times: &TimeWords, output: &Output) -> Result<()> {
    if args.is_json() {
        output.write(|out| write_trace_json(trace, out))?;
        if !trace.is_finished() {
            output.note("note: this run did not finish");
        }
    } else {
        let style = HumanStyle {
            colour: output.colour_out(),
            utc_offset_seconds: trace
                .started
                .map_or_else(|| times.offset_seconds(), |at| times.offset_at(at)),
        };
        output.write(|out| write_human(trace, style, out))?;
    }
    Ok(())
}

/// The trace, joined where runs that belong together wrote a file each. A part that cannot be read, because it has
/// just gone, does not hide the others.
pub(super) fn read(paths: &[PathBuf], output: &Output) -> Result<(TraceDocument, bool)> {
    let mut parts = Vec::with_capacity(paths.len());
    let mut unreadable = None;
    for path in paths {
        match read_trace(path) {
            Ok(part) => parts.push(part),
            Err(error) => {
                if paths.len() > 1 {
                    output.warn(&crate::report::with_causes(&error));
                }
                unreadable = Some(error);
            }
        }
    }
    let count = parts.len();
    match (TraceDocument::joined(parts), unreadable) {
        (Some(trace), _) => {
            if paths.len() > 1 {
                let workflow = trace.workflow.as_deref().unwrap_or("the first run");
                output.note(&format!(
                    "note: {count} runs make up this trace; status and metrics are those of {workflow}"
                ));
            }
            Ok((trace, paths.len() == 1))
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(BadUsage("no trace is named".to_owned()).into()),
    }
}

/// The process that still writes this trace.
fn running_process(trace: &TraceDocument) -> Option<u32> {
    trace.pid.filter(|pid| !trace.is_finished() && traces::runs(*pid))
}

/// How far local time is east of UTC. Call it while there is one thread only.
pub(crate) fn local_offset_seconds() -> i32 {
    time::UtcOffset::current_local_offset().map_or(0, time::UtcOffset::whole_seconds)
}
