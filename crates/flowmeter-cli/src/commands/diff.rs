//! `flowmeter diff`: two runs beside each other, node by node.
//!
//! Never fails because runs differ.

use anyhow::Result;
use flowmeter_store::Store;

use super::runs::table_style;
use crate::args::DiffArgs;
use crate::exit::{Exit, MissingRun};
use crate::history;
use crate::history_view::run_diff::{DiffLook, RunDiff, diff_json, diff_text};
use crate::history_view::stored_trace::RunSpans;
use crate::home::Home;
use crate::output::Output;
use crate::run_selector::select;
use crate::times::TimeWords;

/// Compares them.
pub(super) fn run(args: &DiffArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let store = history::open(home)?;
    compare(&store, args, &times, output)
}

fn compare(store: &dyn Store, args: &DiffArgs, times: &TimeWords, output: &Output) -> Result<Exit> {
    let before = select(store, &args.before, times)?.row;
    let after = select(store, &args.after, times)?.row;
    if before.key == after.key {
        output.note("note: that is the same run twice");
    }
    let spans_of = |row: &flowmeter_store::RunRow| -> Result<RunSpans<'_>> {
        let detail = store
            .run(&row.key)?
            .ok_or_else(|| MissingRun(format!("the run {} has just been removed", row.key)))?;
        RunSpans::stored(store, detail)
    };
    let diff = RunDiff::of(&spans_of(&before)?, &spans_of(&after)?, args.node.as_deref())?;
    if args.json {
        output.json(&diff_json(&before, &after, &diff, times))?;
        return Ok(Exit::Success);
    }
    let look = DiffLook {
        table: table_style(output),
        is_full: args.full,
        times,
    };
    output.text(&diff_text(&before, &after, &diff, look))?;
    for note in &diff.notes {
        output.note(&format!("note: {note}"));
    }
    Ok(Exit::Success)
}
