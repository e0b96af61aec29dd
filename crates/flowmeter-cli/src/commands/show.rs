//! `flowmeter show`: a saved trace, for people or for programs.
//!
//! Never changes the trace, also not one that a kill left unfinished.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::Result;
use flowmeter::{HumanStyle, TraceDocument, read_trace, write_human, write_trace_json};

use crate::args::{ShowArgs, ViewFormat};
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::traces;

/// Prints the trace.
pub(super) fn run(args: &ShowArgs, home: &Home, output: &Output) -> Result<Exit> {
    let paths = traces::find(home, &args.trace)?;
    let (trace, is_one_file) = read(&paths, output)?;
    if let Some(pid) = running_process(&trace) {
        output.note(&format!("note: the run is still going on, in process {pid}"));
    }
    match args.format {
        ViewFormat::Human => {
            let style = HumanStyle {
                colour: output.colour_out(),
                utc_offset_seconds: local_offset_seconds(),
            };
            output.write(|out| write_human(&trace, style, out))?;
        }
        // A finished trace is JSON already, with whatever another tool wrote into it.
        ViewFormat::Json if trace.is_finished() && is_one_file => {
            let mut file = File::open(&paths[0])?;
            output.write(|out| io::copy(&mut file, out).map(drop))?;
        }
        ViewFormat::Json => {
            output.write(|out| write_trace_json(&trace, out))?;
            if !trace.is_finished() {
                output.note("note: this run did not finish");
            }
        }
    }
    Ok(Exit::Success)
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
