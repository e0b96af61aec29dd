//! `flowmeter show`: a saved trace, for people or for programs.
//!
//! Never changes the trace, also not one that a kill left unfinished.

use std::fs::File;
use std::io;

use anyhow::Result;
use flowmeter::{HumanStyle, TraceDocument, read_trace, write_human, write_trace_json};

use crate::args::{ShowArgs, ViewFormat};
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::traces;

/// Prints the trace.
pub(super) fn run(args: &ShowArgs, home: &Home, output: &Output) -> Result<Exit> {
    let path = traces::find(home, &args.trace)?;
    let trace = read_trace(&path)?;
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
        ViewFormat::Json if trace.is_finished() => {
            let mut file = File::open(&path)?;
            output.write(|out| io::copy(&mut file, out).map(drop))?;
        }
        ViewFormat::Json => {
            output.write(|out| write_trace_json(&trace, out))?;
            output.note("note: this run did not finish");
        }
    }
    Ok(Exit::Success)
}

/// The process that still writes this trace.
fn running_process(trace: &TraceDocument) -> Option<u32> {
    trace.pid.filter(|pid| !trace.is_finished() && traces::runs(*pid))
}

/// How far local time is east of UTC. Call it while there is one thread only.
pub(crate) fn local_offset_seconds() -> i32 {
    time::UtcOffset::current_local_offset().map_or(0, time::UtcOffset::whole_seconds)
}
